//! Which of the objects in a node's store are an asset's.
//!
//! Whoever registers an asset names any object that he likes, so the ledger's word is not enough to let go of one. An object
//! says itself whose it is: its manifest, whose hash is its name, names the asset whose key opens it, and the id of an asset is
//! bound to its owner. The files in a folder say so as the folder does, whichever of them is here.

use std::{collections::HashMap, io, sync::Arc};
use stoa_privacy::AssetId;
use stoa_store::{Error, KeySource, ObjectId, Root, Store};
use tokio::{sync::Mutex, task::spawn_blocking};

/// A store, asked for the objects of assets. A clone is the same one.
#[derive(Clone)]
pub(super) struct Pieces {
    store: Store,
    /// What each object says, which never changes: nobody can have all manifests read again and again.
    known: Arc<Mutex<Known>>,
}

type Known = HashMap<ObjectId, Option<AssetId>>;

impl Pieces {
    pub fn new(store: Store) -> Self {
        Self { store, known: Arc::default() }
    }

    /// What keeps data of this asset here, whoever wants it kept.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub async fn of(&self, asset: AssetId) -> Result<Vec<Root>, Error> {
        let (pieces, mut known) = (self.clone(), self.known.clone().lock_owned().await);
        // One at a time, also if nobody waits for it any more: a store may hold very much.
        blocking(move || pieces.find(asset, &mut known)).await
    }

    /// Ends these reasons to keep something.
    ///
    /// # Errors
    ///
    /// If the store cannot be written.
    pub async fn let_go(&self, roots: Vec<Root>) -> Result<(), Error> {
        let store = self.store.clone();
        blocking(move || roots.into_iter().try_for_each(|root| store.release(root).map(drop))).await
    }

    fn find(&self, asset: AssetId, known: &mut Known) -> Result<Vec<Root>, Error> {
        let (mut seen, mut roots) = (HashMap::new(), Vec::new());
        for root in self.store.roots() {
            let (root, _) = root?;
            let says = match known.get(&root.object) {
                Some(says) => *says,
                None => match self.says(root.object) {
                    Ok(says) => says,
                    // It is expected, and tells when it is here.
                    Err(Error::NotHere(_) | Error::Corrupt(_)) => continue,
                    Err(error) => return Err(error),
                },
            };
            seen.insert(root.object, says);
            if says == Some(asset) {
                roots.push(root);
            }
        }
        // What is kept no longer is forgotten.
        *known = seen;
        Ok(roots)
    }

    /// The asset that an object says it belongs to.
    fn says(&self, object: ObjectId) -> Result<Option<AssetId>, Error> {
        let manifest = match self.store.manifest(object) {
            // Anybody may have had it kept.
            Err(Error::Manifest(_)) => return Ok(None),
            manifest => manifest?,
        };
        match KeySource::of(&manifest.sealing) {
            Ok(Some(KeySource::Asset(asset))) => Ok(Some(asset)),
            _ => Ok(None),
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}
