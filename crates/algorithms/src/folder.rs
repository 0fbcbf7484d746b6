//! An algorithm's folder: what it is called, what it is written in, and whether its module is of its sources.

use crate::{Error, Language, build, error::at, template};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, DirEntry, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The file that makes a folder one of an algorithm.
const MANIFEST: &str = "algorithm.json";
/// Bytes of it at most.
const MOST_MANIFEST: u64 = 64 << 10;
/// Files of a folder that are looked at.
const MOST_FILES: usize = 10_000;
/// What is in here is no source.
const NO_SOURCES: [&str; 2] = ["target", "node_modules"];

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    name: String,
    language: Language,
}

/// A folder that builds to a module.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// What it is called; so is its module.
    pub name: String,
    /// What it is written in.
    pub language: Language,
}

/// What finds out whether a script can be run at all, before anybody runs it. It takes a sandbox, which this crate has none of.
#[derive(Clone, Debug)]
pub struct Check {
    /// The script.
    pub script: PathBuf,
    /// What reads it: see [`Interpreter::parser`](crate::Interpreter::parser). The same module for all scripts of a language.
    pub parser: Vec<u8>,
}

fn check_name(name: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if begins && name.len() <= 64 && name.bytes().all(plain) { Ok(()) } else { Err(Error::Name(name.to_owned())) }
}

impl Folder {
    /// Makes a folder with an example in a language.
    ///
    /// # Errors
    ///
    /// If it is there already, the name is none, or the disk refuses.
    pub fn create(path: &Path, name: &str, language: Language) -> Result<Self, Error> {
        check_name(name)?;
        fs::create_dir(path).map_err(at(path))?;
        let manifest = Manifest { name: name.to_owned(), language };
        let manifest = serde_json::to_string_pretty(&manifest).map_err(io::Error::other).map_err(at(path))?;
        let mut files = template::files(name, language);
        files.push((MANIFEST, manifest + "\n"));
        for (file, text) in files {
            let file = path.join(file);
            let parent = file.parent().unwrap_or(path);
            fs::create_dir_all(parent).map_err(at(parent))?;
            fs::write(&file, text).map_err(at(&file))?;
        }
        Ok(Self { path: path.to_owned(), name: name.to_owned(), language })
    }

    /// Opens a folder.
    ///
    /// # Errors
    ///
    /// If it is none of an algorithm.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let none = |why: String| Error::Folder { folder: path.to_owned(), why };
        let mut text = String::new();
        let read = File::open(path.join(MANIFEST)).and_then(|file| file.take(MOST_MANIFEST).read_to_string(&mut text));
        read.map_err(|error| none(format!("{MANIFEST}: {error}")))?;
        let Manifest { name, language } =
            serde_json::from_str(&text).map_err(|error| none(format!("{MANIFEST}: {error}")))?;
        check_name(&name)?;
        Ok(Self { path: path.to_owned(), name, language })
    }

    /// Where its module is, once it is built.
    pub fn module(&self) -> PathBuf {
        self.path.join(format!("{}.wasm", self.name))
    }

    /// Builds the module, and gives its bytes. They lie at [`module`](Self::module) as well.
    ///
    /// # Errors
    ///
    /// If this machine lacks what builds it, or the sources are wrong.
    pub fn build(&self) -> Result<Vec<u8>, Error> {
        build::build(self)
    }

    /// What finds mistakes in a script, which are put into a module as they are; nothing where a compiler finds them.
    ///
    /// # Errors
    ///
    /// If there is no script, or this machine lacks the interpreter.
    pub fn check(&self) -> Result<Option<Check>, Error> {
        build::check(self)
    }

    /// Whether there is a module that is no older than the sources.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn is_built(&self) -> Result<bool, Error> {
        let module = self.module();
        let Ok(built) = module.metadata().and_then(|metadata| metadata.modified()) else { return Ok(false) };
        Ok(self.newest(&module).map_err(at(&self.path))?.is_none_or(|newest| newest <= built))
    }

    /// When a source was changed last.
    fn newest(&self, module: &Path) -> io::Result<Option<SystemTime>> {
        let is_source = |entry: &DirEntry| {
            let name = entry.file_name();
            !name.as_encoded_bytes().starts_with(b".")
                && NO_SOURCES.iter().all(|other| name != *other)
                && entry.path() != module
        };
        let (mut newest, mut next, mut seen) = (None, vec![self.path.clone()], 0);
        while let Some(folder) = next.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                seen += 1;
                if seen > MOST_FILES {
                    return Err(io::Error::other(format!("it has more than {MOST_FILES} files")));
                }
                let kind = entry.file_type()?;
                if kind.is_dir() && is_source(&entry) {
                    next.push(entry.path());
                } else if kind.is_file() && is_source(&entry) {
                    newest = newest.max(Some(entry.metadata()?.modified()?));
                }
            }
        }
        Ok(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_a_folder_that_opens_again_and_says_what_it_needs() {
        let place = tempfile::tempdir().unwrap();
        for language in Language::ALL {
            let path = place.path().join(language.name());
            Folder::create(&path, "mean-of_1", language).unwrap();
            let folder = Folder::open(&path).unwrap();
            assert_eq!((folder.name.as_str(), folder.language), ("mean-of_1", language));
            assert!(!folder.is_built().unwrap());
            let mut next = vec![path.clone()];
            while let Some(at) = next.pop() {
                for entry in fs::read_dir(at).unwrap() {
                    let entry = entry.unwrap().path();
                    if entry.is_dir() {
                        next.push(entry);
                    } else {
                        let text = fs::read_to_string(&entry).unwrap();
                        assert!(!text.contains("{{"), "{} has a word that was not filled in", entry.display());
                    }
                }
            }
            let readme = fs::read_to_string(path.join("README.md")).unwrap();
            assert!(readme.contains("install") || readme.contains("rustup"), "{readme}");
            assert!(matches!(Folder::create(&path, "again", language), Err(Error::Io { .. })), "it is there already");
        }
    }

    #[test]
    fn names_that_no_crate_could_have_and_folders_of_something_else_are_refused() {
        let place = tempfile::tempdir().unwrap();
        for name in ["", "1st", "Mean", "a/b", "..", "a b", &"a".repeat(65)] {
            assert!(
                matches!(Folder::create(&place.path().join("x"), name, Language::C), Err(Error::Name(_))),
                "{name}"
            );
        }
        assert!(!place.path().join("x").exists());
        assert!(Folder::open(place.path()).unwrap_err().to_string().contains("stoa algo new"));
        fs::write(place.path().join(MANIFEST), r#"{"name":"a","language":"cobol"}"#).unwrap();
        assert!(Folder::open(place.path()).unwrap_err().to_string().contains("cobol"));
        fs::write(place.path().join(MANIFEST), r#"{"name":"../a","language":"c"}"#).unwrap();
        assert!(matches!(Folder::open(place.path()), Err(Error::Name(_))));
    }

    #[test]
    fn a_module_is_built_until_a_source_changes() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::create(&place.path().join("mean"), "mean", Language::Python).unwrap();
        let old = SystemTime::now() - std::time::Duration::from_secs(60);
        let age = |file: &Path, time| File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
        for entry in fs::read_dir(&folder.path).unwrap() {
            age(&entry.unwrap().path(), old);
        }
        fs::write(folder.module(), "").unwrap();
        assert!(folder.is_built().unwrap());
        fs::create_dir(folder.path.join("target")).unwrap();
        fs::write(folder.path.join("target/new"), "").unwrap();
        age(&folder.path.join("target/new"), SystemTime::now() + std::time::Duration::from_secs(60));
        assert!(folder.is_built().unwrap(), "what a compiler leaves is no source");
        age(&folder.path.join("main.py"), SystemTime::now() + std::time::Duration::from_secs(60));
        assert!(!folder.is_built().unwrap());
    }
}
