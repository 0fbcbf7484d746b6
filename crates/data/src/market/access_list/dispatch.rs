//! From call data to the functions of a list.

use super::{AccessList, State};
use crate::market::abi::IAccessList::IAccessListCalls as Calls;
use alloy_primitives::Bytes;
use stoa_contract::{
    Context, Error, NativeContract, Result, abi,
    interfaces::{
        IERC721::IERC721Calls, IERC721Enumerable::IERC721EnumerableCalls, IERC721Metadata::IERC721MetadataCalls,
    },
    parts::{erc721, ownable},
};

impl NativeContract for AccessList {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        if let Some(call) = abi::decode(cx)? {
            return erc721::token(self, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return match call {
                Calls::initialize(call) => abi::reply(&call, self.initialize(cx, &call)),
                Calls::transferable(call) => abi::reply(&call, State::root().transferable.read(cx)),
                Calls::mint(call) => abi::reply(&call, self.put(cx, call.user, &call.uri)),
                Calls::batchMint(call) => abi::done(self.put_all(cx, &call.users, &call.uris)),
                Calls::burn(call) => abi::done(self.take_off(cx, call.tokenId)),
                Calls::placeOf(call) => abi::reply(&call, self.place_of(cx, call.account)),
            };
        }
        if let Some(call) = abi::decode(cx)? {
            return erc721::metadata(self, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return erc721::enumerable(self, cx, call);
        }
        let call = abi::decode(cx)?.ok_or(Error::UnknownFunction)?;
        ownable::dispatch(State::root().ownable, cx, call)
    }

    fn interfaces(&self) -> Vec<[u8; 4]> {
        vec![
            abi::interface_id::<IERC721Calls>(),
            abi::interface_id::<IERC721MetadataCalls>(),
            abi::interface_id::<IERC721EnumerableCalls>(),
            abi::interface_id::<Calls>(),
        ]
    }
}
