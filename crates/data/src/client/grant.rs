//! Granting: who may read an asset, with the half of its key that is his, and until it is over.

use super::{Data, DataError, Failure, Published, Result, read::enough, reader_key};
use crate::{
    abi::{
        ADDRESS, CONSENT, CREDENTIAL,
        IConsent::{Granted, Terms, grantCall, nextGrantCall, revokeAllCall, revokeCall},
        ICredentials, READ, TOKEN,
    },
    keeper::Request,
};
use alloy_primitives::{Address, B256, Bytes};
use alloy_rpc_types_eth::TransactionReceipt;
use alloy_sol_types::SolEvent as _;
use commonware_codec::{Copying, DecodeExt as _};
use futures::future::join_all;
use stoa_client::{Client, ViewError, Wallet, view};
use stoa_contract::interfaces::IERC20;
use stoa_privacy::{AssetId, GrantId, GrantedHalf};

/// What an owner allows somebody to do, but for the sealed half of the key.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// The reader.
    pub who: Address,
    /// Term of the Data Privacy Vocabulary.
    pub purpose: String,
    /// Until when, in seconds since 1970; 0 for no end.
    pub until: u64,
    /// How often; 0 for any number of times.
    pub limit: u32,
}

/// What an owner allows whoever holds something.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// Term of the Data Privacy Vocabulary.
    pub purpose: String,
    /// Until when, in seconds since 1970; 0 for no end.
    pub until: u64,
    /// How often in all; 0 for any number of times.
    pub limit: u32,
}

/// To whom a grant is that is for nobody by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holders {
    /// Whoever holds a token of this contract (ERC-20 or ERC-721) when he uses it.
    Token(Address),
    /// Whoever holds a credential then, according to a contract.
    Credential {
        /// The contract that is asked.
        issuer: Address,
        /// Which credential.
        credential: B256,
    },
}

impl Holders {
    /// As the ledger names them: what they hold, according to which contract, and which credential.
    pub(crate) const fn named(self) -> (u8, Address, B256) {
        match self {
            Self::Token(token) => (TOKEN, token, B256::ZERO),
            Self::Credential { issuer, credential } => (CREDENTIAL, issuer, credential),
        }
    }

    /// Asks the contract about an account. One that gives no answer lets nobody use anything.
    pub(crate) async fn check(self, client: &Client, account: Address) -> Result<()> {
        let (_, who, credential) = self.named();
        let code = client.call::<Bytes>("eth_getCode", (who, "latest")).await;
        if code.map_err(ViewError::from)?.is_empty() {
            return Err(DataError::NoContract(who));
        }
        let answered = match self {
            Self::Token(_) => view(client, who, &IERC20::balanceOfCall { account }).await.map(drop),
            Self::Credential { .. } => {
                view(client, who, &ICredentials::hasCredentialCall { holder: account, credential }).await.map(drop)
            }
        };
        match answered {
            Err(ViewError::Malformed) => Err(DataError::NoAnswer(who)),
            Err(ViewError::Reverted(said)) if said.is_empty() => Err(DataError::NoAnswer(who)),
            // Some say with an error that an account has nothing.
            Ok(()) | Err(ViewError::Reverted(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Data {
    /// Lets somebody read an asset, and gives the keepers his half of the key, if it has one. The grant's id, how many keepers have the half,
    /// and those that have not: they fetch it from the others when they look next.
    ///
    /// # Errors
    ///
    /// If he has announced no key, or the ledger refuses; [`DataError::Unreadable`] if the keepers do not take the half, or another grant
    /// of the asset was made at the same time.
    pub async fn grant(&self, published: &Published, allowed: Allowed) -> Result<(B256, usize, Vec<Failure>)> {
        let (asset, who) = (published.asset, allowed.who);
        self.owned(asset).await?;
        let id = self.view(&nextGrantCall { asset }).await?;
        let half = match &published.half {
            Some(half) => {
                let sealed = GrantedHalf::decode(Copying(&half[..])).map_err(|_| DataError::NotHere(asset))?;
                let half = sealed.open(&sealed.grant, &self.reading.secret)?;
                let reader = reader_key(&self.wallet, who).await?;
                Some(GrantedHalf::seal(AssetId(asset), GrantId(id), &reader, &half, &mut rand::rng())?)
            }
            None => None,
        };
        let terms = Terms {
            kind: ADDRESS,
            who,
            credential: B256::ZERO,
            purpose: allowed.purpose,
            uses: READ,
            algorithm: B256::ZERO,
            until: allowed.until,
            limit: allowed.limit,
            half: half.as_ref().map_or(B256::ZERO, GrantedHalf::hash),
        };
        let grant = granted(&self.wallet.call(CONSENT, &grantCall { asset, terms }).await?, asset)?;
        let Some(half) = half else { return Ok((grant, 0, Vec::new())) };
        let given = self.give_half(asset, grant, half).await;
        let (have, without) = given.map_err(|why| DataError::Unreadable { grant, why })?;
        Ok((grant, have, without))
    }

    /// Gives the keepers the reader's half of the key for a grant that stands: how many have it, and who has not; in words why nobody has.
    async fn give_half(
        &self,
        asset: B256,
        grant: B256,
        half: GrantedHalf,
    ) -> std::result::Result<(usize, Vec<Failure>), String> {
        if half.grant.id.0 != grant {
            return Err(
                "another grant was made at the same time, and the reader's half of the key names that one".into()
            );
        }
        let (keepers, lost) = self.keepers(asset).await.map_err(|error| error.to_string())?;
        let deposit = Request::Half(half);
        let each = keepers.iter().map(|keeper| self.ask_patiently(keeper, &deposit));
        let mut outcomes = join_all(each).await;
        outcomes.extend(lost.into_iter().map(Err));
        let kept = enough("keeping the reader's half of the key", outcomes, 1).map_err(|error| error.to_string())?;
        let (done, failed) = kept;
        Ok((done.len(), failed))
    }

    /// Lets whoever holds something read an asset whose key keepers alone release; what he holds is looked at each time he reads.
    /// The grant's id.
    ///
    /// # Errors
    ///
    /// If the owner's half of the key is needed as well, which is sealed to readers by name, no contract answers, or the ledger
    /// refuses.
    pub async fn grant_holders(&self, asset: B256, holders: Holders, conditions: Conditions) -> Result<B256> {
        if self.owned(asset).await?.ownerHalf {
            return Err(DataError::ByName(asset));
        }
        holders.check(self.wallet.client(), self.wallet.address()).await?;
        let (kind, who, credential) = holders.named();
        let Conditions { purpose, until, limit } = conditions;
        let (uses, algorithm, half) = (READ, B256::ZERO, B256::ZERO);
        let terms = Terms { kind, who, credential, purpose, uses, algorithm, until, limit, half };
        granted(&self.wallet.call(CONSENT, &grantCall { asset, terms }).await?, asset)
    }
}

/// The grant of an asset that was made in a transaction.
fn granted(receipt: &TransactionReceipt, asset: B256) -> Result<B256> {
    let logs = receipt.inner.logs().iter().filter(|log| log.address() == CONSENT);
    let mut granted = logs.filter_map(|log| Granted::decode_log(&log.inner).ok());
    Ok(granted.find(|granted| granted.asset == asset).ok_or(DataError::Receipt)?.grant)
}

/// Ends a grant.
///
/// # Errors
///
/// If the ledger refuses.
pub async fn revoke(wallet: &Wallet, grant: B256) -> Result<()> {
    Ok(wallet.call(CONSENT, &revokeCall { grant }).await.map(drop)?)
}

/// Ends all grants of an asset that there are.
///
/// # Errors
///
/// If the ledger refuses.
pub async fn revoke_all(wallet: &Wallet, asset: B256) -> Result<()> {
    Ok(wallet.call(CONSENT, &revokeAllCall { asset }).await.map(drop)?)
}
