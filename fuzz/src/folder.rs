//! Names in folders, as anybody may have made them.

use crate::Target;
use commonware_codec::Encode as _;
use std::path::{Component, Path};
use stoa_store::{Entry, EntryKind, Folder, ObjectId};

/// Names in folders, as anybody may have made them.
pub const TARGET: Target = Target { name: "folder", run, seeds };

fn run(bytes: &[u8]) -> bool {
    let Ok(folder) = Folder::from_bytes(bytes) else { return false };
    assert_eq!(folder.encode().as_ref(), bytes, "a folder has one encoding");
    for entry in folder.entries() {
        let mut steps = Path::new(&entry.name).components();
        let one = matches!(steps.next(), Some(Component::Normal(step)) if step == entry.name.as_str());
        assert!(one && steps.next().is_none(), "{:?} is one step down", entry.name);
    }
    assert_eq!(Folder::new(folder.entries().to_vec()).as_ref(), Ok(&folder), "whoever makes it makes the same");
    true
}

fn seeds() -> Vec<Vec<u8>> {
    let kinds = [EntryKind::File, EntryKind::Program, EntryKind::Folder];
    let names = ["a", "ab", ".hidden", "Ünï cödé", "with space", "...", "-rf", "a\\b", "b"];
    let entry = |(index, name): (usize, &&str)| Entry {
        name: (*name).into(),
        kind: kinds[index % 3],
        id: ObjectId([index as u8; 32]),
    };
    let entries: Vec<_> = names.iter().enumerate().map(entry).collect();
    [0, 1, 3, names.len()]
        .map(|count| Folder::new(entries[..count].to_vec()).expect("each is a name").encode().to_vec())
        .to_vec()
}
