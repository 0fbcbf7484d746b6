//! What people and programs see.

use owo_colors::{OwoColorize as _, Stream};
use serde_json::json;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Logs go to standard error; `RUST_LOG` says how much of them.
pub(crate) fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error,stoa=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
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
