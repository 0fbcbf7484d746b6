//! Who may order an asset, and who has a part in the key of its data: what a buyer wants to know beside the price.

use super::{Result, ask, find::own_asset};
use crate::market::abi::{AccessEntry, INft::getAccessCall};
use alloy_primitives::Address;
use serde::Serialize;
use serde_json::{Value, json};
use stoa_client::Client;

/// An account, or a list of accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Which.
    pub who: Address,
    /// Whether it is a list, and stands for those on it.
    pub list: bool,
}

/// Who may order an asset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Access {
    /// Those who may; everybody if there is none.
    pub allow: Vec<Entry>,
    /// Those who may not, whatever else.
    pub deny: Vec<Entry>,
}

impl Access {
    /// As an NFT of the market says.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked.
    pub async fn of(client: &Client, nft: Address) -> Result<Self> {
        let is = ask(client, nft, &getAccessCall {}).await?;
        let entry = |AccessEntry { who, list }: AccessEntry| Entry { who, list };
        let (allow, deny) = (is.allow.into_iter().map(entry), is.deny.into_iter().map(entry));
        Ok(Self { allow: allow.collect(), deny: deny.collect() })
    }

    /// Whether these are named, in this order.
    pub(super) fn is(&self, allow: &[Address], deny: &[Address]) -> bool {
        let same =
            |entries: &[Entry], named: &[Address]| entries.iter().map(|entry| entry.who).eq(named.iter().copied());
        same(&self.allow, allow) && same(&self.deny, deny)
    }

    /// The same in the words of Ocean's documents (`credentials`); nothing if everybody may.
    pub fn credentials(&self, chain_id: u64) -> Option<Value> {
        let said = |entries: &[Entry]| {
            let accounts = entries.iter().filter(|entry| !entry.list).map(|entry| entry.who.to_checksum(None));
            let accounts: Vec<_> = accounts.collect();
            let mut said = Vec::new();
            if !accounts.is_empty() {
                said.push(json!({ "type": "address", "values": accounts }));
            }
            for entry in entries.iter().filter(|entry| entry.list) {
                let list = entry.who.to_checksum(None);
                // Ocean's nodes look for `accessList`, its schema for `values`.
                said.push(json!({ "type": "accessList", "chainId": chain_id, "accessList": list, "values": [list] }));
            }
            said
        };
        let (allow, deny) = (said(&self.allow), said(&self.deny));
        let restricts = !allow.is_empty() || !deny.is_empty();
        restricts.then(|| json!({ "allow": allow, "deny": deny, "match_allow": "any", "match_deny": "any" }))
    }
}

/// Who has a part in the key of an asset's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Grade {
    /// How many keepers release the key.
    pub needed: u8,
    /// How many keepers there are; none if the data stay with their owner.
    pub keepers: u8,
    /// Whether a half of the key is its owner's. If not, as many keepers as are needed could read the data if they acted together.
    pub owner_half: bool,
}

impl Grade {
    /// Of the data that an NFT of the market says it sells; nothing if it names none, or somebody else's.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked.
    pub async fn of(client: &Client, nft: Address) -> Result<Option<Self>> {
        let own = own_asset(client, nft).await?;
        Ok(own.map(|(_, is)| Self { needed: is.needed, keepers: is.keepers, owner_half: is.ownerHalf }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_order_is_said_in_oceans_words() {
        let entry = |byte, list| Entry { who: Address::repeat_byte(byte), list };
        let address = |byte| Address::repeat_byte(byte).to_checksum(None);
        let access = Access { allow: vec![entry(0xa1, false), entry(0xb2, true)], deny: vec![entry(0xc3, false)] };
        let wanted = json!({
            "allow": [
                { "type": "address", "values": [address(0xa1)] },
                { "type": "accessList", "chainId": 7, "accessList": address(0xb2), "values": [address(0xb2)] },
            ],
            "deny": [{ "type": "address", "values": [address(0xc3)] }], "match_allow": "any", "match_deny": "any",
        });
        assert_eq!(access.credentials(7), Some(wanted));
        assert_eq!(Access::default().credentials(7), None);
        assert!(access.is(&[Address::repeat_byte(0xa1), Address::repeat_byte(0xb2)], &[Address::repeat_byte(0xc3)]));
        assert!(!access.is(&[], &[Address::repeat_byte(0xc3)]));
    }
}
