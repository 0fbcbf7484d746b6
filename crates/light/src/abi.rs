//! How the module's host reaches [`answer`](crate::answer): through one buffer, which holds a request and then the answer.
//!
//! The host calls `request` with the length, writes the bytes to where that points, calls `verify`, and reads as many bytes as
//! that says from where `answer` points. No function is given a pointer, so none has to believe one.
//!
//! The names must be visible outside, which Rust counts as unsafe because another library could have the same; this module is
//! linked with none of those that have them. That is all that is unsafe here.
#![allow(unsafe_code)]

use crate::request::{MAX_REQUEST, answer as answer_to};
use std::sync::{Mutex, MutexGuard, PoisonError};

static BUFFER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn buffer() -> MutexGuard<'static, Vec<u8>> {
    BUFFER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes room for a request of so many bytes, and says where; null if that is too long.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
extern "C" fn request(length: usize) -> *mut u8 {
    if length > MAX_REQUEST {
        return std::ptr::null_mut();
    }
    let mut buffer = buffer();
    *buffer = vec![0; length];
    buffer.as_mut_ptr()
}

/// Replaces the request by its answer, and says how many bytes that has.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
extern "C" fn verify() -> usize {
    let mut buffer = buffer();
    *buffer = answer_to(&buffer);
    buffer.len()
}

/// Where the answer is.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
extern "C" fn answer() -> *const u8 {
    buffer().as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_too_long_gets_no_room() {
        assert!(request(MAX_REQUEST + 1).is_null());
        assert!(!request(2).is_null());
        let length = verify();
        let at = answer();
        let buffer = buffer();
        assert_eq!(*buffer, answer_to(&[0, 0]));
        assert_eq!((length, at), (buffer.len(), buffer.as_ptr()));
    }
}
