//! `web3_`, `net_` and `rpc_`.

use crate::{Methods, hex::Data};
use alloy_primitives::{U64, keccak256};
use std::collections::BTreeMap;

pub(crate) fn register(methods: &mut Methods) {
    methods
        .instant("web3_clientVersion", |context, params| {
            params.none()?;
            Ok(context.client_version().to_owned())
        })
        .read("web3_sha3", |_, params| {
            let mut reader = params.reader()?;
            let Data(data) = reader.required()?;
            reader.end()?;
            Ok(keccak256(data))
        })
        .instant("net_version", |context, params| {
            params.none()?;
            Ok(context.chain_id().to_string())
        })
        .instant("net_listening", |_, params| {
            params.none()?;
            Ok(true)
        })
        .instant("net_peerCount", |_, params| {
            params.none()?;
            Ok(U64::ZERO)
        })
        .instant("rpc_modules", |context, params| {
            params.none()?;
            let spaces = context.methods().names().filter_map(|name| name.split_once('_'));
            Ok(spaces.map(|(space, _)| (space.to_owned(), "1.0")).collect::<BTreeMap<_, _>>())
        });
}
