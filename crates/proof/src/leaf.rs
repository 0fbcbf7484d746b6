use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, Read, ReadExt as _, Write};
use commonware_cryptography::sha256::Digest;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Longest code that a leaf may hold, in bytes: above EIP-170's limit, so that a genesis file may go beyond it.
pub const MAX_CODE: usize = 1 << 20;

/// Where a value stands in the state database: SHA-256 of what names it.
///
/// Hashing spreads the keys evenly, so that nobody can crowd the index's buckets by choosing addresses or slots.
pub type Key = Digest;

/// Key of an account: SHA-256 of the 20 bytes of its address.
pub fn account_key(address: &Address) -> Key {
    hash(&[address.as_slice()])
}

/// Key of a storage slot: SHA-256 of the 20 bytes of the address and the 32 bytes of the slot, big-endian.
pub fn slot_key(address: &Address, slot: &U256) -> Key {
    hash(&[address.as_slice(), &slot.to_be_bytes::<32>()])
}

/// Key of a contract's code: SHA-256 of the Keccak-256 hash of the code.
pub fn code_key(code_hash: &B256) -> Key {
    hash(&[code_hash.as_slice()])
}

fn hash(parts: &[&[u8]]) -> Key {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    Digest(hasher.finalize().into())
}

/// An account as the state database holds it.
///
/// What most accounts have stands in it; what few have, beside it: leaves are moved about a lot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountLeaf {
    /// Transactions sent, or contracts created.
    pub nonce: u64,
    /// Wei.
    pub balance: U256,
    rare: Option<Arc<Rare>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rare {
    code_hash: B256,
    delegate: Option<Address>,
}

impl AccountLeaf {
    /// An account with this code (by its Keccak-256 hash, that of nothing where there is none), whose votes go to
    /// `delegate`.
    pub fn new(nonce: u64, balance: U256, code_hash: B256, delegate: Option<Address>) -> Self {
        let rare = (code_hash != KECCAK256_EMPTY || delegate.is_some()).then(|| Arc::new(Rare { code_hash, delegate }));
        Self { nonce, balance, rare }
    }

    /// Keccak-256 of the code, of nothing where there is none.
    pub fn code_hash(&self) -> B256 {
        self.rare.as_ref().map_or(KECCAK256_EMPTY, |rare| rare.code_hash)
    }

    /// To whom the holder has delegated the votes of this balance.
    pub fn delegate(&self) -> Option<Address> {
        self.rare.as_ref()?.delegate
    }

    /// EIP-161: such an account is not kept.
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && self.rare.is_none()
    }
}

/// A value of the state database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// Under [`account_key`].
    Account(AccountLeaf),
    /// Under [`slot_key`]; never zero.
    Slot(U256),
    /// Under [`code_key`].
    Code(Bytes),
}

const ACCOUNT: u8 = 0;
const SLOT: u8 = 1;
const CODE: u8 = 2;
const HAS_CODE: u8 = 1 << 4;
const HAS_DELEGATE: u8 = 1 << 5;

impl Write for Leaf {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::Account(account) => {
                let (code_hash, delegate) = (account.code_hash(), account.delegate());
                let has_code = code_hash != KECCAK256_EMPTY;
                let mut tag = ACCOUNT;
                tag |= if has_code { HAS_CODE } else { 0 };
                tag |= if delegate.is_some() { HAS_DELEGATE } else { 0 };
                buf.put_u8(tag);
                put_uint(buf, U256::from(account.nonce));
                put_uint(buf, account.balance);
                if has_code {
                    buf.put_slice(code_hash.as_slice());
                }
                if let Some(delegate) = delegate {
                    buf.put_slice(delegate.as_slice());
                }
            }
            Self::Slot(value) => {
                buf.put_u8(SLOT);
                put_uint(buf, *value);
            }
            Self::Code(code) => {
                buf.put_u8(CODE);
                buf.put_u32(code.len() as u32);
                buf.put_slice(code);
            }
        }
    }
}

impl EncodeSize for Leaf {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::Account(account) => {
                uint_size(U256::from(account.nonce))
                    + uint_size(account.balance)
                    + if account.code_hash() == KECCAK256_EMPTY { 0 } else { 32 }
                    + if account.delegate().is_some() { 20 } else { 0 }
            }
            Self::Slot(value) => uint_size(*value),
            Self::Code(code) => 4 + code.len(),
        }
    }
}

impl Read for Leaf {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let tag = u8::read(buf)?;
        match tag & 0x0f {
            ACCOUNT if tag & !(HAS_CODE | HAS_DELEGATE) == ACCOUNT => {
                let nonce = u64::try_from(take_uint(buf)?).map_err(|_| CodecError::Invalid("Leaf", "nonce"))?;
                let balance = take_uint(buf)?;
                let code_hash = if tag & HAS_CODE != 0 { B256::from(<[u8; 32]>::read(buf)?) } else { KECCAK256_EMPTY };
                let delegate = if tag & HAS_DELEGATE != 0 { Some(Address::from(<[u8; 20]>::read(buf)?)) } else { None };
                Ok(Self::Account(AccountLeaf::new(nonce, balance, code_hash, delegate)))
            }
            SLOT if tag == SLOT => Ok(Self::Slot(take_uint(buf)?)),
            CODE if tag == CODE => {
                let length = u32::read(buf)? as usize;
                if length > MAX_CODE {
                    return Err(CodecError::InvalidLength(length));
                }
                if buf.remaining() < length {
                    return Err(CodecError::EndOfBuffer);
                }
                Ok(Self::Code(Bytes::from(buf.copy_to_bytes(length))))
            }
            _ => Err(CodecError::InvalidEnum(tag)),
        }
    }
}

/// A length byte, then the big-endian digits without leading zeros.
fn put_uint(buf: &mut impl BufMut, value: U256) {
    let digits = value.byte_len();
    buf.put_u8(digits as u8);
    buf.put_slice(&value.to_be_bytes::<32>()[32 - digits..]);
}

fn uint_size(value: U256) -> usize {
    1 + value.byte_len()
}

fn take_uint(buf: &mut impl Buf) -> Result<U256, CodecError> {
    let digits = usize::from(u8::read(buf)?);
    if digits > 32 {
        return Err(CodecError::InvalidLength(digits));
    }
    if buf.remaining() < digits {
        return Err(CodecError::EndOfBuffer);
    }
    let mut bytes = [0; 32];
    buf.copy_to_slice(&mut bytes[32 - digits..]);
    let value = U256::from_be_bytes(bytes);
    if value.byte_len() != digits {
        return Err(CodecError::Invalid("Leaf", "a number has leading zeros"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_codec::{DecodeExt, Encode};
    use proptest::prelude::*;

    fn leaves() -> impl Strategy<Value = Leaf> {
        let uint = any::<[u8; 32]>().prop_flat_map(|b| (0usize..=256).prop_map(move |s| U256::from_be_bytes(b) >> s));
        prop_oneof![
            (any::<u64>(), uint.clone(), any::<[u8; 32]>(), any::<Option<[u8; 20]>>()).prop_map(
                |(nonce, balance, hash, delegate)| Leaf::Account(AccountLeaf::new(
                    nonce,
                    balance,
                    hash.into(),
                    delegate.map(Address::from),
                ))
            ),
            uint.prop_map(Leaf::Slot),
            proptest::collection::vec(any::<u8>(), 0..300).prop_map(|c| Leaf::Code(c.into())),
        ]
    }

    proptest! {
        #[test]
        fn a_leaf_survives_encoding(leaf in leaves()) {
            let bytes = leaf.encode();
            prop_assert_eq!(bytes.len(), leaf.encode_size());
            prop_assert_eq!(Leaf::decode(bytes).unwrap(), leaf);
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_decode_to_one_encoding_only(bytes: Vec<u8>) {
            if let Ok(leaf) = Leaf::decode(commonware_codec::Copying(&bytes)) {
                prop_assert_eq!(leaf.encode().to_vec(), bytes);
            }
        }
    }

    #[test]
    fn keys_of_accounts_slots_and_codes_differ() {
        let address = Address::repeat_byte(7);
        let keys = [account_key(&address), slot_key(&address, &U256::ZERO), code_key(&B256::ZERO)];
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    }
}
