//! Components: what calls of preview 2 do and refuse. Most are made of core modules in text form, by the declarations in
//! `wit`; some are written whole.

mod adapted;
mod attacks;
mod calls;
mod shape;

use super::*;
use crate::wasm::wasi2::ErrorCode;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

/// The world `wasi:cli/command`.
fn command() -> (Resolve, WorldId) {
    let mut resolve = Resolve::default();
    let mut push = |name: &str, text| resolve.push_str(name, text).unwrap();
    push("io", include_str!("../../../../wit/io.wit"));
    push("clocks", include_str!("../../../../wit/clocks.wit"));
    push("random", include_str!("../../../../wit/random.wit"));
    push("filesystem", include_str!("../../../../wit/filesystem.wit"));
    push("sockets", include_str!("../../../../wit/sockets.wit"));
    let cli = push("cli", include_str!("../../../../wit/cli.wit"));
    let world = resolve.select_world(&[cli], Some("command")).unwrap();
    (resolve, world)
}

/// Makes a component of a core module.
fn encode(mut module: Vec<u8>) -> Vec<u8> {
    let (resolve, world) = command();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

/// A program in text form. What calls tell is put at 200; below is room for the program, texts lie from 4096 on, and what
/// calls allocate from 65536 on.
#[derive(Default)]
struct Component {
    texts: Texts,
    body: String,
}

const TOLD: u32 = 200;

impl Component {
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

    /// Does a call that tells a result at 200, with the arguments before that; ends with its error's number and 1 if it fails.
    fn tries(&mut self, call: &str) -> &mut Self {
        self.tries_with(call, 4)
    }

    /// The same for a call that tells nothing but its error.
    fn tries_plain(&mut self, call: &str) -> &mut Self {
        self.tries_with(call, 1)
    }

    fn tries_with(&mut self, call: &str, error: u32) -> &mut Self {
        self.does(&format!(
            "({call} (i32.const {TOLD}))
            (if (i32.load8_u (i32.const {TOLD}))
                (then (call $exit (i32.add (i32.load8_u (i32.const {})) (i32.const 1)))))",
            TOLD + error
        ))
    }

    /// Opens a path in the folder of that number (`/data`, `/out`, `/tmp`); the descriptor is `$it` then.
    fn opens(&mut self, folder: u32, path: &str, how: u32, flags: u32) -> &mut Self {
        let path = self.text(path);
        self.tries(&format!(
            "call $open (call $folder (i32.const {folder})) (i32.const 0) {path} (i32.const {how}) (i32.const {flags})"
        ));
        self.does(&format!("(local.set $it (i32.load (i32.const {})))", TOLD + 4))
    }

    /// Writes so many bytes from a place in memory on to standard output.
    fn says(&mut self, from: &str, length: u32) -> &mut Self {
        self.does(&format!("(call $write (call $stdout) {from} (i32.const {length}) (i32.const {TOLD}))"))
    }

    fn code(&self) -> Vec<u8> {
        let Self { texts: Texts { data, .. }, body } = self;
        let module = format!(
            r#"(module
            (import "wasi:cli/exit@0.2.12" "exit-with-code" (func $exit (param i32)))
            (import "wasi:cli/stdout@0.2.12" "get-stdout" (func $stdout (result i32)))
            (import "wasi:cli/stdin@0.2.12" "get-stdin" (func $stdin (result i32)))
            (import "wasi:cli/environment@0.2.12" "get-arguments" (func $arguments (param i32)))
            (import "wasi:io/streams@0.2.12" "[method]output-stream.blocking-write-and-flush"
                (func $write (param i32 i32 i32 i32)))
            (import "wasi:io/streams@0.2.12" "[method]output-stream.blocking-write-zeroes-and-flush"
                (func $write_zeros (param i32 i64 i32)))
            (import "wasi:io/streams@0.2.12" "[method]output-stream.splice" (func $splice (param i32 i32 i64 i32)))
            (import "wasi:io/streams@0.2.12" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
            (import "wasi:io/streams@0.2.12" "[method]input-stream.skip" (func $skip (param i32 i64 i32)))
            (import "wasi:io/streams@0.2.12" "[resource-drop]output-stream" (func $drop_output (param i32)))
            (import "wasi:io/error@0.2.12" "[resource-drop]error" (func $drop_error (param i32)))
            (import "wasi:io/poll@0.2.12" "[method]pollable.block" (func $block (param i32)))
            (import "wasi:io/poll@0.2.12" "[method]pollable.ready" (func $ready (param i32) (result i32)))
            (import "wasi:io/poll@0.2.12" "poll" (func $poll (param i32 i32 i32)))
            (import "wasi:clocks/monotonic-clock@0.2.12" "now" (func $now (result i64)))
            (import "wasi:clocks/monotonic-clock@0.2.12" "subscribe-duration" (func $after (param i64) (result i32)))
            (import "wasi:clocks/wall-clock@0.2.12" "now" (func $time (param i32)))
            (import "wasi:random/random@0.2.12" "get-random-bytes" (func $random (param i64 i32)))
            (import "wasi:random/insecure-seed@0.2.12" "insecure-seed" (func $seed (param i32)))
            (import "wasi:filesystem/preopens@0.2.12" "get-directories" (func $folders (param i32)))
            (import "wasi:filesystem/types@0.2.12" "[method]descriptor.open-at"
                (func $open (param i32 i32 i32 i32 i32 i32 i32)))
            (import "wasi:filesystem/types@0.2.12" "[resource-drop]descriptor" (func $drop (param i32)))
            (import "wasi:filesystem/types@0.2.12" "[method]descriptor.read-via-stream" (func $reader (param i32 i64 i32)))
            (import "wasi:filesystem/types@0.2.12" "[method]descriptor.write-via-stream" (func $writer (param i32 i64 i32)))
            (import "wasi:filesystem/types@0.2.12" "[method]descriptor.append-via-stream" (func $appender (param i32 i32)))
            (import "wasi:filesystem/types@0.2.12" "[method]descriptor.set-size" (func $set_size (param i32 i64 i32)))
            (import "wasi:filesystem/types@0.2.12" "[method]descriptor.write" (func $put (param i32 i32 i32 i64 i32)))
            (import "wasi:filesystem/types@0.2.12" "[method]descriptor.create-directory-at"
                (func $mkdir (param i32 i32 i32 i32)))
            (import "wasi:filesystem/types@0.2.12" "[method]descriptor.unlink-file-at"
                (func $unlink (param i32 i32 i32 i32)))
            (import "wasi:filesystem/types@0.2.12" "[method]descriptor.symlink-at"
                (func $symlink (param i32 i32 i32 i32 i32 i32)))
            (import "wasi:filesystem/types@0.2.12" "[method]descriptor.read-directory" (func $list (param i32 i32)))
            (import "wasi:filesystem/types@0.2.12" "[method]directory-entry-stream.read-directory-entry"
                (func $entry (param i32 i32)))
            (import "wasi:filesystem/types@0.2.12" "filesystem-error-code" (func $error_code (param i32 i32)))
            (import "wasi:sockets/instance-network@0.2.12" "instance-network" (func $network (result i32)))
            (import "wasi:sockets/tcp-create-socket@0.2.12" "create-tcp-socket" (func $tcp (param i32 i32)))
            (import "wasi:sockets/udp-create-socket@0.2.12" "create-udp-socket" (func $udp (param i32 i32)))
            (import "wasi:sockets/ip-name-lookup@0.2.12" "resolve-addresses" (func $resolve (param i32 i32 i32 i32)))
            (memory (export "memory") 32)
            {data}
            (global $end (mut i32) (i32.const 65536))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (global.get $end)
                (global.set $end (i32.and (i32.add (i32.add (global.get $end) (local.get 3)) (i32.const 7)) (i32.const -8))))
            (func $folder (param $which i32) (result i32)
                (call $folders (i32.const 3000))
                (i32.load (i32.add (i32.load (i32.const 3000)) (i32.mul (local.get $which) (i32.const 12)))))
            (func (export "wasi:cli/run@0.2.12#run") (result i32) (local $i i32) (local $it i32)
                {body}
                (i32.const 0)))"#
        );
        encode(wat::parse_str(module).unwrap())
    }

    fn job(&self) -> Job {
        Job { code: self.code()[..].into(), ..Program::new().job() }
    }

    fn run(&self) -> Outcome {
        run(&self.job())
    }

    fn ended(&self) -> Ended {
        self.run().ended
    }
}

/// How a program ends that tries what is answered by this.
fn refused(error: ErrorCode) -> Ended {
    Ended::Exited(error as u32 + 1)
}

const CREATE_FILE: u32 = 1;
const FLAG_READ: u32 = 1;
const FLAG_WRITE: u32 = 2;
