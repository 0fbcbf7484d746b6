//! A secret of 32 bytes, sealed to one reader: HPKE (RFC 9180) with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and
//! ChaCha20-Poly1305.
//!
//! HPKE's `info` holds what the secret is for and all that it is bound to (grant, sharing, keeper, block), in the encoding
//! that this crate signs and sends. A box that is shown for another purpose, grant or block does not open, so nothing can
//! be replayed.
//!
//! **Base mode, not authenticated mode.** Where it matters who sealed (a keeper's release, a dealing), the sender signs the
//! box with its ed25519 key: a signature convinces third parties, which authenticated mode does not, and it stands when
//! the reader's key is stolen, which authenticated mode does not either (RFC 9180, section 9.1.1: key-compromise
//! impersonation). Where the owner seals, the owner's transaction names the box.

use crate::{
    key::KEY_LEN,
    reader::{ReaderKey, ReadingSecret},
};
use bytes::BufMut;
use commonware_codec::{Buf, Error as CodecError, FixedSize, Read, ReadExt as _, Write};
use commonware_cryptography::Secret;
use hpke::{
    Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _,
    aead::{AeadTag, ChaCha20Poly1305},
    inout::InOutBuf,
    kdf::HkdfSha256,
    kem::X25519HkdfSha256,
    single_shot_open_inout_detached, single_shot_seal_inout_detached_with_rng,
};
use rand::CryptoRng;
use zeroize::Zeroizing;

pub(crate) type Kem = X25519HkdfSha256;
pub(crate) type PublicKey = <Kem as hpke::Kem>::PublicKey;
pub(crate) type PrivateKey = <Kem as hpke::Kem>::PrivateKey;
type EncappedKey = <Kem as hpke::Kem>::EncappedKey;

const DOMAIN: &[u8] = b"stoa/privacy/sealed/v1";

const ENC_LEN: usize = 32;
const TAG_LEN: usize = 16;

/// What a secret is sealed for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// The owner's half, to a reader.
    OwnerHalf = 1,
    /// A share, from whoever dealt it to its keeper.
    Share = 2,
    /// A part of a share, from an old keeper to a new one.
    Part = 3,
    /// A share, from its keeper to a reader.
    Release = 4,
    /// A data key, from its owner to one reader, without keepers.
    DataKey = 5,
}

/// The box does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the sealed secret does not open: it was sealed to another key, for another asset, grant or block, or was changed; \
     ask whoever sealed it for a new one"
)]
pub struct Refused;

/// Nothing can be sealed to this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the reader's public key is a point that every secret leads to the same place; the reader must announce another"
)]
pub struct CannotSeal;

/// A secret of 32 bytes, sealed to one reader for one purpose.
///
/// `encapsulated key (32) | ciphertext (32) | tag (16)`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedSecret([u8; Self::SIZE]);

/// HPKE's `info`.
fn info(purpose: Purpose, binding: &[u8]) -> Vec<u8> {
    [DOMAIN, &[purpose as u8], binding].concat()
}

impl SealedSecret {
    pub(crate) fn seal(
        to: &ReaderKey,
        purpose: Purpose,
        binding: &[u8],
        secret: &[u8; KEY_LEN],
        rng: &mut impl CryptoRng,
    ) -> Result<Self, CannotSeal> {
        let mut sealed = [0; Self::SIZE];
        let place = &mut sealed[ENC_LEN..ENC_LEN + KEY_LEN];
        let (enc, tag) = single_shot_seal_inout_detached_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeS::Base,
            to.key(),
            &info(purpose, binding),
            InOutBuf::new(secret, place).expect("both are as long as a key"),
            &[],
            rng,
        )
        .map_err(|_| CannotSeal)?;
        enc.write_exact(&mut sealed[..ENC_LEN]);
        tag.write_exact(&mut sealed[ENC_LEN + KEY_LEN..]);
        Ok(Self(sealed))
    }

    pub(crate) fn open(
        &self,
        secret: &ReadingSecret,
        purpose: Purpose,
        binding: &[u8],
    ) -> Result<Secret<[u8; KEY_LEN]>, Refused> {
        let (enc, rest) = self.0.split_at(ENC_LEN);
        let (ciphertext, tag) = rest.split_at(KEY_LEN);
        let mut plain = Zeroizing::new([0; KEY_LEN]);
        single_shot_open_inout_detached::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeR::Base,
            secret.key(),
            &EncappedKey::from_bytes(enc).map_err(|_| Refused)?,
            &info(purpose, binding),
            InOutBuf::new(ciphertext, &mut plain[..]).map_err(|_| Refused)?,
            &[],
            &AeadTag::from_bytes(tag).map_err(|_| Refused)?,
        )
        .map_err(|_| Refused)?;
        Ok(Secret::new(*plain))
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::SIZE] {
        &self.0
    }
}

/// The public key that belongs to a private one.
pub(crate) fn public(secret: &PrivateKey) -> PublicKey {
    Kem::sk_to_pk(secret)
}

impl FixedSize for SealedSecret {
    const SIZE: usize = ENC_LEN + KEY_LEN + TAG_LEN;
}

impl Write for SealedSecret {
    fn write(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }
}

impl Read for SealedSecret {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        Ok(Self(<[u8; Self::SIZE]>::read(buf)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{node, reader_key, rng};
    use alloy_primitives::hex;

    /// RFC 9180, appendix A.2.1: the same suite in base mode, its first encryption, with the RFC's own `info` and `aad`.
    #[test]
    fn the_suite_is_that_of_the_rfc() {
        let secret = hex!("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb");
        let enc = hex!("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a");
        let sealed = hex!("1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28");
        let secret = PrivateKey::from_bytes(&secret).unwrap();
        let info = hex!("4f6465206f6e2061204772656369616e2055726e");
        let (ciphertext, tag) = sealed.split_at(sealed.len() - TAG_LEN);
        let mut plain = [0; 29];
        single_shot_open_inout_detached::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeR::Base,
            &secret,
            &EncappedKey::from_bytes(&enc).unwrap(),
            &info,
            InOutBuf::new(ciphertext, &mut plain).unwrap(),
            &hex!("436f756e742d30"),
            &AeadTag::from_bytes(tag).unwrap(),
        )
        .unwrap();
        assert_eq!(&plain, b"Beauty is truth, truth beauty");
    }

    #[test]
    fn a_secret_opens_for_its_reader_purpose_and_binding_alone() {
        let key = node(1);
        let sealed = SealedSecret::seal(&reader_key(&key), Purpose::Share, b"for this", &[5; 32], &mut rng(1)).unwrap();
        let secret = ReadingSecret::of_node(&key);
        sealed.open(&secret, Purpose::Share, b"for this").unwrap().expose(|opened| assert_eq!(opened, &[5; 32]));
        assert!(sealed.open(&secret, Purpose::Release, b"for this").is_err());
        assert!(sealed.open(&secret, Purpose::Share, b"for that").is_err());
        assert!(sealed.open(&ReadingSecret::of_node(&node(2)), Purpose::Share, b"for this").is_err());
        for at in 0..SealedSecret::SIZE {
            let mut changed = sealed;
            changed.0[at] ^= 1;
            assert!(changed.open(&secret, Purpose::Share, b"for this").is_err(), "byte {at}");
        }
    }

    #[test]
    fn the_same_secret_is_never_sealed_alike() {
        let (to, rng) = (reader_key(&node(1)), &mut rng(1));
        let mut seal = || SealedSecret::seal(&to, Purpose::Share, b"", &[5; 32], rng).unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn nothing_is_sealed_to_a_key_that_hides_nothing() {
        let to = ReaderKey::new(crate::Reader::Wallet(Default::default()), &[0; 32]);
        assert_eq!(SealedSecret::seal(&to, Purpose::Share, b"", &[5; 32], &mut rng(1)), Err(CannotSeal));
    }
}
