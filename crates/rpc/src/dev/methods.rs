//! The names of the methods, and their parameters.

use super::{
    Dev, calls,
    network::{Metadata, register_network},
    node::{CHUNK, Node},
    numbers::{Interval, Number, Number64},
    state,
};
use crate::{
    Builder, Context, Methods, Params, RpcError,
    evm::check_native,
    hex::{Account, Data, Hash},
    txpool,
    view::{BlockView, Detail},
};
use alloy_primitives::{Address, B256, U64, U256};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use stoa_base::now;
use stoa_ledger::{Ledger, Set};
use stoa_mempool::Status;

/// Adds the methods of a development node to a server, in place of the standard ones where they differ. It mines a block for each
/// transaction, or, if `block_time` milliseconds are given, one in each of these, until it is told otherwise.
pub async fn register<D: Dev>(builder: Builder, dev: Arc<D>, ledger: &Ledger, block_time: Option<u64>) -> Builder {
    let node = Arc::new(Node::new(dev, block_time));
    node.mine_at_intervals(ledger.clone(), node.usual_interval()).await;
    let next = node.clone();
    builder.next_block(move |ledger| next.next_block_env(ledger)).methods(move |methods| add_all(methods, &node))
}

fn add_all<D: Dev>(methods: &mut Methods, node: &Arc<Node<D>>) {
    register_network(methods);
    methods
        .read("eth_pendingTransactions", |context, params| {
            params.none()?;
            Ok(txpool::all(context.pool(), |_| true))
        })
        .instant("anvil_getGenesisTime", |context, params| {
            params.none()?;
            Ok(context.ledger().genesis().timestamp)
        })
        .instant("anvil_setChainId", set_chain_id)
        .instant("evm_setChainId", set_chain_id)
        .execute("eth_call", calls::call)
        .execute("eth_estimateGas", calls::estimate_gas)
        .instant("hardhat_setLoggingEnabled", logging)
        .instant("anvil_setLoggingEnabled", logging);
    let mut table = Table { methods, node };
    table
        .add(&["eth_sendTransaction"], calls::send)
        .add(&["eth_sendUnsignedTransaction"], calls::send_unsigned)
        .add(&["eth_sendRawTransaction"], calls::send_raw)
        .add(&["eth_sendRawTransactionSync"], calls::send_raw_sync)
        .add(&["eth_coinbase"], coinbase)
        .add(&["evm_mine"], mine_one)
        .add(&["evm_mine_detailed", "anvil_mine_detailed"], mine_detailed)
        .add(&["hardhat_mine", "anvil_mine"], mine)
        .patient(&["evm_mine", "evm_mine_detailed", "anvil_mine_detailed", "hardhat_mine", "anvil_mine"])
        .add(&["evm_setAutomine", "anvil_setAutomine"], set_automine)
        // ape asks `eth_mining` whether there will be a receipt without mining by hand.
        .add(&["hardhat_getAutomine", "anvil_getAutomine", "evm_getAutomine", "eth_mining"], get_automine)
        .add(&["evm_setIntervalMining"], set_interval_mining)
        .add(&["anvil_setIntervalMining"], set_interval_mining_seconds)
        .add(&["anvil_getIntervalMining"], get_interval_mining)
        .add(&["evm_increaseTime"], increase_time)
        .add(&["anvil_increaseTime"], increase_time_number)
        .add(&["evm_setNextBlockTimestamp", "anvil_setNextBlockTimestamp"], set_next_timestamp)
        .add(&["evm_setTime", "anvil_setTime"], set_time)
        .add(&["anvil_setBlockTimestampInterval"], set_timestamp_interval)
        .add(&["anvil_removeBlockTimestampInterval"], remove_timestamp_interval)
        .add(&["evm_snapshot", "anvil_snapshot"], snapshot)
        .add(&["evm_revert", "anvil_revert"], revert)
        .add(&["hardhat_reset", "anvil_reset"], reset)
        .add(&["hardhat_dumpState", "anvil_dumpState"], state::dump)
        .add(&["hardhat_loadState", "anvil_loadState"], state::load)
        .add(&["hardhat_setBalance", "anvil_setBalance", "evm_setAccountBalance"], set_balance)
        .add(&["anvil_addBalance"], add_balance)
        .add(&["hardhat_setCode", "anvil_setCode", "evm_setAccountCode"], set_code)
        .add(&["hardhat_setStorageAt", "anvil_setStorageAt", "evm_setAccountStorageAt"], set_storage_at)
        .add(&["hardhat_setNonce"], raise_nonce)
        .add(&["anvil_setNonce", "evm_setAccountNonce"], set_nonce)
        .add(&["hardhat_setCoinbase", "anvil_setCoinbase"], set_coinbase)
        .add(&["hardhat_setPrevRandao", "anvil_setPrevRandao"], set_prevrandao)
        .add(&["hardhat_setNextBlockBaseFeePerGas", "anvil_setNextBlockBaseFeePerGas"], set_base_fee)
        .add(&["evm_setBlockGasLimit", "anvil_setBlockGasLimit"], set_gas_limit)
        .add(&["hardhat_impersonateAccount", "anvil_impersonateAccount"], impersonate)
        .add(&["hardhat_stopImpersonatingAccount", "anvil_stopImpersonatingAccount"], stop_impersonating)
        .add(&["anvil_autoImpersonateAccount"], auto_impersonate)
        .add(&["hardhat_dropTransaction", "anvil_dropTransaction"], drop_transaction)
        .add(&["anvil_dropAllTransactions"], drop_all_transactions)
        .add(&["anvil_removePoolTransactions"], remove_pool_transactions)
        .add(&["hardhat_metadata", "anvil_metadata"], metadata)
        .add(&["anvil_nodeInfo"], node_info);
}

struct Table<'a, D> {
    methods: &'a mut Methods,
    node: &'a Arc<Node<D>>,
}

impl<D: Dev> Table<'_, D> {
    /// Adds a method under all of its names. It goes on to its end when nobody waits for it any more, so that nothing is done
    /// by half.
    fn add<T, F>(
        &mut self,
        names: &[&str],
        handler: impl Fn(Arc<Node<D>>, Context, Params) -> F + Copy + Send + Sync + 'static,
    ) -> &mut Self
    where
        T: Serialize + Send + 'static,
        F: Future<Output = Result<T, RpcError>> + Send + 'static,
    {
        for name in names {
            let node = self.node.clone();
            self.methods.add(name, move |context, params| {
                let answer = tokio::spawn(handler(node.clone(), context, params));
                async move { answer.await.unwrap_or_else(|_| Err(RpcError::crashed())) }
            });
        }
        self
    }

    /// Lets methods take as long as they take.
    fn patient(&mut self, names: &[&str]) -> &mut Self {
        for name in names {
            self.methods.patient(name);
        }
        self
    }
}

/// The only parameter.
fn one<T: for<'de> Deserialize<'de>>(params: &Params) -> Result<T, RpcError> {
    let mut reader = params.reader()?;
    let value = reader.required()?;
    reader.end()?;
    Ok(value)
}

/// The only two parameters.
fn two<A, B>(params: &Params) -> Result<(A, B), RpcError>
where
    A: for<'de> Deserialize<'de>,
    B: for<'de> Deserialize<'de>,
{
    let mut reader = params.reader()?;
    let values = (reader.required()?, reader.required()?);
    reader.end()?;
    Ok(values)
}

fn logging(_: &Context, params: &Params) -> Result<bool, RpcError> {
    // What is logged is for whoever started the node to say.
    one::<bool>(params).map(|_| true)
}

fn set_chain_id(_: &Context, _: &Params) -> Result<(), RpcError> {
    let why = "the chain id cannot be set: transactions are signed for it and the first block commits to it; start a new chain \
               with --chain-id";
    Err(RpcError::new(-32601, why))
}

async fn coinbase<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<Address, RpcError> {
    params.none()?;
    Ok(node.next_block_env(context.ledger()).beneficiary)
}

/// What `evm_mine` takes: a time, or an object as Anvil and Ganache read it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Mine {
    At(Number64),
    Options { timestamp: Option<Number64>, blocks: Option<Number64> },
}

/// The time of the first block, if one is given, and how many blocks to mine.
fn mine_options(params: &Params) -> Result<(Option<u64>, u64), RpcError> {
    let mut reader = params.reader()?;
    let options: Option<Mine> = reader.optional()?;
    reader.end()?;
    Ok(match options {
        None => (None, 1),
        // Zero means no time, as in Hardhat's network.
        Some(Mine::At(Number64(timestamp))) => (Some(timestamp).filter(|timestamp| *timestamp > 0), 1),
        Some(Mine::Options { timestamp, blocks }) => {
            (timestamp.map(|Number64(timestamp)| timestamp), blocks.map_or(1, |Number64(blocks)| blocks))
        }
    })
}

async fn mine_one<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<&'static str, RpcError> {
    let (timestamp, mut blocks) = mine_options(&params)?;
    if let (Some(timestamp), 1..) = (timestamp, blocks) {
        node.mine_at(context.ledger(), timestamp).await?;
        blocks -= 1;
    }
    node.mine(context.ledger(), blocks, None).await?;
    Ok("0x0")
}

/// As `evm_mine`; answers with the blocks.
async fn mine_detailed<D: Dev>(
    node: Arc<Node<D>>,
    context: Context,
    params: Params,
) -> Result<Vec<BlockView>, RpcError> {
    let (_, blocks) = mine_options(&params)?;
    if blocks > CHUNK {
        let why = format!("{blocks} blocks are too many to show: at most {CHUNK} at once");
        return Err(RpcError::invalid_params(why));
    }
    let before = context.head().number();
    mine_one(node, context.clone(), params).await?;
    let mined = context.read(move |context| {
        let numbers = before + 1..=before + blocks;
        numbers.map(|number| context.block(number)).collect::<Result<Vec<_>, _>>()
    });
    let mined = mined.await?.into_iter().flatten();
    Ok(mined.map(|committed| BlockView { committed, detail: Detail::Full, pending: false }).collect())
}

async fn mine<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<bool, RpcError> {
    let (count, interval) = {
        let mut reader = params.reader()?;
        let values: (Option<Number64>, Option<Number64>) = (reader.optional()?, reader.optional()?);
        reader.end()?;
        values
    };
    let count = count.map_or(1, |Number64(count)| count);
    let interval = interval.map_or(1, |Number64(interval)| interval);
    node.mine(context.ledger(), count, Some(interval)).await?;
    Ok(true)
}

async fn set_automine<D: Dev>(node: Arc<Node<D>>, _: Context, params: Params) -> Result<bool, RpcError> {
    node.set_automine(one(&params)?);
    Ok(true)
}

async fn get_automine<D: Dev>(node: Arc<Node<D>>, _: Context, params: Params) -> Result<bool, RpcError> {
    params.none()?;
    Ok(node.automine())
}

async fn set_interval_mining<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<bool, RpcError> {
    let bounds = one::<Interval>(&params)?.bounds()?;
    node.mine_at_intervals(context.ledger().clone(), bounds).await;
    Ok(true)
}

async fn set_interval_mining_seconds<D: Dev>(
    node: Arc<Node<D>>,
    context: Context,
    params: Params,
) -> Result<bool, RpcError> {
    let Number64(seconds) = one(&params)?;
    let milliseconds = seconds.saturating_mul(1000);
    let bounds = (seconds > 0).then_some((milliseconds, milliseconds));
    node.mine_at_intervals(context.ledger().clone(), bounds).await;
    Ok(true)
}

/// Seconds between blocks that come by themselves, `None` if none do.
async fn get_interval_mining<D: Dev>(node: Arc<Node<D>>, _: Context, params: Params) -> Result<Option<u64>, RpcError> {
    params.none()?;
    Ok(node.interval().await.map(|(least, _)| least / 1000))
}

async fn increase_time_number<D: Dev>(node: Arc<Node<D>>, _: Context, params: Params) -> Result<i64, RpcError> {
    let Number64(seconds) = one(&params)?;
    node.upcoming(|upcoming| upcoming.clock.increase(seconds))
}

async fn increase_time<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<String, RpcError> {
    Ok(increase_time_number(node, context, params).await?.to_string())
}

async fn set_next_timestamp<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<String, RpcError> {
    let Number64(timestamp) = one(&params)?;
    node.set_next_timestamp(context.ledger(), timestamp)?;
    Ok(timestamp.to_string())
}

async fn set_time<D: Dev>(node: Arc<Node<D>>, _: Context, params: Params) -> Result<i64, RpcError> {
    let Number64(time) = one(&params)?;
    node.upcoming(|upcoming| upcoming.clock.set(time, now()))
}

async fn set_timestamp_interval<D: Dev>(node: Arc<Node<D>>, _: Context, params: Params) -> Result<(), RpcError> {
    let Number64(seconds) = one(&params)?;
    node.upcoming(|upcoming| upcoming.clock.set_interval(Some(seconds)));
    Ok(())
}

async fn remove_timestamp_interval<D: Dev>(node: Arc<Node<D>>, _: Context, params: Params) -> Result<bool, RpcError> {
    params.none()?;
    Ok(node.upcoming(|upcoming| upcoming.clock.set_interval(None)))
}

async fn snapshot<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<U64, RpcError> {
    params.none()?;
    node.snapshot(context.ledger()).await.map(U64::from)
}

async fn revert<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<bool, RpcError> {
    let Number64(id) = one(&params)?;
    node.revert(&context, id).await
}

async fn reset<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<bool, RpcError> {
    #[derive(Default, Deserialize)]
    struct Options<'a> {
        #[serde(borrow)]
        forking: Option<&'a RawValue>,
    }
    let forking = {
        let mut reader = params.reader()?;
        let options: Option<Options<'_>> = reader.optional()?;
        reader.end()?;
        options.unwrap_or_default().forking.is_some()
    };
    if forking {
        return Err(RpcError::invalid_params("forking another chain is not supported"));
    }
    node.reset(&context).await?;
    Ok(true)
}

async fn set<D: Dev>(node: &Node<D>, context: &Context, address: Address, what: Set) -> Result<bool, RpcError> {
    node.set(context, vec![(address, what)]).await?;
    Ok(true)
}

async fn set_balance<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<bool, RpcError> {
    let (Account(address), Number(balance)) = two(&params)?;
    set(&node, &context, address, Set::Balance(balance)).await
}

async fn add_balance<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<(), RpcError> {
    let (Account(address), Number(more)) = two(&params)?;
    let balance = context.read(move |context| Ok(context.state(crate::BlockId::Latest)?.balance(address)?)).await?;
    let sum = balance.checked_add(more).ok_or_else(|| RpcError::invalid_params("the balance is beyond 256 bits"))?;
    set(&node, &context, address, Set::Balance(sum)).await.map(drop)
}

async fn set_code<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<bool, RpcError> {
    let (Account(address), Data(code)) = two(&params)?;
    check_native(context.ledger().natives(), address, &code)?;
    state::check_code(address, &code)?;
    set(&node, &context, address, Set::Code(code)).await
}

async fn set_storage_at<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<bool, RpcError> {
    let (Account(address), slot, Data(value)) = {
        let mut reader = params.reader()?;
        let values: (_, Number, _) = (reader.required()?, reader.required()?, reader.required()?);
        reader.end()?;
        values
    };
    let value = <[u8; 32]>::try_from(&value[..]).map_err(|_| {
        RpcError::server(format!("Storage value must be exactly 32 bytes long, it is {} bytes long", value.len()))
    })?;
    set(&node, &context, address, Set::Storage(slot.0, U256::from_be_bytes(value))).await
}

async fn set_nonce<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<bool, RpcError> {
    let (Account(address), Number64(nonce)) = two(&params)?;
    set(&node, &context, address, Set::Nonce(nonce)).await
}

/// As Hardhat's network does it: never down, and not while transactions wait.
async fn raise_nonce<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<bool, RpcError> {
    let (Account(address), Number64(nonce)) = two(&params)?;
    if context.pool().status() != Status::default() {
        return Err(RpcError::new(-32603, "Cannot set account nonce when the transaction pool is not empty"));
    }
    let existing = context.read(move |context| Ok(context.state(crate::BlockId::Latest)?.nonce(address)?)).await?;
    if nonce < existing {
        return Err(RpcError::server(format!(
            "New nonce ({nonce}) must not be smaller than the existing nonce ({existing})"
        )));
    }
    set(&node, &context, address, Set::Nonce(nonce)).await
}

async fn set_coinbase<D: Dev>(node: Arc<Node<D>>, _: Context, params: Params) -> Result<bool, RpcError> {
    let Account(address) = one(&params)?;
    node.upcoming(|upcoming| upcoming.coinbase = Some(address));
    Ok(true)
}

async fn set_prevrandao<D: Dev>(node: Arc<Node<D>>, _: Context, params: Params) -> Result<bool, RpcError> {
    let Hash(prevrandao) = one(&params)?;
    node.upcoming(|upcoming| upcoming.prevrandao = Some(prevrandao));
    Ok(true)
}

async fn set_base_fee<D: Dev>(node: Arc<Node<D>>, _: Context, params: Params) -> Result<bool, RpcError> {
    let Number64(base_fee) = one(&params)?;
    node.upcoming(|upcoming| upcoming.base_fee = Some(base_fee));
    Ok(true)
}

async fn set_gas_limit<D: Dev>(node: Arc<Node<D>>, _: Context, params: Params) -> Result<bool, RpcError> {
    let Number64(gas_limit) = one(&params)?;
    if gas_limit == 0 {
        return Err(RpcError::server("Block gas limit must be greater than 0"));
    }
    node.upcoming(|upcoming| upcoming.gas_limit = Some(gas_limit));
    Ok(true)
}

async fn impersonate<D: Dev>(node: Arc<Node<D>>, _: Context, params: Params) -> Result<bool, RpcError> {
    let Account(address) = one(&params)?;
    node.impersonate(address);
    Ok(true)
}

async fn stop_impersonating<D: Dev>(node: Arc<Node<D>>, _: Context, params: Params) -> Result<bool, RpcError> {
    let Account(address) = one(&params)?;
    Ok(node.stop_impersonating(address))
}

async fn auto_impersonate<D: Dev>(node: Arc<Node<D>>, _: Context, params: Params) -> Result<bool, RpcError> {
    node.auto_impersonate(one(&params)?);
    Ok(true)
}

async fn drop_transaction<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<bool, RpcError> {
    let Hash(hash) = one(&params)?;
    if node.dev().drop_transaction(hash) {
        return Ok(true);
    }
    match context.read(move |context| context.transaction(hash)).await? {
        Some(_) => {
            Err(RpcError::invalid_params(format!("Transaction {hash} cannot be dropped because it's already mined")))
        }
        None => Ok(false),
    }
}

async fn drop_all_transactions<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<(), RpcError> {
    params.none()?;
    node.drop_all(&context.pool().content());
    Ok(())
}

async fn remove_pool_transactions<D: Dev>(
    node: Arc<Node<D>>,
    context: Context,
    params: Params,
) -> Result<(), RpcError> {
    let Account(sender) = one(&params)?;
    node.drop_all(&context.pool().content_from(sender));
    Ok(())
}

async fn metadata<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<Metadata, RpcError> {
    params.none()?;
    // Hardhat tells of none. Its plugins ask before each transaction, and test suites take hundreds.
    let told = if context.hardhat { Vec::new() } else { node.snapshots() };
    let snapshots = told.into_iter().map(|(id, head)| (U64::from(id), head)).collect();
    Ok(Metadata::new(&context, node.instance(), snapshots))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeInfo {
    current_block_number: U64,
    current_block_timestamp: u64,
    current_block_hash: B256,
    hard_fork: &'static str,
    transaction_order: &'static str,
    environment: Environment,
    fork_config: Fork,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Environment {
    base_fee: U64,
    chain_id: u64,
    gas_limit: U64,
    gas_price: U64,
}

/// Which other chain this one was forked from: never any.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fork {
    fork_url: Option<String>,
    fork_block_number: Option<u64>,
    fork_retry_backoff: Option<u64>,
}

async fn node_info<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<NodeInfo, RpcError> {
    params.none()?;
    let (head, next) = (context.head(), node.next_block_env(context.ledger()));
    Ok(NodeInfo {
        current_block_number: U64::from(head.number()),
        current_block_timestamp: head.header().timestamp,
        current_block_hash: head.hash(),
        hard_fork: "Osaka",
        transaction_order: "fees",
        environment: Environment {
            base_fee: U64::from(next.basefee),
            chain_id: context.chain_id(),
            gas_limit: U64::from(next.gas_limit),
            gas_price: U64::from(next.basefee),
        },
        fork_config: Fork { fork_url: None, fork_block_number: None, fork_retry_backoff: None },
    })
}
