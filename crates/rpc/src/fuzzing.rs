//! For fuzzing: all that bytes from outside pass before a method runs.

use crate::{
    BlockId, BlockNumber, Config, Params,
    evm::{BlockOverrides, StateOverrides},
    hex::{Account, Big, Data, Hash, Slot, Uint64},
    logs::Query,
    protocol::{self, Body},
    request::CallRequest,
};
use alloy_dyn_abi::TypedData;
use alloy_rpc_types_trace::geth::GethDebugTracingOptions;
use bytes::Bytes;
use serde::de::DeserializeOwned;

fn read<T: DeserializeOwned>(params: &Params) -> bool {
    params.reader().is_ok_and(|mut reader| reader.required::<T>().is_ok())
}

/// Frames a body and reads the first parameter of each request in every form that a method knows. Gives back how many
/// readings succeeded.
pub fn decode(body: &[u8]) -> usize {
    let config = Config::default();
    let requests = match protocol::read(&Bytes::copy_from_slice(body), config.max_batch, config.max_depth) {
        Ok(Body::Single(request)) => vec![request],
        Ok(Body::Batch(requests)) => requests,
        Err(_) => return 0,
    };
    let params = requests.into_iter().flatten().filter_map(|request| request.params).map(Params::new);
    let forms: [fn(&Params) -> bool; 14] = [
        read::<Account>,
        read::<Big>,
        read::<Data>,
        read::<Hash>,
        read::<Slot>,
        read::<Uint64>,
        read::<BlockId>,
        read::<BlockNumber>,
        read::<BlockOverrides>,
        read::<StateOverrides>,
        read::<Query>,
        |params| {
            let Ok(mut reader) = params.reader() else { return false };
            reader.required::<TypedData>().is_ok_and(|data| data.eip712_signing_hash().is_ok())
        },
        read::<GethDebugTracingOptions>,
        |params| {
            let Ok(mut reader) = params.reader() else { return false };
            reader.required::<CallRequest>().is_ok_and(|request| request.check(31337).is_ok())
        },
    ];
    params.map(|params| forms.iter().filter(|form| form(&params)).count()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn readable_parameters_are_counted() {
        let body = br#"{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"to":"0x0000000000000000000000000000000000000001"}]}"#;
        assert!(decode(body) > 0);
        assert_eq!(decode(b"nonsense"), 0);
    }

    proptest! {
        #[test]
        fn no_parameter_panics(
            key in "(from|to|data|topics|address|types|number|blockHash|[a-z]{0,6})",
            value in r#"(null|\[\]|\{\}|"0x[0-9a-f]{0,70}"|-?[0-9]{1,30}(\.[0-9]+)?|"[a-z]{0,9}"|\[\[null\]\])"#,
        ) {
            for params in [format!("[{value}]"), format!("[{{\"{key}\":{value}}}]")] {
                decode(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{params}}}"#).as_bytes());
            }
        }
    }
}
