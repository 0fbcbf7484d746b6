//! A network with a validator, owners' nodes that compute, and a buyer, all in this process and on this machine.

use alloy_primitives::{B256, Bytes, TxKind, U256};
use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::{Signer as _, ed25519::PrivateKey};
use eyre::{ContextCompat as _, Result, eyre};
use std::{fs, net::SocketAddr, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};
use stoa_base::{DEVELOPMENT_MNEMONIC, Genesis, NodeId, now};
use stoa_client::{Client, Wallet};
use stoa_consensus::{Pace, follow::Start};
use stoa_contract::interfaces::IERC20;
use stoa_data::{
    jobs::{
        COIN, MILLION,
        abi::{
            IJobs::{Checks, Offer},
            JOBS, WASM,
        },
        client::{Buyer, Leave, Owner, Who},
        data::DataSet,
        rules::Rules,
    },
    reading::identity,
    registry::{self, Listing, Registry},
};
use stoa_net::{Endpoint, PeerAddress};
use stoa_node::{compute, development, follower, up};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The time between blocks that `stoa up` has.
const BLOCK: Duration = Duration::from_millis(10);

/// What a job costs for each million steps.
const PRICE: u64 = 1_000_000_000;

/// An owner's node.
pub struct Site {
    /// Its operator and the owner of its data.
    pub wallet: Wallet,
    key: B256,
    data: TempDir,
    _chain: TempDir,
    node: follower::Launched,
}

/// The network.
pub struct Market {
    /// Runs what buyers do.
    pub runtime: Runtime,
    /// The owners' nodes.
    pub sites: Vec<Site>,
    /// The buyer's account.
    pub wallet: Wallet,
    /// Who has programs run.
    pub buyer: Buyer,
    endpoint: Endpoint,
    network: up::Network,
    _folder: TempDir,
}

fn coins(number: u64) -> U256 {
    U256::from(number) * U256::from(10).pow(U256::from(18))
}

impl Market {
    /// Starts it with so many owners, nine at most.
    pub fn start(owners: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let accounts = development::accounts(DEVELOPMENT_MNEMONIC, development::ACCOUNTS)?;
        let (committee, identities) = up::deal([1; 32], NonZeroU32::MIN);
        let committee = Some((&committee).into());
        let genesis = Genesis { committee, ..development::genesis(stoa_benchmarks::CHAIN_ID, &accounts, now()) };
        let beneficiary = development::beneficiary(DEVELOPMENT_MNEMONIC, 0)?;
        let network = up::Network::start(up::Config {
            folder: folder.path().join("chain"),
            http: SocketAddr::from(([127, 0, 0, 1], 0)),
            genesis,
            validators: identities.into_iter().map(|identity| (identity, beneficiary)).collect(),
            accounts: Vec::new(),
            pace: Pace { busy: BLOCK, idle: Duration::from_secs(1) },
            history: 10_000,
            store_gib: 0,
            index: false,
            hosts: Vec::new(),
            allow_unprotected: false,
        })?;
        let http = network.http().next().wrap_err("a validator serves")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let client = Client::new(format!("http://{http}"));
        let wallets = accounts.into_iter().map(|signer| Wallet::new(client.clone(), signer));
        let mut wallets = runtime.block_on(futures::future::try_join_all(wallets))?;
        let wallet = wallets.pop().wrap_err("a buyer's account")?;
        let mut sites = Vec::new();
        for wallet in wallets.into_iter().take(owners) {
            sites.push(Site::start(&network, &runtime, wallet)?);
        }
        let (buyer, endpoint) = runtime.block_on(buyer(&wallet, &sites))?;
        Ok(Self { runtime, sites, wallet, buyer, endpoint, network, _folder: folder })
    }

    /// Stops all nodes.
    pub fn stop(self) -> Result<()> {
        self.runtime.block_on(self.endpoint.close());
        for site in self.sites {
            site.node.stop()?;
        }
        self.network.end()
    }
}

async fn buyer(wallet: &Wallet, sites: &[Site]) -> Result<(Buyer, Endpoint)> {
    let key = identity(wallet.signer());
    let addresses: Vec<_> = sites.iter().filter_map(|site| site.node.address.clone()).collect();
    let endpoint = Endpoint::bind(&key, PeerAddress::toward(&addresses)).await?;
    let registry = Registry::new(Arc::new(wallet.client().clone()));
    // Once for all jobs.
    wallet.call(COIN, &IERC20::approveCall { spender: JOBS, value: U256::MAX }).await?;
    let client = NodeId::from(&key.public_key());
    Ok((Buyer::new(wallet.clone(), registry, &endpoint, client), endpoint))
}

impl Site {
    fn start(network: &up::Network, runtime: &Runtime, wallet: Wallet) -> Result<Self> {
        let (chain, data) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let key = PrivateKey::decode(Copying(&rand::random::<[u8; 32]>()[..])).map_err(|error| eyre!("{error}"))?;
        let node = follower::launch(follower::Config {
            folder: chain.path().to_owned(),
            http: SocketAddr::from(([127, 0, 0, 1], 0)),
            network_key: network.network_key().wrap_err("the network has a key")?,
            peers: network.addresses().cloned().collect(),
            listen: Some((SocketAddr::from(([127, 0, 0, 1], 0)), key.clone())),
            history: 10_000,
            cache: 16 << 20,
            start: Start::State { from: 1 },
            compute: Some(compute::Config { data: data.path().to_owned(), processes: None }),
            store: None,
            index: false,
            provider: None,
            hosts: Vec::new(),
        })?;
        let address = node.address.as_ref().wrap_err("it listens")?.to_string();
        let host = address.split_once('@').wrap_err("an address has a host")?.1.to_owned();
        runtime.block_on(async {
            registry::join(&wallet, &key, Listing { host, domain: String::new(), capacity: 0, roles: 0 }).await?;
            // What it sends to the ledger of its own accord it pays for itself.
            let account = stoa_node::account::of(&key)?.address();
            Ok::<_, eyre::Report>(wallet.send(TxKind::Call(account), coins(1), Bytes::new()).await.map(drop)?)
        })?;
        let key = NodeId::from(&key.public_key()).into();
        Ok(Self { wallet, key, data, _chain: chain, node })
    }

    /// Offers a table for programs to run on, for whom it is said.
    pub async fn offer(&self, table: &str, rules: &Rules, who: Who) -> Result<B256> {
        let (owner, salt) = (Owner::new(self.wallet.clone()), B256::from(rand::random::<[u8; 32]>()));
        let asset = owner.asset(salt);
        let file = self.data.path().join("table.csv");
        fs::write(&file, table)?;
        let set = DataSet::create(&self.folder(asset), &file, rules)?;
        fs::remove_file(&file)?;
        owner.register(salt, set.hash).await?;
        let offer = Offer {
            node: self.key,
            data: set.hash,
            rules: rules.hash(),
            token: COIN,
            payTo: self.wallet.address(),
            base: U256::ZERO,
            price: U256::from(PRICE),
            fuel: 1_000_000 * MILLION,
            time: 3600,
            runtimes: WASM,
            checks: Checks::default(),
        };
        owner.offer(asset, offer).await?;
        let purpose = "https://w3id.org/dpv#ScientificResearch".to_owned();
        owner.grant(asset, Leave { who, algorithm: B256::ZERO, purpose, until: 0, limit: 0 }).await?;
        Ok(asset)
    }

    /// Where the data of an asset are.
    pub fn data(&self, asset: B256) -> Result<DataSet> {
        Ok(DataSet::open(&self.folder(asset))?)
    }

    fn folder(&self, asset: B256) -> PathBuf {
        self.data.path().join(asset.to_string())
    }
}

/// The rules of the hospitals (data/heart), for as many jobs as are measured.
pub fn rules() -> Result<Rules> {
    let rules = Rules::read(include_bytes!("../../../../data/heart/rules.json"))?;
    Ok(Rules { budget: 1_000_000_000, ..rules })
}
