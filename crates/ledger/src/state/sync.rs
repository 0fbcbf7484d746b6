//! Taking over a state from others, who need not be trusted: its operation log, with proofs against the root that a block's
//! seal says.

use super::{CHUNK, Family, Key, Leaf, Runtime, State, StateConfig, StateDb, Target, db::Inner, target};
use crate::LedgerError;
use alloy_primitives::{B256, Bytes};
use commonware_codec::{Copying, Decode as _, DecodeExt as _, Encode as _};
use commonware_cryptography::sha256::Digest;
use commonware_glue::stateful::db::{Shared, StateSyncDb, SyncEngineConfig};
use commonware_storage::qmdb::{
    any::{ordered::Operation, value::VariableEncoding},
    sync::{self, Request, Response, Source, engine},
};
use commonware_utils::{
    NZU64, NZUsize,
    channel::{mpsc, ring},
};
use std::num::{NonZeroU64, NonZeroUsize};
use stoa_base::Seal;

/// What somebody who takes over a state asks for.
pub type SyncRequest = Request<Family>;

/// Operations of a state's log, with their proof.
pub type SyncResponse = Response<Family, SyncOperation, Digest>;

/// An operation of a state's log.
pub type SyncOperation = Operation<Family, Key, VariableEncoding<Leaf>>;

/// Where a state is taken over from.
pub trait SyncSource: Source<Family = Family, Digest = Digest, Op = SyncOperation> + 'static {}
impl<S: Source<Family = Family, Digest = Digest, Op = SyncOperation> + 'static> SyncSource for S {}

/// The most operations that are asked for and given at once: the state's lock is held while they are read, and they are some tens
/// of kilobytes, or 12 MiB of contracts' code.
const MOST: NonZeroU64 = NZU64!(512);

/// How often as many are asked for at a time.
const REQUESTS: NonZeroUsize = NZUsize!(32);

/// The most bytes that an answer may have: a genesis file may have larger code.
pub const MOST_BYTES: usize = 32 << 20;

const _: () = assert!(CHUNK == 32, "what the log commits to depends on it");

/// Reads an answer to a request.
///
/// # Errors
///
/// If it is none.
pub fn decode_response(request: &SyncRequest, bytes: &[u8]) -> Result<SyncResponse, commonware_codec::Error> {
    let most = usize::try_from(request.max_ops().get()).unwrap_or(usize::MAX);
    SyncResponse::decode_cfg(Copying(bytes), &(most, ((), ())))
}

/// Reads a request.
///
/// # Errors
///
/// If it is none.
pub fn decode_request(bytes: &[u8]) -> Result<SyncRequest, commonware_codec::Error> {
    SyncRequest::decode(Copying(bytes))
}

/// Answers a request, encoded. Holds the state's lock while it reads, and no longer.
pub(crate) async fn serve<E: Runtime>(state: &State<E>, request: SyncRequest) -> Result<Bytes, LedgerError> {
    let request = match request {
        Request::Operations { size, start, max_ops } => Request::Operations { size, start, max_ops: max_ops.min(MOST) },
        boundary @ Request::Boundary { .. } => boundary,
    };
    let served = state.read().await.serve(request).await;
    let (response, _) = served.map_err(|error| LedgerError::Storage(format!("the state's log: {error}")))?;
    Ok(Bytes::from(response.encode().to_vec()))
}

/// Takes over the state that a block with this seal left behind.
pub(crate) async fn sync<E: Runtime, S: SyncSource>(
    runtime: E,
    config: StateConfig,
    seal: &Seal,
    source: S,
) -> Result<State<E>, LedgerError> {
    let limits = SyncEngineConfig {
        fetch_batch_size: MOST,
        apply_batch_size: NZU64!(1 << 14),
        max_outstanding_requests: REQUESTS,
    };
    let (_, no_updates) = ring::channel(NZUsize!(1));
    let synced = StateDb::sync_db(runtime, config, source, target(seal), no_updates, None, None, limits).await;
    let synced = synced.map_err(|error| LedgerError::Storage(format!("the state cannot be taken over: {error}")))?;
    Ok(Shared::new("state", synced))
}

impl<E: Runtime, S: SyncSource> StateSyncDb<E, S> for StateDb<E> {
    type SyncError = sync::Error<Family, S::Error, Digest>;

    async fn sync_db(
        context: E,
        config: StateConfig,
        source: S,
        target: Target,
        tip_updates: ring::Receiver<Target>,
        finish: Option<mpsc::Receiver<()>>,
        reached_target: Option<ring::Sender<Target>>,
        limits: SyncEngineConfig,
    ) -> Result<Self, Self::SyncError> {
        let config = engine::Config {
            context,
            source,
            target,
            max_outstanding_requests: limits.max_outstanding_requests,
            fetch_batch_size: limits.fetch_batch_size,
            apply_batch_size: limits.apply_batch_size,
            db_config: config,
            update_rx: Some(tip_updates),
            finish_rx: finish,
            reached_target_tx: reached_target,
        };
        sync::sync::<Inner<E>, S>(config).await.map(Self)
    }
}

/// The root that a block's header carries.
pub(crate) async fn root_of<E: Runtime>(state: &State<E>) -> B256 {
    B256::from(state.read().await.root().0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direct, LedgerConfig, tests::genesis};
    use alloy_primitives::{Address, U256};
    use commonware_runtime::{Runner as _, deterministic};
    use stoa_base::Account;

    #[test]
    fn whoever_asks_for_the_whole_state_at_once_gets_a_part_of_it() {
        deterministic::Runner::default().start(async |runtime| {
            let (folder, mut genesis) = (tempfile::tempdir().unwrap(), genesis(1));
            let accounts = (0..1000_u64).map(|number| Address::from_word(U256::from((1 << 32) + number).into()));
            let rich = Account { balance: U256::from(1), ..Account::default() };
            genesis.alloc.extend(accounts.map(|address| (address, rich.clone())));
            let config = LedgerConfig::new(folder.path());
            let chain = Direct::open(runtime, genesis, config, 1 << 20, NZUsize!(1)).await.unwrap();
            let range = target(chain.ledger().first().seal()).range;
            let asking = |max_ops| Request::Operations { size: range.end(), start: range.start(), max_ops };
            let answer = chain.ledger().serve_sync(asking(NonZeroU64::MAX)).await.unwrap();
            let answer = decode_response(&asking(MOST), &answer).unwrap();
            assert!(matches!(answer, Response::Operations { operations, .. } if operations.len() as u64 == MOST.get()));
        });
    }
}
