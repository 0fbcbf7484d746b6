//! Places for requests, a quarter of which is left for nodes that are no strangers: keys cost nothing, so that anybody may have many.

use tokio::sync::{Semaphore, SemaphorePermit};

/// So many places, three in four of which strangers may have.
#[derive(Debug)]
pub(crate) struct Places {
    count: usize,
    all: Semaphore,
    strangers: Semaphore,
}

impl Places {
    /// So many, all of them free.
    pub(crate) fn new(count: usize) -> Self {
        Self { count, all: Semaphore::new(count), strangers: Semaphore::new(count - count / 4) }
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.count - self.all.available_permits()
    }

    /// Where somebody waits for his turn, one after the other: his own places first, so that one who asks for much holds no place of the
    /// others while he waits.
    pub(crate) fn after<'a>(&'a self, own: &'a Semaphore, stranger: bool) -> Vec<&'a Semaphore> {
        [own].into_iter().chain(stranger.then_some(&self.strangers)).chain([&self.all]).collect()
    }
}

/// So many places in each, if they are free.
pub(crate) fn take<'a>(
    places: impl IntoIterator<Item = &'a Semaphore>,
    count: u32,
) -> Option<Vec<SemaphorePermit<'a>>> {
    places.into_iter().map(|places| places.try_acquire_many(count).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_leave_a_quarter_of_the_places_to_registered_nodes() {
        let (places, own) = (Places::new(8), Semaphore::new(100));
        let try_take = |stranger| take(places.after(&own, stranger), 1);
        let strangers: Vec<_> = (0..8).filter_map(|_| try_take(true)).collect();
        assert_eq!((strangers.len(), places.taken()), (6, 6));
        let registered: Vec<_> = (0..8).filter_map(|_| try_take(false)).collect();
        assert_eq!((registered.len(), places.taken()), (2, 8));
        drop(strangers);
        assert!(try_take(true).is_some());
    }
}
