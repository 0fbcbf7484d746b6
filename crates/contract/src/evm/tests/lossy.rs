//! A database that fails below native code.

use super::*;

/// A database that loses the storage of one account.
#[derive(Debug)]
struct Lossy(revm::database::InMemoryDB, Address);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("lost")]
struct Lost;

impl revm::database_interface::DBErrorMarker for Lost {}

impl Database for Lossy {
    type Error = Lost;

    fn basic(&mut self, address: Address) -> Result<Option<revm::state::AccountInfo>, Lost> {
        let Ok(info) = self.0.basic(address);
        Ok(info)
    }

    fn code_by_hash(&mut self, hash: alloy_primitives::B256) -> Result<revm::state::Bytecode, Lost> {
        let Ok(code) = self.0.code_by_hash(hash);
        Ok(code)
    }

    fn storage(&mut self, address: Address, index: U256) -> Result<U256, Lost> {
        let Ok(value) = self.0.storage(address, index);
        if address == self.1 { Err(Lost) } else { Ok(value) }
    }

    fn block_hash(&mut self, number: u64) -> Result<alloy_primitives::B256, Lost> {
        let Ok(hash) = self.0.block_hash(number);
        Ok(hash)
    }
}

#[test]
fn a_database_that_fails_below_native_code_fails_the_transaction() {
    for (lost, call) in [
        (PROBE, getCall {}.abi_encode()),
        (Address::repeat_byte(0x5e), forwardCall { to: Address::repeat_byte(0x5e), data: Bytes::new() }.abi_encode()),
    ] {
        let mut bench = bench();
        install(&mut bench, 0x5e, SETTER);
        let tx = bench.tx(ALICE, TxKind::Call(PROBE), U256::ZERO, call.into());
        let natives = bench.evm.natives().clone();
        let mut cfg = cfg(31337);
        cfg.disable_nonce_check = true;
        let db = Lossy(bench.evm.into_db(), lost);
        let mut evm = Evm::new(db, BlockEnv::default(), cfg, natives);
        assert!(matches!(evm.transact_one(tx.clone()), Err(EVMError::Database(Lost))));
        let failed = evm.system(PROBE, |cx| cx.call(PROBE, U256::ZERO, tx.data.clone()));
        assert!(matches!(failed, Err(EVMError::Database(Lost))));
        // The machine goes on.
        let plain = TxEnv { kind: TxKind::Call(ALICE), data: Bytes::new(), ..tx };
        assert!(evm.transact_one(plain).unwrap().is_success());
    }
}
