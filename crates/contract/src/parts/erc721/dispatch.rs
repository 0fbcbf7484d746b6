//! From the calls of the collection interfaces to their functions.

use super::{Erc721, Erc721Enumerable};
use crate::{
    Context, Result,
    abi::{done, reply},
    interfaces::{
        IERC721::IERC721Calls as Calls, IERC721Enumerable::IERC721EnumerableCalls,
        IERC721Metadata::IERC721MetadataCalls,
    },
};
use alloy_primitives::Bytes;

/// Runs a call of `IERC721`.
///
/// # Errors
///
/// The function's own.
pub fn token(collection: &impl Erc721, cx: &mut Context<'_>, call: Calls) -> Result<Bytes> {
    match call {
        Calls::balanceOf(call) => reply(&call, collection.balance_of(cx, call.owner)),
        Calls::ownerOf(call) => reply(&call, collection.owner_of(cx, call.tokenId)),
        Calls::safeTransferFrom_0(call) => {
            done(collection.safe_transfer_from(cx, call.from, call.to, call.tokenId, call.data))
        }
        Calls::safeTransferFrom_1(call) => {
            done(collection.safe_transfer_from(cx, call.from, call.to, call.tokenId, Bytes::new()))
        }
        Calls::transferFrom(call) => done(collection.transfer_from(cx, call.from, call.to, call.tokenId)),
        Calls::approve(call) => done(collection.approve(cx, call.to, call.tokenId)),
        Calls::setApprovalForAll(call) => done(collection.set_approval_for_all(cx, call.operator, call.approved)),
        Calls::getApproved(call) => reply(&call, collection.get_approved(cx, call.tokenId)),
        Calls::isApprovedForAll(call) => reply(&call, collection.is_approved_for_all(cx, call.owner, call.operator)),
    }
}

/// Runs a call of `IERC721Metadata`.
///
/// # Errors
///
/// The function's own.
pub fn metadata(collection: &impl Erc721, cx: &mut Context<'_>, call: IERC721MetadataCalls) -> Result<Bytes> {
    match call {
        IERC721MetadataCalls::name(call) => reply(&call, collection.erc721().name.read(cx)),
        IERC721MetadataCalls::symbol(call) => reply(&call, collection.erc721().symbol.read(cx)),
        IERC721MetadataCalls::tokenURI(call) => reply(&call, collection.token_uri(cx, call.tokenId)),
    }
}

/// Runs a call of `IERC721Enumerable`.
///
/// # Errors
///
/// The function's own.
pub fn enumerable(
    collection: &impl Erc721Enumerable,
    cx: &mut Context<'_>,
    call: IERC721EnumerableCalls,
) -> Result<Bytes> {
    match call {
        IERC721EnumerableCalls::totalSupply(call) => reply(&call, collection.total_supply(cx)),
        IERC721EnumerableCalls::tokenOfOwnerByIndex(call) => {
            reply(&call, collection.token_of_owner_by_index(cx, call.owner, call.index))
        }
        IERC721EnumerableCalls::tokenByIndex(call) => reply(&call, collection.token_by_index(cx, call.index)),
    }
}
