use super::{Key, KeyProof, Runtime, State, Tip};
use crate::LedgerError;

/// Proves what keys hold at the newest commit, which comes first.
pub(crate) async fn prove<E: Runtime>(state: &State<E>, keys: &[Key]) -> Result<(Tip, Vec<KeyProof>), LedgerError> {
    let db = state.read().await;
    let failed = |error| LedgerError::Storage(format!("cannot prove a key: {error}"));
    let mut proofs = Vec::with_capacity(keys.len());
    for key in keys {
        proofs.push(match db.get(key).await.map_err(failed)? {
            Some(leaf) => KeyProof::Present(leaf, db.key_value_proof(*key).await.map_err(failed)?),
            None => KeyProof::Absent(db.exclusion_proof(key).await.map_err(failed)?),
        });
    }
    Ok((Tip::of(&*db).await?, proofs))
}
