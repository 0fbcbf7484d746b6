//! libFuzzer around the target `grant`.

#![no_main]

use stoa_fuzz::{GRANT, harness};

libfuzzer_sys::fuzz_target!(init: harness::start(&GRANT), |bytes: &[u8]| harness::run(&GRANT, bytes));
