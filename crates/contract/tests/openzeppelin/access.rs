//! Owners and roles.

use crate::pair::{Pair, cases};
use alloy_primitives::{Address, B256, Bytes, FixedBytes, U256};
use alloy_sol_types::{SolCall, SolValue};
use proptest::prelude::*;
use stoa_contract::{
    Context, Error, NativeContract, Result, abi,
    bench::assert_handles,
    interfaces::{IAccessControl, IDefaultAdminRole, IERC165, IOwnable, IOwnable2Step},
    parts::{
        access_control::{self, AccessControl, DEFAULT_ADMIN_ROLE},
        ownable::{self, Ownable, Ownable2Step},
    },
    storage::{Layout, Place},
};

alloy_sol_types::sol! {
    interface IRoles {
        function setRoleAdmin(bytes32 role, bytes32 admin) external;
        function guarded(bytes32 role) external;
    }

    interface IGuarded {
        function guarded() external;
    }
}

fn lies_at_zero<L: Layout>() -> L {
    L::at(Place::slot(U256::ZERO))
}

struct Owned;

impl NativeContract for Owned {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        let state: Ownable = lies_at_zero();
        if let Some(call) = abi::decode(cx)? {
            return ownable::dispatch(state, cx, call);
        }
        let IGuarded::IGuardedCalls::guarded(_) = abi::decode(cx)?.ok_or(Error::UnknownFunction)?;
        abi::done(state.only_owner(cx))
    }
}

struct OwnedIn2Steps;

impl NativeContract for OwnedIn2Steps {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        let state: Ownable2Step = lies_at_zero();
        if let Some(call) = abi::decode(cx)? {
            return ownable::dispatch_2step(state, cx, call);
        }
        let IGuarded::IGuardedCalls::guarded(_) = abi::decode(cx)?.ok_or(Error::UnknownFunction)?;
        abi::done(state.only_owner(cx))
    }
}

struct Roles;

impl NativeContract for Roles {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        let state: AccessControl = lies_at_zero();
        if let Some(call) = abi::decode(cx)? {
            return access_control::dispatch(state, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return access_control::dispatch_default_admin(call);
        }
        match abi::decode(cx)?.ok_or(Error::UnknownFunction)? {
            IRoles::IRolesCalls::setRoleAdmin(call) => abi::done(state.set_role_admin(cx, call.role, call.admin)),
            IRoles::IRolesCalls::guarded(call) => abi::done(state.only_role(cx, call.role)),
        }
    }

    fn interfaces(&self) -> Vec<[u8; 4]> {
        vec![abi::interface_id::<IAccessControl::IAccessControlCalls>()]
    }
}

fn account(number: u8) -> Address {
    if number >= 4 { Address::ZERO } else { Address::repeat_byte(0xa0 + number) }
}

fn role(number: u8) -> B256 {
    B256::repeat_byte(number)
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn owners_change_as_in_openzeppelin(steps in prop::collection::vec((0..4u8, 0..8u8, 0..5u8), 1..40)) {
        let owner = account(0);
        let mut once = Pair::new(
            Owned,
            |cx| lies_at_zero::<Ownable>().initialize(cx, owner),
            "OzOwnable",
            &owner.abi_encode(),
        );
        let mut twice = Pair::new(
            OwnedIn2Steps,
            |cx| lies_at_zero::<Ownable2Step>().initialize(cx, owner),
            "OzOwnable2Step",
            &owner.abi_encode(),
        );
        for (caller, function, other) in steps {
            let data: Bytes = match function {
                0..3 => IOwnable::transferOwnershipCall { newOwner: account(other) }.abi_encode(),
                3..5 => IOwnable2Step::acceptOwnershipCall {}.abi_encode(),
                5 if other == 0 => IOwnable::renounceOwnershipCall {}.abi_encode(),
                5 => IOwnable2Step::pendingOwnerCall {}.abi_encode(),
                6 => IOwnable::ownerCall {}.abi_encode(),
                _ => IGuarded::guardedCall {}.abi_encode(),
            }
            .into();
            for pair in [&mut once, &mut twice] {
                let _ = pair.same(account(caller), U256::ZERO, |_| data.clone());
            }
        }
        once.same_storage();
        twice.same_storage();
    }

    #[test]
    fn roles_are_given_as_in_openzeppelin(steps in prop::collection::vec((0..4u8, 0..8u8, 0..3u8, 0..5u8), 1..60)) {
        let admin = account(0);
        // The constructor's caller is the deployer; its event is not compared.
        let construct = |cx: &mut Context<'_>| {
            lies_at_zero::<AccessControl>().grant(cx, DEFAULT_ADMIN_ROLE, admin).map(|_| ())
        };
        let mut pair = Pair::new(Roles, construct, "OzRoles", &admin.abi_encode());
        for (caller, function, which, other) in steps {
            let (role, account_of, caller) = (role(which), account(other), account(caller));
            let data: Bytes = match function {
                0 | 1 => IAccessControl::grantRoleCall { role, account: account_of }.abi_encode(),
                2 => IAccessControl::revokeRoleCall { role, account: account_of }.abi_encode(),
                3 => IAccessControl::renounceRoleCall { role, callerConfirmation: account_of }.abi_encode(),
                4 => IAccessControl::hasRoleCall { role, account: account_of }.abi_encode(),
                5 => IAccessControl::getRoleAdminCall { role }.abi_encode(),
                6 => IRoles::setRoleAdminCall { role, admin: self::role(other % 3) }.abi_encode(),
                _ => IRoles::guardedCall { role }.abi_encode(),
            }
            .into();
            let _ = pair.same(caller, U256::ZERO, |_| data.clone());
        }
        pair.same_storage();
    }
}

#[test]
fn constants_and_interfaces_of_roles_are_the_same() {
    let mut pair = Pair::new(Roles, |_| Ok(()), "OzRoles", &account(0).abi_encode());
    let call = IDefaultAdminRole::DEFAULT_ADMIN_ROLECall {}.abi_encode();
    pair.same(account(0), U256::ZERO, |_| call.clone().into()).expect("an answer");
    for id in [[0x79, 0x65, 0xdb, 0x0b], [0x01, 0xff, 0xc9, 0xa7], [0xff; 4]] {
        let call = IERC165::supportsInterfaceCall { interfaceId: FixedBytes(id) }.abi_encode();
        pair.same(account(0), U256::ZERO, |_| call.clone().into()).expect("an answer");
    }
}

#[test]
fn every_function_of_owners_and_roles_has_a_handler() {
    assert_handles::<IOwnable::IOwnableCalls>(Owned);
    assert_handles::<IOwnable2Step::IOwnable2StepCalls>(OwnedIn2Steps);
    assert_handles::<IAccessControl::IAccessControlCalls>(Roles);
    assert_handles::<IRoles::IRolesCalls>(Roles);
}
