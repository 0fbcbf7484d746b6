//! Transactions on their way to whoever proposes next.
//!
//! The node that a client gave a transaction to sends it to every validator, once; nobody passes on what came from another
//! validator, for all are connected to all. What is lost on the way is proposed by that node itself when its turn comes.

use crate::{Waiting, application::Origin};
use alloy_eips::eip2718::{Decodable2718 as _, Encodable2718 as _};
use alloy_rlp::{Decodable as _, Encodable as _};
use bytes::Bytes;
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_runtime::{Clock, Spawner};
use futures::{FutureExt as _, StreamExt as _};
use std::{pin::pin, time::Duration};
use stoa_base::Transaction;

/// How long a transaction waits for others to be sent along with it.
const GATHER: Duration = Duration::from_millis(2);

/// Bytes of transactions in one message, about.
const MESSAGE: usize = 128 << 10;

/// The most bytes of a message that are looked at: one transaction more than [`MESSAGE`], of the largest that are taken.
const MOST: usize = 4 * MESSAGE;

/// Sends what clients give to this node to the others, and takes in what those send.
pub(crate) async fn run<E, W, S, R>(runtime: E, waiting: W, (mut sender, mut receiver): (S, R))
where
    E: Clock + Spawner,
    W: Waiting,
    S: Sender,
    R: Receiver,
{
    let mut given = pin!(waiting.given().fuse());
    let (mut gathered, mut bytes) = (Vec::<Bytes>::new(), 0);
    let mut full = pin!(futures::future::Fuse::terminated());
    loop {
        let due = futures::select_biased! {
            () = full => true,
            transaction = given.select_next_some() => {
                let encoded = Bytes::from(transaction.inner().encoded_2718());
                bytes += encoded.len();
                gathered.push(encoded);
                if gathered.len() == 1 {
                    full.set(runtime.sleep(GATHER).fuse());
                }
                bytes >= MESSAGE
            }
            message = receiver.recv().fuse() => {
                let Ok((peer, message)) = message else { return };
                match decode(message.as_ref()) {
                    // What is too much is theirs to propose.
                    Some(transactions) => drop(waiting.take(transactions, Origin::Validator)),
                    None => tracing::warn!(?peer, "sends transactions that are none"),
                }
                false
            }
        };
        if due {
            let _ = sender.send(Recipients::All, encode(&std::mem::take(&mut gathered)), false);
            bytes = 0;
            full.set(futures::future::Fuse::terminated());
        }
    }
}

fn encode(transactions: &[Bytes]) -> Vec<u8> {
    let mut message = Vec::with_capacity(transactions.iter().map(Bytes::len).sum::<usize>() + 8);
    transactions.iter().map(AsRef::<[u8]>::as_ref).collect::<Vec<&[u8]>>().encode(&mut message);
    message
}

/// The same of transactions that are not encoded yet.
pub(crate) fn encode_all(transactions: &[Transaction]) -> Vec<u8> {
    encode(&transactions.iter().map(|transaction| transaction.encoded_2718().into()).collect::<Vec<_>>())
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
