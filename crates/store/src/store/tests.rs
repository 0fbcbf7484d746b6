use super::{blob::cost, recovery::list, space::overhead, *};
use crate::{Code, Coding, Kind, Manifest, ObjectId, Plain, Put, Sealing};
use commonware_codec::Encode as _;
use proptest::prelude::*;
use std::{
    collections::HashSet,
    io::{BufRead as _, BufReader, Read, Write as _},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// The same bytes for the same seed.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_be_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn open(folder: &Path) -> Store {
    Store::open(folder, Limits { margin: 0, ..Limits::default() }).unwrap()
}

fn get(store: &Store, id: ObjectId) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    store.get(id, &mut out).map(|_| out)
}

fn spread(k: u8, n: u8) -> Put<'static> {
    Put { code: Code::new(k, n), ..Put::default() }
}

fn local(object: ObjectId) -> Root {
    Root { object, owner: Owner::LOCAL }
}

/// Loses a blob as a broken disk does.
fn damage(folder: &Path, store: &Store, hash: BlobHash, at: u64) {
    match store.inner.index.blob(hash).unwrap().unwrap() {
        (Place::File, _) => {
            let path = &paths(&folder.join("blobs"), hash)[0];
            let mut file = fs::read(path).unwrap();
            file[at as usize] ^= 1;
            fs::write(path, file).unwrap();
        }
        (_, len) => {
            let mut small = store.inner.index.small(hash).unwrap().unwrap().to_vec();
            small[(at % len) as usize] ^= 1;
            let mut change = store.inner.index.change();
            change.put_small(hash, small);
            change.commit().unwrap();
        }
    }
}

fn encoded(store: &Store, hash: BlobHash, range: Range<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    store.encode(hash, range, &mut out).unwrap();
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn what_is_put_comes_back_after_n_minus_k_pieces_are_damaged(
        code in prop::sample::select(vec![(4, 10), (1, 1), (1, 3), (16, 24), (3, 4), (40, 60)]),
        len in prop_oneof![0..200_usize, 0..300_000_usize, 1_000_000..3_000_000_usize],
        seed in any::<u64>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (content, store) = (bytes(seed, len), open(folder.path()));
        let id = store.put(&content[..], spread(code.0, code.1)).unwrap();
        prop_assert_eq!(get(&store, id).unwrap(), content.clone());
        let manifest = store.manifest(id).unwrap();
        let pieces = manifest.blobs();
        if pieces[0].1 == 0 {
            return Ok(());
        }
        let mut order: Vec<_> = (0..pieces.len()).collect();
        order.sort_by_key(|number| BlobHash::of(&[seed.to_be_bytes(), number.to_be_bytes()].concat()));
        let (lost, left) = order.split_at((code.1 - code.0).into());
        // Pieces may be the same where the code repeats the content: damaging one damages all of them.
        let kept: HashSet<_> = left.iter().map(|number| pieces[*number].0).collect();
        let mut lost: Vec<_> = lost.iter().map(|number| pieces[*number].0).filter(|hash| !kept.contains(hash)).collect();
        lost.sort();
        lost.dedup();
        for hash in &lost {
            damage(folder.path(), &store, *hash, seed % pieces[0].1);
        }
        prop_assert_eq!(get(&store, id).unwrap(), content.clone());
        // They are noticed and rebuilt from the others.
        let mut found = store.scrub().unwrap().damaged;
        found.sort();
        prop_assert_eq!(&found, &lost);
        let wanted: Vec<_> = (0..pieces.len()).filter(|number| found.contains(&pieces[*number].0)).collect();
        store.rebuild(id, local(id), None, &wanted).unwrap();
        prop_assert_eq!(store.scrub().unwrap().damaged, vec![]);
        prop_assert_eq!(store.status().unwrap().expected, 0);
        // Now others may go.
        let mut left = usize::from(code.1 - code.0);
        for hash in kept {
            let same = pieces.iter().filter(|(other, _)| *other == hash).count();
            if same <= left {
                left -= same;
                damage(folder.path(), &store, hash, 0);
            }
        }
        prop_assert_eq!(get(&store, id).unwrap(), content);
    }

    #[test]
    fn whole_objects_come_back_after_a_restart(lens in prop::collection::vec(0..400_000_usize, 1..8)) {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let mut batch = store.batch(Put::default());
        let put = |(seed, len): (usize, &usize)| batch.put(&bytes(seed as u64, *len)[..], Kind::File).unwrap();
        let ids: Vec<_> = lens.iter().enumerate().map(put).collect();
        batch.commit().unwrap();
        let status = store.status().unwrap();
        drop(store);
        let store = open(folder.path());
        prop_assert_eq!(store.found(), &Found::default());
        let again = store.status().unwrap();
        prop_assert_eq!((again.kept, again.owners, again.reserved), (status.kept, status.owners, 0));
        for (seed, (id, len)) in ids.into_iter().zip(lens).enumerate() {
            prop_assert_eq!(get(&store, id).unwrap(), bytes(seed as u64, len));
        }
    }
}

#[test]
fn more_lost_pieces_than_the_code_allows_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let id = store.put(&bytes(1, 500_000)[..], spread(4, 6)).unwrap();
    for (hash, _) in &store.manifest(id).unwrap().blobs()[..3] {
        damage(folder.path(), &store, *hash, 9);
    }
    let error = get(&store, id).unwrap_err();
    assert!(matches!(error, Error::TooFewPieces { have: 3, needed: 4, .. }), "{error}");
}

#[test]
fn a_damaged_blob_is_not_given_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for len in [100, 3 << 20] {
        let id = store.put(&bytes(1, len)[..], Put::default()).unwrap();
        let content = store.manifest(id).unwrap().content;
        damage(folder.path(), &store, content, len as u64 / 2);
        assert!(matches!(get(&store, id), Err(Error::Corrupt(hash)) if hash == content));
        assert!(store.encode(content, 0..len as u64, io::sink()).is_err());
    }
    // What is not damaged of a long one can still be read.
    let id = store.put(&bytes(1, 3 << 20)[..], Put::default()).unwrap();
    let blob = store.blob(store.manifest(id).unwrap().content).unwrap();
    assert_eq!(blob.read(100..200).unwrap(), &bytes(1, 200)[100..]);
}

#[test]
fn what_several_keep_goes_with_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let content = bytes(1, 200_000);
    let other = Owner([7; 32]);
    let id = store.put(&content[..], Put::default()).unwrap();
    let kept = store.status().unwrap().kept;
    let until = Some(100);
    assert_eq!(store.put(&content[..], Put { owner: other, until, ..Put::default() }).unwrap(), id);
    let more = overhead(other);
    assert_eq!(store.status().unwrap().kept, kept + more, "kept once");
    assert_eq!(store.status().unwrap().owners, HashMap::from([(Owner::LOCAL, kept), (other, kept + more)]));
    assert!(store.release(local(id)).unwrap());
    assert!(!store.release(local(id)).unwrap());
    assert_eq!(store.collect(99).unwrap(), Collected::default());
    assert_eq!(get(&store, id).unwrap(), content);
    assert_eq!(store.collect(100).unwrap(), Collected { roots: 1, blobs: 2, bytes: kept });
    assert!(matches!(get(&store, id), Err(Error::NotHere(_))));
    let status = store.status().unwrap();
    assert_eq!(status, Status { free: status.free, ..Status::default() });
    assert_eq!(list(&folder.path().join("blobs")).unwrap().iter().flat_map(|at| list(at).unwrap()).count(), 0);
}

#[test]
fn a_collection_takes_nothing_that_is_being_put() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let content = bytes(1, 100_000);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                store.collect(u64::MAX - 1).unwrap();
            }
        });
        // The content is there already each time, kept by what the other thread ends.
        for _ in 0..15 {
            store.put(&content[..], Put { until: Some(1), ..Put::default() }).unwrap();
            let id = store.put(&content[..], Put::default()).unwrap();
            assert_eq!(get(&store, id).unwrap(), content);
            store.release(local(id)).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn limits_hold_and_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { total: 1_000_000, owner: 300_000, margin: 50_000, ..Limits::default() };
    let store = Store::open(folder.path(), limits).unwrap();
    let other = Put { owner: Owner([7; 32]), ..Put::default() };
    let id = store.put(&bytes(1, 200_000)[..], other).unwrap();
    let error = store.put(&bytes(2, 200_000)[..], other).unwrap_err();
    assert!(matches!(error, Error::Quota { limit: 300_000, .. }), "{error}");
    let error = store.put(&bytes(3, 900_000)[..], Put::default()).unwrap_err();
    assert!(matches!(error, Error::StoreFull { limit: 1_000_000, .. }), "{error}");
    *store.inner.space.disk.lock() = Some(100_000);
    let error = store.put(&bytes(4, 100_000)[..], Put::default()).unwrap_err();
    assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    let promise = store.promise(local(ObjectId([1; 32])), None, &[(BlobHash([1; 32]), 60_000)]).unwrap_err();
    assert!(matches!(promise, Error::DiskFull { needed: 60_256, free: 50_000, margin: 50_000 }), "{promise}");
    // Nothing of it is left, and nothing was lost.
    let status = store.status().unwrap();
    assert_eq!((status.reserved, status.blobs, status.expected, status.free), (0, 2, 0, 50_000));
    assert_eq!(list(&folder.path().join("temporary")).unwrap(), Vec::<PathBuf>::new());
    assert_eq!(get(&store, id).unwrap(), bytes(1, 200_000));
}

/// Somebody who asks for himself or another.
fn payer(number: u8, stranger: bool) -> Payer {
    Payer { key: Owner([number; 32]), stranger }
}

/// Somebody who asks, and something that he wants to have kept, of so many bytes.
fn wanted(number: u8, len: u64) -> (Root, [(BlobHash, u64); 1]) {
    let root = Root { object: ObjectId([number; 32]), owner: Owner([number; 32]) };
    (root, [(BlobHash([number; 32]), len)])
}

#[test]
fn strangers_fill_the_store_up_to_a_mark_however_many_keys_they_have_and_the_rest_is_for_registered_nodes() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { total: 1_000_000, owner: 300_000, strangers: 700_000, margin: 0 };
    let store = Store::open(folder.path(), limits.clone()).unwrap();
    let ask = |stranger: bool, number: u8| {
        let (root, blobs) = wanted(number, 200_000);
        assert_eq!(store.room(payer(number, stranger)).unwrap() >= 240_000, number < 4 || !stranger, "{number}");
        store.promise_by(payer(number, stranger), root, Some(100), &blobs)
    };
    (1..4).for_each(|number| ask(true, number).unwrap());
    let error = ask(true, 4).unwrap_err();
    assert!(matches!(error, Error::Strangers { limit: 700_000, .. }), "{error}");
    ask(false, 4).unwrap();
    // What one of them was promised he may have for longer, for that takes nothing more.
    let (root, blobs) = wanted(1, 200_000);
    store.promise_by(payer(1, true), root, Some(200), &blobs).unwrap();
    assert_eq!(store.kept(root).unwrap().unwrap().until, Some(200));
    // It is the same after a restart, and they may have again what they let go of.
    let before = store.status().unwrap();
    drop(store);
    let store = Store::open(folder.path(), limits).unwrap();
    let after = store.status().unwrap();
    assert_eq!((after.kept, after.owners), (before.kept, before.owners));
    let (root, blobs) = wanted(5, 100_000);
    let again = |store: &Store| store.promise_by(payer(5, true), root, Some(100), &blobs);
    assert!(matches!(again(&store), Err(Error::Strangers { .. })));
    store.collect(150).unwrap();
    again(&store).unwrap();
}

#[test]
fn many_who_keep_what_is_here_already_fill_the_store_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { total: 10_000_000, strangers: 200_000, margin: 0, ..Limits::default() };
    let store = Store::open(folder.path(), limits).unwrap();
    let (_, blobs) = wanted(1, 100);
    let ask = |number: u8| {
        let root = Root { object: ObjectId([1; 32]), owner: Owner([number; 32]) };
        store.promise_by(payer(number, true), root, Some(100), &blobs)
    };
    let taken = (1..=255).take_while(|number| ask(*number).is_ok()).count();
    assert_eq!(taken as u64, (200_000 - cost(100)) / overhead(Owner([1; 32])));
    assert!(matches!(ask(254), Err(Error::Strangers { .. })));
    assert_eq!(store.collect(100).unwrap().roots, taken as u64);
    let status = store.status().unwrap();
    assert_eq!((status.kept, status.owners), (0, HashMap::new()));
}

#[test]
fn strangers_get_nothing_above_their_mark_that_registered_nodes_have_brought() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { total: 1_000_000, strangers: 300_000, margin: 0, ..Limits::default() };
    let store = Store::open(folder.path(), limits).unwrap();
    let ((root, blobs), (fill, filling)) = (wanted(1, 200_000), wanted(2, 200_000));
    let (stranger, registered) = (payer(1, true), payer(2, false));
    let is_refused = |result| assert!(matches!(result, Err(Error::Strangers { limit: 300_000, .. })));
    // What was asked for in his name, and what is here for others: of this he has something of his own already.
    let (own, small) = (Root { object: fill.object, owner: root.owner }, [(BlobHash([3; 32]), 100)]);
    store.promise_by(stranger, own, Some(100), &small).unwrap();
    store.promise_by(registered, root, Some(50), &blobs).unwrap();
    store.promise_by(registered, fill, Some(50), &filling).unwrap();
    is_refused(store.promise_by(stranger, root, Some(50), &blobs));
    is_refused(store.promise_by(stranger, own, Some(100), &filling));
    is_refused(store.renew(stranger, root, 60).map(drop));
    assert_eq!(store.kept(root).unwrap().unwrap().charged, registered.key);
    // Below it he does.
    store.release(fill).unwrap();
    assert!(store.renew(stranger, root, 60).unwrap());
    assert_eq!(store.kept(root).unwrap().unwrap().charged, stranger.key);
}

#[test]
fn whoever_asks_is_charged_until_the_owner_asks_himself() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { owner: 100_000, margin: 0, ..Limits::default() };
    let open = || Store::open(folder.path(), limits.clone()).unwrap();
    let ((root, blobs), (other_root, other_blobs)) = (wanted(1, 60_000), wanted(4, 60_000));
    let [owner, fellow, other] = [1, 2, 3].map(|number| payer(number, false));
    let bytes = cost(60_000) + overhead(root.owner);
    // It is the same after a restart.
    let charged = |store: Store, to: &[Payer], until: u64| {
        let all: HashMap<_, _> = to.iter().map(|payer| (payer.key, bytes)).collect();
        assert_eq!(store.kept(root).unwrap().unwrap().until, Some(until));
        assert_eq!(store.status().unwrap().owners, all);
        drop(store);
        let store = open();
        assert_eq!(store.status().unwrap().owners, all);
        store
    };
    let store = open();
    store.promise_by(fellow, root, Some(100), &blobs).unwrap();
    let store = charged(store, &[fellow], 100);
    // Nobody has more than his own quota, in whoever's name he asks; what he has had kept leaves others theirs.
    let is_full = |result, who: Payer| assert!(matches!(result, Err(Error::Quota { owner, .. }) if owner == who.key));
    is_full(store.promise_by(fellow, other_root, Some(100), &other_blobs), fellow);
    store.promise_by(other, other_root, Some(100), &other_blobs).unwrap();
    let store = charged(store, &[fellow, other], 100);
    // Who asks for no more than there is changes nothing, and who asks for more is charged for it.
    store.promise_by(other, root, Some(90), &blobs).unwrap();
    assert!(store.renew(other, root, 100).unwrap());
    is_full(store.renew(other, root, 110).map(drop), other);
    let store = charged(store, &[fellow, other], 100);
    store.release(other_root).unwrap();
    assert!(store.renew(other, root, 110).unwrap());
    let store = charged(store, &[other], 110);
    // The owner takes it on himself, if he may have as much.
    store.promise_by(owner, other_root, Some(100), &other_blobs).unwrap();
    is_full(store.promise_by(owner, root, Some(50), &blobs), owner);
    let store = charged(store, &[owner, other], 110);
    store.release(other_root).unwrap();
    store.promise_by(owner, root, Some(50), &blobs).unwrap();
    let store = charged(store, &[owner], 110);
    store.release(root).unwrap();
    assert_eq!((store.status().unwrap().kept, store.status().unwrap().owners), (0, HashMap::new()));
}

#[test]
fn what_is_put_twice_at_once_is_charged_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let other = Put { owner: Owner([7; 32]), ..Put::default() };
    let mut batch = store.batch(other);
    let ids = [1, 1].map(|seed| batch.put(&bytes(seed, 1000)[..], Kind::File).unwrap());
    batch.commit().unwrap();
    assert_eq!(ids[0], ids[1]);
    let root = Root { object: ids[0], owner: other.owner };
    let status = store.status().unwrap();
    let kept = store.kept(root).unwrap().unwrap().bytes + overhead(other.owner);
    assert_eq!((status.kept, status.owners), (kept, HashMap::from([(other.owner, kept)])));
    store.release(root).unwrap();
    assert_eq!((store.status().unwrap().kept, store.status().unwrap().owners), (0, HashMap::new()));
}

#[test]
fn what_is_let_go_of_is_not_promised_for_longer() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (root, blobs) = wanted(1, 100);
    store.promise(root, Some(10), &blobs).unwrap();
    for (asked, until) in [(20, 20), (15, 20)] {
        assert!(store.renew(payer(1, true), root, asked).unwrap());
        assert_eq!(store.kept(root).unwrap().unwrap().until, Some(until));
    }
    store.release(root).unwrap();
    assert!(!store.renew(payer(1, true), root, 30).unwrap());
    assert_eq!((store.kept(root).unwrap(), store.status().unwrap().expected), (None, 0));
}

#[test]
fn a_long_blob_is_no_manifest_and_is_not_read_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let id = store.put(&bytes(1, crate::MAX_MANIFEST + 1)[..], Put::default()).unwrap();
    let content = ObjectId(store.manifest(id).unwrap().content.0);
    let error = store.manifest(content).unwrap_err();
    assert!(error.to_string().contains("longer than any"), "{error}");
}

#[test]
fn a_blob_of_another_length_than_a_manifest_says_is_none_of_the_objects() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let [short, long] = [(1, 10), (2, 300_000)].map(|(seed, len)| {
        let id = store.put(&bytes(seed, len)[..], Put::default()).unwrap();
        store.manifest(id).unwrap().content
    });
    let made = |kind: Kind, size: u64, content: BlobHash, coding: Coding| {
        let manifest = Manifest { kind, sealing: Sealing::Plain, size, content, coding };
        store.keep_manifest(local(manifest.id()), None, &manifest.encode()).unwrap();
        manifest.id()
    };
    // As pieces of 64 KiB.
    for hash in [short, long] {
        let coding = Coding::Spread(Code::new(2, 4).unwrap(), vec![hash; 4]);
        let id = made(Kind::File, 2 * SMALL as u64, hash, coding);
        assert!(!store.is_complete(id).unwrap());
        let made = store.rebuild(id, local(id), None, &[2]);
        for error in [get(&store, id).unwrap_err(), made.unwrap_err()] {
            assert!(matches!(error, Error::TooFewPieces { have: 0, needed: 2, .. }), "{error}");
        }
    }
    // As all of an object, which is bounded by what its manifest says.
    for (kind, size, hash) in [(Kind::File, 0, long), (Kind::File, 1 << 40, short), (Kind::Folder, 0, long)] {
        let (id, mut out) = (made(kind, size, hash, Coding::Whole), Vec::new());
        assert!(!store.is_complete(id).unwrap());
        assert!(matches!(store.get(id, &mut out), Err(Error::Inconsistent(_))) && out.is_empty());
        assert!(store.folder(id, &Plain).is_err());
    }
    for (hash, start) in [(short, 0), (short, 1 << 20), (long, 1 << 20)] {
        let error = store.blob(hash).unwrap().node(start, &mut [0; 20]).unwrap_err();
        assert!(matches!(error, Error::Corrupt(_)), "{error}");
    }
}

#[test]
fn a_piece_whose_hash_in_the_manifest_is_wrong_is_told_from_pieces_that_do_not_make_the_content() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let content = bytes(1, 300_000);
    let id = store.put(&content[..], Put { code: Code::new(2, 4), ..Put::default() }).unwrap();
    // It is here, as long as a piece is, and none.
    let other = store.put(&bytes(2, 150_000)[..], Put::default()).unwrap();
    let mut manifest = store.manifest(id).unwrap();
    let Coding::Spread(_, pieces) = &mut manifest.coding else { panic!("it is in pieces") };
    pieces[3] = store.manifest(other).unwrap().content;
    let kept = |manifest: &Manifest| {
        store.keep_manifest(local(manifest.id()), None, &manifest.encode()).unwrap();
        manifest.id()
    };
    let (id, blobs) = (kept(&manifest), store.status().unwrap().blobs);
    let error = store.rebuild(id, local(id), None, &[2, 3]).unwrap_err();
    assert!(matches!(&error, Error::WrongPieces { pieces, .. } if pieces[..] == [3]), "{error}");
    assert_eq!(store.status().unwrap().blobs, blobs);

    let numbers = || {
        let pieces = store.pieces(id, &store.manifest(id).unwrap()).unwrap();
        pieces.iter().map(|(number, _)| *number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(), [0, 1, 2, 3]);
    store.pass_over(id, &[3]);
    assert_eq!(numbers(), [0, 1, 2]);
    assert!(get(&store, id).unwrap() == content && store.is_complete(id).unwrap());
    store.pass_over(id, &[1, 2]);
    assert!(!store.is_complete(id).unwrap());
    store.pass_over_only(|kept| *kept == id);
    assert_eq!(store.wrong(id).len(), 3);
    store.pass_over_only(|kept| *kept != id);
    assert_eq!(numbers(), [0, 1, 2, 3]);

    let id = kept(&Manifest { content: BlobHash([1; 32]), ..manifest });
    assert!(matches!(store.rebuild(id, local(id), None, &[3]), Err(Error::Inconsistent(_))));
}

#[test]
fn promised_room_is_kept_through_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { total: 1_000_000, margin: 0, ..Limits::default() };
    let (content, root) = (bytes(1, 600_000), local(ObjectId([1; 32])));
    let hash = BlobHash::of(&content);
    let store = Store::open(folder.path(), limits.clone()).unwrap();
    store.promise(root, Some(10), &[(hash, 600_000)]).unwrap();
    drop(store);
    let store = Store::open(folder.path(), limits).unwrap();
    assert!(matches!(store.put(&bytes(2, 500_000)[..], Put::default()), Err(Error::StoreFull { .. })));
    let source = tempfile::tempdir().unwrap();
    let source = open(source.path());
    source.put(&content[..], Put::default()).unwrap();
    let partial = store.partial(hash).unwrap().unwrap();
    partial.accept(0..600_000, &encoded(&source, hash, 0..600_000)).unwrap();
    partial.finish().unwrap();
    assert_eq!(store.blob(hash).unwrap().read(0..600_000).unwrap(), content);
    assert_eq!(store.status().unwrap().expected, 0);
    // And is free again when the promise has run out.
    store.collect(10).unwrap();
    store.put(&bytes(2, 500_000)[..], Put::default()).unwrap();
}

#[test]
fn a_promise_of_another_length_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let hash = BlobHash([1; 32]);
    store.promise(local(ObjectId([1; 32])), None, &[(hash, 10)]).unwrap();
    assert!(matches!(store.promise(local(ObjectId([2; 32])), None, &[(hash, 11)]), Err(Error::Length { .. })));
    let huge = store.promise(local(ObjectId([2; 32])), None, &[(BlobHash([2; 32]), u64::MAX)]);
    assert!(matches!(huge, Err(Error::TooLarge)));
}

#[test]
fn what_was_promised_with_another_length_ends_when_the_blob_comes_or_its_length_is_proven() {
    let (content, owner) = (bytes(1, 300_000), Owner([7; 32]));
    let (hash, other) = (BlobHash::of(&content), BlobHash([3; 32]));
    let [alone, both, right] = [1, 2, 3].map(|object| Root { object: ObjectId([object; 32]), owner });
    for comes in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(folder.path());
        // One who says nothing else, and one who says something true as well.
        store.promise(alone, Some(10), &[(hash, 100_000)]).unwrap();
        store.promise(both, Some(10), &[(hash, 100_000), (other, 70_000)]).unwrap();
        store.end_others(hash, 100_000).unwrap();
        assert_eq!(store.kept(alone).unwrap().unwrap().bytes, cost(100_000));
        let put = if comes {
            Some(store.put(&content[..], Put::default()).unwrap())
        } else {
            assert!(store.expects_another(hash, 300_000).unwrap());
            store.end_others(hash, 300_000).unwrap();
            None
        };
        for _ in 0..2 {
            assert!(!store.expects_another(hash, 300_000).unwrap());
            assert_eq!((store.has(hash).unwrap(), store.kept(alone).unwrap()), (comes, None));
            assert_eq!(store.kept(both).unwrap().unwrap().bytes, cost(70_000));
            let files = list(&folder.path().join("partial")).unwrap();
            assert!(files.iter().all(|file| file.to_str().unwrap().contains(&other.to_string())), "{files:?}");
            let blobs = store.inner.index.blobs().map(|blob| cost(blob.unwrap().2)).sum::<u64>();
            let status = store.status().unwrap();
            assert_eq!(status.kept, blobs + overhead(owner));
            assert_eq!(status.owners[&owner], cost(70_000) + overhead(owner));
            // It is the same after a restart.
            drop(store);
            store = open(folder.path());
        }
        store.promise(right, Some(10), &[(hash, 300_000)]).unwrap();
        if let Some(id) = put {
            store.release(local(id)).unwrap();
        }
        assert_eq!((store.has(hash).unwrap(), store.collect(10).unwrap().bytes), (comes, cost(300_000) + cost(70_000)));
        assert_eq!((store.status().unwrap().kept, store.status().unwrap().owners), (0, HashMap::new()));
    }
}

#[test]
fn a_blob_without_bytes_has_the_hash_of_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (nothing, some) = (BlobHash::of(&[]), BlobHash([1; 32]));
    store.promise(local(ObjectId([1; 32])), None, &[(nothing, 0), (some, 0)]).unwrap();
    let [right, wrong] = [nothing, some].map(|hash| store.partial(hash).unwrap().unwrap());
    assert!(matches!(wrong.accept(0..0, &[]), Err(Error::Refused { .. })));
    assert!(wrong.finish().is_err());
    right.accept(0..0, &[]).unwrap();
    right.finish().unwrap();
    assert!(store.has(nothing).unwrap() && !store.has(some).unwrap());
}

#[test]
fn a_broken_off_receipt_goes_on_from_what_was_right() {
    let [from, to] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (source, content) = (open(from.path()), bytes(1, 5_300_000));
    source.put(&content[..], Put::default()).unwrap();
    let (hash, root) = (BlobHash::of(&content), local(ObjectId([1; 32])));
    let store = open(to.path());
    store.promise(root, None, &[(hash, 5_300_000)]).unwrap();
    let partial = store.partial(hash).unwrap().unwrap();
    let all = partial.missing();
    assert_eq!(all.len(), 6);
    for range in [&all[1], &all[5], &all[3]] {
        partial.accept(range.clone(), &encoded(&source, hash, range.clone())).unwrap();
    }
    assert!(partial.finish().is_err(), "it is not whole");
    drop(store);
    // While the process was away, the disk lost a byte of one of them.
    let path = &partial::partial_paths(&to.path().join("partial"), hash)[0];
    let mut file = fs::read(path).unwrap();
    file[3 << 20] ^= 1;
    fs::write(path, file).unwrap();
    let store = open(to.path());
    let partial = store.partial(hash).unwrap().unwrap();
    assert_eq!(partial.missing(), [all[0].clone(), all[2].clone(), all[3].clone(), all[4].clone()]);
    for range in partial.missing() {
        partial.accept(range.clone(), &encoded(&source, hash, range)).unwrap();
    }
    partial.finish().unwrap();
    assert_eq!(store.blob(hash).unwrap().read(0..u64::MAX).unwrap(), content);
    assert_eq!(store.scrub().unwrap().damaged, vec![]);
    assert!(store.partial(hash).unwrap().is_none());
}

#[test]
fn what_was_let_go_of_and_promised_again_is_not_what_came_for_the_first_promise() {
    let [from, to] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (source, store, content) = (open(from.path()), open(to.path()), bytes(1, 300_000));
    source.put(&content[..], Put::default()).unwrap();
    let (hash, root) = (BlobHash::of(&content), local(ObjectId([1; 32])));
    let (range, promise) = (0..300_000, || store.promise(root, None, &[(hash, 300_000)]).unwrap());
    let take = |partial: &Partial| partial.accept(range.clone(), &encoded(&source, hash, range.clone())).unwrap();
    promise();
    let first = store.partial(hash).unwrap().unwrap();
    take(&first);
    store.release(root).unwrap();
    promise();
    assert!(matches!(first.finish(), Err(Error::NotHere(_))));
    assert!(!store.has(hash).unwrap());
    let second = store.partial(hash).unwrap().unwrap();
    take(&second);
    second.finish().unwrap();
    assert_eq!((store.has(hash).unwrap(), store.scrub().unwrap().damaged), (true, vec![]));
}

#[test]
fn what_others_may_have_was_brought_or_shown_by_who_asked_to_have_it_kept() {
    let [here, there] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let (store, source, content) = (open(here.path()), open(there.path()), bytes(1, 300_000));
    source.put(&content[..], Put::default()).unwrap();
    let (hash, root) = (BlobHash::of(&content), Root { object: ObjectId([1; 32]), owner: Owner([1; 32]) });
    let blobs = [(hash, 300_000)];
    let ask = || store.promise_by(payer(1, true), root, Some(100), &blobs).unwrap();
    let is_open = || store.is_open(hash).unwrap();
    // The node puts it for itself, before he asks or since.
    for put_before in [true, false] {
        let put = || store.put(&content[..], Put::default()).unwrap();
        let id = if put_before {
            let id = put();
            ask();
            id
        } else {
            ask();
            put()
        };
        assert!(store.has(hash).unwrap() && !is_open(), "{put_before}");
        // It was damaged, and is put anew.
        damage(here.path(), &store, hash, 9);
        assert_eq!(store.scrub().unwrap().damaged, [hash]);
        put();
        assert!(store.has(hash).unwrap() && !is_open(), "{put_before}");
        store.show(root, &blobs).unwrap();
        assert!(is_open());
        // He asks again, for longer.
        ask();
        assert!(is_open());
        store.release(root).unwrap();
        assert!(!is_open());
        store.show(root, &blobs).unwrap();
        assert!(!is_open() && store.release(local(id)).unwrap() && !store.has(hash).unwrap());
    }
    // He brings it.
    ask();
    let partial = store.partial(hash).unwrap().unwrap();
    partial.accept(0..300_000, &encoded(&source, hash, 0..300_000)).unwrap();
    assert!(!is_open());
    partial.finish().unwrap();
    assert!(is_open() && store.release(root).unwrap());
    // The node itself says so.
    let id = store.put(&content[..], Put::default()).unwrap();
    ask();
    assert!(!is_open());
    store.promise(root, Some(100), &blobs).unwrap();
    assert!(is_open() && store.release(local(id)).unwrap() && is_open());
}

#[test]
fn what_is_let_go_of_while_it_is_opened_leaves_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (root, blobs) = wanted(1, 300_000);
    for _ in 0..50 {
        store.promise(root, None, &blobs).unwrap();
        thread::scope(|scope| {
            let opening = scope.spawn(|| {
                while let Ok(opened) = store.partial(blobs[0].0) {
                    assert!(opened.is_some());
                }
            });
            store.release(root).unwrap();
            opening.join().unwrap();
        });
        assert_eq!(list(&folder.path().join("partial")).unwrap(), Vec::<PathBuf>::new());
    }
}

/// Puts 300,000 bytes that need not be durable, whole: their hash.
fn passing(store: &Store) -> (ObjectId, BlobHash) {
    let content = bytes(1, 300_000);
    let id = store.put(&content[..], Put { durable: false, ..Put::default() }).unwrap();
    (id, BlobHash::of(&content))
}

fn place(store: &Store, hash: BlobHash) -> Place {
    store.inner.index.blob(hash).unwrap().unwrap().0
}

#[test]
fn what_the_disk_may_not_have_is_read_by_the_next_start_and_expected_again_if_it_is_not_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (id, hash) = passing(&store);
    assert_eq!(place(&store, hash), Place::Unsynced);
    assert_eq!(get(&store, id).unwrap(), bytes(1, 300_000));
    drop(store);
    // The process ended.
    let store = open(folder.path());
    assert_eq!((store.found(), place(&store, hash)), (&Found::default(), Place::File));
    assert_eq!(get(&store, id).unwrap(), bytes(1, 300_000));
    // The machine stopped, and a file has the length that it should have, and nothing else; or is not there.
    for gone in [false, true] {
        store.release(local(id)).unwrap();
        let (id, hash) = passing(&store);
        let path = &paths(&folder.path().join("blobs"), hash)[0];
        match gone {
            true => fs::remove_file(path).unwrap(),
            false => fs::write(path, vec![0; 300_000]).unwrap(),
        }
        // The folder of a store that was killed.
        let copy = tempfile::tempdir().unwrap();
        let copied = Command::new("cp").arg("-r").arg(folder.path().join(".")).arg(copy.path()).status().unwrap();
        assert!(copied.success());
        let next = open(copy.path());
        assert_eq!((&next.found().lost[..], place(&next, hash)), (&[hash][..], Place::Expected));
        assert!(!next.is_complete(id).unwrap());
        next.put(&bytes(1, 300_000)[..], Put::default()).unwrap();
        assert_eq!(get(&next, id).unwrap(), bytes(1, 300_000));
    }
}

#[test]
fn whoever_is_promised_what_the_disk_may_not_have_is_promised_it_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let content = bytes(1, 300_000);
    let (other, passes) = (Owner([7; 32]), |id| Root { object: id, owner: Owner::TRANSIT });
    let put = || store.put(&content[..], Put::default()).unwrap();
    let promise = |root| store.promise(root, None, &[(BlobHash::of(&content), 300_000)]).unwrap();
    let adopt = |id| {
        let mut batch = store.batch(Put { owner: other, ..Put::default() });
        batch.adopt(id, &[id]).unwrap();
        batch.commit().unwrap();
    };
    type Way<'a> = (&'a str, Box<dyn Fn(ObjectId) + 'a>, Place);
    let on_disk = |_: ObjectId| assert!(store.has_on_disk(BlobHash::of(&content)).unwrap());
    let ways: [Way<'_>; 5] = [
        ("put again", Box::new(|_| _ = put()), Place::File),
        ("promised", Box::new(|object| promise(Root { object, owner: other })), Place::File),
        ("adopted", Box::new(adopt), Place::File),
        ("said to be there", Box::new(on_disk), Place::File),
        ("on its way", Box::new(|object| promise(passes(object))), Place::Unsynced),
    ];
    for (way, claim, expected) in ways {
        let (id, hash) = passing(&store);
        assert_eq!(place(&store, hash), Place::Unsynced, "{way}");
        claim(id);
        assert_eq!(place(&store, hash), expected, "{way}");
        for owner in [Owner::LOCAL, other, Owner::TRANSIT] {
            store.release(Root { object: id, owner }).unwrap();
        }
        assert!(!store.has(hash).unwrap(), "{way}");
    }
}

#[test]
fn what_came_is_on_the_disk_unless_it_is_here_only_on_its_way() {
    let [from, to] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (source, store, content) = (open(from.path()), open(to.path()), bytes(1, 300_000));
    let id = source.put(&content[..], Put::default()).unwrap();
    let (hash, passes) = (BlobHash::of(&content), Root { object: id, owner: Owner::TRANSIT });
    let promise = |root| store.promise(root, None, &[(hash, 300_000)]).unwrap();
    // Somebody who is to have it on the disk may come while it comes, or before, or not at all.
    for (before, during, expected) in
        [(false, false, Place::Unsynced), (false, true, Place::File), (true, false, Place::File)]
    {
        let root = local(id);
        promise(passes);
        if before {
            promise(root);
        }
        let partial = store.partial(hash).unwrap().unwrap();
        partial.accept(0..300_000, &encoded(&source, hash, 0..300_000)).unwrap();
        if during {
            promise(root);
        }
        partial.finish().unwrap();
        assert_eq!(place(&store, hash), expected);
        assert_eq!(store.blob(hash).unwrap().read(0..300_000).unwrap(), content);
        store.release(passes).unwrap();
        store.release(root).unwrap();
    }
}

#[test]
fn what_was_promised_on_the_disk_is_there_however_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for (owner, expected) in [(Owner([7; 32]), Place::File), (Owner::TRANSIT, Place::Unsynced)] {
        let promised = Root { object: ObjectId([1; 32]), owner };
        store.promise(promised, None, &[(BlobHash::of(&bytes(1, 300_000)), 300_000)]).unwrap();
        let (id, hash) = passing(&store);
        assert_eq!(place(&store, hash), expected);
        store.release(promised).unwrap();
        store.release(local(id)).unwrap();
    }
    // As do pieces that are made for others.
    for (owner, expected) in [(Owner::LOCAL, Place::File), (Owner::TRANSIT, Place::Unsynced)] {
        let put = Put { owner, until: Some(9), ..spread(2, 3) };
        let id = store.put(&bytes(1, 500_000)[..], put).unwrap();
        let hash = store.manifest(id).unwrap().blobs()[0].0;
        damage(folder.path(), &store, hash, 9);
        assert_eq!(store.scrub().unwrap().damaged, [hash]);
        store.rebuild(id, Root { object: id, owner: Owner::TRANSIT }, Some(9), &[0]).unwrap();
        assert_eq!(place(&store, hash), expected);
        store.collect(9).unwrap();
    }
}

#[test]
fn what_goes_while_the_disk_takes_it_is_not_said_to_be_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (_, hash) = passing(&store);
    let files = &paths(&folder.path().canonicalize().unwrap().join("blobs"), hash);
    let is_open = || {
        let open = list(Path::new("/proc/self/fd")).unwrap();
        open.iter().any(|number| fs::read_link(number).is_ok_and(|file| file == files[1]))
    };
    thread::scope(|scope| {
        let changing = store.inner.changing.lock();
        let settling = scope.spawn(|| store.inner.settle(hash));
        while !is_open() && !settling.is_finished() {
            thread::yield_now();
        }
        files.iter().for_each(|file| fs::remove_file(file).unwrap());
        drop(changing);
        assert!(matches!(settling.join().unwrap(), Err(Error::NotHere(_))));
    });
    assert_eq!(place(&store, hash), Place::Unsynced);
}

#[test]
fn a_tree_that_is_not_right_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (id, hash) = passing(&store);
    let tree = &paths(&folder.path().join("blobs"), hash)[1];
    let right = fs::read(tree).unwrap();
    // The machine stopped, and the disk had the data, and of the tree its length.
    fs::write(tree, vec![0; right.len()]).unwrap();
    drop(store);
    let store = open(folder.path());
    assert_eq!((store.found(), place(&store, hash)), (&Found::default(), Place::File));
    assert_eq!(fs::read(tree).unwrap(), right);
    // The first pair is one that nobody needs who reads all.
    for at in [0, right.len() - 1] {
        flip(tree, at);
        assert!(store.encode(hash, 0..300_000, io::sink()).is_err());
        assert_eq!(store.scrub().unwrap().damaged, vec![]);
        assert_eq!(fs::read(tree).unwrap(), right);
    }
    assert_eq!(get(&store, id).unwrap(), bytes(1, 300_000));
}

/// The bytes of a file that stands among damaged ones; nothing if it does not.
fn aside(store: &Store, hash: BlobHash) -> Option<Vec<u8>> {
    Some(fs::read(store.set_aside(hash)?).unwrap())
}

#[test]
fn what_is_the_nodes_own_and_damaged_is_set_aside_and_named_until_it_comes_again_or_goes() {
    let folder = tempfile::tempdir().unwrap();
    for len in [100, 300_000] {
        let mut store = open(folder.path());
        let content = bytes(1, len);
        let (id, hash) = (store.put(&content[..], Put::default()).unwrap(), BlobHash::of(&content));
        damage(folder.path(), &store, hash, 9);
        let mut damaged = content.clone();
        damaged[9] ^= 1;
        for _ in 0..3 {
            let scrubbed = store.scrub().unwrap();
            assert_eq!((scrubbed.damaged, scrubbed.unread.len()), (vec![hash], 0));
            assert_eq!((store.lost().unwrap(), aside(&store, hash)), (vec![hash], Some(damaged.clone())));
            assert_eq!(store.holders(hash).map(Result::unwrap).collect::<Vec<_>>(), [local(id)]);
            // It is the same after a restart.
            drop(store);
            store = open(folder.path());
        }
        assert_eq!(store.put(&content[..], Put::default()).unwrap(), id);
        assert_eq!((store.lost().unwrap(), aside(&store, hash), get(&store, id).unwrap()), (vec![], None, content));
        damage(folder.path(), &store, hash, 9);
        assert_eq!(store.scrub().unwrap().damaged, [hash]);
        store.release(local(id)).unwrap();
        assert_eq!((store.lost().unwrap(), aside(&store, hash)), (vec![], None));
        // What is kept for somebody else comes from others.
        let other = Put { owner: Owner([7; 32]), ..Put::default() };
        let id = store.put(&bytes(1, len)[..], other).unwrap();
        damage(folder.path(), &store, hash, 9);
        assert_eq!(store.scrub().unwrap().damaged, [hash]);
        assert_eq!((store.lost().unwrap(), aside(&store, hash)), (vec![], None));
        assert_eq!(store.scrub().unwrap().damaged, vec![]);
        store.release(Root { object: id, owner: other.owner }).unwrap();
    }
}

#[test]
fn what_is_cut_is_set_aside_by_the_next_start_and_so_is_what_was_moved_already() {
    let (content, hash) = (bytes(1, 300_000), BlobHash::of(&bytes(1, 300_000)));
    let begun = || {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path()).put(&content[..], Put::default()).unwrap();
        let path = paths(&folder.path().join("blobs"), hash)[0].clone();
        (folder, path)
    };
    let is_lost = |folder: &Path, left: &[u8]| {
        let store = open(folder);
        assert_eq!((&store.found().lost[..], aside(&store, hash)), (&[hash][..], Some(left.to_vec())));
        drop(store);
        let store = open(folder);
        assert_eq!((store.found(), store.lost().unwrap()), (&Found::default(), vec![hash]));
    };
    let (folder, path) = begun();
    fs::write(&path, &content[..200_000]).unwrap();
    is_lost(folder.path(), &content[..200_000]);
    // As if the process had ended between the two steps.
    let (folder, path) = begun();
    fs::rename(path, folder.path().join("damaged").join(hash.to_string())).unwrap();
    is_lost(folder.path(), &content);
}

#[test]
fn what_cannot_be_read_is_said_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (content, hash) = (bytes(1, 300_000), BlobHash::of(&bytes(1, 300_000)));
    let id = store.put(&content[..], Put::default()).unwrap();
    let [data, tree] = &paths(&folder.path().join("blobs"), hash);
    // To read it is enough to compare.
    for file in [data, tree] {
        fs::set_permissions(file, fs::Permissions::from_mode(0o400)).unwrap();
    }
    let scrubbed = store.scrub().unwrap();
    assert_eq!((scrubbed.damaged, scrubbed.unread.len()), (vec![], 0));
    // A folder opens as a file does, and then gives no bytes; whatever somebody's rights are.
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(data, &elsewhere).unwrap();
    fs::create_dir(data).unwrap();
    for _ in 0..2 {
        let scrubbed = store.scrub().unwrap();
        assert_eq!((scrubbed.damaged, scrubbed.unread.len()), (vec![], 1));
        let (unread, why) = &scrubbed.unread[0];
        assert!(*unread == hash && why.to_string().contains(&hash.to_string()), "{why}");
        assert_eq!(place(&store, hash), Place::File);
    }
    fs::remove_dir(data).unwrap();
    fs::rename(&elsewhere, data).unwrap();
    assert_eq!(get(&store, id).unwrap(), content);
    // What is damaged is not written to, so that what is right of it can still be told by its tree.
    let right = fs::read(tree).unwrap();
    fs::set_permissions(data, fs::Permissions::from_mode(0o600)).unwrap();
    damage(folder.path(), &store, hash, 9);
    assert_eq!(store.scrub().unwrap().damaged, [hash]);
    assert_eq!(fs::read(store.set_aside(hash).unwrap().with_added_extension("tree")).unwrap(), right);
}

#[test]
fn a_tree_that_is_gone_or_cut_is_made_anew_by_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let hash = BlobHash::of(&bytes(1, 300_000));
    let id = open(folder.path()).put(&bytes(1, 300_000)[..], Put::default()).unwrap();
    let tree = &paths(&folder.path().join("blobs"), hash)[1];
    let right = fs::read(tree).unwrap();
    for cut in [true, false] {
        match cut {
            true => fs::write(tree, &right[..100]).unwrap(),
            false => fs::remove_file(tree).unwrap(),
        }
        let store = open(folder.path());
        assert_eq!((store.found(), fs::read(tree).unwrap()), (&Found::default(), right.clone()));
        assert_eq!(get(&store, id).unwrap(), bytes(1, 300_000));
    }
}

#[test]
fn what_has_come_again_since_it_was_found_damaged_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let id = store.put(&bytes(1, 300_000)[..], Put::default()).unwrap();
    let hash = store.manifest(id).unwrap().content;
    damage(folder.path(), &store, hash, 0);
    let before = store.moved();
    thread::scope(|scope| {
        let changing = store.inner.changing.lock();
        let scrubbing = scope.spawn(|| store.scrub());
        while store.moved() < before + 300_000 && !scrubbing.is_finished() {
            thread::yield_now();
        }
        fs::write(&paths(&folder.path().join("blobs"), hash)[0], bytes(1, 300_000)).unwrap();
        drop(changing);
        assert_eq!(scrubbing.join().unwrap().unwrap().damaged, vec![]);
    });
    assert_eq!(get(&store, id).unwrap(), bytes(1, 300_000));
}

#[test]
fn how_far_work_is_can_be_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (store, content) = (open(folder.path()), bytes(1, 3 << 20));
    let half = |store: &Store| assert!((1..3 << 20).contains(&store.moved()), "{}", store.moved());
    struct Halfway<F>(io::Cursor<Vec<u8>>, F);
    impl<F: FnMut()> Read for Halfway<F> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            if self.0.position() == 2 << 20 {
                (self.1)();
            }
            self.0.read(to)
        }
    }
    let id = store.put(Halfway(io::Cursor::new(content), || half(&store)), spread(2, 3)).unwrap();
    assert_eq!(store.moved(), 3 << 20);
    get(&store, id).unwrap();
    assert_eq!(store.moved(), 6 << 20);
    store.scrub().unwrap();
    let pieces: u64 = store.manifest(id).unwrap().blobs().iter().map(|(_, bytes)| bytes).sum();
    assert!((pieces..=store.status().unwrap().kept).contains(&(store.moved() - (6 << 20))));
}

#[test]
fn wrong_short_and_long_answers_are_refused() {
    let [from, to] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (source, store) = (open(from.path()), open(to.path()));
    for len in [3_000, 2_500_000] {
        let (right, old) = (bytes(1, len), bytes(2, len));
        source.put(&right[..], Put::default()).unwrap();
        source.put(&old[..], Put::default()).unwrap();
        let hash = BlobHash::of(&right);
        store.promise(local(ObjectId([1; 32])), None, &[(hash, len as u64)]).unwrap();
        let partial = store.partial(hash).unwrap().unwrap();
        let range = partial.missing().pop().unwrap();
        let answer = encoded(&source, hash, range.clone());
        let mut wrong: Vec<Vec<u8>> = (0..7)
            .map(|part| {
                let mut wrong = answer.clone();
                wrong[part * (answer.len() - 1) / 6] ^= 1;
                wrong
            })
            .collect();
        wrong.push(answer[..answer.len() - 1].to_vec());
        wrong.push([&answer[..], &[0]].concat());
        wrong.push(Vec::new());
        wrong.push(encoded(&source, BlobHash::of(&old), range.clone()));
        for wrong in wrong {
            let error = partial.accept(range.clone(), &wrong).unwrap_err();
            assert!(matches!(error, Error::Refused { .. }), "{error}");
        }
        assert_eq!(partial.received(), 0);
        partial.accept(range.clone(), &answer).unwrap();
        assert_eq!(partial.received(), range.end - range.start);
        // A part that was not asked for, and one that another part's bytes are given for.
        assert!(partial.accept(range.start..range.end + 1, &answer).is_err());
    }
}

#[test]
fn a_file_that_is_put_again_is_not_read_again_and_one_that_changes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store"));
    let path = folder.path().join("file");
    fs::write(&path, bytes(1, 300_000)).unwrap();
    let old = std::time::SystemTime::now() - Duration::from_secs(60);
    fs::File::open(&path).unwrap().set_modified(old).unwrap();
    let id = store.put_file(&path, Put::default()).unwrap();
    /// Fails whoever reads.
    struct Unread;
    impl crate::Seal for Unread {
        fn seal<'a>(&self, _: Box<dyn Read + Send + 'a>) -> io::Result<(Sealing, Box<dyn Read + Send + 'a>)> {
            Err(io::Error::other("it is read"))
        }
        fn open<'a>(&self, _: &Sealing, _: Box<dyn io::Write + 'a>) -> io::Result<Box<dyn io::Write + 'a>> {
            Err(io::Error::other("it is opened"))
        }
        fn fits(&self, sealing: &Sealing, alone: bool) -> bool {
            Plain.fits(sealing, alone)
        }
    }
    assert_eq!(store.put_file(&path, Put { seal: &Unread, ..Put::default() }).unwrap(), id);
    // Another content in the same place is read.
    fs::write(&path, bytes(2, 300_000)).unwrap();
    assert!(store.put_file(&path, Put { seal: &Unread, ..Put::default() }).is_err());
    /// Writes to the file while it is read.
    struct Meanwhile<'p>(&'p Path);
    impl crate::Seal for Meanwhile<'_> {
        fn seal<'a>(&self, plain: Box<dyn Read + Send + 'a>) -> io::Result<(Sealing, Box<dyn Read + Send + 'a>)> {
            fs::OpenOptions::new().append(true).open(self.0)?.write_all(b"more")?;
            Plain.seal(plain)
        }
        fn open<'a>(&self, _: &Sealing, plain: Box<dyn io::Write + 'a>) -> io::Result<Box<dyn io::Write + 'a>> {
            Ok(plain)
        }
        fn fits(&self, sealing: &Sealing, alone: bool) -> bool {
            Plain.fits(sealing, alone)
        }
    }
    let status = store.status().unwrap();
    let error = store.put_file(&path, Put { seal: &Meanwhile(&path), ..Put::default() }).unwrap_err();
    assert!(matches!(&error, Error::Changed(at) if *at == path), "{error}");
    assert_eq!(store.status().unwrap().blobs, status.blobs);
    // The output of a get is there whole or not at all.
    let out = folder.path().join("out");
    store.get_to(id, &out, &Plain).unwrap();
    assert_eq!(fs::read(&out).unwrap(), bytes(1, 300_000));
    damage(&folder.path().join("store"), &store, store.manifest(id).unwrap().content, 200_000);
    let out = folder.path().join("none");
    assert!(store.get_to(id, &out, &Plain).is_err());
    assert_eq!(list(folder.path()).unwrap().len(), 3, "store, file and out");
}

#[test]
fn leftovers_are_removed_and_lost_files_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let id = store.put(&bytes(1, 300_000)[..], spread(2, 3)).unwrap();
    let pieces = store.manifest(id).unwrap().blobs();
    assert!(matches!(Store::open(folder.path(), Limits::default()), Err(Error::InUse(_))));
    drop(store);
    let lost = &paths(&folder.path().join("blobs"), pieces[0].0);
    fs::remove_file(&lost[0]).unwrap();
    fs::write(folder.path().join("temporary/7"), b"half").unwrap();
    fs::write(folder.path().join("partial").join(BlobHash([9; 32]).to_string()), b"half").unwrap();
    fs::write(lost[0].with_file_name(BlobHash([8; 32]).to_string()), b"half").unwrap();
    let store = open(folder.path());
    assert_eq!(store.found(), &Found { leftovers: 3, lost: vec![pieces[0].0] });
    assert_eq!(get(&store, id).unwrap(), bytes(1, 300_000));
    store.rebuild(id, local(id), None, &[0]).unwrap();
    drop(store);
    assert_eq!(open(folder.path()).found(), &Found::default());
}

/// Puts and rebuilds until it is killed, and says what is done. Not a test of its own.
#[test]
#[ignore = "a process for the test that kills it"]
fn the_one_that_is_killed() {
    let Some(folder) = std::env::var_os("STOA_STORE_FOLDER") else { return };
    let store = open(Path::new(&folder));
    for seed in 0.. {
        let put = if seed % 2 == 0 { Put::default() } else { spread(3, 5) };
        let len = [5_000, 400_000, 3_000_000][seed as usize % 3];
        let id = store.put(&bytes(seed, len)[..], put).unwrap();
        if seed % 2 == 1 {
            let (index, hash) = (&store.inner.index, store.manifest(id).unwrap().blobs()[1].0);
            let (place, len) = index.blob(hash).unwrap().unwrap();
            store.inner.lose(index, hash, place, len).unwrap();
            store.rebuild(id, local(id), None, &[1]).unwrap();
        }
        println!("put {seed} {len} {id}");
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_said_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = HashMap::new();
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::the_one_that_is_killed", "--ignored", "--nocapture"])
            .env("STOA_STORE_FOLDER", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
        thread::sleep(Duration::from_millis(300 + 90 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in reader.join().unwrap() {
            let words: Vec<_> = line.split(' ').collect();
            if let [.., seed, len, id] = words[..]
                && line.contains("put ")
            {
                let key: ObjectId = id.parse().unwrap();
                said.insert(key, (seed.parse().unwrap(), len.parse().unwrap()));
            }
        }
        let store = open(folder.path());
        // A piece may have been given up and not be made anew yet.
        let lost = store.lost().unwrap();
        assert!(lost.len() < 2 && store.found().lost.iter().all(|hash| lost.contains(hash)), "{lost:?}");
        for (id, (seed, len)) in &said {
            assert_eq!(get(&store, *id).unwrap(), bytes(*seed, *len), "object {seed}");
        }
        assert_eq!(store.scrub().unwrap().damaged, lost);
        let (kept, status) =
            (store.inner.index.blobs().map(|blob| cost(blob.unwrap().2)).sum::<u64>(), store.status().unwrap());
        assert_eq!((status.kept, status.reserved, status.expected), (kept, 0, lost.len() as u64));
        // Every blob is kept by something: nothing leaks.
        for blob in store.inner.index.blobs() {
            assert!(store.inner.index.holders(blob.unwrap().0).count() > 0);
        }
    }
    assert!(said.len() > 3, "{} objects", said.len());
}

/// Lets so many bytes through, in either direction, and then waits to be killed.
struct Stuck(usize);

impl Stuck {
    fn pass(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes);
        if self.0 == 0 {
            thread::sleep(Duration::from_secs(600));
        }
    }
}

struct Through<T>(T, Stuck);

impl<R: Read> Read for Through<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(to)?;
        self.1.pass(read);
        Ok(read)
    }
}

impl<W: io::Write> io::Write for Through<W> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let written = self.0.write(from)?;
        self.1.pass(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// No seal, that lets so many bytes through.
struct Sticks(usize);

impl crate::Seal for Sticks {
    fn seal<'a>(&self, plain: Box<dyn Read + Send + 'a>) -> io::Result<(Sealing, Box<dyn Read + Send + 'a>)> {
        Ok((Sealing::Plain, Box::new(Through(plain, Stuck(self.0)))))
    }

    fn open<'a>(&self, sealing: &Sealing, plain: Box<dyn io::Write + 'a>) -> io::Result<Box<dyn io::Write + 'a>> {
        Ok(Box::new(Through(Plain.open(sealing, plain)?, Stuck(self.0))))
    }

    fn fits(&self, sealing: &Sealing, alone: bool) -> bool {
        Plain.fits(sealing, alone)
    }
}

/// Bytes of a large file, and how many of them go through before whoever puts or gets it is killed.
const LARGE: usize = 12 << 20;
const THROUGH: usize = 8 << 20;

/// Puts a file, or gets it, and sticks in the middle. Not a test of its own.
#[test]
#[ignore = "a process for the test that kills it"]
fn the_one_that_sticks() {
    let Some(folder) = std::env::var_os("STOA_STORE_FOLDER").map(PathBuf::from) else { return };
    let store = open(&folder.join("store"));
    match std::env::var("STOA_STORE_GET").ok().and_then(|id| id.parse().ok()) {
        Some(id) => drop(store.get_to(id, &folder.join("copy"), &Sticks(THROUGH))),
        None => drop(store.put_file(&folder.join("file"), Put { seal: &Sticks(THROUGH), ..Put::default() })),
    }
}

/// Kills a process with -9 that has put or got a part of a file, when `part` has come to this file or one in this folder.
fn killed_in_the_middle(folder: &Path, get: Option<ObjectId>, part: &Path) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "store::tests::the_one_that_sticks", "--ignored"]).env("STOA_STORE_FOLDER", folder);
    if let Some(id) = get {
        child.env("STOA_STORE_GET", id.to_string());
    }
    let mut child = child.stdout(Stdio::null()).spawn().unwrap();
    let length = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    let there = || match part.is_dir() {
        true => list(part).unwrap().iter().map(|path| length(path)).max().unwrap_or(0),
        false => length(part),
    };
    let until = std::time::Instant::now() + Duration::from_secs(60);
    while there() < THROUGH as u64 / 2 {
        assert!(std::time::Instant::now() < until && child.try_wait().unwrap().is_none(), "{} bytes came", there());
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Changes a byte of a file.
fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_put_that_was_killed_goes_on_behind_what_is_right_and_writes_that_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (file, unfinished) = (folder.path().join("file"), folder.path().join("store/unfinished"));
    let content = bytes(1, LARGE);
    fs::write(&file, &content).unwrap();
    let half = THROUGH as u64 / 2;
    let put = |store: &Store| store.put_file(&file, Put::default()).unwrap();
    killed_in_the_middle(folder.path(), None, &unfinished);
    let mode = fs::metadata(&list(&unfinished).unwrap()[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "others can read what waits");
    let store = open(&folder.path().join("store"));
    let status = store.status().unwrap();
    assert!(status.kept >= half && status.unfinished == 1, "what waits counts: {status:?}");
    assert_eq!(status.unfinished_bytes, status.kept);
    let id = put(&store);
    assert!((half..LARGE as u64).contains(&store.resumed()), "{} bytes", store.resumed());
    assert_eq!((get(&store, id).unwrap(), list(&unfinished).unwrap().len()), (content.clone(), 0));
    let kept: u64 = store.inner.index.blobs().map(|blob| cost(blob.unwrap().2)).sum();
    assert_eq!((store.status().unwrap().kept, store.status().unwrap().reserved), (kept, 0));
    store.release(local(id)).unwrap();
    drop(store);

    // What the disk changed meanwhile is noticed, and written anew from there on.
    killed_in_the_middle(folder.path(), None, &unfinished);
    flip(&list(&unfinished).unwrap()[0], 1 << 20);
    let store = open(&folder.path().join("store"));
    assert_eq!(put(&store), id);
    assert_eq!((store.resumed(), get(&store, id).unwrap()), (1 << 20, content.clone()));
    store.release(local(id)).unwrap();
    drop(store);

    // Another file in the same place is another file. What nobody goes on with is gone after a week, as is what is too much.
    killed_in_the_middle(folder.path(), None, &unfinished);
    flip(&file, LARGE - 1);
    for number in 0..5_u8 {
        let name = unfinished.join(BlobHash([number; 32]).to_string());
        fs::write(&name, [number]).unwrap();
        fs::File::open(&name).unwrap().set_modified(std::time::SystemTime::now() - Duration::from_secs(60)).unwrap();
    }
    let store = open(&folder.path().join("store"));
    assert_eq!((store.found().leftovers, list(&unfinished).unwrap().len()), (3, 4), "the tree, and two of the others");
    let other = put(&store);
    assert!(other != id && store.resumed() == 0);
    assert_eq!(list(&unfinished).unwrap().len(), 4);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    store.collect(now).unwrap();
    assert_eq!(list(&unfinished).unwrap().len(), 4);
    store.collect(now + 8 * 24 * 3600).unwrap();
    assert_eq!(list(&unfinished).unwrap().len(), 0);
    let kept: u64 = store.inner.index.blobs().map(|blob| cost(blob.unwrap().2)).sum();
    assert_eq!(store.status().unwrap().kept, kept);
    store.release(local(other)).unwrap();
    drop(store);

    // Or it is dropped when it is asked for.
    killed_in_the_middle(folder.path(), None, &unfinished);
    let store = open(&folder.path().join("store"));
    let transit = Put { owner: Owner::TRANSIT, until: Some(u64::MAX - 1), ..Put::default() };
    let kept = store.put(&b"kept"[..], Put::default()).unwrap();
    store.put(&b"on its way"[..], transit).unwrap();
    assert_eq!(store.status().unwrap().unfinished, 2);
    assert_eq!(store.drop_unfinished().unwrap(), 2);
    let status = store.status().unwrap();
    assert_eq!((status.unfinished, status.unfinished_bytes, status.roots), (0, 0, 1));
    assert_eq!((list(&unfinished).unwrap().len(), get(&store, kept).unwrap()), (0, b"kept".to_vec()));
    assert_eq!(store.drop_unfinished().unwrap(), 0);
}

#[test]
fn nobody_else_reads_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("store");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    // As others may have made it, or an earlier version.
    fs::create_dir_all(at.join("unfinished")).unwrap();
    for folder in [&at, &at.join("unfinished")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let store = open(&at);
    for folder in ["", "blobs", "partial", "temporary", "damaged", "unfinished"] {
        assert_eq!(mode(&at.join(folder)), 0o700, "{folder}");
    }
    let id = store.put(&bytes(1, 1 << 20)[..], Put::default()).unwrap();
    for file in paths(&at.join("blobs"), store.manifest(id).unwrap().content) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    let expected = BlobHash::of(&bytes(2, 1 << 20));
    store.promise(Root { object: id, owner: Owner([1; 32]) }, None, &[(expected, 1 << 20)]).unwrap();
    for file in list(&at.join("partial")).unwrap() {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn what_is_neither_a_file_nor_a_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store"));
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [Path::new("/dev/null"), &pipe] {
        let refused = store.put_file(path, Put::default()).unwrap_err().to_string();
        assert!(refused.contains("neither a file nor a folder"), "{refused}");
    }
}

#[test]
fn a_file_that_two_put_at_once_is_put_by_both() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, bytes(1, 3 << 20)).unwrap();
    let store = open(&folder.path().join("store"));
    for _ in 0..3 {
        let put = || store.put_file(&file, Put::default()).unwrap();
        let (one, other) = thread::scope(|scope| {
            let other = scope.spawn(put);
            (put(), other.join().unwrap())
        });
        assert_eq!((one, get(&store, one).unwrap()), (other, bytes(1, 3 << 20)));
        store.release(local(one)).unwrap();
    }
    assert_eq!(store.resumed(), 0);
    assert_eq!(list(&folder.path().join("store/unfinished")).unwrap(), Vec::<PathBuf>::new());
}

#[test]
fn a_get_that_was_killed_goes_on_behind_what_is_right_and_writes_that_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (content, copy) = (bytes(1, LARGE), folder.path().join("copy"));
    for code in [None, Code::new(3, 5)] {
        let store = open(&folder.path().join("store"));
        let id = store.put(&content[..], Put { code, ..Put::default() }).unwrap();
        drop(store);
        let part = folder.path().join(format!("copy.{}.part", &id.to_string()[..16]));
        for changed in [None, Some(1 << 20)] {
            killed_in_the_middle(folder.path(), Some(id), &part);
            if let Some(at) = changed {
                flip(&part, at);
            }
            let store = open(&folder.path().join("store"));
            store.get_to(id, &copy, &Plain).unwrap();
            let resumed = match changed {
                None => THROUGH as u64 / 4..LARGE as u64,
                Some(at) => 1..at as u64 + 1,
            };
            assert!(resumed.contains(&store.resumed()), "{} bytes, {resumed:?}", store.resumed());
            assert_eq!((fs::read(&copy).unwrap() == content, part.exists()), (true, false));
            fs::remove_file(&copy).unwrap();
        }
    }
    // What comes after the end is cut off, and what is shorter is made longer.
    let store = open(&folder.path().join("store"));
    let id = store.put(&b"what is short"[..], Put::default()).unwrap();
    for there in ["what is short and what comes after it", "what", "", "something else"] {
        fs::write(folder.path().join(format!("copy.{}.part", &id.to_string()[..16])), there).unwrap();
        store.get_to(id, &copy, &Plain).unwrap();
        assert_eq!(fs::read(&copy).unwrap(), b"what is short");
        fs::remove_file(&copy).unwrap();
    }
}

/// A real disk that is really full, where a file system may be mounted.
#[test]
fn a_full_disk_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "stoa-store"]).arg(folder.path()).output();
    if !mount.is_ok_and(|mount| mount.status.success()) {
        eprintln!("no file system can be mounted here: not tested");
        return;
    }
    let result = std::panic::catch_unwind(|| {
        // The usual margin is larger than this disk, of which it takes a part only.
        let usual = Store::open(folder.path(), Limits::default()).unwrap();
        assert!(usual.status().unwrap().free > 16 << 20);
        drop(usual);
        // Without a margin, so that the disk itself has to refuse: nothing else is on it, but the index takes room as well.
        let store = Store::open(folder.path(), Limits { margin: 4 << 20, ..Limits::default() }).unwrap();
        let promised = bytes(99, 8 << 20);
        let (hash, root) = (BlobHash::of(&promised), local(ObjectId([1; 32])));
        store.promise(root, None, &[(hash, promised.len() as u64)]).unwrap();
        let mut ids = Vec::new();
        let error = loop {
            let seed = ids.len() as u64;
            match store.put(&bytes(seed, 3 << 20)[..], Put::default()) {
                Ok(id) => ids.push(id),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::DiskFull { .. }), "{error}");
        // Somebody else fills it to the last byte.
        let mut other = fs::File::create(folder.path().join("other")).unwrap();
        while other.write_all(&[1; 4096]).is_ok() {}
        for (seed, id) in ids.iter().enumerate() {
            assert_eq!(get(&store, *id).unwrap(), bytes(seed as u64, 3 << 20));
        }
        // What was promised has its room on the disk already.
        let source = tempfile::tempdir().unwrap();
        let source = open(source.path());
        source.put(&promised[..], Put::default()).unwrap();
        let partial = store.partial(hash).unwrap().unwrap();
        for range in partial.missing() {
            partial.accept(range.clone(), &encoded(&source, hash, range)).unwrap();
        }
        drop(other);
        fs::remove_file(folder.path().join("other")).unwrap();
        partial.finish().unwrap();
        drop(store);
        let store = open(folder.path());
        assert_eq!(store.found(), &Found::default());
        assert_eq!(store.scrub().unwrap().damaged, vec![]);
        assert_eq!(store.blob(hash).unwrap().read(0..u64::MAX).unwrap(), promised);
    });
    let _ = Command::new("umount").arg("-l").arg(folder.path()).status();
    result.unwrap();
}
