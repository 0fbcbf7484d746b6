//! An older program, built from a commit, and the test that takes a network from it to this one.

use crate::place::{Place, check, output, show};
use eyre::{ContextCompat as _, Result};
use std::fs;

/// The program; with a test beside it, whose dependencies have the features that they have wherever all is built.
const BUILD: [&str; 5] = ["build", "--locked", "--workspace", "--bin", "stoa"];

/// Builds both programs and runs the test. Whether it passed.
pub fn run(place: &Place, from: &str) -> Result<bool> {
    let mut commit = place.command("git");
    commit.args(["rev-parse", "--verify", "--short=12"]).arg(format!("{from}^{{commit}}"));
    let commit = output(&mut commit).wrap_err_with(|| format!("there is no commit {from}"))?;
    let older = place.target.join("older").join(&commit);
    if !older.exists() {
        build(place, &commit)?;
    }
    check(place.cargo()?.args(BUILD).args(["--test", "upgrade"]))?;
    let mut test = place.cargo()?;
    test.args(["nextest", "run", "--locked", "--workspace", "--test", "upgrade", "--run-ignored", "only"]);
    test.args(["--no-capture"]).env("STOA_OLDER_BIN", &older);
    println!("   {}", show(&test));
    Ok(test.status()?.success())
}

/// Builds the program of a commit, in a working tree of its own, and keeps it beside the build.
fn build(place: &Place, commit: &str) -> Result<()> {
    let folder = place.target.join("older");
    fs::create_dir_all(&folder)?;
    // Left over where this was ended in the middle.
    let tree = folder.join("tree");
    let mut remove = place.command("git");
    remove.args(["worktree", "remove", "--force"]).arg(&tree);
    let _ = output(&mut remove);
    check(place.command("git").args(["worktree", "add", "--quiet", "--detach"]).arg(&tree).arg(commit))?;
    let mut cargo = place.cargo()?;
    // The same build folder, and a test that all commits have: what they have in common is built once.
    cargo.args(BUILD).args(["--test", "operation"]).current_dir(&tree);
    println!("   {}", show(&cargo));
    let built = check(&mut cargo).and_then(|()| Ok(fs::rename(place.target.join("debug/stoa"), folder.join(commit))?));
    check(&mut remove)?;
    built
}
