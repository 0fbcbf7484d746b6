//! What lies in `/data`.

use crate::{error::Error, json::Value};
use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

/// Bytes of one table at most.
const MOST_TABLE: u64 = 64 << 20;

/// Bytes of one file of JSON at most.
const MOST_JSON: u64 = 1 << 20;

/// Results of other sites at most.
const MOST_RESULTS: usize = 1000;

/// Bytes of all of them at most: a value takes many times as much memory as text.
const MOST_BYTES: u64 = 8 << 20;

/// The parameters.
pub fn params(data: &Path) -> Result<Value, Error> {
    json(&data.join("params.json"))
}

/// The one table of a site.
pub fn table(data: &Path) -> Result<String, Error> {
    match inputs(data, "csv")?.as_slice() {
        [file] => read(file, MOST_TABLE),
        found => Err(Error::new(format!("expected one file of CSV in {}, found {}", data.display(), found.len()))),
    }
}

/// The results of sites, in the order of their files' names.
pub fn results(data: &Path) -> Result<Vec<(String, Value)>, Error> {
    let files = inputs(data, "json")?;
    if files.is_empty() || files.len() > MOST_RESULTS {
        return Err(Error::new(format!(
            "expected 1 to {MOST_RESULTS} results of sites in {}, found {}",
            data.display(),
            files.len()
        )));
    }
    let mut left = MOST_BYTES;
    let result = |file: &PathBuf| {
        let text = read(file, left.min(MOST_JSON))?;
        left -= text.len() as u64;
        Ok((file.display().to_string(), parse(file, &text)?))
    };
    files.iter().map(result).collect()
}

fn json(file: &Path) -> Result<Value, Error> {
    parse(file, &read(file, MOST_JSON)?)
}

fn parse(file: &Path, text: &str) -> Result<Value, Error> {
    Value::parse(text).map_err(|error| error.within(file.display()))
}

/// Files with this ending in the folder and in those within it, parameters left out; all files there if none has it. Sorted.
fn inputs(data: &Path, ending: &str) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for entry in list(data)? {
        if entry.is_dir() {
            found.extend(list(&entry)?.into_iter().filter(|inner| inner.is_file()));
        } else if entry != data.join("params.json") {
            found.push(entry);
        }
    }
    found.sort();
    let named: Vec<_> =
        found.iter().filter(|file| file.extension().is_some_and(|had| had == ending)).cloned().collect();
    Ok(if named.is_empty() { found } else { named })
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error| Error::new(format!("cannot list {}: {error}", folder.display()));
    fs::read_dir(folder).map_err(failed)?.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
}

fn read(file: &Path, most: u64) -> Result<String, Error> {
    let failed = |error| Error::new(format!("cannot read {}: {error}", file.display()));
    let opened = File::open(file).map_err(failed)?;
    let size = opened.metadata().map_err(failed)?.len().min(most);
    // One byte more, so that the end is seen without asking for more room.
    let mut bytes = Vec::with_capacity(size as usize + 1);
    opened.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(Error::new(format!("{} has more than {most} bytes", file.display())));
    }
    String::from_utf8(bytes).map_err(|_| Error::new(format!("{} is not in UTF-8", file.display())))
}
