//! The light client as a WebAssembly module: what `stoa-proof` checks, asked and answered in JSON.
//!
//! `light.js` beside this crate is how a program uses it; [`answer`] is all that the module does. It is given what an untrusted
//! node has answered, calls nothing of its host, and keeps nothing from one request to the next.
//!
//! ```json
//! { "account": { "block": { "networkKey": "0x…", "number": "0x7", "certificate": … what stoa_getCertificate answered … },
//!                "address": "0x…", "slots": ["0x0"], "proof": … what stoa_getProof answered … } }
//! ```
//!
//! is answered by `{ "proven": { … } }` or `{ "error": "…" }`.

#[cfg(any(target_arch = "wasm32", test))]
mod abi;
mod request;

pub use request::{MAX_REQUEST, answer};
