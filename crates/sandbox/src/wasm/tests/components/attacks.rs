use super::*;

fn trapped(program: &Component) -> String {
    let outcome = program.run();
    assert!(outcome.deterministic);
    match outcome.ended {
        Ended::Trapped(why) => why,
        other => panic!("{other:?}"),
    }
}

const FOR_EVER: &str = "(loop $again (br $again))";

#[test]
fn a_loop_without_end_runs_out_of_fuel_or_time() {
    let outcome = Component::new().does(FOR_EVER).run();
    assert_eq!((outcome.ended, outcome.used.fuel, outcome.deterministic), (Ended::OutOfFuel, 2_000_000_000, true));
    // One that only computes, and one that only calls.
    for body in [FOR_EVER, "(loop $again (drop (call $now)) (br $again))"] {
        let mut job = Component::new().does(body).job();
        (job.limits.fuel, job.limits.wall) = (u64::MAX, Duration::from_millis(200));
        let outcome = run(&job);
        assert_eq!((outcome.ended, outcome.deterministic), (Ended::OutOfTime, false));
        assert!(outcome.used.wall < Duration::from_secs(3), "{:?}", outcome.used);
    }
}

#[test]
fn a_run_is_cancelled_from_another_thread() {
    let mut job = Component::new().does(FOR_EVER).job();
    job.limits.fuel = u64::MAX;
    let outcome = cancelled(&job);
    assert_eq!(outcome.ended, Ended::Cancelled);
}

#[test]
fn memory_beyond_the_limit_is_refused() {
    // 16 MiB are 256 pages, of which it has 32.
    let grow = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    let outcome = Component::new().does(grow).run();
    // Its modules' tables take some of it, so that the last page is not to be had.
    assert_eq!((outcome.ended, outcome.used.memory >> 16), (Ended::OutOfMemory, 255));
    assert_eq!(Component::new().does("(call $exit (memory.grow (i32.const 225)))").ended(), Ended::Exited(255));
}

#[test]
fn handles_that_are_none_trap() {
    assert!(trapped(Component::new().does("(call $drop (i32.const 77))")).contains("77"));
    assert!(trapped(Component::new().does("(call $block (i32.const -1))")).contains("handle"));
    // Of another kind, and one that is gone.
    trapped(Component::new().does("(call $block (call $stdout))"));
    trapped(
        Component::new().does(
            "(local.set $i (call $stdout)) (call $drop_output (local.get $i)) (call $drop_output (local.get $i))",
        ),
    );
}

#[test]
fn pointers_outside_of_the_memory_trap() {
    let write =
        |pointer: i64, length: i64| {
            trapped(Component::new().does(&format!(
                "(call $write (call $stdout) (i32.const {pointer}) (i32.const {length}) (i32.const 200))"
            )))
        };
    assert!(write(2_097_150, 3).contains("out of bounds"));
    assert!(write(-1, 1).contains("out of bounds"));
    write(0, -1);
    trapped(Component::new().does("(call $random (i64.const 8) (i32.const -4))"));
    trapped(Component::new().does("(call $random (i64.const 8) (i32.const 2))"));
    // A path that is no text.
    let mut program = Component::new();
    program.does("(i32.store8 (i32.const 8) (i32.const 255))");
    program.tries_plain("call $mkdir (call $folder (i32.const 1)) (i32.const 8) (i32.const 1)");
    assert!(trapped(&program).contains("utf-8"), "{}", trapped(&program));
}

#[test]
fn what_a_component_has_at_one_time_is_bounded() {
    for resource in ["call $stdout", "call $after (i64.const 1)", "call $network", "call $folder (i32.const 0)"] {
        let mut program = Component::new();
        program.does(&format!("(loop $again (drop ({resource})) (br $again))"));
        assert!(trapped(&program).contains("more resources"), "{resource}");
    }
    // Of files it is told. What is dropped makes room.
    let open = "call $open (local.get $i) (i32.const 0)";
    let mut program = Component::new();
    let path = program.text(".");
    program.does(&format!(
        "(local.set $i (call $folder (i32.const 0)))
        (loop $again
            ({open} {path} (i32.const 0) (i32.const 1) (i32.const 200))
            (br_if $again (i32.eqz (i32.load8_u (i32.const 200)))))"
    ));
    program.tries(&format!("{open} {path} (i32.const 0) (i32.const 1)"));
    assert_eq!(program.ended(), refused(ErrorCode::InsufficientMemory));
    let drops = "(local.set $i (i32.const 10000)) (loop $again (call $drop_output (call $stdout))
        (br_if $again (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))";
    assert_eq!(Component::new().does(drops).ended(), Ended::Exited(0));
}

#[test]
fn no_call_moves_more_than_a_bound_or_without_cost() {
    assert!(trapped(Component::new().does("(call $random (i64.const 33554433) (i32.const 200))")).contains("32 MiB"));
    assert!(
        trapped(Component::new().does("(call $poll (i32.const 0) (i32.const 0) (i32.const 200))")).contains("wait")
    );
    let mut program = Component::new();
    program.does("(call $write_zeros (call $stdout) (i64.const 1048577) (i32.const 200))");
    assert!(trapped(&program).contains("zeros"));
    // From a component's memory no more is read either, though it has more.
    for call in ["call $write (call $stdout)", "call $mkdir (call $folder (i32.const 1))"] {
        let mut job = Component::new()
            .does("(drop (memory.grow (i32.const 1000)))")
            .does(&format!("({call} (i32.const 0) (i32.const 33554433) (i32.const 200))"))
            .job();
        job.limits.memory = 128 << 20;
        let ended = run(&job).ended;
        assert!(matches!(&ended, Ended::Trapped(why) if why.contains("too much data")), "{ended:?}");
    }

    let used = |body: &str| Component::new().does(body).run().used.fuel;
    assert!(used("(call $random (i64.const 1000000) (i32.const 200))") > 1_000_000 / 8);
    assert!(used("(call $write (call $stdout) (i32.const 0) (i32.const 1000000) (i32.const 200))") > 1_000_000 / 8);
    // What is refused was read all the same.
    assert!(
        used("(call $mkdir (call $folder (i32.const 1)) (i32.const 0) (i32.const 1000000) (i32.const 200))") > 100_000
    );
    // A hole that is filled with zeros.
    let mut program = Component::new();
    program.opens(2, "holes", CREATE_FILE, FLAG_WRITE);
    program.tries("call $put (local.get $it) (i32.const 0) (i32.const 1) (i64.const 1000000)");
    assert!(program.run().used.fuel > 1_000_000 / 8);
    assert!(used("(drop (call $now))") >= 500);
}

/// A program whose memory is allocated by this, which it says randomness is put to.
fn allocating(body: &str) -> Job {
    let module = format!(
        r#"(module
            (import "wasi:random/random@0.2.12" "get-random-bytes" (func $random (param i64 i32)))
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {body})
            (func (export "wasi:cli/run@0.2.12#run") (result i32)
                (call $random (i64.const 8) (i32.const 0))
                (i32.const 0)))"#
    );
    Job { code: encode(wat::parse_str(module).unwrap())[..].into(), ..Program::new().job() }
}

#[test]
fn what_allocates_for_a_call_is_bounded_as_well() {
    assert_eq!(run(&allocating("(i32.const 64)")).ended, Ended::Exited(0));
    let endless = "(loop $again (br $again)) (i32.const 0)";
    assert_eq!(run(&allocating(endless)).ended, Ended::OutOfFuel);
    let mut job = allocating(endless);
    (job.limits.fuel, job.limits.wall) = (u64::MAX, Duration::from_millis(200));
    assert_eq!(run(&job).ended, Ended::OutOfTime);
    // Outside of the memory, not aligned for what is put there, and while it may not call.
    for body in ["(i32.const 65530)", "(i32.const -1)", "(call $random (i64.const 8) (i32.const 0)) (i32.const 64)"] {
        let outcome = run(&allocating(body));
        assert!(matches!(outcome.ended, Ended::Trapped(_)) && outcome.deterministic, "{:?}", outcome.ended);
    }
}

#[test]
fn codes_and_traps_are_told_apart() {
    assert_eq!(Component::new().ended(), Ended::Exited(0));
    assert_eq!(Component::new().does("(call $exit (i32.const 7))").ended(), Ended::Exited(7));
    assert_eq!(Component::new().does("(return (i32.const 1))").ended(), Ended::Exited(1));
    // A result is 0 or 1.
    trapped(Component::new().does("(return (i32.const 2))"));
    assert!(trapped(Component::new().does("unreachable")).contains("unreachable"));
}
