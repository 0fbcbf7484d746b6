//! What an inspector sees of native frames.

use super::*;
use revm::{
    handler::FrameResult,
    interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome},
};

/// What an inspector sees.
#[derive(Default)]
struct Frames(Vec<String>);

impl<DB: Database> Inspector<Ctx<DB>> for Frames {
    fn call(&mut self, _: &mut Ctx<DB>, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.0.push(format!("call {} {:?}", inputs.target_address, inputs.scheme));
        None
    }

    fn call_end(&mut self, _: &mut Ctx<DB>, _: &CallInputs, outcome: &mut CallOutcome) {
        self.0.push(format!("end {:?}", outcome.result.result));
    }

    fn create(&mut self, _: &mut Ctx<DB>, _: &mut CreateInputs) -> Option<CreateOutcome> {
        self.0.push("create".to_owned());
        None
    }

    fn create_end(&mut self, _: &mut Ctx<DB>, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.0.push(format!("end {:?}", outcome.result.result));
    }

    fn log(&mut self, _: &mut Ctx<DB>, log: Log) {
        self.0.push(format!("log {}", log.address));
    }
}

fn inspected(bench: Bench, to: Address, call: &impl SolCall) -> (ExecutionResult, Vec<String>) {
    let tx = bench.tx(ALICE, TxKind::Call(to), U256::ZERO, call.abi_encode().into());
    let mut evm = bench.evm.with_inspector(Frames::default());
    let result = evm.inspect_one(tx).unwrap();
    (result, evm.into_inspector().0)
}

#[test]
fn an_inspector_sees_native_frames_inner_frames_and_each_log_once() {
    let mut bench = bench();
    let forwarder = install(&mut bench, 0xf0, FORWARDER);
    let call = forwardCall { to: forwarder, data: via(PROBE, &setCall { value: U256::from(5) }) };
    let (result, seen) = inspected(bench, PROBE, &call);
    assert!(result.is_success());
    let expected = [
        format!("call {PROBE} Call"),
        format!("call {forwarder} Call"),
        format!("call {PROBE} Call"),
        format!("log {PROBE}"),
        "end Return".to_owned(),
        "end Return".to_owned(),
        "end Return".to_owned(),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn inspecting_changes_no_result() {
    let salt = keccak256("x");
    let (seen, events) = inspected(bench(), PROBE, &createCloneCall { salt });
    assert_eq!(events[1], "create");
    let mut bench = bench();
    let tx = bench.tx(ALICE, TxKind::Call(PROBE), U256::ZERO, createCloneCall { salt }.abi_encode().into());
    assert_eq!(bench.transact(tx), seen);
}

#[test]
fn an_inspector_can_answer_a_native_call_itself() {
    struct Answer;
    impl<DB: Database> Inspector<Ctx<DB>> for Answer {
        fn frame_start(&mut self, _: &mut Ctx<DB>, input: &mut revm::interpreter::FrameInput) -> Option<FrameResult> {
            let revm::interpreter::FrameInput::Call(inputs) = input else { return None };
            Some(FrameResult::new_call_oog(inputs.gas_limit, 0..0, 0))
        }
    }
    let bench = bench();
    let tx = bench.tx(ALICE, TxKind::Call(PROBE), U256::ZERO, setCall { value: U256::ONE }.abi_encode().into());
    let mut evm = bench.evm.with_inspector(Answer);
    assert!(evm.inspect_one(tx).unwrap().is_halt());
}

#[test]
fn the_deepest_recursion_fits_the_stack_of_a_fiber_when_inspected() {
    let run = || {
        let mut bench = bench();
        let via = install(&mut bench, 0xf0, FORWARDER);
        let tx = bench.tx(ALICE, TxKind::Call(PROBE), U256::ZERO, recurseCall { via }.abi_encode().into());
        let mut evm = bench.evm.with_inspector(Frames::default());
        let result = evm.inspect_one(tx).unwrap();
        let deepest = recurseCall::abi_decode_returns(result.output().unwrap()).unwrap();
        (deepest, evm.into_inspector().0.len())
    };
    let (deepest, events) = std::thread::Builder::new().stack_size(512 * 1024).spawn(run).unwrap().join().unwrap();
    assert_eq!(deepest, U256::from(MAX_NATIVE_DEPTH));
    // Every frame begins and ends, the refused one too.
    assert_eq!(events, 2 * (2 * MAX_NATIVE_DEPTH + 1));
}
