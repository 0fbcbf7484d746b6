//! What people type where a slip would go unnoticed, or would be explained badly.

use alloy_primitives::{Address, Bytes};

/// Bytes of a network key: a point of BLS12-381's G2.
const NETWORK_KEY: usize = 96;

/// An address. One in letters of both cases holds a checksum (EIP-55), which must fit.
pub(crate) fn address(text: &str) -> Result<Address, String> {
    let address: Address = text.parse().map_err(|_| format!("{text} is no address: want 0x and 40 hex digits"))?;
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let has = |is: fn(&u8) -> bool| digits.as_bytes().iter().any(is);
    let is_mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    if is_mixed && address.to_checksum(None)[2..] != *digits {
        return Err(format!(
            "{text} has a mistyped letter or digit: its checksum does not fit. Copy it again; in lower case alone it is not checked"
        ));
    }
    Ok(address)
}

/// The key that verifies a network's certificates.
pub(crate) fn network_key(text: &str) -> Result<Bytes, String> {
    let key = text.parse::<Bytes>().ok().filter(|key| key.len() == NETWORK_KEY);
    let digits = 2 * NETWORK_KEY;
    key.ok_or_else(|| format!("it is no network key: want 0x and {digits} hex digits, as `stoa status` shows it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

    #[test]
    fn a_mistyped_address_is_noticed_by_its_checksum() {
        assert_eq!(address(RIGHT).unwrap().to_string(), RIGHT);
        // What holds no checksum is taken as it is, with and without what stands before it.
        for plain in [RIGHT.to_lowercase(), RIGHT[2..].to_uppercase(), RIGHT[2..].to_lowercase()] {
            assert_eq!(address(&plain).unwrap().to_string(), RIGHT, "{plain}");
        }
        // Another digit, another case.
        for wrong in [RIGHT.replace("2266", "2267"), RIGHT.replace("Fd6e", "fd6e")] {
            assert!(address(&wrong).unwrap_err().contains("checksum"), "{wrong}");
        }
        for wrong in ["", "0x12", "me", &RIGHT[..41]] {
            assert!(address(wrong).unwrap_err().contains("40 hex digits"), "{wrong}");
        }
    }

    #[test]
    fn a_network_key_has_its_length() {
        let key = format!("0x{}", "ab".repeat(NETWORK_KEY));
        assert_eq!(network_key(&key).unwrap().len(), NETWORK_KEY);
        for wrong in ["", "0x8a", "a key", &key[..key.len() - 2], &format!("{key}00")] {
            assert!(network_key(wrong).unwrap_err().contains("192 hex digits"), "{wrong}");
        }
    }
}
