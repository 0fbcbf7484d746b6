//! What a file or folder is that somebody wants to publish: its format, its columns, how much of it there is, under which licence,
//! and whether it looks as if it were about people.
//!
//! ```text
//! magic and name ──▶ format ──▶ table: columns, types, rows, missing values, warnings
//!                          ├──▶ picture: pixels
//!                          └──▶ model: what kind, tensors, parameters
//! ```
//!
//! The files are other people's as often as not, so nothing that stands in one is believed before it was counted, and looking at a
//! file takes a few MiB of memory and one pass, however large it is, and however large it says it is. What a format's header claims and
//! the file does not bear out is told as a [problem](Looked::problem). Links are not followed.
//!
//! What is found is names, counts and kinds, and no value: neither of cells that are looked at, nor of those that warnings are about.
//! The one exception are the names of columns, which a table without a header has none of ([`Header`]).

mod csv;
mod json;
mod licence;
mod model;
mod parquet;
mod personal;
mod picture;
mod table;
#[cfg(test)]
mod tests;
mod text;

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fmt,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};
use stoa_store::check_name;

pub use licence::Licence;
pub use model::Model;
pub use personal::{Personal, Warning};
pub use picture::Picture;
pub use table::{Column, Kind, Table};

/// Files of a folder that are looked into at most; the others are counted.
const MOST_LOOKED: u64 = 1_000;

/// Files of a folder that are counted at most, and folders within each other.
const MOST_FILES: u64 = 1_000_000;
const MOST_DEPTH: usize = 32;

/// Warnings that are told at most.
const MOST_WARNINGS: usize = 200;

/// Bytes by which a format is known.
const SAMPLE: u64 = 64 << 10;

/// The mark that some programs put before text.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Rows of values, separated by commas, semicolons, tabulators or bars.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// A JSON value in each line.
    JsonLines,
    /// One JSON value.
    Json,
    /// A PNG picture.
    Png,
    /// A JPEG picture.
    Jpeg,
    /// A GIF picture.
    Gif,
    /// A WebP picture.
    Webp,
    /// Tensors, as Hugging Face keeps them.
    Safetensors,
    /// A model as llama.cpp keeps it.
    Gguf,
    /// A model in the Open Neural Network Exchange format.
    Onnx,
    /// Text in UTF-8.
    Text,
    /// Anything else.
    Other,
    /// A folder with files.
    Folder,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Whether the first row of a table names its columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// If it looks like it: there are words in it, nothing that a person is reached by, and what is no word, or stands there twice, only
    /// where something is of another kind than what stands below it.
    #[default]
    Guessed,
    /// It does.
    First,
    /// It does not: columns are called by their number.
    None,
}

/// How far a look goes.
#[derive(Clone, Copy, Debug)]
pub struct Looking {
    /// Whether tables have a header.
    pub header: Header,
    /// Bytes of each file that are read at most. Of a larger table the rows are not counted, and the rest is taken to be alike.
    pub most: u64,
}

impl Default for Looking {
    fn default() -> Self {
        Self { header: Header::Guessed, most: 16 << 30 }
    }
}

/// How many files of a format there are in a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Files that were not looked into for personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unseen {
    /// Why.
    pub why: String,
    /// How many.
    pub files: u64,
    /// The first of them in a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Looked {
    /// What it is.
    pub format: Format,
    /// How many bytes.
    pub bytes: u64,
    /// How many files.
    pub files: u64,
    /// Of which formats the files of a folder are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub formats: BTreeMap<Format, Count>,
    /// Links and other things in a folder that are no files: they are not followed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: u64,
    /// The first thing in a folder for which no node keeps that for others, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unkept: Option<String>,
    /// The table that it is, or that all tables of a folder are parts of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<Table>,
    /// The picture that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<Picture>,
    /// The model that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// The licence that lies with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<Licence>,
    /// What looks like personal data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// What was not looked into for that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<Unseen>,
    /// In what it is not as its format says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Whether all of it was looked at.
    pub whole: bool,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Why nothing was found.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
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
    /// More than is counted.
    #[error("{} has more than {MOST_FILES} files, or folders more than {MOST_DEPTH} deep", .0.display())]
    TooMuch(PathBuf),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> LookError + '_ {
    move |error| LookError::Io { path: path.to_owned(), error }
}

impl Looked {
    fn new(format: Format, bytes: u64) -> Self {
        let (formats, warnings, unseen) = (BTreeMap::new(), Vec::new(), Vec::new());
        let (table, picture, model, licence, problem, unkept) = (None, None, None, None, None, None);
        let (files, skipped, whole) = (1, 0, true);
        Self {
            format,
            bytes,
            files,
            formats,
            skipped,
            unkept,
            table,
            picture,
            model,
            licence,
            warnings,
            unseen,
            problem,
            whole,
        }
    }
}

/// Looks at a file or folder; `told` hears of how many bytes more were read.
///
/// # Errors
///
/// If it cannot be read, is a link, or has more files than are counted.
pub fn look(path: &Path, looking: Looking, told: &dyn Fn(u64)) -> Result<Looked, LookError> {
    let is = path.symlink_metadata().map_err(at(path))?;
    if is.is_symlink() {
        return Err(LookError::Link(path.to_owned()));
    }
    if is.is_file() {
        return look_at_file(path, looking, told);
    }
    if !is.is_dir() {
        return Err(LookError::Neither(path.to_owned()));
    }
    let mut seen = Looked { files: 0, ..Looked::new(Format::Folder, 0) };
    let (mut next, mut tables) = (vec![(String::new(), path.to_owned(), 0)], Tables::default());
    while let Some((name, place, depth)) = next.pop() {
        let is = place.symlink_metadata().map_err(at(&place))?;
        if is.is_dir() {
            let mut inside = Vec::new();
            for entry in place.read_dir().map_err(at(&place))? {
                let entry = entry.map_err(at(&place))?;
                let own = entry.file_name().to_string_lossy().into_owned();
                let own = if name.is_empty() { own } else { format!("{name}/{own}") };
                if let Some(why) = misnamed(&entry.file_name()) {
                    seen.unkept.get_or_insert_with(|| format!("{own}: {why}"));
                }
                inside.push((own, entry.path(), depth + 1));
                if next.len() + inside.len() > MOST_FILES as usize {
                    return Err(LookError::TooMuch(path.to_owned()));
                }
            }
            // From the end, so that they come in the order of their names.
            inside.sort_by(|one, other| other.cmp(one));
            next.extend(inside);
        } else if is.is_file() {
            seen.add(&name, &place, is.len(), looking, told, &mut tables)?;
        } else {
            seen.skipped += 1;
            seen.unkept.get_or_insert_with(|| format!("{name}: it is neither a file nor a folder"));
        }
        if seen.files > MOST_FILES || depth > MOST_DEPTH {
            return Err(LookError::TooMuch(path.to_owned()));
        }
    }
    seen.table = tables.table().filter(|_| seen.whole);
    Ok(seen)
}

/// Why nothing of this name is kept for others, if it is not.
fn misnamed(name: &OsStr) -> Option<String> {
    match name.to_str() {
        Some(name) => check_name(name).err().map(|why| why.to_string()),
        None => Some("its name is not UTF-8".to_owned()),
    }
}

fn look_at_file(path: &Path, looking: Looking, told: &dyn Fn(u64)) -> Result<Looked, LookError> {
    let file = File::open(path).map_err(at(path))?;
    let bytes = file.metadata().map_err(at(path))?.len();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    look_into(&name, bytes, file, looking, told).map_err(at(path))
}

/// Tables of a folder, as long as they have the same columns.
#[derive(Default)]
enum Tables {
    #[default]
    None,
    Alike(Table),
    Different,
}

impl Tables {
    fn add(&mut self, table: &Table) {
        *self = match std::mem::take(self) {
            Self::None => Self::Alike(table.clone()),
            Self::Alike(all) => all.with(table).map_or(Self::Different, Self::Alike),
            Self::Different => Self::Different,
        };
    }

    fn table(self) -> Option<Table> {
        match self {
            Self::Alike(table) => Some(table),
            Self::None | Self::Different => None,
        }
    }
}

impl Looked {
    /// Adds a file of a folder.
    fn add(
        &mut self,
        name: &str,
        path: &Path,
        bytes: u64,
        looking: Looking,
        told: &dyn Fn(u64),
        tables: &mut Tables,
    ) -> Result<(), LookError> {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        let own = path.file_name().unwrap_or_default().to_string_lossy();
        let format = if self.files > MOST_LOOKED {
            self.whole = false;
            by_name(&own).unwrap_or(Format::Other)
        } else {
            let found = look_at_file(path, looking, told)?;
            self.whole &= found.whole;
            if let Some(table) = &found.table {
                tables.add(table);
            }
            for warning in found.warnings {
                let same = |known: &&mut Warning| known.column == warning.column && known.kind == warning.kind;
                if let Some(known) = self.warnings.iter_mut().find(same) {
                    known.values = known.values.saturating_add(warning.values);
                } else if self.warnings.len() < MOST_WARNINGS {
                    self.warnings.push(Warning { file: Some(name.to_owned()), ..warning });
                }
            }
            for unseen in found.unseen {
                match self.unseen.iter_mut().find(|known| known.why == unseen.why) {
                    Some(known) => known.files += unseen.files,
                    None => self.unseen.push(Unseen { file: Some(name.to_owned()), ..unseen }),
                }
            }
            if let Some(problem) = found.problem {
                self.problem.get_or_insert_with(|| format!("{name}: {problem}"));
            }
            found.format
        };
        let count = self.formats.entry(format).or_default();
        count.files += 1;
        count.bytes = count.bytes.saturating_add(bytes);
        // That of the whole lies at the top.
        if !name.contains('/') {
            let licence = licence::of_file(name, path);
            if licence.as_ref().is_some_and(|new| self.licence.as_ref().is_none_or(|old| new.knows_more_than(old))) {
                self.licence = licence;
            }
        }
        Ok(())
    }
}

/// Looks at what is called `name`, is `bytes` long, and has this content.
///
/// # Errors
///
/// If it cannot be read.
pub fn look_into<F: Read + Seek>(
    name: &str,
    bytes: u64,
    file: F,
    looking: Looking,
    told: &dyn Fn(u64),
) -> io::Result<Looked> {
    let mut file = Told { file, told };
    let mut sample = Vec::new();
    (&mut file).take(SAMPLE).read_to_end(&mut sample)?;
    let start = if sample.starts_with(MARK) { MARK.len() } else { 0 };
    (&mut file).take(start as u64).read_to_end(&mut sample)?;
    sample.drain(..start);
    file.seek(SeekFrom::Start(start as u64))?;
    let format = format_of(name, &sample);
    let mut looked = Looked::new(format, bytes);
    match format {
        Format::Csv => csv::look(&mut looked, &sample, csv::delimiter(name, &sample).unwrap_or(b','), file, looking)?,
        Format::JsonLines => json::look_at_lines(&mut looked, file, looking)?,
        Format::Json => json::look(&mut looked, file)?,
        Format::Parquet => parquet::look(&mut looked, file)?,
        Format::Png | Format::Jpeg | Format::Gif | Format::Webp => picture::look(&mut looked, file)?,
        Format::Safetensors => model::safetensors(&mut looked, file)?,
        Format::Gguf => model::gguf(&mut looked, file)?,
        Format::Onnx => model::onnx(&mut looked, file)?,
        Format::Text => text::look(&mut looked, file, looking)?,
        Format::Other | Format::Folder => {}
    }
    let why = unseen(&looked, &sample);
    looked.unseen.extend(why.map(|why| Unseen { why: why.to_owned(), files: 1, file: None }));
    looked.licence = licence::of_text(name, &sample);
    Ok(looked)
}

/// Why nothing, or not all, is known of personal data in what was looked at; nothing if that was looked for.
fn unseen(looked: &Looked, sample: &[u8]) -> Option<&'static str> {
    match looked.format {
        Format::Png | Format::Jpeg | Format::Gif | Format::Webp => Some("pictures are not looked into"),
        Format::Safetensors | Format::Gguf | Format::Onnx => Some("models are not looked into"),
        Format::Parquet => Some("of Parquet, the names of columns are looked at alone"),
        Format::Json | Format::JsonLines => match &looked.table {
            None => Some("no list of objects was read in it"),
            Some(table) if table.columns.iter().any(|column| column.kind == Kind::Other) => {
                Some("lists and objects in a column are not looked into")
            }
            Some(_) => None,
        },
        Format::Other if is_written(sample) => Some("it is not UTF-8"),
        Format::Other => Some("its format is none that is looked into"),
        _ => None,
    }
}

/// Whether this is how text in another encoding begins: UTF-16 with its mark, or bytes that are letters in ISO 8859-1.
fn is_written(sample: &[u8]) -> bool {
    let letter = |byte: &u8| matches!(byte, b'\t' | b'\r' | b'\n' | 0xc | 0x20..=0x7e | 0x80..);
    sample.starts_with(&[0xff, 0xfe]) || sample.starts_with(&[0xfe, 0xff]) || sample.iter().all(letter)
}

/// Tells how much was read.
struct Told<'a, F> {
    file: F,
    told: &'a dyn Fn(u64),
}

impl<F: Read> Read for Told<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        (self.told)(count as u64);
        Ok(count)
    }
}

impl<F: Seek> Seek for Told<'_, F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// What a file's name says that it is.
fn by_name(name: &str) -> Option<Format> {
    let (_, end) = name.rsplit_once('.')?;
    Some(match end.to_ascii_lowercase().as_str() {
        "csv" | "tsv" => Format::Csv,
        "parquet" => Format::Parquet,
        "jsonl" | "ndjson" => Format::JsonLines,
        "json" | "geojson" => Format::Json,
        "png" => Format::Png,
        "jpg" | "jpeg" => Format::Jpeg,
        "gif" => Format::Gif,
        "webp" => Format::Webp,
        "safetensors" => Format::Safetensors,
        "gguf" => Format::Gguf,
        "onnx" => Format::Onnx,
        "txt" | "md" => Format::Text,
        _ => return None,
    })
}

/// What a file is, by what it begins with; where that is text, or says nothing, by its name too.
fn format_of(name: &str, sample: &[u8]) -> Format {
    let magic = match sample {
        [b'P', b'A', b'R', b'1' | b'E', ..] => Some(Format::Parquet),
        [b'G', b'G', b'U', b'F', ..] => Some(Format::Gguf),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Format::Png),
        [0xff, 0xd8, 0xff, ..] => Some(Format::Jpeg),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Format::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Format::Webp),
        // A length below 100 MB, then an object.
        [_, _, _, length, 0, 0, 0, 0, b'{', ..] if *length < 8 => Some(Format::Safetensors),
        // The version of its intermediate representation, as a varint in field 1.
        [8, 1..=64, ..] if by_name(name) == Some(Format::Onnx) => Some(Format::Onnx),
        _ => None,
    };
    if let Some(format) = magic {
        return format;
    }
    if !is_text(sample) {
        return Format::Other;
    }
    match by_name(name) {
        Some(said @ (Format::Csv | Format::Json | Format::Text)) => said,
        Some(Format::JsonLines) => Format::JsonLines,
        _ => match sample.trim_ascii_start().first() {
            Some(b'{' | b'[') if json::are_lines(sample) => Format::JsonLines,
            Some(b'{' | b'[') if json::begins(sample) => Format::Json,
            _ if csv::delimiter(name, sample).is_some() => Format::Csv,
            _ => Format::Text,
        },
    }
}

/// Whether this is how text in UTF-8 begins. Its last character may be cut.
fn is_text(sample: &[u8]) -> bool {
    let controls = |text: &str| text.chars().any(|each| each.is_control() && !"\t\r\n\u{c}".contains(each));
    match std::str::from_utf8(sample) {
        Ok(text) => !controls(text),
        Err(error) => {
            let (valid, _) = sample.split_at(error.valid_up_to());
            error.error_len().is_none()
                && !valid.is_empty()
                && std::str::from_utf8(valid).is_ok_and(|text| !controls(text))
        }
    }
}
