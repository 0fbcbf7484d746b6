//! What a simulated call transfers of the chain's coin, told as a token would tell it.

use alloy_primitives::{Address, Log, U256};
use alloy_sol_types::SolValue;
use revm::{
    Inspector,
    context_interface::{ContextTr, JournalTr},
    interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome},
};
use revm_inspectors::transfer::{TRANSFER_EVENT_TOPIC, TRANSFER_LOG_EMITTER};

/// Collects transfers, but for those of calls that failed. The `TransferInspector` of `revm-inspectors` keeps these, and logs
/// nothing of contracts that destroy themselves.
#[derive(Default)]
pub(super) struct Transfers {
    /// With how many logs came before each.
    transfers: Vec<(usize, Log)>,
    /// Logs so far.
    logs: usize,
    /// How many logs and transfers there were when each call under way began.
    before: Vec<(usize, usize)>,
}

impl Transfers {
    /// The logs of the transaction, each transfer where it happened.
    pub fn among(self, logs: &[Log]) -> Vec<Log> {
        let mut all = Vec::with_capacity(logs.len() + self.transfers.len());
        let mut transfers = self.transfers.into_iter().peekable();
        for (position, log) in logs.iter().enumerate() {
            while let Some((_, transfer)) = transfers.next_if(|(before, _)| *before <= position) {
                all.push(transfer);
            }
            all.push(log.clone());
        }
        all.extend(transfers.map(|(_, transfer)| transfer));
        all
    }

    fn begin(&mut self) {
        self.before.push((self.logs, self.transfers.len()));
    }

    fn transfer(&mut self, from: Address, to: Address, value: U256) {
        if !value.is_zero() {
            let topics = vec![TRANSFER_EVENT_TOPIC, from.into_word(), to.into_word()];
            let log = Log::new_unchecked(TRANSFER_LOG_EMITTER, topics, value.abi_encode().into());
            self.transfers.push((self.logs, log));
        }
    }

    fn end(&mut self, succeeded: bool) {
        if let Some((logs, transfers)) = self.before.pop()
            && !succeeded
        {
            self.logs = logs;
            self.transfers.truncate(transfers);
        }
    }
}

impl<CTX: ContextTr> Inspector<CTX> for Transfers {
    fn log(&mut self, _: &mut CTX, _: Log) {
        self.logs += 1;
    }

    fn call(&mut self, _: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.begin();
        if let Some(value) = inputs.transfer_value() {
            self.transfer(inputs.transfer_from(), inputs.transfer_to(), value);
        }
        None
    }

    fn call_end(&mut self, _: &mut CTX, _: &CallInputs, outcome: &mut CallOutcome) {
        self.end(outcome.instruction_result().is_ok());
    }

    fn create(&mut self, context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.begin();
        let nonce = context.journal_mut().load_account(inputs.caller()).ok()?.data.info.nonce;
        self.transfer(inputs.caller(), inputs.created_address(nonce), inputs.value());
        None
    }

    fn create_end(&mut self, _: &mut CTX, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.end(outcome.instruction_result().is_ok());
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.transfer(contract, target, value);
    }
}
