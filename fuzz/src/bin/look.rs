//! libFuzzer around the target `look`.

#![no_main]

use stoa_fuzz::{LOOK, harness};

libfuzzer_sys::fuzz_target!(init: harness::start(&LOOK), |bytes: &[u8]| harness::run(&LOOK, bytes));
