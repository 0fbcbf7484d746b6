//! Typed data that accounts sign: EIP-712 domains, ERC-5267, recovery of signers as OpenZeppelin's `ECDSA` does it.

use crate::{
    Context, Result, abi,
    interfaces::{
        IECDSAErrors::{ECDSAInvalidSignature, ECDSAInvalidSignatureS},
        IERC5267::{IERC5267Calls, eip712DomainReturn},
    },
};
use alloy_primitives::{Address, B256, Bytes, Signature, U256, b256, keccak256};
use alloy_sol_types::{Eip712Domain, SolStruct};
use std::borrow::Cow;

/// Half of the order of secp256k1: a signature's `s` above it is the mirror of one below.
const HALF_ORDER: U256 =
    U256::from_be_bytes(b256!("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0").0);

/// What ECRECOVER costs.
const RECOVERY_GAS: u64 = 3000;

/// A contract with typed data of its own.
pub trait Eip712 {
    /// The name and version in the domain.
    ///
    /// # Errors
    ///
    /// Out of gas, where they are kept in storage.
    fn name_and_version(&self, cx: &mut Context<'_>) -> Result<(Cow<'static, str>, Cow<'static, str>)>;

    /// The domain: name, version, chain and contract.
    ///
    /// # Errors
    ///
    /// Out of gas.
    fn domain(&self, cx: &mut Context<'_>) -> Result<Eip712Domain> {
        let (name, version) = self.name_and_version(cx)?;
        let (chain_id, this) = (cx.chain_id(), cx.this());
        Ok(Eip712Domain::new(Some(name), Some(version), Some(U256::from(chain_id)), Some(this), None))
    }

    /// The domain's hash.
    ///
    /// # Errors
    ///
    /// Out of gas.
    fn domain_separator(&self, cx: &mut Context<'_>) -> Result<B256> {
        let domain = self.domain(cx)?;
        // Name, version and the five words that are hashed with them.
        cx.charge(2 * 36 + 30 + 5 * 6)?;
        Ok(domain.separator())
    }

    /// The account that signed the data for this contract.
    ///
    /// # Errors
    ///
    /// `ECDSAInvalidSignature`, `ECDSAInvalidSignatureS`; out of gas.
    fn recover<T: SolStruct>(&self, cx: &mut Context<'_>, data: &T, signature: (u8, B256, B256)) -> Result<Address> {
        let separator = self.domain_separator(cx)?;
        cx.charge(30 + 6 * 8 + 30 + 6 * 3)?;
        let digest = keccak256([&[0x19, 0x01], separator.as_slice(), data.eip712_hash_struct().as_slice()].concat());
        recover(cx, digest, signature)
    }

    /// `eip712Domain()`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    fn eip712_domain(&self, cx: &mut Context<'_>) -> Result<eip712DomainReturn> {
        let (name, version) = self.name_and_version(cx)?;
        Ok(eip712DomainReturn {
            fields: [0x0f].into(),
            name: name.into_owned(),
            version: version.into_owned(),
            chainId: U256::from(cx.chain_id()),
            verifyingContract: cx.this(),
            salt: B256::ZERO,
            extensions: Vec::new(),
        })
    }
}

/// The account that signed a digest: `ECDSA.recover`.
///
/// # Errors
///
/// `ECDSAInvalidSignatureS` if `s` is in the upper half, `ECDSAInvalidSignature` if nobody can have signed so; out of
/// gas.
pub fn recover(cx: &mut Context<'_>, digest: B256, (v, r, s): (u8, B256, B256)) -> Result<Address> {
    if U256::from_be_bytes(s.0) > HALF_ORDER {
        return Err(ECDSAInvalidSignatureS { s }.into());
    }
    cx.charge(RECOVERY_GAS)?;
    let signer = match v {
        27 | 28 => Signature::from_scalars_and_parity(r, s, v == 28).recover_address_from_prehash(&digest).ok(),
        _ => None,
    };
    signer.filter(|signer| !signer.is_zero()).ok_or_else(|| ECDSAInvalidSignature {}.into())
}

/// Runs a call of ERC-5267.
///
/// # Errors
///
/// The function's own.
pub fn dispatch(contract: &impl Eip712, cx: &mut Context<'_>, call: IERC5267Calls) -> Result<Bytes> {
    match call {
        IERC5267Calls::eip712Domain(call) => abi::reply(&call, contract.eip712_domain(cx)),
    }
}
