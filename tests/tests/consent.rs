//! An asset from its registration to its end, the record of it that `stoa consent log` gives, and keepers that served after the end of
//! a grant.

use alloy_primitives::{Address, B256, hex};
use alloy_signer_local::PrivateKeySigner;
use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::{Signer as _, ed25519};
use eyre::{ContextCompat as _, Result, ensure, eyre};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};
use stoa_client::{Client, SendError, ViewError, Wallet, view};
use stoa_data::{
    abi::{
        ADDRESS, CONSENT, IConsent,
        IConsent::{
            IConsentErrors, Terms, assetIdCall, checkUseCall, grantCall, nextGrantCall, registerCall, revokeCall,
            useGrantCall,
        },
        READ,
    },
    breach::Kept,
    reading::Reading,
};
use stoa_privacy::{AssetId, Grant, GrantId, NodeId, Release, Seen, deal};
use stoa_tests::{Network, Node, OTHER_KEY, program, stage::stoa};

/// Two of the development accounts: keys that everybody knows.
const OWNER: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const READER: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";

fn log(node: &Node, asset: B256, options: &[&str]) -> Result<Output> {
    let asset = asset.to_string();
    let words = ["consent", "log", &asset, "--http", node.http()];
    Ok(Command::new(program()?).args(words).args(options).output()?)
}

/// What a contract refuses with.
fn reason(error: ViewError) -> Result<IConsentErrors> {
    error.reason::<IConsentErrors>().wrap_err_with(|| eyre!("{error}"))
}

async fn wallet(client: &Client, key: &str) -> Result<Wallet> {
    let signer = PrivateKeySigner::from_slice(&hex::decode(key)?)?;
    Ok(Wallet::new(client.clone(), signer).await?)
}

/// What lets an account read, so often at most; 0 for any number of times.
fn terms(who: Address, limit: u32) -> Terms {
    Terms {
        kind: ADDRESS,
        who,
        credential: B256::ZERO,
        purpose: "https://w3id.org/dpv#ScientificResearch".to_owned(),
        uses: READ,
        algorithm: B256::ZERO,
        until: 0,
        limit,
        half: B256::ZERO,
    }
}

#[tokio::test]
async fn what_was_granted_used_and_revoked_is_on_record() -> Result<()> {
    let node = Node::start(Network::Dev)?;
    let client = Client::new(node.http());
    let (owner, reader) = (wallet(&client, OWNER).await?, wallet(&client, READER).await?);

    let (salt, object) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let (asset, _) = view(&client, CONSENT, &assetIdCall { owner: owner.address(), salt }).await?;
    let said = log(&node, asset, &["--json"])?;
    ensure!(!said.status.success() && String::from_utf8(said.stdout)?.contains("no asset"));

    let register = registerCall { salt, object, sharing: B256::ZERO, needed: 0, keepers: Vec::new(), ownerHalf: true };
    owner.call(CONSENT, &register).await?;
    // More blocks than a node looks through at once.
    for _ in 0..5 {
        let _: bool = client.call("hardhat_mine", ("0x7e5",)).await?;
    }
    let (grant, _) = view(&client, CONSENT, &nextGrantCall { asset }).await?;
    owner.call(CONSENT, &grantCall { asset, terms: terms(reader.address(), 2) }).await?;
    let use_it = useGrantCall { grant, kind: READ, algorithm: B256::ZERO };
    let receipt = reader.call(CONSENT, &use_it).await?;
    let used = receipt.decoded_log::<IConsent::Used>().wrap_err("a use leaves an event")?;
    ensure!(used.grant == grant && used.user == reader.address());
    view(&client, CONSENT, &checkUseCall { id: used.r#use }).await?;

    let revoked = owner.call(CONSENT, &revokeCall { grant }).await?;
    let Err(SendError::Refused(refused)) = reader.call(CONSENT, &use_it).await else {
        return Err(eyre!("a grant was used after it was revoked"));
    };
    ensure!(matches!(reason(refused)?, IConsentErrors::ConsentRevoked(is) if is.grant == grant));
    let checked = view(&client, CONSENT, &checkUseCall { id: used.r#use }).await.err().wrap_err("it was revoked")?;
    ensure!(matches!(reason(checked)?, IConsentErrors::ConsentRevoked(_)));

    let said = log(&node, asset, &[])?;
    let text = String::from_utf8(said.stdout)?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    for part in [
        "granted 0x",
        "for ScientificResearch",
        "to read, 2 times at most",
        "revoked 0x",
        "began to use 0x",
        "1 of 2 uses on record",
    ] {
        ensure!(text.contains(part), "{part} is not in\n{text}");
    }
    ensure!(text.contains(&revoked.transaction_hash.to_string()) && text.contains(&grant.to_string()));

    let document: Value = serde_json::from_slice(&log(&node, asset, &["--json"])?.stdout)?;
    let nodes = document["@graph"].as_array().wrap_err("a graph")?;
    let given = nodes.iter().find(|node| node["@type"][0] == "dpv:ConsentRecord").wrap_err("no record")?;
    ensure!(given["dct:identifier"] == grant.to_string() && given["dpv:hasConsentStatus"] == "dpv:ConsentWithdrawn");
    // Whose data they are, nobody has said: so does the record.
    ensure!(given["stoa:notSaid"] == serde_json::json!(["dpv:hasDataSubject", "dpv:hasPersonalData"]), "{given}");
    ensure!(text.contains("about    not said"), "{text}");
    let use_node = nodes.iter().find(|node| node["@type"] == "prov:Activity").wrap_err("no use")?;
    ensure!(use_node["dct:identifier"] == used.r#use.to_string() && use_node["prov:used"][1] == given["@id"]);
    ensure!(
        use_node["stoa:transaction"].as_str().is_some_and(|tx| tx.ends_with(&receipt.transaction_hash.to_string()))
    );
    Ok(())
}

/// Runs `stoa consent breach`; what it printed, or what it complained of.
fn breach(folder: &Path, words: &[&str]) -> Result<std::result::Result<Value, String>> {
    let output = stoa(folder, &[&["consent", "breach"], words].concat())?.output()?;
    let said = String::from_utf8(output.stdout)?;
    Ok(if output.status.success() { Ok(serde_json::from_str(&said)?) } else { Err(said) })
}

#[tokio::test]
async fn a_keeper_that_served_after_a_revocation_is_shown_to_whoever_has_the_network_key() -> Result<()> {
    let node = Node::start(Network::Up)?;
    let (folder, key, http) = (tempfile::tempdir()?, node.announced("networkKey")?.to_owned(), node.http().to_owned());
    let client = Client::new(&http);
    let (owner, reader) = (wallet(&client, OWNER).await?, wallet(&client, READER).await?);
    // An asset with one keeper, whose key is here: it lies as we like.
    let keeper = ed25519::PrivateKey::decode(Copying(&[7_u8; 32]))?;
    let (salt, object) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let (asset, _) = view(&client, CONSENT, &assetIdCall { owner: owner.address(), salt }).await?;
    let dealt = deal(AssetId(asset), 1, vec![keeper.public_key()], &mut rand::rng())?;
    let (sharing, keepers) = (dealt.sharing.digest(), vec![NodeId::from(&keeper.public_key()).into()]);
    owner.call(CONSENT, &registerCall { salt, object, sharing, needed: 1, keepers, ownerHalf: true }).await?;
    let (grant, _) = view(&client, CONSENT, &nextGrantCall { asset }).await?;
    owner.call(CONSENT, &grantCall { asset, terms: terms(reader.address(), 0) }).await?;
    let revoked = owner.call(CONSENT, &revokeCall { grant }).await?.block_number.wrap_err("a block")?;
    let reading = Reading::of(reader.signer(), reader.chain_id())?;
    let granted = Grant { asset: AssetId(asset), id: GrantId(grant), reader: reading.key.reader() };
    let release = async |number: u64| {
        let block: Value = client.call("eth_getBlockByNumber", (format!("{number:#x}"), false)).await?;
        let seen = Seen { number, hash: block["hash"].as_str().wrap_err("a hash")?.parse()? };
        let share = &dealt.shares[0];
        let release = Release::new(&keeper, &dealt.sharing, share, &granted, &reading.key, seen, &mut rand::rng())?;
        Ok::<_, eyre::Report>(release.evidence())
    };
    Kept::at(folder.path().join("bob/releases")).add(&[release(revoked - 1).await?, release(revoked).await?])?;

    let asset = asset.to_string();
    let run = |words: &[&str]| breach(folder.path(), &[words, &["--network-key", &key]].concat());
    let look = [asset.as_str(), "--http", &http, "--dir", "bob", "--evidence", "evidence.json"];
    let found = run(&look)?.map_err(eyre::Report::msg)?;
    ensure!(found["releases"] == 2 && found["stood"] == 1, "{found}");
    let [shown] = &found["breaches"].as_array().wrap_err("breaches")?[..] else { return Err(eyre!("{found}")) };
    let said = shown["said"].as_str().wrap_err("words")?;
    ensure!(said.contains(&format!("though the grant was revoked at block {revoked}")), "{said}");
    ensure!(shown["keeper"] == NodeId::from(&keeper.public_key()).to_string() && shown["grant"] == grant.to_string());
    let mut words = vec!["consent", "breach"];
    words.extend_from_slice(&look);
    let text =
        Command::new(program()?).current_dir(folder.path()).args(words).args(["--network-key", &key]).output()?;
    let text = String::from_utf8(text.stdout)?;
    ensure!(text.contains("BREACH   keeper ") && text.contains(&grant.to_string()), "{text}");
    // Whoever has kept nothing, or nothing that is whole, is told that nothing was compared.
    fs::create_dir(folder.path().join("dave"))?;
    fs::write(folder.path().join("dave/releases"), [9; 300])?;
    for (dir, why) in [("carol", "nothing was compared"), ("dave", "2 releases in dave/releases are damaged")] {
        let said = run(&[&asset, "--http", &http, "--dir", dir])?.err().wrap_err("it was compared")?;
        ensure!(said.contains(&format!("nothing was kept in {dir}")) && said.contains(why), "{said}");
    }

    // With no node there: of the file, and of what was printed. Not with another key, nor if a bit of it is another.
    drop(node);
    fs::write(folder.path().join("printed.json"), found.to_string())?;
    for file in ["evidence.json", "printed.json"] {
        let checked = run(&["--verify", file])?.map_err(eyre::Report::msg)?;
        ensure!(checked["breaches"] == found["breaches"] && checked["releases"] == 1, "{checked}");
    }
    let refused = breach(folder.path(), &["--verify", "evidence.json", "--network-key", OTHER_KEY])?;
    ensure!(refused.is_err(), "another key's network signed it");
    let evidence: Value = serde_json::from_slice(&fs::read(folder.path().join("evidence.json"))?)?;
    let transactions = evidence["transactions"].as_array().wrap_err("transactions")?.len();
    ensure!(transactions == 3, "registered, granted and revoked: {evidence}");
    let receipts = (0..transactions).map(|number| format!("/transactions/{number}/proof/receipt"));
    for place in receipts.chain(["/releases/0".to_owned()]) {
        let mut forged = evidence.clone();
        let part = forged.pointer_mut(&place).wrap_err_with(|| place.clone())?;
        let text = part.as_str().wrap_err("hexadecimal digits")?.to_owned();
        let last = if text.ends_with('0') { "1" } else { "0" };
        *part = Value::from(text[..text.len() - 1].to_owned() + last);
        fs::write(folder.path().join("forged.json"), forged.to_string())?;
        ensure!(run(&["--verify", "forged.json"])?.is_err(), "{place} was forged, and believed");
    }
    // Without the revocation nothing is shown.
    let mut less = evidence.clone();
    less["transactions"].as_array_mut().wrap_err("transactions")?.pop();
    fs::write(folder.path().join("less.json"), less.to_string())?;
    let why = run(&["--verify", "less.json"])?.err().wrap_err("it was believed")?;
    ensure!(why.contains("shows no breach"), "{why}");
    Ok(())
}
