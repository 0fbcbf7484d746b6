//! Scripts that are read by their interpreter and not run. What a machine lacks to have that is said, and the test left out.

use std::fs;
use stoa_algorithms::{Check, Error, Folder, Language};
use stoa_sandbox::{Control, Ended, Input, Job, Runtime as _, Source, Wasm};

/// What is said of scripts of a language, each with what is expected: nothing, or a part of it.
fn are_told(language: Language, scripts: &[(&str, &str)]) {
    let place = tempfile::tempdir().expect("a folder");
    let folder = Folder::create(&place.path().join("mean"), "mean", language).expect("a folder with an example");
    let Check { script, parser } = match folder.check() {
        Err(why @ Error::Toolchain { .. }) => {
            println!("skipped: {why}");
            return;
        }
        check => check.expect("an interpreter").expect("a script"),
    };
    let wasm = Wasm::new(None).expect("a runtime");
    let told = || {
        let mut job = Job::new(&parser[..]);
        job.inputs = vec![Input { name: "script".into(), source: Source::Path(script.clone()) }];
        let outcome = wasm.run(&job, &Control::new()).expect("a run");
        (outcome.ended, outcome.log.text())
    };
    assert_eq!(told(), (Ended::Exited(0), String::new()), "the example");
    for (text, want) in scripts {
        fs::write(&script, text).expect("a script");
        let (ended, said) = told();
        assert_eq!(ended, Ended::Exited(u32::from(!want.is_empty())), "{text:?}: {said}");
        assert!(said.contains(want) && said.is_empty() == want.is_empty(), "{text:?}: {said}");
    }
}

#[test]
fn mistakes_in_python_are_told_with_their_line_and_nothing_is_run() {
    let scripts = [
        ("import nothing\nprint(1 / 0)\n", ""),
        ("a = 1\nb = )\n", "line 2\nSyntaxError: invalid syntax"),
        ("if True:\nprint(1)\n", "line 2"),
        ("return 5\n", "'return' outside function"),
    ];
    are_told(Language::Python, &scripts);
}

#[test]
fn mistakes_in_javascript_are_told_with_their_line_and_nothing_is_run() {
    let scripts = [
        ("std.err.puts('run');\nnobody();\n", ""),
        ("#!/usr/bin/env qjs\nconst text = 1, error = 2, line = 3;\n", ""),
        ("let a = 1;\nlet b = ;\n", "main.js, line 2: SyntaxError"),
        ("import { a } from 'b';\n", "line 1"),
        ("function f() {\n", "SyntaxError"),
    ];
    are_told(Language::JavaScript, &scripts);
}

#[test]
fn what_a_compiler_reads_no_interpreter_does() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = Folder::create(&place.path().join("mean"), "mean", Language::C).expect("a folder with an example");
    assert!(folder.check().expect("nothing to lack").is_none());
}
