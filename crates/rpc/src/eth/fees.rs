//! Chain id and prices.

use crate::{BlockId, Context, Methods, Params, RpcError, error::NOT_KEPT, hex::quantity, params::BlockNumber};
use alloy_consensus::Transaction as _;
use alloy_primitives::{U64, U128, U256};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::VecDeque;
use stoa_ledger::Committed;

pub(super) fn register(methods: &mut Methods) {
    methods
        .instant("eth_chainId", |context, params| {
            params.none()?;
            Ok(U64::from(context.chain_id()))
        })
        .instant("eth_syncing", |_, params| {
            params.none()?;
            Ok(false)
        })
        .read("eth_gasPrice", |context, params| {
            params.none()?;
            Ok(U128::from(gas_price(context)?))
        })
        .read("eth_maxPriorityFeePerGas", |context, params| {
            params.none()?;
            priority_fee(context).map(U128::from)
        })
        .read("eth_baseFee", |context, params| {
            params.none()?;
            Ok(U64::from(context.next_block_env().basefee))
        })
        .instant("eth_blobBaseFee", |_, params| {
            params.none()?;
            // No blobs, so nobody ever raised it from its least value (EIP-4844).
            Ok(U64::from(1))
        })
        .read("eth_feeHistory", fee_history);
}

/// Blocks that the suggested tip is taken from, and the percentile of what was paid in them.
const SAMPLED_BLOCKS: u64 = 20;
const SAMPLED_PERCENTILE: usize = 60;
/// Transactions of one block that are looked at: the cheapest, as in geth.
const SAMPLES_PER_BLOCK: usize = 3;
/// No suggestion is above this, in wei per gas.
const MAX_SUGGESTION: u128 = 500_000_000_000;

/// The tip that will do, in wei per gas: what others paid lately. Blocking.
pub(crate) fn priority_fee(context: &Context) -> Result<u128, RpcError> {
    let head = context.head().number();
    let mut tips = Vec::new();
    for number in head.saturating_sub(SAMPLED_BLOCKS - 1)..=head {
        let Some(committed) = context.block(number)? else { continue };
        let mut paid: Vec<u128> = tips_of(&committed).map(|(tip, _)| tip).filter(|tip| *tip > 1).collect();
        paid.sort_unstable();
        tips.extend(paid.into_iter().take(SAMPLES_PER_BLOCK));
    }
    if tips.is_empty() {
        return Ok(context.config().default_priority_fee);
    }
    tips.sort_unstable();
    Ok(tips[(tips.len() - 1) * SAMPLED_PERCENTILE / 100].min(MAX_SUGGESTION))
}

/// For each transaction of a block the tip per gas and the gas used.
fn tips_of(committed: &Committed) -> impl Iterator<Item = (u128, u64)> + '_ {
    let base_fee = committed.block.header().base_fee_per_gas;
    committed.block.transactions().iter().zip(committed.receipts.iter()).map(move |(transaction, receipt)| {
        let tip = match base_fee {
            Some(base_fee) => transaction.effective_tip_per_gas(base_fee).unwrap_or_default(),
            None => transaction.max_fee_per_gas(),
        };
        (tip, receipt.gas_used)
    })
}

/// A count as a quantity, a decimal string or a JSON number, as geth takes it.
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(count) => Ok(Self(count)),
            Either::Text(text) if text.starts_with("0x") => {
                quantity(&text, 64).map(|count| Self(count.to())).map_err(serde::de::Error::custom)
            }
            Either::Text(text) => text.parse().map(Self).map_err(|_| serde::de::Error::custom("invalid number")),
        }
    }
}

/// Blocks, and percentiles, in one answer.
const MAX_BLOCKS: u64 = 1024;
const MAX_PERCENTILES: usize = 100;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FeeHistory {
    oldest_block: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reward: Option<Vec<Vec<U128>>>,
    base_fee_per_gas: Vec<U64>,
    gas_used_ratio: Vec<f64>,
    base_fee_per_blob_gas: Vec<U64>,
    blob_gas_used_ratio: Vec<f64>,
}

fn fee_history(context: &Context, params: &Params) -> Result<FeeHistory, RpcError> {
    let mut reader = params.reader()?;
    let (Count(count), BlockNumber(newest)) = (reader.required()?, reader.required()?);
    let percentiles: Vec<f64> = reader.optional()?.unwrap_or_default();
    reader.end()?;
    check_percentiles(&percentiles)?;
    let pending = if newest == BlockId::Pending { Some(context.pending()?) } else { None };
    let head = context.head().number();
    let newest = match (newest, &pending) {
        (BlockId::Number(number), _) if number > head => {
            return Err(RpcError::server(format!("request beyond head block: requested {number}, head {head}")));
        }
        (BlockId::Number(number), _) => number,
        (_, Some(pending)) => pending.committed.block.number(),
        _ => head,
    };
    let count = count.min(MAX_BLOCKS).min(newest + 1);
    let oldest = if count == 0 { 0 } else { newest + 1 - count };
    let mut history = FeeHistory {
        oldest_block: U64::from(oldest),
        reward: (!percentiles.is_empty()).then(Vec::new),
        base_fee_per_gas: Vec::new(),
        gas_used_ratio: Vec::new(),
        base_fee_per_blob_gas: Vec::new(),
        blob_gas_used_ratio: Vec::new(),
    };
    if count == 0 {
        return Ok(history);
    }
    let told = newest_kept(oldest, newest, |number| {
        let found = match &pending {
            Some(pending) if number == newest => Some(pending.committed.clone()),
            _ => context.block(number)?,
        };
        Ok(found.map(|committed| {
            let header = committed.block.header();
            let used = header.gas_used as f64 / header.gas_limit.max(1) as f64;
            let reward = history.reward.as_ref().map(|_| rewards(&committed, &percentiles));
            (U64::from(header.base_fee_per_gas.unwrap_or_default()), used, reward)
        }))
    })?;
    history.oldest_block = U64::from(newest + 1 - told.len() as u64);
    for (base_fee, used, paid) in told {
        history.base_fee_per_gas.push(base_fee);
        history.gas_used_ratio.push(used);
        if let Some(reward) = &mut history.reward {
            reward.extend(paid);
        }
    }
    let next = match (&pending, context.block(newest + 1)?) {
        (Some(pending), _) => {
            stoa_ledger::next_base_fee(&context.ledger().genesis().fees, pending.committed.block.header())
        }
        (None, Some(next)) => next.block.header().base_fee_per_gas.unwrap_or_default(),
        (None, None) => context.next_block_env().basefee,
    };
    history.base_fee_per_gas.push(U64::from(next));
    history.base_fee_per_blob_gas = vec![U64::from(1); history.base_fee_per_gas.len()];
    history.blob_gas_used_ratio = vec![0.0; history.gas_used_ratio.len()];
    Ok(history)
}

/// What is told of these blocks; of the newest of them alone, where older ones are not kept.
fn newest_kept<T>(
    oldest: u64,
    newest: u64,
    tell: impl Fn(u64) -> Result<Option<T>, RpcError>,
) -> Result<VecDeque<T>, RpcError> {
    let mut told = VecDeque::new();
    for number in (oldest..=newest).rev() {
        match tell(number) {
            Ok(found) => told.push_front(found.ok_or_else(RpcError::header_not_found)?),
            Err(error) if error.code == NOT_KEPT && !told.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(told)
}

fn check_percentiles(percentiles: &[f64]) -> Result<(), RpcError> {
    if percentiles.len() > MAX_PERCENTILES {
        return Err(RpcError::server(format!("invalid reward percentile: over the query limit {MAX_PERCENTILES}")));
    }
    let mut before = 0.0;
    for (position, percentile) in percentiles.iter().enumerate() {
        if !(0.0..=100.0).contains(percentile) {
            return Err(RpcError::server(format!("invalid reward percentile: {percentile:.6}")));
        }
        if *percentile < before {
            return Err(RpcError::server(format!(
                "invalid reward percentile: #{}:{before:.6} >= #{position}:{percentile:.6}",
                position.saturating_sub(1)
            )));
        }
        before = *percentile;
    }
    Ok(())
}

/// The tips at these percentiles of the gas used in a block.
fn rewards(committed: &Committed, percentiles: &[f64]) -> Vec<U128> {
    let mut tips: Vec<_> = tips_of(committed).collect();
    if tips.is_empty() {
        return vec![U128::ZERO; percentiles.len()];
    }
    tips.sort_unstable_by_key(|(tip, _)| *tip);
    let total: u64 = tips.iter().map(|(_, gas)| gas).sum();
    let (mut index, mut used) = (0, tips[0].1);
    percentiles
        .iter()
        .map(|percentile| {
            let wanted = (total as f64 * percentile / 100.0) as u64;
            while used < wanted && index + 1 < tips.len() {
                index += 1;
                used += tips[index].1;
            }
            U128::from(tips[index].0)
        })
        .collect()
}

/// What a transaction with one price pays per gas, in wei, if it says nothing: the next base fee and the suggested tip. Blocking.
pub(crate) fn gas_price(context: &Context) -> Result<u128, RpcError> {
    Ok(priority_fee(context)? + u128::from(context.next_block_env().basefee))
}

/// What a transaction that says nothing pays at most: twice the next base fee, and the suggested tip. Blocking.
pub(crate) fn default_fees(context: &Context) -> Result<(u128, u128), RpcError> {
    let tip = priority_fee(context)?;
    let base_fee: u128 = U256::from(context.next_block_env().basefee).saturating_to();
    Ok((base_fee * 2 + tip, tip))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoa_ledger::LedgerError;

    #[test]
    fn percentiles_rise_and_stay_within_a_hundred() {
        assert!(check_percentiles(&[0.0, 50.0, 50.0, 100.0]).is_ok());
        for wrong in [&[-1.0][..], &[101.0], &[50.0, 10.0], &[f64::NAN], &[1.0; 101]] {
            assert!(check_percentiles(wrong).is_err(), "{wrong:?}");
        }
        let falling = check_percentiles(&[90.0, 10.0]).unwrap_err();
        assert_eq!(falling.message, "invalid reward percentile: #0:90.000000 >= #1:10.000000");
    }

    #[test]
    fn a_history_ends_where_blocks_are_not_kept() {
        let kept_from = |first: u64| {
            move |number: u64| {
                if number < first {
                    return Err(RpcError::from(LedgerError::NotKept { asked: number, first }));
                }
                Ok((number <= 9).then_some(number))
            }
        };
        assert_eq!(newest_kept(2, 5, kept_from(0)).unwrap(), [2_u64, 3, 4, 5]);
        assert_eq!(newest_kept(2, 5, kept_from(4)).unwrap(), [4_u64, 5]);
        assert_eq!(newest_kept(2, 5, kept_from(6)).unwrap_err().code, NOT_KEPT);
        assert_eq!(newest_kept(2, 10, kept_from(0)).unwrap_err().message, "header not found");
    }

    #[test]
    fn a_count_may_be_written_in_three_ways() {
        for json in ["4", r#""4""#, r#""0x4""#] {
            assert_eq!(serde_json::from_str::<Count>(json).unwrap().0, 4);
        }
        assert!(serde_json::from_str::<Count>(r#""0x04""#).is_err());
        assert!(serde_json::from_str::<Count>("-1").is_err());
    }
}
