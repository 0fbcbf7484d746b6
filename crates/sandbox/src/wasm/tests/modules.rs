use super::*;
use crate::wasm::modules::MOST_REFUSED;
use std::{fs, os::unix::fs::PermissionsExt as _, time::Instant};

fn refusal(code: &[u8]) -> String {
    match WASM.prepare(&Job::new(code)) {
        Err(Error::Code(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_command_is_refused_with_the_reason() {
    assert!(refusal(b"#!/bin/sh").contains("no WebAssembly"));
    assert!(refusal(b"\0asm").contains("damaged"));
    assert!(refusal(&wat::parse_str("(module)").unwrap()).contains("_start"));
    let threads = r#"(module (memory 1 2 shared) (func (export "_start")))"#;
    refusal(&wat::parse_str(threads).unwrap());
    let memory = r#"(module (import "env" "memory" (memory 1)) (func (export "_start")))"#;
    assert!(refusal(&wat::parse_str(memory).unwrap()).contains("memory"));
}

#[test]
fn modules_beyond_the_bounds_are_refused_before_they_are_compiled() {
    let started = Instant::now();
    let locals = format!(r#"(module (func (export "_start") (local {})))"#, "i64 ".repeat(20_000));
    assert!(refusal(&wat::parse_str(locals).unwrap()).contains("locals"));
    let large = format!(r#"(module (func (export "_start") {}))"#, "(drop (i32.const 0x7fffffff))".repeat(100_000));
    assert!(refusal(&wat::parse_str(large).unwrap()).contains("bytes"));
    let tables = format!(r#"(module {} (func (export "_start")))"#, "(table 1 funcref)".repeat(65));
    assert!(refusal(&wat::parse_str(tables).unwrap()).contains("tables"));
    let results = format!(r#"(module (type (func (result {}))) (func (export "_start")))"#, "i64 ".repeat(65));
    assert!(refusal(&wat::parse_str(results).unwrap()).contains("results"));
    // A hundred kilobytes that would take a compiler gigabytes.
    assert!(refusal(&loops(9_000, 2_000)).contains("control meets"));
    assert!(refusal(&loops(1_000, 250)).contains("control meets"));
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn whatever_makes_a_compiler_split_code_is_weighed() {
    let started = Instant::now();
    let many = |locals: usize, before: &str, code: &str, times: usize, after: &str| {
        let text = format!(
            r#"(module (memory 1) (table 1 funcref) (tag $thrown)
                (func $many (result {}) {})
                (func $none)
                (func (export "_start") (local $i i32) (local {}) {before} {} {after}))"#,
            "i64 ".repeat(64),
            "i64.const 0 ".repeat(64),
            "i64 ".repeat(locals),
            code.repeat(times),
        );
        wat::parse_str(text).unwrap()
    };
    let catches = format!("try_table {}", "(catch $thrown 0) ".repeat(1_000));
    // None has 300 KiB. Of such, 92 KB of calls within handlers took a compiler more than six gigabytes.
    for (locals, before, code, times, after) in [
        (400, "", "local.get $i call_indirect ", 20_000, ""),
        (400, "", "local.get $i table.get 0 drop ", 20_000, ""),
        (400, "", "local.get $i local.get $i local.get $i memory.copy ", 20_000, ""),
        (400, "", "local.get $i local.get $i local.get $i table.copy ", 20_000, ""),
        (400, "try_table (catch_all 0) ", "call $none ", 20_000, "end"),
        (1, catches.as_str(), "call $none ", 20_000, "end"),
        (1, "", "call $many ", 50_000, "return"),
        (300, "", "local.get $i if end ", 40_000, ""),
    ] {
        assert!(refusal(&many(locals, before, code, times, after)).contains("control meets"), "{code}");
    }
    let blocks = many(1, "", "block (result i32) local.get $i end drop ", 30_000, "");
    assert!(refusal(&blocks).contains("values in a function"));
    // As many as compilers make of people's programs are no trouble.
    WASM.prepare(&Job::new(&many(40, "try_table (catch_all 0) ", "call $none ", 100, "end")[..])).unwrap();
    WASM.prepare(&Job::new(&many(40, "", "local.get $i call_indirect ", 100, "")[..])).unwrap();
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[test]
fn features_that_programs_do_not_need_are_refused() {
    let refused = |part: &str, code: &str| {
        refusal(&wat::parse_str(format!(r#"(module {part} (func (export "_start") {code}))"#)).unwrap())
    };
    for kind in ["struct", "struct (field i32)", "array i8"] {
        assert!(refused(&format!("(type ({kind}))"), "").contains("garbage-collected types"), "{kind}");
    }
    assert!(refused("", "(drop (ref.i31 (i32.const 1)))").contains("gc support is not enabled"));
    assert!(refused("", "(drop (ref.test (ref func) (ref.null func)))").contains("gc support is not enabled"));
    let called = refused("(type $none (func)) (func $it) (elem declare func $it)", "(call_ref $none (ref.func $it))");
    assert!(called.contains("function references"), "{called}");
    refused("(memory i64 1)", "");
    // Collections look at all that is kept, which costs no steps.
    for kept in ["(table 1 exnref)", "(global (mut exnref) (ref.null exn))", "(table 1 externref)"] {
        assert!(refused(kept, "").contains("exceptions"), "{kept}");
    }
    refused(r#"(import "env" "kept" (global externref))"#, "");

    // What compilers use.
    let used = r#"(module (type $none (func)) (memory 1) (memory 1) (table 1 funcref) (tag $thrown) (global funcref (ref.null func))
        (func $pair (result i32 v128) (i32.extend8_s (i32.trunc_sat_f32_s (f32.const 1))) (v128.const i64x2 0 0))
        (func $last return_call $more) (func $more)
        (func (export "_start") (local exnref)
            (block $caught (result exnref) (try_table (catch_all_ref $caught) (throw $thrown)) (unreachable))
            (local.set 0)
            (memory.fill 1 (i32.const 0) (i32.const 1) (i32.const 2))
            (drop (i32x4.relaxed_trunc_f32x4_s (v128.const i64x2 0 0)))
            (call $pair) (drop) (drop) (call $last)))"#;
    assert_eq!(run(&Job::new(&wat::parse_str(used).unwrap()[..])).ended, Ended::Exited(0));
}

/// Loops within each other, with all locals used in the innermost.
fn loops(locals: usize, depth: usize) -> Vec<u8> {
    let uses: String =
        (0..locals).map(|local| format!("(local.set {local} (i64.add (local.get {local}) (i64.const 1)))")).collect();
    let code = format!(
        r#"(module (func (export "_start") (local {}) {} {uses} {}))"#,
        "i64 ".repeat(locals),
        "loop ".repeat(depth),
        "i32.const 0 br_if 0 end ".repeat(depth)
    );
    wat::parse_str(code).unwrap()
}

/// A job of this sender's.
fn sent(code: &[u8], sender: u8) -> Job {
    Job { sender: Some([sender; 32]), ..Job::new(code) }
}

#[test]
fn one_program_of_a_sender_is_compiled_at_a_time_and_others_are_not_held_up() {
    let wasm = Wasm::new(None).unwrap();
    let take = |sender| wasm.modules.slots.take(sender, Duration::ZERO);
    let busy = |sender| matches!(take(sender), Err(Error::Machine(_)));
    // As if one of his took minutes.
    let first = take(Some([1; 32])).unwrap();
    assert!(busy(Some([1; 32])));
    wasm.prepare(&sent(&loops(1, 1), 2)).unwrap();
    wasm.prepare(&Job::new(&loops(1, 2)[..])).unwrap();
    let second = take(Some([2; 32])).unwrap();
    assert!(busy(Some([3; 32])) && busy(None), "no more than two at a time");
    drop(second);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| wasm.prepare(&sent(&loops(1, 3), 1)));
        drop(first);
        waiting.join().unwrap().unwrap();
    });
    assert!(take(None).is_ok(), "all have given theirs back");
}

#[test]
fn what_took_too_long_or_is_none_is_refused_at_once_the_next_time() {
    let mut wasm = Wasm::new(None).unwrap();
    let (slow, wrong) = (loops(400, 100), wat::parse_str(r#"(module (func (export "_start") drop))"#).unwrap());
    let longest = std::mem::take(&mut wasm.modules.time);
    assert!(matches!(wasm.prepare(&sent(&slow, 1)), Err(Error::CompileTime(_))));
    wasm.modules.time = longest;
    assert!(matches!(wasm.prepare(&sent(&slow, 2)), Err(Error::CompileTime(_))), "there would be time now");
    let Err(Error::Code(why)) = wasm.prepare(&sent(&wrong, 2)) else { panic!("it is compiled") };
    // Nothing is compiled now.
    wasm.modules.time = Duration::ZERO;
    let slots = [None; 2].map(|nobody| wasm.modules.slots.take(nobody, longest).unwrap());
    assert!(matches!(wasm.prepare(&sent(&loops(1, 1), 2)), Err(Error::Machine(_))));
    assert!(matches!(wasm.prepare(&sent(&wrong, 3)), Err(Error::Code(again)) if again == why));
    drop(slots);
    for number in 0..=MOST_REFUSED {
        assert!(matches!(wasm.prepare(&sent(&number.to_le_bytes(), 2)), Err(Error::Code(_))));
    }
    assert_eq!(wasm.modules.refused.lock().unwrap().len(), MOST_REFUSED);
}

#[test]
fn a_compiled_module_is_kept_in_a_private_folder_and_damage_is_noticed() {
    let place = tempfile::tempdir().unwrap();
    let cache = place.path().join("cache");
    let job = Program::new().exits("(i32.const 3)").job();
    let ended = || Wasm::new(Some(cache.clone())).unwrap().run(&job, &Control::new()).unwrap().ended;
    assert_eq!(ended(), Ended::Exited(3));
    let files = || fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let [file] = &files()[..] else { panic!("{:?}", files()) };
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let kept = fs::read(file).unwrap();

    // From the folder.
    assert_eq!(ended(), Ended::Exited(3));
    // What rots is compiled again, what others could have written as well.
    let mut rotten = kept.clone();
    *rotten.last_mut().unwrap() ^= 1;
    fs::write(file, rotten).unwrap();
    assert_eq!(ended(), Ended::Exited(3));
    assert_eq!(fs::read(file).unwrap().len(), kept.len());
    fs::set_permissions(file, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(ended(), Ended::Exited(3));
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);

    fs::set_permissions(&cache, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(Wasm::new(Some(cache.clone())), Err(Error::Machine(why)) if why.contains("chmod 700")));
}

#[test]
fn a_module_that_was_compiled_starts_within_milliseconds() {
    let job = Program::new().job();
    run(&job);
    let fastest = (0..20).map(|_| run(&job).used.wall).min().unwrap();
    assert!(fastest < Duration::from_millis(10), "{fastest:?}");
}
