//! The routes of tokens, which clients show in place of signatures.

use super::{
    Asked,
    answer::{Refused, said},
};
use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, header},
    response::Response,
};
use serde::Deserialize;
use serde_json::json;
use stoa_data::provider::{END_TOKEN, MAKE_TOKEN, Refusal, Signed};

/// A question about a token.
#[derive(Deserialize)]
struct Form {
    address: String,
    nonce: String,
    signature: String,
    #[serde(default)]
    token: String,
}

impl Form {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        let wrong = |error: serde_json::Error| {
            Refusal::Malformed(format!("want address, nonce and signature, as JSON: {error}"))
        };
        serde_json::from_slice(body).map_err(wrong)
    }

    fn signed(&self, command: &str) -> Result<Signed, Refusal> {
        Signed::check(command, &self.address, &self.nonce, &self.signature)
    }
}

/// The token that a client shows, if it shows one.
pub(super) fn shown(headers: &HeaderMap) -> Option<&str> {
    let shown = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    Some(shown.strip_prefix("Bearer ").unwrap_or(shown))
}

pub(super) async fn make(State(provider): Asked, body: Bytes) -> Result<Response, Refused> {
    let signed = Form::read(&body)?.signed(MAKE_TOKEN)?;
    provider.strangers.take(signed, provider.now())?;
    let token = provider.tokens.make(signed.account, signed.nonce, provider.seconds());
    Ok(said(&json!({ "token": token })))
}

pub(super) async fn end(State(provider): Asked, body: Bytes) -> Result<Response, Refused> {
    let form = Form::read(&body)?;
    let [command, other] = END_TOKEN;
    let signed = form.signed(command).or_else(|_| form.signed(other))?;
    provider.strangers.check(signed, provider.now())?;
    provider.tokens.end(signed.account, &form.token, provider.seconds())?;
    provider.strangers.take(signed, provider.now())?;
    Ok(said(&json!({ "success": true })))
}
