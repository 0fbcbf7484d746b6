//! Who has signed a request, and that nobody uses it twice.

use super::Refusal;
use alloy_primitives::{Address, Signature, hex, keccak256};
use parking_lot::Mutex;
use std::collections::HashMap;

/// Characters of an account, a number or a signature at most.
const LONGEST: usize = 140;

/// For how many microseconds a request is good.
const LIFE: u64 = 600_000_000;

/// By how many microseconds its number may be ahead: clients add one to what they are told.
const AHEAD: u64 = 1_000_000;

/// Of how many accounts numbers are kept.
const MOST: usize = 1 << 16;

/// Whoever has signed a request, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The account.
    pub account: Address,
    /// The number.
    pub nonce: u64,
}

impl Signed {
    /// Reads what a request for this command says of its signer: account, number and command in a row, as text, are hashed
    /// (Keccak-256), and the hash is signed as wallets sign messages (EIP-191).
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] if a part is none, [`Refusal::Unsigned`] if the account has not signed that.
    pub fn check(command: &str, account: &str, nonce: &str, signature: &str) -> Result<Self, Refusal> {
        let unsigned = |why: &str| {
            Refusal::Unsigned(format!(
                "{why}: want the signature of consumerAddress over keccak256(consumerAddress + nonce + {command:?})"
            ))
        };
        if signature.is_empty() || nonce.is_empty() {
            return Err(unsigned("the request is not signed, nor does it show an auth token"));
        }
        if [account, nonce, signature].iter().any(|part| part.len() > LONGEST) {
            return Err(Refusal::Malformed("consumerAddress, nonce or signature is too long".into()));
        }
        let address = account.parse::<Address>();
        let address = address.map_err(|_| Refusal::Malformed("consumerAddress: want an address".into()))?;
        let number = nonce.parse::<u64>();
        let number = number.map_err(|_| Refusal::Malformed("nonce: want a whole number".into()))?;
        let mut bytes = [0; 65];
        hex::decode_to_slice(signature, &mut bytes)
            .map_err(|_| Refusal::Malformed("signature: want 65 bytes in hex".into()))?;
        let signature = Signature::from_raw_array(&bytes).map_err(|_| unsigned("the signature is none"))?;
        let hash = keccak256([account, nonce, command].concat());
        // ethers drops zeros at the beginning of a hash before it signs: 1 in 256 is signed as fewer than 32 bytes.
        let zeros = hash.iter().take_while(|byte| **byte == 0).count();
        let signs = |message: &[u8]| signature.recover_address_from_msg(message).is_ok_and(|signer| signer == address);
        if signs(hash.as_slice()) || signs(&hash[zeros..]) {
            return Ok(Self { account: address, nonce: number });
        }
        Err(unsigned(&format!("{address} has not signed this request")))
    }
}

/// Numbers of requests: those of an account grow, and each is good once.
///
/// They are microseconds since 1970, which clients are told and add one to. So a number that is older than ten minutes, or than
/// the node's start, is refused without anything being kept of it, on disk or in memory.
#[derive(Debug)]
pub struct Nonces(Mutex<Seen>);

#[derive(Debug)]
struct Seen {
    /// All up to here are used up.
    floor: u64,
    /// The last that an account has used, if that is not longer ago.
    last: HashMap<Address, u64>,
}

impl Nonces {
    /// Of a node that starts now, in microseconds since 1970.
    pub fn new(now: u64) -> Self {
        Self(Mutex::new(Seen { floor: now, last: HashMap::new() }))
    }

    /// What an account adds one to for its next request.
    pub fn last(&self, account: Address, now: u64) -> u64 {
        let seen = self.0.lock();
        now.max(seen.floor).max(seen.last.get(&account).copied().unwrap_or(0))
    }

    /// Whether a request can be taken.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unsigned`] if its number is used up, too old, or from times to come.
    pub fn check(&self, signed: Signed, now: u64) -> Result<(), Refusal> {
        self.0.lock().check(signed, now)
    }

    /// Takes a request, which is then used up. Only who is entitled to what he asks for gets here, so strangers fill no memory.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub fn take(&self, signed: Signed, now: u64) -> Result<(), Refusal> {
        let mut seen = self.0.lock();
        seen.check(signed, now)?;
        if seen.last.len() >= MOST {
            seen.tidy(now);
        }
        seen.last.insert(signed.account, signed.nonce);
        Ok(())
    }
}

impl Seen {
    fn check(&self, Signed { account, nonce }: Signed, now: u64) -> Result<(), Refusal> {
        let used = self.floor.max(self.last.get(&account).copied().unwrap_or(0));
        let why = if nonce <= used || nonce <= now.saturating_sub(LIFE) {
            "is used up, or older than ten minutes or than the node's start"
        } else if nonce > now.saturating_add(AHEAD) {
            "is from times to come"
        } else {
            return Ok(());
        };
        Err(Refusal::Unsigned(format!(
            "nonce {nonce} {why}: ask for the last one (GET /api/services/nonce?userAddress=…), add one, and sign again"
        )))
    }

    /// Forgets what is refused anyhow; where that makes no room, the older half, whose numbers nobody can use any more then.
    fn tidy(&mut self, now: u64) {
        self.floor = self.floor.max(now.saturating_sub(LIFE));
        let floor = self.floor;
        self.last.retain(|_, nonce| *nonce > floor);
        if self.last.len() >= MOST {
            let mut all: Vec<u64> = self.last.values().copied().collect();
            let middle = all.len() / 2;
            self.floor = *all.select_nth_unstable(middle).1;
            let floor = self.floor;
            self.last.retain(|_, nonce| *nonce > floor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;
    use alloy_signer::SignerSync as _;
    use alloy_signer_local::PrivateKeySigner;

    const NOW: u64 = 1_800_000_000_000_000;

    fn signer(seed: u8) -> PrivateKeySigner {
        PrivateKeySigner::from_bytes(&B256::repeat_byte(seed)).unwrap()
    }

    #[test]
    fn who_has_signed_this_command_with_this_number_is_known_and_nobody_else() {
        let signer = signer(1);
        let (account, nonce) = (signer.address().to_checksum(None), "7");
        let hash = keccak256(format!("{account}{nonce}download"));
        let signature = hex::encode_prefixed(signer.sign_message_sync(hash.as_slice()).unwrap().as_bytes());
        let signed = Signed::check("download", &account, nonce, &signature).unwrap();
        assert_eq!(signed, Signed { account: signer.address(), nonce: 7 });
        let other = self::signer(2).address().to_checksum(None);
        for (command, account, nonce) in
            [("encrypt", &account, "7"), ("download", &account, "8"), ("download", &other, "7")]
        {
            let refused = Signed::check(command, account, nonce, &signature);
            assert!(matches!(refused, Err(Refusal::Unsigned(_))), "{refused:?}");
        }
        // The hash is of the text as it came.
        let lower = account.to_lowercase();
        assert!(Signed::check("download", &lower, nonce, &signature).is_err());
        for (account, nonce, signature) in [
            (&*account, "", &*signature),
            (&account, nonce, ""),
            ("me", nonce, &signature),
            (&account, "-1", &signature),
            (&account, "1.5", &signature),
            (&account, nonce, "0x00"),
            (&account, nonce, &"zz".repeat(65)),
            (&account, nonce, &"00".repeat(65)),
            (&account, nonce, &"0".repeat(10_000)),
        ] {
            assert!(Signed::check("download", account, nonce, signature).is_err(), "{account} {nonce} {signature}");
        }
    }

    #[test]
    fn a_hash_that_begins_with_zeros_is_signed_without_them_or_with_them() {
        let signer = signer(1);
        let account = signer.address().to_checksum(None);
        let hash = |nonce: u64| keccak256(format!("{account}{nonce}download"));
        let nonce = (0..).find(|nonce| hash(*nonce)[0] == 0).unwrap();
        for message in [hash(nonce).to_vec(), hash(nonce).iter().copied().skip_while(|byte| *byte == 0).collect()] {
            let signature = hex::encode(signer.sign_message_sync(&message).unwrap().as_bytes());
            Signed::check("download", &account, &nonce.to_string(), &signature).unwrap();
        }
    }

    #[test]
    fn a_number_is_good_once_for_ten_minutes_and_not_before_the_start() {
        let account = Address::repeat_byte(1);
        let (nonces, at) = (Nonces::new(NOW), |nonce| Signed { account, nonce });
        let next = nonces.last(account, NOW + 5) + 1;
        nonces.check(at(next), NOW + 50).unwrap();
        nonces.take(at(next), NOW + 50).unwrap();
        assert!(nonces.take(at(next), NOW + 50).is_err(), "it is used up");
        assert!(nonces.take(at(next - 1), NOW + 50).is_err(), "it is older than one that is used up");
        nonces.take(Signed { account: Address::ZERO, nonce: next }, NOW + 50).unwrap();
        let other = nonces.last(account, NOW + 60) + 1;
        assert!(nonces.check(at(other), NOW + 60 + LIFE + 1).is_err(), "it is too old");
        assert!(nonces.check(at(NOW + 60 + AHEAD + 1), NOW + 60).is_err(), "it is from times to come");
        assert!(nonces.check(at(u64::MAX), NOW).is_err());
        // What was used before the node started anew.
        assert!(Nonces::new(NOW + 70).check(at(next), NOW + 70).is_err());
    }

    #[test]
    fn what_is_kept_has_a_bound_and_nothing_that_was_used_is_good_again() {
        let nonces = Nonces::new(NOW);
        let number =
            |index: u64| Signed { account: Address::left_padding_from(&index.to_be_bytes()), nonce: NOW + 1 + index };
        let all = MOST as u64 + 10;
        for index in 0..all {
            nonces.take(number(index), NOW + all).unwrap();
        }
        assert!(nonces.0.lock().last.len() <= MOST);
        assert!((0..all).all(|index| nonces.check(number(index), NOW + all).is_err()));
        let later = Signed { account: Address::ZERO, nonce: nonces.last(Address::ZERO, NOW + all) + 1 };
        nonces.take(later, NOW + all).unwrap();
    }
}
