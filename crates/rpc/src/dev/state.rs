//! The whole state in one piece of text: `anvil_dumpState` and `anvil_loadState`, as Anvil writes and reads it, which is JSON
//! under gzip in hexadecimal digits.
//!
//! Accounts come with nonce, balance, code and storage. Blocks do not: of the newest there is the header, so that whoever goes
//! on from the state knows when it was. What the chain itself keeps up is neither written nor taken over ([`is_kept_up`]). Of the
//! coin's storage there is what its balances do not say: allowances, nonces and delegations. Supply and votes follow the balances.

use super::{
    Dev,
    node::Node,
    numbers::{Number, Number64},
};
use crate::{
    Context, Params, RpcError,
    evm::{Base, Pairs, check_native},
    hex::{Account, Data, Slot},
    params::json_error,
};
use alloy_consensus::Header;
use alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
use alloy_primitives::{Address, B256, Bytes, U256, map::HashMap};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use revm::{bytecode::Bytecode, context::BlockEnv};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, io::Read as _, sync::Arc};
use stoa_contract::{coin, randomness};
use stoa_ledger::{Set, state::MAX_CODE};

/// Bytes that a state may have without its gzip.
const MOST: u64 = 256 << 20;

/// What a file that is gzip's begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Whether an account is one that the chain itself keeps up: of another chain its storage would be wrong here.
fn is_kept_up(address: &Address) -> bool {
    [randomness::ADDRESS, HISTORY_STORAGE_ADDRESS].contains(address)
}

/// Checks that code can stand in the state.
///
/// # Errors
///
/// -32602 if it is too long, or begins as a delegation (EIP-7702) and is none.
pub(crate) fn check_code(address: Address, code: &Bytes) -> Result<(), RpcError> {
    if code.len() > MAX_CODE {
        let why = format!("code of account {address} has {} bytes, at most {MAX_CODE} are kept", code.len());
        return Err(RpcError::invalid_params(why));
    }
    let valid = Bytecode::new_raw_checked(code.clone());
    valid.map(drop).map_err(|_| RpcError::invalid_params(format!("code of account {address} is no valid code")))
}

#[derive(Serialize)]
struct Dumped<'a> {
    block: BlockEnv,
    accounts: BTreeMap<&'a Address, DumpedAccount<'a>>,
    best_block_number: u64,
    blocks: [DumpedBlock<'a>; 1],
    transactions: [(); 0],
}

#[derive(Serialize)]
struct DumpedAccount<'a> {
    nonce: u64,
    balance: U256,
    code: &'a Bytes,
    storage: &'a BTreeMap<B256, B256>,
}

#[derive(Serialize)]
struct DumpedBlock<'a> {
    header: &'a Header,
    transactions: [(); 0],
    ommers: [(); 0],
}

/// `anvil_dumpState`.
pub(crate) async fn dump<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<Bytes, RpcError> {
    let past = {
        let mut reader = params.reader()?;
        let past: Option<bool> = reader.optional()?;
        reader.end()?;
        past.unwrap_or_default()
    };
    if past {
        return Err(RpcError::invalid_params("states of past blocks cannot be dumped: call it without parameters"));
    }
    let (head, accounts) = node.dump(&context).await?;
    let pack = move |context: &Context| {
        let accounts = accounts.iter().filter(|(address, _)| !is_kept_up(address)).map(|(address, account)| {
            let stoa_base::Account { balance, nonce, code, storage } = account;
            (address, DumpedAccount { nonce: *nonce, balance: *balance, code, storage })
        });
        let state = Dumped {
            block: context.ledger().block_env(head.number())?,
            accounts: accounts.collect(),
            best_block_number: head.number(),
            blocks: [DumpedBlock { header: head.header(), transactions: [], ommers: [] }],
            transactions: [],
        };
        let failed = |error: &dyn std::fmt::Display| RpcError::server(format!("the state cannot be packed: {error}"));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        serde_json::to_writer(&mut encoder, &state).map_err(|error| failed(&error))?;
        encoder.finish().map(Bytes::from).map_err(|error| failed(&error))
    };
    context.execute(pack).await
}

/// What is read of a state; the rest of it is looked at only as far as being JSON.
#[derive(Deserialize)]
struct Loaded {
    block: Option<LoadedBlock>,
    accounts: Pairs<Account, LoadedAccount>,
}

#[derive(Deserialize)]
struct LoadedBlock {
    timestamp: Option<Number64>,
}

#[derive(Deserialize)]
struct LoadedAccount {
    nonce: Number64,
    balance: Number,
    #[serde(default)]
    code: Data,
    storage: Option<Pairs<Slot, Slot>>,
}

/// The state that somebody hands in, of at most so many bytes.
fn unpack(bytes: &[u8], most: u64) -> Result<Loaded, RpcError> {
    let refused = |why: String| RpcError::invalid_params(format!("this is no state of anvil_dumpState: {why}"));
    let mut json = Vec::new();
    let unpacked = if bytes.starts_with(&GZIP) {
        GzDecoder::new(bytes).take(most + 1).read_to_end(&mut json).map_err(|error| refused(error.to_string()))?;
        &json[..]
    } else {
        bytes
    };
    if unpacked.len() as u64 > most {
        return Err(refused(format!("it has more than {most} bytes when it is unpacked")));
    }
    serde_json::from_slice(unpacked).map_err(|error| refused(json_error(&error)))
}

/// What is to be set.
type Fields = Vec<(Address, Set)>;

/// What is to be set, and the time of the state, in seconds since 1970. Blocking.
fn fields(context: &Context, bytes: &[u8]) -> Result<(Fields, Option<u64>), RpcError> {
    let Loaded { block, accounts: Pairs(accounts) } = unpack(bytes, MOST)?;
    let newest = Base::of(context, crate::BlockId::Latest)?;
    let delegators = accounts.iter().map(|(Account(address), _)| (coin::delegatee_slot(*address), *address));
    let delegators = delegators.collect::<HashMap<_, _>>();
    let mut fields = Vec::new();
    for (Account(address), account) in accounts {
        let LoadedAccount { nonce: Number64(nonce), balance: Number(balance), code: Data(code), storage } = account;
        let now = newest.account(address)?;
        if now.balance != balance {
            fields.push((address, Set::Balance(balance)));
        }
        if is_kept_up(&address) {
            continue;
        }
        check_native(context.ledger().natives(), address, &code)?;
        check_code(address, &code)?;
        // As in Anvil: no contract is created twice at one address.
        fields.extend([(address, Set::Nonce(nonce.max(now.nonce))), (address, Set::Code(code))]);
        let slots = storage.into_iter().flat_map(|Pairs(slots)| slots);
        fields.extend(slots.map(|(Slot(slot), Slot(value))| match delegators.get(&slot) {
            Some(delegator) if address == coin::ADDRESS => {
                (*delegator, Set::Delegate(Address::from_word(value.into())))
            }
            _ => (address, Set::Storage(slot, value)),
        }));
    }
    Ok((fields, block.and_then(|block| block.timestamp).map(|Number64(timestamp)| timestamp)))
}

/// `anvil_loadState`: accounts become what they are in the state, slot by slot; others stay as they are. Time goes on from the
/// state's, unless it is later here.
pub(crate) async fn load<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<bool, RpcError> {
    let Data(bytes) = {
        let mut reader = params.reader()?;
        let bytes = reader.required()?;
        reader.end()?;
        bytes
    };
    let (fields, timestamp) = context.execute(move |context| fields(context, &bytes)).await?;
    node.load(&context, fields, timestamp).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write as _;

    fn packed(json: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(json).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_state_that_anvil_wrote_is_read_packed_or_not() {
        let json = serde_json::json!({
            "block": {
                "number": "0x1", "beneficiary": Address::ZERO, "timestamp": "0x64", "gas_limit": 30_000_000, "basefee": 7,
                "difficulty": "0x0", "prevrandao": null, "blob_excess_gas_and_price": null, "slot_num": 0,
            },
            "accounts": {"0x00000000000000000000000000000000000000c0": {
                "nonce": 3, "balance": "0x5", "code": "0x6000", "storage": {B256::with_last_byte(1).to_string(): "0x07"},
            }},
            "best_block_number": 1, "blocks": [], "transactions": [], "historical_states": null,
        });
        let json = json.to_string().into_bytes();
        for bytes in [packed(&json), json] {
            let state = unpack(&bytes, MOST).unwrap();
            assert_eq!(state.block.unwrap().timestamp, Some(Number64(100)));
            let (Account(address), account) = &state.accounts.0[0];
            assert_eq!((*address, account.nonce), (Address::with_last_byte(0xc0), Number64(3)));
            assert_eq!((account.balance, &account.code.0[..]), (Number(U256::from(5)), &[0x60, 0][..]));
            assert_eq!(account.storage.as_ref().unwrap().0, [(Slot(U256::from(1)), Slot(U256::from(7)))]);
        }
    }

    #[test]
    fn what_is_no_state_is_refused_in_words() {
        let whole = packed(br#"{"accounts":{}}"#);
        assert!(unpack(&whole, MOST).is_ok());
        let account = |address: &str, nonce: i64| {
            format!(r#"{{"accounts":{{"{address}":{{"nonce":{nonce},"balance":"0x0"}}}}}}"#).into_bytes()
        };
        for (bytes, why) in [
            (Vec::new(), "EOF"),
            (b"[]".to_vec(), "expected"),
            (b"{}".to_vec(), "missing field `accounts`"),
            (whole[..whole.len() - 9].to_vec(), "this is no state"),
            (packed(&[b' '; 1_001]), "more than 1000 bytes"),
            (account("0x12", 0), "want 40 for common.Address"),
            (account("0x00000000000000000000000000000000000000c0", -1), "invalid type: integer `-1`"),
            (b"[".repeat(1_000), "expected"),
        ] {
            let error = unpack(&bytes, 1_000).err().unwrap();
            assert_eq!(error.code, -32602);
            assert!(error.message.contains(why), "{}", error.message);
        }
    }

    #[test]
    fn code_that_could_not_be_read_again_is_refused() {
        let check = |code: Vec<u8>| check_code(Address::ZERO, &code.into());
        assert!(check(vec![0; MAX_CODE]).is_ok());
        assert!(check(vec![0; MAX_CODE + 1]).unwrap_err().message.contains("at most 1048576"));
        assert!(check(vec![0xef, 0x01]).unwrap_err().message.contains("no valid code"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, gzip: bool) {
            let _ = unpack(&if gzip { packed(&bytes) } else { bytes }, MOST);
        }
    }
}
