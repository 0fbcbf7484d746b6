//! What people and programs see.

use clap::ValueEnum;
use owo_colors::{OwoColorize as _, Stream};
use serde_json::json;
use std::{
    io::IsTerminal as _,
    sync::{Arc, OnceLock},
};
use tracing_subscriber::EnvFilter;

/// How logs are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line, for programs.
    Json,
}

/// Logs go to standard error; `RUST_LOG` says how much of them.
pub(crate) fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off,stoa=warn"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

/// What the program stopped on without being told to.
#[derive(Clone, Default)]
pub(crate) struct Fault(Arc<OnceLock<String>>);

/// From now on the first fault is remembered, to be said in words, and its details are logged.
pub(crate) fn catch_faults() -> Fault {
    let fault = Fault::default();
    let first = fault.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or("no message").to_owned();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::debug!(%message, %place, "a fault");
        let _ = first.0.set(message);
    }));
    fault
}

impl Fault {
    /// The error to end with.
    pub(crate) fn report(&self) -> eyre::Report {
        let message = self.0.get().map_or("no reason was given", String::as_str);
        let remedy = stoa_node::REMEDY;
        eyre::eyre!("{message}").wrap_err(format!("the node cannot go on. {remedy} (RUST_LOG=debug tells more)"))
    }
}

/// Says what went wrong, and why, outermost first.
pub(crate) fn failure(error: &eyre::Report, json: bool) {
    let causes = error.chain().map(ToString::to_string).collect::<Vec<_>>();
    if json {
        println!("{}", json!({ "error": causes.join(": ") }));
    } else {
        let label = "error:".if_supports_color(Stream::Stderr, |text| text.red());
        eprintln!("{label} {}", causes.join("\n  because: "));
    }
}

/// A heading of the tour.
pub(crate) fn heading(number: usize, text: &str) {
    let number = format!("{number}.");
    let number = number.if_supports_color(Stream::Stdout, |text| text.bold());
    println!("\n{number} {}", text.if_supports_color(Stream::Stdout, |text| text.bold()));
}

/// A line below a heading.
pub(crate) fn line(text: impl std::fmt::Display) {
    println!("   {text}");
}

/// Text for a terminal: what would steer it is left out.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// A size for people: `1.5 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} bytes");
    }
    let unit = (count.ilog2() as usize / 10).min(UNITS.len());
    format!("{:.1} {}", count as f64 / (1u64 << (10 * unit)) as f64, UNITS[unit - 1])
}
