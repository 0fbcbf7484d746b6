use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

fn refusal(code: &str) -> String {
    match WASM.prepare(&Job::new(&wat::parse_str(code).unwrap()[..])) {
        Err(Error::Code(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// A component whose core module does something; with parts before that.
fn whole(parts: &str, module: &str, with: &str) -> String {
    format!(
        r#"(component {parts}
            (core module $main {module})
            (core instance $main (instantiate $main {with}))
            (func $run (result (result)) (canon lift (core func $main "run")))
            (instance $exports (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $exports)))"#
    )
}

fn ends(code: &str) -> Outcome {
    run(&Job { code: wat::parse_str(code).unwrap()[..].into(), ..Program::new().job() })
}

const WELL: &str = r#"(func (export "run") (result i32) (i32.const 0))"#;

#[test]
fn what_is_no_command_is_refused_with_the_reason() {
    assert!(refusal("(component)").contains("wasi:cli/run"));
    let library = r#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
        (func (export "f") (canon lift (core func $i "f"))))"#;
    assert!(refusal(library).contains("not a library"));
    let other = whole("", WELL, "").replace("(result (result))", "(result u32)");
    assert!(refusal(&other).contains("success or not"));
    let other = whole("", WELL, "").replace("run@0.2.0", "run@0.3.0");
    assert!(refusal(&other).contains("0.2"));
}

#[test]
fn what_nobody_offers_is_refused_by_name() {
    let import = r#"(import "acme:rockets/launch@1.0.0" (instance (export "launch" (func))))"#;
    let why = refusal(&whole(import, WELL, ""));
    assert!(why.contains("acme:rockets/launch"), "{why}");
    let import = r#"(import "wasi:cli/environment@0.2.0" (instance (export "set-environment" (func))))"#;
    let why = refusal(&whole(import, WELL, ""));
    assert!(why.contains("set-environment"), "{why}");
    // Nor as something else than it is.
    let import = r#"(import "wasi:clocks/monotonic-clock@0.2.0" (instance (export "now" (func (result u32)))))"#;
    let why = refusal(&whole(import, WELL, ""));
    assert!(why.contains("now") || why.contains("monotonic"), "{why}");
}

#[test]
fn every_release_of_0_2_is_served() {
    for version in ["0.2.0", "0.2.3", "0.2.12", "0.2.99"] {
        let parts = format!(
            r#"(import "wasi:clocks/monotonic-clock@{version}" (instance $clock (export "now" (func (result u64)))))
            (core func $now (canon lower (func $clock "now")))"#
        );
        let module = r#"(import "clock" "now" (func $now (result i64)))
            (func (export "run") (result i32) (i64.eqz (call $now)))"#;
        let with = r#"(with "clock" (instance (export "now" (func $now))))"#;
        assert_eq!(ends(&whole(&parts, module, with)).ended, Ended::Exited(0), "{version}");
    }
}

#[test]
fn all_memories_of_all_modules_count_together() {
    // Each of three instances of one module has 6 MiB, where 16 are allowed; then two, one of which grows.
    let parts = r#"(core module $large (memory (export "memory") 96))
        (core instance $a (instantiate $large)) (core instance $b (instantiate $large))"#;
    let third = r#"(core instance $c (instantiate $large))"#;
    let outcome = ends(&whole(&format!("{parts}{third}"), WELL, ""));
    assert_eq!((outcome.ended, outcome.used.memory), (Ended::OutOfMemory, 12 << 20));
    let grows = r#"(import "a" "memory" (memory 1))
        (func (export "run") (result i32)
            (loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable)"#;
    let outcome = ends(&whole(parts, grows, r#"(with "a" (instance $a))"#));
    assert_eq!((outcome.ended, outcome.used.memory), (Ended::OutOfMemory, 16 << 20));
    let outcome = ends(&whole(parts, WELL, ""));
    assert_eq!((outcome.ended, outcome.used.memory), (Ended::Exited(0), 12 << 20));
}

#[test]
fn a_start_function_is_bounded_as_well() {
    let endless = r#"(func $start (loop $again (br $again))) (start $start)
        (func (export "run") (result i32) (i32.const 0))"#;
    assert_eq!(ends(&whole("", endless, "")).ended, Ended::OutOfFuel);
}

#[test]
fn components_of_several_are_refused() {
    let inner = format!("(component $inner (core module {WELL}))");
    assert!(refusal(&whole(&inner, WELL, "")).contains("several"));
    let twice = "(component $b (component $a) (instance (instantiate $a)))";
    assert!(refusal(&whole(twice, WELL, "")).contains("several"));
    let outer = "(component $a) (component $b (alias outer 1 $a (component $c)) (instance (instantiate $c)))";
    assert!(refusal(&whole(outer, WELL, "")).contains("several"));
    let import = r#"(import "plugin" (core module))"#;
    assert!(refusal(&whole(import, WELL, "")).contains("several"));
    // What only gives an export its form is none.
    let form = r#"(component $form (import "run" (func $run (result (result)))) (export "run" (func $run)))"#;
    let formed = whole(form, WELL, "").replace(
        r#"(instance $exports (export "run" (func $run)))"#,
        r#"(instance $exports (instantiate $form (with "run" (func $run))))"#,
    );
    assert_eq!(ends(&formed).ended, Ended::Exited(0));
}

#[test]
fn what_components_may_do_beyond_commands_is_refused() {
    let resource = "(type $own (resource (rep i32))) (core func (canon resource.new $own))";
    assert!(refusal(&whole(resource, WELL, "")).contains("resources of its own"));
    let waits = "(core func (canon waitable-set.new))";
    assert!(refusal(&whole(waits, WELL, "")).contains("asynchronous"));
    let text = whole("", WELL, "").replace(r#"(func $run (result"#, "(func $run async (result");
    refusal(&text);
}

#[test]
fn a_component_calls_its_own_function_in_vain() {
    // It would be copied by wasmtime what it gives to itself; it may not enter where it is already.
    let code = r#"(component
        (core module $m (memory (export "memory") 1)
            (func (export "take") (param i32 i32))
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
        (core instance $m (instantiate $m))
        (func $take (param "text" string)
            (canon lift (core func $m "take") (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
        (core func $give (canon lower (func $take) (memory (core memory $m "memory"))))
        (core module $main (import "m" "give" (func $give (param i32 i32)))
            (func (export "run") (result i32) (call $give (i32.const 0) (i32.const 60000)) (i32.const 0)))
        (core instance $main (instantiate $main (with "m" (instance (export "give" (func $give))))))
        (func $run (result (result)) (canon lift (core func $main "run")))
        (instance $exports (export "run" (func $run)))
        (export "wasi:cli/run@0.2.0" (instance $exports)))"#;
    let ended = ends(code).ended;
    assert!(matches!(&ended, Ended::Trapped(why) if why.contains("enter")), "{ended:?}");
}

#[test]
fn components_beyond_the_bounds_are_refused_before_they_are_compiled() {
    let instances = "(core module $m) ".to_owned() + &"(core instance (instantiate $m))".repeat(201);
    assert!(refusal(&whole(&instances, WELL, "")).contains("instances of modules"));
    let globals = "(global i32 (i32.const 0))".repeat(150_000);
    let instances = format!("(core module $m {globals}) {}", "(core instance (instantiate $m))".repeat(14));
    assert!(refusal(&whole(&instances, WELL, "")).contains("in all instances"));
    let data = format!("(memory 1) (data \"{}\")", "0".repeat(1 << 20));
    let instances = format!("(core module $m {data}) {}", "(core instance (instantiate $m))".repeat(150));
    assert!(refusal(&whole(&instances, WELL, "")).contains("in all instances"));
    let types = "(type (list u8))".repeat(6_000);
    assert!(refusal(&whole(&types, WELL, "")).contains("types"));
    let locals = format!("(func (local {}))", "i64 ".repeat(20_000));
    assert!(refusal(&whole("", &format!("{locals} {WELL}"), "")).contains("locals"));
}

/// One that calls for this and that.
static BUSY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut program = Component::new();
    program.opens(2, "file", CREATE_FILE, FLAG_WRITE).tries("call $writer (local.get $it) (i64.const 0)");
    let text = program.text("a text");
    program.tries(&format!("call $write (i32.load (i32.const 204)) {text}"));
    program.does("(call $random (i64.const 8) (i32.const 200))").says("(i32.load (i32.const 200))", 8);
    program.tries_plain(&format!("call $mkdir (call $folder (i32.const 1)) {text}"));
    program.does("(call $block (call $after (i64.const 1000)))");
    program.code()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn a_damaged_component_is_refused_or_does_what_it_does_and_is_never_the_machines_fault(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut code = BUSY.clone();
        for (at, byte) in damage {
            let at = at.index(code.len());
            code[at] = byte;
        }
        let mut job = Job { code: code[..].into(), ..Program::new().job() };
        job.limits.fuel = 10_000_000;
        let (one, two) = (WASM.run(&job, &Control::new()), WASM.run(&job, &Control::new()));
        match (one, two) {
            (Ok(one), Ok(two)) => {
                prop_assert_eq!((&one.ended, &one.log, &one.output), (&two.ended, &two.log, &two.output));
                prop_assert!(!one.deterministic || one.used.fuel == two.used.fuel);
            }
            (Err(Error::Code(_)), Err(Error::Code(_))) => {}
            other => prop_assert!(false, "{other:?}"),
        }
    }
}
