use super::{Committed, Ledger};
use crate::LedgerError;
use alloy_primitives::{Address, B256, Bloom, BloomInput, Log, keccak256};
use std::cell::Cell;

/// Which logs to find: an empty list matches everything, as in `eth_getLogs`.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// Emitting contracts, any of them.
    pub addresses: Vec<Address>,
    /// For each position the topics that match, any of them.
    pub topics: [Vec<B256>; 4],
}

impl LogFilter {
    /// Whether the filter wants this log. Looks at the alternatives one by one.
    pub fn matches(&self, log: &Log) -> bool {
        let topic = |at: usize| log.topics().get(at);
        (self.addresses.is_empty() || self.addresses.contains(&log.address))
            && self
                .topics
                .iter()
                .enumerate()
                .all(|(at, any)| any.is_empty() || topic(at).is_some_and(|topic| any.contains(topic)))
    }

    /// Tells of blocks' bloom filters whether such logs may be in the block. Each alternative is hashed once, for all of them.
    pub(crate) fn hashed(&self) -> impl Fn(&Bloom) -> bool + use<> {
        let addresses: Vec<B256> = self.addresses.iter().map(keccak256).collect();
        let topics = self.topics.iter().map(|any| any.iter().map(keccak256).collect());
        let lists = std::iter::once(addresses).chain(topics).filter(|any: &Vec<B256>| !any.is_empty());
        let lists: Vec<Vec<B256>> = lists.collect();
        move |bloom: &Bloom| {
            lists.iter().all(|any| any.iter().any(|hash| bloom.contains_input(BloomInput::Hash(*hash))))
        }
    }
}

/// A filter with its alternatives in order: a log costs it a few look-ups, however many they are.
struct Ordered(LogFilter);

fn in_order<T: Ord>(any: &mut Vec<T>) {
    any.sort_unstable();
    any.dedup();
}

/// Whether a list that is in order wants this value.
fn wants<T: Ord>(any: &[T], value: Option<&T>) -> bool {
    any.is_empty() || value.is_some_and(|value| any.binary_search(value).is_ok())
}

impl From<&LogFilter> for Ordered {
    fn from(filter: &LogFilter) -> Self {
        let mut filter = filter.clone();
        in_order(&mut filter.addresses);
        filter.topics.iter_mut().for_each(in_order);
        Self(filter)
    }
}

impl Ordered {
    /// As [`LogFilter::matches`].
    fn matches(&self, log: &Log) -> bool {
        let LogFilter { addresses, topics } = &self.0;
        wants(addresses, Some(&log.address))
            && topics.iter().enumerate().all(|(at, any)| wants(any, log.topics().get(at)))
    }

    /// The logs of one block that it wants, in order.
    fn logs_of<'a>(&'a self, committed: &'a Committed) -> impl Iterator<Item = LogEntry> + 'a {
        let block = &committed.block;
        let mut index = 0;
        committed.receipts.iter().enumerate().flat_map(move |(at, receipt)| {
            let first = index;
            index += receipt.logs.len() as u64;
            receipt.logs.iter().zip(first..).filter(move |(log, _)| self.matches(log)).map(move |(log, log_index)| {
                LogEntry {
                    log: log.clone(),
                    block_number: block.number(),
                    block_hash: block.hash(),
                    block_timestamp: block.header().timestamp,
                    transaction_hash: *block.transactions()[at].tx_hash(),
                    transaction_index: at as u64,
                    log_index,
                }
            })
        })
    }
}

impl Ledger {
    /// As [`logs`](Self::logs), for as long as `goes_on` says so, which is asked between blocks. `None` once it has said no.
    ///
    /// # Errors
    ///
    /// As [`logs`](Self::logs).
    pub fn logs_while(
        &self,
        from: u64,
        to: u64,
        filter: &LogFilter,
        limit: usize,
        goes_on: impl Fn() -> bool,
    ) -> Result<Option<Vec<LogEntry>>, LedgerError> {
        let to = to.min(self.head().number());
        let first = self.inner.history.kept_from()?;
        if from < first {
            return Err(LedgerError::NotKept { asked: from, first });
        }
        let ended = Cell::new(false);
        let goes_on = || {
            ended.set(ended.get() || !goes_on());
            !ended.get()
        };
        let filter = Ordered::from(filter);
        let mut found = Vec::new();
        let look = |number| {
            let Some(committed) = self.block(number)? else { return Ok(()) };
            found.extend(filter.logs_of(&committed).take(limit + 1 - found.len()));
            if found.len() > limit { Err(LedgerError::TooManyLogs { limit }) } else { Ok(()) }
        };
        match self.inner.history.blocks_with_logs_while(from, to, &filter.0, &goes_on)? {
            Some(numbers) => numbers.into_iter().take_while(|_| goes_on()).try_for_each(look)?,
            None => (from..=to).take_while(|_| goes_on()).try_for_each(look)?,
        }
        Ok((!ended.get()).then_some(found))
    }
}

/// A log with its place in the chain.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// The log.
    pub log: Log,
    /// Number of the block.
    pub block_number: u64,
    /// Hash of the block.
    pub block_hash: B256,
    /// Seconds since 1970.
    pub block_timestamp: u64,
    /// Hash of the transaction.
    pub transaction_hash: B256,
    /// Position of the transaction in the block.
    pub transaction_index: u64,
    /// Position of the log in the block.
    pub log_index: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direct, LedgerConfig, execute::Choices, tests::genesis};
    use alloy_primitives::LogData;
    use commonware_runtime::{Runner as _, deterministic};
    use commonware_utils::NZUsize;
    use proptest::{collection::vec, prelude::*};

    fn log(address: u8, topics: &[u8]) -> Log {
        let topics = topics.iter().map(|byte| B256::repeat_byte(*byte)).collect();
        Log { address: Address::repeat_byte(address), data: LogData::new_unchecked(topics, Default::default()) }
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

    proptest! {
        #[test]
        fn a_filter_in_order_wants_the_same_logs_and_passes_over_no_block_with_one(
            addresses in vec(0u8..24, 0..40),
            topics in vec(vec(0u8..24, 0..40), 0..=4),
            logs in vec((0u8..24, vec(0u8..24, 0..=4)), 0..12),
        ) {
            let filter = filter(&addresses, &topics);
            let ordered = Ordered::from(&filter);
            let logs: Vec<Log> = logs.iter().map(|(address, topics)| log(*address, topics)).collect();
            for log in &logs {
                prop_assert_eq!(ordered.matches(log), filter.matches(log));
            }
            let may_be_in = filter.hashed();
            prop_assert!(may_be_in(&logs.iter().collect()) || !logs.iter().any(|log| filter.matches(log)));
        }
    }

    #[test]
    fn blocks_without_such_logs_are_passed_over() {
        let bloom: Bloom = [log(1, &[2, 3]), log(4, &[5])].iter().collect();
        let may_be = |addresses: &[u8], topics: &[Vec<u8>]| filter(addresses, topics).hashed()(&bloom);
        assert!(may_be(&[], &[]) && may_be(&[4, 9], &[vec![], vec![3]]));
        assert!(!may_be(&[9], &[]) && !may_be(&[1], &[vec![2], vec![9]]));
    }

    #[test]
    fn a_search_ends_where_it_is_told_to() {
        deterministic::Runner::seeded(1).start(async |runtime| {
            let folder = tempfile::tempdir().unwrap();
            let config = LedgerConfig::new(folder.path());
            let mut chain = Direct::open(runtime, genesis(1), config, 1 << 20, NZUsize!(1)).await.unwrap();
            let choices = |second: u64| Choices {
                timestamp: 1_700_000_000 + second,
                beneficiary: Address::ZERO,
                prevrandao: B256::ZERO,
                base_fee: None,
                gas_limit: None,
            };
            chain.mine_empty(&[1, 2, 3, 4, 5].map(choices)).await.unwrap();
            let ledger = chain.ledger();
            // How many logs it finds while it goes on for so many questions, and how many it asks.
            let search = |filter: &LogFilter, questions: u32| {
                let asked = Cell::new(0);
                let goes_on = || asked.replace(asked.get() + 1) < questions;
                (ledger.logs_while(0, 5, filter, 10, goes_on).unwrap().map(|found| found.len()), asked.get())
            };
            assert_eq!(search(&LogFilter::default(), 100), (Some(0), 6), "one for each block");
            assert_eq!(search(&LogFilter::default(), 2), (None, 3));
            let many = filter(&[1, 2, 3, 4, 5, 6], &[vec![7, 8, 9]]);
            assert_eq!(search(&many, 100), (Some(0), 9), "one for each alternative");
            assert_eq!(search(&many, 7), (None, 8));
        });
    }
}
