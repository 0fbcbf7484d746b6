//! JSON-RPC methods of our own, under `stoa_`.
//!
//! | method | parameters | answers |
//! |---|---|---|
//! | `stoa_getProof` | address, slots, block | what the account and the slots hold at the block, with proofs |
//! | `stoa_getReceiptProof` | transaction hash | what the transaction left behind, with proofs; null if it is in no block |
//! | `stoa_genesis` | - | the genesis file |

use alloy_primitives::{Address, B256, U256};
use stoa_base::Genesis;
use stoa_client::{ProofReply, ReceiptReply, SlotProof};
use stoa_rpc::{BlockId, Context, Methods, Params, RpcError};

/// How many slots one proof may cover.
const MAX_SLOTS: usize = 1024;

pub(crate) fn register(methods: &mut Methods) {
    methods.add("stoa_getProof", get_proof);
    methods.add("stoa_getReceiptProof", get_receipt_proof);
    // It may be megabytes.
    methods.read("stoa_genesis", genesis);
}

fn genesis(context: &Context, params: &Params) -> Result<Genesis, RpcError> {
    params.none()?;
    Ok(context.ledger().genesis().clone())
}

async fn get_proof(context: Context, params: Params) -> Result<ProofReply, RpcError> {
    let (address, slots, at) = {
        let mut reader = params.reader()?;
        let read = (reader.required::<Address>()?, reader.required::<Vec<U256>>()?, reader.optional::<BlockId>()?);
        reader.end()?;
        read
    };
    if slots.len() > MAX_SLOTS {
        return Err(RpcError::limit(format!("too many slots ({}), want at most {MAX_SLOTS}", slots.len())));
    }
    let number = match at.unwrap_or_default() {
        BlockId::Latest | BlockId::Pending => None,
        at => Some(context.read(move |context| context.number(at)?.ok_or_else(RpcError::header_not_found)).await?),
    };
    let proof = context.ledger().prove(number, address, &slots).await;
    let proof = proof.map_err(|error| RpcError::server(error.to_string()))?;
    let block = proof.block;
    let slots = slots.into_iter().zip(proof.slots);
    Ok(ProofReply {
        header: alloy_rlp::encode(block.header()).into(),
        block_hash: block.hash(),
        block_number: U256::from(block.number()),
        account_proof: proof.account.to_bytes(),
        storage_proof: slots.map(|(key, proof)| SlotProof { key, proof: proof.to_bytes() }).collect(),
    })
}

async fn get_receipt_proof(context: Context, params: Params) -> Result<Option<ReceiptReply>, RpcError> {
    let hash = {
        let mut reader = params.reader()?;
        let hash = reader.required::<B256>()?;
        reader.end()?;
        hash
    };
    let proof = context.read(move |context| {
        let ledger = context.ledger();
        let Some((number, index)) = ledger.transaction(hash)? else { return Ok(None) };
        let Some(committed) = ledger.block(number)? else { return Ok(None) };
        let hashes = committed.block.transactions().iter().map(|transaction| *transaction.tx_hash());
        let index = u32::try_from(index).map_err(|_| RpcError::server("the position is too large"))?;
        Ok::<_, RpcError>(ReceiptReply::new(committed.block.header(), hashes, &committed.receipts, index))
    });
    proof.await
}
