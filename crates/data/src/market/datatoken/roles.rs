//! Who may mint a datatoken and name its collector.

use super::{Datatoken, State};
use crate::market::abi::{
    DISPENSER, DatatokenRoles, FACTORY, FIXED_RATE,
    IDatatoken::{AddedMinter, AddedPaymentManager, CleanedPermissions, RemovedMinter, RemovedPaymentManager},
    INft::isERC20DeployerCall,
};
use alloy_primitives::{Address, U256};
use stoa_contract::{Context, Error, Result, storage::Value};

/// May mint.
pub(super) const MINTER: u8 = 1;
/// May name the payment collector.
pub(super) const PAYMENT_MANAGER: u8 = 2;
/// Does not end when the asset changes hands.
pub(super) const LASTING: u8 = 4;

stoa_contract::storage! {
    /// Roles of an account, with how often the asset had changed hands and how often roles had been ended when they were given.
    pub(super) struct Granted {
        bits: Value<u8>,
        transfers: Value<u32>,
        ended: Value<u32>,
    }
}

impl Datatoken {
    /// Whether an account may make datatokens of this asset, and so decides over this one.
    pub(super) fn is_deployer(self, cx: &mut Context<'_>, account: Address) -> Result<bool> {
        let asset = State::root().asset.read(cx)?;
        cx.view_typed(asset, &isERC20DeployerCall { account })
    }

    /// Lets pass who may make datatokens of this asset, and the factory, which makes it for its owner.
    ///
    /// # Errors
    ///
    /// `ERC20Template: NOT DEPLOYER ROLE`; out of gas.
    pub(super) fn only_deployer(self, cx: &mut Context<'_>) -> Result<()> {
        let caller = cx.caller();
        match caller == FACTORY || self.is_deployer(cx, caller)? {
            true => Ok(()),
            false => Err(Error::message("ERC20Template: NOT DEPLOYER ROLE")),
        }
    }

    /// The roles that an account was given and that have not ended since.
    pub(super) fn roles_of(self, cx: &mut Context<'_>, account: Address) -> Result<u8> {
        let granted = State::root().roles.at(&account);
        let bits = granted.bits.read(cx)?;
        if bits == 0 || bits & LASTING != 0 {
            return Ok(bits);
        }
        let stands = granted.ended.read(cx)? == State::root().ended.read(cx)?
            && granted.transfers.read(cx)? == self.standing(cx)?.transfers;
        Ok(if stands { bits } else { 0 })
    }

    /// `isMinter`. The asset's owner is one.
    pub(super) fn is_minter(self, cx: &mut Context<'_>, account: Address) -> Result<bool> {
        Ok(self.roles_of(cx, account)? & MINTER != 0 || self.standing(cx)?.owner == account)
    }

    /// `getPermissions`.
    pub(super) fn permissions(self, cx: &mut Context<'_>, user: Address) -> Result<DatatokenRoles> {
        let (bits, owner) = (self.roles_of(cx, user)?, self.standing(cx)?.owner);
        Ok(DatatokenRoles {
            minter: bits & MINTER != 0 || owner == user,
            paymentManager: bits & PAYMENT_MANAGER != 0 || owner == user,
        })
    }

    /// Gives roles, without asking.
    pub(super) fn give(self, cx: &mut Context<'_>, user: Address, roles: u8, transfers: u32) -> Result<()> {
        let bits = self.roles_of(cx, user)? | roles;
        self.write_roles(cx, user, bits, transfers)?;
        self.tell_added(cx, user, roles)
    }

    /// Says that an account has a role.
    pub(super) fn tell_added(self, cx: &mut Context<'_>, user: Address, roles: u8) -> Result<()> {
        let (signer, timestamp, blockNumber) = (cx.caller(), U256::from(cx.timestamp()), U256::from(cx.block_number()));
        match roles & PAYMENT_MANAGER {
            0 => cx.emit(&AddedMinter { user, signer, timestamp, blockNumber }),
            _ => cx.emit(&AddedPaymentManager { user, signer, timestamp, blockNumber }),
        }
    }

    fn write_roles(self, cx: &mut Context<'_>, user: Address, bits: u8, transfers: u32) -> Result<()> {
        let (granted, ended) = (State::root().roles.at(&user), State::root().ended.read(cx)?);
        granted.bits.write(cx, bits)?;
        granted.transfers.write(cx, transfers)?;
        granted.ended.write(cx, ended)
    }

    /// `addMinter`, `addPaymentManager`, by who may make datatokens.
    ///
    /// # Errors
    ///
    /// `ERC20Template: NOT DEPLOYER ROLE`; `ERC20Roles:  ALREADY A MINTER`, `ERC20Roles:  ALREADY A FEE MANAGER`; out of gas.
    pub(super) fn add_role(self, cx: &mut Context<'_>, user: Address, role: u8) -> Result<()> {
        self.only_deployer(cx)?;
        if self.roles_of(cx, user)? & role != 0 {
            return Err(Error::message(match role {
                MINTER => "ERC20Roles:  ALREADY A MINTER",
                _ => "ERC20Roles:  ALREADY A FEE MANAGER",
            }));
        }
        let transfers = self.standing(cx)?.transfers;
        self.give(cx, user, role, transfers)
    }

    /// `removeMinter`, `removePaymentManager`, by who may make datatokens or whose role it is.
    ///
    /// # Errors
    ///
    /// `ERC20Template: NOT DEPLOYER ROLE`; out of gas.
    pub(super) fn remove_role(self, cx: &mut Context<'_>, user: Address, role: u8) -> Result<()> {
        if cx.caller() != user {
            self.only_deployer(cx)?;
        }
        let left = match self.roles_of(cx, user)? & !role {
            LASTING => 0,
            bits => bits,
        };
        let transfers = self.standing(cx)?.transfers;
        self.write_roles(cx, user, left, transfers)?;
        let (signer, timestamp, blockNumber) = (cx.caller(), U256::from(cx.timestamp()), U256::from(cx.block_number()));
        match role {
            MINTER => cx.emit(&RemovedMinter { user, signer, timestamp, blockNumber }),
            _ => cx.emit(&RemovedPaymentManager { user, signer, timestamp, blockNumber }),
        }
    }

    /// `cleanPermissions`, by the asset's owner: ends all roles that people were given, and names no collector. Says again that
    /// exchange and dispenser mint, if they do.
    ///
    /// # Errors
    ///
    /// `ERC20Template: not NFTOwner`; out of gas.
    pub(super) fn clean_permissions(self, cx: &mut Context<'_>) -> Result<()> {
        let signer = cx.caller();
        if self.standing(cx)?.owner != signer {
            return Err(Error::message("ERC20Template: not NFTOwner"));
        }
        let ended = State::root().ended.read(cx)?;
        State::root().ended.write(cx, ended.wrapping_add(1))?;
        State::root().collector.write(cx, Address::ZERO)?;
        let (timestamp, blockNumber) = (U256::from(cx.timestamp()), U256::from(cx.block_number()));
        cx.emit(&CleanedPermissions { signer, timestamp, blockNumber })?;
        for contract in [FIXED_RATE, DISPENSER] {
            if self.roles_of(cx, contract)? & MINTER != 0 {
                self.tell_added(cx, contract, MINTER)?;
            }
        }
        Ok(())
    }
}
