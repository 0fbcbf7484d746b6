//! A node's own account on the ledger, from which it pays for what it sends of its own accord: moves of shares.
//!
//! Its key follows from the node's key, so that there is no second secret to keep. Whoever runs the node puts some coin there.

use alloy_primitives::keccak256;
use alloy_signer_local::PrivateKeySigner;
use commonware_codec::EncodeFixed as _;
use commonware_cryptography::ed25519::PrivateKey;
use eyre::{Result, WrapErr as _};
use zeroize::Zeroizing;

const DOMAIN: &[u8] = b"stoa/node/account/v1";

/// The account of the node with this key.
///
/// # Errors
///
/// If no key of an account follows, as it does for one key in 2¹²⁸.
pub fn of(key: &PrivateKey) -> Result<PrivateKeySigner> {
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(key.encode_fixed());
    let secret = Zeroizing::new([DOMAIN, &seed[..]].concat());
    PrivateKeySigner::from_bytes(&keccak256(&*secret)).wrap_err("no account follows from this node's key: make another")
}
