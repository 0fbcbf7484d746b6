//! What an asset's document says of a service: what it costs, how long orders stand, who may.

use super::{Files, Refusal, compute::Trust};
use crate::market::abi::IAccessList::placeOfCall;
use alloy_primitives::{Address, U256};
use serde_json::Value;
use stoa_client::{Chain, ViewError, view};
use stoa_contract::interfaces::IERC20;

/// Rules that a document's credentials have at most: each list of people is asked.
const MOST_RULES: usize = 32;

/// A service whose files are given away to those who order it, or have programs run on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its number, by which it is ordered.
    pub index: u32,
    /// What an order of it costs one of.
    pub datatoken: Address,
    /// For how many seconds orders stand; 0 for ever.
    pub timeout: u64,
    /// Its files, as they were sealed.
    pub files: String,
    /// Which programs may run on them, if they are not given away.
    pub compute: Option<Trust>,
    /// Who may, as the document says of the asset and of the service.
    credentials: [Credentials; 2],
}

/// Who may use something, in Ocean's words.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Credentials {
    allow: Vec<Rule>,
    /// Whether all of these have to be met, and not one.
    all_allow: bool,
    deny: Vec<Rule>,
    /// Whether all of these have to be met, and not one.
    all_deny: bool,
}

/// Some people.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Everybody,
    Accounts {
        named: Vec<Address>,
        /// Whether others are named, of whom nobody here can tell who they are.
        others: bool,
    },
    /// Those who have a place on a list.
    List(Address),
    /// Nobody here can tell.
    Untold,
}

impl Service {
    /// The service with this id in a document of version 4 or 5.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unknown`] if there is none, [`Refusal::Forbidden`] if it is not as services are.
    pub fn find(document: &Value, id: &str, chain_id: u64) -> Result<Self, Refusal> {
        let said = document.get("credentialSubject").unwrap_or(document);
        let mut services = said["services"].as_array().into_iter().flatten().zip(0..);
        let found = services.find(|(service, _)| service["id"] == id);
        let (service, index) =
            found.ok_or_else(|| Refusal::Unknown("serviceId: the asset has no such service".to_owned()))?;
        let forbidden = |why: &str| Refusal::Forbidden(format!("service {index} of the asset {why}"));
        let compute = match service["type"].as_str() {
            Some("access") => None,
            Some("compute") => Some(Trust::read(&service["compute"])?),
            _ => return Err(forbidden("is of no known type")),
        };
        let datatoken = service["datatokenAddress"].as_str().and_then(|text| text.parse().ok());
        let files = service["files"].as_str().ok_or_else(|| forbidden("has no files"))?;
        // Less than is said would last for ever.
        let timeout = service.get("timeout").map_or(Some(0), Value::as_u64);
        let credentials = [&said["credentials"], &service["credentials"]].map(|said| Credentials::read(said, chain_id));
        let [asset, own] = credentials;
        Ok(Self {
            index,
            datatoken: datatoken.ok_or_else(|| forbidden("names no datatoken"))?,
            timeout: timeout.ok_or_else(|| forbidden("has a timeout that is none"))?,
            files: files.to_owned(),
            compute,
            credentials: [asset?, own?],
        })
    }

    /// Passes if its files are given away: not where programs run on them, nor where their publisher has sealed rules of what may
    /// leave with them, whatever a document says since.
    ///
    /// # Errors
    ///
    /// [`Refusal::Forbidden`] if not.
    pub fn gives(&self, files: &Files) -> Result<(), Refusal> {
        let why = match (&self.compute, &files.rules) {
            (None, None) => return Ok(()),
            (Some(_), _) => "gives nothing away",
            (None, Some(_)) => "gives nothing away, for its files are sealed with rules of what may leave",
        };
        Err(Refusal::Forbidden(format!(
            "service {} of the asset {why}: have a program run on its data with initializeCompute and compute, or with `stoa job run`",
            self.index
        )))
    }

    /// Lets pass whom the document lets use the service.
    ///
    /// # Errors
    ///
    /// [`Refusal::Forbidden`] if it does not, [`Refusal::Unavailable`] if the ledger cannot be asked.
    pub async fn admit(&self, chain: &dyn Chain, account: Address) -> Result<(), Refusal> {
        for credentials in &self.credentials {
            credentials.admit(chain, account).await?;
        }
        Ok(())
    }
}

impl Credentials {
    fn read(said: &Value, chain_id: u64) -> Result<Self, Refusal> {
        let rules = |name: &str| match &said[name] {
            Value::Null => Ok(Vec::new()),
            Value::Array(rules) if rules.len() <= MOST_RULES => {
                Ok(rules.iter().map(|rule| Rule::read(rule, chain_id)).collect())
            }
            _ => Err(Refusal::Forbidden(format!("the asset's credentials are not of {MOST_RULES} rules at most"))),
        };
        Ok(Self {
            allow: rules("allow")?,
            all_allow: said["match_allow"] != "any",
            deny: rules("deny")?,
            all_deny: said["match_deny"] == "all",
        })
    }

    async fn admit(&self, chain: &dyn Chain, account: Address) -> Result<(), Refusal> {
        if met(chain, &self.deny, self.all_deny, account, true).await? {
            return Err(Refusal::Forbidden(format!("the asset's document denies {account} (credentials)")));
        }
        if !self.allow.is_empty() && !met(chain, &self.allow, self.all_allow, account, false).await? {
            return Err(Refusal::Forbidden(format!("the asset's document does not allow {account} (credentials)")));
        }
        Ok(())
    }
}

/// Whether an account has a place on a list; where the list denies, also if it has given its place there up itself. Nothing if the list
/// does not tell. Lists of other contracts than the market's do not know who has given up his place.
async fn listed(chain: &dyn Chain, list: Address, account: Address, denies: bool) -> Result<Option<bool>, Refusal> {
    let unreachable = |why: String| Refusal::Unavailable(format!("the ledger cannot be asked: {why}"));
    match view(chain, list, &placeOfCall { account }).await {
        Ok((place, _)) => return Ok(Some(place.listed || (denies && place.gaveUp))),
        Err(ViewError::Unreachable(why)) => return Err(unreachable(why)),
        Err(_) => {}
    }
    match view(chain, list, &IERC20::balanceOfCall { account }).await {
        Ok((places, _)) => Ok(Some(places > U256::ZERO)),
        Err(ViewError::Unreachable(why)) => Err(unreachable(why)),
        Err(_) => Ok(None),
    }
}

/// Whether an account meets one of these rules, or all of them. `denies` is whether they keep out whoever does: then he meets one of which
/// nobody can tell, else he does not.
async fn met(chain: &dyn Chain, rules: &[Rule], all: bool, account: Address, denies: bool) -> Result<bool, Refusal> {
    for rule in rules {
        let meets = match rule {
            Rule::Everybody => true,
            Rule::Accounts { named, others } => named.contains(&account) || (*others && denies),
            Rule::List(list) => listed(chain, *list, account, denies).await?.unwrap_or(denies),
            Rule::Untold => denies,
        };
        if meets != all {
            return Ok(meets);
        }
    }
    Ok(all && !rules.is_empty())
}

/// An account that a rule names. Version 5 has an object for each.
fn account(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value["address"].as_str())
}

impl Rule {
    fn read(said: &Value, chain_id: u64) -> Self {
        match said["type"].as_str() {
            Some("address") => {
                let Some(values) = said["values"].as_array() else { return Self::Untold };
                if values.iter().any(|value| account(value) == Some("*")) {
                    return Self::Everybody;
                }
                let named: Vec<_> = values.iter().filter_map(|value| account(value)?.parse().ok()).collect();
                Self::Accounts { others: named.len() < values.len(), named }
            }
            Some("accessList") => {
                let here = said.get("chainId").is_none_or(|id| *id == chain_id);
                let list = said["accessList"].as_str().and_then(|text| text.parse().ok());
                list.filter(|_| here).map_or(Self::Untold, Self::List)
            }
            _ => Self::Untold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        jobs::rules::Rules,
        keeper::tests::Ledger,
        market::abi::{ACCESS_LIST_FACTORY, IAccessList::burnCall, IAccessListFactory::deployAccessListContractCall},
    };
    use alloy_primitives::B256;
    use serde_json::json;

    const CHAIN: u64 = 31337;
    const OWNER: Address = Address::repeat_byte(0xa1);
    const ONE: Address = Address::repeat_byte(1);
    const TWO: Address = Address::repeat_byte(2);
    const TOKEN: Address = Address::repeat_byte(9);

    fn files(rules: Option<Rules>) -> Files {
        Files { nft: ONE, datatoken: TOKEN, places: Vec::new(), rules }
    }

    fn service() -> Value {
        json!({ "id": "b", "type": "access", "datatokenAddress": TOKEN, "timeout": 60, "files": "0x00" })
    }

    #[test]
    fn a_service_is_found_by_its_id_and_gives_files_away_if_it_says_so() {
        let other = json!({ "id": "a", "type": "compute", "datatokenAddress": TOKEN, "timeout": 0, "files": "0x00" });
        let document = json!({ "services": [other, service()] });
        for document in [document.clone(), json!({ "credentialSubject": document })] {
            let found = Service::find(&document, "b", CHAIN).unwrap();
            assert_eq!((found.index, found.datatoken, found.timeout, &*found.files), (1, TOKEN, 60, "0x00"));
            assert!(matches!(Service::find(&document, "c", CHAIN), Err(Refusal::Unknown(_))));
            found.gives(&files(None)).unwrap();
            // Who says nothing of programs lets none run.
            let computes = Service::find(&document, "a", CHAIN).unwrap();
            assert_eq!((computes.index, computes.compute.as_ref()), (0, Some(&Trust::default())));
            let rules = || Some(Rules::usual(B256::ZERO));
            for (service, rules) in [(&computes, None), (&computes, rules()), (&found, rules())] {
                let why = service.gives(&files(rules)).unwrap_err();
                assert!(matches!(&why, Refusal::Forbidden(why) if why.contains("stoa job run")), "{why}");
            }
        }
        for (name, value) in [
            ("type", json!("wss")),
            ("type", Value::Null),
            ("datatokenAddress", json!("0x")),
            ("files", json!(1)),
            ("timeout", json!(-1)),
            ("timeout", json!("0")),
            ("credentials", json!({ "deny": "everybody" })),
            ("credentials", json!({ "allow": vec![json!({}); MOST_RULES + 1] })),
        ] {
            let mut service = service();
            service[name] = value.clone();
            let found = Service::find(&json!({ "services": [service] }), "b", CHAIN);
            assert!(matches!(found, Err(Refusal::Forbidden(_))), "{name} {value}");
        }
        for document in [json!(null), json!([]), json!({ "services": 1 }), json!({ "services": [1] })] {
            assert!(matches!(Service::find(&document, "b", CHAIN), Err(Refusal::Unknown(_))));
        }
    }

    /// A list that one is on.
    fn list(ledger: &Ledger) -> Address {
        let deploy = deployAccessListContractCall {
            name: "Doctors".into(),
            symbol: "DOC".into(),
            transferable: false,
            owner: OWNER,
            users: vec![ONE],
            uris: vec![String::new()],
        };
        ledger.attempt(OWNER, ACCESS_LIST_FACTORY, deploy).unwrap()
    }

    #[tokio::test]
    async fn who_gives_his_place_on_a_list_up_is_still_kept_out_by_it_and_let_in_no_more() {
        let ledger = Ledger::new();
        let list = list(&ledger);
        ledger.attempt(ONE, list, burnCall { tokenId: U256::ONE }).unwrap();
        let rule = json!([{ "type": "accessList", "chainId": CHAIN, "accessList": list }]);
        for (name, two) in [("deny", true), ("allow", false)] {
            let document = json!({ "services": [service()], "credentials": { (name): rule } });
            let service = Service::find(&document, "b", CHAIN).unwrap();
            assert!(matches!(service.admit(&ledger, ONE).await, Err(Refusal::Forbidden(_))), "{name}");
            assert_eq!(service.admit(&ledger, TWO).await.is_ok(), two, "{name}");
        }
    }

    #[tokio::test]
    async fn a_document_says_who_may_and_who_may_not() {
        let ledger = Ledger::new();
        let list = list(&ledger);
        let on_list = json!({ "type": "accessList", "chainId": CHAIN, "accessList": list });
        let accounts = |accounts: &[Address]| json!({ "type": "address", "values": accounts });
        let elsewhere = json!({ "type": "accessList", "chainId": 1, "accessList": list });
        let no_list = json!({ "type": "accessList", "chainId": CHAIN, "accessList": TOKEN });
        let credential = json!({ "type": "verifiableCredential", "values": [] });
        for (credentials, one, two) in [
            (json!({}), true, true),
            (json!(null), true, true),
            (json!({ "allow": [], "deny": [] }), true, true),
            (json!({ "allow": [accounts(&[ONE])] }), true, false),
            (json!({ "allow": [{ "type": "address", "values": ["*"] }] }), true, true),
            (json!({ "allow": [{ "type": "address", "values": [{ "address": TWO }] }] }), false, true),
            (json!({ "deny": [accounts(&[ONE])] }), false, true),
            (json!({ "allow": [accounts(&[ONE, TWO])], "deny": [accounts(&[TWO])] }), true, false),
            (json!({ "allow": [on_list] }), true, false),
            (json!({ "deny": [on_list] }), false, true),
            (json!({ "allow": [accounts(&[TWO]), on_list] }), false, false),
            (json!({ "allow": [accounts(&[TWO]), on_list], "match_allow": "any" }), true, true),
            (json!({ "deny": [accounts(&[ONE, TWO]), on_list], "match_deny": "all" }), false, true),
            // What nobody here can tell lets nobody in, and keeps everybody out.
            (json!({ "allow": [credential] }), false, false),
            (json!({ "deny": [credential] }), false, false),
            (json!({ "allow": [elsewhere] }), false, false),
            (json!({ "deny": [elsewhere] }), false, false),
            (json!({ "allow": [no_list] }), false, false),
            (json!({ "deny": [no_list] }), false, false),
            (json!({ "deny": [{ "type": "address", "values": ["one.eth"] }] }), false, false),
            (json!({ "deny": [{ "type": "address", "values": [TWO, {}] }] }), false, false),
            (json!({ "deny": [{ "type": "address", "values": TWO }] }), false, false),
            (json!({ "allow": [{ "type": "address", "values": ["one.eth", TWO] }] }), false, true),
        ] {
            for at_service in [true, false] {
                let mut service = service();
                let document = match at_service {
                    true => {
                        service["credentials"] = credentials.clone();
                        json!({ "services": [service] })
                    }
                    false => json!({ "services": [service], "credentials": credentials }),
                };
                let service = Service::find(&document, "b", CHAIN).unwrap();
                for (account, may) in [(ONE, one), (TWO, two)] {
                    let admitted = service.admit(&ledger, account).await;
                    assert_eq!(admitted.is_ok(), may, "{credentials} {account}: {admitted:?}");
                }
            }
        }
    }
}
