//! libFuzzer around the target `block`.

#![no_main]

use stoa_fuzz::{BLOCK, harness};

libfuzzer_sys::fuzz_target!(init: harness::start(&BLOCK), |bytes: &[u8]| harness::run(&BLOCK, bytes));
