//! Data that a node computes on: a folder with the files and what may leave.
//!
//! ```text
//! <asset>/files/…       what programs see under /data, as it is
//! <asset>/rules.json    what may leave (see `rules`)
//! ```
//!
//! The offer on the ledger names both by hash, so that a receipt is about these data and these rules and no others.

use super::rules::{Rules, RulesError};
use alloy_primitives::B256;
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};
use stoa_base::{create_private, write_private};
use stoa_sandbox::{Input, Source};

/// Files of one data set at most.
const MOST_FILES: usize = 100_000;

/// Folders within each other at most.
const MOST_DEPTH: usize = 16;

/// Why data are not offered.
#[derive(Debug, thiserror::Error)]
pub enum DataSetError {
    /// The disk.
    #[error("{}: {error}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// It is a link.
    #[error("{} is a link, and links are not followed: name what it leads to", .0.display())]
    Link(PathBuf),
    /// It is no file and no folder.
    #[error("{} is neither a file nor a folder", .0.display())]
    Neither(PathBuf),
    /// There is nothing.
    #[error("{} has no files; links, and what else is neither a file nor a folder, are passed over", .0.display())]
    Empty(PathBuf),
    /// Something that people do not see when they look what is there.
    #[error("{} is hidden: take it out of the folder, or say --hidden to offer it as well", .0.display())]
    Hidden(PathBuf),
    /// A name of which no more is known than of another one.
    #[error("{}: its name is not UTF-8, and another's looks the same", .0.display())]
    Alike(PathBuf),
    /// More than a node keeps an eye on.
    #[error("{} has more than {MOST_FILES} files, or folders more than {MOST_DEPTH} deep", .0.display())]
    TooMuch(PathBuf),
    /// A name that programs do not see.
    #[error(
        "programs do not see {0:?}: at the top, files and folders are called by letters, digits, '.', '_' and '-', do not begin with a \
         dot, and are not called params.json. Take it away, or put it into a folder"
    )]
    Name(String),
    /// The rules cannot be read.
    #[error("the rules of what may leave are none: {0}")]
    Rules(RulesError),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DataSetError + '_ {
    move |error| DataSetError::Io { path: path.to_owned(), error }
}

/// Data, and the rules of what may leave.
#[derive(Clone, Debug)]
pub struct DataSet {
    files: PathBuf,
    /// The hash of the list of files.
    pub hash: B256,
    /// What may leave.
    pub rules: Rules,
    /// What [`create`](Self::create) found and passed over, each with the reason, in the order of their paths: links and what else is no
    /// file, and folders with nothing in them.
    pub passed_over: Vec<String>,
}

impl DataSet {
    /// Reads what is in a folder, all of it: the hash is of what is there now.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or there is nothing.
    pub fn open(folder: &Path) -> Result<Self, DataSetError> {
        let (files, rules) = (folder.join("files"), Self::rules_in(folder)?);
        Ok(Self { hash: hash(&files)?, files, rules, passed_over: Vec::new() })
    }

    /// Reads what may leave of what is in a folder, and nothing of that.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or nothing may.
    pub fn rules_in(folder: &Path) -> Result<Rules, DataSetError> {
        let path = folder.join("rules.json");
        Rules::read(&fs::read(&path).map_err(at(&path))?).map_err(DataSetError::Rules)
    }

    /// Puts data where a node finds them: copies a file or folder, and writes the rules beside it. What a copy that was cut off has
    /// left is copied anew. What is no file is [passed over](Self::passed_over), and told.
    ///
    /// # Errors
    ///
    /// If something is there already, is hidden, a program could not see it, or the disk refuses.
    pub fn create(folder: &Path, from: &Path, rules: &Rules) -> Result<Self, DataSetError> {
        Self::copy(folder, from, rules, false)
    }

    /// The same with what is hidden in a folder, such as `more/.env`, for whoever says that he wants it.
    ///
    /// # Errors
    ///
    /// As of [`create`](Self::create), but for what is hidden.
    pub fn create_with_hidden(folder: &Path, from: &Path, rules: &Rules) -> Result<Self, DataSetError> {
        Self::copy(folder, from, rules, true)
    }

    fn copy(folder: &Path, from: &Path, rules: &Rules, hidden: bool) -> Result<Self, DataSetError> {
        let (files, copy) = (folder.join("files"), folder.join("files.new"));
        if files.symlink_metadata().is_ok() {
            return Err(at(&files)(io::Error::from(io::ErrorKind::AlreadyExists)));
        }
        let Found { files: found, passed_over } = list_of(from, |_| true)?;
        let own = from.file_name().unwrap_or_default().to_string_lossy();
        for path in found.keys() {
            seen(if path.is_empty() { &own } else { path.split('/').next().unwrap_or_default() })?;
        }
        if let Some(path) = found.keys().find_map(|path| hidden_in(path)).filter(|_| !hidden) {
            return Err(DataSetError::Hidden(from.join(path)));
        }
        if copy.exists() {
            fs::remove_dir_all(&copy).map_err(at(&copy))?;
        }
        create_private(&copy).map_err(at(&copy))?;
        for (path, source) in found {
            let to = match path.as_str() {
                "" => copy.join(from.file_name().unwrap_or_default()),
                path => copy.join(path),
            };
            let parent = to.parent().unwrap_or(&copy);
            create_private(parent).map_err(at(parent))?;
            fs::copy(&source, &to).map_err(at(&source))?;
        }
        let path = folder.join("rules.json");
        write_private(&path, &rules.to_json()).map_err(at(&path))?;
        fs::rename(&copy, &files).map_err(at(&files))?;
        Ok(Self { passed_over, ..Self::open(folder)? })
    }

    /// What a program sees of it.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn inputs(&self) -> Result<Vec<Input>, DataSetError> {
        inputs(&self.files)
    }
}

/// Lets pass what programs can see under its name.
fn seen(name: &str) -> Result<(), DataSetError> {
    if Input::is_name(name) { Ok(()) } else { Err(DataSetError::Name(name.to_owned())) }
}

/// What a program sees of a file, or of a folder, whose files and folders are seen under their names.
///
/// # Errors
///
/// If it cannot be read, or seen under its name.
pub fn inputs(path: &Path) -> Result<Vec<Input>, DataSetError> {
    let input = |name: &std::ffi::OsStr, path| {
        let name = name.to_string_lossy().into_owned();
        seen(&name).map(|()| Input { name, source: Source::Path(path) })
    };
    if path.is_file() {
        let name = path.file_name().ok_or_else(|| DataSetError::Empty(path.to_owned()))?;
        return Ok(vec![input(name, path.to_owned())?]);
    }
    let mut inputs = Vec::new();
    for entry in fs::read_dir(path).map_err(at(path))? {
        let entry = entry.map_err(at(path))?;
        inputs.push(input(&entry.file_name(), entry.path())?);
    }
    inputs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(inputs)
}

/// The part of a path up to the first name that begins with a dot, if one does.
fn hidden_in(path: &str) -> Option<&str> {
    let at = if path.starts_with('.') { 0 } else { path.find("/.")? + 1 };
    path[at..].find('/').map_or(Some(path), |end| path.get(..at + end))
}

/// What is in a folder.
#[derive(Default)]
struct Found {
    /// The regular files by their paths within it, or the file itself by an empty path. Links are not followed.
    files: BTreeMap<String, PathBuf>,
    /// What is none of them, and why.
    passed_over: Vec<String>,
}

/// What is in a folder of which the name is taken, and the names of all folders that it lies in.
fn list_of(root: &Path, takes: fn(&str) -> bool) -> Result<Found, DataSetError> {
    let (mut found, mut next) = (Found::default(), vec![(String::new(), root.to_owned(), 0)]);
    while let Some((path, place, depth)) = next.pop() {
        let kind = place.symlink_metadata().map_err(at(&place))?;
        if kind.is_file() {
            if found.files.insert(path, place.clone()).is_some() {
                return Err(DataSetError::Alike(place));
            }
        } else if kind.is_dir() {
            let mut entries = fs::read_dir(&place).map_err(at(&place))?.peekable();
            if entries.peek().is_none() && !path.is_empty() {
                found.passed_over.push(format!("{path}: it is an empty folder"));
            }
            for entry in entries {
                let entry = entry.map_err(at(&place))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if !takes(&name) {
                    continue;
                }
                let path = if path.is_empty() { name } else { format!("{path}/{name}") };
                next.push((path, entry.path(), depth + 1));
            }
        } else if path.is_empty() {
            let root = root.to_owned();
            return Err(if kind.is_symlink() { DataSetError::Link(root) } else { DataSetError::Neither(root) });
        } else {
            found.passed_over.push(format!("{path}: it is neither a file nor a folder"));
        }
        let most = found.files.len().max(found.passed_over.len()).max(next.len());
        if most > MOST_FILES || depth > MOST_DEPTH {
            return Err(DataSetError::TooMuch(root.to_owned()));
        }
    }
    found.passed_over.sort();
    if found.files.is_empty() { Err(DataSetError::Empty(root.to_owned())) } else { Ok(found) }
}

/// The hash of a program's source, as that of a data set: a file, or a folder without what is hidden, what compilers leave (`target`,
/// `node_modules`) and modules (`.wasm`).
///
/// # Errors
///
/// If it cannot be read, or there is nothing.
pub fn source_hash(path: &Path) -> Result<B256, DataSetError> {
    let is_source =
        |name: &str| !name.starts_with('.') && !matches!(name, "target" | "node_modules") && !name.ends_with(".wasm");
    hash_of(list_of(path, is_source)?.files)
}

fn hash(files: &Path) -> Result<B256, DataSetError> {
    hash_of(list_of(files, |_| true)?.files)
}

fn hash_of(files: BTreeMap<String, PathBuf>) -> Result<B256, DataSetError> {
    let mut hashed = Vec::new();
    for (path, place) in files {
        let mut content = blake3::Hasher::new();
        content.update_mmap(&place).map_err(at(&place))?;
        hashed.push((path, content.finalize()));
    }
    Ok(list_hash(hashed.iter().map(|(path, content)| (path.as_str(), *content))))
}

/// The hash of a list of files, in the order of their paths: SHA-256 over each path's length (4, big-endian), the path, and the
/// BLAKE3 hash of what is in the file.
pub(super) fn list_hash<'a>(files: impl IntoIterator<Item = (&'a str, blake3::Hash)>) -> B256 {
    let mut hash = Sha256::new();
    for (path, content) in files {
        hash.update((path.len() as u32).to_be_bytes());
        hash.update(path);
        hash.update(content.as_bytes());
    }
    B256::new(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_hash_is_of_what_is_there_under_which_name_and_links_are_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("patients");
        fs::create_dir_all(from.join("deep")).unwrap();
        fs::write(from.join("rows.csv"), "a,b\n1,2\n").unwrap();
        fs::write(from.join("deep/more.csv"), "3,4\n").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", from.join("link")).unwrap();
        let rules = Rules::usual(B256::ZERO);
        let made = DataSet::create(&folder.path().join("one"), &from, &rules).unwrap();
        let names: Vec<_> = made.inputs().unwrap().into_iter().map(|input| input.name).collect();
        assert_eq!(names, ["deep", "rows.csv"]);
        // Cut off in the middle.
        fs::create_dir_all(folder.path().join("two/files.new")).unwrap();
        fs::write(folder.path().join("two/files.new/half.csv"), "1").unwrap();
        let again = DataSet::create(&folder.path().join("two"), &from, &rules).unwrap();
        assert_eq!(made.hash, again.hash);
        for change in [
            |files: &Path| fs::write(files.join("rows.csv"), "a,b\n1,3\n"),
            |files: &Path| fs::rename(files.join("rows.csv"), files.join("other.csv")),
        ] {
            let before = DataSet::open(&folder.path().join("two")).unwrap().hash;
            change(&folder.path().join("two/files")).unwrap();
            assert_ne!(DataSet::open(&folder.path().join("two")).unwrap().hash, before);
        }
        // One file is there under its own name; nothing is put over what is there.
        let file = DataSet::create(&folder.path().join("three"), &from.join("rows.csv"), &rules).unwrap();
        assert_eq!(file.inputs().unwrap()[0].name, "rows.csv");
        assert!(DataSet::create(&folder.path().join("three"), &from, &rules).is_err());
        fs::create_dir(folder.path().join("empty")).unwrap();
        let empty = DataSet::create(&folder.path().join("four"), &folder.path().join("empty"), &rules);
        assert!(matches!(empty, Err(DataSetError::Empty(_))));
        // Nobody but the node's own account comes to it.
        for made in ["one", "one/files", "one/files/deep", "three/files"] {
            assert_eq!(folder.path().join(made).metadata().unwrap().permissions().mode() & 0o777, 0o700, "{made}");
        }
    }

    #[test]
    fn what_is_passed_over_is_told_and_what_is_hidden_is_offered_only_if_that_is_said() {
        use std::os::unix::{fs::symlink, net::UnixListener};
        let folder = tempfile::tempdir().unwrap();
        let (at, rules) = (|path: &str| folder.path().join(path), Rules::usual(B256::ZERO));
        let create = |to: &str, from: &str| DataSet::create(&at(to), &at(from), &rules);
        fs::create_dir_all(at("from/more/none")).unwrap();
        fs::write(at("from/rows.csv"), "a\n1\n").unwrap();
        symlink("rows.csv", at("from/more/link.csv")).unwrap();
        let _socket = UnixListener::bind(at("from/socket")).unwrap();
        let made = create("one", "from").unwrap();
        let neither = "it is neither a file nor a folder";
        let wanted = [
            format!("more/link.csv: {neither}"),
            "more/none: it is an empty folder".to_owned(),
            format!("socket: {neither}"),
        ];
        assert_eq!(made.passed_over, wanted);
        assert_eq!(DataSet::open(&at("one")).unwrap().hash, made.hash);
        // What is named is not followed either, and it is not said that it has no files.
        for (from, why) in [("from/more/link.csv", "links are not followed"), ("from/socket", neither)] {
            let said = create("two", from).unwrap_err().to_string();
            assert!(said.contains(why.trim_start_matches("it ")) && !said.contains("no files"), "{said}");
        }
        for (hidden, named) in [("more/.env", "more/.env"), ("more/.git/config", "more/.git")] {
            fs::create_dir_all(at("from").join(hidden).parent().unwrap()).unwrap();
            fs::write(at("from").join(hidden), "secret").unwrap();
            let why = create("two", "from").unwrap_err();
            assert!(matches!(&why, DataSetError::Hidden(path) if *path == at("from").join(named)), "{why}");
            assert!(!at("two").exists() && why.to_string().contains("--hidden"), "{why}");
            let made = DataSet::create_with_hidden(&at(named.rsplit('/').next().unwrap()), &at("from"), &rules);
            assert!(made.unwrap().files.join(hidden).exists());
            fs::remove_file(at("from").join(hidden)).unwrap();
        }
    }

    #[test]
    fn names_that_look_the_same_are_not_taken_for_one() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        fs::create_dir_all(from.join("deep")).unwrap();
        for name in [b"\xe4.csv", b"\xf6.csv"] {
            fs::write(from.join("deep").join(OsStr::from_bytes(name)), "1").unwrap();
        }
        let made = DataSet::create(&folder.path().join("one"), &from, &Rules::usual(B256::ZERO));
        assert!(matches!(made, Err(DataSetError::Alike(_))));
    }

    #[test]
    fn what_is_wrong_with_rules_is_said_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("rules.json"), "{").unwrap();
        let said = format!("{:#}", eyre::Report::from(DataSet::open(folder.path()).unwrap_err()));
        assert_eq!(said.matches("EOF").count(), 1, "{said}");
    }

    #[test]
    fn what_programs_could_not_see_is_not_offered() {
        let folder = tempfile::tempdir().unwrap();
        let (from, rules) = (folder.path().join("patients"), Rules::usual(B256::ZERO));
        fs::create_dir(&from).unwrap();
        for name in [".DS_Store", "rows of 1988.csv", "params.json", "\u{e9}.csv"] {
            fs::write(from.join(name), "1").unwrap();
            for from in [&from, &from.join(name)] {
                let why = DataSet::create(&folder.path().join("one"), from, &rules).unwrap_err().to_string();
                assert!(why.contains(&format!("{name:?}")) && why.contains("Take it away"), "{why}");
                assert!(matches!(inputs(from), Err(DataSetError::Name(_))));
            }
            fs::remove_file(from.join(name)).unwrap();
        }
        // Further down names are the program's own matter.
        fs::create_dir(from.join("deep")).unwrap();
        fs::write(from.join("deep/rows of 1988.csv"), "1").unwrap();
        DataSet::create(&folder.path().join("one"), &from, &rules).unwrap();
    }

    #[test]
    fn the_hash_of_a_source_is_not_of_what_it_is_built_to() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("src")).unwrap();
        fs::write(at("src/main.rs"), "fn main() {}").unwrap();
        let before = source_hash(folder.path()).unwrap();
        for path in ["target", "node_modules", ".git"] {
            fs::create_dir(at(path)).unwrap();
            fs::write(at(path).join("built"), "1").unwrap();
        }
        fs::write(at("mean.wasm"), "2").unwrap();
        assert_eq!(source_hash(folder.path()).unwrap(), before);
        fs::write(at("src/main.rs"), "fn main() { panic!() }").unwrap();
        assert_ne!(source_hash(folder.path()).unwrap(), before);
        assert_ne!(source_hash(&at("src/main.rs")).unwrap(), before, "one file has no name");
        fs::remove_dir_all(at("src")).unwrap();
        assert!(matches!(source_hash(folder.path()), Err(DataSetError::Empty(_))));
    }
}
