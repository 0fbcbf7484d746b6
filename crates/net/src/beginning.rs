//! Connections that begin. Each takes memory before it is known who it is, and packets may come in the name of addresses that have sent
//! none: where many begin at a time, an address first has to show that it can be answered at (RFC 9000, 8.1.2).

use iroh::{
    endpoint::Incoming,
    protocol::{IncomingFilterOutcome, RouterBuilder},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How many may begin in a second before that.
const UNPROVEN: usize = 256;

/// Those of the present second.
#[derive(Default)]
struct Beginning(Mutex<(Option<Instant>, usize)>);

impl Beginning {
    /// Whether one that begins now is one too many.
    fn is_crowded(&self, now: Instant, most: usize) -> bool {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, count) = &mut *counted;
        if since.is_none_or(|since| now >= since + Duration::from_secs(1)) {
            (*since, *count) = (Some(now), 0);
        }
        *count += 1;
        *count > most
    }
}

/// Has addresses show that they can be answered at when too many connections begin.
pub(crate) fn guard(router: RouterBuilder) -> RouterBuilder {
    guard_beyond(router, UNPROVEN)
}

fn guard_beyond(router: RouterBuilder, most: usize) -> RouterBuilder {
    let beginning = Beginning::default();
    router.incoming_filter(Arc::new(move |incoming: &Incoming| {
        if !incoming.remote_addr_validated() && beginning.is_crowded(Instant::now(), most) {
            IncomingFilterOutcome::Retry
        } else {
            IncomingFilterOutcome::Accept
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Answers, Connections, Endpoint, Service};
    use commonware_codec::{Copying, DecodeExt as _};
    use commonware_cryptography::ed25519::PrivateKey;
    use futures::future::BoxFuture;
    use iroh::protocol::Router;
    use stoa_base::NodeId;

    #[test]
    fn those_beyond_what_may_begin_in_a_second_have_to_show_their_address() {
        let (beginning, now) = (Beginning::default(), Instant::now());
        let crowded = |at: Duration| (0..100).filter(|_| beginning.is_crowded(now + at, 60)).count();
        assert_eq!(crowded(Duration::ZERO), 40);
        assert_eq!(crowded(Duration::from_millis(999)), 100);
        assert_eq!(crowded(Duration::from_millis(1000)), 40);
    }

    /// Says one thing.
    struct Yes;

    impl Service for Yes {
        const MOST_REQUEST: usize = 0;

        fn answer(&self, _: NodeId, _: Vec<u8>) -> BoxFuture<'_, Vec<u8>> {
            Box::pin(std::future::ready(b"yes".to_vec()))
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_can_be_answered_at_gets_through_a_crowd() {
        let endpoint = async |seed: u8| {
            let key = PrivateKey::decode(Copying(&[seed; 32])).unwrap();
            Endpoint::bind(&key, ([127, 0, 0, 1], 0).into()).await.unwrap()
        };
        let (here, there) = (endpoint(14).await, endpoint(15).await);
        let router = guard_beyond(Router::builder(there.0.clone()), 0);
        let router = router.accept(b"yes", Answers::new(Arc::new(Yes))).spawn();
        let answer = Connections::new(&here, b"yes").ask(&there.address().unwrap(), &[], 9).await;
        assert_eq!(answer.unwrap(), b"yes");
        router.shutdown().await.unwrap();
    }
}
