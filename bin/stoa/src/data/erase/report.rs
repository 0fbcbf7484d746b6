//! What `stoa data erase` reports: who has signed, who has not, and what cannot be taken back.

use alloy_primitives::{Address, B256};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use stoa_base::NodeId;
use stoa_client::counted;
use stoa_data::{client::Deletions, record::Record};
use stoa_privacy::{Deleted, DeletionReceipt};

/// Each node that is known to have had something of an asset, with what it has to sign that nothing is left with it, unless it signs that
/// of the whole asset.
pub(super) struct Had(BTreeMap<NodeId, Vec<Deleted>>);

impl Had {
    /// Those that have had shares of its key, as the ledger says, and those that had pieces.
    pub(super) fn of(record: &Record, holders: &BTreeSet<NodeId>) -> Self {
        Self::new(&record.sharings(), &record.keepers, holders)
    }

    fn new(sharings: &BTreeMap<B256, BTreeSet<B256>>, keepers: &[B256], holders: &BTreeSet<NodeId>) -> Self {
        // Who has given his shares to others has nothing else.
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
        let Ok(receipts) = &of.receipts else { return false };
        let says = |deleted: Deleted| receipts.iter().any(|receipt| receipt.deleted() == deleted);
        match self.0.get(&of.node) {
            None => !receipts.is_empty(),
            Some(wanted) => says(Deleted::Asset) || wanted.iter().all(|deleted| says(*deleted)),
        }
    }

    /// Whether a node is known to have had something, answers, and has not signed.
    pub(super) fn is_awaited(&self, of: &Deletions) -> bool {
        self.0.contains_key(&of.node) && of.receipts.is_ok() && !self.is_signed(of)
    }

    /// Those that have not signed, whether they answer or not.
    fn unsigned(&self, deletions: &[Deletions]) -> Vec<NodeId> {
        let signed = |node: &NodeId| deletions.iter().any(|of| of.node == *node && self.is_signed(of));
        self.nodes().filter(|node| !signed(node)).collect()
    }
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
    /// Those that are known to have had something and have not signed.
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
            "nodes": self.deletions.iter().map(receipts).collect::<Vec<_>>(),
            "unsigned": names(&self.unsigned()),
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
        let signed = self.deletions.iter().filter(|of| self.had.is_signed(of)).count();
        let mut lines = vec![format!("{signed} nodes have signed that they deleted what they had.")];
        if self.let_go > 0 {
            lines.push(format!("{} pieces were let go by nodes that have signed nothing yet.", self.let_go));
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
                _ => format!("Node {node} had something of it and has not signed. Ask again with the same command."),
            });
        }
        if gone > 0 {
            lines.push(format!(
                "{} more left the network's registry since it was registered, and did not answer: what pieces they had they may still \
                 have.",
                counted(gone, "node")
            ));
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
        let why = "it has left the network's registry, and was not asked";
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
        Report { asset, sealed, half, computes, holders, had, deletions, let_go, silent, read, computed, closed }
    }

    #[test]
    fn whoever_had_something_has_signed_or_is_named_also_if_it_left_the_registry_or_is_not_told_of() {
        let whole = &[Deleted::Asset][..];
        let all = || vec![says(1, &[Deleted::Sharing(SHARING)]), says(2, whole), says(3, whole), says(4, whole)];
        let done = report([all(), vec![says(5, whole), says(6, &[])]].concat());
        assert_eq!(done.unsigned(), []);
        assert!(done.lines().contains(&"5 nodes have signed that they deleted what they had.".to_owned()));
        // Two that have left, of which one is a keeper and one is not known to have had anything; of a holder nothing is said.
        let mut some = [all(), vec![gone(6)]].concat();
        some[1] = gone(2);
        let report = report(some);
        assert_eq!(report.unsigned().into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([node(2), node(5)]));
        let json = report.json();
        assert_eq!((&json["nodes"][1]["left"], json["unsigned"].as_array().map(Vec::len)), (&json!(true), Some(2)));
        let lines = report.lines();
        assert!(lines.contains(&"3 nodes have signed that they deleted what they had.".to_owned()), "{lines:?}");
        let named = format!("Node {} has not signed (it has left the network's registry, and was not asked)", node(2));
        assert!(lines.iter().any(|line| line.starts_with(&named)), "{lines:?}");
        let named = format!("Node {} had something of it and has not signed", node(5));
        assert!(lines.iter().any(|line| line.starts_with(&named)), "{lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("1 node more left the network's registry")), "{lines:?}");
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
