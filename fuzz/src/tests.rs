use crate::{BLOCK, FOLDER, GRANT, LEAF, LOOK, MANIFEST, OBJECT, PIECE, PROOF, REQUEST, RPC, TRANSACTION, Target};

const TARGETS: [Target; 12] =
    [TRANSACTION, BLOCK, RPC, LEAF, PROOF, OBJECT, GRANT, MANIFEST, FOLDER, PIECE, REQUEST, LOOK];

#[test]
fn seeds_are_taken() {
    for target in TARGETS {
        for (index, seed) in (target.seeds)().iter().enumerate() {
            assert!((target.run)(seed), "{}: seed {index}", target.name);
        }
    }
}

#[test]
fn damaged_seeds_break_no_promise() {
    for target in TARGETS {
        for seed in (target.seeds)() {
            for at in 0..seed.len().min(150) {
                (target.run)(&seed[..at]);
                for flip in [1, 0x80, 0xff] {
                    let mut damaged = seed.clone();
                    damaged[at] ^= flip;
                    (target.run)(&damaged);
                }
            }
        }
    }
}
