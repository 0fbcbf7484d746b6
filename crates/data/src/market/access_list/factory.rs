//! The factory of lists.

use crate::market::abi::{
    ACCESS_LIST,
    IAccessList::{initializeCall, transferableCall},
    IAccessListFactory::{IAccessListFactoryCalls as Calls, NewAccessList, deployAccessListContractCall},
};
use alloy_primitives::{Address, Bytes, U256};
use stoa_contract::{
    Context, Error, NativeContract, Result, abi,
    parts::clones,
    storage::{Mapping, Value},
};

stoa_contract::storage! {
    /// What was made.
    struct State {
        lists: Mapping<Address, Value<bool>>,
    }
}

/// The contract.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessListFactory;

impl AccessListFactory {
    /// `deployAccessListContract`.
    ///
    /// # Errors
    ///
    /// `OwnableInvalidOwner` for address zero; `Invalid input` for lists that differ or have more than 64 entries; out of gas.
    fn deploy(self, cx: &mut Context<'_>, call: &deployAccessListContractCall) -> Result<Address> {
        let list = clones::clone(cx, ACCESS_LIST)?;
        State::root().lists.at(&list).write(cx, true)?;
        let initialize = initializeCall {
            owner: call.owner,
            name: call.name.clone(),
            symbol: call.symbol.clone(),
            transferable: call.transferable,
            users: call.users.clone(),
            uris: call.uris.clone(),
        };
        cx.call_typed(list, U256::ZERO, &initialize)?;
        cx.emit(&NewAccessList { contractAddress: list, owner: call.owner })?;
        Ok(list)
    }

    fn is_deployed(self, cx: &mut Context<'_>, list: Address) -> Result<bool> {
        State::root().lists.at(&list).read(cx)
    }

    /// `isSoulBound`.
    ///
    /// # Errors
    ///
    /// `Not deployed by factory`; out of gas.
    fn is_soul_bound(self, cx: &mut Context<'_>, list: Address) -> Result<bool> {
        match self.is_deployed(cx, list)? {
            true => Ok(!cx.view_typed(list, &transferableCall {})?),
            false => Err(Error::message("Not deployed by factory")),
        }
    }
}

impl NativeContract for AccessListFactory {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        match abi::decode(cx)?.ok_or(Error::UnknownFunction)? {
            Calls::deployAccessListContract(call) => abi::reply(&call, self.deploy(cx, &call)),
            // What Ocean's owner may do, change the template, nobody can here.
            Calls::owner(call) => abi::reply(&call, Ok(Address::ZERO)),
            Calls::isDeployed(call) => abi::reply(&call, self.is_deployed(cx, call.contractAddress)),
            Calls::isSoulBound(call) => abi::reply(&call, self.is_soul_bound(cx, call.contractAddress)),
        }
    }

    fn interfaces(&self) -> Vec<[u8; 4]> {
        vec![abi::interface_id::<Calls>()]
    }

    /// There is one list of lists: on another account's storage it would be anybody's.
    fn may_be_delegated(&self) -> bool {
        false
    }
}
