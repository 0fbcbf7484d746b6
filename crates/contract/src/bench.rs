//! A test bench: the machine on a state in memory, for the tests of contracts.
//!
//! ```
//! use alloy_primitives::{Address, U256};
//! use stoa_contract::{Natives, bench::Bench, coin, interfaces::IERC20};
//!
//! let (alice, bob) = (Address::repeat_byte(0xa1), Address::repeat_byte(0xb0));
//! let mut bench = Bench::new(Natives::stoa()).with_coin(&[(alice, U256::from(10))]);
//! bench.send(alice, coin::ADDRESS, &IERC20::transferCall { to: bob, value: U256::from(3) }).expect("enough coin");
//! assert_eq!(bench.view(coin::ADDRESS, &IERC20::balanceOfCall { account: bob }), Ok(U256::from(3)));
//! ```

use crate::{Context, Error, Evm, NativeContract, Natives, Result, cfg, natives, randomness};
use alloy_primitives::{Address, Bytes, Log, TxKind, U256, keccak256};
use alloy_sol_types::{SolCall, SolInterface};
use revm::{
    Database,
    context::{
        BlockEnv, TxEnv,
        result::{ExecutionResult, Output},
    },
    database::InMemoryDB,
    primitives::hardfork::SpecId,
    state::{AccountInfo, Bytecode},
};

/// The gas that the bench gives to a transaction: as much as one may have.
pub const GAS_LIMIT: u64 = 1 << 24;

/// Time of a bench's first block, in seconds since 1970.
pub const START: u64 = 1_700_000_000;

/// A transaction that went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent<T> {
    /// What the function returned.
    pub value: T,
    /// The logs that it left.
    pub logs: Vec<Log>,
    /// The gas that it used.
    pub gas: u64,
}

/// A transaction that did not: what it reverted with, or that it was halted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Reverted with this data.
    Revert(Bytes),
    /// Halted for this reason.
    Halt(String),
}

impl Failure {
    /// A revert with a typed error.
    pub fn revert(error: impl alloy_sol_types::SolError) -> Self {
        Self::Revert(error.abi_encode().into())
    }
}

/// The machine on a state in memory. Gas is free unless [`Bench::evm`]'s block says otherwise, nonces do not matter.
#[derive(Debug)]
pub struct Bench {
    /// The machine itself.
    pub evm: Evm<InMemoryDB>,
}

impl Bench {
    /// A fresh chain with these native contracts.
    pub fn new(natives: Natives) -> Self {
        let mut db = InMemoryDB::default();
        for account in natives.genesis(U256::ZERO, START) {
            let code = Bytecode::new_raw(account.code);
            db.insert_account_info(account.address, AccountInfo::default().with_code(code));
        }
        let block = BlockEnv { number: U256::ONE, timestamp: U256::from(START), ..BlockEnv::default() };
        let mut cfg = cfg(31337);
        cfg.disable_nonce_check = true;
        debug_assert_eq!(cfg.spec(), &SpecId::OSAKA);
        Self { evm: Evm::new(db, block, cfg, natives) }
    }

    /// Gives accounts their first coin, in wei, and the coin its supply.
    ///
    /// # Panics
    ///
    /// If it is not the first thing that happens.
    #[must_use]
    pub fn with_coin(mut self, accounts: &[(Address, U256)]) -> Self {
        assert!(self.evm.state().is_empty(), "the chain has begun");
        let supply = accounts.iter().fold(U256::ZERO, |sum, (_, balance)| sum + balance);
        let genesis = self.evm.natives().genesis(supply, START);
        let db = self.evm.db_mut();
        for (address, balance) in accounts {
            db.insert_account_info(*address, AccountInfo::from_balance(*balance));
        }
        for account in genesis {
            for (slot, value) in account.storage {
                let Ok(()) = db.insert_account_storage(account.address, slot.into(), value.into());
            }
        }
        self
    }

    /// The block's time, in seconds since 1970.
    pub fn time(&self) -> u64 {
        self.evm.ctx().block.timestamp.to()
    }

    /// Ends the block; the next is so many seconds later, and has randomness: a hash of its number.
    pub fn pass(&mut self, seconds: u64) {
        let block = &mut self.evm.ctx_mut().block;
        block.timestamp += U256::from(seconds);
        block.number += U256::ONE;
        let number = block.number;
        let (slot, value) = (randomness::slot(number.to()), keccak256(number.to_be_bytes::<32>()).into());
        let Ok(()) = self.evm.db_mut().insert_account_storage(randomness::ADDRESS, slot, value);
    }

    /// An account's balance, in wei.
    pub fn balance(&mut self, address: Address) -> U256 {
        match self.evm.state().get(&address) {
            Some(account) => account.info.balance,
            None => {
                let Ok(info) = self.evm.db_mut().basic(address);
                info.unwrap_or_default().balance
            }
        }
    }

    /// A slot of storage.
    pub fn storage(&mut self, address: Address, slot: U256) -> U256 {
        match self.evm.state().get(&address).and_then(|account| account.storage.get(&slot)) {
            Some(slot) => slot.present_value(),
            None => {
                let Ok(value) = self.evm.db_mut().storage(address, slot);
                value
            }
        }
    }

    /// Deploys a contract from its init code, which includes the constructor's arguments.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub fn deploy(&mut self, from: Address, init_code: Bytes) -> Address {
        match self.transact(self.tx(from, TxKind::Create, U256::ZERO, init_code)) {
            ExecutionResult::Success { output: Output::Create(_, Some(address)), .. } => address,
            result => panic!("not deployed: {result:?}"),
        }
    }

    /// A transaction, for [`Bench::transact`].
    pub fn tx(&self, caller: Address, kind: TxKind, value: U256, data: Bytes) -> TxEnv {
        TxEnv { caller, kind, value, data, gas_limit: GAS_LIMIT, chain_id: Some(31337), ..TxEnv::default() }
    }

    /// Executes a transaction.
    ///
    /// # Panics
    ///
    /// If it is not valid.
    pub fn transact(&mut self, tx: TxEnv) -> ExecutionResult {
        self.evm.transact_one(tx).expect("a valid transaction")
    }

    /// Calls a function in a transaction.
    ///
    /// # Errors
    ///
    /// If the call fails, with what it fails.
    pub fn send<C: SolCall>(&mut self, from: Address, to: Address, call: &C) -> Result<Sent<C::Return>, Failure> {
        self.send_value(from, to, U256::ZERO, call)
    }

    /// Calls a function in a transaction, with coin.
    ///
    /// # Errors
    ///
    /// If the call fails, with what it fails.
    ///
    /// # Panics
    ///
    /// If what the function returns cannot be decoded.
    pub fn send_value<C: SolCall>(
        &mut self,
        from: Address,
        to: Address,
        value: U256,
        call: &C,
    ) -> Result<Sent<C::Return>, Failure> {
        let sent = self.send_raw(from, to, value, call.abi_encode().into())?;
        let value = C::abi_decode_returns_validate(&sent.value).expect("what the interface says");
        Ok(Sent { value, logs: sent.logs, gas: sent.gas })
    }

    /// Sends data in a transaction, with coin.
    ///
    /// # Errors
    ///
    /// If the call fails, with what it fails.
    pub fn send_raw(&mut self, from: Address, to: Address, value: U256, data: Bytes) -> Result<Sent<Bytes>, Failure> {
        let result = self.transact(self.tx(from, TxKind::Call(to), value, data));
        let gas = result.tx_gas_used();
        match result {
            ExecutionResult::Success { output, logs, .. } => Ok(Sent { value: output.into_data(), logs, gas }),
            ExecutionResult::Revert { output, .. } => Err(Failure::Revert(output)),
            ExecutionResult::Halt { reason, .. } => Err(Failure::Halt(format!("{reason:?}"))),
        }
    }

    /// Calls a function that changes nothing.
    ///
    /// # Errors
    ///
    /// If the call fails, with what it fails.
    pub fn view<C: SolCall>(&mut self, to: Address, call: &C) -> Result<C::Return, Failure> {
        self.send(Address::ZERO, to, call).map(|sent| sent.value)
    }
}

/// Where tests have [`Deep`].
pub const DEEP: Address = natives::address(0xfe);

/// A contract that calls another from within many native frames: what somebody does who would have a call fail for being too deep.
#[derive(Clone, Copy, Debug)]
pub struct Deep;

impl Deep {
    /// What makes it call `to`, from the last of so many frames of its own (one if zero). It ends as that call does.
    pub fn via(frames: u8, to: Address, call: &impl SolCall) -> Bytes {
        Self::data(frames, to, &call.abi_encode())
    }

    fn data(frames: u8, to: Address, data: &[u8]) -> Bytes {
        [&[frames], to.as_slice(), data].concat().into()
    }
}

impl NativeContract for Deep {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        let (this, all) = (cx.this(), cx.data().clone());
        let (head, data) = all.split_at_checked(21).ok_or(Error::EMPTY)?;
        let (frames, to) = (head[0], Address::from_slice(&head[1..]));
        let outcome = match frames {
            0 | 1 => cx.call(to, U256::ZERO, Bytes::copy_from_slice(data))?,
            _ => cx.call(this, U256::ZERO, Self::data(frames - 1, to, data))?,
        };
        let outcome = outcome.answered()?;
        if outcome.success { Ok(outcome.output) } else { Err(Error::Revert(outcome.output)) }
    }
}

/// Whether a contract has a handler for every function of an interface.
///
/// # Panics
///
/// If there is none for one.
pub fn assert_handles<I: SolInterface>(contract: impl NativeContract) {
    let address = natives::address(0xff);
    let natives = Natives::none().with(address, contract);
    let contract = natives.get(&address).expect("just added").clone();
    let mut bench = Bench::new(natives);
    for selector in I::selectors() {
        let data: Bytes = [selector.as_slice(), &[0; 32 * 16]].concat().into();
        let handled = |cx: &mut Context<'_>| {
            let result = cx.attempt(|cx| cx.with_data(data, |cx| natives::run(&*contract, cx)));
            Ok(result != Err(Error::UnknownFunction))
        };
        let (handled, _) = bench.evm.system(address, handled).expect("a state in memory");
        assert!(handled, "{} has a function {} without a handler", I::NAME, Bytes::copy_from_slice(&selector));
    }
}
