use super::*;
use crate::testing::{ASSET, Counter, fingerprint, has_one_encoding, keepers, node, rng};
use alloy_primitives::hex;
use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::Signer as _;
use polynomial::weights;
use proptest::prelude::*;

/// Shares of these keepers, by number from 1.
fn pick(dealt: &Dealt, indices: &[u8]) -> Vec<Share> {
    indices.iter().map(|index| copy(&dealt.shares[usize::from(*index) - 1])).collect()
}

fn copy(share: &Share) -> Share {
    Share { index: share.index, value: share.value.clone() }
}

/// The half that these shares would give if nobody looked at the commitment.
fn unchecked(sharing: &Sharing, shares: &[&Share]) -> KeeperHalf {
    sharing.half(&interpolate(&shares.iter().map(|share| (share.index, &share.value)).collect::<Vec<_>>()))
}

/// A share that is off by one.
fn wrong(share: &Share) -> Share {
    Share { index: share.index, value: Secret::new(share.value.expose(|value| value + Scalar::ONE)) }
}

fn dealt(t: usize, m: usize, seed: u64) -> Dealt {
    deal(ASSET, t, keepers(m).1, &mut rng(seed)).unwrap()
}

/// Moves shares with the dealings of these old keepers; all new keepers finish.
fn handed_over(dealt: &Dealt, dealers: &[u8], t: usize, to: &[u64], seed: u64) -> Dealt {
    let keys: Vec<_> = to.iter().map(|seed| node(*seed)).collect();
    let public = keys.iter().map(|key| key.public_key()).collect();
    let handover = Handover::new(&dealt.sharing, t, public).unwrap();
    let dealings: Vec<_> = dealers
        .iter()
        .map(|index| {
            let share = &dealt.shares[usize::from(*index) - 1];
            handover.deal(share, &node(u64::from(*index) - 1), &mut rng(seed + u64::from(*index))).unwrap()
        })
        .collect();
    let sharing = handover.sharing(&dealings).unwrap();
    let finished = keys.iter().map(|key| handover.finish(&dealings, key).unwrap());
    let shares = finished.map(|(same, share)| {
        assert_eq!(same, sharing);
        share
    });
    Dealt { shares: shares.collect(), sharing, half: dealt.half.expose(|half| KeeperHalf::from_bytes(*half)) }
}

#[test]
fn any_two_of_three_give_the_half_and_one_does_not() {
    let dealt = dealt(2, 3, 1);
    for pair in [[1, 2], [2, 3], [3, 1]] {
        assert_eq!(dealt.sharing.combine(&pick(&dealt, &pair)).unwrap(), dealt.half);
    }
    assert_eq!(dealt.sharing.combine(&pick(&dealt, &[1])), Err(SharingError::TooFew { expected: 2, got: 1 }));
    let twice = dealt.sharing.combine(&pick(&dealt, &[2, 2]));
    assert_eq!(twice, Err(SharingError::TooFew { expected: 2, got: 1 }), "one keeper does not count twice");
}

#[test]
fn the_sharing_is_frozen() {
    let dealt = deal(ASSET, 2, keepers(3).1, &mut Counter(1)).unwrap();
    assert_eq!(fingerprint(&dealt.sharing), "208ef3980ecdeca69244ecad60513e0fc3be8420d11572bbe08e4f472d7de6e3");
    assert_eq!(
        dealt.shares[0].expose(|share| hex::encode(share)),
        "f49aaa3a7f5ddf6750fdb26fd35a335d3730bb6ce0200f85559ec0390313d40b"
    );
    assert_eq!(
        dealt.half.expose(|half| hex::encode(half)),
        "ed750173a77a262c0c23edc065616f19564533b867c50012e422507510c049ce"
    );
}

#[test]
fn what_is_dealt_again_is_the_same_half_and_for_others_another_polynomial() {
    let seed = DataKey::from_bytes([7; 32]);
    let again = |t, keepers: &[ed25519::PublicKey]| deal_again(ASSET, t, keepers.to_vec(), &seed, &mut rng(1)).unwrap();
    let public = keepers(4).1;
    let first = again(2, &public[..3]);
    assert_eq!(first.half, dealt(2, 3, 1).half);
    assert_eq!(again(2, &public[..3]).sharing, first.sharing);
    let mut swapped = keepers(3).1;
    swapped.swap(0, 1);
    for (t, keepers) in [(2, &public[1..]), (2, &public[..]), (2, &public[..2]), (3, &public[..3]), (2, &swapped[..])] {
        let other = again(t, keepers);
        assert_eq!(other.half, first.half);
        for (one, other) in first.shares.iter().zip(&other.shares) {
            assert_ne!(one.value.expose(|value| *value), other.value.expose(|value| *value));
        }
    }
    // The first keeper was dealt f(1), and then f(2): of one polynomial these would give the half.
    let both = |again: &Dealt| unchecked(&first.sharing, &[&first.shares[0], &again.shares[1]]);
    assert_eq!(both(&first), first.half);
    assert_ne!(both(&again(2, &swapped)), first.half);
    for dealt in [first, again(3, &public)] {
        dealt.shares.iter().for_each(|share| dealt.sharing.verify(share).unwrap());
        assert_eq!(dealt.sharing.combine(&dealt.shares).unwrap(), dealt.half);
    }
}

#[test]
fn what_is_dealt_again_is_frozen() {
    let seed = DataKey::from_bytes([7; 32]);
    let dealt = deal_again(ASSET, 3, keepers(3).1, &seed, &mut Counter(1)).unwrap();
    assert_eq!(
        dealt.shares[1].expose(|share| hex::encode(share)),
        "74bedb5929e5d2001ef0ac66f550e9e4503c5fcab2ecfd83ef1c5157a2b5290e"
    );
}

#[test]
fn keepers_are_bounded_and_all_different() {
    for (t, m) in [(0, 3), (4, 3), (1, 65), (0, 0)] {
        let error = deal(ASSET, t, keepers(m).1, &mut rng(1)).unwrap_err();
        assert_eq!(error, SharingError::Threshold { t, m });
    }
    let mut twice = keepers(3).1;
    twice[2] = twice[0].clone();
    let error = deal(ASSET, 2, twice.clone(), &mut rng(1)).unwrap_err();
    assert_eq!(error, SharingError::Twice((&twice[0]).into()));
}

#[test]
fn a_share_reaches_its_keeper_and_nobody_else() {
    let (keys, _) = keepers(3);
    let dealt = dealt(2, 3, 1);
    let sealed = dealt.sharing.seal(&dealt.shares[1], &mut rng(2)).unwrap();
    let opened = dealt.sharing.open(&sealed, &keys[1]).unwrap();
    assert_eq!(opened.index(), 2);
    opened.expose(|opened| dealt.shares[1].expose(|share| assert_eq!(opened, share)));
    assert_eq!(dealt.sharing.open(&sealed, &keys[0]).unwrap_err(), SharingError::Refused(Refused));
    let stranger = node(99);
    assert_eq!(
        dealt.sharing.open(&sealed, &stranger).unwrap_err(),
        SharingError::NoKeeper((&stranger.public_key()).into())
    );
    let other = deal(ASSET, 2, keepers(3).1, &mut rng(9)).unwrap();
    assert_eq!(other.sharing.open(&sealed, &keys[1]).unwrap_err(), SharingError::Refused(Refused));
}

#[test]
fn a_keeper_refuses_a_share_that_the_owner_did_not_commit_to() {
    let (keys, public) = keepers(3);
    let dealt = dealt(2, 3, 1);
    let sealed = dealt.sharing.seal(&wrong(&dealt.shares[0]), &mut rng(2)).unwrap();
    assert_eq!(dealt.sharing.open(&sealed, &keys[0]).unwrap_err(), SharingError::FalseShare((&public[0]).into()));
}

#[test]
fn bytes_that_are_no_scalar_are_no_share() {
    let dealt = dealt(2, 3, 1);
    let keeper = &dealt.sharing.keepers()[0];
    // The same share plus the group's order, which other libraries take for the same number.
    let order = hex!("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0;
    let alias = dealt.shares[0].expose(|share| {
        std::array::from_fn(|at| {
            let sum = u16::from(share[at]) + u16::from(order[at]) + carry;
            carry = sum >> 8;
            sum as u8
        })
    });
    assert_eq!(dealt.sharing.share(keeper, &alias).unwrap_err(), SharingError::FalseShare(keeper.into()));
    dealt.shares[0].expose(|share| dealt.sharing.share(keeper, share)).unwrap();
}

#[test]
fn shares_are_refreshed_and_old_ones_fit_no_new_ones() {
    let before = dealt(2, 3, 1);
    let after = handed_over(&before, &[1, 3], 2, &[0, 1, 2], 10);
    assert_eq!(after.sharing.generation(), 1);
    assert_eq!(after.sharing.keepers(), before.sharing.keepers());
    assert_ne!(after.sharing.digest(), before.sharing.digest());
    assert_eq!(after.sharing.combine(&pick(&after, &[2, 3])).unwrap(), before.half);
    for (old, new) in [(1, 2), (2, 1), (3, 1)] {
        let mixed = [copy(&before.shares[old - 1]), copy(&after.shares[new - 1])];
        let keeper = NodeId::from(&before.sharing.keepers()[old - 1]);
        assert_eq!(after.sharing.combine(&mixed), Err(SharingError::FalseShare(keeper)));
        assert_ne!(unchecked(&after.sharing, &[&mixed[0], &mixed[1]]), before.half);
    }
}

#[test]
fn two_of_three_become_three_of_five() {
    let before = dealt(2, 3, 1);
    let after = handed_over(&before, &[2, 3], 3, &[2, 10, 11, 12, 13], 10);
    assert_eq!(after.sharing.threshold(), Threshold::new(3, 5).unwrap());
    for three in [[1, 2, 3], [3, 4, 5], [5, 1, 3]] {
        assert_eq!(after.sharing.combine(&pick(&after, &three)).unwrap(), before.half);
    }
    assert_eq!(after.sharing.combine(&pick(&after, &[1, 2])), Err(SharingError::TooFew { expected: 3, got: 2 }));
    assert_ne!(unchecked(&after.sharing, &[&after.shares[0], &after.shares[1]]), before.half);
    // Two shares of the first generation were enough; one of them is worth nothing among the new.
    let mixed = [&after.shares[0], &after.shares[1], &Share { index: 3, value: before.shares[0].value.clone() }];
    assert_ne!(unchecked(&after.sharing, &mixed), before.half);
}

#[test]
fn whoever_takes_part_the_secret_stays() {
    let before = dealt(2, 4, 1);
    for dealers in [[1, 2], [2, 4], [4, 3]] {
        let after = handed_over(&before, &dealers, 3, &[20, 21, 22], 30);
        assert_eq!(after.sharing.combine(&pick(&after, &[1, 2, 3])).unwrap(), before.half);
    }
}

#[test]
fn a_dealer_of_something_else_is_named() {
    let (keys, public) = keepers(3);
    let before = dealt(2, 3, 1);
    let handover = Handover::new(&before.sharing, 2, keepers(5).1).unwrap();
    let honest = handover.deal(&before.shares[0], &keys[0], &mut rng(2)).unwrap();
    let lie = handover.deal_value(&wrong(&before.shares[1]).value, &keys[1], &mut rng(3)).unwrap();
    let expected = HandoverError::FalseDealing((&public[1]).into());
    assert_eq!(handover.check(&honest), Ok(()));
    assert_eq!(handover.check(&lie), Err(expected.clone()));
    assert_eq!(handover.sharing(&[honest.clone(), lie]), Err(expected));
    // An honest keeper does not even begin with another's share.
    let others = handover.deal(&before.shares[1], &keys[0], &mut rng(2)).unwrap_err();
    assert_eq!(others, HandoverError::Sharing(SharingError::NoKeeper((&public[0]).into())));
    let stranger = handover.deal_value(&before.shares[0].value, &node(50), &mut rng(2)).unwrap();
    let nobody = HandoverError::Sharing(SharingError::NoKeeper((&node(50).public_key()).into()));
    assert_eq!(handover.check(&stranger), Err(nobody));
    let count = HandoverError::Count { expected: 2, got: 2, different: 1 };
    assert_eq!(handover.sharing(&[honest.clone(), honest]), Err(count));
}

#[test]
fn a_dealer_of_false_parts_is_named_by_who_gets_them() {
    let (keys, public) = keepers(3);
    let before = dealt(2, 3, 1);
    let handover = Handover::new(&before.sharing, 2, keepers(3).1).unwrap();
    let honest = handover.deal(&before.shares[0], &keys[0], &mut rng(2)).unwrap();
    let mut lie = handover.deal(&before.shares[1], &keys[1], &mut rng(3)).unwrap();
    // Keeper 3 gets what is keeper 2's, under a signature that holds.
    let (dealer, to) = (&public[1], ReaderKey::of_node(&public[2]).unwrap());
    let binding = handover.binding(dealer, &public[2]);
    lie.parts[2] = SealedSecret::seal(&to, Purpose::Part, &binding, &[1; 32], &mut rng(4)).unwrap();
    assert_eq!(handover.check(&lie), Err(HandoverError::FalseDealing(dealer.into())), "the old signature");
    let message = handover.signed(dealer, &lie.commitment, &lie.parts);
    lie.signature = keys[1].sign(crate::statement::DEALING, &message);
    let dealings = [honest.clone(), lie];
    handover.sharing(&dealings).expect("nobody else sees it");
    handover.finish(&dealings, &keys[0]).expect("and the others have true parts");
    assert_eq!(handover.finish(&dealings, &keys[2]).unwrap_err(), HandoverError::FalseParts(vec![dealer.into()]));
    // Without the liar it goes on.
    let third = handover.deal(&before.shares[2], &keys[2], &mut rng(5)).unwrap();
    let dealings = [honest, third];
    let finished: Vec<_> = keys.iter().map(|key| handover.finish(&dealings, key).unwrap()).collect();
    let shares: Vec<_> = finished.iter().map(|(_, share)| copy(share)).collect();
    assert_eq!(finished[0].0.combine(&shares).unwrap(), before.half);
}

#[test]
fn a_dealing_is_good_for_one_handover() {
    let (keys, public) = keepers(3);
    let before = dealt(2, 3, 1);
    let handover = Handover::new(&before.sharing, 2, keepers(3).1).unwrap();
    let dealing = handover.deal(&before.shares[0], &keys[0], &mut rng(2)).unwrap();
    let mut reversed = keepers(3).1;
    reversed.reverse();
    let after = handed_over(&before, &[1, 2], 2, &[0, 1, 2], 10);
    for other in [
        Handover::new(&before.sharing, 2, reversed).unwrap(),
        Handover::new(&before.sharing, 2, keepers(4).1).unwrap(),
        Handover::new(&after.sharing, 2, keepers(3).1).unwrap(),
    ] {
        assert_eq!(other.check(&dealing), Err(HandoverError::FalseDealing((&public[0]).into())));
    }
}

#[test]
fn a_sharing_and_a_dealing_have_one_encoding() {
    let (keys, _) = keepers(3);
    let before = dealt(2, 3, 1);
    has_one_encoding(&before.sharing);
    let handover = Handover::new(&before.sharing, 1, keepers(2).1).unwrap();
    has_one_encoding(&handover.deal(&before.shares[0], &keys[0], &mut rng(2)).unwrap());
    // A count that promises much takes no memory.
    let bytes = [&[0; 36][..], &[255]].concat();
    assert!(Sharing::decode(Copying(&bytes[..])).is_err());
}

#[test]
fn a_commitment_to_nothing_is_refused() {
    let dealt = dealt(2, 3, 1);
    let mut bytes = dealt.sharing.encode().to_vec();
    let end = bytes.len();
    bytes[end - 32..].fill(0);
    let Err(CodecError::Wrapped(_, error)) = Sharing::decode(Copying(&bytes[..])) else { panic!("it is refused") };
    assert_eq!(error.to_string(), SharingError::Identity.to_string());
}

#[test]
fn debug_shows_no_share() {
    let dealt = dealt(2, 3, 1);
    let shown = format!("{dealt:?}");
    assert!(shown.contains("Share { index: 1, value: Secret([REDACTED]) }"), "{shown}");
    dealt.shares[0].expose(|share| assert!(!shown.contains(&hex::encode(share))));
    dealt.half.expose(|half| assert!(!shown.contains(&hex::encode(half))));
}

/// `t ≤ m`, and as many as `t` of the keepers in any order.
fn choices(most: usize) -> impl Strategy<Value = (usize, usize, Vec<u8>, u64)> {
    (1..=most).prop_flat_map(|m| (1..=m, Just(m))).prop_flat_map(|(t, m)| {
        (Just(t), Just(m), Just((1..=m as u8).collect::<Vec<_>>()).prop_shuffle(), any::<u64>())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_t_of_m_give_the_half((t, m, order, seed) in choices(20)) {
        let dealt = dealt(t, m, seed);
        for share in &dealt.shares {
            dealt.sharing.verify(share).unwrap();
        }
        prop_assert_eq!(dealt.sharing.combine(&pick(&dealt, &order[..t])).unwrap(), dealt.half);
    }

    #[test]
    fn what_fewer_than_t_have_fits_any_secret((t, m, order, seed) in choices(12), other: u64) {
        let dealt = dealt(t, m, seed);
        let few = pick(&dealt, &order[..t - 1]);
        // For whatever secret there is one share of one more keeper that leads to it: the t − 1 have not ruled it out.
        let secret = Scalar::random(&mut rng(other));
        let indices: Vec<_> = order[..t].to_vec();
        let weights = weights(&indices);
        let sum = few.iter().zip(&weights).map(|(share, weight)| share.value.expose(|value| value * weight));
        let rest = secret - sum.fold(Scalar::ZERO, |sum, term| sum + term);
        let invented = Share { index: order[t - 1], value: Secret::new(rest * weights[t - 1].invert()) };
        let shares: Vec<_> = few.iter().chain([&invented]).collect();
        let half = dealt.sharing.half(&Secret::new(secret));
        prop_assert_eq!(unchecked(&dealt.sharing, &shares), half);
        // Only the commitment tells, which hides the secret behind a discrete logarithm.
        if secret != dealt.shares[0].value.expose(|share| *share) {
            let keeper = NodeId::from(&dealt.sharing.keepers()[usize::from(order[t - 1]) - 1]);
            prop_assert_eq!(dealt.sharing.verify(&invented), Err(SharingError::FalseShare(keeper)));
        }
    }

    #[test]
    fn a_wrong_share_names_its_keeper((t, m, order, seed) in choices(12), liar: prop::sample::Index) {
        let dealt = dealt(t, m, seed);
        let mut shares = pick(&dealt, &order[..t]);
        let liar = liar.index(t);
        shares[liar] = wrong(&shares[liar]);
        let keeper = NodeId::from(&dealt.sharing.keepers()[usize::from(order[liar]) - 1]);
        prop_assert_eq!(dealt.sharing.combine(&shares), Err(SharingError::FalseShare(keeper)));
    }

    #[test]
    fn any_handover_keeps_the_half((t, m, order, seed) in choices(6), (t2, m2, order2, _) in choices(6)) {
        let before = dealt(t, m, seed);
        let to: Vec<_> = (0..m2 as u64).map(|at| at * 2).collect();
        let after = handed_over(&before, &order[..t], t2, &to, seed / 2);
        prop_assert_eq!(after.sharing.combine(&pick(&after, &order2[..t2])).unwrap(), before.half);
    }

    #[test]
    fn any_bytes_are_decoded_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Sharing::decode(Copying(&bytes[..]));
        let _ = Dealing::decode(Copying(&bytes[..]));
    }
}
