//! `stoa data look`: what a file or folder is, and what publishing it would tell.

use crate::{
    output,
    progress::{bytes, size},
};
use clap::Args;
use eyre::Result;
use std::path::{Path, PathBuf};
use stoa_client::{counted, plain};
use stoa_data::{
    ddo::MOST_COLUMNS,
    look::{Header, Looked, Looking, Unseen, look},
};

/// Columns that are shown of a table.
const SHOWN: usize = 40;

/// Options of `stoa data look`.
#[derive(Args)]
pub(crate) struct LookOptions {
    /// The file or folder.
    pub(super) path: PathBuf,
    #[command(flatten)]
    pub(super) header: HeaderOptions,
}

/// Whether tables have a header, where that should not be guessed.
#[derive(Args)]
pub(super) struct HeaderOptions {
    /// Tables have a header: their first rows name the columns, even if they do not look like it.
    #[arg(long)]
    header: bool,
    /// Tables have no header: their first rows are values, and columns are called by their numbers.
    #[arg(long, conflicts_with = "header")]
    no_header: bool,
}

impl HeaderOptions {
    pub(super) const fn header(&self) -> Header {
        match (self.header, self.no_header) {
            (true, _) => Header::First,
            (_, true) => Header::None,
            _ => Header::Guessed,
        }
    }
}

/// Looks at a file or folder, and shows how far it has come.
pub(super) fn looked(path: &Path, header: Header) -> Result<Looked> {
    let bar = bytes("looking", size(path));
    let looked = look(path, Looking { header, ..Looking::default() }, &|bytes| bar.inc(bytes));
    bar.finish_and_clear();
    Ok(looked?)
}

/// `stoa data look`.
pub(crate) fn run_look(options: &LookOptions, json: bool) -> Result<()> {
    let looked = looked(&options.path, options.header.header())?;
    match json {
        true => println!("{}", serde_json::to_string(&looked)?),
        false => show(&looked),
    }
    Ok(())
}

/// What was found, for people: what would be public, then what would not, and whether it can be published.
fn show(looked: &Looked) {
    show_public(looked);
    show_own(looked);
    if let Some(unkept) = &looked.unkept {
        println!("A problem: publishing it stops at {}. Take it away, {PASSED_OVER}", plain(unkept));
    }
}

/// What becomes of a link, where the data are copied for a node that computes on them.
pub(super) const PASSED_OVER: &str = "or publish with --compute, which passes over what is neither a file nor a folder";

/// What would be public.
pub(super) fn show_public(looked: &Looked) {
    println!("What publishing it would tell everybody:");
    println!("  format   {}", looked.format);
    println!(
        "  size     {}, {} {}",
        output::bytes(looked.bytes),
        looked.files,
        if looked.files == 1 { "file" } else { "files" }
    );
    let Some(table) = &looked.table else { return };
    match table.rows {
        Some(rows) => println!("  rows     {rows}"),
        None => println!("  rows     not counted"),
    }
    let unnamed =
        if table.header { "" } else { ", called by their numbers: if the first row names them, say --header" };
    println!("  columns  {}{unnamed}", table.width);
    let named = table.columns.len().min(MOST_COLUMNS);
    for column in table.columns.iter().take(SHOWN.min(named)) {
        println!("    {:<9} {}", format!("{:?}", column.kind).to_lowercase(), plain(&column.name));
    }
    if named > SHOWN {
        println!("    and {} more (--json shows them)", named - SHOWN);
    }
    if table.width > named as u64 {
        println!(
            "    of those after the first {named} it tells how many there are, and searches do not find them by name"
        );
    }
}

/// What would not be, and what there is to know before.
pub(super) fn show_own(looked: &Looked) {
    let own = own(looked);
    if !own.is_empty() {
        println!("What it tells nobody but you:");
        own.iter().for_each(|line| println!("  {line}"));
    }
    if let Some(problem) = &looked.problem {
        println!("A problem: {}", plain(problem));
    }
    warn(looked);
}

/// What would not be public, line by line.
fn own(looked: &Looked) -> Vec<String> {
    let mut lines: Vec<_> = looked
        .formats
        .iter()
        .map(|(format, count)| format!("{} of {format}, {}", count.files, output::bytes(count.bytes)))
        .collect();
    let missing = looked.table.iter().flat_map(|table| &table.columns).filter(|column| column.missing > Some(0));
    lines.extend(missing.take(SHOWN).map(|column| {
        let missing = column.missing.unwrap_or(0);
        let are = if missing == 1 { "is" } else { "are" };
        format!("{} {are} missing in {}", counted(missing, "value"), plain(&column.name))
    }));
    lines.extend(looked.picture.map(|picture| format!("{} by {} pixels", picture.width, picture.height)));
    if let Some(model) = &looked.model {
        let count = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
        let kind = plain(model.architecture.as_deref().unwrap_or("a model"));
        lines.push(format!("{kind}: {} tensors, {} parameters", count(model.tensors), count(model.parameters)));
    }
    if let Some(licence) = &looked.licence {
        let name = licence.name.as_deref().unwrap_or("a text that is none of the known");
        lines.push(format!("licence  {} ({})", plain(name), plain(&licence.file)));
    }
    if looked.skipped > 0 {
        lines.push(format!("links and other things that are no files, not looked at: {}", looked.skipped));
    }
    if !looked.whole {
        lines.push("not all of it was looked at".to_owned());
    }
    lines
}

/// What looks personal.
pub(super) fn warn(looked: &Looked) {
    for warning in &looked.warnings {
        let place = warning.file.as_ref().map_or_else(String::new, |file| format!(" in {}", plain(file)));
        let look = if warning.values == 1 { "looks" } else { "look" };
        let values = format!("{} {look} so", counted(warning.values, "value"));
        let why = match (warning.values, warning.by_name) {
            (0, _) => "it is called so".to_owned(),
            (_, false) => values,
            (_, true) => format!("it is called so, and {values}"),
        };
        match warning.column.is_empty() {
            true => println!("Warning: there seem to be {} in the text{place}: {}", warning.kind, warning.values),
            false => println!("Warning: column {:?}{place} looks like {}: {why}", warning.column, warning.kind),
        }
    }
    for Unseen { why, files, file } in &looked.unseen {
        let which = match (file, files) {
            (Some(file), 1) => format!(" ({})", plain(file)),
            (Some(file), files) => format!(" ({files} files, {} the first of them)", plain(file)),
            (None, _) => String::new(),
        };
        println!("Warning: not looked into for personal data: {why}{which}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_stands_over_something_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rows.csv");
        std::fs::write(&file, "age,chol\n63,233\n").unwrap();
        assert_eq!(own(&looked(&file, Header::Guessed).unwrap()), Vec::<String>::new());
        std::fs::write(&file, "age,chol\n63,\n").unwrap();
        assert_eq!(own(&looked(&file, Header::Guessed).unwrap()), ["1 value is missing in chol"]);
        std::fs::write(&file, "age,ch\u{202e}ol\n63,\n").unwrap();
        assert_eq!(own(&looked(&file, Header::Guessed).unwrap()), ["1 value is missing in ch ol"]);
    }
}
