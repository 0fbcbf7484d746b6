//! Data on the market, as processes: a seller, a buyer who pays, and what an order opens for how long.

use alloy_primitives::{Address, hex};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolEvent as _;
use eyre::{ContextCompat as _, Result, ensure};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use stoa_client::{Client, Wallet};
use stoa_data::market::abi::{
    ACCESS_LIST_FACTORY,
    IAccessListFactory::{NewAccessList, deployAccessListContractCall},
};
use stoa_tests::{
    Network, Node,
    stage::{LONG, Stage, copies, stoa},
    variable,
};

const SELLER: usize = 7;
const BUYER: usize = 8;
const OTHER: usize = 9;
const BUYERS_ADDRESS: &str = "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f";
const OTHERS_ADDRESS: &str = "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720";

/// The first of the development accounts: a key that everybody knows.
const ANYBODY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

fn text(value: &Value, name: &str) -> Result<String> {
    Ok(value[name].as_str().wrap_err_with(|| format!("{name} in {value}"))?.to_owned())
}

/// What is said of the data.
const SAYS: [&str; 8] = [
    "--name",
    "Hearts",
    "--description",
    "Rows of people and their hearts.",
    "--license",
    "CC-BY-4.0",
    "--tag",
    "heart",
];

/// Publishes at a price.
fn publish<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["publish", "rows.csv", "--price", "2", "--keepers", "2/3"][..], &SAYS, more].concat()
}

/// A program that may run, by its hash.
const PROGRAM: &str = "0x2222222222222222222222222222222222222222222222222222222222222222";

/// Amounts as the ledger has them.
const TWO: &str = "0x1bc16d674ec80000";
const HALF: &str = "0x6f05b59d3b20000";

#[test]
fn whoever_orders_reads_until_the_order_ends_and_nobody_else_does() -> Result<()> {
    let stage = Stage::new(3)?;
    let rows = "age,mail\n63,ann@example.org\n?,bob@example.org\n";
    fs::write(stage.at("rows.csv"), rows)?;
    // What it would tell everybody, and what looks personal, and never a value.
    let looked = stage.run(SELLER, &["data", "look", "rows.csv"])?;
    ensure!(looked["table"]["rows"] == 2 && looked["warnings"][0]["kind"] == "email", "{looked}");
    ensure!(!looked.to_string().contains("example.org"), "{looked}");

    let data = |account: usize, words: &[&str]| -> Result<std::result::Result<Value, String>> {
        let dir = ["seller", "buyer", "other"][account - SELLER];
        stage.attempt(account, &[&["data", "--dir", dir], words].concat())
    };
    let done = |account: usize, words: &[&str]| data(account, words)?.map_err(eyre::Report::msg);
    let refused =
        |account: usize, words: &[&str]| data(account, words)?.err().wrap_err_with(|| format!("{words:?} was done"));
    let why = refused(SELLER, &publish(&["--yes"]))?;
    ensure!(why.contains("--keepers-only"), "{why}");
    let why = refused(SELLER, &publish(&["--keepers-only"]))?;
    ensure!(why.contains("--yes"), "{why}");
    let mut short = publish(&["--keepers-only", "--yes"]);
    let at = short.iter().position(|word| word.starts_with("Rows")).wrap_err("a description")?;
    short[at] = "too short";
    let why = refused(SELLER, &short)?;
    ensure!(why.contains("metadata.description"), "{why}");
    ensure!(!stage.at("seller/sales").exists(), "something was sent");
    // Cut off when the NFT is made and the grant is not: it goes on with the asset and the NFT that are written down.
    let long = format!("https://w3id.org/dpv#{}", "x".repeat(300));
    let why = refused(SELLER, &publish(&["--keepers-only", "--yes", "--purpose", &long]))?;
    ensure!(why.contains("goes on where it was cut off"), "{why}");
    let begun: Value = {
        let mut sales = fs::read_dir(stage.at("seller/sales"))?;
        serde_json::from_slice(&fs::read(sales.next().wrap_err("a sale that was begun")??.path())?)?
    };
    let why = refused(SELLER, &[&["publish", "rows.csv", "--free", "--keepers-only", "--yes"][..], &SAYS].concat())?;
    ensure!(why.contains("begun at another price"), "{why}");
    let why = refused(SELLER, &publish(&["--keepers-only", "--yes", "--data-subject", "Ann Example"]))?;
    ensure!(why.contains("no such category of data subjects"), "{why}");
    let whose = ["--data-subject", "Patient", "--personal-data", "EmailAddress", "--personal-data", "Age"];
    let listing = done(SELLER, &publish(&[&["--keepers-only", "--yes"], &whose[..]].concat()))?;
    ensure!(listing["asset"] == begun["asset"] && listing["nft"] == begun["listed"]["nft"], "{listing} {begun}");
    ensure!(fs::read_dir(stage.at("seller/sales"))?.next().is_none(), "the sale is still written down as begun");
    let (did, nft, grant) = (text(&listing, "did")?, text(&listing, "nft")?, text(&listing, "grant")?);
    // Whoever thinks of buying sees who could read it without the owner's leave.
    let shown = done(OTHER, &["show", &did])?;
    let kept = &shown["keepers"];
    ensure!(kept["needed"] == 2 && kept["keepers"] == 3 && kept["ownerHalf"] == false, "{kept}");
    // And whose data they are, and for what he would have them.
    ensure!(shown["people"]["subjects"][0] == "https://w3id.org/dpv#Patient", "{shown}");
    ensure!(shown["purposes"] == serde_json::json!(["https://w3id.org/dpv#ServiceProvision"]), "{shown}");

    // Without an order nobody reads.
    done(BUYER, &["announce"])?;
    let why = refused(BUYER, &["get", &grant, "--to", "stolen"])?;
    ensure!(why.contains("is not for") && !stage.at("stolen").exists(), "{why}");
    // The price rises between looking and ordering.
    ensure!(done(BUYER, &["price", &did])?["price"] == "2");
    done(SELLER, &["price", &did, "--set", "3"])?;
    let why = refused(BUYER, &["buy", &did, "--most", "2"])?;
    ensure!(why.contains("it costs 3") && why.contains("nothing was paid"), "{why}");
    done(SELLER, &["price", &nft, "--set", "2"])?;
    // The buyer knows the DID alone; the order opens the grant, and a second one is not paid.
    let why = refused(BUYER, &["buy", &did, "--most", "2.5"])?;
    ensure!(why.contains("an order costs 2") && why.contains("say --yes"), "{why}");
    let bought = done(BUYER, &["buy", &did, "--most", "2.5", "--yes"])?;
    let paid = text(&bought, "paid")?;
    ensure!(bought["grant"] == grant.as_str() && bought["read"] == true && bought["until"] == 0, "{bought}");
    ensure!(u128::from_str_radix(&paid[2..], 16)? >= u128::from_str_radix(&TWO[2..], 16)?, "{bought}");
    done(BUYER, &["get", &grant, "--to", "copy.csv"])?;
    ensure!(fs::read_to_string(stage.at("copy.csv"))? == rows);
    let again = done(BUYER, &["buy", &did])?;
    ensure!(again["before"] == true && again["order"] == bought["order"] && again["paid"].is_null(), "{again}");

    // What the asset says is changed; once it is revoked no order stands, and none is taken.
    let edited = done(SELLER, &["edit", &did, "--name", "Hearts of 1988", "--state", "unlisted"])?;
    ensure!(edited["state"] == "unlisted" && edited["document"] == true, "{edited}");
    // Whose data they are is in the record of consent, as it was said last.
    let record = || -> Result<Value> {
        let asset = text(&listing, "asset")?;
        let words = ["consent", "log", &asset, "--http", stage.chain.http()];
        let log: Value = serde_json::from_slice(&stoa(stage.folder.path(), &words)?.output()?.stdout)?;
        let nodes = log["@graph"].as_array().wrap_err_with(|| log.to_string())?;
        Ok(nodes.iter().find(|node| node["@type"][0] == "dpv:ConsentRecord").wrap_err("no grant")?.clone())
    };
    let given = record()?;
    let kinds = ["https://w3id.org/dpv/pd#EmailAddress", "https://w3id.org/dpv/pd#Age"];
    ensure!(given["dpv:hasDataSubject"] == serde_json::json!(["https://w3id.org/dpv#Patient"]), "{given}");
    ensure!(given["dpv:hasPersonalData"] == serde_json::json!(kinds) && given["stoa:notSaid"].is_null(), "{given}");
    done(SELLER, &["edit", &did, "--data-subject", "Student"])?;
    let given = record()?;
    ensure!(given["dpv:hasDataSubject"] == serde_json::json!(["https://w3id.org/dpv#Student"]), "{given}");
    ensure!(given["dpv:hasPersonalData"] == serde_json::json!(kinds), "{given}");
    let same = done(SELLER, &["edit", &did, "--state", "ordering-disabled"])?;
    ensure!(same["document"] == false, "{same}");
    let why = refused(OTHER, &["buy", &did, "--yes"])?;
    ensure!(why.contains("the asset is disabled"), "{why}");
    done(BUYER, &["get", &grant, "--to", "second.csv"])?;
    // Whoever is denied is told so, though he has an order; and nobody changes what is another's.
    done(SELLER, &["edit", &did, "--deny", BUYERS_ADDRESS])?;
    let why = refused(BUYER, &["get", &grant, "--to", "third.csv"])?;
    ensure!(why.contains("who is denied"), "{why}");
    done(SELLER, &["edit", &did, "--deny-nobody"])?;
    for words in [["edit", &did, "--name", "Mine"], ["price", &did, "--set", "1"]] {
        let why = refused(OTHER, &words)?;
        ensure!(why.contains("belongs to") && why.contains(OTHERS_ADDRESS), "{why}");
    }
    done(SELLER, &["edit", &did, "--state", "revoked"])?;
    let why = refused(BUYER, &["get", &grant, "--to", "third.csv"])?;
    ensure!(why.contains("is not for"), "{why}");

    // What it brought: two coins, which wait until they are collected.
    let earned = done(SELLER, &["earnings", "--collect"])?;
    let one = &earned["assets"][0];
    ensure!(one["sold"] == 1 && one["orders"] == 1 && one["jobs"] == 0, "{earned}");
    let of = one["tokens"].as_object().and_then(|tokens| tokens.values().next()).wrap_err("a token")?;
    ensure!(of["waiting"] == TWO && of["sales"] == TWO, "{earned}");
    let after = done(SELLER, &["earnings", &did])?;
    let of = after["assets"][0]["tokens"].as_object().and_then(|tokens| tokens.values().next()).wrap_err("a token")?;
    ensure!(of["waiting"] == "0x0" && of["sales"] == TWO, "{after}");
    Ok(())
}

#[test]
fn whoever_orders_computes_where_the_data_are_until_the_order_ends() -> Result<()> {
    let stage = Stage::new(0)?;
    fs::create_dir(stage.at("data"))?;
    let folder = stage.at("data").to_string_lossy().into_owned();
    let (_node, key) = stage.node("computer", SELLER, &["--data", &folder], &[])?;
    fs::write(stage.at("rows.csv"), "age,chol\n63,233\n41,204\n")?;
    fs::write(stage.at("echo.wasm"), copies("params.json")?)?;
    let offer = [
        "data",
        "--dir",
        "seller",
        "publish",
        "rows.csv",
        "--compute",
        "--data",
        "data",
        "--node",
        &key,
        "--algorithm",
        "echo.wasm",
        "--base",
        "0.5",
    ];
    let how = ["--price", "2", "--lasts", "15s", "--yes"];
    let listing = stage.run(SELLER, &[&offer[..], &SAYS, &how].concat())?;
    let (did, asset) = (text(&listing, "did")?, text(&listing, "asset")?);
    let run = |to: &'static str| {
        let words = ["job", "run", "--algorithm", "echo.wasm", "--on", &asset, "--param", "rows=12", "--to", to];
        stage.attempt(BUYER, &[&words[..], &["--steps", "10", "--most", "3"]].concat())
    };
    let why = run("early")?.err().wrap_err("it ran")?;
    ensure!(why.contains("no grant of asset"), "{why}");
    // What a job costs, and what may leave, is known before anybody orders, to programs and to people.
    let shown = stage.run(BUYER, &["data", "--dir", "buyer", "show", &did])?;
    let computing = &shown["computing"];
    ensure!(computing["base"] == HALF && computing["price"] == "0x0" && computing["wasm"] == true, "{shown}");
    ensure!(computing["leaving"]["files"]["result.json"]["rows"]["least"] == 10 && shown["lasts"] == 15, "{shown}");
    let people = |words: &[&str]| -> Result<String> {
        let mut command = Command::new(variable("STOA_BIN")?);
        command.current_dir(stage.folder.path()).stdin(Stdio::null()).args(["data", "--dir", "buyer"]).args(words);
        let output = command.args(["--http", stage.chain.http(), "--account", &BUYER.to_string()]).output()?;
        ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let told = ["a job costs 0.5 STOA", "100000 million steps", "within 1 day", "of 10 rows or more", "15 seconds"];
    let said = people(&["show", &did])?;
    ensure!(told.iter().all(|part| said.contains(part)), "{said}");
    let said = people(&["buy", &did, "--yes"])?;
    ensure!(told.iter().all(|part| said.contains(part)) && said.contains("--steps 10000 --most 0.5"), "{said}");
    let at = |part: &str| said.find(part).wrap_err_with(|| said.clone());
    ensure!(at("a job costs")? < at("STOA paid")? && at("is not given back")? < at("STOA paid")?, "{said}");
    let bought = stage.run(BUYER, &["data", "--dir", "buyer", "buy", &did])?;
    ensure!(bought["compute"] == true && bought["read"] == false && bought["until"] != 0, "{bought}");
    ensure!(bought["computing"] == *computing, "{bought}");
    let ran = run("first")?.map_err(eyre::Report::msg)?;
    ensure!(ran["jobs"][0]["ended"] == "succeeded", "{ran}");
    ensure!(fs::read_to_string(stage.at("first").join(&asset).join("result.json"))? == r#"{"rows":12}"#);
    let earned = stage.run(SELLER, &["data", "--dir", "seller", "earnings", &did])?;
    let one = &earned["assets"][0];
    ensure!(one["sold"] == 1 && one["orders"] == 1 && one["jobs"] == 1, "{earned}");
    let of = one["tokens"].as_object().and_then(|tokens| tokens.values().next()).wrap_err("a token")?;
    ensure!(of["jobs"] == HALF && of["sales"] == TWO && of["refunded"] == "0x0", "{earned}");
    // The order's time is over; another one is paid and opens it again.
    thread::sleep(Duration::from_secs(16));
    let why = run("late")?.err().wrap_err("it ran")?;
    ensure!(why.contains("no grant of asset"), "{why}");
    let again = stage.run(BUYER, &["data", "--dir", "buyer", "buy", &did, "--yes"])?;
    ensure!(again["before"] == false && again["order"] != bought["order"], "{again}");
    run("second")?.map_err(eyre::Report::msg)?;
    // Who takes consent back from all sells nothing any more; nor once an order opens something does he before he grants it.
    let ended = stage.run(SELLER, &["data", "--dir", "seller", "revoke", &asset, "--all"])?;
    ensure!(ended["closed"] == serde_json::json!([listing["nft"]]), "{ended}");
    let shown = stage.run(BUYER, &["data", "--dir", "buyer", "show", &did])?;
    ensure!(shown["state"] == "revoked", "{shown}");
    let active = ["data", "--dir", "seller", "edit", &did, "--state", "active"];
    let why = stage.attempt(SELLER, &active)?.err().wrap_err("it is sold")?;
    let datatoken = text(&listing, "datatoken")?;
    let wanted = format!("stoa job allow {asset} --to-buyers-of {datatoken}").to_lowercase();
    ensure!(why.to_lowercase().contains(&wanted), "{why}");
    let granted = stage.run(SELLER, &["job", "allow", &asset, "--to-buyers-of", &datatoken])?;
    stage.run(SELLER, &active)?;
    // The same of the one grant that an order opens; of what is not on the market nothing is closed.
    let ended = stage.run(SELLER, &["data", "--dir", "seller", "revoke", &text(&granted, "grant")?])?;
    ensure!(ended["closed"] == serde_json::json!([listing["nft"]]), "{ended}");
    let why = stage.attempt(OTHER, &["data", "--dir", "other", "buy", &did])?.err().wrap_err("it was bought")?;
    ensure!(why.contains("would open nothing"), "{why}");
    let again = stage.run(SELLER, &["data", "--dir", "seller", "revoke", &asset, "--all"])?;
    ensure!(again["closed"] == serde_json::json!([]), "{again}");

    // Jobs on what was only offered are earnings as well.
    let offer = ["job", "offer", "rows.csv", "--data", "data", "--node", &key, "--algorithm", "echo.wasm"];
    let offered = text(&stage.run(SELLER, &[&offer[..], &["--base", "0.5", "--price", "0.1"]].concat())?, "asset")?;
    stage.run(SELLER, &["job", "allow", &offered, "--to", OTHERS_ADDRESS, "--purpose", "ScientificResearch"])?;
    let words = ["job", "run", "--algorithm", "echo.wasm", "--on", &offered, "--param", "rows=12", "--to", "third"];
    let ran = stage.run(OTHER, &[&words[..], &["--steps", "10", "--most", "3"]].concat())?;
    let all = stage.run(SELLER, &["data", "--dir", "seller", "earnings"])?;
    let all = all["assets"].as_array().wrap_err("assets")?;
    let one = all.iter().find(|one| one["asset"] == offered.as_str()).wrap_err_with(|| format!("{all:?}"))?;
    ensure!(one["nft"].is_null() && one["jobs"] == 1 && one["running"] == 0 && all.len() == 2, "{all:?}");
    let of = one["tokens"].as_object().and_then(|tokens| tokens.values().next()).wrap_err("a token")?;
    ensure!(of["jobs"] == ran["jobs"][0]["paid"] && of["refunded"] == ran["jobs"][0]["refunded"], "{one} {ran}");
    let alone = stage.run(OTHER, &["data", "--dir", "other", "earnings", &offered])?;
    ensure!(alone["assets"] == serde_json::json!([one]), "{alone} {one}");

    // Erased: there is no key, somebody had programs run and read nothing, and the node deletes the data that lie with it.
    let (files, until) = (stage.at("data").join(&offered).join("files"), Instant::now() + LONG);
    ensure!(files.exists());
    let report = stage.run(SELLER, &["data", "--dir", "seller", "erase", &offered])?;
    ensure!(report["computes"] == key.as_str() && report["ownHalfDestroyed"] == false, "{report}");
    let counts = ["hadRead", "hadComputed"].map(|what| report[what].as_array().map(Vec::len));
    ensure!(counts == [Some(0), Some(1)], "{report}");
    while files.exists() {
        ensure!(Instant::now() < until, "the data are still there");
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

#[test]
fn what_a_sealed_asset_says_of_itself_only_its_readers_see() -> Result<()> {
    let stage = Stage::new(0)?;
    fs::create_dir(stage.at("data"))?;
    let folder = stage.at("data").to_string_lossy().into_owned();
    let (_node, key) = stage.node("computer", SELLER, &["--data", &folder], &[])?;
    fs::write(stage.at("rows.csv"), "age,chol\n63,233\n41,204\n")?;
    let address = |account| -> Result<String> { text(&stage.run(account, &["data", "announce"])?, "address") };
    let how = ["data", "--dir", "seller", "publish", "rows.csv", "--compute", "--data", "data", "--node", &key];
    let how = [&how[..], &SAYS, &["--algorithm", PROGRAM, "--price", "2", "--yes", "--sealed", "--reader"]].concat();
    let buyer = "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f";
    // Nobody is named who could not read it, and nothing is sent before that is known.
    let why = stage.attempt(SELLER, &[&how[..], &[buyer]].concat())?.err().wrap_err("it was published")?;
    ensure!(why.contains("announced no key") && !stage.at("seller/sales").exists(), "{why}");
    ensure!(address(BUYER)?.eq_ignore_ascii_case(buyer), "another account");
    let listing = stage.run(SELLER, &[&how[..], &[buyer]].concat())?;
    let did = text(&listing, "did")?;
    let show = |account, dir| stage.run(account, &["data", "--dir", dir, "show", &did]);
    let search = |dir| stage.run(OTHER, &["data", "--dir", dir, "search", "hearts"]);

    let seen = show(OTHER, "other")?;
    ensure!(seen["metadata"] == "sealed" && seen["tokenName"] == "Sealed asset", "{seen}");
    ensure!(!seen.to_string().to_lowercase().contains("heart") && !seen.to_string().contains("chol"), "{seen}");
    ensure!(search("other")?["total"]["count"] == 0);
    for (account, dir) in [(SELLER, "seller"), (BUYER, "buyer")] {
        let seen = show(account, dir)?;
        let summary = &seen["summary"];
        ensure!(summary["name"] == "Hearts" && summary["columns"][1]["name"] == "chol", "{seen}");
    }
    // The hash, which is public, cannot be found by trying: the document has a secret salt.
    let read = show(BUYER, "buyer")?;
    let salt = &read["document"]["metadata"]["additionalInformation"]["stoa"]["salt"];
    ensure!(salt.as_str().is_some_and(|salt| salt.len() == 64), "{read}");
    // Who is sealed to may buy as everybody may.
    let bought = stage.run(BUYER, &["data", "--dir", "buyer", "buy", &did, "--yes"])?;
    ensure!(bought["compute"] == true, "{bought}");

    // An edit keeps the readers; others take their place; then everybody reads it.
    let edit = |words: &[&str]| stage.run(SELLER, &[&["data", "--dir", "seller", "edit", &did], words].concat());
    edit(&["--name", "Hearts of 1988"])?;
    ensure!(show(BUYER, "buyer")?["summary"]["name"] == "Hearts of 1988");
    ensure!(show(OTHER, "other")?["metadata"] == "sealed");
    edit(&["--sealed"])?;
    ensure!(show(BUYER, "buyer")?["metadata"] == "sealed");
    ensure!(show(SELLER, "seller")?["summary"]["name"] == "Hearts of 1988");
    edit(&["--public"])?;
    let seen = show(OTHER, "other")?;
    ensure!(seen["summary"]["name"] == "Hearts of 1988" && !seen.to_string().contains("salt"), "{seen}");
    ensure!(search("other")?["total"]["count"] == 1);
    Ok(())
}

/// Puts a table on the market, for computing at a node that need not be there.
fn offered(stage: &Stage, more: &[&str]) -> Result<std::result::Result<Value, String>> {
    fs::create_dir_all(stage.at("data"))?;
    fs::write(stage.at("rows.csv"), "age,chol\n63,233\n41,204\n")?;
    let node = format!("0x{}", "11".repeat(32));
    let how = ["data", "--dir", "seller", "publish", "rows.csv", "--compute", "--data", "data", "--node", &node];
    stage.attempt(SELLER, &[&how[..], &SAYS, &["--algorithm", PROGRAM, "--yes", "--free"], more].concat())
}

/// Makes a list of people whose places can be passed on, as no command does.
fn transferable_list(http: &str) -> Result<Address> {
    let made = async {
        let signer = PrivateKeySigner::from_slice(&hex::decode(ANYBODY)?)?;
        let wallet = Wallet::new(Client::new(http), signer).await?;
        let (name, symbol, owner) = ("Doctors".to_owned(), "DOC".to_owned(), wallet.address());
        let (transferable, users, uris) = (true, Vec::new(), Vec::new());
        let call = deployAccessListContractCall { name, symbol, transferable, owner, users, uris };
        let receipt = wallet.call(ACCESS_LIST_FACTORY, &call).await?;
        let made = receipt.logs().iter().find_map(|log| NewAccessList::decode_log(&log.inner).ok());
        Ok::<_, eyre::Report>(made.wrap_err("no list")?.contractAddress)
    };
    tokio::runtime::Runtime::new()?.block_on(made)
}

#[test]
fn whoever_is_denied_orders_nothing_and_a_list_lets_in_those_on_it_alone() -> Result<()> {
    let stage = Stage::new(0)?;
    let listing = offered(&stage, &["--deny", BUYERS_ADDRESS])?.map_err(eyre::Report::msg)?;
    let did = text(&listing, "did")?;
    let buy = |account: usize| stage.attempt(account, &["data", "--dir", "buyers", "buy", &did]);
    let refused = |account: usize, want: &str| -> Result<()> {
        let why = buy(account)?.err().wrap_err("it was ordered")?;
        ensure!(why.contains(want), "{why}");
        Ok(())
    };
    let edit = |words: &[&str]| stage.attempt(SELLER, &[&["data", "--dir", "seller", "edit", &did], words].concat());
    let show = || stage.run(OTHER, &["data", "--dir", "other", "show", &did]);
    let is = |value: &Value, address: &str| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(address));

    let seen = show()?;
    ensure!(is(&seen["access"]["deny"][0]["who"], BUYERS_ADDRESS) && seen["access"]["allow"] == serde_json::json!([]));
    let credentials = &seen["document"]["credentials"];
    ensure!(credentials["deny"][0]["type"] == "address", "{credentials}");
    ensure!(is(&credentials["deny"][0]["values"][0], BUYERS_ADDRESS), "{credentials}");
    // Nobody has a part in a key of what never leaves its owner.
    ensure!(seen["keepers"]["keepers"] == 0, "{seen}");
    refused(BUYER, "who is denied")?;
    ensure!(buy(OTHER)?.map_err(eyre::Report::msg)?["compute"] == true);

    // Those on a list alone: who ordered before has nothing of it any more.
    let passed_on = transferable_list(stage.chain.http())?.to_string();
    let why = edit(&["--deny-nobody", "--allow", &passed_on])?.err().wrap_err("it was taken")?;
    ensure!(why.contains("can be passed on"), "{why}");
    let lists = |account: usize, words: &[&str]| stage.attempt(account, &[&["data", "access-list"], words].concat());
    let done = |words: &[&str]| lists(SELLER, words)?.map_err(eyre::Report::msg);
    let list = text(&done(&["new", BUYERS_ADDRESS, BUYERS_ADDRESS, "--name", "Doctors"])?, "list")?;
    edit(&["--deny-nobody", "--allow", &list])?.map_err(eyre::Report::msg)?;
    let seen = show()?;
    ensure!(seen["access"]["allow"][0]["list"] == true && seen["access"]["deny"] == serde_json::json!([]), "{seen}");
    let credentials = &seen["document"]["credentials"];
    ensure!(credentials["allow"][0]["type"] == "accessList" && credentials["match_allow"] == "any", "{credentials}");
    ensure!(is(&credentials["allow"][0]["accessList"], &list), "{credentials}");
    refused(OTHER, "who are allowed")?;
    ensure!(buy(BUYER)?.map_err(eyre::Report::msg)?["before"] == false);
    // Whoever is put on it orders from then on, and whoever is taken off does not, without a word to the asset.
    let why = lists(BUYER, &["add", &list, OTHERS_ADDRESS])?.err().wrap_err("it is another's list")?;
    ensure!(why.contains("belongs to"), "{why}");
    let added = done(&["add", &list, BUYERS_ADDRESS, OTHERS_ADDRESS])?;
    ensure!(added["added"].as_array().is_some_and(|all| all.len() == 1 && is(&all[0], OTHERS_ADDRESS)), "{added}");
    ensure!(buy(OTHER)?.map_err(eyre::Report::msg)?["before"] == true, "his order is of use again");
    let shown = done(&["show", &list])?;
    ensure!(shown["people"].as_array().is_some_and(|all| all.len() == 2) && shown["name"] == "Doctors", "{shown}");
    let removed = done(&["remove", &list, OTHERS_ADDRESS])?;
    ensure!(removed["removed"].as_array().is_some_and(|all| is(&all[0], OTHERS_ADDRESS)), "{removed}");
    ensure!(done(&["remove", &list, OTHERS_ADDRESS])?["removed"] == serde_json::json!([]));
    refused(OTHER, "who are allowed")?;
    let own = done(&["show"])?;
    ensure!(own["lists"].as_array().is_some_and(|all| all.len() == 1 && all[0]["places"] == 1), "{own}");
    let why = lists(SELLER, &["show", BUYERS_ADDRESS])?.err().wrap_err("it is no list")?;
    ensure!(why.contains("is no list"), "{why}");
    // What was said of others stays: he is on the list, and denied.
    edit(&["--deny", BUYERS_ADDRESS])?.map_err(eyre::Report::msg)?;
    ensure!(show()?["access"]["allow"][0]["list"] == true);
    refused(BUYER, "who is denied")?;
    edit(&["--deny-nobody", "--allow-everybody"])?.map_err(eyre::Report::msg)?;
    ensure!(show()?["document"]["credentials"].is_null());
    ensure!(buy(OTHER)?.map_err(eyre::Report::msg)?["before"] == true, "his order is of use again");
    Ok(())
}

#[test]
fn an_order_that_somebody_else_paid_opens_its_grant_to_whoever_accepts_it_and_an_audit_tells() -> Result<()> {
    let stage = Stage::new(0)?;
    fs::create_dir(stage.at("data"))?;
    let folder = stage.at("data").to_string_lossy().into_owned();
    let (_node, key) = stage.node("computer", SELLER, &["--data", &folder], &[])?;
    fs::write(stage.at("rows.csv"), "age,chol\n63,233\n41,204\n")?;
    fs::create_dir(stage.at("source"))?;
    fs::write(stage.at("source/echo.wat"), "as it is")?;
    fs::write(stage.at("echo.wasm"), copies("params.json")?)?;
    let offer = ["data", "--dir", "seller", "publish", "rows.csv", "--compute", "--data", "data", "--node", &key];
    let terms = ["--price", "2", "--yes"];
    let why = stage.attempt(SELLER, &[&offer[..], &SAYS, &terms].concat())?.err().wrap_err("it was published")?;
    ensure!(why.contains("which program may run") && !stage.at("seller/sales").exists(), "{why}");
    let program = ["--algorithm", "echo.wasm"];
    let listing = stage.run(SELLER, &[&offer[..], &SAYS, &terms, &program].concat())?;
    let (did, asset) = (text(&listing, "did")?, text(&listing, "asset")?);
    let source = ["--source", "source", "--source-url", "https://a.example/echo"];
    stage.run(SELLER, &[&["algo", "publish", "echo.wasm"][..], &source].concat())?;
    let run_of = |rows: &str, to: &str| {
        let words = ["job", "run", "--algorithm", "echo.wasm", "--on", &asset, "--param", rows, "--to", to];
        stage.attempt(OTHER, &[&words[..], &["--steps", "10"]].concat())
    };
    let run = |to: &str| run_of("rows=12", to);
    let buying = ["data", "--dir", "buyer", "buy", &did, "--for", OTHERS_ADDRESS, "--yes"];
    let bought = stage.run(BUYER, &buying)?;
    let order = text(&bought, "order")?;
    ensure!(bought["grant"].is_null(), "{bought}");
    let why = run("early")?.err().wrap_err("it ran")?;
    ensure!(why.contains("no grant of asset"), "{why}");
    // Nobody but he accepts it, and it costs him nothing.
    let accept = |account: usize| stage.attempt(account, &["data", "--dir", "other", "buy", &did, "--accept", &order]);
    let why = accept(BUYER)?.err().wrap_err("it was accepted")?;
    ensure!(why.contains("is not for"), "{why}");
    // Who orders what somebody else has paid for him pays nothing, and accepts that.
    let accepted = stage.run(OTHER, &["data", "--dir", "other", "buy", &did, "--yes"])?;
    ensure!(accepted["order"] == order.as_str() && accepted["accepted"] == true, "{accepted}");
    ensure!(accepted["compute"] == true && accepted["paid"].is_null() && accepted["before"] == false, "{accepted}");
    ensure!(accept(OTHER)?.map_err(eyre::Report::msg)?["before"] == true, "it stands already");
    let ran = run("first")?.map_err(eyre::Report::msg)?;
    let job = text(&ran["jobs"][0], "job")?;
    ensure!(stage.run(OTHER, &["job", "show", &job])?["order"] == order.as_str());
    // Nobody has said what may leave: what is of a few rows does not.
    for rows in ["rows=1", "rows=9"] {
        let why = run_of(rows, "few")?.err().wrap_err("it left")?;
        ensure!(why.contains("10 rows or more") && !stage.at("few").exists(), "{why}");
    }

    // From the network key alone: by which order, who paid it, from which source the program is built.
    let network_key = stage.chain.announced("networkKey")?.to_owned();
    let audit = |what: &str, more: &[&str]| -> Result<(bool, Value)> {
        let words = ["audit", what, "--network-key", &network_key, "--http", stage.chain.http()];
        let output = stoa(stage.folder.path(), &[&words[..], more].concat())?.output()?;
        // One object, and on failure what failed after it.
        let said = String::from_utf8(output.stdout)?;
        Ok((output.status.success(), serde_json::from_str(said.lines().next().unwrap_or_default())?))
    };
    let step = |said: &Value, name: &str| -> Result<String> {
        let steps = said["steps"].as_array().wrap_err("steps")?;
        let step = steps.iter().find(|step| step["name"] == name).wrap_err_with(|| format!("{name} in {said}"))?;
        text(step, "found")
    };
    let (holds, said) = audit(&job, &["--source", "source", "--html", "a.html", "--prov", "a.prov"])?;
    ensure!(holds, "{said}");
    let found = step(&said, "order")?;
    ensure!(found.contains(&order) && found.contains(BUYERS_ADDRESS) && found.contains(&asset), "{found}");
    ensure!(step(&said, "source")?.contains("https://a.example/echo"), "{said}");
    step(&said, "source files")?;
    for file in ["a.html", "a.prov"] {
        ensure!(fs::read_to_string(stage.at(file))?.contains(&order[..10]), "{file} does not tell the order");
        ensure!(audit(file, &[])?.0, "{file}");
    }
    fs::write(stage.at("source/echo.wat"), "as it is not")?;
    let (holds, said) = audit(&job, &["--source", "source"])?;
    ensure!(!holds && step(&said, "source files")?.contains("another was published"), "{said}");
    Ok(())
}

#[test]
fn a_document_is_published_with_the_signature_of_a_node_that_looked_at_it() -> Result<()> {
    let (node, place) = (Node::start_with(Network::Up, &["--index"])?, tempfile::tempdir()?);
    let at: &Path = place.path();
    fs::create_dir(at.join("data"))?;
    let run = |words: &[&str]| -> Result<std::result::Result<Value, String>> {
        let output = stoa(at, words)?.args(["--http", node.http(), "--account", "7"]).output()?;
        let (said, errors) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        Ok(if output.status.success() { Ok(serde_json::from_str(&said)?) } else { Err(said + &errors) })
    };
    let key = format!("0x{}", "11".repeat(32));
    fs::write(at.join("rows.csv"), "age,chol\n63,233\n41,204\n")?;
    let publish = |name: &str, validator: &str| {
        let how = ["data", "publish", name, "--compute", "--data", "data", "--node", &key, "--free", "--yes"];
        run(&[&how[..], &SAYS, &["--algorithm", PROGRAM, "--validator", validator]].concat())
    };
    let why = publish("rows.csv", "http://127.0.0.1:1")?.err().wrap_err("it was published")?;
    ensure!(why.contains("validator http://127.0.0.1:1") && why.contains("goes on where it was cut off"), "{why}");
    let listing = publish("rows.csv", node.http())?.map_err(eyre::Report::msg)?;
    let did = text(&listing, "did")?;
    let shown = run(&["data", "show", &did])?.map_err(eyre::Report::msg)?;
    let validators = shown["published"]["validators"].as_array().wrap_err("validators")?;
    ensure!(validators.len() == 1 && shown["metadata"] == "readable", "{shown}");
    // Another document is another signature; one that nobody else may read is shown to no validator.
    run(&["data", "edit", &did, "--name", "Hearts of 1988", "--validator", node.http()])?.map_err(eyre::Report::msg)?;
    let shown = run(&["data", "show", &did])?.map_err(eyre::Report::msg)?;
    ensure!(shown["published"]["validators"].as_array().is_some_and(|all| all.len() == 1), "{shown}");
    run(&["data", "edit", &did, "--sealed"])?.map_err(eyre::Report::msg)?;
    let why = run(&["data", "edit", &did, "--name", "Hearts", "--validator", node.http()])?.err();
    ensure!(why.as_ref().is_some_and(|why| why.contains("for its readers alone")), "{why:?}");
    Ok(())
}
