//! The tour's main step: four hospitals train one model together, and no patient's row leaves any of them.
//!
//! Everything that is compared is computed here, at this moment, by the same program: what the hospitals come to together
//! through the network, what each comes to alone, and what they would come to with all rows in one place.

use super::{Report, Voice, balance, coins, ether};
use crate::job::{self, RESULT, Work, Worked, run_rounds};
use alloy_primitives::{Address, B256, U256};
use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::{Signer as _, ed25519::PrivateKey};
use eyre::{ContextCompat as _, Result, WrapErr as _, ensure};
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, time::Instant};
use stoa_client::Wallet;
use stoa_consensus::follow::Start;
use stoa_data::{
    jobs::{
        COIN, MILLION,
        abi::{
            IJobs::{Checks, Offer},
            WASM,
        },
        algorithm,
        client::{Buyer, Leave, Owner, Who},
        data::DataSet,
        rerun,
        rules::Rules,
    },
    registry::{self, Listing},
};
use stoa_node::{follower, up};
use stoa_sandbox::{Control, Input, Job, Runtime as _, Source, Wasm};

const MODULE: &[u8] = include_bytes!("../../../../algorithms/federated.wasm");
const RULES: &[u8] = include_bytes!("../../../../data/heart/rules.json");
const PLAN: &[u8] = include_bytes!("../../../../data/heart/plan.json");

/// The hospitals, and their patients (UCI heart disease data, CC BY 4.0; see data/heart).
const HOSPITALS: [(&str, &str); 4] = [
    ("Cleveland", include_str!("../../../../data/heart/cleveland.csv")),
    ("Hungary", include_str!("../../../../data/heart/hungary.csv")),
    ("Switzerland", include_str!("../../../../data/heart/switzerland.csv")),
    ("VA Long Beach", include_str!("../../../../data/heart/va.csv")),
];

/// How good a model is on the patients of all hospitals that it was not trained on.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Score {
    accuracy: f64,
    auc: f64,
}

impl Score {
    fn read(result: &[u8]) -> Result<Self> {
        let result: Value = serde_json::from_slice(result)?;
        let number = |name: &str| result[name].as_f64().wrap_err_with(|| format!("there is no {name} in {result}"));
        Ok(Self { accuracy: number("accuracy")?, auc: number("auc")? })
    }
}

/// What the hospitals came to.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Trained {
    together: Score,
    in_one_place: Score,
    alone: BTreeMap<&'static str, Score>,
    rounds: usize,
    milliseconds: u64,
    jobs: Vec<B256>,
    paid: U256,
    rerun: bool,
    refused: String,
    without_one: Score,
}

/// A hospital with its node.
struct Hospital {
    name: &'static str,
    wallet: Wallet,
    node: follower::Launched,
    folder: std::path::PathBuf,
    asset: B256,
    grant: B256,
}

/// Runs the program once on this machine, outside the network.
fn run_here(wasm: &Wasm, params: &Map<String, Value>, name: &str, content: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut job = Job::new(MODULE);
    job.command = vec!["algorithm".into()];
    job.params = serde_json::to_vec(params)?;
    job.inputs = vec![Input { name: format!("{name}.csv"), source: Source::from(content.as_bytes()) }];
    let outcome = wasm.run(&job, &Control::new())?;
    ensure!(outcome.succeeded(), "the program failed: {}", outcome.log.text());
    Ok(outcome.output.files)
}

/// The same plan on this machine, trained on some tables and measured on all.
fn reckon(wasm: &Wasm, tables: &[(&str, &str)]) -> Result<Score> {
    let (rounds, combining) = job::plan(PLAN, MODULE.to_vec())?;
    let (last, mut passed) = (rounds.len() - 1, None);
    for (number, mut params) in rounds.into_iter().enumerate() {
        combining.pass_on(passed.take(), &mut params);
        let on = if number == last { &HOSPITALS[..] } else { tables };
        let left = on.iter().map(|(name, content)| run_here(wasm, &params, &name.replace(' ', "-"), content));
        let (files, result) = combining.combine(&left.collect::<Result<Vec<_>>>()?)?;
        if number == last {
            return Score::read(files.get(RESULT).wrap_err("a result")?);
        }
        passed = Some(result);
    }
    eyre::bail!("the plan has no rounds")
}

async fn offer(wallet: &Wallet, node: &follower::Launched, data: &Path, table: &str) -> Result<B256> {
    let owner = Owner::new(wallet.clone());
    let salt = B256::from(rand::random::<[u8; 32]>());
    let (asset, rules) = (owner.asset(salt), Rules::read(RULES)?);
    let file = data.join("patients.csv");
    fs::write(&file, table)?;
    let set = DataSet::create(&data.join(asset.to_string()), &file, &rules)?;
    fs::remove_file(&file)?;
    owner.register(salt, set.hash).await?;
    let offer = Offer {
        node: node.address.as_ref().wrap_err("an address")?.node().into(),
        data: set.hash,
        rules: rules.hash(),
        token: COIN,
        payTo: wallet.address(),
        base: ether(1),
        price: ether(1) / U256::from(100),
        fuel: 1000 * MILLION,
        time: 3600,
        runtimes: WASM,
        checks: Checks::default(),
    };
    owner.offer(asset, offer).await?;
    Ok(asset)
}

async fn open(
    network: &up::Network,
    folder: &Path,
    name: &'static str,
    table: &str,
    wallet: &Wallet,
    researcher: Address,
) -> Result<Hospital> {
    let folder = folder.join(name.replace(' ', "-"));
    let (chain, data) = (folder.join("chain"), folder.join("data"));
    fs::create_dir_all(&data)?;
    let key = PrivateKey::decode(Copying(&rand::random::<[u8; 32]>()[..]))?;
    let config = follower::Config {
        folder: chain,
        http: SocketAddr::from(([127, 0, 0, 1], 0)),
        network_key: network.network_key().wrap_err("the network has no key")?,
        peers: network.addresses().cloned().collect(),
        listen: Some((SocketAddr::from(([127, 0, 0, 1], 0)), key.clone())),
        history: 10_000,
        cache: 16 << 20,
        start: Start::State { from: 1 },
        data: Some(data.clone()),
        store: None,
        index: false,
    };
    let node = tokio::task::spawn_blocking(move || follower::launch(config)).await??;
    let address = node.address.as_ref().wrap_err("an address")?.to_string();
    let host = address.split_once('@').wrap_err("a host")?.1.to_owned();
    let listing = Listing { host, domain: name.into(), capacity: 0, roles: 0 };
    registry::join(wallet, &key, listing).await?;
    let asset = offer(wallet, &node, &data, table).await?;
    let leave = Leave {
        who: Who::Account(researcher),
        algorithm: algorithm(MODULE),
        purpose: "https://w3id.org/dpv#ScientificResearch".into(),
        until: 0,
        limit: 0,
    };
    let grant = Owner::new(wallet.clone()).grant(asset, leave).await?;
    ensure!(key.public_key().as_ref() == node.address.as_ref().wrap_err("an address")?.node().0, "another node");
    Ok(Hospital { name, wallet: wallet.clone(), node, folder: data.join(asset.to_string()), asset, grant })
}

async fn train(buyer: &Buyer, on: Vec<B256>) -> Result<Worked> {
    let (rounds, combining) = job::plan(PLAN, MODULE.to_vec())?;
    let (code, fuel, most) = (MODULE.to_vec(), 500 * MILLION, ether(10));
    let work = Work { on, code, rounds, combining: Some(combining), fuel, most };
    run_rounds(buyer, work, &ProgressBar::hidden()).await
}

/// Four hospitals, a researcher, and one that changes its mind.
pub(super) async fn hospitals(
    network: &up::Network,
    wallets: &[Wallet],
    folder: &Path,
    voice: Voice,
    report: &mut Report,
) -> Result<()> {
    let (owners, researcher) = (wallets.get(4..8).wrap_err("four accounts")?, wallets.get(8).wrap_err("an account")?);
    voice.head(9, "Four hospitals train one model, and no row leaves any of them");
    let mut all = Vec::new();
    for ((name, table), wallet) in HOSPITALS.into_iter().zip(owners) {
        all.push(open(network, folder, name, table, wallet, researcher.address()).await?);
    }
    let patients: usize = HOSPITALS.iter().map(|(_, table)| table.lines().count() - 1).sum();
    voice.say(format!(
        "Cleveland, Hungary, Switzerland and VA Long Beach have {patients} heart patients in four tables (UCI heart disease"
    ));
    voice.say(
        "data). Each keeps its own on a node of its own, offers that programs run there, and allows a researcher"
            .into(),
    );
    voice.say(
        "one program: 131 KB of WebAssembly, by its hash. What may leave is numbers under known names, of ten".into(),
    );
    voice.say("patients or more, and so many in all.".into());

    let before = balance(researcher.client(), researcher.address()).await?;
    let mut owned = Vec::new();
    for hospital in &all {
        owned.push(balance(researcher.client(), hospital.wallet.address()).await?);
    }
    let (buyer, endpoint) = job::buyer(researcher).await?;
    let start = Instant::now();
    let worked = train(&buyer, all.iter().map(|hospital| hospital.asset).collect()).await?;
    let mut trained = Trained {
        together: Score::read(worked.files.get(RESULT).wrap_err("a result")?)?,
        rounds: worked.params.len(),
        milliseconds: start.elapsed().as_millis() as u64,
        jobs: worked.ended.iter().map(|(begun, _)| begun.job).collect(),
        paid: worked.ended.iter().map(|(_, ended)| ended.paid).sum(),
        ..Trained::default()
    };
    voice.say(format!(
        "The researcher begins four jobs. In {} rounds and {:.1} s the program goes over each table where it is, and what",
        trained.rounds,
        start.elapsed().as_secs_f64()
    ));
    voice.say("leaves is averaged into one model (federated averaging). On patients that it has never seen:".into());

    let wasm = Wasm::new(None)?;
    let tell = |name: &str, score: Score| {
        voice.say(format!("  {name:<30} {:>5.1} % right, AUC {:.3}", score.accuracy * 100.0, score.auc));
    };
    for (name, table) in HOSPITALS {
        let score = reckon(&wasm, &[(name, table)])?;
        tell(&format!("{name} alone"), score);
        trained.alone.insert(name, score);
    }
    let mut whole = HOSPITALS[0].1.lines().next().unwrap_or_default().to_owned() + "\n";
    HOSPITALS.iter().for_each(|(_, table)| table.lines().skip(1).for_each(|row| whole += &format!("{row}\n")));
    trained.in_one_place = reckon(&wasm, &[("all", &whole)])?;
    tell("all four, through the network", trained.together);
    tell("all rows in one place", trained.in_one_place);

    let spent = before.saturating_sub(balance(researcher.client(), researcher.address()).await?);
    voice.say(format!("The researcher paid {}, gas and all:", coins(spent)));
    for (hospital, before) in all.iter().zip(owned) {
        let now = balance(researcher.client(), hospital.wallet.address()).await?;
        voice.say(format!("  {:<30} got {}", hospital.name, coins(now.saturating_sub(before))));
        ensure!(now > before, "{} got nothing", hospital.name);
    }

    let ((first, ended), hospital) = (&worked.ended[0], &all[0]);
    let (is, data) = (buyer.job(first.job).await?, DataSet::open(&hospital.folder)?);
    let again = rerun(&wasm, first.job, &is, &data, MODULE, &worked.params)?;
    trained.rerun = again == ended.receipt;
    ensure!(trained.rerun, "{} signed what a second run does not give", hospital.name);
    voice.say(format!("Job {} left a receipt on the ledger, signed by {}'s node. Run again", first.job, hospital.name));
    voice.say("on the same data, the program gives the same output, bit for bit.".into());

    stoa_data::client::revoke(&hospital.wallet, hospital.grant).await?;
    let refusal = train(&buyer, all.iter().map(|hospital| hospital.asset).collect()).await.err();
    trained.refused = refusal.wrap_err("a job ran that was not allowed")?.to_string();
    voice.say(format!("{} takes its consent back. The same again is refused: {}.", hospital.name, trained.refused));
    let without = train(&buyer, all[1..].iter().map(|hospital| hospital.asset).collect()).await;
    let without = without.wrap_err("the others did not go on")?;
    trained.without_one = Score::read(without.files.get(RESULT).wrap_err("a result")?)?;
    tell("the other three", trained.without_one);
    report.trained = json!(trained);
    endpoint.close().await;
    for hospital in all {
        tokio::task::spawn_blocking(move || hospital.node.stop()).await??;
    }
    Ok(())
}
