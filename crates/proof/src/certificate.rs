use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes};
use alloy_rlp::Decodable as _;
use commonware_codec::{Copying, DecodeExt as _};
use commonware_consensus::simplex::{scheme::bls12381_threshold::vrf, types::Finalization};
use commonware_cryptography::{
    bls12381::primitives::variant::{MinSig, Variant},
    ed25519,
    sha256::Digest,
};
use commonware_parallel::Sequential;
use rand::{SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

type Scheme = vrf::Scheme<ed25519::PublicKey, MinSig>;

/// The answer to `stoa_getCertificate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateReply {
    /// Hash of block 0, which all signatures are bound to.
    pub genesis_hash: B256,
    /// The network key as the node has it: to be compared, not believed.
    pub network_key: Bytes,
    /// RLP of headers: of the block asked for, and those after it up to the one that has a certificate.
    pub headers: Vec<Bytes>,
    /// What a quorum of the validators has signed of the last: a `Finalization` of `commonware-consensus`.
    pub certificate: Bytes,
}

/// Why a certificate proves nothing.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidCertificate {
    /// Part of it cannot be read.
    #[error("{0} cannot be read")]
    Malformed(&'static str),
    /// The key has not signed it.
    #[error("the network key has not signed this certificate")]
    Signature,
    /// It is of another block.
    #[error("the certificate is of block {signed}, the header hashes to {got}")]
    Block {
        /// What was signed.
        signed: B256,
        /// What came.
        got: B256,
    },
    /// The headers are no chain.
    #[error("header {0} does not name the one before it as its parent")]
    Chain(u64),
}

impl CertificateReply {
    /// Checks with nothing but the network key that the first of the headers is of a final block, and returns it.
    ///
    /// # Errors
    ///
    /// Says what does not hold. Nothing of the answer must be believed then.
    pub fn verify(&self, network_key: &[u8]) -> Result<Header, InvalidCertificate> {
        let key = <MinSig as Variant>::Public::decode(Copying(network_key))
            .map_err(|_| InvalidCertificate::Malformed("the network key"))?;
        let certificate = Finalization::<Scheme, Digest>::decode(Copying(&self.certificate))
            .map_err(|_| InvalidCertificate::Malformed("the certificate"))?;
        let namespace = [b"stoa-", self.genesis_hash.as_slice()].concat();
        let scheme = Scheme::certificate_verifier(&namespace, key);
        // The two signatures of a certificate are checked at once, in a sum with random weights that whoever made them must not
        // foresee. The weights come from a hash of all that is checked, so that another signature has other weights: as good
        // as drawing them, the same everywhere, and possible where nothing can be drawn.
        let statement = Sha256::new_with_prefix(&namespace).chain_update(network_key).chain_update(&self.certificate);
        let mut weights = StdRng::from_seed(statement.finalize().into());
        if !certificate.verify(&mut weights, &scheme, &Sequential) {
            return Err(InvalidCertificate::Signature);
        }
        let mut wanted = B256::from(certificate.proposal.payload.0);
        let mut first = None;
        for header in self.headers.iter().rev() {
            let mut rest = header.as_ref();
            let header = Header::decode(&mut rest).map_err(|_| InvalidCertificate::Malformed("a header"))?;
            if !rest.is_empty() {
                return Err(InvalidCertificate::Malformed("a header"));
            }
            let got = header.hash_slow();
            if got != wanted {
                return Err(match first {
                    None => InvalidCertificate::Block { signed: wanted, got },
                    Some(Header { number, .. }) => InvalidCertificate::Chain(number),
                });
            }
            wanted = header.parent_hash;
            first = Some(header);
        }
        first.ok_or(InvalidCertificate::Malformed("the list of headers"))
    }
}
