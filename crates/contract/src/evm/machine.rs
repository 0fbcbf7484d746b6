//! What a native call sees of the machine, without its type parameters.

use super::{Ctx, Evm, frames};
use crate::{Error, Result};
use alloy_primitives::{Address, Log, U256};
use revm::{
    Database, Inspector,
    context::{ContextTr, Host, JournalTr},
    context_interface::{
        context::ContextError,
        journaled_state::{JournalCheckpoint, TransferError, account::JournaledAccountTr},
    },
    handler::FrameResult,
    interpreter::interpreter_action::FrameInit,
    state::{AccountExtension, AccountInfo},
};

/// The machine below a native call.
///
/// Errors of the database are kept in the machine, as revm's own [`Host`] does, and end the call as [`Error::Fatal`].
pub(crate) trait Machine {
    /// Storage, accounts and block, as the interpreter's instructions see them.
    fn host(&mut self) -> &mut dyn Host;

    /// The same, to look at.
    fn env(&self) -> &dyn Host;

    /// Native frames that run now, within each other.
    fn native_depth(&self) -> usize;

    /// Runs a frame to its end.
    fn execute(&mut self, init: FrameInit) -> Result<FrameResult>;

    /// Appends a log.
    fn log(&mut self, log: Log);

    /// Moves coin. `Some` if the sender has not enough.
    fn transfer(&mut self, from: Address, to: Address, value: U256) -> Result<Option<TransferError>>;

    /// An account as it is now, and whether it is destroyed when the transaction ends.
    fn account(&mut self, address: Address) -> Result<(&AccountInfo, bool)>;

    /// Replaces what an account carries beside Ethereum's fields.
    fn set_extension(&mut self, address: Address, extension: AccountExtension) -> Result<()>;

    /// Starts something that can be undone by itself.
    fn checkpoint(&mut self) -> JournalCheckpoint;

    /// Keeps or undoes what was done since the checkpoint.
    fn end(&mut self, checkpoint: JournalCheckpoint, keep: bool);
}

/// The machine without its inspector.
pub(super) struct Plain<'a, DB: Database, I>(pub(super) &'a mut Evm<DB, I>);

/// The machine with its inspector watching every frame and log.
pub(super) struct Inspected<'a, DB: Database, I>(pub(super) &'a mut Evm<DB, I>);

fn keep<T, DB: Database>(ctx: &mut Ctx<DB>, result: Result<T, ContextError<DB::Error>>) -> Result<T> {
    result.map_err(|error| {
        *ctx.error() = Err(error);
        Error::Fatal
    })
}

fn transfer<DB: Database>(ctx: &mut Ctx<DB>, from: Address, to: Address, value: U256) -> Result<Option<TransferError>> {
    let moved = ctx.journal_mut().transfer(from, to, value);
    keep(ctx, moved.map_err(ContextError::Db))
}

fn account<DB: Database>(ctx: &mut Ctx<DB>, address: Address) -> Result<(&AccountInfo, bool)> {
    let loaded = ctx.journal_mut().load_account(address).map(|_| ());
    keep(ctx, loaded.map_err(ContextError::Db))?;
    let account = ctx.journaled_state.inner.account(address);
    Ok((&account.info, account.is_selfdestructed()))
}

fn set_extension<DB: Database>(ctx: &mut Ctx<DB>, address: Address, extension: AccountExtension) -> Result<()> {
    let set = ctx.journal_mut().load_account_mut(address).map(|mut account| account.data.set_extension(extension));
    keep(ctx, set.map_err(ContextError::Db))?;
    ctx.journal_mut().touch_account(address);
    Ok(())
}

fn end<DB: Database>(ctx: &mut Ctx<DB>, checkpoint: JournalCheckpoint, keep: bool) {
    match keep {
        true => ctx.journal_mut().checkpoint_commit(),
        false => ctx.journal_mut().checkpoint_revert(checkpoint),
    }
}

macro_rules! machine {
    ($kind:ident, [$($bound:tt)*], $run:path, $log:expr) => {
        impl<DB: Database, I $($bound)*> Machine for $kind<'_, DB, I> {
            fn host(&mut self) -> &mut dyn Host {
                &mut self.0.inner.ctx
            }

            fn env(&self) -> &dyn Host {
                &self.0.inner.ctx
            }

            fn native_depth(&self) -> usize {
                self.0.native_depth
            }

            fn execute(&mut self, init: FrameInit) -> Result<FrameResult> {
                let result = $run(self.0, init);
                keep(&mut self.0.inner.ctx, result)
            }

            fn log(&mut self, log: Log) {
                $log(self.0, log)
            }

            fn transfer(&mut self, from: Address, to: Address, value: U256) -> Result<Option<TransferError>> {
                transfer(&mut self.0.inner.ctx, from, to, value)
            }

            fn account(&mut self, address: Address) -> Result<(&AccountInfo, bool)> {
                account(&mut self.0.inner.ctx, address)
            }

            fn set_extension(&mut self, address: Address, extension: AccountExtension) -> Result<()> {
                set_extension(&mut self.0.inner.ctx, address, extension)
            }

            fn checkpoint(&mut self) -> JournalCheckpoint {
                self.0.inner.ctx.journal_mut().checkpoint()
            }

            fn end(&mut self, checkpoint: JournalCheckpoint, keep: bool) {
                end(&mut self.0.inner.ctx, checkpoint, keep)
            }
        }
    };
}

machine!(Plain, [], frames::run, |evm: &mut Evm<DB, I>, log| evm.inner.ctx.journal_mut().log(log));
machine!(Inspected, [: Inspector<Ctx<DB>>], frames::inspect, |evm: &mut Evm<DB, I>, log: Log| {
    evm.inner.ctx.journal_mut().log(log.clone());
    evm.inner.inspector.log(&mut evm.inner.ctx, log);
});
