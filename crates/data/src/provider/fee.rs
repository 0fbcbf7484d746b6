//! What a provider charges beside what an order costs, and that it was paid.
//!
//! A fee is paid with an order, or with one that is used again, by a quote that the provider has signed and a datatoken has taken
//! (`ProviderFee`), which takes one that asks for money once. The quote says what it pays for, for whom, of which service and
//! until when. So whoever shows a transaction in which a datatoken took it has paid what was asked, whatever is charged since.
//!
//! - **Files** cost so much an order. Until the quote ends its consumer is given them as often as he asks.
//! - **Computing** costs so much for a processor and a minute, of the longest time that a job may take. Until the quote ends its
//!   consumer may start jobs, one after the other, none of them longer or on more processors.

use super::{Refusal, Wanted};
use crate::market::abi::IDatatoken::ProviderFee;
use alloy_primitives::{Address, B256, Bytes, Log, U256, hex, keccak256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolEvent as _, SolValue as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stoa_client::{Chain, decimal, view};
use stoa_contract::interfaces::IERC20Metadata;

/// One token, as fees are said.
const ONE: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

/// What a provider charges: nothing, unless it says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fees {
    token: Address,
    order: U256,
    minute: U256,
}

/// What a quote pays for: nothing, unless it says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pays {
    /// Being given the files of the service.
    pub files: bool,
    /// A job of so many seconds at most.
    pub seconds: u64,
    /// On so many processors at most.
    pub cpu: f64,
}

/// What a quote says, in the data that are signed with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quote {
    /// The asset.
    pub did: String,
    /// The number of its service.
    pub service: u32,
    /// The datatoken that an order of it costs.
    pub dt: Address,
    /// For whom it is.
    pub consumer: Address,
    /// Of which chain the datatoken is.
    pub chain_id: u64,
    /// When it was made, in seconds since 1970.
    pub timestamp: u64,
    /// Another one each time, for a datatoken takes the same quote once.
    pub nonce: String,
    /// What it pays for.
    pub pays: Pays,
}

impl Fees {
    /// What is charged in this token for an order of files, and for a minute of a processor: in parts of 10^18 of a token,
    /// however many decimals it has.
    ///
    /// # Errors
    ///
    /// If that is no fee, or it is not said in which token.
    pub fn new(token: Option<Address>, order: Option<U256>, minute: Option<U256>) -> Result<Self, &'static str> {
        let charged = order.is_some() || minute.is_some();
        match token {
            _ if [order, minute].contains(&Some(U256::ZERO)) => Err("a fee of 0 is none: leave it out"),
            Some(token) if token.is_zero() => Err("the zero address is no token: name an ERC-20 token to pay fees in"),
            None if charged => Err("a fee is paid in an ERC-20 token: say in which (--provide-fee-token)"),
            Some(_) if !charged => Err(
                "there is a token to pay a fee in, and no fee: say how much an order of files costs (--provide-fee), or a minute \
                 of a processor (--provide-fee-minute)",
            ),
            _ => {
                let [order, minute] = [order, minute].map(Option::unwrap_or_default);
                Ok(Self { token: token.unwrap_or_default(), order, minute })
            }
        }
    }

    /// In which token they are paid; zero if nothing is charged.
    pub const fn token(&self) -> Address {
        self.token
    }

    /// Whether computing costs something.
    pub fn has_minutes(&self) -> bool {
        !self.minute.is_zero()
    }

    /// What a minute of a processor costs, as clients are told: a number of tokens.
    pub(super) fn price(&self) -> Value {
        match self.has_minutes() {
            true => decimal(self.minute, 18).parse::<f64>().unwrap_or(f64::MAX).into(),
            false => 0.into(),
        }
    }

    /// What a minute of a processor costs, in words.
    pub(super) fn said(&self) -> String {
        match self.has_minutes() {
            true => {
                let amount = decimal(self.minute, 18);
                format!("for {amount} of the token {} a minute of each processor", self.token.to_checksum(None))
            }
            false => "for nothing".to_owned(),
        }
    }

    /// Whether this costs something.
    pub fn charges(&self, pays: &Pays) -> bool {
        (pays.files && !self.order.is_zero()) || (pays.minutes() > 0 && self.has_minutes())
    }

    /// What this costs, rounded up: the token, and how much of it in its smallest units. Of what costs nothing the token is zero.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unavailable`] if the token does not say what its smallest units are.
    pub async fn of(&self, chain: &dyn Chain, pays: &Pays) -> Result<(Address, U256), Refusal> {
        if !self.charges(pays) {
            return Ok((Address::ZERO, U256::ZERO));
        }
        let token = self.token;
        let unusable = || {
            Refusal::Unavailable(format!(
                "{token} is no ERC-20 token of which there can be so much as this node charges: tell its operator (`stoa follow \
                 --provide-fee-token`)"
            ))
        };
        let (decimals, _) = view(chain, token, &IERC20Metadata::decimalsCall {}).await.map_err(|_| unusable())?;
        // A thousandth of a processor is the least that is counted.
        let thousandth = U256::from(1_000);
        let files = if pays.files { self.order.checked_mul(thousandth) } else { Some(U256::ZERO) };
        let computing = self.minute.checked_mul(U256::from(pays.thousandths()));
        let unit = U256::from(10).checked_pow(U256::from(decimals));
        let amount = files.zip(computing).zip(unit).and_then(|((files, computing), unit)| {
            Some(files.checked_add(computing)?.checked_mul(unit)?.div_ceil(ONE * thousandth))
        });
        Ok((token, amount.ok_or_else(unusable)?))
    }
}

impl Pays {
    /// Whether what was paid for has this in it.
    pub fn covers(&self, wanted: &Self) -> bool {
        (self.files || !wanted.files) && self.seconds >= wanted.seconds && self.cpu >= wanted.cpu
    }

    /// Begun minutes count.
    const fn minutes(&self) -> u64 {
        self.seconds.div_ceil(60)
    }

    /// Thousandths of a processor, times minutes.
    fn thousandths(&self) -> u64 {
        ((self.cpu * 1_000.0).ceil() as u64).saturating_mul(self.minutes())
    }
}

impl Quote {
    /// Has a provider sign it, for so much of a token and until this second: as a datatoken takes it and clients pass it on.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unavailable`] if it cannot be signed.
    pub fn sign(
        &self,
        provider: &PrivateKeySigner,
        (token, amount): (Address, U256),
        until: u64,
    ) -> Result<Value, Refusal> {
        let unsigned = || Refusal::Unavailable("the node cannot sign".to_owned());
        let data = Bytes::from(serde_json::to_vec(self).map_err(|_| unsigned())?);
        let address = provider.address();
        let packed = (&data, address, token, amount, U256::from(until)).abi_encode_packed();
        let signature = provider.sign_message_sync(keccak256(packed).as_slice()).map_err(|_| unsigned())?;
        Ok(json!({
            "providerFeeAddress": address.to_checksum(None),
            "providerFeeToken": token.to_checksum(None),
            "providerFeeAmount": amount.to_string(),
            "providerData": hex::encode_prefixed(&data),
            "v": 27 + u8::from(signature.v()),
            "r": B256::from(signature.r()),
            "s": B256::from(signature.s()),
            "validUntil": until.to_string(),
        }))
    }
}

impl Wanted {
    /// Quotes of this provider, on this chain, for the consumer and this service, that the datatoken has taken in a transaction
    /// with these events, and that are good at this second.
    pub fn paid(&self, provider: Address, chain_id: u64, logs: &[Log], now: u64) -> Vec<Quote> {
        let own = logs.iter().filter(|log| log.address == self.datatoken);
        let taken = own.filter_map(|log| ProviderFee::decode_log(log).ok());
        let good = taken.filter(|taken| {
            // What the datatoken has taken that provider has signed.
            taken.data.providerFeeAddress == provider && U256::from(now) <= taken.data.validUntil
        });
        let quotes = good.filter_map(|taken| serde_json::from_slice::<Quote>(&taken.data.providerData).ok());
        let is_own = |quote: &Quote| {
            (quote.dt, quote.service, quote.consumer, quote.chain_id)
                == (self.datatoken, self.service, self.consumer, chain_id)
        };
        quotes.filter(is_own).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        keeper::tests::Ledger,
        market::{
            abi::{
                FACTORY,
                IDatatoken::{mintCall, reuseOrderCall, startOrderCall},
                IFactory::createNftWithErc20Call,
                ProviderQuote,
            },
            order_id,
            tests::{OWNER, datatoken_data, nft_data, start, whole},
        },
    };
    use proptest::prelude::*;
    use stoa_contract::{bench::Failure, interfaces::IERC20::approveCall};

    const CHAIN: u64 = 31337;
    const BUYER: Address = Address::repeat_byte(0xb1);
    const OTHER: Address = Address::repeat_byte(0xb2);

    /// A datatoken, of which the buyer has some. As any ERC-20 token it is also one that fees can be paid in.
    fn publish(ledger: &Ledger) -> Address {
        let create = createNftWithErc20Call { nft: nft_data(), datatoken: datatoken_data() };
        let token = ledger.attempt(OWNER, FACTORY, create).unwrap().erc20Address;
        ledger.attempt(OWNER, token, mintCall { account: BUYER, value: whole(9) }).unwrap();
        token
    }

    fn provider() -> PrivateKeySigner {
        PrivateKeySigner::from_bytes(&B256::repeat_byte(5)).unwrap()
    }

    fn quote(dt: Address, pays: Pays) -> Quote {
        let (did, nonce) = ("did:op:01".to_owned(), "7".to_owned());
        Quote { did, service: 0, dt, consumer: BUYER, chain_id: CHAIN, timestamp: 1, nonce, pays }
    }

    /// What a client passes on to a datatoken.
    fn passed(said: &Value) -> ProviderQuote {
        let text = |name: &str| said[name].as_str().unwrap();
        ProviderQuote {
            feeAddress: text("providerFeeAddress").parse().unwrap(),
            feeToken: text("providerFeeToken").parse().unwrap(),
            amount: text("providerFeeAmount").parse().unwrap(),
            v: said["v"].as_u64().unwrap() as u8,
            r: text("r").parse().unwrap(),
            s: text("s").parse().unwrap(),
            validUntil: text("validUntil").parse().unwrap(),
            data: text("providerData").parse().unwrap(),
        }
    }

    fn order(ledger: &Ledger, token: Address, call: startOrderCall) -> Result<Vec<Log>, Failure> {
        ledger.with(move |bench| bench.send(BUYER, token, &call).map(|sent| sent.logs))
    }

    fn wanted(datatoken: Address) -> Wanted {
        Wanted { datatoken, service: 0, consumer: BUYER, payer: None }
    }

    #[tokio::test]
    async fn a_datatoken_takes_a_quote_as_long_as_it_is_good_and_as_it_was_signed() {
        let ledger = Ledger::new();
        let (token, provider) = (publish(&ledger), provider());
        let until = ledger.with(|bench| bench.time()) + 30;
        let nothing = Fees::default().of(&ledger, &Pays { files: true, seconds: 60, cpu: 1.0 }).await.unwrap();
        let taken = passed(&quote(token, Pays::default()).sign(&provider, nothing, until).unwrap());
        assert_eq!((taken.feeAddress, taken.amount), (provider.address(), U256::ZERO));
        let changed = ProviderQuote { validUntil: U256::from(until + 1), ..taken.clone() };
        assert!(order(&ledger, token, start(BUYER, changed)).is_err());
        order(&ledger, token, start(BUYER, taken.clone())).unwrap();
        ledger.with(|bench| bench.pass(60));
        assert!(order(&ledger, token, start(BUYER, taken)).is_err(), "it has ended");
    }

    #[tokio::test]
    async fn what_was_paid_is_known_by_the_transaction_for_its_consumer_its_service_and_its_time_alone() {
        let ledger = Ledger::new();
        let (token, coin, provider) = (publish(&ledger), publish(&ledger), provider());
        let fees = Fees::new(Some(coin), Some(ONE), Some(ONE)).unwrap();
        let until = ledger.with(|bench| bench.time()) + 30;
        let pays = Pays { files: false, seconds: 120, cpu: 1.0 };
        let own = quote(token, pays);
        let fee = fees.of(&ledger, &pays).await.unwrap();
        assert_eq!(fee, (coin, whole(2)));
        let taken = passed(&own.sign(&provider, fee, until).unwrap());
        assert!(order(&ledger, token, start(BUYER, taken.clone())).is_err(), "the datatoken may take no fee yet");
        ledger.attempt(BUYER, coin, approveCall { spender: token, value: whole(9) }).unwrap();
        let logs = order(&ledger, token, start(BUYER, taken.clone())).unwrap();
        let paid = |wanted: Wanted, provider: Address, chain: u64, now: u64| wanted.paid(provider, chain, &logs, now);
        let by = provider.address();
        assert_eq!(paid(wanted(token), by, CHAIN, until), [own]);
        // Not by another provider's word, on another chain, later, of another datatoken or service, nor for anybody else.
        for (wanted, by, chain, now) in [
            (wanted(token), OTHER, CHAIN, until),
            (wanted(token), by, 1, until),
            (wanted(token), by, CHAIN, until + 1),
            (wanted(coin), by, CHAIN, until),
            (Wanted { service: 1, ..wanted(token) }, by, CHAIN, until),
            (Wanted { consumer: OTHER, ..wanted(token) }, by, CHAIN, until),
        ] {
            assert!(paid(wanted, by, chain, now).is_empty(), "{wanted:?} {by} {chain} {now}");
        }
        // The same quote is paid once; with another the order is used again, for another fee and no other datatoken.
        let reuse = |quote| reuseOrderCall { orderTxId: order_id(token, 1), providerFee: quote };
        assert!(ledger.attempt(BUYER, token, reuse(taken)).is_err());
        let next = Quote { nonce: "8".into(), ..quote(token, pays) };
        let again = reuse(passed(&next.sign(&provider, fee, until).unwrap()));
        let logs = ledger.with(move |bench| bench.send(BUYER, token, &again).unwrap().logs);
        assert_eq!(wanted(token).paid(by, CHAIN, &logs, until), [next]);
        // What somebody else has signed is nothing of this provider's, whatever it says.
        let other = PrivateKeySigner::from_bytes(&B256::repeat_byte(6)).unwrap();
        let forged = quote(token, pays).sign(&other, (Address::ZERO, U256::ZERO), until).unwrap();
        let logs = order(&ledger, token, start(BUYER, passed(&forged))).unwrap();
        assert!(wanted(token).paid(by, CHAIN, &logs, until).is_empty());
    }

    #[tokio::test]
    async fn a_fee_is_of_whole_minutes_and_is_rounded_up_to_what_the_token_has() {
        let ledger = Ledger::new();
        let coin = publish(&ledger);
        let part = U256::from(3);
        let fees = Fees::new(Some(coin), Some(ONE), Some(part)).unwrap();
        for (pays, amount) in [
            (Pays { files: true, ..Pays::default() }, ONE),
            (Pays { seconds: 1, cpu: 1.0, ..Pays::default() }, part),
            (Pays { seconds: 60, cpu: 1.0, ..Pays::default() }, part),
            (Pays { seconds: 61, cpu: 2.0, ..Pays::default() }, U256::from(12)),
            // 7.5 and 3.003 parts.
            (Pays { seconds: 60, cpu: 2.5, ..Pays::default() }, U256::from(8)),
            (Pays { seconds: 60, cpu: 1.0001, ..Pays::default() }, U256::from(4)),
            (Pays { files: true, seconds: 60, cpu: 1.0 }, ONE + part),
        ] {
            assert_eq!(fees.of(&ledger, &pays).await, Ok((coin, amount)), "{pays:?}");
        }
        assert_eq!(fees.of(&ledger, &Pays::default()).await, Ok((Address::ZERO, U256::ZERO)));
        let files = Fees::new(Some(coin), Some(ONE), None).unwrap();
        assert!(!files.charges(&Pays { seconds: 60, cpu: 1.0, ..Pays::default() }) && !files.has_minutes());
        // A token that is none, and more than there can be of one.
        let none = Fees::new(Some(OTHER), Some(ONE), None).unwrap();
        let most = Fees::new(Some(coin), Some(U256::MAX), None).unwrap();
        for fees in [none, most] {
            let refused = fees.of(&ledger, &Pays { files: true, ..Pays::default() }).await;
            assert!(matches!(&refused, Err(Refusal::Unavailable(why)) if why.contains("--provide-fee-token")));
        }
    }

    #[test]
    fn fees_that_contradict_themselves_are_refused_with_what_to_do() {
        let (coin, one, zero) = (Some(OTHER), Some(ONE), Some(U256::ZERO));
        assert_eq!(Fees::new(None, None, None), Ok(Fees::default()));
        assert!(Fees::new(coin, one, None).is_ok() && Fees::new(coin, None, one).is_ok());
        for (token, order, minute, why) in [
            (None, one, None, "--provide-fee-token"),
            (None, None, one, "--provide-fee-token"),
            (coin, None, None, "--provide-fee-minute"),
            (Some(Address::ZERO), one, None, "zero address"),
            (coin, zero, None, "leave it out"),
            (coin, None, zero, "leave it out"),
            (coin, one, zero, "leave it out"),
            (coin, zero, one, "leave it out"),
        ] {
            let refused = Fees::new(token, order, minute);
            assert!(refused.is_err_and(|said| said.contains(why)), "{why}: {refused:?}");
        }
        let fees = Fees::new(coin, None, Some(ONE / U256::from(100))).unwrap();
        assert_eq!((fees.price(), Fees::default().price()), (json!(0.01), json!(0)));
        assert!(fees.said().starts_with("for 0.01 of the token 0x"), "{}", fees.said());
    }

    proptest! {
        #[test]
        fn what_covers_a_job_costs_no_less(paid in (any::<u16>(), 0..64_u8), wanted in (any::<u16>(), 0..64_u8)) {
            let pays = |(seconds, cpu): (u16, u8)| Pays { files: false, seconds: seconds.into(), cpu: f64::from(cpu) / 8.0 };
            let (paid, wanted) = (pays(paid), pays(wanted));
            prop_assert!(!paid.covers(&wanted) || paid.thousandths() >= wanted.thousandths());
        }

        #[test]
        fn what_a_quote_says_is_read_as_it_was_said(seconds in any::<u64>(), cpu in 0.0..1e6, files in any::<bool>()) {
            let said = quote(OTHER, Pays { files, seconds, cpu });
            prop_assert_eq!(serde_json::from_slice::<Quote>(&serde_json::to_vec(&said).unwrap()).unwrap(), said);
        }
    }
}
