//! Bodies of requests, read within bounds, for whoever serves something on the port.
//!
//! One that is refused is read on for a while and thrown away: whoever is hung up on while he still sends does not hear why.

pub use crate::budget::Budget;

use axum::{
    body::{Body, BodyDataStream, HttpBody as _},
    http::{HeaderValue, header},
    response::Response,
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use std::time::Duration;
use tokio::time::timeout;

/// Bytes of a refused body that are read on, and for how long none may come.
const BEYOND: usize = 8 << 20;
const PAUSE: Duration = Duration::from_millis(500);

/// Why a body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It has more bytes than it may have.
    TooLarge,
    /// It takes too long to come.
    TooSlow,
    /// It ends before it is complete.
    Broken,
    /// Others take all the memory that there is for bodies.
    NoRoom,
}

/// A body that was thrown away, as far as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Discarded {
    /// Whether all of it came.
    ended: bool,
}

impl Discarded {
    /// The answer to such a body. Where not all of it came, the connection ends with it: the rest is no other request.
    pub fn answer(self, mut response: Response) -> Response {
        if !self.ended {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Reads a body of at most `most` bytes within `patience`. It takes its room for as long as anybody holds it.
///
/// # Errors
///
/// Why it is refused. It has been thrown away then, for which as much time is given again.
pub async fn read(body: Body, most: usize, patience: Duration, room: &Budget) -> Result<Bytes, (Fault, Discarded)> {
    let announced = body.size_hint();
    let (mut parts, mut charge) = (body.into_data_stream(), room.charge());
    let reading = async {
        if announced.lower() > most as u64 {
            return Err(Fault::TooLarge);
        }
        let mut whole = BytesMut::new();
        while let Some(part) = parts.next().await {
            let part = part.map_err(|_| Fault::Broken)?;
            let length = whole.len() + part.len();
            if length > most {
                return Err(Fault::TooLarge);
            }
            if !charge.grow_to(length) {
                return Err(Fault::NoRoom);
            }
            if announced.exact() == Some(part.len() as u64) {
                // All of it came at once, so nothing needs to be joined.
                return Ok(part);
            }
            whole.extend_from_slice(&part);
        }
        Ok(whole.freeze())
    };
    let fault = match timeout(patience, reading).await {
        Ok(Ok(whole)) => return Ok(charge.hold(whole)),
        Ok(Err(fault)) => fault,
        Err(_) => Fault::TooSlow,
    };
    drop(charge);
    Err((fault, read_on(parts, patience).await))
}

/// Throws a body away that is not wanted, whatever is in it.
pub async fn discard(body: Body, patience: Duration) -> Discarded {
    read_on(body.into_data_stream(), patience).await
}

async fn read_on(mut parts: BodyDataStream, patience: Duration) -> Discarded {
    let reading = async {
        let mut left = BEYOND;
        loop {
            match timeout(PAUSE, parts.next()).await {
                Ok(None) => return true,
                Ok(Some(Ok(part))) if part.len() <= left => left -= part.len(),
                _ => return false,
            }
        }
    };
    Discarded { ended: timeout(patience, reading).await.unwrap_or(false) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{Stream, stream};
    use std::{
        io,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    const PART: usize = 64 << 10;
    const MOST: usize = 4 * PART;

    /// Parts of 64 KiB, which are counted when they are taken.
    fn parts(count: usize, taken: Arc<AtomicUsize>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::iter(0..count).map(move |_| {
            taken.fetch_add(1, Ordering::Relaxed);
            Ok(Bytes::from_static(&[b' '; PART]))
        })
    }

    async fn read(
        body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        room: &Budget,
    ) -> Result<Bytes, (Fault, bool)> {
        let read = super::read(Body::from_stream(body), MOST, Duration::from_millis(200), room).await;
        read.map_err(|(fault, discarded)| {
            let answer = discarded.answer(Response::new(Body::empty()));
            assert_eq!(answer.headers().contains_key(header::CONNECTION), !discarded.ended);
            (fault, discarded.ended)
        })
    }

    #[tokio::test]
    async fn a_body_within_bounds_is_read_whole_and_counts_as_long_as_it_is_there() {
        let room = Budget::new(6 * PART);
        let whole = read(parts(4, Arc::default()), &room).await.unwrap();
        let small = read(parts(1, Arc::default()), &room).await.unwrap();
        assert_eq!((whole.len(), small.len()), (MOST, PART));
        // Where there is no room, nobody waits for it.
        assert_eq!(read(parts(2, Arc::default()), &room).await, Err((Fault::NoRoom, true)));
        drop((whole, small));
        assert!(room.charge().grow_to(6 * PART));
        assert!(read(stream::empty(), &room).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn one_that_is_too_large_is_read_to_its_end_if_that_is_near() {
        let room = Budget::new(MOST);
        for (count, all) in [(5, true), (100, true), (1_000, false)] {
            let taken = Arc::<AtomicUsize>::default();
            let refused = read(parts(count, taken.clone()), &room).await;
            assert_eq!(refused, Err((Fault::TooLarge, all)), "{count}");
            assert_eq!(taken.load(Ordering::Relaxed) == count, all, "{count}");
        }
        let announced = super::read(Body::from(vec![0_u8; MOST + 1]), MOST, PAUSE, &room).await;
        assert_eq!(announced, Err((Fault::TooLarge, Discarded { ended: true })));
    }

    #[tokio::test]
    async fn nobody_takes_his_time_over_a_body() {
        let room = Budget::new(MOST);
        for (count, fault) in [(2, Fault::TooSlow), (5, Fault::TooLarge)] {
            let endless = parts(count, Arc::default()).chain(stream::pending());
            assert_eq!(read(endless, &room).await, Err((fault, false)));
        }
        let broken = parts(1, Arc::default()).chain(stream::iter([Err(io::Error::other("gone"))]));
        assert_eq!(read(broken, &room).await.unwrap_err().0, Fault::Broken);
        let unwanted = discard(Body::from_stream(parts(3, Arc::default()).chain(stream::pending())), PAUSE / 5).await;
        assert!(!unwanted.ended);
        assert!(discard(Body::from_stream(parts(3, Arc::default())), PAUSE).await.ended);
    }
}
