//! Asking on the terminal for what nobody should see.
//!
//! While somebody types, the terminal shows nothing and turns no key into a signal: Ctrl-C is read as a character, and raised as a
//! signal then. Whatever signal ends the program meanwhile, the terminal is put back first as it was.

use libc::{SIG_DFL, SIG_IGN, SIGHUP, SIGINT, SIGQUIT, SIGTERM, TCSANOW, c_int, termios};
use std::{fs::File, io, mem, os::fd::AsRawFd as _, ptr, sync::OnceLock};

/// The terminal, and how it was before anything was asked there.
static TERMINAL: OnceLock<(File, termios)> = OnceLock::new();

/// What ends a program: whoever types, the system, a terminal that is gone.
const ENDING: [c_int; 4] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];

/// Asks for a text, which is not shown while it is typed.
///
/// # Errors
///
/// If there is no terminal, or nothing can be read there.
pub(super) fn hidden(question: &str) -> io::Result<String> {
    let _guard = Guard::set()?;
    rpassword::prompt_password(question)
}

/// Ends the program as the signal would have done, with the terminal as it was.
#[expect(unsafe_code, reason = "calls of the system")]
extern "C" fn end(signal: c_int) {
    if let Some((terminal, before)) = TERMINAL.get() {
        put_back(terminal, before);
    }
    // SAFETY: a handler of signals may call both. The signal comes again when this one returns, and is not caught.
    unsafe {
        libc::signal(signal, SIG_DFL);
        libc::raise(signal);
    }
}

/// Puts the terminal back, unless it is another program's turn there.
#[expect(unsafe_code, reason = "calls of the system")]
fn put_back(terminal: &File, before: &termios) {
    let terminal = terminal.as_raw_fd();
    // SAFETY: a handler of signals may call all three; the terminal is open, and the settings are there for as long as this runs.
    unsafe {
        if libc::tcgetpgrp(terminal) == libc::getpgrp() {
            libc::tcsetattr(terminal, TCSANOW, before);
        }
    }
}

/// How a terminal is set.
#[expect(unsafe_code, reason = "calls of the system")]
fn settings(terminal: &File) -> io::Result<termios> {
    // SAFETY: settings of zeros are some, and what is written to them is as large as they are.
    unsafe {
        let mut settings = mem::zeroed();
        match libc::tcgetattr(terminal.as_raw_fd(), &raw mut settings) {
            0 => Ok(settings),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Has signals that end the program put the terminal back, until this is dropped. What was done about each of them before is done
/// again from then on.
struct Guard([libc::sigaction; ENDING.len()]);

impl Guard {
    fn set() -> io::Result<Self> {
        if TERMINAL.get().is_none() {
            let terminal = File::open("/dev/tty")?;
            let before = settings(&terminal)?;
            // Another thread that asks at the same time has found it the same.
            let _ = TERMINAL.set((terminal, before));
        }
        Ok(Self(ENDING.map(caught)))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        for (signal, before) in ENDING.into_iter().zip(&self.0) {
            again(signal, before);
        }
    }
}

/// Has a signal caught, unless it is ignored; what was done about it before.
#[expect(unsafe_code, reason = "calls of the system")]
fn caught(signal: c_int) -> libc::sigaction {
    // SAFETY: an action of zeros is the usual one, nothing is masked in it, and the handler calls nothing that a handler may not.
    let before = unsafe {
        let (mut before, mut now) = (mem::zeroed::<libc::sigaction>(), mem::zeroed::<libc::sigaction>());
        now.sa_sigaction = end as *const () as libc::sighandler_t;
        libc::sigaction(signal, &raw const now, &raw mut before);
        before
    };
    if before.sa_sigaction == SIG_IGN {
        again(signal, &before);
    }
    before
}

/// Has done about a signal what was done before.
#[expect(unsafe_code, reason = "calls of the system")]
fn again(signal: c_int, before: &libc::sigaction) {
    // SAFETY: it is what the system said of this signal.
    unsafe {
        libc::sigaction(signal, before, ptr::null_mut());
    }
}
