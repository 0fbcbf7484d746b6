//! What left in a job's newest round, kept by its node for a buyer who comes later: sealed to the key that the job names, so that
//! nobody else reads it, the node's own disk included.
//!
//! `BLAKE3 hash of the rest (32) | sealed key (112) | the round as it is sent, sealed in chunks`
//!
//! Its buyer has seen it, or comes later: nobody waits until it is on the disk. Of what a machine that lost its power left half written,
//! the hash tells that it is none.
//!
//! It is laid out under the number of its round, and kept when that is written down. A node that is ended between the two keeps it when it
//! starts again.

use super::wire::{MOST_ANSWER, Round};
use alloy_primitives::B256;
use commonware_codec::{Copying, DecodeExt as _, Encode as _, FixedSize as _};
use commonware_cryptography::ed25519;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use stoa_base::{NodeId, gone};
use stoa_privacy::{
    AssetId, DataKey, ReaderKey, ReadingSecret, SealedKey,
    object::{open, seal},
};

/// How long a result is kept.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

const ENDING: &str = ".result";

fn place(asset: &Path, job: B256) -> PathBuf {
    asset.join("jobs").join(format!("{job}{ENDING}"))
}

fn laid(asset: &Path, job: B256, round: u32) -> PathBuf {
    asset.join("jobs").join(format!("{job}-{round}{ENDING}"))
}

/// What would leave in a round, laid out. It is taken away when this is dropped, if it was not kept.
pub(super) struct Laid {
    at: PathBuf,
    place: PathBuf,
}

impl Laid {
    /// Keeps it for its buyer: it has left.
    ///
    /// # Errors
    ///
    /// If the disk refuses.
    pub(super) fn keep(self) -> io::Result<()> {
        put(&self.at, &self.place)
    }
}

impl Drop for Laid {
    fn drop(&mut self) {
        // It is not there if it was kept.
        let _ = fs::remove_file(&self.at);
    }
}

/// Puts what was laid out where it is kept. If that fails nothing is: what is there is of a round before, and would be taken for the
/// newest.
fn put(at: &Path, place: &Path) -> io::Result<()> {
    fs::rename(at, place).or_else(|error| fs::remove_file(place).or_else(gone).and(Err(error)))
}

/// Keeps nothing of a job any more: what has left now could not be laid out.
///
/// # Errors
///
/// If the disk refuses.
pub(super) fn forget(asset: &Path, job: B256) -> io::Result<()> {
    fs::remove_file(place(asset, job)).or_else(gone)
}

/// Seals what would leave in a round to the job's key, and lays it out in the asset's folder.
///
/// # Errors
///
/// If nobody can have the secret of that key, or the disk refuses.
pub(super) fn lay(asset: &Path, (job, round): (B256, u32), client: NodeId, left: &Round) -> io::Result<Laid> {
    let client = ed25519::PublicKey::decode(Copying(&client.0[..])).map_err(io::Error::other)?;
    let to = ReaderKey::of_node(&client).map_err(io::Error::other)?;
    let (object, key) = (AssetId(job), DataKey::generate(&mut rand::rng()));
    let sealed = SealedKey::seal(object, &to, &key, &mut rand::rng()).map_err(io::Error::other)?;
    let chunks = seal(&key, object, &left.encode(), &mut rand::rng()).map_err(io::Error::other)?;
    let kept = [&sealed.encode()[..], &chunks].concat();
    let laid = Laid { at: laid(asset, job, round), place: place(asset, job) };
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&laid.at)?;
    file.write_all(blake3::hash(&kept).as_bytes())?;
    file.write_all(&kept)?;
    Ok(laid)
}

/// Keeps what a node that was ended had laid out of each job's newest round, of which `rounds` says how many are written down, and takes
/// away what never left.
///
/// # Errors
///
/// If the disk refuses.
pub(super) fn recover(asset: &Path, rounds: impl Fn(B256) -> u32) -> io::Result<()> {
    for entry in fs::read_dir(asset.join("jobs")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((job, round)) = name.strip_suffix(ENDING).and_then(|name| name.split_once('-')) else { continue };
        let (Ok(job), Ok(round)) = (job.parse::<B256>(), round.parse::<u32>()) else { continue };
        if round.checked_add(1) == Some(rounds(job)) {
            put(&entry.path(), &place(asset, job))?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// What is kept of a job. Nothing if there is none, or it is damaged.
pub(super) fn kept(asset: &Path, job: B256) -> io::Result<Option<Vec<u8>>> {
    let found = super::kept::found(&place(asset, job))?;
    let Some((hash, kept)) = found.as_deref().and_then(|bytes| bytes.split_first_chunk::<32>()) else {
        return Ok(None);
    };
    Ok((blake3::hash(kept) == *hash).then(|| kept.to_vec()))
}

/// Removes what has been kept in an asset's folder for long enough.
pub(super) fn sweep(asset: &Path) -> io::Result<()> {
    for entry in fs::read_dir(asset.join("jobs")).into_iter().flatten().flatten() {
        let old = || {
            entry.metadata().and_then(|data| data.modified()).is_ok_and(|at| at.elapsed().unwrap_or_default() > KEPT)
        };
        if entry.file_name().to_string_lossy().contains(ENDING) && old() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Opens what a node gives as a job's result, with the key that the job names. Nothing if it is none.
pub(super) fn read(job: B256, bytes: &[u8], key: &ed25519::PrivateKey) -> Option<Round> {
    let (sealed, chunks) = bytes.split_at_checked(SealedKey::SIZE).filter(|_| bytes.len() <= 2 * MOST_ANSWER)?;
    let sealed = SealedKey::decode(Copying(sealed)).ok().filter(|sealed| sealed.asset == AssetId(job))?;
    let key = sealed.open(&ReadingSecret::of_node(key)).ok()?;
    Round::decode(Copying(&open(&key, AssetId(job), chunks).ok()?[..])).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_cryptography::Signer as _;

    #[test]
    fn a_result_is_read_with_the_jobs_key_alone_and_for_that_job() {
        let (folder, job) = (tempfile::tempdir().unwrap(), B256::repeat_byte(1));
        fs::create_dir(folder.path().join("jobs")).unwrap();
        let [key, other] = [1, 2].map(ed25519::PrivateKey::from_seed);
        let left = Round::Left { files: [("result.json".to_owned(), b"[63]".to_vec())].into(), log: None };
        let lay = || lay(folder.path(), (job, 0), NodeId::from(&key.public_key()), &left).unwrap();
        drop(lay());
        let laid = lay();
        assert_eq!(kept(folder.path(), job).unwrap(), None);
        laid.keep().unwrap();
        assert_eq!(fs::read_dir(folder.path().join("jobs")).unwrap().count(), 1);
        sweep(folder.path()).unwrap();
        let bytes = kept(folder.path(), job).unwrap().unwrap();
        assert!(!bytes.windows(4).any(|part| part == b"[63]"));
        assert_eq!(read(job, &bytes, &key), Some(left));
        assert_eq!((read(job, &bytes, &other), read(B256::repeat_byte(2), &bytes, &key)), (None, None));
        assert_eq!((read(job, &bytes[..100], &key), read(job, &[&bytes[..], b"x"].concat(), &key)), (None, None));
    }

    #[test]
    fn what_is_kept_is_never_of_a_round_before_the_newest_that_left() {
        let (folder, job) = (tempfile::tempdir().unwrap(), B256::repeat_byte(1));
        let asset = folder.path();
        fs::create_dir(asset.join("jobs")).unwrap();
        let client = NodeId::from(&ed25519::PrivateKey::from_seed(1).public_key());
        let lay = |round| lay(asset, (job, round), client, &Round::Left { files: [].into(), log: None }).unwrap();
        lay(0).keep().unwrap();
        assert!(kept(asset, job).unwrap().is_some());
        let lost = lay(1);
        fs::remove_file(laid(asset, job, 1)).unwrap();
        assert!(lost.keep().is_err());
        assert_eq!(kept(asset, job).unwrap(), None);
        // There may be nothing.
        forget(asset, job).unwrap();
        lay(2).keep().unwrap();
        forget(asset, job).unwrap();
        assert_eq!(kept(asset, job).unwrap(), None);
    }

    #[test]
    fn a_result_that_was_half_written_when_the_machine_stopped_is_none() {
        let (folder, job) = (tempfile::tempdir().unwrap(), B256::repeat_byte(1));
        fs::create_dir(folder.path().join("jobs")).unwrap();
        let (client, file) = (ed25519::PrivateKey::from_seed(1).public_key(), place(folder.path(), job));
        let left = Round::Left { files: [].into(), log: None };
        lay(folder.path(), (job, 0), NodeId::from(&client), &left).unwrap().keep().unwrap();
        let whole = fs::read(&file).unwrap();
        let zeros = vec![0; whole.len()];
        let beginning = [&whole[..whole.len() / 2], &zeros[whole.len() / 2..]].concat();
        for left in [&whole[..0], &whole[..20], &whole[..whole.len() - 1], &zeros[..], &beginning[..]] {
            fs::write(&file, left).unwrap();
            assert_eq!(kept(folder.path(), job).unwrap(), None);
        }
        fs::write(&file, &whole).unwrap();
        assert!(kept(folder.path(), job).unwrap().is_some());
    }
}
