//! A node for tests, over HTTP: what it answers is said by whoever starts it, calls of contracts by a test bench.

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::Deserialize as _;
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
};
use stoa_client::Client;
use stoa_contract::bench::{Bench, Failure};

/// A client of a node that answers each request as what is made says, and what was made besides: on the thread that answers.
pub(crate) fn node<A, T>(make: impl FnOnce() -> (A, T) + Send + 'static) -> (Client, T)
where
    A: FnMut(&str, &Value) -> Answer,
    T: Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = Client::new(format!("http://{}", listener.local_addr().unwrap()));
    let (made, what) = mpsc::channel();
    thread::spawn(move || {
        let (mut answer, what) = make();
        made.send(what).unwrap();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = asked(&mut stream);
            let said = match answer(request["method"].as_str().unwrap(), &request["params"]) {
                Ok(result) => json!({ "result": result }),
                Err(error) => json!({ "error": error }),
            };
            write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{said}").unwrap();
        }
    });
    let what = what.recv().unwrap();
    (client, what)
}

/// A result, or an error.
pub(crate) type Answer = Result<Value, Value>;

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

/// What every node answers of a ledger of one block.
pub(crate) fn usual(bench: &mut Bench, method: &str, params: &Value) -> Answer {
    Ok(match method {
        "eth_chainId" => json!("0x7a69"),
        "eth_getBlockByNumber" => {
            json!({ "number": "0x1", "hash": B256::ZERO, "timestamp": U256::from(bench.time()) })
        }
        "eth_call" => {
            let (to, input) = called(params);
            match bench.send_raw(Address::ZERO, to, U256::ZERO, input) {
                Ok(sent) => json!(sent.value),
                Err(Failure::Revert(data)) => return Err(reverted(&data)),
                Err(Failure::Halt(why)) => return Err(json!({ "code": -32000, "message": why })),
            }
        }
        other => panic!("{other} is not answered"),
    })
}

/// Which contract is called, and with what.
pub(crate) fn called(params: &Value) -> (Address, Bytes) {
    (Address::deserialize(&params[0]["to"]).unwrap(), Bytes::deserialize(&params[0]["input"]).unwrap())
}

/// The error of what reverted.
pub(crate) fn reverted(data: &Bytes) -> Value {
    json!({ "code": 3, "message": "execution reverted", "data": data })
}
