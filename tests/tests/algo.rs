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
