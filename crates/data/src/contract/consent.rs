//! Consent: who may use an asset, for what, until when, how often.
//!
//! A grant stands from the transaction that makes it until the one that revokes it, within a block as well as between them:
//! what comes after a revocation sees it revoked. `revokeAll` and `erase` cost the same however many grants there are, for
//! an asset remembers the blocks of these ends, and a grant how many there had been before it.
//!
//! Who a grant is for may be decided by another contract, a token's or one that knows credentials. It is asked in a static
//! call with [`MOST_GAS`] gas, no more and no less, at each use anew: what it cannot answer so is a no. Nothing that it calls can
//! change anything, so that it gains nothing by calling back. Where it could not have that gas, or would be too deep, the whole call
//! fails, so that nobody can choose what it answers.
//!
//! Keepers move a key by votes, each good until the key moves or, as keepers give them, until a time: a vote that leaves somebody out who
//! was silent must not count when he is there again. So may a move be that the owner brings, and it is for one sharing alone: the next
//! keepers let go of what they took for it when the key has moved otherwise, or after a day, and when the ledger names them the old ones
//! do.
//!
//! Thousands of gas, the transaction's own 21 among them: `register` 96 (254 with five keepers), `grant` 242, `useGrant` 87 for
//! an address, `revoke` 38, `revokeAll` 72.
//!
//! Nothing here reads personal data or keys: hashes and terms.

use crate::abi::{
    ADDRESS, COMPUTE, CREDENTIAL,
    IConsent::{
        AllRevoked, Announced, Asset, AssetRegistered, ConsentAssetExists, ConsentAssetUnknown, ConsentEnded,
        ConsentErased, ConsentGrantUnknown, ConsentInvalidAnnouncement, ConsentInvalidKeepers, ConsentInvalidTerms,
        ConsentInvalidVote, ConsentMoveEnded, ConsentNotGranted, ConsentNotJobs, ConsentNotKeeper, ConsentNotOwner,
        ConsentOtherAlgorithm, ConsentOtherSharing, ConsentRevoked, ConsentTooFewVotes, ConsentUseNotGranted,
        ConsentUseUnknown, ConsentUsedUp, Erased, Grant, Granted, KeepersMoved, ObjectSet, Revoked, Terms, Use, Used,
        Vote, moveKeepersCall, registerCall,
    },
    ICredentials, READ, TOKEN, within,
};
use crate::jobs::abi::JOBS;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolValue as _;
use std::collections::BTreeSet;
use stoa_contract::{
    Context, Error, Result,
    interfaces::IERC20,
    nodes,
    storage::{Array, Blob, Mapping, Text, Value},
};

/// Bytes of an ed25519 signature.
const SIGNATURE: usize = 64;

/// The most keepers of one key.
const MOST_KEEPERS: usize = 64;

/// The gas that another contract gets to say who somebody is. A balance costs some 2,100, each proxy before it some 4,700.
pub const MOST_GAS: u64 = 200_000;

/// Longest purpose and longest announcement, in bytes.
const MOST_PURPOSE: usize = 256;
const MOST_ANNOUNCEMENT: usize = 512;

/// What every purpose begins with.
const VOCABULARY: &str = "https://w3id.org/dpv#";

stoa_contract::storage! {
    /// An asset.
    struct AssetState {
        owner: Value<Address>,
        needed: Value<u8>,
        owner_half: Value<bool>,
        generation: Value<u32>,
        registered: Value<u64>,
        erased: Value<u64>,
        object: Value<B256>,
        sharing: Value<B256>,
        keepers: Array<Value<B256>>,
        grants: Array<Value<B256>>,
        /// The blocks in which all grants that there were then were revoked.
        ends: Array<Value<u64>>,
    }

    /// A grant.
    struct GrantState {
        asset: Value<B256>,
        who: Value<Address>,
        kind: Value<u8>,
        uses: Value<u8>,
        until: Value<u64>,
        granted: Value<u64>,
        revoked: Value<u64>,
        /// How many ends of all grants there had been when it was made: the one with this number is its own.
        ends: Value<u64>,
        limit: Value<u32>,
        used: Value<u32>,
        credential: Value<B256>,
        algorithm: Value<B256>,
        half: Value<B256>,
        purpose: Text,
    }

    /// A use.
    struct UseState {
        grant: Value<B256>,
        user: Value<Address>,
        kind: Value<u8>,
        number: Value<u64>,
        algorithm: Value<B256>,
    }

    /// All of it.
    struct State {
        assets: Mapping<B256, AssetState>,
        grants: Mapping<B256, GrantState>,
        uses: Mapping<B256, UseState>,
        announcements: Mapping<Address, Blob>,
    }
}

/// The contract.
#[derive(Clone, Copy, Debug, Default)]
pub struct Consent;

impl Consent {
    /// What a keeper signs who agrees to a move, by its [digest](move_digest), before `until` (seconds since 1970) and no longer.
    pub fn vote_digest(moved: B256, until: u64) -> B256 {
        keccak256(("Stoa keepers vote", moved, U256::from(until)).abi_encode_params())
    }

    /// Whether a vote for a move is this keeper's and good at this time: `until (8) | signature (64)`, or a signature over the move
    /// alone, which is good until the key moves.
    pub fn is_vote(keeper: B256, moved: B256, vote: &[u8], now: u64) -> bool {
        match vote.split_first_chunk::<8>() {
            Some((until, signature)) if signature.len() == SIGNATURE => {
                let until = u64::from_be_bytes(*until);
                now < until && nodes::signed(keeper, Self::vote_digest(moved, until), signature)
            }
            _ => nodes::signed(keeper, moved, vote),
        }
    }

    fn state(self) -> State {
        State::root()
    }

    pub(super) fn asset_id(self, cx: &Context<'_>, owner: Address, salt: B256) -> B256 {
        asset_id(cx.chain_id(), owner, salt)
    }

    /// `ConsentAssetExists`; `ConsentInvalidKeepers`.
    pub(super) fn register(self, cx: &mut Context<'_>, call: &registerCall) -> Result<B256> {
        let registerCall { salt, object, sharing, needed, keepers, ownerHalf } = call;
        let owner = cx.caller();
        let id = self.asset_id(cx, owner, *salt);
        let asset = self.state().assets.at(&id);
        if !asset.owner.read(cx)?.is_zero() {
            return Err(ConsentAssetExists { asset: id }.into());
        }
        check_keepers(*sharing, *needed, keepers)?;
        if keepers.is_empty() && !ownerHalf {
            return Err(invalid_keepers("without keepers there must be an owner's half"));
        }
        asset.owner.write(cx, owner)?;
        asset.needed.write(cx, *needed)?;
        asset.owner_half.write(cx, *ownerHalf)?;
        let number = cx.block_number();
        asset.registered.write(cx, number)?;
        asset.object.write(cx, *object)?;
        asset.sharing.write(cx, *sharing)?;
        for keeper in keepers {
            asset.keepers.push(cx, *keeper)?;
        }
        cx.emit(&AssetRegistered {
            asset: id,
            owner,
            object: *object,
            sharing: *sharing,
            needed: *needed,
            keepers: keepers.clone(),
            ownerHalf: *ownerHalf,
        })?;
        Ok(id)
    }

    /// `ConsentAssetUnknown`.
    pub(super) fn asset_of(self, cx: &mut Context<'_>, id: B256) -> Result<Asset> {
        let asset = self.state().assets.at(&id);
        Ok(Asset {
            owner: self.owner_of(cx, id)?,
            object: asset.object.read(cx)?,
            sharing: asset.sharing.read(cx)?,
            needed: asset.needed.read(cx)?,
            keepers: asset.keepers.len(cx)? as u8,
            ownerHalf: asset.owner_half.read(cx)?,
            generation: asset.generation.read(cx)?,
            registered: asset.registered.read(cx)?,
            erased: asset.erased.read(cx)?,
        })
    }

    /// `ConsentAssetUnknown`.
    pub(super) fn keepers_of(self, cx: &mut Context<'_>, id: B256) -> Result<Vec<B256>> {
        self.owner_of(cx, id)?;
        self.state().assets.at(&id).keepers.values(cx)
    }

    fn owner_of(self, cx: &mut Context<'_>, asset: B256) -> Result<Address> {
        match self.state().assets.at(&asset).owner.read(cx)? {
            Address::ZERO => Err(ConsentAssetUnknown { asset }.into()),
            owner => Ok(owner),
        }
    }

    /// Lets the owner of an asset pass that was not erased.
    fn only_owner(self, cx: &mut Context<'_>, asset: B256) -> Result<()> {
        let (owner, caller) = (self.owner_of(cx, asset)?, cx.caller());
        if owner != caller {
            return Err(ConsentNotOwner { asset, caller }.into());
        }
        self.not_erased(cx, asset)
    }

    fn not_erased(self, cx: &mut Context<'_>, asset: B256) -> Result<()> {
        match self.state().assets.at(&asset).erased.read(cx)? {
            0 => Ok(()),
            number => Err(ConsentErased { asset, number }.into()),
        }
    }

    /// `ConsentAssetUnknown`; `ConsentNotOwner`; `ConsentErased`.
    pub(super) fn set_object(self, cx: &mut Context<'_>, asset: B256, object: B256) -> Result<()> {
        self.only_owner(cx, asset)?;
        self.state().assets.at(&asset).object.write(cx, object)?;
        cx.emit(&ObjectSet { asset, object })
    }

    /// `ConsentAssetUnknown`; `ConsentErased`; `ConsentInvalidKeepers`; without votes, `ConsentNotOwner`; with them,
    /// `ConsentNotKeeper`, `ConsentInvalidVote`, `ConsentTooFewVotes`; `ConsentOtherSharing`; `ConsentMoveEnded`.
    pub(super) fn move_keepers(self, cx: &mut Context<'_>, call: &moveKeepersCall) -> Result<()> {
        let moveKeepersCall { asset: id, from, sharing, needed, keepers, until, votes } = call;
        if votes.is_empty() {
            self.only_owner(cx, *id)?;
        } else {
            self.not_erased(cx, *id)?;
        }
        check_keepers(*sharing, *needed, keepers)?;
        if keepers.is_empty() {
            return Err(invalid_keepers("a key is moved to keepers, not away from them"));
        }
        let digest = self.move_digest(cx, *id, *sharing, *needed, keepers)?;
        if !votes.is_empty() {
            self.enough_voted(cx, *id, digest, votes)?;
        }
        let asset = self.state().assets.at(id);
        let present = asset.sharing.read(cx)?;
        if present != *from {
            return Err(ConsentOtherSharing { asset: *id, sharing: present }.into());
        }
        if !within(*until, cx.timestamp()) {
            return Err(ConsentMoveEnded { asset: *id, until: *until }.into());
        }
        let generation = asset.generation.read(cx)?.checked_add(1).ok_or_else(Error::overflow)?;
        asset.generation.write(cx, generation)?;
        asset.sharing.write(cx, *sharing)?;
        asset.needed.write(cx, *needed)?;
        while !asset.keepers.is_empty(cx)? {
            asset.keepers.pop(cx)?;
        }
        for keeper in keepers {
            asset.keepers.push(cx, *keeper)?;
        }
        let (asset, sharing, needed, keepers) = (*id, *sharing, *needed, keepers.clone());
        cx.emit(&KeepersMoved { asset, generation, sharing, needed, keepers })
    }

    /// What a keeper signs who agrees to a move: `ConsentAssetUnknown`.
    pub(super) fn move_digest(
        self,
        cx: &mut Context<'_>,
        asset: B256,
        sharing: B256,
        needed: u8,
        keepers: &[B256],
    ) -> Result<B256> {
        self.owner_of(cx, asset)?;
        let generation = self.state().assets.at(&asset).generation.read(cx)?;
        Ok(move_digest(cx.chain_id(), asset, generation, sharing, needed, keepers))
    }

    /// Lets a move pass that as many keepers have signed as release the key.
    fn enough_voted(self, cx: &mut Context<'_>, id: B256, digest: B256, votes: &[Vote]) -> Result<()> {
        let asset = self.state().assets.at(&id);
        let (keepers, needed) = (asset.keepers.values(cx)?, asset.needed.read(cx)?);
        let mut agreed = BTreeSet::new();
        for Vote { keeper, signature } in votes {
            if !keepers.contains(keeper) {
                return Err(ConsentNotKeeper { asset: id, keeper: *keeper }.into());
            }
            cx.charge(nodes::SIGNATURE_GAS)?;
            if !Self::is_vote(*keeper, digest, signature, cx.timestamp()) {
                return Err(ConsentInvalidVote { asset: id, keeper: *keeper }.into());
            }
            agreed.insert(*keeper);
        }
        // An asset without keepers needs none of them, and has its owner alone to move it.
        if needed == 0 || agreed.len() < usize::from(needed) {
            return Err(ConsentTooFewVotes { asset: id, needed, votes: U256::from(agreed.len()) }.into());
        }
        Ok(())
    }

    /// `ConsentAssetUnknown`.
    pub(super) fn next_grant(self, cx: &mut Context<'_>, asset: B256) -> Result<B256> {
        self.owner_of(cx, asset)?;
        let number = self.state().assets.at(&asset).grants.len(cx)?;
        cx.keccak256(&(asset, U256::from(number)).abi_encode_params())
    }

    /// `ConsentAssetUnknown`; `ConsentNotOwner`; `ConsentErased`; `ConsentInvalidTerms`.
    pub(super) fn grant(self, cx: &mut Context<'_>, asset: B256, terms: &Terms) -> Result<B256> {
        self.only_owner(cx, asset)?;
        check_terms(terms, cx.timestamp())?;
        let id = self.next_grant(cx, asset)?;
        let state = self.state().assets.at(&asset);
        let ends = state.ends.len(cx)? as u64;
        state.grants.push(cx, id)?;
        let grant = self.state().grants.at(&id);
        grant.asset.write(cx, asset)?;
        grant.who.write(cx, terms.who)?;
        grant.kind.write(cx, terms.kind)?;
        grant.uses.write(cx, terms.uses)?;
        grant.until.write(cx, terms.until)?;
        let block = cx.block_number();
        grant.granted.write(cx, block)?;
        grant.ends.write(cx, ends)?;
        grant.limit.write(cx, terms.limit)?;
        grant.credential.write(cx, terms.credential)?;
        grant.algorithm.write(cx, terms.algorithm)?;
        grant.half.write(cx, terms.half)?;
        grant.purpose.write(cx, &terms.purpose)?;
        cx.emit(&Granted { asset, grant: id, who: terms.who, terms: terms.clone() })?;
        Ok(id)
    }

    /// `ConsentGrantUnknown`; `ConsentRevoked` if it is already; `ConsentNotOwner` for anybody but the owner and whom it is
    /// for.
    pub(super) fn revoke(self, cx: &mut Context<'_>, id: B256) -> Result<()> {
        let grant = self.state().grants.at(&id);
        let (asset, caller) = (self.asset_of_grant(cx, id)?, cx.caller());
        let grantee = grant.kind.read(cx)? == ADDRESS && grant.who.read(cx)? == caller;
        if self.owner_of(cx, asset)? != caller && !grantee {
            return Err(ConsentNotOwner { asset, caller }.into());
        }
        self.not_revoked(cx, id)?;
        let number = cx.block_number();
        grant.revoked.write(cx, number)?;
        cx.emit(&Revoked { asset, grant: id, by: caller })
    }

    /// `ConsentAssetUnknown`; `ConsentNotOwner`; `ConsentErased`.
    pub(super) fn revoke_all(self, cx: &mut Context<'_>, asset: B256) -> Result<()> {
        self.only_owner(cx, asset)?;
        self.end_all(cx, asset)?;
        let by = cx.caller();
        cx.emit(&AllRevoked { asset, by })
    }

    fn end_all(self, cx: &mut Context<'_>, id: B256) -> Result<()> {
        let number = cx.block_number();
        self.state().assets.at(&id).ends.push(cx, number)
    }

    /// `ConsentAssetUnknown`; `ConsentNotOwner`; `ConsentErased`.
    pub(super) fn erase(self, cx: &mut Context<'_>, id: B256) -> Result<()> {
        self.only_owner(cx, id)?;
        self.end_all(cx, id)?;
        let (number, by) = (cx.block_number(), cx.caller());
        self.state().assets.at(&id).erased.write(cx, number)?;
        cx.emit(&Erased { asset: id, by })
    }

    fn asset_of_grant(self, cx: &mut Context<'_>, grant: B256) -> Result<B256> {
        match self.state().grants.at(&grant).asset.read(cx)? {
            B256::ZERO => Err(ConsentGrantUnknown { grant }.into()),
            asset => Ok(asset),
        }
    }

    /// The block in which a grant was revoked; 0 if it was not.
    fn revoked(self, cx: &mut Context<'_>, id: B256) -> Result<u64> {
        let grant = self.state().grants.at(&id);
        let alone = grant.revoked.read(cx)?;
        if alone > 0 {
            return Ok(alone);
        }
        let ends = self.state().assets.at(&grant.asset.read(cx)?).ends;
        let own = grant.ends.read(cx)? as usize;
        if own < ends.len(cx)? { ends.get_unchecked(own).read(cx) } else { Ok(0) }
    }

    fn not_revoked(self, cx: &mut Context<'_>, grant: B256) -> Result<()> {
        match self.revoked(cx, grant)? {
            0 => Ok(()),
            number => Err(ConsentRevoked { grant, number }.into()),
        }
    }

    /// `ConsentGrantUnknown`.
    pub(super) fn grant_of(self, cx: &mut Context<'_>, id: B256) -> Result<Grant> {
        let (asset, grant) = (self.asset_of_grant(cx, id)?, self.state().grants.at(&id));
        let terms = Terms {
            kind: grant.kind.read(cx)?,
            who: grant.who.read(cx)?,
            credential: grant.credential.read(cx)?,
            purpose: grant.purpose.read(cx)?,
            uses: grant.uses.read(cx)?,
            algorithm: grant.algorithm.read(cx)?,
            until: grant.until.read(cx)?,
            limit: grant.limit.read(cx)?,
            half: grant.half.read(cx)?,
        };
        let (granted, revoked, used) = (grant.granted.read(cx)?, self.revoked(cx, id)?, grant.used.read(cx)?);
        Ok(Grant { asset, terms, granted, revoked, used })
    }

    /// `ConsentAssetUnknown`.
    pub(super) fn grants_of(self, cx: &mut Context<'_>, asset: B256, from: U256, most: U256) -> Result<Vec<B256>> {
        self.owner_of(cx, asset)?;
        self.state().assets.at(&asset).grants.page(cx, from, most)
    }

    /// Whether a grant stands for this account now, and of which asset it is: `ConsentGrantUnknown`, `ConsentRevoked`,
    /// `ConsentEnded`, `ConsentNotGranted`.
    fn stands(self, cx: &mut Context<'_>, id: B256, user: Address) -> Result<B256> {
        let (asset, grant) = (self.asset_of_grant(cx, id)?, self.state().grants.at(&id));
        // An asset that was erased has no grant that was not revoked then.
        self.not_revoked(cx, id)?;
        let until = grant.until.read(cx)?;
        if !within(until, cx.timestamp()) {
            return Err(ConsentEnded { grant: id, until }.into());
        }
        let who = grant.who.read(cx)?;
        let is_granted = match grant.kind.read(cx)? {
            ADDRESS => who == user,
            TOKEN => holds(cx, who, user)?,
            _ => {
                let credential = grant.credential.read(cx)?;
                answers(cx, who, &ICredentials::hasCredentialCall { holder: user, credential })?.unwrap_or(false)
            }
        };
        if is_granted { Ok(asset) } else { Err(ConsentNotGranted { grant: id, user }.into()) }
    }

    /// As `stands`, and `ConsentUseNotGranted`, `ConsentOtherAlgorithm`, `ConsentUsedUp`. The asset.
    fn allows(self, cx: &mut Context<'_>, id: B256, user: Address, kind: u8, algorithm: B256) -> Result<B256> {
        let asset = self.stands(cx, id, user)?;
        let grant = self.state().grants.at(&id);
        if (kind != READ && kind != COMPUTE) || grant.uses.read(cx)? & kind == 0 {
            return Err(ConsentUseNotGranted { grant: id, kind }.into());
        }
        let only = grant.algorithm.read(cx)?;
        // Whoever reads runs what he likes; what he says he runs is nothing that could be checked.
        let fits = if kind == READ { algorithm.is_zero() } else { only.is_zero() || only == algorithm };
        if !fits {
            return Err(ConsentOtherAlgorithm { grant: id, algorithm }.into());
        }
        let limit = grant.limit.read(cx)?;
        if limit > 0 && grant.used.read(cx)? >= limit {
            return Err(ConsentUsedUp { grant: id, limit }.into());
        }
        Ok(asset)
    }

    pub(super) fn check(self, cx: &mut Context<'_>, id: B256, user: Address, kind: u8, algorithm: B256) -> Result<()> {
        self.allows(cx, id, user, kind, algorithm).map(drop)
    }

    /// `ConsentNotJobs`; as [`use_grant`](Self::use_grant).
    pub(super) fn use_grant_for(self, cx: &mut Context<'_>, user: Address, id: B256, algorithm: B256) -> Result<B256> {
        match cx.caller() {
            JOBS => self.use_grant(cx, user, id, COMPUTE, algorithm),
            caller => Err(ConsentNotJobs { caller }.into()),
        }
    }

    /// As `allows`.
    pub(super) fn use_grant(
        self,
        cx: &mut Context<'_>,
        user: Address,
        id: B256,
        kind: u8,
        algorithm: B256,
    ) -> Result<B256> {
        let number = cx.block_number();
        let asset = self.allows(cx, id, user, kind, algorithm)?;
        let used = self.state().grants.at(&id).used;
        let count = used.read(cx)?;
        used.write(cx, count.checked_add(1).ok_or_else(Error::overflow)?)?;
        let use_id = cx.keccak256(&("use", id, U256::from(count)).abi_encode_params())?;
        let entry = self.state().uses.at(&use_id);
        entry.grant.write(cx, id)?;
        entry.user.write(cx, user)?;
        entry.kind.write(cx, kind)?;
        entry.number.write(cx, number)?;
        entry.algorithm.write(cx, algorithm)?;
        cx.emit(&Used { asset, grant: id, user, r#use: use_id, kind, algorithm })?;
        Ok(use_id)
    }

    /// `ConsentUseUnknown`.
    pub(super) fn use_of(self, cx: &mut Context<'_>, id: B256) -> Result<Use> {
        let entry = self.state().uses.at(&id);
        match entry.grant.read(cx)? {
            B256::ZERO => Err(ConsentUseUnknown { id }.into()),
            grant => Ok(Use {
                grant,
                user: entry.user.read(cx)?,
                kind: entry.kind.read(cx)?,
                algorithm: entry.algorithm.read(cx)?,
                number: entry.number.read(cx)?,
            }),
        }
    }

    /// As `stands`.
    pub(super) fn check_use(self, cx: &mut Context<'_>, grant: B256, user: Address) -> Result<B256> {
        self.stands(cx, grant, user)
    }

    /// `ConsentInvalidAnnouncement`.
    pub(super) fn announce(self, cx: &mut Context<'_>, announcement: &[u8]) -> Result<()> {
        if announcement.is_empty() || announcement.len() > MOST_ANNOUNCEMENT {
            return Err(ConsentInvalidAnnouncement {}.into());
        }
        let wallet = cx.caller();
        self.state().announcements.at(&wallet).write(cx, announcement)?;
        cx.emit(&Announced { wallet })
    }

    pub(super) fn announcement_of(self, cx: &mut Context<'_>, wallet: Address) -> Result<Bytes> {
        self.state().announcements.at(&wallet).read(cx)
    }
}

/// The id of the asset that this owner registers with this salt.
pub fn asset_id(chain_id: u64, owner: Address, salt: B256) -> B256 {
    keccak256(("Stoa asset", U256::from(chain_id), crate::abi::CONSENT, owner, salt).abi_encode_params())
}

/// What a keeper of an asset's key signs who agrees that it moves from this generation to these keepers.
pub fn move_digest(chain_id: u64, asset: B256, generation: u32, sharing: B256, needed: u8, keepers: &[B256]) -> B256 {
    let id = U256::from(chain_id);
    let generation = U256::from(generation);
    let (needed, keepers) = (U256::from(needed), keepers.to_vec());
    let moved = ("Stoa keepers", id, crate::abi::CONSENT, asset, generation, sharing, needed, keepers);
    keccak256(moved.abi_encode_params())
}

/// What a contract answers; nothing if it fails, has no code, or says what its interface does not. Halts where there is too little gas
/// to ask it, or it would be too deep.
fn answers<C: alloy_sol_types::SolCall>(cx: &mut Context<'_>, of: Address, call: &C) -> Result<Option<C::Return>> {
    match cx.view_with_gas(of, call, MOST_GAS) {
        Ok(answer) => Ok(Some(answer)),
        Err(Error::Revert(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn holds(cx: &mut Context<'_>, token: Address, account: Address) -> Result<bool> {
    let balance = answers(cx, token, &IERC20::balanceOfCall { account })?;
    Ok(balance.is_some_and(|balance| !balance.is_zero()))
}

fn invalid_keepers(what: &str) -> Error {
    ConsentInvalidKeepers { what: what.into() }.into()
}

fn check_keepers(sharing: B256, needed: u8, keepers: &[B256]) -> Result<()> {
    if keepers.len() > MOST_KEEPERS {
        return Err(invalid_keepers("there are at most 64"));
    }
    if keepers.iter().any(B256::is_zero) || keepers.iter().collect::<BTreeSet<_>>().len() < keepers.len() {
        return Err(invalid_keepers("each is another node"));
    }
    if usize::from(needed) > keepers.len() || (needed == 0) != keepers.is_empty() {
        return Err(invalid_keepers("1 to all of them are needed"));
    }
    if sharing.is_zero() != keepers.is_empty() {
        return Err(invalid_keepers("there is a sharing if there are keepers"));
    }
    Ok(())
}

fn check_terms(terms: &Terms, now: u64) -> Result<()> {
    let wrong = match terms {
        Terms { kind, .. } if *kind > CREDENTIAL => "kind is 0, 1 or 2",
        Terms { who, .. } if who.is_zero() => "who is nobody",
        Terms { kind, credential, .. } if (*kind == CREDENTIAL) == credential.is_zero() => {
            "a credential belongs to kind 2, and to it alone"
        }
        Terms { purpose, .. } if purpose.len() > MOST_PURPOSE => "the purpose has at most 256 bytes",
        Terms { purpose, .. } if !is_term(purpose) => "the purpose is a term of https://w3id.org/dpv#",
        Terms { uses, .. } if *uses == 0 || uses & !(READ | COMPUTE) != 0 => "uses are 1 (read), 2 (compute) or 3",
        Terms { algorithm, uses, .. } if !algorithm.is_zero() && *uses != COMPUTE => {
            "one algorithm is for computing, and computing alone"
        }
        Terms { until, .. } if !within(*until, now) => "until is over",
        _ => return Ok(()),
    };
    Err(ConsentInvalidTerms { what: wrong.into() }.into())
}

/// Whether a purpose is a name of the vocabulary: letters, digits, `-` and `_`.
fn is_term(purpose: &str) -> bool {
    let term = purpose.strip_prefix(VOCABULARY).unwrap_or_default();
    !term.is_empty() && term.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
