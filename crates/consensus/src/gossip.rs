//! Transactions on their way to whoever proposes next.
//!
//! The node that a client gave a transaction to sends it to every validator; nobody passes on what came from another
//! validator, for all are connected to all. What is lost on the way is proposed by that node itself when its turn comes; and since one
//! that has just come back may have no turn for an epoch, what still waits after some seconds is sent again, a few times.

use crate::{
    Waiting,
    again::{Again, Sent},
    application::Origin,
};
use alloy_eips::eip2718::{Decodable2718 as _, Encodable2718 as _};
use alloy_rlp::{Encodable as _, Header};
use bytes::Bytes;
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_runtime::{Clock, Spawner};
use futures::{FutureExt as _, StreamExt as _};
use std::{pin::pin, sync::Arc, time::Duration};
use stoa_base::{Recovered, Transaction};

/// How long a transaction waits for others to be sent along with it.
const GATHER: Duration = Duration::from_millis(2);

/// Bytes of transactions in one message, about.
const MESSAGE: usize = 128 << 10;

/// The most bytes of a message that are looked at: one transaction more than [`MESSAGE`], of the largest that are taken.
const MOST: usize = 4 * MESSAGE;

/// After how long what still waits is sent again, and how often it is sent in all.
const AGAIN: Duration = Duration::from_secs(5);
const TIMES: u32 = 4;

/// Messages that may be sent again: with more than that, this node is not one that nobody hears.
const REMEMBERED: usize = 256;

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
    let (mut again, mut wrong) = (Again::new(AGAIN, TIMES, REMEMBERED), 0_u64);
    let mut full = pin!(futures::future::Fuse::terminated());
    loop {
        let due = again.next(&runtime, |transaction| waiting.sender(transaction.tx_hash()).is_some());
        let next = futures::select_biased! {
            () = full => Some(Sent::new(std::mem::take(&mut gathered))),
            due = Box::pin(due).fuse() => due,
            transaction = given.select_next_some() => {
                bytes += transaction.inner().encode_2718_len();
                gathered.push(transaction);
                if gathered.len() == 1 {
                    full.set(runtime.sleep(GATHER).fuse());
                }
                (bytes >= MESSAGE).then(|| Sent::new(std::mem::take(&mut gathered)))
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
        let Some(sent) = next else { continue };
        if sent.times == 0 {
            bytes = 0;
            full.set(futures::future::Fuse::terminated());
        }
        let transactions = sent.transactions.iter().map(|transaction| transaction.inner());
        let _ = sender.send(Recipients::All, encode(transactions), false);
        again.sent(sent, runtime.current());
    }
}

/// Parts of these that are a message each.
pub(crate) fn messages(transactions: Vec<Arc<Recovered>>) -> Vec<Vec<Arc<Recovered>>> {
    let (mut messages, mut message, mut bytes) = (Vec::new(), Vec::new(), 0);
    for transaction in transactions {
        bytes += transaction.inner().encode_2718_len();
        message.push(transaction);
        if bytes >= MESSAGE {
            messages.push(std::mem::take(&mut message));
            bytes = 0;
        }
    }
    if !message.is_empty() {
        messages.push(message);
    }
    messages
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
    let mut rest = message;
    let transaction = |item: &mut &[u8]| Transaction::decode_2718_exact(Header::decode_bytes(item, false).ok()?).ok();
    list(&mut rest, transaction).filter(|_| rest.is_empty())
}

/// Reads a list one by one, up to the first that is none: a byte that is sent may be many in memory.
pub(crate) fn list<T>(bytes: &mut &[u8], mut read: impl FnMut(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    let (mut items, mut list) = (Header::decode_bytes(bytes, true).ok()?, Vec::new());
    while !items.is_empty() {
        list.push(read(&mut items)?);
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::transfer;

    #[test]
    fn what_is_sent_is_what_arrives() {
        let sent = (0..3).map(|nonce| transfer(nonce).inner().clone()).collect::<Vec<_>>();
        let message = encode_all(&sent);
        assert_eq!(decode(&message), Some(sent));
        let longer = [&message[..], &[0x80]].concat();
        for damaged in [&message[..message.len() - 1], &longer[..], &[], &[0xff; 40]] {
            assert_eq!(decode(damaged), None);
        }
        assert_eq!(decode(&vec![0xb8; MOST + 1]), None);
    }

    #[test]
    fn a_list_is_read_up_to_the_first_that_is_none() {
        let (bytes, mut count) = (alloy_rlp::encode(vec![0_u8; 100]), 0);
        let read = |item: &mut &[u8]| {
            count += 1;
            Header::decode_bytes(item, false).ok().filter(|_| count < 3).map(drop)
        };
        assert_eq!((list(&mut &bytes[..], read), count), (None, 3));
        let (mut rest, byte) = (&bytes[..], |item: &mut &[u8]| Header::decode_bytes(item, false).ok().map(<[u8]>::len));
        assert_eq!((list(&mut rest, byte), rest), (Some(vec![0; 100]), &[][..]));
    }
}
