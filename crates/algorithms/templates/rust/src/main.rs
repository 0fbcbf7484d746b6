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
    let table = fs::read_to_string(table(Path::new("/data"))?).map_err(|error| format!("the table: {error}"))?;
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

/// The numbers in a column; what is missing is left out.
fn values(table: &str, column: &str) -> Result<Vec<f64>, String> {
    let mut lines = table.lines();
    let mut names = lines.next().unwrap_or_default().split(',');
    let at = names.position(|name| name == column).ok_or_else(|| format!("there is no column {column:?}"))?;
    let mut values = Vec::new();
    for (number, line) in (2..).zip(lines) {
        if line.contains('"') {
            return Err(format!("line {number} has quotes, which this program does not read"));
        }
        let Some(cell) = line.split(',').nth(at).filter(|cell| !cell.is_empty()) else { continue };
        let value = cell.parse().ok().filter(|value: &f64| value.is_finite());
        values.push(value.ok_or_else(|| format!("line {number}: column {column:?} is no number"))?);
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
}
