use crate::{Endpoint, PeerAddress};
use eyre::{Result, eyre};
use iroh::{EndpointAddr, endpoint::Connection};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, OnceCell},
    time::timeout,
};

/// How long it may take to reach a peer.
const CONNECT_TIME: Duration = Duration::from_secs(4);

/// Connections of one protocol, each made when it is first needed and kept while it holds. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connections {
    endpoint: Endpoint,
    alpn: &'static [u8],
    made: Arc<Mutex<HashMap<PeerAddress, Made>>>,
}

/// A connection, or why there is none; nothing while it is being made.
type Made = Arc<OnceCell<Result<Connection, String>>>;

/// Whether a new one has to be made.
fn is_over(made: &Made) -> bool {
    match made.get() {
        Some(Ok(connection)) => connection.close_reason().is_some(),
        Some(Err(_)) => true,
        // Those who were to make it have gone.
        None => Arc::strong_count(made) == 1,
    }
}

impl Connections {
    /// None yet.
    pub fn new(endpoint: &Endpoint, alpn: &'static [u8]) -> Self {
        Self { endpoint: endpoint.clone(), alpn, made: Arc::default() }
    }

    /// The connection to a peer: that which there is, or a new one, of which `new` is told.
    ///
    /// # Errors
    ///
    /// If the peer cannot be reached, or is another than its key says.
    pub async fn to(&self, peer: &PeerAddress, new: impl FnOnce(&Connection)) -> Result<Connection> {
        // Those who ask at the same time wait for one connection, or fail together; who asks for another peer does not.
        let one = {
            let mut made = self.made.lock().await;
            match made.get(peer) {
                Some(one) if !is_over(one) => one.clone(),
                _ => {
                    made.retain(|_, one| !is_over(one));
                    made.entry(peer.clone()).or_default().clone()
                }
            }
        };
        let connect = async {
            let connecting = async {
                let addresses = tokio::net::lookup_host(&peer.host).await?;
                let address = addresses.fold(EndpointAddr::new(peer.key), EndpointAddr::with_ip_addr);
                self.endpoint.connect(address, self.alpn).await
            };
            let connected = timeout(CONNECT_TIME, connecting).await;
            let connected = connected.unwrap_or_else(|_| Err(eyre!("it cannot be reached"))).inspect(new);
            connected.map_err(|error| format!("{error:#}"))
        };
        one.get_or_init(|| connect).await.clone().map_err(|why| eyre!(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_codec::{Copying, DecodeExt as _};
    use commonware_cryptography::ed25519::PrivateKey;
    use futures::future::join_all;
    use std::{net::UdpSocket, time::Instant};

    #[tokio::test(flavor = "multi_thread")]
    async fn those_who_wait_for_a_peer_that_does_not_answer_wait_once_and_nothing_is_kept_of_it() {
        let endpoint = async |seed: u8| {
            let key = PrivateKey::decode(Copying(&[seed; 32])).unwrap();
            Endpoint::bind(&key, ([127, 0, 0, 1], 0).into()).await.unwrap()
        };
        let (here, there) = (endpoint(5).await, endpoint(6).await);
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let answers = there.address().unwrap();
        let nobody = PeerAddress { host: silent.local_addr().unwrap().to_string(), ..answers.clone() };
        let (connections, began) = (Connections::new(&here, b"test"), Instant::now());
        let failed = join_all((0..5).map(|_| connections.to(&nobody, |_| ()))).await;
        for error in failed.into_iter().map(Result::unwrap_err) {
            assert_eq!(error.to_string(), "it cannot be reached");
        }
        assert!(began.elapsed() < 2 * CONNECT_TIME, "{:?}", began.elapsed());
        let _router = there.router().accept(b"test", crate::Answers::new(Arc::new(Nothing))).spawn();
        connections.to(&answers, |_| ()).await.unwrap();
        assert_eq!(connections.made.lock().await.keys().collect::<Vec<_>>(), [&answers]);
    }

    /// Answers with nothing.
    struct Nothing;

    impl crate::Service for Nothing {
        const MOST_REQUEST: usize = 0;

        fn answer(&self, _: stoa_base::NodeId, _: Vec<u8>) -> futures::future::BoxFuture<'_, Vec<u8>> {
            Box::pin(std::future::ready(Vec::new()))
        }
    }
}
