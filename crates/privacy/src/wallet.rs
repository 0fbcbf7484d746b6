//! A wallet's reading key: derived from a signature, so that there is no second secret to keep, and announced with
//! another, so that anybody can seal to an address without trusting a directory.
//!
//! ```text
//!  wallet ──signs ReadingKey (EIP-712)──────▶ signature ──HKDF-SHA256──▶ x25519 secret     stays with the person
//!  wallet ──signs ReadingKeyAnnouncement────▶ Announcement { wallet, version, key }         published
//! ```
//!
//! **The first signature is the secret.** Whoever has it reads all that the wallet may read; the text that the wallet shows
//! says so. EIP-712 binds it to the name, the version and the chain, not to the page that asks for it: a page that lies
//! can ask for the very same signature, as it can ask for any other.
//!
//! **One signature, one key.** A signature (r, s) has a twin (r, n − s), which is brought to the form with the low s
//! (EIP-2) first. The key follows from r and s alone, however the recovery id is written. Wallets sign deterministically
//! (RFC 6979), so the same key comes out on every device. One that does not (some hardware, keys shared among several
//! parties) makes another key each time: [`Announcement::is_of`] tells before anything is lost. Contracts have no
//! signature to derive from; the accounts behind them read instead.
//!
//! A key that got known is replaced by one of a higher `version`; what was sealed to the old one stays readable with it.

use crate::{
    key::{KEY_LEN, derive},
    reader::{Reader, ReaderKey, ReadingSecret},
};
use alloy_consensus::crypto::secp256k1::recover_signer;
use alloy_dyn_abi::TypedData;
use alloy_primitives::{Address, B256, Signature, U256};
use alloy_sol_types::{Eip712Domain, SolStruct as _, eip712_domain};
use bytes::BufMut;
use commonware_codec::{Buf, Error as CodecError, FixedSize, Read, ReadExt as _, Write};
use std::{fmt, ops::Deref};
use zeroize::{DefaultIsZeroes, Zeroizing};

/// What a wallet shows before it signs.
const SECRET_NOTICE: &str = "This signature is the secret that opens what is shared with you on Stoa. Sign it only in a \
                             program that you trust, and never give the signature to anybody.";
const ANNOUNCEMENT_NOTICE: &str =
    "With this you publish the key that others seal to when they share something with you on Stoa.";

const DOMAIN: &[u8] = b"stoa/privacy/reading-key/v1";

mod typed {
    alloy_sol_types::sol! {
        #[derive(serde::Serialize)]
        struct ReadingKey {
            string notice;
            address wallet;
            uint32 version;
        }

        #[derive(serde::Serialize)]
        struct ReadingKeyAnnouncement {
            string notice;
            address wallet;
            uint32 version;
            bytes32 key;
        }
    }
}

/// Why a signature gives no key, or an announcement binds none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalletError {
    /// Somebody else signed, or something else was signed.
    #[error("expected a signature by {wallet} on chain {chain_id}; this one is by another account or of other data")]
    Signer {
        /// Who should have signed.
        wallet: Address,
        /// For which chain.
        chain_id: u64,
    },
    /// A reading key is announced whose secret anybody can compute.
    #[error("the announced key is no x25519 key that a secret leads to; {wallet} must announce another")]
    Key {
        /// Whose announcement it is.
        wallet: Address,
    },
}

/// A signature that is a secret, as the one is that a reading key follows from. Erased when it is dropped; its `Debug` shows
/// nothing.
pub struct SecretSignature(Zeroizing<Erasable>);

#[derive(Clone, Copy)]
struct Erasable(Signature);

impl Default for Erasable {
    fn default() -> Self {
        Self(Signature::new(U256::ZERO, U256::ZERO, false))
    }
}

impl DefaultIsZeroes for Erasable {}

impl From<Signature> for SecretSignature {
    fn from(signature: Signature) -> Self {
        Self(Zeroizing::new(Erasable(signature)))
    }
}

impl Deref for SecretSignature {
    type Target = Signature;

    fn deref(&self) -> &Signature {
        let Erasable(signature) = &*self.0;
        signature
    }
}

impl fmt::Debug for SecretSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretSignature([REDACTED])")
    }
}

/// Names a reading key of a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadingKey {
    /// Whose.
    pub wallet: Address,
    /// EIP-155 id of the chain that it is for.
    pub chain_id: u64,
    /// Which one: 0 at first, higher after each change.
    pub version: u32,
}

/// The EIP-712 domain of all that wallets sign on Stoa outside of contracts.
pub fn signing_domain(chain_id: u64) -> Eip712Domain {
    eip712_domain! { name: "Stoa", version: "1", chain_id: chain_id, }
}

impl ReadingKey {
    fn secret(&self) -> typed::ReadingKey {
        typed::ReadingKey { notice: SECRET_NOTICE.into(), wallet: self.wallet, version: self.version }
    }

    fn announcement(&self, key: &[u8; KEY_LEN]) -> typed::ReadingKeyAnnouncement {
        typed::ReadingKeyAnnouncement {
            notice: ANNOUNCEMENT_NOTICE.into(),
            wallet: self.wallet,
            version: self.version,
            key: key.into(),
        }
    }

    /// What `eth_signTypedData_v4` is asked to sign for the key itself. The signature is the secret.
    pub fn typed_data(&self) -> TypedData {
        TypedData::from_struct(&self.secret(), Some(signing_domain(self.chain_id)))
    }

    /// The hash that is signed for the key itself.
    pub fn digest(&self) -> B256 {
        self.secret().eip712_signing_hash(&signing_domain(self.chain_id))
    }

    /// What `eth_signTypedData_v4` is asked to sign in order to announce the key.
    pub fn announcement_typed_data(&self, key: &[u8; KEY_LEN]) -> TypedData {
        TypedData::from_struct(&self.announcement(key), Some(signing_domain(self.chain_id)))
    }

    /// The hash that is signed in order to announce the key.
    pub fn announcement_digest(&self, key: &[u8; KEY_LEN]) -> B256 {
        self.announcement(key).eip712_signing_hash(&signing_domain(self.chain_id))
    }

    /// The key that follows from the wallet's signature of [`Self::digest`], which is best kept as a [`SecretSignature`].
    ///
    /// # Errors
    ///
    /// If the wallet did not make that signature.
    pub fn derive(&self, signature: &Signature) -> Result<ReadingSecret, WalletError> {
        let signature = SecretSignature::from(self.signed(self.digest(), signature)?);
        let scalars = Zeroizing::new(signature.as_rsy());
        let info: [&[u8]; 3] = [self.wallet.as_slice(), &self.chain_id.to_be_bytes(), &self.version.to_be_bytes()];
        let secret = Zeroizing::new(derive(DOMAIN, &scalars[..64], &info));
        Ok(ReadingSecret::from_bytes(&secret))
    }

    /// Announces a key with the wallet's signature of [`Self::announcement_digest`].
    ///
    /// # Errors
    ///
    /// If the wallet did not make that signature, or nobody can have the key's secret.
    pub fn announce(&self, key: [u8; KEY_LEN], signature: &Signature) -> Result<Announcement, WalletError> {
        let signature = self.signed(self.announcement_digest(&key), signature)?;
        let announcement = Announcement { wallet: self.wallet, version: self.version, key, signature };
        announcement.verify(self.chain_id)?;
        Ok(announcement)
    }

    /// The signature with its low s, if it is the wallet's.
    fn signed(&self, digest: B256, signature: &Signature) -> Result<Signature, WalletError> {
        let signature = signature.normalized_s();
        match recover_signer(&signature, digest) {
            Ok(signer) if signer == self.wallet => Ok(signature),
            _ => Err(WalletError::Signer { wallet: self.wallet, chain_id: self.chain_id }),
        }
    }
}

/// A wallet's statement which key is to be sealed to.
///
/// `wallet (20) | version (4) | key (32) | r (32) | s, low (32) | parity (1)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Whose key.
    pub wallet: Address,
    /// The higher one counts.
    pub version: u32,
    /// The x25519 key.
    pub key: [u8; KEY_LEN],
    signature: Signature,
}

impl Announcement {
    /// The key to seal to, if the wallet announced it for this chain.
    ///
    /// # Errors
    ///
    /// If it did not, or nobody can have the key's secret.
    pub fn verify(&self, chain_id: u64) -> Result<ReaderKey, WalletError> {
        let wallet = self.wallet;
        let named = ReadingKey { wallet, chain_id, version: self.version };
        named.signed(named.announcement_digest(&self.key), &self.signature)?;
        // The points of small order and their twins under other encodings all go to zero when multiplied by eight.
        let point = curve25519_dalek::MontgomeryPoint(self.key);
        if point.mul_clamped([0; KEY_LEN]).0 == [0; KEY_LEN] {
            return Err(WalletError::Key { wallet });
        }
        Ok(ReaderKey::new(Reader::Wallet(wallet), &self.key))
    }

    /// Whether this secret belongs to the announced key. If not, the wallet signs otherwise each time, and must not use a
    /// key that follows from its signature.
    pub fn is_of(&self, secret: &ReadingSecret) -> bool {
        secret.public() == self.key
    }
}

impl FixedSize for Announcement {
    const SIZE: usize = 20 + 4 + KEY_LEN + 65;
}

impl Write for Announcement {
    fn write(&self, buf: &mut impl BufMut) {
        self.wallet.0.0.write(buf);
        self.version.write(buf);
        self.key.write(buf);
        buf.put_slice(&self.signature.as_rsy());
    }
}

impl Read for Announcement {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let (wallet, version) = (<[u8; 20]>::read(buf)?.into(), u32::read(buf)?);
        let key = <[u8; KEY_LEN]>::read(buf)?;
        let bytes = <[u8; 65]>::read(buf)?;
        let parity = match bytes[64] {
            0 => false,
            1 => true,
            _ => return Err(CodecError::Invalid("Announcement", "the parity is 0 or 1")),
        };
        let signature = Signature::from_bytes_and_parity(&bytes[..64], parity);
        if signature.normalize_s().is_some() {
            return Err(CodecError::Invalid("Announcement", "s is in the upper half of the order"));
        }
        Ok(Self { wallet, version, key, signature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fingerprint, has_one_encoding, rng};
    use alloy_primitives::{hex, uint};
    use alloy_signer::SignerSync as _;
    use alloy_signer_local::PrivateKeySigner;
    use commonware_codec::{Copying, DecodeExt as _, Encode as _};
    use zeroize::Zeroize as _;

    const ORDER: U256 = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);

    fn wallet() -> (PrivateKeySigner, ReadingKey) {
        let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).unwrap();
        let named = ReadingKey { wallet: signer.address(), chain_id: 31337, version: 0 };
        (signer, named)
    }

    fn secret(signer: &PrivateKeySigner, named: &ReadingKey) -> ReadingSecret {
        named.derive(&signer.sign_hash_sync(&named.digest()).unwrap()).unwrap()
    }

    fn announced() -> (ReadingKey, Announcement) {
        let (signer, named) = wallet();
        let key = secret(&signer, &named).public();
        let signature = signer.sign_hash_sync(&named.announcement_digest(&key)).unwrap();
        (named, named.announce(key, &signature).unwrap())
    }

    #[test]
    fn the_key_of_a_wallet_is_frozen() {
        let (signer, named) = wallet();
        assert_eq!(hex::encode(named.digest()), "7fc9ee19d7e4f78025536b06ec1113c07f0225c39ebde8fc4cd6c294523d28d4");
        assert_eq!(
            hex::encode(secret(&signer, &named).public()),
            "104145a191da99f911afe29f6de41988a2259c0d437a829500c7d68b9f79c342"
        );
        assert_eq!(fingerprint(&announced().1), "0b938fbbde8e63596799943423fb6016f7f422221f3b428edb96d7c38b239667");
    }

    #[test]
    fn a_signature_and_its_twins_give_one_key() {
        let (signer, named) = wallet();
        let signature = signer.sign_hash_sync(&named.digest()).unwrap();
        let key = named.derive(&signature).unwrap().public();
        let twin = Signature::new(signature.r(), ORDER - signature.s(), !signature.v());
        assert_eq!(named.derive(&twin).unwrap().public(), key);
        // The recovery id as wallets write it: 0 or 1, 27 or 28.
        for parity in [u8::from(signature.v()), 27 + u8::from(signature.v())] {
            let mut bytes = signature.as_bytes();
            bytes[64] = parity;
            assert_eq!(named.derive(&Signature::from_raw(&bytes).unwrap()).unwrap().public(), key);
        }
    }

    #[test]
    fn the_signature_that_is_the_secret_is_erased_and_never_shown() {
        let (signer, named) = wallet();
        let signature = signer.sign_hash_sync(&named.digest()).unwrap();
        let mut kept = SecretSignature::from(signature);
        assert_eq!((*kept, format!("{kept:?}")), (signature, "SecretSignature([REDACTED])".to_owned()));
        // What its drop does.
        kept.0.zeroize();
        assert_eq!(*kept, Signature::new(U256::ZERO, U256::ZERO, false));
    }

    #[test]
    fn the_chain_and_the_version_change_the_key() {
        let (signer, named) = wallet();
        let key = secret(&signer, &named).public();
        assert_ne!(secret(&signer, &ReadingKey { chain_id: 1, ..named }).public(), key);
        assert_ne!(secret(&signer, &ReadingKey { version: 1, ..named }).public(), key);
    }

    #[test]
    fn somebody_elses_signature_gives_no_key() {
        let (_, named) = wallet();
        let other = PrivateKeySigner::from_bytes(&B256::repeat_byte(2)).unwrap();
        let error = named.derive(&other.sign_hash_sync(&named.digest()).unwrap()).unwrap_err();
        assert_eq!(error, WalletError::Signer { wallet: named.wallet, chain_id: 31337 });
        let (signer, _) = wallet();
        let of_other_data = signer.sign_hash_sync(&ReadingKey { version: 1, ..named }.digest()).unwrap();
        assert!(named.derive(&of_other_data).is_err());
        assert!(named.derive(&Signature::new(U256::ZERO, U256::ZERO, false)).is_err());
    }

    #[test]
    fn a_wallet_is_shown_what_it_signs() {
        let (_, named) = wallet();
        for (data, digest) in [
            (named.typed_data(), named.digest()),
            (named.announcement_typed_data(&[3; 32]), named.announcement_digest(&[3; 32])),
        ] {
            let json = serde_json::to_string(&data).unwrap();
            let read: TypedData = serde_json::from_str(&json).unwrap();
            assert_eq!(read.eip712_signing_hash().unwrap(), digest, "{json}");
        }
        assert!(named.typed_data().message["notice"].as_str().unwrap().contains("never give the signature to anybody"));
    }

    #[test]
    fn an_announced_key_is_sealed_to_and_opened() {
        let (signer, named) = wallet();
        let (_, announcement) = announced();
        let key = announcement.verify(named.chain_id).unwrap();
        assert_eq!(key.reader(), Reader::Wallet(named.wallet));
        let secret = secret(&signer, &named);
        assert!(announcement.is_of(&secret));
        let sealed =
            crate::SealedSecret::seal(&key, crate::sealed::Purpose::OwnerHalf, b"", &[9; 32], &mut rng(1)).unwrap();
        let opened = sealed.open(&secret, crate::sealed::Purpose::OwnerHalf, b"").unwrap();
        opened.expose(|opened| assert_eq!(opened, &[9; 32]));
    }

    #[test]
    fn a_wallet_that_signs_at_random_is_told() {
        let (_, announcement) = announced();
        assert!(!announcement.is_of(&ReadingSecret::from_bytes(&[1; 32])));
    }

    #[test]
    fn an_announcement_holds_for_its_wallet_version_key_and_chain_alone() {
        let (named, announcement) = announced();
        has_one_encoding(&announcement);
        assert!(announcement.verify(1).is_err());
        let bytes = announcement.encode();
        for at in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            let Ok(forged) = Announcement::decode(Copying(&changed[..])) else { continue };
            assert!(forged.verify(named.chain_id).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_key_without_a_secret_is_not_announced() {
        let (signer, named) = wallet();
        // 0, 1 and a point of order 8, of the list in RFC 7748, section 6.1; 0 again as p.
        for key in [
            [0; 32],
            hex!("0100000000000000000000000000000000000000000000000000000000000000"),
            hex!("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
            hex!("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ] {
            let signature = signer.sign_hash_sync(&named.announcement_digest(&key)).unwrap();
            assert_eq!(named.announce(key, &signature), Err(WalletError::Key { wallet: named.wallet }));
        }
    }
}
