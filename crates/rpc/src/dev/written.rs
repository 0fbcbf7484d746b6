//! The names of what blocks have written: the state holds hashes of addresses and slots alone, and whoever wants all of it has
//! to know what they are called.

use super::{Names, node::CHUNK};
use crate::{
    Context, RpcError,
    evm::{Sandbox, recorded},
};
use alloy_primitives::U256;
use alloy_sol_types::SolEvent as _;
use revm::{DatabaseCommit, inspector::NoOpInspector};
use std::collections::BTreeSet;
use stoa_contract::{
    coin,
    interfaces::{IERC20::Approval, IVotes::DelegateChanged},
};
use stoa_ledger::{Committed, LogFilter};

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

    /// All of them up to `head`, and what the chain began with; of the coin, [some](of_the_coin). Blocking.
    ///
    /// # Errors
    ///
    /// If the ledger cannot read.
    pub fn names(&self, context: &Context, head: u64) -> Result<Names, RpcError> {
        let mut names = self.names.clone();
        for (address, account) in &context.ledger().genesis().alloc {
            let slots = account.storage.keys().map(|slot| U256::from_be_bytes(slot.0));
            names.entry(*address).or_default().extend(slots);
        }
        names.insert(coin::ADDRESS, of_the_coin(context, head)?);
        Ok(names)
    }
}

/// The slots of the coin's allowances, nonces and delegations. Its supply and the histories of votes are not named: they follow
/// the balances, which may be others where a state is loaded.
fn of_the_coin(context: &Context, head: u64) -> Result<BTreeSet<U256>, RpcError> {
    let events = vec![Approval::SIGNATURE_HASH, DelegateChanged::SIGNATURE_HASH];
    let filter = LogFilter { addresses: vec![coin::ADDRESS], topics: [events, Vec::new(), Vec::new(), Vec::new()] };
    let mut slots = BTreeSet::new();
    for entry in context.ledger().logs(0, head, &filter, usize::MAX - 1)? {
        // Each is emitted where an allowance is set or a delegation changed, with a signature or without.
        if let Ok(Approval { owner, spender, .. }) = Approval::decode_log_data(&entry.log.data) {
            slots.extend([coin::allowance_slot(owner, spender), coin::nonce_slot(owner)]);
        } else if let Ok(DelegateChanged { delegator, .. }) = DelegateChanged::decode_log_data(&entry.log.data) {
            slots.extend([coin::delegatee_slot(delegator), coin::nonce_slot(delegator)]);
        }
    }
    Ok(slots)
}
