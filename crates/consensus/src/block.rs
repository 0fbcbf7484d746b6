use alloy_primitives::Bytes;
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use bytes::{Buf as _, BufMut};
use commonware_codec::{Buf, DecodeExt as _, Encode as _, EncodeSize, Error as CodecError, Read, Write};
use commonware_consensus::{
    Block as ConsensusBlock, BoundedBlock, CertifiableBlock, Heightable,
    simplex::types::Context as SimplexContext,
    types::{Epoch, Height, Round, View},
};
use commonware_cryptography::{Digest as _, Digestible, Signer as _, ed25519, sha256::Digest};
use std::{ops::Deref, sync::Arc};
use stoa_base::{Block, Seal, Transaction};

/// What consensus says of the round that a block is proposed in.
pub type Context = SimplexContext<Digest, ed25519::PublicKey>;

/// A block as consensus passes it around: its digest is the block's Ethereum hash, its context stands in the seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedBlock {
    block: Arc<Block>,
    context: Context,
}

#[derive(RlpEncodable, RlpDecodable)]
struct Body {
    header: alloy_consensus::Header,
    seal: Seal,
    transactions: Vec<Transaction>,
}

/// The context of block 0, which nobody proposed.
pub fn genesis_context() -> Context {
    Context {
        round: Round::new(Epoch::zero(), View::zero()),
        leader: ed25519::PrivateKey::from_seed(0).public_key(),
        parent: (View::zero(), Digest::EMPTY),
    }
}

/// The bytes that stand in a seal.
pub fn encode_context(context: &Context) -> Bytes {
    Bytes::from(context.encode().to_vec())
}

impl SealedBlock {
    /// A block whose seal carries a consensus context, or block 0.
    ///
    /// # Errors
    ///
    /// If the seal carries something else.
    pub fn new(block: Arc<Block>) -> Result<Self, CodecError> {
        let bytes = &block.seal().context;
        let context = if bytes.is_empty() && block.number() == 0 {
            genesis_context()
        } else {
            Context::decode(commonware_codec::Copying(bytes))?
        };
        Ok(Self { block, context })
    }

    /// The block itself.
    pub const fn block(&self) -> &Arc<Block> {
        &self.block
    }
}

impl Deref for SealedBlock {
    type Target = Block;

    fn deref(&self) -> &Block {
        &self.block
    }
}

impl Write for SealedBlock {
    fn write(&self, buf: &mut impl BufMut) {
        let bytes = encode(&self.block);
        buf.put_u32(bytes.len() as u32);
        buf.put_slice(&bytes);
    }
}

impl EncodeSize for SealedBlock {
    fn encode_size(&self) -> usize {
        4 + body_of(&self.block).length()
    }
}

fn body_of(block: &Block) -> Body {
    Body { header: block.header().clone(), seal: block.seal().clone(), transactions: block.transactions().to_vec() }
}

fn encode(block: &Block) -> Vec<u8> {
    alloy_rlp::encode(body_of(block))
}

impl Read for SealedBlock {
    /// The most bytes that a block may have.
    type Cfg = usize;

    fn read_cfg(buf: &mut impl Buf, most: &usize) -> Result<Self, CodecError> {
        if buf.remaining() < 4 {
            return Err(CodecError::EndOfBuffer);
        }
        let length = buf.get_u32() as usize;
        if length > *most {
            return Err(CodecError::InvalidLength(length));
        }
        if buf.remaining() < length {
            return Err(CodecError::EndOfBuffer);
        }
        let bytes = buf.copy_to_bytes(length);
        let body = Body::decode(&mut &*bytes).map_err(|_| CodecError::Invalid("block", "malformed RLP"))?;
        let block = Block::new(body.header, body.seal, body.transactions);
        if block.header().extra_data.as_ref() != block.seal().hash().as_slice() {
            return Err(CodecError::Invalid("block", "the header does not carry the hash of the seal"));
        }
        // One block has one encoding: whoever is asked for it again must give the same bytes.
        if encode(&block) != *bytes {
            return Err(CodecError::Invalid("block", "not the canonical encoding"));
        }
        Self::new(Arc::new(block))
    }
}

impl Digestible for SealedBlock {
    type Digest = Digest;

    fn digest(&self) -> Digest {
        Digest(self.block.hash().0)
    }
}

impl Heightable for SealedBlock {
    fn height(&self) -> Height {
        Height::new(self.block.number())
    }
}

impl ConsensusBlock for SealedBlock {
    fn parent(&self) -> Digest {
        Digest(self.block.header().parent_hash.0)
    }
}

impl CertifiableBlock for SealedBlock {
    type Context = Context;

    fn context(&self) -> Context {
        self.context.clone()
    }
}

impl BoundedBlock for SealedBlock {
    fn max_encode_size(most: &usize) -> usize {
        4 + most
    }
}
