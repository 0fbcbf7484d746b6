use revm::{*, context::*, context::result::*, primitives::hardfork::SpecId, state::*};
use alloy_primitives::*;
pub type Ctx<DB> = Context<BlockEnv, TxEnv, CfgEnv, DB, Journal<DB>, ()>;
#[derive(Clone)] pub struct Natives; impl Natives { pub fn stoa() -> Self { Natives } }
pub fn cfg(id: u64) -> CfgEnv { let mut c = CfgEnv::new_with_spec(SpecId::OSAKA); c.chain_id = id; c }
pub fn set_delegate(_: &mut AccountInfo, _: Option<Address>) {}
pub fn delegate_of(_: &AccountInfo) -> Option<Address> { None }
pub struct Evm<DB: Database>(MainnetEvm<Ctx<DB>>);
impl<DB: Database> Evm<DB> {
 pub fn new(db: DB, block: BlockEnv, cfg: CfgEnv, _: Natives) -> Self { let c: Ctx<DB> = Context::mainnet().with_db(db).with_block(block).with_cfg(cfg); Evm(c.build_mainnet()) }
 pub fn transact_one(&mut self, tx: TxEnv) -> Result<ExecutionResult, EVMError<DB::Error>> { self.0.transact_one(tx) }
 pub fn finalize(&mut self) -> EvmState { self.0.finalize() }
 pub fn ctx_mut(&mut self) -> &mut Ctx<DB> { &mut self.0.ctx }
 pub fn state(&self) -> &EvmState { &self.0.ctx.journaled_state.inner.state }
 pub fn db(&self) -> &DB { &self.0.ctx.journaled_state.database }
 pub fn into_db(self) -> DB { self.0.ctx.journaled_state.database }
 pub fn end_block(&mut self, _: (U256,U256)) -> Result<(), EVMError<DB::Error>> { Ok(()) }
}
