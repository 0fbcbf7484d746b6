//! `stoa tour`, as a newcomer runs it.

use eyre::{Result, ensure};
use serde_json::Value;
use std::{
    fs,
    process::{Command, Stdio},
};
use stoa_tests::program;

#[test]
fn the_tour_does_what_it_says() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let words = ["--json", "tour", "--exit"];
    let output = Command::new(program()?).args(words).current_dir(&folder).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{}{}", String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    let report: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(report["validators"] == 4 && report["transfersWithoutIt"] == 3, "{report}");
    ensure!(report["refused"].as_str().is_some_and(|why| why.contains("was revoked in block")), "{report}");
    ensure!(report["entriesOfConsent"] == 4, "{report}");
    let trained = &report["trained"];
    let accuracy = |who: &str| trained[who]["accuracy"].as_f64().unwrap_or_default();
    ensure!(accuracy("together") > 0.8 && accuracy("inOnePlace") > 0.8, "{report}");
    ensure!(trained["alone"].as_object().map(serde_json::Map::len) == Some(4), "{report}");
    ensure!(trained["found"] == 4 && trained["rounds"] == 12, "{report}");
    ensure!(trained["checked"] == true && trained["audited"] == true && trained["derivedFrom"] == 4, "{report}");
    ensure!(trained["refused"].as_str().is_some_and(|why| why.contains("no grant of asset")), "{report}");
    ensure!(accuracy("withoutOne") > 0.5, "{report}");
    let page = fs::read_to_string(folder.path().join("stoa-tour/report.html"))?;
    ensure!(
        page.matches("<polyline").count() == 4
            && page.matches("% </text>").count() + page.matches(" %</text>").count() == 6
    );
    ensure!(fs::read_to_string(folder.path().join("stoa-tour/audit.html"))?.contains("Every step holds."));
    Ok(())
}
