//! What a person's wallet is good for besides money: reading, and being known to nodes.

use alloy_primitives::keccak256;
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::ed25519;
use stoa_privacy::{Announcement, ReaderKey, ReadingKey, ReadingSecret, SecretSignature, WalletError};
use zeroize::Zeroizing;

/// What is hashed with a wallet's key for its owner's name among nodes.
const IDENTITY: &[u8] = b"Stoa node identity of a wallet";

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
        let signature = SecretSignature::from(wallet.sign_hash_sync(&named.digest()).map_err(unsigned)?);
        let secret = named.derive(&signature)?;
        let digest = named.announcement_digest(&secret.public());
        let signature = wallet.sign_hash_sync(&digest).map_err(unsigned)?;
        let announcement = named.announce(secret.public(), &signature)?;
        let key = announcement.verify(chain_id)?;
        Ok(Self { secret, announcement, key })
    }
}

/// The key by which nodes know a wallet's owner when he asks them for something: the same on each of his machines.
pub fn identity(wallet: &PrivateKeySigner) -> ed25519::PrivateKey {
    let secret: Zeroizing<[u8; 32]> = Zeroizing::new(wallet.to_bytes().0);
    let named = Zeroizing::new([IDENTITY, &secret[..]].concat());
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(keccak256(&*named).0);
    ed25519::PrivateKey::decode(Copying(&seed[..])).expect("any 32 bytes are a seed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;
    use commonware_cryptography::Signer as _;

    /// Keccak-256 of the name and the wallet's key, and the ed25519 key that has this for its seed.
    #[test]
    fn the_identity_of_a_wallet_is_frozen() {
        let wallet = PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).unwrap();
        let key = identity(&wallet).public_key();
        assert_eq!(key.to_string(), "d9c16a454b58d09969ec94d9809408932050675172e71df83688ca3b7c0a41c9");
    }
}
