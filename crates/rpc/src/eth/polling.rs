//! Logs, filters and subscriptions.

use crate::{
    Context, Methods, Params, RpcError,
    filters::{Changes, Kind},
    logs::Query,
    subscriptions,
    view::LogList,
};
use alloy_primitives::{B128, B256};
use serde::{Serialize, Serializer};
use std::sync::Arc;

pub(super) fn register(methods: &mut Methods) {
    methods
        .read("eth_getLogs", |context, params| query(context, params)?.run(context).map(LogList))
        .instant("eth_newFilter", |context, params| {
            let query = query(context, params)?;
            context.node.filters.install(context, Kind::Logs(Arc::new(query)))
        })
        .instant("eth_newBlockFilter", |context, params| {
            params.none()?;
            context.node.filters.install(context, Kind::Blocks)
        })
        .instant("eth_newPendingTransactionFilter", |context, params| {
            let mut reader = params.reader()?;
            let _full: Option<bool> = reader.optional()?;
            reader.end()?;
            context.node.filters.install(context, Kind::Pending)
        })
        .instant("eth_uninstallFilter", |context, params| Ok(context.node.filters.uninstall(id(params)?)))
        .read("eth_getFilterChanges", changes)
        .read("eth_getFilterLogs", |context, params| context.node.filters.query(id(params)?)?.run(context).map(LogList))
        .instant("eth_subscribe", subscriptions::subscribe)
        .instant("eth_unsubscribe", subscriptions::unsubscribe);
}

fn id(params: &Params) -> Result<B128, RpcError> {
    let mut reader = params.reader()?;
    let text: String = reader.required()?;
    reader.end()?;
    // Anything that is no identifier is the identifier of no filter.
    Ok(text.parse().unwrap_or_default())
}

fn query(context: &Context, params: &Params) -> Result<Query, RpcError> {
    let mut reader = params.reader()?;
    let query: Query = reader.required()?;
    reader.end()?;
    query.check(context)?;
    Ok(query)
}

enum News {
    Hashes(Vec<B256>),
    Logs(LogList),
}

impl Serialize for News {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Hashes(hashes) => hashes.serialize(serializer),
            Self::Logs(logs) => logs.serialize(serializer),
        }
    }
}

fn changes(context: &Context, params: &Params) -> Result<News, RpcError> {
    let most = context.config().max_log_blocks;
    let changes = context.node.filters.poll(id(params)?, context.head().number(), most)?;
    Ok(match changes {
        Changes::Hashes(hashes) => News::Hashes(hashes),
        Changes::Blocks(after, to) => {
            let blocks = (after + 1..=to).take_while(|_| context.is_awaited()).map(|number| context.block(number));
            let hashes =
                blocks.filter_map(|found| found.map(|found| found.map(|block| block.block.hash())).transpose());
            News::Hashes(hashes.collect::<Result<_, _>>()?)
        }
        Changes::Logs(query, after, to) => News::Logs(LogList(match query.part_of(after + 1, to) {
            Some((from, to)) => query.between(context, from, to)?,
            None => Vec::new(),
        })),
    })
}
