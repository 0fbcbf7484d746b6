//! What people and programs see.

use chrono::{DateTime, SecondsFormat, Utc};
use clap::ValueEnum;
use owo_colors::{OwoColorize as _, Stream};
use serde_json::{Value, json};
use std::{
    env::VarError,
    ffi::OsString,
    fmt,
    io::{self, IsTerminal as _, StdoutLock, Write},
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::SystemTime,
};
use stoa_client::{counted, plain};
use tracing_subscriber::EnvFilter;

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line, for programs.
    Json,
}

/// What is logged unless `RUST_LOG` says something else. The storage of consensus cuts off what it cannot read: votes, for
/// example.
const USUAL: &str = "off,stoa=warn,commonware_runtime::utils::buffer::paged=warn,commonware_storage::journal::segmented=warn,\
                     commonware_storage::metadata=warn";

/// What is logged where `RUST_LOG` says this; with what is wrong, if it says nothing that can be understood.
fn filter(said: Result<String, VarError>) -> (EnvFilter, Option<String>) {
    let why = match said {
        Ok(said) => match EnvFilter::builder().parse(&said) {
            Ok(filter) => return (filter, None),
            Err(error) => Some(format!("{said:?}: {error}")),
        },
        Err(VarError::NotPresent) => None,
        Err(VarError::NotUnicode(said)) => Some(format!("{said:?}: it is not UTF-8")),
    };
    (EnvFilter::new(USUAL), why)
}

/// Logs go to standard error; `RUST_LOG` says how much of them.
pub(crate) fn log(format: LogFormat) {
    let (filter, wrong) = filter(std::env::var(EnvFilter::DEFAULT_ENV));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    if let Some(why) = wrong {
        tracing::warn!(
            %why,
            "RUST_LOG cannot be understood: what is logged is as with RUST_LOG={USUAL} (want, for example, RUST_LOG=stoa=info or \
             RUST_LOG=stoa_consensus=debug,stoa=warn)"
        );
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
        // What `println!` says of what it cannot write.
        if let Some(why) = message.strip_prefix("failed printing to stdout: ") {
            return eyre::eyre!("{UNWRITTEN}{why}");
        }
        let what = "the program stopped on a fault of its own, not on what was typed (RUST_LOG=debug tells more)";
        eyre::eyre!("{message}").wrap_err(what)
    }
}

const UNWRITTEN: &str = "cannot write to standard output: ";

fn unwritten(why: io::Error) -> io::Error {
    io::Error::new(why.kind(), format!("{UNWRITTEN}{why}"))
}

/// Standard output, for content. What fails there says that it was there.
pub(crate) struct Stdout(StdoutLock<'static>);

impl Stdout {
    pub(crate) fn lock() -> Self {
        Self(io::stdout().lock())
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(unwritten)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(unwritten)
    }
}

/// As a shell tells it of a program that nobody reads from any more: 128, and the number of SIGPIPE.
const CLOSED: u8 = 141;

/// The number of the error that a pipe is closed, on all systems of Unix.
const EPIPE: i32 = 32;

/// Whether whoever read standard output has heard enough.
fn is_closed(error: &eyre::Report) -> bool {
    // The words of the system's own error, as `println!` and `Stdout` pass it on.
    let closed = unwritten(io::Error::from_raw_os_error(EPIPE)).to_string();
    error.chain().any(|cause| cause.to_string() == closed)
}

const UNANSWERED: &str = "no node answers at ";

/// That no node answers at `url`, in words to which [`failure`] adds what to do.
pub(crate) fn unanswered(url: &str) -> String {
    format!("{UNANSWERED}{url}")
}

/// What to do where no node answers.
const NAME_A_NODE: &str = "`stoa up` runs some nodes here; --http names another";

/// What whoever is told of these causes can do about them, if more than they say.
fn hint(causes: &[String]) -> Option<&'static str> {
    // The words of `ClientError::Unreachable`, within whatever others pass them on.
    let unreached = |cause: &str| cause.contains("the node at ") && cause.contains(" cannot be reached: ");
    let nobody = causes.iter().any(|cause| cause.starts_with(UNANSWERED) || unreached(cause));
    nobody.then_some(NAME_A_NODE)
}

/// An error that programs have read already, as `error` of the one object that was printed for them: only people are told of it.
#[derive(Debug)]
pub(crate) struct AlreadySaid(String);

impl AlreadySaid {
    /// Adds to what programs are about to read why this is no success, if it is none; the error to end with then.
    pub(crate) fn within(said: &mut Value, why: Option<String>) -> Result<(), Self> {
        match why {
            Some(why) => {
                said["error"] = why.as_str().into();
                Err(Self(why))
            }
            None => Ok(()),
        }
    }
}

impl fmt::Display for AlreadySaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AlreadySaid {}

/// Whether whoever reads standard output has been told of it there.
fn is_said(error: &eyre::Report, json: bool) -> bool {
    json && error.downcast_ref::<AlreadySaid>().is_some()
}

/// Says what went wrong, and why, outermost first, and what to do; what the program ends with.
pub(crate) fn failure(error: &eyre::Report, json: bool, log: LogFormat) -> ExitCode {
    if is_closed(error) {
        return ExitCode::from(CLOSED);
    }
    if is_said(error, json) {
        return ExitCode::FAILURE;
    }
    let causes = error.chain().map(ToString::to_string).collect::<Vec<_>>();
    let hint = hint(&causes);
    if json && said(&causes.join(": "), hint) {
        return ExitCode::FAILURE;
    }
    if log == LogFormat::Json {
        let _ = writeln!(io::stderr(), "{}", logged(&causes.join(": "), hint));
    } else {
        let label = "error:".if_supports_color(Stream::Stderr, |text| text.red());
        let hint = hint.map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
        // If that fails, there is nobody to be told.
        let _ = writeln!(io::stderr(), "{label} {}{hint}", causes.join("\n  because: "));
    }
    ExitCode::FAILURE
}

/// An error for programs, and what to do about it.
fn told(error: &str, hint: Option<&str>) -> Value {
    let mut told = json!({ "error": error });
    if let Some(hint) = hint {
        told["hint"] = hint.into();
    }
    told
}

/// An error as a line of the log, of which whoever reads that needs to know whatever `RUST_LOG` says.
fn logged(error: &str, hint: Option<&str>) -> Value {
    let time = DateTime::<Utc>::from(SystemTime::now()).to_rfc3339_opts(SecondsFormat::Micros, true);
    let mut fields = json!({ "message": error });
    if let Some(hint) = hint {
        fields["hint"] = hint.into();
    }
    json!({ "timestamp": time, "level": "ERROR", "fields": fields, "target": "stoa" })
}

/// Tells programs of an error; whether that could be written.
fn said(error: &str, hint: Option<&str>) -> bool {
    writeln!(io::stdout(), "{}", told(error, hint)).is_ok()
}

/// Ends with what was typed wrong, or with the help that was asked for.
pub(crate) fn usage(error: &clap::Error, mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let text = error.to_string();
    let json = error.use_stderr() && arguments.any(|argument| argument == "--json");
    if !json || !said(text.strip_prefix("error: ").unwrap_or(&text).trim_end(), None) {
        let _ = error.print();
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// The beginning of a text of anybody's, on one line.
pub(crate) fn short(text: &str, most: usize) -> String {
    let text = plain(text);
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Refuses where nobody can be asked, as of a program, unless it was agreed to before (`--yes`); `first` is what to do before that.
pub(crate) fn askable(yes: bool, json: bool, first: &str) -> eyre::Result<()> {
    let there = io::stdin().is_terminal() && !json;
    eyre::ensure!(yes || there, "nobody is there to be asked: {first}, then say --yes");
    Ok(())
}

/// Asks on the terminal.
pub(crate) fn agreed(question: &str) -> io::Result<bool> {
    print!("{question} [y/N] ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
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

/// A size for people: `1.5 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return counted(count, "byte");
    }
    let unit = (count.ilog2() as usize / 10).min(UNITS.len());
    format!("{:.1} {}", count as f64 / (1u64 << (10 * unit)) as f64, UNITS[unit - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoa_client::{Client, ViewError};

    fn report(message: &str) -> eyre::Report {
        let fault = Fault::default();
        fault.0.set(message.to_owned()).unwrap();
        fault.report()
    }

    #[test]
    fn a_rust_log_that_cannot_be_understood_is_named_and_the_usual_is_logged() {
        for wrong in ["foo=bar=baz", "stoa=loud", "stoa=info,foo=bar=baz"] {
            let (filter, why) = filter(Ok(wrong.to_owned()));
            assert!(why.is_some_and(|why| why.contains(wrong)), "{wrong}");
            assert_eq!(filter.to_string(), EnvFilter::new(USUAL).to_string());
        }
        let (usual, why) = filter(Err(VarError::NotPresent));
        assert_eq!((usual.to_string(), why), (EnvFilter::new(USUAL).to_string(), None));
        let (said, why) = filter(Ok("stoa_consensus=debug".to_owned()));
        assert_eq!((said.to_string().as_str(), why), ("stoa_consensus=debug", None));
    }

    #[test]
    fn programs_are_not_asked_and_say_that_they_agree() {
        let why = askable(false, true, "look").unwrap_err().to_string();
        assert_eq!(why, "nobody is there to be asked: look, then say --yes");
        assert!(askable(true, true, "look").is_ok());
    }

    #[tokio::test]
    async fn whoever_reaches_no_node_is_told_what_to_do_whatever_the_command() {
        let client = Client::new("http://127.0.0.1:1");
        let unreached = async || client.block_number().await.unwrap_err();
        let causes = |error: eyre::Report| error.chain().map(ToString::to_string).collect::<Vec<_>>();
        for error in [
            eyre::Report::from(unreached().await),
            eyre::Report::from(ViewError::from(unreached().await)).wrap_err("nothing is known of it"),
            eyre::eyre!("not all could be done: {}", unreached().await),
            eyre::eyre!("its answer is none").wrap_err(unanswered(&client.url())),
        ] {
            let causes = causes(error);
            assert_eq!(told("", hint(&causes))["hint"], NAME_A_NODE, "{causes:?}");
        }
        let other = causes(eyre::eyre!("the disk is full").wrap_err("nothing was written"));
        assert_eq!(told("so it is", hint(&other)), json!({ "error": "so it is" }));
    }

    #[test]
    fn programs_read_one_object_also_of_what_fails() {
        let mut said = json!({ "holds": false });
        let error = AlreadySaid::within(&mut said, Some("it does not hold".into())).unwrap_err();
        assert_eq!(said, json!({ "holds": false, "error": "it does not hold" }));
        let error = eyre::Report::from(error).wrap_err("an audit");
        assert!(is_said(&error, true) && !is_said(&error, false), "people are told");
        assert!(!is_said(&eyre::eyre!("it does not hold"), true), "nobody was told of this one");
        let mut well = json!({ "holds": true });
        assert!(AlreadySaid::within(&mut well, None).is_ok() && well == json!({ "holds": true }));
    }

    #[test]
    fn where_the_log_is_for_programs_the_last_error_is_a_line_of_it() {
        let line = logged("the chain cannot be used: damaged data", Some("look"));
        assert_eq!(line["fields"], json!({ "message": "the chain cannot be used: damaged data", "hint": "look" }));
        assert_eq!(line["level"], "ERROR");
        let time = line["timestamp"].as_str().unwrap();
        assert!(DateTime::parse_from_rfc3339(time).is_ok() && time.ends_with('Z'), "{time}");
        assert_eq!(logged("no", None)["fields"], json!({ "message": "no" }));
    }

    #[test]
    fn what_the_storage_repairs_is_logged_unless_something_else_is_asked_for() {
        let usual = EnvFilter::new(USUAL).to_string();
        for part in ["commonware_runtime::utils::buffer::paged", "commonware_storage::journal::segmented"] {
            assert!(usual.contains(&format!("{part}=warn")), "{usual}");
        }
        let (filter, _) = filter(Ok("stoa=info".to_owned()));
        assert!(!filter.to_string().contains("commonware"), "{filter}");
    }

    #[test]
    fn output_that_cannot_be_written_is_said_unless_nobody_reads_it() {
        let full = report("failed printing to stdout: No space left on device (os error 28)");
        assert_eq!(full.to_string(), "cannot write to standard output: No space left on device (os error 28)");
        assert!(!is_closed(&full));
        assert!(is_closed(&report("failed printing to stdout: Broken pipe (os error 32)")));
        let other = format!("{:#}", report("out of range"));
        assert!(other.contains("out of range") && other.contains("a fault of its own"), "{other}");
        let closed = unwritten(io::Error::from_raw_os_error(EPIPE));
        assert!(is_closed(&eyre::Report::from(closed).wrap_err("it cannot be written to -")));
        assert!(!is_closed(&eyre::Report::from(io::Error::from_raw_os_error(EPIPE))));
    }
}
