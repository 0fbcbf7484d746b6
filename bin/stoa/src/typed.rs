//! What people type where a slip would go unnoticed, or would be explained badly.

use alloy_primitives::{B256, Bytes, U256, utils::parse_units};
use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::bls12381::primitives::variant::{MinSig, Variant};
pub(crate) use stoa_node::config::address;

/// Bytes of a network key: a point of BLS12-381's G2.
const NETWORK_KEY: usize = 96;

/// The id of an asset, a grant, a job or an order, or a node's public key.
pub(crate) fn id(text: &str) -> Result<B256, String> {
    text.parse().map_err(|_| {
        let named = if text.starts_with("did:") { "; `stoa data show` tells which asset a DID stands for" } else { "" };
        format!("want an id of 0x and 64 hex digits, got {text}{named}")
    })
}

/// An amount of a token that has so many decimals, in its smallest units.
pub(crate) fn amount(text: &str, decimals: u8) -> Result<U256, String> {
    // What parses an amount takes signs as well, and cuts off what is less than the smallest unit.
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let plain = plain && text.bytes().any(|byte| byte.is_ascii_digit());
    let whole = text.split_once('.').is_none_or(|(_, part)| part.len() <= usize::from(decimals));
    let amount = parse_units(text, decimals).ok().filter(|_| plain && whole).map(Into::into);
    let below = if text.starts_with('-') { ": it cannot be negative" } else { "" };
    amount.ok_or_else(|| format!("want an amount such as 0.5, of {decimals} decimals at most, got {text}{below}"))
}

/// The key that verifies a network's certificates.
pub(crate) fn network_key(text: &str) -> Result<Bytes, String> {
    let key = text.parse::<Bytes>().ok().filter(|key| key.len() == NETWORK_KEY);
    let digits = 2 * NETWORK_KEY;
    let key =
        key.ok_or_else(|| format!("it is no network key: want 0x and {digits} hex digits, as `stoa status` shows it"))?;
    match <MinSig as Variant>::Public::decode(Copying(&key)) {
        Ok(_) => Ok(key),
        Err(_) => {
            Err("it is no network key, one of its digits is mistyped: copy it again, as `stoa status` shows it".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_id_is_told_what_one_looks_like() {
        let right = B256::repeat_byte(0xab);
        assert_eq!(id(&right.to_string()), Ok(right));
        for wrong in ["", "0x12", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "patients.csv"] {
            assert!(id(wrong).unwrap_err().contains("64 hex digits"), "{wrong}");
        }
        assert!(id("did:op:5f8e").unwrap_err().contains("`stoa data show`"));
    }

    #[test]
    fn amounts_that_lose_digits_or_have_a_sign_are_refused() {
        let amounts = [("2.5", 6, 2_500_000), (".5", 1, 5), ("7", 0, 7), ("7.", 2, 700), ("0", 18, 0)];
        for (text, decimals, units) in amounts {
            assert_eq!(amount(text, decimals), Ok(U256::from(units)), "{text}");
        }
        for wrong in ["-1", "+1", "", ".", "1.2.3", "1e18", "1_000", "0.0000001", "x", &"9".repeat(80)] {
            assert!(amount(wrong, 6).unwrap_err().contains("6 decimals at most"), "{wrong}");
        }
        assert!(amount("0.5", 0).is_err() && amount("1", 78).is_err());
        let negative = |text| amount(text, 6).unwrap_err().contains("cannot be negative");
        assert_eq!(["-1", "-0.5", "+1", "x"].map(negative), [true, true, false, false]);
    }

    #[test]
    fn a_network_key_has_its_length_and_is_a_point_of_its_curve() {
        // The generator of the curve's group.
        let key = "0x93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8";
        assert_eq!(network_key(key).unwrap().len(), NETWORK_KEY);
        for wrong in
            [key.replace("bdb8", "bdb9"), key.replace("0x93", "0x13"), format!("0x{}", "ab".repeat(NETWORK_KEY))]
        {
            assert!(network_key(&wrong).unwrap_err().contains("mistyped"), "{wrong}");
        }
        for wrong in ["", "0x8a", "a key", &key[..key.len() - 2], &format!("{key}00")] {
            assert!(network_key(wrong).unwrap_err().contains("192 hex digits"), "{wrong}");
        }
    }
}
