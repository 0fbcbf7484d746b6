//! Where the shares of a key go when some of its keepers are no longer.
//!
//! Who follows is not up to whoever begins a move: it follows from the registry of nodes, which all keepers see alike, so
//! that a keeper takes part in that move and no other. Those who are still registered stay. The place of each other is
//! taken by a node in a failure domain that has none of the keepers yet, if there is one, and among several by
//! the one that a hash of the sharing and its key chooses. Anybody may register keys that fit a sharing once he knows it, so one move takes
//! fewer new keepers than release the key, unless the owner signs it. Places beyond that stay empty: the circle may shrink, and where too
//! few would be left, those who have left go on serving until the owner moves the shares. That bounds each move by itself, and not several
//! together: who came by one move is an old keeper at the next, and where keepers leave one after the other all may be new in the end.
//!
//! Who is registered and silent loses its place as well, to somebody who takes it. That a node is silent no ledger says, so each keeper
//! goes by what it hears itself, and deals and signs for no plan that leaves out somebody who answers it ([`Plan::stands`]). The ledger
//! wants the signatures of as many keepers as release the key, over the chain, the asset, how often its key has moved, and the new
//! sharing. They are the statements that somebody is silent: fewer push nobody out, and so many could read the key anyway.
//!
//! The owner may move the shares to any nodes, and signs where (EIP-712), and by which node he asks for it: a keeper that hears it has
//! others deal nothing in his name.

use alloy_primitives::{Address, B256, Signature};
use alloy_sol_types::SolStruct as _;
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, FixedSize as _, Read, ReadExt as _, Write};
use commonware_cryptography::{Verifier as _, ed25519};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use stoa_base::NodeId;
use stoa_contract::nodes::{INodes::Node, KEEPER};
use stoa_privacy::{AssetId, Dealing, Handover, HandoverError, Share, Sharing, signing_domain};

/// The most keepers, and dealings: as many as a key can have keepers.
const MOST: usize = 64;

/// What a new keeper signs who has its share.
const ACCEPTED: &[u8] = b"stoa/keeper/accepted/v1";

/// What a wallet shows before its owner signs where shares go.
const NOTICE: &str = "With this you have the key of your asset on Stoa shared anew among the keepers that are named here. As many of them as \
                      are needed release it from then on. Sign it only if you asked for that.";

mod typed {
    alloy_sol_types::sol! {
        struct MoveKeepers {
            string notice;
            bytes32 asset;
            bytes32 sharing;
            uint8 needed;
            bytes32[] keepers;
            bytes32 node;
        }
    }
}

/// Where shares go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many keepers release the key then.
    pub needed: u8,
    /// Which they are.
    pub keepers: Vec<ed25519::PublicKey>,
}

impl Plan {
    /// Who follows these keepers where the owner signs it, as long as one of them is registered no longer; nothing if all are, or if there
    /// are too few to release the key. Those who have left deal as well, as long as they answer: they run until others have taken over.
    pub fn of<'a>(sharing: &Sharing, nodes: impl IntoIterator<Item = &'a Node>) -> Option<Self> {
        Self::with(sharing, nodes, sharing.keepers().len())
    }

    /// The same with so many new keepers at most.
    fn with<'a>(sharing: &Sharing, nodes: impl IntoIterator<Item = &'a Node>, newcomers: usize) -> Option<Self> {
        let registered: Vec<_> = nodes.into_iter().filter(|node| node.roles & KEEPER != 0).collect();
        let find = |key: &ed25519::PublicKey| registered.iter().find(|node| node.key[..] == **key);
        let needed = sharing.threshold().required();
        let mut domains = BTreeSet::new();
        let mut there = BTreeSet::new();
        for node in sharing.keepers().iter().filter_map(find) {
            there.insert(node.key);
            domains.insert(domain(node));
        }
        let vacant = sharing.keepers().len() - there.len();
        if vacant == 0 {
            return None;
        }
        let rank = |node: &Node| Sha256::new().chain_update(sharing.digest()).chain_update(node.key).finalize();
        let mut others: Vec<_> = registered.iter().filter(|node| !there.contains(&node.key)).collect();
        others.sort_by_key(|node| rank(node));
        let mut keepers: Vec<_> = sharing.keepers().iter().filter(|key| find(key).is_some()).cloned().collect();
        for _ in 0..vacant.min(newcomers) {
            let apart = others.iter().position(|node| !domains.contains(&domain(node)));
            let Some(place) = apart.or((!others.is_empty()).then_some(0)) else { break };
            let next = others.remove(place);
            domains.insert(domain(next));
            // Who registered a key that is none keeps nothing.
            keepers.extend(key_of(next.key));
        }
        (keepers.len() >= usize::from(needed)).then_some(Self { needed, keepers })
    }

    /// Who follows without the owner, where some of the nodes are silent: they follow nobody, deal nothing, and give their places up, the
    /// first ones first, as long as others take them. So nobody who is registered loses a place that would stay empty. There are fewer new
    /// keepers than release the key, whoever they are.
    pub fn without(sharing: &Sharing, nodes: &[Node], silent: &BTreeSet<B256>) -> Option<Self> {
        let there: Vec<_> = nodes.iter().filter(|node| !silent.contains(&node.key)).collect();
        let find = |key: &ed25519::PublicKey| nodes.iter().find(|node| node.key[..] == **key);
        let keepers = sharing.keepers().iter().filter_map(find);
        let keepers: Vec<_> = keepers.filter(|node| silent.contains(&node.key)).collect();
        let needed = usize::from(sharing.threshold().required());
        // So many have to be left as it takes to deal.
        if sharing.keepers().len() - keepers.len() < needed {
            return None;
        }
        let without = |first: usize| {
            let nodes = there.iter().chain(&keepers[first..]).copied();
            Self::with(sharing, nodes, needed.saturating_sub(1))
        };
        let mut plan = without(keepers.len())?;
        for first in (0..keepers.len()).rev() {
            if plan.keepers.len() == sharing.keepers().len() {
                break;
            }
            plan = without(first)?;
        }
        Some(plan)
    }

    /// Whether the shares go so for a node for which these are silent. Who stays may be silent for it alone.
    pub fn stands(&self, sharing: &Sharing, nodes: &[Node], silent: &BTreeSet<B256>) -> bool {
        let stays = |node: &B256| self.keepers.iter().any(|keeper| node[..] == **keeper);
        let silent: BTreeSet<_> = silent.iter().filter(|node| !stays(node)).copied().collect();
        Self::without(sharing, nodes, &silent).as_ref() == Some(self)
    }

    /// The hash that the owner signs (EIP-712) to have the shares of this sharing moved so, when this node asks for it.
    pub fn digest(&self, chain_id: u64, from: &Sharing, by: NodeId) -> B256 {
        let order = typed::MoveKeepers {
            notice: NOTICE.into(),
            asset: from.asset().0,
            sharing: from.digest(),
            needed: self.needed,
            keepers: self.keepers.iter().map(|key| NodeId::from(key).into()).collect(),
            node: by.into(),
        };
        order.eip712_signing_hash(&signing_domain(chain_id))
    }

    /// Whether this account signed it, for this node to ask.
    pub fn is_signed_by(
        &self,
        owner: Address,
        chain_id: u64,
        from: &Sharing,
        by: NodeId,
        signature: &[u8; 65],
    ) -> bool {
        let hash = self.digest(chain_id, from, by);
        let signer = Signature::from_raw(signature).and_then(|signature| signature.recover_address_from_prehash(&hash));
        signer.is_ok_and(|signer| signer == owner)
    }

    /// The move from this sharing.
    ///
    /// # Errors
    ///
    /// If there cannot be such keepers.
    pub fn handover<'a>(&self, from: &'a Sharing) -> Result<Handover<'a>, HandoverError> {
        Handover::new(from, self.needed.into(), self.keepers.clone())
    }

    /// How many of the new keepers have to have their shares before the old ones let go: half of those that could fail
    /// more than the key needs.
    pub fn enough(&self) -> usize {
        (usize::from(self.needed) + self.keepers.len()).div_ceil(2)
    }
}

fn domain(node: &Node) -> String {
    // Who names no domain fails alone.
    if node.domain.is_empty() { node.key.to_string() } else { node.domain.clone() }
}

fn key_of(key: B256) -> Option<ed25519::PublicKey> {
    commonware_codec::DecodeExt::decode(commonware_codec::Copying(&key[..])).ok()
}

/// A move: where it is from and to, and what as many old keepers dealt as it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// How the key was shared.
    pub from: Sharing,
    /// Where the shares go.
    pub plan: Plan,
    /// What the old keepers dealt.
    pub dealings: Vec<Dealing>,
}

impl Move {
    /// How the key is shared afterwards.
    ///
    /// # Errors
    ///
    /// If the dealings are too few or false.
    pub fn sharing(&self) -> Result<Sharing, HandoverError> {
        self.plan.handover(&self.from)?.sharing(&self.dealings)
    }

    /// A new keeper's share.
    ///
    /// # Errors
    ///
    /// As [`sharing`](Self::sharing), and if what was dealt to this keeper is false: by whom.
    pub fn finish(&self, key: &ed25519::PrivateKey) -> Result<(Sharing, Share), HandoverError> {
        self.plan.handover(&self.from)?.finish(&self.dealings, key)
    }

    /// The asset whose key it is.
    pub fn asset(&self) -> AssetId {
        self.from.asset()
    }
}

/// A new keeper's word that it has its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// Who.
    pub keeper: ed25519::PublicKey,
    /// Over the new sharing.
    pub signature: ed25519::Signature,
}

impl Acceptance {
    /// Of this node, for this sharing.
    pub fn new(key: &ed25519::PrivateKey, sharing: &Sharing) -> Self {
        use commonware_cryptography::Signer as _;
        let signature = key.sign(ACCEPTED, sharing.digest().as_slice());
        Self { keeper: key.public_key(), signature }
    }

    /// Whether it is one of that sharing's keepers, and signed.
    pub fn holds(&self, sharing: &Sharing) -> bool {
        sharing.keepers().contains(&self.keeper)
            && self.keeper.verify(ACCEPTED, sharing.digest().as_slice(), &self.signature)
    }
}

fn count(buf: &mut impl Buf) -> Result<usize, CodecError> {
    match usize::from(u8::read(buf)?) {
        count if (1..=MOST).contains(&count) => Ok(count),
        count => Err(CodecError::InvalidLength(count)),
    }
}

pub(super) fn several<T: Read<Cfg = ()>>(buf: &mut impl Buf) -> Result<Vec<T>, CodecError> {
    (0..count(buf)?).map(|_| T::read(buf)).collect()
}

pub(super) fn write_several<T: Write>(values: &[T], buf: &mut impl BufMut) {
    (values.len() as u8).write(buf);
    values.iter().for_each(|value| value.write(buf));
}

impl Write for Plan {
    fn write(&self, buf: &mut impl BufMut) {
        self.needed.write(buf);
        write_several(&self.keepers, buf);
    }
}

impl EncodeSize for Plan {
    fn encode_size(&self) -> usize {
        2 + self.keepers.len() * ed25519::PublicKey::SIZE
    }
}

impl Read for Plan {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        Ok(Self { needed: u8::read(buf)?, keepers: several(buf)? })
    }
}

impl Write for Move {
    fn write(&self, buf: &mut impl BufMut) {
        self.from.write(buf);
        self.plan.write(buf);
        write_several(&self.dealings, buf);
    }
}

impl EncodeSize for Move {
    fn encode_size(&self) -> usize {
        let dealings: usize = self.dealings.iter().map(EncodeSize::encode_size).sum();
        self.from.encode_size() + self.plan.encode_size() + 1 + dealings
    }
}

impl Read for Move {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        Ok(Self { from: Sharing::read(buf)?, plan: Plan::read(buf)?, dealings: several(buf)? })
    }
}

impl Write for Acceptance {
    fn write(&self, buf: &mut impl BufMut) {
        self.keeper.write(buf);
        self.signature.write(buf);
    }
}

impl commonware_codec::FixedSize for Acceptance {
    const SIZE: usize = ed25519::PublicKey::SIZE + ed25519::Signature::SIZE;
}

impl Read for Acceptance {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        Ok(Self { keeper: ed25519::PublicKey::read(buf)?, signature: ed25519::Signature::read(buf)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{U256, keccak256};
    use alloy_sol_types::SolValue as _;
    use commonware_cryptography::Signer as _;
    use proptest::prelude::*;
    use stoa_privacy::deal;

    fn key(seed: u8) -> ed25519::PrivateKey {
        commonware_codec::DecodeExt::decode(commonware_codec::Copying(&[seed; 32])).unwrap()
    }

    fn public(seeds: &[u8]) -> Vec<ed25519::PublicKey> {
        seeds.iter().map(|seed| key(*seed).public_key()).collect()
    }

    fn node(seed: u8, domain: &str) -> Node {
        Node {
            key: NodeId::from(&key(seed).public_key()).into(),
            operator: Address::ZERO,
            host: "a:1".into(),
            domain: domain.into(),
            capacity: 0,
            roles: KEEPER,
        }
    }

    fn sharing(needed: usize, seeds: &[u8]) -> Sharing {
        deal(AssetId(B256::repeat_byte(1)), needed, public(seeds), &mut rand::rng()).unwrap().sharing
    }

    #[test]
    fn nothing_moves_while_all_keepers_are_registered_or_too_few_could_follow() {
        let sharing = sharing(2, &[1, 2, 3]);
        let all = [1, 2, 3, 4].map(|seed| node(seed, ""));
        assert_eq!(Plan::of(&sharing, &all), None);
        assert_eq!(Plan::of(&sharing, &all[3..]), None);
        assert_eq!(Plan::of(&sharing, &all[1..]).unwrap().keepers, public(&[2, 3, 4]));
        // Who has left deals, so more may leave at once than may be lost.
        assert_eq!(Plan::of(&sharing, &all[2..]).unwrap().keepers, public(&[3, 4]));
        let others = [4, 5, 6].map(|seed| node(seed, ""));
        assert_eq!(Plan::of(&sharing, &others).map(|plan| plan.keepers.len()), Some(3));
        // Who is silent does not.
        assert_eq!(Plan::without(&sharing, &all[1..], &named(&[2, 3])), None);
    }

    #[test]
    fn without_the_owner_fewer_new_keepers_follow_than_release_the_key() {
        let sharing = sharing(3, &[1, 2, 3, 4, 5]);
        let nodes: Vec<_> = (1..=12).map(|seed| node(seed, "")).collect();
        let next = |nodes: &[Node], silent: &[u8]| Plan::without(&sharing, nodes, &named(silent));
        let new = |plan: &Plan| plan.keepers.iter().filter(|key| !sharing.keepers().contains(key)).count();
        // Of five one stays, two, or all but one.
        for (first, count) in [(4, 3), (3, 4), (1, 5)] {
            let plan = next(&nodes[first..], &[]).unwrap();
            assert!(plan.keepers.len() == count && new(&plan) <= 2, "{plan:?}");
            assert!(plan.stands(&sharing, &nodes[first..], &named(&[])));
        }
        // Where none stays it is for the owner, and what he alone may sign no keeper agrees to.
        assert_eq!(next(&nodes[5..], &[]), None);
        for first in [3, 4, 5] {
            let owners = Plan::of(&sharing, &nodes[first..]).unwrap();
            assert_eq!((owners.keepers.len(), new(&owners)), (5, first));
            assert!(!owners.stands(&sharing, &nodes[first..], &named(&[])));
        }
        // Two have left, and two are silent: these stay, for nobody else may take their places.
        let plan = next(&nodes[2..], &[3, 4]).unwrap();
        assert!(plan.keepers[..3] == public(&[3, 4, 5])[..] && plan.keepers.len() == 5, "{plan:?}");
        // One newcomer could read a key that one keeper releases.
        let alone = self::sharing(1, &[1, 2]);
        assert_eq!(Plan::without(&alone, &nodes[1..], &named(&[])).unwrap().keepers, public(&[2]));
        assert_eq!(Plan::without(&alone, &nodes, &named(&[1])), None);
    }

    #[test]
    fn those_who_are_left_stay_and_others_from_other_domains_follow() {
        let sharing = sharing(2, &[1, 2, 3]);
        let mut nodes: Vec<_> = [(1, "a"), (2, "b"), (4, "a"), (5, "b"), (6, "c"), (7, "a")]
            .map(|(seed, domain)| node(seed, domain))
            .to_vec();
        let plan = Plan::of(&sharing, &nodes).unwrap();
        assert_eq!((plan.needed, plan.keepers), (2, public(&[1, 2, 6])));
        // In whatever order the registry names them.
        nodes.reverse();
        assert_eq!(Plan::of(&sharing, &nodes).unwrap().keepers, public(&[1, 2, 6]));
        // Who only stores is no keeper.
        nodes.iter_mut().find(|node| node.domain == "c").unwrap().roles = 1;
        let next = Plan::of(&sharing, &nodes).unwrap().keepers;
        assert!(next[2..].iter().all(|key| public(&[4, 5, 7]).contains(key)), "{next:?}");
        // With nobody to follow there are fewer.
        assert_eq!(Plan::of(&sharing, &nodes[4..]).unwrap().keepers, public(&[1, 2]));
    }

    /// Names of nodes, as the registry has them.
    fn named(seeds: &[u8]) -> BTreeSet<B256> {
        public(seeds).iter().map(|key| NodeId::from(key).into()).collect()
    }

    #[test]
    fn who_is_silent_gives_its_place_up_to_somebody_who_takes_it() {
        let sharing = sharing(2, &[1, 2, 3, 4]);
        let nodes: Vec<_> = (1..=6).map(|seed| node(seed, "")).collect();
        let without =
            |nodes: &[Node], silent: &[u8]| Plan::without(&sharing, nodes, &named(silent)).map(|plan| plan.keepers);
        assert_eq!(without(&nodes, &[]), None);
        let next = without(&nodes, &[3]).unwrap();
        assert_eq!(next[..3], public(&[1, 2, 4])[..]);
        assert!(next.len() == 4 && public(&[5, 6]).contains(&next[3]));
        // Who is silent follows nobody.
        assert_eq!(without(&nodes, &[3, 5]), Some(public(&[1, 2, 4, 6])));
        // As many give up their places as there are others; with nobody to follow they all stay.
        assert_eq!(without(&nodes[..5], &[3, 4]), Some(public(&[1, 2, 4, 5])));
        assert_eq!(without(&nodes[..4], &[3, 4]), None);
        assert_eq!(without(&nodes, &[3, 5, 6]), None);
        // Who is silent does not deal.
        assert_eq!(without(&nodes, &[2, 3, 4]), None);
        // Who is registered no longer is left out all the same, and who is only silent is not.
        assert_eq!(without(&nodes[1..4], &[3]), Some(public(&[2, 3, 4])));
    }

    proptest! {
        #[test]
        fn who_hears_none_of_those_left_out_agrees_and_who_hears_one_of_them_does_not(
            silent in prop::collection::btree_set(1..=9_u8, 0..6),
            more in prop::collection::btree_set(1..=9_u8, 0..6),
            away in prop::option::of(1..=4_u8),
        ) {
            let sharing = sharing(2, &[1, 2, 3, 4]);
            let nodes: Vec<_> = (1..=9).filter(|seed| Some(*seed) != away).map(|seed| node(seed, "")).collect();
            let set = |seeds: &BTreeSet<u8>| named(&seeds.iter().copied().collect::<Vec<_>>());
            let Some(plan) = Plan::without(&sharing, &nodes, &set(&silent)) else { return Ok(()) };
            prop_assert!(plan.stands(&sharing, &nodes, &set(&silent)));
            prop_assert!(plan.stands(&sharing, &nodes, &set(&(&silent | &more))));
            for out in (1..=4).filter(|seed| Some(*seed) != away && !plan.keepers.contains(&public(&[*seed])[0])) {
                let hears = set(&silent.iter().copied().filter(|seed| *seed != out).collect());
                prop_assert!(!plan.stands(&sharing, &nodes, &hears), "{out} answers");
            }
        }
    }

    #[test]
    fn what_the_owner_signed_is_for_one_move_of_one_sharing() {
        use alloy_signer::SignerSync as _;
        let wallet = alloy_signer_local::PrivateKeySigner::random();
        let from = sharing(2, &[1, 2, 3]);
        let (plan, by) = (Plan { needed: 2, keepers: public(&[1, 2, 4]) }, NodeId([9; 32]));
        let signature = wallet.sign_hash_sync(&plan.digest(7, &from, by)).unwrap().as_bytes();
        let signed =
            |plan: &Plan, chain, from: &Sharing| plan.is_signed_by(wallet.address(), chain, from, by, &signature);
        assert!(signed(&plan, 7, &from));
        assert!(!signed(&plan, 8, &from));
        assert!(!signed(&plan, 7, &sharing(2, &[1, 2, 3])));
        assert!(!signed(&Plan { needed: 1, ..plan.clone() }, 7, &from));
        assert!(!plan.is_signed_by(Address::ZERO, 7, &from, by, &signature));
        assert!(!plan.is_signed_by(wallet.address(), 7, &from, NodeId([8; 32]), &signature));
        // A message of 32 bytes, which says to nobody what it is.
        let blind = wallet.sign_message_sync(plan.digest(7, &from, by).as_slice()).unwrap().as_bytes();
        assert!(!plan.is_signed_by(wallet.address(), 7, &from, by, &blind));
    }

    /// EIP-712, written out.
    #[test]
    fn what_the_owner_signs_is_typed_data_in_words() {
        let from = sharing(2, &[1, 2, 3]);
        let (plan, by) = (Plan { needed: 2, keepers: public(&[1, 2, 4]) }, NodeId([9; 32]));
        let domain = keccak256("EIP712Domain(string name,string version,uint256 chainId)");
        let domain = keccak256((domain, keccak256("Stoa"), keccak256("1"), U256::from(7)).abi_encode());
        let order = keccak256(
            "MoveKeepers(string notice,bytes32 asset,bytes32 sharing,uint8 needed,bytes32[] keepers,bytes32 node)",
        );
        let keepers = keccak256(plan.keepers.iter().flat_map(|key| key.to_vec()).collect::<Vec<_>>());
        let (asset, needed, by_node) = (from.asset().0, U256::from(2), B256::from(by));
        let order = (order, keccak256(NOTICE), asset, from.digest(), needed, keepers, by_node).abi_encode();
        let signed = [&[0x19, 1][..], domain.as_slice(), keccak256(order).as_slice()].concat();
        assert_eq!(plan.digest(7, &from, by), keccak256(signed));
    }

    #[test]
    fn enough_is_half_way_from_what_the_key_needs_to_all() {
        let enough = |needed, count: u8| Plan { needed, keepers: public(&(1..=count).collect::<Vec<_>>()) }.enough();
        assert_eq!([enough(1, 1), enough(2, 3), enough(3, 5), enough(5, 9)], [1, 3, 4, 7]);
    }
}
