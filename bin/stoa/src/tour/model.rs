//! The tour's step about what came of the data: a model on the market, with what it was derived from.

use super::{Voice, share::Person};
use crate::spread::Spread;
use alloy_primitives::B256;
use eyre::{ContextCompat as _, Result, WrapErr as _, ensure};
use serde::Serialize;
use std::{collections::BTreeMap, fs, path::Path};
use stoa_base::now;
use stoa_client::Wallet;
use stoa_data::{
    ddo::{About, Answers, Derived, Sort, Use},
    jobs::rounds::Worked,
    look::{Looking, look},
    sale::{Buyer, Price, Seller, Selling},
    search::{Index, Metadata, Query, follow},
};
use stoa_store::Code;

/// What a model says that it came of.
#[derive(Debug, Serialize)]
pub(super) struct Origin {
    hospital: String,
    asset: B256,
    job: B256,
}

/// What the combined result of the last training round is called among the results.
fn trained(worked: &Worked) -> Result<&[u8]> {
    let last = worked.params.len().checked_sub(1).wrap_err("no rounds")?;
    Ok(worked.files.get(&format!("rounds/{last:03}.json")).wrap_err("no model")?)
}

/// The researcher publishes what she has trained on these owners' data; a doctor finds it, sees what it came of, and gets it. That
/// is what comes back.
pub(super) async fn publish(
    (researcher, doctor): (&Wallet, &Wallet),
    worked: &Worked,
    names: &BTreeMap<B256, &str>,
    folder: &Path,
    voice: Voice,
) -> Result<Vec<Origin>> {
    fs::create_dir_all(folder)?;
    let (file, copy) = (folder.join("model.json"), folder.join("copy.json"));
    fs::write(&file, trained(worked)?)?;
    let looked = look(&file, Looking::default(), &|_| ())?;
    let owner = Person::new(&folder.join("researcher"), researcher).await?;
    // Whoever orders it reads it while she is away, so the keepers alone have the key.
    let prepared = owner.data.prepare(&owner.data.draft(2, 3, false).await?).await?;
    let asset = prepared.asset();
    let terms = Spread { code: Code::new(2, 4), days: 1, public: false };
    let (_, outcomes) = owner.online.spread(&file, &prepared.seal(), &terms).await?;
    let objects: Vec<_> = outcomes.iter().map(|(object, _)| *object).collect();
    owner.data.register(prepared, &objects).await?;
    let answers = Answers {
        sort: Sort::Model,
        name: "Heart disease: one model of four hospitals".into(),
        description: "Logistic regression that tells from an examination whether an angiography would find the disease, trained by \
                      federated averaging."
            .into(),
        author: "The researcher".into(),
        license: "CC BY 4.0".into(),
        tags: vec!["health".into(), "model".into()],
        links: Vec::new(),
    };
    let selling = Selling {
        used: Use::Access,
        price: Price::Free,
        timeout: 0,
        purpose: "https://w3id.org/dpv#ScientificResearch".into(),
        readers: None,
        allow: Vec::new(),
        deny: Vec::new(),
        sample: None,
    };
    let derived = worked.ended.iter().map(|(begun, _)| Derived { job: begun.job, asset: begun.asset }).collect();
    let about = About { derived, ..About::new(&looked, asset) };
    let seller = Seller::new(researcher.clone());
    let mut begun = seller.begin(asset, selling, None).await?;
    seller.go_on(&mut begun, &answers, about, now(), &mut |_| Ok(()), &|_| ()).await?;
    owner.online.endpoint.close().await;

    let mut index = Index::in_memory(follow::chain(doctor.client()).await?)?;
    follow::catch_up(&mut index, doctor.client(), |_, _| ()).await?;
    let query = Query { words: "heart disease".into(), kind: Some("model".into()), ..Query::default() };
    let found = index.search(&query)?.assets.pop().wrap_err("the model was not found")?;
    let Metadata::Readable { summary, .. } = &found.metadata else { eyre::bail!("its document cannot be read") };
    voice.say(
        "She publishes the model, sealed and spread over the network, for nothing. A doctor who searches for a".into(),
    );
    voice.say(format!("model finds \"{}\", and what it came of:", found.name()));
    let mut origins = Vec::new();
    for from in &summary.derived {
        let told = || format!("it says that it came of {from}");
        let asset = from.parse::<B256>().wrap_err_with(told)?;
        let name = names.get(&asset).wrap_err_with(told)?;
        let job = worked.ended.iter().find(|(begun, _)| begun.asset == asset).wrap_err_with(told)?.0.job;
        voice.say(format!("  job on the patients of {name:<14} asset {}…", &from[..18]));
        origins.push(Origin { hospital: (*name).to_owned(), asset, job });
    }
    let reader = Person::new(&folder.join("doctor"), doctor).await?;
    reader.data.announce().await?;
    let buyer = Buyer::new(doctor.clone());
    let offered = buyer.offered(found.nft).await?;
    buyer.buy(&offered, doctor.address(), None).await?;
    let opened = buyer.opened(&offered.opens).await?.wrap_err("the order opens nothing")?.grant;
    reader.read(opened, &copy, None).await?;
    reader.online.endpoint.close().await;
    ensure!(fs::read(&copy)? == trained(worked)?, "the doctor got another model");
    voice.say(
        "Each of these jobs has its receipt on the ledger, which anybody can audit as above. The doctor orders the"
            .into(),
    );
    voice.say(format!("model and reads it: {} bytes, the same ones.", fs::metadata(&copy)?.len()));
    Ok(origins)
}
