//! What buyers do: ask a node whether it would do a job, begin it under a grant, send the program, ask round after round, end it and
//! bring the receipt.

mod draw;
mod grants;
mod start;
#[cfg(test)]
mod tests;

use super::{
    COIN,
    abi::{
        DRAWN, FINISHED,
        IJobs::{
            IJobsErrors, Job, JobFinished, JobsNotOwner, Offer, Receipt, Withdrawn, bondCall, costCall, expireCall,
            finishCall, jobOfCall, offerCall, presentOfferOfCall, receiptOfCall, stopCall, unbondCall, withdrawCall,
        },
        JOBS, LIMITED, PROCESS, WAITING, WASM,
    },
    contract::{MILLION, cost, due},
    results,
    run::{Files, OUT_OF_STEPS},
    units,
    wire::{JOB, MOST_ANSWER, Request, Round, UNOFFERED, UNPUBLISHED, sign_asking, signed_from_bytes},
};
use crate::{
    abi::{
        ADDRESS, COMPUTE, CONSENT, CREDENTIAL,
        IConsent::{Granted, Terms, assetOfCall, grantCall, registerCall},
    },
    client::{DataError, Holders},
    contract::asset_id,
    patience::patiently,
    reading::identity,
    registry::Registry,
};
use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{SolCall, SolEvent};
use commonware_codec::{Copying, DecodeExt as _};
pub use draw::{draw, draw_soon};
use futures::{future::try_join_all, join};
use start::{Ready, TRIES, allow, may_go_well, pause, start_all};
use std::time::Duration;
use stoa_base::NodeId;
use stoa_client::{SendError, ViewError, Wallet, utc, view};
use stoa_contract::interfaces::{IERC20, IERC20Errors::IERC20ErrorsErrors};
use stoa_net::{Connections, Denied, Endpoint, PeerAddress, answered};

/// How long a node may take to answer, beyond the time for which it waits for a round.
const PATIENCE: Duration = Duration::from_secs(60);

/// Grants that one question brings.
const PAGE: u64 = 100;

type Result<T> = std::result::Result<T, DataError>;

/// Somebody with a wallet who has others compute for him. Nodes know him by the key of his endpoint.
pub struct Buyer {
    wallet: Wallet,
    registry: Registry,
    nodes: Connections,
    client: NodeId,
}

/// What a buyer wants to have done on an asset.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The program.
    pub algorithm: B256,
    /// What is to run it: `WASM` or `PROCESS`.
    pub runtime: u8,
    /// How often.
    pub rounds: u32,
    /// Steps at most, all rounds together.
    pub fuel: u64,
    /// What it may cost at most, in units of the offer's token.
    pub most: U256,
}

/// A job that has begun.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The job.
    pub job: B256,
    /// What it computes on.
    pub asset: B256,
    /// What is held for it, in units of the offer's token.
    pub held: U256,
    /// The token.
    pub token: Address,
    node: PeerAddress,
}

/// What left in a round.
#[derive(Clone, Debug)]
pub struct Left {
    /// Files by their paths.
    pub files: Files,
    /// What the program printed, if the owner lets that leave.
    pub log: Option<String>,
}

/// How a job ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What the node signed.
    pub receipt: Receipt,
    /// What the owner got.
    pub paid: U256,
    /// What came back.
    pub refunded: U256,
}

/// A refusal of the contract of jobs in words; amounts are of this token.
fn words(reason: &IJobsErrors, token: Address) -> String {
    use IJobsErrors as E;
    match reason {
        E::JobsNotOwner(error) => format!("{} does not own asset {}", error.caller, error.asset),
        E::JobsNotOffered(error) => format!("nobody computes on asset {}", error.asset),
        E::JobsInvalidOffer(error) => format!("this cannot be offered: {}", error.what),
        E::JobsOtherOffer(error) => format!(
            "what is offered of asset {} has changed since it was looked at: no job was begun on it, and nothing is held; try again",
            error.asset
        ),
        E::JobsTooMuchFuel(error) => format!(
            "{} million steps are asked for, and {} million are offered: `--steps` asks for fewer",
            error.fuel.div_ceil(MILLION),
            error.most / MILLION
        ),
        E::JobsTooDear(error) => {
            format!("it costs {}, which is more than {}", units(error.cost, token), units(error.most, token))
        }
        E::JobUnknown(error) => format!("there is no job {}", error.job),
        E::JobIsOver(error) => format!("job {} is over", error.job),
        E::JobNotBuyer(error) => format!("{} did not begin job {}", error.caller, error.job),
        E::JobOtherData(error) => format!("the receipt of job {} is about other data", error.job),
        E::JobInvalidSignature(error) => format!("the receipt of job {} is not signed by its node", error.job),
        E::JobNotOver(error) => {
            format!("the node of job {} has time until {}", error.job, utc(error.until))
        }
        E::JobNoSuchEnd(error) => format!("a job does not end in way {}", error.ended),
        E::JobsOtherRuntime(error) => match error.runtime {
            PROCESS => format!("no processes run on asset {}", error.asset),
            WASM => format!("no WebAssembly runs on asset {}", error.asset),
            other => format!("there is no runtime {other}"),
        },
        E::JobsBondTooLow(error) => format!(
            "{} of the bond of asset {} are free, and {} are needed: its owner can add to it (`stoa job bond`)",
            units(error.free, token),
            error.asset,
            units(error.needed, token)
        ),
        E::JobCheckNotNow(error) => match error.state {
            0 => format!("job {} is not checked", error.job),
            WAITING => format!("nobody is drawn for job {} yet", error.job),
            DRAWN => format!("job {} is being checked", error.job),
            _ => format!("the check of job {} is over", error.job),
        },
        E::JobNotDrawnYet(error) => format!("job {} is drawn in block {}", error.job, error.number),
        E::JobNotAuditor(error) => format!("node {} was not drawn to check job {}", error.auditor, error.job),
        E::JobCheckOver(error) => {
            format!("the time to check job {} was over at {}", error.job, utc(error.until))
        }
        E::JobCheckNotOver(error) => {
            format!("those who check job {} have time until {}", error.job, utc(error.until))
        }
        E::JobCommitted(error) => format!("node {} has committed itself about job {}", error.auditor, error.job),
        E::JobOtherVerdict(error) => {
            format!("node {} did not commit itself to this verdict about job {}", error.auditor, error.job)
        }
        E::JobsNoCredit(error) => format!("nothing of {} is kept for {}", error.token, error.account),
    }
}

/// What an account lacks that cannot pay what would be held for its jobs, in words.
fn short(account: Address, has: U256, needed: U256, token: Address) -> String {
    let [has, needed] = [has, needed].map(|amount| units(amount, token));
    format!("{account} has {has}, and {needed} are needed, to be held until the jobs are done")
}

/// Why a round, counted from 1, was a job's last, in words. What its program printed, if that is told, has lines of its own.
fn over(ended: u8, why: &str, round: u32, asset: B256) -> String {
    let more = if ended == LIMITED && why.starts_with(OUT_OF_STEPS) { " (`--steps` allows more)" } else { "" };
    let why = why.trim_end();
    let (why, printed) = why.split_at(why.find('\n').unwrap_or(why.len()));
    format!("{why} in round {round} on asset {asset}{more}{printed}")
}

fn said(error: SendError) -> DataError {
    said_of(error, COIN)
}

/// Why something was refused that is paid in this token.
fn said_of(error: SendError, token: Address) -> DataError {
    let SendError::Refused(refused) = &error else { return error.into() };
    if let Some(reason) = refused.reason::<IJobsErrors>() {
        return DataError::Ledger(words(&reason, token));
    }
    match refused.reason() {
        Some(IERC20ErrorsErrors::ERC20InsufficientBalance(lacks)) => {
            let [has, needed] = [lacks.balance, lacks.needed].map(|amount| units(amount, token));
            DataError::Ledger(format!("{} has {has}, and {needed} are needed", lacks.sender))
        }
        Some(IERC20ErrorsErrors::ERC20InsufficientAllowance(lacks)) => {
            let [allowed, needed] = [lacks.allowance, lacks.needed].map(|amount| units(amount, token));
            DataError::Ledger(format!(
                "the contract of jobs may take {allowed} of the account, and {needed} are needed: other programs of the account have taken \
                 what was allowed, so try again when they are done"
            ))
        }
        _ => error.into(),
    }
}

/// Why an owner cannot have his bond back: as [`said_of`], but it is not for want of more.
fn bound(error: SendError, token: Address) -> DataError {
    let reason = match &error {
        SendError::Refused(refused) => refused.reason::<IJobsErrors>(),
        _ => None,
    };
    match reason {
        Some(IJobsErrors::JobsBondTooLow(lacks)) => {
            let [free, wanted] = [lacks.free, lacks.needed].map(|amount| units(amount, token));
            DataError::Ledger(format!(
                "{wanted} of the bond of asset {} are wanted back, and {free} of it are free: the rest is reserved for jobs until they are \
                 over",
                lacks.asset
            ))
        }
        _ => said_of(error, token),
    }
}

fn event<E: SolEvent>(receipt: &alloy_rpc_types_eth::TransactionReceipt) -> Result<E> {
    let logs = receipt.inner.logs().iter();
    logs.filter_map(|log| E::decode_log(&log.inner).ok()).map(|log| log.data).next().ok_or(DataError::Receipt)
}

/// Pays out what the contract of jobs keeps for a wallet that a token did not pay, to this account; how much that was.
///
/// # Errors
///
/// If there is nothing, or the ledger or the token refuses.
pub async fn withdraw(wallet: &Wallet, token: Address, to: Address) -> Result<U256> {
    let withdrawn: Withdrawn = event(&wallet.call(JOBS, &withdrawCall { token, to }).await.map_err(said)?)?;
    Ok(withdrawn.amount)
}

/// Has what is held for a job given back to its buyer, whose receipt did not come in time.
///
/// # Errors
///
/// If its node has time yet, the job is over, or the ledger refuses.
pub async fn expire(wallet: &Wallet, job: B256) -> Result<()> {
    wallet.call(JOBS, &expireCall { job }).await.map(drop).map_err(said)
}

impl Buyer {
    /// The wallet's owner, known to nodes by this endpoint's key.
    pub fn new(wallet: Wallet, registry: Registry, endpoint: &Endpoint, client: NodeId) -> Self {
        Self { wallet, registry, nodes: Connections::new(endpoint, JOB), client }
    }

    async fn view<C: SolCall>(&self, to: Address, call: &C) -> std::result::Result<C::Return, ViewError> {
        Ok(view(self.wallet.client(), to, call).await?.0)
    }

    /// What is offered of an asset, and which of its offers that is.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked, or nothing is.
    pub async fn offer_of(&self, asset: B256) -> Result<(Offer, u32)> {
        let present = self.view(JOBS, &presentOfferOfCall { asset }).await?;
        if present.offer.node.is_zero() {
            return Err(DataError::Ledger(format!("nobody computes on asset {asset}")));
        }
        Ok((present.offer, present.number))
    }

    /// A grant of an asset under which this wallet may have the program run.
    ///
    /// # Errors
    ///
    /// If there is none: why one that is for this wallet does not let it.
    pub async fn grant_for(&self, asset: B256, algorithm: B256) -> Result<B256> {
        grants::grant_for(&self.wallet, asset, algorithm).await
    }

    /// Begins a job on an asset, once its node says that it could do it: before that nothing is paid. What it may cost is allowed to the
    /// contract of jobs first.
    ///
    /// # Errors
    ///
    /// If nothing is offered or granted, the node cannot be reached or would not do it, or the ledger refuses.
    pub async fn begin(&self, asset: B256, wanted: &Wanted) -> Result<Begun> {
        let (mut begun, outcome) = self.begin_all(&[asset], wanted).await;
        outcome?;
        begun.pop().ok_or(DataError::Receipt)
    }

    /// Begins a job on each of these assets, as [`begin`](Self::begin) does, in one block if that can be, once all of their nodes say
    /// that they could. Those that have begun, in the same order, and why one has not.
    pub async fn begin_all(&self, assets: &[B256], wanted: &Wanted) -> (Vec<Begun>, Result<()>) {
        match try_join_all(assets.iter().map(|asset| self.ready(*asset, wanted))).await {
            Ok(ready) => start_all(&self.wallet, self.client, &ready, wanted).await,
            Err(error) => (Vec::new(), Err(error)),
        }
    }

    /// What has to be known to begin a job, which its node could do.
    async fn ready(&self, asset: B256, wanted: &Wanted) -> Result<Ready> {
        let Wanted { algorithm, fuel, most, .. } = *wanted;
        let costs = costCall { asset, fuel };
        let (offer, grant, cost) =
            join!(self.offer_of(asset), self.grant_for(asset, algorithm), self.view(JOBS, &costs));
        let ((offer, number), grant, cost) = (offer?, grant?, cost.map_err(|error| said(error.into()))?);
        if cost > most {
            let [cost, most] = [cost, most].map(|amount| units(amount, offer.token));
            return Err(DataError::Ledger(format!(
                "it costs {cost} for {} million steps, which is more than {most}: `--steps` asks for fewer, `--most` allows more",
                fuel.div_ceil(MILLION)
            )));
        }
        let node = self.node_of(asset, &offer).await?;
        self.could(&node, asset, &offer, wanted).await?;
        Ok(Ready { asset, grant, offer: number, node, token: offer.token, cost })
    }

    /// Asks a node whether it could do a job.
    async fn could(&self, node: &PeerAddress, asset: B256, offer: &Offer, wanted: &Wanted) -> Result<()> {
        let Wanted { algorithm, runtime, rounds, .. } = *wanted;
        let signature = sign_asking(self.wallet.signer(), self.wallet.chain_id(), self.client);
        let signature = signature.map_err(SendError::from)?;
        let request = Request::Ready { asset, rules: offer.rules, algorithm, runtime, rounds, signature };
        let behind = |why: &str| [UNOFFERED, UNPUBLISHED].iter().any(|said| why.contains(*said));
        let may_change = |why: &Denied| matches!(why, Denied::Refused(why) if behind(why));
        match patiently(|| self.ask(node, &request), may_change).await {
            Ok(_) => Ok(()),
            // One of the version before, which does not know the question.
            Err(Denied::Refused(why)) if why.starts_with("the request is none") => Ok(()),
            Err(why) => {
                let node = node.node();
                let why = format!("no job was begun on asset {asset}, and nothing paid: node {node}: {why}");
                Err(DataError::Ledger(why))
            }
        }
    }

    /// Where an offer's node is.
    async fn node_of(&self, asset: B256, offer: &Offer) -> Result<PeerAddress> {
        let node = self.registry.addresses([offer.node]).await?.pop();
        node.ok_or_else(|| {
            DataError::Ledger(format!("node {}, which computes on asset {asset}, is not registered", offer.node))
        })
    }

    /// A job that this wallet began before, on whichever machine, and how the ledger has it.
    ///
    /// # Errors
    ///
    /// If there is none, or its node is not registered any more.
    pub async fn again(&self, job: B256) -> Result<(Begun, Job)> {
        let is = self.job(job).await?;
        if NodeId::from(is.client) != self.client {
            return Err(DataError::Ledger(format!("job {job} was begun by {}, with another wallet's key", is.buyer)));
        }
        let node = self.node_of(is.asset, &is.offer).await?;
        Ok((Begun { job, asset: is.asset, held: is.locked, token: is.offer.token, node }, is))
    }

    /// Tells the ledger that a job shall end: what it has used is paid.
    ///
    /// # Errors
    ///
    /// If the ledger refuses.
    pub async fn stop(&self, job: B256) -> Result<()> {
        self.wallet.call(JOBS, &stopCall { job }).await.map(drop).map_err(said)
    }

    async fn ask(&self, node: &PeerAddress, request: &Request) -> std::result::Result<Vec<u8>, Denied> {
        let request = request.to_bytes();
        answered(PATIENCE, self.nodes.ask(node, &request, MOST_ANSWER + 1)).await
    }

    fn node(begun: &Begun, why: &Denied) -> DataError {
        DataError::Ledger(format!("node {}, job {}: {why}", begun.node.node(), begun.job))
    }

    /// Sends the program to the node, which may have to see the job's block first. What the node runs it with: the receipt has the
    /// hash of that.
    ///
    /// # Errors
    ///
    /// If the node refuses it.
    pub async fn send(&self, begun: &Begun, code: &[u8]) -> Result<String> {
        let request = Request::Code(begun.job, code.to_vec());
        let behind = |why: &Denied| matches!(why, Denied::Refused(why) if why.contains("there is no job"));
        let outcome = patiently(|| self.ask(&begun.node, &request), behind).await;
        let name = outcome.map_err(|why| Self::node(begun, &why))?;
        Ok(String::from_utf8_lossy(&name).into_owned())
    }

    /// Begins a round, and does not wait for its end.
    ///
    /// # Errors
    ///
    /// If the node refuses or cannot be reached.
    pub async fn begin_round(&self, begun: &Begun, number: u32, params: &[u8]) -> Result<()> {
        let request = Request::Round(begun.job, number, params.to_vec());
        self.ask(&begun.node, &request).await.map(drop).map_err(|why| Self::node(begun, &why))
    }

    fn read(begun: &Begun, answer: std::result::Result<Vec<u8>, Denied>) -> Result<Round> {
        let bytes = answer.map_err(|why| Self::node(begun, &why))?;
        let round = Round::decode(Copying(&bytes[..]));
        round.map_err(|error| Self::node(begun, &Denied::Gone(format!("its answer is none: {error}"))))
    }

    /// How the newest round of a job stands, without what left.
    ///
    /// # Errors
    ///
    /// If the node says nothing of it.
    pub async fn status(&self, begun: &Begun) -> Result<Round> {
        Self::read(begun, self.ask(&begun.node, &Request::Status(begun.job)).await)
    }

    /// What left in the newest round of a job. Its node keeps it for a week, sealed.
    ///
    /// # Errors
    ///
    /// If there is nothing, or it is not sealed to this wallet.
    pub async fn result(&self, begun: &Begun) -> Result<Left> {
        let bytes = self.ask(&begun.node, &Request::Result(begun.job)).await;
        let bytes = bytes.map_err(|why| match why {
            Denied::NotHere => DataError::Ledger(format!("nothing that left of job {} is kept", begun.job)),
            why => Self::node(begun, &why),
        })?;
        match results::read(begun.job, &bytes, &identity(self.wallet.signer())) {
            Some(Round::Left { files, log }) => Ok(Left { files, log }),
            _ => Err(DataError::Ledger(format!("what is kept of job {} is not sealed to this wallet", begun.job))),
        }
    }

    /// Runs the program once; `told` hears how it stands while it runs. What left.
    ///
    /// # Errors
    ///
    /// If nothing may leave, or the node refuses or cannot be reached.
    pub async fn round(&self, begun: &Begun, number: u32, params: &[u8], told: impl Fn(&Round)) -> Result<Left> {
        self.begin_round(begun, number, params).await?;
        loop {
            match Self::read(begun, self.ask(&begun.node, &Request::Look(begun.job, number)).await)? {
                Round::Left { files, log } => return Ok(Left { files, log }),
                Round::Over(ended, why) => {
                    return Err(DataError::Ledger(over(ended, &why, number + 1, begun.asset)));
                }
                round => told(&round),
            }
        }
    }

    /// Ends a job, and brings its receipt to the ledger if the node has not.
    ///
    /// # Errors
    ///
    /// If the node gives no receipt, or the ledger does not take it.
    pub async fn end(&self, begun: &Begun) -> Result<Ended> {
        match self.bring(begun).await {
            // Its node may have been first.
            Err(error) => self.ended(begun.job).await?.ok_or(error),
            ended => ended,
        }
    }

    async fn bring(&self, begun: &Begun) -> Result<Ended> {
        let bytes = self.ask(&begun.node, &Request::End(begun.job)).await.map_err(|why| Self::node(begun, &why))?;
        let signed = signed_from_bytes(&bytes);
        let (receipt, signature) =
            signed.ok_or_else(|| Self::node(begun, &Denied::Gone("its receipt is none".into())))?;
        let call = finishCall { job: begun.job, receipt, signature: signature.to_vec().into() };
        let JobFinished { receipt, paid, refunded, .. } = event(&self.wallet.call(JOBS, &call).await.map_err(said)?)?;
        Ok(Ended { receipt, paid, refunded })
    }

    /// How a job ended, if its receipt is on the ledger.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked.
    pub async fn ended(&self, job: B256) -> Result<Option<Ended>> {
        let is = self.job(job).await?;
        if is.state != FINISHED {
            return Ok(None);
        }
        let receipt = self.view(JOBS, &receiptOfCall { job }).await?.receipt;
        let paid = due(&is.offer, is.runtime, receipt.ended, receipt.fuel).map_err(|_| DataError::Receipt)?;
        // What was held; the contract holds nothing of it any more.
        let held = cost(&is.offer, is.fuel).map_err(|_| DataError::Receipt)?;
        Ok(Some(Ended { refunded: held.saturating_sub(paid), receipt, paid }))
    }

    /// A job as the ledger has it.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub async fn job(&self, job: B256) -> Result<Job> {
        self.view(JOBS, &jobOfCall { job }).await.map_err(|error| said(error.into()))
    }
}

/// Somebody who lets others compute on his data.
pub struct Owner {
    wallet: Wallet,
}

/// Who may compute.
#[derive(Clone, Copy, Debug)]
pub enum Who {
    /// This account.
    Account(Address),
    /// Whoever has an order of this datatoken's service that stands.
    Order(Address, u32),
    /// Whoever holds something when his job begins, and while it runs.
    Holders(Holders),
}

/// What an owner allows: who may have which program run, for what, until when and how often.
#[derive(Clone, Debug)]
pub struct Leave {
    /// Who.
    pub who: Who,
    /// The one program that may run; zero for any.
    pub algorithm: B256,
    /// Term of the Data Privacy Vocabulary.
    pub purpose: String,
    /// Until when, in seconds since 1970; 0 for no end.
    pub until: u64,
    /// How often; 0 for any number of times.
    pub limit: u32,
}

impl Owner {
    /// The wallet's.
    pub const fn new(wallet: Wallet) -> Self {
        Self { wallet }
    }

    /// The id that an asset of the wallet's with this salt has.
    pub fn asset(&self, salt: B256) -> B256 {
        asset_id(self.wallet.chain_id(), self.wallet.address(), salt)
    }

    /// Registers an asset that never leaves its owner's node: nobody has a part in a key of it.
    ///
    /// # Errors
    ///
    /// If the ledger refuses.
    pub async fn register(&self, salt: B256, data: B256) -> Result<()> {
        let nobody = (B256::ZERO, 0, Vec::new());
        let (sharing, needed, keepers) = nobody;
        let call = registerCall { salt, object: data, sharing, needed, keepers, ownerHalf: true };
        Ok(self.wallet.call(CONSENT, &call).await.map(drop)?)
    }

    /// Offers computing on an asset.
    ///
    /// # Errors
    ///
    /// If the ledger refuses.
    pub async fn offer(&self, asset: B256, offer: Offer) -> Result<()> {
        self.wallet.call(JOBS, &offerCall { asset, offer }).await.map(drop).map_err(said)
    }

    /// Refuses an asset of somebody else's: who adds to its bond gives his coins away, for the contract pays them out to the owner alone.
    async fn own(&self, asset: B256) -> Result<()> {
        let caller = self.wallet.address();
        let (is, _) = view(self.wallet.client(), CONSENT, &assetOfCall { asset }).await?;
        if is.owner == caller {
            return Ok(());
        }
        Err(DataError::Ledger(words(&IJobsErrors::JobsNotOwner(JobsNotOwner { caller, asset }), COIN)))
    }

    /// Adds to the bond of an asset, which pays for checks and for false receipts, in the token that jobs are paid in.
    ///
    /// # Errors
    ///
    /// If there is no such asset, it is another's, the wallet has less, or the ledger refuses.
    pub async fn bond(&self, asset: B256, token: Address, amount: U256) -> Result<()> {
        self.own(asset).await?;
        let account = self.wallet.address();
        let (has, _) = view(self.wallet.client(), token, &IERC20::balanceOfCall { account }).await?;
        if has < amount {
            let (has, amount) = (units(has, token), units(amount, token));
            return Err(DataError::Ledger(format!("{account} has {has}, and {amount} are to be put into the bond")));
        }
        let mut attempt = 0;
        loop {
            allow(&self.wallet, token, amount, attempt).await?;
            match self.wallet.call(JOBS, &bondCall { asset, token, amount }).await {
                Err(error) if attempt + 1 < TRIES && may_go_well(&error) => pause(attempt).await,
                outcome => return outcome.map(drop).map_err(|error| said_of(error, token)),
            }
            attempt += 1;
        }
    }

    /// Takes back what of an asset's bond is not reserved for jobs.
    ///
    /// # Errors
    ///
    /// If the ledger refuses.
    pub async fn unbond(&self, asset: B256, token: Address, amount: U256) -> Result<()> {
        self.own(asset).await?;
        let unbond = unbondCall { asset, token, amount };
        self.wallet.call(JOBS, &unbond).await.map(drop).map_err(|error| bound(error, token))
    }

    /// Lets somebody have programs run on an asset. The grant's id.
    ///
    /// # Errors
    ///
    /// If the ledger refuses, or a contract that is to say who may does not answer.
    pub async fn grant(&self, asset: B256, leave: Leave) -> Result<B256> {
        let (kind, who, credential) = match leave.who {
            Who::Account(account) => (ADDRESS, account, B256::ZERO),
            Who::Order(datatoken, service) => (CREDENTIAL, datatoken, U256::from(u64::from(service) + 1).into()),
            Who::Holders(holders) => {
                holders.check(self.wallet.client(), self.wallet.address()).await?;
                holders.named()
            }
        };
        let terms = Terms {
            kind,
            who,
            credential,
            purpose: leave.purpose,
            uses: COMPUTE,
            algorithm: leave.algorithm,
            until: leave.until,
            limit: leave.limit,
            half: B256::ZERO,
        };
        let granted: Granted = event(&self.wallet.call(CONSENT, &grantCall { asset, terms }).await?)?;
        Ok(granted.grant)
    }
}
