//! Algorithms in each language: a new folder, built and run in the sandbox by the program. What a machine lacks to build one is
//! said, and that language left out.

use eyre::{ContextCompat as _, Result, bail, ensure};
use serde_json::Value;
use std::{
    env, fs,
    path::{Path, PathBuf},
};
use stoa_tests::stage::stoa;

/// What it gives on its sample rows: the same in every language.
const MEAN: f64 = 79.111_111_111_111_11;
const DEVIATION: f64 = 8.760_800_990_030_997;

/// Cells of a table that are numbers in every language, and these.
const NUMBERS: [(&str, f64); 13] = [
    ("5", 5.0),
    (" 5", 5.0),
    ("5 ", 5.0),
    ("\t7\t", 7.0),
    ("+5", 5.0),
    ("-0.5", -0.5),
    (".5", 0.5),
    ("5.", 5.0),
    ("1e2", 100.0),
    ("1E-2", 0.01),
    ("2.5e+1", 25.0),
    ("007", 7.0),
    ("1.e1", 10.0),
];

/// Cells that are none in any.
const NO_NUMBERS: [&str; 22] = [
    "x", "0x10", "0b11", "1_000", "1 000", "1'000", "NaN", "inf", "1e999", "1e", "e5", "1e5.5", ".", "+", "+-5", "1-2",
    "1.2.3", "5f", "5\u{a0}", "\u{b2}", "\u{665}", "true",
];

/// Runs the program in a folder: whether it succeeded, and the JSON that it printed.
fn say(folder: &Path, words: &[&str]) -> Result<(bool, Value)> {
    let mut command = stoa(folder, words)?;
    // Beside the modules of `cargo xtask algorithms`, so that they share a standard library.
    if let Some(target) = env::var_os("CARGO_TARGET_DIR") {
        command.env("CARGO_TARGET_DIR", PathBuf::from(target).join("algorithms"));
    }
    let output = command.arg("--json").output()?;
    let printed = serde_json::from_slice(&output.stdout);
    let said = printed.map_err(|_| eyre::eyre!("{words:?}: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok((output.status.success(), said))
}

fn done(folder: &Path, words: &[&str]) -> Result<Value> {
    match say(folder, words)? {
        (true, said) => Ok(said),
        (false, said) => bail!("{words:?}: {said}"),
    }
}

/// Makes an algorithm, builds it, and runs it on its own sample and on what it has to refuse.
fn in_language(language: &str) -> Result<()> {
    let place = tempfile::tempdir()?;
    let at = place.path();
    done(at, &["algo", "new", "mean", "--lang", language])?;
    let (made, said) = say(at, &["algo", "new", "mean", "--lang", language])?;
    ensure!(!made && said["error"].as_str().is_some_and(|why| why.contains("--to")), "{said}");
    let (built, said) = say(at, &["algo", "build", "mean"])?;
    if let Some(why) = said["error"].as_str().filter(|why| !built && why.contains("cannot be built here")) {
        println!("skipped: {why}");
        return Ok(());
    }
    ensure!(built, "{said}");
    let sample = ["algo", "test", "mean", "--data", "mean/sample.csv", "--param"];
    let run = |column: &str| done(at, &[&sample[..], &[&format!("column={column}")]].concat());
    let ran = run("weight")?;
    ensure!(ran["algorithm"] == said["algorithm"] && ran["deterministic"] == true, "{ran}");
    let left: Value = serde_json::from_str(ran["leaves"]["result.json"].as_str().wrap_err("a result")?)?;
    let near =
        |number: usize, value: f64| left["values"][number].as_f64().is_some_and(|left| (left - value).abs() < 1e-9);
    ensure!(left["rows"] == 18 && near(0, MEAN) && near(1, DEVIATION), "{left}");
    // Three numbers, and one for the round.
    ensure!(ran["counts"] == 4 && ran["budget"] == 30 && ran["log"] == "", "{ran}");
    println!("{language}: {} bytes, {} steps, {} bytes of memory", said["bytes"], ran["steps"], ran["memory"]);
    let again = run("weight")?;
    ensure!(again["steps"] == ran["steps"] && again["leaves"] == ran["leaves"], "{again}");

    // The module alone, with what owners let leave who name it and say nothing more, and with rules that do not know its fields.
    let module = ["algo", "test", "mean/mean.wasm", "--data", "mean/sample.csv", "--param", "column=age"];
    done(at, &module)?;
    let strange = fs::read_to_string(at.join("mean/rules.json"))?.replace(r#", "values""#, "");
    fs::write(at.join("strange.json"), strange)?;
    let (leaves, said) = say(at, &[&module[..], &["--rules", "strange.json"]].concat())?;
    ensure!(!leaves && said["withheld"].as_str().is_some_and(|why| why.contains("did not allow")), "{said}");
    // What it refuses, with a reason that has no value of the table.
    fs::create_dir(at.join("few"))?;
    fs::write(at.join("few/rows.csv"), format!("age,name\n{}", "12345,Ann\n".repeat(9)))?;
    fs::create_dir(at.join("more"))?;
    fs::write(at.join("more/one.csv"), "age\n1\n")?;
    fs::write(at.join("more/two.csv"), "age\n1\n")?;
    for (data, words, why) in [
        ("few", &["--param", "column=age"][..], "fewer than 10 rows"),
        ("few", &["--param", "column=name"], "is no number"),
        ("few", &["--param", "column=height"], "there is no column"),
        ("few", &[], "\"column\" is missing"),
        ("few", &["--param", "column=7"], "column"),
        ("more", &["--param", "column=age"], "more than one CSV file"),
    ] {
        let (leaves, said) = say(at, &[&["algo", "test", "mean", "--data", data], words].concat())?;
        let log = said["log"].as_str().unwrap_or_default();
        ensure!(!leaves && said["ended"] == "with code 1" && log.contains(why), "{data} {words:?}: {said}");
        ensure!(!log.contains("12345") && !log.contains("Ann") && said["left"] == serde_json::json!({}), "{said}");
    }
    let (leaves, said) =
        say(at, &[&sample[..5], &["--param", "column=age", "--steps", "1", "--rules", "none.json"]].concat())?;
    ensure!(!leaves && said["error"].as_str().is_some_and(|why| why.contains("none.json")), "{said}");
    reads_what_others_read(at)
}

/// What the program in a folder makes of the column `a` of a table: its result, or why there is none.
fn of_table(at: &Path, table: &[u8]) -> Result<std::result::Result<Value, String>> {
    fs::write(at.join("table.csv"), table)?;
    let (leaves, said) = say(at, &["algo", "test", "mean", "--data", "table.csv", "--param", "column=a"])?;
    Ok(match leaves {
        true => Ok(serde_json::from_str(said["leaves"]["result.json"].as_str().wrap_err("a result")?)?),
        false => Err(said["log"].as_str().wrap_err("a log")?.to_owned()),
    })
}

/// The same tables and cells in every language: two owners' data are read alike, whoever wrote the program.
fn reads_what_others_read(at: &Path) -> Result<()> {
    for (cell, value) in NUMBERS {
        let is = of_table(at, format!("b,a\n{}", format!("1,{cell}\n").repeat(10)).as_bytes())?;
        let mean = is.as_ref().ok().and_then(|is| is["values"][0].as_f64());
        ensure!(mean.is_some_and(|mean| (mean - value).abs() < 1e-9), "{cell:?}: {is:?}");
    }
    for cell in NO_NUMBERS {
        let is = of_table(at, format!("b,a\n{}1,{cell}\n", "1,5\n".repeat(10)).as_bytes())?;
        ensure!(is.as_ref().is_err_and(|why| why.contains("line 12: column \"a\" is no number")), "{cell:?}: {is:?}");
    }
    let rows = |row: &str| row.repeat(10);
    for table in [
        format!("\u{feff}a,b\n{}", rows("5,1\n")),
        format!("\u{feff}a;b\r\n{}", rows("5;1,5\r\n")),
        format!("b\ta\n{}", rows("1\t5\n")),
        format!("b|a\n{}", rows("1|5\n")),
        format!("gr\u{f6}\u{df}e, a \n{}", rows("\u{20ac},5\n")),
        format!("b,a\n{}1,  \n\n,\n3", rows("1,5\n")),
        format!("a\r\n{}5\r", "5\r\n".repeat(9)),
    ] {
        let is = of_table(at, table.as_bytes())?;
        ensure!(is.as_ref().is_ok_and(|is| is["rows"] == 10 && is["values"][0] == 5.0), "{table:?}: {is:?}");
    }
    for (table, want) in [
        (&b"\"a\",\"b\"\n5,1\n"[..], "line 1 has quotes"),
        (b"a;b\n5,5;1\n", "line 2: column \"a\" is no number"),
        (b"a,gr\xf6\xdfe\n5,1\n", "is no text in UTF-8"),
        (b"\xff\xfea\0,\0b\0\n\0", "is no text in UTF-8"),
        (b"a,b\n5\0,1\n", "is no text in UTF-8"),
        (b"", "there is no column \"a\""),
    ] {
        let is = of_table(at, table)?;
        ensure!(is.as_ref().is_err_and(|why| why.contains(want)), "{}: {is:?}", String::from_utf8_lossy(table));
    }
    Ok(())
}

#[test]
fn an_algorithm_in_rust_is_made_built_and_run() -> Result<()> {
    in_language("rust")
}

#[test]
fn an_algorithm_in_c_is_made_built_and_run() -> Result<()> {
    in_language("c")
}

#[test]
fn an_algorithm_in_assemblyscript_is_made_built_and_run() -> Result<()> {
    in_language("assemblyscript")
}

#[test]
fn an_algorithm_in_javascript_is_one_module_with_its_interpreter() -> Result<()> {
    in_language("javascript")
}

#[test]
fn an_algorithm_in_python_is_one_module_with_its_interpreter() -> Result<()> {
    in_language("python")
}

#[test]
fn a_program_that_takes_too_many_steps_is_told_how_to_have_more_and_scripts_reach_nothing_of_the_machine() -> Result<()>
{
    let place = tempfile::tempdir()?;
    let at = place.path();
    done(at, &["algo", "new", "spy", "--lang", "python"])?;
    let (built, said) = say(at, &["algo", "build", "spy"])?;
    if !built && said["error"].as_str().is_some_and(|why| why.contains("cannot be built here")) {
        println!("skipped: {said}");
        return Ok(());
    }
    let test = ["algo", "test", "spy", "--data", "spy/sample.csv", "--steps", "20"];
    fs::write(at.join("spy/main.py"), "a = 1\nb = )\n")?;
    for words in [&["algo", "build", "spy"][..], &test] {
        let (built, said) = say(at, words)?;
        let why = said["error"].as_str().unwrap_or_default();
        ensure!(!built && why.contains("line 2") && why.contains("SyntaxError"), "{said}");
    }
    fs::write(at.join("spy/main.py"), "while True: pass")?;
    let (_, said) = say(at, &test)?;
    ensure!(
        said["ended"].as_str().is_some_and(|ended| ended.contains("--steps")) && said["steps"] == 20_000_000,
        "{said}"
    );
    let spy = "import os
for path in ('/etc/passwd', '/proc/self/environ', '/data/../etc/passwd', '../../etc/passwd', '/root', '/'):
    try:
        open(path).read()
        print('read', path)
    except OSError:
        pass
    try:
        if path != '/': print('listed', os.listdir(path))
    except OSError:
        pass
try:
    open('/data/sample.csv', 'w')
    print('wrote')
except OSError:
    pass
";
    fs::write(at.join("spy/main.py"), spy)?;
    let (_, said) = say(at, &test)?;
    ensure!(said["ended"] == "well" && said["log"] == "", "{said}");
    Ok(())
}
