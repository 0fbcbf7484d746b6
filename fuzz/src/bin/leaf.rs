//! libFuzzer around the target `leaf`.

#![no_main]

use stoa_fuzz::{LEAF, harness};

libfuzzer_sys::fuzz_target!(init: harness::start(&LEAF), |bytes: &[u8]| harness::run(&LEAF, bytes));
