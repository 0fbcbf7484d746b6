//! Ethereum's handling of a transaction, and the coin's votes at its end.

use super::{Ctx, Evm};
use revm::{
    Database, Inspector,
    context::result::{EVMError, HaltReason, ResultGas},
    handler::{FrameResult, Handler, post_execution},
    inspector::InspectorHandler,
    interpreter::{InitialAndFloorGas, interpreter::EthInterpreter},
};
use std::marker::PhantomData;

pub(super) struct StoaHandler<DB, I>(PhantomData<(DB, I)>);

impl<DB, I> Default for StoaHandler<DB, I> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<DB: Database, I> Handler for StoaHandler<DB, I> {
    type Evm = Evm<DB, I>;
    type Error = EVMError<DB::Error>;
    type HaltReason = HaltReason;

    fn post_execution(
        &self,
        evm: &mut Self::Evm,
        exec_result: &mut FrameResult,
        init_and_floor_gas: InitialAndFloorGas,
        eip7702_gas_refund: i64,
    ) -> Result<ResultGas, Self::Error> {
        self.refund(evm, exec_result, eip7702_gas_refund)?;
        let is_halt = exec_result.instruction_result().is_halt();
        let result_gas = post_execution::build_result_gas(is_halt, exec_result.gas(), init_and_floor_gas);
        self.eip7623_check_gas_floor(evm, exec_result, init_and_floor_gas);
        self.reimburse_caller(evm, exec_result)?;
        self.reward_beneficiary(evm, exec_result)?;
        evm.settle()?;
        Ok(result_gas)
    }
}

impl<DB: Database, I: Inspector<Ctx<DB>>> InspectorHandler for StoaHandler<DB, I> {
    type IT = EthInterpreter;
}
