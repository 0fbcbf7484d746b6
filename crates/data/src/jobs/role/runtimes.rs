//! What programs run in on a machine.

use super::super::abi::{PROCESS, WASM};
use std::{io, path::PathBuf, sync::Arc};
use stoa_sandbox::{Control, Job, Process, Runtime, Wasm};

/// WebAssembly, and processes if this machine is let run them.
#[derive(Clone)]
pub struct Runtimes {
    wasm: Arc<Wasm>,
    process: Option<Arc<Process>>,
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

    /// Processes as well. They see these folders, such as environments of Python, and find programs in their `bin`.
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
        self.process = Some(Arc::new(process));
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
