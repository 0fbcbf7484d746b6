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
    open: Arc<Mutex<HashMap<PeerAddress, Arc<OnceCell<Connection>>>>>,
}

impl Connections {
    /// None yet.
    pub fn new(endpoint: &Endpoint, alpn: &'static [u8]) -> Self {
        Self { endpoint: endpoint.clone(), alpn, open: Arc::default() }
    }

    /// The connection to a peer: that which there is, or a new one, of which `new` is told.
    ///
    /// # Errors
    ///
    /// If the peer cannot be reached, or is another than its key says.
    pub async fn to(&self, peer: &PeerAddress, new: impl FnOnce(&Connection)) -> Result<Connection> {
        // Those who ask at the same time wait for one connection; who asks for another peer does not.
        let cell = {
            let mut open = self.open.lock().await;
            let closed = |cell: &OnceCell<Connection>| cell.get().is_some_and(|open| open.close_reason().is_some());
            match open.get(peer) {
                Some(cell) if !closed(cell) => cell.clone(),
                _ => {
                    open.retain(|_, cell| !closed(cell));
                    open.entry(peer.clone()).or_default().clone()
                }
            }
        };
        let connect = async {
            let connecting = async {
                let addresses = tokio::net::lookup_host(&peer.host).await?;
                let address = addresses.fold(EndpointAddr::new(peer.key), EndpointAddr::with_ip_addr);
                Ok::<_, eyre::Report>(self.endpoint.0.connect(address, self.alpn).await?)
            };
            timeout(CONNECT_TIME, connecting).await.map_err(|_| eyre!("it cannot be reached"))?.inspect(new)
        };
        cell.get_or_try_init(|| connect).await.cloned()
    }
}
