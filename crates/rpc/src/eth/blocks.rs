//! Blocks, transactions and receipts.

use super::state::hash;
use crate::{
    BlockId, Context, Methods, Params, RpcError,
    hex::{Hash, Uint64},
    params::BlockNumber,
    view::{BlockView, Detail, OwnedReceipt, OwnedTransaction, ReceiptList, TransactionView},
};
use alloy_consensus::Header;
use alloy_eips::{Encodable2718, eip4895::Withdrawals};
use alloy_primitives::{B256, Bytes, U64};
use serde::{Serialize, Serializer};
use std::sync::Arc;
use stoa_base::{Block, Recovered};
use stoa_ledger::Committed;

pub(super) fn register(methods: &mut Methods) {
    methods
        .instant("eth_blockNumber", |context, params| {
            params.none()?;
            Ok(U64::from(context.head().number()))
        })
        .read("eth_getBlockByNumber", |context, params| {
            let mut reader = params.reader()?;
            let BlockNumber(id) = reader.required()?;
            let full = reader.optional()?.unwrap_or_default();
            reader.end()?;
            view(context, id, if full { Detail::Full } else { Detail::Hashes })
        })
        .read("eth_getBlockByHash", |context, params| {
            let mut reader = params.reader()?;
            let Hash(hash) = reader.required()?;
            let full = reader.optional()?.unwrap_or_default();
            reader.end()?;
            view(context, BlockId::Hash(hash), if full { Detail::Full } else { Detail::Hashes })
        })
        .read("eth_getHeaderByNumber", |context, params| view(context, number(params)?, Detail::Header))
        .read("eth_getHeaderByHash", |context, params| view(context, BlockId::Hash(hash(params)?), Detail::Header))
        .read("eth_getBlockTransactionCountByNumber", |context, params| count(context, number(params)?))
        .read("eth_getBlockTransactionCountByHash", |context, params| count(context, BlockId::Hash(hash(params)?)))
        .read(
            "eth_getUncleCountByBlockNumber",
            |context, params| Ok(find(context, number(params)?)?.map(|_| U64::ZERO)),
        )
        .read("eth_getUncleCountByBlockHash", |context, params| {
            Ok(find(context, BlockId::Hash(hash(params)?))?.map(|_| U64::ZERO))
        })
        .instant("eth_getUncleByBlockNumberAndIndex", |_, _| Ok(None::<()>))
        .instant("eth_getUncleByBlockHashAndIndex", |_, _| Ok(None::<()>))
        .read("eth_getBlockReceipts", |context, params| {
            let mut reader = params.reader()?;
            let id: BlockId = reader.required()?;
            reader.end()?;
            Ok(find(context, id)?.map(ReceiptList))
        })
        .read("eth_getTransactionByBlockNumberAndIndex", |context, params| {
            let mut reader = params.reader()?;
            let (BlockNumber(id), Uint64(index)) = (reader.required()?, reader.required()?);
            reader.end()?;
            by_index(context, id, index)
        })
        .read("eth_getTransactionByBlockHashAndIndex", |context, params| {
            let mut reader = params.reader()?;
            let (Hash(hash), Uint64(index)) = (reader.required()?, reader.required()?);
            reader.end()?;
            by_index(context, BlockId::Hash(hash), index)
        })
        .read("eth_getTransactionByHash", |context, params| {
            let hash = hash(params)?;
            Ok(match find_transaction(context, hash)? {
                Some(Found::Waiting(transaction)) => Some(Answer::Waiting(transaction)),
                Some(Found::Included(committed, index)) => Some(Answer::Included(OwnedTransaction(committed, index))),
                None => None,
            })
        })
        .add("eth_getTransactionReceipt", |context: Context, params: Params| async move {
            let hash = hash(&params)?;
            // What everybody asks for right after sending is known without going to the disk.
            if let Some((committed, index)) = context.node.recent.transaction(hash, &context.head()) {
                return Ok(Some(OwnedReceipt(committed, index)));
            }
            if context.pool().get(&hash).is_some() {
                return Ok(None);
            }
            context
                .read(move |context| {
                    Ok(context.transaction(hash)?.map(|(committed, index)| OwnedReceipt(committed, index)))
                })
                .await
        })
        .read("eth_getRawTransactionByHash", raw_transaction);
}

fn number(params: &Params) -> Result<BlockId, RpcError> {
    let mut reader = params.reader()?;
    let BlockNumber(id) = reader.required()?;
    reader.end()?;
    Ok(id)
}

/// The block that `id` names, the one being built for `pending`. Blocking.
pub(crate) fn find(context: &Context, id: BlockId) -> Result<Option<Committed>, RpcError> {
    if id == BlockId::Pending {
        return Ok(Some(context.pending()?.committed.clone()));
    }
    match context.number(id)? {
        Some(number) => context.block(number),
        None => Ok(None),
    }
}

fn view(context: &Context, id: BlockId, detail: Detail) -> Result<Option<BlockView>, RpcError> {
    let pending = id == BlockId::Pending;
    Ok(find(context, id)?.map(|committed| BlockView { committed, detail, pending }))
}

fn count(context: &Context, id: BlockId) -> Result<Option<U64>, RpcError> {
    Ok(find(context, id)?.map(|committed| U64::from(committed.block.transactions().len())))
}

fn by_index(context: &Context, id: BlockId, index: u64) -> Result<Option<Answer>, RpcError> {
    let Some(committed) = find(context, id)? else { return Ok(None) };
    let index = usize::try_from(index).ok().filter(|index| *index < committed.block.transactions().len());
    Ok(index.map(|index| {
        if id == BlockId::Pending {
            let (transaction, sender) = (committed.block.transactions()[index].clone(), committed.senders[index]);
            return Answer::Waiting(Arc::new(Recovered::new_unchecked(transaction, sender)));
        }
        Answer::Included(OwnedTransaction(committed, index))
    }))
}

enum Found {
    Waiting(Arc<Recovered>),
    Included(Committed, usize),
}

enum Answer {
    Waiting(Arc<Recovered>),
    Included(OwnedTransaction),
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Included(transaction) => transaction.serialize(serializer),
            Self::Waiting(transaction) => {
                TransactionView { transaction: transaction.inner(), from: transaction.signer(), place: None }
                    .serialize(serializer)
            }
        }
    }
}

fn find_transaction(context: &Context, hash: B256) -> Result<Option<Found>, RpcError> {
    if let Some(waiting) = context.pool().get(&hash) {
        // A transaction leaves the pool a moment after it is in a block: the block counts.
        if context.node.recent.transaction(hash, &context.head()).is_none() {
            return Ok(Some(Found::Waiting(waiting)));
        }
    }
    Ok(context.transaction(hash)?.map(|(committed, index)| Found::Included(committed, index)))
}

pub(crate) fn raw_transaction(context: &Context, params: &Params) -> Result<Bytes, RpcError> {
    let encoded = match find_transaction(context, hash(params)?)? {
        Some(Found::Waiting(transaction)) => transaction.inner().encoded_2718(),
        Some(Found::Included(committed, index)) => committed.block.transactions()[index].encoded_2718(),
        None => Vec::new(),
    };
    Ok(encoded.into())
}

/// The RLP of a block as Ethereum has it: header, transactions, no uncles, no withdrawals.
pub(crate) fn raw_block(block: &Block) -> Bytes {
    let body = alloy_consensus::BlockBody {
        transactions: block.transactions().to_vec(),
        ommers: Vec::<Header>::new(),
        withdrawals: block.header().withdrawals_root.map(|_| Withdrawals::default()),
    };
    alloy_rlp::encode(alloy_consensus::Block { header: block.header().clone(), body }).into()
}
