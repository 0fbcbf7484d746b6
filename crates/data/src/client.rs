//! What owners and readers do: share a key among keepers, grant, read, revoke, erase.
//!
//! ```text
//! owner   draft, prepare ──▶ seal, spread (the store) ──▶ register ──▶ grant ─ ─ ─▶ revoke, erase
//! reader  announce ─────────────────────────────────────────▶ read: use, releases of t keepers, both halves, key
//! ```

mod deletions;
mod draft;
mod grant;
mod read;
mod register;
mod uses;

pub use deletions::Deletions;
pub use draft::Draft;
pub use grant::{Allowed, Conditions, Holders, revoke, revoke_all};
pub use read::{Failure, Opened};
pub use uses::Uses;

use crate::{
    abi::{
        CONSENT,
        IConsent::{Asset, IConsentErrors, announceCall, announcementOfCall, assetOfCall, eraseCall},
    },
    breach::Kept,
    keeper::{Circle, MovingError, Request, plan::Plan},
    patience::patiently,
    reading::Reading,
    registry::{self, KEEPER, Registry},
};
use alloy_primitives::{Address, B256, Bytes};
use alloy_signer::SignerSync as _;
use alloy_sol_types::SolCall;
use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use serde::{Deserialize, Serialize};
use stoa_base::NodeId;
use stoa_client::{SendError, ViewError, Wallet, counted, utc, view};
use stoa_contract::{interfaces::IERC20Errors::IERC20ErrorsErrors, nodes::INodes::INodesErrors};
use stoa_net::{Denied, Endpoint, PeerAddress};
use stoa_privacy::{
    Announcement, AssetId, CannotSeal, DataKey, Dealt, OwnerHalf, Reader, ReaderKey, Refused, SharingError, WalletError,
};
use stoa_store::{KeySource, Sealed};

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The ledger says no, or cannot be asked; in words.
    #[error("{0}")]
    Ledger(String),
    /// There are too few keepers.
    #[error("{needed} keepers are wanted, and {there} are registered (`stoa node join --keeper` registers one)")]
    Keepers {
        /// How many were asked for.
        needed: usize,
        /// How many there are.
        there: usize,
    },
    /// Too few keepers did what they were asked.
    #[error("{what}: {done} of the {needed} keepers that it takes did it{}", .failed.iter().map(|why| format!("; {why}")).collect::<String>())]
    TooFew {
        /// What they were asked.
        what: &'static str,
        /// How many did.
        done: usize,
        /// How many it takes.
        needed: usize,
        /// What the others said.
        failed: Vec<String>,
    },
    /// Somebody has announced no key that could be sealed to.
    #[error("{0} has announced no key to seal to (`stoa data announce` does)")]
    NotAnnounced(Address),
    /// Nobody gives the owner's half for this grant.
    #[error("no keeper has the owner's half of the key for this grant: the owner has to grant it again")]
    NoHalf,
    /// Who reads is not known when it is granted, and his half of the key would have to be.
    #[error(
        "asset {0} has a half of its key that is sealed to each reader by name, and who holds a token or a credential is not \
         known: grant it to accounts (--to), or publish it with --keepers-only"
    )]
    ByName(B256),
    /// The asset is somebody else's.
    #[error("asset {asset} belongs to {owner}; this wallet is {wallet}")]
    NotOwner {
        /// The asset.
        asset: B256,
        /// Whose it is.
        owner: Address,
        /// Whose it is not.
        wallet: Address,
    },
    /// There is no code where a contract is to say who may read.
    #[error("there is no contract at {0}: nobody could use a grant for which it is to say who may read")]
    NoContract(Address),
    /// It does not know the question.
    #[error(
        "the contract at {0} does not answer when it is asked who holds something, by balanceOf(address) or \
         hasCredential(address,bytes32): nobody could use the grant"
    )]
    NoAnswer(Address),
    /// A grant stands, and its reader's half of the key is nowhere.
    #[error(
        "grant {grant} stands on the ledger, and nobody can read with it: {why}. `stoa data revoke {grant}` ends it; then grant again"
    )]
    Unreadable {
        /// The grant.
        grant: B256,
        /// Why not.
        why: String,
    },
    /// An asset is registered, and too few of its keepers have their shares.
    #[error(
        "asset {asset} is registered, and nobody can read it yet. {why}. The same command goes on once they are there; or \
         `stoa data erase {asset}` drops what was begun, and the same command then begins with others"
    )]
    Unshared {
        /// The asset.
        asset: B256,
        /// Who did not take his.
        why: Box<DataError>,
    },
    /// An asset is registered with other shares of its key.
    #[error(
        "asset {asset} is registered with other shares of its key than were dealt now, and keepers take no others. The same command again \
         goes on with what an earlier try has registered. If it says this again, `stoa data erase {asset}` drops what was begun, and the \
         same command then begins with another asset"
    )]
    OtherShares {
        /// The asset.
        asset: B256,
    },
    /// This machine is not the one that published it.
    #[error("this machine has not the owner's half of the key of asset {0}: grant from where it was published")]
    NotHere(B256),
    /// The key cannot be shared or put together.
    #[error(transparent)]
    Sharing(#[from] SharingError),
    /// A box does not open.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Nothing can be sealed to this key.
    #[error(transparent)]
    CannotSeal(#[from] CannotSeal),
    /// The wallet gives no reading key.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// The shares do not move.
    #[error(transparent)]
    Moving(#[from] MovingError),
    /// A keeper is named that keeps nothing, or none is.
    #[error("{0}")]
    Plan(String),
    /// What was begun of an asset cannot be gone on with.
    #[error("what was begun of asset {asset} cannot be gone on with: {why}")]
    Draft {
        /// The asset.
        asset: B256,
        /// Why not.
        why: &'static str,
    },
    /// The receipt says something else.
    #[error("the ledger recorded something else than was asked")]
    Receipt,
}

fn reason(error: &ViewError) -> String {
    if let Some(reason) = error.reason::<IConsentErrors>() {
        return words(&reason);
    }
    if let Some(reason) = error.reason::<INodesErrors>() {
        return registry::words(&reason);
    }
    if let Some(IERC20ErrorsErrors::ERC20InsufficientBalance(error)) = error.reason() {
        return format!("{} has {} units of the token, and {} are needed", error.sender, error.balance, error.needed);
    }
    error.to_string()
}

/// A refusal of the consent contract in words.
pub(crate) fn words(reason: &IConsentErrors) -> String {
    use IConsentErrors as E;
    match reason {
        E::ConsentAssetExists(error) => format!("asset {} is registered already", error.asset),
        E::ConsentAssetUnknown(error) => format!("there is no asset {}", error.asset),
        E::ConsentErased(error) => format!("asset {} was erased in block {}", error.asset, error.number),
        E::ConsentNotOwner(error) => format!("{} does not own asset {}", error.caller, error.asset),
        E::ConsentInvalidKeepers(error) => format!("these keepers cannot be: {}", error.what),
        E::ConsentNotKeeper(error) => format!("{} keeps no share of the key of asset {}", error.keeper, error.asset),
        E::ConsentInvalidVote(error) => format!("keeper {} did not sign this move", error.keeper),
        E::ConsentTooFewVotes(error) => format!("{} keepers agree to the move, {} must", error.votes, error.needed),
        E::ConsentOtherSharing(error) => {
            format!("the key of asset {} has moved since this move was begun", error.asset)
        }
        E::ConsentMoveEnded(error) => {
            format!("the move of the key of asset {} ended at {}: begin another", error.asset, utc(error.until))
        }
        E::ConsentInvalidTerms(error) => format!("these terms cannot be: {}", error.what),
        E::ConsentGrantUnknown(error) => format!("there is no grant {}", error.grant),
        E::ConsentRevoked(error) => format!("grant {} was revoked in block {}", error.grant, error.number),
        E::ConsentEnded(error) => format!("grant {} ended at {}", error.grant, utc(error.until)),
        E::ConsentNotGranted(error) => format!("grant {} is not for {}", error.grant, error.user),
        E::ConsentUseNotGranted(error) => format!("grant {} is not for this kind of use", error.grant),
        E::ConsentOtherAlgorithm(error) => format!("grant {} is for another algorithm", error.grant),
        E::ConsentUsedUp(error) => {
            format!("grant {} was for {}, and is used up", error.grant, counted(error.limit.into(), "use"))
        }
        E::ConsentNotJobs(error) => format!("{} begins no jobs", error.caller),
        E::ConsentUseUnknown(error) => format!("there is no use {}", error.id),
        E::ConsentInvalidAnnouncement(_) => "this cannot be announced".into(),
    }
}

impl From<ViewError> for DataError {
    fn from(error: ViewError) -> Self {
        Self::Ledger(reason(&error))
    }
}

impl From<SendError> for DataError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Refused(error) => error.into(),
            error => Self::Ledger(error.to_string()),
        }
    }
}

type Result<T> = std::result::Result<T, DataError>;

/// Somebody with a wallet, and the keepers.
pub struct Data {
    wallet: Wallet,
    reading: Reading,
    circle: Circle,
    /// Where what keepers sign is kept.
    kept: Option<Kept>,
    /// Where it is noted that a use of a grant has begun.
    uses: Option<Uses>,
}

/// What a person's machine keeps of an asset that was published from it. The half is sealed to the wallet's own reading key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// The asset.
    pub asset: B256,
    /// What it was registered with.
    pub salt: B256,
    /// The sealed data, and what is in them if they are a folder.
    pub objects: Vec<B256>,
    /// The owner's half of the key, sealed; none if keepers alone release it.
    pub half: Option<Bytes>,
}

/// An asset before its data are sealed.
pub struct Prepared {
    asset: B256,
    salt: B256,
    dealt: Dealt,
    keepers: Vec<PeerAddress>,
    half: Option<OwnerHalf>,
}

impl Prepared {
    /// Its id.
    pub const fn asset(&self) -> B256 {
        self.asset
    }

    /// What its data are to be sealed with.
    pub fn seal(&self) -> Sealed {
        let asset = AssetId(self.asset);
        let key = match &self.half {
            Some(half) => DataKey::from_halves(half, &self.dealt.half, asset),
            None => DataKey::from_keepers_only(&self.dealt.half, asset),
        };
        Sealed::new(key, KeySource::Asset(asset))
    }
}

impl Data {
    /// The wallet's owner, who asks keepers from this endpoint.
    ///
    /// # Errors
    ///
    /// If the wallet gives no reading key.
    pub fn new(wallet: Wallet, registry: Registry, endpoint: &Endpoint) -> Result<Self> {
        let reading = Reading::of(wallet.signer(), wallet.chain_id())?;
        Ok(Self { wallet, reading, circle: Circle::new(registry, endpoint), kept: None, uses: None })
    }

    /// The same, who keeps what keepers sign when they release their shares: evidence, if one does when it must not.
    #[must_use]
    pub fn keeping(self, kept: Kept) -> Self {
        Self { kept: Some(kept), ..self }
    }

    /// The same, who notes which uses of grants have begun, and goes on with one of which nothing came.
    #[must_use]
    pub fn noting(self, uses: Uses) -> Self {
        Self { uses: Some(uses), ..self }
    }

    async fn view<C: SolCall>(&self, call: &C) -> Result<C::Return> {
        Ok(view(self.wallet.client(), CONSENT, call).await?.0)
    }

    /// Asks a keeper that may have to see a block first.
    async fn ask_patiently(&self, keeper: &PeerAddress, request: &Request) -> std::result::Result<Vec<u8>, Failure> {
        let behind = |why: &Denied| matches!(why, Denied::Refused(_) | Denied::NotHere);
        let outcome = patiently(|| self.circle.ask(keeper, request), behind).await;
        outcome.map_err(|why| Failure::new(keeper, why.to_string()))
    }

    /// Announces the wallet's reading key, if that was not done before.
    ///
    /// # Errors
    ///
    /// If the ledger refuses.
    pub async fn announce(&self) -> Result<bool> {
        announced(&self.wallet, &self.reading).await
    }

    /// Whether a keeper is there, whatever it says of an asset that it need not know.
    async fn is_there(&self, asset: B256, keeper: &PeerAddress) -> std::result::Result<NodeId, Failure> {
        match self.circle.ask(keeper, &Request::Sharing(asset)).await {
            Err(why @ Denied::Gone(_)) => Err(Failure::new(keeper, why.to_string())),
            _ => Ok(keeper.node()),
        }
    }

    /// An asset, if it is this wallet's.
    async fn owned(&self, asset: B256) -> Result<Asset> {
        let (is, wallet) = (self.view(&assetOfCall { asset }).await?, self.wallet.address());
        if is.owner == wallet { Ok(is) } else { Err(DataError::NotOwner { asset, owner: is.owner, wallet }) }
    }

    /// Shares the key of an asset of the wallet's anew: among others in place of these keepers and of those who are registered no longer,
    /// or among the same ones, whose old shares are worth nothing then. Who keeps shares afterwards.
    ///
    /// # Errors
    ///
    /// If too few keepers deal or take shares, or the ledger refuses.
    pub async fn move_shares(&self, asset: B256, without: &[NodeId]) -> Result<Vec<NodeId>> {
        let (is, at) = view(self.wallet.client(), CONSENT, &assetOfCall { asset }).await?;
        let (keepers, lost) = self.keepers(asset).await?;
        let (sharing, _) = self.sharing(asset, is.sharing, &keepers, &lost).await?;
        let named: Vec<_> = sharing.keepers().iter().map(NodeId::from).collect();
        if let Some(stranger) = without.iter().find(|node| !named.contains(node)) {
            return Err(DataError::Plan(format!("node {stranger} is none of the keepers of this asset")));
        }
        let mut nodes = self.circle.registry().nodes().await?.to_vec();
        nodes.retain(|node| !without.contains(&node.key.into()));
        let stays =
            |keeper: &NodeId| nodes.iter().any(|node| node.key == B256::from(*keeper) && node.roles & KEEPER > 0);
        let plan = match named.iter().all(stays) {
            true => Plan { needed: is.needed, keepers: sharing.keepers().to_vec() },
            false => Plan::of(&sharing, &nodes).ok_or_else(|| {
                let there = nodes.iter().filter(|node| node.roles & KEEPER > 0).count();
                DataError::Plan(format!("{} keepers release the key, and only {there} would be there", is.needed))
            })?,
        };
        let digest = plan.digest(self.wallet.chain_id(), &sharing, self.circle.node());
        let signed = self.wallet.signer().sign_hash_sync(&digest);
        let signature = signed.map_err(SendError::from)?.as_bytes();
        let moving = self.circle.hand_over(&sharing, &plan, Some(signature)).await?;
        self.wallet.call(CONSENT, &moving.call(Vec::new(), at.timestamp)).await?;
        Ok(plan.keepers.iter().map(NodeId::from).collect())
    }

    /// Ends an asset and all its grants.
    ///
    /// # Errors
    ///
    /// If the ledger refuses.
    pub async fn erase(&self, asset: B256) -> Result<()> {
        // Whoever asks again wants the receipts that were missing.
        if self.view(&assetOfCall { asset }).await?.erased > 0 {
            return Ok(());
        }
        Ok(self.wallet.call(CONSENT, &eraseCall { asset }).await.map(drop)?)
    }
}

/// Whether an asset is registered and was not erased; `wallet` is who asks.
///
/// # Errors
///
/// If the ledger cannot be asked.
pub async fn is_registered(wallet: &Wallet, asset: B256) -> Result<bool> {
    match view(wallet.client(), CONSENT, &assetOfCall { asset }).await {
        Ok((is, _)) => Ok(is.erased == 0),
        Err(ViewError::Reverted(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Announces the wallet's reading key, if that was not done before.
///
/// # Errors
///
/// If the wallet gives none, or the ledger refuses.
pub async fn announce(wallet: &Wallet) -> Result<bool> {
    announced(wallet, &Reading::of(wallet.signer(), wallet.chain_id())?).await
}

async fn announced(wallet: &Wallet, reading: &Reading) -> Result<bool> {
    let announcement = reading.announcement.encode().to_vec();
    let there = view(wallet.client(), CONSENT, &announcementOfCall { wallet: wallet.address() }).await?.0;
    if there[..] == announcement[..] {
        return Ok(false);
    }
    wallet.call(CONSENT, &announceCall { announcement: announcement.into() }).await?;
    Ok(true)
}

/// What is sealed to for somebody, as he has announced it; `wallet` is who asks.
///
/// # Errors
///
/// If he has not, or the ledger cannot be asked.
pub async fn reader_key(wallet: &Wallet, who: Address) -> Result<ReaderKey> {
    let announcement = view(wallet.client(), CONSENT, &announcementOfCall { wallet: who }).await?.0;
    let announced = Announcement::decode(Copying(&announcement[..])).ok();
    let key = announced.and_then(|announced| announced.verify(wallet.chain_id()).ok());
    key.filter(|key| key.reader() == Reader::Wallet(who)).ok_or(DataError::NotAnnounced(who))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::U256;
    use alloy_sol_types::SolError as _;
    use stoa_contract::{interfaces::IERC20Errors::ERC20InsufficientBalance, nodes::INodes::NodeUnknown};

    #[test]
    fn what_the_registry_refuses_is_said_in_words() {
        let key = B256::repeat_byte(7);
        let refused = ViewError::Reverted(NodeUnknown { key }.abi_encode().into());
        let said = DataError::from(SendError::from(refused)).to_string();
        assert_eq!(said, format!("node {key} is not registered"));
    }

    #[test]
    fn who_cannot_pay_is_told_what_is_missing() {
        let said = |error: ViewError| DataError::from(SendError::from(error)).to_string();
        let poor =
            "account 0x01 has 0 STOA, and up to 0.002 STOA are needed for the fee of the transaction: send it some";
        assert_eq!(DataError::from(SendError::Poor(poor.into())).to_string(), poor);
        let sender = Address::repeat_byte(1);
        let short = ERC20InsufficientBalance { sender, balance: U256::from(3), needed: U256::from(5) };
        let why = said(ViewError::Reverted(short.abi_encode().into()));
        assert_eq!(why, format!("{sender} has 3 units of the token, and 5 are needed"));
        assert_eq!(said(ViewError::Unreachable("it is off".into())), "it is off");
    }
}
