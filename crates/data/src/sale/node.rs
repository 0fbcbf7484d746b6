//! A node for tests: it answers what the area's contracts say on a test bench, and which events they left.

use crate::answering::{self, Answer, usual};
use alloy_primitives::{Address, Log, U256};
use alloy_rpc_types_eth::Filter;
use alloy_sol_types::SolCall;
use serde::Deserialize as _;
use serde_json::{Value, json};
use stoa_client::Client;
use stoa_contract::{Natives, bench::Bench};

/// A ledger of one block.
pub(super) struct Ledger {
    bench: Bench,
    logs: Vec<Log>,
}

impl Ledger {
    /// Calls a function in a transaction, which goes through.
    pub(super) fn send<C: SolCall>(&mut self, from: Address, to: Address, call: &C) -> C::Return {
        let sent = self.bench.send(from, to, call).unwrap();
        self.logs.extend(sent.logs);
        sent.value
    }

    fn answer(&mut self, method: &str, params: &Value) -> Answer {
        match method {
            "eth_blockNumber" => Ok(json!("0x1")),
            "eth_getLogs" => {
                let filter = Filter::deserialize(&params[0]).unwrap();
                let logs = self.logs.iter().filter(|log| filter.matches(log));
                let placed = |log: &Log| alloy_rpc_types_eth::Log {
                    inner: log.clone(),
                    block_number: Some(1),
                    ..alloy_rpc_types_eth::Log::default()
                };
                Ok(json!(logs.map(placed).collect::<Vec<_>>()))
            }
            _ => usual(&mut self.bench, method, params),
        }
    }
}

/// A client of a node whose ledger is made so, and what was made. These accounts have a million coins.
pub(super) fn node<T: Send + 'static>(
    rich: &[Address],
    make: impl FnOnce(&mut Ledger) -> T + Send + 'static,
) -> (Client, T) {
    let million = U256::from(10).pow(U256::from(24));
    let rich: Vec<_> = rich.iter().map(|account| (*account, million)).collect();
    answering::node(move || {
        let bench = Bench::new(crate::natives(Natives::stoa())).with_coin(&rich);
        let mut ledger = Ledger { bench, logs: Vec::new() };
        let what = make(&mut ledger);
        (move |method: &str, params: &Value| ledger.answer(method, params), what)
    })
}
