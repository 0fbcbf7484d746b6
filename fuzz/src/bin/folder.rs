//! libFuzzer around the target `folder`.

#![no_main]

use stoa_fuzz::{FOLDER, harness};

libfuzzer_sys::fuzz_target!(init: harness::start(&FOLDER), |bytes: &[u8]| harness::run(&FOLDER, bytes));
