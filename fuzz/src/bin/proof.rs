//! libFuzzer around the target `proof`.

#![no_main]

use stoa_fuzz::{PROOF, harness};

libfuzzer_sys::fuzz_target!(init: harness::start(&PROOF), |bytes: &[u8]| harness::run(&PROOF, bytes));
