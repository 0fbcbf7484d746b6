//! What a person's wallet is good for besides money: reading, and being known to nodes.

use alloy_primitives::keccak256;
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::ed25519;
use stoa_privacy::{Announcement, ReaderKey, ReadingKey, ReadingSecret, WalletError};

/// A wallet's reading key, with its announcement.
#[derive(Debug)]
pub struct Reading {
    /// Opens what is sealed to the wallet.
    pub secret: ReadingSecret,
    /// Tells others what to seal to.
    pub announcement: Announcement,
    /// What others seal to.
    pub key: ReaderKey,
}

impl Reading {
    /// The first reading key of a wallet on a chain.
    ///
    /// # Errors
    ///
    /// If the wallet does not sign, or signs otherwise each time.
    pub fn of(wallet: &PrivateKeySigner, chain_id: u64) -> Result<Self, WalletError> {
        let named = ReadingKey { wallet: wallet.address(), chain_id, version: 0 };
        let unsigned = |_| WalletError::Signer { wallet: named.wallet, chain_id };
        let secret = named.derive(&wallet.sign_hash_sync(&named.digest()).map_err(unsigned)?)?;
        let digest = named.announcement_digest(&secret.public());
        let signature = wallet.sign_hash_sync(&digest).map_err(unsigned)?;
        let announcement = named.announce(secret.public(), &signature)?;
        let key = announcement.verify(chain_id)?;
        Ok(Self { secret, announcement, key })
    }
}

/// The key by which nodes know a wallet's owner when he asks them for something: the same on each of his machines.
pub fn identity(wallet: &PrivateKeySigner) -> ed25519::PrivateKey {
    let seed = keccak256([b"Stoa node identity of a wallet".as_slice(), wallet.to_bytes().as_slice()].concat());
    ed25519::PrivateKey::decode(Copying(seed.as_slice())).expect("any 32 bytes are a seed")
}
