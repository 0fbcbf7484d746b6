//! Nodes on threads of their own.

use crate::kept::Kept;
use commonware_runtime::{
    Runner as _,
    tokio::{self as runtime, Context},
};
use eyre::{Result, WrapErr as _, eyre};
use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, channel},
    thread,
};
use tokio::sync::oneshot;

/// Stack of a node's thread: unoptimized builds keep large futures there while they start.
const STACK: usize = 64 << 20;

/// A node that is starting.
pub(crate) struct Starting<T> {
    ready: Receiver<T>,
    thread: Thread,
}

/// A node's thread.
pub(crate) struct Thread {
    stop: oneshot::Sender<()>,
    handle: thread::JoinHandle<Result<()>>,
    kept: Kept,
}

/// Starts a node with its storage in this folder, a part of `kept`. `run` sends what others are to know of it when it serves,
/// and ends when it is told to stop, or, without closing anything, when nobody is left to tell it.
pub(crate) fn launch<T: Send + 'static>(
    name: &str,
    kept: Kept,
    storage: PathBuf,
    run: impl AsyncFnOnce(Context, std::sync::mpsc::Sender<T>, oneshot::Receiver<()>) -> Result<()> + Send + 'static,
) -> Result<Starting<T>> {
    let (tell, ready) = channel();
    let (stop, stopped) = oneshot::channel();
    let run = move || {
        let storage = runtime::Config::new().with_storage_directory(storage);
        runtime::Runner::new(storage).start(async move |runtime| run(runtime, tell, stopped).await)
    };
    let handle = thread::Builder::new().name(name.into()).stack_size(STACK).spawn(run);
    let handle = handle.wrap_err_with(|| format!("no thread for a {name}"))?;
    Ok(Starting { ready, thread: Thread { stop, handle, kept } })
}

impl<T> Starting<T> {
    /// Waits until it serves. Blocking.
    pub(crate) fn serving(self) -> Result<(T, Thread)> {
        match self.ready.recv() {
            Ok(said) => Ok((said, self.thread)),
            Err(_) => {
                ended(self.thread.handle, &self.thread.kept)?;
                Err(eyre!("a node stopped while it started"))
            }
        }
    }
}

impl Thread {
    /// Stops the node; an error is what it failed with before.
    pub(crate) fn stop(self) -> Result<()> {
        let _ = self.stop.send(());
        ended(self.handle, &self.kept)
    }

    /// Ends the node in the middle of what it does: nobody is told, and nothing is finished.
    pub(crate) fn kill(self) -> Result<()> {
        drop(self.stop);
        ended(self.handle, &self.kept)
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

fn ended(handle: thread::JoinHandle<Result<()>>, kept: &Kept) -> Result<()> {
    handle.join().unwrap_or_else(|panic| Err(kept.stopped(panic)))
}
