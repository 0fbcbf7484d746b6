//! Protocols of one request and one answer for each stream.

use crate::{
    Connections, PeerAddress,
    room::{Caller, Room, Share},
};
use futures::{FutureExt as _, future::BoxFuture};
use iroh::{
    endpoint::{Connection, RecvStream, SendStream, VarInt},
    protocol::{AcceptError, ProtocolHandler},
};
use std::{fmt, sync::Arc, time::Duration};
use stoa_base::{NodeId, plain};
use tokio::{
    sync::SemaphorePermit,
    time::{sleep, timeout},
};

/// Kinds of places: connections, long requests, kibibytes of answers.
const PEERS: usize = 0;
const LARGE: usize = 1;
const UNTAKEN: usize = 2;

const SHARES: [Share; 3] = [
    // Connections that a protocol answers at a time.
    Share { all: 1024, known: 8, strangers: 64 },
    // Long requests that are read and answered at a time, so that strangers cannot fill the memory.
    Share { all: 32, known: 4, strangers: 4 },
    // Kibibytes of answers that wait until they are taken. Who is that far behind gets no other until he has taken some, so that
    // strangers who ask for much and take nothing cannot fill the memory either.
    Share { all: 256 << 10, known: MOST_UNTAKEN, strangers: MOST_UNTAKEN },
];

/// What one asker has of them at most.
const MOST_UNTAKEN: usize = 64 << 10;

/// Requests that are longer than this wait for a place before they are read.
const SMALL: usize = 8 << 10;

/// How long a request may take to arrive, and an answer to be taken.
const REQUEST_TIME: Duration = Duration::from_secs(10);
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// How long a peer may take to hear that no more of an answer comes, and how often it is looked whether it has.
const UNHEARD_TIME: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// Why a node did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It does not have it.
    #[error("it does not have it")]
    NotHere,
    /// It says why it will not.
    #[error("it refuses: {0}")]
    Refused(String),
    /// It could not be reached, or its answer is none.
    #[error("it is gone: {0}")]
    Gone(String),
}

const DONE: u8 = 0;
const NOT_HERE: u8 = 1;
const REFUSED: u8 = 2;

/// Longest reason, in bytes.
const MOST_REASON: usize = 1000;

/// An answer as it is sent: `status (1) | what was asked for, or why not`.
pub fn answer(result: Result<Vec<u8>, Denied>) -> Vec<u8> {
    match result {
        Ok(body) => [&[DONE], &body[..]].concat(),
        Err(Denied::NotHere) => vec![NOT_HERE],
        Err(Denied::Refused(why) | Denied::Gone(why)) => {
            let mut end = why.len().min(MOST_REASON);
            while !why.is_char_boundary(end) {
                end -= 1;
            }
            [&[REFUSED], &why.as_bytes()[..end]].concat()
        }
    }
}

/// What an answer says, from a node that may have sent anything.
///
/// # Errors
///
/// What it denies, or that it is no answer.
pub fn read_answer(bytes: &[u8]) -> Result<&[u8], Denied> {
    match bytes.split_first() {
        Some((&DONE, body)) => Ok(body),
        Some((&NOT_HERE, [])) => Err(Denied::NotHere),
        Some((&REFUSED, why)) => {
            // It may be shown on a terminal.
            let why = &why[..why.len().min(MOST_REASON)];
            Err(Denied::Refused(plain(&String::from_utf8_lossy(why))))
        }
        _ => Err(Denied::Gone("its answer is none".into())),
    }
}

/// What answers the requests of a protocol.
pub trait Service: Send + Sync + 'static {
    /// Longest request, in bytes.
    const MOST_REQUEST: usize;

    /// The whole answer to a request of this peer.
    fn answer(&self, from: NodeId, request: Vec<u8>) -> BoxFuture<'_, Vec<u8>>;
}

/// Whether a node is known, so that places are left for it which strangers cannot take.
pub type Known = Arc<dyn Fn(NodeId) -> BoxFuture<'static, bool> + Send + Sync>;

/// Answers the requests of a protocol.
pub struct Answers<S> {
    service: Arc<S>,
    known: Known,
    room: Arc<Room<3>>,
}

impl<S> Answers<S> {
    /// Those of this service, to strangers.
    pub fn new(service: Arc<S>) -> Self {
        Self { service, known: Arc::new(|_| std::future::ready(false).boxed()), room: Room::new(SHARES) }
    }

    /// Leaves a quarter of all places to nodes that are known.
    #[must_use]
    pub fn leaving_room_for(self, known: Known) -> Self {
        Self { known, ..self }
    }

    /// Tells how many peers are connected, from now on.
    pub fn connected(&self) -> Connected {
        Connected(self.room.clone())
    }
}

/// Tells how many peers are connected to a protocol. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connected(Arc<Room<3>>);

impl Connected {
    /// How many are at present.
    pub fn count(&self) -> usize {
        self.0.taken(PEERS)
    }
}

impl<S> fmt::Debug for Answers<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

/// Reads a request of `most` bytes at most; nothing if it is longer or breaks off. A long one holds its places until they are
/// dropped.
async fn read<'a>(
    receive: &mut RecvStream,
    most: usize,
    caller: &'a Caller<3>,
) -> Option<(Vec<u8>, Vec<SemaphorePermit<'a>>)> {
    let (mut request, mut held) = (Vec::new(), Vec::new());
    while let Some(chunk) = receive.read_chunk(SMALL).await.ok()? {
        if request.len() + chunk.len() > most {
            return None;
        }
        if held.is_empty() && request.len() + chunk.len() > SMALL {
            held = caller.take(LARGE).await;
        }
        request.extend_from_slice(&chunk);
    }
    Some((request, held))
}

/// Gives an answer up, and waits until the peer has heard so: before that, what was written of it stays here, even if the peer says that it
/// wants no more. Who does not hear it in time loses the connection.
pub async fn give_up(connection: &Connection, send: &mut SendStream, code: VarInt) {
    let _ = send.reset(code);
    let heard = async {
        // A stream has a priority for as long as there is anything of it.
        while connection.close_reason().is_none() && send.priority().is_ok() {
            sleep(LOOK).await;
        }
    };
    if timeout(UNHEARD_TIME, heard).await.is_err() {
        connection.close(VarInt::from_u32(1), b"this node is not heard");
    }
}

async fn one<S: Service>(
    service: &S,
    connection: &Connection,
    caller: &Caller<3>,
    mut send: SendStream,
    mut receive: RecvStream,
) {
    if give(service, connection, caller, &mut send, &mut receive).await.is_none() {
        // A stream that is merely dropped ends as if all had been sent.
        let _ = send.reset(VarInt::from_u32(1));
    }
}

/// Reads a request and answers it; nothing if the peer gets no answer.
async fn give<S: Service>(
    service: &S,
    connection: &Connection,
    caller: &Caller<3>,
    send: &mut SendStream,
    receive: &mut RecvStream,
) -> Option<()> {
    let reading = timeout(REQUEST_TIME, read(receive, S::MOST_REQUEST, caller));
    let (request, _held) = reading.await.ok()??;
    // Nobody waits for an answer after the one who asked has gone.
    let answer = tokio::select! {
        answer = service.answer(NodeId(*connection.remote_id().as_bytes()), request) => answer,
        _ = send.stopped() => return None,
    };
    // The longest take all that one asker has.
    let kibibytes = answer.len().div_ceil(1024).min(MOST_UNTAKEN);
    let _held = caller.try_take(UNTAKEN, kibibytes as u32)?;
    let taken = async {
        send.write_all(&answer).await.ok()?;
        send.finish().ok()?;
        // What was written waits here, too, until it has come.
        send.stopped().await.ok()?.is_none().then_some(())
    };
    if timeout(ANSWER_TIME, taken).await.ok().flatten().is_none() {
        give_up(connection, send, VarInt::from_u32(1)).await;
    }
    Some(())
}

impl<S: Service> ProtocolHandler for Answers<S> {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let from = NodeId(*connection.remote_id().as_bytes());
        let is_known = (self.known)(from).await;
        let caller = Arc::new(self.room.enter(&connection, is_known).await);
        let Some(_place) = caller.try_take(PEERS, 1) else {
            connection.close(VarInt::from_u32(1), b"too many ask this node");
            return Ok(());
        };
        // Until the peer goes.
        while let Ok((send, receive)) = connection.accept_bi().await {
            let (service, connection, caller) = (self.service.clone(), connection.clone(), caller.clone());
            tokio::spawn(async move { one(&*service, &connection, &caller, send, receive).await });
        }
        Ok(())
    }
}

/// Sends a request on a stream of its own; the answer comes on what is returned.
///
/// # Errors
///
/// If the connection breaks.
pub async fn send(connection: &Connection, request: &[u8]) -> eyre::Result<RecvStream> {
    let (mut send, receive) = connection.open_bi().await?;
    send.write_all(request).await?;
    send.finish()?;
    Ok(receive)
}

/// What a peer answers within this time, if it does not deny it.
///
/// # Errors
///
/// What it denies, or that it did not answer.
pub async fn answered(
    patience: Duration,
    asked: impl Future<Output = eyre::Result<Vec<u8>>>,
) -> Result<Vec<u8>, Denied> {
    match timeout(patience, asked).await {
        Ok(Ok(answer)) => read_answer(&answer).map(<[u8]>::to_vec),
        Ok(Err(error)) => Err(Denied::Gone(format!("{error:#}"))),
        Err(_) => Err(Denied::Gone("it does not answer".into())),
    }
}

impl Connections {
    /// Asks a peer, and reads what it answers, as it is.
    ///
    /// # Errors
    ///
    /// If it cannot be reached, or its answer is longer.
    pub async fn ask(&self, peer: &PeerAddress, request: &[u8], most: usize) -> eyre::Result<Vec<u8>> {
        let connection = self.to(peer, |_| ()).await?;
        Ok(send(&connection, request).await?.read_to_end(most).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Endpoint;
    use commonware_codec::{Copying, DecodeExt as _};
    use commonware_cryptography::ed25519::PrivateKey;
    use futures::future::join_all;
    use iroh::EndpointAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const PEERS_OF_STRANGERS: usize = SHARES[PEERS].strangers;
    const LARGE_OF_ONE: usize = SHARES[LARGE].strangers;

    /// Says how long a request was.
    struct Counts;

    impl Service for Counts {
        const MOST_REQUEST: usize = 1 << 20;

        fn answer(&self, _: NodeId, request: Vec<u8>) -> BoxFuture<'_, Vec<u8>> {
            async move { answer(Ok(request.len().to_be_bytes().to_vec())) }.boxed()
        }
    }

    async fn endpoint(seed: u8) -> Endpoint {
        let key = PrivateKey::decode(Copying(&[seed; 32])).unwrap();
        Endpoint::bind(&key, ([127, 0, 0, 1], 0).into()).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn requests_of_any_allowed_length_are_answered_and_longer_ones_are_not() {
        let (here, there) = (endpoint(1).await, endpoint(2).await);
        let answers = Answers::new(Arc::new(Counts));
        let connected = answers.connected();
        let router = there.router().accept(b"counts", answers).spawn();
        let (connections, address) = (Connections::new(&here, b"counts"), there.address().unwrap());
        let ask = async |length: usize| {
            let request = vec![0; length];
            let asked = connections.ask(&address, &request, 100);
            answered(Duration::from_secs(20), asked).await.map(|bytes| usize::from_be_bytes(bytes.try_into().unwrap()))
        };
        assert_eq!(connected.count(), 0);
        for length in [0, 1, SMALL, SMALL + 1, Counts::MOST_REQUEST] {
            assert_eq!(ask(length).await, Ok(length));
        }
        assert_eq!(connected.count(), 1);
        assert!(matches!(ask(Counts::MOST_REQUEST + 1).await, Err(Denied::Gone(_))));
        // More at once than one peer has places for: they wait for each other.
        let many = join_all((0..3 * LARGE_OF_ONE).map(|more| ask(100_000 + more))).await;
        assert_eq!(many, (0..3 * LARGE_OF_ONE).map(|more| Ok(100_000 + more)).collect::<Vec<_>>());
        router.shutdown().await.unwrap();
    }

    async fn until(holds: impl Fn() -> bool) {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn at(address: &PeerAddress) -> EndpointAddr {
        EndpointAddr::new(address.key).with_ip_addr(address.host.parse().unwrap())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_known_node_is_answered_when_strangers_have_all_places_that_they_may() {
        let (strangers, friend, there) = (endpoint(7).await, endpoint(8).await, endpoint(9).await);
        let known = friend.node();
        let answers = Answers::new(Arc::new(Counts));
        let answers = answers.leaving_room_for(Arc::new(move |node| std::future::ready(node == known).boxed()));
        let connected = answers.connected();
        let router = there.router().accept(b"counts", answers).spawn();
        let address = there.address().unwrap();
        let held = join_all((0..PEERS_OF_STRANGERS).map(|_| strangers.connect(at(&address), b"counts"))).await;
        let held = held.into_iter().collect::<Result<Vec<_>, _>>().unwrap();
        until(|| connected.count() == PEERS_OF_STRANGERS).await;
        let ask = async |from: &Endpoint| Connections::new(from, b"counts").ask(&address, &[], 100).await;
        assert!(ask(&strangers).await.is_err());
        assert_eq!(read_answer(&ask(&friend).await.unwrap()), Ok(&0_usize.to_be_bytes()[..]));
        held.iter().for_each(|connection| connection.close(VarInt::from_u32(0), b"done"));
        until(|| connected.count() <= 1).await;
        ask(&strangers).await.unwrap();
        router.shutdown().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_requests_that_nobody_has_read_yet_little_is_taken() {
        let (here, there) = (endpoint(10).await, endpoint(11).await);
        let router = there.router().accept(b"counts", Answers::new(Arc::new(Counts))).spawn();
        let connection = here.connect(at(&there.address().unwrap()), b"counts").await.unwrap();
        let writing = tokio::spawn({
            let connection = connection.clone();
            async move {
                let request = vec![0; 512 << 10];
                let streams = join_all((0..crate::REQUESTS).map(|_| connection.open_bi())).await;
                // None of them ends: few wait where there is room for them, and the others where they are sent.
                let writes = streams.into_iter().map(Result::unwrap).map(|(mut send, receive)| {
                    let request = &request;
                    async move {
                        let _ = send.write_all(request).await;
                        std::future::pending::<()>().await;
                        drop((send, receive));
                    }
                });
                join_all(writes).await
            }
        });
        until(|| connection.stats().udp_tx.bytes > 1 << 20).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let sent = connection.stats().udp_tx.bytes;
        assert!(sent < 8 << 20, "{sent} bytes of 32 MiB were taken");
        writing.abort();
        router.shutdown().await.unwrap();
    }

    /// Says much, so many times.
    #[derive(Default)]
    struct Much(AtomicUsize);

    impl Service for Much {
        const MOST_REQUEST: usize = 0;

        fn answer(&self, _: NodeId, _: Vec<u8>) -> BoxFuture<'_, Vec<u8>> {
            async {
                self.0.fetch_add(1, Ordering::Relaxed);
                vec![7; 8 << 20]
            }
            .boxed()
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_takes_no_answers_gets_no_more_until_it_does_and_none_in_part() {
        let (here, there) = (endpoint(3).await, endpoint(4).await);
        let much = Arc::new(Much::default());
        let router = there.router().accept(b"much", Answers::new(much.clone())).spawn();
        let (connections, address) = (Connections::new(&here, b"much"), there.address().unwrap());
        let connection = connections.to(&address, |_| ()).await.unwrap();
        // Of 16, a peer has room for eight: none of them comes whole before it is read.
        let asked = join_all((0..16).map(|_| send(&connection, &[]))).await;
        while much.0.load(Ordering::Relaxed) < 16 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut whole = 0;
        for receive in asked {
            if let Ok(answer) = receive.unwrap().read_to_end(16 << 20).await {
                assert_eq!(answer.len(), 8 << 20);
                whole += 1;
            }
        }
        assert_eq!(whole, 8);
        assert_eq!(connections.ask(&address, &[], 16 << 20).await.unwrap().len(), 8 << 20);
        router.shutdown().await.unwrap();
    }

    #[test]
    fn an_answer_says_what_it_said_and_neither_steers_a_terminal_nor_fills_it() {
        assert_eq!(read_answer(&answer(Ok(vec![1, 2]))), Ok(&[1, 2][..]));
        assert_eq!(read_answer(&answer(Err(Denied::NotHere))), Err(Denied::NotHere));
        let refused = answer(Err(Denied::Refused("no\u{1b}[31m room\u{202e}".into())));
        assert_eq!(read_answer(&refused), Err(Denied::Refused("no [31m room ".into())));
        let endless = [&[REFUSED][..], &[b'x'; 1 << 20]].concat();
        assert_eq!(read_answer(&endless), Err(Denied::Refused("x".repeat(MOST_REASON))));
        assert!(answer(Err(Denied::Refused("ä".repeat(1000)))).len() <= 1 + MOST_REASON);
        for wrong in [&[][..], &[NOT_HERE, 0], &[9]] {
            assert!(matches!(read_answer(wrong), Err(Denied::Gone(_))));
        }
    }
}
