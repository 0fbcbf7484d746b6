//! From bytes to a transaction with its sender.

use crate::PoolError;
use alloy_consensus::transaction::SignerRecoverable;
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use stoa_base::{Recovered, Transaction};

/// Longest encoded transaction in bytes, geth's bound as well.
pub const MAX_TRANSACTION_BYTES: usize = 128 * 1024;

/// Decodes one EIP-2718 transaction and recovers who signed it. One signature recovery: expensive, and safe to run on
/// any thread.
///
/// # Errors
///
/// If the bytes are too many or no transaction of type 0, 1, 2 or 4 in its only encoding, or are badly signed.
pub fn recover(raw: &[u8]) -> Result<Recovered, PoolError> {
    decode(raw)?.try_into_recovered().map_err(|_| PoolError::Signature)
}

/// Decodes without looking at the signature.
pub(crate) fn decode(raw: &[u8]) -> Result<Transaction, PoolError> {
    if raw.len() > MAX_TRANSACTION_BYTES {
        return Err(PoolError::Oversized { size: raw.len(), limit: MAX_TRANSACTION_BYTES });
    }
    let Some(first) = raw.first() else { return Err(PoolError::Decode("typed transaction too short".into())) };
    match *first {
        // Before it is parsed: a blob transaction may carry a sidecar, which has a form of its own.
        3 => return Err(PoolError::Blob),
        0 | 5..=0x7f => return Err(PoolError::UnknownType),
        _ => {}
    }
    let mut rest = raw;
    let transaction =
        Transaction::decode_2718(&mut rest).map_err(|error| PoolError::Decode(format!("rlp: {error}")))?;
    if !rest.is_empty() {
        return Err(PoolError::Decode("rlp: input contains more than one value".into()));
    }
    // Two encodings of one transaction would give two hashes.
    if transaction.encode_2718_len() != raw.len() || transaction.encoded_2718() != raw {
        return Err(PoolError::Decode("rlp: non-canonical encoding".into()));
    }
    Ok(transaction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{signed, signer};
    use alloy_consensus::{
        SignableTransaction, TxEip1559, TxLegacy,
        crypto::{SECP256K1N_HALF, secp256k1::recover_signer_unchecked},
    };
    use alloy_primitives::{Signature, U256};
    use proptest::prelude::*;

    /// An EIP-1559 transaction signed by the first development account, encoded.
    fn example(input: Vec<u8>) -> Vec<u8> {
        signed(&signer(0), TxEip1559 { chain_id: 31337, input: input.into(), ..TxEip1559::default() }).encoded_2718()
    }

    #[test]
    fn the_signer_of_a_transaction_is_recovered() {
        let recovered = recover(&example(vec![1, 2, 3])).unwrap();
        assert_eq!(recovered.signer(), signer(0).address());
    }

    #[test]
    fn too_many_bytes_are_refused_before_they_are_read() {
        let size = MAX_TRANSACTION_BYTES + 1;
        let refused = recover(&vec![0xff; size]).unwrap_err();
        assert_eq!(refused, PoolError::Oversized { size, limit: MAX_TRANSACTION_BYTES });
    }

    #[test]
    fn no_bytes_trailing_bytes_and_unknown_types_are_refused() {
        assert_eq!(recover(&[]).unwrap_err().to_string(), "typed transaction too short");
        let mut long = example(vec![]);
        long.push(0);
        assert_eq!(recover(&long).unwrap_err().to_string(), "rlp: input contains more than one value");
        for unknown in [0, 5, 0x7f] {
            assert_eq!(recover(&[unknown, 0xc0]).unwrap_err(), PoolError::UnknownType);
        }
        assert_eq!(recover(&[3, 0xc0]).unwrap_err(), PoolError::Blob);
    }

    #[test]
    fn the_twin_of_a_signature_is_refused() {
        let order = SECP256K1N_HALF * U256::from(2) + U256::from(1);
        let tx = TxEip1559 { chain_id: 31337, ..TxEip1559::default() };
        let good = signed(&signer(0), tx.clone());
        let low = *good.signature();
        let twin = Signature::new(low.r(), order - low.s(), !low.v());
        assert_eq!(recover_signer_unchecked(&twin, tx.signature_hash()).unwrap(), signer(0).address());
        let bad = Transaction::from(tx.into_signed(twin)).encoded_2718();
        assert_eq!(recover(&bad).unwrap_err(), PoolError::Signature);
    }

    #[test]
    fn a_number_with_leading_zeros_is_refused() {
        let mut raw = signed(&signer(0), TxLegacy { chain_id: Some(31337), ..TxLegacy::default() }).encoded_2718();
        assert!(recover(&raw).is_ok());
        // The nonce 0, which is the empty string, as the byte 0.
        assert_eq!((raw[0], raw[2]), (0xf8, 0x80));
        raw[2] = 0;
        assert!(matches!(recover(&raw), Err(PoolError::Decode(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(raw in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(recovered) = recover(&raw) {
                prop_assert_eq!(recovered.inner().encoded_2718(), raw);
            }
        }

        #[test]
        fn damaged_transactions_never_pass_as_the_original(
            input in prop::collection::vec(any::<u8>(), 0..100), at in any::<prop::sample::Index>(), flip in 1..=255_u8,
        ) {
            let mut raw = example(input);
            let original = recover(&raw).unwrap();
            let at = at.index(raw.len());
            raw[at] ^= flip;
            if let Ok(other) = recover(&raw) {
                prop_assert_ne!(other.inner().hash(), original.inner().hash());
                prop_assert_eq!(other.inner().encoded_2718(), raw);
            }
        }

        #[test]
        fn cut_transactions_are_refused(input in prop::collection::vec(any::<u8>(), 0..100), at in any::<prop::sample::Index>()) {
            let raw = example(input);
            prop_assert!(recover(&raw[..at.index(raw.len())]).is_err());
        }
    }
}
