//! Beginning jobs, which the contract of jobs takes an allowance for.
//!
//! An account has one allowance for all its programs. Two that begin jobs at the same time may both find that nothing is allowed and both
//! allow what one of them needs, and the first to begin takes it. Who finds so allows twice as much the next time, on top of what is
//! there: of any number of programs that do so at the same moment all have begun after a few times.

use super::{Begun, Result, Wanted, event, said_of, short};
use crate::{
    client::DataError,
    jobs::abi::{
        IJobs::{JobStarted, startCall},
        JOBS,
    },
};
use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{Revert, SolError as _};
use futures::future::join_all;
use std::{collections::BTreeMap, time::Duration};
use stoa_base::NodeId;
use stoa_client::{SendError, ViewError, Wallet, view};
use stoa_contract::interfaces::{IERC20, IERC20Errors::IERC20ErrorsErrors};
use stoa_net::PeerAddress;

/// How often what others of the account's programs have taken first is allowed anew.
pub(super) const TRIES: u32 = 8;

/// For how many milliseconds is waited in between at most the first time, and twice as long each time.
const PAUSE: u64 = 100;

/// What has to be known to begin a job.
pub(super) struct Ready {
    pub(super) asset: B256,
    pub(super) grant: B256,
    /// Which of the asset's offers was looked at.
    pub(super) offer: u32,
    pub(super) node: PeerAddress,
    pub(super) token: Address,
    pub(super) cost: U256,
}

/// Whether what was refused, or reverted, may go well the next time: another program has taken what was allowed. A transaction that was
/// reverted after it was sent says of nothing why; the next time it is asked before.
pub(super) fn may_go_well(error: &SendError) -> bool {
    match error {
        SendError::Reverted(_) => true,
        SendError::Refused(refused @ ViewError::Reverted(data)) => {
            // Tokens that do not know of ERC-6093 say it in words.
            let says = |revert: Revert| revert.reason.contains("allowance");
            matches!(refused.reason(), Some(IERC20ErrorsErrors::ERC20InsufficientAllowance(_)))
                || Revert::abi_decode(data).is_ok_and(says)
        }
        _ => false,
    }
}

/// Waits before the next try, for a time that no other program waits.
pub(super) async fn pause(attempt: u32) {
    tokio::time::sleep(Duration::from_millis(rand::random::<u64>() % (PAUSE << attempt))).await;
}

/// Sees to it that the contract of jobs may take so much from a wallet: in the try with this number, from 0.
pub(super) async fn allow(wallet: &Wallet, token: Address, value: U256, attempt: u32) -> Result<()> {
    let allowed = IERC20::allowanceCall { owner: wallet.address(), spender: JOBS };
    let allowed = view(wallet.client(), token, &allowed).await?.0;
    if allowed < value {
        let value = allowed.saturating_add(value.saturating_mul(U256::from(1_u64 << attempt)));
        wallet.call(token, &IERC20::approveCall { spender: JOBS, value }).await?;
    }
    Ok(())
}

/// Allows the contract of jobs to take what these cost together, if the wallet has it.
async fn allow_all(wallet: &Wallet, ready: impl Iterator<Item = &Ready>, attempt: u32) -> Result<()> {
    let mut costs = BTreeMap::<Address, U256>::new();
    for Ready { token, cost, .. } in ready {
        let sum = costs.entry(*token).or_default();
        *sum = sum.saturating_add(*cost);
    }
    for (token, value) in costs {
        let account = wallet.address();
        let has = view(wallet.client(), token, &IERC20::balanceOfCall { account }).await?.0;
        if has < value {
            let more = if attempt == 0 { ": none was begun, and nothing is held" } else { "" };
            return Err(DataError::Ledger(format!("{}{more}", short(account, has, value, token))));
        }
        allow(wallet, token, value, attempt).await?;
    }
    Ok(())
}

/// Begins a job. An error of the ledger comes as it is, for it may go well the next time.
async fn start(
    wallet: &Wallet,
    client: NodeId,
    ready: &Ready,
    wanted: &Wanted,
) -> std::result::Result<Result<Begun>, SendError> {
    let Wanted { algorithm, runtime, fuel, most, .. } = *wanted;
    let call =
        startCall { grant: ready.grant, algorithm, client: client.into(), runtime, fuel, most, offer: ready.offer };
    let receipt = wallet.call(JOBS, &call).await?;
    Ok(event(&receipt).and_then(|started: JobStarted| begun(&started, ready)))
}

/// A job that has begun, on the offer that was looked at: the contract begins no other.
pub(super) fn begun(started: &JobStarted, ready: &Ready) -> Result<Begun> {
    let Ready { asset, offer, node, token, .. } = ready;
    let JobStarted { job, locked, .. } = *started;
    if (started.asset, started.offer) != (*asset, *offer) {
        return Err(DataError::Ledger(format!(
            "job {job} began on offer {} of asset {}, and offer {offer} of asset {asset} was looked at: `stoa job cancel` ends it",
            started.offer, started.asset
        )));
    }
    Ok(Begun { job, asset: *asset, held: locked, token: *token, node: node.clone() })
}

/// Begins jobs that nodes hear this key of, in one block if that can be. Those that have begun, in the same order, and why one has not.
pub(super) async fn start_all(
    wallet: &Wallet,
    client: NodeId,
    ready: &[Ready],
    wanted: &Wanted,
) -> (Vec<Begun>, Result<()>) {
    let (mut begun, mut outcome): (BTreeMap<usize, Begun>, _) = (BTreeMap::new(), Ok(()));
    let mut open: Vec<usize> = (0..ready.len()).collect();
    for attempt in 0..TRIES {
        if let Err(error) = allow_all(wallet, open.iter().map(|at| &ready[*at]), attempt).await {
            outcome = outcome.and(Err(error));
            break;
        }
        let started = join_all(open.iter().map(|at| start(wallet, client, &ready[*at], wanted))).await;
        let mut again = Vec::new();
        for (at, started) in open.into_iter().zip(started) {
            match started {
                Ok(Ok(one)) => drop(begun.insert(at, one)),
                Ok(Err(error)) => outcome = outcome.and(Err(error)),
                Err(error) if attempt + 1 < TRIES && may_go_well(&error) => again.push(at),
                Err(error) => outcome = outcome.and(Err(said_of(error, ready[at].token))),
            }
        }
        open = again;
        if open.is_empty() || outcome.is_err() {
            break;
        }
        pause(attempt).await;
    }
    (begun.into_values().collect(), outcome)
}
