//! The way from an owner to a reader, and what may go wrong on it.

use crate::{
    testing::{ASSET, Counter, block, fingerprint, has_one_encoding, keepers, node, reader_key, rng},
    *,
};
use alloy_primitives::B256;
use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use commonware_cryptography::{Signer as _, ed25519};
use proptest::prelude::*;

const GRANT: GrantId = GrantId(B256::repeat_byte(0x06));

/// Two of three keepers, one reader, one grant.
struct Scene {
    keys: Vec<ed25519::PrivateKey>,
    dealt: Dealt,
    owner: OwnerHalf,
    reader: ed25519::PrivateKey,
    grant: Grant,
}

fn scene() -> Scene {
    let (keys, public) = keepers(3);
    let reader = node(77);
    let grant = Grant { asset: ASSET, id: GRANT, reader: Reader::Node((&reader.public_key()).into()) };
    let dealt = deal(ASSET, 2, public, &mut rng(1)).unwrap();
    Scene { keys, dealt, owner: OwnerHalf::generate(&mut rng(2)), reader, grant }
}

impl Scene {
    fn release(&self, keeper: usize, at: u64) -> Release {
        let (sharing, share) = (&self.dealt.sharing, &self.dealt.shares[keeper]);
        let to = reader_key(&self.reader);
        Release::new(&self.keys[keeper], sharing, share, &self.grant, &to, block(at), &mut rng(at)).unwrap()
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted { grant: &self.grant, sharing: &self.dealt.sharing, not_before: 90 }
    }

    fn secret(&self) -> ReadingSecret {
        ReadingSecret::of_node(&self.reader)
    }

    fn keeper(&self, at: usize) -> NodeId {
        (&self.keys[at].public_key()).into()
    }
}

#[test]
fn a_reader_with_a_grant_and_enough_keepers_opens_the_object() {
    let scene = scene();
    let key = DataKey::from_halves(&scene.owner, &scene.dealt.half, ASSET);
    let asset = object::seal(&key, ASSET, b"the data", &mut rng(3)).unwrap();
    let granted = GrantedHalf::seal(ASSET, GRANT, &reader_key(&scene.reader), &scene.owner, &mut rng(4)).unwrap();
    assert_eq!(granted.grant, scene.grant);
    // From here on the owner is away.
    let secret = scene.secret();
    let owner = granted.open(&scene.grant, &secret).unwrap();
    let shares: Vec<_> = [2, 0].map(|keeper| scene.release(keeper, 100).open(&scene.wanted(), &secret).unwrap()).into();
    let keepers = scene.dealt.sharing.combine(&shares).unwrap();
    let key = DataKey::from_halves(&owner, &keepers, ASSET);
    assert_eq!(object::open(&key, ASSET, &asset).unwrap(), b"the data");
    let alone = DataKey::from_keepers_only(&keepers, ASSET);
    assert_eq!(object::open(&alone, ASSET, &asset), Err(object::ObjectError::Key), "keepers alone do not");
}

#[test]
fn a_release_is_no_good_for_another_grant_reader_object_or_sharing() {
    let scene = scene();
    let (release, secret) = (scene.release(0, 100), scene.secret());
    release.open(&scene.wanted(), &secret).unwrap();
    let stranger = node(3);
    for grant in [
        Grant { id: GrantId(B256::ZERO), ..scene.grant },
        Grant { asset: AssetId(B256::ZERO), ..scene.grant },
        Grant { reader: Reader::Node((&stranger.public_key()).into()), ..scene.grant },
    ] {
        let wanted = Wanted { grant: &grant, ..scene.wanted() };
        assert_eq!(release.open(&wanted, &secret).unwrap_err(), ReleaseError::Other);
    }
    let other = deal(ASSET, 2, keepers(3).1, &mut rng(50)).unwrap();
    let wanted = Wanted { sharing: &other.sharing, ..scene.wanted() };
    assert_eq!(release.open(&wanted, &secret).unwrap_err(), ReleaseError::Other);
    let error = release.open(&scene.wanted(), &ReadingSecret::of_node(&stranger)).unwrap_err();
    assert_eq!(error, ReleaseError::Box(scene.keeper(0)));
}

#[test]
fn an_old_release_is_refused() {
    let scene = scene();
    let error = scene.release(0, 89).open(&scene.wanted(), &scene.secret()).unwrap_err();
    assert_eq!(error, ReleaseError::Old { seen: 89, not_before: 90 });
    scene.release(0, 90).open(&scene.wanted(), &scene.secret()).unwrap();
}

#[test]
fn no_byte_of_a_release_can_be_changed() {
    let scene = scene();
    let bytes = scene.release(1, 100).encode().to_vec();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let Ok(release) = Release::decode(Copying(&changed[..])) else { continue };
        assert!(release.open(&scene.wanted(), &scene.secret()).is_err(), "byte {at}");
    }
}

#[test]
fn a_box_moved_into_another_release_of_the_same_keeper_is_refused() {
    let scene = scene();
    let (old, new) = (scene.release(0, 95).encode(), scene.release(0, 100).encode());
    let mixed = [&new[..201], &old[201..281], &new[281..]].concat();
    let error = Release::decode(Copying(&mixed[..])).unwrap().open(&scene.wanted(), &scene.secret()).unwrap_err();
    assert_eq!(error, ReleaseError::Signature(scene.keeper(0)));
}

#[test]
fn a_keeper_that_signs_a_false_share_is_named() {
    let scene = scene();
    // It gives what belongs to keeper 2, under its own name and a signature that holds.
    let honest = scene.release(0, 100);
    let lie = scene.dealt.shares[1].expose(|share| honest.with_share(&scene.keys[0], &scene.reader, share));
    let error = lie.open(&scene.wanted(), &scene.secret()).unwrap_err();
    assert_eq!(error, ReleaseError::Sharing(SharingError::FalseShare(scene.keeper(0))));
}

#[test]
fn a_node_that_keeps_no_share_releases_none() {
    let scene = scene();
    let Scene { dealt, grant, reader, .. } = &scene;
    let stranger = node(9);
    let to = reader_key(reader);
    let release = |key, grant: &_, to: &_| {
        Release::new(key, &dealt.sharing, &dealt.shares[0], grant, to, block(1), &mut rng(1)).unwrap_err()
    };
    let nobody = SharingError::NoKeeper((&stranger.public_key()).into());
    assert_eq!(release(&stranger, grant, &to), ReleaseError::Sharing(nobody));
    let not_its_own = SharingError::NoKeeper(scene.keeper(1));
    assert_eq!(release(&scene.keys[1], grant, &to), ReleaseError::Sharing(not_its_own));
    assert_eq!(release(&scene.keys[0], grant, &reader_key(&stranger)), ReleaseError::Other);
    let other = Grant { asset: AssetId(B256::ZERO), ..*grant };
    assert_eq!(release(&scene.keys[0], &other, &to), ReleaseError::Asset);
}

#[test]
fn a_release_after_the_revocation_is_shown_and_one_before_is_not() {
    let scene = scene();
    let keeper = scene.keeper(0);
    let evidence = scene.release(0, 100).evidence();
    let hash = Some(block(100).hash);
    for revoked in [99, 100] {
        let breach = Breach::AfterRevocation { keeper, seen: 100, revoked };
        assert_eq!(evidence.breach(Some(revoked), hash), Ok(Some(breach)));
    }
    assert_eq!(evidence.breach(Some(101), hash), Ok(None));
    assert_eq!(evidence.breach(None, hash), Ok(None));
    assert_eq!(evidence.breach(None, None), Ok(None), "a ledger that has not come so far says nothing");
    let invented = Breach::NoSuchBlock { keeper, seen: 100 };
    assert_eq!(evidence.breach(Some(101), Some(B256::ZERO)), Ok(Some(invented)));
}

#[test]
fn nobody_makes_evidence_against_a_keeper() {
    let scene = scene();
    let evidence = scene.release(0, 100).evidence();
    has_one_encoding(&evidence);
    let bytes = evidence.encode();
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        let Ok(forged) = Evidence::decode(Copying(&changed[..])) else { continue };
        let keeper = NodeId::from(&forged.claim().keeper);
        assert_eq!(forged.breach(Some(0), None), Err(NoEvidence(keeper)), "byte {at}");
    }
}

#[test]
fn a_release_of_what_was_deleted_is_shown() {
    let scene = scene();
    let (keeper, digest) = (scene.keeper(0), scene.dealt.sharing.digest());
    let (before, after) = (scene.release(0, 100).evidence(), scene.release(0, 101).evidence());
    let breach = Breach::AfterDeletion { keeper, seen: 101, deleted: 100 };
    for deleted in [Deleted::Grant(GRANT), Deleted::Sharing(digest), Deleted::Asset] {
        let receipt = DeletionReceipt::new(&scene.keys[0], ASSET, deleted, block(100));
        has_one_encoding(&receipt);
        receipt.verify().unwrap();
        assert_eq!(receipt.contradicts(&after), Ok(Some(breach.clone())));
        assert_eq!(receipt.contradicts(&before), Ok(None), "the same block may be before the deletion");
        assert_eq!(receipt.contradicts(&scene.release(1, 101).evidence()), Ok(None), "another keeper");
    }
    for (asset, deleted) in [
        (ASSET, Deleted::Grant(GrantId(B256::ZERO))),
        (ASSET, Deleted::Sharing(B256::ZERO)),
        (AssetId(B256::ZERO), Deleted::Asset),
    ] {
        let receipt = DeletionReceipt::new(&scene.keys[0], asset, deleted, block(100));
        assert_eq!(receipt.contradicts(&after), Ok(None), "it says nothing of that");
    }
    let receipt = DeletionReceipt::new(&scene.keys[0], ASSET, Deleted::Asset, block(100));
    let mut forged = receipt.encode().to_vec();
    forged[32] ^= 1;
    let forged = DeletionReceipt::decode(Copying(&forged[..])).unwrap();
    assert_eq!(forged.verify(), Err(NoEvidence(keeper)));
    assert_eq!(forged.contradicts(&after), Err(NoEvidence(keeper)));
}

#[test]
fn the_statements_are_frozen() {
    let scene = scene();
    let sharing = deal(ASSET, 2, keepers(3).1, &mut Counter(1)).unwrap();
    let to = reader_key(&scene.reader);
    let half = OwnerHalf::from_bytes([5; 32]);
    let granted = GrantedHalf::seal(ASSET, GRANT, &to, &half, &mut Counter(1)).unwrap();
    assert_eq!(fingerprint(&granted), "b25838ca9b8b8925ea2c9dc3743bd5eda08ff7ddae6b36b5047e126c79ecbac6");
    let share = &sharing.shares[0];
    let release =
        Release::new(&scene.keys[0], &sharing.sharing, share, &scene.grant, &to, block(100), &mut Counter(1)).unwrap();
    assert_eq!(fingerprint(&release), "ded3b1e2a8e0f00460c0f1f294e8db6f2e03e159ca1fa9b2a234ba59093618e3");
    let receipt = DeletionReceipt::new(&scene.keys[0], ASSET, Deleted::Grant(GRANT), block(100));
    assert_eq!(fingerprint(&receipt), "15356a9d04da99d4862de2e6d7185c8b9ea6092483651f026ff857da4c8e6891");
}

#[test]
fn what_nodes_send_has_one_encoding() {
    has_one_encoding(&scene().release(0, 100));
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Release::decode(Copying(&bytes[..]));
        let _ = Evidence::decode(Copying(&bytes[..]));
        let _ = DeletionReceipt::decode(Copying(&bytes[..]));
        let _ = GrantedHalf::decode(Copying(&bytes[..]));
        let _ = Announcement::decode(Copying(&bytes[..]));
    }
}
