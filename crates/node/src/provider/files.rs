//! The routes by which files are sealed, described, ordered and given away.

use super::{
    Asked, Provider, QUOTED, Question, SHOWN, Said,
    answer::{Refused, from_byte, given, part, read, said},
    signature, since_1970,
};
use alloy_primitives::Address;
use axum::{
    extract::{Query as Parameters, State},
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use stoa_data::provider::{DOWNLOAD, ENCRYPT, Files, Pays, Place, Refusal};

/// What is paid for by whoever wants to be given files.
pub(super) const FILES: Pays = Pays { files: true, seconds: 0, cpu: 0.0 };

pub(super) async fn encrypt(
    State(provider): Asked,
    Parameters(asked): Said,
    headers: HeaderMap,
    body: Question,
) -> Result<Response, Refused> {
    let sealed = provider.within(async {
        let caller = provider.caller(ENCRYPT, signature(&asked), &headers)?;
        if caller.signed.is_none() {
            let why = "an auth token has no places of files sealed: sign the request";
            return Err(Refusal::Unsigned(why.to_owned()));
        }
        let (publisher, chain_id) = (provider.publisher, provider.chain_id());
        if caller.account != publisher {
            return Err(Refusal::Forbidden(format!("this node seals places of files for {publisher} alone")));
        }
        if !part(&asked, "chainId").is_empty() && read::<u64>(&asked, "chainId", "a number")? != chain_id {
            return Err(Refusal::Malformed(format!("chainId: this node follows chain {chain_id}")));
        }
        for place in Files::read(&body)?.places {
            provider.sources.look(&place, false).await?;
        }
        provider.take(&caller)?;
        provider.seal.seal(&body)
    });
    Ok(sealed.await?.into_response())
}

/// A file, as clients are told of it.
async fn told(provider: &Provider, index: usize, place: &Place, checksum: bool) -> Result<Value, Refusal> {
    let look = provider.sources.look(place, checksum).await?;
    let mut told = json!({
        "valid": true, "index": index, "type": place.kind(), "name": look.name, "contentType": look.kind,
    });
    if let Some(length) = look.length {
        told["contentLength"] = length.to_string().into();
    }
    if let Some(checksum) = look.checksum {
        told["checksum"] = checksum.into();
    }
    Ok(told)
}

/// The files of a service, or one that is described. Only of what is published is a hash told: by that of a file that is not, somebody
/// could find out what is in it by trying.
pub(super) async fn file_info(State(provider): Asked, body: Question) -> Result<Response, Refused> {
    let told = provider.within_unsigned(async {
        let asked: Value = serde_json::from_slice(&body)
            .map_err(|error| Refusal::Malformed(format!("the question is not JSON: {error}")))?;
        let text = |name: &str| asked[name].as_str().unwrap_or_default();
        if text("did").is_empty() {
            return Ok(vec![told(&provider, 0, &Place::read(&asked)?, false).await?]);
        }
        let checksum = asked["checksum"] == true;
        let mut all = Vec::new();
        let offered = provider.offered(text("did"), text("serviceId")).await?;
        offered.service.gives(&offered.files)?;
        for (index, place) in offered.files.places.iter().enumerate() {
            all.push(told(&provider, index, place, checksum).await?);
        }
        Ok(all)
    });
    Ok(said(&told.await?.into()))
}

pub(super) async fn initialize(State(provider): Asked, Parameters(asked): Said) -> Result<Response, Refused> {
    let answer = provider.within_unsigned(async {
        if !part(&asked, "environment").is_empty() {
            return Err(Refusal::Malformed("environment: ask initializeCompute for what programs run on".to_owned()));
        }
        let (did, consumer): (_, Address) =
            (part(&asked, "documentId"), read(&asked, "consumerAddress", "an address")?);
        let offered = provider.offered(did, part(&asked, "serviceId")).await?;
        offered.service.gives(&offered.files)?;
        offered.files.place(read(&asked, "fileIndex", "the number of a file, from 0")?)?;
        offered.service.admit(&provider.chain, consumer).await?;
        offered.standing.admit(&provider.chain, offered.asset.nft, consumer).await?;
        let now = since_1970().as_secs();
        let until = match part(&asked, "validUntil") {
            "" | "0" => now + QUOTED,
            _ => read::<u64>(&asked, "validUntil", "seconds since 1970")?.min(now + QUOTED),
        };
        if until <= now {
            return Err(Refusal::Malformed("validUntil: that is over".to_owned()));
        }
        let datatoken = offered.service.datatoken.to_checksum(None);
        let fee = provider.quoted(&offered, consumer, FILES, now, until).await?;
        let nonce = provider.nonces.last(consumer, provider.now()).to_string();
        let own = provider.account.address().to_checksum(None);
        Ok(json!({ "providerFee": fee, "datatoken": datatoken, "nonce": nonce, "computeAddress": own }))
    });
    Ok(said(&answer.await?))
}

pub(super) async fn download(
    State(provider): Asked,
    Parameters(asked): Said,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let from = from_byte(&headers);
    let (opened, slot) = provider
        .within(async {
            let caller = provider.caller(DOWNLOAD, signature(&asked), &headers)?;
            let offered = provider.offered(part(&asked, "documentId"), part(&asked, "serviceId")).await?;
            offered.service.gives(&offered.files)?;
            let place = offered.files.place(read(&asked, "fileIndex", "the number of a file, from 0")?)?;
            let shown = read(&asked, "transferTxId", SHOWN)?;
            offered.service.admit(&provider.chain, caller.account).await?;
            let (wanted, timeout) = (offered.wanted(caller.account), offered.service.timeout);
            let shown = provider.shown(wanted, Some(shown)).await?;
            let order = provider.ordered(wanted, timeout, &shown).await?;
            provider.paid(&offered, caller.account, (&shown, order), FILES).await?;
            let slot = provider.slot(caller.account)?;
            let opened = provider.sources.open_from(place, from).await?;
            provider.take(&caller)?;
            Ok((opened, slot))
        })
        .await?;
    Ok(given(opened, slot, from))
}
