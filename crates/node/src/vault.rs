//! A validator's secrets on its disk: sealed with a key that comes from the validator's own.

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::{Decodable as _, Encodable as _};
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead as _, KeyInit as _},
};
use commonware_codec::{Copying, DecodeExt as _, Encode};
use commonware_consensus::types::Epoch;
use commonware_cryptography::{
    PublicKey,
    bls12381::{dkg::feldman_desmedt::DealerPrivMsg, primitives::group::Share},
    ed25519::PrivateKey,
    transcript::Summary,
};
use commonware_glue::dkg::SecretStore;
use eyre::{Result, WrapErr as _, eyre};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use stoa_base::write_private;
use stoa_consensus::Secrets;

const NONCE: usize = 24;

/// Secrets by name, in one file. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    cipher: XChaCha20Poly1305,
    secrets: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

/// The secrets of an epoch, and what kind of secret.
fn name(epoch: Epoch, kind: &[u8], of: &[u8]) -> Vec<u8> {
    [&epoch.get().to_be_bytes(), kind, of].concat()
}

impl Vault {
    /// Opens the file, or begins a new one.
    ///
    /// # Errors
    ///
    /// If it cannot be read, was damaged, or belongs to another validator.
    pub fn open(path: &Path, key: &PrivateKey) -> Result<Self> {
        let cipher = XChaCha20Poly1305::new(&keccak256([b"stoa vault", key.encode().as_ref()].concat()).0.into());
        let damaged = || eyre!("{} is damaged, or sealed with another validator's key", path.display());
        let secrets = match fs::read(path) {
            Ok(sealed) => {
                let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or_else(damaged)?;
                let plain = cipher.decrypt(&XNonce::from(*nonce), sealed).map_err(|_| damaged())?;
                let list = Vec::<Bytes>::decode(&mut &*plain).map_err(|_| damaged())?;
                list.chunks_exact(2).map(|pair| (pair[0].to_vec(), pair[1].to_vec())).collect()
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).wrap_err_with(|| format!("cannot read {}", path.display())),
        };
        Ok(Self { shared: Arc::new(Shared { path: path.into(), cipher, secrets: Mutex::new(secrets) }) })
    }

    /// Whether nothing was ever put into it.
    pub fn is_empty(&self) -> bool {
        self.shared.secrets.lock().is_empty()
    }

    /// Notes the [hash of the genesis file](crate::genesis_hash) of the chain that they are for. The first one stays.
    pub fn note_genesis(&self, hash: B256) {
        if self.genesis().is_none() {
            self.put(for_good(b"genesis"), &hash.0);
        }
    }

    /// The hash of the genesis file of the chain that they are for, once there is one.
    pub fn genesis(&self) -> Option<B256> {
        self.get::<[u8; 32]>(&for_good(b"genesis")).map(B256::from)
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<Vec<u8>, Vec<u8>>)) {
        let mut secrets = self.shared.secrets.lock();
        change(&mut secrets);
        // A secret that the others count on and that is lost is worse than an end.
        self.write(&secrets).unwrap_or_else(|error| panic!("cannot write {}: {error}", self.shared.path.display()));
    }

    fn write(&self, secrets: &BTreeMap<Vec<u8>, Vec<u8>>) -> std::io::Result<()> {
        let Shared { path, cipher, .. } = &*self.shared;
        let mut plain = Vec::new();
        let list = secrets.iter().flat_map(|(name, secret)| [Bytes::from(name.clone()), Bytes::from(secret.clone())]);
        list.collect::<Vec<_>>().encode(&mut plain);
        let nonce = rand::random::<[u8; NONCE]>();
        let sealed =
            cipher.encrypt(&XNonce::from(nonce), &*plain).map_err(|_| std::io::Error::other("too much to seal"))?;
        write_private(path, &[&nonce[..], &sealed].concat())
    }

    fn put(&self, name: Vec<u8>, secret: &impl Encode) {
        let secret = secret.encode().to_vec();
        self.change(|secrets| drop(secrets.insert(name, secret)));
    }

    fn get<T: commonware_codec::Read<Cfg = ()>>(&self, name: &[u8]) -> Option<T> {
        T::decode(Copying(self.shared.secrets.lock().get(name)?)).ok()
    }
}

impl SecretStore for Vault {
    async fn put_share(&mut self, epoch: Epoch, share: Share) {
        self.put(name(epoch, b"share", &[]), &share);
    }

    async fn get_share(&mut self, epoch: Epoch) -> Option<Share> {
        self.get(&name(epoch, b"share", &[]))
    }

    async fn put_seed(&mut self, epoch: Epoch, seed: Summary) {
        self.put(name(epoch, b"seed", &[]), &seed);
    }

    async fn get_seed(&mut self, epoch: Epoch) -> Option<Summary> {
        self.get(&name(epoch, b"seed", &[]))
    }

    async fn put_dealing<P: PublicKey>(&mut self, epoch: Epoch, dealer: P, private: DealerPrivMsg) {
        self.put(name(epoch, b"dealing", dealer.as_ref()), &private);
    }

    async fn get_dealing<P: PublicKey>(&mut self, epoch: Epoch, dealer: &P) -> Option<DealerPrivMsg> {
        self.get(&name(epoch, b"dealing", dealer.as_ref()))
    }

    async fn prune(&mut self, min: Epoch) {
        self.change(|secrets| secrets.retain(|name, _| name[..8] >= min.get().to_be_bytes()[..]));
    }
}

/// The name of what is kept for good: what is said of votes, and of which chain they are.
fn for_good(kind: &[u8]) -> Vec<u8> {
    name(Epoch::new(u64::MAX), kind, &[])
}

impl Secrets for Vault {
    fn has_voted(&self) -> bool {
        self.shared.secrets.lock().contains_key(&for_good(b"voted"))
    }

    fn note_voting(&self) {
        if !self.has_voted() {
            self.put(for_good(b"voted"), &true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_cryptography::Signer as _;

    #[tokio::test]
    async fn secrets_outlive_the_process_and_only_their_owner_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets");
        let (mine, other) = (PrivateKey::from_seed(1), PrivateKey::from_seed(2));
        let seed = Summary::decode(Copying(&[7; 32])).unwrap();
        let mut vault = Vault::open(&path, &mine).unwrap();
        vault.put_seed(Epoch::new(3), seed).await;
        assert!(Vault::open(&path, &other).is_err());
        let mut again = Vault::open(&path, &mine).unwrap();
        assert_eq!(again.get_seed(Epoch::new(3)).await, Some(seed));
        assert!(again.get_share(Epoch::new(3)).await.is_none());
        again.prune(Epoch::new(4)).await;
        again.note_voting();
        again.note_genesis(B256::repeat_byte(1));
        again.note_genesis(B256::repeat_byte(2));
        again.prune(Epoch::new(9)).await;
        let again = Vault::open(&path, &mine).unwrap();
        assert!(again.has_voted());
        assert_eq!(again.genesis(), Some(B256::repeat_byte(1)));
        assert_eq!(Vault::open(&path, &mine).unwrap().get_seed(Epoch::new(3)).await, None);
        let mut bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(8).any(|window| window == [7; 8]));
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(Vault::open(&path, &mine).is_err());
    }
}
