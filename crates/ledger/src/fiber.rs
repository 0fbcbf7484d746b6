//! Synchronous code over asynchronous reads.
//!
//! The virtual machine wants its values at once; the state database may have to read them from disk. The machine runs on
//! a coroutine with a stack of its own: where a read is pending, the stack is put aside and the task that polls it
//! returns to its runtime, on whose next poll it goes on, perhaps on another thread. Nothing blocks, and nothing is kept
//! in thread-locals.

use corosensei::{Coroutine, CoroutineResult, Yielder, stack::DefaultStack};
use parking_lot::Mutex;
use std::{
    cell::RefCell,
    future::Future,
    marker::PhantomData,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

/// Bytes of a coroutine's stack. Pages that are never touched cost nothing.
const STACK: usize = 2 << 20;

/// Stacks that are kept for the next to use: to make one and take it apart costs as much as a transfer does.
const SPARE: usize = 4;
static STACKS: Mutex<Vec<DefaultStack>> = Mutex::new(Vec::new());

/// Whom to wake when a read is done; `None` says that nobody waits for the result any more.
type Resume = Option<Waker>;

/// Where code on a coroutine waits.
pub(crate) struct Suspender<'y> {
    yielder: &'y Yielder<Resume, ()>,
    resume: RefCell<Resume>,
}

/// Nobody waits for the result: the code is to return as soon as it can.
#[derive(Debug, thiserror::Error)]
#[error("the execution was cancelled")]
pub(crate) struct Cancelled;

impl Suspender<'_> {
    /// Waits for a future; the thread does something else meanwhile.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> Result<F::Output, Cancelled> {
        let mut future = pin!(future);
        loop {
            let waker = self.resume.borrow().clone().ok_or(Cancelled)?;
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Ok(output);
            }
            let resume = self.yielder.suspend(());
            *self.resume.borrow_mut() = resume;
        }
    }
}

/// Runs code on a coroutine.
///
/// # Errors
///
/// If no stack can be had.
pub(crate) async fn run<T: Send>(code: impl FnOnce(&Suspender<'_>) -> T + Send) -> std::io::Result<T> {
    let spare = STACKS.lock().pop();
    let stack = spare.map_or_else(|| DefaultStack::new(STACK), Ok)?;
    let body =
        move |yielder: &Yielder<Resume, ()>, resume: Resume| code(&Suspender { yielder, resume: RefCell::new(resume) });
    // SAFETY: the coroutine borrows what `code` borrows. It is owned by a future that cannot outlive those borrows and
    // that lets it run to its end before it is dropped.
    #[expect(unsafe_code, reason = "a coroutine that borrows")]
    let coroutine = unsafe { Coroutine::with_stack_unchecked(stack, body) };
    Ok(Fiber { coroutine: Some(coroutine), borrows: PhantomData }.await)
}

struct Fiber<'a, T> {
    /// There until the code has come to its end.
    coroutine: Option<Coroutine<Resume, (), T, DefaultStack>>,
    borrows: PhantomData<&'a ()>,
}

// SAFETY: the coroutine runs only in `poll` and `drop`, so never on two threads at once. What lives on its stack across
// a suspension came in with `code`, which is `Send`, or was made on the stack and is reachable from nowhere else.
#[expect(unsafe_code, reason = "a coroutine moves between threads with everything on its stack")]
unsafe impl<T: Send> Send for Fiber<'_, T> {}

impl<T> Future for Fiber<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(coroutine) = &mut self.coroutine else { return Poll::Pending };
        match coroutine.resume(Some(context.waker().clone())) {
            CoroutineResult::Return(output) => {
                self.keep_stack();
                Poll::Ready(output)
            }
            CoroutineResult::Yield(()) => Poll::Pending,
        }
    }
}

impl<T> Fiber<'_, T> {
    /// Leaves the stack to the next, once nothing is on it.
    fn keep_stack(&mut self) {
        let Some(coroutine) = self.coroutine.take_if(|coroutine| coroutine.done()) else { return };
        let mut stacks = STACKS.lock();
        if stacks.len() < SPARE {
            stacks.push(coroutine.into_stack());
        }
    }
}

impl<T> Drop for Fiber<'_, T> {
    fn drop(&mut self) {
        // Every further read fails at once, so that the code comes to its end; its stack is unwound if it does not.
        if let Some(coroutine) = &mut self.coroutine
            && coroutine.started()
            && !coroutine.done()
        {
            drop(coroutine.resume(None));
        }
        self.keep_stack();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_runtime::{Clock as _, Runner as _, Spawner as _, Supervisor as _, tokio};
    use std::{sync::Arc, time::Duration};

    #[test]
    fn many_coroutines_suspend_and_move_between_threads() {
        tokio::Runner::new(tokio::Config::new().with_worker_threads(4)).start(async |runtime| {
            let tasks = (0..64_u64).map(|n| {
                runtime.child("task").spawn(async move |runtime| {
                    run(|suspender| {
                        (0..50).fold(n, |sum, step| {
                            let pause = Duration::from_micros((n * 7 + step * 13) % 300);
                            suspender.block_on(runtime.sleep(pause)).unwrap();
                            sum + step
                        })
                    })
                    .await
                    .unwrap()
                })
            });
            for (n, task) in (0..).zip(tasks.collect::<Vec<_>>()) {
                assert_eq!(task.await.unwrap(), n + 49 * 50 / 2);
            }
        });
    }

    #[test]
    fn a_cancelled_coroutine_drops_what_it_holds() {
        let held = Arc::new(());
        let inside = held.clone();
        let mut fiber = Box::pin(run(move |suspender| {
            let _inside = inside;
            suspender.block_on(std::future::pending::<()>()).is_err()
        }));
        let mut context = Context::from_waker(Waker::noop());
        assert!(fiber.as_mut().poll(&mut context).is_pending());
        assert_eq!(Arc::strong_count(&held), 2);
        drop(fiber);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
