//! `eth_config` (EIP-7910): by which of Ethereum's rules the chain runs.

use crate::{BlockId, Context, Methods, Params, RpcError, evm::Base};
use alloy_eips::{
    eip2124::ForkHash,
    eip2935::HISTORY_STORAGE_ADDRESS,
    eip7840::BlobParams,
    eip7910::{EthConfig, EthForkConfig, SystemContract},
};
use revm::handler::EthPrecompiles;

pub(super) fn register(methods: &mut Methods) {
    methods.read("eth_config", config);
}

fn config(context: &Context, params: &Params) -> Result<EthConfig, RpcError> {
    params.none()?;
    let chain_id = context.chain_id();
    let spec = *stoa_contract::cfg(chain_id).spec();
    let precompiles = EthPrecompiles::new(spec).precompiles.inner().values();
    // Of Ethereum's system contracts blocks write to one, where it is deployed.
    let history = Base::of(context, BlockId::Latest)?.account(HISTORY_STORAGE_ADDRESS)?;
    let history = (!history.is_empty_code_hash()).then_some((SystemContract::HistoryStorage, HISTORY_STORAGE_ADDRESS));
    let current = EthForkConfig {
        // Since the first block.
        activation_time: 0,
        // Blobs are refused. Their base fee stands at its least value, whatever it would be divided by.
        blob_schedule: BlobParams {
            target_blob_count: 0,
            max_blob_count: 0,
            max_blobs_per_tx: 0,
            update_fraction: 1,
            ..BlobParams::cancun()
        },
        chain_id,
        // The checksum of the first block's hash (EIP-6122); no fork came after it.
        fork_id: ForkHash::from(context.ledger().first().hash()).0.into(),
        precompiles: precompiles.map(|contract| (contract.id().name().to_owned(), *contract.address())).collect(),
        system_contracts: history.into_iter().collect(),
    };
    // No change of the rules has a time that is known before.
    Ok(EthConfig { current, next: None, last: None })
}
