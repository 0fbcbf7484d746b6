//! What nodes that keep things for others are asked.

use crate::Target;
use alloy_primitives::B256;
use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use commonware_cryptography::{Signer as _, ed25519};
use rand::{SeedableRng as _, rngs::StdRng};
use stoa_data::keeper::{
    Request, Taken,
    plan::{Acceptance, Move, Plan},
};
use stoa_privacy::{AssetId, Sharing, deal};
use stoa_store::request_again;

/// What nodes that keep things for others are asked.
pub const TARGET: Target = Target { name: "request", run, seeds };

/// The first byte says who is asked: a keeper, a store, or who moves shares.
fn run(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else { return false };
    let again = match kind {
        0 => Request::from_bytes(bytes).ok().map(|request| {
            if let Request::Take(moved, _) | Request::Vote(moved, _) = &request {
                // It may be any move: to look at it is safe.
                let _ = moved.sharing();
            }
            request.to_bytes()
        }),
        1 => request_again(bytes),
        2 => Taken::from_bytes(bytes).map(|taken| taken.to_bytes()),
        _ => None,
    };
    again.is_some_and(|again| {
        assert_eq!(again, bytes, "it has one encoding");
        true
    })
}

fn seeds() -> Vec<Vec<u8>> {
    let (asset, mut rng) = (AssetId(B256::repeat_byte(1)), StdRng::seed_from_u64(0));
    let keys: Vec<_> = (0..3).map(ed25519::PrivateKey::from_seed).collect();
    let keepers: Vec<_> = keys.iter().map(|key| key.public_key()).collect();
    let dealt = deal(asset, 2, keepers.clone(), &mut rng).expect("there can be three keepers");
    let from = Sharing::decode(Copying(&dealt.sharing.encode()[..])).expect("it was encoded");
    let plan = Plan { needed: 2, keepers };
    let handover = plan.handover(&from).expect("there can be three keepers");
    let dealing = |index: usize| handover.deal(&dealt.shares[index], &keys[index], &mut StdRng::seed_from_u64(1));
    let dealings = [0, 1].map(|index| dealing(index).expect("it is the keeper's share")).to_vec();
    let moved = Move { from: from.clone(), plan: plan.clone(), dealings };
    let sharing = moved.sharing().expect("the dealings are true");
    let acceptances: Vec<_> = keys.iter().map(|key| Acceptance::new(key, &sharing)).collect();
    let sealed = dealt.sharing.seal(&dealt.shares[0], &mut rng).expect("the keeper has a secret");
    let word = asset.0;
    let taken = Taken::Accepted(Box::new(acceptances[0].clone()));
    let keeper = [
        Request::Share(dealt.sharing.clone(), sealed),
        Request::Sharing(word),
        Request::HalfOf(word),
        Request::Release(word),
        Request::Receipts(word),
        Request::Deal(word, plan.clone(), None),
        Request::Deal(word, plan, Some([7; 65])),
        Request::Take(Box::new(moved.clone()), None),
        Request::Take(Box::new(moved.clone()), Some([7; 65])),
        Request::Vote(Box::new(moved), acceptances),
    ];
    // As `stoa/store/1` writes them: has, keep, room, let go.
    let store = [
        [&[0x80, 0, 2][..], &[1; 64]].concat(),
        [&[0x81][..], &[1; 64], &[0; 8], &[0, 1], &[2; 32], &[0; 8]].concat(),
        vec![0x82],
        [&[0x83][..], &[1; 32]].concat(),
    ];
    let with = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    let mut seeds: Vec<_> = keeper.iter().map(|request| with(0, &request.to_bytes())).collect();
    seeds.extend(store.iter().map(|request| with(1, request)));
    let node = stoa_base::NodeId([3; 32]);
    seeds.extend([taken, Taken::False(vec![node])].map(|taken| with(2, &taken.to_bytes())));
    seeds
}
