//! `txpool_`: the transactions that wait.

use crate::{Methods, hex::Account, view::TransactionView};
use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, U64};
use serde::{Serialize, Serializer};
use std::{collections::BTreeMap, sync::Arc};
use stoa_base::Recovered;
use stoa_mempool::{Content, Pool};

pub(crate) fn register(methods: &mut Methods) {
    methods
        .instant("txpool_status", |context, params| {
            params.none()?;
            let status = context.pool().status();
            Ok(Parts { pending: U64::from(status.pending), queued: U64::from(status.queued) })
        })
        .read("txpool_content", |context, params| {
            params.none()?;
            Ok(Parts::of(context.pool().content(), |list| by_sender(list, Full)))
        })
        .read("txpool_inspect", |context, params| {
            params.none()?;
            Ok(Parts::of(context.pool().content(), |list| by_sender(list, Summary)))
        })
        .read("txpool_contentFrom", |context, params| {
            let mut reader = params.reader()?;
            let Account(sender) = reader.required()?;
            reader.end()?;
            Ok(Parts::of(context.pool().content_from(sender), |list| {
                list.into_iter().map(|waiting| (waiting.nonce(), Full(waiting))).collect::<BTreeMap<_, _>>()
            }))
        })
        .read("eth_pendingTransactions", |context, params| {
            params.none()?;
            let mine = |from: Address| context.accounts().iter().any(|signer| signer.address() == from);
            Ok(all(context.pool(), mine))
        });
}

/// The transactions that wait, of those senders that are `wanted`.
pub(crate) fn all(pool: &Pool, wanted: impl Fn(Address) -> bool) -> Vec<Full> {
    let Content { pending, queued } = pool.content();
    pending.into_iter().chain(queued).filter(|waiting| wanted(waiting.signer())).map(Full).collect()
}

#[derive(Serialize)]
struct Parts<T> {
    pending: T,
    queued: T,
}

impl<T> Parts<T> {
    fn of(content: Content, show: impl Fn(Vec<Arc<Recovered>>) -> T) -> Self {
        Self { pending: show(content.pending), queued: show(content.queued) }
    }
}

fn by_sender<T>(list: Vec<Arc<Recovered>>, show: impl Fn(Arc<Recovered>) -> T) -> BTreeMap<String, BTreeMap<u64, T>> {
    let mut senders: BTreeMap<String, BTreeMap<u64, T>> = BTreeMap::new();
    for waiting in list {
        senders.entry(waiting.signer().to_checksum(None)).or_default().insert(waiting.nonce(), show(waiting));
    }
    senders
}

/// A transaction that waits, shown in full.
pub(crate) struct Full(Arc<Recovered>);

impl Serialize for Full {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        TransactionView { transaction: self.0.inner(), from: self.0.signer(), place: None }.serialize(serializer)
    }
}

struct Summary(Arc<Recovered>);

impl Serialize for Summary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tx = self.0.inner();
        let (value, gas, price) = (tx.value(), tx.gas_limit(), tx.max_fee_per_gas());
        match tx.to() {
            Some(to) => serializer.collect_str(&format_args!("{to}: {value} wei + {gas} gas × {price} wei")),
            None => serializer.collect_str(&format_args!("contract creation: {value} wei + {gas} gas × {price} wei")),
        }
    }
}
