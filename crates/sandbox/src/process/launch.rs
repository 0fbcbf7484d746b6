//! How this executable comes into a sandbox, to take Landlock's rules upon itself where bubblewrap cannot.

use super::landlock;
use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt as _,
    process::{self, Command},
    sync::atomic::{AtomicBool, Ordering},
};

/// The first argument of this executable in a sandbox. There follow the descriptor of the rules, the number of variables, their
/// names and values, and the program's command line.
pub(super) const WORD: &str = "--launch-in-sandbox";

/// Whether this executable does what is asked of it by that argument.
static READY: AtomicBool = AtomicBool::new(false);

/// To be called first in `main` by whoever runs a [`Process`](crate::Process), so that its programs are under Landlock.
///
/// A sandbox starts the executable that it was made by once more, inside. There this takes Landlock's rules upon itself and
/// becomes the job's program; everywhere else it returns at once. In an executable that has not called it, a
/// [`Process`](crate::Process) does without Landlock.
pub fn launch() {
    let mut words = env::args_os().skip(1);
    if words.next().is_none_or(|word| *word != *WORD) {
        return READY.store(true, Ordering::Relaxed);
    }
    // As bubblewrap ends where it cannot execute a program.
    eprintln!("{}", become_program(words));
    process::exit(1)
}

/// Whether [`launch`] was called.
pub(super) fn is_ready() -> bool {
    READY.load(Ordering::Relaxed)
}

/// Becomes a program, under rules. Returns why it could not.
fn become_program(mut words: impl Iterator<Item = OsString>) -> String {
    let mut number = || words.next()?.to_str()?.parse().ok();
    let (Some(rules), Some(variables)) = (number(), number()) else {
        return format!("{WORD} is for sandboxes alone");
    };
    if let Err(error) = landlock::take(rules) {
        return format!("Landlock's rules: {error}");
    }
    // Not this process's own: the loader does what some of them say, which must not be before there are rules.
    let variables: Vec<_> = (0..variables).map_while(|_| Some((words.next()?, words.next()?))).collect();
    let Some(program) = words.next() else { return "there is no program".into() };
    let error = Command::new(&program).args(words).envs(variables).exec();
    format!("{}: {error}", program.display())
}
