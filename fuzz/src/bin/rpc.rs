//! libFuzzer around the target `rpc`.

#![no_main]

use stoa_fuzz::{RPC, harness};

libfuzzer_sys::fuzz_target!(init: harness::start(&RPC), |bytes: &[u8]| harness::run(&RPC, bytes));
