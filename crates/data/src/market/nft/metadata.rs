//! What an asset says of itself.

use super::{Nft, State, TOKEN};
use crate::market::{
    abi::{
        FACTORY,
        INft::{
            AssetProofInvalid, AssetStateUnknown, MetadataCreated, MetadataState, MetadataUpdated, MetadataValidated,
            TokenURIUpdate, getMetaDataReturn,
        },
        MetaData, MetaDataAndUri,
    },
    money::check_signed,
};
use alloy_primitives::U256;
use stoa_contract::{Context, Error, Result};

/// The highest state: 0 active, 1 end of life, 2 deprecated, 3 revoked, 4 ordering disabled, 5 unlisted.
const HIGHEST_STATE: u8 = 5;

/// The most signatures of validators at a time.
const MOST_PROOFS: usize = 50;

impl Nft {
    /// `setMetaData`. The metadata themselves are in the event; their hash is kept.
    ///
    /// # Errors
    ///
    /// `ERC721Template: NOT METADATA_ROLE`; `AssetStateUnknown`; `Too Many Proofs` above 50; `AssetProofInvalid` where a
    /// validator did not sign the hash.
    pub(super) fn set_metadata(self, cx: &mut Context<'_>, metadata: MetaData) -> Result<()> {
        if cx.caller() != FACTORY {
            self.only_metadata_updater(cx)?;
        }
        let MetaData { state, decryptorUrl, decryptorAddress, flags, data, dataHash: metaDataHash, proofs } = metadata;
        if proofs.len() > MOST_PROOFS {
            return Err(Error::message("Too Many Proofs"));
        }
        check_state(state)?;
        let kept = State::root();
        let first = !kept.has_metadata.read(cx)?;
        kept.state.write(cx, state)?;
        kept.has_metadata.write(cx, true)?;
        kept.decryptor_url.write(cx, &decryptorUrl)?;
        kept.decryptor_address.write(cx, &decryptorAddress)?;
        kept.hash.write(cx, metaDataHash)?;
        let (by, timestamp, blockNumber) = (cx.caller(), U256::from(cx.timestamp()), U256::from(cx.block_number()));
        match first {
            true => cx.emit(&MetadataCreated {
                createdBy: by,
                state,
                decryptorUrl,
                flags,
                data,
                metaDataHash,
                timestamp,
                blockNumber,
            })?,
            false => cx.emit(&MetadataUpdated {
                updatedBy: by,
                state,
                decryptorUrl,
                flags,
                data,
                metaDataHash,
                timestamp,
                blockNumber,
            })?,
        }
        for proof in proofs {
            let (validator, signature) = (proof.validatorAddress, (proof.v, proof.r, proof.s));
            check_signed(cx, validator, metaDataHash, signature, "").map_err(|error| match error {
                Error::Revert(_) => AssetProofInvalid { validator }.into(),
                error => error,
            })?;
            let (v, r, s) = signature;
            cx.emit(&MetadataValidated { validator, metaDataHash, v, r, s })?;
        }
        Ok(())
    }

    /// `setMetaDataState`.
    ///
    /// # Errors
    ///
    /// `ERC721Template: NOT METADATA_ROLE`; `AssetStateUnknown`; out of gas.
    pub(super) fn set_metadata_state(self, cx: &mut Context<'_>, state: u8) -> Result<()> {
        self.only_metadata_updater(cx)?;
        check_state(state)?;
        State::root().state.write(cx, state)?;
        let (updatedBy, timestamp, blockNumber) =
            (cx.caller(), U256::from(cx.timestamp()), U256::from(cx.block_number()));
        cx.emit(&MetadataState { updatedBy, state, timestamp, blockNumber })
    }

    /// `setTokenURI`, by the owner.
    ///
    /// # Errors
    ///
    /// `ERC721Template: not NFTOwner`; `ERC721URIStorage: URI set of nonexistent token`; out of gas.
    pub(super) fn set_token_uri(self, cx: &mut Context<'_>, token: U256, uri: String) -> Result<()> {
        self.only_owner(cx)?;
        if token != TOKEN {
            return Err(Error::message("ERC721URIStorage: URI set of nonexistent token"));
        }
        State::root().token_uri.write(cx, &uri)?;
        let (updatedBy, timestamp, blockNumber) =
            (cx.caller(), U256::from(cx.timestamp()), U256::from(cx.block_number()));
        cx.emit(&TokenURIUpdate { updatedBy, tokenURI: uri, tokenID: token, timestamp, blockNumber })
    }

    /// `setMetaDataAndTokenURI`, by the owner.
    ///
    /// # Errors
    ///
    /// As [`Nft::set_metadata`] and [`Nft::set_token_uri`].
    pub(super) fn set_metadata_and_token_uri(self, cx: &mut Context<'_>, both: MetaDataAndUri) -> Result<()> {
        let MetaDataAndUri { state, decryptorUrl, decryptorAddress, flags, data, dataHash, tokenId, tokenURI, proofs } =
            both;
        self.set_metadata(cx, MetaData { state, decryptorUrl, decryptorAddress, flags, data, dataHash, proofs })?;
        self.set_token_uri(cx, tokenId, tokenURI)
    }

    /// `getMetaData`.
    pub(super) fn metadata(self, cx: &mut Context<'_>) -> Result<getMetaDataReturn> {
        let kept = State::root();
        Ok(getMetaDataReturn {
            decryptorUrl: kept.decryptor_url.read(cx)?,
            decryptorAddress: kept.decryptor_address.read(cx)?,
            state: kept.state.read(cx)?,
            hasMetaData: kept.has_metadata.read(cx)?,
        })
    }
}

fn check_state(state: u8) -> Result<()> {
    if state > HIGHEST_STATE { Err(AssetStateUnknown { state }.into()) } else { Ok(()) }
}
