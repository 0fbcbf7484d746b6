//! Log queries: the filter objects of `eth_getLogs`, `eth_newFilter` and `eth_subscribe`.

use crate::{BlockId, Context, RpcError, hex::Account, hex::Hash, params::BlockNumber, view::LogView, view::Place};
use alloy_primitives::B256;
use serde::{Deserialize, Deserializer, de};
use std::{fmt, marker::PhantomData};
use stoa_ledger::{Committed, LogEntry, LogFilter};

/// A filter object as clients send it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub filter: LogFilter,
    pub from: Option<BlockId>,
    pub to: Option<BlockId>,
    pub block_hash: Option<B256>,
}

/// One value, a list of alternatives, or null for anything.
#[derive(Debug)]
struct Alternatives<T>(Vec<T>);

impl<T> Default for Alternatives<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// A list this long is no honest filter, whatever the configuration allows.
const MAX_ALTERNATIVES: usize = 10_000;

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Alternatives<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = Alternatives<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a hex string, an array of them, or null")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Alternatives::default())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(de::value::StrDeserializer::new(text)).map(|value| Alternatives(vec![value]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
                let (mut values, mut anything) = (Vec::new(), false);
                while let Some(value) = sequence.next_element::<Option<T>>()? {
                    if values.len() == MAX_ALTERNATIVES {
                        return Err(de::Error::custom("exceed max topics or addresses"));
                    }
                    match value {
                        Some(value) => values.push(value),
                        None => anything = true,
                    }
                }
                // A null among the alternatives matches everything.
                Ok(Alternatives(if anything { Vec::new() } else { values }))
            }
        }
        deserializer.deserialize_any(Visitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Query {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Fields {
            #[serde(default)]
            address: Alternatives<Account>,
            #[serde(default)]
            topics: Option<Vec<Alternatives<Hash>>>,
            from_block: Option<BlockNumber>,
            to_block: Option<BlockNumber>,
            block_hash: Option<Hash>,
        }
        let fields = Fields::deserialize(deserializer)?;
        if fields.block_hash.is_some() && (fields.from_block.is_some() || fields.to_block.is_some()) {
            return Err(de::Error::custom(
                "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other",
            ));
        }
        let topics = fields.topics.unwrap_or_default();
        if topics.len() > 4 {
            return Err(de::Error::custom("exceed max topics"));
        }
        let mut filter = LogFilter {
            addresses: fields.address.0.into_iter().map(|Account(address)| address).collect(),
            ..LogFilter::default()
        };
        for (position, Alternatives(hashes)) in filter.topics.iter_mut().zip(topics) {
            *position = hashes.into_iter().map(|Hash(hash)| hash).collect();
        }
        Ok(Self {
            filter,
            from: fields.from_block.map(|BlockNumber(id)| id),
            to: fields.to_block.map(|BlockNumber(id)| id),
            block_hash: fields.block_hash.map(|Hash(hash)| hash),
        })
    }
}

impl Query {
    /// Checks the blocks that are named, and the number of alternatives against the configuration.
    ///
    /// # Errors
    ///
    /// -32602 if a block is the one being built or the range runs backwards, and if there are too many alternatives.
    pub fn check(&self, context: &Context) -> Result<(), RpcError> {
        if [self.from, self.to].contains(&Some(BlockId::Pending)) {
            return Err(RpcError::invalid_params("pending logs are not supported"));
        }
        if let (Some(BlockId::Number(from)), Some(BlockId::Number(to))) = (self.from, self.to)
            && from > to
        {
            return Err(RpcError::invalid_params("invalid block range params"));
        }
        let most = context.config().max_log_alternatives;
        let lists = self.filter.topics.iter().map(Vec::len);
        if lists.chain([self.filter.addresses.len()]).any(|length| length > most) {
            return Err(RpcError::invalid_params(format!("at most {most} addresses, or topics at one position")));
        }
        Ok(())
    }

    /// The blocks this asks for, both ends included. Blocking.
    fn range(&self, context: &Context) -> Result<(u64, u64), RpcError> {
        if let Some(hash) = self.block_hash {
            let number = context.number(BlockId::Hash(hash))?.ok_or_else(|| RpcError::server("unknown block"))?;
            return Ok((number, number));
        }
        let head = context.head().number();
        let resolve = |id: Option<BlockId>| match id {
            Some(BlockId::Number(number)) => number,
            _ => head,
        };
        let (from, to) = (resolve(self.from), resolve(self.to));
        if from > to {
            return Err(RpcError::invalid_params("invalid block range params"));
        }
        if to > head {
            // Whoever knows of a later block would take what is left out for nothing there.
            return Err(RpcError::invalid_params("block range extends beyond current head block"));
        }
        Ok((from, to))
    }

    /// The logs this asks for. Blocking.
    ///
    /// # Errors
    ///
    /// -32602 if the range runs backwards or ends after the newest block, -32005 if it spans too many blocks or too many logs
    /// match.
    pub fn run(&self, context: &Context) -> Result<Vec<LogEntry>, RpcError> {
        let (from, to) = self.range(context)?;
        self.between(context, from, to)
    }

    /// What the numbers that it names leave of new blocks: first and last, `None` if nothing.
    pub fn part_of(&self, first: u64, last: u64) -> Option<(u64, u64)> {
        let first = if let Some(BlockId::Number(from)) = self.from { first.max(from) } else { first };
        let last = if let Some(BlockId::Number(to)) = self.to { last.min(to) } else { last };
        (first <= last).then_some((first, last))
    }

    /// The matching logs of blocks `from..=to`. Blocking.
    ///
    /// # Errors
    ///
    /// Those of [`run`](Self::run).
    pub fn between(&self, context: &Context, from: u64, to: u64) -> Result<Vec<LogEntry>, RpcError> {
        let most = context.config().max_log_blocks;
        if to - from >= most {
            return Err(RpcError::limit(format!("block range too large: {} blocks, at most {most}", to - from + 1)));
        }
        Ok(context.ledger().logs(from, to, &self.filter, context.config().max_logs)?)
    }

    /// The matching logs of one block, for a subscription.
    pub fn logs_of<'a>(&'a self, committed: &'a Committed) -> impl Iterator<Item = LogView<'a>> + 'a {
        let mut next = 0;
        let number = committed.block.number();
        let is_in = self.part_of(number, number).is_some();
        committed.receipts.iter().enumerate().flat_map(move |(index, receipt)| {
            let first: u64 = next;
            next += receipt.logs.len() as u64;
            let (place, transaction_hash) =
                (Place::new(committed, index), *committed.block.transactions()[index].hash());
            receipt
                .logs
                .iter()
                .zip(first..)
                .filter(move |(log, _)| is_in && self.filter.matches(log))
                .map(move |(log, log_index)| LogView { log, place, transaction_hash, log_index })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, Log, LogData};

    fn query(json: &str) -> Query {
        serde_json::from_str(json).unwrap()
    }

    fn log(address: u8, topics: &[u8]) -> Log {
        let topics = topics.iter().map(|byte| B256::repeat_byte(*byte)).collect();
        Log { address: Address::repeat_byte(address), data: LogData::new_unchecked(topics, Default::default()) }
    }

    #[test]
    fn an_empty_query_matches_everything() {
        assert!(query("{}").filter.matches(&log(1, &[])));
        assert!(query(r#"{"address":[],"topics":[]}"#).filter.matches(&log(1, &[2, 3])));
        assert!(query(r#"{"address":null,"topics":null}"#).filter.matches(&log(1, &[2, 3])));
    }

    #[test]
    fn positions_are_and_alternatives_are_or() {
        let [a, b] = [B256::repeat_byte(1), B256::repeat_byte(2)];
        let second = query(&format!(r#"{{"topics":[null,["{a}","{b}"]]}}"#));
        assert!(second.filter.matches(&log(9, &[7, 2])));
        assert!(!second.filter.matches(&log(9, &[1, 7])));
        assert!(!second.filter.matches(&log(9, &[1])), "a position that the log lacks does not match");
        let address = query(&format!(r#"{{"address":"{}"}}"#, Address::repeat_byte(9)));
        assert!(address.filter.matches(&log(9, &[])) && !address.filter.matches(&log(8, &[])));
    }

    #[test]
    fn a_null_among_alternatives_matches_everything() {
        let a = B256::repeat_byte(1);
        assert!(query(&format!(r#"{{"topics":[["{a}",null]]}}"#)).filter.matches(&log(9, &[7])));
    }

    #[test]
    fn new_blocks_count_from_and_to_the_numbers_that_are_named() {
        let bounded = query(r#"{"fromBlock":"0x5","toBlock":"0x7"}"#);
        for (new, part) in [((1, 4), None), ((1, 6), Some((5, 6))), ((6, 9), Some((6, 7))), ((8, 9), None)] {
            assert_eq!(bounded.part_of(new.0, new.1), part);
        }
        let open = query(r#"{"fromBlock":"latest","toBlock":"latest"}"#);
        assert_eq!((open.part_of(1, 9), open.part_of(5, 4)), (Some((1, 9)), None));
    }

    #[test]
    fn contradictions_and_nonsense_are_refused() {
        let hash = B256::ZERO;
        for json in [
            format!(r#"{{"blockHash":"{hash}","fromBlock":"0x1"}}"#),
            r#"{"topics":[null,null,null,null,null]}"#.into(),
            r#"{"address":"0x12"}"#.into(),
            r#"{"fromBlock":"0x01"}"#.into(),
            format!(r#"{{"topics":[[{}"{hash}"]]}}"#, format!("\"{hash}\",").repeat(MAX_ALTERNATIVES)),
        ] {
            assert!(serde_json::from_str::<Query>(&json).is_err(), "{}", &json[..60.min(json.len())]);
        }
    }
}
