//! What owners, keepers and readers send each other about a grant.

use crate::{CHAIN_ID, Target, signer};
use alloy_primitives::B256;
use alloy_signer::SignerSync as _;
use commonware_codec::{Copying, DecodeExt as _, Encode, Read};
use commonware_cryptography::{Signer as _, ed25519};
use rand::{SeedableRng as _, rngs::StdRng};
use std::sync::LazyLock;
use stoa_privacy::{
    Announcement, AssetId, Dealing, Dealt, Deleted, DeletionReceipt, Evidence, Grant, GrantId, GrantedHalf, Handover,
    OwnerHalf, Reader, ReaderKey, ReadingKey, ReadingSecret, Release, Seen, Sharing, Wanted, deal,
};

/// What owners, keepers and readers send each other about a grant.
pub const TARGET: Target = Target { name: "grant", run, seeds };

const SEEN: Seen = Seen { number: 100, hash: B256::repeat_byte(4) };

/// One grant, and one true statement of each kind about it.
struct Example {
    grant: Grant,
    reader: ed25519::PrivateKey,
    dealt: Dealt,
    keepers: Vec<ed25519::PublicKey>,
    release: Release,
    receipt: DeletionReceipt,
    granted: GrantedHalf,
    dealing: Dealing,
    announcement: Announcement,
}

static EXAMPLE: LazyLock<Example> = LazyLock::new(|| {
    let (asset, id, mut rng) = (AssetId(B256::repeat_byte(1)), GrantId(B256::repeat_byte(2)), StdRng::seed_from_u64(0));
    let keys: Vec<_> = (0..3).map(ed25519::PrivateKey::from_seed).collect();
    let keepers: Vec<_> = keys.iter().map(|key| key.public_key()).collect();
    let reader = ed25519::PrivateKey::from_seed(3);
    let to = ReaderKey::of_node(&reader.public_key()).expect("it has a secret");
    let dealt = deal(asset, 2, keepers.clone(), &mut rng).expect("there can be three keepers");
    let grant = Grant { asset, id, reader: to.reader() };
    let release = Release::new(&keys[0], &dealt.sharing, &dealt.shares[0], &grant, &to, SEEN, &mut rng);
    let granted = GrantedHalf::seal(asset, id, &to, &OwnerHalf::generate(&mut rng), &mut rng);
    let handover = Handover::new(&dealt.sharing, 1, keepers.clone()).expect("there can be three keepers");
    let dealing = handover.deal(&dealt.shares[0], &keys[0], &mut rng).expect("it is the keeper's share");
    let wallet = ReadingKey { wallet: signer(0).address(), chain_id: CHAIN_ID, version: 0 };
    let key = to.to_bytes();
    let signature = signer(0).sign_hash_sync(&wallet.announcement_digest(&key)).expect("a local key signs");
    Example {
        release: release.expect("the keeper has the share"),
        receipt: DeletionReceipt::new(&keys[0], asset, Deleted::Grant(id), SEEN),
        granted: granted.expect("the reader has a secret"),
        announcement: wallet.announce(key, &signature).expect("the wallet signed"),
        grant,
        reader,
        dealt,
        keepers,
        dealing,
    }
});

/// Decodes, and checks that these bytes are the one encoding of what came out.
fn decode<T: Read<Cfg = ()> + Encode>(bytes: &[u8]) -> Option<T> {
    let value = T::decode(Copying(bytes)).ok()?;
    assert_eq!(value.encode().as_ref(), bytes, "it has one encoding");
    Some(value)
}

/// The first byte says what the others are.
fn run(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else { return false };
    let Example { grant, reader, dealt, keepers, release, receipt, granted, dealing, announcement } = &*EXAMPLE;
    match kind {
        0 => decode::<Release>(bytes).is_some_and(|got| {
            let wanted = Wanted { grant, sharing: &dealt.sharing, not_before: 0 };
            let opened = got.open(&wanted, &ReadingSecret::of_node(reader));
            assert_eq!(opened.is_ok(), got == *release, "only the true release opens");
            true
        }),
        1 => decode::<Evidence>(bytes).is_some_and(|got| {
            assert_eq!(got.verify().is_ok(), got == release.evidence(), "nobody forges evidence");
            true
        }),
        2 => decode::<DeletionReceipt>(bytes).is_some_and(|got| {
            assert_eq!(got.verify().is_ok(), got == *receipt, "nobody forges a receipt");
            true
        }),
        3 => decode::<GrantedHalf>(bytes).is_some_and(|got| {
            let opened = got.open(grant, &ReadingSecret::of_node(reader));
            assert_eq!(opened.is_ok(), got == *granted, "only the true half opens");
            true
        }),
        4 => decode::<Dealing>(bytes).is_some_and(|got| {
            let handover = Handover::new(&dealt.sharing, 1, keepers.clone()).expect("there can be three keepers");
            assert_eq!(handover.check(&got).is_ok(), got == *dealing, "nobody forges a dealing");
            true
        }),
        5 => decode::<Announcement>(bytes).is_some_and(|got| {
            assert_eq!(got.verify(CHAIN_ID).is_ok(), got == *announcement, "nobody forges an announcement");
            true
        }),
        6 => decode::<Sharing>(bytes).is_some_and(|got| {
            assert_eq!(got.digest() == dealt.sharing.digest(), got == dealt.sharing, "a digest is of one sharing");
            true
        }),
        7 => decode::<Reader>(bytes).is_some(),
        _ => false,
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let Example { grant, dealt, release, receipt, granted, dealing, announcement, .. } = &*EXAMPLE;
    let encodings = [
        release.encode(),
        release.evidence().encode(),
        receipt.encode(),
        granted.encode(),
        dealing.encode(),
        announcement.encode(),
        dealt.sharing.encode(),
        grant.reader.encode(),
    ];
    encodings.iter().enumerate().map(|(kind, bytes)| [&[kind as u8], bytes.as_ref()].concat()).collect()
}
