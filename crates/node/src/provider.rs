//! A node that gives files to those who have ordered them, or has programs run on them, on the routes of Ocean's nodes, as
//! `ProviderInstance` of ocean.js asks for it. What is decided, and by what, is in [`stoa_data::provider`].
//!
//! - `GET /`: which routes there are.
//! - `GET /api/services/nonce?userAddress=`: what an account adds one to for its next signed request.
//! - `POST /api/services/encrypt`, signed by the publisher: seals where files are.
//! - `POST /api/services/fileInfo`: what is known of the files of a service, or of one file.
//! - `GET /api/services/initialize`: a quote, for whoever may order, and what the node charges for it.
//! - `GET /api/services/download`, signed by whoever has ordered: the file.
//! - `POST /api/services/auth/token` and `…/invalidate`, signed: a token that stands for signatures of its account, and its end.
//! - those of computing (`provider/compute.rs`), if the node computes; else they say what to do instead.
//!
//! Errors are JSON: `{"error":"…"}`. Whoever asks may cost so many bytes, so much time and one of so many places, and no more; how many
//! files are on their way is bounded for each account and for all. No address of a file is told or logged.

mod answer;
mod body;
mod compute;
mod files;
mod token;

use crate::{account, index, view::Own};
use alloy_primitives::{Address, B256, Log, hex};
use alloy_signer_local::PrivateKeySigner;
use answer::{Refused, not_served, part, read, said};
use axum::{
    Router,
    extract::{Query as Parameters, State},
    http::HeaderMap,
    response::Response,
    routing::{any, get, post},
};
use commonware_cryptography::ed25519::PrivateKey;
use eyre::{ContextCompat as _, Result, WrapErr as _, ensure};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    borrow::Cow,
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use stoa_base::since_1970;
use stoa_data::{
    jobs::role::Computer,
    market::abi::FACTORY,
    provider::{
        Fees, Files, Nonces, Pays, Quote, Refusal, Seal, Service, Signed, Sources, Standing, Tokens, Wanted,
        compute::{Container, Engine, MOST_REQUEST},
    },
    search::{Asset, Metadata, Publication},
};
use stoa_ledger::{Ledger, LedgerError, LogEntry, LogFilter};
use tokio::{sync::Semaphore, time::timeout};

/// Where the routes are.
const BASE: &str = "/api/services";

/// The most bytes of a question.
const QUESTION: usize = 16 << 10;

/// Questions at the same time, those beside that nobody has signed, and how long one may take, waiting included.
const PLACES: usize = 16;
const UNSIGNED: usize = 8;
const PATIENCE: Duration = Duration::from_secs(20);

/// Files that are on their way at the same time, to all and to one account.
const DOWNLOADS: usize = 32;
const DOWNLOADS_EACH: usize = 4;

/// Events of an order at most: it is placed once, and accepted a few times at most.
const MOST_EVENTS: usize = 1 << 10;

/// For how many seconds a quote is good.
const QUOTED: u64 = 24 * 3600;

/// What an order is shown by.
const SHOWN: &str = "the hash of the transaction that ordered, or the order's id";

/// What computing is asked for with, under the names that clients look for.
const COMPUTING: [(&str, &str, &str); 7] = [
    ("initializeCompute", "POST", "initializeCompute"),
    ("computeStart", "POST", "compute"),
    ("computeStatus", "GET", "compute"),
    ("computeStop", "PUT", "compute"),
    ("freeCompute", "POST", "freeCompute"),
    ("computeResult", "GET", "computeResult"),
    ("computeStreamableLogs", "GET", "computeStreamableLogs"),
];

/// Which files a node gives away, and for whom.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of the files.
    pub folder: PathBuf,
    /// Whose assets they are: he alone has places of files sealed here.
    pub publisher: Address,
    /// Hosts whose files are given away as well: names, with a port where it is not that of the scheme.
    pub hosts: Vec<String>,
    /// What the node charges.
    pub fees: Fees,
}

/// What a provider is, before there is a ledger to ask.
pub(crate) struct Role {
    config: Config,
    account: PrivateKeySigner,
    seal: Seal,
    computer: Option<Arc<Computer>>,
}

impl Role {
    /// Of the node with this key. If it computes, programs run on the files as well.
    pub(crate) fn new(
        config: Config,
        key: &PrivateKey,
        chain_id: u64,
        computer: Option<Arc<Computer>>,
    ) -> Result<Self> {
        Ok(Self { config, account: account::of(key)?, seal: account::seal(key, chain_id), computer })
    }
}

/// A provider that is asked.
pub(crate) struct Provider {
    ledger: Ledger,
    chain: Own,
    index: Arc<index::Served>,
    publisher: Address,
    account: PrivateKeySigner,
    seal: Seal,
    fees: Fees,
    sources: Arc<Sources>,
    engine: Option<Arc<Engine>>,
    nonces: Nonces,
    /// Of requests for tokens, which everybody may make: they must not crowd out the others.
    strangers: Nonces,
    tokens: Tokens,
    /// When it started: in microseconds since 1970, and by a clock that nobody sets.
    started: (u64, Instant),
    places: Semaphore,
    /// Of questions that nobody has signed.
    unsigned: Semaphore,
    /// As many as have places read the ledger, on threads of their own, which may go on when whoever asked has gone.
    reads: Arc<Semaphore>,
    /// Where questions are while they come and are answered.
    room: stoa_rpc::body::Budget,
    /// How many files are on their way to whom.
    downloads: Mutex<HashMap<Address, usize>>,
}

/// A service whose files are given away, or computed on.
struct Offered {
    asset: Asset,
    service: Service,
    files: Files,
    standing: Standing,
    /// What the asset runs in, if it is a program.
    container: Option<Container>,
}

impl Offered {
    /// An order of it.
    fn wanted(&self, consumer: Address) -> Wanted {
        Wanted { datatoken: self.service.datatoken, service: self.service.index, consumer, payer: None }
    }
}

fn busy() -> Refusal {
    Refusal::Unavailable("the node is busy: try again".to_owned())
}

/// Answers a question when there is a place for it.
async fn bounded<T>(places: &Semaphore, work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refused> {
    let placed = async {
        let _place = places.acquire().await.map_err(|_| busy())?;
        work.await
    };
    timeout(PATIENCE, placed).await.unwrap_or_else(|_| Err(busy())).map_err(Refused)
}

/// Passes if it was the publisher who published a document, or who had the factory do it when he made the asset. What he signs to have
/// places of files sealed says neither which nor for whom: whoever sees it could have his files sealed for an asset that he has given to
/// the publisher, and whose document he writes.
fn written(creator: Address, published: Option<&Publication>, publisher: Address) -> Result<(), Refusal> {
    match published.map(|published| published.by) {
        Some(by) if by == publisher || (by == FACTORY && creator == publisher) => Ok(()),
        _ => Err(Refusal::Forbidden(format!(
            "the asset's document was not published by {publisher}, whose files this node gives away: he publishes it himself"
        ))),
    }
}

impl Provider {
    /// Opens the folder of files.
    pub(crate) fn open(role: Role, ledger: &Ledger, index: Option<&index::Opened>) -> Result<Arc<Self>> {
        let Role { config: Config { folder, publisher, hosts, fees }, account, seal, computer } = role;
        let index = index.wrap_err("a node that gives files to buyers needs an index of assets (--index)")?.served();
        let computes = computer.is_some() || !fees.has_minutes();
        ensure!(computes, "a node that charges for computing needs a folder of data to compute on (--data)");
        let sources = Sources::open(&folder, hosts);
        let sources = sources.wrap_err_with(|| format!("cannot give away what is in {}", folder.display()))?;
        let sources = Arc::new(sources);
        let engine = computer.map(|computer| Engine::open(computer, account.address(), publisher, sources.clone()));
        let now = u64::try_from(since_1970().as_micros()).wrap_err("the clock is wrong")?;
        Ok(Arc::new(Self {
            ledger: ledger.clone(),
            chain: Own(ledger.clone()),
            index,
            publisher,
            account,
            seal,
            fees,
            sources,
            engine: engine.transpose().wrap_err("cannot keep what programs leave")?,
            nonces: Nonces::new(now),
            strangers: Nonces::new(now),
            tokens: Tokens::default(),
            started: (now, Instant::now()),
            places: Semaphore::new(PLACES),
            unsigned: Semaphore::new(UNSIGNED),
            reads: Arc::new(Semaphore::new(PLACES + UNSIGNED)),
            room: body::room(),
            downloads: Mutex::default(),
        }))
    }

    /// What `GET /` answers: where clients find the rest.
    pub(crate) fn home(&self) -> String {
        let own = [
            ("nonce", "GET", "nonce"),
            ("encrypt", "POST", "encrypt"),
            ("fileInfo", "POST", "fileInfo"),
            ("initialize", "GET", "initialize"),
            ("download", "GET", "download"),
            ("computeEnvironments", "GET", "computeEnvironments"),
            ("generateAuthToken", "POST", "auth/token"),
            ("invalidateAuthToken", "POST", "auth/token/invalidate"),
        ];
        let all = own.into_iter().chain(COMPUTING);
        let mut endpoints: serde_json::Map<_, _> =
            all.map(|(name, method, path)| (name.to_owned(), json!([method, format!("{BASE}/{path}")]))).collect();
        endpoints.insert("getDDO".to_owned(), json!(["GET", "/api/aquarius/assets/ddo/:did"]));
        endpoints.insert("validateDDO".to_owned(), json!(["POST", "/api/aquarius/assets/ddo/validate"]));
        let address = self.account.address().to_checksum(None);
        let said = json!({
            "nodeId": address, "chainIds": [self.chain_id().to_string()], "providerAddress": address,
            "serviceEndpoints": endpoints, "software": "stoa", "version": env!("CARGO_PKG_VERSION"),
        });
        said.to_string()
    }

    /// Where it is asked.
    pub(crate) fn routes(self: &Arc<Self>) -> Router {
        let at = |path: &str| format!("{BASE}/{path}");
        let router = Router::new()
            .route(&at("nonce"), get(nonce))
            .route(&at("encrypt"), post(files::encrypt))
            .route(&at("fileInfo"), post(files::file_info))
            .route(&at("initialize"), get(files::initialize))
            .route(&at("download"), get(files::download))
            .route(&at("auth/token"), post(token::make))
            .route(&at("auth/token/invalidate"), post(token::end));
        let computing = match self.engine {
            Some(_) => compute::routes(at),
            None => compute_elsewhere(at),
        };
        router.merge(computing).with_state(self.clone())
    }

    fn chain_id(&self) -> u64 {
        self.ledger.genesis().chain_id
    }

    /// Microseconds since 1970, by the clock at the start.
    fn now(&self) -> u64 {
        let (start, since) = self.started;
        start.saturating_add(u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The same in seconds.
    fn seconds(&self) -> u64 {
        self.now() / 1_000_000
    }

    /// Who asks, by his signature of this command or by a token of his. `said` are his account, the number of his request, and the
    /// signature.
    fn caller(&self, command: &str, said: [&str; 3], headers: &HeaderMap) -> Result<Caller, Refusal> {
        let [account, nonce, signature] = said;
        if let Some(token) = token::shown(headers).filter(|_| signature.is_empty()) {
            let owner = self.tokens.check(token, self.seconds())?;
            if account.parse::<Address>().ok() != Some(owner) {
                return Err(Refusal::Unsigned("the auth token is not consumerAddress's".to_owned()));
            }
            return Ok(Caller { account: owner, signed: None });
        }
        let signed = Signed::check(command, account, nonce, signature)?;
        self.nonces.check(signed, self.now())?;
        Ok(Caller { account: signed.account, signed: Some(signed) })
    }

    /// Takes a signed request, which is used up then. To be done last, so that one that failed for another reason can be made again.
    fn take(&self, caller: &Caller) -> Result<(), Refusal> {
        caller.signed.map_or(Ok(()), |signed| self.nonces.take(signed, self.now()))
    }

    /// Answers a question within bounds.
    async fn within<T>(&self, work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refused> {
        bounded(&self.places, work).await
    }

    /// The same of one that nobody has signed: strangers, however many, keep none of those waiting who have.
    async fn within_unsigned<T>(&self, work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refused> {
        bounded(&self.unsigned, work).await
    }

    /// Reads the ledger, on a thread that may block. What it reads is told when nobody waits for it any more.
    async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Ledger, &dyn Fn() -> bool) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let place = self.reads.clone().acquire_owned().await.map_err(|_| busy())?;
        // It goes with whoever asks.
        let asker = Arc::new(());
        let (ledger, waits) = (self.ledger.clone(), Arc::downgrade(&asker));
        let read = tokio::task::spawn_blocking(move || {
            let _place = place;
            read(&ledger, &|| waits.strong_count() > 0)
        });
        match read.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Refusal::Unavailable(format!("the ledger cannot be read: {error}"))),
            Err(_) => Err(Refusal::Unavailable("the ledger cannot be read".to_owned())),
        }
    }

    /// A service of an asset, if this node gives its files away.
    async fn offered(&self, did: &str, id: &str) -> Result<Offered, Refusal> {
        let (did, id, chain_id) = (did.to_owned(), id.to_owned(), self.chain_id());
        let found = self.index.ask(move |index| {
            let Some(asset) = index.asset_by_did(&did)? else {
                return Ok(Err(Refusal::Unknown("there is no such asset, or not yet".to_owned())));
            };
            let Metadata::Readable { document, .. } = &asset.metadata else {
                return Ok(Err(Refusal::Unknown("the asset has no document that can be read".to_owned())));
            };
            // Read here, where not many are at once: it takes thirty times the memory.
            let document = document.read();
            let (service, container) = (Service::find(&document, &id, chain_id), Container::of(&document));
            Ok(service.map(|service| (asset, service, container)))
        });
        let found = found.await.map_err(|_| Refusal::Unavailable("the index of assets cannot be asked now".to_owned()));
        let (asset, service, container) = found??;
        let files = self.seal.open(&service.files, asset.nft, service.datatoken)?;
        if !asset.datatokens.iter().any(|token| token.address == service.datatoken) {
            return Err(Refusal::Forbidden("the service names a datatoken that is not the asset's".to_owned()));
        }
        let standing = Standing::of(&self.chain, asset.nft).await?;
        if standing.owner != self.publisher {
            let publisher = self.publisher;
            return Err(Refusal::Forbidden(format!(
                "the asset is {}'s, and this node gives away what is {publisher}'s alone",
                standing.owner
            )));
        }
        written(asset.creator, asset.published.as_ref(), self.publisher)?;
        Ok(Offered { asset, service, files, standing, container })
    }

    /// The events of a transaction; none if it is not known here.
    async fn events(&self, transaction: B256) -> Result<Vec<Log>, Refusal> {
        let found = self.reading(move |ledger, _| {
            let Some((number, position)) = ledger.transaction(transaction)? else { return Ok(None) };
            let committed = ledger.block(number)?;
            Ok(committed.and_then(|committed| Some(committed.receipts.get(position)?.logs.clone())))
        });
        Ok(found.await?.unwrap_or_default())
    }

    /// What a client shows for an order: its id, or a transaction, which is looked up here, once.
    async fn shown(&self, wanted: Wanted, shown: Option<B256>) -> Result<Shown, Refusal> {
        let Some(shown) = shown else { return Ok(Shown::Nothing) };
        match wanted.named(shown) {
            Some(order) => Ok(Shown::Order(order)),
            None => Ok(Shown::Transaction(shown, self.events(shown).await?)),
        }
    }

    /// The order that a client shows, or his last if he shows none.
    async fn order(&self, wanted: Wanted, shown: &Shown) -> Result<B256, Refusal> {
        let (transaction, events) = match shown {
            Shown::Nothing => return wanted.last(&self.chain).await,
            Shown::Order(order) => return Ok(*order),
            Shown::Transaction(transaction, events) => (transaction, events),
        };
        wanted.among(&self.chain, events).await?.ok_or_else(|| {
            let Wanted { service, consumer, .. } = wanted;
            Refusal::Forbidden(format!(
                "transaction {transaction} has placed no order of service {service} of this asset for {consumer}, as far as this \
                 node has followed the chain: order it (startOrder), and show that transaction, or the order's id, as transferTxId"
            ))
        })
    }

    /// The event with which an order was placed, and where.
    async fn placed(&self, datatoken: Address, order: B256) -> Result<LogEntry, Refusal> {
        let [event, id] = Wanted::topics(order);
        let found = self.reading(move |ledger, goes_on| {
            let search = |addresses| {
                let topics = [Vec::new(), vec![id], Vec::new(), Vec::new()];
                let filter = LogFilter { addresses, topics };
                ledger.logs_while(0, ledger.head().number(), &filter, MOST_EVENTS, goes_on)
            };
            // By the id alone: with the event or the datatoken, the ledger's index would go through all orders that there ever were,
            // or all that happened to it, to which anybody can add by moving none of it. Anybody can also tell of the id.
            match search(Vec::new()) {
                Err(LedgerError::TooManyLogs { .. }) => search(vec![datatoken]),
                found => found,
            }
        });
        let own = |entry: &LogEntry| entry.log.address == datatoken && entry.log.topics().first() == Some(&event);
        let placed = found.await?.unwrap_or_default().into_iter().find(own);
        placed.ok_or_else(|| Refusal::Unavailable("it is not known here when the order was placed".to_owned()))
    }

    /// The order that a client shows, or his last if he shows none, if it stands now, also by the document, whose `timeout` it is.
    async fn ordered(&self, wanted: Wanted, timeout: u64, shown: &Shown) -> Result<B256, Refusal> {
        let order = self.order(wanted, shown).await?;
        self.standing(wanted, timeout, order).await
    }

    /// An order, if it stands now, also by the document, whose `timeout` it is.
    async fn standing(&self, wanted: Wanted, timeout: u64, order: B256) -> Result<B256, Refusal> {
        let now = wanted.check(&self.chain, order).await?;
        if timeout > 0 {
            Wanted::lasts(self.placed(wanted.datatoken, order).await?.block_timestamp, timeout, now)?;
        }
        Ok(order)
    }

    /// What this account is asked for with an order of a service, or when it uses one again, that pays for this, until this
    /// second.
    async fn quoted(
        &self,
        offered: &Offered,
        consumer: Address,
        pays: Pays,
        now: u64,
        until: u64,
    ) -> Result<Value, Refusal> {
        let quote = Quote {
            did: offered.asset.did.clone(),
            service: offered.service.index,
            dt: offered.service.datatoken,
            consumer,
            chain_id: self.chain_id(),
            timestamp: now,
            nonce: hex::encode(rand::random::<[u8; 16]>()),
            pays,
        };
        quote.sign(&self.account, self.fees.of(&self.chain, &pays).await?, until)
    }

    /// Passes if an account has paid what this costs, with the order, or in the transaction that it shows for it; which fee that
    /// was, if it costs something.
    async fn paid(
        &self,
        offered: &Offered,
        account: Address,
        (shown, order): (&Shown, B256),
        pays: Pays,
    ) -> Result<Option<String>, Refusal> {
        if !self.fees.charges(&pays) {
            return Ok(None);
        }
        let (wanted, now) = (offered.wanted(account), since_1970().as_secs());
        let (transaction, events) = match shown {
            Shown::Transaction(transaction, events) => (*transaction, Cow::Borrowed(events)),
            Shown::Order(_) | Shown::Nothing => {
                let transaction = self.placed(wanted.datatoken, order).await?.transaction_hash;
                (transaction, Cow::Owned(self.events(transaction).await?))
            }
        };
        let quotes = wanted.paid(self.account.address(), self.chain_id(), &events, now);
        let fee = quotes.into_iter().find(|quote| quote.pays.covers(&pays)).map(|quote| Some(quote.nonce));
        fee.ok_or_else(|| {
            Refusal::Forbidden(format!(
                "{account} has not paid this node's fee for that in transaction {transaction}, or it is good no longer: ask what \
                 it is (initialize, initializeCompute), pay it by using the order again (reuseOrder), and show that transaction"
            ))
        })
    }

    /// Lets a file be on its way to an account, unless there are too many.
    fn slot(self: &Arc<Self>, account: Address) -> Result<Slot, Refusal> {
        let mut downloads = self.downloads.lock();
        let own = downloads.get(&account).copied().unwrap_or(0);
        if own >= DOWNLOADS_EACH || downloads.values().sum::<usize>() >= DOWNLOADS {
            return Err(Refusal::Unavailable(
                "too many files are on their way: try again when some have come".to_owned(),
            ));
        }
        downloads.insert(account, own + 1);
        Ok(Slot { provider: self.clone(), account })
    }
}

/// What a client shows for an order.
enum Shown {
    Nothing,
    /// Its id.
    Order(B256),
    /// A transaction that has placed it, or used it again, and its events.
    Transaction(B256, Vec<Log>),
}

/// A file that is on its way.
struct Slot {
    provider: Arc<Provider>,
    account: Address,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut downloads = self.provider.downloads.lock();
        match downloads.get_mut(&self.account) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(downloads.remove(&self.account)),
        }
    }
}

/// Whoever asks, and his signature, if he shows no token.
struct Caller {
    account: Address,
    signed: Option<Signed>,
}

/// What a client signs with, of what it says in an address.
fn signature(asked: &HashMap<String, String>) -> [&str; 3] {
    ["consumerAddress", "nonce", "signature"].map(|name| part(asked, name))
}

/// Where a node that computes nothing answers with what to do instead.
fn compute_elsewhere(at: impl Fn(&str) -> String) -> Router<Arc<Provider>> {
    let mut router = Router::new().route(&at("computeEnvironments"), get(|| async { said(&json!([])) }));
    for path in ["initializeCompute", "compute", "freeCompute", "computeResult", "computeStreamableLogs"] {
        let instead =
            "this node runs no programs (`stoa follow --data`); elsewhere they run with `stoa job run` as well";
        let answer = move |_: body::Whole<MOST_REQUEST>| async move { not_served(instead) };
        router = router.route(&at(path), any(answer));
    }
    router
}

type Asked = State<Arc<Provider>>;

/// What a question says in its body.
type Question = body::Whole<QUESTION>;

/// What a question says beside its route.
type Said = Parameters<HashMap<String, String>>;

async fn nonce(State(provider): Asked, Parameters(asked): Said) -> Result<Response, Refused> {
    let account = read(&asked, "userAddress", "an address")?;
    let last = [&provider.nonces, &provider.strangers].map(|nonces| nonces.last(account, provider.now()));
    Ok(said(&json!({ "nonce": last[0].max(last[1]).to_string() })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoa_data::search::Place;

    #[test]
    fn a_document_that_somebody_else_has_published_gives_nothing_away() {
        let [publisher, other] = [1, 2].map(Address::repeat_byte);
        let by = |by| Publication {
            by,
            place: Place { number: 1, time: 1, transaction: B256::ZERO },
            hash: B256::ZERO,
            decryptor: String::new(),
            validators: vec![publisher],
        };
        for (creator, published, gives) in [
            (publisher, Some(by(publisher)), true),
            (other, Some(by(publisher)), true),
            (publisher, Some(by(FACTORY)), true),
            // Anybody has the factory make an asset for anybody.
            (other, Some(by(FACTORY)), false),
            (publisher, Some(by(other)), false),
            (publisher, None, false),
        ] {
            let written = written(creator, published.as_ref(), publisher);
            assert_eq!(written.is_ok(), gives, "{creator} {published:?}");
        }
    }
}
