//! The file that keeps accepted transactions through the end of the process.

use crate::records::{Record, Records, accepted};
use parking_lot::Mutex;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use stoa_base::{Recovered, gone};

/// An append-only file of records.
pub(crate) struct Journal {
    path: PathBuf,
    output: Mutex<Output>,
}

struct Output {
    file: File,
    /// Bytes of whole records.
    length: u64,
    /// How often it was emptied.
    emptied: u64,
}

impl Journal {
    /// Opens the file, or creates it, and hands each record to `replay`. Returns how many bytes were damaged as well.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or written, or `replay` fails.
    pub fn open(path: &Path, mut replay: impl FnMut(Record) -> io::Result<()>) -> io::Result<(Self, u64)> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut records = Records::new(&file);
        while let Some(record) = records.next()? {
            replay(record)?;
        }
        let damaged = records.damaged();
        let length = file.metadata()?.len();
        Ok((Self { path: path.to_owned(), output: Mutex::new(Output { file, length, emptied: 0 }) }, damaged))
    }

    /// Writes to a file as it is, without reading it.
    #[cfg(test)]
    pub fn writing_to(path: &Path) -> Self {
        let file = OpenOptions::new().append(true).open(path).unwrap();
        Self { path: path.to_owned(), output: Mutex::new(Output { file, length: 0, emptied: 0 }) }
    }

    /// Hands one record to the operating system.
    ///
    /// # Errors
    ///
    /// If it refuses; then nothing of the record is left in the file.
    pub fn append(&self, record: &[u8]) -> io::Result<()> {
        let mut output = self.output.lock();
        if let Err(error) = output.file.write_all(record) {
            // If even this fails, a reader passes over the half record.
            let _ = output.file.set_len(output.length);
            return Err(error);
        }
        output.length += record.len() as u64;
        Ok(())
    }

    /// Bytes of the file.
    pub fn length(&self) -> u64 {
        self.output.lock().length
    }

    /// Empties the file. Does not wait for the disk: after a power cut its content may be back.
    ///
    /// # Errors
    ///
    /// If the disk refuses.
    pub fn clear(&self) -> io::Result<()> {
        let mut output = self.output.lock();
        if output.length > 0 {
            output.file.set_len(0)?;
        }
        output.length = 0;
        output.emptied += 1;
        Ok(())
    }

    /// Replaces the file by one that holds what `content` gives and what is appended meanwhile; not if it is emptied meanwhile.
    ///
    /// # Errors
    ///
    /// If the disk refuses; then the old file stays in use.
    pub fn rewrite(&self, content: impl FnOnce() -> Vec<Arc<Recovered>>) -> io::Result<()> {
        // What is appended from here on is copied; what was appended before, `content` has seen.
        let (mark, emptied) = {
            let output = self.output.lock();
            (output.length, output.emptied)
        };
        let new_path = self.path.with_extension("new");
        fs::remove_file(&new_path).or_else(gone)?;
        let file = OpenOptions::new().read(true).append(true).create_new(true).open(&new_path)?;
        let mut writer = BufWriter::with_capacity(1 << 20, file);
        let mut length = 0;
        for transaction in content() {
            let record = accepted(&transaction);
            writer.write_all(&record)?;
            length += record.len() as u64;
        }
        let mut file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;

        let mut output = self.output.lock();
        if output.emptied != emptied {
            return Ok(());
        }
        let mut old = File::open(&self.path)?;
        old.seek(SeekFrom::Start(mark))?;
        length += io::copy(&mut old.take(output.length - mark), &mut file)?;
        fs::rename(&new_path, &self.path)?;
        *output = Output { file, length, emptied };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        records::removed,
        tests::{signed, signer},
    };
    use alloy_consensus::TxEip1559;
    use alloy_primitives::{Address, B256};
    use proptest::prelude::*;

    fn transactions(inputs: Vec<Vec<u8>>) -> Vec<Recovered> {
        let one = |(nonce, input): (usize, Vec<u8>)| {
            let tx = TxEip1559 { chain_id: 31337, nonce: nonce as u64, input: input.into(), ..TxEip1559::default() };
            Recovered::new_unchecked(signed(&signer(0), tx), signer(0).address())
        };
        inputs.into_iter().enumerate().map(one).collect()
    }

    fn keep(transaction: &Recovered) -> Record {
        Record::Accepted(Box::new(transaction.clone()))
    }

    fn read(path: &Path) -> (Vec<Record>, u64) {
        let mut found = Vec::new();
        let (_, damaged) = Journal::open(path, |record| {
            found.push(record);
            Ok(())
        })
        .unwrap();
        (found, damaged)
    }

    /// Writes the transactions and returns where each record ends.
    fn write(path: &Path, transactions: &[Recovered]) -> Vec<usize> {
        let (journal, _) = Journal::open(path, |_| Ok(())).unwrap();
        let end = |tx| {
            journal.append(&accepted(tx)).unwrap();
            journal.length() as usize
        };
        transactions.iter().map(end).collect()
    }

    #[test]
    fn a_rewrite_keeps_its_content_and_what_is_appended_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let all = transactions(vec![vec![1], vec![2], vec![3]]);
        let (journal, _) = Journal::open(&path, |_| Ok(())).unwrap();
        journal.append(&accepted(&all[0])).unwrap();
        journal.append(&accepted(&all[1])).unwrap();
        let content = || {
            journal.append(&accepted(&all[2])).unwrap();
            vec![Arc::new(all[1].clone())]
        };
        journal.rewrite(content).unwrap();
        journal.append(&removed(&B256::ZERO)).unwrap();
        assert_eq!(journal.length(), fs::metadata(&path).unwrap().len());
        let expected = vec![keep(&all[1]), keep(&all[2]), Record::Removed(B256::ZERO)];
        assert_eq!(read(&path), (expected, 0));
    }

    #[test]
    fn a_rewrite_does_not_bring_back_what_is_emptied_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let all = transactions(vec![vec![1], vec![2]]);
        let (journal, _) = Journal::open(&path, |_| Ok(())).unwrap();
        journal.append(&accepted(&all[0])).unwrap();
        let content = || {
            journal.clear().unwrap();
            journal.append(&accepted(&all[1])).unwrap();
            vec![Arc::new(all[0].clone())]
        };
        journal.rewrite(content).unwrap();
        assert_eq!(journal.length(), fs::metadata(&path).unwrap().len());
        assert_eq!(read(&path), (vec![keep(&all[1])], 0));
        journal.clear().unwrap();
        assert_eq!(read(&path), (Vec::new(), 0));
    }

    #[test]
    fn a_half_finished_rewrite_is_started_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        fs::write(path.with_extension("new"), b"half").unwrap();
        let all = transactions(vec![vec![1]]);
        write(&path, &all);
        let (journal, _) = Journal::open(&path, |_| Ok(())).unwrap();
        journal.rewrite(|| vec![Arc::new(all[0].clone())]).unwrap();
        assert_eq!(read(&path), (vec![keep(&all[0])], 0));
    }

    #[test]
    fn a_record_inside_of_a_damaged_transaction_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let stolen = Recovered::new_unchecked(transactions(vec![vec![]])[0].inner().clone(), Address::ZERO);
        let carrier = transactions(vec![accepted(&stolen)]);
        write(&path, &carrier);
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(read(&path).0, vec![]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_cut_file_keeps_every_whole_record(
            inputs in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("journal");
            let all = transactions(inputs);
            let ends = write(&path, &all);
            let cut = cut.index(ends[ends.len() - 1] + 1);
            OpenOptions::new().write(true).open(&path).unwrap().set_len(cut as u64).unwrap();
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let lost = cut - whole.checked_sub(1).map_or(0, |last| ends[last]);
            let expected: Vec<_> = all[..whole].iter().map(keep).collect();
            prop_assert_eq!(read(&path), (expected, lost as u64));
        }

        #[test]
        fn a_flipped_byte_costs_only_its_own_record(
            inputs in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
            at in any::<prop::sample::Index>(), flip in 1..=255_u8,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("journal");
            let mut all = transactions(inputs);
            let ends = write(&path, &all);
            let mut bytes = fs::read(&path).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            fs::write(&path, bytes).unwrap();
            all.remove(ends.iter().position(|end| at < *end).unwrap());
            let (found, damaged) = read(&path);
            prop_assert_eq!(found, all.iter().map(keep).collect::<Vec<_>>());
            prop_assert!(damaged > 0);
        }

        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut records = Records::new(&bytes[..]);
            while records.next().unwrap().is_some() {}
            prop_assert_eq!(records.damaged(), bytes.len() as u64);
        }
    }
}
