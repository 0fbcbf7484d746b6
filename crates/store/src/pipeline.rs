//! Work on a stream in order: one thread reads, several compute, the caller's writes.

use crate::Error;
use parking_lot::Mutex;
use std::{
    panic::resume_unwind,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

/// Bytes that items on their way may take together, however many cores there are.
const IN_FLIGHT: usize = 48 << 20;

/// Buffers that are used again: fresh memory costs as much as what is done with it.
#[derive(Default)]
pub(crate) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// An empty one, or one with what was in it before.
    pub fn take(&self) -> Vec<u8> {
        self.0.lock().pop().unwrap_or_default()
    }

    pub fn give(&self, buffer: Vec<u8>) {
        self.0.lock().push(buffer);
    }
}

/// How many threads compute.
pub(crate) fn workers() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(16)
}

/// Takes items from `source` until it has none, has `work` done on them by several threads, and gives the results to
/// `sink` in the order of the items. `init` makes what a thread keeps between items. An item with what is made of it takes
/// `bytes` of memory: a bounded number of them are on their way, so that the slowest stage sets the pace.
///
/// A single item is worked on by the caller alone, for threads would cost more than it.
///
/// # Errors
///
/// The first of any stage. What was on its way then is dropped.
pub(crate) fn ordered<T: Send, R: Send, S>(
    bytes: usize,
    mut source: impl FnMut() -> Result<Option<T>, Error> + Send,
    init: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, T) -> Result<R, Error> + Sync,
    mut sink: impl FnMut(R) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(first) = source()? else { return Ok(()) };
    let Some(second) = source()? else { return sink(work(&mut init(), first)?) };
    let workers = workers();
    let depth = (IN_FLIGHT / bytes.max(1)).clamp(1, 2 * workers);
    let (jobs, queue) = sync_channel::<(Result<T, Error>, SyncSender<Result<R, Error>>)>(depth);
    let (turns, results) = sync_channel::<Receiver<Result<R, Error>>>(depth);
    let queue = Mutex::new(queue);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for _ in 0..workers {
            threads.push(scope.spawn(|| {
                let mut state = init();
                loop {
                    let Ok((item, done)) = queue.lock().recv() else { return };
                    // Nobody waits any more after an error.
                    let _ = done.send(item.and_then(|item| work(&mut state, item)));
                }
            }));
        }
        let reader = scope.spawn(move || {
            let mut early = [second, first].map(Some);
            loop {
                let item = match early.iter_mut().rev().find_map(Option::take) {
                    Some(item) => Ok(item),
                    None => match source() {
                        Ok(Some(item)) => Ok(item),
                        Ok(None) => return,
                        Err(error) => Err(error),
                    },
                };
                let failed = item.is_err();
                let (done, turn) = sync_channel(1);
                if turns.send(turn).is_err() || jobs.send((item, done)).is_err() || failed {
                    return;
                }
            }
        });
        let mut outcome = Ok(());
        // A turn whose worker died ends the loop; the panic goes on below.
        for result in results.iter().map_while(|turn| turn.recv().ok()) {
            outcome = result.and_then(&mut sink);
            if outcome.is_err() {
                break;
            }
        }
        drop(results);
        for thread in threads.into_iter().chain([reader]) {
            if let Err(panic) = thread.join() {
                resume_unwind(panic);
            }
        }
        outcome
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io, time::Duration};

    fn run(count: u64, bytes: usize, bad: Option<u64>) -> (Vec<u64>, Result<(), Error>) {
        let (mut next, mut out) = (0, Vec::new());
        let outcome = ordered(
            bytes,
            || {
                next += 1;
                Ok((next <= count).then_some(next))
            },
            || (),
            |(), item| {
                // The later ones are faster.
                thread::sleep(Duration::from_micros(100 * (item % 3)));
                if Some(item) == bad { Err(io::Error::other("bad").into()) } else { Ok(item) }
            },
            |item| {
                out.push(item);
                Ok(())
            },
        );
        (out, outcome)
    }

    #[test]
    fn results_come_in_order_whoever_is_faster() {
        for count in [0, 1, 2, 3, 100] {
            for bytes in [1, IN_FLIGHT, 2 * IN_FLIGHT] {
                let (out, outcome) = run(count, bytes, None);
                assert!(outcome.is_ok());
                assert_eq!(out, (1..=count).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn an_error_ends_it_after_what_came_before() {
        for bad in [1, 2, 50] {
            let (out, outcome) = run(100, 1, Some(bad));
            assert!(outcome.is_err());
            assert_eq!(out, (1..bad).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_error_of_the_sink_stops_an_endless_source() {
        let endless = || Ok(Some(1));
        let outcome = ordered(1, endless, || (), |(), item| Ok(item), |_| Err(io::Error::other("full").into()));
        assert!(outcome.is_err());
    }
}
