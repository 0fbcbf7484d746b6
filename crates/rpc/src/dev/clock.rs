//! Time on a development chain.

use crate::RpcError;

/// What time the next block is going to have. All in seconds since 1970.
///
/// As in Hardhat's network, chain time runs at an offset to real time, and a block is at least a second after its
/// parent: what that adds stays added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Chain time minus real time.
    offset: i64,
    /// The next block's time, where it has been set.
    next: Option<u64>,
    /// Every block comes this long after its parent, where that has been set.
    interval: Option<u64>,
}

impl Clock {
    /// What the chain's clock shows.
    pub fn time(&self, now: u64) -> u64 {
        now.saturating_add_signed(self.offset)
    }

    /// Moves the clock on; returns by how much it is ahead of real time now.
    ///
    /// # Errors
    ///
    /// -32602 beyond what the clock can show.
    pub fn increase(&mut self, seconds: u64) -> Result<i64, RpcError> {
        let offset = i64::try_from(seconds).ok().and_then(|seconds| self.offset.checked_add(seconds));
        self.offset = offset.ok_or_else(|| RpcError::invalid_params(format!("{seconds} seconds are too many")))?;
        Ok(self.offset)
    }

    /// Sets the clock; returns by how many seconds it has moved.
    ///
    /// # Errors
    ///
    /// -32602 beyond what the clock can show.
    pub fn set(&mut self, time: u64, now: u64) -> Result<i64, RpcError> {
        let before = self.time(now);
        let beyond = || RpcError::invalid_params(format!("timestamp {time} is too large"));
        self.offset = difference(time, now).ok_or_else(beyond)?;
        difference(time, before).ok_or_else(beyond)
    }

    /// Sets the time of the next block, and of the clock from there on.
    ///
    /// # Errors
    ///
    /// -32000 if it is not after the newest block's, -32602 beyond what the clock can show.
    pub fn set_next(&mut self, timestamp: u64, parent: u64, now: u64) -> Result<(), RpcError> {
        if timestamp < parent {
            return Err(RpcError::server(format!(
                "Timestamp {timestamp} is lower than the previous block's timestamp {parent}"
            )));
        }
        if timestamp == parent {
            return Err(RpcError::server(format!(
                "Timestamp {timestamp} is equal to the previous block's timestamp. \
                 Blocks with the same timestamp are not allowed"
            )));
        }
        if difference(timestamp, now).is_none() {
            return Err(RpcError::invalid_params(format!("timestamp {timestamp} is too large")));
        }
        self.next = Some(timestamp);
        Ok(())
    }

    /// Sets how long every block comes after its parent, or lets them follow the clock again. Returns whether an
    /// interval was set before.
    pub fn set_interval(&mut self, seconds: Option<u64>) -> bool {
        std::mem::replace(&mut self.interval, seconds).is_some()
    }

    /// The time of the next block.
    pub fn peek(&self, parent: u64, now: u64) -> u64 {
        self.next.unwrap_or_else(|| match self.interval {
            Some(interval) => parent.saturating_add(interval.max(1)),
            None => self.time(now).max(parent.saturating_add(1)),
        })
    }

    /// Takes the time of the next block, which is mined now.
    pub fn take(&mut self, parent: u64, now: u64) -> u64 {
        let timestamp = self.peek(parent, now);
        self.next = None;
        self.follow(timestamp, now);
        timestamp
    }

    /// Lets the clock go on from a block's time.
    pub fn follow(&mut self, timestamp: u64, now: u64) {
        self.offset = difference(timestamp, now).unwrap_or(i64::MAX);
    }
}

fn difference(time: u64, from: u64) -> Option<i64> {
    i64::try_from(i128::from(time) - i128::from(from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_real_time_but_never_stand_still() {
        let mut clock = Clock::default();
        assert_eq!(clock.take(50, 100), 100);
        assert_eq!(clock.take(100, 100), 101);
        assert_eq!(clock.take(101, 100), 102);
        // Real time has not caught up: the clock stays ahead by what was added.
        assert_eq!(clock.take(102, 110), 112);
    }

    #[test]
    fn the_clock_moves_on_and_says_how_far_it_is_ahead() {
        let mut clock = Clock::default();
        assert_eq!(clock.increase(10).unwrap(), 10);
        assert_eq!(clock.increase(5).unwrap(), 15);
        assert_eq!(clock.take(0, 100), 115);
        assert!(clock.increase(u64::MAX).is_err());
        assert_eq!(clock.set(200, 100).unwrap(), 85);
        assert_eq!(clock.set(150, 100).unwrap(), -50);
        assert_eq!(clock.take(0, 101), 151);
    }

    #[test]
    fn the_next_blocks_time_is_set_once_and_time_goes_on_from_there() {
        let mut clock = Clock::default();
        clock.set_next(5000, 100, 100).unwrap();
        assert_eq!((clock.peek(100, 101), clock.take(100, 102)), (5000, 5000));
        assert_eq!(clock.take(5000, 112), 5010);
        let said = clock.set_next(5009, 5010, 112).unwrap_err();
        assert_eq!(said.message, "Timestamp 5009 is lower than the previous block's timestamp 5010");
        assert!(clock.set_next(5010, 5010, 112).unwrap_err().message.starts_with("Timestamp 5010 is equal"));
        assert!(clock.set_next(u64::MAX, 5010, 112).is_err());
    }

    #[test]
    fn an_interval_between_blocks_stands_until_it_is_removed() {
        let mut clock = Clock::default();
        assert!(!clock.set_interval(Some(12)));
        assert_eq!(clock.take(100, 500), 112);
        assert_eq!(clock.take(112, 500), 124);
        assert!(clock.set_interval(None));
        assert_eq!(clock.take(124, 510), 134);
    }
}
