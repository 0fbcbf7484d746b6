//! Running code nobody trusts: a stranger's program beside data that must not get out but by the way its owner looks at.
//!
//! ```text
//!  Job ── code, command ──▶ ┌───────────────────────────────┐
//!      ── inputs ─────────▶ │ /data   read-only             │
//!      ── params ─────────▶ │ /data/params.json             │ ──▶ Outcome: how it ended, /out, log, what it used
//!      ── limits ─────────▶ │ /out    what it leaves        │
//!      ── seed, time ─────▶ │ /tmp    gone with it          │ ◀── Control: cancel, progress
//!                           └───────────────────────────────┘
//! ```
//!
//! A program sees its inputs, two empty folders to write to, and nothing else. Whether what it leaves may go anywhere is
//! judged by whoever ran it; this crate hands it over and believes none of it.
//!
//! **[`Wasm`]** runs WebAssembly modules of WASI preview 1, what C (wasi-libc), Rust (`wasm32-wasip1`), AssemblyScript
//! (`wasi-shim`), MicroPython and others compile to, and components of WASI preview 2 (`wasi:cli/command` 0.2; Rust's
//! `wasm32-wasip2`): which it is, the header tells. Whoever runs the same [`Job`], its limits included, in a runtime of the same
//! [`RuntimeId`] gets the same output, log and number of steps, bit for bit:
//!
//! - Each instruction costs fuel, and so do calls and what they move. Fuel is what time is for other programs: it ends those
//!   that do not end, and the clock counts it. A program that waits finds its time passed at once.
//! - Randomness follows from the job's seed. Floating-point numbers that are none have one form. There are no threads.
//! - Folders are listed in the order of names; inode numbers and times tell nothing of the machine.
//! - A component sees the same as a module does. Its memories count together; sockets are denied.
//! - Memory is refused by the limit, never because a machine has no more: that is an [`Error`], and no result.
//! - Which features of WebAssembly there are stands in the code, and follows no default: those of version 2.0 (vectors, bulk memory,
//!   references to functions, several results), extended constants, tail calls, several memories, relaxed vectors with one
//!   result each, and exceptions. There are no garbage-collected types and no memories of 64 bits.
//! - A function is weighed before it is compiled: its locals at each place where control meets. The heaviest one that was
//!   measured, of QuickJS, has half of what is allowed.
//!
//! [`Outcome::deterministic`] is false where this does not hold: for a run that was cancelled or took too long, and for one
//! that overflowed its stack, for how deep a stack is depends on the processor.
//!
//! **[`Process`]** runs command lines in a sandbox of bubblewrap, for Python and whatever else is no WebAssembly: namespaces of
//! its own, no network, no rights, a filter for calls of the kernel, folders in memory, limits; and Landlock, where the kernel
//! has it and `main` begins with [`launch`] ([`Process::landlock`] tells). It sees the machine's clock and
//! draws its own randomness, so nothing can be said about a second run.
//!
//! **What neither does.** Two programs on one processor can tell each other things by how they use its caches and how busy they keep
//! it, which a process sees (`/proc/stat`): whoever has data that must not come together has no processes run on them at the same time.
//! What one has read of the system's files is in memory for some time, so that one that comes later has it faster. One program
//! can tell something by how long it runs and how much it uses: whoever publishes [`Used`] publishes that. A process that finds
//! a fault in the kernel gets out; WebAssembly would need one in wasmtime. A process sees what kind of machine it is on
//! (`/proc/cpuinfo`, `/proc/meminfo`), and where on it its inputs lie (`/proc/self/mountinfo`). Where this process may make no control
//! group, the memory and time of several processes together are looked at every ten milliseconds, so that they can be more than the limit
//! for that long, and time counts by ticks of the kernel's clock; root, whose processes the kernel does not count otherwise, is refused
//! then. Nor may programs say what is done when a child of theirs ends (`SIGCHLD`), which could hide its time: in `sh`, `wait` for what
//! runs in the background does not return, and Node starts no children. No process locks or watches files, for others see the same ones:
//! SQLite opens them with `nolock=1` or `immutable=1` alone. Inputs must not change while a job runs.
//!
//! ```
//! use stoa_sandbox::{Control, Ended, Input, Job, Runtime, Source, Wasm};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A program that ends with the number of its arguments.
//! let module = wat::parse_str(
//!     r#"(module
//!         (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
//!         (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
//!         (memory (export "memory") 1)
//!         (func (export "_start")
//!             (drop (call $sizes (i32.const 0) (i32.const 4)))
//!             (call $exit (i32.load (i32.const 0)))))"#,
//! )?;
//! let mut job = Job::new(&module[..]);
//! job.command = vec!["count".into(), "one".into(), "two".into()];
//! job.params = br#"{"learning_rate": 0.1}"#.to_vec();
//! job.inputs = vec![Input { name: "patients.csv".into(), source: Source::from(&b"age,sex\n"[..]) }];
//!
//! let runtime = Wasm::new(None)?;
//! let outcome = runtime.run(&job, &Control::new())?;
//! assert_eq!(outcome.ended, Ended::Exited(3));
//! assert!(outcome.deterministic && outcome.output.files.is_empty());
//!
//! // Somebody else, who checks.
//! let again = Wasm::new(None)?.run(&job, &Control::new())?;
//! assert_eq!((again.output, again.used.fuel), (outcome.output, outcome.used.fuel));
//! # Ok(())
//! # }
//! ```

mod error;
mod job;
mod outcome;
mod process;
mod runtime;
mod wasm;

pub use error::Error;
pub(crate) use job::SCRATCH_FILES;
pub use job::{Input, Job, Limits, PARAMS, Source};
pub use outcome::{Control, Ended, Log, Outcome, Output, Used};
pub use process::{Process, launch};
pub use runtime::{Runtime, RuntimeId};
pub use wasm::Wasm;
