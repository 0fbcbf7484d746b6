//! Whether somebody has ordered what he asks for.

use super::{Refusal, asked};
use crate::market::{
    abi::{
        IDatatoken::{OrderRecorded, OrderReused, checkOrderCall, orderOfCall, validOrderCall},
        INft::{checkAccessCall, standingCall},
    },
    datatoken_of,
};
use alloy_primitives::{Address, B256, Log, U256};
use alloy_sol_types::SolEvent as _;
use stoa_client::{Chain, utc, view};

/// How an asset stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whose it is.
    pub owner: Address,
    /// 0 active, 5 unlisted; no orders are taken in others.
    pub state: u8,
}

impl Standing {
    /// Of the asset with this NFT, now.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unavailable`] if the ledger cannot be asked.
    pub async fn of(chain: &dyn Chain, nft: Address) -> Result<Self, Refusal> {
        let (is, _) = view(chain, nft, &standingCall {}).await.map_err(asked)?;
        Ok(Self { owner: is.owner, state: is.state })
    }

    /// Lets pass whom the asset's managers let order it, while orders are taken.
    ///
    /// # Errors
    ///
    /// [`Refusal::Forbidden`] if they do not, [`Refusal::Unavailable`] if the ledger cannot be asked.
    pub async fn admit(&self, chain: &dyn Chain, nft: Address, account: Address) -> Result<(), Refusal> {
        if !matches!(self.state, 0 | 5) {
            return Err(Refusal::Forbidden(format!("no orders of the asset are taken (state {})", self.state)));
        }
        view(chain, nft, &checkAccessCall { account }).await.map(drop).map_err(asked)
    }

    /// Passes while what an account has ordered is this owner's to give: the asset has not changed hands, nor was it revoked, nor the
    /// account denied.
    ///
    /// # Errors
    ///
    /// [`Refusal::Forbidden`] if not, [`Refusal::Unavailable`] if the ledger cannot be asked.
    pub async fn lasting(chain: &dyn Chain, nft: Address, owner: Address, account: Address) -> Result<(), Refusal> {
        let is = Self::of(chain, nft).await?;
        if is.owner != owner || is.state == REVOKED {
            return Err(Refusal::Forbidden(format!("the asset {nft} was taken back")));
        }
        view(chain, nft, &checkAccessCall { account }).await.map(drop).map_err(asked)
    }
}

/// The state of an asset that was taken back.
const REVOKED: u8 = 3;

/// Orders that a transaction has used again of which it is asked whose they are.
const MOST_REUSED: usize = 64;

/// An order that a right follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Of this datatoken.
    pub datatoken: Address,
    /// Of this service.
    pub service: u32,
    /// For this account.
    pub consumer: Address,
    /// By this account, if it matters who has paid.
    pub payer: Option<Address>,
}

impl Wanted {
    /// The order that a client shows, if he shows its id, which tells whose it is. Else it is the hash of a transaction.
    pub fn named(&self, shown: B256) -> Option<B256> {
        (datatoken_of(shown) == self.datatoken && shown[20..24] == [0; 4]).then_some(shown)
    }

    /// The order that a transaction with these events has placed, or used again. What others have emitted is passed over. A transaction
    /// may use many again: it is the first that is this one, else the first of all, of which [`check`](Self::check) says what it is.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unavailable`] if the ledger cannot be asked.
    pub async fn among(&self, chain: &dyn Chain, logs: &[Log]) -> Result<Option<B256>, Refusal> {
        let own = logs.iter().filter(|log| log.address == self.datatoken);
        let mut reused = Vec::new();
        for log in own {
            if let Ok(Log { data: placed, .. }) = OrderRecorded::decode_log(log) {
                let is = placed.consumer == self.consumer && placed.serviceIndex == U256::from(self.service);
                if is && self.payer.is_none_or(|payer| placed.payer == payer) {
                    return Ok(Some(placed.order));
                }
            } else if let Ok(Log { data: again, .. }) = OrderReused::decode_log(log)
                && reused.len() < MOST_REUSED
                && !reused.contains(&again.orderTxId)
            {
                reused.push(again.orderTxId);
            }
        }
        for order in &reused {
            match self.is(chain, *order).await {
                Ok(()) => return Ok(Some(*order)),
                Err(Refusal::Forbidden(_)) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(reused.first().copied())
    }

    /// The last order that stands and is paid for by whom it has to be, or by the consumer himself.
    ///
    /// # Errors
    ///
    /// [`Refusal::Forbidden`] if there is none, [`Refusal::Unavailable`] if the ledger cannot be asked.
    pub async fn last(&self, chain: &dyn Chain) -> Result<B256, Refusal> {
        let Self { datatoken, service, consumer, payer } = *self;
        let (payer, service) = (payer.unwrap_or(consumer), U256::from(service));
        let last = validOrderCall { consumer, payer, serviceIndex: service };
        match view(chain, datatoken, &last).await.map_err(asked)? {
            (order, _) if !order.is_zero() => Ok(order),
            _ => Err(Refusal::Forbidden(format!(
                "{payer} has no order of service {service} that stands: order it (startOrder), and show that transaction, or the \
                 order's id, as transferTxId"
            ))),
        }
    }

    /// What the event has in its topics with which this order was placed, from the first on.
    pub const fn topics(order: B256) -> [B256; 2] {
        [OrderRecorded::SIGNATURE_HASH, order]
    }

    /// Passes if an order is this one, whether or not it stands.
    ///
    /// # Errors
    ///
    /// [`Refusal::Forbidden`] if not, [`Refusal::Unavailable`] if the ledger cannot be asked.
    pub async fn is(&self, chain: &dyn Chain, order: B256) -> Result<(), Refusal> {
        let (is, _) = view(chain, self.datatoken, &orderOfCall { order }).await.map_err(asked)?;
        if is.consumer != self.consumer {
            return Err(Refusal::Forbidden(format!("order {order} is not for {}", self.consumer)));
        }
        if let Some(payer) = self.payer
            && payer != is.payer
        {
            return Err(Refusal::Forbidden(format!("order {order} was not paid by {payer}")));
        }
        if is.serviceIndex != U256::from(self.service) {
            let (of, wanted) = (is.serviceIndex, self.service);
            return Err(Refusal::Forbidden(format!("order {order} is of service {of}, not of service {wanted}")));
        }
        Ok(())
    }

    /// Passes if an order is this one and stands now; the time of that, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`Refusal::Forbidden`] if not, [`Refusal::Unavailable`] if the ledger cannot be asked.
    pub async fn check(&self, chain: &dyn Chain, order: B256) -> Result<u64, Refusal> {
        self.is(chain, order).await?;
        let check = checkOrderCall { order, account: self.consumer };
        let (_, at) = view(chain, self.datatoken, &check).await.map_err(asked)?;
        Ok(at.timestamp)
    }

    /// Passes if an order that was placed then stands now by the document, which may let it stand for less than the ledger does; 0 is for
    /// ever.
    ///
    /// # Errors
    ///
    /// [`Refusal::Forbidden`] if not.
    pub fn lasts(placed: u64, timeout: u64, now: u64) -> Result<(), Refusal> {
        let until = placed.saturating_add(timeout);
        if timeout > 0 && now >= until {
            return Err(Refusal::Forbidden(format!(
                "the order ended at {}, {timeout} seconds after it was placed: order again",
                utc(until)
            )));
        }
        Ok(())
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
                IDatatoken::{mintCall, reuseOrderCall, setServiceTimeoutCall, startOrderCall},
                IFactory::createNftWithErc20Call,
                INft::{setAccessCall, setMetaDataStateCall},
            },
            order_id,
            tests::{OWNER, datatoken_data, nft_data, no_quote, start, whole},
        },
    };

    const BUYER: Address = Address::repeat_byte(0xb1);
    const OTHER: Address = Address::repeat_byte(0xb2);

    /// An asset, and its datatoken, of which buyers have some.
    fn publish(ledger: &Ledger) -> (Address, Address) {
        let create = createNftWithErc20Call { nft: nft_data(), datatoken: datatoken_data() };
        let made = ledger.attempt(OWNER, FACTORY, create).unwrap();
        for account in [BUYER, OTHER] {
            ledger.attempt(OWNER, made.erc20Address, mintCall { account, value: whole(9) }).unwrap();
        }
        (made.erc721Address, made.erc20Address)
    }

    /// The events of a transaction.
    fn logs(ledger: &Ledger, from: Address, token: Address, call: startOrderCall) -> Vec<Log> {
        ledger.with(move |bench| {
            bench.pass(1);
            bench.send(from, token, &call).unwrap().logs
        })
    }

    fn wanted(datatoken: Address) -> Wanted {
        Wanted { datatoken, service: 0, consumer: BUYER, payer: None }
    }

    fn forbidden<T: std::fmt::Debug>(outcome: Result<T, Refusal>, want: &str) {
        assert!(matches!(&outcome, Err(Refusal::Forbidden(why)) if why.contains(want)), "{want}: {outcome:?}");
    }

    #[tokio::test]
    async fn an_order_gives_a_right_to_its_consumer_to_its_service_and_to_nobody_and_nothing_else() {
        let ledger = Ledger::new();
        let (_, token) = publish(&ledger);
        let (_, other) = publish(&ledger);
        let events = logs(&ledger, BUYER, token, start(BUYER, no_quote()));
        let wanted = wanted(token);
        let order = wanted.among(&ledger, &events).await.unwrap().unwrap();
        assert_eq!((order, wanted.named(order)), (order_id(token, 1), Some(order)));
        wanted.check(&ledger, order).await.unwrap();
        // Of another asset, which costs nothing perhaps: neither its events nor its id are any of this one's.
        let free = logs(&ledger, BUYER, other, start(BUYER, no_quote()));
        assert_eq!(wanted.among(&ledger, &free).await, Ok(None));
        assert_eq!(wanted.named(order_id(other, 1)), None);
        forbidden(wanted.check(&ledger, order_id(other, 1)).await, "there is no order");
        forbidden(wanted.check(&ledger, order_id(token, 2)).await, "there is no order");
        forbidden(wanted.check(&ledger, B256::ZERO).await, "there is no order");
        // Nor is one of this asset that is somebody else's, or of another service.
        let theirs = logs(&ledger, OTHER, token, start(OTHER, no_quote()));
        assert_eq!(wanted.among(&ledger, &theirs).await, Ok(None));
        forbidden(wanted.check(&ledger, order_id(token, 2)).await, "is not for");
        let second = startOrderCall { serviceIndex: U256::ONE, ..start(BUYER, no_quote()) };
        let second = logs(&ledger, BUYER, token, second);
        assert_eq!(wanted.among(&ledger, &second).await, Ok(None));
        forbidden(wanted.check(&ledger, order_id(token, 3)).await, "is of service 1");
        // What the payer has for somebody else is nothing for him.
        logs(&ledger, BUYER, token, start(OTHER, no_quote()));
        forbidden(wanted.check(&ledger, order_id(token, 4)).await, "is not for");
    }

    #[tokio::test]
    async fn an_order_that_is_used_again_is_found_and_asked_for_as_before() {
        let ledger = Ledger::new();
        let (_, token) = publish(&ledger);
        logs(&ledger, BUYER, token, start(BUYER, no_quote()));
        let reuse = reuseOrderCall { orderTxId: order_id(token, 1), providerFee: no_quote() };
        let events = ledger.with(move |bench| bench.send(BUYER, token, &reuse).unwrap().logs);
        assert_eq!(wanted(token).among(&ledger, &events).await, Ok(Some(order_id(token, 1))));
        let theirs = Wanted { consumer: OTHER, ..wanted(token) };
        assert_eq!(theirs.among(&ledger, &events).await, Ok(Some(order_id(token, 1))));
        forbidden(theirs.check(&ledger, order_id(token, 1)).await, "is not for");
        // Of many that are used again at once, each finds his own.
        logs(&ledger, OTHER, token, start(OTHER, no_quote()));
        let reuse = reuseOrderCall { orderTxId: order_id(token, 2), providerFee: no_quote() };
        let more = ledger.with(move |bench| bench.send(OTHER, token, &reuse).unwrap().logs);
        let both = [events, more].concat();
        assert_eq!(wanted(token).among(&ledger, &both).await, Ok(Some(order_id(token, 1))));
        assert_eq!(theirs.among(&ledger, &both).await, Ok(Some(order_id(token, 2))));
    }

    #[tokio::test]
    async fn an_order_that_is_for_the_node_is_a_right_of_whoever_paid_and_of_nobody_else() {
        let ledger = Ledger::new();
        let (nft, token) = publish(&ledger);
        let node = Address::repeat_byte(0xc1);
        let by = |payer| Wanted { consumer: node, payer: Some(payer), ..wanted(token) };
        let none = by(BUYER).last(&ledger).await;
        forbidden(none, "order it");
        let events = logs(&ledger, BUYER, token, start(node, no_quote()));
        let order = by(BUYER).among(&ledger, &events).await.unwrap().unwrap();
        by(BUYER).check(&ledger, order).await.unwrap();
        assert_eq!(by(BUYER).last(&ledger).await, Ok(order));
        // As any environment's orders are for the same account, they are the payers'.
        assert_eq!(by(OTHER).among(&ledger, &events).await, Ok(None));
        forbidden(by(OTHER).check(&ledger, order).await, "was not paid by");
        forbidden(by(OTHER).last(&ledger).await, "order it");
        forbidden(wanted(token).check(&ledger, order).await, "is not for");
        // Who was given an order has it, and whoever has paid has one of his own.
        let events = logs(&ledger, BUYER, token, start(BUYER, no_quote()));
        let own = wanted(token).among(&ledger, &events).await.unwrap().unwrap();
        assert_eq!(wanted(token).last(&ledger).await, Ok(own));
        Standing::lasting(&ledger, nft, OWNER, BUYER).await.unwrap();
        forbidden(Standing::lasting(&ledger, nft, OTHER, BUYER).await, "taken back");
        for (state, stands) in [(1, true), (4, true), (3, false), (5, true)] {
            ledger.attempt(OWNER, nft, setMetaDataStateCall { state }).unwrap();
            assert_eq!(Standing::lasting(&ledger, nft, OWNER, BUYER).await.is_ok(), stands, "{state}");
        }
        ledger.attempt(OWNER, nft, setAccessCall { allow: Vec::new(), deny: vec![BUYER] }).unwrap();
        forbidden(Standing::lasting(&ledger, nft, OWNER, BUYER).await, "who is denied");
    }

    #[tokio::test]
    async fn an_order_ends_with_its_time_a_denial_and_a_revocation() {
        let ledger = Ledger::new();
        let (nft, token) = publish(&ledger);
        let timeout = setServiceTimeoutCall { serviceIndex: U256::ZERO, timeout: U256::from(60) };
        ledger.attempt(OWNER, token, timeout).unwrap();
        logs(&ledger, BUYER, token, start(BUYER, no_quote()));
        let (wanted, order) = (wanted(token), order_id(token, 1));
        let now = wanted.check(&ledger, order).await.unwrap();
        // The document may say less than the ledger.
        Wanted::lasts(now, 0, u64::MAX).unwrap();
        Wanted::lasts(now, 10, now + 9).unwrap();
        forbidden(Wanted::lasts(now, 10, now + 10), "order again");
        Wanted::lasts(now, u64::MAX, u64::MAX - 1).unwrap();

        let set = |deny: Vec<Address>| ledger.attempt(OWNER, nft, setAccessCall { allow: Vec::new(), deny }).unwrap();
        set(vec![BUYER]);
        forbidden(wanted.check(&ledger, order).await, "who is denied");
        let standing = Standing::of(&ledger, nft).await.unwrap();
        assert_eq!((standing.owner, standing.state), (OWNER, 0));
        forbidden(standing.admit(&ledger, nft, BUYER).await, "who is denied");
        standing.admit(&ledger, nft, OTHER).await.unwrap();
        set(Vec::new());
        wanted.check(&ledger, order).await.unwrap();
        ledger.attempt(OWNER, nft, setMetaDataStateCall { state: 3 }).unwrap();
        forbidden(wanted.check(&ledger, order).await, "revoked");
        let standing = Standing::of(&ledger, nft).await.unwrap();
        forbidden(standing.admit(&ledger, nft, OTHER).await, "state 3");
        ledger.attempt(OWNER, nft, setMetaDataStateCall { state: 0 }).unwrap();
        wanted.check(&ledger, order).await.unwrap();
        ledger.with(|bench| bench.pass(60));
        forbidden(wanted.check(&ledger, order).await, "ended at 2023-11-14");
    }
}
