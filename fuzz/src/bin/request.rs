//! libFuzzer around the target `request`.

#![no_main]

use stoa_fuzz::{REQUEST, harness};

libfuzzer_sys::fuzz_target!(init: harness::start(&REQUEST), |bytes: &[u8]| harness::run(&REQUEST, bytes));
