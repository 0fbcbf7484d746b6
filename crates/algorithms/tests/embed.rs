//! Interpreters with a script in them, in the sandbox.

use stoa_algorithms::embed::{Kind, embed};
use stoa_sandbox::{Control, Ended, Job, Outcome, Runtime as _, Wasm};

/// An "interpreter" that prints its last argument, as a command that asks the system for it, and fails if it has none.
const COMMAND: &str = r#"(module
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 4)
    (table 2 funcref)
    (elem (i32.const 0) $sizes $args)
    (type $call (func (param i32 i32) (result i32)))
    (data (i32.const 0) "data")
    (func (export "_start") (local $last i32)
        (if (call $sizes (i32.const 100) (i32.const 104)) (then unreachable))
        ;; By way of a table, as pointers to functions go.
        (if (call_indirect (type $call) (i32.const 200) (i32.const 4096) (i32.const 1)) (then unreachable))
        (local.set $last (i32.load (i32.add (i32.const 196) (i32.mul (i32.const 4) (i32.load (i32.const 100))))))
        (i32.store (i32.const 108) (local.get $last))
        (i32.store (i32.const 112) (i32.sub (i32.sub (i32.add (i32.const 4096) (i32.load (i32.const 104))) (local.get $last))
            (i32.const 1)))
        (drop (call $write (i32.const 1) (i32.const 108) (i32.const 1) (i32.const 116)))))"#;

/// One that is initialized and called, prints its second argument, and fails if it begins with "no".
const REACTOR: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 4)
    (data (i32.const 0) "data")
    (global $next (mut i32) (i32.const 0))
    (func (export "_initialize") (global.set $next (i32.const 4096)))
    (func (export "malloc") (param $size i32) (result i32) (local $is i32)
        (local.set $is (global.get $next))
        (global.set $next (i32.and (i32.add (i32.add (global.get $next) (local.get $size)) (i32.const 7)) (i32.const -8)))
        (local.get $is))
    (func (export "main") (param $count i32) (param $list i32) (result i32)
        (if (i32.ne (local.get $count) (i32.const 2)) (then unreachable))
        (if (i32.load offset=8 (local.get $list)) (then unreachable))
        (i32.store (i32.const 100) (i32.load offset=4 (local.get $list)))
        (i32.store (i32.const 104) (i32.const 5))
        (drop (call $write (i32.const 1) (i32.const 100) (i32.const 1) (i32.const 108)))
        (i32.eq (i32.load16_u (i32.load (i32.const 100))) (i32.const 0x6f6e))))"#;

fn module(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("a module")
}

fn run(code: &[u8]) -> Outcome {
    let mut job = Job::new(code);
    job.command = vec!["something".into(), "else".into(), "altogether".into()];
    Wasm::new(None).expect("a runtime").run(&job, &Control::new()).expect("a run")
}

fn why(interpreter: &[u8], kind: Kind) -> String {
    embed(interpreter, kind, &["name", "script"]).expect_err("a refusal").to_string()
}

#[test]
fn a_command_sees_the_script_that_is_embedded_whatever_it_is_called_with() {
    let script = "print('Grüße')\n".repeat(2000);
    let code = embed(&module(COMMAND), Kind::Command, &["python", "-c", &script]).expect("a module");
    let outcome = run(&code);
    assert_eq!((outcome.ended, outcome.log.text()), (Ended::Exited(0), script.clone()));
    // One script, one hash; another script, another.
    assert_eq!(code, embed(&module(COMMAND), Kind::Command, &["python", "-c", &script]).expect("a module"));
    assert_ne!(code, embed(&module(COMMAND), Kind::Command, &["python", "-c", &script[1..]]).expect("a module"));
}

#[test]
fn a_reactor_is_initialized_and_called_with_the_script_and_its_failure_is_the_programs() {
    let ended = |script| {
        let outcome = run(&embed(&module(REACTOR), Kind::Reactor("main"), &["js", script]).expect("a module"));
        (outcome.ended, outcome.log.text())
    };
    assert_eq!(ended("yes, that"), (Ended::Exited(0), "yes, ".into()));
    assert_eq!(ended("no, not that"), (Ended::Exited(1), "no, n".into()));
}

#[test]
fn what_is_no_interpreter_and_scripts_with_zeros_are_refused_with_the_reason() {
    let start = r#"(func (export "_start"))"#;
    assert!(why(b"#!/bin/sh", Kind::Command).contains("damaged"));
    assert!(why(&module(COMMAND)[..200], Kind::Command).contains("damaged"));
    assert!(why(&module("(component)"), Kind::Command).contains("component"));
    assert!(why(&module(&format!("(module {start})")), Kind::Command).contains("no memory"));
    let data = r#"(memory (export "memory") 1) (data (i32.const 0) "data")"#;
    assert!(why(&module(&format!("(module {data} {start})")), Kind::Command).contains("arguments"));
    assert!(why(&module(REACTOR), Kind::Command).contains("_start"));
    assert!(why(&module(REACTOR), Kind::Reactor("qjs_init_argv")).contains("qjs_init_argv"));
    let zero = embed(&module(COMMAND), Kind::Command, &["name", "a\0b"]).expect_err("a refusal");
    assert!(zero.to_string().contains("zero"));
}
