//! A validator that starts from a block that it did not help to agree on.
//!
//! It has followed the chain so far, or taken over a state, as any follower does. Its own storage is told here that it is
//! that far: marshal gets the block with its certificate, and `stateful` learns that its state is that of the block. The
//! latter is not something that `commonware-glue` offers; what is written is what it writes itself after a state sync.

use crate::{
    block::{Payload, SealedBlock},
    committee::EpochInfo,
    follow::Certificate,
};
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, Read, ReadExt as _, Write};
use commonware_consensus::{Epochable as _, Heightable as _, types::Height};
use commonware_cryptography::{Digestible as _, sha256::Digest};
use commonware_glue::dkg::ReshareBlock as _;
use commonware_storage::{
    archive::{Archive as _, prunable},
    metadata::{self, Metadata},
    translator::EightCap,
};
use commonware_utils::{fixed_bytes, sequence::FixedBytes};
use std::sync::Arc;
use stoa_ledger::state::Runtime;

/// A final block whose state a node has.
#[derive(Clone, Debug)]
pub struct Floor {
    block: SealedBlock,
    /// What a quorum has signed of it.
    pub(crate) certificate: Certificate,
    /// Who agrees in its epoch.
    pub(crate) info: EpochInfo,
}

/// The number of the block that says who agrees in the epoch of a block.
pub(crate) fn says_who_agrees(number: u64, epoch_length: u64) -> u64 {
    (number / epoch_length * epoch_length).saturating_sub(1)
}

/// The name of `stateful`'s storage, after that of the rest, and its one key.
const METADATA: &str = "state_sync_metadata";
const KEY: FixedBytes<1> = fixed_bytes!("C0");

/// That the state is that of the block at this height or a later one.
#[derive(Clone, Debug)]
struct Complete(Height);

impl Write for Complete {
    fn write(&self, writer: &mut impl BufMut) {
        1u8.write(writer);
        self.0.write(writer);
    }
}

impl EncodeSize for Complete {
    fn encode_size(&self) -> usize {
        1 + self.0.encode_size()
    }
}

impl Read for Complete {
    type Cfg = ();

    fn read_cfg(reader: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        match u8::read(reader)? {
            1 => Ok(Self(Height::read(reader)?)),
            other => Err(CodecError::InvalidEnum(other)),
        }
    }
}

impl Floor {
    /// A block, what a quorum has signed of it, and the block that [says who agrees](says_who_agrees) in its epoch. `None` if
    /// that is another.
    pub(crate) fn new(block: SealedBlock, certificate: Certificate, said: &SealedBlock) -> Option<Self> {
        match said.payload() {
            Some(Payload::EpochInfo(info)) if info.epoch == certificate.epoch() => {
                Some(Self { block, certificate, info })
            }
            _ => None,
        }
    }

    /// Writes down that the state is that of this block. Before anything of consensus is opened.
    pub(crate) async fn note<E: Runtime>(&self, runtime: E, partition: &str) {
        let config = metadata::Config { partition: format!("{partition}{METADATA}"), codec_config: () };
        let noted = Metadata::<E, FixedBytes<1>, Complete>::init(runtime, config).await;
        let noted = noted.expect("what is known of the state's sync cannot be read");
        let noted = noted.put_sync(KEY, Complete(self.block.height())).await;
        drop(noted.expect("what is known of the state's sync cannot be written"));
    }

    /// Puts the block where marshal looks for it.
    pub(crate) async fn keep<E: Runtime>(
        &self,
        blocks: prunable::Archive<EightCap, E, Digest, Arc<SealedBlock>>,
    ) -> prunable::Archive<EightCap, E, Digest, Arc<SealedBlock>> {
        let kept = blocks.put_sync(self.block.height().get(), self.block.digest(), &Arc::new(self.block.clone())).await;
        kept.expect("the archive of blocks cannot be written")
    }
}
