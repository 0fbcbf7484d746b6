//! Assets that are published from a program and found from the command line, in an index that is kept between commands.

use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolEvent as _, SolValue as _};
use eyre::{ContextCompat as _, Result, ensure, eyre};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{fs, path::Path};
use stoa_client::{Client, Wallet};
use stoa_data::{
    ddo::did,
    market::abi::{
        DatatokenData, FACTORY, FIXED_RATE, FixedRateData,
        IFactory::{NFTCreated, createNftWithErc20WithFixedRateCall},
        INft::{MetadataState, setMetaDataCall, setMetaDataStateCall},
        NftData,
    },
    search::COIN,
};
use stoa_tests::{Network, Node, stage::stoa};

/// The first of the development accounts: a key that everybody knows.
const OWNER: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

fn coins(whole: u64) -> U256 {
    U256::from(whole) * U256::from(10).pow(U256::from(18))
}

/// Publishes an asset at a price. Its contract.
async fn publish(wallet: &Wallet, name: &str, price: u64) -> Result<Address> {
    let owner = wallet.address();
    let create = createNftWithErc20WithFixedRateCall {
        nft: NftData {
            name: "Asset".into(),
            symbol: "DATA".into(),
            templateIndex: U256::ONE,
            tokenURI: String::new(),
            transferable: true,
            owner,
        },
        datatoken: DatatokenData {
            templateIndex: U256::ONE,
            strings: vec!["Access".into(), "ACC".into()],
            addresses: vec![owner, Address::ZERO, Address::ZERO, Address::ZERO],
            uints: vec![U256::MAX, U256::ZERO],
            bytess: vec![],
        },
        fixedRate: FixedRateData {
            fixedPriceAddress: FIXED_RATE,
            addresses: vec![COIN, owner, Address::ZERO, Address::ZERO],
            uints: vec![U256::from(18), U256::from(18), coins(price), U256::ZERO, U256::ONE],
        },
    };
    let receipt = wallet.call(FACTORY, &create).await?;
    let created = receipt.logs().iter().find_map(|log| NFTCreated::decode_log(&log.inner).ok());
    let nft = created.wrap_err("no asset")?.newTokenAddress;
    let columns = json!([{ "name": "age", "type": "integer" }]);
    let text = json!({
        "id": did(nft, wallet.chain_id()), "version": "4.7.0", "chainId": wallet.chain_id(), "nftAddress": nft,
        "metadata": {
            "name": name, "description": "Rows of a table", "type": "dataset", "author": "Somebody", "license": "CC0",
            "tags": ["health"], "additionalInformation": { "stoa": { "rows": 303, "columns": columns } },
        },
    })
    .to_string();
    let describe = setMetaDataCall {
        state: 0,
        decryptorUrl: String::new(),
        decryptorAddress: String::new(),
        flags: vec![0].into(),
        dataHash: B256::from_slice(&Sha256::digest(&text)),
        data: text.into_bytes().into(),
        proofs: vec![],
    };
    wallet.call(nft, &describe).await?;
    Ok(nft)
}

/// A command of `stoa data` in a folder. The object that it printed, or what it complained of.
fn data(folder: &Path, node: &Node, words: &[&str]) -> Result<std::result::Result<Value, String>> {
    let words = [&["data", "--http", node.http()], words].concat();
    let output = stoa(folder, &words)?.output()?;
    let said: Value = serde_json::from_slice(&output.stdout)?;
    Ok(if output.status.success() { Ok(said) } else { Err(said["error"].to_string()) })
}

/// The names of what a search finds.
fn names(folder: &Path, node: &Node, words: &[&str]) -> Result<Vec<String>> {
    let found = data(folder, node, words)?.map_err(|why| eyre!("{words:?}: {why}"))?;
    let assets = found["assets"].as_array().wrap_err("assets")?;
    Ok(assets.iter().filter_map(|asset| asset["summary"]["name"].as_str().map(str::to_owned)).collect())
}

/// A program that does nothing but emit so many events that look like one of an asset's.
fn noise(count: u16) -> Bytes {
    let [high, low] = count.to_be_bytes();
    let mut code = vec![0x61, high, low, 0x5b, 0x7f];
    code.extend(MetadataState::SIGNATURE_HASH);
    code.extend(hex!("60006000a16001900380600357"));
    code.push(0);
    code.into()
}

#[tokio::test]
async fn assets_are_found_in_an_index_that_follows_the_ledger() -> Result<()> {
    let (node, folder) = (Node::start(Network::Dev)?, tempfile::tempdir()?);
    let (here, client) = (folder.path(), Client::new(node.http()));
    let wallet = Wallet::new(client.clone(), PrivateKeySigner::from_slice(&hex::decode(OWNER)?)?).await?;
    ensure!(names(here, &node, &["search"])?.is_empty());
    let nowhere = data(here, &node, &["show", "did:op:00"])?.err().wrap_err("it is there")?;
    ensure!(nowhere.contains("no asset of this chain"), "{nowhere}");

    let heart = publish(&wallet, "Heart disease", 5).await?;
    // More blocks than a node looks through at once.
    let _: bool = client.call("hardhat_mine", ("0x2774",)).await?;
    let wine = publish(&wallet, "Wine of Portugal", 20).await?;
    ensure!(names(here, &node, &["search"])? == ["Wine of Portugal", "Heart disease"]);
    for words in [
        &["search", "heart", "DISEASE"][..],
        &["search", "hear*", "--tag", "health", "--type", "dataset", "--column", "age:integer"],
        &["search", "--max-price", "5"],
        &["search", "--column", "age", "--max-price", "19.5", "--token", &COIN.to_string()],
        &["search", "--sort", "price", "--size", "1"],
        &["search", "--size", "1", "--page", "2"],
    ] {
        ensure!(names(here, &node, words)? == ["Heart disease"], "{words:?}");
    }
    ensure!(names(here, &node, &["search", "--free"])?.is_empty());
    let owner = wallet.address().to_string();
    for words in [&["list", "--account", "0"][..], &["list", "--owner", &owner]] {
        ensure!(names(here, &node, words)?.len() == 2, "{words:?}");
    }
    ensure!(data(here, &node, &["list"])?.is_err_and(|why| why.contains("--owner")));
    let shown = data(here, &node, &["show", &did(heart, wallet.chain_id())])?.map_err(|why| eyre!(why))?;
    ensure!(shown["nft"] == json!(heart) && shown["document"]["version"] == "4.7.0", "{shown}");
    ensure!(shown["datatokens"][0]["prices"][0]["amount"] == json!(coins(5)), "{shown}");
    ensure!(data(here, &node, &["show", &heart.to_string()])? == Ok(shown));

    // A block that somebody filled with events, more than a node tells at once, hides nothing.
    let spam = json!({ "from": wallet.address(), "data": noise(20_010), "gas": "0xffffff" });
    let hide = setMetaDataStateCall { state: 5 };
    let hide = alloy_sol_types::SolCall::abi_encode(&hide);
    let hide = json!({ "from": wallet.address(), "to": wine, "data": Bytes::from(hide) });
    let _: bool = client.call("evm_setAutomine", (false,)).await?;
    for transaction in [spam, hide] {
        let _: B256 = client.call("eth_sendTransaction", (transaction,)).await?;
    }
    let _: Value = client.call("evm_mine", ()).await?;
    let _: bool = client.call("evm_setAutomine", (true,)).await?;
    let filter = json!({ "fromBlock": "latest", "topics": [MetadataState::SIGNATURE_HASH] });
    ensure!(client.call::<Value>("eth_getLogs", (filter,)).await.is_err(), "the block is not full enough");
    ensure!(names(here, &node, &["search"])? == ["Heart disease"]);
    ensure!(names(here, &node, &["search", "--state", "unlisted"])? == ["Wine of Portugal"]);

    // A development chain goes back; a file that is damaged is made anew.
    let before: U256 = client.call("evm_snapshot", ()).await?;
    publish(&wallet, "Gone", 1).await?;
    ensure!(names(here, &node, &["search", "gone"])? == ["Gone"]);
    let _: bool = client.call("evm_revert", (before,)).await?;
    let _: bool = client.call("hardhat_mine", ("0x10",)).await?;
    ensure!(names(here, &node, &["search"])? == ["Heart disease"]);
    fs::write(here.join(".stoa/index.sqlite"), keccak256("").abi_encode())?;
    ensure!(names(here, &node, &["search"])? == ["Heart disease"]);
    Ok(())
}
