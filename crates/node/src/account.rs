//! A node's own account on the ledger, from which it pays for what it sends of its own accord: moves of shares, receipts of jobs.
//!
//! Its key follows from the node's key, so that there is no second secret to keep. Whoever runs the node puts some coin there.

use crate::common;
use alloy_primitives::{Address, B256, TxKind, U256, keccak256};
use alloy_signer_local::PrivateKeySigner;
use commonware_codec::EncodeFixed as _;
use commonware_cryptography::ed25519::PrivateKey;
use eyre::{Result, WrapErr as _};
use std::{net::SocketAddr, sync::Arc};
use stoa_client::{Client, Wallet};
use stoa_data::{client::DataError, provider::Seal};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

const DOMAIN: &[u8] = b"stoa/node/account/v1";

const SEAL_DOMAIN: &[u8] = b"stoa/node/provider/v1";

/// The account of the node with this key.
///
/// # Errors
///
/// If no key of an account follows, as it does for one key in 2¹²⁸.
pub fn of(key: &PrivateKey) -> Result<PrivateKeySigner> {
    PrivateKeySigner::from_bytes(&derived(key, DOMAIN))
        .wrap_err("no account follows from this node's key: make another")
}

/// What the node with this key seals places of files with, as a provider.
pub(crate) fn seal(key: &PrivateKey, chain_id: u64) -> Seal {
    Seal::new(derived(key, SEAL_DOMAIN).0, chain_id)
}

fn derived(key: &PrivateKey, domain: &[u8]) -> B256 {
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(key.encode_fixed());
    keccak256(&*Zeroizing::new([domain, &seed[..]].concat()))
}

/// Sends what a node has to say of its own accord to its own JSON-RPC. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Payer {
    client: Client,
    account: PrivateKeySigner,
    /// One transaction after the other, or two would have the same nonce.
    turn: Arc<Mutex<()>>,
}

impl Payer {
    /// From this account, to what listens there.
    pub(crate) fn new(account: PrivateKeySigner, http: SocketAddr) -> Self {
        let client = Client::new(format!("http://{}", common::reachable(http)));
        Self { client, account, turn: Arc::default() }
    }

    /// Calls a contract with this call data; an error is in words.
    pub(crate) async fn call(self, to: Address, data: Vec<u8>) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        let address = self.account.address();
        let wallet = Wallet::new(self.client, self.account).await.map_err(|error| error.to_string())?;
        let sent = wallet.send(TxKind::Call(to), U256::ZERO, data.into()).await.map_err(DataError::from);
        sent.map(drop).map_err(|error| format!("{error} (the node's account, {address}, pays for it)"))
    }
}
