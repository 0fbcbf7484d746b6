//! Logistic regression over data that stay where they are: federated averaging
//! ([McMahan et al. 2017](https://arxiv.org/abs/1602.05629)).
//!
//! ```text
//!   at each site                    the aggregator                                    at each site
//!   summarize ── sums, counts ──▶   combine ── means, deviations, zero weights ──▶    train
//!   train     ── weights, rows ──▶  combine ── weights, averaged by rows ──▶          train ... and evaluate
//!   evaluate  ── counts ──▶         combine ── accuracy, AUC
//! ```
//!
//! One program has all steps; the parameter `step` says which one a run takes. It reads `/data/params.json` and what else is in
//! `/data` (one CSV file at a site, results of sites at the aggregator) and writes `/out/result.json`. What `combine` writes is
//! given to the next step as its parameter `model`, as it is. The interface in full: `docs/algorithms.md`.
//!
//! Results are sums and averages over at least [`MIN_ROWS`](table::MIN_ROWS) rows. That alone is no anonymity: many of them
//! together can tell something of single rows.
//!
//! Whatever it reads is hostile. Errors name columns and lines, never what is in them, for the log may leave the site.

mod combine;
mod csv;
mod error;
mod evaluate;
mod files;
mod json;
mod model;
mod params;
mod summary;
mod table;

use error::Error;
use json::Value;
use params::{Params, Step};
use std::{env, fs, path::Path, process::ExitCode};

fn main() -> ExitCode {
    // Other places than the sandbox's, to try it without one.
    let words: Vec<_> = env::args_os().skip(1).collect();
    let (data, out) = match words.as_slice() {
        [] => (Path::new("/data"), Path::new("/out")),
        [data, out] => (Path::new(data), Path::new(out)),
        _ => {
            eprintln!("usage: federated [DATA OUT]");
            return ExitCode::FAILURE;
        }
    };
    let written = run(data).and_then(|result| {
        let file = out.join("result.json");
        fs::write(&file, format!("{result}\n"))
            .map_err(|error| Error::new(format!("cannot write {}: {error}", file.display())))
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Takes the step that the parameters ask for, and returns what is to be written.
fn run(data: &Path) -> Result<Value, Error> {
    let params = Params::parse(&files::params(data)?)?;
    let result = match &params.step {
        Step::Summarize(step) => summary::summarize(&files::table(data)?, step)?.write(),
        Step::Train(step) => model::train(&files::table(data)?, step)?.write(),
        Step::Evaluate(step) => evaluate::evaluate(&files::table(data)?, step)?.write(),
        Step::Combine => combine::combine(&files::results(data)?)?,
    };
    if !result.is_finite() {
        return Err(Error::new("the result has numbers without bounds: a lower learning_rate may help"));
    }
    Ok(result)
}

#[cfg(test)]
mod tests;
