use super::{errno::Errno, *};

const FOR_EVER: &str = "(loop $again (br $again))";

#[test]
fn a_loop_without_end_runs_out_of_fuel() {
    let outcome = Program::new().does(FOR_EVER).run();
    assert_eq!((outcome.ended, outcome.used.fuel, outcome.deterministic), (Ended::OutOfFuel, 2_000_000_000, true));
}

fn endless(body: &str) -> Job {
    let mut job = Program::new().does(body).job();
    job.limits.fuel = u64::MAX;
    job
}

#[test]
fn a_loop_without_end_runs_out_of_time() {
    // One that only computes, and one that only calls.
    for body in [FOR_EVER, "(loop $again (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 0))) (br $again))"] {
        let mut job = endless(body);
        job.limits.wall = Duration::from_millis(200);
        let outcome = run(&job);
        assert_eq!((outcome.ended, outcome.deterministic), (Ended::OutOfTime, false));
        assert!(outcome.used.wall < Duration::from_secs(3), "{:?}", outcome.used);
    }
}

#[test]
fn a_run_is_cancelled_from_another_thread_which_sees_how_far_it_is() {
    let job = endless(FOR_EVER);
    let outcome = cancelled(&job);
    assert_eq!(outcome.ended, Ended::Cancelled);
    assert!(outcome.used.fuel >= 10_000_000);
}

#[test]
fn memory_beyond_the_limit_is_refused() {
    // 16 MiB are 256 pages, of which it has 4.
    let grow = |pages: u32| format!("(memory.grow (i32.const {pages}))");
    assert_eq!(Program::new().exits(&grow(252)).ended(), Ended::Exited(4));
    let outcome = Program::new().exits(&grow(253)).run();
    assert_eq!((outcome.ended, outcome.used.memory), (Ended::Exited(u32::MAX), 4 << 16));
    let gives_up = format!("(loop $again (br_if $again (i32.ne {} (i32.const -1)))) (unreachable)", grow(1));
    let outcome = Program::new().does(&gives_up).run();
    assert_eq!((outcome.ended, outcome.used.memory), (Ended::OutOfMemory, 16 << 20));

    let large = wat::parse_str(r#"(module (memory (export "memory") 65536) (func (export "_start")))"#).unwrap();
    assert_eq!(run(&Job::new(&large[..])).ended, Ended::OutOfMemory);
    let table = r#"(module (table 1 funcref) (func (export "_start")
        (if (i32.eq (table.grow (ref.null func) (i32.const 100000000)) (i32.const -1)) (then unreachable))))"#;
    assert_eq!(run(&Job::new(&wat::parse_str(table).unwrap()[..])).ended, Ended::OutOfMemory);
    // Many together have no more than one.
    let tables = "(table 100000 funcref)".repeat(64);
    let module = wat::parse_str(format!(r#"(module {tables} (func (export "_start")))"#)).unwrap();
    let mut job = Job::new(&module[..]);
    job.limits.memory = 64 << 20;
    assert_eq!(run(&job).ended, Ended::OutOfMemory);
}

#[test]
fn exceptions_that_are_kept_count_as_memory() {
    // Each call keeps one, of four kilobytes.
    let module = format!(
        r#"(module
        (tag $thrown (param {}))
        (func $deeper (local $it exnref)
            (block $caught (result exnref)
                (try_table (catch_all_ref $caught) {} (throw $thrown))
                (unreachable))
            (local.set $it)
            (call $deeper)
            (throw_ref (local.get $it)))
        (func (export "_start") (call $deeper)))"#,
        "i64 ".repeat(500),
        "(i64.const 1) ".repeat(500)
    );
    let mut job = Job::new(&wat::parse_str(module).unwrap()[..]);
    (job.limits.memory, job.limits.fuel) = (1 << 20, 20_000_000);
    let outcome = run(&job);
    assert_eq!((outcome.ended, outcome.deterministic), (Ended::OutOfMemory, true));
    assert!(outcome.used.memory <= 1 << 20, "{:?}", outcome.used);
}

#[test]
fn exceptions_cost_what_looking_for_them_takes() {
    let throws = |times: u32| {
        let module = format!(
            r#"(module (tag $thrown)
            (func (export "_start") (local $i i32)
                (loop $again
                    (block $caught (try_table (catch_all $caught) (throw $thrown)))
                    (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const {times}))))))"#
        );
        let outcome = run(&Job::new(&wat::parse_str(module).unwrap()[..]));
        assert_eq!(outcome.ended, Ended::Exited(0));
        outcome.used.fuel
    };
    let (few, many) = (throws(10), throws(110));
    assert!(many - few >= 100 * u64::from(u8::MAX), "{few}, {many}");
}

#[test]
fn a_full_disk_is_an_error_and_too_much_output_is_no_result() {
    for (folder, ended) in [(4, Ended::OutputTooLarge), (5, code(Errno::NoSpace))] {
        // A whole page of memory, until it is refused.
        let mut program = Program::new();
        let open = program.open(folder, "big", CREATE, WRITE);
        program.does(&format!("(drop {open}) (loop $again (br_if $again (i32.eqz (local.tee $i (call $put (call $told) (i32.const 65536) (i32.const 65536))))))"));
        let outcome = program.exits("(local.get $i)").run();
        assert_eq!(outcome.ended, ended);
        assert!(outcome.output.files.values().map(Vec::len).sum::<usize>() <= 1 << 20);
    }
}

#[test]
fn a_file_cannot_be_made_huge_by_leaving_holes() {
    let mut program = Program::new();
    let open = program.open(4, "sparse", CREATE, WRITE);
    program.does(&format!("(drop {open})")).exits("(call $set_size (call $told) (i64.const 0x7fffffffffffffff))");
    assert_eq!(program.ended(), Ended::OutputTooLarge);
}

#[test]
fn files_without_number_are_refused() {
    // Names are the four bytes of a number: "\1\1\1\1" and on.
    let create = |folder| {
        format!(
            "(local.set $i (i32.const 0x01010101))
            (loop $again
                (i32.store (i32.const 100) (local.get $i))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.eqz (call $mkdir (i32.const {folder}) (i32.const 100) (i32.const 4)))))"
        )
    };
    assert_eq!(Program::new().does(&create(4)).ended(), Ended::OutputTooLarge);
}

#[test]
fn what_is_removed_makes_room_once_it_is_closed() {
    let mut program = Program::new();
    let (open, name) = (program.open(4, "a", CREATE, WRITE), program.text("a"));
    program.does(&format!(
        "(local.set $i (i32.const 100))
        (loop $again
            (if {open} (then (call $exit (i32.const 1))))
            (if (call $set_size (call $told) (i64.const 1000000)) (then (call $exit (i32.const 2))))
            (if (call $unlink (i32.const 4) {name}) (then (call $exit (i32.const 3))))
            (if (call $fd_close (call $told)) (then (call $exit (i32.const 4))))
            (br_if $again (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"
    ));
    assert_eq!(program.ended(), Ended::Exited(0));
}

#[test]
fn a_flood_of_the_log_is_cut_off_and_does_no_harm() {
    let mut program = Program::new();
    let say = program.write("(i32.const 2)", &"x".repeat(99));
    program.does(&format!(
        "(local.set $i (i32.const 10000))
        (loop $again (drop {say}) (br_if $again (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"
    ));
    let outcome = program.run();
    assert_eq!((outcome.ended, outcome.log.bytes.len(), outcome.log.truncated), (Ended::Exited(0), 1000, true));
    assert!(outcome.log.text().ends_with("[the log is truncated here]\n"));
}

#[test]
fn there_are_no_sockets() {
    let accept = "(call $accept (i32.const 3) (i32.const 0) (i32.const 0))";
    assert_eq!(Program::new().exits(accept).ended(), code(Errno::NotSocket));
}

#[test]
fn paths_do_not_lead_out_of_their_folders() {
    for path in ["/etc/shadow", "../etc/shadow", "a/../../etc/shadow", "..", "../out", "/proc/1/environ"] {
        let mut program = Program::new();
        let open = program.open(3, path, 0, READ);
        assert_eq!(program.exits(&open).ended(), code(Errno::NotCapable), "{path}");
    }
}

#[test]
fn numbers_of_descriptors_are_no_way_out() {
    // Those that this process has open are not the program's.
    for number in [-1_i32, 6, 7, 8, 100, 1 << 20, i32::MIN] {
        let mut program = Program::new();
        let write = program.write(&format!("(i32.const {number})"), "x");
        assert_eq!(program.exits(&write).ended(), code(Errno::BadFile), "{number}");
    }
    let mut program = Program::new();
    let open = program.open(1, "x", 0, READ);
    assert_eq!(program.exits(&open).ended(), code(Errno::NotSupported));
}

#[test]
fn a_descriptor_under_another_number_is_what_it_was() {
    let renumber = |from: i32, to: i32| format!("(call $renumber (i32.const {from}) (i32.const {to}))");
    // The data, where the folder was that can be written to.
    let mut program = Program::new();
    let open = program.open(4, "new", CREATE, WRITE);
    program.does(&format!("(if {} (then (call $exit (i32.const 1))))", renumber(3, 4))).exits(&open);
    assert_eq!(program.ended(), code(Errno::ReadOnly));
    // And where they were there is nothing any more.
    let mut program = Program::new();
    let open = program.open(3, ".", 0, READ);
    program.does(&format!("(drop {})", renumber(3, 5))).exits(&open);
    assert_eq!(program.ended(), code(Errno::BadFile));
    for (from, to) in [(3, 77), (77, 3), (-1, 3), (3, -1)] {
        assert_eq!(Program::new().exits(&renumber(from, to)).ended(), code(Errno::BadFile), "{from} {to}");
    }
}

#[test]
fn descriptors_are_bounded() {
    let mut program = Program::new();
    let open = program.open(3, ".", 0, READ);
    program.does(&format!("(loop $again (br_if $again (i32.eqz (local.tee $i {open}))))")).exits("(local.get $i)");
    assert_eq!(program.ended(), code(Errno::TooManyFiles));
}

#[test]
fn pointers_outside_of_the_memory_are_refused() {
    for (pointer, length) in [(-1, 10), (262_140, 5), (262_144, 1), (0, -1), (-8, -8)] {
        let random = format!("(call $random (i32.const {pointer}) (i32.const {length}))");
        assert_eq!(Program::new().exits(&random).ended(), code(Errno::Fault));
        let write = format!("(call $put (i32.const 1) (i32.const {pointer}) (i32.const {length}))");
        assert_eq!(Program::new().exits(&write).ended(), code(Errno::Fault));
    }
    let list = "(call $fd_write (i32.const 1) (i32.const 262140) (i32.const 1) (i32.const 0))";
    assert_eq!(Program::new().exits(list).ended(), code(Errno::Fault));
    let told = "(call $args_sizes (i32.const 0) (i32.const -2))";
    assert_eq!(Program::new().exits(told).ended(), code(Errno::Fault));
    let count = "(call $poll (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 0))";
    assert_eq!(Program::new().exits(count).ended(), code(Errno::Invalid));
}

#[test]
fn calls_that_move_much_cost_much() {
    let random = "(call $random (i32.const 0) (i32.const 262144))";
    let used = Program::new().exits(random).run().used.fuel;
    assert!(used > 262_144 / 8, "{used}");
    // A hole that is filled with zeros, again and again.
    let mut program = Program::new();
    let (open, text) = (program.open(5, "holes", CREATE, WRITE), program.text("x"));
    program.does(&format!(
        "(drop {open}) (drop (call $seek (call $told) (i64.const 1000000) (i32.const 0) (i32.const 100)))
        (drop (call $put (call $told) {text}))"
    ));
    let used = program.run().used.fuel;
    assert!(used > 1_000_000 / 8, "{used}");
    // The same by a call that has no room for all it writes.
    let mut program = Program::new();
    let open = program.open(5, "holes", CREATE, WRITE);
    program.does(&format!(
        "(drop {open}) (drop (call $seek (call $told) (i64.const 1000000) (i32.const 0) (i32.const 100)))
        (i32.store (i32.const 112) (i32.const 65536)) (i32.store (i32.const 116) (i32.const 1))
        (i32.store (i32.const 120) (i32.const 65536)) (i32.store (i32.const 124) (i32.const 65536))"
    ));
    let outcome = program.exits("(call $fd_write (call $told) (i32.const 112) (i32.const 2) (i32.const 100))").run();
    assert_eq!(outcome.ended, code(Errno::NoSpace));
    assert!(outcome.used.fuel > 1_000_000 / 8, "{}", outcome.used.fuel);
}

#[test]
fn a_stack_that_overflows_is_a_trap() {
    let mut program = Program::new();
    program.functions = "(func $deeper (result i32) (i32.add (call $deeper) (i32.const 1)))".into();
    let outcome = program.exits("(call $deeper)").run();
    assert!(matches!(&outcome.ended, Ended::Trapped(why) if why.contains("stack")), "{:?}", outcome.ended);
    assert!(!outcome.deterministic);
}

#[test]
fn codes_and_traps_are_told_apart() {
    assert_eq!(Program::new().ended(), Ended::Exited(0));
    assert_eq!(Program::new().exits("(i32.const 7)").ended(), Ended::Exited(7));
    for (body, why) in [
        ("unreachable", "unreachable"),
        ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", "divide by zero"),
        ("(drop (i32.load (i32.const -1)))", "out of bounds"),
    ] {
        let outcome = Program::new().does(body).run();
        assert!(matches!(&outcome.ended, Ended::Trapped(text) if text.contains(why)), "{:?}", outcome.ended);
        assert!(outcome.deterministic && !outcome.succeeded());
    }
}

#[test]
fn what_nobody_offers_traps_when_it_is_called() {
    let text = r#"(module (import "env" "system" (func $system)) (memory (export "memory") 1)
        (func (export "_start") (call $system)))"#;
    let ended = run(&Job::new(&wat::parse_str(text).unwrap()[..])).ended;
    assert!(matches!(&ended, Ended::Trapped(why) if why.contains("system")), "{ended:?}");
}
