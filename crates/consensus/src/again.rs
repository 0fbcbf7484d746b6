//! Transactions that were sent, and are sent again if they still wait after a while: what was sent may be lost.

use commonware_runtime::Clock;
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};
use stoa_base::Recovered;

/// Transactions that are sent together.
pub(crate) struct Sent {
    pub(crate) transactions: Vec<Arc<Recovered>>,
    /// How often they were sent.
    pub(crate) times: u32,
    /// The peer that took them last, where they go to one and not to all.
    pub(crate) taken: Option<usize>,
}

impl Sent {
    /// Those that are still to be sent.
    pub(crate) const fn new(transactions: Vec<Arc<Recovered>>) -> Self {
        Self { transactions, times: 0, taken: None }
    }
}

/// What may be sent again.
pub(crate) struct Again {
    /// After how long.
    after: Duration,
    /// How often the same is sent at most.
    times: u32,
    /// How many of them are remembered.
    most: usize,
    /// When which is due, the oldest first.
    sent: VecDeque<(SystemTime, Sent)>,
}

impl Again {
    pub(crate) const fn new(after: Duration, times: u32, most: usize) -> Self {
        Self { after, times, most, sent: VecDeque::new() }
    }

    /// Waits until the oldest are due, and gives those of them that still wait; `None` if none does. It may be dropped at any
    /// time.
    pub(crate) async fn next(&mut self, clock: &impl Clock, waits: impl Fn(&Recovered) -> bool) -> Option<Sent> {
        match self.sent.front() {
            Some((due, _)) => clock.sleep_until(*due).await,
            None => std::future::pending().await,
        }
        let (_, mut sent) = self.sent.pop_front()?;
        sent.transactions.retain(|transaction| waits(transaction));
        (!sent.transactions.is_empty()).then_some(sent)
    }

    /// These were sent now.
    pub(crate) fn sent(&mut self, sent: Sent, now: SystemTime) {
        let times = sent.times + 1;
        if times < self.times {
            self.sent.push_back((now + self.after, Sent { times, ..sent }));
        }
        if self.sent.len() > self.most {
            self.sent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::transfer;
    use alloy_consensus::Transaction as _;
    use commonware_runtime::{Runner as _, deterministic};

    fn nonces(sent: &Sent) -> Vec<u64> {
        sent.transactions.iter().map(|transaction| transaction.nonce()).collect()
    }

    #[test]
    fn what_still_waits_is_sent_again_a_few_times() {
        deterministic::Runner::default().start(async |runtime| {
            let after = Duration::from_secs(5);
            let (mut again, began) = (Again::new(after, 3, 4), runtime.current());
            again.sent(Sent::new((0..3).map(transfer).collect()), began);
            // One is included meanwhile.
            for times in 1..3 {
                let sent = again.next(&runtime, |transaction| transaction.nonce() != 1).await.unwrap();
                assert!(runtime.current() >= began + after * times);
                assert_eq!((nonces(&sent), sent.times), (vec![0, 2], times));
                again.sent(sent, runtime.current());
            }
            assert!(again.sent.is_empty());
            // Nothing waits, or very much does.
            again.sent(Sent::new(vec![transfer(0)]), runtime.current());
            assert!(again.next(&runtime, |_| false).await.is_none());
            assert!(again.sent.is_empty());
            for nonce in 0..8 {
                again.sent(Sent::new(vec![transfer(nonce)]), runtime.current());
            }
            let left = again.sent.iter().flat_map(|(_, sent)| nonces(sent)).collect::<Vec<_>>();
            assert_eq!(left, [4, 5, 6, 7]);
        });
    }
}
