//! An asset from its registration to its end, and the record of it that `stoa consent log` gives.

use alloy_primitives::{B256, hex};
use alloy_signer_local::PrivateKeySigner;
use eyre::{ContextCompat as _, Result, ensure, eyre};
use serde_json::Value;
use std::process::{Command, Output};
use stoa_client::{Client, SendError, ViewError, Wallet, view};
use stoa_data::abi::{
    ADDRESS, CONSENT, IConsent,
    IConsent::{
        IConsentErrors, Terms, assetIdCall, checkUseCall, grantCall, nextGrantCall, registerCall, revokeCall,
        useGrantCall,
    },
    READ,
};
use stoa_tests::{Network, Node, program};

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

#[tokio::test]
async fn what_was_granted_used_and_revoked_is_on_record() -> Result<()> {
    let node = Node::start(Network::Dev)?;
    let client = Client::new(node.http());
    let wallet = async |key: &str| {
        let signer = PrivateKeySigner::from_slice(&hex::decode(key)?)?;
        Ok::<_, eyre::Report>(Wallet::new(client.clone(), signer).await?)
    };
    let (owner, reader) = (wallet(OWNER).await?, wallet(READER).await?);

    let (salt, object) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let (asset, _) = view(&client, CONSENT, &assetIdCall { owner: owner.address(), salt }).await?;
    let said = log(&node, asset, &["--json"])?;
    ensure!(!said.status.success() && String::from_utf8(said.stdout)?.contains("no asset"));

    let register = registerCall { salt, object, sharing: B256::ZERO, needed: 0, keepers: Vec::new(), ownerHalf: true };
    owner.call(CONSENT, &register).await?;
    // More blocks than a node looks through at once.
    let _: bool = client.call("hardhat_mine", ("0x2774",)).await?;
    let (grant, _) = view(&client, CONSENT, &nextGrantCall { asset }).await?;
    let terms = Terms {
        kind: ADDRESS,
        who: reader.address(),
        credential: B256::ZERO,
        purpose: "https://w3id.org/dpv#ScientificResearch".to_owned(),
        uses: READ,
        algorithm: B256::ZERO,
        until: 0,
        limit: 2,
        half: B256::ZERO,
    };
    owner.call(CONSENT, &grantCall { asset, terms }).await?;
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
    for part in ["granted 0x", "for ScientificResearch", "to read, 2 times at most", "revoked 0x", "used 1 of 2 times"]
    {
        ensure!(text.contains(part), "{part} is not in\n{text}");
    }
    ensure!(text.contains(&revoked.transaction_hash.to_string()) && text.contains(&grant.to_string()));

    let document: Value = serde_json::from_slice(&log(&node, asset, &["--json"])?.stdout)?;
    let nodes = document["@graph"].as_array().wrap_err("a graph")?;
    let given = nodes.iter().find(|node| node["@type"][0] == "dpv:ConsentRecord").wrap_err("no record")?;
    ensure!(given["dct:identifier"] == grant.to_string() && given["dpv:hasConsentStatus"] == "dpv:ConsentWithdrawn");
    let use_node = nodes.iter().find(|node| node["@type"] == "prov:Activity").wrap_err("no use")?;
    ensure!(use_node["dct:identifier"] == used.r#use.to_string() && use_node["prov:used"][1] == given["@id"]);
    ensure!(
        use_node["stoa:transaction"].as_str().is_some_and(|tx| tx.ends_with(&receipt.transaction_hash.to_string()))
    );
    Ok(())
}
