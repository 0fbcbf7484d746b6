//! How blocks, transactions, receipts and logs look in JSON: the shapes of the execution-apis specification, in geth's
//! order. Everything is borrowed from the ledger's own types and written straight to text.

use crate::hex::{to_quantity, to_quantity_opt};
use alloy_consensus::{Header, Transaction as _, Typed2718};
use alloy_eips::{eip2718::Encodable2718, eip2930::AccessList, eip7702::SignedAuthorization};
use alloy_primitives::{Address, B64, B256, Bloom, BloomInput, Bytes, Log, U256};
use alloy_rlp::{Encodable, length_of_length};
use serde::{Serialize, Serializer, ser::SerializeSeq};
use stoa_base::{Receipt, Transaction};
use stoa_ledger::{Committed, LogEntry};

/// Where a transaction stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Hash of the block.
    pub block_hash: B256,
    /// Number of the block.
    pub block_number: u64,
    /// Seconds since 1970.
    pub block_timestamp: u64,
    /// Position in the block.
    pub index: usize,
    /// Wei per gas.
    pub base_fee: u64,
}

impl Place {
    /// The place of transaction `index` of a block.
    pub fn new(committed: &Committed, index: usize) -> Self {
        let header = committed.block.header();
        Self {
            block_hash: committed.block.hash(),
            block_number: header.number,
            block_timestamp: header.timestamp,
            index,
            base_fee: header.base_fee_per_gas.unwrap_or_default(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TransactionFields<'a> {
    block_hash: Option<B256>,
    #[serde(serialize_with = "to_quantity_opt")]
    block_number: Option<u64>,
    #[serde(serialize_with = "to_quantity_opt")]
    block_timestamp: Option<u64>,
    from: Address,
    #[serde(serialize_with = "to_quantity")]
    gas: u64,
    #[serde(serialize_with = "to_quantity")]
    gas_price: u128,
    #[serde(serialize_with = "to_quantity_opt", skip_serializing_if = "Option::is_none")]
    max_fee_per_gas: Option<u128>,
    #[serde(serialize_with = "to_quantity_opt", skip_serializing_if = "Option::is_none")]
    max_priority_fee_per_gas: Option<u128>,
    hash: &'a B256,
    input: &'a Bytes,
    #[serde(serialize_with = "to_quantity")]
    nonce: u64,
    to: Option<Address>,
    #[serde(serialize_with = "to_quantity_opt")]
    transaction_index: Option<usize>,
    value: U256,
    #[serde(rename = "type", serialize_with = "to_quantity")]
    tx_type: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_list: Option<&'a AccessList>,
    #[serde(serialize_with = "to_quantity_opt", skip_serializing_if = "Option::is_none")]
    chain_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_list: Option<&'a [SignedAuthorization]>,
    v: U256,
    r: U256,
    s: U256,
    #[serde(serialize_with = "to_quantity_opt", skip_serializing_if = "Option::is_none")]
    y_parity: Option<u8>,
}

/// A transaction, in a block or waiting.
pub struct TransactionView<'a> {
    /// The transaction.
    pub transaction: &'a Transaction,
    /// Who signed it.
    pub from: Address,
    /// `None` while it waits.
    pub place: Option<Place>,
}

impl Serialize for TransactionView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (tx, place) = (self.transaction, self.place);
        let signature = tx.signature();
        let parity = u8::from(signature.v());
        let v = match (tx.is_legacy(), tx.chain_id()) {
            (true, Some(chain_id)) => U256::from(chain_id) * U256::from(2) + U256::from(35 + parity),
            (true, None) => U256::from(27 + parity),
            (false, _) => U256::from(parity),
        };
        let fees = tx.is_dynamic_fee().then(|| tx.max_fee_per_gas());
        TransactionFields {
            block_hash: place.map(|place| place.block_hash),
            block_number: place.map(|place| place.block_number),
            block_timestamp: place.map(|place| place.block_timestamp),
            from: self.from,
            gas: tx.gas_limit(),
            gas_price: match place {
                Some(place) => tx.effective_gas_price(Some(place.base_fee)),
                None => tx.max_fee_per_gas(),
            },
            max_fee_per_gas: fees,
            max_priority_fee_per_gas: tx.max_priority_fee_per_gas(),
            hash: tx.hash(),
            input: tx.input(),
            nonce: tx.nonce(),
            to: tx.to(),
            transaction_index: place.map(|place| place.index),
            value: tx.value(),
            tx_type: tx.ty(),
            access_list: tx.access_list(),
            chain_id: tx.chain_id(),
            authorization_list: tx.authorization_list(),
            v,
            r: signature.r(),
            s: signature.s(),
            y_parity: (!tx.is_legacy()).then_some(parity),
        }
        .serialize(serializer)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogFields<'a> {
    address: Address,
    topics: &'a [B256],
    data: &'a Bytes,
    block_hash: B256,
    #[serde(serialize_with = "to_quantity")]
    block_number: u64,
    #[serde(serialize_with = "to_quantity")]
    block_timestamp: u64,
    transaction_hash: B256,
    #[serde(serialize_with = "to_quantity")]
    transaction_index: usize,
    #[serde(serialize_with = "to_quantity")]
    log_index: u64,
    removed: bool,
}

/// A log in a block.
pub struct LogView<'a> {
    /// The log.
    pub log: &'a Log,
    /// Where its transaction stands.
    pub place: Place,
    /// Hash of its transaction.
    pub transaction_hash: B256,
    /// Position in the block.
    pub log_index: u64,
}

impl<'a> From<&'a LogEntry> for LogView<'a> {
    fn from(entry: &'a LogEntry) -> Self {
        Self {
            log: &entry.log,
            place: Place {
                block_hash: entry.block_hash,
                block_number: entry.block_number,
                block_timestamp: entry.block_timestamp,
                index: usize::try_from(entry.transaction_index).unwrap_or(usize::MAX),
                base_fee: 0,
            },
            transaction_hash: entry.transaction_hash,
            log_index: entry.log_index,
        }
    }
}

impl Serialize for LogView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        LogFields {
            address: self.log.address,
            topics: self.log.topics(),
            data: &self.log.data.data,
            block_hash: self.place.block_hash,
            block_number: self.place.block_number,
            block_timestamp: self.place.block_timestamp,
            transaction_hash: self.transaction_hash,
            transaction_index: self.place.index,
            log_index: self.log_index,
            removed: false,
        }
        .serialize(serializer)
    }
}

/// Logs from the ledger's index, written one by one.
pub struct LogList(pub Vec<LogEntry>);

impl Serialize for LogList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(LogView::from))
    }
}

/// The logs' bloom filter of one receipt.
pub fn bloom(receipt: &Receipt) -> Bloom {
    let mut bloom = Bloom::ZERO;
    for log in &receipt.logs {
        bloom.accrue(BloomInput::Raw(log.address.as_slice()));
        log.topics().iter().for_each(|topic| bloom.accrue(BloomInput::Raw(topic.as_slice())));
    }
    bloom
}

/// The receipt of a transaction in a block. `index` must be within the block.
pub struct ReceiptView<'a> {
    /// The block.
    pub committed: &'a Committed,
    /// Position of the transaction.
    pub index: usize,
}

struct ReceiptLogs<'a>(&'a ReceiptView<'a>);

impl Serialize for ReceiptLogs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ReceiptView { committed, index } = *self.0;
        let earlier: usize = committed.receipts[..index].iter().map(|receipt| receipt.logs.len()).sum();
        let place = Place::new(committed, index);
        let transaction_hash = *committed.block.transactions()[index].hash();
        let logs = &committed.receipts[index].logs;
        let mut out = serializer.serialize_seq(Some(logs.len()))?;
        for (log, log_index) in logs.iter().zip(earlier as u64..) {
            out.serialize_element(&LogView { log, place, transaction_hash, log_index })?;
        }
        out.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptFields<'a> {
    block_hash: B256,
    #[serde(serialize_with = "to_quantity")]
    block_number: u64,
    contract_address: Option<Address>,
    #[serde(serialize_with = "to_quantity")]
    cumulative_gas_used: u64,
    #[serde(serialize_with = "to_quantity")]
    effective_gas_price: u128,
    from: Address,
    #[serde(serialize_with = "to_quantity")]
    gas_used: u64,
    logs: ReceiptLogs<'a>,
    logs_bloom: Bloom,
    #[serde(serialize_with = "to_quantity")]
    status: u8,
    to: Option<Address>,
    transaction_hash: &'a B256,
    #[serde(serialize_with = "to_quantity")]
    transaction_index: usize,
    #[serde(rename = "type", serialize_with = "to_quantity")]
    tx_type: u8,
}

impl Serialize for ReceiptView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (block, receipt) = (&self.committed.block, &self.committed.receipts[self.index]);
        let transaction = &block.transactions()[self.index];
        ReceiptFields {
            block_hash: block.hash(),
            block_number: block.number(),
            contract_address: receipt.contract_address,
            cumulative_gas_used: receipt.cumulative_gas_used,
            effective_gas_price: receipt.effective_gas_price,
            from: self.committed.senders[self.index],
            gas_used: receipt.gas_used,
            logs: ReceiptLogs(self),
            logs_bloom: bloom(receipt),
            status: u8::from(receipt.success),
            to: transaction.to(),
            transaction_hash: transaction.hash(),
            transaction_index: self.index,
            tx_type: receipt.tx_type,
        }
        .serialize(serializer)
    }
}

/// One receipt that owns its block.
pub struct OwnedReceipt(pub Committed, pub usize);

impl Serialize for OwnedReceipt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ReceiptView { committed: &self.0, index: self.1 }.serialize(serializer)
    }
}

/// One transaction that owns its block.
pub struct OwnedTransaction(pub Committed, pub usize);

impl Serialize for OwnedTransaction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        in_block(&self.0, self.1).serialize(serializer)
    }
}

fn in_block(committed: &Committed, index: usize) -> TransactionView<'_> {
    TransactionView {
        transaction: &committed.block.transactions()[index],
        from: committed.senders[index],
        place: Some(Place::new(committed, index)),
    }
}

/// All receipts of a block.
pub struct ReceiptList(pub Committed);

impl Serialize for ReceiptList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let committed = &self.0;
        serializer.collect_seq((0..committed.receipts.len()).map(|index| ReceiptView { committed, index }))
    }
}

/// What of a block's transactions is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Nothing: only the header.
    Header,
    /// Their hashes.
    Hashes,
    /// Everything.
    Full,
}

struct BlockTransactions<'a> {
    committed: &'a Committed,
    full: bool,
    pending: bool,
}

impl Serialize for BlockTransactions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let transactions = self.committed.block.transactions();
        if self.full && self.pending {
            let senders = self.committed.senders.iter();
            let waiting = transactions.iter().zip(senders);
            serializer.collect_seq(waiting.map(|(transaction, from)| TransactionView {
                transaction,
                from: *from,
                place: None,
            }))
        } else if self.full {
            serializer.collect_seq((0..transactions.len()).map(|index| in_block(self.committed, index)))
        } else {
            serializer.collect_seq(transactions.iter().map(|transaction| transaction.hash()))
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HeaderFields<'a> {
    #[serde(serialize_with = "to_quantity")]
    number: u64,
    hash: Option<B256>,
    parent_hash: B256,
    nonce: Option<B64>,
    mix_hash: B256,
    sha3_uncles: B256,
    logs_bloom: &'a Bloom,
    transactions_root: B256,
    state_root: B256,
    receipts_root: B256,
    miner: Option<Address>,
    difficulty: U256,
    extra_data: &'a Bytes,
    #[serde(serialize_with = "to_quantity")]
    gas_limit: u64,
    #[serde(serialize_with = "to_quantity")]
    gas_used: u64,
    #[serde(serialize_with = "to_quantity")]
    timestamp: u64,
    #[serde(serialize_with = "to_quantity_opt", skip_serializing_if = "Option::is_none")]
    base_fee_per_gas: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawals_root: Option<B256>,
    #[serde(serialize_with = "to_quantity_opt", skip_serializing_if = "Option::is_none")]
    blob_gas_used: Option<u64>,
    #[serde(serialize_with = "to_quantity_opt", skip_serializing_if = "Option::is_none")]
    excess_blob_gas: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_beacon_block_root: Option<B256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_hash: Option<B256>,
    #[serde(serialize_with = "to_quantity_opt", skip_serializing_if = "Option::is_none")]
    size: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uncles: Option<[B256; 0]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transactions: Option<BlockTransactions<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawals: Option<[B256; 0]>,
}

/// A block, or only its header.
pub struct BlockView {
    /// The block.
    pub committed: Committed,
    /// What is shown.
    pub detail: Detail,
    /// Whether it is the block being built, whose hash, nonce and proposer are not known.
    pub pending: bool,
}

/// Bytes of the block in Ethereum's encoding: header, transactions, no uncles, no withdrawals.
pub fn block_size(header: &Header, transactions: &[Transaction]) -> usize {
    let list = |payload: usize| payload + length_of_length(payload);
    let transactions: usize = transactions.iter().map(|transaction| transaction.network_len()).sum();
    let withdrawals = usize::from(header.withdrawals_root.is_some());
    list(header.length() + list(transactions) + 1 + withdrawals)
}

impl Serialize for BlockView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let block = &self.committed.block;
        let header = block.header();
        let body = self.detail != Detail::Header;
        HeaderFields {
            number: header.number,
            hash: (!self.pending).then(|| block.hash()),
            parent_hash: header.parent_hash,
            nonce: (!self.pending).then_some(header.nonce),
            mix_hash: header.mix_hash,
            sha3_uncles: header.ommers_hash,
            logs_bloom: &header.logs_bloom,
            transactions_root: header.transactions_root,
            state_root: header.state_root,
            receipts_root: header.receipts_root,
            miner: (!self.pending).then_some(header.beneficiary),
            difficulty: header.difficulty,
            extra_data: &header.extra_data,
            gas_limit: header.gas_limit,
            gas_used: header.gas_used,
            timestamp: header.timestamp,
            base_fee_per_gas: header.base_fee_per_gas,
            withdrawals_root: header.withdrawals_root,
            blob_gas_used: header.blob_gas_used,
            excess_blob_gas: header.excess_blob_gas,
            parent_beacon_block_root: header.parent_beacon_block_root,
            requests_hash: header.requests_hash,
            size: body.then(|| block_size(header, block.transactions())),
            uncles: body.then_some([]),
            transactions: body.then(|| BlockTransactions {
                committed: &self.committed,
                full: self.detail == Detail::Full,
                pending: self.pending,
            }),
            withdrawals: (body && header.withdrawals_root.is_some()).then_some([]),
        }
        .serialize(serializer)
    }
}
