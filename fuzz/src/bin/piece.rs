//! libFuzzer around the target `piece`.

#![no_main]

use stoa_fuzz::{PIECE, harness};

libfuzzer_sys::fuzz_target!(init: harness::start(&PIECE), |bytes: &[u8]| harness::run(&PIECE, bytes));
