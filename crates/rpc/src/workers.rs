//! Threads for work that blocks or computes.
//!
//! A request that signs, reads or executes goes through here, so what it costs to hand it over counts. Work waits in one
//! queue and the threads take it from there: while they have work, nobody is woken to begin the next.

use parking_lot::{Condvar, Mutex};
use std::{
    any::Any,
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};
use tokio::{runtime::Handle, sync::oneshot};

type Job = Box<dyn FnOnce() + Send>;

/// A number of threads and the work that waits for them. They end, after what they are doing, when this is dropped.
pub(crate) struct Workers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Threads that wait for work and have not been woken.
    idle: usize,
    closed: bool,
}

/// The work panicked.
#[derive(Debug)]
pub(crate) struct Crashed;

impl Workers {
    /// Starts the threads; their work may use this task's runtime.
    ///
    /// # Errors
    ///
    /// If the system has none left.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub fn start(name: &str, threads: usize) -> io::Result<Self> {
        let workers = Self(Arc::default());
        let runtime = Handle::current();
        for _ in 0..threads.max(1) {
            let (shared, runtime) = (workers.0.clone(), runtime.clone());
            thread::Builder::new().name(name.to_owned()).spawn(move || {
                let _context = runtime.enter();
                shared.serve();
            })?;
        }
        Ok(workers)
    }

    /// Runs work when its turn comes; leaves it out if nobody waits for the outcome any more by then.
    ///
    /// # Errors
    ///
    /// [`Crashed`] if it panics.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Crashed> {
        let (sender, receiver) = oneshot::channel();
        let job = move || {
            if !sender.is_closed() {
                let _ = sender.send(work());
            }
        };
        {
            let mut queue = self.0.queue.lock();
            queue.jobs.push_back(Box::new(job));
            if queue.idle > 0 {
                queue.idle -= 1;
                self.0.work.notify_one();
            }
        }
        receiver.await.map_err(|_| Crashed)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.0.queue.lock().closed = true;
        self.0.work.notify_all();
    }
}

impl Shared {
    fn serve(&self) {
        loop {
            let mut queue = self.queue.lock();
            let job = loop {
                if let Some(job) = queue.jobs.pop_front() {
                    break job;
                }
                if queue.closed {
                    return;
                }
                queue.idle += 1;
                self.work.wait(&mut queue);
            };
            drop(queue);
            // What a job leaves half done when it panics is its own: the threads share the queue alone.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(job)) {
                let said = panic_message(&*panic);
                tracing::error!(said, "a request's work panicked");
            }
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    #[tokio::test]
    async fn all_work_is_done_and_a_panic_spoils_only_its_own() {
        let workers = Workers::start("test", 2).unwrap();
        let outcomes = futures::future::join_all((0..100).map(|n| {
            workers.run(move || {
                assert!(n % 10 != 3, "the third of ten");
                n
            })
        }))
        .await;
        for (n, outcome) in outcomes.into_iter().enumerate() {
            assert_eq!(outcome.ok(), (n % 10 != 3).then_some(n));
        }
    }

    #[tokio::test]
    async fn work_may_wait_for_the_runtime() {
        let workers = Workers::start("test", 1).unwrap();
        let sleep = || Handle::current().block_on(tokio::time::sleep(Duration::from_millis(1)));
        workers.run(sleep).await.unwrap();
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_is_left_out() {
        let workers = Workers::start("test", 1).unwrap();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let count = Arc::new(AtomicUsize::new(0));
        let first = workers.run(move || wait.recv());
        let counted = count.clone();
        let second = workers.run(move || counted.fetch_add(1, Ordering::SeqCst));
        let mut first = Box::pin(first);
        assert!(futures::poll!(&mut first).is_pending());
        let mut second = Box::pin(second);
        assert!(futures::poll!(&mut second).is_pending());
        drop(second);
        go.send(()).unwrap();
        first.await.unwrap().unwrap();
        workers.run(|| ()).await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }
}
