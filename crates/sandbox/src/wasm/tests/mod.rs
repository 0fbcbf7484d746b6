//! Programs, in WebAssembly's text form, that do what programs do and should not do.

mod attacks;
mod canonical;
mod components;
mod determinism;
mod files;
mod modules;
mod toolchains;

use super::*;
use crate::{Ended, Limits, Source};
use std::{sync::LazyLock, thread, time::Duration};

/// Rights to read, and to read and write.
const READ: u64 = 2;
const WRITE: u64 = 66;
const CREATE: u32 = 1;

static WASM: LazyLock<Wasm> = LazyLock::new(|| Wasm::new(None).unwrap());

/// What lies in a program's memory from 4096 on.
struct Texts {
    data: String,
    end: usize,
}

impl Default for Texts {
    fn default() -> Self {
        Self { data: String::new(), end: 4096 }
    }
}

impl Texts {
    /// Puts a text there; the pointer to it and its length, as two arguments.
    fn put(&mut self, text: &str) -> String {
        let escaped: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
        self.data += &format!("(data (i32.const {}) \"{escaped}\")", self.end);
        let argument = format!("(i32.const {}) (i32.const {})", self.end, text.len());
        self.end += text.len();
        argument
    }
}

/// A program in text form. Texts lie from 4096 on; below 256 is room for what calls tell, from 65536 on for buffers.
#[derive(Default)]
struct Program {
    texts: Texts,
    functions: String,
    body: String,
}

impl Program {
    fn new() -> Self {
        Self::default()
    }

    /// Puts a text into memory; the pointer to it and its length, as two arguments.
    fn text(&mut self, text: &str) -> String {
        self.texts.put(text)
    }

    fn does(&mut self, code: &str) -> &mut Self {
        self.body += code;
        self
    }

    /// Ends with a number as its code.
    fn exits(&mut self, number: &str) -> &mut Self {
        self.does(&format!("(call $exit {number})"))
    }

    /// Opens a path; the call's error number.
    fn open(&mut self, folder: u32, path: &str, how: u32, rights: u64) -> String {
        let path = self.text(path);
        format!(
            "(call $path_open (i32.const {folder}) (i32.const 0) {path} (i32.const {how}) (i64.const {rights}) (i64.const 0) \
             (i32.const 0) (i32.const 0))"
        )
    }

    /// Writes a text to the descriptor of which the number is given; the call's error number.
    fn write(&mut self, descriptor: &str, text: &str) -> String {
        let text = self.text(text);
        format!("(call $put {descriptor} {text})")
    }

    fn code(&self) -> Vec<u8> {
        let Self { texts: Texts { data, .. }, functions, body } = self;
        wat::parse_str(format!(
            r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_renumber" (func $renumber (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_readdir" (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $set_size (param i32 i64) (result i32)))
            (import "wasi_snapshot_preview1" "path_open"
                (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "path_filestat_get"
                (func $path_stat (param i32 i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "path_rename" (func $rename (param i32 i32 i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "path_symlink" (func $symlink (param i32 i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
            (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "sock_accept" (func $accept (param i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
            (memory (export "memory") 4)
            {data}
            (func $put (param $to i32) (param $text i32) (param $length i32) (result i32)
                (i32.store (i32.const 200) (local.get $text))
                (i32.store (i32.const 204) (local.get $length))
                (call $fd_write (local.get $to) (i32.const 200) (i32.const 1) (i32.const 208)))
            (func $told (result i32) (i32.load (i32.const 0)))
            {functions}
            (func (export "_start") (local $i i32) {body}))"#
        ))
        .unwrap()
    }

    fn job(&self) -> Job {
        let limits = Limits {
            fuel: 2_000_000_000,
            wall: Duration::from_secs(60),
            memory: 16 << 20,
            output_bytes: 1 << 20,
            output_files: 10,
            scratch_bytes: 1 << 20,
            log_bytes: 1000,
            ..Limits::default()
        };
        Job { limits, ..Job::new(&self.code()[..]) }
    }

    fn run(&self) -> Outcome {
        run(&self.job())
    }

    fn ended(&self) -> Ended {
        self.run().ended
    }
}

/// Runs a job that another thread ends when it has come some way.
fn cancelled(job: &Job) -> Outcome {
    let control = Control::new();
    let other = control.clone();
    thread::scope(|scope| {
        let run = scope.spawn(|| WASM.run(job, &control).unwrap());
        while other.fuel() < 10_000_000 {
            thread::yield_now();
        }
        other.cancel();
        run.join().unwrap()
    })
}

fn run(job: &Job) -> Outcome {
    WASM.run(job, &Control::new()).unwrap()
}

fn code(errno: errno::Errno) -> Ended {
    Ended::Exited(errno as u32)
}
