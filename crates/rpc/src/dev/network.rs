//! What tools ask of every development network, whoever makes its blocks.

use crate::{Context, Methods};
use alloy_primitives::{Address, B256, U64};
use alloy_signer_local::PrivateKeySigner;
use serde::Serialize;
use std::collections::BTreeMap;

/// Adds what tools ask of any network with Hardhat's chain id: which one it is, where it stands, and who has keys on it.
pub fn register_network(methods: &mut Methods) {
    for name in ["hardhat_metadata", "anvil_metadata"] {
        methods.instant(name, |context, params| {
            params.none()?;
            // The same for as long as the chain lasts.
            Ok(Metadata::new(context, context.ledger().first().hash(), BTreeMap::new()))
        });
    }
    methods.instant("eth_requestAccounts", |context, params| {
        params.none()?;
        Ok(context.accounts().iter().map(PrivateKeySigner::address).collect::<Vec<Address>>())
    });
}

/// `hardhat_metadata` and `anvil_metadata`. That there is no `forkedNetwork` says that the chain is a fork of none.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    client_version: String,
    chain_id: u64,
    instance_id: B256,
    latest_block_number: u64,
    latest_block_hash: B256,
    /// Number and hash of the newest block at each.
    snapshots: BTreeMap<U64, (u64, B256)>,
}

impl Metadata {
    /// Of the chain as it is; `instance_id` names it among others of the same chain id.
    pub fn new(context: &Context, instance_id: B256, snapshots: BTreeMap<U64, (u64, B256)>) -> Self {
        let head = context.head();
        Self {
            client_version: context.client_version().to_owned(),
            chain_id: context.chain_id(),
            instance_id,
            latest_block_number: head.number(),
            latest_block_hash: head.hash(),
            snapshots,
        }
    }
}
