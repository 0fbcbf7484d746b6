//! libFuzzer around the target `object`.

#![no_main]

use stoa_fuzz::{OBJECT, harness};

libfuzzer_sys::fuzz_target!(init: harness::start(&OBJECT), |bytes: &[u8]| harness::run(&OBJECT, bytes));
