//! Who may do what with an asset.

use super::{Nft, State, TOKEN};
use crate::market::abi::{
    INft::{
        AddedManager, AddedTo725StoreList, AddedToCreateERC20List, AddedToMetadataList, CleanedPermissions,
        RemovedFrom725StoreList, RemovedFromCreateERC20List, RemovedFromMetadataList, RemovedManager,
    },
    Roles,
};
use alloy_primitives::{Address, U256};
use stoa_contract::{Context, Error, Result, parts::erc721::Erc721 as _};

/// A role, numbered as in Ocean's `RolesType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Role {
    /// Gives and takes the others.
    Manager,
    /// Makes datatokens and sets their prices.
    DeployErc20,
    /// Sets metadata and state.
    UpdateMetadata,
    /// Writes data under keys.
    Store,
}

impl Role {
    const ALL: [Self; 4] = [Self::Manager, Self::DeployErc20, Self::UpdateMetadata, Self::Store];

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// What refuses who may not take the role away.
    const fn refusal(self) -> &'static str {
        match self {
            Self::Manager => "ERC721Template: not NFTOwner",
            Self::DeployErc20 => "ERC721RolesAddress: Not enough permissions to remove from ERC20List",
            Self::UpdateMetadata => "ERC721RolesAddress: Not enough permissions to remove from metadata list",
            Self::Store => "ERC721RolesAddress: Not enough permissions to remove from 725StoreList",
        }
    }
}

impl Nft {
    /// The roles that an account was given and that were not ended since.
    fn granted(self, cx: &mut Context<'_>, account: Address) -> Result<u8> {
        let granted = State::root().roles.at(&account);
        match granted.bits.read(cx)? {
            0 => Ok(0),
            bits if granted.ended.read(cx)? == State::root().ended.read(cx)? => Ok(bits),
            _ => Ok(0),
        }
    }

    /// Whether an account has a role. The owner has all.
    pub(super) fn may(self, cx: &mut Context<'_>, account: Address, role: Role) -> Result<bool> {
        Ok(self.owner_of(cx, TOKEN)? == account || self.granted(cx, account)? & role.bit() != 0)
    }

    /// `getPermissions`.
    pub(super) fn permissions(self, cx: &mut Context<'_>, user: Address) -> Result<Roles> {
        let bits = if self.owner_of(cx, TOKEN)? == user { u8::MAX } else { self.granted(cx, user)? };
        let [manager, deployERC20, updateMetadata, store] = Role::ALL.map(|role| bits & role.bit() != 0);
        Ok(Roles { manager, deployERC20, updateMetadata, store })
    }

    /// Lets the asset's owner pass.
    ///
    /// # Errors
    ///
    /// `ERC721Template: not NFTOwner`; out of gas.
    pub(super) fn only_owner(self, cx: &mut Context<'_>) -> Result<()> {
        match self.owner_of(cx, TOKEN)? == cx.caller() {
            true => Ok(()),
            false => Err(Error::message("ERC721Template: not NFTOwner")),
        }
    }

    /// Lets pass who may set metadata.
    ///
    /// # Errors
    ///
    /// `ERC721Template: NOT METADATA_ROLE`; out of gas.
    pub(super) fn only_metadata_updater(self, cx: &mut Context<'_>) -> Result<()> {
        match self.may(cx, cx.caller(), Role::UpdateMetadata)? {
            true => Ok(()),
            false => Err(Error::message("ERC721Template: NOT METADATA_ROLE")),
        }
    }

    /// Lets pass who manages the asset.
    ///
    /// # Errors
    ///
    /// `ERC721RolesAddress: NOT MANAGER`; out of gas.
    pub(super) fn only_manager(self, cx: &mut Context<'_>) -> Result<()> {
        match self.may(cx, cx.caller(), Role::Manager)? {
            true => Ok(()),
            false => Err(Error::message("ERC721RolesAddress: NOT MANAGER")),
        }
    }

    /// Gives a role, without asking.
    pub(super) fn give(self, cx: &mut Context<'_>, user: Address, role: Role) -> Result<()> {
        self.set(cx, user, |bits| bits | role.bit())?;
        self.tell_added(cx, user, role)
    }

    /// Says that an account has a role. Of an owner, who has all without being given any, it is said that he manages the asset, as
    /// programs that make lists of roles from events hear it from Ocean's contracts.
    pub(super) fn tell_added(self, cx: &mut Context<'_>, user: Address, role: Role) -> Result<()> {
        let (signer, timestamp, blockNumber) = (cx.caller(), U256::from(cx.timestamp()), U256::from(cx.block_number()));
        match role {
            Role::Manager => cx.emit(&AddedManager { user, signer, timestamp, blockNumber }),
            Role::DeployErc20 => cx.emit(&AddedToCreateERC20List { user, signer, timestamp, blockNumber }),
            Role::UpdateMetadata => cx.emit(&AddedToMetadataList { user, signer, timestamp, blockNumber }),
            Role::Store => cx.emit(&AddedTo725StoreList { user, signer, timestamp, blockNumber }),
        }
    }

    fn set(self, cx: &mut Context<'_>, user: Address, change: impl FnOnce(u8) -> u8) -> Result<()> {
        let bits = change(self.granted(cx, user)?);
        let (granted, ended) = (State::root().roles.at(&user), State::root().ended.read(cx)?);
        granted.bits.write(cx, bits)?;
        granted.ended.write(cx, ended)
    }

    /// `addManager`, by the owner; the others of its kind, by a manager.
    ///
    /// # Errors
    ///
    /// `ERC721Template: not NFTOwner`, `ERC721RolesAddress: NOT MANAGER`; out of gas.
    pub(super) fn add(self, cx: &mut Context<'_>, user: Address, role: Role) -> Result<()> {
        match role {
            Role::Manager => self.only_owner(cx)?,
            _ => self.only_manager(cx)?,
        }
        self.give(cx, user, role)
    }

    /// `removeManager`, by the owner; the others of its kind, by a manager or by whose role it is.
    ///
    /// # Errors
    ///
    /// `ERC721Template: not NFTOwner`, `ERC721RolesAddress: Not enough permissions to remove from …`; out of gas.
    pub(super) fn remove(self, cx: &mut Context<'_>, user: Address, role: Role) -> Result<()> {
        let caller = cx.caller();
        let may = match role {
            Role::Manager => self.owner_of(cx, TOKEN)? == caller,
            _ => caller == user || self.may(cx, caller, Role::Manager)?,
        };
        if !may {
            return Err(Error::message(role.refusal()));
        }
        self.set(cx, user, |bits| bits & !role.bit())?;
        let (signer, timestamp, blockNumber) = (caller, U256::from(cx.timestamp()), U256::from(cx.block_number()));
        match role {
            Role::Manager => cx.emit(&RemovedManager { user, signer, timestamp, blockNumber }),
            Role::DeployErc20 => cx.emit(&RemovedFromCreateERC20List { user, signer, timestamp, blockNumber }),
            Role::UpdateMetadata => cx.emit(&RemovedFromMetadataList { user, signer, timestamp, blockNumber }),
            Role::Store => cx.emit(&RemovedFrom725StoreList { user, signer, timestamp, blockNumber }),
        }
    }

    /// `addMultipleUsersToRoles`, by a manager; who is not the owner makes no managers.
    ///
    /// # Errors
    ///
    /// `Invalid array size` for lists that differ, are empty or have 50 entries or more; without data for a role that there is
    /// not; the errors of [`Nft::add`].
    pub(super) fn add_multiple(self, cx: &mut Context<'_>, users: &[Address], roles: &[u8]) -> Result<()> {
        if users.len() != roles.len() || users.is_empty() || users.len() >= 50 {
            return Err(Error::message("Invalid array size"));
        }
        for (user, role) in users.iter().zip(roles) {
            let role = Role::ALL.get(usize::from(*role)).ok_or(Error::EMPTY)?;
            self.add(cx, *user, *role)?;
        }
        Ok(())
    }

    /// Ends all roles.
    pub(super) fn end_roles(self, cx: &mut Context<'_>) -> Result<()> {
        let ended = State::root().ended.read(cx)?;
        State::root().ended.write(cx, ended.wrapping_add(1))?;
        let (signer, timestamp, blockNumber) = (cx.caller(), U256::from(cx.timestamp()), U256::from(cx.block_number()));
        cx.emit(&CleanedPermissions { signer, timestamp, blockNumber })
    }

    /// `cleanPermissions`, by the owner, who keeps all roles.
    ///
    /// # Errors
    ///
    /// `ERC721Template: not NFTOwner`; out of gas.
    pub(super) fn clean_permissions(self, cx: &mut Context<'_>) -> Result<()> {
        self.only_owner(cx)?;
        self.end_roles(cx)?;
        self.tell_added(cx, cx.caller(), Role::Manager)
    }
}
