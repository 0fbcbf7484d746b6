use super::*;
use crate::Input;

/// Opens what is to be written in a folder, and a stream to it, which is `$i` then.
fn writing(folder: u32, path: &str) -> Component {
    let mut program = Component::new();
    program.opens(folder, path, CREATE_FILE, FLAG_WRITE);
    program.tries("call $writer (local.get $it) (i64.const 0)");
    program.does("(local.set $i (i32.load (i32.const 204)))");
    program
}

#[test]
fn all_calls_of_the_world_are_there_as_they_are_declared() {
    let (resolve, world) = command();
    let module = wit_component::dummy_module(
        &resolve,
        world,
        wit_parser::ManglingAndAbi::Legacy(wit_parser::LiftLowerAbi::Sync),
    );
    let code = encode(module);
    let text = String::from_utf8_lossy(&code);
    for name in ["tcp-socket.shutdown", "descriptor.metadata-hash-at", "insecure-seed", "terminal-output"] {
        assert!(text.contains(name), "{name}");
    }
    WASM.prepare(&Job::new(&code[..])).unwrap();
}

#[test]
fn what_is_read_and_written_is_where_the_job_says() {
    let mut program = Component::new();
    program.opens(0, "set", 0, FLAG_READ);
    program.tries("call $reader (local.get $it) (i64.const 2)");
    program.does("(local.set $i (i32.load (i32.const 204)))");
    program.tries("call $read (local.get $i) (i64.const 100)");
    let text = "(i32.load (i32.const 204))";
    program.says(text, 3);
    // The end of a file, and of standard input, is that it is closed: the error's number 1.
    program.does("(call $read (call $stdin) (i64.const 1) (i32.const 300))");
    program.does("(if (i32.ne (i32.load8_u (i32.const 304)) (i32.const 1)) (then unreachable))");
    program.does("(call $read (local.get $i) (i64.const 100) (i32.const 300))");
    program.does("(if (i32.ne (i32.load8_u (i32.const 304)) (i32.const 1)) (then unreachable))");

    let name = program.text("sub");
    program.tries_plain(&format!("call $mkdir (call $folder (i32.const 1)) {name}"));
    program.opens(1, "sub/./../sub/file", CREATE_FILE, FLAG_READ | FLAG_WRITE);
    program.tries("call $writer (local.get $it) (i64.const 3)");
    let hello = program.text("hello");
    program.tries(&format!("call $write (i32.load (i32.const 204)) {hello}"));
    program.tries("call $appender (local.get $it)");
    program.tries("call $write_zeros (i32.load (i32.const 204)) (i64.const 2)");
    let end = program.text("end");
    program.tries(&format!("call $put (local.get $it) {end} (i64.const 0)"));
    // Spliced into another file from the third byte on.
    program.does("(call $drop (local.get $it))");
    program.opens(1, "sub/file", 0, FLAG_READ);
    program.tries("call $reader (local.get $it) (i64.const 3)");
    program.does("(local.set $i (i32.load (i32.const 204)))");
    program.tries("call $skip (local.get $i) (i64.const 1)");
    program.opens(1, "copy", CREATE_FILE, FLAG_WRITE);
    program.tries("call $writer (local.get $it) (i64.const 0)");
    program.does("(call $splice (i32.load (i32.const 204)) (local.get $i) (i64.const 100) (i32.const 208))");

    let mut job = program.job();
    job.inputs.push(Input { name: "set".into(), source: Source::from(&b"a text"[..]) });
    let outcome = run(&job);
    assert_eq!((outcome.ended, &outcome.log.bytes[..]), (Ended::Exited(0), &b"tex"[..]));
    assert_eq!(outcome.output.files["sub/file"], b"endhello\0\0");
    assert_eq!(outcome.output.files["copy"], b"ello\0\0");
}

#[test]
fn what_the_job_says_are_its_arguments_and_it_has_three_folders() {
    let mut program = Component::new();
    program.does("(call $arguments (i32.const 200))").says("(i32.load (i32.load (i32.const 200)))", 4);
    program.does("(call $folders (i32.const 200)) (local.set $i (i32.load (i32.const 200)))");
    for at in [4, 16, 28] {
        program.says(&format!("(i32.load (i32.add (local.get $i) (i32.const {at})))"), 4);
    }
    program.does("(call $exit (i32.load (i32.const 204)))");
    let mut job = program.job();
    job.command = vec!["name".into(), "two".into()];
    let outcome = run(&job);
    assert_eq!(outcome.log.text(), "name/dat/out/tmp");
}

#[test]
fn folders_are_listed_by_name_and_whole_while_they_are_emptied() {
    let mut program = Component::new();
    for name in ["two", "one", "six"] {
        program.opens(2, name, CREATE_FILE, FLAG_WRITE);
    }
    program.tries("call $list (call $folder (i32.const 2))");
    program.does(
        "(local.set $i (i32.load (i32.const 204)))
        (local.set $it (call $folder (i32.const 2)))
        (block $done (loop $again
            (call $entry (local.get $i) (i32.const 200))
            (br_if $done (i32.eqz (i32.load8_u (i32.const 204))))
            (call $write (call $stdout) (i32.load (i32.const 212)) (i32.load (i32.const 216)) (i32.const 300))
            (call $unlink (local.get $it) (i32.load (i32.const 212)) (i32.load (i32.const 216)) (i32.const 300))
            (br $again)))",
    );
    let outcome = program.run();
    assert_eq!((outcome.ended, outcome.log.text().as_str()), (Ended::Exited(0), "onesixtwo"));
}

#[test]
fn paths_that_lead_out_of_their_folders_are_refused() {
    for path in ["/etc/shadow", "../etc/shadow", "a/../../etc/shadow", "..", "../out", "/proc/1/environ"] {
        assert_eq!(Component::new().opens(0, path, 0, FLAG_READ).ended(), refused(ErrorCode::NotPermitted), "{path}");
    }
    assert_eq!(Component::new().opens(0, "none", 0, FLAG_READ).ended(), refused(ErrorCode::NoEntry));
    assert_eq!(Component::new().opens(0, "a\0b", 0, FLAG_READ).ended(), refused(ErrorCode::IllegalByteSequence));
    let long = "a/".repeat(3_000);
    assert_eq!(Component::new().opens(0, &long, 0, FLAG_READ).ended(), refused(ErrorCode::NameTooLong));
}

#[test]
fn inputs_cannot_be_changed() {
    let data = |program: &Component| {
        let mut job = program.job();
        job.params = b"[]".to_vec();
        run(&job).ended
    };
    for (how, flags) in [(CREATE_FILE, FLAG_WRITE), (0, FLAG_READ | FLAG_WRITE), (8, FLAG_READ)] {
        let mut program = Component::new();
        assert_eq!(data(program.opens(0, "params.json", how, flags)), refused(ErrorCode::ReadOnly));
    }
    let mut program = Component::new();
    let name = program.text("params.json");
    program.tries_plain(&format!("call $unlink (call $folder (i32.const 0)) {name}"));
    assert_eq!(data(&program), refused(ErrorCode::ReadOnly));
    let mut program = Component::new();
    let name = program.text("new");
    program.tries_plain(&format!("call $mkdir (call $folder (i32.const 0)) {name}"));
    assert_eq!(data(&program), refused(ErrorCode::ReadOnly));
    // What is open to be read only is not written either.
    let mut program = Component::new();
    program.opens(1, "file", CREATE_FILE, FLAG_READ).tries("call $writer (local.get $it) (i64.const 0)");
    assert_eq!(program.ended(), refused(ErrorCode::BadDescriptor));
}

#[test]
fn there_are_no_links_and_no_sockets() {
    let mut program = Component::new();
    let (to, name) = (program.text("/etc"), program.text("link"));
    program.tries_plain(&format!("call $symlink (call $folder (i32.const 1)) {to} {name}"));
    assert_eq!(program.ended(), refused(ErrorCode::Unsupported));
    // Access denied is the second of their errors.
    for call in ["call $tcp (i32.const 0)", "call $udp (i32.const 1)"] {
        assert_eq!(Component::new().tries(call).ended(), Ended::Exited(2));
    }
    let mut program = Component::new();
    let name = program.text("localhost");
    program.tries(&format!("call $resolve (call $network) {name}"));
    assert_eq!(program.ended(), Ended::Exited(2));
}

#[test]
fn too_much_output_is_no_result_and_a_full_disk_is_an_error() {
    for (folder, ended) in [(1, Ended::OutputTooLarge), (2, refused(ErrorCode::InsufficientSpace))] {
        let mut program = writing(folder, "big");
        program.does(
            "(loop $again
                (call $write (local.get $i) (i32.const 65536) (i32.const 65536) (i32.const 200))
                (br_if $again (i32.eqz (i32.load8_u (i32.const 200)))))
            (call $error_code (i32.load (i32.const 208)) (i32.const 300))
            (call $exit (i32.add (i32.load8_u (i32.const 301)) (i32.const 1)))",
        );
        let outcome = program.run();
        assert_eq!(outcome.ended, ended);
        assert!(outcome.output.files.values().map(Vec::len).sum::<usize>() <= 1 << 20);
    }
    let mut program = writing(1, "sparse");
    program.tries_plain("call $set_size (local.get $it) (i64.const 0x7fffffffffffffff)");
    assert_eq!(program.ended(), Ended::OutputTooLarge);
}

#[test]
fn a_flood_of_the_log_is_cut_off() {
    let mut program = Component::new();
    let text = program.text(&"x".repeat(99));
    program.does(&format!(
        "(local.set $it (call $stdout))
        (local.set $i (i32.const 1000))
        (loop $again
            (call $write (local.get $it) {text} (i32.const 200))
            (br_if $again (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"
    ));
    let outcome = program.run();
    assert_eq!((outcome.ended, outcome.log.bytes.len(), outcome.log.truncated), (Ended::Exited(0), 1000, true));
}

/// Writes to the log: randomness, a seed, and the time.
fn curious() -> Component {
    let mut program = Component::new();
    program.does("(call $random (i64.const 8) (i32.const 200))").says("(i32.load (i32.const 200))", 8);
    program.does("(call $seed (i32.const 200))").says("(i32.const 200)", 16);
    program.does("(call $time (i32.const 200))").says("(i32.const 200)", 12);
    program
}

#[test]
fn randomness_and_time_are_the_jobs_and_a_second_run_gives_the_same() {
    let mut job = curious().job();
    (job.seed, job.time) = ([7; 32], 1_700_000_000);
    let place = tempfile::tempdir().unwrap();
    let cache = Some(place.path().join("cache"));
    // Compiled, from the disk, and compiled by another engine.
    let runs = [cache.clone(), cache, None].map(|cache| {
        let runtime = Wasm::new(cache).unwrap();
        let [one, two] = [(), ()].map(|()| runtime.run(&job, &Control::new()).unwrap());
        assert_eq!((&one.log, one.used.fuel), (&two.log, two.used.fuel));
        assert!(one.succeeded() && one.deterministic);
        one
    });
    for other in &runs[1..] {
        assert_eq!((&runs[0].log, runs[0].used.fuel), (&other.log, other.used.fuel));
    }
    let mut random = blake3::Hasher::new_derive_key("stoa sandbox randomness 1");
    random.update(&[7; 32]);
    let mut expected = [0; 24];
    random.finalize_xof().fill(&mut expected);
    let log = &runs[0].log.bytes;
    assert_eq!(log[..24], expected);
    assert_eq!(log[24..32], 1_700_000_000_u64.to_le_bytes());

    job.seed = [8; 32];
    assert_ne!(run(&job).log.bytes[..24], log[..24]);
}

#[test]
fn a_program_that_waits_finds_its_time_passed() {
    let mut program = Component::new();
    program.does(
        "(call $block (call $after (i64.const 31536000000000000)))
        (i32.store (i32.const 0) (call $after (i64.const 1000000000000)))
        (i32.store (i32.const 4) (call $after (i64.const 1)))
        (if (call $ready (i32.load (i32.const 0))) (then unreachable))
        (call $poll (i32.const 0) (i32.const 2) (i32.const 200))
        (if (i32.ne (i32.load (i32.const 204)) (i32.const 1)) (then unreachable))
        (if (i32.ne (i32.load (i32.load (i32.const 200))) (i32.const 1)) (then unreachable))
        (call $exit (i32.wrap_i64 (i64.div_u (call $now) (i64.const 1576800000000000))))",
    );
    let outcome = program.run();
    assert_eq!(outcome.ended, Ended::Exited(20));
    assert!(outcome.used.wall < Duration::from_secs(10));
}
