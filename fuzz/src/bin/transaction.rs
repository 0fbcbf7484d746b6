//! libFuzzer around the target `transaction`.

#![no_main]

use stoa_fuzz::{TRANSACTION, harness};

libfuzzer_sys::fuzz_target!(init: harness::start(&TRANSACTION), |bytes: &[u8]| harness::run(&TRANSACTION, bytes));
