//! The mean and the standard deviation of one column of a table that stays where it is.

use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Fewer rows than that are nobody's business. A constant, for parameters come from whoever wants to know.
const MIN_ROWS: usize = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    column: String,
}

#[derive(Debug, PartialEq, Serialize)]
struct Summary {
    rows: usize,
    /// Their mean and their deviation.
    values: [f64; 2],
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // It may be shown to whoever sent the job: no value of the table.
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let params = fs::read("/data/params.json").map_err(|_| "the parameter \"column\" is missing")?;
    let params: Params = serde_json::from_slice(&params)
        .map_err(|error| format!("the parameter \"column\" is missing or no text: {error}"))?;
    let table = fs::read(table(Path::new("/data"))?).map_err(|error| format!("the table: {error}"))?;
    let table = String::from_utf8(table).ok().filter(|table| !table.contains('\0'));
    let table = table.ok_or("the table is no text in UTF-8")?;
    let summary = summarize(&values(&table, &params.column)?)?;
    let result = serde_json::to_string(&summary).map_err(|error| error.to_string())?;
    fs::write("/out/result.json", result).map_err(|error| format!("/out/result.json: {error}"))
}

/// The one CSV file in a folder.
fn table(folder: &Path) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut tables = paths.filter(|path| path.extension().is_some_and(|ending| ending == "csv"));
    match (tables.next(), tables.next()) {
        (Some(table), None) => Ok(table),
        (None, _) => Err("there is no CSV file".into()),
        (Some(_), Some(_)) => Err("there is more than one CSV file".into()),
    }
}

/// A number as the README says; `parse` alone takes more, and not the same as other languages do.
fn number(cell: &str) -> Option<f64> {
    let plain = cell.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    cell.parse().ok().filter(|value: &f64| plain && value.is_finite())
}

/// The numbers in a column; what is missing is left out.
fn values(table: &str, column: &str) -> Result<Vec<f64>, String> {
    // Excel puts a mark before it.
    let table = table.strip_prefix('\u{feff}').unwrap_or(table);
    let header = table.split('\n').next().unwrap_or_default();
    let separator = [',', ';', '\t', '|'].into_iter().find(|each| header.contains(*each)).unwrap_or(',');
    let (mut at, mut values) = (None, Vec::new());
    for (count, line) in (1..).zip(table.split('\n')) {
        if line.contains('"') {
            return Err(format!("line {count} has quotes, which this program does not read"));
        }
        let mut cells = line.split(separator).map(|cell| cell.trim_matches([' ', '\t', '\r']));
        let Some(at) = at else {
            at = cells.position(|name| name == column);
            at.ok_or_else(|| format!("there is no column {column:?}"))?;
            continue;
        };
        let Some(cell) = cells.nth(at).filter(|cell| !cell.is_empty()) else { continue };
        values.push(number(cell).ok_or_else(|| format!("line {count}: column {column:?} is no number"))?);
    }
    Ok(values)
}

fn summarize(values: &[f64]) -> Result<Summary, String> {
    let rows = values.len();
    if rows < MIN_ROWS {
        return Err(format!("fewer than {MIN_ROWS} rows"));
    }
    let mean = values.iter().sum::<f64>() / rows as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    // Of a sample: over one less than the rows.
    let deviation = (squares / (rows - 1) as f64).sqrt();
    Ok(Summary { rows, values: [mean, deviation] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_left_out_and_few_rows_say_nothing() {
        let table = format!("age,weight\n{}", "2,\n4,1\n".repeat(10));
        assert_eq!(summarize(&values(&table, "age").unwrap()).unwrap().values[0], 3.0);
        assert_eq!(values(&table, "weight").unwrap().len(), 10);
        assert!(values(&table, "height").is_err());
        assert!(summarize(&[1.0; 9]).is_err());
    }

    #[test]
    fn a_number_is_decimal_and_a_table_may_come_from_excel() {
        for (cell, value) in [("5", 5.0), ("-0.5", -0.5), (".5e1", 5.0), ("+5.", 5.0), ("1E3", 1000.0)] {
            assert_eq!(number(cell), Some(value), "{cell}");
        }
        for cell in ["", "x", "NaN", "inf", "1e999", "0x10", "1_000", "1 000", "1,5", "e5", "."] {
            assert_eq!(number(cell), None, "{cell}");
        }
        assert_eq!(values("\u{feff}age;weight\r\n 5 ;1,5\r\n", "age"), Ok(vec![5.0]));
    }
}
