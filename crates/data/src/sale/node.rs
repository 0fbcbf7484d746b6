//! A node for tests: it answers what the area's contracts say on a test bench, and which events they left.

use alloy_primitives::{Address, B256, Bytes, Log, U256};
use alloy_rpc_types_eth::Filter;
use alloy_sol_types::SolCall;
use serde::Deserialize as _;
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
};
use stoa_client::Client;
use stoa_contract::{
    Natives,
    bench::{Bench, Failure},
};

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

    fn answer(&mut self, request: &Value) -> Value {
        let params = &request["params"];
        let result = match request["method"].as_str().unwrap() {
            "eth_chainId" => json!("0x7a69"),
            "eth_blockNumber" => json!("0x1"),
            "eth_getBlockByNumber" => {
                json!({ "number": "0x1", "hash": B256::ZERO, "timestamp": U256::from(self.bench.time()) })
            }
            "eth_getLogs" => {
                let filter = Filter::deserialize(&params[0]).unwrap();
                let logs = self.logs.iter().filter(|log| filter.matches(log));
                let placed = |log: &Log| alloy_rpc_types_eth::Log {
                    inner: log.clone(),
                    block_number: Some(1),
                    ..alloy_rpc_types_eth::Log::default()
                };
                json!(logs.map(placed).collect::<Vec<_>>())
            }
            "eth_call" => {
                let (to, input) = (Address::deserialize(&params[0]["to"]), Bytes::deserialize(&params[0]["input"]));
                match self.bench.send_raw(Address::ZERO, to.unwrap(), U256::ZERO, input.unwrap()) {
                    Ok(sent) => json!(sent.value),
                    Err(Failure::Revert(data)) => {
                        return json!({ "error": { "code": 3, "message": "execution reverted", "data": data } });
                    }
                    Err(Failure::Halt(why)) => return json!({ "error": { "code": -32000, "message": why } }),
                }
            }
            other => panic!("{other} is not answered"),
        };
        json!({ "result": result })
    }
}

/// A request, whole.
fn asked(stream: &mut TcpStream) -> Value {
    let (mut asked, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let length = stream.read(&mut part).unwrap();
        assert!(length > 0, "the request has no end");
        asked.extend_from_slice(&part[..length]);
        let body = asked.windows(4).position(|end| end == b"\r\n\r\n").map(|at| &asked[at + 4..]);
        if let Some(Ok(request)) = body.map(serde_json::from_slice::<Value>) {
            return request;
        }
    }
}

/// A client of a node whose ledger is made so, and what was made. These accounts have a million coins.
pub(super) fn node<T: Send + 'static>(
    rich: &[Address],
    make: impl FnOnce(&mut Ledger) -> T + Send + 'static,
) -> (Client, T) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = Client::new(format!("http://{}", listener.local_addr().unwrap()));
    let million = U256::from(10).pow(U256::from(24));
    let rich: Vec<_> = rich.iter().map(|account| (*account, million)).collect();
    let (made, what) = mpsc::channel();
    thread::spawn(move || {
        let bench = Bench::new(crate::natives(Natives::stoa())).with_coin(&rich);
        let mut ledger = Ledger { bench, logs: Vec::new() };
        made.send(make(&mut ledger)).unwrap();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let said = ledger.answer(&asked(&mut stream));
            write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{said}").unwrap();
        }
    });
    let what = what.recv().unwrap();
    (client, what)
}
