//! Data that only those read whom their owner allows: owner, readers and keepers as processes.

use alloy_primitives::{Address, TxKind, U256, hex};
use alloy_signer_local::{MnemonicBuilder, coins_bip39::English};
use alloy_sol_types::SolValue as _;
use eyre::{ContextCompat as _, Result, ensure};
use std::{
    fs, thread,
    time::{Duration, Instant, SystemTime},
};
use stoa_client::{Client, Wallet};
use stoa_data::market::abi::{
    DatatokenData, FACTORY, IDatatoken,
    IFactory::{TokenCreated, createNftWithErc20Call},
    NftData,
};
use stoa_tests::stage::{LONG, Stage, held, stoa};

const ALICE: usize = 7;
const BOB: usize = 8;
const CAROL: usize = 9;

/// Who makes tokens.
const ISSUER: usize = 6;

/// What the development accounts follow from.
const PHRASE: &str = "test test test test test test test test test test test junk";

/// The wallet of a development account.
async fn wallet(stage: &Stage, account: usize) -> Result<Wallet> {
    let signer = MnemonicBuilder::<English>::default().phrase(PHRASE).index(account as u32)?.build()?;
    Ok(Wallet::new(Client::new(stage.chain.http()), signer).await?)
}

/// Makes a token, and gives one to somebody.
async fn issue(stage: &Stage, to: Address) -> Result<Address> {
    let issuer = wallet(stage, ISSUER).await?;
    let (owner, nobody) = (issuer.address(), Address::ZERO);
    let nft = NftData {
        name: "Members".into(),
        symbol: "MEM".into(),
        templateIndex: U256::ONE,
        tokenURI: String::new(),
        transferable: true,
        owner,
    };
    let datatoken = DatatokenData {
        templateIndex: U256::ONE,
        strings: vec!["Member".into(), "MEM".into()],
        addresses: vec![owner, nobody, nobody, nobody],
        uints: vec![U256::MAX, U256::ZERO],
        bytess: Vec::new(),
    };
    let receipt = issuer.call(FACTORY, &createNftWithErc20Call { nft, datatoken }).await?;
    let token = receipt.decoded_log::<TokenCreated>().wrap_err("a token")?.newTokenAddress;
    issuer.call(token, &IDatatoken::mintCall { account: to, value: U256::ONE }).await?;
    Ok(token)
}

/// Passes a token on.
async fn pass_on(stage: &Stage, token: Address, from: usize, to: Address) -> Result<()> {
    let input = [&hex!("a9059cbb")[..], &(to, U256::ONE).abi_encode_params()].concat();
    let receipt = wallet(stage, from).await?.send(TxKind::Call(token), U256::ZERO, input.into()).await?;
    ensure!(receipt.status(), "transfer(address,uint256) was refused");
    Ok(())
}

/// The keepers of an asset's key, in the order in which they are asked.
fn keepers_of(stage: &Stage, asset: &str) -> Result<Vec<String>> {
    let mut log = stoa(stage.folder.path(), &["consent", "log", asset, "--http", stage.chain.http()])?;
    let log: serde_json::Value = serde_json::from_slice(&log.output()?.stdout)?;
    let keepers = log.pointer("/@graph/1/stoa:keepers");
    let keepers = keepers.and_then(|keepers| keepers.as_array()).wrap_err_with(|| log.to_string())?;
    Ok(keepers.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect())
}

/// Whether a node has signed that nothing of the asset is left with it.
fn erased(node: &serde_json::Value) -> bool {
    node["receipts"].as_array().is_some_and(|all| all.iter().any(|receipt| receipt["deleted"] == "asset"))
}

#[test]
fn a_reader_reads_until_the_grant_is_revoked_and_an_erased_asset_is_gone() -> Result<()> {
    let mut stage = Stage::new(5)?;
    let content: Vec<_> = (0..3_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    fs::create_dir(stage.at("patients"))?;
    fs::write(stage.at("patients").join("rows"), &content)?;
    fs::write(stage.at("patients").join("licence"), "CC BY 4.0")?;
    let data = |account: usize, words: &[&str]| -> Result<std::result::Result<serde_json::Value, String>> {
        let dir = ["alice", "bob", "carol"][account - ALICE];
        stage.attempt(account, &[&["data", "--dir", dir], words].concat())
    };
    let done = |account: usize, words: &[&str]| data(account, words)?.map_err(eyre::Report::msg);

    let asset = done(ALICE, &["publish", "patients", "--keepers", "3/5"])?;
    let asset = asset["asset"].as_str().wrap_err("an asset")?.to_owned();
    // Who has announced no key cannot be granted anything.
    let nobody = "0x00000000000000000000000000000000000000b0";
    let early = data(ALICE, &["grant", &asset, "--to", nobody])?.err().wrap_err("it was granted")?;
    ensure!(early.contains("announced no key"), "{early}");
    let (bob, carol) = (done(BOB, &["announce"])?, done(CAROL, &["announce"])?);
    ensure!(bob["new"] == true && done(BOB, &["announce"])?["new"] == false);
    let [bob, carol] = [&bob, &carol].map(|said| said["address"].as_str().unwrap_or_default().to_owned());
    let grant = |to: &str| -> Result<String> {
        let made = done(ALICE, &["grant", &asset, "--to", to, "--purpose", "ScientificResearch", "--days", "30"])?;
        ensure!(made["until"].as_str().is_some_and(|until| until.ends_with('Z')), "{made}");
        ensure!(made["purpose"] == "https://w3id.org/dpv#ScientificResearch" && made["times"].is_null(), "{made}");
        Ok(made["grant"].as_str().wrap_err("a grant")?.to_owned())
    };
    let (first, second) = (grant(&bob)?, grant(&carol)?);

    // The owner is not there; the reader is.
    fs::rename(stage.at("alice"), stage.at("away"))?;
    done(BOB, &["get", &first, "--to", "copy"])?;
    ensure!(fs::read(stage.at("copy").join("rows"))? == content);
    ensure!(fs::read(stage.at("copy").join("licence"))? == b"CC BY 4.0");
    let other = data(CAROL, &["get", &first, "--to", "stolen"])?.err().wrap_err("it was read")?;
    ensure!(other.contains("is not for") && !stage.at("stolen").exists(), "{other}");
    fs::rename(stage.at("away"), stage.at("alice"))?;

    // Revoked: the ledger refuses the use, and keepers the release.
    done(ALICE, &["revoke", &first])?;
    let late = data(BOB, &["get", &first, "--to", "again"])?.err().wrap_err("it was read")?;
    ensure!(late.contains("was revoked in block") && !stage.at("again").exists(), "{late}");
    // What three keepers signed is kept, and was no breach.
    let key = stage.chain.announced("networkKey")?;
    let look = ["consent", "breach", &asset, "--network-key", key, "--http", stage.chain.http(), "--dir", "bob"];
    let found = stoa(stage.folder.path(), &look)?.output()?;
    let found: serde_json::Value = serde_json::from_slice(&found.stdout)?;
    ensure!(found["releases"].as_u64() >= Some(3) && found["stood"] == found["releases"], "{found}");
    ensure!(found["breaches"].as_array().is_some_and(Vec::is_empty) && found["evidence"].is_null(), "{found}");

    // Two of five keepers die: three suffice for the other grant.
    stage.kill(2);
    let stage = &stage;
    let data = |account: usize, words: &[&str]| -> Result<std::result::Result<serde_json::Value, String>> {
        let dir = ["alice", "bob", "carol"][account - ALICE];
        stage.attempt(account, &[&["data", "--dir", dir], words].concat())
    };
    let done = |account: usize, words: &[&str]| data(account, words)?.map_err(eyre::Report::msg);
    done(CAROL, &["get", &second, "--to", "hers"])?;
    ensure!(fs::read(stage.at("hers").join("rows"))? == content);

    // Erased: the owner's half is gone, the nodes that answer have signed, and the report says who may have read.
    let report = done(ALICE, &["erase", &asset])?;
    ensure!(report["ownHalfDestroyed"] == true, "{report}");
    let nodes = report["nodes"].as_array().wrap_err("nodes")?;
    ensure!(nodes.iter().filter(|node| erased(node)).count() == 3, "{report}");
    ensure!(nodes.iter().filter(|node| node["silent"].is_string()).count() == 2, "{report}");
    let revoked = |node: &serde_json::Value| {
        let all = node["receipts"].as_array().cloned().unwrap_or_default();
        all.iter().any(|receipt| receipt["deleted"]["grant"] == first)
    };
    ensure!(nodes.iter().filter(|node| revoked(node)).count() == 3, "{report}");
    ensure!(report["hadRead"].as_array().map(Vec::len) == Some(2), "{report}");
    ensure!(fs::read_dir(stage.at("alice").join("assets"))?.next().is_none(), "the owner's half is still there");
    let gone = data(CAROL, &["get", &second, "--to", "more"])?.err().wrap_err("it was read")?;
    ensure!(gone.contains("was revoked in block"), "{gone}");
    for keeper in &stage.keepers {
        let kept = keeper.chain_folder().join("keeper").join(&asset);
        ensure!(!kept.join("share").exists() && kept.join("receipts").exists(), "a share is still there");
    }
    Ok(())
}

#[test]
fn a_false_half_of_the_key_names_its_keeper_and_all_who_keep_pieces_sign_that_they_are_gone() -> Result<()> {
    // Three of five nodes are keepers of the key, and all five keep pieces of each file.
    let stage = Stage::new(5)?;
    let rows: Vec<_> = (0..400_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    fs::create_dir(stage.at("patients"))?;
    for name in ["rows", "more"] {
        fs::write(stage.at("patients").join(name), &rows)?;
    }
    let published = stage.run(ALICE, &["data", "--dir", "alice", "publish", "patients", "--keepers", "2/3"])?;
    ensure!(published["missingPieces"] == 0 && published["survivesADomain"] == true, "{published}");
    let asset = published["asset"].as_str().wrap_err("an asset")?.to_owned();
    for node in &stage.keepers {
        ensure!(!held(node)?.is_empty(), "a node has no piece");
    }
    let bob = stage.run(BOB, &["data", "--dir", "bob", "announce"])?;
    let bob = bob["address"].as_str().wrap_err("an address")?.to_owned();
    // A purpose that is none, and whoever holds a token where readers must be known by name.
    for (words, why) in [
        (["--to", &bob, "--purpose", "ScientficResearch"], "Did you mean ScientificResearch?"),
        (["--to-holders-of", &bob, "--purpose", "ScientificResearch"], "sealed to each reader by name"),
    ] {
        let grant = [&["data", "--dir", "alice", "grant", &asset][..], &words].concat();
        let said = stage.attempt(ALICE, &grant)?.err().wrap_err("it was granted")?;
        ensure!(said.contains(why), "{said}");
    }
    let said = stage.attempt(BOB, &["data", "--dir", "alice", "grant", &asset, "--to", &bob])?;
    let said = said.err().wrap_err("it was granted")?;
    ensure!(said.to_lowercase().contains(&format!("this wallet is {bob}").to_lowercase()), "{said}");
    let grant = stage.run(ALICE, &["data", "--dir", "alice", "grant", &asset, "--to", &bob])?;
    let grant = grant["grant"].as_str().wrap_err("a grant")?.to_owned();

    let keepers = keepers_of(&stage, &asset)?;
    let place = stage.keys.iter().position(|key| *key == keepers[0]).wrap_err("a node")?;
    let half = stage.keepers[place].chain_folder().join("keeper").join(&asset).join(format!("{grant}.half"));
    let mut bytes = fs::read(&half)?;
    *bytes.last_mut().wrap_err("a half")? ^= 1;
    fs::write(&half, bytes)?;
    let read = stage.run(BOB, &["data", "--dir", "bob", "get", &grant, "--to", "copy"])?;
    ensure!(fs::read(stage.at("copy").join("rows"))? == rows);
    let failed = read["failedKeepers"].as_array().wrap_err("keepers that failed")?;
    let lied = |one: &serde_json::Value| one["why"].as_str().is_some_and(|why| why.contains("another half"));
    ensure!(failed.iter().any(|one| one["node"] == keepers[0] && lied(one)), "{read}");

    let report = stage.run(ALICE, &["data", "--dir", "alice", "erase", &asset])?;
    let nodes = report["nodes"].as_array().wrap_err("nodes")?;
    ensure!(nodes.iter().filter(|node| erased(node)).count() == 5, "{report}");
    ensure!(report["holders"].as_array().map(Vec::len) == Some(5), "{report}");
    ensure!(report["unsigned"].as_array().is_some_and(Vec::is_empty), "{report}");
    // What was destroyed here is known here.
    let report = stage.run(ALICE, &["data", "--dir", "alice", "erase", &asset])?;
    ensure!(report["ownHalfDestroyed"] == true && report["destroyedBefore"] == true, "{report}");
    for node in &stage.keepers {
        ensure!(held(node)?.is_empty(), "a piece is still there");
    }
    Ok(())
}

#[test]
fn an_erased_assets_report_names_nodes_that_have_left_the_registry_and_claims_nothing_that_was_not() -> Result<()> {
    // All four nodes release the key, so that nobody follows a keeper that leaves; and there is no half of the owner's.
    let mut stage = Stage::new(4)?;
    fs::write(stage.at("rows"), "63,1,1,145")?;
    let publish = ["data", "--dir", "alice", "publish", "rows", "--keepers", "4/4", "--keepers-only"];
    let asset = stage.run(ALICE, &publish)?["asset"].as_str().wrap_err("an asset")?.to_owned();
    let bob = stage.run(BOB, &["data", "--dir", "bob", "announce"])?;
    let bob = bob["address"].as_str().wrap_err("an address")?.to_owned();
    let grant = stage.run(ALICE, &["data", "--dir", "alice", "grant", &asset, "--to", &bob])?;
    let grant = grant["grant"].as_str().wrap_err("a grant")?.to_owned();
    // Two leave: one is switched off, and one runs on.
    let left = [stage.keys[0].clone(), stage.keys[1].clone()];
    for (account, key) in left.iter().enumerate() {
        stage.run(account, &["node", "leave", "--node", key])?;
    }
    stage.kill(1);
    // He asks to read, and too few keepers are there.
    let why = stage.attempt(BOB, &["data", "--dir", "bob", "get", &grant, "--to", "copy"])?.err();
    ensure!(why.is_some() && !stage.at("copy").exists(), "it was read");
    let report = stage.run(ALICE, &["data", "--dir", "alice", "erase", &asset])?;
    let nodes = report["nodes"].as_array().wrap_err("nodes")?;
    for (key, is_off) in left.iter().zip([true, false]) {
        let node = nodes.iter().find(|node| node["node"] == key.as_str()).wrap_err_with(|| report.to_string())?;
        ensure!(node["left"] == true && (is_off || erased(node) || node["silent"].is_string()), "{report}");
        let unsigned = report["unsigned"].as_array().wrap_err("unsigned")?;
        ensure!(unsigned.iter().any(|node| node == key.as_str()) != erased(node), "{report}");
        let said = node["silent"].as_str().unwrap_or_default();
        ensure!(!is_off || said.contains("is not registered (any more)"), "{report}");
    }
    // The ones that are there have signed; who is said to have read has asked to; and no half was destroyed, for there was none.
    ensure!(nodes.iter().filter(|node| node["left"] == false && erased(node)).count() == 2, "{report}");
    ensure!(report["hadRead"].as_array().map(Vec::len) == Some(1), "{report}");
    ensure!(report["ownHalfDestroyed"] == false && report["destroyedBefore"] == false, "{report}");
    Ok(())
}

#[test]
fn whoever_holds_a_token_reads_for_as_long_as_he_holds_it() -> Result<()> {
    let stage = Stage::new(3)?;
    fs::write(stage.at("rows"), "63,1,1,145")?;
    let data = |account: usize, words: &[&str]| -> Result<std::result::Result<serde_json::Value, String>> {
        let dir = ["alice", "bob", "carol"][account - ALICE];
        stage.attempt(account, &[&["data", "--dir", dir], words].concat())
    };
    let done = |account: usize, words: &[&str]| data(account, words)?.map_err(eyre::Report::msg);
    let published = done(ALICE, &["publish", "rows", "--keepers", "2/3", "--keepers-only"])?;
    let asset = published["asset"].as_str().wrap_err("an asset")?.to_owned();
    // It is not on the market: its owner finds it all the same, and is told where it is shown.
    let own = done(ALICE, &["list"])?;
    ensure!(own["registered"][0]["asset"] == asset.as_str() && own["total"]["count"] == 0, "{own}");
    let shown = data(ALICE, &["show", &asset])?.err().wrap_err("it is on the market")?;
    ensure!(shown.contains(&format!("`stoa consent log {asset}`")), "{shown}");
    let [bob, carol] = [done(BOB, &["announce"])?, done(CAROL, &["announce"])?];
    let address =
        |said: &serde_json::Value| Ok::<Address, eyre::Report>(said["address"].as_str().wrap_err("one")?.parse()?);
    let (bob, carol) = (address(&bob)?, address(&carol)?);
    let runtime = tokio::runtime::Runtime::new()?;
    let token = runtime.block_on(issue(&stage, bob))?;
    let holders = token.to_string();
    let nobody = data(ALICE, &["grant", &asset, "--to-holders-of", &bob.to_string()])?;
    let nobody = nobody.err().wrap_err("it was granted")?;
    ensure!(nobody.contains("no contract at"), "{nobody}");
    // A contract that knows of no credentials: nobody could ever use a grant to those who have one according to it.
    let (credential, knows_none) = (format!("0x{}", "07".repeat(32)), FACTORY.to_string());
    let by_credential = ["--credential", credential.as_str(), "--issuer", knows_none.as_str()];
    let deaf = data(ALICE, &[&["grant", asset.as_str()][..], &by_credential].concat())?;
    let deaf = deaf.err().wrap_err("it was granted")?;
    ensure!(deaf.contains("does not answer"), "{deaf}");
    let allow = |words: &[&str]| stage.attempt(ALICE, &[&["job", "allow", asset.as_str()], words].concat());
    let deaf = allow(&by_credential)?.err().wrap_err("it was allowed")?;
    ensure!(deaf.contains("does not answer"), "{deaf}");
    let computes = allow(&["--to-holders-of", &holders, "--days", "1"])?.map_err(eyre::Report::msg)?;
    ensure!(computes["grant"].is_string() && computes["until"].is_string(), "{computes}");
    // Nobody computes on what is sealed.
    ensure!(computes["offered"] == false && computes["to"].is_null(), "{computes}");
    // Kept longer: what was before is said as well; for less than that nothing is given up.
    let [longer, same] = ["60", "30"].map(|days| done(ALICE, &["extend", &asset, "--days", days]));
    let (longer, same) = (longer?, same?);
    ensure!(longer["before"].as_u64().is_some() && longer["before"].as_u64() < longer["until"].as_u64(), "{longer}");
    ensure!(same["before"] == longer["until"] && same["until"] == longer["until"], "{same}");
    let made = done(
        ALICE,
        &["grant", &asset, "--to-holders-of", &holders, "--purpose", "ScientificResearch", "--days", "30"],
    )?;
    let grant = made["grant"].as_str().wrap_err("a grant")?.to_owned();
    // The owner is not needed any more.
    fs::rename(stage.at("alice"), stage.at("away"))?;
    let read = |account: usize, to: &str| -> Result<()> {
        done(account, &["get", &grant, "--to", to])?;
        ensure!(fs::read(stage.at(to))? == b"63,1,1,145");
        Ok(())
    };
    let refused = |account: usize, to: &str| -> Result<()> {
        let why = data(account, &["get", &grant, "--to", to])?.err().wrap_err("it was read")?;
        ensure!(why.contains("is not for") && !stage.at(to).exists(), "{why}");
        Ok(())
    };
    read(BOB, "his")?;
    refused(CAROL, "stolen")?;
    // Who passes it on is refused from then on, and who has it now reads.
    runtime.block_on(pass_on(&stage, token, BOB, carol))?;
    refused(BOB, "again")?;
    read(CAROL, "hers")?;
    // Who holds it and has announced no key is told so before he uses it.
    let issuer = runtime.block_on(wallet(&stage, ISSUER))?.address();
    runtime.block_on(pass_on(&stage, token, CAROL, issuer))?;
    let early = stage.attempt(ISSUER, &["data", "--dir", "issuer", "get", &grant, "--to", "early"])?;
    let early = early.err().wrap_err("it was read")?;
    ensure!(early.contains("announced no key") && early.contains("`stoa data announce`"), "{early}");
    // So says the record: for whom it is, and who read.
    let mut log = stoa(stage.folder.path(), &["consent", "log", &asset, "--http", stage.chain.http()])?;
    let log: serde_json::Value = serde_json::from_slice(&log.output()?.stdout)?;
    let nodes = log["@graph"].as_array().wrap_err_with(|| log.to_string())?;
    let is_read = |node: &&serde_json::Value| {
        node["@type"][0] == "dpv:ConsentRecord" && node["@id"].as_str().is_some_and(|id| id.ends_with(&grant))
    };
    let given = nodes.iter().find(is_read).wrap_err("no grant")?;
    let contract = given["dpv:hasRecipient"]["stoa:contract"].as_str().wrap_err_with(|| given.to_string())?;
    ensure!(contract.ends_with(&token.to_string()) && given["stoa:used"] == 2, "{given}");
    let users: Vec<_> = nodes.iter().filter_map(|node| node["prov:wasAssociatedWith"].as_str()).collect();
    let same = users.len() == 2 && users.iter().zip([bob, carol]).all(|(did, who)| did.ends_with(&who.to_string()));
    ensure!(same, "{users:?}");
    // Until the owner ends all grants at once.
    let other = data(CAROL, &["revoke", &asset, "--all"])?.err().wrap_err("it was revoked")?;
    ensure!(other.contains("does not own asset"), "{other}");
    done(ALICE, &["revoke", &asset, "--all"])?;
    let late = data(CAROL, &["get", &grant, "--to", "late"])?.err().wrap_err("it was read")?;
    ensure!(late.contains("was revoked in block") && !stage.at("late").exists(), "{late}");
    Ok(())
}

#[test]
fn a_grant_for_one_use_is_not_used_up_by_tries_of_which_nothing_came() -> Result<()> {
    let stage = Stage::new(3)?;
    fs::write(stage.at("rows"), "63,1,1,145")?;
    let asset = stage.run(ALICE, &["data", "--dir", "alice", "publish", "rows", "--keepers", "2/3"])?;
    let asset = asset["asset"].as_str().wrap_err("an asset")?.to_owned();
    let bob = stage.run(BOB, &["data", "--dir", "bob", "announce"])?;
    let bob = bob["address"].as_str().wrap_err("an address")?.to_owned();
    let grant = stage.run(ALICE, &["data", "--dir", "alice", "grant", &asset, "--to", &bob, "--times", "1"])?;
    let grant = grant["grant"].as_str().wrap_err("a grant")?.to_owned();
    let get = |to: &str| stage.attempt(BOB, &["data", "--dir", "bob", "get", &grant, "--to", to]);
    // Where nothing can be written, nothing is used.
    for to in ["/proc/x.csv", "nodir/copy.csv"] {
        let why = get(to)?.err().wrap_err("it was written")?;
        ensure!(why.contains("the grant was not used"), "{why}");
    }
    // The use is on record and no keeper has its share: when they have it again, it is read with the same use.
    let shares: Vec<_> =
        stage.keepers.iter().map(|node| node.chain_folder().join("keeper").join(&asset).join("share")).collect();
    for share in &shares {
        fs::rename(share, share.with_extension("away"))?;
    }
    get("copy.csv")?.err().wrap_err("it was read")?;
    // Nor can anybody read with another grant, which stands and is named.
    let other = stage.attempt(ALICE, &["data", "--dir", "alice", "grant", &asset, "--to", &bob])?;
    let other = other.err().wrap_err("it was granted")?;
    ensure!(other.contains("stands on the ledger") && other.contains("`stoa data revoke 0x"), "{other}");
    for share in &shares {
        fs::rename(share.with_extension("away"), share)?;
    }
    let read = get("copy.csv")?.map_err(eyre::Report::msg)?;
    ensure!(fs::read(stage.at("copy.csv"))? == b"63,1,1,145" && read["usedBefore"] == true, "{read}");
    let why = get("second.csv")?.err().wrap_err("it was read twice")?;
    ensure!(why.contains("was for 1 use, and is used up"), "{why}");
    Ok(())
}

#[test]
fn a_publication_that_was_broken_off_goes_on_with_the_same_asset_and_one_that_was_done_is_not_repeated() -> Result<()> {
    let stage = Stage::new(3)?;
    let rows: Vec<_> = (0..400_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    fs::write(stage.at("rows"), &rows)?;
    fs::File::options().write(true).open(stage.at("rows"))?.set_modified(SystemTime::now() - LONG)?;
    let publish = |more: &[&str]| {
        stage.attempt(ALICE, &[&["data", "--dir", "alice", "publish", "rows", "--keepers", "2/3"], more].concat())
    };
    // Two of three keepers' disks refuse the shares, when the data are spread and the asset is registered.
    let folders: Vec<_> = stage.keepers[1..].iter().map(|node| node.chain_folder().join("keeper")).collect();
    for folder in &folders {
        fs::rename(folder, folder.with_extension("away"))?;
        fs::write(folder, "")?;
    }
    let why = publish(&[])?.err().wrap_err("it was published")?;
    ensure!(why.contains("keeping a share of the key"), "{why}");
    for folder in &folders {
        fs::remove_file(folder)?;
        fs::rename(folder.with_extension("away"), folder)?;
    }
    let begun = fs::read_dir(stage.at("alice/published"))?.next().wrap_err("no note")??.path();
    let begun: serde_json::Value = serde_json::from_slice(&fs::read(begun)?)?;
    let there = || stage.keepers.iter().map(|node| held(node).map(|bytes| bytes.len())).sum::<Result<usize>>();
    let before = there()?;
    let published = publish(&[])?.map_err(eyre::Report::msg)?;
    ensure!(published["asset"] == begun["draft"]["asset"], "{published} {begun}");
    ensure!(there()? == before, "nodes keep {} bytes, and kept {before} of the first try", there()?);
    let notes: Vec<_> = fs::read_dir(stage.at("alice/published"))?.collect::<std::result::Result<_, _>>()?;
    ensure!(
        notes.len() == 1 && notes[0].path().extension().is_some_and(|end| end == "json"),
        "the seed is still there"
    );
    // What is published is published once, if nobody says otherwise, and until it is erased.
    let asset = published["asset"].as_str().wrap_err("an asset")?.to_owned();
    let why = publish(&[])?.err().wrap_err("it was published twice")?;
    ensure!(why.contains("published already") && why.contains(&asset) && why.contains("--again"), "{why}");
    let other = publish(&["--again"])?.map_err(eyre::Report::msg)?["asset"].clone();
    ensure!(other != published["asset"], "{other}");
    stage.run(ALICE, &["data", "--dir", "alice", "erase", other.as_str().wrap_err("an asset")?])?;
    publish(&[])?.map_err(eyre::Report::msg)?;
    // The key follows from what was kept of the first try.
    let bob = stage.run(BOB, &["data", "--dir", "bob", "announce"])?;
    let bob = bob["address"].as_str().wrap_err("an address")?.to_owned();
    let grant = stage.run(ALICE, &["data", "--dir", "alice", "grant", &asset, "--to", &bob])?;
    stage.run(BOB, &["data", "--dir", "bob", "get", grant["grant"].as_str().wrap_err("one")?, "--to", "copy"])?;
    ensure!(fs::read(stage.at("copy"))? == rows);
    Ok(())
}

#[test]
fn a_keeper_that_is_gone_when_data_are_published_is_replaced_or_named() -> Result<()> {
    let mut stage = Stage::new(4)?;
    fs::write(stage.at("rows"), "63,1,1,145")?;
    let gone = stage.keys[0].clone();
    stage.kill(1);
    let publish = |more: &[&str]| -> Result<(String, serde_json::Value)> {
        let words = [&["data", "--dir", "alice", "publish", "rows", "--keepers"], more].concat();
        let published = stage.run(ALICE, &words)?;
        Ok((published["asset"].as_str().wrap_err("an asset")?.to_owned(), published["withoutShare"].clone()))
    };
    let (asset, shareless) = publish(&["2/3"])?;
    ensure!(shareless == serde_json::json!([]), "{shareless}");
    ensure!(!keepers_of(&stage, &asset)?.contains(&gone), "it is a keeper");
    // Where there is no other, it is one without a share, until the key moves.
    let (asset, shareless) = publish(&["3/4", "--again"])?;
    ensure!(shareless.as_array().map(Vec::len) == Some(1) && shareless[0]["node"] == gone.as_str(), "{shareless}");
    stage.run(ALICE, &["data", "--dir", "alice", "move", &asset, "--without", &gone])?;
    let keepers = keepers_of(&stage, &asset)?;
    ensure!(keepers.len() == 3 && !keepers.contains(&gone), "{keepers:?}");
    Ok(())
}

/// An asset of Alice's whose key two of three keepers release, and what is said of Bob's grant.
fn kept_by_three(stage: &Stage) -> Result<(String, serde_json::Value)> {
    fs::write(stage.at("rows"), "63,1,1,145")?;
    let asset = stage.run(ALICE, &["data", "--dir", "alice", "publish", "rows", "--keepers", "2/3"])?;
    let asset = asset["asset"].as_str().wrap_err("an asset")?.to_owned();
    let bob = stage.run(BOB, &["data", "--dir", "bob", "announce"])?;
    let bob = bob["address"].as_str().wrap_err("an address")?.to_owned();
    let grant = stage.run(ALICE, &["data", "--dir", "alice", "grant", &asset, "--to", &bob])?;
    Ok((asset, grant))
}

#[test]
fn more_keepers_leave_than_may_be_lost_and_serve_until_others_have_taken_over() -> Result<()> {
    let stage = Stage::new(5)?;
    let (asset, grant) = kept_by_three(&stage)?;
    ensure!(grant["withHalf"] == 3 && grant["withoutHalf"] == serde_json::json!([]), "{grant}");
    let grant = grant["grant"].as_str().wrap_err("a grant")?.to_owned();
    let leavers = keepers_of(&stage, &asset)?[..2].to_vec();
    for leaver in &leavers {
        let place = stage.keys.iter().position(|key| key == leaver).wrap_err("a node")?;
        stage.run(place, &["node", "leave", "--node", leaver])?;
    }
    let read = |to: &str| -> Result<()> {
        stage.run(BOB, &["data", "--dir", "bob", "get", &grant, "--to", to])?;
        ensure!(fs::read(stage.at(to))? == b"63,1,1,145");
        Ok(())
    };
    read("first")?;
    let until = Instant::now() + LONG;
    while keepers_of(&stage, &asset)?.iter().any(|keeper| leavers.contains(keeper)) {
        ensure!(Instant::now() < until, "the key did not move");
        thread::sleep(Duration::from_millis(200));
    }
    // The one that stays has one new fellow: two could read without it.
    let keepers = keepers_of(&stage, &asset)?;
    ensure!(keepers.len() == 2 && !leavers.contains(&keepers[0]) && !leavers.contains(&keepers[1]), "{keepers:?}");
    read("second")
}

#[test]
fn keepers_that_leave_are_followed_by_others() -> Result<()> {
    let stage = Stage::new(5)?;
    let (asset, grant) = kept_by_three(&stage)?;
    let grant = grant["grant"].as_str().wrap_err("a grant")?.to_owned();
    let read = |to: &str| -> Result<()> {
        stage.run(BOB, &["data", "--dir", "bob", "get", &grant, "--to", to])?;
        ensure!(fs::read(stage.at(to))? == b"63,1,1,145");
        Ok(())
    };
    let keepers = || keepers_of(&stage, &asset);
    let before = keepers()?;
    ensure!(before.len() == 3, "{before:?}");
    let place = |key: &String| stage.keys.iter().position(|other| other == key).wrap_err("a node");

    // One of three leaves; the owner's machine has no part in what follows.
    fs::rename(stage.at("alice"), stage.at("away"))?;
    let leaver = &before[0];
    stage.run(place(leaver)?, &["node", "leave", "--node", leaver])?;
    let until = Instant::now() + LONG;
    while keepers()?.contains(leaver) {
        ensure!(Instant::now() < until, "the key did not move");
        thread::sleep(Duration::from_millis(200));
    }
    let after = keepers()?;
    ensure!(after.len() == 3 && after[..2] == before[1..], "{before:?} {after:?}");
    read("first")?;

    // The owner moves it away from another, which is there and willing.
    fs::rename(stage.at("away"), stage.at("alice"))?;
    let moved = stage.run(ALICE, &["data", "--dir", "alice", "move", &asset, "--without", &before[1]])?;
    let named: Vec<_> =
        moved["keepers"].as_array().wrap_err("keepers")?.iter().filter_map(|key| key.as_str()).collect();
    ensure!(named == keepers()? && !named.contains(&before[1].as_str()), "{moved}");
    read("second")?;
    // And anew among the same, whose shares before were others.
    stage.run(ALICE, &["data", "--dir", "alice", "move", &asset])?;
    ensure!(keepers()? == named);
    read("third")?;
    // To standard output as well, and to no file of that name.
    let account = BOB.to_string();
    let get = ["data", "--dir", "bob", "get", &grant, "--to", "-", "--http", stage.chain.http(), "--account", &account];
    let said = stoa(stage.folder.path(), &get)?.output()?;
    ensure!(said.stdout == b"63,1,1,145" && !stage.at("-").exists(), "{said:?}");
    for (key, keeper) in stage.keys.iter().zip(&stage.keepers) {
        let kept = keeper.chain_folder().join("keeper").join(&asset).join("share");
        let until = Instant::now() + LONG;
        while kept.exists() != named.contains(&key.as_str()) {
            ensure!(Instant::now() < until, "{key}: {}", kept.exists());
            thread::sleep(Duration::from_millis(200));
        }
    }
    Ok(())
}
