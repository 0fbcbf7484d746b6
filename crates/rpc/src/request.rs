//! Transaction objects as clients send them, to call, estimate, sign or send.

use crate::{
    RpcError,
    hex::{Account, Big, Data, Uint64},
};
use alloy_eips::{eip2930::AccessList, eip7702::SignedAuthorization};
use alloy_primitives::{Address, Bytes, TxKind, U256};
use revm::{context::TxEnv, context_interface::either::Either};
use serde::{Deserialize, de::IgnoredAny};
use stoa_mempool::PoolError;

/// The fields of a transaction object; all may be missing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallRequest {
    from: Option<Account>,
    to: Option<Account>,
    gas: Option<Uint64>,
    gas_price: Option<Big>,
    max_fee_per_gas: Option<Big>,
    max_priority_fee_per_gas: Option<Big>,
    value: Option<Big>,
    nonce: Option<Uint64>,
    data: Option<Data>,
    input: Option<Data>,
    access_list: Option<AccessList>,
    chain_id: Option<Big>,
    authorization_list: Option<Vec<SignedAuthorization>>,
    blob_versioned_hashes: Option<Vec<crate::hex::Hash>>,
    blobs: Option<Vec<IgnoredAny>>,
    #[serde(rename = "type")]
    kind: Option<Kind>,
}

/// The type that a transaction names. Other nodes do not look at it, so that some clients send a number.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Kind {
    Quantity(Uint64),
    Number(u64),
}

/// What a transaction offers to pay, in wei per gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Price {
    /// Nothing was said.
    Unset,
    /// One price.
    Legacy(u128),
    /// EIP-1559; either may be left open.
    Dynamic {
        /// The most, base fee included.
        max_fee: Option<u128>,
        /// The most for the proposer.
        priority_fee: Option<u128>,
    },
}

/// A transaction object whose fields do not contradict each other.
#[derive(Clone, Debug)]
pub struct Call {
    /// The sender; the zero address where the object names none.
    pub from: Address,
    /// `None` creates a contract.
    pub to: Option<Address>,
    /// Gas limit.
    pub gas: Option<u64>,
    /// What it pays.
    pub price: Price,
    /// Wei.
    pub value: U256,
    /// The nonce.
    pub nonce: Option<u64>,
    /// Call data or init code.
    pub input: Bytes,
    /// EIP-2930.
    pub access_list: Option<AccessList>,
    /// EIP-7702.
    pub authorization_list: Vec<SignedAuthorization>,
    /// The type (EIP-2718) that it names; calls follow the fields alone.
    pub kind: Option<u64>,
}

fn wei(field: &str, amount: Option<Big>) -> Result<Option<u128>, RpcError> {
    let Some(Big(amount)) = amount else { return Ok(None) };
    amount.try_into().map(Some).map_err(|_| RpcError::server(format!("{field} {amount} is more than 128 bits")))
}

impl CallRequest {
    /// Checks the fields against each other and against the chain.
    ///
    /// # Errors
    ///
    /// -32000 for contradictions, another chain, and blob transactions.
    pub fn check(self, chain_id: u64) -> Result<Call, RpcError> {
        let input = match (self.input, self.data) {
            (Some(Data(input)), Some(Data(data))) if input != data => {
                return Err(RpcError::server(
                    "both \"data\" and \"input\" are set and not equal. Please use \"input\" to pass transaction call data",
                ));
            }
            (Some(Data(input)), _) | (None, Some(Data(input))) => input,
            (None, None) => Bytes::new(),
        };
        if let Some(Big(other)) = self.chain_id
            && other != U256::from(chain_id)
        {
            return Err(RpcError::server(format!("chainId does not match node's (have={other}, want={chain_id})")));
        }
        let kind = self.kind.map(|kind| match kind {
            Kind::Quantity(Uint64(kind)) | Kind::Number(kind) => kind,
        });
        let has_blobs = self.blobs.is_some_and(|blobs| !blobs.is_empty());
        if self.blob_versioned_hashes.is_some() || has_blobs || kind == Some(3) {
            return Err(RpcError::server(PoolError::Blob.to_string()));
        }
        if kind.is_some_and(|kind| kind > 4) {
            return Err(RpcError::server("transaction type not supported"));
        }
        let max_fee = wei("maxFeePerGas", self.max_fee_per_gas)?;
        let priority_fee = wei("maxPriorityFeePerGas", self.max_priority_fee_per_gas)?;
        if let (Some(max_fee), Some(priority_fee)) = (max_fee, priority_fee)
            && max_fee < priority_fee
        {
            return Err(RpcError::server(format!("maxFeePerGas ({max_fee}) < maxPriorityFeePerGas ({priority_fee})")));
        }
        let dynamic = max_fee.is_some() || priority_fee.is_some();
        let price = match wei("gasPrice", self.gas_price)? {
            Some(_) if dynamic => {
                return Err(RpcError::server("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified"));
            }
            Some(price) => Price::Legacy(price),
            None if dynamic => Price::Dynamic { max_fee, priority_fee },
            None => Price::Unset,
        };
        if self.authorization_list.as_ref().is_some_and(Vec::is_empty) {
            return Err(RpcError::server("empty authorization list"));
        }
        let authorization_list = self.authorization_list.unwrap_or_default();
        if !authorization_list.is_empty() && self.to.is_none() {
            return Err(RpcError::server("EIP-7702 transaction cannot be used to create contract"));
        }
        Ok(Call {
            from: self.from.map_or(Address::ZERO, |Account(address)| address),
            to: self.to.map(|Account(address)| address),
            gas: self.gas.map(|Uint64(gas)| gas),
            price,
            value: self.value.map_or(U256::ZERO, |Big(value)| value),
            nonce: self.nonce.map(|Uint64(nonce)| nonce),
            input,
            access_list: self.access_list,
            authorization_list,
            kind,
        })
    }
}

impl Call {
    /// The most that is paid per gas in a block with this base fee, in wei. Who names only a tip pays up to twice the
    /// base fee with it, as in a completed transaction; 0 where nothing was said, or only that there is no tip.
    pub fn max_fee(&self, base_fee: u64) -> u128 {
        match self.price {
            Price::Unset => 0,
            Price::Legacy(price) => price,
            Price::Dynamic { max_fee: None, priority_fee: Some(tip) } if tip > 0 => {
                (u128::from(base_fee) * 2).saturating_add(tip)
            }
            Price::Dynamic { max_fee, .. } => max_fee.unwrap_or_default(),
        }
    }

    /// As the virtual machine wants it, for a block with this base fee in wei.
    pub fn tx_env(&self, gas_limit: u64, chain_id: u64, base_fee: u64) -> TxEnv {
        let gas_priority_fee = match self.price {
            Price::Dynamic { priority_fee, .. } => Some(priority_fee.unwrap_or_default()),
            Price::Unset | Price::Legacy(_) => None,
        };
        let tx_type = if !self.authorization_list.is_empty() {
            4
        } else if gas_priority_fee.is_some() {
            2
        } else {
            u8::from(self.access_list.is_some())
        };
        TxEnv {
            tx_type,
            caller: self.from,
            gas_limit,
            gas_price: self.max_fee(base_fee),
            kind: self.to.map_or(TxKind::Create, TxKind::Call),
            value: self.value,
            data: self.input.clone(),
            nonce: self.nonce.unwrap_or_default(),
            chain_id: Some(chain_id),
            access_list: self.access_list.clone().unwrap_or_default(),
            gas_priority_fee: if tx_type == 4 { gas_priority_fee.or(Some(0)) } else { gas_priority_fee },
            blob_hashes: Vec::new(),
            max_fee_per_blob_gas: 0,
            authorization_list: self.authorization_list.iter().cloned().map(Either::Left).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<Call, RpcError> {
        serde_json::from_str::<CallRequest>(json).unwrap().check(31337)
    }

    #[test]
    fn input_and_data_are_the_same_thing() {
        assert_eq!(check(r#"{"data":"0x01"}"#).unwrap().input.as_ref(), [1]);
        assert_eq!(check(r#"{"input":"0x01"}"#).unwrap().input.as_ref(), [1]);
        assert_eq!(check(r#"{"input":"0x01","data":"0x01"}"#).unwrap().input.as_ref(), [1]);
        assert!(check(r#"{"input":"0x01","data":"0x02"}"#).unwrap_err().message.contains("not equal"));
    }

    #[test]
    fn prices_do_not_mix() {
        assert_eq!(check(r#"{"gasPrice":"0x5"}"#).unwrap().price, Price::Legacy(5));
        assert!(check(r#"{"gasPrice":"0x5","maxFeePerGas":"0x5"}"#).unwrap_err().message.starts_with("both gasPrice"));
        assert_eq!(
            check(r#"{"maxFeePerGas":"0x1","maxPriorityFeePerGas":"0x2"}"#).unwrap_err().message,
            "maxFeePerGas (1) < maxPriorityFeePerGas (2)"
        );
    }

    #[test]
    fn a_tip_alone_is_paid_with_up_to_twice_the_base_fee() {
        let max_fee = |json| check(json).unwrap().max_fee(10);
        assert_eq!([r#"{"maxPriorityFeePerGas":"0x5"}"#, r#"{"maxFeePerGas":"0x5"}"#].map(max_fee), [25, 5]);
        assert_eq!(["{}", r#"{"maxPriorityFeePerGas":"0x0"}"#].map(max_fee), [0; 2], "who pays nothing");
    }

    #[test]
    fn another_chain_and_blobs_are_refused() {
        assert!(check(r#"{"chainId":"0x7a69"}"#).is_ok());
        assert_eq!([r#"{"type":"0x2"}"#, r#"{"type":2}"#].map(|call| check(call).unwrap().kind), [Some(2); 2]);
        assert!(check(r#"{"chainId":"0x1"}"#).unwrap_err().message.contains("have=1, want=31337"));
        assert!(check(r#"{"blobs":[],"type":"0x2"}"#).is_ok());
        for blobs in [r#"{"blobVersionedHashes":[]}"#, r#"{"blobs":["0x00"]}"#, r#"{"type":"0x3"}"#] {
            let said = check(blobs).unwrap_err().message;
            assert_eq!(said, "transaction type not supported: blob transactions are not accepted on this chain");
        }
        assert_eq!(check(r#"{"type":"0x5"}"#).unwrap_err().message, "transaction type not supported");
    }

    #[test]
    fn who_authorizes_nothing_says_so_by_saying_nothing() {
        assert_eq!(check(r#"{"authorizationList":[]}"#).unwrap_err().message, "empty authorization list");
        assert!(check(r#"{"authorizationList":null}"#).is_ok());
    }

    #[test]
    fn the_type_follows_the_fields() {
        let kind = |json| check(json).unwrap().tx_env(1, 1, 1).tx_type;
        assert_eq!(kind("{}"), 0);
        assert_eq!(kind(r#"{"accessList":[]}"#), 1);
        assert_eq!(kind(r#"{"maxPriorityFeePerGas":"0x1"}"#), 2);
    }
}
