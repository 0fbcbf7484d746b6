//! Solidity and native code calling each other: the coin and clones of a native token, called by compiled contracts.

use crate::{
    pair::{DEPLOYER, NATIVE, init_code},
    token::Token,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall, SolError};
use stoa_contract::{
    Natives,
    bench::{Bench, Failure},
    coin,
    interfaces::{IERC20, IERC20Errors::ERC20InsufficientBalance, IVotes},
    parts::clones,
};

alloy_sol_types::sol! {
    #[derive(Debug)]
    interface ICaller {
        error Enough(uint256 calls);
        error ReentrancyGuardReentrantCall();

        function calls() external view returns (uint256);
        function forward(address to, bytes calldata data) external payable returns (bytes memory);
        function guardedForward(address to, bytes calldata data) external payable returns (bytes memory);
        function forwardAndRevert(address to, bytes calldata data) external payable;
        function attempt(address to, bytes calldata data) external payable returns (bool, bytes memory);
        function attemptStatic(address to, bytes calldata data) external view returns (bool, bytes memory);
        function attemptDelegate(address to, bytes calldata data) external returns (bool, bytes memory);
        function attemptWithGas(address to, uint256 gasLimit, bytes calldata data) external returns (bool, bytes memory);
    }

    interface IClones {
        function clone(address implementation) external returns (address);
        function cloneDeterministic(address implementation, bytes32 salt) external returns (address);
        function predict(address implementation, bytes32 salt) external view returns (address);
    }

    interface IToken {
        function mint(address to, uint256 value) external;
    }
}
use ICaller::*;

const ALICE: Address = Address::repeat_byte(0xa1);
const BOB: Address = Address::repeat_byte(0xb0);

/// A chain with the coin, a native token, and a contract with 1000 wei that calls what it is told.
fn bench() -> (Bench, Address) {
    let natives = Natives::stoa().with(NATIVE, Token);
    let mut bench = Bench::new(natives).with_coin(&[(ALICE, U256::from(1_000_000))]);
    let caller = bench.deploy(DEPLOYER, init_code("Caller", &[]));
    bench.send_raw(ALICE, caller, U256::from(1000), Bytes::new()).expect("paid");
    (bench, caller)
}

fn transfer(value: u64) -> Bytes {
    IERC20::transferCall { to: BOB, value: U256::from(value) }.abi_encode().into()
}

fn calls(bench: &mut Bench, caller: Address) -> U256 {
    bench.view(caller, &callsCall {}).expect("a view")
}

#[test]
fn a_contract_spends_its_coin_through_the_token() {
    let (mut bench, caller) = bench();
    let sent = bench.send(ALICE, caller, &forwardCall { to: coin::ADDRESS, data: transfer(30) }).expect("sent");
    assert!(IERC20::transferCall::abi_decode_returns(&sent.value).expect("a bool"));
    assert_eq!((bench.balance(caller), bench.balance(BOB)), (U256::from(970), U256::from(30)));
    assert_eq!(calls(&mut bench, caller), U256::ONE);
}

#[test]
fn a_native_error_reaches_the_contract_and_its_caller() {
    let (mut bench, caller) = bench();
    let call = forwardCall { to: coin::ADDRESS, data: transfer(1001) };
    let (balance, needed) = (U256::from(1000), U256::from(1001));
    let error = ERC20InsufficientBalance { sender: caller, balance, needed };
    assert_eq!(bench.send(ALICE, caller, &call).unwrap_err(), Failure::revert(error));
    assert_eq!(calls(&mut bench, caller), U256::ZERO);
    // A contract that catches it goes on.
    let sent = bench.send(ALICE, caller, &attemptCall { to: coin::ADDRESS, data: transfer(1001) }).expect("sent").value;
    assert!(!sent._0 && sent._1.starts_with(&ERC20InsufficientBalance::SELECTOR));
    assert_eq!(calls(&mut bench, caller), U256::ONE);
}

#[test]
fn a_revert_of_the_contract_undoes_the_native_transfer_and_its_votes() {
    let (mut bench, caller) = bench();
    let delegate = IVotes::delegateCall { delegatee: BOB }.abi_encode().into();
    bench.send(ALICE, caller, &forwardCall { to: coin::ADDRESS, data: delegate }).expect("sent");
    let call = forwardAndRevertCall { to: coin::ADDRESS, data: transfer(30) };
    let error = Enough { calls: U256::from(2) };
    assert_eq!(bench.send(ALICE, caller, &call).unwrap_err(), Failure::revert(error));
    assert_eq!((bench.balance(caller), bench.balance(BOB)), (U256::from(1000), U256::ZERO));
    let votes = IVotes::getVotesCall { account: BOB };
    assert_eq!(bench.view(coin::ADDRESS, &votes), Ok(U256::from(1000)));
    bench.send(ALICE, caller, &forwardCall { to: coin::ADDRESS, data: transfer(30) }).expect("sent");
    assert_eq!(bench.view(coin::ADDRESS, &votes), Ok(U256::from(970)));
}

#[test]
fn a_static_call_reads_but_does_not_write() {
    let (mut bench, caller) = bench();
    let attempt = |bench: &mut Bench, data: Bytes| {
        bench.send(ALICE, caller, &attemptStaticCall { to: coin::ADDRESS, data }).expect("sent").value
    };
    let balance = attempt(&mut bench, IERC20::balanceOfCall { account: caller }.abi_encode().into());
    assert_eq!((balance._0, U256::from_be_slice(&balance._1)), (true, U256::from(1000)));
    let written = attempt(&mut bench, transfer(1));
    assert_eq!((written._0, written._1), (false, Bytes::new()));
    assert_eq!(bench.balance(BOB), U256::ZERO);
}

#[test]
fn a_native_call_without_enough_gas_changes_nothing() {
    let (mut bench, caller) = bench();
    for gas in [0, 50, 101, 3_000, 9_000, 12_000, 34_000] {
        let call = attemptWithGasCall { to: coin::ADDRESS, gasLimit: U256::from(gas), data: transfer(1) };
        let sent = bench.send(ALICE, caller, &call).expect("sent");
        assert!(!sent.value._0, "{gas} gas were enough");
        assert!(sent.logs.is_empty());
        assert_eq!(bench.balance(BOB), U256::ZERO);
    }
    let call = attemptWithGasCall { to: coin::ADDRESS, gasLimit: U256::from(60_000), data: transfer(1) };
    assert!(bench.send(ALICE, caller, &call).expect("sent").value._0);
    assert_eq!(bench.balance(BOB), U256::ONE);
}

#[test]
fn coin_sent_along_to_a_native_function_that_takes_none_comes_back() {
    let (mut bench, caller) = bench();
    let call = attemptCall { to: coin::ADDRESS, data: transfer(1) };
    let sent = bench.send_value(ALICE, caller, U256::from(7), &call).expect("sent").value;
    assert_eq!((sent._0, sent._1), (false, Bytes::new()));
    assert_eq!((bench.balance(caller), bench.balance(coin::ADDRESS)), (U256::from(1007), U256::ZERO));
}

#[test]
fn the_coin_runs_on_nobody_elses_storage() {
    let (mut bench, caller) = bench();
    let call = attemptDelegateCall { to: coin::ADDRESS, data: transfer(1) };
    let sent = bench.send(ALICE, caller, &call).expect("sent").value;
    assert_eq!((sent._0, sent._1), (false, Bytes::new()));
}

#[test]
fn a_guarded_contract_is_not_entered_through_native_code() {
    let (mut bench, caller) = bench();
    // The contract calls itself: through the machine's frames that native ones share.
    let inner = guardedForwardCall { to: coin::ADDRESS, data: transfer(1) }.abi_encode();
    let call = guardedForwardCall { to: caller, data: inner.into() };
    let failure = bench.send(ALICE, caller, &call).unwrap_err();
    assert_eq!(failure, Failure::revert(ReentrancyGuardReentrantCall {}));
}

#[test]
fn openzeppelins_clones_run_native_tokens() {
    let (mut bench, _) = bench();
    let factory = bench.deploy(DEPLOYER, init_code("OzClones", &[]));
    let salt = B256::repeat_byte(7);
    let predicted = bench.view(factory, &IClones::predictCall { implementation: NATIVE, salt }).expect("a view");
    assert_eq!(predicted, clones::predict_deterministic_address(NATIVE, salt, factory));
    let call = IClones::cloneDeterministicCall { implementation: NATIVE, salt };
    let first = bench.send(ALICE, factory, &call).expect("made").value;
    let second = bench.send(ALICE, factory, &IClones::cloneCall { implementation: NATIVE }).expect("made").value;
    assert_eq!(first, predicted);
    let code = bench.evm.state()[&first].info.code.clone().expect("code").original_bytes();
    assert_eq!(clones::implementation(&code), Some(NATIVE));

    for (clone, value) in [(first, 5), (second, 6)] {
        bench.send(ALICE, clone, &IToken::mintCall { to: BOB, value: U256::from(value) }).expect("minted");
    }
    for (token, value) in [(first, 5), (second, 6), (NATIVE, 0)] {
        assert_eq!(bench.view(token, &IERC20::balanceOfCall { account: BOB }), Ok(U256::from(value)));
    }
}

#[test]
fn native_clones_have_openzeppelins_code() {
    let (mut bench, _) = bench();
    let ours = bench.deploy(DEPLOYER, clones::init_code(NATIVE));
    let factory = bench.deploy(DEPLOYER, init_code("OzClones", &[]));
    let theirs = bench.send(ALICE, factory, &IClones::cloneCall { implementation: NATIVE }).expect("made").value;
    let code = |bench: &Bench, address: Address| bench.evm.state()[&address].info.code_hash;
    assert_eq!(code(&bench, ours), code(&bench, theirs));
}
