//! Roles: OpenZeppelin's `AccessControl`.

use crate::{
    Context, Result, abi,
    interfaces::{
        IAccessControl::{
            AccessControlBadConfirmation, AccessControlUnauthorizedAccount, IAccessControlCalls, RoleAdminChanged,
            RoleGranted, RoleRevoked,
        },
        IDefaultAdminRole::IDefaultAdminRoleCalls,
    },
    storage::{Mapping, Value},
};
use alloy_primitives::{Address, B256, Bytes};

/// The role that grants and revokes all roles that have no admin of their own.
pub const DEFAULT_ADMIN_ROLE: B256 = B256::ZERO;

crate::storage! {
    /// A role.
    pub struct Role {
        has_role: Mapping<Address, Value<bool>>,
        admin_role: Value<B256>,
    }

    /// The roles of a contract, by their ids: hashes of their names.
    pub struct AccessControl {
        roles: Mapping<B256, Role>,
    }
}

impl AccessControl {
    /// `hasRole`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn has_role(&self, cx: &mut Context<'_>, role: B256, account: Address) -> Result<bool> {
        self.roles.at(&role).has_role.at(&account).read(cx)
    }

    /// Lets only callers with a role pass.
    ///
    /// # Errors
    ///
    /// `AccessControlUnauthorizedAccount` if the caller has it not; out of gas.
    pub fn only_role(&self, cx: &mut Context<'_>, role: B256) -> Result<()> {
        let account = cx.caller();
        match self.has_role(cx, role, account)? {
            true => Ok(()),
            false => Err(AccessControlUnauthorizedAccount { account, neededRole: role }.into()),
        }
    }

    /// `getRoleAdmin`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn role_admin(&self, cx: &mut Context<'_>, role: B256) -> Result<B256> {
        self.roles.at(&role).admin_role.read(cx)
    }

    /// `grantRole`, by the role's admin.
    ///
    /// # Errors
    ///
    /// As [`AccessControl::only_role`]; halts in a static call.
    pub fn grant_role(&self, cx: &mut Context<'_>, role: B256, account: Address) -> Result<()> {
        let admin = self.role_admin(cx, role)?;
        self.only_role(cx, admin)?;
        self.grant(cx, role, account).map(|_| ())
    }

    /// `revokeRole`, by the role's admin.
    ///
    /// # Errors
    ///
    /// As [`AccessControl::only_role`]; halts in a static call.
    pub fn revoke_role(&self, cx: &mut Context<'_>, role: B256, account: Address) -> Result<()> {
        let admin = self.role_admin(cx, role)?;
        self.only_role(cx, admin)?;
        self.revoke(cx, role, account).map(|_| ())
    }

    /// `renounceRole`, by who has it.
    ///
    /// # Errors
    ///
    /// `AccessControlBadConfirmation` if the confirmation is not the caller; out of gas; halts in a static call.
    pub fn renounce_role(&self, cx: &mut Context<'_>, role: B256, confirmation: Address) -> Result<()> {
        if confirmation != cx.caller() {
            return Err(AccessControlBadConfirmation {}.into());
        }
        self.revoke(cx, role, confirmation).map(|_| ())
    }

    /// Makes another role the admin of a role, without asking.
    ///
    /// # Errors
    ///
    /// Out of gas; halts in a static call.
    pub fn set_role_admin(&self, cx: &mut Context<'_>, role: B256, admin: B256) -> Result<()> {
        let previous = self.role_admin(cx, role)?;
        self.roles.at(&role).admin_role.write(cx, admin)?;
        cx.emit(&RoleAdminChanged { role, previousAdminRole: previous, newAdminRole: admin })
    }

    /// Gives a role, without asking; `false` if the account has it already.
    ///
    /// # Errors
    ///
    /// Out of gas; halts in a static call.
    pub fn grant(&self, cx: &mut Context<'_>, role: B256, account: Address) -> Result<bool> {
        if self.has_role(cx, role, account)? {
            return Ok(false);
        }
        self.roles.at(&role).has_role.at(&account).write(cx, true)?;
        let sender = cx.caller();
        cx.emit(&RoleGranted { role, account, sender })?;
        Ok(true)
    }

    /// Takes a role, without asking; `false` if the account has it not.
    ///
    /// # Errors
    ///
    /// Out of gas; halts in a static call.
    pub fn revoke(&self, cx: &mut Context<'_>, role: B256, account: Address) -> Result<bool> {
        if !self.has_role(cx, role, account)? {
            return Ok(false);
        }
        self.roles.at(&role).has_role.at(&account).write(cx, false)?;
        let sender = cx.caller();
        cx.emit(&RoleRevoked { role, account, sender })?;
        Ok(true)
    }
}

/// Runs a call of `IAccessControl`.
///
/// # Errors
///
/// The function's own.
pub fn dispatch(state: AccessControl, cx: &mut Context<'_>, call: IAccessControlCalls) -> Result<Bytes> {
    use IAccessControlCalls as Calls;
    match call {
        Calls::hasRole(call) => abi::reply(&call, state.has_role(cx, call.role, call.account)),
        Calls::getRoleAdmin(call) => abi::reply(&call, state.role_admin(cx, call.role)),
        Calls::grantRole(call) => abi::done(state.grant_role(cx, call.role, call.account)),
        Calls::revokeRole(call) => abi::done(state.revoke_role(cx, call.role, call.account)),
        Calls::renounceRole(call) => abi::done(state.renounce_role(cx, call.role, call.callerConfirmation)),
    }
}

/// Runs `DEFAULT_ADMIN_ROLE`.
///
/// # Errors
///
/// None; the type is that of all dispatches.
pub fn dispatch_default_admin(call: IDefaultAdminRoleCalls) -> Result<Bytes> {
    let IDefaultAdminRoleCalls::DEFAULT_ADMIN_ROLE(call) = call;
    abi::reply(&call, Ok(DEFAULT_ADMIN_ROLE))
}
