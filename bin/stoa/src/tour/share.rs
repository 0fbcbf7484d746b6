//! The tour's step about data: a file that survives, and a reader who is shut out.

use super::{Report, Voice};
use crate::{
    network, output,
    spread::{Online, Spread},
};
use alloy_primitives::B256;
use commonware_cryptography::{Signer as _, ed25519};
use eyre::{ContextCompat as _, Result, ensure};
use std::{fs, path::Path, time::Instant};
use stoa_base::NodeId;
use stoa_client::Wallet;
use stoa_data::{
    client::{Allowed, Data, Failure, Opened, revoke},
    record::Record,
    registry::Registry,
};
use stoa_node::up;
use stoa_store::{Code, Limits, ObjectId, Store};

/// What Alice shares: as good a text as any.
const TEXT: &str = include_str!("../../../../README.md");

/// Somebody with a folder and the network.
pub(super) struct Person {
    pub(super) online: Online,
    pub(super) data: Data,
    store: Store,
}

impl Person {
    pub(super) async fn new(folder: &Path, wallet: &Wallet) -> Result<Self> {
        let store = Store::open(folder, Limits { margin: 0, ..Limits::default() })?;
        let registry = Registry::new(std::sync::Arc::new(wallet.client().clone()));
        let online = Online::at(&store, registry, Some(wallet)).await?;
        let data = Data::new(wallet.clone(), online.registry.clone(), &online.endpoint)?;
        Ok(Self { online, data, store })
    }

    /// Reads with a grant into a file. Keepers that fail are named, but for the one that is known to be `dead`.
    pub(super) async fn read(&self, grant: B256, to: &Path, dead: Option<NodeId>) -> Result<()> {
        let Opened { object, seal, failed, .. } = self.data.open(grant).await?;
        for Failure { node, why } in unexpected(failed, dead) {
            tracing::warn!(keeper = %node, why, "a keeper did not do what it should");
        }
        let open = |id: ObjectId| Ok(self.store.folder(id, &seal)?);
        let brought = self.online.bring(object, &open).await?;
        self.store.get_to(object, to, &seal)?;
        self.online.forget(&brought)
    }
}

/// Those who failed, without the one of whom nothing was expected.
fn unexpected(failed: Vec<Failure>, dead: Option<NodeId>) -> impl Iterator<Item = Failure> {
    failed.into_iter().filter(move |failure| Some(failure.node) != dead)
}

/// Shares a file, loses a node while it is read, and takes the file back.
pub(super) async fn share(
    validators: &mut up::Network,
    keys: &[ed25519::PrivateKey],
    wallets: &[Wallet],
    folder: &Path,
    voice: Voice,
    report: &mut Report,
) -> Result<()> {
    let [alice, bob, ..] = wallets else { eyre::bail!("the network has no accounts") };
    voice.head(8, "Data that can be taken back");
    let addresses: Vec<_> = validators.addresses().cloned().collect();
    network::register(alice, keys, &addresses, 1).await?;
    fs::create_dir_all(folder)?;
    let (file, copy) = (folder.join("file"), folder.join("copy"));
    fs::write(&file, TEXT)?;
    let owner = Person::new(&folder.join("alice"), alice).await?;
    let reader = Person::new(&folder.join("bob"), bob).await?;
    reader.data.announce().await?;

    let prepared = owner.data.prepare(&owner.data.draft(2, 3, true).await?).await?;
    let asset = prepared.asset();
    let terms = Spread { code: Code::new(2, 4), days: 1, public: false };
    let (_, outcomes) = owner.online.spread(&file, &prepared.seal(), &terms).await?;
    let objects: Vec<_> = outcomes.iter().map(|(object, _)| *object).collect();
    let (published, _) = owner.data.register(prepared, &objects).await?;
    voice.say(format!(
        "Alice seals a file of {} on her machine and spreads it: {} nodes have a piece each, any two of",
        output::bytes(TEXT.len() as u64),
        outcomes[0].1.kept.len()
    ));
    voice.say("which suffice, and none can read its own. The key is in halves: one is hers, of the other three".into());
    voice.say("nodes have shares, and two of them give it back. All of them together know nothing.".into());
    let allowed =
        Allowed { who: bob.address(), purpose: "https://w3id.org/dpv#ScientificResearch".into(), until: 0, limit: 0 };
    let (grant, ..) = owner.data.grant(&published, allowed).await?;
    voice.say("She allows Bob to read it, for scientific research: a transaction that anybody can look up.".into());

    let lost = addresses.len() - 1;
    let dead = NodeId::from(&keys.get(lost).wrap_err("a key")?.public_key());
    validators.stop(lost)?;
    let start = Instant::now();
    reader.read(grant, &copy, Some(dead)).await?;
    ensure!(fs::read(&copy)? == TEXT.as_bytes(), "Bob read something else");
    report.milliseconds_to_read = start.elapsed().as_millis() as u64;
    voice.say(format!(
        "Node {} dies. Bob reads the file all the same, in {} ms: his use is on the ledger, two keepers saw",
        lost + 1,
        report.milliseconds_to_read
    ));
    voice.say("there that he may, and each released its share to him alone, under its signature.".into());
    validators.restart(lost)?;

    revoke(alice, grant).await?;
    let refusal = reader.read(grant, &folder.join("again"), None).await.err().wrap_err("Bob read what he may not")?;
    ensure!(!folder.join("again").exists(), "Bob read what he may not");
    report.refused = refusal.to_string();
    voice.say(format!("Alice takes it back. Bob tries again: {refusal}."));
    let record = Record::read(alice.client(), asset, |_, _| ()).await?;
    report.entries_of_consent = record.entries.len();
    voice.say(format!(
        "What he read he may have kept, and the record says that he did read: {} entries, as `stoa consent log`",
        record.entries.len()
    ));
    voice.say("shows them, are all that an authority would ask for.".into());
    owner.online.endpoint.close().await;
    reader.online.endpoint.close().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_that_the_tour_stopped_is_not_told_of_as_one_that_failed_and_all_others_are() {
        let failure = |seed: u8| Failure { node: NodeId([seed; 32]), why: "it is gone".into() };
        let named = |dead| unexpected(vec![failure(1), failure(2)], dead).collect::<Vec<_>>();
        assert_eq!(named(Some(NodeId([2; 32]))), [failure(1)]);
        assert_eq!(named(None), [failure(1), failure(2)]);
    }
}
