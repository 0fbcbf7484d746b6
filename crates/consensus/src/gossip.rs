//! Transactions on their way to whoever proposes next.
//!
//! The node that a client gave a transaction to sends it to every validator; nobody passes on what came from another
//! validator, for all are connected to all. What is lost on the way is proposed by that node itself when its turn comes; and since one
//! that has just come back may have no turn for an epoch, what still waits after some seconds is sent again, a few times.

use crate::{Waiting, application::Origin};
use alloy_eips::eip2718::{Decodable2718 as _, Encodable2718 as _};
use alloy_rlp::{Decodable as _, Encodable as _};
use bytes::Bytes;
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_runtime::{Clock, Spawner};
use futures::{FutureExt as _, StreamExt as _};
use std::{
    collections::VecDeque,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};
use stoa_base::{Recovered, Transaction};

/// How long a transaction waits for others to be sent along with it.
const GATHER: Duration = Duration::from_millis(2);

/// Bytes of transactions in one message, about.
const MESSAGE: usize = 128 << 10;

/// The most bytes of a message that are looked at: one transaction more than [`MESSAGE`], of the largest that are taken.
const MOST: usize = 4 * MESSAGE;

/// After how long what still waits is sent again, and how often.
const AGAIN: Duration = Duration::from_secs(5);
const TIMES: u32 = 3;

/// Messages that may be sent again: with more than that, this node is not one that nobody hears.
const REMEMBERED: usize = 256;

/// What was sent to the others.
struct Sent {
    transactions: Vec<Arc<Recovered>>,
    /// How often it was sent again.
    times: u32,
    /// When it is due again.
    due: SystemTime,
}

/// What may be sent again, the oldest first.
#[derive(Default)]
struct Again(VecDeque<Sent>);

impl Again {
    /// When the next is due.
    fn due(&self) -> Option<SystemTime> {
        self.0.front().map(|oldest| oldest.due)
    }

    /// What of the oldest still waits, and how often it is sent again with this.
    fn next(&mut self, waits: impl Fn(&Recovered) -> bool) -> Option<(Vec<Arc<Recovered>>, u32)> {
        let Sent { mut transactions, times, .. } = self.0.pop_front()?;
        transactions.retain(|transaction| waits(transaction));
        Some((transactions, times + 1))
    }

    /// These were sent now, for the so manieth time again.
    fn sent(&mut self, transactions: Vec<Arc<Recovered>>, times: u32, now: SystemTime) {
        if times < TIMES && !transactions.is_empty() {
            self.0.push_back(Sent { transactions, times, due: now + AGAIN });
        }
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }
}

/// Sends what clients give to this node to the others, and takes in what those send.
pub(crate) async fn run<E, W, S, R>(runtime: E, waiting: W, (mut sender, mut receiver): (S, R))
where
    E: Clock + Spawner,
    W: Waiting,
    S: Sender,
    R: Receiver,
{
    let mut given = pin!(waiting.given().fuse());
    let (mut gathered, mut bytes) = (Vec::<Arc<Recovered>>::new(), 0);
    let (mut sent, mut wrong) = (Again::default(), 0_u64);
    let mut full = pin!(futures::future::Fuse::terminated());
    loop {
        let due = sent.due().unwrap_or_else(|| runtime.current() + AGAIN);
        let next = futures::select_biased! {
            () = full => Some((std::mem::take(&mut gathered), 0)),
            () = Box::pin(runtime.sleep_until(due)).fuse() => {
                sent.next(|transaction| waiting.sender(transaction.tx_hash()).is_some())
            }
            transaction = given.select_next_some() => {
                bytes += transaction.inner().encode_2718_len();
                gathered.push(transaction);
                if gathered.len() == 1 {
                    full.set(runtime.sleep(GATHER).fuse());
                }
                (bytes >= MESSAGE).then(|| (std::mem::take(&mut gathered), 0))
            }
            message = receiver.recv().fuse() => {
                let Ok((peer, message)) = message else { return };
                match decode(message.as_ref()) {
                    // What is too much is theirs to propose.
                    Some(transactions) => drop(waiting.take(transactions, Origin::Validator)),
                    // Said more and more seldom: whoever sends them may send many.
                    None => {
                        wrong += 1;
                        if wrong.is_power_of_two() {
                            tracing::warn!(?peer, times = wrong, "a validator sends transactions that are none");
                        }
                    }
                }
                None
            }
        };
        let Some((transactions, times)) = next else { continue };
        if times == 0 {
            bytes = 0;
            full.set(futures::future::Fuse::terminated());
        }
        if transactions.is_empty() {
            continue;
        }
        let _ = sender.send(Recipients::All, encode(transactions.iter().map(|transaction| transaction.inner())), false);
        sent.sent(transactions, times, runtime.current());
    }
}

fn encode<'a>(transactions: impl Iterator<Item = &'a Transaction>) -> Vec<u8> {
    let transactions = transactions.map(|transaction| transaction.encoded_2718().into()).collect::<Vec<Bytes>>();
    let mut message = Vec::with_capacity(transactions.iter().map(Bytes::len).sum::<usize>() + 8);
    transactions.iter().map(AsRef::<[u8]>::as_ref).collect::<Vec<&[u8]>>().encode(&mut message);
    message
}

/// The same of transactions that are not encoded yet.
pub(crate) fn encode_all(transactions: &[Transaction]) -> Vec<u8> {
    encode(transactions.iter())
}

/// Reads what [`encode`] wrote; `None` if it did not write this.
pub(crate) fn decode(message: &[u8]) -> Option<Vec<Transaction>> {
    if message.len() > MOST {
        return None;
    }
    let list = Vec::<alloy_primitives::Bytes>::decode(&mut &*message).ok()?;
    list.iter().map(|bytes| Transaction::decode_2718_exact(bytes).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::transfer;
    use alloy_consensus::Transaction as _;

    #[test]
    fn what_still_waits_is_sent_again_a_few_times() {
        let (mut again, now) = (Again::default(), SystemTime::UNIX_EPOCH);
        assert_eq!(again.due(), None);
        again.sent((0..3).map(transfer).collect(), 0, now);
        assert_eq!(again.due(), Some(now + AGAIN));
        let nonces = |sent: &[Arc<Recovered>]| sent.iter().map(|transaction| transaction.nonce()).collect::<Vec<_>>();
        // One is included meanwhile.
        for times in 1..=TIMES {
            let (waiting, again_now) = again.next(|transaction| transaction.nonce() != 1).unwrap();
            assert_eq!((nonces(&waiting), again_now), (vec![0, 2], times));
            again.sent(waiting, again_now, now);
        }
        assert_eq!(again.due(), None);
        // Nothing waits, or very much does.
        again.sent(vec![transfer(0)], 0, now);
        let (waiting, times) = again.next(|_| false).unwrap();
        again.sent(waiting, times, now);
        assert_eq!(again.due(), None);
        for nonce in 0..2 * REMEMBERED as u64 {
            again.sent(vec![transfer(nonce)], 0, now);
        }
        assert_eq!((again.0.len(), nonces(&again.0[0].transactions)), (REMEMBERED, vec![REMEMBERED as u64]));
    }

    #[test]
    fn what_is_sent_is_what_arrives() {
        let sent = (0..3).map(|nonce| transfer(nonce).inner().clone()).collect::<Vec<_>>();
        let message = encode_all(&sent);
        assert_eq!(decode(&message), Some(sent));
        for damaged in [&message[..message.len() - 1], &[], &[0xff; 40]] {
            assert_eq!(decode(damaged), None);
        }
        assert_eq!(decode(&vec![0xb8; MOST + 1]), None);
    }
}
