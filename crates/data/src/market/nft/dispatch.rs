//! From call data to the functions of an asset.

use super::{
    Nft, State, TOKEN,
    roles::Role::{DeployErc20, Manager, Store, UpdateMetadata},
};
use crate::market::abi::{
    INft::{INftCalls as Calls, setMetaDataCall},
    MetaData,
};
use alloy_primitives::{Bytes, U256};
use stoa_contract::{
    Context, Error, NativeContract, Result, abi,
    interfaces::{
        IERC721::IERC721Calls, IERC721Enumerable::ERC721OutOfBoundsIndex,
        IERC721Enumerable::IERC721EnumerableCalls as Lists, IERC721Metadata::IERC721MetadataCalls,
    },
    parts::{erc721, erc721::Erc721 as _},
};

impl NativeContract for Nft {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        if let Some(call) = abi::decode::<Calls>(cx)? {
            return self.run(cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return erc721::token(self, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return erc721::metadata(self, cx, call);
        }
        let call = abi::decode(cx)?.ok_or(Error::UnknownFunction)?;
        self.list(cx, call)
    }

    fn interfaces(&self) -> Vec<[u8; 4]> {
        vec![
            abi::interface_id::<IERC721Calls>(),
            abi::interface_id::<IERC721MetadataCalls>(),
            abi::interface_id::<Lists>(),
            abi::interface_id::<Calls>(),
        ]
    }
}

impl Nft {
    fn run(self, cx: &mut Context<'_>, call: Calls) -> Result<Bytes> {
        let kept = State::root();
        match call {
            Calls::initialize(call) => abi::reply(&call, self.initialize(cx, &call)),
            Calls::isInitialized(call) => abi::reply(&call, kept.initialized.read(cx)),
            Calls::getId(call) => abi::reply(&call, Ok(1)),
            Calls::transferable(call) => abi::reply(&call, kept.transferable.read(cx)),
            Calls::createERC20(call) => abi::reply(&call, self.create_erc20(cx, &call)),
            Calls::isERC20Deployer(call) => abi::reply(&call, self.may(cx, call.account, DeployErc20)),
            Calls::isDeployed(call) => abi::reply(&call, kept.datatokens.contains(cx, call.datatoken)),
            Calls::getTokensList(call) => abi::reply(&call, kept.datatokens.values(cx)),
            Calls::setMetaData(call) => {
                let setMetaDataCall { state, decryptorUrl, decryptorAddress, flags, data, dataHash, proofs } = call;
                let all = MetaData { state, decryptorUrl, decryptorAddress, flags, data, dataHash, proofs };
                abi::done(self.set_metadata(cx, all))
            }
            Calls::setMetaDataState(call) => abi::done(self.set_metadata_state(cx, call.state)),
            Calls::setMetaDataAndTokenURI(call) => abi::done(self.set_metadata_and_token_uri(cx, call.metaData)),
            Calls::getMetaData(call) => abi::reply(&call, self.metadata(cx)),
            Calls::hasMetaData(call) => abi::reply(&call, kept.has_metadata.read(cx)),
            Calls::metaDataState(call) => abi::reply(&call, kept.state.read(cx)),
            Calls::metaDataDecryptorUrl(call) => abi::reply(&call, kept.decryptor_url.read(cx)),
            Calls::metaDataDecryptorAddress(call) => abi::reply(&call, kept.decryptor_address.read(cx)),
            Calls::metaDataHash(call) => abi::reply(&call, kept.hash.read(cx)),
            Calls::setTokenURI(call) => abi::done(self.set_token_uri(cx, call.tokenId, call.tokenURI)),
            Calls::setNewData(call) => abi::done(self.set_new_data(cx, call.key, call.value)),
            Calls::setDataERC20(call) => abi::done(self.set_data_erc20(cx, call.key, call.value)),
            Calls::getData(call) => abi::reply(&call, kept.data.at(&call.key).read(cx)),
            Calls::getPermissions(call) => abi::reply(&call, self.permissions(cx, call.user)),
            Calls::addManager(call) => abi::done(self.add(cx, call.manager, Manager)),
            Calls::removeManager(call) => abi::done(self.remove(cx, call.manager, Manager)),
            Calls::addToCreateERC20List(call) => abi::done(self.add(cx, call.account, DeployErc20)),
            Calls::removeFromCreateERC20List(call) => abi::done(self.remove(cx, call.account, DeployErc20)),
            Calls::addToMetadataList(call) => abi::done(self.add(cx, call.account, UpdateMetadata)),
            Calls::removeFromMetadataList(call) => abi::done(self.remove(cx, call.account, UpdateMetadata)),
            Calls::addTo725StoreList(call) => abi::done(self.add(cx, call.account, Store)),
            Calls::removeFrom725StoreList(call) => abi::done(self.remove(cx, call.account, Store)),
            Calls::addMultipleUsersToRoles(call) => abi::done(self.add_multiple(cx, &call.addresses, &call.roles)),
            Calls::cleanPermissions(_) => abi::done(self.clean_permissions(cx)),
            Calls::standing(call) => abi::reply(&call, self.standing(cx)),
            Calls::setAccess(call) => abi::done(self.set_access(cx, call.allow, call.deny)),
            Calls::getAccess(call) => abi::reply(&call, self.access(cx)),
            Calls::checkAccess(call) => abi::done(self.check_access(cx, call.account)),
            Calls::recordDerivation(call) => abi::done(self.record_derivation(cx, &call.ancestors)),
            Calls::getDerivations(call) => abi::reply(&call, kept.ancestors.values(cx)),
        }
    }

    /// The lists of a collection with one token.
    fn list(self, cx: &mut Context<'_>, call: Lists) -> Result<Bytes> {
        match call {
            Lists::totalSupply(call) => abi::reply(&call, Ok(U256::ONE)),
            Lists::tokenByIndex(call) => match call.index.is_zero() {
                true => abi::reply(&call, Ok(TOKEN)),
                false => Err(ERC721OutOfBoundsIndex { owner: Default::default(), index: call.index }.into()),
            },
            Lists::tokenOfOwnerByIndex(call) => match call.index.is_zero() && self.owner_of(cx, TOKEN)? == call.owner {
                true => abi::reply(&call, Ok(TOKEN)),
                false => Err(ERC721OutOfBoundsIndex { owner: call.owner, index: call.index }.into()),
            },
        }
    }
}
