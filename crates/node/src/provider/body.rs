//! Bodies of questions, read within bounds.
//!
//! One that is too long is read on for a while, and thrown away: whoever is hung up on while he still sends does not hear why.

use super::{Provider, answer::Refused};
use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use futures::StreamExt as _;
use std::{ops::Deref, sync::Arc, time::Duration};
use stoa_data::provider::Refusal;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Bytes beyond the most that are read and thrown away, and how long all of a body may take.
const BEYOND: usize = 8 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// Where bodies are at the same time, those of all questions together, in KiB.
pub(super) fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(64 << 10))
}

/// A body that has come, of `MOST` bytes at most.
#[derive(Default)]
pub(super) struct Whole<const MOST: usize> {
    bytes: Vec<u8>,
    /// What it takes of the room.
    place: Option<OwnedSemaphorePermit>,
}

impl<const MOST: usize> Deref for Whole<MOST> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<const MOST: usize> FromRequest<Arc<Provider>> for Whole<MOST> {
    type Rejection = Response;

    async fn from_request(request: Request, provider: &Arc<Provider>) -> Result<Self, Response> {
        Self::read(request.into_body(), &provider.room, PATIENCE).await
    }
}

impl<const MOST: usize> Whole<MOST> {
    async fn read(body: Body, room: &Arc<Semaphore>, patience: Duration) -> Result<Self, Response> {
        let (mut parts, mut whole, mut length, mut ended) = (body.into_data_stream(), Self::default(), 0, false);
        let reading = async {
            while length <= MOST + BEYOND {
                let Some(part) = parts.next().await else {
                    ended = true;
                    return Ok(());
                };
                let part = part.map_err(|_| Refusal::Malformed("the body ends before it is complete".to_owned()))?;
                length += part.len();
                if length <= MOST {
                    whole.take(&part, room)?;
                } else {
                    whole = Self::default();
                }
            }
            Ok::<_, Refusal>(())
        };
        let outcome = timeout(patience, reading).await;
        let refusal = match outcome {
            Ok(Err(refusal)) => refusal,
            _ if length > MOST => Refusal::TooLarge(format!("the question is too long: want {MOST} bytes at most")),
            Ok(Ok(())) => return Ok(whole),
            Err(_) => Refusal::Unavailable("the question takes too long to come: try again".to_owned()),
        };
        let mut response = Refused(refusal).into_response();
        if !ended {
            // What is still to come is no other question.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Err(response)
    }

    /// Keeps a part, if there is room for it.
    fn take(&mut self, part: &[u8], room: &Arc<Semaphore>) -> Result<(), Refusal> {
        let has = self.place.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let wants = (self.bytes.len() + part.len()).div_ceil(1 << 10);
        let more = u32::try_from(wants.saturating_sub(has)).unwrap_or(u32::MAX);
        let more = room.clone().try_acquire_many_owned(more);
        let more = more.map_err(|_| Refusal::Unavailable("the node is busy: try again".to_owned()))?;
        match &mut self.place {
            Some(place) => place.merge(more),
            None => self.place = Some(more),
        }
        self.bytes.extend_from_slice(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Bytes, http::StatusCode};
    use futures::{Stream, stream};
    use std::{
        io,
        sync::atomic::{AtomicUsize, Ordering},
    };

    const MOST: usize = 4 << 10;

    /// Parts of 1 KiB, which are counted when they are taken.
    fn parts(count: usize, taken: Arc<AtomicUsize>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::iter(0..count).map(move |_| {
            taken.fetch_add(1, Ordering::Relaxed);
            Ok(Bytes::from_static(&[b' '; 1 << 10]))
        })
    }

    async fn read(
        body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        room: &Arc<Semaphore>,
    ) -> Result<Whole<MOST>, Response> {
        Whole::read(Body::from_stream(body), room, Duration::from_millis(200)).await
    }

    #[tokio::test]
    async fn a_body_within_bounds_is_read_whole_and_takes_room_as_long_as_it_is_there() {
        let room = Arc::new(Semaphore::new(6));
        let whole = read(parts(4, Arc::default()), &room).await.unwrap();
        assert_eq!((whole.len(), room.available_permits()), (MOST, 2));
        let small = read(parts(1, Arc::default()), &room).await.unwrap();
        // Where there is no room, nobody waits for it.
        let refused = read(parts(2, Arc::default()), &room).await.err().unwrap();
        assert_eq!((refused.status(), room.available_permits()), (StatusCode::SERVICE_UNAVAILABLE, 1));
        drop((whole, small));
        assert_eq!(room.available_permits(), 6);
        assert!(read(stream::empty(), &room).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn one_that_is_too_long_is_read_to_its_end_if_that_is_near_and_refused_in_words() {
        let room = room();
        for (count, all) in [(5, true), (2_000, true), (20_000, false)] {
            let taken = Arc::<AtomicUsize>::default();
            let refused = read(parts(count, taken.clone()), &room).await.err().unwrap();
            assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
            assert_eq!(taken.load(Ordering::Relaxed) == count, all, "{count}");
            assert_eq!(refused.headers().contains_key(header::CONNECTION), !all, "{count}");
            let said = axum::body::to_bytes(refused.into_body(), 1 << 10).await.unwrap();
            assert!(String::from_utf8_lossy(&said).contains("want 4096 bytes at most"), "{said:?}");
        }
        assert_eq!(room.available_permits(), 64 << 10);
    }

    #[tokio::test]
    async fn nobody_takes_his_time_over_a_body() {
        let room = room();
        for (count, status) in [(2, StatusCode::SERVICE_UNAVAILABLE), (5, StatusCode::PAYLOAD_TOO_LARGE)] {
            let endless = parts(count, Arc::default()).chain(stream::pending());
            let refused = read(endless, &room).await.err().unwrap();
            assert_eq!((refused.status(), refused.headers().contains_key(header::CONNECTION)), (status, true));
        }
        let broken = parts(1, Arc::default()).chain(stream::iter([Err(io::Error::other("gone"))]));
        assert_eq!(read(broken, &room).await.err().unwrap().status(), StatusCode::BAD_REQUEST);
        assert_eq!(room.available_permits(), 64 << 10);
    }
}
