//! The newest state: dumped and loaded, set by hand, and as the block being built sees it.

use super::*;
use crate::tests::{CALLER, code};
use alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
use alloy_sol_types::SolCall;
use flate2::read::GzDecoder;
use std::io::Read as _;
use stoa_contract::{
    coin,
    interfaces::{IERC20, IERC20Permit, IVotes},
    randomness,
};

const COPY: &str = "0x00000000000000000000000000000000000000c1";

fn word(number: u64) -> Value {
    json!(B256::from(U256::from(number)))
}

/// What stands in a dump.
fn unpacked(dump: &Value) -> Value {
    let bytes: Bytes = serde_json::from_value(dump.clone()).unwrap();
    let mut json = String::new();
    GzDecoder::new(&bytes[..]).read_to_string(&mut json).unwrap();
    serde_json::from_str(&json).unwrap()
}

/// Bytes, as a parameter.
fn data(state: &Value) -> Value {
    json!(Bytes::from(state.to_string().into_bytes()))
}

#[test]
fn a_state_that_was_dumped_is_loaded_into_a_new_chain() {
    with_chain(async |node| {
        node.call("anvil_setBalance", json!([STRANGER, "0x5"])).await;
        node.call("anvil_setNonce", json!([STRANGER, "0x9"])).await;
        node.call("anvil_setCode", json!([COPY, code(COUNTER)])).await;
        node.call("anvil_setStorageAt", json!([COPY, "0x0", word(41)])).await;
        let send = async |to: Address| node.call("eth_sendTransaction", json!([{"from": account(0), "to": to}])).await;
        send(COUNTER).await;
        send(CALLER).await;
        node.call("eth_sendTransaction", json!([{"from": account(0), "data": "0x600160005360016000f3"}])).await;
        let balance = node.call("eth_getBalance", json!([account(0)])).await;
        let dump = node.call("anvil_dumpState", json!([])).await;

        let state = unpacked(&dump);
        let accounts = &state["accounts"];
        let of = |address: Address| &accounts[address.to_string().to_lowercase()];
        assert_eq!((&state["best_block_number"], &state["block"]["number"]), (&json!(3), &json!("0x3")));
        assert_eq!(accounts[STRANGER], json!({"nonce": 9, "balance": "0x5", "code": "0x", "storage": {}}));
        assert_eq!(accounts[COPY]["storage"], json!({B256::ZERO.to_string(): word(41)}));
        assert_eq!(of(COUNTER)["storage"], json!({B256::ZERO.to_string(): word(2)}));
        assert_eq!(of(coin::ADDRESS)["storage"], json!({}), "supply and votes follow the balances");
        assert!(of(randomness::ADDRESS).is_null(), "the chain keeps it up");
        let head = node.call("eth_getBlockByNumber", json!(["latest", false])).await;
        let header: alloy_consensus::Header = serde_json::from_value(state["blocks"][0]["header"].clone()).unwrap();
        assert_eq!(json!(header.hash_slow()), head["hash"]);

        node.call("hardhat_reset", json!([])).await;
        assert_eq!(node.call("eth_getCode", json!([COPY])).await, "0x");
        assert_eq!(node.call("hardhat_loadState", json!([dump])).await, true);
        let created = signer(0).address().create(2);
        for (method, params, expected) in [
            ("eth_getBalance", json!([STRANGER]), json!("0x5")),
            ("eth_getTransactionCount", json!([STRANGER]), json!("0x9")),
            ("eth_getCode", json!([COPY]), json!(code(COUNTER))),
            ("eth_getStorageAt", json!([COPY, "0x0"]), word(41)),
            ("eth_getStorageAt", json!([COUNTER, "0x0"]), word(2)),
            ("eth_getCode", json!([created]), json!("0x01")),
            ("eth_getBalance", json!([account(0)]), balance),
            ("eth_getTransactionCount", json!([account(0)]), json!("0x3")),
        ] {
            assert_eq!(node.call(method, params.clone()).await, expected, "{method} {params}");
        }
        let again = node.call("hardhat_dumpState", json!([false])).await;
        assert_eq!(unpacked(&again)["accounts"], *accounts);
        send(COUNTER).await;
        assert_eq!(node.call("eth_getStorageAt", json!([COUNTER, "0x0"])).await, word(3));
    });
}

#[test]
fn allowances_permits_and_delegations_come_along_with_a_state() {
    with_chain(async |node| {
        let [owner, other] = [0, 1].map(|n| signer(n).address());
        let spender: Address = STRANGER.parse().unwrap();
        let send = async |input: Vec<u8>| {
            let request = json!([{"from": owner, "to": coin::ADDRESS, "data": Bytes::from(input)}]);
            node.call("eth_sendTransaction", request).await
        };
        send(IERC20::approveCall { spender, value: U256::from(5) }.abi_encode()).await;
        let field = |name: &str, kind: &str| json!({"name": name, "type": kind});
        let typed = json!({
            "types": {
                "EIP712Domain": [
                    field("name", "string"), field("version", "string"), field("chainId", "uint256"),
                    field("verifyingContract", "address"),
                ],
                "Permit": [
                    field("owner", "address"), field("spender", "address"), field("value", "uint256"),
                    field("nonce", "uint256"), field("deadline", "uint256"),
                ],
            },
            "primaryType": "Permit",
            "domain": {"name": coin::NAME, "version": "1", "chainId": 31337, "verifyingContract": coin::ADDRESS},
            "message": {"owner": other, "spender": spender, "value": "7", "nonce": "0", "deadline": U256::MAX},
        });
        let signature = node.call("eth_signTypedData_v4", json!([other, typed])).await;
        let signature: Bytes = serde_json::from_value(signature).unwrap();
        let permit = IERC20Permit::permitCall {
            owner: other,
            spender,
            value: U256::from(7),
            deadline: U256::MAX,
            v: signature[64],
            r: B256::from_slice(&signature[..32]),
            s: B256::from_slice(&signature[32..64]),
        };
        send(permit.abi_encode()).await;
        send(IVotes::delegateCall { delegatee: other }.abi_encode()).await;
        let ask = async |input: Vec<u8>| {
            node.call("eth_call", json!([{"to": coin::ADDRESS, "data": Bytes::from(input)}])).await
        };
        let votes = async || ask(IVotes::getVotesCall { account: other }.abi_encode()).await;
        let told = async || {
            [
                ask(IERC20::allowanceCall { owner, spender }.abi_encode()).await,
                ask(IERC20::allowanceCall { owner: other, spender }.abi_encode()).await,
                ask(IERC20Permit::noncesCall { owner: other }.abi_encode()).await,
                ask(IVotes::delegatesCall { account: owner }.abi_encode()).await,
                votes().await,
            ]
        };
        let before = told().await;
        assert_eq!(before[..3], [word(5), word(7), word(1)]);

        let dump = node.call("anvil_dumpState", json!([])).await;
        node.call("anvil_reset", json!([])).await;
        assert!(told().await[..4].iter().all(|answer| *answer == word(0)));
        assert_eq!(node.call("anvil_loadState", json!([dump])).await, true);
        assert_eq!(told().await, before);
        let again = node.call("anvil_dumpState", json!([])).await;
        assert_eq!(unpacked(&again)["accounts"], unpacked(&dump)["accounts"]);

        // Votes follow the balances from there on.
        node.call("hardhat_setBalance", json!([owner, "0x9"])).await;
        assert_eq!(votes().await, word(9));
    });
}

#[test]
fn what_was_taken_back_is_not_dumped_and_what_came_instead_is() {
    with_chain(async |node| {
        let deploy = async |from: u8| {
            let request = json!([{"from": account(from), "data": "0x600160005360016000f3"}]);
            node.call("eth_sendTransaction", request).await;
            signer(from).address().create(0).to_string().to_lowercase()
        };
        let id = node.call("evm_snapshot", json!([])).await;
        let gone = deploy(0).await;
        let dumped = async |address: &str| {
            let dump = node.call("anvil_dumpState", json!([])).await;
            unpacked(&dump)["accounts"][address]["code"].clone()
        };
        assert_eq!(dumped(&gone).await, "0x01");
        node.call("evm_revert", json!([id])).await;
        let instead = deploy(1).await;
        assert_eq!((dumped(&gone).await, dumped(&instead).await), (Value::Null, json!("0x01")));
    });
}

#[test]
fn a_state_that_cannot_be_changes_nothing() {
    with_chain(async |node| {
        let account = |code: &str| {
            let good = json!({"nonce": 0, "balance": "0x5", "code": "0x", "storage": {}});
            let bad = json!({"nonce": 0, "balance": "0x5", "code": code, "storage": {}});
            json!({"accounts": {STRANGER: good, COPY: bad}})
        };
        for (state, why) in [
            (json!("0x"), "EOF"),
            (json!("0x1f8b0800"), "this is no state of anvil_dumpState"),
            (json!("0xzz"), "invalid hex string"),
            (data(&account("0xef01")), "no valid code"),
            (data(&account("0x0")), "odd length"),
            (data(&json!({"accounts": {}, "block": {"timestamp": u64::MAX}})), "too large"),
        ] {
            let error = node.fails("anvil_loadState", json!([state])).await;
            assert!(error["code"] == -32602 && error["message"].as_str().unwrap().contains(why), "{error}");
        }
        assert_eq!(node.call("eth_getBalance", json!([STRANGER])).await, "0x0");
        assert_eq!(node.fails("anvil_dumpState", json!([true])).await["code"], -32602);
        assert_eq!(node.fails("anvil_setCode", json!([STRANGER, "0xef01"])).await["code"], -32602);
        for method in ["anvil_setChainId", "evm_setChainId"] {
            let error = node.fails(method, json!([1])).await;
            assert!(error["code"] == -32601 && error["message"].as_str().unwrap().contains("--chain-id"), "{error}");
        }
    });
}

#[test]
fn time_goes_on_from_that_of_a_loaded_state() {
    with_chain(async |node| {
        let at = |time: u64| json!([data(&json!({"accounts": {}, "block": {"timestamp": format!("{time:#x}")}}))]);
        let later = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() + 1_000_000;
        for time in [later, later - 500_000] {
            assert_eq!(node.call("anvil_loadState", at(time)).await, true);
            node.call("evm_mine", json!([])).await;
            assert!((later..later + 60).contains(&node.block("latest", "timestamp").await));
        }
    });
}

#[test]
fn what_is_set_by_hand_is_seen_in_the_block_being_built() {
    with_chain(async |node| {
        node.call("evm_setAutomine", json!([false])).await;
        let send = json!({"from": account(0), "to": STRANGER, "value": "0x1"});
        node.call("eth_sendTransaction", json!([send])).await;
        let balance = async |tag: &str| node.call("eth_getBalance", json!([STRANGER, tag])).await;
        assert_eq!((balance("latest").await, balance("pending").await), (json!("0x0"), json!("0x1")));
        node.call("hardhat_setBalance", json!([STRANGER, "0x5"])).await;
        assert_eq!((balance("latest").await, balance("pending").await), (json!("0x5"), json!("0x6")));
        // An estimate comes after what waits, unless another block is named.
        let all = json!({"from": STRANGER, "to": account(1), "value": "0x6"});
        assert_eq!(node.call("eth_estimateGas", json!([all])).await, "0x5208");
        node.fails("eth_estimateGas", json!([all, "latest"])).await;

        assert_eq!(node.call("eth_config", json!([])).await["current"]["systemContracts"], json!({}));
        node.call("hardhat_setCode", json!([HISTORY_STORAGE_ADDRESS, "0x00"])).await;
        let contracts = node.call("eth_config", json!([])).await["current"]["systemContracts"].clone();
        assert_eq!(contracts, json!({"HISTORY_STORAGE_ADDRESS": HISTORY_STORAGE_ADDRESS}));
    });
}

#[test]
fn supply_and_votes_are_right_again_after_balances_beyond_what_they_count() {
    with_chain(async |node| {
        let (owner, delegatee) = (account(0), signer(0).address());
        let input = Bytes::from(IVotes::delegateCall { delegatee }.abi_encode());
        node.call("eth_sendTransaction", json!([{"from": owner, "to": coin::ADDRESS, "data": input}])).await;
        let ask = async |input: Vec<u8>| {
            node.call("eth_call", json!([{"to": coin::ADDRESS, "data": Bytes::from(input)}])).await
        };
        let told = async || {
            [
                ask(IERC20::totalSupplyCall {}.abi_encode()).await,
                ask(IVotes::getVotesCall { account: delegatee }.abi_encode()).await,
            ]
        };
        let (before, balance) = (told().await, node.call("eth_getBalance", json!([owner])).await);
        node.call("anvil_setBalance", json!([owner, U256::MAX])).await;
        node.call("anvil_setBalance", json!([STRANGER, U256::MAX])).await;
        assert_ne!(told().await, before);
        node.call("anvil_setBalance", json!([owner, balance])).await;
        node.call("anvil_setBalance", json!([STRANGER, "0x0"])).await;
        assert_eq!(told().await, before);
    });
}

#[test]
fn the_code_of_a_native_contract_is_not_set() {
    with_chain(async |node| {
        let error = node.fails("anvil_setCode", json!([coin::ADDRESS, "0x00"])).await;
        let said = format!("{} is a native contract, its code cannot be replaced", coin::ADDRESS);
        assert_eq!(error["message"], said);
    });
}

#[test]
fn the_block_being_built_holds_what_fits_and_can_be_executed() {
    with_chain(async |node| {
        node.call("evm_setAutomine", json!([false])).await;
        node.call("evm_setBlockGasLimit", json!(["0x186a0"])).await;
        let send = async |from: u8, to: Address, gas: &str, fee: &str| {
            let request = json!({"from": account(from), "to": to, "gas": gas, "gasPrice": fee});
            node.call("eth_sendTransaction", json!([request])).await
        };
        let dearest = send(0, LOOP, "0xea60", "0xee6b2800").await;
        send(1, LOOP, "0xea60", "0xb2d05e00").await;
        let behind =
            json!({"from": account(1), "to": STRANGER, "gas": "0x5208", "nonce": "0x1", "gasPrice": "0xb2d05e00"});
        node.call("eth_sendTransaction", json!([behind])).await;
        let last =
            json!({"from": account(0), "to": STRANGER, "gas": "0x5208", "nonce": "0x1", "gasPrice": "0x77359400"});
        let last = node.call("eth_sendTransaction", json!([last])).await;
        let block = node.call("eth_getBlockByNumber", json!(["pending", false])).await;
        assert_eq!((&block["transactions"], &block["gasUsed"]), (&json!([dearest, last]), &json!("0x13c68")));
        node.call("evm_mine", json!([])).await;
        let mined = node.call("eth_getBlockByNumber", json!(["latest", false])).await;
        assert_eq!((&mined["transactions"], &mined["receiptsRoot"]), (&block["transactions"], &block["receiptsRoot"]));
    });
}

#[test]
fn a_contract_that_is_impersonated_sends_in_the_block_being_built() {
    with_chain(async |node| {
        node.call("evm_setAutomine", json!([false])).await;
        node.call("hardhat_setBalance", json!([COUNTER, "0xde0b6b3a7640000"])).await;
        node.call("hardhat_impersonateAccount", json!([COUNTER])).await;
        let sent = node.call("eth_sendTransaction", json!([{"from": COUNTER, "to": STRANGER, "value": "0x2"}])).await;
        let block = node.call("eth_getBlockByNumber", json!(["pending", false])).await;
        assert_eq!(block["transactions"], json!([sent]));
        assert_eq!(node.call("eth_getBalance", json!([STRANGER, "pending"])).await, "0x2");
    });
}
