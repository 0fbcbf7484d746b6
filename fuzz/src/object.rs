//! Sealed objects, as whoever stores them gives them to a reader.

use crate::Target;
use alloy_primitives::B256;
use rand::{SeedableRng as _, rngs::StdRng};
use std::{io::Read as _, sync::LazyLock};
use stoa_privacy::{
    AssetId, DataKey,
    object::{CHUNK_LEN, HEADER_LEN, Header, Layout, OpenReader, open, seal},
};

/// Sealed objects, as whoever stores them gives them to a reader.
pub const TARGET: Target = Target { name: "object", run, seeds };

const OBJECT: AssetId = AssetId(B256::repeat_byte(1));

fn key() -> DataKey {
    DataKey::from_bytes([2; 32])
}

/// All that was ever sealed under the key.
static SEALED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let lengths = [0, 1, 100, CHUNK_LEN, CHUNK_LEN + 1];
    let mut rng = StdRng::seed_from_u64(0);
    lengths.map(|length| seal(&key(), OBJECT, &vec![3; length], &mut rng).expect("so little fits")).into()
});

fn run(bytes: &[u8]) -> bool {
    if let Ok(header) = Header::from_bytes(bytes) {
        assert_eq!(header.to_bytes(), bytes[..HEADER_LEN], "a header has one encoding");
    }
    if let Ok(layout) = Layout::of_sealed(bytes.len() as u64) {
        assert_eq!(layout.sealed_len(), bytes.len() as u64, "a length is of one layout");
        assert_eq!(Layout::of_plain(layout.plain_len()), Ok(layout));
    }
    let mut streamed = Vec::new();
    let whole = OpenReader::new(&key(), OBJECT, bytes).and_then(|mut reader| reader.read_to_end(&mut streamed));
    let opened = open(&key(), OBJECT, bytes);
    assert_eq!(whole.is_ok(), opened.is_ok(), "both ways of reading agree");
    let Ok(plain) = opened else { return false };
    assert_eq!(streamed, plain);
    assert!(SEALED.iter().any(|sealed| sealed == bytes), "nothing opens that was not sealed");
    true
}

fn seeds() -> Vec<Vec<u8>> {
    SEALED.clone()
}
