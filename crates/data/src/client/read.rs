//! Reading with a grant: a use on the ledger, then what its keepers release. A keeper that fails, or lies, is named beside what
//! the others gave. What each has signed is kept, also if too few do to read. A use of which nothing came is not made again: what is on
//! record of it stands for the next try.

use super::{Data, DataError, Result, reader_key};
use crate::{
    abi::{
        CONSENT, CREDENTIAL,
        IConsent::{
            Asset, Terms, Used, assetOfCall, checkCall, checkUseCall, grantOfCall, keepersOfCall, useGrantCall,
        },
        READ,
    },
    keeper::Request,
    patience::{PAUSE, TRIES},
    record::paged,
    sale,
};
use alloy_primitives::B256;
use alloy_rpc_types_eth::{Filter, Log};
use alloy_sol_types::SolEvent as _;
use commonware_codec::{Copying, DecodeExt as _};
use futures::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{self, FuturesUnordered},
};
use parking_lot::Mutex;
use std::{fmt, io};
use stoa_base::NodeId;
use stoa_client::{SendError, ViewError, view};
use stoa_net::PeerAddress;
use stoa_privacy::{
    AssetId, DataKey, Evidence, Grant, GrantId, GrantedHalf, OwnerHalf, ReadingSecret, Release, Sharing, Wanted,
};
use stoa_store::{KeySource, ObjectId, Sealed};

/// By how many blocks the ledger of a keeper may be behind the reader's.
const BEHIND: u64 = 600;

/// A keeper that did not do what it was asked, or did it wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which node.
    pub node: NodeId,
    /// What it said, or what is wrong with what it gave.
    pub why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.node, self.why)
    }
}

impl Failure {
    pub(super) fn new(keeper: &PeerAddress, why: impl Into<String>) -> Self {
        Self { node: keeper.node(), why: why.into() }
    }
}

/// What somebody reads with a grant.
#[derive(Debug)]
pub struct Opened {
    /// The sealed data.
    pub object: ObjectId,
    /// What opens them.
    pub seal: Sealed,
    /// Keepers that failed or lied on the way, although enough others did not.
    pub failed: Vec<Failure>,
    /// Whether the use was on record before, and nothing had come of it.
    pub again: bool,
}

/// A use of a grant, and what is wanted for it.
struct Using<'a> {
    id: B256,
    asset: &'a Asset,
    granted: Grant,
    /// The hash of the owner's half that the grant names.
    half: B256,
    /// The first block at which a keeper may have looked.
    not_before: u64,
}

impl Data {
    /// Where the keepers of an asset are, or were before they left the registry, for they go on until others have taken over; and those of
    /// which that is not known.
    pub(super) async fn keepers(&self, asset: B256) -> Result<(Vec<PeerAddress>, Vec<Failure>)> {
        let named = self.view(&keepersOfCall { asset }).await?;
        let registry = self.circle.registry();
        let found = registry.last_addresses(named.iter().copied()).await?;
        let is_lost = |node: &NodeId| !found.iter().any(|keeper| keeper.node() == *node);
        let lost = named.into_iter().map(NodeId::from).filter(is_lost);
        let lost = lost.map(|node| Failure { node, why: registry.unknown(node.into()) }).collect();
        Ok((found, lost))
    }

    /// How the key of an asset is shared: as the ledger names it, whoever of its keepers says it; and keepers that said something
    /// else. Those that cannot be asked are named if nobody says it.
    pub(super) async fn sharing(
        &self,
        asset: B256,
        digest: B256,
        keepers: &[PeerAddress],
        lost: &[Failure],
    ) -> Result<(Sharing, Vec<Failure>)> {
        let how = Request::Sharing(asset);
        let shared = keepers.iter().map(|keeper| {
            let asked = async {
                // One that has not seen the newest block may say how it was shared before.
                for _ in 0..TRIES {
                    let bytes = self.ask_patiently(keeper, &how).await?;
                    let sharing = Sharing::decode(Copying(&bytes[..])).ok();
                    let fits = |sharing: &Sharing| sharing.digest() == digest && sharing.asset().0 == asset;
                    if let Some(sharing) = sharing.filter(fits) {
                        return Ok(sharing);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(Failure::new(keeper, "it gave another sharing"))
            };
            asked.boxed()
        });
        let (mut said, failed) = first("saying how the key is shared", shared.collect(), 1, lost).await?;
        Ok((said.swap_remove(0), failed))
    }

    /// Uses a grant, and puts the key together from what keepers release.
    ///
    /// # Errors
    ///
    /// If the wallet's owner has announced no key, or the ledger or too many keepers refuse.
    pub async fn open(&self, grant: B256) -> Result<Opened> {
        let (allowed, head) = view(self.wallet.client(), CONSENT, &grantOfCall { grant }).await?;
        // Keepers seal to it. Whom a grant does not name has not shown it to its owner, and would use it for nothing.
        reader_key(&self.wallet, self.wallet.address()).await?;
        let asset = allowed.asset;
        let is = self.view(&assetOfCall { asset }).await?;
        let before = self.before(asset, grant, head.number).await?;
        let (id, number) = match before {
            Some(id) => (id, head.number),
            None => self.use_now(grant, &allowed.terms).await?,
        };
        let granted = Grant { asset: AssetId(asset), id: GrantId(grant), reader: self.reading.key.reader() };
        let not_before = number.saturating_sub(BEHIND);
        let using = Using { id, asset: &is, granted, half: allowed.terms.half, not_before };
        let (key, failed) = self.key(&using).await?;
        let seal = Sealed::new(key, KeySource::Asset(AssetId(asset)));
        Ok(Opened { object: ObjectId(is.object.0), seal, failed, again: before.is_some() })
    }

    /// The key that a use opens, and keepers that failed. Registered keepers are asked first: where the others are takes a look at the
    /// ledger's events, and anybody may have named keys as keepers that no node has.
    async fn key(&self, using: &Using<'_>) -> Result<(DataKey, Vec<Failure>)> {
        let asset = using.granted.asset.0;
        let named = self.view(&keepersOfCall { asset }).await?;
        let count = named.len();
        let there = self.circle.registry().addresses(named).await?;
        if there.len() >= usize::from(using.asset.needed) {
            match self.key_of(using, &there, &[]).await {
                Err(DataError::TooFew { .. } | DataError::NoHalf) if there.len() < count => {}
                given => return given,
            }
        }
        let (keepers, lost) = self.keepers(asset).await?;
        self.key_of(using, &keepers, &lost).await
    }

    /// The same from these keepers; where others are is not known.
    async fn key_of(
        &self,
        using: &Using<'_>,
        keepers: &[PeerAddress],
        lost: &[Failure],
    ) -> Result<(DataKey, Vec<Failure>)> {
        let Using { id, asset: is, granted, half, not_before } = using;
        let (asset, needed) = (granted.asset, usize::from(is.needed));
        let (sharing, mut failed) = self.sharing(asset.0, is.sharing, keepers, lost).await?;
        let wanted = Wanted { grant: granted, sharing: &sharing, not_before: *not_before };
        let signed = Mutex::default();
        let releases = keepers.iter().map(|keeper| {
            let asked = async {
                let bytes = self.ask_patiently(keeper, &Request::Release(*id)).await?;
                let opened = released(&bytes, keeper.node(), &signed)
                    .and_then(|release| release.open(&wanted, &self.reading.secret).map_err(|error| error.to_string()));
                opened.map_err(|why| Failure::new(keeper, why))
            };
            asked.boxed()
        });
        let came = first("releasing a share of the key", releases.collect(), needed, lost).await;
        if let Some(kept) = &self.kept {
            let file = kept.file().display();
            match kept.add(&signed.into_inner()) {
                Ok(None) => {}
                Ok(Some(copy)) => {
                    tracing::warn!(%file, copy = %copy.display(), "some of what keepers have signed was damaged, and was copied");
                }
                Err(error) => tracing::warn!(%file, %error, "what keepers have signed could not be kept"),
            }
        }
        let (shares, refused) = came?;
        failed.extend(refused);
        let keepers_half = sharing.combine(&shares)?;
        let key = match is.ownerHalf {
            false => DataKey::from_keepers_only(&keepers_half, asset),
            true => {
                let own = self.half(keepers, granted, *half, &mut failed).await?;
                DataKey::from_halves(&own, &keepers_half, asset)
            }
        };
        Ok((key, failed))
    }

    /// Says that what a grant opened is where it should be: the next use is another one.
    ///
    /// # Errors
    ///
    /// If it cannot be written down.
    pub fn arrived(&self, grant: B256) -> io::Result<()> {
        self.uses.as_ref().map_or(Ok(()), |uses| uses.forget(grant, self.wallet.address()))
    }

    /// Uses a grant that has these terms: the use, and its block.
    async fn use_now(&self, grant: B256, terms: &Terms) -> Result<(B256, u64)> {
        let (user, kind, algorithm) = (self.wallet.address(), READ, B256::ZERO);
        let sent = self.wallet.call(CONSENT, &useGrantCall { grant, kind, algorithm }).await;
        if matches!(sent, Err(SendError::Refused(ViewError::Reverted(_)))) {
            self.arrived(grant).map_err(noted)?;
            // Whoever has an order, and is denied since, is told so.
            if terms.kind == CREDENTIAL
                && let Some(why) = sale::denied(self.wallet.client(), terms.who, user).await
            {
                return Err(DataError::Ledger(why));
            }
        }
        // Something else came before it: the last use, or a revocation.
        let check = checkCall { grant, user, kind, algorithm };
        if matches!(sent, Err(SendError::Reverted(_)))
            && let Err(why @ ViewError::Reverted(_)) = view(self.wallet.client(), CONSENT, &check).await
        {
            return Err(why.into());
        }
        let receipt = sent?;
        let used = receipt.inner.logs().iter().filter(|log| log.address() == CONSENT);
        let used = used.filter_map(|log| Used::decode_log(&log.inner).ok()).find(|used| used.grant == grant);
        Ok((used.ok_or(DataError::Receipt)?.r#use, receipt.block_number.unwrap_or(0)))
    }

    /// A use of a grant by this wallet that is on record, stands, and of which nothing has come as far as this machine knows. From now on
    /// it knows that one has begun.
    async fn before(&self, asset: B256, grant: B256, head: u64) -> Result<Option<B256>> {
        let Some(uses) = &self.uses else { return Ok(None) };
        let (client, user) = (self.wallet.client(), self.wallet.address());
        let Some(since) = uses.since(grant, user) else {
            return uses.begin(grant, user, head.saturating_add(1)).map(|()| None).map_err(noted);
        };
        // What was cut off may have sent it, and it waits for its block.
        let head = self.wallet.settled().await?;
        let filter = Filter::new().address(CONSENT).event_signature(Used::SIGNATURE_HASH);
        let filter = filter.topic1(asset).topic2(grant).topic3(user.into_word());
        let logs = paged(since, head, async |from, to| {
            client.call::<Vec<Log>>("eth_getLogs", (filter.clone().from_block(from).to_block(to),)).await
        });
        let logs = logs.await.map_err(|error| DataError::Ledger(error.to_string()))?;
        let used = logs.iter().rev().filter_map(|log| Used::decode_log(&log.inner).ok());
        for used in used.filter(|used| (used.grant, used.user, used.kind) == (grant, user, READ)) {
            if self.view(&checkUseCall { id: used.r#use }).await.is_ok() {
                return Ok(Some(used.r#use));
            }
        }
        Ok(None)
    }

    /// The owner's half of a key, from the first keeper that gives the one that the grant names. All are asked at once, so that those
    /// who do not answer are waited for together, and each before it is named that gave another.
    async fn half(
        &self,
        keepers: &[PeerAddress],
        granted: &Grant,
        named: B256,
        failed: &mut Vec<Failure>,
    ) -> Result<OwnerHalf> {
        let request = Request::HalfOf(granted.id.0);
        let ask = |keeper| self.circle.ask(keeper, &request).map(move |given| (keeper, given)).boxed();
        let asked: Vec<_> = keepers.iter().map(ask).collect();
        let mut asked = stream::iter(asked).buffered(keepers.len().max(1));
        while let Some((keeper, given)) = asked.next().await {
            let given = given.map_err(|why| why.to_string());
            match given.and_then(|bytes| open_half(&bytes, granted, named, &self.reading.secret)) {
                Ok(half) => return Ok(half),
                Err(why) => failed.push(Failure::new(keeper, why)),
            }
        }
        Err(DataError::NoHalf)
    }
}

/// The disk refuses to note how far a use has come.
fn noted(error: io::Error) -> DataError {
    DataError::Ledger(format!("it cannot be noted that the grant is used: {error}"))
}

/// What a keeper gave for a use, if it has signed it. That is noted, whatever is in it.
fn released(bytes: &[u8], keeper: NodeId, signed: &Mutex<Vec<Evidence>>) -> std::result::Result<Release, String> {
    let release = Release::decode(Copying(bytes)).map_err(|error| error.to_string())?;
    if *release.claim().keeper.as_ref() != keeper.0 {
        return Err("it is signed by another keeper".into());
    }
    let evidence = release.evidence();
    evidence.verify().map_err(|error| error.to_string())?;
    signed.lock().push(evidence);
    Ok(release)
}

/// The owner's half that a keeper gave, if it is the one that the grant names.
fn open_half(
    bytes: &[u8],
    granted: &Grant,
    named: B256,
    secret: &ReadingSecret,
) -> std::result::Result<OwnerHalf, String> {
    let half = GrantedHalf::decode(Copying(bytes)).map_err(|_| "what it gave is no half of a key".to_owned())?;
    // Anybody can seal something to a reader.
    if half.hash() != named {
        return Err("it gave another half of the key than the grant names".into());
    }
    half.open(granted, secret).map_err(|error| error.to_string())
}

/// What those say who answer first, as many as are needed: who does not answer is not waited for. Those who failed until then
/// are told as well, and if too few answer those who could not be asked.
async fn first<T>(
    what: &'static str,
    asked: Vec<BoxFuture<'_, std::result::Result<T, Failure>>>,
    needed: usize,
    lost: &[Failure],
) -> Result<(Vec<T>, Vec<Failure>)> {
    let mut asked: FuturesUnordered<_> = asked.into_iter().collect();
    let mut outcomes = Vec::new();
    while outcomes.iter().filter(|outcome: &&std::result::Result<T, Failure>| outcome.is_ok()).count() < needed
        && let Some(outcome) = asked.next().await
    {
        outcomes.push(outcome);
    }
    if outcomes.iter().filter(|outcome| outcome.is_ok()).count() < needed {
        outcomes.extend(lost.iter().cloned().map(Err));
    }
    enough(what, outcomes, needed)
}

/// What came and who failed, if as many did it as are needed.
pub(super) fn enough<T>(
    what: &'static str,
    outcomes: Vec<std::result::Result<T, Failure>>,
    needed: usize,
) -> Result<(Vec<T>, Vec<Failure>)> {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome {
            Ok(value) => done.push(value),
            Err(failure) => failed.push(failure),
        }
    }
    if done.len() < needed {
        let failed = failed.iter().map(ToString::to_string).collect();
        return Err(DataError::TooFew { what, done: done.len(), needed, failed });
    }
    Ok((done, failed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Reading;
    use alloy_signer_local::PrivateKeySigner;
    use commonware_codec::Encode as _;
    use commonware_cryptography::{Signer as _, ed25519};
    use stoa_privacy::{Seen, deal};

    fn failure(seed: u8, why: &str) -> Failure {
        Failure { node: NodeId([seed; 32]), why: why.into() }
    }

    #[tokio::test]
    async fn a_keeper_that_failed_is_named_although_enough_others_did_not() {
        let keeper = |seed: u8| {
            let answered = async move {
                match seed {
                    // A false share comes at once, the true ones later, and one keeper is silent.
                    1 => return Err(failure(1, "its share is false")),
                    2 => std::future::pending().await,
                    _ => tokio::task::yield_now().await,
                }
                Ok(seed)
            };
            answered.boxed()
        };
        let (shares, failed) = first("releasing a share", (1..=4).map(keeper).collect(), 2, &[]).await.unwrap();
        assert_eq!((shares.len(), &failed[..]), (2, &[failure(1, "its share is false")][..]));
        // Where too few are left, all who failed are told with what they said.
        let outcomes = vec![Err(failure(1, "its share is false")), Ok(3), Err(failure(2, "it does not answer"))];
        let error = enough("releasing a share", outcomes, 2).unwrap_err().to_string();
        for part in ["1 of the 2 keepers", &failure(1, "its share is false").to_string(), "it does not answer"] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
        // So are those who could not be asked, where nobody was there.
        let lost = [failure(5, "it is not registered")];
        let error = first::<()>("saying how the key is shared", vec![], 1, &lost).await.unwrap_err().to_string();
        assert!(error.ends_with(&lost[0].to_string()), "{error}");
    }

    #[test]
    fn what_a_keeper_has_signed_is_noted_whatever_is_in_it_and_nothing_else_is() {
        let key = ed25519::PrivateKey::decode(Copying(&[7_u8; 32])).unwrap();
        let (keeper, asset) = (NodeId::from(&key.public_key()), AssetId(B256::repeat_byte(1)));
        let dealt = deal(asset, 1, vec![key.public_key()], &mut rand::rng()).unwrap();
        let reading = Reading::of(&PrivateKeySigner::random(), 31337).unwrap();
        let grant = Grant { asset, id: GrantId(B256::repeat_byte(2)), reader: reading.key.reader() };
        let seen = Seen { number: 9, hash: B256::repeat_byte(9) };
        let share = &dealt.shares[0];
        let release = Release::new(&key, &dealt.sharing, share, &grant, &reading.key, seen, &mut rand::rng()).unwrap();
        let (bytes, signed) = (release.encode().to_vec(), Mutex::default());
        // Too old for the reader, and evidence all the same.
        let given = released(&bytes, keeper, &signed).unwrap();
        let wanted = Wanted { grant: &grant, sharing: &dealt.sharing, not_before: 10 };
        assert!(given.open(&wanted, &reading.secret).is_err());
        assert_eq!(*signed.lock(), [release.evidence()]);
        let mut forged = bytes.clone();
        *forged.last_mut().unwrap() ^= 1;
        for (bytes, from) in [(&bytes, NodeId([1; 32])), (&forged, keeper), (&b"none".to_vec(), keeper)] {
            assert!(released(bytes, from, &signed).is_err());
        }
        assert_eq!(signed.lock().len(), 1);
    }

    #[test]
    fn a_half_of_the_key_that_the_grant_does_not_name_is_refused_although_it_opens() {
        let reading = Reading::of(&PrivateKeySigner::random(), 31337).unwrap();
        let (asset, id) = (AssetId(B256::repeat_byte(1)), GrantId(B256::repeat_byte(2)));
        let granted = Grant { asset, id, reader: reading.key.reader() };
        let sealed = |half: &OwnerHalf| GrantedHalf::seal(asset, id, &reading.key, half, &mut rand::rng()).unwrap();
        let half = OwnerHalf::generate(&mut rand::rng());
        let (given, forged) = (sealed(&half), sealed(&OwnerHalf::generate(&mut rand::rng())));
        let open = |bytes: &[u8]| open_half(bytes, &granted, given.hash(), &reading.secret);
        assert_eq!(open(&given.encode()), Ok(half));
        assert!(open(&forged.encode()).unwrap_err().contains("another half"));
        assert!(open(b"none").unwrap_err().contains("no half of a key"));
    }
}
