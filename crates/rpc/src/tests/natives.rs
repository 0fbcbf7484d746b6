//! Native contracts look like any other from outside.

use super::*;
use alloy_sol_types::{SolCall, SolEvent, sol};
use stoa_contract::coin::ADDRESS as COIN;

sol! {
    function name() returns (string);
    function balanceOf(address owner) returns (uint256);
    function transfer(address to, uint256 value) returns (bool);
    event Transfer(address indexed from, address indexed to, uint256 value);
}

fn data(call: impl SolCall) -> Bytes {
    call.abi_encode().into()
}

#[test]
fn the_coin_is_called_estimated_and_traced() {
    with_default_node(async |node| {
        assert_eq!(node.call("eth_getCode", json!([COIN])).await, "0xfe");
        let answer = node.call("eth_call", json!([{"to": COIN, "data": data(nameCall {})}])).await;
        let bytes: Bytes = serde_json::from_value(answer).unwrap();
        assert_eq!(nameCall::abi_decode_returns(&bytes).unwrap(), "Stoa");

        let (from, to) = (signer(0).address(), Address::repeat_byte(0x66));
        let input = data(transferCall { to, value: U256::from(9) });
        let call = json!({"from": from, "to": COIN, "data": input});
        let estimate = node.call("eth_estimateGas", json!([call])).await;
        let gas_limit = u64::from_str_radix(&estimate.as_str().unwrap()[2..], 16).unwrap();
        let tx = TxEip1559 { gas_limit, ..unsigned(0, TxKind::Call(COIN), 0, input.clone()) };
        let hash = node.send(&sign(&signer(0), tx)).await;
        let receipt = node.receipt(&hash).await;
        assert_eq!(receipt["status"], "0x1", "the estimate was enough");
        assert_eq!(receipt["logs"][0]["topics"][0], json!(Transfer::SIGNATURE_HASH));
        assert_eq!(node.call("eth_getBalance", json!([to])).await, "0x9");
        let logs = json!([{"fromBlock": "0x0", "address": COIN, "topics": [Transfer::SIGNATURE_HASH]}]);
        assert_eq!(node.call("eth_getLogs", logs).await, receipt["logs"]);

        let trace = node.call("debug_traceTransaction", json!([hash, {"tracer": "callTracer"}])).await;
        assert_eq!((&trace["to"], &trace["gasUsed"]), (&json!(COIN), &receipt["gasUsed"]));
        assert_eq!(trace["input"], json!(input));
        let counted = json!({"0xa9059cbb-64": 1});
        let selectors = json!([hash, {"tracer": "4byteTracer"}]);
        assert_eq!(node.call("debug_traceTransaction", selectors).await, counted);
        let several = json!({"4byteTracer": null, "noopTracer": null});
        let several = json!([hash, {"tracer": "muxTracer", "tracerConfig": several}]);
        assert_eq!(node.call("debug_traceTransaction", several).await["4byteTracer"], counted);
        let identity = json!({"to": Address::with_last_byte(4), "data": "0x12345678"});
        let identity = json!([identity, "latest", {"tracer": "4byteTracer"}]);
        assert_eq!(node.call("debug_traceCall", identity).await, json!({}), "a precompiled contract is none to it");

        let owner = Address::repeat_byte(0x67);
        let rich = json!({owner.to_string(): {"balance": "0x2a"}});
        let call = json!([{"to": COIN, "data": data(balanceOfCall { owner })}, "latest", rich]);
        assert_eq!(node.call("eth_call", call).await, json!(B256::from(U256::from(42))));

        let poor = json!({"from": owner, "to": COIN, "data": data(transferCall { to, value: U256::from(1) })});
        let (code, message, data) = node.fails("eth_call", json!([poor])).await;
        assert_eq!((code, message.as_str()), (3, "execution reverted"));
        assert!(data.as_str().unwrap().starts_with("0xe450d38c"), "ERC20InsufficientBalance: {data}");
    });
}

#[test]
fn a_call_of_the_coin_is_told_where_one_of_a_precompiled_contract_is_left_out() {
    with_default_node(async |node| {
        let call = alloy_primitives::hex!("60006000600060006000");
        let [gas_and_call, identity] = [alloy_primitives::hex!("5af1"), alloy_primitives::hex!("6004")];
        let init = [&call[..], &identity, &gas_and_call, &call, &[0x73], COIN.as_slice(), &gas_and_call, &[0]].concat();
        let hash = node.send(&sign(&signer(0), unsigned(0, TxKind::Create, 0, init.into()))).await;
        assert_eq!(node.receipt(&hash).await["status"], "0x1");
        let calls = node.call("trace_transaction", json!([hash])).await;
        let told = calls.as_array().unwrap();
        assert_eq!((told.len(), &told[0]["subtraces"]), (2, &json!(1)));
        assert_eq!((&told[1]["traceAddress"], &told[1]["action"]["to"]), (&json!([0]), &json!(COIN)));
        assert_eq!(told[1]["error"], "Reverted", "it was called without a function");
    });
}

#[test]
fn the_code_of_a_native_contract_is_not_replaced_for_a_call() {
    with_default_node(async |node| {
        let said = format!("{COIN} is a native contract, its code cannot be replaced");
        let overrides = |code: &str| json!({COIN.to_string(): {"code": code}});
        let call = json!([{"to": COIN}, "latest", overrides("0x00")]);
        assert_eq!(node.fails("eth_call", call).await.1, said);
        let blocks = json!([{"blockStateCalls": [{"stateOverrides": overrides("0x00"), "calls": []}]}]);
        assert_eq!(node.fails("eth_simulateV1", blocks).await.1, said);
        node.call("eth_call", json!([{"to": COUNTER}, "latest", overrides("0xfe")])).await;
    });
}

#[test]
fn calls_that_native_contracts_make_are_told_by_every_tracer_of_calls() {
    with_default_node(async |node| {
        let push = |value: u8| [&alloy_primitives::hex!("600060006000600060")[..], &[value]].concat();
        let (identity, call) = (alloy_primitives::hex!("6004"), alloy_primitives::hex!("5af1"));
        let init = [&push(0)[..], &identity, &call, &push(1)[..], &[0x73], PASSER.as_slice(), &call, &[0]].concat();
        let hash = node.send(&sign(&signer(0), unsigned(0, TxKind::Create, 1, init.into()))).await;
        assert_eq!(node.receipt(&hash).await["status"], "0x1");
        assert_eq!(node.call("eth_getBalance", json!([HEIR])).await, "0x1");

        let told = |calls: &Value| -> Vec<[Value; 3]> {
            let calls = calls.as_array().unwrap().iter();
            let fields = calls.map(|call| [&call["traceAddress"], &call["subtraces"], &call["action"]["to"]]);
            fields.map(|fields| fields.map(Value::clone)).collect()
        };
        let alone = vec![
            [json!([]), json!(1), Value::Null],
            [json!([0]), json!(2), json!(PASSER)],
            [json!([0, 0]), json!(0), json!(COUNTER)],
            [json!([0, 1]), json!(0), json!(HEIR)],
        ];
        assert_eq!(told(&node.call("trace_transaction", json!([hash])).await), alone);
        let trace = async |options: Value| node.call("debug_traceTransaction", json!([hash, options])).await;
        assert_eq!(told(&trace(json!({"tracer": "flatCallTracer"})).await), alone);
        let both = json!({"flatCallTracer": {}, "callTracer": {}});
        let both = trace(json!({"tracer": "muxTracer", "tracerConfig": both})).await;
        assert_eq!(told(&both["flatCallTracer"]), alone);
        let tree = trace(json!({"tracer": "callTracer"})).await;
        assert_eq!(tree["calls"][1]["calls"][1]["to"], json!(HEIR));
        assert_eq!(both["callTracer"]["calls"], tree["calls"]);

        let with = [
            [json!([]), json!(2), Value::Null],
            [json!([0]), json!(0), json!(Address::with_last_byte(4))],
            [json!([1]), json!(2), json!(PASSER)],
            [json!([1, 0]), json!(0), json!(COUNTER)],
            [json!([1, 1]), json!(0), json!(HEIR)],
        ];
        let options = json!({"tracer": "flatCallTracer", "tracerConfig": {"includePrecompiles": true}});
        assert_eq!(told(&trace(options).await), with);
        let wrong = json!({"tracer": "flatCallTracer", "tracerConfig": {"includePrecompiles": 1}});
        let (code, message, _) = node.fails("debug_traceTransaction", json!([hash, wrong])).await;
        assert_eq!((code, message.as_str()), (-32000, "invalid tracer config"));
    });
}
