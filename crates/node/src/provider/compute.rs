//! The routes of computing, of a node that computes and gives files to buyers: `stoa follow --data DIR --provide DIR`.
//!
//! - `GET computeEnvironments`: what the machine has.
//! - `POST initializeCompute`: whether this program may run on these data for somebody, which orders he has, and quotes for
//!   others, and for the fee if he has not paid it.
//! - `POST compute`, `POST freeCompute`, signed: starts a job. None is free where computing costs something.
//! - `GET compute`: how a job stands, for whoever knows its number; all jobs of an account, for a token of its.
//! - `PUT compute`, signed: stops a job.
//! - `GET computeResult`, signed: what a job has left.
//! - `GET computeStreamableLogs`: nothing, since what a program prints is looked at when it has ended.

use super::{
    Asked, Offered, Provider, QUOTED, Said, Shown,
    answer::{Refused, from_byte, given, part, read, said},
    body::Whole,
    signature, since_1970,
};
use alloy_primitives::{Address, B256};
use axum::{
    Router,
    extract::{Query as Parameters, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use futures::{FutureExt as _, future::BoxFuture};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};
use stoa_data::{
    jobs::{rules::Rules, wire::MOST_CODE},
    market::abi::ESCROW,
    provider::{
        Opened, Pays, RESULT, Refusal, START, START_FREE, STATUS, STOP, Standing, Wanted,
        compute::{
            Code, Container, Documents, Engine, MOST_REQUEST, Ordered, Published, Request, Share, Task, Used, checksum,
        },
    },
    search::Metadata,
};

/// For how many seconds a fee for computing is good beyond the time that it pays for: to order, and to wait for a turn.
const BESIDE: u64 = 600;

/// Where they are.
pub(super) fn routes(at: impl Fn(&str) -> String) -> Router<Arc<Provider>> {
    Router::new()
        .route(&at("computeEnvironments"), get(environments))
        .route(&at("initializeCompute"), post(initialize))
        .route(&at("compute"), post(start).get(status).put(stop))
        .route(&at("freeCompute"), post(start_free))
        .route(&at("computeResult"), get(result))
        .route(&at("computeStreamableLogs"), get(logs))
}

/// What is asked for, after all has been looked at that takes no order.
struct Prepared<'a> {
    /// Each with how it is asked for.
    datasets: Vec<(&'a Ordered, Offered)>,
    /// If it was published.
    algorithm: Option<(&'a Ordered, Offered)>,
    /// The same, as lists of what may run name it.
    published: Option<Published>,
    code: Vec<u8>,
    runtime: u8,
    command: Vec<String>,
    share: Share,
    seconds: u64,
}

impl Prepared<'_> {
    /// What a job pays for with the order of one of its data sets: for the files if it could be given them, and with the first
    /// for all of its computing.
    fn pays(&self, number: usize) -> Pays {
        let dataset = self.datasets.get(number);
        let files = dataset.is_some_and(|(_, offered)| offered.service.gives(&offered.files).is_ok());
        match number {
            // Begun minutes are paid for.
            0 => Pays { files, seconds: self.seconds.next_multiple_of(60), cpu: self.share.cpu },
            _ => Pays { files, ..Pays::default() },
        }
    }
}

/// What is read again of the documents of a job's assets while it is under way.
#[derive(Debug)]
struct Again {
    provider: Weak<Provider>,
    /// Whose job it is.
    account: Address,
    datasets: Vec<Ordered>,
    algorithm: Option<Ordered>,
    /// What runs, if it was published.
    published: Option<Published>,
}

impl Again {
    async fn stands(&self) -> Result<(), Refusal> {
        let ended = || Refusal::Forbidden("the node was ended".to_owned());
        let provider = self.provider.upgrade().ok_or_else(ended)?;
        for which in &self.datasets {
            let offered = provider.offered(&which.did, &which.service).await?;
            offered.lets(&which.did, self.published.as_ref())?;
            offered.service.admit(&provider.chain, self.account).await?;
        }
        if let Some(which) = &self.algorithm {
            let offered = provider.offered(&which.did, &which.service).await?;
            offered.service.admit(&provider.chain, self.account).await?;
        }
        Ok(())
    }
}

impl Documents for Again {
    fn stand(&self) -> BoxFuture<'_, Result<(), Refusal>> {
        self.stands().boxed()
    }
}

impl Offered {
    /// Passes if its document lets this program run on it, or code that nobody has published. What may be downloaded may be computed on.
    fn lets(&self, did: &str, published: Option<&Published>) -> Result<(), Refusal> {
        let Some(trust) = &self.service.compute else { return Ok(()) };
        if !trust.lets(published) {
            let program = published.map_or("of no asset", |published| published.did.as_str());
            return Err(Refusal::Forbidden(format!("Algorithm {program} not allowed to run on the dataset: {did}")));
        }
        // All that a program leaves would leave, and any program may be one that leaves the data.
        if self.files.rules.is_none() && !trust.names(published) {
            return Err(Refusal::Forbidden(format!(
                "any program may run on the dataset {did}, and its publisher has not said what may leave: he seals `rules` with its \
                 files, or names the programs or publishers that he trusts"
            )));
        }
        Ok(())
    }

    /// What a job uses of it.
    fn used(self) -> Used {
        let document = match &self.asset.metadata {
            Metadata::Readable { document, .. } => document.text().to_owned(),
            _ => String::new(),
        };
        let Self { asset, files, .. } = self;
        Used { did: asset.did, nft: asset.nft, document, places: files.places, rules: files.rules }
    }
}

impl Provider {
    fn engine(&self) -> Result<&Arc<Engine>, Refusal> {
        self.engine.as_ref().ok_or_else(|| Refusal::Unknown("this node runs no programs".to_owned()))
    }

    /// A program that was published: its service, the bytes of its file, and what they run in by its document, which `said` may say as well.
    async fn program(
        &self,
        which: &Ordered,
        said: Option<&Container>,
    ) -> Result<(Offered, Vec<u8>, Container), Refusal> {
        let offered = self.offered(&which.did, &which.service).await?;
        let forbidden = |why: &str| Refusal::Forbidden(format!("algorithm {}: {why}", which.did));
        let container = offered.container.clone().ok_or_else(|| forbidden("its document has no container"))?;
        if said.is_some_and(|said| said.hash() != container.hash()) {
            return Err(forbidden("meta.container is not what its document says; leave it out"));
        }
        let [place] = &offered.files.places[..] else { return Err(forbidden("want a service of one file")) };
        let code = self.sources.read(place, MOST_CODE).await?;
        Ok((offered, code, container))
    }

    /// Looks at everything but orders: that the program and the data are there, that it may run on them, and he use them.
    async fn prepare<'a>(&self, request: &'a Request, consumer: Address) -> Result<Prepared<'a>, Refusal> {
        let engine = self.engine()?;
        let share = engine.share(&request.environment, &request.resources)?;
        let (algorithm, code, container) = match &request.code {
            Code::Raw(code, container) => (None, code.clone().into_bytes(), container.clone()),
            Code::Published(which, said) => {
                let (offered, code, container) = self.program(which, said.as_ref()).await?;
                (Some((which, offered)), code, container)
            }
        };
        // Of the bytes that will run.
        let published = algorithm.as_ref().map(|(which, offered)| Published {
            did: offered.asset.did.clone(),
            service: which.service.clone(),
            nft: offered.asset.nft,
            publisher: offered.asset.published.as_ref().map(|published| published.by),
            files: checksum(&code),
            container: container.hash(),
        });
        let mut datasets: Vec<(&Ordered, Offered)> = Vec::new();
        for which in &request.datasets {
            let offered = self.offered(&which.did, &which.service).await?;
            if datasets.iter().any(|(_, other)| other.asset.nft == offered.asset.nft) {
                return Err(Refusal::Malformed("datasets: want each asset once".to_owned()));
            }
            offered.lets(&which.did, published.as_ref())?;
            datasets.push((which, offered));
        }
        for (_, offered) in datasets.iter().chain(&algorithm) {
            offered.service.admit(&self.chain, consumer).await?;
        }
        let (runtime, command) = container.command(&code)?;
        let rules: Vec<&Rules> = datasets.iter().filter_map(|(_, offered)| offered.files.rules.as_ref()).collect();
        engine.accepts(runtime, &code, &rules).await?;
        let seconds = Engine::seconds(request.duration);
        Ok(Prepared { datasets, algorithm, published, code, runtime, command, share, seconds })
    }

    /// The order by which an account uses a service in a job: one that is for it, or one that is for the node and that it has paid for.
    async fn entitled(&self, offered: &Offered, account: Address, shown: &Shown) -> Result<B256, Refusal> {
        let (own, timeout) = (offered.wanted(account), offered.service.timeout);
        let for_node = Wanted { consumer: self.account.address(), payer: Some(account), ..own };
        if matches!(shown, Shown::Nothing) {
            return match self.ordered(for_node, timeout, shown).await {
                Ok(order) => Ok(order),
                Err(_) => self.ordered(own, timeout, shown).await,
            };
        }
        match self.order(for_node, shown).await {
            Ok(order) if for_node.is(&self.chain, order).await.is_ok() => self.standing(for_node, timeout, order).await,
            _ => self.ordered(own, timeout, shown).await,
        }
    }

    /// What an account has of a service, and what it costs it to have an order, and to have paid for this.
    async fn terms(
        &self,
        (which, offered): &(&Ordered, Offered),
        account: Address,
        pays: Pays,
    ) -> Result<Value, Refusal> {
        let mut terms = json!({
            "did": which.did, "serviceId": which.service, "datatoken": offered.service.datatoken.to_checksum(None),
            "chainId": self.chain_id(), "consumerAddress": self.account.address().to_checksum(None), "validOrder": false,
        });
        let shown = self.shown(offered.wanted(account), which.shown).await?;
        match self.entitled(offered, account, &shown).await {
            Ok(order) => match self.paid(offered, account, (&shown, order), pays).await {
                Ok(_) => {
                    // As it was shown, for clients compare.
                    terms["validOrder"] = which.shown.unwrap_or(order).to_string().into();
                    return Ok(terms);
                }
                // By its id, by which the datatoken lets it be used again.
                Err(Refusal::Forbidden(_)) => terms["validOrder"] = order.to_string().into(),
                Err(refusal) => return Err(refusal),
            },
            Err(Refusal::Forbidden(_)) => offered.standing.admit(&self.chain, offered.asset.nft, account).await?,
            Err(refusal) => return Err(refusal),
        }
        let now = since_1970().as_secs();
        let computing = Pays { files: false, ..pays };
        let lasts = if self.fees.charges(&computing) { pays.seconds + BESIDE } else { QUOTED };
        terms["providerFee"] = self.quoted(offered, account, pays, now, now + lasts).await?;
        Ok(terms)
    }

    /// Starts a job.
    async fn started(self: &Arc<Self>, body: &[u8], headers: &HeaderMap, free: bool) -> Result<Value, Refusal> {
        let request = Request::read(body)?;
        let [nonce, signature] = &request.signed;
        let command = if free { START_FREE } else { START };
        let caller = self.caller(command, [&request.consumer, nonce, signature], headers)?;
        if free && self.fees.has_minutes() {
            let why = "no computing is free here: ask what it costs (initializeCompute), and start it with compute";
            return Err(Refusal::Forbidden(why.to_owned()));
        }
        let prepared = self.prepare(&request, caller.account).await?;
        let (mut agreement, mut fee) = (None, None);
        for (number, (which, offered)) in prepared.datasets.iter().chain(&prepared.algorithm).enumerate() {
            let shown = self.shown(offered.wanted(caller.account), which.shown).await?;
            let order = self.entitled(offered, caller.account, &shown).await?;
            let paid = self.paid(offered, caller.account, (&shown, order), prepared.pays(number)).await?;
            if number == 0 {
                (agreement, fee) = (Some(order), paid.filter(|_| self.fees.has_minutes()));
            }
            Standing::lasting(&self.chain, offered.asset.nft, self.publisher, caller.account).await?;
        }
        self.take(&caller)?;
        let Prepared { datasets, algorithm, published, code, runtime, command, share, seconds } = prepared;
        let documents = Again {
            provider: Arc::downgrade(self),
            account: caller.account,
            datasets: request.datasets.clone(),
            algorithm: algorithm.as_ref().map(|(which, _)| (*which).clone()),
            published,
        };
        self.engine()?.start(Task {
            owner: caller.account,
            free,
            agreement: agreement.unwrap_or_default(),
            fee,
            share,
            seconds,
            metadata: request.metadata.clone(),
            runtime,
            command,
            code: code.into(),
            custom: request.custom.clone(),
            algorithm: algorithm.map(|(_, offered)| offered.used()),
            datasets: datasets.into_iter().map(|(_, offered)| offered.used()).collect(),
            documents: Arc::new(documents),
        })
    }
}

async fn environments(State(provider): Asked) -> Result<Response, Refused> {
    Ok(said(&provider.engine()?.environments(provider.chain_id(), &provider.fees)))
}

async fn initialize(State(provider): Asked, body: Whole<MOST_REQUEST>) -> Result<Response, Refused> {
    let answer = provider.within_unsigned(async {
        let request = Request::read(&body)?;
        let consumer = request.consumer.parse::<Address>();
        let consumer = consumer.map_err(|_| Refusal::Malformed("consumerAddress: want an address".to_owned()))?;
        let (chain, token) = request.payment;
        if chain.is_some_and(|chain| chain != provider.chain_id()) {
            let own = provider.chain_id();
            return Err(Refusal::Malformed(format!("payment.chainId: this node follows chain {own}")));
        }
        let own = provider.fees.token();
        if provider.fees.has_minutes() && token.is_some_and(|token| token != own) {
            return Err(Refusal::Malformed(format!("payment.token: computing is paid for in {own} here")));
        }
        let prepared = provider.prepare(&request, consumer).await?;
        let mut datasets = Vec::new();
        for (number, dataset) in prepared.datasets.iter().enumerate() {
            datasets.push(provider.terms(dataset, consumer, prepared.pays(number)).await?);
        }
        let algorithm = match &prepared.algorithm {
            Some(algorithm) => provider.terms(algorithm, consumer, Pays::default()).await?,
            None => json!({ "validOrder": false }),
        };
        let payment = json!({
            "escrowAddress": ESCROW.to_checksum(None), "payee": provider.account.address().to_checksum(None),
            "chainId": provider.chain_id(), "token": token, "amount": "0",
            "minLockSeconds": prepared.seconds,
        });
        Ok(json!({ "algorithm": algorithm, "datasets": datasets, "payment": payment }))
    });
    Ok(said(&answer.await?))
}

async fn start(State(provider): Asked, headers: HeaderMap, body: Whole<MOST_REQUEST>) -> Result<Response, Refused> {
    Ok(said(&provider.within(provider.started(&body, &headers, false)).await?))
}

async fn start_free(
    State(provider): Asked,
    headers: HeaderMap,
    body: Whole<MOST_REQUEST>,
) -> Result<Response, Refused> {
    Ok(said(&provider.within(provider.started(&body, &headers, true)).await?))
}

async fn status(State(provider): Asked, Parameters(asked): Said, headers: HeaderMap) -> Result<Response, Refused> {
    let account = read(&asked, "consumerAddress", "an address")?;
    let job = Some(part(&asked, "jobId")).filter(|job| !job.is_empty());
    let jobs = provider.engine()?.status(account, job);
    if job.is_none() {
        // Which jobs somebody has is told to him alone. The number of a request of somebody who has none is not remembered.
        let caller = provider.caller(STATUS, signature(&asked), &headers)?;
        if jobs != json!([]) {
            provider.take(&caller)?;
        }
    }
    Ok(said(&jobs))
}

/// The job that is meant.
fn job(asked: &HashMap<String, String>) -> Result<&str, Refusal> {
    let job = Some(part(asked, "jobId")).filter(|job| !job.is_empty());
    job.ok_or_else(|| Refusal::Malformed("jobId: want the number of a job".to_owned()))
}

async fn stop(State(provider): Asked, Parameters(asked): Said, headers: HeaderMap) -> Result<Response, Refused> {
    let caller = provider.caller(STOP, signature(&asked), &headers)?;
    let stopped = provider.engine()?.stop(caller.account, job(&asked)?)?;
    provider.take(&caller)?;
    Ok(said(&stopped))
}

async fn result(State(provider): Asked, Parameters(asked): Said, headers: HeaderMap) -> Result<Response, Refused> {
    let from = from_byte(&headers);
    let (opened, slot) = provider
        .within(async {
            let caller = provider.caller(RESULT, signature(&asked), &headers)?;
            let index = read(&asked, "index", "the number of a result, from 0")?;
            let (path, name) = provider.engine()?.result(caller.account, job(&asked)?, index)?;
            let slot = provider.slot(caller.account)?;
            let opened = Opened::file(&path, &name, from).await?;
            provider.take(&caller)?;
            Ok((opened, slot))
        })
        .await?;
    Ok(given(opened, slot, from))
}

async fn logs() -> Response {
    let error = "Job not found or not running: what a program prints is among its results when it has ended";
    (StatusCode::NOT_FOUND, said(&json!({ "error": error }))).into_response()
}
