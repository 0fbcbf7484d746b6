//! What stands between libFuzzer and a target: its seeds, and a bound on memory.

use crate::Target;
use peakmem_alloc::{INSTRUMENTED_SYSTEM, PeakMemAlloc, PeakMemAllocTrait as _};
use std::{alloc::System, env, fs, path::PathBuf};

#[global_allocator]
static MEMORY: &PeakMemAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes of memory that any input may take, and how many more for each of its own bytes.
const FLOOR: usize = 1 << 20;
const FACTOR: usize = 256;

/// Writes the seeds into the folder that `STOA_SEEDS` names, if it does.
///
/// # Panics
///
/// If they cannot be written, or break a promise.
pub fn start(target: &Target) {
    let folder = env::var_os("STOA_SEEDS").map(PathBuf::from);
    for (index, seed) in (target.seeds)().iter().enumerate() {
        // What is computed once is no input's memory.
        (target.run)(seed);
        if let Some(folder) = &folder {
            fs::write(folder.join(index.to_string()), seed).expect("seeds can be written");
        }
    }
}

/// Gives the bytes to the target.
///
/// # Panics
///
/// If a promise is broken, or much more memory is taken than the bytes are long.
pub fn run(target: &Target, bytes: &[u8]) {
    MEMORY.reset_peak_memory();
    (target.run)(bytes);
    let (took, most) = (MEMORY.get_peak_memory(), FLOOR + FACTOR * bytes.len());
    assert!(took <= most, "{} bytes took {took} bytes of memory, expected at most {most}", bytes.len());
}
