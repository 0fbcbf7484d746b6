//! Six nodes that keep what others want to have kept, each a process.

use eyre::{ContextCompat as _, Result, ensure};
use serde_json::Value;
use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};
use stoa_tests::{
    Node, get,
    stage::{LONG, Stage, held, hold, stoa, wait},
    variable,
};

/// What all of these nodes together have counted so far, by the name that it has in their metrics.
fn counted(keepers: &[Node], name: &str) -> Result<f64> {
    let mut sum = 0.0;
    for keeper in keepers {
        let (status, metrics) = get(keeper.http().trim_start_matches("http://").parse()?, "/metrics")?;
        ensure!(status == 200, "{status}: {metrics}");
        let mut line = metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        sum += line.next().wrap_err_with(|| format!("it does not count {name}"))?.parse::<f64>()?;
    }
    Ok(sum)
}

/// Waits until some of what a reader reads has come, and not all.
fn some_came(stage: &Stage, reading: &mut Child) -> Result<()> {
    let (partial, until) = (stage.at("reader").join("partial"), Instant::now() + LONG);
    while fs::read_dir(&partial).map_or(0, Iterator::count) == 0 {
        ensure!(Instant::now() < until && reading.try_wait()?.is_none(), "it was never seen to be read");
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

#[test]
fn a_file_survives_three_of_six_nodes_then_is_repaired_and_survives_the_others() -> Result<()> {
    let mut stage = Stage::new(6)?;
    // So much that it takes a while to read.
    let content = content(0, 36_000_000);
    fs::write(stage.at("data"), &content)?;
    let put = stage.run(7, &["store", "--dir", "alice", "put", "data", "--spread"])?;
    let id = put["id"].as_str().wrap_err("an id")?.to_owned();
    ensure!(put["nodes"].as_array().map(Vec::len) == Some(6) && put["missingPieces"] == 0, "{put}");
    ensure!(put["survivesADomain"] == true, "{put}");
    // Sealed, coded three of six: twice the bytes, and nothing is left where it came from.
    ensure!(put["bytes"].as_u64() > Some(2 * content.len() as u64), "{put}");
    ensure!(stage.run(7, &["store", "--dir", "alice", "status"])?["blobs"] == 0);
    // The nodes cannot read it: no piece has any part of it.
    for keeper in &stage.keepers {
        let held = held(keeper)?;
        ensure!(held.len() > content.len() / 4, "{} bytes are held", held.len());
        ensure!(!held.windows(64).step_by(64).any(|window| window == &content[..64]));
    }

    // Three new nodes join, which have nothing of it. They are there before any piece is gone: whoever repairs would else make some,
    // and none for who comes when enough are there again.
    (0..3).try_for_each(|_| stage.add())?;
    // Three die while it is read: some of it has come, and not all.
    let words =
        ["store", "--dir", "reader", "get", &id, "--to", "copy", "--account", "7", "--http", stage.chain.http()];
    let mut reading = stoa(stage.folder.path(), &words)?.stdout(Stdio::null()).spawn()?;
    some_came(&stage, &mut reading)?;
    hold(&reading, true)?;
    ensure!(reading.try_wait()?.is_none(), "it was read before they died");
    stage.kill(3);
    hold(&reading, false)?;
    ensure!(wait(reading)?, "it was not read");
    ensure!(fs::read(stage.at("copy"))? == content, "it is something else");
    // Nobody but its owner opens it.
    let mut other = stoa(stage.folder.path(), &["store", "--dir", "other", "get", &id, "--to", "stolen"])?;
    let other = other.args(["--account", "3", "--http", stage.chain.http()]).output()?;
    ensure!(!other.status.success() && String::from_utf8(other.stdout)?.contains("another wallet"));
    ensure!(!stage.at("stolen").exists());

    // The new nodes get the pieces that are gone, from those that are left: the owner is not there.
    let until = Instant::now() + LONG;
    while stage.keepers[3..].iter().any(|keeper| held(keeper).map_or(0, |held| held.len()) < content.len() / 4) {
        ensure!(Instant::now() < until, "the pieces were not made anew: {}", stage.keepers[0].said());
        thread::sleep(Duration::from_millis(200));
    }
    // No piece is made by two of them: if each were made by itself, two would be read and one handed over for each.
    let made = || counted(&stage.keepers, "stoa_store_repaired_pieces_total");
    let until = Instant::now() + LONG;
    while made()? < 3.0 {
        ensure!(Instant::now() < until, "{} pieces are counted", made()?);
        thread::sleep(Duration::from_millis(200));
    }
    let bytes = ["read", "written"].map(|way| counted(&stage.keepers, &format!("stoa_store_repair_{way}_bytes_total")));
    let [read, written] = bytes;
    let (moved, piece) = (read? + written?, content.len() as f64 / 3.0);
    ensure!(moved < 9.0 * piece * 1.1, "{moved} bytes were moved, a piece has {piece}");
    stage.kill(3);
    stage.run(7, &["store", "--dir", "later", "get", &id, "--to", "again"])?;
    ensure!(fs::read(stage.at("again"))? == content, "it is something else");

    // Kept longer than was promised, from a machine that never had it. A piece is at two of those that are left where a repair took
    // longer than its round.
    let extended = stage.run(7, &["store", "--dir", "later", "extend", &id, "--days", "60"])?;
    ensure!(extended["objects"] == 1 && extended["missingPieces"] == 3, "{extended}");
    ensure!(extended["pieces"].as_u64() >= Some(3) && extended["before"].is_null(), "{extended}");

    // Its owner takes it back: those that are there keep it no longer.
    let gone = stage.run(7, &["store", "--dir", "later", "rm", &id, "--everywhere"])?;
    ensure!(gone["letGo"].as_array().map(Vec::len) == Some(3), "{gone}");
    let here = stage.attempt(7, &["store", "--dir", "later", "get", &id, "--to", "nothing"])?;
    ensure!(here.is_err(), "it is still here");
    let mut after = stoa(stage.folder.path(), &["store", "--dir", "after", "get", &id, "--to", "nothing"])?;
    let after = after.args(["--account", "7", "--http", stage.chain.http()]).output()?;
    ensure!(!after.status.success(), "it is still there");
    Ok(())
}

fn content(seed: u32, len: u32) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8).collect()
}

#[test]
fn put_and_get_that_were_killed_go_on_when_they_are_run_again() -> Result<()> {
    let stage = Stage::new(4)?;
    let data = content(1, 24_000_000);
    fs::write(stage.at("data"), &data)?;
    // A file that was written just now is not known again, for it could change without another time.
    let written = fs::File::options().write(true).open(stage.at("data"))?;
    written.set_modified(SystemTime::now() - Duration::from_secs(60))?;
    let http = stage.chain.http();
    let killed = |words: &[&str], after: u64| -> Result<()> {
        let mut child = stoa(stage.folder.path(), words)?.args(["--account", "7", "--http", http]).spawn()?;
        thread::sleep(Duration::from_millis(after));
        child.kill()?;
        child.wait()?;
        Ok(())
    };
    let put = ["store", "--dir", "alice", "put", "data", "--spread"];
    for after in [150, 700, 1500] {
        killed(&put, after)?;
    }
    let id = stage.run(7, &put)?["id"].as_str().wrap_err("an id")?.to_owned();
    ensure!(stage.run(7, &["store", "--dir", "alice", "status"])?["blobs"] == 0, "something was left behind");
    let get = ["store", "--dir", "bob", "get", &id, "--to", "copy"];
    for after in [150, 600, 1000] {
        killed(&get, after)?;
        ensure!(!stage.at("copy").exists() || fs::read(stage.at("copy"))? == data, "half a file was left");
    }
    if !stage.at("copy").exists() {
        stage.run(7, &get)?;
    }
    ensure!(fs::read(stage.at("copy"))? == data, "it is something else");
    Ok(())
}

#[test]
fn a_folder_that_came_in_part_goes_on_when_it_is_read_or_pinned_again() -> Result<()> {
    let mut stage = Stage::new(3)?;
    let (rows, more) = (content(4, 24_000_000), content(5, 100_000));
    fs::create_dir_all(stage.at("data/more"))?;
    fs::write(stage.at("data/rows"), &rows)?;
    fs::write(stage.at("data/more/rows"), &more)?;
    let put = stage.run(7, &["store", "--dir", "alice", "put", "data", "--spread"])?;
    let id = put["id"].as_str().wrap_err("an id")?.to_owned();
    let read = ["store", "--dir", "reader", "get", &id, "--to", "copy"];
    let pin = ["store", "--dir", "pinned", "pin", &id];

    // Without a wallet, and with another one: the folder has come, and what is in it has not.
    for words in [&read[..], &pin] {
        for _ in 0..2 {
            let nobody = stoa(stage.folder.path(), words)?.args(["--http", stage.chain.http()]).output()?;
            let said = String::from_utf8(nobody.stdout)?;
            ensure!(!nobody.status.success() && said.contains("name the wallet"), "{words:?}: {said}");
            // It came: that the store has not all of it is not why.
            ensure!(!said.contains("does not have"), "{words:?}: {said}");
            let said = stage.attempt(3, words)?.err().wrap_err("another read it")?;
            ensure!(said.contains("another wallet"), "{words:?}: {said}");
        }
    }
    // Killed when some of a file has come.
    let words = [&read[..], &["--account", "7", "--http", stage.chain.http()]].concat();
    let mut reading = stoa(stage.folder.path(), &words)?.stdout(Stdio::null()).spawn()?;
    some_came(&stage, &mut reading)?;
    reading.kill()?;
    reading.wait()?;
    ensure!(!stage.at("copy").exists(), "it was read before it was killed");
    // All comes, and cannot be written.
    let nowhere = ["store", "--dir", "reader", "get", &id, "--to", "nowhere/copy"];
    let said = stage.attempt(7, &nowhere)?.err().wrap_err("it was written")?;
    ensure!(said.contains("cannot be written to nowhere"), "{said}");
    stage.run(7, &pin)?;

    // From here on nobody is asked for any of it.
    stage.kill(3);
    stage.run(7, &read)?;
    stage.run(7, &["store", "--dir", "pinned", "get", &id, "--to", "pinned-copy"])?;
    for copy in ["copy", "pinned-copy"] {
        ensure!(fs::read(stage.at(copy).join("rows"))? == rows, "{copy} is something else");
        ensure!(fs::read(stage.at(copy).join("more/rows"))? == more, "{copy} is something else");
    }
    let left = stage.run(7, &["store", "--dir", "reader", "status"])?;
    ensure!(left["blobs"] == 0 && left["unfinished"] == 0, "{left}");
    let kept = stage.run(7, &["store", "--dir", "pinned", "status"])?;
    ensure!(kept["objects"] == 1 && kept["unfinished"] == 0, "{kept}");
    Ok(())
}

#[test]
fn a_node_killed_in_the_middle_of_a_repair_loses_nothing() -> Result<()> {
    let mut stage = Stage::new(6)?;
    let data = content(2, 12_000_000);
    fs::write(stage.at("data"), &data)?;
    let id = stage.run(7, &["store", "--dir", "alice", "put", "data", "--spread"])?["id"]
        .as_str()
        .wrap_err("an id")?
        .to_owned();
    stage.kill(3);
    (0..3).try_for_each(|_| stage.add())?;
    let partly = |keeper: &Node| -> Result<bool> {
        let partial = fs::read_dir(keeper.chain_folder().join("store/partial")).map_or(0, Iterator::count);
        Ok(partial > 0 || !held(keeper)?.is_empty())
    };
    let until = Instant::now() + LONG;
    while !stage.keepers[3..].iter().map(partly).collect::<Result<Vec<_>>>()?.contains(&true) {
        ensure!(Instant::now() < until, "no repair began: {}", stage.keepers[0].said());
        thread::sleep(Duration::from_millis(5));
    }
    // One of those that get pieces goes, and another comes.
    stage.keepers.pop();
    stage.keys.pop();
    stage.add()?;
    let whole = |keeper: &&Node| held(keeper).is_ok_and(|held| held.len() > data.len() / 4);
    let until = Instant::now() + LONG;
    while stage.keepers[3..].iter().filter(whole).count() < 2 {
        ensure!(Instant::now() < until, "the pieces were not made anew: {}", stage.keepers[0].said());
        thread::sleep(Duration::from_millis(200));
    }
    // Three suffice: one of the first, and two that were made since.
    stage.kill(2);
    stage.run(7, &["store", "--dir", "later", "get", &id, "--to", "again"])?;
    ensure!(fs::read(stage.at("again"))? == data, "it is something else");
    Ok(())
}

/// A command on a store of Alice's.
fn store<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["store", "--dir", "alice"][..], words].concat()
}

#[test]
fn what_was_spread_is_listed_until_its_owner_lets_it_go() -> Result<()> {
    let mut stage = Stage::new(3)?;
    fs::write(stage.at("data"), content(3, 100_000))?;
    let listed = |stage: &Stage| -> Result<Vec<Value>> {
        let listed = stage.run(7, &store(&["ls"]))?;
        ensure!(listed["objects"].as_array().is_some_and(Vec::is_empty), "{listed}");
        Ok(listed["spread"].as_array().wrap_err("a list")?.clone())
    };
    // More than there are nodes is refused before anything is made of it.
    let refused = stage.attempt(7, &store(&["put", "data", "--spread", "--code", "9/10"]))?.err();
    let refused = refused.wrap_err("it was spread")?;
    ensure!(refused.contains("there are 3 nodes") && refused.contains("9 different ones"), "{refused}");
    ensure!(stage.run(7, &store(&["status"]))?["objects"] == 0 && listed(&stage)?.is_empty());

    // Nothing but the id is on standard output.
    let words = store(&["put", "data", "--spread", "--account", "7", "--http", stage.chain.http()]);
    let put = Command::new(variable("STOA_BIN")?).current_dir(stage.folder.path()).args(words).output()?;
    let (said, errors) = (String::from_utf8(put.stdout)?, String::from_utf8(put.stderr)?);
    let id = said.trim_end().to_owned();
    ensure!(put.status.success() && id.len() == 64 && errors.contains("went to 3 nodes"), "{said}{errors}");
    let spread = listed(&stage)?;
    ensure!(spread.len() == 1 && spread[0]["id"] == *id && spread[0]["name"] == "data", "{spread:?}");
    ensure!(spread[0]["done"] == true, "{spread:?}");
    let here = stage.attempt(7, &store(&["rm", &id]))?.err().wrap_err("it was here")?;
    ensure!(here.contains("--everywhere"), "{here}");
    // Longer promises are written down as well.
    let extended = stage.run(7, &store(&["extend", &id, "--days", "90"]))?;
    ensure!(extended["before"] == spread[0]["until"], "{extended}");
    ensure!(listed(&stage)?[0]["until"] == extended["until"], "{extended}");
    ensure!(extended["until"].as_u64() > spread[0]["until"].as_u64(), "{extended}");

    // What is pinned is opened without any node.
    stage.run(7, &["store", "--dir", "pinned", "pin", &id])?;
    let mut alone = stoa(stage.folder.path(), &["store", "--dir", "pinned", "get", &id, "--to", "copy"])?;
    let alone = alone.args(["--account", "7", "--http", "http://127.0.0.1:1"]).output()?;
    ensure!(alone.status.success() && fs::read(stage.at("copy"))? == content(3, 100_000), "{alone:?}");
    let said: Value = serde_json::from_slice(&alone.stdout)?;
    ensure!(said["size"] == 100_000, "{said}");

    // Somebody else has nothing to let go, and nor has its owner twice.
    let everywhere = store(&["rm", &id, "--everywhere"]);
    let refused = stage.attempt(3, &everywhere)?.err().wrap_err("another let it go")?;
    ensure!(refused.contains("no node kept") && listed(&stage)?.len() == 1, "{refused}");
    let gone = stage.run(7, &everywhere)?;
    ensure!(gone["letGo"].as_array().map(Vec::len) == Some(3) && listed(&stage)?.is_empty(), "{gone}");
    let refused = stage.attempt(7, &everywhere)?.err().wrap_err("it went twice")?;
    ensure!(refused.contains("no node kept"), "{refused}");

    // What could not be handed over is seen, and goes when it is told to.
    stage.kill(3);
    let refused = stage.attempt(7, &store(&["put", "data", "--spread"]))?.err().wrap_err("nobody was there")?;
    ensure!(refused.contains("no other node answered"), "{refused}");
    let spread = listed(&stage)?;
    ensure!(spread.len() == 1 && spread[0]["done"] == false, "{spread:?}");
    let status = stage.run(7, &store(&["status"]))?;
    ensure!(status["objects"] == 0 && status["unfinished"] == 1, "{status}");
    ensure!(stage.run(7, &store(&["rm", "--unfinished"]))?["dropped"] == 1);
    ensure!(stage.run(7, &store(&["status"]))?["blobs"] == 0 && listed(&stage)?.is_empty());
    Ok(())
}
