//! The names of what blocks have written: the state holds hashes of addresses and slots alone, and whoever wants all of it has
//! to know what they are called.

use super::{Names, node::CHUNK};
use crate::{
    Context, RpcError,
    evm::{Sandbox, recorded},
};
use alloy_primitives::U256;
use revm::{DatabaseCommit, inspector::NoOpInspector};
use stoa_base::Genesis;
use stoa_ledger::Committed;

/// What the transactions of blocks have written, as far as somebody has looked.
#[derive(Default)]
pub(crate) struct Written {
    names: Names,
    /// The newest block that was looked at.
    to: u64,
}

impl Written {
    /// Blocks above `number` are to be looked at again: others may stand in their places.
    pub fn forget_after(&mut self, number: u64) {
        self.to = self.to.min(number);
    }

    /// Executes the next blocks up to `head` again, a number of them at a time. `true` if none is left. Blocking.
    ///
    /// # Errors
    ///
    /// -32000 if the state of one of them is no longer kept.
    pub fn look(&mut self, context: &Context, head: u64) -> Result<bool, RpcError> {
        for number in self.to + 1..=head.min(self.to + CHUNK) {
            self.add(context, &context.block(number)?.ok_or_else(RpcError::header_not_found)?)?;
            self.to = number;
        }
        Ok(self.to >= head)
    }

    fn add(&mut self, context: &Context, committed: &Committed) -> Result<(), RpcError> {
        let count = committed.block.transactions().len();
        if count == 0 {
            return Ok(());
        }
        let mut sandbox = Sandbox::replay(context, committed, 0)?;
        for index in 0..count {
            let (traced, _) = sandbox.inspect(recorded(committed, index)?, NoOpInspector)?;
            for (address, account) in traced.state.iter().filter(|(_, account)| account.is_touched()) {
                self.names.entry(*address).or_default().extend(account.storage.keys());
            }
            sandbox.db.commit(traced.state);
        }
        Ok(())
    }

    /// All of them, and what the chain began with.
    pub fn names(&self, genesis: &Genesis) -> Names {
        let mut names = self.names.clone();
        for (address, account) in &genesis.alloc {
            let slots = account.storage.keys().map(|slot| U256::from_be_bytes(slot.0));
            names.entry(*address).or_default().extend(slots);
        }
        names
    }
}
