//! What native code makes of calls that fail.

use super::*;
use revm::interpreter::InstructionResult;

/// Reverts without data.
const REVERTS: Bytes = bytes!("5f5ffd");
/// Halts.
const INVALID: Bytes = bytes!("fe");
/// Goes on for as long as there is gas.
const ENDLESS: Bytes = bytes!("5b5f56");

fn too_deep<T>() -> Result<T, Failure> {
    Err(Failure::Halt("CallTooDeep".to_owned()))
}

#[test]
fn a_callee_that_reverted_is_told_from_one_that_was_stopped_or_did_not_run() {
    let mut bench = bench();
    let [reverts, invalid] = [(0xc0, REVERTS), (0xc1, INVALID)].map(|(byte, code)| install(&mut bench, byte, code));
    let halted = InstructionResult::InvalidFEOpcode;
    for (to, value, stopped, told) in [
        (reverts, 0, None, Error::EMPTY),
        (invalid, 0, Some(halted), Error::Halt(halted)),
        // This one has no coin to send.
        (reverts, 1, Some(InstructionResult::OutOfFunds), Error::Halt(InstructionResult::OutOfFunds)),
    ] {
        let value = U256::from(value);
        let code = |cx: &mut Context<'_>| -> Result<_> {
            let outcome = cx.call(to, value, Bytes::new())?;
            Ok((outcome.success, outcome.stopped, cx.call_typed(to, value, &getCall {})))
        };
        assert_eq!(bench.evm.system(PROBE, code).unwrap().0, (false, stopped, Err(told)));
    }
}

#[test]
fn want_of_gas_and_of_room_end_all_native_code_above() {
    let mut bench = bench();
    let ask = askCall { to: PROBE };
    for frames in 1..MAX_NATIVE_DEPTH as u8 {
        let told = bench.send_raw(ALICE, DEEP, U256::ZERO, Deep::via(frames, PROBE, &ask)).map(drop);
        let fits = usize::from(frames) + 2 <= MAX_NATIVE_DEPTH;
        assert_eq!(told, if fits { Ok(()) } else { too_deep() }, "{frames}");
    }
    let mut answers = [0; 2];
    for gas_limit in (22_000..30_000).step_by(50) {
        let mut tx = bench.tx(ALICE, TxKind::Call(PROBE), U256::ZERO, ask.abi_encode().into());
        tx.gas_limit = gas_limit;
        let result = bench.transact(tx);
        assert!(result.is_success() || result.is_halt(), "{gas_limit}: {result:?}");
        answers[usize::from(result.is_success())] += 1;
    }
    assert!(answers.into_iter().all(|count| count > 0), "{answers:?}");
}

/// Attempts, of which each succeeds if it can be made.
fn attempts<C: SolCall<Return = bool>>(attempt: impl Fn(Address) -> C) {
    let mut bench = bench();
    let call = attempt(PROBE);
    for frames in 1..MAX_NATIVE_DEPTH as u8 {
        let made = bench.send_raw(ALICE, DEEP, U256::ZERO, Deep::via(frames, PROBE, &call));
        let made = made.map(|sent| U256::from_be_slice(&sent.value));
        let has_room = usize::from(frames) < MAX_NATIVE_DEPTH / 2;
        assert_eq!(made, if has_room { Ok(U256::ONE) } else { too_deep() }, "{frames}");
    }
    let mut answers = [0; 2];
    for gas_limit in (22_000..40_000).step_by(100) {
        let mut tx = bench.tx(ALICE, TxKind::Call(PROBE), U256::ZERO, call.abi_encode().into());
        tx.gas_limit = gas_limit;
        let result = bench.transact(tx);
        match result.output() {
            Some(output) => assert_eq!(U256::from_be_slice(output), U256::ONE, "{gas_limit}"),
            None => assert!(result.is_halt(), "{gas_limit}"),
        }
        answers[usize::from(result.is_success())] += 1;
    }
    assert!(answers.into_iter().all(|count| count > 0), "{answers:?}");
    // What fails by itself does so to no harm of whoever attempts it.
    for (byte, code) in [(0xc0, REVERTS), (0xc1, INVALID), (0xc2, ENDLESS)] {
        let to = install(&mut bench, byte, code);
        let sent = bench.send(ALICE, PROBE, &attempt(to)).unwrap();
        assert!(!sent.value && sent.gas < 21_000 + 4_000 + ATTEMPT_GAS, "{byte:x}: {}", sent.gas);
    }
}

#[test]
fn an_attempt_has_its_gas_and_its_room_or_is_not_made() {
    attempts(|to| attemptCall { to });
    attempts(|to| attemptViewCall { to });
}

#[test]
fn an_attempt_has_its_room_among_frames_of_solidity_too() {
    let mut bench = bench();
    let forwarder = install(&mut bench, 0xf0, FORWARDER);
    // Through so many forwarders, of which the first is at depth 1.
    let attempt = |forwarders: usize| {
        let data = [forwarder.into_word().repeat(forwarders - 1), via(PROBE, &attemptCall { to: PROBE }).to_vec()];
        let (outcome, _) = bench.evm.system(PROBE, |cx| cx.call(forwarder, U256::ZERO, data.concat().into())).unwrap();
        outcome.success.then(|| U256::from_be_slice(&outcome.output))
    };
    let made = [1, 959, 960, 1023].map(attempt);
    assert_eq!(made, [Some(U256::ONE), Some(U256::ONE), None, None]);
}

#[test]
fn system_code_is_told_that_a_call_was_too_deep() {
    let mut bench = bench();
    let data = Deep::via(MAX_NATIVE_DEPTH as u8, PROBE, &getCall {});
    let (outcome, _) = bench.evm.system(PROBE, |cx| cx.call(DEEP, U256::ZERO, data)).unwrap();
    assert_eq!(outcome.answered(), Err(Error::Halt(InstructionResult::CallTooDeep)));
}
