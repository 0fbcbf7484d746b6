//! Bodies of questions.

use super::{Provider, answer::Refused};
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    response::{IntoResponse as _, Response},
};
use std::{ops::Deref, sync::Arc, time::Duration};
use stoa_data::provider::Refusal;
use stoa_rpc::body::{self, Budget, Fault};

/// How long one may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where bodies are at the same time, those of all questions together.
pub(super) fn room() -> Budget {
    Budget::new(64 << 20)
}

/// A body that has come, of `MOST` bytes at most.
pub(super) struct Whole<const MOST: usize>(Bytes);

impl<const MOST: usize> Deref for Whole<MOST> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MOST: usize> FromRequest<Arc<Provider>> for Whole<MOST> {
    type Rejection = Response;

    async fn from_request(request: Request, provider: &Arc<Provider>) -> Result<Self, Response> {
        let read = body::read(request.into_body(), MOST, PATIENCE, &provider.room).await;
        read.map(Self).map_err(|(fault, discarded)| discarded.answer(Refused(refusal(fault, MOST)).into_response()))
    }
}

fn refusal(fault: Fault, most: usize) -> Refusal {
    match fault {
        Fault::TooLarge => Refusal::TooLarge(format!("the question is too long: want {most} bytes at most")),
        Fault::TooSlow => Refusal::Unavailable("the question takes too long to come: try again".to_owned()),
        Fault::Broken => Refusal::Malformed("the body ends before it is complete".to_owned()),
        Fault::NoRoom => Refusal::Unavailable("the node is busy: try again".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    #[test]
    fn whoever_sends_a_body_that_is_not_taken_hears_why() {
        for (fault, status) in [
            (Fault::TooLarge, StatusCode::PAYLOAD_TOO_LARGE),
            (Fault::TooSlow, StatusCode::SERVICE_UNAVAILABLE),
            (Fault::Broken, StatusCode::BAD_REQUEST),
            (Fault::NoRoom, StatusCode::SERVICE_UNAVAILABLE),
        ] {
            assert_eq!(Refused(refusal(fault, 4096)).into_response().status(), status);
        }
        assert!(refusal(Fault::TooLarge, 4096).to_string().contains("want 4096 bytes at most"));
    }
}
