//! What a job was run with, which its node keeps until the job is checked: its program, and the parameters of its rounds; of a
//! process also what left.

use super::wire::{MOST_ANSWER, MOST_PARAMS};
use alloy_primitives::B256;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use stoa_base::write_private;

/// The most that is kept of one job's parameters, in bytes.
pub(super) const MOST_KEPT: u64 = 64 << 20;

/// The folder of a job.
pub(super) struct Kept(PathBuf);

/// What shows that a job has so many rounds of parameters, before its program.
const HEAD: usize = 4;

const _: () = assert!(super::wire::MOST_CODE + HEAD <= MOST_ANSWER && MOST_PARAMS <= MOST_ANSWER);

impl Kept {
    /// That of a job on the asset in this folder.
    pub(super) fn of(asset: &Path, job: B256) -> Self {
        Self(asset.join("jobs").join(job.to_string()))
    }

    /// The jobs on the asset in this folder of which something is kept.
    pub(super) fn all(asset: &Path) -> Vec<B256> {
        let entries = fs::read_dir(asset.join("jobs")).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }

    fn code(&self) -> PathBuf {
        self.0.join("program")
    }

    fn params(&self, round: u32) -> PathBuf {
        self.0.join(round.to_string())
    }

    fn left(&self, round: u32) -> PathBuf {
        self.0.join(format!("left-{round}"))
    }

    fn rounds(&self) -> u32 {
        (0..).take_while(|round| self.params(*round).exists()).count() as u32
    }

    /// Whether the parameters of a round can be kept with those that are.
    pub(super) fn takes(&self, round: u32, params: &[u8]) -> io::Result<bool> {
        let mut all = params.len() as u64;
        for number in 0..round {
            all += self.params(number).metadata()?.len();
        }
        Ok(all <= MOST_KEPT)
    }

    pub(super) fn put_code(&self, code: &[u8]) -> io::Result<()> {
        write_private(&self.code(), code)
    }

    pub(super) fn put(&self, round: u32, params: &[u8]) -> io::Result<()> {
        write_private(&self.params(round), params)
    }

    /// Keeps what left in a round, as [`Round`](super::wire::Round) is sent.
    pub(super) fn put_left(&self, round: u32, left: &[u8]) -> io::Result<()> {
        write_private(&self.left(round), left)
    }

    /// What left in a round. Nothing if there is none.
    pub(super) fn show_left(&self, round: u32) -> io::Result<Option<Vec<u8>>> {
        found(&self.left(round))
    }

    /// How many rounds there are and the program, by number 0; the parameters of round N, by number N + 1. Nothing if there is none.
    pub(super) fn show(&self, number: u32) -> io::Result<Option<Vec<u8>>> {
        match number.checked_sub(1) {
            None => Ok(found(&self.code())?.map(|code| [&self.rounds().to_be_bytes()[..], &code].concat())),
            Some(round) => found(&self.params(round)),
        }
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.0)
    }
}

/// What is in a file, if there is one.
pub(super) fn found(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// How many rounds there are and the program, as they are shown.
pub(super) fn read_head(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (rounds, code) = bytes.split_first_chunk::<HEAD>()?;
    Some((u32::from_be_bytes(*rounds), code))
}
