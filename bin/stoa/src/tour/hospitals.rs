//! The tour's main part: four hospitals publish their patients, a researcher finds them, buys leave to compute, and trains one
//! model; no patient's row leaves any of them. A receipt is checked and audited, consent is taken back, a node dies.
//!
//! Everything that is compared is computed here, at this moment, by the same program: what the hospitals come to together
//! through the network, what each comes to alone, and what they would come to with all rows in one place.

use super::{
    Report, Voice, balance_at, ether,
    model::{self, Origin},
    money::{Party, Statement, for_data, statements},
    report::Pictures,
};
use crate::{algo::caching, job};
use alloy_primitives::{Address, B256, Bytes, U256};
use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::{Signer as _, ed25519::PrivateKey};
use eyre::{ContextCompat as _, Result, WrapErr as _, ensure};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};
use stoa_base::{NodeId, now};
use stoa_client::{Client, Wallet, coins, view};
use stoa_consensus::follow::Start;
use stoa_data::{
    audit::{Audit, Evidence, Material, Step},
    client::DataError,
    ddo::{About, Answers, Sort, Use},
    jobs::{
        COIN, MILLION,
        abi::{
            CONFIRMED,
            IJobs::{Checks, Offer, bondOfCall, checkOfCall},
            JOBS, WASM,
        },
        client::{Buyer, Owner},
        data::DataSet,
        rounds::{RESULT, Work, Worked, plan, run_rounds},
        rules::Rules,
    },
    look::{Looking, look},
    registry::{self, Listing},
    sale::{self, Computing, Price, Seller, Selling},
    search::{Index, Query, follow},
};
use stoa_node::{compute, follower, up};
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

/// What computing on a hospital's data costs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Priced {
    hospital: &'static str,
    asset: B256,
    /// For leave to compute.
    access: U256,
    /// For each job that begins.
    job: U256,
    /// For each million steps that are begun.
    million_steps: U256,
}

/// What the hospitals came to.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Trained {
    patients: usize,
    prices: Vec<Priced>,
    together: Score,
    in_one_place: Score,
    alone: BTreeMap<&'static str, Score>,
    rounds: usize,
    training_rounds: usize,
    milliseconds: u64,
    jobs: Vec<B256>,
    found: usize,
    paid: U256,
    checked: bool,
    audited: bool,
    audit_steps: Vec<Step>,
    evidence_bytes: usize,
    derived_from: Vec<Origin>,
    refused: String,
    without_one: Score,
    money: Vec<Statement>,
}

/// A node that is stopped with the tour, however that ends.
struct Node(Option<follower::Launched>);

impl Node {
    async fn stop(mut self) -> Result<()> {
        match self.0.take() {
            Some(node) => tokio::task::spawn_blocking(move || node.stop()).await?,
            None => Ok(()),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.take().map(follower::Launched::stop) {
            tracing::warn!(%error, "a node did not stop as it should");
        }
    }
}

/// A node on which programs may run.
struct Place {
    node: Node,
    config: follower::Config,
    key: B256,
    /// Its own account, from which it pays for what it sends of its own accord.
    account: Address,
}

impl Place {
    /// Where it has its data.
    fn data(&self) -> Result<&Path> {
        Ok(&self.config.compute.as_ref().wrap_err("a folder")?.data)
    }
}

/// A hospital with its node.
struct Hospital {
    name: &'static str,
    wallet: Wallet,
    place: Place,
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
    let (rounds, combining) = caching(|cache| plan(PLAN, MODULE, cache))?;
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

/// A node on which programs may run, registered by its owner.
async fn computing(network: &up::Network, folder: &Path, name: &str, wallet: &Wallet) -> Result<Place> {
    let (chain, data) = (folder.join("chain"), folder.join("data"));
    fs::create_dir_all(&data)?;
    let key = PrivateKey::decode(Copying(&rand::random::<[u8; 32]>()[..]))?;
    let mut config = follower::Config {
        folder: chain,
        http: SocketAddr::from(([127, 0, 0, 1], 0)),
        network_key: network.network_key().wrap_err("the network has no key")?,
        peers: network.addresses().cloned().collect(),
        listen: Some((SocketAddr::from(([127, 0, 0, 1], 0)), key.clone())),
        history: 10_000,
        cache: 16 << 20,
        start: Start::State { from: 1 },
        compute: Some(compute::Config { data, processes: None }),
        store: None,
        index: false,
        provider: None,
        hosts: Vec::new(),
    };
    let node = launch(&config).await?;
    let address = node.0.as_ref().and_then(|node| node.address.as_ref()).wrap_err("an address")?.to_string();
    let host = address.split_once('@').wrap_err("a host")?.1.to_owned();
    // Where it is found after it was started again.
    config.listen = Some((host.parse()?, key.clone()));
    let listing = Listing { host, domain: name.into(), capacity: 0, roles: 0 };
    registry::join(wallet, &key, listing).await.map_err(DataError::from).wrap_err("a node cannot be registered")?;
    let account = stoa_node::account::of(&key)?.address();
    let funded = wallet.send(account.into(), ether(1), Bytes::new()).await.map_err(DataError::from);
    funded.wrap_err("a node's account got nothing")?;
    Ok(Place { node, config, key: NodeId::from(&key.public_key()).into(), account })
}

async fn launch(config: &follower::Config) -> Result<Node> {
    let config = config.clone();
    tokio::task::spawn_blocking(move || follower::launch(config).map(|node| Node(Some(node)))).await?
}

/// What a hospital says of its patients.
fn answers(name: &str) -> Answers {
    Answers {
        sort: Sort::Dataset,
        name: format!("Heart disease: patients of {name}"),
        description:
            "Patients who were examined for coronary heart disease: age, sex, pain, blood pressure, electrocardiogram \
                      and whether an angiography found the disease (UCI heart disease data)."
                .into(),
        author: name.into(),
        license: "CC BY 4.0".into(),
        tags: ["health", "heart disease", "tabular"].map(str::to_owned).to_vec(),
        links: vec!["https://archive.ics.uci.edu/dataset/45/heart+disease".into()],
    }
}

/// Publishes a table: programs may run on it, on the hospital's own node, for whoever has bought an order.
async fn publish(
    wallet: &Wallet,
    place: &Place,
    (name, table): (&str, &str),
    auditor: Option<&Place>,
) -> Result<(B256, B256)> {
    let owner = Owner::new(wallet.clone());
    let salt = B256::from(rand::random::<[u8; 32]>());
    let (asset, rules) = (owner.asset(salt), Rules::read(RULES)?);
    let data = place.data()?;
    let file = data.join("patients.csv");
    fs::write(&file, table)?;
    let looked = look(&file, Looking::default(), &|_| ())?;
    let set = DataSet::create(&data.join(asset.to_string()), &file, &rules)?;
    let mut checks = Checks::default();
    if let Some(auditor) = auditor {
        DataSet::create(&auditor.data()?.join(asset.to_string()), &file, &rules)?;
        let (fee, stake) = (ether(1) / U256::from(10), ether(20));
        checks = Checks { auditors: vec![auditor.key], drawn: 1, chance: 10_000, fee, stake };
    }
    fs::remove_file(&file)?;
    owner.register(salt, set.hash).await?;
    let offer = Offer {
        node: place.key,
        data: set.hash,
        rules: rules.hash(),
        token: COIN,
        payTo: wallet.address(),
        base: ether(1),
        price: ether(1) / U256::from(100),
        fuel: 1000 * MILLION,
        time: 3600,
        runtimes: WASM,
        checks,
    };
    owner.offer(asset, offer).await?;
    if auditor.is_some() {
        owner.bond(asset, COIN, ether(100)).await?;
    }
    let selling = Selling {
        used: Use::Compute,
        price: Price::Fixed { token: COIN, rate: ether(2) },
        timeout: 0,
        purpose: "https://w3id.org/dpv#ScientificResearch".into(),
        readers: None,
        allow: Vec::new(),
        deny: Vec::new(),
        sample: None,
    };
    let seller = Seller::new(wallet.clone());
    let mut begun = seller.begin(asset, selling, Some((place.key, rules.hash()))).await?;
    let about = About::new(&looked, asset).ruled_by(&rules);
    let (_, grant) = seller.go_on(&mut begun, &answers(name), about, now(), &mut |_| Ok(()), &|_| ()).await?;
    Ok((asset, grant))
}

/// Has a program run that is not the one that the hospitals named, though it does the same: an empty section follows it. Why it does not.
async fn another(buyer: &Buyer, asset: B256) -> Result<String> {
    let (code, rounds) = ([MODULE, &[0, 1, 0]].concat(), vec![Map::new()]);
    let work = Work { on: vec![asset], code, rounds, combining: None, fuel: MILLION, most: ether(10) };
    let refusal = run_rounds(buyer, work, &|_| ()).await.err();
    Ok(refusal.wrap_err("a program ran that no hospital named")?.to_string())
}

async fn train(buyer: &Buyer, on: Vec<B256>) -> Result<Worked> {
    let (rounds, combining) = caching(|cache| plan(PLAN, MODULE, cache))?;
    let (code, fuel, most) = (MODULE.to_vec(), 500 * MILLION, ether(10));
    let work = Work { on, code, rounds, combining: Some(combining), fuel, most };
    run_rounds(buyer, work, &|_| ()).await
}

/// What follows the receipt of a hospital's job back, once a node that was drawn has run it again.
async fn audit(network: &up::Network, researcher: &Wallet, worked: &Worked, hospital: &Hospital) -> Result<Audit> {
    let (begun, _) = worked.ended.iter().find(|(begun, _)| begun.asset == hospital.asset).wrap_err("a job")?;
    let until = Instant::now() + Duration::from_secs(60);
    while view(researcher.client(), JOBS, &checkOfCall { job: begun.job }).await?.0.state != CONFIRMED {
        ensure!(Instant::now() < until, "nobody checked job {} within a minute", begun.job);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let evidence = Evidence::collect(researcher.client(), begun.job).await?;
    let mut audit = evidence.audit(network.network_key().wrap_err("the network has no key")?);
    let at = worked.ended.iter().position(|(one, _)| one.job == begun.job).wrap_err("a job")?;
    let data = hospital.place.data()?.join(hospital.asset.to_string());
    let material = Material {
        program: Some(MODULE.to_vec()),
        params: Some(worked.params.clone()),
        left: Some(worked.left.iter().map(|round| round[at].clone()).collect()),
        data: Some(DataSet::open(&data)?),
    };
    tokio::task::spawn_blocking(move || {
        audit.compare(material);
        audit
    })
    .await
    .wrap_err("the audit broke off")
}

/// How well the model fitted at each hospital, round after round: the mean log loss over its own patients.
fn losses(worked: &Worked) -> Vec<Vec<f64>> {
    let loss = |files: &BTreeMap<String, Vec<u8>>| {
        let result: Value = serde_json::from_slice(files.get(RESULT)?).ok()?;
        result.get("weights").and(result.get("log_loss")?.as_f64())
    };
    let of = |at: usize| worked.left.iter().filter_map(|round| loss(&round[at])).collect();
    (0..worked.ended.len()).map(of).collect()
}

/// Has four hospitals publish their patients, each on its own node, and the first a second node that checks the first one.
async fn open(network: &up::Network, owners: &[Wallet], folder: &Path) -> Result<(Vec<Hospital>, Place)> {
    let checking = computing(network, &folder.join("auditor"), HOSPITALS[0].0, &owners[0]).await?;
    let mut all = Vec::new();
    for ((name, table), wallet) in HOSPITALS.into_iter().zip(owners) {
        let place = computing(network, &folder.join(name.replace(' ', "-")), name, wallet).await?;
        let auditor = (name == HOSPITALS[0].0).then_some(&checking);
        let (asset, grant) = publish(wallet, &place, (name, table), auditor).await?;
        all.push(Hospital { name, wallet: wallet.clone(), place, asset, grant });
    }
    Ok((all, checking))
}

/// The researcher finds the hospitals' patients, and buys leave to compute on them. The assets.
async fn buy(researcher: &Wallet, all: &[Hospital], voice: Voice, trained: &mut Trained) -> Result<Vec<B256>> {
    let client = researcher.client();
    let mut index = Index::in_memory(follow::chain(client).await?)?;
    follow::catch_up(&mut index, client, |_, _| ()).await?;
    let words = Query { words: "heart disease".into(), columns: vec![("age".into(), None)], ..Query::default() };
    let found = index.search(&words)?;
    trained.found = found.assets.len();
    ensure!(trained.found == all.len(), "{} of {} were found", trained.found, all.len());
    voice.say(
        "She searches for \"heart disease\" with a column \"age\", in an index that her machine made of the ledger:"
            .into(),
    );
    let buyer = sale::Buyer::new(researcher.clone());
    let mut on = Vec::new();
    for hospital in all {
        let listed = found.assets.iter().find(|asset| asset.owner == hospital.wallet.address());
        let listed = listed.wrap_err_with(|| format!("{} was not found", hospital.name))?;
        let offered = buyer.offered(listed.nft).await?;
        let asset = offered.found.asset.wrap_err("an asset")?;
        let terms = Computing::of(client, asset, None).await?.wrap_err("nothing computes there")?;
        let access = listed.price().map_or(U256::ZERO, |price| price.amount);
        let [leave, job, million_steps] = [access, terms.base, terms.price].map(coins);
        voice.say(format!("  {:<44} {leave}, then {job} a job and {million_steps} a million steps", listed.name()));
        buyer.buy(&offered, researcher.address(), None).await?;
        // What was paid waits in the exchange until its seller takes it.
        if let Some((Price::Fixed { rate, .. }, exchange)) = offered.found.price {
            Seller::new(hospital.wallet.clone()).collect(exchange, rate).await?;
        }
        let (job, million_steps) = (terms.base, terms.price);
        trained.prices.push(Priced { hospital: hospital.name, asset, access, job, million_steps });
        on.push(asset);
    }
    voice.say(
        "A step is an instruction of the program, which is WebAssembly: the node counts them, and signs how many."
            .into(),
    );
    Ok(on)
}

fn tell(voice: Voice, name: &str, score: Score) {
    voice.say(format!("  {name:<30} {:>5.1} % right, AUC {:.3}", score.accuracy * 100.0, score.auc));
}

/// What each hospital comes to alone, and all with their rows in one place.
async fn compare(voice: Voice, trained: &mut Trained, pictures: &mut Pictures) -> Result<()> {
    let wasm = Wasm::new(None)?;
    for (name, table) in HOSPITALS {
        let score = reckon(&wasm, &[(name, table)])?;
        tell(voice, &format!("{name} alone"), score);
        pictures.scores.push((format!("{name} alone"), score.accuracy, score.auc));
        trained.alone.insert(name, score);
        // Whoever wants the tour to end is heard here.
        tokio::task::yield_now().await;
    }
    let mut whole = HOSPITALS[0].1.lines().next().unwrap_or_default().to_owned() + "\n";
    HOSPITALS.iter().for_each(|(_, table)| table.lines().skip(1).for_each(|row| whole += &format!("{row}\n")));
    trained.in_one_place = reckon(&wasm, &[("all", &whole)])?;
    for (name, score) in
        [("all four, through the network", trained.together), ("all rows in one place", trained.in_one_place)]
    {
        tell(voice, name, score);
        pictures.scores.push((name.to_owned(), score.accuracy, score.auc));
    }
    voice.say(
        "(AUC: of somebody who has the disease and somebody who has not, how often the model gives the first a higher"
            .into(),
    );
    voice.say("risk. Who guesses has 0.5, who is never wrong has 1.)".into());
    Ok(())
}

/// Trains one model through the network.
async fn learn(
    buyer: &Buyer,
    on: Vec<B256>,
    voice: Voice,
    trained: &mut Trained,
    pictures: &mut Pictures,
) -> Result<Worked> {
    let start = Instant::now();
    let worked = train(buyer, on).await?;
    let took = start.elapsed();
    trained.together = Score::read(worked.files.get(RESULT).wrap_err("a result")?)?;
    trained.milliseconds = took.as_millis() as u64;
    trained.jobs = worked.ended.iter().map(|(begun, _)| begun.job).collect();
    trained.paid = worked.ended.iter().map(|(_, ended)| ended.paid).sum();
    let losses = losses(&worked);
    trained.rounds = worked.params.len();
    trained.training_rounds = losses.first().map_or(0, Vec::len);
    pictures.losses = HOSPITALS.iter().map(|(name, _)| (*name).to_owned()).zip(losses).collect();
    voice.say(format!(
        "She buys leave to compute from each, and begins four jobs. In {} rounds, {} of them of training, and {:.1} s one",
        trained.rounds,
        trained.training_rounds,
        took.as_secs_f64()
    ));
    voice.say(format!(
        "program of {} KB goes over each table where it is, and what leaves is averaged into one model (federated",
        MODULE.len() / 1000
    ));
    voice.say("averaging). On patients that it has never seen:".into());
    Ok(worked)
}

/// Follows a hospital's receipt back, and tells of each step.
async fn follow_back(
    network: &up::Network,
    researcher: &Wallet,
    worked: &Worked,
    hospital: &Hospital,
    voice: Voice,
    trained: &mut Trained,
) -> Result<Audit> {
    let audit = audit(network, researcher, worked, hospital).await?;
    for step in &audit.steps {
        voice.say(format!("  {} {:<11} {}", if step.holds { "holds" } else { "FAILS" }, step.name, step.found));
    }
    ensure!(audit.holds(), "the receipt of {} does not hold", hospital.name);
    (trained.checked, trained.audited) = (true, true);
    trained.audit_steps.clone_from(&audit.steps);
    trained.evidence_bytes = serde_json::to_vec(&audit.evidence)?.len();
    voice.say(
        "Cleveland's second node was drawn by the chain's randomness, and came to the same, bit for bit. All that was"
            .into(),
    );
    voice.say(format!(
        "checked here with nothing but the network's key: {} transactions, {} KB of evidence that anybody can check.",
        audit.evidence.transactions.len(),
        trained.evidence_bytes / 1000
    ));
    Ok(audit)
}

/// What became of the coins of all who were part of it in the blocks after `first`, before which they had so much.
async fn money(
    client: &Client,
    first: u64,
    (researcher, before): ((Address, U256), &[U256]),
    (all, checking): (&[Hospital], &Place),
    voice: Voice,
) -> Result<Vec<Statement>> {
    let last = client.block_number().await?;
    let ((account, had), bond) = (researcher, U256::ZERO);
    let mut parties = vec![Party { name: "the researcher".into(), account, before: had, bond, nodes: Vec::new() }];
    for (hospital, before) in all.iter().zip(before) {
        let bond = view(client, JOBS, &bondOfCall { asset: hospital.asset, token: COIN }).await?.0.bond;
        let checks = (hospital.name == HOSPITALS[0].0).then_some(checking.account);
        let nodes = [hospital.place.account].into_iter().chain(checks).collect();
        let (name, account) = (hospital.name.to_owned(), hospital.wallet.address());
        parties.push(Party { name, account, before: *before, bond, nodes });
    }
    let statements = statements(client, first, last, parties).await?;
    voice.say(format!("What became of everybody's coins in the ledger's blocks {} to {last}, in STOA:", first + 1));
    statements.iter().flat_map(Statement::lines).for_each(|line| voice.say(line));
    let (paid, got) = for_data(&statements);
    voice.say(format!(
        "For leave to compute and for computing the researcher has paid {}, and the hospitals have got {}.",
        coins(paid),
        coins(got)
    ));
    Ok(statements)
}

/// Four hospitals, a researcher, and one that changes its mind.
pub(super) async fn hospitals(
    network: &up::Network,
    wallets: &[Wallet],
    folder: &Path,
    voice: Voice,
    report: &mut Report,
) -> Result<Pictures> {
    let (owners, researcher) = (wallets.get(4..8).wrap_err("four accounts")?, wallets.get(8).wrap_err("an account")?);
    let doctor = wallets.get(9).wrap_err("an account")?;
    let client = researcher.client();
    let (mut trained, mut pictures) = (Trained::default(), Pictures::default());
    let first = client.block_number().await?;
    let had = balance_at(client, researcher.address(), first).await?;
    let mut before = Vec::new();
    for wallet in owners {
        before.push(balance_at(client, wallet.address(), first).await?);
    }

    voice.head(9, "Four hospitals publish their patients, and keep them");
    let (mut all, checking) = open(network, owners, folder).await?;
    trained.patients = HOSPITALS.iter().map(|(_, table)| table.lines().count() - 1).sum();
    voice.say(format!(
        "Cleveland, Hungary, Switzerland and VA Long Beach have {} heart patients in four tables (UCI heart disease",
        trained.patients
    ));
    voice.say(
        "data). Each runs a node of its own, which holds its table and follows the chain. What becomes public is a"
            .into(),
    );
    voice.say(
        "name, a description, the columns' names and a price; what may leave later is numbers under known names,"
            .into(),
    );
    voice.say(
        "of ten patients or more, and so many in all. Cleveland lets its second node check the first, and puts up"
            .into(),
    );
    voice.say("100 STOA, of which a false receipt would cost 20.".into());

    voice.head(10, "A researcher finds them, and trains one model; no row leaves any of them");
    let on = buy(researcher, &all, voice, &mut trained).await?;
    let (buyer, endpoint) = job::buyer(researcher).await?;
    let worked = learn(&buyer, on.clone(), voice, &mut trained, &mut pictures).await?;
    compare(voice, &mut trained, &mut pictures).await?;
    let why = another(&buyer, on[1]).await?;
    ensure!(why.contains("does not let this program run"), "another program was refused for another reason: {why}");
    voice.say(
        "Each hospital named that program, by its hash. Another one, three bytes longer, was refused by Hungary."
            .into(),
    );

    voice.head(11, "A receipt, run again and followed back");
    pictures.audit = Some(follow_back(network, researcher, &worked, &all[0], voice, &mut trained).await?);

    voice.head(12, "What came of it is published, and says what it came of");
    let names = all.iter().map(|hospital| (hospital.asset, hospital.name)).collect();
    trained.derived_from = model::publish((researcher, doctor), &worked, &names, &folder.join("model"), voice).await?;

    voice.head(13, "A node dies, and consent is taken back");
    let lost = all.last_mut().wrap_err("a hospital")?;
    std::mem::replace(&mut lost.place.node, Node(None)).stop().await?;
    lost.place.node = launch(&lost.place.config).await?;
    voice.say(format!("{}'s node is stopped, and started again from its disk.", lost.name));
    stoa_data::client::revoke(&all[0].wallet, all[0].grant).await?;
    let refusal = train(&buyer, on.clone()).await.err();
    trained.refused = refusal.wrap_err("a job ran that was not allowed")?.to_string();
    voice.say(format!("{} takes its consent back. The same again is refused: {}.", all[0].name, trained.refused));
    let without = train(&buyer, on[1..].to_vec()).await.wrap_err("the others did not go on")?;
    trained.without_one = Score::read(without.files.get(RESULT).wrap_err("a result")?)?;
    voice.say("The other three go on, the one that was stopped among them:".into());
    tell(voice, "the other three", trained.without_one);
    endpoint.close().await;

    let accounts = ((researcher.address(), had), &before[..]);
    trained.money = money(client, first, accounts, (&all[..], &checking), voice).await?;
    pictures.money.clone_from(&trained.money);
    report.trained = json!(trained);
    for node in all.into_iter().map(|hospital| hospital.place.node).chain([checking.node]) {
        node.stop().await?;
    }
    Ok(pictures)
}
