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
    Ok(())
}
