//! One run of a program.

use super::{
    bounds::MOST_INSTANCES,
    fs::Files,
    program::Program,
    system::{Stop, System},
};
use crate::{Control, Ended, Error, Job, Outcome, Output, Used};
use rustix::time::{ClockId, clock_gettime};
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};
use wasmtime::{
    Engine, GcHeapOutOfMemory, Memory, OutOfMemory, ResourceLimiter, Result, Store, ThrownException, Trap,
    UnknownImportError, WasmtimeBug,
};

/// Steps between two looks at the time and at whether the run was cancelled: some milliseconds.
const SLICE: u64 = 2_000_000;

/// The state of a run, which the program's calls see.
pub(super) struct Run {
    pub system: System,
    /// A module's memory, once it is known.
    pub memory: Option<Memory>,
    /// Steps that it may use.
    pub fuel: u64,
    bounds: Bounds,
    watch: Watch,
}

/// Looks at what may end a run from outside.
#[derive(Clone)]
struct Watch {
    control: Control,
    deadline: Option<Instant>,
}

impl Watch {
    fn look(&self) -> Result<(), Stop> {
        if self.control.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        if self.deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Err(Stop::OutOfTime);
        }
        Ok(())
    }
}

impl Run {
    /// Begins a call of the system. Before each, for a program that did little but call would not come to the end of a slice.
    ///
    /// # Errors
    ///
    /// If the run is to end.
    pub fn begin(&mut self, left: u64) -> Result<(), Stop> {
        let used = self.fuel.saturating_sub(left);
        self.watch.control.set_fuel(used);
        self.watch.look()?;
        self.system.begin(used);
        Ok(())
    }
}

/// Memories and tables of a run, all together.
#[derive(Default)]
struct Bounds {
    limit: u64,
    used: u64,
    /// Whether the program was refused some.
    refused: bool,
    /// What the machine did not have. Where exceptions lie, wasmtime goes on without it.
    failed: Option<String>,
}

/// Bytes of an entry of a table.
const ENTRY: u64 = 16;

impl Bounds {
    fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>, unit: u64) -> bool {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return false;
        }
        let more = (desired.saturating_sub(current) as u64).saturating_mul(unit);
        let used = self.used.saturating_add(more);
        if used > self.limit {
            self.refused = true;
            return false;
        }
        self.used = used;
        true
    }

    /// What WebAssembly allows and the limits allow, but the machine does not have, may be had elsewhere: that is no result.
    fn fail(&mut self, error: wasmtime::Error) -> Result<()> {
        let error = error.context(NoMemory);
        self.failed.get_or_insert_with(|| format!("{error:#}"));
        Err(error)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the machine has no memory for this")]
struct NoMemory;

impl ResourceLimiter for Bounds {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        Ok(self.grow(current, desired, maximum, 1))
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> Result<()> {
        self.fail(error)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        Ok(self.grow(current, desired, maximum, ENTRY))
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> Result<()> {
        self.fail(error)
    }

    fn instances(&self) -> usize {
        MOST_INSTANCES
    }
}

fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Runs a program.
pub(super) fn run(engine: &Engine, program: &Program, job: &Job, control: &Control) -> Result<Outcome, Error> {
    let (started, processor) = (Instant::now(), processor_time());
    let limits = &job.limits;
    let watch = Watch { control: control.clone(), deadline: started.checked_add(limits.wall) };
    let state = Run {
        system: System::new(job, Files::new(job)?),
        memory: None,
        fuel: limits.fuel,
        bounds: Bounds { limit: limits.memory, ..Bounds::default() },
        watch: watch.clone(),
    };
    let failed = |error: wasmtime::Error| Error::Machine(format!("{error:#}"));
    let mut store = Store::try_new(engine, state).map_err(failed)?;
    store.limiter(|run| &mut run.bounds);
    store.set_fuel(limits.fuel).map_err(failed)?;
    store.fuel_async_yield_interval(Some(SLICE)).map_err(failed)?;

    let result = {
        let mut running = pin!(program.run(&mut store));
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Err(stop) = watch.look() {
                break Err(stop.into());
            }
            if let Poll::Ready(result) = running.as_mut().poll(&mut context) {
                break result;
            }
            control.set_fuel(control.fuel().saturating_add(SLICE));
        }
    };

    let left = store.get_fuel().map_err(failed)?;
    let mut run = store.into_data();
    if let Some(error) = run.system.files.take_failure() {
        return Err(error);
    }
    let Verdict { mut ended, deterministic } = judge(result, &run.bounds, program.is_component())?;
    if matches!(ended, Ended::Exited(_) | Ended::Trapped(_)) && run.system.files.output_exceeded() {
        ended = Ended::OutputTooLarge;
    }
    let fuel = limits.fuel - left.min(limits.fuel);
    control.set_fuel(fuel);
    Ok(Outcome {
        ended,
        deterministic,
        log: run.system.log,
        output: Output { files: run.system.files.into_output(), skipped: Vec::new() },
        used: Used {
            fuel,
            memory: run.bounds.used,
            cpu: processor_time().saturating_sub(processor),
            wall: started.elapsed(),
        },
    })
}

struct Verdict {
    ended: Ended,
    deterministic: bool,
}

/// What the way in which a program ended means. What is not known to be the program's doing is the machine's.
fn judge(result: Result<()>, bounds: &Bounds, component: bool) -> Result<Verdict, Error> {
    let certain = |ended| Ok(Verdict { ended, deterministic: true });
    let open = |ended| Ok(Verdict { ended, deterministic: false });
    if let Some(failed) = &bounds.failed {
        return Err(Error::Machine(failed.clone()));
    }
    let Err(error) = result else { return certain(Ended::Exited(0)) };
    let trapped = |why: &dyn std::fmt::Display| Ended::Trapped(why.to_string());
    match (error.downcast_ref::<Stop>(), error.downcast_ref::<Trap>()) {
        (Some(Stop::Exit(code)), _) => certain(Ended::Exited(*code)),
        (Some(Stop::Cancelled), _) => open(Ended::Cancelled),
        (Some(Stop::OutOfTime), _) => open(Ended::OutOfTime),
        (Some(stop @ (Stop::NoExport | Stop::TooManyResources | Stop::Misuse(_))), _) => certain(trapped(stop)),
        (_, Some(Trap::OutOfFuel)) => certain(Ended::OutOfFuel),
        // How deep a stack is depends on the processor that the code was compiled for.
        (_, Some(trap @ Trap::StackOverflow)) => open(trapped(trap)),
        _ if of_machine(&error) => Err(Error::Machine(format!("{error:#}"))),
        // Exceptions that a program keeps lie in a memory of their own.
        _ if bounds.refused || error.is::<GcHeapOutOfMemory<()>>() => certain(Ended::OutOfMemory),
        (_, Some(trap)) => certain(trapped(trap)),
        _ if error.is::<ThrownException>() => certain(trapped(&"an exception that nothing caught")),
        _ => match error.downcast_ref::<UnknownImportError>() {
            Some(unknown) => certain(trapped(unknown)),
            // Handles, texts and lists that are none, which a component gives to calls.
            None if component => certain(trapped(&error.root_cause())),
            None => Err(Error::Machine(format!("{error:#}"))),
        },
    }
}

/// Whether what went wrong comes from the machine or from wasmtime, not from what a component gave to a call.
fn of_machine(error: &wasmtime::Error) -> bool {
    error.is::<OutOfMemory>()
        || error.is::<WasmtimeBug>()
        || error.chain().any(|cause| cause.is::<std::io::Error>() || cause.is::<rustix::io::Errno>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Bounds {
        Bounds { refused: true, ..Bounds::default() }
    }

    #[test]
    fn what_the_machine_does_not_have_is_no_result_whatever_the_program_ends_with() {
        let trap = || Err(Trap::UnreachableCodeReached.into());
        assert!(matches!(
            judge(trap(), &refused(), false),
            Ok(Verdict { ended: Ended::OutOfMemory, deterministic: true })
        ));
        // Where exceptions lie, what is returned here is dropped, and the program ends as if it were its own doing.
        let mut bounds = refused();
        assert!(bounds.memory_grow_failed(wasmtime::Error::msg("mmap failed")).is_err());
        for result in [trap(), Ok(()), Err(Stop::Exit(0).into())] {
            let judged = judge(result, &bounds, false);
            assert!(matches!(judged, Err(Error::Machine(why)) if why.contains("mmap failed")));
        }
        // What was refused before does not hide it.
        let missing = std::io::Error::from(std::io::ErrorKind::OutOfMemory);
        assert!(matches!(judge(Err(missing.into()), &refused(), false), Err(Error::Machine(_))));
    }
}
