//! What a node tells of the market's assets: an index of them, kept from its own copy of the ledger, on the routes of Ocean's
//! indexers.
//!
//! - `GET /api/aquarius/assets/ddo/DID`, `GET /api/aquarius/assets/metadata/DID`: an asset's document with what the ledger knows
//!   beside it.
//! - `POST /api/aquarius/assets/query`: a search, answered as Elasticsearch does (Aquarius, Ocean's market).
//! - `POST /api/aquarius/assets/metadata/query`: the same, answered with lists of documents (Ocean's node).
//! - `POST /api/aquarius/assets/ddo/validate`: whether a document is as Ocean's schemas want it. If it is, the node's account
//!   signs its hash, so that it can be published with that proof (`MetadataValidated`).
//! - `GET /api/aquarius/state/ddo?nft=ADDRESS`, `?did=DID`: what came of an asset's metadata, and why they cannot be read.
//!
//! Whoever asks may cost so many bytes, so much time and one of so many threads, and no more.

use crate::common::Background;
use alloy_primitives::{Address, B256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use axum::{
    Router,
    body::Bytes,
    extract::{FromRequest, Path as Segment, Query as Parameters, Request as Asked, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use eyre::{Result, eyre};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::{path::Path, sync::Arc, time::Duration};
use stoa_data::{
    ddo::{self, Document},
    search::{
        Asset, CONTRACT_TOPICS, CONTRACTS, ChainId, Cursor, INSTANCE_TOPICS, Index, Logged, Metadata, TRANSFER,
        ocean::{self, AnswerError, Form, Request},
    },
};
use stoa_ledger::{Ledger, LedgerError, LogEntry, LogFilter};
use stoa_rpc::body::{self, Budget, Fault};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::{JoinError, JoinHandle},
    time::{sleep, timeout},
};

/// Blocks, and events, that are taken in at once.
const BLOCKS: u64 = 1_000;
const EVENTS: usize = 20_000;

/// The gas that the transactions of blocks which are taken in at once have used, if they are several: it bounds the bytes of their
/// events, and how much work these are.
const GAS: u64 = 200_000_000;

/// Searches and documents that are looked at at the same time, and for how long one waits for its turn and then may take.
const READERS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a search that was ended is waited for before it is ended again.
const AGAIN: Duration = Duration::from_millis(100);

/// The most bytes of a question, and of one with a document.
const QUESTION: usize = 64 << 10;
const DOCUMENT: usize = ddo::MOST + QUESTION;

/// The most bytes of all large ones that are there at the same time.
const ROOM: usize = 64 << 20;

/// An index that is kept and asked.
pub(crate) struct Opened {
    ledger: Ledger,
    writer: Index,
    served: Arc<Served>,
}

/// What is asked, by however many at once.
pub(crate) struct Served {
    readers: Mutex<Vec<Index>>,
    places: Arc<Semaphore>,
    room: Budget,
    chain_id: u64,
    /// Who signs documents that are as they should be.
    account: PrivateKeySigner,
    /// Why it is not kept any more.
    ended: Mutex<Option<String>>,
}

/// Opens a node's index beside its chain, if it is to have one, which then validates documents as this account.
pub(crate) fn open(account: Option<PrivateKeySigner>, folder: &Path, ledger: &Ledger) -> Result<Option<Opened>> {
    let Some(account) = account else { return Ok(None) };
    let chain = ChainId { id: ledger.genesis().chain_id, genesis: ledger.first().hash() };
    let mut writer = Index::open(&folder.join("index.sqlite"), chain)?;
    if let Some(has) = writer.cursor()? {
        // The chain does not go back, but its folder may be another's copy.
        let same = ledger.block(has.number)?.is_some_and(|committed| committed.block.hash() == has.hash);
        if has.number <= ledger.head().number() && !same {
            writer.renew()?;
        }
    }
    let readers = (0..READERS).map(|_| writer.reader()).collect::<Result<_, _>>()?;
    let (places, room, ended) = (Arc::new(Semaphore::new(READERS)), Budget::new(ROOM), Mutex::default());
    let served = Served { readers: Mutex::new(readers), places, room, chain_id: chain.id, account, ended };
    Ok(Some(Opened { ledger: ledger.clone(), writer, served: Arc::new(served) }))
}

impl Opened {
    /// Where it is asked.
    pub(crate) fn routes(&self) -> Router {
        let base = "/api/aquarius";
        Router::new()
            .route(&format!("{base}/assets/ddo/{{did}}"), get(document))
            .route(&format!("{base}/assets/metadata/{{did}}"), get(document))
            .route(&format!("{base}/assets/query"), post(hits))
            .route(&format!("{base}/assets/metadata/query"), post(lists))
            .route(&format!("{base}/state/ddo"), get(state))
            .route(&format!("{base}/assets/ddo/validate"), post(validate))
            .with_state(self.served.clone())
    }

    /// What others ask it through.
    pub(crate) fn served(&self) -> Arc<Served> {
        self.served.clone()
    }

    /// Keeps it up to the ledger.
    pub(crate) fn start(self) -> Background {
        let Self { ledger, mut writer, served } = self;
        Background::spawn(async move {
            let mut blocks = ledger.subscribe();
            loop {
                let own = ledger.clone();
                // Blocking: it reads and writes files.
                let work = tokio::task::spawn_blocking(move || {
                    let outcome = catch_up(&own, &mut writer);
                    (writer, outcome)
                });
                let Ok((back, outcome)) = work.await else { return };
                writer = back;
                if let Err(error) = outcome {
                    tracing::error!(%error, "the index of assets is not kept any more");
                    *served.ended.lock() = Some(format!("{error:#}"));
                    return;
                }
                // One that was missed is taken in with the next.
                if let Err(tokio::sync::broadcast::error::RecvError::Closed) = blocks.recv().await {
                    return;
                }
            }
        })
    }
}

/// Takes in what is new. Blocking.
fn catch_up(ledger: &Ledger, index: &mut Index) -> Result<()> {
    let mut blocks = BLOCKS;
    loop {
        let (head, from) = (ledger.head().number(), index.cursor()?.map_or(0, |has| has.number + 1));
        if from > head {
            return Ok(());
        }
        let used = |number| ledger.header(number).map(|header| header.map_or(0, |header| header.gas_used));
        let to = reach(from, head.min(from + blocks - 1), used).map_err(unread)?;
        // A single block is bounded by its gas.
        let most = if to > from { EVENTS } else { usize::MAX - 1 };
        let logs = match events(ledger, from, to, most) {
            Err(LedgerError::TooManyLogs { .. }) => {
                blocks = (to - from).div_ceil(2);
                continue;
            }
            other => other.map_err(unread)?,
        };
        let block = ledger.block(to)?.ok_or_else(|| eyre!("there is no block {to}"))?.block;
        index.apply(from, Cursor { number: to, hash: block.hash() }, &logs)?;
        blocks = (2 * blocks).min(BLOCKS);
    }
}

/// Up to which of the blocks `from..=to` events are taken in at once, where `used` tells of each how much gas it has used.
fn reach(from: u64, to: u64, used: impl Fn(u64) -> Result<u64, LedgerError>) -> Result<u64, LedgerError> {
    let mut gas = 0_u64;
    for number in from..=to {
        gas = gas.saturating_add(used(number)?);
        if gas > GAS && number > from {
            return Ok(number - 1);
        }
    }
    Ok(to)
}

/// Why the ledger cannot be read.
fn unread(error: LedgerError) -> eyre::Report {
    match error {
        LedgerError::NotKept { asked, first } => eyre!(
            "this node has blocks from {first} on, and an index needs all from {asked} on: follow the chain with --from-genesis in a \
             new folder"
        ),
        error => eyre::Report::new(error).wrap_err("the ledger cannot be read"),
    }
}

fn events(ledger: &Ledger, from: u64, to: u64, most: usize) -> Result<Vec<Logged>, LedgerError> {
    let of = |addresses: &[Address], topics: [&[B256]; 4]| LogFilter {
        addresses: addresses.to_vec(),
        topics: topics.map(<[B256]>::to_vec),
    };
    let (transfer, token) = TRANSFER;
    let filters = [
        of(&CONTRACTS, [&CONTRACT_TOPICS, &[], &[], &[]]),
        of(&[], [&INSTANCE_TOPICS, &[], &[], &[]]),
        of(&[], [&[transfer], &[], &[], &[token]]),
    ];
    let mut all = Vec::new();
    for filter in filters {
        all.extend(ledger.logs(from, to, &filter, most)?);
    }
    all.sort_by_key(|entry| (entry.block_number, entry.log_index));
    let logged = |LogEntry { log, block_number, block_timestamp, transaction_hash, .. }| Logged {
        number: block_number,
        time: block_timestamp,
        transaction: transaction_hash,
        log,
    };
    Ok(all.into_iter().map(logged).collect())
}

fn said(status: StatusCode, text: impl Into<String>) -> Response {
    (status, text.into()).into_response()
}

fn json_text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// A body that has come, of `MOST` bytes at most.
struct Whole<const MOST: usize>(Bytes);

impl<const MOST: usize> FromRequest<Arc<Served>> for Whole<MOST> {
    type Rejection = Response;

    async fn from_request(request: Asked, served: &Arc<Served>) -> Result<Self, Response> {
        let read = body::read(request.into_body(), MOST, PATIENCE, &served.room).await;
        read.map(Self).map_err(|(fault, discarded)| {
            let (status, why) = match fault {
                Fault::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, format!("too long: want {MOST} bytes at most")),
                Fault::TooSlow => (StatusCode::REQUEST_TIMEOUT, "it takes too long to come: try again".to_owned()),
                Fault::Broken => (StatusCode::BAD_REQUEST, "it ends before it is complete".to_owned()),
                Fault::NoRoom => (StatusCode::SERVICE_UNAVAILABLE, "the node is busy: try again".to_owned()),
            };
            discarded.answer(said(status, why))
        })
    }
}

fn busy() -> Response {
    said(StatusCode::SERVICE_UNAVAILABLE, "too many searches are under way: try again")
}

/// Waits for a search, and ends it when it has taken too long or nobody waits for it any more.
async fn ended<T>(mut work: JoinHandle<T>, gone: oneshot::Receiver<()>, interrupt: impl Fn()) -> Result<T, JoinError> {
    tokio::select! {
        outcome = &mut work => return outcome,
        _ = gone => {}
        () = sleep(PATIENCE) => {}
    }
    // Again and again: between two of its statements there is nothing to interrupt.
    loop {
        interrupt();
        if let Ok(outcome) = timeout(AGAIN, &mut work).await {
            return outcome;
        }
    }
}

impl Served {
    /// One of so many places, for work that takes a thread. It goes into that work, which may outlive whoever asked.
    async fn place(&self) -> Result<OwnedSemaphorePermit, Response> {
        let place = timeout(PATIENCE, self.places.clone().acquire_owned()).await;
        place.ok().and_then(Result::ok).ok_or_else(busy)
    }

    /// Runs something on an index, on a thread that may block, and not for longer than it may take.
    pub(crate) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        run: impl FnOnce(&Index) -> Result<T, AnswerError> + Send + 'static,
    ) -> Result<T, Response> {
        if let Some(why) = self.ended.lock().clone() {
            return Err(said(StatusCode::SERVICE_UNAVAILABLE, why));
        }
        let place = self.place().await?;
        let reader = self.readers.lock().pop().ok_or_else(busy)?;
        let interrupter = reader.interrupter();
        let work = tokio::task::spawn_blocking(move || {
            let outcome = run(&reader);
            (reader, outcome)
        });
        let (_asker, gone) = oneshot::channel();
        let own = self.clone();
        // Whoever asked may go: the reader and the place are free when the work has ended, and no sooner.
        let bounded = tokio::spawn(async move {
            let ended = ended(work, gone, move || interrupter.interrupt()).await;
            let outcome = ended.map(|(reader, outcome)| {
                own.readers.lock().push(reader);
                outcome
            });
            drop(place);
            outcome
        });
        match bounded.await.flatten() {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error @ AnswerError::TooLarge)) => Err(said(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a search failed");
                Err(said(StatusCode::INTERNAL_SERVER_ERROR, "the search failed, or took too long"))
            }
            Err(_) => Err(said(StatusCode::INTERNAL_SERVER_ERROR, "the search failed")),
        }
    }
}

async fn document(State(served): State<Arc<Served>>, Segment(did): Segment<String>) -> Response {
    if !did.starts_with("did:op") {
        return said(StatusCode::BAD_REQUEST, "want a DID: did:op:… or did:ope:…");
    }
    let chain_id = served.chain_id;
    let answer = served.ask(move |index| {
        let asset = index.asset_by_did(&did)?;
        Ok(asset.map(|asset| ocean::ddo(&asset, chain_id).ok_or_else(|| unreadable(&asset))))
    });
    match answer.await {
        Ok(Some(Ok(document))) => json_text(document.to_string()),
        Ok(Some(Err(why))) => said(StatusCode::NOT_FOUND, format!("the asset has no document that can be read: {why}")),
        Ok(None) => said(StatusCode::NOT_FOUND, "there is no such asset"),
        Err(refusal) => refusal,
    }
}

/// Why an asset has no document.
fn unreadable(asset: &Asset) -> String {
    match &asset.metadata {
        Metadata::None => "none was published".to_owned(),
        Metadata::Sealed => "it is encrypted".to_owned(),
        Metadata::Bad { why } => why.clone(),
        Metadata::Readable { .. } => String::new(),
    }
}

async fn query(served: &Arc<Served>, body: &Bytes, form: Form) -> Response {
    let body: Value = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(error) => return said(StatusCode::BAD_REQUEST, format!("the question is not JSON: {error}")),
    };
    let request = match Request::read(&body, form, served.chain_id) {
        Ok(request) => request,
        Err(why) => return said(StatusCode::BAD_REQUEST, why),
    };
    served.ask(move |index| request.answer(index)).await.map_or_else(|refusal| refusal, json_text)
}

async fn hits(State(served): State<Arc<Served>>, Whole(body): Whole<QUESTION>) -> Response {
    query(&served, &body, Form::Hits).await
}

async fn lists(State(served): State<Arc<Served>>, Whole(body): Whole<QUESTION>) -> Response {
    query(&served, &body, Form::Lists).await
}

/// A document to be looked at. What else clients send with it, who publishes it and his signature, says nothing about it.
#[derive(Deserialize)]
struct Judged {
    ddo: Box<RawValue>,
}

/// Answered as Ocean's node does: `r` and `s` in lists.
async fn validate(State(served): State<Arc<Served>>, Whole(body): Whole<DOCUMENT>) -> Response {
    let place = match served.place().await {
        Ok(place) => place,
        Err(refusal) => return refusal,
    };
    let judged = tokio::task::spawn_blocking(move || {
        let _place = place;
        let Judged { ddo: text } =
            serde_json::from_slice(&body).map_err(|error| json!({ "ddo": error.to_string() }))?;
        let document = Document::read(text.get().as_bytes()).map_err(|error| json!({ "ddo": error.to_string() }))?;
        let faults = document.check();
        if faults.is_empty() {
            return Ok(ddo::hash(text.get().as_bytes()));
        }
        Err(faults.into_iter().map(|fault| (fault.field, Value::String(fault.what))).collect::<Value>())
    });
    let Ok(judged) = judged.await else {
        return said(StatusCode::INTERNAL_SERVER_ERROR, "the document could not be looked at");
    };
    match judged.map(|hash| (hash, served.account.sign_message_sync(hash.as_slice()))) {
        Ok((hash, Ok(signature))) => {
            let (r, s) = (B256::from(signature.r()), B256::from(signature.s()));
            let (v, key) = (27 + u8::from(signature.v()), served.account.address());
            json_text(json!({ "hash": hash, "publicKey": key, "r": [r], "s": [s], "v": v }).to_string())
        }
        Ok((_, Err(error))) => said(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        Err(faults) => (StatusCode::BAD_REQUEST, json_text(json!({ "error": faults }).to_string())).into_response(),
    }
}

/// Where a node that is no provider answers with the number of the last signed request of an account. None is asked for: requests
/// that are signed are answered to anybody.
pub(crate) fn nonces() -> Router {
    Router::new().route("/api/services/nonce", get(async || json_text(json!({ "nonce": "0" }).to_string())))
}

#[derive(Deserialize)]
struct Which {
    did: Option<String>,
    nft: Option<Address>,
}

async fn state(State(served): State<Arc<Served>>, Parameters(which): Parameters<Which>) -> Response {
    if which.did.is_none() && which.nft.is_none() {
        return said(StatusCode::BAD_REQUEST, "which asset? Say did=DID or nft=ADDRESS");
    }
    let asset = served.ask(move |index| {
        let asset = match (which.nft, which.did) {
            (Some(nft), _) => index.asset(nft)?,
            (None, did) => index.asset_by_did(&did.unwrap_or_default())?,
        };
        Ok(asset)
    });
    match asset.await {
        Ok(Some(asset)) => {
            let why = unreadable(&asset);
            let transaction = asset.published.as_ref().map(|published| published.place.transaction);
            let said = json!({
                "chainId": served.chain_id, "did": asset.id, "nft": asset.nft, "txId": transaction,
                "valid": why.is_empty(), "error": why,
            });
            json_text(said.to_string())
        }
        Ok(None) => said(StatusCode::NOT_FOUND, "there is no such asset"),
        Err(refusal) => refusal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};

    fn served(readers: Vec<Index>) -> Arc<Served> {
        Arc::new(Served {
            readers: Mutex::new(readers),
            places: Arc::new(Semaphore::new(READERS)),
            room: Budget::new(ROOM),
            chain_id: 1,
            account: PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).unwrap(),
            ended: Mutex::default(),
        })
    }

    #[tokio::test]
    async fn a_question_that_is_too_long_is_refused_in_words_once_it_has_been_read() {
        let served = served(Vec::new());
        let ask = async |bytes: usize| {
            let asked = Asked::new(Body::from(vec![b' '; bytes]));
            Whole::<QUESTION>::from_request(asked, &served).await
        };
        assert_eq!(ask(QUESTION).await.unwrap().0.len(), QUESTION);
        let refused = ask(QUESTION + 1).await.err().unwrap();
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert!(!refused.headers().contains_key(header::CONNECTION));
        let said = to_bytes(refused.into_body(), 1 << 10).await.unwrap();
        assert!(String::from_utf8_lossy(&said).contains("want 65536 bytes at most"), "{said:?}");
    }
    #[tokio::test]
    async fn a_search_holds_its_place_until_it_ends_though_nobody_waits_for_it() {
        let index = Index::in_memory(ChainId { id: 1, genesis: B256::ZERO }).unwrap();
        let served = served(vec![index]);
        let (end, ends) = std::sync::mpsc::channel::<()>();
        let asked = served.ask(move |_| {
            let _ = ends.recv();
            Ok(())
        });
        assert!(timeout(Duration::from_millis(50), asked).await.is_err());
        sleep(Duration::from_millis(50)).await;
        assert_eq!((served.places.available_permits(), served.readers.lock().len()), (READERS - 1, 0));
        drop(end);
        while served.places.available_permits() < READERS {
            sleep(Duration::from_millis(5)).await;
        }
        assert!(served.ask(|index| Ok(index.cursor()?)).await.is_ok());
    }

    #[tokio::test]
    async fn a_search_that_nobody_waits_for_is_ended_and_again_if_the_first_time_did_nothing() {
        let times = Arc::new(Mutex::new(0));
        let seen = times.clone();
        let work = tokio::task::spawn_blocking(move || {
            while *seen.lock() < 2 {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let (asker, gone) = oneshot::channel();
        drop(asker);
        ended(work, gone, || *times.lock() += 1).await.unwrap();
        assert!(*times.lock() >= 2);
    }

    #[tokio::test]
    async fn a_document_is_looked_at_when_there_is_a_place() {
        let served = served(Vec::new());
        let taken = served.places.clone().acquire_many_owned(READERS as u32).await.unwrap();
        let body = || Whole::<DOCUMENT>(Bytes::from_static(b"{}"));
        let waiting = validate(State(served.clone()), body());
        assert!(timeout(Duration::from_millis(50), waiting).await.is_err());
        drop(taken);
        assert_eq!(validate(State(served), body()).await.status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn so_much_gas_is_taken_in_at_once_or_a_single_block() {
        let reach = |gas: &[u64]| reach(7, 6 + gas.len() as u64, |number| Ok(gas[number as usize - 7])).unwrap();
        assert_eq!(reach(&[0; 5]), 11);
        assert_eq!(reach(&[GAS / 2, GAS / 2, 1, 0]), 8);
        assert_eq!(reach(&[GAS + 1, 0, 0]), 7);
        assert_eq!(reach(&[u64::MAX]), 7);
    }
}
