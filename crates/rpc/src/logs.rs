//! Log queries: the filter objects of `eth_getLogs`, `eth_newFilter` and `eth_subscribe`.

use crate::{
    BlockId, Context, RpcError,
    budget::Share,
    hex::{Account, Hash},
    params::BlockNumber,
};
use alloy_primitives::{B256, Bloom, BloomInput, Log, keccak256};
use serde::{Deserialize, Deserializer, de};
use std::{
    fmt,
    marker::PhantomData,
    sync::{Arc, atomic::AtomicUsize},
};
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
        let most = context.config().max_logs;
        let found = context.ledger().logs_while(from, to, &self.filter, most, || context.is_awaited())?;
        found.ok_or_else(RpcError::timeout)
    }

    /// Takes room for the addresses and topics, which a filter or a subscription is going to keep: of its connection, and of `all` of
    /// its kind, which are counted apart, so that filters, which outlast a connection, leave the room of the subscriptions.
    ///
    /// # Errors
    ///
    /// -32005 if there are too many.
    pub fn hold(&self, context: &Context, all: &Arc<AtomicUsize>) -> Result<[Share; 2], RpcError> {
        let config = context.config();
        let (of_connection, in_all) = (config.max_alternatives_per_connection, config.max_alternatives);
        let size = self.filter.addresses.len() + self.filter.topics.iter().map(Vec::len).sum::<usize>();
        let shares = Share::take(&context.connection.alternatives, size, of_connection)
            .and_then(|own| Some([own, Share::take(all, size, in_all)?]));
        shares.ok_or_else(|| {
            RpcError::limit(format!(
                "too many addresses and topics: at most {of_connection} in filters and subscriptions of a connection, \
                 {in_all} in all filters, and {in_all} in all subscriptions"
            ))
        })
    }
}

/// What a subscription looks for in new blocks. A log costs it a few look-ups, however many alternatives there are.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Its alternatives are in order.
    query: Query,
    /// Of each list of few alternatives the hashes that a bloom filter is asked for.
    hashes: Vec<Vec<B256>>,
}

/// A longer list is not held against bloom filters: that would take as long as looking at the logs, and they would mostly say yes.
const MAX_HASHES: usize = 16;

fn in_order<T: Ord>(list: &mut Vec<T>) {
    list.sort_unstable();
    list.dedup();
    list.shrink_to_fit();
}

/// The hashes of a list of few alternatives, if it says something.
fn hashes<T: AsRef<[u8]>>(list: &[T]) -> Option<Vec<B256>> {
    (1..=MAX_HASHES).contains(&list.len()).then(|| list.iter().map(keccak256).collect())
}

/// Whether a list that is in order wants this value.
fn wants<T: Ord>(list: &[T], value: Option<&T>) -> bool {
    list.is_empty() || value.is_some_and(|value| list.binary_search(value).is_ok())
}

impl From<Query> for Watch {
    fn from(mut query: Query) -> Self {
        let LogFilter { addresses, topics } = &mut query.filter;
        in_order(addresses);
        topics.iter_mut().for_each(in_order);
        let hashes = hashes(addresses).into_iter().chain(topics.iter().filter_map(|list| hashes(list))).collect();
        Self { query, hashes }
    }
}

impl Watch {
    /// Whether a block may hold such logs: if not, nothing in it needs to be looked at.
    pub fn may_be_in(&self, committed: &Committed) -> bool {
        let header = committed.block.header();
        self.query.part_of(header.number, header.number).is_some() && self.may_be_among(&header.logs_bloom)
    }

    fn may_be_among(&self, bloom: &Bloom) -> bool {
        let has = |hash: &B256| bloom.contains_input(BloomInput::Hash(*hash));
        !bloom.is_zero() && self.hashes.iter().all(|any| any.iter().any(has))
    }

    /// As [`LogFilter::matches`].
    pub fn matches(&self, log: &Log) -> bool {
        let LogFilter { addresses, topics } = &self.query.filter;
        wants(addresses, Some(&log.address))
            && topics.iter().enumerate().all(|(at, list)| wants(list, log.topics().get(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, LogData};
    use proptest::{collection::vec, prelude::*};
    use std::time::Instant;

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

    /// A filter of such addresses and, by position, topics.
    fn filter(addresses: &[u8], topics: &[Vec<u8>]) -> LogFilter {
        let mut filter = LogFilter {
            addresses: addresses.iter().map(|byte| Address::repeat_byte(*byte)).collect(),
            ..LogFilter::default()
        };
        for (list, bytes) in filter.topics.iter_mut().zip(topics) {
            *list = bytes.iter().map(|byte| B256::repeat_byte(*byte)).collect();
        }
        filter
    }

    fn watch(filter: LogFilter) -> Watch {
        Query { filter, ..Query::default() }.into()
    }

    proptest! {
        #[test]
        fn a_watch_finds_what_its_filter_does_and_passes_over_no_block_with_such_logs(
            addresses in vec(0u8..24, 0..40),
            topics in vec(vec(0u8..24, 0..40), 0..=4),
            logs in vec((0u8..24, vec(0u8..24, 0..=4)), 0..12),
        ) {
            let filter = filter(&addresses, &topics);
            let watch = watch(filter.clone());
            let logs: Vec<Log> = logs.iter().map(|(address, topics)| log(*address, topics)).collect();
            for log in &logs {
                prop_assert_eq!(watch.matches(log), filter.matches(log));
            }
            let may_be_among = watch.may_be_among(&logs.iter().collect());
            prop_assert!(may_be_among || !logs.iter().any(|log| filter.matches(log)));
        }
    }

    #[test]
    fn blocks_without_such_logs_are_passed_over() {
        let bloom: Bloom = [log(1, &[2, 3]), log(4, &[5])].iter().collect();
        let may_be = |addresses: &[u8], topics: &[Vec<u8>]| watch(filter(addresses, topics)).may_be_among(&bloom);
        assert!(may_be(&[], &[]) && may_be(&[4, 9], &[vec![], vec![3]]));
        assert!(!may_be(&[9], &[]) && !may_be(&[1], &[vec![2], vec![9]]));
        assert!(!watch(LogFilter::default()).may_be_among(&Bloom::ZERO), "there are no logs at all");
    }

    /// A thousand subscriptions of a thousand topics each, a block with a thousand logs: on one core it took 860 ms with
    /// the alternatives one by one, and takes 70 ms with them in order.
    #[test]
    #[ignore = "a measurement: run it with --release and --nocapture"]
    fn what_a_block_costs_many_subscriptions_with_many_alternatives() {
        let topics = |of: u64| (0..1_000u64).map(move |n| keccak256([of.to_be_bytes(), n.to_be_bytes()].concat()));
        let filters = (1..=1_000).map(|of| {
            let mut filter = LogFilter::default();
            filter.topics[0] = topics(of).collect();
            filter
        });
        let filters: Vec<LogFilter> = filters.collect();
        let logs: Vec<Log> = topics(0)
            .map(|topic| Log { address: Address::ZERO, data: LogData::new_unchecked(vec![topic], Default::default()) })
            .collect();
        let began = Instant::now();
        let found = filters.iter().flat_map(|filter| logs.iter().filter(|log| filter.matches(log))).count();
        println!("one by one: {found} found in {:?}", began.elapsed());
        let watches: Vec<Watch> = filters.into_iter().map(watch).collect();
        let began = Instant::now();
        let found = watches.iter().flat_map(|watch| logs.iter().filter(|log| watch.matches(log))).count();
        println!("in order: {found} found in {:?}", began.elapsed());
    }
}
