//! Processes beside each other: those on the same data alone, whoever has them run. Jobs and checks wait for that
//! [without a turn](super::turns). What comes here all the same, as one on an asset whose files were others when the one before began, waits
//! here.

use parking_lot::{Condvar, Mutex};
use std::{collections::VecDeque, path::PathBuf, time::Duration};
use stoa_sandbox::{Control, Ended, Error, Job, Log, Outcome, Output, Runtime, RuntimeId, Source, Used};

/// How often is looked whether a program that waits was cancelled.
const CANCELLED: Duration = Duration::from_millis(200);

/// Runs programs on the same data at the same time, and those on other data after them, in the order in which they came.
pub(super) struct Alone<R> {
    runtime: R,
    programs: Mutex<Programs>,
    changed: Condvar,
}

#[derive(Default)]
struct Programs {
    running: usize,
    /// What those that run see.
    on: Option<Vec<PathBuf>>,
    /// Numbers of those that wait, and how many there were.
    waiting: VecDeque<u64>,
    count: u64,
}

/// A program that runs.
struct Runs<'a, R>(&'a Alone<R>);

impl<R> Drop for Runs<'_, R> {
    fn drop(&mut self) {
        self.0.programs.lock().running -= 1;
        self.0.changed.notify_all();
    }
}

/// Whether a program never ran: it was cancelled while it waited here.
pub(super) fn never_ran(outcome: &Outcome) -> bool {
    outcome.ended == Ended::Cancelled && outcome.used == Used::default()
}

/// Where the data of a job lie, if all of them do so on the disk.
fn data_of(job: &Job) -> Option<Vec<PathBuf>> {
    let places = job.inputs.iter().map(|input| match &input.source {
        Source::Path(path) => Some(path.clone()),
        Source::Bytes(_) => None,
    });
    places.collect::<Option<Vec<_>>>().filter(|places| !places.is_empty())
}

impl<R> Alone<R> {
    pub(super) fn new(runtime: R) -> Self {
        Self { runtime, programs: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits until nothing runs on other data; nothing if the job is cancelled before. Of a job whose data lie nowhere all others are on
    /// others.
    fn wait(&self, job: &Job, control: &Control) -> Option<Runs<'_, R>> {
        let (on, mut programs) = (data_of(job), self.programs.lock());
        let number = programs.count;
        programs.count += 1;
        programs.waiting.push_back(number);
        loop {
            let cancelled = control.is_cancelled();
            let is_next = programs.waiting.front() == Some(&number);
            let may = is_next && (programs.running == 0 || (on.is_some() && programs.on == on));
            if cancelled || may {
                programs.waiting.retain(|waits| *waits != number);
                // The next one may be on the same.
                self.changed.notify_all();
            }
            if cancelled {
                return None;
            }
            if may {
                (programs.running, programs.on) = (programs.running + 1, on);
                return Some(Runs(self));
            }
            self.changed.wait_for(&mut programs, CANCELLED);
        }
    }
}

impl<R: Runtime> Runtime for Alone<R> {
    fn id(&self) -> RuntimeId {
        self.runtime.id()
    }

    fn deterministic(&self) -> bool {
        self.runtime.deterministic()
    }

    fn prepare(&self, job: &Job) -> Result<(), Error> {
        self.runtime.prepare(job)
    }

    fn run(&self, job: &Job, control: &Control) -> Result<Outcome, Error> {
        match self.wait(job, control) {
            Some(_runs) => self.runtime.run(job, control),
            None => Ok(Outcome {
                ended: Ended::Cancelled,
                output: Output::default(),
                log: Log::default(),
                used: Used::default(),
                deterministic: false,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, thread, time::Instant};
    use stoa_sandbox::Input;

    /// How long a test waits for what is to come at once.
    const LONG: Duration = Duration::from_secs(60);

    /// Says when a program begins and ends, which is when it is cancelled.
    struct Says(mpsc::Sender<(PathBuf, bool)>);

    impl Runtime for Says {
        fn id(&self) -> RuntimeId {
            RuntimeId("says".into())
        }

        fn deterministic(&self) -> bool {
            false
        }

        fn run(&self, job: &Job, control: &Control) -> Result<Outcome, Error> {
            let place = data_of(job).unwrap().remove(0);
            self.0.send((place.clone(), true)).unwrap();
            let until = Instant::now() + 2 * LONG;
            while !control.is_cancelled() && Instant::now() < until {
                thread::sleep(Duration::from_millis(5));
            }
            self.0.send((place, false)).unwrap();
            Err(Error::Machine("it ran".into()))
        }
    }

    fn job(place: &str) -> Job {
        let source = Source::Path(place.into());
        Job { inputs: vec![Input { name: "rows.csv".into(), source }], ..Job::new(&b"#!/bin/sh\n"[..]) }
    }

    #[test]
    fn programs_on_other_data_wait_until_nothing_else_runs_and_come_in_their_order() {
        let (says, said) = mpsc::channel();
        let alone = Alone::new(Says(says));
        let next = || said.recv_timeout(LONG).unwrap();
        let (begins, ends) = (|place: &str| (PathBuf::from(place), true), |place: &str| (PathBuf::from(place), false));
        thread::scope(|scope| {
            let begin = |place: &'static str, waiting: usize| {
                let (control, alone) = (Control::new(), &alone);
                let own = control.clone();
                let run = scope.spawn(move || alone.run(&job(place), &own));
                let until = Instant::now() + LONG;
                while alone.programs.lock().waiting.len() < waiting && Instant::now() < until {
                    thread::sleep(Duration::from_millis(5));
                }
                (control, run)
            };
            let (one, _) = begin("strict", 0);
            assert_eq!(next(), begins("strict"));
            let (same, _) = begin("strict", 0);
            assert_eq!(next(), begins("strict"), "on the same data both run");
            let (other, _) = begin("open", 1);
            let (gone, given_up) = begin("open", 2);
            let (behind, _) = begin("strict", 3);
            one.cancel();
            assert_eq!(next(), ends("strict"));
            gone.cancel();
            let cancelled = given_up.join().unwrap().unwrap();
            assert!(never_ran(&cancelled), "{cancelled:?}");
            assert!(said.try_recv().is_err(), "one on the other data runs still");
            same.cancel();
            assert_eq!([next(), next()], [ends("strict"), begins("open")]);
            other.cancel();
            assert_eq!([next(), next()], [ends("open"), begins("strict")]);
            behind.cancel();
            assert_eq!(next(), ends("strict"));
        });
    }

    #[test]
    fn a_job_without_data_runs_beside_no_other() {
        assert_eq!(data_of(&Job::new(&b"#!/bin/sh\n"[..])), None);
        let bytes = Source::from(&b"63"[..]);
        let mut job = job("strict");
        job.inputs.push(Input { name: "more.csv".into(), source: bytes });
        assert_eq!(data_of(&job), None);
    }
}
