//! How questions are read, and answered.

use super::Slot;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::stream;
use serde_json::{Value, json};
use std::{collections::HashMap, io};
use stoa_data::provider::{Opened, Refusal};

/// A refusal as it is answered.
pub(super) struct Refused(pub(super) Refusal);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, said(&json!({ "error": self.0.to_string() }))).into_response()
    }
}

pub(super) fn said(what: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], what.to_string()).into_response()
}

pub(super) fn not_served(instead: &str) -> Response {
    (StatusCode::NOT_IMPLEMENTED, said(&json!({ "error": instead }))).into_response()
}

/// A part of a question; empty if it is not there.
pub(super) fn part<'a>(asked: &'a HashMap<String, String>, name: &str) -> &'a str {
    asked.get(name).map(String::as_str).unwrap_or_default()
}

/// A part that has to be there.
pub(super) fn read<T: std::str::FromStr>(
    asked: &HashMap<String, String>,
    name: &str,
    what: &str,
) -> Result<T, Refusal> {
    part(asked, name).parse().map_err(|_| Refusal::Malformed(format!("{name}: want {what}")))
}

/// From which byte on a file is wanted: `Range: bytes=N-`, all other ranges are answered with the whole.
pub(super) fn from_byte(headers: &HeaderMap) -> u64 {
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()).unwrap_or(0)
}

/// A file on its way.
pub(super) fn given(opened: Opened, slot: Slot, from: u64) -> Response {
    let (look, left) = (opened.look.clone(), opened.left());
    let parts = stream::try_unfold((opened, slot), |(mut opened, slot)| async move {
        Ok::<_, io::Error>(opened.part().await?.map(|part| (part, (opened, slot))))
    });
    let mut response = Body::from_stream(parts).into_response();
    let mut say = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    };
    say(header::CONTENT_TYPE, look.kind.to_owned());
    // As ocean.js looks for it: no blank, no quotes. No page is ever made of it.
    say(header::CONTENT_DISPOSITION, format!("attachment;filename={}", look.name));
    say(header::ACCESS_CONTROL_EXPOSE_HEADERS, "content-disposition".to_owned());
    say(header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned());
    say(header::CACHE_CONTROL, "no-store".to_owned());
    if let Some(left) = left {
        say(header::CONTENT_LENGTH, left.to_string());
    }
    // Only what lies here is given from a later byte on.
    if let Some(length) = look.length.filter(|length| from > 0 && left == Some(length - from)) {
        say(header::CONTENT_RANGE, format!("bytes {from}-{}/{length}", length - 1));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_to_the_end_is_understood_and_no_other() {
        for (range, from) in [
            ("bytes=7-", 7),
            ("bytes=0-", 0),
            ("bytes=7-9", 0),
            ("bytes=-9", 0),
            ("bytes=7-,9-", 0),
            ("rows=7-", 0),
            ("bytes=99999999999999999999-", 0),
        ] {
            let headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(range))]);
            assert_eq!(from_byte(&headers), from, "{range}");
        }
        assert_eq!(from_byte(&HeaderMap::new()), 0);
    }

    #[test]
    fn refusals_are_json_with_a_status() {
        for (refusal, status) in [
            (Refusal::Malformed(String::new()), 400_u16),
            (Refusal::Unsigned(String::new()), 401),
            (Refusal::Forbidden(String::new()), 403),
            (Refusal::Unknown(String::new()), 404),
            (Refusal::TooLarge(String::new()), 413),
            (Refusal::Unavailable(String::new()), 503),
        ] {
            let response = Refused(refusal).into_response();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        }
        assert_eq!(not_served("").status(), StatusCode::NOT_IMPLEMENTED);
    }
}
