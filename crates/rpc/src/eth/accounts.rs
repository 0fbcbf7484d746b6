//! Accounts whose keys the node holds, for development: none unless the configuration hands some in.

use super::send::{fill, submit};
use crate::{
    Context, Methods, Params, RpcError,
    hex::{Account, Data},
    request::CallRequest,
    view::TransactionView,
};
use alloy_consensus::SignableTransaction;
use alloy_dyn_abi::TypedData;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, U256, eip191_hash_message};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::sync::Arc;
use stoa_base::{Recovered, Transaction};
use tokio::sync::Mutex;

pub(super) fn register(methods: &mut Methods) {
    // Held until the pool knows a transaction, lest the next one of the account be given the same nonce.
    let sending: Arc<Mutex<()>> = Arc::default();
    methods
        .instant("eth_accounts", |context, params| {
            params.none()?;
            Ok(context.accounts().iter().map(PrivateKeySigner::address).collect::<Vec<Address>>())
        })
        .instant("eth_coinbase", |context, params| {
            params.none()?;
            Ok(context.head().header().beneficiary)
        })
        .add("eth_sendTransaction", move |context, params| {
            let sending = sending.clone();
            async move {
                let turn = sending.lock_owned().await;
                let sent = context.execute(move |context| {
                    // Until the pool knows it, even if nobody waits for the answer any more.
                    let _turn = turn;
                    let (transaction, _) = sign_request(context, &params)?;
                    submit(context, transaction)
                });
                sent.await
            }
        })
        .execute("eth_signTransaction", |context, params| {
            let (transaction, raw) = sign_request(context, params)?;
            Ok(Signed { raw, tx: transaction })
        })
        .execute("eth_fillTransaction", |context, params| {
            let mut reader = params.reader()?;
            let request: CallRequest = reader.required()?;
            reader.end()?;
            let call = request.check(context.chain_id())?;
            // Nobody has signed it.
            let nobodys = Signature::new(U256::ZERO, U256::ZERO, false);
            let filled: Transaction = fill(context, &call)?.into_signed(nobodys).into();
            let raw = filled.encoded_2718().into();
            Ok(Signed { raw, tx: Recovered::new_unchecked(filled, call.from) })
        })
        .read("eth_sign", |context, params| {
            let mut reader = params.reader()?;
            let (Account(address), Data(message)) = (reader.required()?, reader.required()?);
            reader.end()?;
            sign_hash(signer(context, address)?, eip191_hash_message(&message))
        })
        .read("personal_sign", |context, params| {
            let mut reader = params.reader()?;
            let (Data(message), Account(address)) = (reader.required()?, reader.required()?);
            let _password: Option<String> = reader.optional()?;
            reader.end()?;
            sign_hash(signer(context, address)?, eip191_hash_message(&message))
        })
        .read("eth_signTypedData_v4", typed_data)
        .read("eth_signTypedData", typed_data);
}

/// The key of an account.
///
/// # Errors
///
/// -32000 if the node does not hold it.
pub(crate) fn signer(context: &Context, address: Address) -> Result<&PrivateKeySigner, RpcError> {
    let known = context.accounts().iter().find(|signer| signer.address() == address);
    known.ok_or_else(|| RpcError::server("unknown account"))
}

fn sign_hash(signer: &PrivateKeySigner, hash: B256) -> Result<Bytes, RpcError> {
    let signature = signer.sign_hash_sync(&hash).map_err(|error| RpcError::server(format!("cannot sign: {error}")))?;
    Ok(signature.as_bytes().into())
}

fn typed_data(context: &Context, params: &Params) -> Result<Bytes, RpcError> {
    let mut reader = params.reader()?;
    let Account(address) = reader.required()?;
    let given: &RawValue = reader.required()?;
    reader.end()?;
    // Hashing can cost much more than reading: not for strangers.
    let signer = signer(context, address)?;
    // Wallets send the object itself or its text.
    let invalid = |error: serde_json::Error| RpcError::invalid_argument(1, crate::params::json_error(&error));
    let data: TypedData = match given.get().starts_with('"') {
        true => {
            let text: String = serde_json::from_str(given.get()).map_err(invalid)?;
            serde_json::from_str(&text).map_err(invalid)?
        }
        false => serde_json::from_str(given.get()).map_err(invalid)?,
    };
    let hash = data.eip712_signing_hash().map_err(|error| RpcError::invalid_argument(1, error))?;
    sign_hash(signer, hash)
}

/// Completes and signs a transaction object; its `from` must be one of the node's accounts. Blocking.
fn sign_request(context: &Context, params: &Params) -> Result<(Recovered, Bytes), RpcError> {
    let mut reader = params.reader()?;
    let request: CallRequest = reader.required()?;
    reader.end()?;
    let call = request.check(context.chain_id())?;
    let signer = signer(context, call.from)?;
    let unsigned = fill(context, &call)?;
    let signature = signer
        .sign_hash_sync(&unsigned.signature_hash())
        .map_err(|error| RpcError::server(format!("cannot sign: {error}")))?;
    let signed: Transaction = unsigned.into_signed(signature).into();
    let raw = signed.encoded_2718().into();
    Ok((Recovered::new_unchecked(signed, call.from), raw))
}

struct Signed {
    raw: Bytes,
    tx: Recovered,
}

impl Serialize for Signed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            raw: &'a Bytes,
            tx: TransactionView<'a>,
        }
        let tx = TransactionView { transaction: self.tx.inner(), from: self.tx.signer(), place: None };
        Fields { raw: &self.raw, tx }.serialize(serializer)
    }
}
