//! The routes of tokens, which clients show in place of signatures.

use super::{
    Asked, Question,
    answer::{Refused, said},
};
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::Response,
};
use serde::Deserialize;
use serde_json::json;
use stoa_data::provider::{END_TOKEN, MAKE_TOKEN, Refusal, Signed};

/// A question about a token.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form {
    address: String,
    nonce: String,
    signature: String,
    #[serde(default)]
    token: String,
    /// In milliseconds since 1970.
    valid_until: Option<u64>,
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

pub(super) async fn make(State(provider): Asked, body: Question) -> Result<Response, Refused> {
    let form = Form::read(&body)?;
    let signed = form.signed(MAKE_TOKEN)?;
    let until = form.valid_until.map(|milliseconds| milliseconds / 1_000);
    let token = provider.tokens.make(signed.account, signed.nonce, until, provider.seconds())?;
    provider.strangers.take(signed, provider.now())?;
    Ok(said(&json!({ "token": token })))
}

pub(super) async fn end(State(provider): Asked, body: Question) -> Result<Response, Refused> {
    let form = Form::read(&body)?;
    let [command, other] = END_TOKEN;
    let signed = form.signed(command).or_else(|_| form.signed(other))?;
    provider.strangers.check(signed, provider.now())?;
    provider.tokens.end(signed, &form.token, provider.seconds())?;
    provider.strangers.take(signed, provider.now())?;
    Ok(said(&json!({ "success": true })))
}
