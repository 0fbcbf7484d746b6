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
use std::{fmt, num::NonZeroU32, ops::Deref, sync::Arc};
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

/// What a block that comes from others may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes.
    pub bytes: usize,
    /// Validators that share a key. Each is a point of a curve more, which takes long to read: whoever sends blocks that name many would
    /// keep others from reading theirs.
    pub validators: NonZeroU32,
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

/// Reads what [`encode_seal`] wrote, where so many share the key at most.
fn decode_seal(
    bytes: &Bytes,
    validators: NonZeroU32,
) -> Result<(Context, Option<Signature>, Option<Payload>), CodecError> {
    let mut rest = Copying(bytes);
    let context = Context::read(&mut rest)?;
    let seed = round_of_parent(&context).map(|_| Signature::read(&mut rest)).transpose()?;
    let more = rest.remaining() > 0;
    let payload = more.then(|| Payload::read_cfg(&mut rest, &(validators, ModeVersion::v0()))).transpose()?;
    if rest.remaining() > 0 {
        return Err(CodecError::ExtraData(rest.remaining()));
    }
    Ok((context, seed, payload))
}

/// What the seal of block 0 says of the first epoch: nothing on a chain without validators.
fn decode_first(bytes: &Bytes, validators: NonZeroU32) -> Result<Option<Payload>, CodecError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let committee = alloy_rlp::decode_exact::<stoa_base::Committee>(bytes);
    let committee = committee.map_err(|_| CodecError::Invalid("block 0", "malformed RLP"))?;
    let committee = Committee::read(&committee, validators);
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
        Self::of(block, MAX_VALIDATORS)
    }

    fn of(block: Arc<Block>, validators: NonZeroU32) -> Result<Self, CodecError> {
        let bytes = &block.seal().context;
        let (context, seed, payload) = match block.number() {
            0 => (genesis_context(), None, decode_first(bytes, validators)?),
            _ => decode_seal(bytes, validators)?,
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
    type Cfg = Bounds;

    fn read_cfg(buf: &mut impl Buf, most: &Bounds) -> Result<Self, CodecError> {
        if buf.remaining() < 4 {
            return Err(CodecError::EndOfBuffer);
        }
        let length = buf.get_u32() as usize;
        if length > most.bytes {
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
        Self::of(Arc::new(block), most.validators)
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
    fn max_encode_size(most: &Bounds) -> usize {
        4 + most.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::Header;
    use commonware_codec::Decode as _;
    use commonware_utils::NZU32;
    use rand::{SeedableRng as _, rngs::StdRng};

    /// A block whose header commits to a seal, be it its own or not.
    fn block(number: u64, seal: Seal, committed: &Seal) -> SealedBlock {
        let header = Header { number, extra_data: committed.hash().into(), ..Header::default() };
        SealedBlock::new(Arc::new(Block::new(header, seal, Vec::new()))).unwrap()
    }

    /// What others read of a block, of whom there are so many.
    fn read(block: &SealedBlock, validators: NonZeroU32) -> Result<SealedBlock, CodecError> {
        SealedBlock::decode_cfg(Copying(&block.encode()), &Bounds { bytes: 1 << 20, validators })
    }

    fn context() -> Context {
        Context { round: Round::new(Epoch::zero(), View::new(1)), ..genesis_context() }
    }

    #[test]
    fn a_block_whose_header_commits_to_another_seal_is_refused() {
        let seal = Seal { context: encode_seal(&context(), None, None), ..Seal::default() };
        let (own, other) = (block(1, seal.clone(), &seal), block(1, seal.clone(), &Seal { ops_end: 1, ..seal }));
        assert_eq!(read(&own, NZU32!(1)).unwrap(), own);
        assert!(read(&other, NZU32!(1)).is_err());
    }

    #[test]
    fn a_block_that_names_more_validators_than_there_are_is_refused() {
        let (committee, _) = Committee::deal(&mut StdRng::seed_from_u64(1), NZU32!(7));
        let first = Bytes::from(alloy_rlp::encode(stoa_base::Committee::from(&committee)));
        let last = encode_seal(&context(), None, Some(&Payload::EpochInfo(committee.first_epoch())));
        for (number, context) in [(0, first), (1, last)] {
            let seal = Seal { context, ..Seal::default() };
            let block = block(number, seal.clone(), &seal);
            assert_eq!(read(&block, NZU32!(7)).unwrap(), block);
            assert!(read(&block, NZU32!(6)).is_err(), "block {number}");
        }
    }
}
