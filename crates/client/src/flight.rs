//! What an account has on its way: each transaction with a nonce of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The transactions of an account that are on their way: a node that is asked for the next nonce may not have them yet. Clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flight(Arc<Mutex<Air>>);

#[derive(Debug, Default)]
struct Air {
    /// The nonces of those that are on their way, and how many have been.
    nonces: Vec<u64>,
    ever: u64,
    /// The nonce after theirs.
    next: u64,
}

/// How things were before a node was asked for the next nonce: how many were on their way, and had been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Before(usize, u64);

/// A transaction on its way.
#[derive(Debug)]
pub(crate) struct Flying {
    flight: Flight,
    nonce: u64,
}

impl Flight {
    fn air(&self) -> MutexGuard<'_, Air> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How things are now.
    pub(crate) fn before(&self) -> Before {
        let air = self.air();
        Before(air.nonces.len(), air.ever)
    }

    /// Begins one, with its nonce: `pending` is what the node said, and `before` how things were before it was asked.
    pub(crate) fn begin(&self, before: Before, pending: u64) -> Flying {
        let mut air = self.air();
        let alone = before == Before(0, air.ever) && air.nonces.is_empty();
        let nonce = if alone { pending } else { pending.max(air.next) };
        air.nonces.push(nonce);
        (air.ever, air.next) = (air.ever + 1, nonce.saturating_add(1));
        Flying { flight: self.clone(), nonce }
    }
}

impl Flying {
    /// Its nonce.
    pub(crate) fn nonce(&self) -> u64 {
        self.nonce
    }

    /// It comes to no block: its nonce is the next again, unless later ones are on their way, which wait for it. Whether they are: then
    /// whoever has begun it has to put something in its place.
    #[must_use]
    pub(crate) fn failed(&self) -> bool {
        let mut air = self.flight.air();
        let awaited = air.nonces.iter().any(|nonce| *nonce > self.nonce);
        if !awaited {
            air.next = self.nonce;
        }
        awaited
    }
}

impl Drop for Flying {
    fn drop(&mut self) {
        let mut air = self.flight.air();
        if let Some(at) = air.nonces.iter().position(|nonce| *nonce == self.nonce) {
            air.nonces.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_transaction_on_its_way_has_a_nonce_of_its_own() {
        let flight = Flight::default();
        // Two that were asked for at once, and one that begins before the node has either.
        let early = flight.before();
        let (one, two) = (flight.begin(early, 7), flight.begin(early, 7));
        let three = flight.begin(flight.before(), 8);
        assert_eq!([&one, &two, &three].map(Flying::nonce), [7, 8, 9]);
        // What the node said before the others were through is not believed afterwards.
        let asked = flight.before();
        drop((one, two, three));
        assert_eq!(flight.begin(asked, 9).nonce(), 10);
        // Alone, the node knows best: a chain may have been set back.
        assert_eq!(flight.begin(flight.before(), 3).nonce(), 3);
        // One that failed leaves no gap.
        let failing = flight.begin(flight.before(), 3);
        assert_eq!(failing.nonce(), 3);
        assert!(!failing.failed());
        assert_eq!(flight.begin(flight.before(), 3).nonce(), 3);
    }

    #[test]
    fn the_nonce_of_one_that_failed_is_nobody_elses_while_later_ones_wait_for_it() {
        let flight = Flight::default();
        let [one, two, three] = [7, 8, 9].map(|pending| flight.begin(flight.before(), pending));
        assert!(one.failed());
        assert_eq!(flight.begin(flight.before(), 7).nonce(), 10);
        drop(one);
        // Nobody waits for the last one, and those before it are still on their way.
        let four = flight.begin(flight.before(), 7);
        assert_eq!(four.nonce(), 11);
        assert!(!four.failed());
        drop(four);
        assert_eq!(flight.begin(flight.before(), 7).nonce(), 11);
        drop((two, three));
        assert_eq!(flight.begin(flight.before(), 7).nonce(), 7);
    }
}
