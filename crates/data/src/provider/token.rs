//! Tokens that stand for signatures for a while: JSON Web Tokens (RFC 7519, HS256), from which Ocean's clients read whose they are.
//!
//! Whoever sees a token can use it until it ends, and a client shows it to every node that it asks with it. So one is good for an hour, or
//! for as long as its account has asked for, and never for more than a day.
//!
//! A token that was ended before its time is remembered until that is over, a few of each account. Who ends more has all ended that he
//! had: those of nobody else, and nothing that was ended is good again.

use super::{Refusal, Signed};
use alloy_primitives::Address;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;

/// For how many seconds a token is good if nothing is asked for, and at most.
const USUAL: u64 = 3600;
const LIFE: u64 = 24 * 3600;

/// Characters of a token at most.
const LONGEST: usize = 1024;

/// Accounts of which ended tokens are remembered, and such tokens of each, at most.
const MOST: usize = 1 << 16;
const MOST_EACH: usize = 16;

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// What a node makes tokens with. Those of before its start are worth nothing.
pub struct Tokens {
    key: [u8; 32],
    ended: Mutex<HashMap<Address, Ended>>,
}

/// What an account has ended.
#[derive(Default)]
struct Ended {
    /// All that it asked for with requests of numbers below this.
    below: u64,
    /// Others, by hash, and the second at which they would have ended.
    tokens: HashMap<[u8; 32], u64>,
    /// The second from which on nothing of it matters.
    until: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
    address: Address,
    nonce: String,
    /// In milliseconds since 1970, as Ocean's nodes tell it.
    created_at: u64,
    exp: u64,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { key: rand::random(), ended: Mutex::default() }
    }
}

impl Tokens {
    /// A token of an account, for whose request of this number it is, good for an hour, or until `until`, and for a day at most. Times
    /// are in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] if that is over.
    pub fn make(&self, account: Address, nonce: u64, until: Option<u64>, now: u64) -> Result<String, Refusal> {
        let exp = until.unwrap_or(now.saturating_add(USUAL)).min(now.saturating_add(LIFE));
        if exp <= now {
            return Err(Refusal::Malformed("validUntil: that is over; want milliseconds since 1970".to_owned()));
        }
        let created_at = now.saturating_mul(1000);
        let claims = Claims { address: account, nonce: nonce.to_string(), created_at, exp };
        let claims = serde_json::to_vec(&claims).unwrap_or_default();
        let said = format!("{}.{}", encode(HEADER.as_bytes()), encode(&claims));
        let seal = hmac(&self.key, said.as_bytes()).finalize().into_bytes();
        Ok(format!("{said}.{}", encode(&seal)))
    }

    /// Whose a token is.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unsigned`] if it is none of this node's, or good no longer.
    pub fn check(&self, token: &str, now: u64) -> Result<Address, Refusal> {
        self.good(token, now).map(|claims| claims.address)
    }

    /// Ends a token, as its account has asked for.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unsigned`] if it is not good, or another's; [`Refusal::Unavailable`] if too many accounts have ended tokens for it to be
    /// remembered: it ends by itself then.
    pub fn end(&self, signed: Signed, token: &str, now: u64) -> Result<(), Refusal> {
        let Signed { account, nonce } = signed;
        let claims = self.good(token, now)?;
        if claims.address != account {
            return Err(Refusal::Unsigned("the auth token is another account's".to_owned()));
        }
        let mut all = self.ended.lock();
        if all.len() >= MOST {
            all.retain(|_, ended| now < ended.until);
        }
        if all.len() >= MOST && !all.contains_key(&account) {
            let until = claims.exp;
            return Err(Refusal::Unavailable(format!(
                "too many accounts have ended tokens today: try again, or let it end by itself at second {until} since 1970"
            )));
        }
        let ended = all.entry(account).or_default();
        ended.tokens.retain(|_, until| now < *until);
        ended.tokens.insert(hash(token), claims.exp);
        ended.until = ended.until.max(claims.exp);
        if ended.tokens.len() > MOST_EACH {
            *ended = Ended { below: nonce, tokens: HashMap::new(), until: now.saturating_add(LIFE) };
        }
        Ok(())
    }

    /// What a token says that is good now.
    fn good(&self, token: &str, now: u64) -> Result<Claims, Refusal> {
        let claims = self.claims(token).filter(|claims| now < claims.exp);
        let is_ended = |claims: &Claims| match self.ended.lock().get(&claims.address) {
            Some(ended) => {
                let number = claims.nonce.parse::<u64>();
                ended.tokens.contains_key(&hash(token)) || number.is_ok_and(|number| number < ended.below)
            }
            None => false,
        };
        let good = claims.filter(|claims| !is_ended(claims));
        good.ok_or_else(|| Refusal::Unsigned("the auth token is not good (any more): make another".to_owned()))
    }

    /// What a token says that this node has made.
    fn claims(&self, token: &str) -> Option<Claims> {
        let (said, seal) = token.rsplit_once('.').filter(|_| token.len() <= LONGEST)?;
        hmac(&self.key, said.as_bytes()).verify_slice(&decode(seal)?).ok()?;
        let (_, claims) = said.split_once('.')?;
        serde_json::from_slice(&decode(claims)?).ok()
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn hmac(key: &[u8; 32], message: &[u8]) -> Hmac<Sha256> {
    let hmac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    hmac.chain_update(message)
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::hex;
    use proptest::prelude::*;

    const ACCOUNT: Address = Address::repeat_byte(0xa1);
    const OTHER: Address = Address::repeat_byte(0xa2);
    const NOW: u64 = 1_800_000_000;

    fn make(node: &Tokens, nonce: u64) -> String {
        node.make(ACCOUNT, nonce, None, NOW).unwrap()
    }

    /// A request of this number to end a token.
    fn ends(node: &Tokens, account: Address, nonce: u64, token: &str) -> Result<(), Refusal> {
        node.end(Signed { account, nonce }, token, NOW)
    }

    #[test]
    fn a_token_is_good_for_its_account_at_its_node_until_it_ends() {
        let (node, other) = (Tokens::default(), Tokens::default());
        let token = make(&node, 7);
        assert_eq!(node.check(&token, NOW), Ok(ACCOUNT));
        assert_eq!(node.check(&token, NOW + USUAL - 1), Ok(ACCOUNT));
        let another = make(&node, 8);
        assert_ne!(token, another);
        let (said, seal) = token.rsplit_once('.').unwrap();
        let forged =
            encode(format!(r#"{{"address":"{OTHER}","nonce":"7","createdAt":0,"exp":{}}}"#, u64::MAX).as_bytes());
        let unsigned = encode(br#"{"alg":"none"}"#);
        for (token, at) in [
            (token.clone(), NOW + USUAL),
            (String::new(), NOW),
            ("a.b.c".into(), NOW),
            (said.into(), NOW),
            (format!("{said}."), NOW),
            (format!("{said}.{}", &seal[1..]), NOW),
            (format!("{}.{forged}.{seal}", encode(HEADER.as_bytes())), NOW),
            (format!("{unsigned}.{forged}."), NOW),
            ("x".repeat(100_000), NOW),
            (make(&other, 7), NOW),
        ] {
            assert!(matches!(node.check(&token, at), Err(Refusal::Unsigned(_))), "{token}");
        }
        // What Ocean's clients read of it.
        let claims: serde_json::Value =
            serde_json::from_slice(&decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap();
        assert_eq!(claims["address"].as_str().unwrap().parse::<Address>().unwrap(), ACCOUNT);
        assert!(ends(&node, OTHER, 9, &token).is_err());
        node.check(&token, NOW).unwrap();
        ends(&node, ACCOUNT, 9, &token).unwrap();
        assert!(node.check(&token, NOW).is_err() && ends(&node, ACCOUNT, 10, &token).is_err());
        assert_eq!(node.check(&another, NOW), Ok(ACCOUNT));
        // Nor is it in another spelling of the same seal.
        for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=".chars() {
            for token in [format!("{}{last}", &token[..token.len() - 1]), format!("{token}{last}")] {
                assert!(node.check(&token, NOW).is_err(), "{token}");
            }
        }
    }

    #[test]
    fn a_token_is_good_for_as_long_as_was_asked_for_but_no_longer_than_a_day_and_else_for_an_hour() {
        let node = Tokens::default();
        for (until, life) in [
            (None, 3600),
            (Some(NOW + 60), 60),
            (Some(NOW + 2 * USUAL), 2 * USUAL),
            (Some(NOW + LIFE + 1), 24 * 3600),
            (Some(u64::MAX), 24 * 3600),
        ] {
            let token = node.make(ACCOUNT, 7, until, NOW).unwrap();
            assert!(node.check(&token, NOW + life - 1).is_ok() && node.check(&token, NOW + life).is_err(), "{until:?}");
        }
        for until in [0, NOW] {
            assert!(matches!(node.make(ACCOUNT, 7, Some(until), NOW), Err(Refusal::Malformed(_))), "{until}");
        }
    }

    #[test]
    fn who_ends_many_tokens_ends_all_of_his_own_and_nobody_elses() {
        let node = Tokens::default();
        let theirs = node.make(OTHER, 1, None, NOW).unwrap();
        let own: Vec<_> = (0..100).map(|nonce| make(&node, nonce)).collect();
        for (token, nonce) in own.iter().zip(100..).take(MOST_EACH) {
            ends(&node, ACCOUNT, nonce, token).unwrap();
        }
        let good = || own.iter().filter(|token| node.check(token, NOW).is_ok()).count();
        assert_eq!(good(), 100 - MOST_EACH);
        // One more, and all that there were before it.
        ends(&node, ACCOUNT, 150, &own[MOST_EACH]).unwrap();
        assert_eq!((good(), node.ended.lock()[&ACCOUNT].tokens.len()), (0, 0));
        assert_eq!(node.check(&make(&node, 151), NOW), Ok(ACCOUNT));
        assert_eq!(node.check(&theirs, NOW), Ok(OTHER));
    }

    #[test]
    fn however_many_accounts_end_tokens_others_stay_good_and_what_was_ended_is_not_good_again() {
        let node = Tokens::default();
        let account = |index: usize| Address::left_padding_from(&(index + 1).to_be_bytes());
        let (theirs, first) = (make(&node, 1), node.make(account(0), 1, None, NOW).unwrap());
        ends(&node, account(0), 2, &first).unwrap();
        for index in 1..MOST {
            let token = node.make(account(index), 1, Some(NOW + 60), NOW).unwrap();
            ends(&node, account(index), 2, &token).unwrap();
        }
        let refused = ends(&node, ACCOUNT, 2, &theirs);
        assert!(matches!(&refused, Err(Refusal::Unavailable(why)) if why.contains("by itself")), "{refused:?}");
        assert_eq!(node.check(&theirs, NOW), Ok(ACCOUNT));
        // Those of which something is remembered end others as before.
        let again = node.make(account(7), 3, None, NOW).unwrap();
        ends(&node, account(7), 4, &again).unwrap();
        assert!([&first, &again].iter().all(|token| node.check(token, NOW).is_err()));
        // What would have ended by itself makes room.
        node.end(Signed { account: ACCOUNT, nonce: 3 }, &theirs, NOW + 60).unwrap();
        assert_eq!(node.ended.lock().len(), 3);
        assert!([&first, &again, &theirs].iter().all(|token| node.check(token, NOW + 60).is_err()));
    }

    #[test]
    fn seals_and_letters_are_the_standards() {
        // RFC 4231, case 1: a key is as good with zeros behind it.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let want = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(hex::encode(hmac(&key, b"Hi There").finalize().into_bytes()), want);
        for (bytes, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!((encode(bytes.as_bytes()), decode(text)), (text.into(), Some(bytes.as_bytes().to_vec())));
        }
        assert_eq!((encode(&[0xfb, 0xff]), decode("_-8="), decode("+/")), ("-_8".into(), None, None));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_and_no_text_ends_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..99), text in ".{0,99}") {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
            let _ = decode(&text);
            let _ = Tokens::default().check(&text, NOW);
        }
    }
}
