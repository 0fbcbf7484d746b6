//! What programs run in on a machine.

use super::{
    super::abi::{PROCESS, WASM},
    alone::Alone,
};
use std::{io, path::PathBuf, sync::Arc};
use stoa_sandbox::{Control, Job, Process, Runtime, Wasm};

/// WebAssembly, and processes if this machine is let run them.
#[derive(Clone)]
pub struct Runtimes {
    wasm: Arc<Wasm>,
    process: Option<Arc<Alone<Process>>>,
}

impl Runtimes {
    /// WebAssembly alone; compiled programs are kept in `cache`.
    ///
    /// # Errors
    ///
    /// If this machine runs none.
    pub fn new(cache: Option<PathBuf>) -> io::Result<Self> {
        Ok(Self { wasm: Arc::new(Wasm::new(cache).map_err(io::Error::other)?), process: None })
    }

    /// Processes as well, on one asset's data at a time. They see these folders, such as environments of Python, and find programs in
    /// their `bin`.
    ///
    /// # Errors
    ///
    /// If bubblewrap is missing, a folder is, or this machine lets it make no sandbox.
    pub fn with_processes(mut self, environments: &[PathBuf]) -> io::Result<Self> {
        let mut process = Process::new().map_err(io::Error::other)?;
        for folder in environments {
            process = process.with_folder(folder).map_err(io::Error::other)?;
        }
        let mut tried = Job::new(&b"#!/bin/sh\n"[..]);
        tried.command = vec!["/code/main".into()];
        let outcome = process.run(&tried, &Control::new()).map_err(io::Error::other)?;
        if !outcome.succeeded() {
            return Err(io::Error::other(format!("a sandbox ends {:?}: {}", outcome.ended, outcome.log.text())));
        }
        tracing::info!(landlock = ?process.landlock(), "programs run as processes too, in sandboxes of bubblewrap");
        self.process = Some(Arc::new(Alone::new(process)));
        Ok(self)
    }

    /// What runs programs of a kind, as a job names it.
    pub fn of(&self, runtime: u8) -> Option<Arc<dyn Runtime>> {
        match runtime {
            WASM => Some(self.wasm.clone()),
            PROCESS => self.process.clone().map(|process| process as Arc<dyn Runtime>),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, thread};
    use stoa_sandbox::{Input, Source};

    #[test]
    fn whoever_runs_processes_runs_them_on_the_data_of_one_asset_at_a_time() {
        let runtimes = Runtimes::new(None).unwrap().with_processes(&[]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let jobs = ["strict", "open"].map(|asset| {
            let place = folder.path().join(asset);
            fs::write(&place, "63").unwrap();
            let mut job = Job::new(&b"#!/bin/sh\ndate +%s%N\nsleep 1\ndate +%s%N\n"[..]);
            job.command = vec!["/code/main".into()];
            job.inputs = vec![Input { name: "rows.csv".into(), source: Source::Path(place) }];
            job
        });
        let runs = thread::scope(|scope| {
            let runs = jobs.each_ref().map(|job| {
                let runtime = runtimes.clone().of(PROCESS).unwrap();
                scope.spawn(move || runtime.run(job, &Control::new()).unwrap())
            });
            runs.map(|run| run.join().unwrap())
        });
        let [one, other] = runs.map(|outcome| {
            let said = outcome.log.text();
            let times: Vec<u64> = said.lines().map(|time| time.parse().unwrap()).collect();
            (times[0], times[1])
        });
        assert!(one.1 <= other.0 || other.1 <= one.0, "{one:?} {other:?}");
    }
}
