//! Manifests of objects, as anybody may send them.

use crate::Target;
use commonware_codec::{Copying, DecodeExt as _, Encode as _, EncodeSize as _};
use stoa_store::{BlobHash, Code, Coding, Kind, MAX_MANIFEST, Manifest, ObjectId, Sealing};

/// Manifests of objects, as anybody may send them.
pub const TARGET: Target = Target { name: "manifest", run, seeds };

fn run(bytes: &[u8]) -> bool {
    let Ok(manifest) = Manifest::decode(Copying(bytes)) else { return false };
    assert_eq!(manifest.encode().as_ref(), bytes, "a manifest has one encoding");
    assert_eq!(manifest.encode_size(), bytes.len());
    assert!(bytes.len() <= MAX_MANIFEST, "{} bytes", bytes.len());
    assert_eq!(manifest.id(), ObjectId(BlobHash::of(bytes).0));
    assert_eq!(Manifest::verify(manifest.id(), bytes).as_ref(), Ok(&manifest));
    // What follows from it neither overflows nor promises too little.
    if let Some(layout) = manifest.layout() {
        let (k, pieces) = (layout.code().needed() as u64, layout.code().pieces());
        assert_eq!(manifest.blobs().len(), pieces);
        assert!(layout.piece() * k >= manifest.size);
        let last = layout.stripes().saturating_sub(1);
        assert_eq!(layout.place_of(last).end, layout.piece());
    }
    true
}

fn seeds() -> Vec<Vec<u8>> {
    let whole = Manifest {
        kind: Kind::File,
        sealing: Sealing::Plain,
        size: 0,
        content: BlobHash::of(&[]),
        coding: Coding::Whole,
    };
    let pieces = |count: u8| (0..count).map(|piece| BlobHash([piece; 32])).collect();
    let spread = Manifest {
        kind: Kind::Folder,
        sealing: Sealing::Sealed(vec![7; 40]),
        size: 10_000_000_000,
        coding: Coding::Spread(Code::default(), pieces(10)),
        ..whole.clone()
    };
    let one = Code::new(1, 1).expect("one of one is a code");
    let copy = Manifest { coding: Coding::Spread(one, pieces(1)), ..whole.clone() };
    [whole, spread, copy].iter().map(|manifest| manifest.encode().to_vec()).collect()
}
