use bytes::Bytes;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory that bodies and answers of all connections may take together. What is small is not counted: its number is
/// bounded by the number of connections.
#[derive(Clone)]
pub struct Budget(Arc<Semaphore>);

/// Bytes of one unit, and of what costs nothing.
const UNIT: usize = 64 << 10;

impl Budget {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes / UNIT).min(Semaphore::MAX_PERMITS))))
    }

    /// Begins to count something that is empty yet.
    pub(crate) fn charge(&self) -> Charge {
        Charge { budget: self.clone(), held: None }
    }
}

/// What one body or answer takes of the budget, until it is dropped.
pub(crate) struct Charge {
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
}

impl Charge {
    /// Counts `bytes` in all from now on. `false` if there is no room for that.
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Some(more) = (bytes / UNIT).checked_sub(held).filter(|more| *more > 0) else { return true };
        let Ok(more) = u32::try_from(more) else { return false };
        let Ok(permit) = self.budget.0.clone().try_acquire_many_owned(more) else { return false };
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
        true
    }

    /// These bytes, which stay counted for as long as anybody holds them.
    pub fn hold(self, bytes: Bytes) -> Bytes {
        if self.held.is_none() { bytes } else { Bytes::from_owner(Counted { bytes, _charge: self }) }
    }
}

struct Counted {
    bytes: Bytes,
    _charge: Charge,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A part of something that is counted, given back when dropped.
pub(crate) struct Share {
    count: Arc<AtomicUsize>,
    size: usize,
}

impl Share {
    /// Takes `size` more, if no more than `limit` are taken then.
    pub fn take(count: &Arc<AtomicUsize>, size: usize, limit: usize) -> Option<Self> {
        let grown = |taken: usize| taken.checked_add(size).filter(|sum| *sum <= limit);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).ok()?;
        Some(Self { count: count.clone(), size })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.count.fetch_sub(self.size, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_bounded_and_given_back() {
        let count = Arc::default();
        let first = Share::take(&count, 7, 10).unwrap();
        assert!(Share::take(&count, 4, 10).is_none() && Share::take(&count, usize::MAX, usize::MAX).is_none());
        let _second = Share::take(&count, 3, 10).unwrap();
        assert!(Share::take(&count, 0, 10).is_some(), "nothing has room where all is taken");
        assert!(Share::take(&count, 1, 10).is_none());
        drop(first);
        assert!(Share::take(&count, 7, 10).is_some());
    }

    #[test]
    fn what_is_counted_is_bounded_and_given_back() {
        let budget = Budget::new(10 * UNIT);
        let (mut first, mut second) = (budget.charge(), budget.charge());
        assert!(first.grow_to(UNIT - 1), "what is small is free");
        assert!(first.grow_to(6 * UNIT) && first.grow_to(6 * UNIT));
        assert!(!second.grow_to(5 * UNIT));
        assert!(second.grow_to(4 * UNIT));
        let held = first.hold(Bytes::from_static(b"large"));
        assert!(held == "large" && !second.grow_to(5 * UNIT));
        drop(held.slice(1..));
        assert!(!second.grow_to(5 * UNIT));
        drop(held);
        assert!(second.grow_to(10 * UNIT) && !second.grow_to(11 * UNIT));
    }
}
