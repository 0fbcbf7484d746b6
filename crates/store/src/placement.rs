//! Which node keeps which piece.
//!
//! A failure domain (an operator, a region, a rack) is what fails together. Pieces go to as many domains as there are: no
//! domain should hold more than the n − k pieces that may be lost, for then any one of them may go. Among the nodes of a
//! domain the one with more room is likelier, by weighted rendezvous hashing (Schindelhauer and Schomaker, SPAA 2005) with
//! the object's id as the seed: the same nodes give the same placement to whoever computes it, and a node that joins or leaves
//! moves only what it gains or loses.
//!
//! Nodes say of themselves how much room and what domain they have. One that lies gains at most the pieces of a domain of its
//! own; whether it keeps them is found out by asking for them.

use crate::{Code, NodeId, ObjectId};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What fails together: an operator, a region, a rack, as the nodes name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(pub String);

/// A node that may keep pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub node: NodeId,
    /// Bytes that it would promise.
    pub free: u64,
    /// What it fails together with.
    pub domain: Domain,
}

/// Where pieces are to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// For each piece that was to be placed: its number and the node.
    pub nodes: Vec<(usize, NodeId)>,
    /// Most pieces in one domain, those that were there already as well.
    pub crowded: usize,
    /// Whether any one domain may go and the object can still be read. Needs as many domains as n / (n − k), rounded up.
    pub survives_a_domain: bool,
}

/// Too few nodes have room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pieces} nodes with {bytes} free bytes each are needed, each for one piece; there are {fit}")]
pub struct NoPlace {
    /// Pieces to be placed.
    pub pieces: usize,
    /// Bytes of a piece.
    pub bytes: u64,
    /// Nodes that could take one.
    pub fit: usize,
}

/// Says which node each of `pieces` goes to, each of `bytes` bytes.
///
/// `holders` are the nodes that hold other pieces of the object: they get no second one, and their domains count.
///
/// # Errors
///
/// If there are fewer nodes with room than pieces.
pub fn place(
    object: ObjectId,
    code: Code,
    bytes: u64,
    pieces: &[usize],
    candidates: &[Candidate],
    holders: &[(NodeId, Domain)],
) -> Result<Placement, NoPlace> {
    let holding: BTreeSet<_> = holders.iter().map(|(node, _)| *node).collect();
    let mut domains: BTreeMap<&Domain, Vec<&Candidate>> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for candidate in candidates {
        if candidate.free >= bytes && !holding.contains(&candidate.node) && known.insert(candidate.node) {
            domains.entry(&candidate.domain).or_default().push(candidate);
        }
    }
    if known.len() < pieces.len() {
        return Err(NoPlace { pieces: pieces.len(), bytes, fit: known.len() });
    }
    let mut taken: HashMap<&Domain, usize> = HashMap::new();
    for (_, domain) in holders {
        *taken.entry(domain).or_default() += 1;
    }
    // The best of each domain last, where it can be popped.
    for nodes in domains.values_mut() {
        nodes.sort_by(|a, b| score(object, a).total_cmp(&score(object, b)).then(a.node.cmp(&b.node)));
    }
    let mut nodes = Vec::with_capacity(pieces.len());
    for piece in pieces {
        // The emptiest domain, of those the one with the best node.
        let rank = |(domain, nodes): &(&&Domain, &mut Vec<&Candidate>)| {
            let best = nodes.last().map_or(0.0, |best| score(object, best));
            (std::cmp::Reverse(taken.get(**domain).copied().unwrap_or(0)), best)
        };
        let best = domains.iter_mut().filter(|(_, nodes)| !nodes.is_empty()).max_by(|a, b| {
            let (a, b) = (rank(a), rank(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        let Some((domain, best)) = best.and_then(|(domain, nodes)| nodes.pop().map(|best| (*domain, best))) else {
            break;
        };
        *taken.entry(domain).or_default() += 1;
        nodes.push((*piece, best.node));
    }
    let crowded = taken.values().copied().max().unwrap_or(0);
    Ok(Placement { nodes, crowded, survives_a_domain: crowded <= code.spare() })
}

/// Whether any one failure domain may go and enough pieces are left, by who holds which piece.
pub(crate) fn survives_a_domain(code: Code, holders: &[(usize, Domain)]) -> bool {
    let domains: BTreeSet<_> = holders.iter().map(|(_, domain)| domain).collect();
    let left_without = |gone: &Domain| {
        let left = holders.iter().filter(|(_, domain)| domain != gone).map(|(piece, _)| *piece);
        left.collect::<BTreeSet<_>>().len()
    };
    !domains.is_empty() && domains.into_iter().all(|gone| left_without(gone) >= code.needed())
}

/// Weighted rendezvous: −w / ln(h), with h evenly spread in (0, 1) by object and node. A node is best with a likelihood in
/// proportion to its weight.
fn score(object: ObjectId, candidate: &Candidate) -> f64 {
    // 53 bits, and a half so that it is never 0 or 1.
    let even = ((hash(object, candidate.node) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    candidate.free as f64 / -even.ln()
}

/// What rendezvous hashing orders the nodes of an object by where all have the same room, highest first.
pub(crate) fn hash(object: ObjectId, node: NodeId) -> u64 {
    let hash = blake3::Hasher::new().update(&object.0).update(&node.0).finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate(node: u16, free: u64, domain: u8) -> Candidate {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&node.to_be_bytes());
        Candidate { node: NodeId(id), free, domain: Domain(format!("operator {domain}")) }
    }

    fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
        let one = (0..60_u16, 1..100_u64, 0..12_u8).prop_map(|(node, free, domain)| candidate(node, free, domain));
        prop::collection::vec(one, 0..60)
    }

    fn domain_of<'a>(candidates: &'a [Candidate], node: &NodeId) -> &'a Domain {
        &candidates.iter().find(|candidate| candidate.node == *node).unwrap().domain
    }

    /// The fewest that the fullest domain must hold.
    fn bound(free: &[usize], pieces: usize) -> usize {
        (0..=pieces).find(|most| free.iter().map(|nodes| nodes.min(most)).sum::<usize>() >= pieces).unwrap()
    }

    proptest! {
        #[test]
        fn pieces_are_apart_as_far_as_the_nodes_allow(
            all in candidates(), seed in any::<[u8; 32]>(), bytes in 0..100_u64, k in 1..12_u8, spare in 0..12_u8,
        ) {
            // Each node once: what is said twice of one is tested below.
            let mut known = BTreeSet::new();
            let all: Vec<_> = all.into_iter().filter(|candidate| known.insert(candidate.node)).collect();
            let code = Code::new(k, k + spare).unwrap();
            let pieces: Vec<_> = (0..code.pieces()).collect();
            let fit: Vec<_> = all.iter().filter(|candidate| candidate.free >= bytes).collect();
            let placement = place(ObjectId(seed), code, bytes, &pieces, &all, &[]);
            if fit.len() < pieces.len() {
                prop_assert_eq!(placement, Err(NoPlace { pieces: pieces.len(), bytes, fit: fit.len() }));
                return Ok(());
            }
            let placement = placement.unwrap();
            let nodes: BTreeSet<_> = placement.nodes.iter().map(|(_, node)| *node).collect();
            prop_assert_eq!(nodes.len(), pieces.len(), "one piece a node");
            prop_assert!(nodes.iter().all(|node| fit.iter().any(|candidate| candidate.node == *node)));
            let mut room: BTreeMap<&Domain, usize> = BTreeMap::new();
            fit.iter().for_each(|candidate| *room.entry(&candidate.domain).or_default() += 1);
            let most = bound(&room.into_values().collect::<Vec<_>>(), pieces.len());
            prop_assert_eq!(placement.crowded, most, "no domain is fuller than it must be");
            // What is promised is true: whichever domain goes, k pieces are left.
            for domain in all.iter().map(|candidate| &candidate.domain) {
                let left = placement.nodes.iter().filter(|(_, node)| domain_of(&all, node) != domain).count();
                prop_assert!(!placement.survives_a_domain || left >= code.needed());
            }
            let held: Vec<_> = placement.nodes.iter().map(|(piece, node)| (*piece, domain_of(&all, node).clone())).collect();
            prop_assert_eq!(survives_a_domain(code, &held), placement.survives_a_domain);
            prop_assert_eq!(placement.survives_a_domain, most <= code.spare());
            // Whoever computes it, in whatever order he knows the nodes.
            let reversed: Vec<_> = all.iter().rev().cloned().collect();
            prop_assert_eq!(place(ObjectId(seed), code, bytes, &pieces, &reversed, &[]).unwrap(), placement);
        }

        #[test]
        fn a_lost_piece_goes_to_a_new_node_of_another_domain(
            all in prop::collection::btree_set((0..200_u16, 0..12_u8), 40..60), seed in any::<[u8; 32]>(), lost in 0..10_usize,
        ) {
            let all: BTreeMap<_, _> = all.into_iter().collect();
            let all: Vec<_> = all.into_iter().map(|(node, domain)| candidate(node, 10, domain)).collect();
            prop_assume!(all.len() >= 12);
            let (object, code, pieces) = (ObjectId(seed), Code::default(), (0..10).collect::<Vec<_>>());
            let first = place(object, code, 10, &pieces, &all, &[]).unwrap();
            let gone = first.nodes[lost].1;
            let holders: Vec<_> = first.nodes.iter().map(|(_, node)| *node).filter(|node| *node != gone)
                .map(|node| (node, domain_of(&all, &node).clone())).collect();
            let left: Vec<_> = all.iter().filter(|candidate| candidate.node != gone).cloned().collect();
            let second = place(object, code, 10, &[lost], &left, &holders).unwrap();
            prop_assert!(holders.iter().all(|(node, _)| *node != second.nodes[0].1));
            prop_assert!(second.crowded <= first.crowded + 1);
        }
    }

    type Held<'a> = &'a [(usize, &'a str)];

    #[test]
    fn a_domain_may_go_if_enough_pieces_are_elsewhere_and_each_counts_once() {
        let code = Code::new(2, 4).unwrap();
        let held = |held: Held<'_>| held.iter().map(|(piece, at)| (*piece, Domain((*at).into()))).collect::<Vec<_>>();
        let cases: [(Held<'_>, bool); 7] = [
            (&[], false),
            (&[(0, "a"), (1, "b")], false),
            (&[(0, "a"), (1, "b"), (2, "c")], true),
            (&[(0, "a"), (1, "a"), (2, "b"), (3, "b")], true),
            (&[(0, "a"), (1, "a"), (2, "a"), (3, "b")], false),
            // The same piece twice is one piece.
            (&[(0, "a"), (1, "b"), (1, "c")], false),
            (&[(0, "a"), (1, "b"), (0, "c"), (1, "d")], true),
        ];
        for (holders, survives) in cases {
            assert_eq!(survives_a_domain(code, &held(holders)), survives, "{holders:?}");
        }
    }

    #[test]
    fn more_room_gets_more_pieces() {
        let all: Vec<_> = (0..20).map(|node| candidate(node, if node < 10 { 100 } else { 300 }, node as u8)).collect();
        let mut large = 0;
        for seed in 0..200 {
            let placement = place(ObjectId([seed; 32]), Code::default(), 1, &[0], &all, &[]).unwrap();
            large += usize::from(placement.nodes[0].1.0[1] >= 10);
        }
        // Three of four, within four standard deviations.
        assert!((125..=175).contains(&large), "{large} of 200");
    }

    #[test]
    fn a_node_that_says_it_is_many_gets_one_piece() {
        let mut all: Vec<_> = (0..9).map(|node| candidate(node, 10, node as u8)).collect();
        all.extend((0..5).map(|domain| candidate(9, 1000, 20 + domain)));
        let placement = place(ObjectId([1; 32]), Code::default(), 1, &(0..10).collect::<Vec<_>>(), &all, &[]).unwrap();
        assert_eq!(placement.nodes.iter().filter(|(_, node)| *node == all[9].node).count(), 1);
        all.truncate(9);
        let pieces: Vec<_> = (0..10).collect();
        let error = place(ObjectId([1; 32]), Code::default(), 1, &pieces, &all, &[]).unwrap_err();
        assert_eq!(error, NoPlace { pieces: 10, bytes: 1, fit: 9 });
    }
}
