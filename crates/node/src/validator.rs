//! A validator that serves JSON-RPC.

use crate::{
    account,
    common::{self, Serving},
    connected,
    elsewhere::{self, Elsewhere},
    kept::Kept,
    network_methods::{self, About},
    quic::{self, Quic},
    store,
    syncing::Progress,
    vault::Vault,
    waiting::Mempool,
};
use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;
use commonware_consensus::types::Epoch;
use commonware_cryptography::{
    Signer as _,
    ed25519::{PrivateKey, PublicKey},
};
use commonware_glue::dkg::SecretStore as _;
use commonware_runtime::{Clock as _, Spawner as _, Supervisor as _, tokio::Context};
use eyre::{WrapErr as _, ensure, eyre};
use futures::future::BoxFuture;
use std::{
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};
use stoa_base::{Genesis, write_private};
use stoa_consensus::{
    Committee, Compared, Floor, Identity, Pace, Secrets as _, Wire,
    follow::{self, Follower, Newest, Peers},
    start_validator,
};
use stoa_ledger::{Ledger, state::StateConfig};
use stoa_mempool::Pool;
use stoa_net::{Endpoint, PeerAddress, iroh::protocol::Router};

/// How long the last blocks before a crash may take to be executed again.
const REPLAY: Duration = Duration::from_secs(60);

/// What a validator runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of chain, state and waiting transactions.
    pub folder: PathBuf,
    /// Where JSON-RPC is served.
    pub http: SocketAddr,
    /// What the chain begins with.
    pub genesis: Genesis,
    /// Keys that the node signs with when asked to; only on development networks.
    pub accounts: Vec<PrivateKeySigner>,
    /// Who gets the tips.
    pub beneficiary: Address,
    /// How often blocks come.
    pub pace: Pace,
    /// Of how many blocks back the state can be read.
    pub history: u64,
    /// Bytes of memory for the state.
    pub cache: usize,
    /// What only this validator knows.
    pub keys: Keys,
    /// Where it listens to the other validators.
    pub listen: SocketAddr,
    /// Where the validators listen, this one included: `HOST:PORT`.
    pub peers: Vec<(PublicKey, String)>,
    /// By how many blocks the others may be ahead at the start before this one catches up as followers do; never if not
    /// given.
    pub sync_from: Option<u64>,
    /// The store for others, if it has one.
    pub store: Option<store::Config>,
    /// Whether it keeps an index of the market's assets, in its folder, and answers Ocean's indexers' questions.
    pub index: bool,
    /// Names in the `Host` header that JSON-RPC is served under besides `localhost`.
    pub hosts: Vec<String>,
    /// Whether transactions without a chain id (EIP-155) are taken.
    pub allow_unprotected: bool,
}

/// What only a validator knows.
#[derive(Clone, Debug)]
pub enum Keys {
    /// A key, and a share of the network key that was dealt to it.
    Dealt(Identity),
    /// A key; the share comes from a ceremony of the validators, which is held when there is none yet.
    Own(PrivateKey),
}

impl Keys {
    /// The key.
    pub const fn key(&self) -> &PrivateKey {
        match self {
            Self::Dealt(identity) => &identity.key,
            Self::Own(key) => key,
        }
    }
}

/// The file of a folder that holds the outcome of the ceremony.
pub(crate) const COMMITTEE: &str = "committee.json";

/// The file of a folder that holds a validator's secrets but for its key.
pub(crate) const SECRETS: &str = "secrets";

/// The file of a folder that is there if it comes from a backup: the validator may have voted since that was made, whatever its secrets
/// say. Gone when they say it too.
pub(crate) const COPIED: &str = "copied";

/// What a validator deals from while the key is generated; gone when all have it.
const CEREMONY: &str = "ceremony";

/// The file of a folder that is there while its state may be further than its consensus knows: it has caught up with the others,
/// and not gone on from there yet.
const CATCHING_UP: &str = "catching-up";

impl Config {
    /// The part of a folder that the runtime's storage takes.
    pub fn storage(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Checks what it needs of this machine and of the others' addresses: ports are taken, and let go again. What may be in its way, in
    /// words. Blocking: it looks up hosts' names.
    ///
    /// # Errors
    ///
    /// If it could not start.
    pub fn check(&self) -> eyre::Result<Vec<String>> {
        common::check_loopback(&self.genesis, self.http)?;
        stoa_consensus::peers(self.peers.clone())?;
        if self.peers.len() == 1 {
            check_alone(&self.folder, &Vault::open(&self.folder.join(SECRETS), self.keys.key())?)?;
        }
        let mut warnings = without_secrets(&self.folder, self.peers.len())?.into_iter().collect::<Vec<_>>();
        for (name, address) in [("listen", self.listen), ("http", self.http)] {
            match TcpListener::bind(address) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::AddrInUse => warnings.push(format!(
                    "{address}, which is `{name}`, is in use: by this validator if it runs, or else by what keeps it from running"
                )),
                Err(error) => return Err(error).wrap_err_with(|| format!("cannot listen on {address}, which is `{name}`")),
            }
        }
        Ok(warnings)
    }
}

/// A running validator.
pub struct Running {
    /// The chain.
    pub ledger: Ledger,
    /// Transactions that wait.
    pub pool: Pool,
    rpc: stoa_rpc::Handle,
    endpoint: Endpoint,
    address: Option<PeerAddress>,
    _router: Router,
    _store: Option<common::Background>,
    _index: Option<common::Background>,
    _elsewhere: Option<common::Background>,
}

impl Running {
    /// Where JSON-RPC is served.
    pub fn http(&self) -> SocketAddr {
        self.rpc.local_addr()
    }

    /// Serves nobody any more. The chain stops with the runtime.
    pub async fn stop(self) {
        self.rpc.shutdown().await;
        self.endpoint.close().await;
    }

    /// Where others can follow this node.
    pub fn address(&self) -> Option<PeerAddress> {
        self.address.clone()
    }
}

/// Starts a validator that serves JSON-RPC.
///
/// # Errors
///
/// If the folder holds another chain or damaged data, a port is taken, or the keys are not those of a validator.
pub fn start(runtime: Context, config: Config) -> BoxFuture<'static, eyre::Result<Running>> {
    // Compiled here, and not in each program that starts one.
    Box::pin(begin(runtime, config))
}

async fn begin(runtime: Context, config: Config) -> eyre::Result<Running> {
    let (validators, kept) = (config.peers.len(), Kept::by_one_of(config.peers.len(), &config.folder));
    common::check_loopback(&config.genesis, config.http)?;
    common::check_free(config.http, "")?;
    common::check_free(config.listen, "")?;
    let state_config = common::state_config(&runtime, config.cache);
    let ledger_config = common::ledger_config(&config.folder, config.history, config.cache);
    let key = config.keys.key().clone();
    let mut genesis = config.genesis;
    // The same for all validators, before and after they have a key.
    let network = crate::genesis_hash(&genesis);
    let endpoint = Endpoint::bind(&key, config.listen).await?;
    let (own, others) = config.peers.iter().partition::<Vec<_>, _>(|(peer, _)| *peer == key.public_key());
    let listed = |peers: Vec<&(PublicKey, String)>| {
        let listed = peers.into_iter().map(|(peer, address)| PeerAddress::new(peer.into(), address));
        listed.collect::<eyre::Result<Vec<_>>>()
    };
    let (own, others) = (listed(own)?, listed(others)?);
    // Looking up hosts' names blocks.
    let peers = tokio::task::spawn_blocking(move || stoa_consensus::peers(config.peers)).await??;
    let ceremony = !config.folder.join(COMMITTEE).exists();
    let wire = runtime.child("wire");
    let mut wire =
        stoa_consensus::connect(wire, key.clone(), network.as_slice(), config.listen, peers, common::BLOCK_BYTES)?;
    fs::create_dir_all(&config.folder).wrap_err_with(|| format!("cannot create {}", config.folder.display()))?;
    if matches!(config.keys, Keys::Own(_))
        && let Some(why) = without_secrets(&config.folder, validators)?
    {
        tracing::warn!("{why}");
    }
    let mut secrets = Vault::open(&config.folder.join(SECRETS), &key)?;
    note_copied(&config.folder, &secrets)?;
    if validators == 1 {
        check_alone(&config.folder, &secrets)?;
    }
    match config.keys {
        Keys::Dealt(identity) if secrets.is_empty() => secrets.put_share(Epoch::zero(), identity.share).await,
        Keys::Dealt(_) => {}
        Keys::Own(_) => {
            let ceremony = committee(&runtime, &config.folder, &key, secrets.clone(), &mut wire);
            genesis.committee = Some(Box::pin(ceremony).await?);
        }
    }
    let open = async || {
        let (ledger, state) = (ledger_config.clone(), state_config.clone());
        let opened = Ledger::open(runtime.child("genesis"), genesis.clone(), ledger, state).await;
        opened.map_err(|error| kept.unopened(error))
    };
    let mut ledger = open().await?;
    secrets.note_genesis(network);
    let (mut floor, mut compared, mark) = (None, None, config.folder.join(CATCHING_UP));
    let behind = config.sync_from.filter(|_| !ceremony).map(|behind| (!mark.exists()).then_some(behind));
    if let Some(behind) = behind {
        let (ahead, clocks) = ask(&runtime, &ledger, &endpoint, others.clone()).await?.unzip();
        compared = clocks;
        if let Some((peers, newest)) = far_ahead(&ledger, ahead, behind)? {
            write_private(&mark, &[]).wrap_err_with(|| format!("cannot write {}", mark.display()))?;
            floor = Box::pin(catch_up(&runtime, ledger, state_config.clone(), peers, newest)).await?;
            // Consensus opens the state itself.
            ledger = open().await?;
        }
    }

    // Others may want to catch up before this one can.
    let waiting = Mempool::default();
    let server = follow::Server::new(runtime.child("serve"), ledger.clone(), waiting.clone());
    let (router, served) = quic::serve(&endpoint, server);
    let (router, store) = store::add(config.store, &endpoint, &key, &ledger, router)?;
    let (router, name) = elsewhere::add(router);
    let router = router.spawn();
    let validator = stoa_consensus::Validator {
        ledger: ledger.clone(),
        state: state_config,
        waiting: waiting.clone(),
        beneficiary: config.beneficiary,
        pace: config.pace,
        max_bytes: common::BLOCK_BYTES,
        secrets,
        floor,
        compared,
    };
    // Boxed, for the state of all that starts is large.
    let consensus = Box::pin(start_validator(runtime.child("validator"), wire, validator)).await?;
    if mark.exists() {
        fs::remove_file(&mark).wrap_err_with(|| format!("cannot remove {}", mark.display()))?;
    }

    // Clients have seen what the history holds: serve nobody before the state has come up to it.
    let newest = ledger.newest_recorded()?;
    let deadline = Instant::now() + REPLAY;
    while ledger.head().number() < newest {
        if Instant::now() > deadline {
            let here = ledger.head().number();
            let why = eyre!("block {newest} was final before the last stop, but the state stays at {here}");
            return Err(why.wrap_err(kept.unusable()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let progress = Arc::<Progress>::default();
    if let Some(verifier) = follow::Verifier::of(&ledger) {
        let peers = Peers::new(Quic::new(&endpoint, others.clone()));
        let (progress, ledger) = (progress.clone(), ledger.clone());
        runtime.child("progress").spawn(move |runtime| progress.watch(runtime, ledger, peers, verifier));
    }
    let metrics = runtime.child("peers");
    let me = B256::from_slice(key.public_key().as_ref());
    let committee = ledger.genesis().committee.as_ref();
    let place = committee.and_then(|committee| committee.validators.iter().position(|validator| *validator == me));
    let elsewhere = Elsewhere::new(name, consensus.equivocations.clone());
    // As the others are told it: what it listens on may be every address of its machine.
    let address = own.first().cloned().or_else(|| endpoint.address());
    let watching = own.into_iter().next().map(|own| common::Background::spawn(elsewhere.clone().watch(own)));
    let about = About {
        roles: if store.is_some() { vec!["validator", "store"] } else { vec!["validator"] },
        validator: Some(network_methods::Validator {
            key: me,
            place: place.ok_or_else(|| eyre!("the genesis file does not name this validator"))?,
            consensus,
            elsewhere,
        }),
        peers: Arc::new(move || connected::status(&metrics, &others)),
        progress,
        address: address.clone(),
        served: Some(served),
        block_time: config.pace.longest(),
    };
    let index = config.index.then(|| account::of(&key)).transpose()?;
    let serving = Serving {
        folder: &config.folder,
        http: config.http,
        hosts: config.hosts,
        allow_unprotected: config.allow_unprotected,
        accounts: config.accounts,
        index,
        provider: None,
    };
    let (pool, rpc, index) = common::serve(&runtime, &ledger, &waiting, about, serving).await?;
    let store = store.map(|store| store.start(rpc.local_addr(), &runtime.child("stoa")));
    Ok(Running {
        ledger,
        pool,
        rpc,
        endpoint,
        address,
        _router: router,
        _store: store,
        _index: index,
        _elsewhere: watching,
    })
}

/// How long to wait for others to say how far they are.
const ASK: Duration = Duration::from_secs(4);

/// How long to wait for a next block of theirs: what is missing then comes over the validators' own network, or never.
const PATIENCE: Duration = Duration::from_secs(60);

/// The others, and the number of the newest block that they have.
type Ahead = (Peers<Quic>, u64);

/// Asks the others how far they are, and how this machine's clock stands to their newest block.
async fn ask(
    runtime: &Context,
    ledger: &Ledger,
    endpoint: &Endpoint,
    others: Vec<PeerAddress>,
) -> eyre::Result<Option<(Ahead, Compared)>> {
    let count = others.len();
    let peers = Peers::new(Quic::new(endpoint, others));
    let verifier = follow::Verifier::of(ledger).ok_or_else(|| eyre!("the genesis file names no committee"))?;
    let newest = follow::newest(runtime, &peers, &verifier, common::BLOCK_BYTES, ASK).await;
    let clock = runtime.current().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Ok(newest.map(|Newest { number, timestamp, answers }| {
        let compared = Compared { newest: timestamp, clock, by_enough: is_enough(answers, count) };
        ((peers, number), compared)
    }))
}

/// Whether so many of so many other validators know of every final block between them: all but as many as may be faulty, this one among
/// those, since it has lost its votes.
const fn is_enough(answers: usize, others: usize) -> bool {
    answers >= others - others / 3
}

/// The others, if they are ahead by `behind` blocks or more: validators do not keep for each other what is long past. Without a
/// number, however far they are, and it is an error if none of them answers.
fn far_ahead(ledger: &Ledger, others: Option<Ahead>, behind: Option<u64>) -> eyre::Result<Option<Ahead>> {
    // What it has is further than its consensus knows, or of no use at all.
    ensure!(
        behind.is_some() || others.is_some(),
        "this validator was ended while it caught up with the others, and none of them answers; start it again when they run"
    );
    let (here, syncing) = (ledger.newest_recorded()?, ledger.is_syncing()?);
    let is_far = |newest: u64| syncing || behind.is_none_or(|behind| newest >= here + behind);
    Ok(others.filter(|(_, newest)| is_far(*newest)))
}

/// Follows the others up to a block. A validator that has nothing takes over their state.
async fn catch_up(
    runtime: &Context,
    ledger: Ledger,
    state: StateConfig,
    peers: Peers<Quic>,
    newest: u64,
) -> eyre::Result<Option<Floor>> {
    tracing::info!(newest, "catching up with the others");
    let options = follow::Options { start: follow::Start::State { from: 1 }, max_bytes: common::BLOCK_BYTES };
    let following = Follower::open(runtime.child("catch_up"), ledger, state, peers, Mempool::default(), options);
    let mut follower = following.await?;
    follower.catch_up(newest, PATIENCE).await?;
    Ok(follower.floor(PATIENCE).await?)
}

/// The committee that is kept in a folder; none before the ceremony.
///
/// # Errors
///
/// If it is damaged, or missing beside a chain, which comes after the ceremony.
pub(crate) fn kept_committee(folder: &Path) -> eyre::Result<Option<stoa_base::Committee>> {
    let path = folder.join(COMMITTEE);
    if !path.exists() {
        let before = !folder.join("history").exists();
        ensure!(before, "{} is missing beside a chain: put it back from the backup", path.display());
        return Ok(None);
    }
    let text = fs::read_to_string(&path).wrap_err_with(|| format!("cannot read {}", path.display()))?;
    let damaged = || format!("{} is damaged: put it back from the backup", path.display());
    let committee: stoa_base::Committee = serde_json::from_str(&text).wrap_err_with(damaged)?;
    Committee::try_from(&committee).wrap_err_with(damaged)?;
    Ok(Some(committee))
}

/// What a validator does that has a chain and has lost its secrets: without a share of the key it does not vote, and each epoch has new ones.
///
/// # Errors
///
/// If nobody else has a share.
fn without_secrets(folder: &Path, validators: usize) -> eyre::Result<Option<String>> {
    let secrets = folder.join(SECRETS);
    if secrets.exists() || !folder.join("history").exists() {
        return Ok(None);
    }
    let missing = format!("{} is missing beside a chain: put it back from the backup", secrets.display());
    ensure!(validators > 1, "{missing}");
    Ok(Some(format!(
        "{missing}. Without it this validator votes from the first later epoch on for which it gets a share of the key"
    )))
}

/// Has the secrets of a folder that comes from a backup say that they were voted with. One that was made before the first vote does not know
/// of those that came after it.
fn note_copied(folder: &Path, secrets: &Vault) -> eyre::Result<()> {
    let copied = folder.join(COPIED);
    if copied.exists() {
        secrets.note_voting();
        fs::remove_file(&copied).wrap_err_with(|| format!("cannot remove {}", copied.display()))?;
    }
    Ok(())
}

/// Refuses to begin a new chain where the only validator of a network has had one, and with it all that there was of it.
fn check_alone(folder: &Path, secrets: &Vault) -> eyre::Result<()> {
    let has_history = fs::read_dir(folder.join("history")).is_ok_and(|mut files| files.next().is_some());
    ensure!(
        has_history || !(secrets.has_voted() || folder.join("mempool").exists()),
        "the chain that was in {} is not there any more, and no other validator has it: put back a copy of the whole folder, \
         or begin a new chain (in another folder, or with `--fresh`, which `stoa up` takes)",
        folder.display()
    );
    Ok(())
}

/// The committee: from the folder, or from a ceremony, which also gives this validator a share of its key.
async fn committee(
    runtime: &Context,
    folder: &Path,
    key: &PrivateKey,
    secrets: Vault,
    wire: &mut Wire<Context>,
) -> eyre::Result<stoa_base::Committee> {
    let (path, own) = (folder.join(COMMITTEE), folder.join(CEREMONY));
    let forget = move |own: &Path| {
        if let Err(error) = fs::remove_file(own)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(file = %own.display(), %error, "what the key was generated from cannot be removed");
        }
    };
    if let Some(committee) = kept_committee(folder)? {
        // The process may have been ended while it helped others.
        forget(&own);
        return Ok(committee);
    }
    let dealt_from = Vault::open(&own, key)?;
    let ceremony = stoa_consensus::generate(runtime.child("ceremony"), wire, dealt_from, secrets);
    let (committee, helping) = ceremony.await?;
    let committee = stoa_base::Committee::from(&committee);
    write_private(&path, serde_json::to_string_pretty(&committee)?.as_bytes())
        .wrap_err_with(|| format!("cannot write {}", path.display()))?;
    tracing::info!(validators = committee.validators.len(), "the network key is there");
    tokio::spawn(async move {
        helping.await;
        forget(&own);
    });
    Ok(committee)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng as _, rngs::StdRng};
    use std::num::NonZeroU32;

    #[test]
    fn the_only_validator_does_not_begin_anew_where_its_chain_is_gone() {
        let open = |folder: &Path| Vault::open(&folder.join(SECRETS), &PrivateKey::from_seed(1)).unwrap();
        let had: [fn(&Path, &Vault); 2] =
            [|_, secrets| secrets.note_voting(), |folder, _| fs::write(folder.join("mempool"), "").unwrap()];
        for has_had_a_chain in had {
            let folder = tempfile::tempdir().unwrap();
            let (folder, history) = (folder.path(), folder.path().join("history"));
            let secrets = open(folder);
            check_alone(folder, &secrets).unwrap();
            has_had_a_chain(folder, &secrets);
            fs::create_dir(&history).unwrap();
            let error = check_alone(folder, &secrets).unwrap_err().to_string();
            assert!(error.contains(&folder.display().to_string()) && error.contains("--fresh"), "{error}");
            fs::write(history.join("version"), "").unwrap();
            check_alone(folder, &secrets).unwrap();
        }
    }

    #[test]
    fn all_other_validators_but_those_that_may_be_faulty_know_of_every_block() {
        // Of one other, two, three, six and nine.
        for (others, enough) in [(1, 1), (2, 2), (3, 2), (6, 4), (9, 6)] {
            assert!(is_enough(enough, others) && !is_enough(enough - 1, others), "{others}");
        }
    }

    #[test]
    fn a_validator_from_a_backup_may_have_voted_whatever_the_backup_knew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copied) = (folder.path().join(SECRETS), folder.path().join(COPIED));
        let open = || Vault::open(&path, &PrivateKey::from_seed(1)).unwrap();
        note_copied(folder.path(), &open()).unwrap();
        assert!(!open().has_voted());
        fs::write(&copied, "").unwrap();
        note_copied(folder.path(), &open()).unwrap();
        assert!(open().has_voted() && !copied.exists());
    }

    #[test]
    fn a_chain_without_its_committee_is_no_first_start() {
        let folder = tempfile::tempdir().unwrap();
        let committee = folder.path().join(COMMITTEE);
        let refused = || format!("{:#}", kept_committee(folder.path()).unwrap_err());
        // As a first start that was ended during the ceremony leaves it.
        fs::write(folder.path().join(SECRETS), "").unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        assert!(kept_committee(folder.path()).unwrap().is_none());
        fs::create_dir(folder.path().join("history")).unwrap();
        assert!(refused().contains(COMMITTEE) && refused().contains("missing beside a chain"), "{}", refused());
        let mut dealt = stoa_base::Committee::from(&Committee::deal(&mut StdRng::seed_from_u64(1), NonZeroU32::MIN).0);
        fs::write(&committee, serde_json::to_string(&dealt).unwrap()).unwrap();
        assert_eq!(kept_committee(folder.path()).unwrap().as_ref(), Some(&dealt));
        dealt.validators.clear();
        let without_validators = serde_json::to_string(&dealt).unwrap();
        for damaged in ["{", without_validators.as_str()] {
            fs::write(&committee, damaged).unwrap();
            assert!(refused().contains("committee.json is damaged"), "{}", refused());
        }
    }

    #[test]
    fn a_validator_that_has_lost_its_secrets_waits_for_new_ones_if_others_have_some() {
        let folder = tempfile::tempdir().unwrap();
        let without = |validators| without_secrets(folder.path(), validators);
        assert_eq!(without(1).unwrap(), None);
        fs::create_dir(folder.path().join("history")).unwrap();
        assert!(without(4).unwrap().is_some_and(|told| told.contains("from the first later epoch on")));
        assert!(without(1).unwrap_err().to_string().ends_with("put it back from the backup"));
        fs::write(folder.path().join(SECRETS), "").unwrap();
        assert_eq!(without(1).unwrap(), None);
    }
}
