//! Answers with a part of a piece, as nodes send them.

use crate::Target;
use std::{ops::Range, sync::LazyLock};
use stoa_store::{BlobHash, Limits, ObjectId, Owner, Partial, Put, Root, Store};
use tempfile::TempDir;

/// Answers with a part of a piece, as nodes send them.
pub const TARGET: Target = Target { name: "piece", run, seeds };

/// Bytes of the pieces that are asked for: of one group, of few, and of more than one window.
const LENGTHS: [usize; 3] = [1_000, 40_000, 1_200_000];

/// A part of a piece that is asked for, and the bytes that an honest node answers.
type Answer = (Range<u64>, Vec<u8>);

/// A store that expects the pieces, and what honest nodes answer.
struct Asked {
    _folders: [TempDir; 2],
    pieces: Vec<(Partial, Vec<Answer>)>,
}

static ASKED: LazyLock<Asked> = LazyLock::new(|| {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder can be made"));
    let open = |folder: &TempDir| Store::open(folder.path(), Limits { margin: 0, ..Limits::default() });
    let [has, asks] = [&folders[0], &folders[1]].map(|folder| open(folder).expect("a store can be made"));
    let pieces = LENGTHS.map(|length| {
        let piece: Vec<u8> = (0..length).map(|at| (at / 7) as u8).collect();
        has.put(&piece[..], Put::default()).expect("there is room");
        let (hash, root) = (BlobHash::of(&piece), Root { object: ObjectId([0; 32]), owner: Owner::LOCAL });
        asks.promise(root, None, &[(hash, length as u64)]).expect("there is room");
        let partial = asks.partial(hash).expect("it is promised").expect("it is not here");
        let answer = |range: Range<u64>| {
            let mut bytes = Vec::new();
            has.encode(hash, range.clone(), &mut bytes).expect("it is here");
            (range, bytes)
        };
        let answers = partial.missing().into_iter().map(answer).collect();
        (partial, answers)
    });
    Asked { _folders: folders, pieces: pieces.into() }
});

/// The first byte says what was asked for, the rest is the answer. Only the honest one is taken.
fn run(bytes: &[u8]) -> bool {
    let Some((which, answer)) = bytes.split_first() else { return false };
    let asked = ASKED.pieces.iter().flat_map(|(partial, answers)| answers.iter().map(move |answer| (partial, answer)));
    let Some((partial, (range, honest))) = asked.clone().nth(usize::from(*which) % asked.count()) else { return false };
    let taken = partial.accept(range.clone(), answer).is_ok();
    assert_eq!(taken, answer == honest, "an answer is taken if it is the honest one");
    taken
}

/// The long ones would only slow the fuzzer down.
fn seeds() -> Vec<Vec<u8>> {
    let asked = ASKED.pieces.iter().flat_map(|(_, answers)| answers);
    let seed = |(index, (_, answer)): (usize, &(_, Vec<u8>))| [&[index as u8], &answer[..]].concat();
    asked.enumerate().filter(|(_, (_, answer))| answer.len() < 16_000).map(seed).collect()
}
