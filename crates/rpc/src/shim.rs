#![allow(missing_docs)]
use revm::{
    context::{result::*, *},
    inspector::*,
    primitives::hardfork::SpecId,
    state::*,
    *,
};
pub type Ctx<DB> = revm::Context<BlockEnv, TxEnv, CfgEnv, DB, Journal<DB>, ()>;
#[derive(Clone)]
pub struct Natives;
pub fn cfg(id: u64) -> CfgEnv {
    let mut c = CfgEnv::new_with_spec(SpecId::OSAKA);
    c.chain_id = id;
    c
}
pub struct Evm<DB: Database, I = NoOpInspector>(MainnetEvm<Ctx<DB>, I>);
impl<DB: Database> Evm<DB> {
    pub fn new(db: DB, block: BlockEnv, cfg: CfgEnv, _: Natives) -> Self {
        let c: Ctx<DB> = revm::Context::mainnet().with_db(db).with_block(block).with_cfg(cfg);
        Evm(c.build_mainnet_with_inspector(NoOpInspector))
    }
    pub fn with_inspector<I>(self, i: I) -> Evm<DB, I> {
        Evm(self.0.with_inspector(i))
    }
}
impl<DB: Database, I> Evm<DB, I> {
    pub fn transact_one(&mut self, tx: TxEnv) -> Result<ExecutionResult, EVMError<DB::Error>> {
        self.0.transact_one(tx)
    }
    pub fn finalize(&mut self) -> EvmState {
        self.0.finalize()
    }
    pub fn into_inspector(self) -> I {
        self.0.inspector
    }
}
impl<DB: Database, I: Inspector<Ctx<DB>>> Evm<DB, I> {
    pub fn inspect_one(&mut self, tx: TxEnv) -> Result<ExecutionResult, EVMError<DB::Error>> {
        self.0.inspect_one_tx(tx)
    }
}
