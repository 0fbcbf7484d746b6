//! A node that gives files to those who have ordered them, on the routes of Ocean's nodes, as `ProviderInstance` of ocean.js asks for
//! them. What is decided, and by what, is in [`stoa_data::provider`].
//!
//! - `GET /`: which routes there are.
//! - `GET /api/services/nonce?userAddress=`: what an account adds one to for its next signed request.
//! - `POST /api/services/encrypt`, signed by the publisher: seals where files are.
//! - `POST /api/services/fileInfo`: what is known of the files of a service, or of one file.
//! - `GET /api/services/initialize`: a quote, for whoever may order.
//! - `GET /api/services/download`, signed by whoever has ordered: the file.
//! - `GET /api/services/computeEnvironments`: none. The other routes of computing say what to do instead.
//!
//! Errors are JSON: `{"error":"…"}`. Whoever asks may cost so many bytes, so much time and one of so many places, and no more; how many
//! files are on their way is bounded for each account and for all. No address of a file is told or logged.

use crate::{account, index, view::Own};
use alloy_primitives::{Address, B256, hex};
use alloy_signer_local::PrivateKeySigner;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Query as Parameters, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use commonware_cryptography::ed25519::PrivateKey;
use eyre::{ContextCompat as _, Result, WrapErr as _};
use futures::stream;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use stoa_data::{
    provider::{
        DOWNLOAD, ENCRYPT, Files, Nonces, Opened, Place, Refusal, Seal, Service, Signed, Sources, Standing, Wanted,
        quote,
    },
    search::Metadata,
};
use stoa_ledger::{Ledger, LedgerError, LogFilter};
use tokio::{sync::Semaphore, time::timeout};

/// Where the routes are.
const BASE: &str = "/api/services";

/// The most bytes of a question.
const QUESTION: usize = 16 << 10;

/// Questions at the same time, and how long one may take, waiting included.
const PLACES: usize = 16;
const PATIENCE: Duration = Duration::from_secs(20);

/// Files that are on their way at the same time, to all and to one account.
const DOWNLOADS: usize = 32;
const DOWNLOADS_EACH: usize = 4;

/// For how many seconds a quote is good.
const QUOTED: u64 = 24 * 3600;

/// What computing is asked for with, under the names that clients look for.
const COMPUTING: [(&str, &str, &str); 8] = [
    ("initializeCompute", "POST", "initializeCompute"),
    ("computeStart", "POST", "compute"),
    ("computeStatus", "GET", "compute"),
    ("computeStop", "PUT", "compute"),
    ("computeDelete", "DELETE", "compute"),
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
}

/// What a provider is, before there is a ledger to ask.
pub(crate) struct Role {
    config: Config,
    account: PrivateKeySigner,
    seal: Seal,
}

impl Role {
    /// Of the node with this key.
    pub(crate) fn new(config: Config, key: &PrivateKey, chain_id: u64) -> Result<Self> {
        Ok(Self { config, account: account::of(key)?, seal: account::seal(key, chain_id) })
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
    sources: Sources,
    nonces: Nonces,
    /// When it started: in microseconds since 1970, and by a clock that nobody sets.
    started: (u64, Instant),
    places: Semaphore,
    /// How many files are on their way to whom.
    downloads: Mutex<HashMap<Address, usize>>,
}

/// A service that is given away.
struct Offered {
    nft: Address,
    service: Service,
    files: Files,
    standing: Standing,
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Reads the ledger, on a thread that may block.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Refusal::Unavailable(format!("the ledger cannot be read: {error}"))),
        Err(_) => Err(Refusal::Unavailable("the ledger cannot be read".to_owned())),
    }
}

impl Provider {
    /// Opens the folder of files.
    pub(crate) fn open(role: Role, ledger: &Ledger, index: Option<&index::Opened>) -> Result<Arc<Self>> {
        let Role { config: Config { folder, publisher, hosts }, account, seal } = role;
        let index = index.wrap_err("a node that gives files to buyers needs an index of assets (--index)")?.served();
        let sources = Sources::open(&folder, hosts);
        let now = u64::try_from(since_1970().as_micros()).wrap_err("the clock is wrong")?;
        Ok(Arc::new(Self {
            ledger: ledger.clone(),
            chain: Own(ledger.clone()),
            index,
            publisher,
            account,
            seal,
            sources: sources.wrap_err_with(|| format!("cannot give away what is in {}", folder.display()))?,
            nonces: Nonces::new(now),
            started: (now, Instant::now()),
            places: Semaphore::new(PLACES),
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
        let mut router = Router::new()
            .route(&at("nonce"), get(nonce))
            .route(&at("encrypt"), post(encrypt))
            .route(&at("fileInfo"), post(file_info))
            .route(&at("initialize"), get(initialize))
            .route(&at("download"), get(download))
            .route(&at("computeEnvironments"), get(|| async { said(&json!([])) }));
        for path in ["initializeCompute", "compute", "freeCompute", "computeResult", "computeStreamableLogs"] {
            let instead = "programs run on data here with `stoa job run` (docs/jobs.md), not on this route";
            router = router.route(&at(path), any(move || async move { not_served(instead) }));
        }
        for path in ["auth/token", "auth/token/invalidate"] {
            let instead = "there are no auth tokens here: sign each request (pass a signer to ocean.js, not a token)";
            router = router.route(&at(path), any(move || async move { not_served(instead) }));
        }
        router.layer(DefaultBodyLimit::max(QUESTION)).with_state(self.clone())
    }

    fn chain_id(&self) -> u64 {
        self.ledger.genesis().chain_id
    }

    /// Microseconds since 1970, by the clock at the start.
    fn now(&self) -> u64 {
        let (start, since) = self.started;
        start.saturating_add(u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Answers a question within bounds.
    async fn within<T>(&self, work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refused> {
        let busy = || Refusal::Unavailable("the node is busy: try again".to_owned());
        let placed = async {
            let _place = self.places.acquire().await.map_err(|_| busy())?;
            work.await
        };
        timeout(PATIENCE, placed).await.unwrap_or_else(|_| Err(busy())).map_err(Refused)
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
            Ok(Service::find(&document.read(), &id, chain_id).map(|service| (asset, service)))
        });
        let found = found.await.map_err(|_| Refusal::Unavailable("the index of assets cannot be asked now".to_owned()));
        let (asset, service) = found??;
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
        Ok(Offered { nft: asset.nft, service, files, standing })
    }

    /// The order that a client shows, by its id or by a transaction.
    async fn order(&self, wanted: Wanted, shown: B256) -> Result<B256, Refusal> {
        if let Some(order) = wanted.named(shown) {
            return Ok(order);
        }
        let ledger = self.ledger.clone();
        let found = blocking(move || {
            let Some((number, position)) = ledger.transaction(shown)? else { return Ok(None) };
            let committed = ledger.block(number)?;
            Ok(committed.and_then(|committed| wanted.among(&committed.receipts.get(position)?.logs)))
        });
        found.await?.ok_or_else(|| {
            let Wanted { service, consumer, .. } = wanted;
            Refusal::Forbidden(format!(
                "transaction {shown} has placed no order of service {service} of this asset for {consumer}, as far as this node \
                 has followed the chain: order it (startOrder), and show that transaction, or the order's id, as transferTxId"
            ))
        })
    }

    /// When an order was placed, in seconds since 1970.
    async fn placed(&self, wanted: Wanted, order: B256) -> Result<u64, Refusal> {
        let [event, id] = Wanted::topics(order);
        let topics = [vec![event], vec![id], Vec::new(), Vec::new()];
        let filter = LogFilter { addresses: vec![wanted.datatoken], topics };
        let ledger = self.ledger.clone();
        let found = blocking(move || ledger.logs(0, ledger.head().number(), &filter, 1)).await?;
        let placed = found.first().map(|entry| entry.block_timestamp);
        placed.ok_or_else(|| Refusal::Unavailable("it is not known here when the order was placed".to_owned()))
    }

    /// Passes if whoever asks has an order of a service that stands now.
    async fn ordered(&self, offered: &Offered, consumer: Address, shown: B256) -> Result<(), Refusal> {
        let Service { index: service, datatoken, timeout, .. } = offered.service;
        let wanted = Wanted { datatoken, service, consumer };
        let order = self.order(wanted, shown).await?;
        let now = wanted.check(&self.chain, order).await?;
        if timeout > 0 {
            Wanted::lasts(self.placed(wanted, order).await?, timeout, now)?;
        }
        Ok(())
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

/// A refusal as it is answered.
struct Refused(Refusal);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, said(&json!({ "error": self.0.to_string() }))).into_response()
    }
}

fn said(what: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], what.to_string()).into_response()
}

fn not_served(instead: &str) -> Response {
    (StatusCode::NOT_IMPLEMENTED, said(&json!({ "error": instead }))).into_response()
}

/// What a question says beside its route.
type Said = Parameters<HashMap<String, String>>;

type Asked = State<Arc<Provider>>;

/// A part of a question; empty if it is not there.
fn part<'a>(asked: &'a HashMap<String, String>, name: &str) -> &'a str {
    asked.get(name).map(String::as_str).unwrap_or_default()
}

/// A part that has to be there.
fn read<T: std::str::FromStr>(asked: &HashMap<String, String>, name: &str, what: &str) -> Result<T, Refusal> {
    part(asked, name).parse().map_err(|_| Refusal::Malformed(format!("{name}: want {what}")))
}

/// Who has signed a question for this command.
fn signed(command: &str, asked: &HashMap<String, String>) -> Result<Signed, Refusal> {
    let [account, nonce, signature] = ["consumerAddress", "nonce", "signature"].map(|name| part(asked, name));
    Signed::check(command, account, nonce, signature)
}

async fn nonce(State(provider): Asked, Parameters(asked): Said) -> Result<Response, Refused> {
    let account = read(&asked, "userAddress", "an address")?;
    Ok(said(&json!({ "nonce": provider.nonces.last(account, provider.now()).to_string() })))
}

async fn encrypt(State(provider): Asked, Parameters(asked): Said, body: Bytes) -> Result<Response, Refused> {
    let sealed = provider.within(async {
        let signed = signed(ENCRYPT, &asked)?;
        provider.nonces.check(signed, provider.now())?;
        let (publisher, chain_id) = (provider.publisher, provider.chain_id());
        if signed.account != publisher {
            return Err(Refusal::Forbidden(format!("this node seals places of files for {publisher} alone")));
        }
        if !part(&asked, "chainId").is_empty() && read::<u64>(&asked, "chainId", "a number")? != chain_id {
            return Err(Refusal::Malformed(format!("chainId: this node follows chain {chain_id}")));
        }
        for place in Files::read(&body)?.places {
            provider.sources.look(&place, false).await?;
        }
        provider.nonces.take(signed, provider.now())?;
        provider.seal.seal(&body)
    });
    Ok(sealed.await?.into_response())
}

/// A file, as clients are told of it.
async fn told(provider: &Provider, index: usize, place: &Place, checksum: bool) -> Result<Value, Refusal> {
    let look = provider.sources.look(place, checksum).await?;
    let mut told = json!({
        "valid": true, "index": index, "type": place.kind(), "name": look.name, "contentType": look.kind,
    });
    if let Some(length) = look.length {
        told["contentLength"] = length.to_string().into();
    }
    if let Some(checksum) = look.checksum {
        told["checksum"] = checksum.into();
    }
    Ok(told)
}

/// The files of a service, or one that is described. Only of what is published is a hash told: by that of a file that is not, somebody
/// could find out what is in it by trying.
async fn file_info(State(provider): Asked, body: Bytes) -> Result<Response, Refused> {
    let told = provider.within(async {
        let asked: Value = serde_json::from_slice(&body)
            .map_err(|error| Refusal::Malformed(format!("the question is not JSON: {error}")))?;
        let text = |name: &str| asked[name].as_str().unwrap_or_default();
        if text("did").is_empty() {
            return Ok(vec![told(&provider, 0, &Place::read(&asked)?, false).await?]);
        }
        let checksum = asked["checksum"] == true;
        let mut all = Vec::new();
        for (index, place) in provider.offered(text("did"), text("serviceId")).await?.files.places.iter().enumerate() {
            all.push(told(&provider, index, place, checksum).await?);
        }
        Ok(all)
    });
    Ok(said(&told.await?.into()))
}

async fn initialize(State(provider): Asked, Parameters(asked): Said) -> Result<Response, Refused> {
    let answer = provider.within(async {
        if !part(&asked, "environment").is_empty() {
            return Err(Refusal::Malformed(
                "environment: programs run on data with `stoa job run`, not here".to_owned(),
            ));
        }
        let (did, consumer): (_, Address) =
            (part(&asked, "documentId"), read(&asked, "consumerAddress", "an address")?);
        let offered = provider.offered(did, part(&asked, "serviceId")).await?;
        offered.files.place(read(&asked, "fileIndex", "the number of a file, from 0")?)?;
        offered.service.admit(&provider.chain, consumer).await?;
        offered.standing.admit(&provider.chain, offered.nft, consumer).await?;
        let now = since_1970().as_secs();
        let until = match part(&asked, "validUntil") {
            "" | "0" => now + QUOTED,
            _ => read::<u64>(&asked, "validUntil", "seconds since 1970")?.min(now + QUOTED),
        };
        if until <= now {
            return Err(Refusal::Malformed("validUntil: that is over".to_owned()));
        }
        let datatoken = offered.service.datatoken.to_checksum(None);
        let about = json!({
            "did": did, "service": offered.service.index, "dt": datatoken, "consumer": consumer, "timestamp": now,
            "chainId": provider.chain_id(), "nonce": hex::encode(rand::random::<[u8; 16]>()),
        });
        let fee = quote(&provider.account, &about, until)?;
        let nonce = provider.nonces.last(consumer, provider.now()).to_string();
        let own = provider.account.address().to_checksum(None);
        Ok(json!({ "providerFee": fee, "datatoken": datatoken, "nonce": nonce, "computeAddress": own }))
    });
    Ok(said(&answer.await?))
}

/// From which byte on a file is wanted: `Range: bytes=N-`, all other ranges are answered with the whole.
fn from_byte(headers: &HeaderMap) -> u64 {
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()).unwrap_or(0)
}

async fn download(State(provider): Asked, Parameters(asked): Said, headers: HeaderMap) -> Result<Response, Refused> {
    let from = from_byte(&headers);
    let (opened, slot) = provider
        .within(async {
            let signed = signed(DOWNLOAD, &asked)?;
            provider.nonces.check(signed, provider.now())?;
            let offered = provider.offered(part(&asked, "documentId"), part(&asked, "serviceId")).await?;
            let place = offered.files.place(read(&asked, "fileIndex", "the number of a file, from 0")?)?;
            let shown = read(&asked, "transferTxId", "the hash of the transaction that ordered, or the order's id")?;
            offered.service.admit(&provider.chain, signed.account).await?;
            provider.ordered(&offered, signed.account, shown).await?;
            let slot = provider.slot(signed.account)?;
            let opened = provider.sources.open_from(place, from).await?;
            // Last, so that a request that failed for another reason can be made again.
            provider.nonces.take(signed, provider.now())?;
            Ok((opened, slot))
        })
        .await?;
    Ok(given(opened, slot, from))
}

/// A file on its way.
fn given(opened: Opened, slot: Slot, from: u64) -> Response {
    let (look, left) = (opened.look.clone(), opened.left());
    let parts = stream::try_unfold((opened, slot), |(mut opened, slot)| async move {
        Ok::<_, io::Error>(opened.part().await?.map(|part| (part, (opened, slot))))
    });
    let mut response = Body::from_stream(parts).into_response();
    let mut say = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    };
    say(header::CONTENT_TYPE, look.kind.to_owned());
    // As ocean.js looks for it: no blank, no quotes. No page is ever made of it.
    say(header::CONTENT_DISPOSITION, format!("attachment;filename={}", look.name));
    say(header::ACCESS_CONTROL_EXPOSE_HEADERS, "content-disposition".to_owned());
    say(header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned());
    say(header::CACHE_CONTROL, "no-store".to_owned());
    if let Some(left) = left {
        say(header::CONTENT_LENGTH, left.to_string());
    }
    // Only what lies here is given from a later byte on.
    if let Some(length) = look.length.filter(|length| from > 0 && left == Some(length - from)) {
        say(header::CONTENT_RANGE, format!("bytes {from}-{}/{length}", length - 1));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_to_the_end_is_understood_and_no_other() {
        for (range, from) in [
            ("bytes=7-", 7),
            ("bytes=0-", 0),
            ("bytes=7-9", 0),
            ("bytes=-9", 0),
            ("bytes=7-,9-", 0),
            ("rows=7-", 0),
            ("bytes=99999999999999999999-", 0),
        ] {
            let headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(range))]);
            assert_eq!(from_byte(&headers), from, "{range}");
        }
        assert_eq!(from_byte(&HeaderMap::new()), 0);
    }

    #[test]
    fn refusals_are_json_with_a_status() {
        for (refusal, status) in [
            (Refusal::Malformed(String::new()), 400_u16),
            (Refusal::Unsigned(String::new()), 401),
            (Refusal::Forbidden(String::new()), 403),
            (Refusal::Unknown(String::new()), 404),
            (Refusal::Unavailable(String::new()), 503),
        ] {
            let response = Refused(refusal).into_response();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        }
        assert_eq!(not_served("").status(), StatusCode::NOT_IMPLEMENTED);
    }
}
