use crate::{
    committee::{Committee, MAX_VALIDATORS},
    seeds::{Signature, round_of_parent},
};
use alloy_primitives::Bytes;
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use bytes::{Buf as _, BufMut};
use commonware_codec::{Buf, Copying, Encode as _, EncodeSize, Error as CodecError, Read, ReadExt as _, Write};
use commonware_consensus::{
    Block as ConsensusBlock, BoundedBlock, CertifiableBlock, Heightable,
    simplex::types::Context as SimplexContext,
    types::{Epoch, Height, Round, View},
};
use commonware_cryptography::{
    Digest as _, Digestible, Signer as _,
    bls12381::primitives::{sharing::ModeVersion, variant::MinSig},
    ed25519,
    sha256::Digest,
};
use commonware_glue::dkg::{ReshareBlock, types};
use commonware_utils::sequence::Unit;
use std::{fmt, ops::Deref, sync::Arc};
use stoa_base::{Block, Seal, Transaction};

/// What consensus says of the round that a block is proposed in.
pub type Context = SimplexContext<Digest, ed25519::PublicKey>;

/// What validators share the network key anew with: what each has dealt, and in an epoch's last block the outcome.
pub(crate) type Payload = types::Payload<MinSig, ed25519::PublicKey, Unit>;

/// A block as consensus passes it around: its digest is the block's Ethereum hash. In its seal stand the round that it was
/// proposed in, the signature of the round in which its parent was agreed on, which the block's randomness comes from, and
/// what belongs to the sharing of the key.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedBlock {
    block: Arc<Block>,
    context: Context,
    seed: Option<Signature>,
    payload: Option<Arc<Payload>>,
}

impl fmt::Debug for SealedBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedBlock")
            .field("block", &self.block)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
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
pub(crate) fn encode_seal(context: &Context, seed: Option<&Signature>, payload: Option<&Payload>) -> Bytes {
    let mut bytes = context.encode().to_vec();
    if let Some(seed) = seed {
        seed.write(&mut bytes);
    }
    if let Some(payload) = payload {
        payload.write(&mut bytes);
    }
    bytes.into()
}

/// Reads what [`encode_seal`] wrote.
fn decode_seal(bytes: &Bytes) -> Result<(Context, Option<Signature>, Option<Payload>), CodecError> {
    let mut rest = Copying(bytes);
    let context = Context::read(&mut rest)?;
    let seed = round_of_parent(&context).map(|_| Signature::read(&mut rest)).transpose()?;
    let more = rest.remaining() > 0;
    let payload = more.then(|| Payload::read_cfg(&mut rest, &(MAX_VALIDATORS, ModeVersion::v0()))).transpose()?;
    if rest.remaining() > 0 {
        return Err(CodecError::ExtraData(rest.remaining()));
    }
    Ok((context, seed, payload))
}

/// What the seal of block 0 says of the first epoch: nothing on a chain without validators.
fn decode_first(bytes: &Bytes) -> Result<Option<Payload>, CodecError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let committee = alloy_rlp::decode_exact::<stoa_base::Committee>(bytes);
    let committee = committee.map_err(|_| CodecError::Invalid("block 0", "malformed RLP"))?;
    let committee = Committee::try_from(&committee);
    let committee = committee.map_err(|_| CodecError::Invalid("block 0", "a committee that cannot be one"))?;
    Ok(Some(Payload::EpochInfo(committee.first_epoch())))
}

impl SealedBlock {
    /// A block that carries what consensus says of it.
    ///
    /// # Errors
    ///
    /// If the seal carries something else.
    pub fn new(block: Arc<Block>) -> Result<Self, CodecError> {
        let bytes = &block.seal().context;
        let (context, seed, payload) = match block.number() {
            0 => (genesis_context(), None, decode_first(bytes)?),
            _ => decode_seal(bytes)?,
        };
        Ok(Self { block, context, seed, payload: payload.map(Arc::new) })
    }

    /// The signature that its randomness comes from; none where its parent is block 0.
    pub(crate) const fn seed(&self) -> Option<&Signature> {
        self.seed.as_ref()
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

impl ReshareBlock for SealedBlock {
    type Variant = MinSig;
    type PublicKey = ed25519::PublicKey;
    type Directory = Unit;

    fn payload(&self) -> Option<Payload> {
        self.payload.as_deref().cloned()
    }
}

impl BoundedBlock for SealedBlock {
    fn max_encode_size(most: &usize) -> usize {
        4 + most
    }
}
