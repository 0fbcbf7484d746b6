//! What `stoa data erase` reports: who has signed, who has not, and what cannot be taken back.

use alloy_primitives::{Address, B256};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use stoa_base::NodeId;
use stoa_client::counted;
use stoa_data::{client::Deletions, record::Record};
use stoa_privacy::{Deleted, DeletionReceipt};

/// Each node that was named as a keeper of an asset's key or had pieces, with what it has to sign, unless it signs that all that it had of the
/// asset is gone.
pub(super) struct Had(BTreeMap<NodeId, Vec<Deleted>>);

impl Had {
    /// Those that the ledger names as keepers of its key, now or before, and those that had pieces.
    pub(super) fn of(record: &Record, holders: &BTreeSet<NodeId>) -> Self {
        Self::new(&record.sharings(), &record.keepers, holders)
    }

    pub(super) fn new(sharings: &BTreeMap<B256, BTreeSet<B256>>, keepers: &[B256], holders: &BTreeSet<NodeId>) -> Self {
        // Who has given his shares to others signs that, and not again of the asset when it sees that it is erased.
        let gave = sharings.iter().filter(|(keeper, _)| !keepers.contains(keeper));
        let gave =
            gave.map(|(keeper, of)| (NodeId::from(*keeper), of.iter().map(|of| Deleted::Sharing(*of)).collect()));
        let mut had: BTreeMap<NodeId, Vec<Deleted>> = gave.collect();
        let keepers = keepers.iter().map(|keeper| NodeId::from(*keeper));
        had.extend(keepers.chain(holders.iter().copied()).map(|node| (node, vec![Deleted::Asset])));
        Self(had)
    }

    /// The nodes.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.0.keys().copied()
    }

    /// Whether this says of a node all that it has to sign. One of which nobody knows what it had says it with anything.
    fn is_signed(&self, of: &Deletions) -> bool {
        match self.0.get(&of.node) {
            None => of.receipts.as_ref().is_ok_and(|receipts| !receipts.is_empty()),
            Some(wanted) => says(of, Deleted::Asset) || wanted.iter().all(|deleted| says(of, *deleted)),
        }
    }

    /// Those that kept the key before it moved and have signed that they deleted their shares, and nothing of the whole asset. They may have
    /// readers' halves.
    fn handed_on(&self, deletions: &[Deletions]) -> Vec<NodeId> {
        let shares_alone = |of: &&Deletions| {
            let wanted = self.0.get(&of.node);
            wanted.is_some_and(|wanted| !wanted.contains(&Deleted::Asset))
                && self.is_signed(of)
                && !says(of, Deleted::Asset)
        };
        deletions.iter().filter(shares_alone).map(|of| of.node).collect()
    }

    /// Whether a node is one of these, answers, and has not signed.
    pub(super) fn is_awaited(&self, of: &Deletions) -> bool {
        self.0.contains_key(&of.node) && of.receipts.is_ok() && !self.is_signed(of)
    }

    /// Those that have not signed, whether they answer or not.
    fn unsigned(&self, deletions: &[Deletions]) -> Vec<NodeId> {
        let signed = |node: &NodeId| deletions.iter().any(|of| of.node == *node && self.is_signed(of));
        self.nodes().filter(|node| !signed(node)).collect()
    }
}

/// Whether a node has signed that it deleted this.
fn says(of: &Deletions, deleted: Deleted) -> bool {
    of.receipts.as_ref().is_ok_and(|receipts| receipts.iter().any(|receipt| receipt.deleted() == deleted))
}

/// What became of the owner's half of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    /// There was none: keepers alone release the key, or there is no key.
    None,
    /// It was destroyed.
    Destroyed,
    /// It was destroyed before.
    Before,
    /// It was not here.
    Elsewhere,
}

impl Half {
    /// That of an asset whose key has one or not, as the ledger says, if something of it was destroyed now or before.
    pub(super) const fn of(is_one: bool, now: bool, before: bool) -> Self {
        match (is_one, now, before) {
            (false, ..) => Self::None,
            (true, true, _) => Self::Destroyed,
            (true, false, true) => Self::Before,
            (true, false, false) => Self::Elsewhere,
        }
    }

    const fn told(self) -> &'static str {
        match self {
            Self::None => "No half of its key was yours: its keepers alone released it.",
            Self::Destroyed => {
                "Your half of its key is overwritten and removed on this machine. Copies and backups of the folder are yours to \
                 find, and what the disk itself keeps of it (journals, snapshots, spare blocks of an SSD)."
            }
            Self::Before => "Your half of its key was overwritten and removed on this machine before.",
            Self::Elsewhere => "This machine had no half of its key: destroy it where it was published.",
        }
    }
}

/// All that is reported.
pub(super) struct Report {
    pub(super) asset: B256,
    /// Whether the data were sealed and spread.
    pub(super) sealed: bool,
    pub(super) half: Half,
    /// The node with data that programs ran on.
    pub(super) computes: Option<B256>,
    /// The nodes that had pieces.
    pub(super) holders: BTreeSet<NodeId>,
    /// How many nodes were not heard in time whether they had pieces.
    pub(super) unheard: usize,
    /// How many nodes that have left the registry were not asked, if it is known which have.
    pub(super) not_asked: Option<usize>,
    pub(super) had: Had,
    pub(super) deletions: Vec<Deletions>,
    /// Pieces that nodes let go of without a signature, and who did not say whether it did.
    pub(super) let_go: usize,
    pub(super) silent: Vec<(NodeId, String)>,
    /// Who has asked to read, and to compute.
    pub(super) read: Vec<Address>,
    pub(super) computed: Vec<Address>,
    /// What is revoked at the market.
    pub(super) closed: Vec<Address>,
}

/// What becomes of data that have no key, for they lie as they are where programs run on them.
fn never_sealed(asset: B256, node: Option<B256>) -> String {
    match node {
        Some(node) => format!(
            "It has no key, and was not spread. A copy of it lies as it is in the folder of data of node {node} (stoa follow --data DIR), in \
             DIR/{asset}/files, and in that of each node that checks its jobs. They delete it as soon as no job needs it, at their next \
             start if they do not run now, and sign nothing: look whether yours has. Other copies and backups are yours to find."
        ),
        None => "It has no key, and no node keeps anything of it.".to_owned(),
    }
}

fn names<'a>(nodes: impl IntoIterator<Item = &'a NodeId>) -> Vec<String> {
    nodes.into_iter().map(ToString::to_string).collect()
}

/// What a node signed, for programs.
fn receipts(deletions: &Deletions) -> Value {
    let mut said = json!({ "node": deletions.node.to_string(), "left": deletions.left });
    match &deletions.receipts {
        Ok(receipts) => {
            let one = |receipt: &DeletionReceipt| {
                let what = match receipt.deleted() {
                    Deleted::Grant(id) => json!({ "grant": id.0 }),
                    Deleted::Sharing(digest) => json!({ "sharing": digest }),
                    Deleted::Asset => json!("asset"),
                };
                let bytes = alloy_primitives::hex::encode_prefixed(commonware_codec::Encode::encode(receipt));
                json!({ "deleted": what, "block": receipt.seen().number, "receipt": bytes })
            };
            said["receipts"] = receipts.iter().map(one).collect();
        }
        Err(why) => said["silent"] = json!(why),
    }
    said
}

impl Report {
    /// Those that were named as keepers or had pieces, and have not signed.
    pub(super) fn unsigned(&self) -> Vec<NodeId> {
        self.had.unsigned(&self.deletions)
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let silent = self.silent.iter().map(|(node, why)| json!({ "node": node.to_string(), "why": why }));
        json!({
            "asset": self.asset,
            "ownHalfDestroyed": matches!(self.half, Half::Destroyed | Half::Before),
            "destroyedBefore": self.half == Half::Before,
            "computes": self.computes,
            "holders": names(&self.holders),
            "holdersNotHeard": self.unheard,
            "leftNotAsked": self.not_asked,
            "nodes": self.deletions.iter().map(receipts).collect::<Vec<_>>(),
            "unsigned": names(&self.unsigned()),
            "handedOn": names(&self.had.handed_on(&self.deletions)),
            "piecesLetGo": self.let_go,
            "piecesSilent": silent.collect::<Vec<_>>(),
            "hadRead": self.read,
            "hadComputed": self.computed,
            "closed": self.closed,
        })
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let asset = self.asset;
        let mut lines = vec![format!("Erased: no grant of {asset} stands any more, and none can be made.")];
        let closed = self.closed.iter();
        lines.extend(
            closed.map(|nft| format!("{nft} is revoked at the market: no order is taken any more, and none stands.")),
        );
        match self.sealed {
            false => lines.push(never_sealed(asset, self.computes)),
            true => {
                lines.push(self.half.told().to_owned());
                lines.extend(self.signatures());
            }
        }
        match self.read.is_empty() && self.computed.is_empty() {
            true if self.sealed => lines.push("Nobody had asked to read it.".to_owned()),
            true if self.computes.is_some() => lines.push("Nobody had programs run on it.".to_owned()),
            _ => {}
        }
        for (accounts, what) in [
            (&self.read, "asked to read it while they were allowed to, and may have read and kept it:"),
            (&self.computed, "began to have programs run on it, and may have what left of it:"),
        ] {
            if !accounts.is_empty() {
                lines.push(format!("What cannot be taken back: these accounts {what}"));
                lines.extend(accounts.iter().map(|account| format!("  {account}")));
            }
        }
        lines
    }

    /// Who has signed, and who has not.
    fn signatures(&self) -> Vec<String> {
        let handed_on = self.had.handed_on(&self.deletions).len();
        let signed = self.deletions.iter().filter(|of| self.had.is_signed(of)).count() - handed_on;
        let mut lines = vec![match signed {
            1 => "1 node has signed that it deleted what it had.".to_owned(),
            _ => format!("{signed} nodes have signed that they deleted what they had."),
        }];
        if handed_on > 0 {
            let signed = match handed_on {
                1 => "1 node more was a keeper of its key before that moved, and has signed that it deleted its share"
                    .to_owned(),
                more => {
                    format!(
                        "{more} nodes more were keepers of its key before that moved, and have signed that they deleted their shares"
                    )
                }
            };
            // Readers' halves there are where the owner has one.
            let halves = match (self.half, handed_on) {
                (Half::None, _) => "",
                (_, 1) => ". It may have readers' halves until it sees that the asset is erased",
                _ => ". They may have readers' halves until they see that the asset is erased",
            };
            lines.push(format!("{signed}{halves}."));
        }
        if self.let_go > 0 {
            let (pieces, were) = (counted(self.let_go as u64, "piece"), if self.let_go == 1 { "was" } else { "were" });
            lines.push(format!("{pieces} {were} let go without a signature so far."));
        }
        let (unsigned, mut gone) = (self.unsigned(), 0);
        let silent = |node: NodeId, why: &str| {
            format!(
                "Node {node} has not signed ({why}): what it has it may still have. Ask again with the same command."
            )
        };
        for of in self.deletions.iter().filter(|of| !unsigned.contains(&of.node)) {
            match &of.receipts {
                // Of which nothing is known but that they were there.
                Err(_) if of.left => gone += 1,
                Err(why) => lines.push(silent(of.node, why)),
                Ok(_) => {}
            }
        }
        for node in unsigned {
            let of = self.deletions.iter().find(|of| of.node == node);
            lines.push(match of.map(|of| &of.receipts) {
                Some(Err(why)) => silent(node, why),
                _ => {
                    // The ledger says who was named, and not who took his share.
                    let had = self.holders.contains(&node);
                    let what = if had { "had pieces of it" } else { "was named as a keeper of its key" };
                    format!("Node {node} {what} and has not signed. Ask again with the same command.")
                }
            });
        }
        lines.extend(self.unknown(gone));
        lines
    }

    /// Of whom it is not known what they have: so many have left the registry and did not answer.
    fn unknown(&self, gone: usize) -> Vec<String> {
        let left = |count: usize, not: &str| {
            let they = if count == 1 { "it" } else { "they" };
            format!(
                "{} more left the network's registry since the asset was registered, and {not}: what pieces {they} had {they} may still \
                 have.",
                counted(count as u64, "node")
            )
        };
        let mut lines = Vec::new();
        if gone > 0 {
            lines.push(left(gone, "did not answer"));
        }
        match self.not_asked {
            Some(0) => {}
            Some(1) => lines.push(left(1, "was not asked, for many left after it")),
            Some(more) => lines.push(left(more, "were not asked, for many left after them")),
            None => lines.push(
                "Which nodes have left the network's registry since the asset was registered is not known: of these, those alone were \
                 asked that were named as keepers of its key. What pieces others had they may still have."
                    .to_owned(),
            ),
        }
        if self.unheard > 0 {
            let nodes = counted(self.unheard as u64, "node");
            lines
                .push(format!("{nodes} did not say in time, before the asset ended, whether pieces of it were there."));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_cryptography::{Signer as _, ed25519};
    use stoa_privacy::{AssetId, Seen};

    const ASSET: B256 = B256::repeat_byte(1);
    const SHARING: B256 = B256::repeat_byte(2);

    fn node(seed: u64) -> NodeId {
        NodeId::from(&ed25519::PrivateKey::from_seed(seed).public_key())
    }

    /// What a node says that it has deleted.
    fn says(seed: u64, deleted: &[Deleted]) -> Deletions {
        let (key, seen) = (ed25519::PrivateKey::from_seed(seed), Seen { number: 7, hash: B256::ZERO });
        let sign = |deleted: &Deleted| DeletionReceipt::new(&key, AssetId(ASSET), *deleted, seen);
        Deletions { node: node(seed), address: None, left: false, receipts: Ok(deleted.iter().map(sign).collect()) }
    }

    /// One that has left and says nothing.
    fn gone(seed: u64) -> Deletions {
        let why = "it is not registered (any more), and was not asked";
        Deletions { left: true, receipts: Err(why.into()), ..says(seed, &[]) }
    }

    /// A report on a key that has moved from nodes 1, 2 and 3 to 2, 3 and 4; node 5 had pieces.
    fn report(deletions: Vec<Deletions>) -> Report {
        let (moved, holders) = (B256::repeat_byte(3), BTreeSet::from([node(5)]));
        let mut sharings = BTreeMap::<B256, BTreeSet<B256>>::new();
        for (of, keepers) in [(SHARING, [1, 2, 3]), (moved, [2, 3, 4])] {
            for keeper in keepers.map(node) {
                sharings.entry(keeper.into()).or_default().insert(of);
            }
        }
        let had = Had::new(&sharings, &[2, 3, 4].map(|seed| B256::from(node(seed))), &holders);
        let (let_go, silent, closed) = (0, Vec::new(), Vec::new());
        let (read, computed) = (vec![Address::repeat_byte(8)], Vec::new());
        let (asset, sealed, half, computes) = (ASSET, true, Half::Destroyed, None);
        let (unheard, not_asked) = (0, Some(0));
        Report {
            asset,
            sealed,
            half,
            computes,
            holders,
            unheard,
            not_asked,
            had,
            deletions,
            let_go,
            silent,
            read,
            computed,
            closed,
        }
    }

    #[test]
    fn whoever_had_something_has_signed_or_is_named_also_if_it_left_the_registry_or_is_not_told_of() {
        let whole = &[Deleted::Asset][..];
        let all = || vec![says(1, &[Deleted::Sharing(SHARING)]), says(2, whole), says(3, whole), says(4, whole)];
        let done = report([all(), vec![says(5, whole), says(6, &[])]].concat());
        assert_eq!(done.unsigned(), []);
        assert!(done.lines().contains(&"4 nodes have signed that they deleted what they had.".to_owned()));
        // Two that have left, of which one is a keeper and one is not known to have had anything; of a holder nothing is said.
        let mut some = [all(), vec![gone(6)]].concat();
        some[1] = gone(2);
        let report = report(some);
        assert_eq!(report.unsigned().into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([node(2), node(5)]));
        let json = report.json();
        assert_eq!((&json["nodes"][1]["left"], json["unsigned"].as_array().map(Vec::len)), (&json!(true), Some(2)));
        let lines = report.lines();
        assert!(lines.contains(&"2 nodes have signed that they deleted what they had.".to_owned()), "{lines:?}");
        let named = format!("Node {} has not signed (it is not registered (any more), and was not asked)", node(2));
        assert!(lines.iter().any(|line| line.starts_with(&named)), "{lines:?}");
        let named = format!("Node {} had pieces of it and has not signed", node(5));
        assert!(lines.iter().any(|line| line.starts_with(&named)), "{lines:?}");
        let left = "1 node more left the network's registry since the asset was registered, and did not answer";
        assert!(lines.iter().any(|line| line.starts_with(left)), "{lines:?}");
    }

    #[test]
    fn who_kept_the_key_before_it_moved_is_told_of_apart_for_it_may_have_readers_halves() {
        let signed = || vec![says(1, &[Deleted::Sharing(SHARING)]), says(2, &[Deleted::Asset])];
        let kept = report(signed());
        assert_eq!(kept.json()["handedOn"], json!([node(1).to_string()]));
        let lines = kept.lines();
        assert!(lines.contains(&"1 node has signed that it deleted what it had.".to_owned()), "{lines:?}");
        let told = |lines: &[String]| {
            lines.iter().find(|line| line.starts_with("1 node more was a keeper of its key")).cloned()
        };
        assert!(told(&lines).unwrap().contains("may have readers' halves"), "{lines:?}");
        // The ledger names who was to keep the key, and does not say that he did.
        let named = format!("Node {} was named as a keeper of its key and has not signed", node(3));
        assert!(lines.iter().any(|line| line.starts_with(&named)), "{lines:?}");
        // Where keepers alone release the key there are none.
        let lines = Report { half: Half::None, ..report(signed()) }.lines();
        assert!(!told(&lines).unwrap().contains("halves"), "{lines:?}");
        // With pieces it has to sign of all.
        let all = report(vec![says(1, &[Deleted::Sharing(SHARING), Deleted::Asset])]);
        assert_eq!(all.json()["handedOn"], json!([]));
    }

    #[test]
    fn who_was_not_asked_or_not_heard_is_counted_and_what_is_not_known_is_said() {
        assert!(report(Vec::new()).unknown(0).is_empty());
        let some = Report { not_asked: Some(3), unheard: 1, let_go: 1, ..report(Vec::new()) };
        let json = some.json();
        assert_eq!((&json["leftNotAsked"], &json["holdersNotHeard"]), (&json!(3), &json!(1)));
        let lines = some.lines();
        for part in ["3 nodes more left", "1 node did not say in time", "1 piece was let go"] {
            assert!(lines.iter().any(|line| line.starts_with(part)), "{part}: {lines:?}");
        }
        let none = Report { not_asked: None, ..report(Vec::new()) };
        assert_eq!(none.json()["leftNotAsked"], Value::Null);
        assert!(none.lines().iter().any(|line| line.contains("is not known")), "{:?}", none.lines());
    }

    #[test]
    fn who_gave_its_share_to_others_has_signed_that_and_who_has_one_that_all_is_gone() {
        let sharing = Deleted::Sharing(SHARING);
        let report = report(vec![says(1, &[]), says(2, &[sharing]), says(3, &[Deleted::Asset]), says(5, &[sharing])]);
        assert_eq!(report.unsigned().len(), 4);
        let awaited = report.deletions.iter().filter(|of| report.had.is_awaited(of)).map(|of| of.node);
        assert_eq!(awaited.collect::<Vec<_>>(), [1, 2, 5].map(node));
        assert!(!report.had.is_awaited(&gone(1)));
    }

    #[test]
    fn who_asked_to_read_may_have_read_and_is_not_said_to_have() {
        let lines = report(Vec::new()).lines();
        let at = lines.iter().position(|line| line.contains("cannot be taken back")).unwrap();
        assert!(lines[at].contains("asked to read it") && lines[at].contains("may have read"), "{}", lines[at]);
        assert!(lines[at + 1].contains(&Address::repeat_byte(8).to_string()));
    }

    #[test]
    fn a_half_that_there_was_not_is_not_said_to_be_destroyed() {
        let [none, now, before] = [(false, true), (true, true), (true, false)].map(|(is, now)| Half::of(is, now, true));
        assert_eq!([none, now, before], [Half::None, Half::Destroyed, Half::Before]);
        let report = Report { half: none, ..report(Vec::new()) };
        assert_eq!(
            (&report.json()["ownHalfDestroyed"], &report.json()["destroyedBefore"]),
            (&json!(false), &json!(false))
        );
        assert!(!report.lines().iter().any(|line| line.contains("overwritten")));
    }

    #[test]
    fn of_data_that_programs_ran_on_it_is_said_where_they_lie_and_no_key_is_told_of() {
        let [asset, node] = [1, 2].map(B256::repeat_byte);
        let said = never_sealed(asset, Some(node));
        for part in [format!("DIR/{asset}/files"), node.to_string(), "It has no key".to_owned()] {
            assert!(said.contains(&part), "{part} is not in {said}");
        }
        assert!(!never_sealed(asset, None).contains("DIR"));
    }
}
