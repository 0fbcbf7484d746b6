//! Programs in Python that do what programs do and should not do.

mod attacks;
mod files;
mod walls;

use super::*;
use crate::{Input, Source};
use std::sync::LazyLock;

/// The `main` of tests is not ours, so this is called before it.
#[used]
#[unsafe(link_section = ".init_array")]
#[expect(unsafe_code, reason = "what is called before `main`")]
static LAUNCH: extern "C" fn() = {
    extern "C" fn call() {
        launch();
    }
    call
};

static PROCESS: LazyLock<Process> = LazyLock::new(|| Process::new().unwrap());

/// A job that runs a script.
fn script(text: &str) -> Job {
    let limits = Limits {
        cpu: Duration::from_secs(20),
        wall: Duration::from_secs(60),
        memory: 256 << 20,
        output_bytes: 1 << 20,
        output_files: 20,
        scratch_bytes: 4 << 20,
        log_bytes: 10_000,
        processes: 16,
        ..Limits::default()
    };
    let command = ["python3", "/code/main"].map(str::to_owned).to_vec();
    Job { limits, command, ..Job::new(text.as_bytes()) }
}

fn run(job: &Job) -> Outcome {
    PROCESS.run(job, &Control::new()).unwrap()
}

/// Runs a script that has to succeed; what it printed.
fn says(text: &str) -> String {
    let outcome = run(&script(text));
    assert!(outcome.succeeded(), "{:?}\n{}", outcome.ended, outcome.log.text());
    outcome.log.text()
}
