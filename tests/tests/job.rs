//! Programs that run on other people's data, as processes: owners' nodes, a buyer, and an owner who changes his mind.

use alloy_primitives::U256;
use eyre::{ContextCompat as _, Result, ensure};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};
use stoa_client::Client;
use stoa_tests::{
    Node, OTHER_KEY,
    stage::{LONG, Stage, copies, stoa},
    variable,
};

const OWNERS: [usize; 2] = [5, 6];
const BUYER: usize = 8;
const BUYERS_ADDRESS: &str = "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f";

/// An owner's node, which computes on what lies in a folder; its public key.
fn computing(stage: &Stage, account: usize) -> Result<(Node, String)> {
    let data = stage.at(&format!("data-{account}"));
    fs::create_dir(&data)?;
    stage.node(&format!("computer-{account}"), account, &["--data", &data.to_string_lossy()], &[])
}

/// A node that runs processes as well, which see the tests' own packages of Python.
fn running(stage: &Stage, account: usize) -> Result<(Node, String)> {
    let data = stage.at(&format!("data-{account}"));
    fs::create_dir(&data)?;
    let python = Path::new(&variable("STOA_PYTHON")?).parent().and_then(Path::parent).wrap_err("a place")?.to_owned();
    let words = ["--data", &data.to_string_lossy(), "--processes", "--environment", &python.to_string_lossy()];
    stage.node(&format!("computer-{account}"), account, &words, &[])
}

/// Asks again and again until the answer is this.
fn until(stage: &Stage, words: &[&str], is: impl Fn(&Value) -> bool) -> Result<Value> {
    let late = Instant::now() + LONG;
    loop {
        let said = stage.run(BUYER, words)?;
        if is(&said) {
            return Ok(said);
        }
        ensure!(Instant::now() < late, "{words:?} still says {said}");
        thread::sleep(Duration::from_millis(500));
    }
}

/// Rules that any program runs under, and that let numbers of a single row leave: `any.json`.
fn any_rules(stage: &Stage) -> Result<()> {
    let numbers = json!({ "kind": "numbers", "most": 100, "keys": ["rows", "values"] });
    let rules = json!({ "files": { "result.json": numbers }, "rounds": 1, "budget": 1000 });
    Ok(fs::write(stage.at("any.json"), rules.to_string())?)
}

fn text(value: &Value, name: &str) -> Result<String> {
    Ok(value[name].as_str().wrap_err_with(|| format!("{name} in {value}"))?.to_owned())
}

#[test]
fn a_program_runs_on_the_data_of_two_owners_is_paid_and_after_a_revocation_refused() -> Result<()> {
    let stage = Stage::new(0)?;
    let (mut nodes, mut assets, mut grants) = (Vec::new(), Vec::new(), Vec::new());
    any_rules(&stage)?;
    for (number, account) in OWNERS.into_iter().enumerate() {
        let (node, key) = computing(&stage, account)?;
        nodes.push(node);
        let file = format!("rows-{account}.csv");
        fs::write(stage.at(&file), format!("63,1,{number},145"))?;
        let data = format!("data-{account}");
        let offer = ["job", "offer", &file, "--data", &data, "--node", &key, "--base", "0.5", "--price", "0.25"];
        // Who says nothing of what may leave is asked which program may run.
        let why = stage.attempt(account, &offer)?.err().wrap_err("it was offered")?;
        ensure!(why.contains("which program may run"), "{why}");
        let asset = text(&stage.run(account, &[&offer[..], &["--rules", "any.json"]].concat())?, "asset")?;
        let early = stage.attempt(BUYER, &["job", "run", "--algorithm", "none", "--on", &asset, "--to", "early"])?;
        ensure!(early.err().is_some_and(|why| why.contains("cannot read none")), "it ran");
        let allow = ["job", "allow", &asset, "--to", BUYERS_ADDRESS, "--purpose", "ScientificResearch"];
        let allowed = stage.run(account, &allow)?;
        ensure!(allowed["until"].is_null() && allowed["offered"] == true, "{allowed}");
        grants.push(text(&allowed, "grant")?);
        assets.push((asset, file));
    }
    // Parameters come out as they went in, of each owner, and each job is paid by use: half a coin, and a quarter for the million
    // steps that it began.
    fs::write(stage.at("echo.wasm"), copies("params.json")?)?;
    let on = format!("{},{}", assets[0].0, assets[1].0);
    let words =
        ["job", "run", "--algorithm", "echo.wasm", "--on", &on, "--param", "rows=12", "--param", "values=[1,2.5]"];
    let ran = stage.run(BUYER, &[&words[..], &["--to", "first", "--steps", "10", "--most", "3"]].concat())?;
    for (asset, _) in &assets {
        let left = fs::read_to_string(stage.at("first").join(asset).join("result.json"))?;
        ensure!(left == r#"{"rows":12,"values":[1,2.5]}"#, "{left}");
    }
    let jobs = ran["jobs"].as_array().wrap_err("jobs")?;
    for job in jobs {
        ensure!(job["ended"] == "succeeded" && job["rounds"] == 1 && job["steps"] == 1_000_000, "{job}");
        ensure!(job["paid"] == "0xa688906bd8b0000" && job["refunded"] == "0x1f399b1438a10000", "{job}");
        let shown = stage.run(BUYER, &["job", "show", &text(job, "job")?])?;
        ensure!(shown["state"] == "finished" && shown["receipt"]["output"] == job["output"], "{shown}");
    }
    // What has not the shape that leaves stays, costs what it used, and the message says nothing of it.
    fs::write(stage.at("steal.wasm"), copies(&assets[1].1)?)?;
    let small = ["--steps", "10", "--most", "3"];
    let steal = ["job", "run", "--algorithm", "steal.wasm", "--on", &assets[1].0, "--to", "stolen"];
    let steal = [&steal[..], &small].concat();
    let refused = stage.attempt(BUYER, &steal)?.err().wrap_err("it ran")?;
    ensure!(refused.contains("result.json: it is not JSON") && !refused.contains("63,1,"), "{refused}");
    let told = format!("in round 1 on asset {}; 0.75 STOA were paid for job 0x", assets[1].0);
    ensure!(refused.contains(&told) && refused.contains("(stoa audit 0x"), "{refused}");
    let dear = ["job", "run", "--algorithm", "echo.wasm", "--on", &assets[1].0, "--to", "dear", "--steps", "10"];
    let refused = stage.attempt(BUYER, &dear)?.err().wrap_err("it ran")?;
    let told = "it costs 3 STOA for 10 million steps, which is more than 1 STOA: `--steps` asks for fewer";
    ensure!(refused.contains(told), "{refused}");
    ensure!(!stage.at("stolen").exists());

    // One owner takes it back: with his data it is refused, without it works.
    stage.run(OWNERS[0], &["data", "revoke", &grants[0]])?;
    let words = |on: &str, to: &'static str| {
        let words = ["job", "run", "--algorithm", "echo.wasm", "--on", on, "--param", "rows=12", "--to", to];
        [&words[..], &small].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let [with, without] = [words(&on, "second"), words(&assets[1].0, "third")];
    let refused =
        stage.attempt(BUYER, &with.iter().map(String::as_str).collect::<Vec<_>>())?.err().wrap_err("it ran")?;
    ensure!(refused.contains("no grant of asset") && !stage.at("second").exists(), "{refused}");
    stage.run(BUYER, &without.iter().map(String::as_str).collect::<Vec<_>>())?;
    ensure!(stage.at("third").join(&assets[1].0).join("result.json").exists());
    Ok(())
}

#[test]
fn four_hospitals_train_a_model_without_a_row_leaving_any_of_them() -> Result<()> {
    let stage = Stage::new(0)?;
    let repository =
        Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..").canonicalize()?;
    let at = |path: &str| repository.join(path).to_string_lossy().into_owned();
    let (mut nodes, mut assets, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for (account, hospital) in (1..).zip(["cleveland", "hungary", "switzerland", "va"]) {
        let (node, key) = computing(&stage, account)?;
        nodes.push(node);
        let (file, data, rules) =
            (at(&format!("data/heart/{hospital}.csv")), format!("data-{account}"), at("data/heart/rules.json"));
        let offer = ["job", "offer", &file, "--data", &data, "--node", &key, "--rules", &rules, "--price", "0.001"];
        let asset = text(&stage.run(account, &offer)?, "asset")?;
        let allow = ["job", "allow", &asset, "--to", BUYERS_ADDRESS, "--purpose", "ScientificResearch"];
        stage.run(account, &allow)?;
        assets.push(asset);
        rows.extend(fs::read_to_string(file)?.lines().skip(1).map(str::to_owned));
    }
    let (algorithm, plan, on) = (at("algorithms/federated.wasm"), at("data/heart/plan.json"), assets.join(","));
    let run =
        ["job", "run", "--algorithm", &algorithm, "--plan", &plan, "--on", &on, "--to", "model", "--steps", "1000"];
    let ran = stage.run(BUYER, &run)?;
    ensure!(ran["rounds"] == 12, "{ran}");
    for job in ran["jobs"].as_array().wrap_err("jobs")? {
        ensure!(job["ended"] == "succeeded" && job["rounds"] == 12, "{job}");
        ensure!(job["paid"] != "0x0" && job["refunded"] != "0x0", "{job}");
    }
    let scores: Value = serde_json::from_slice(&fs::read(stage.at("model/result.json"))?)?;
    ensure!(scores["rows"] == 274 && scores["sites"] == 4, "{scores}");
    ensure!(scores["accuracy"].as_f64() > Some(0.8) && scores["auc"].as_f64() > Some(0.85), "{scores}");
    // The model is what the last round of training came to.
    let model: Value = serde_json::from_slice(&fs::read(stage.at("model/rounds/011.json"))?)?;
    ensure!(model["weights"].as_array().map(Vec::len) == model["features"].as_array().map(Vec::len), "{model}");
    // No patient is in anything that left.
    for number in 1..=12 {
        let left = fs::read_to_string(stage.at(&format!("model/rounds/{number:03}.json")))?;
        ensure!(!rows.iter().any(|row| left.contains(row.as_str())), "a row left in round {number}");
    }
    Ok(())
}

/// A job costs nothing whose node is killed while it runs, and one that begins when it is gone does not begin. Waits for the
/// shortest time that a job may have.
#[test]
fn a_buyer_whose_node_was_killed_in_the_middle_is_told_how_it_stands_and_has_everything_back() -> Result<()> {
    let stage = Stage::new(0)?;
    let (runtime, client) = (tokio::runtime::Runtime::new()?, Client::new(stage.chain.http()));
    let balance =
        || -> Result<U256> { Ok(runtime.block_on(client.call("eth_getBalance", (BUYERS_ADDRESS, "latest")))?) };
    let owner = OWNERS[0];
    let (mut computer, key) = computing(&stage, owner)?;
    any_rules(&stage)?;
    fs::write(stage.at("rows.csv"), "63,1,1,145")?;
    let loops = r#"(module (memory (export "memory") 1) (func (export "_start") (loop $again (br $again))))"#;
    fs::write(stage.at("loops.wasm"), wat::parse_str(loops)?)?;
    let offer = ["job", "offer", "rows.csv", "--data", "data-5", "--node", &key, "--rules", "any.json"];
    let terms = ["--base", "0.5", "--price", "0.0001", "--time", "60"];
    let asset = text(&stage.run(owner, &[&offer[..], &terms].concat())?, "asset")?;
    stage.run(owner, &["job", "allow", &asset, "--to", BUYERS_ADDRESS, "--purpose", "ScientificResearch"])?;
    let run =
        ["job", "run", "--algorithm", "loops.wasm", "--on", &asset, "--steps", "60000", "--most", "7", "--detach"];

    // One that its buyer ends costs what it used.
    let job = text(&stage.run(BUYER, &run)?["jobs"][0], "job")?;
    let ended = stage.run(BUYER, &["job", "cancel", &job])?;
    let receipt = &ended["receipt"];
    ensure!(receipt["ended"] == "stopped" && receipt["paid"] != "0x0" && receipt["refunded"] != "0x0", "{ended}");

    let before = balance()?;
    let job = text(&stage.run(BUYER, &run)?["jobs"][0], "job")?;
    let status = ["job", "status", &job];
    let running = stage.run(BUYER, &status)?;
    ensure!(running["state"] == "running" && running["node"]["round"] == "running", "{running}");
    computer.kill()?;
    let cut = stage.run(BUYER, &status)?;
    ensure!(cut["state"] == "running" && cut["until"] == running["until"], "{cut}");
    ensure!(cut["node"]["error"].is_string() && cut["receipt"].is_null(), "{cut}");
    let mut people = Command::new(variable("STOA_BIN")?);
    people.current_dir(stage.folder.path()).args(status).args(["--account", "8", "--http", stage.chain.http()]);
    let said = String::from_utf8(people.output()?.stdout)?;
    let time = stoa_client::utc(cut["until"].as_u64().wrap_err("a time")?);
    let told = format!("running until {time}; its node does not tell how it stands");
    ensure!(said.starts_with(&told), "{said}");
    // All that it could cost is held; nothing more is where a node is asked that is not there.
    let held = U256::from(65) * U256::from(10).pow(U256::from(17));
    let meanwhile = balance()?;
    ensure!(before - meanwhile > held, "{before} {meanwhile}");
    let why = stage.attempt(BUYER, &run)?.err().wrap_err("it began")?;
    ensure!(why.contains("no job was begun") && balance()? == meanwhile, "{why}");

    let late = Instant::now() + LONG;
    let back = loop {
        match stage.attempt(BUYER, &["job", "expire", &job])? {
            Ok(back) => break back,
            // The ledger's clock may be behind this machine's.
            Err(why) => ensure!(why.contains(" yet") || why.contains("has time until second"), "{why}"),
        }
        ensure!(Instant::now() < late, "its time is not over");
        thread::sleep(Duration::from_millis(500));
    };
    ensure!(back["refunded"].as_str() == Some("0x5a34a38fc00a0000"), "{back}");
    let lost = before - balance()?;
    ensure!(lost < held / U256::from(100), "{lost} is more than the fees of what was sent");
    let over = stage.run(BUYER, &status)?;
    ensure!(over["state"] == "expired" && over["node"].is_null() && over["receipt"].is_null(), "{over}");
    Ok(())
}

/// Runs a job on data that another node checks, and audits its receipt with nothing but the network key.
#[test]
fn a_receipt_is_checked_by_a_node_that_was_drawn_and_audited_by_somebody_who_asks_nobody() -> Result<()> {
    let stage = Stage::new(0)?;
    let (owner, auditor) = (OWNERS[0], OWNERS[1]);
    let (_computer, key) = computing(&stage, owner)?;
    let (_auditor, other) = computing(&stage, auditor)?;
    fs::write(stage.at("rows.csv"), "63,1,1,145")?;
    fs::write(stage.at("echo.wasm"), copies("params.json")?)?;
    let program = ["--algorithm", "echo.wasm"];
    let offer = ["job", "offer", "rows.csv", "--data", "data-5", "--node", &key, "--price", "0.25"];
    let checks =
        ["--auditor", &other, "--chance", "100", "--fee", "0.125", "--stake", "5", "--bond", "20", "--time", "120"];
    let asset = text(&stage.run(owner, &[&offer[..], &checks, &program].concat())?, "asset")?;
    // Whoever adds to a bond that is not his gives his coins away, so he is not let.
    let given = stage.attempt(auditor, &["job", "bond", &asset, "1"])?.err().wrap_err("it was given away")?;
    ensure!(given.contains(&format!("does not own asset {asset}")), "{given}");
    let none = format!("0x{}", "7".repeat(64));
    let given = stage.attempt(owner, &["job", "bond", &none, "1"])?.err().wrap_err("it was given away")?;
    ensure!(given.contains(&format!("there is no asset {none}")), "{given}");
    ensure!(stage.run(owner, &["job", "bond", &asset, "1"])?["bond"] == "0x1236efcbcbb340000");
    let copy = ["job", "copy", &asset, "rows.csv", "--data", "data-6"];
    stage.run(auditor, &[&copy[..], &program].concat())?;
    stage.run(owner, &["job", "allow", &asset, "--to", BUYERS_ADDRESS, "--purpose", "ScientificResearch"])?;
    let run = ["job", "run", "--algorithm", "echo.wasm", "--on", &asset, "--param", "rows=12", "--to", "out"];
    let ran = stage.run(BUYER, &[&run[..], &["--steps", "10", "--most", "3"]].concat())?;
    let job = text(&ran["jobs"][0], "job")?;

    let key = stage.chain.announced("networkKey")?.to_owned();
    let shown = until(&stage, &["job", "show", &job], |shown| shown["check"]["state"] == "confirmed")?;
    ensure!(shown["check"]["auditors"][0] == other.as_str() && shown["state"] == "finished", "{shown}");

    // With what the buyer has, and what the owner has.
    let verify = ["job", "verify", &job, "--algorithm", "echo.wasm", "--data", "data-6", "--params", "out/params"];
    ensure!(stage.run(auditor, &verify)?["same"] == true);
    let audit = |what: &str, more: &[&str]| {
        let words = ["audit", what, "--network-key", &key, "--http", stage.chain.http()];
        let mut command = stoa(stage.folder.path(), &[&words[..], more].concat())?;
        let output = command.output()?;
        let said = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
        Ok::<_, eyre::Report>((output.status.success(), said))
    };
    let whole = ["--algorithm", "echo.wasm", "--run", "out", "--data", "data-5"];
    let written = ["--html", "a.html", "--prov", "a.prov", "--in-toto", "a.intoto", "--evidence", "a.json"];
    let (holds, said) = audit(&job, &[&whole[..], &written].concat())?;
    ensure!(holds, "{said}");
    let said: Value = serde_json::from_str(&said)?;
    let steps: Vec<_> = said["steps"].as_array().wrap_err("steps")?.iter().map(|step| step["name"].clone()).collect();
    let all = [
        "blocks",
        "receipt",
        "order",
        "consent",
        "offer",
        "data",
        "payment",
        "check",
        "program",
        "parameters",
        "output",
        "data set",
        "rerun",
    ];
    ensure!(steps == all, "{said}");

    // From each file alone, with no node there; and not with another key, or if a bit of the evidence is another.
    let nowhere = ["--http", "http://127.0.0.1:1"];
    for file in ["a.html", "a.prov", "a.intoto", "a.json"] {
        let words = ["audit", file, "--network-key", &key];
        let output = stoa(stage.folder.path(), &[&words[..], &nowhere].concat())?.output()?;
        ensure!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    }
    // Nor what shows something else than what its evidence proves.
    let page = fs::read_to_string(stage.at("a.html"))?;
    let prov = fs::read_to_string(stage.at("a.prov"))?;
    let in_toto = fs::read_to_string(stage.at("a.intoto"))?;
    for (text, is, other) in [
        (&page, "Every step holds.", "Every step holds, and Ann was paid."),
        (&prov, r#""stoa:rounds": 1"#, r#""stoa:rounds": 2"#),
        (&in_toto, r#""steps": "#, r#""more": "#),
    ] {
        ensure!(text.contains(is), "{is} is not in {text}");
        fs::write(stage.at("altered"), text.replacen(is, other, 1))?;
        let (holds, said) = audit("altered", &[])?;
        ensure!(!holds && said.contains("shows something else than what its evidence proves"), "{said}");
    }
    // Nor what readers may read differently.
    let twice = in_toto.replacen(r#""subject":"#, r#""subject": [], "subject":"#, 1);
    ensure!(twice != in_toto, "{in_toto}");
    fs::write(stage.at("altered"), twice)?;
    let (holds, said) = audit("altered", &[])?;
    ensure!(!holds && said.contains("an object has the key"), "{said}");
    let output = stoa(stage.folder.path(), &["audit", "a.json", "--network-key", OTHER_KEY])?.output()?;
    ensure!(!output.status.success(), "another key's network signed it");
    let mistyped = key.replacen(&key[10..12], if &key[10..12] == "00" { "01" } else { "00" }, 1);
    let output = stoa(stage.folder.path(), &["audit", "a.json", "--network-key", &mistyped])?.output()?;
    let said = String::from_utf8(output.stdout)?;
    ensure!(output.status.code() == Some(2) && said.contains("one of its digits is mistyped"), "{said}");
    let evidence = fs::read_to_string(stage.at("a.json"))?;
    let mut value: Value = serde_json::from_str(&evidence)?;
    // Another chain's id, in the evidence and in every name that is built with it.
    let chain = value["chainId"].as_u64().wrap_err("a chain's id")?;
    for file in ["a.html", "a.prov", "a.intoto", "a.json"] {
        let text = fs::read_to_string(stage.at(file))?;
        let forged = text.replace(&format!("\"chainId\":{chain}"), "\"chainId\":1");
        let forged = forged.replace(&format!("\"chainId\": {chain}"), "\"chainId\": 1");
        let forged = forged.replace(&format!("eip155:{chain}:"), "eip155:1:");
        ensure!(forged != text, "{file} does not tell the chain");
        fs::write(stage.at("forged"), forged)?;
        let (holds, said) = audit("forged", &[])?;
        ensure!(!holds && said.contains("is not signed for chain 1,"), "{file}: {said}");
    }
    // What a node says beside a proof.
    for (place, other) in [("certificate/networkKey", OTHER_KEY), ("proof/blockNumber", "0xffffff")] {
        let mut forged = value.clone();
        let part = forged.pointer_mut(&format!("/transactions/0/{place}"));
        *part.wrap_err(place)? = other.into();
        fs::write(stage.at("forged"), forged.to_string())?;
        let (holds, said) = audit("forged", &[])?;
        ensure!(!holds && said.contains("these steps do not hold: blocks"), "{place}: {said}");
    }
    let count = value["transactions"].as_array().wrap_err("transactions")?.len();
    for number in 0..count {
        let mut forged = value.clone();
        let receipt = &mut forged["transactions"][number]["proof"]["receipt"];
        let text = receipt.as_str().wrap_err("a receipt")?.to_owned();
        let last = if text.ends_with('0') { "1" } else { "0" };
        *receipt = Value::from(text[..text.len() - 1].to_owned() + last);
        fs::write(stage.at("forged.json"), forged.to_string())?;
        ensure!(!audit("forged.json", &[])?.0, "a forged receipt {number} was believed");
    }
    // What is left out is missed, but for what only tells more.
    value["transactions"].as_array_mut().wrap_err("transactions")?.remove(0);
    fs::write(stage.at("less.json"), value.to_string())?;
    let (holds, said) = audit("less.json", &[])?;
    ensure!(!holds && said.contains("these steps do not hold: data"), "{said}");
    // Material that is not what ran.
    fs::write(stage.at("other.wasm"), copies("other")?)?;
    let (holds, said) = audit(&job, &["--algorithm", "other.wasm"])?;
    ensure!(!holds && said.contains("program"), "{said}");
    fs::write(stage.at("out/left").join(&asset).join("001/result.json"), "{}")?;
    let (holds, said) = audit(&job, &["--run", "out"])?;
    ensure!(!holds && said.contains("these steps do not hold: output"), "{said}");
    Ok(())
}

/// scikit-learn beside the patients: a publisher whom the hospital trusts, a job that nobody waits for, an owner who looks at what
/// leaves, a receipt that another node finds to be close enough.
#[test]
fn a_script_with_scikit_learn_runs_as_a_process_is_approved_fetched_later_and_checked() -> Result<()> {
    let stage = Stage::new(0)?;
    let (owner, auditor, publisher) = (OWNERS[0], OWNERS[1], 7);
    let (_computer, key) = running(&stage, owner)?;
    let (_auditor, other) = running(&stage, auditor)?;
    let repository =
        Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..").canonicalize()?;
    let [script, patients] = ["algorithms/logistic.py", "data/heart/hungary.csv"].map(|path| repository.join(path));
    let (script, patients) = (script.to_string_lossy(), patients.to_string_lossy());
    let numbers = json!({
        "kind": "numbers", "most": 100, "keys": ["rows", "count", "correct", "weights", "intercept"],
        "rows": { "key": "rows", "least": 10 },
    });
    let address = "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955";
    let rules = json!({
        "files": { "result.json": numbers }, "publishers": [address], "rounds": 1, "budget": 1000, "approval": true,
        "tolerance": 1000,
    });
    fs::write(stage.at("rules.json"), rules.to_string())?;
    let offer = ["job", "offer", &patients, "--data", "data-5", "--node", &key, "--rules", "rules.json"];
    let terms =
        ["--price", "0.0001", "--processes", "--auditor", &other, "--chance", "100", "--bond", "20", "--time", "600"];
    let asset = text(&stage.run(owner, &[&offer[..], &terms].concat())?, "asset")?;
    stage.run(auditor, &["job", "copy", &asset, &patients, "--data", "data-6", "--rules", "rules.json"])?;
    stage.run(owner, &["job", "allow", &asset, "--to", BUYERS_ADDRESS, "--purpose", "ScientificResearch"])?;

    let columns = ["--param", "target=disease", "--param", "held_out=held_out", "--steps", "60000", "--most", "7"];
    let run = ["job", "run", "--algorithm", &script, "--on", &asset, "--detach"];
    let run = [&run[..], &columns].concat();
    let refused = stage.attempt(BUYER, &run)?.err().wrap_err("nobody has published it")?;
    ensure!(refused.contains("does not let this program run") && refused.contains("nothing paid"), "{refused}");
    let begun = stage.run(BUYER, &["job", "list", "--on", &asset])?;
    ensure!(begun["jobs"].as_array().is_some_and(Vec::is_empty), "{begun}");
    stage.run(publisher, &["algo", "publish", &script])?;
    let job = text(&stage.run(BUYER, &run)?["jobs"][0], "job")?;
    let early = stage.attempt(BUYER, &["job", "result", &job, "--to", "early"])?.err().wrap_err("it is there")?;
    ensure!(early.contains("is not done"), "{early}");

    let status = ["job", "status", &job];
    until(&stage, &status, |said| said["node"]["round"] == "held")?;
    let (network, http) = (stage.chain.announced("networkKey")?, stage.chain.http());
    let output = stoa(stage.folder.path(), &["audit", &job, "--network-key", network, "--http", http])?.output()?;
    let said = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
    ensure!(!output.status.success() && said.contains("has not ended"), "{said}");
    let held = stage.run(owner, &["job", "held", "--data", "data-5"])?;
    ensure!(held["held"][0]["job"] == job.as_str() && held["held"][0]["files"][0]["path"] == "result.json", "{held}");
    let approve =
        |digest: &str| stage.attempt(owner, &["job", "approve", &job, "--digest", digest, "--data", "data-5"]);
    let refused = approve(&job)?.err().wrap_err("nobody has looked at that")?;
    ensure!(refused.contains("has changed since"), "{refused}");
    approve(&text(&held["held"][0], "digest")?)?.map_err(eyre::Report::msg)?;
    until(&stage, &status, |said| said["node"]["round"] == "left")?;
    let fetched = stage.run(BUYER, &["job", "result", &job, "--to", "result"])?;
    let receipt = &fetched["receipt"];
    ensure!(receipt["ended"] == "succeeded" && receipt["paid"] != "0x0" && receipt["refunded"] != "0x0", "{fetched}");
    let result: Value = serde_json::from_slice(&fs::read(stage.at("result").join(&asset).join("result.json"))?)?;
    let [count, correct] = ["count", "correct"].map(|name| result[name].as_f64().unwrap_or_default());
    ensure!(count > 40.0 && correct / count > 0.75, "{result}");
    // The node keeps it sealed, for whoever comes again.
    let again = stage.run(BUYER, &["job", "result", &job, "--to", "again"])?;
    ensure!(again["receipt"] == *receipt, "{again} {fetched}");
    // What was fetched is audited like what somebody waited for.
    let audit = ["audit", &job, "--network-key", network, "--http", http, "--run", "again", "--algorithm", &script];
    let output = stoa(stage.folder.path(), &audit)?.output()?;
    let said: Value = serde_json::from_slice(&output.stdout)?;
    let steps = said["steps"].as_array().wrap_err("steps")?;
    for name in ["program", "parameters", "output"] {
        ensure!(steps.iter().any(|step| step["name"] == name && step["holds"] == true), "{name} in {said}");
    }
    let over = stage.run(BUYER, &status)?;
    ensure!(over["state"] == "finished" && over["receipt"]["ended"] == "succeeded", "{over}");
    ensure!(over["receipt"].get("runtimeName").is_none(), "nobody knows its name: {over}");
    // A model that is published says what it was derived from; nobody says so of jobs that are not his.
    let says =
        ["--name", "Risk of hearts", "--description", "Weights of a model of heart disease.", "--license", "CC-BY-4.0"];
    let model = format!("result/{asset}/result.json");
    let publish = [
        "data",
        "publish",
        &model,
        "--free",
        "--yes",
        "--from-run",
        "again",
        "--kind",
        "model",
        "--compute",
        "--algorithm",
        &script,
    ];
    let publish = [&publish[..], &["--data", "data-8", "--node", &key], &says].concat();
    fs::create_dir(stage.at("data-8"))?;
    let refused = stage.attempt(owner, &publish)?.err().wrap_err("it is not his")?;
    ensure!(refused.contains("knows of no finished job"), "{refused}");
    let did = text(&stage.run(BUYER, &publish)?, "did")?;
    let found = stage.run(publisher, &["data", "show", &did])?;
    ensure!(found.to_string().contains(&format!(r#""derived":["{asset}"]"#)), "{found}");
    ensure!(found.to_string().contains(r#""type":"model""#), "{found}");
    let shown = until(&stage, &["job", "show", &job], |shown| shown["check"]["state"] == "confirmed")?;
    ensure!(shown["check"]["auditors"][0] == other.as_str() && shown["runtime"] == 2, "{shown}");
    Ok(())
}

/// Tables that are not what they say, read by pandas.
#[test]
fn a_packed_table_of_gigabytes_and_one_of_other_values_end_their_jobs_and_the_node_goes_on() -> Result<()> {
    let stage = Stage::new(0)?;
    let owner = OWNERS[0];
    let (_computer, key) = running(&stage, owner)?;
    any_rules(&stage)?;
    fs::write(stage.at("good.csv"), "age\n63\n41\n")?;
    fs::write(stage.at("other.csv"), "age\n63\nAnn Meier\n")?;
    let pack = "import gzip, sys
rows = gzip.compress(b'1\\n' * (32 << 20), 9)
open(sys.argv[1], 'wb').write(gzip.compress(b'age\\n') + rows * 32)";
    let packed = Command::new(variable("STOA_PYTHON")?).args(["-c", pack]).arg(stage.at("packed.csv.gz")).status()?;
    ensure!(packed.success(), "the table was not made");
    let script = "#!/usr/bin/env python3
import json, os, pandas
[name] = [name for name in os.listdir('/data') if name != 'params.json']
ages = pandas.read_csv('/data/' + name)['age']
json.dump({'rows': len(ages), 'values': [float(ages.mean())]}, open('/out/result.json', 'w'))
";
    fs::write(stage.at("mean.py"), script)?;
    let run = |file: &str, to: &str| {
        let offer = ["job", "offer", file, "--data", "data-5", "--node", &key, "--price", "0.0001", "--processes"];
        let asset = text(&stage.run(owner, &[&offer[..], &["--rules", "any.json"]].concat())?, "asset")?;
        stage.run(owner, &["job", "allow", &asset, "--to", BUYERS_ADDRESS, "--purpose", "ScientificResearch"])?;
        let words =
            ["job", "run", "--algorithm", "mean.py", "--on", &asset, "--to", to, "--steps", "60000", "--most", "7"];
        Ok::<_, eyre::Report>((stage.attempt(BUYER, &words)?, asset))
    };
    for file in ["packed.csv.gz", "other.csv"] {
        let why = run(file, "none")?.0.err().wrap_err_with(|| format!("{file} was read"))?;
        // Python sees that it gets no more memory, or it is ended.
        let known = ["the program failed", "the program used up what it may use"];
        ensure!(known.iter().any(|known| why.contains(known)) && !why.contains("Ann"), "{file}: {why}");
    }
    let (ran, asset) = run("good.csv", "good")?;
    ran.map_err(eyre::Report::msg)?;
    let left = fs::read_to_string(stage.at("good").join(asset).join("result.json"))?;
    ensure!(left == r#"{"rows":2,"values":[52.0]}"#, "{left}");
    Ok(())
}
