//! A native contract and its Solidity original, side by side.

use alloy_primitives::{Address, Bytes, Log, U256, hex};
use proptest::prelude::ProptestConfig;
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf};
use stoa_contract::{
    Context, NativeContract, Natives, Result,
    bench::{Bench, Failure},
    natives,
};

/// Where the native contract of a pair lives.
pub const NATIVE: Address = natives::address(0x20);

/// Who deploys, and has some coin.
pub const DEPLOYER: Address = Address::repeat_byte(0xd0);

/// What the compiler said of a contract.
pub fn artifact(name: &str) -> Value {
    let folder = std::env::var_os("STOA_SOLIDITY").map(PathBuf::from).unwrap_or_else(|| {
        panic!("STOA_SOLIDITY names no folder of compiled contracts; `cargo xtask test` compiles them and sets it")
    });
    let path = folder.join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; compile tests/solidity again", path.display()));
    serde_json::from_str(&text).expect("what the compiler wrote")
}

/// The code that deploys a contract, with encoded constructor arguments.
pub fn init_code(name: &str, arguments: &[u8]) -> Bytes {
    let artifact = artifact(name);
    let code = artifact["bytecode"].as_str().expect("bytecode");
    [&hex::decode(code).expect("linked bytecode"), arguments].concat().into()
}

/// How often a property is tried.
pub fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

/// What a call did: the answer, and the logs, with the contract's own address left out.
pub type Observed = Result<(Bytes, Vec<Log>), Failure>;

/// A native contract and its Solidity original.
pub struct Pair {
    /// The machine with both.
    pub bench: Bench,
    /// The original's address.
    pub solidity: Address,
}

impl Pair {
    /// Deploys the original, and lets the native contract do what a constructor does.
    pub fn new(
        native: impl NativeContract,
        construct: impl FnOnce(&mut Context<'_>) -> Result<()>,
        solidity: &str,
        arguments: &[u8],
    ) -> Self {
        let natives = Natives::stoa().with(NATIVE, native);
        let mut bench = Bench::new(natives).with_coin(&[(DEPLOYER, U256::from(1_000_000))]);
        bench.evm.system(NATIVE, construct).expect("constructed");
        let solidity = bench.deploy(DEPLOYER, init_code(solidity, arguments));
        Self { bench, solidity }
    }

    fn observe(&mut self, from: Address, to: Address, value: U256, data: Bytes) -> Observed {
        let hide = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            for start in 0..bytes.len().saturating_sub(19) {
                if bytes[start..start + 20] == to[..] {
                    bytes[start..start + 20].fill(0x77);
                }
            }
            bytes
        };
        match self.bench.send_raw(from, to, value, data) {
            Ok(sent) => {
                let logs = sent.logs.iter().map(|log| {
                    let topics = log.topics().iter().map(|topic| alloy_primitives::B256::from_slice(&hide(&topic[..])));
                    let address = Address::from_slice(&hide(&log.address[..]));
                    Log::new_unchecked(address, topics.collect(), hide(&log.data.data).into())
                });
                Ok((hide(&sent.value).into(), logs.collect()))
            }
            Err(Failure::Revert(data)) => Err(Failure::Revert(hide(&data).into())),
            Err(halt) => Err(halt),
        }
    }

    /// Makes the same call to both, in two transactions, and compares. The data may depend on the address, where it
    /// holds a signature for it.
    pub fn same(&mut self, from: Address, value: U256, mut data: impl FnMut(Address) -> Bytes) -> Observed {
        let solidity = self.solidity;
        let theirs = self.observe(from, solidity, value, data(solidity));
        let ours = self.observe(from, NATIVE, value, data(NATIVE));
        assert_eq!(ours, theirs, "native on the left; call {} by {from} with {value}", data(NATIVE));
        ours
    }

    /// All storage of an account that is not zero.
    pub fn storage(&self, address: Address) -> BTreeMap<U256, U256> {
        let account = self.bench.evm.state().get(&address).expect("an account that was called");
        let slots = account.storage.iter().map(|(slot, value)| (*slot, value.present_value()));
        slots.filter(|(_, value)| !value.is_zero()).collect()
    }

    /// Compares the storage of both, slot by slot.
    pub fn same_storage(&self) {
        assert_eq!(self.storage(NATIVE), self.storage(self.solidity), "native on the left");
    }
}
