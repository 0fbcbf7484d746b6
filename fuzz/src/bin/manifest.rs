//! libFuzzer around the target `manifest`.

#![no_main]

use stoa_fuzz::{MANIFEST, harness};

libfuzzer_sys::fuzz_target!(init: harness::start(&MANIFEST), |bytes: &[u8]| harness::run(&MANIFEST, bytes));
