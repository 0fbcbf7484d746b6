//! `stoa tour`, as a newcomer runs it.

use eyre::{Result, ensure};
use serde_json::Value;
use std::process::{Command, Stdio};
use stoa_tests::program;

#[test]
fn the_tour_does_what_it_says() -> Result<()> {
    let output = Command::new(program()?).args(["--json", "tour"]).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{}{}", String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    let report: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(report["validators"] == 4 && report["transfersWithoutIt"] == 3, "{report}");
    ensure!(report["refused"].as_str().is_some_and(|why| why.contains("was revoked in block")), "{report}");
    ensure!(report["entriesOfConsent"] == 4, "{report}");
    let trained = &report["trained"];
    let accuracy = |who: &str| trained[who]["accuracy"].as_f64().unwrap_or_default();
    ensure!(accuracy("together") > 0.8 && accuracy("inOnePlace") > 0.8, "{report}");
    ensure!(trained["alone"].as_object().map(serde_json::Map::len) == Some(4), "{report}");
    ensure!(trained["rerun"] == true && trained["rounds"] == 12, "{report}");
    ensure!(trained["refused"].as_str().is_some_and(|why| why.contains("no grant of asset")), "{report}");
    ensure!(accuracy("withoutOne") > 0.5, "{report}");
    Ok(())
}
