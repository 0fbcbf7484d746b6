//! How far long work is, for people who look.

use crate::output;
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    fs,
    io::IsTerminal as _,
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::Duration,
};
use stoa_store::{ObjectId, Store};

/// How often it is looked at.
const OFTEN: Duration = Duration::from_millis(100);

/// Work of which nobody knows how much there is; nothing where nobody looks.
pub(crate) fn progress(what: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_style(
        ProgressStyle::with_template("{spinner} {msg} {elapsed}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(2 * OFTEN);
    bar
}

const BYTES: &str = "{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";

/// So many bytes of work.
pub(crate) fn bytes(what: &str, total: u64) -> ProgressBar {
    let bar = progress(what);
    measured(&bar, total);
    bar
}

fn measured(bar: &ProgressBar, total: u64) {
    bar.set_length(total);
    if let Ok(style) = ProgressStyle::with_template(BYTES) {
        bar.set_style(style.progress_chars("=> "));
    }
}

/// Bytes that go into a store or out of it, of so many as there are, and how many of them an earlier try had written. Gone when it is
/// dropped.
pub(crate) struct Meter {
    bar: ProgressBar,
    /// Dropped to end what looks.
    looking: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Meter {
    /// From now on. `total` is asked until it knows.
    pub(crate) fn new(store: &Store, what: &str, total: impl Fn(&Store) -> Option<u64> + Send + 'static) -> Self {
        let bar = progress(what);
        if bar.is_hidden() {
            return Self { bar, looking: None };
        }
        let (end, ended) = mpsc::channel();
        let (store, shown, before, resumed) = (store.clone(), bar.clone(), store.moved(), store.resumed());
        let what = what.to_owned();
        let look = move || {
            let mut known = false;
            while ended.recv_timeout(OFTEN) == Err(RecvTimeoutError::Timeout) {
                if !known && let Some(total) = total(&store) {
                    known = true;
                    measured(&shown, total);
                }
                let there = store.resumed() - resumed;
                if there > 0 {
                    shown.set_message(format!("{what}; {} were written before", output::bytes(there)));
                }
                shown.set_position(store.moved() - before);
            }
        };
        // Without the thread it spins all the same.
        let thread = thread::Builder::new().name("progress".into()).spawn(look);
        Self { bar, looking: thread.ok().map(|thread| (end, thread)) }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.looking.take() {
            drop(end);
            let _ = thread.join();
        }
        self.bar.finish_and_clear();
    }
}

/// Bytes of a file, or of all files in a folder. What cannot be read counts nothing.
pub(crate) fn size(path: &Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else { return 0 };
    if !metadata.is_dir() {
        return path.metadata().map_or(0, |metadata| metadata.len());
    }
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size(&entry.path())).sum()
}

/// Bytes that it takes to read an object, as it is kept in pieces or whole.
pub(crate) fn needed(store: &Store, id: ObjectId) -> Option<u64> {
    let manifest = store.manifest(id).ok()?;
    Some(manifest.blobs().iter().take(manifest.needed()).map(|(_, bytes)| bytes).sum())
}

/// Bytes of all pieces of an object.
pub(crate) fn pieces(store: &Store, id: ObjectId) -> Option<u64> {
    Some(store.manifest(id).ok()?.blobs().iter().map(|(_, bytes)| bytes).sum())
}
