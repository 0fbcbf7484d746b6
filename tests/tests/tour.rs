//! `stoa tour`, as a newcomer runs it.

use alloy_primitives::U256;
use eyre::{ContextCompat as _, Result, ensure};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Command, Stdio},
};
use stoa_tests::program;

#[test]
fn the_tour_does_what_it_says() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let words = ["--json", "tour", "--exit"];
    let output = Command::new(program()?).args(words).current_dir(&folder).stdin(Stdio::null()).output()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(output.status.success(), "{}{said}", String::from_utf8(output.stdout)?);
    // It told itself that the node is gone.
    ensure!(!said.contains("a keeper did not do what it should"), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(report["validators"] == 4 && report["transfersWithoutIt"] == 3, "{report}");
    ensure!(report["millisecondsWithoutIt"].as_u64().is_some_and(|took| took > 0), "{report}");
    ensure!(report["stateRootAfterRestart"].as_str().is_some_and(|root| root.len() == 66), "{report}");
    ensure!(report["refused"].as_str().is_some_and(|why| why.contains("was revoked in block")), "{report}");
    ensure!(report["entriesOfConsent"] == 4, "{report}");
    let trained = &report["trained"];
    let accuracy = |who: &str| trained[who]["accuracy"].as_f64().unwrap_or_default();
    let count = |what: &str| trained[what].as_array().map(Vec::len);
    ensure!(accuracy("together") > 0.8 && accuracy("inOnePlace") > 0.8, "{report}");
    ensure!(trained["alone"].as_object().map(serde_json::Map::len) == Some(4), "{report}");
    ensure!(trained["found"] == 4 && trained["rounds"] == 12 && trained["trainingRounds"] == 10, "{report}");
    ensure!(trained["checked"] == true && trained["audited"] == true, "{report}");
    ensure!(count("derivedFrom") == Some(4) && count("prices") == Some(4), "{report}");
    ensure!(trained["derivedFrom"][0]["hospital"] == "Cleveland" && trained["patients"] == 918, "{report}");
    ensure!(count("auditSteps") > Some(5) && trained["auditSteps"][0]["holds"] == true, "{report}");
    ensure!(trained["refused"].as_str().is_some_and(|why| why.contains("no grant of asset")), "{report}");
    ensure!(accuracy("withoutOne") > 0.5, "{report}");
    adds_up(trained)?;
    let page = |name: &str| fs::read_to_string(report[name].as_str().unwrap_or_default());
    let (shown, audit) = (page("report")?, page("audit")?);
    // Once for wide pages, and once for narrow ones.
    ensure!(shown.matches("<polyline").count() == 8 && shown.matches(r#"<div class="bar">"#).count() == 6);
    ensure!(shown.matches("<caption>").count() == 5 && audit.contains("Every step holds."));
    Ok(())
}

fn units(value: &Value) -> Result<U256> {
    Ok(value.as_str().wrap_err("an amount")?.parse()?)
}

/// What of an account's coins moved, of some of it: what came, and what went.
fn moved(statement: &Value, of: impl Fn(&str) -> bool) -> Result<(U256, U256)> {
    let (mut got, mut paid) = (U256::ZERO, U256::ZERO);
    let all = statement["moved"].as_object().wrap_err("what moved")?;
    for (_, moved) in all.iter().filter(|(what, _)| of(what)) {
        got += units(&moved["got"])?;
        paid += units(&moved["paid"])?;
    }
    Ok((got, paid))
}

/// Everybody's coins are accounted for, to the last unit.
fn adds_up(trained: &Value) -> Result<()> {
    let statements = trained["money"].as_array().wrap_err("statements")?;
    ensure!(statements.len() == 5 && statements[0]["name"] == "the researcher", "{trained}");
    for statement in statements {
        let (got, paid) = moved(statement, |_| true)?;
        ensure!(units(&statement["before"])? + got == units(&statement["after"])? + paid, "{statement}");
        ensure!(statement["moved"].get("other").is_none(), "{statement}");
    }
    for what in ["access", "jobs", "steps"] {
        let mut sums = (U256::ZERO, U256::ZERO);
        for statement in statements {
            let (got, paid) = moved(statement, |of| of == what)?;
            sums = (sums.0 + got, sums.1 + paid);
        }
        ensure!(sums.0 == sums.1 && !sums.0.is_zero(), "{what}: {sums:?} in {trained}");
    }
    // Its second node is paid from its own bond, the rest of which is there.
    let cleveland = &statements[1];
    let (fee, bond) = (moved(cleveland, |of| of == "checks")?.0, moved(cleveland, |of| of == "bond")?.1);
    ensure!(!fee.is_zero() && units(&cleveland["bond"])? + fee == bond, "{cleveland}");
    Ok(())
}

#[test]
fn a_tour_that_is_asked_to_end_leaves_nothing_behind() -> Result<()> {
    let here = tempfile::tempdir()?;
    for (signal, heading) in [("-INT", "A payment"), ("-TERM", "A researcher finds them")] {
        let mut tour = Command::new(program()?);
        tour.args(["tour", "--exit"]).current_dir(&here).env("TMPDIR", here.path()).stdin(Stdio::null());
        let mut tour = tour.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut said = BufReader::new(tour.stdout.take().wrap_err("what it says")?);
        let mut line = String::new();
        while !line.contains(heading) {
            line.clear();
            ensure!(said.read_line(&mut line)? > 0, "it ended before {heading}");
        }
        ensure!(left(here.path())? == 1, "its folder is not where it was looked for");
        let asked = Command::new("kill").args([signal, &tour.id().to_string()]).status()?;
        ensure!(asked.success(), "it cannot be asked");
        said.read_to_string(&mut line)?;
        let output = tour.wait_with_output()?;
        let why = String::from_utf8(output.stderr)?;
        ensure!(!output.status.success() && why.contains("the tour was broken off"), "{}: {why}", output.status);
        ensure!(left(here.path())? == 0, "{signal} leaves something behind");
        ensure!(!here.path().join("stoa-tour/report.html").exists(), "there is a report");
    }
    Ok(())
}

/// How many tours have a temporary folder.
fn left(folder: &Path) -> Result<usize> {
    let names =
        fs::read_dir(folder)?.map(|entry| -> Result<String> { Ok(entry?.file_name().to_string_lossy().into_owned()) });
    let names = names.collect::<Result<Vec<_>>>()?;
    Ok(names.iter().filter(|name| name.starts_with("stoa-tour-")).count())
}
