//! What a connection does where packets are lost.

use crate::{Answers, Endpoint, Service, send};
use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::ed25519::PrivateKey;
use futures::{FutureExt as _, future::BoxFuture};
use iroh::EndpointAddr;
use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};
use stoa_base::NodeId;

/// How long a packet is on its way.
const TRAVEL: Duration = Duration::from_millis(60);

/// After so many packets, when as many are on their way as there may be, one in so many is lost.
const WHOLE: usize = 6000;
const ONE_IN: u64 = 2500;

/// Where the draw begins.
const SEED: u64 = 7;

/// After how long without a packet it ends.
const SILENCE: Duration = Duration::from_secs(10);

/// What stands between a node that calls and one that answers, and is the other to each.
struct Between {
    sockets: [UdpSocket; 2],
    nodes: Mutex<[SocketAddr; 2]>,
    lost: AtomicUsize,
}

impl Between {
    /// In front of a node at an IPv4 address, reached by IPv6: so the two nodes have no other way to each other, which they would take.
    fn start(there: SocketAddr) -> io::Result<Arc<Self>> {
        let sockets = [UdpSocket::bind("[::1]:0")?, UdpSocket::bind("127.0.0.1:0")?];
        for socket in &sockets {
            socket.set_read_timeout(Some(SILENCE))?;
        }
        let nodes = Mutex::new([there; 2]);
        let between = Arc::new(Self { sockets, nodes, lost: AtomicUsize::default() });
        between.pass(0);
        between.pass(1);
        Ok(between)
    }

    /// Passes on what comes on one side, later. Of what comes from the node that answers, some is lost.
    fn pass(self: &Arc<Self>, side: usize) {
        let (passing, coming) = mpsc::channel::<(Instant, Vec<u8>)>();
        let between = self.clone();
        thread::spawn(move || {
            for (due, packet) in coming {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let to = between.nodes.lock().unwrap()[1 - side];
                // What the other side has no room for is lost as well.
                let _ = between.sockets[1 - side].send_to(&packet, to);
            }
        });
        let between = self.clone();
        thread::spawn(move || {
            let (mut packet, mut draw) = ([0; 2048], SEED.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            for count in 1.. {
                let Ok((length, from)) = between.sockets[side].recv_from(&mut packet) else { return };
                between.nodes.lock().unwrap()[side] = from;
                draw ^= draw << 13;
                draw ^= draw >> 7;
                draw ^= draw << 17;
                if side == 1 && count > WHOLE && draw.is_multiple_of(ONE_IN) {
                    between.lost.fetch_add(1, Ordering::Relaxed);
                } else if passing.send((Instant::now() + TRAVEL, packet[..length].to_vec())).is_err() {
                    return;
                }
            }
        });
    }
}

/// Gives 32 MiB, no two kibibytes of which are the same.
struct Much;

fn much() -> Vec<u8> {
    let mut bytes = vec![0; 32 << 20];
    for (number, kibibyte) in (0_u32..).zip(bytes.chunks_mut(1024)) {
        kibibyte[..4].copy_from_slice(&number.to_be_bytes());
    }
    bytes
}

impl Service for Much {
    const MOST_REQUEST: usize = 0;

    fn answer(&self, _: NodeId, _: Vec<u8>) -> BoxFuture<'_, Vec<u8>> {
        async { much() }.boxed()
    }
}

async fn endpoint(seed: u8, listen: &str) -> Endpoint {
    let key = PrivateKey::decode(Copying(&[seed; 32])).unwrap();
    Endpoint::bind(&key, listen.parse().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_packet_ends_no_connection_however_much_comes_behind_it() {
    if UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED, for this machine has no IPv6: a connection on which packets are lost");
        return;
    }
    let (here, there) = (endpoint(12, "[::1]:0").await, endpoint(13, "127.0.0.1:0").await);
    let router = there.router().accept(b"much", Answers::new(Arc::new(Much))).spawn();
    let address = there.address().unwrap();
    let between = Between::start(address.host.parse().unwrap()).unwrap();
    let to = EndpointAddr::new(address.key).with_ip_addr(between.sockets[0].local_addr().unwrap());
    let connection = here.connect(to, b"much").await.unwrap();
    let mut receive = send(&connection, &[]).await.unwrap();
    // In order, as everything is read that is looked at while it comes: what comes behind a lost packet waits.
    let mut answer = Vec::new();
    loop {
        let lost = between.lost.load(Ordering::Relaxed);
        match receive.read_chunk(1 << 20).await {
            Ok(Some(chunk)) => answer.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => panic!("after {} bytes and {lost} lost packets: {error}", answer.len()),
        }
    }
    assert!(answer == much(), "what came is not what was sent");
    let lost = between.lost.load(Ordering::Relaxed);
    assert!(lost > 2, "{lost} packets were lost");
    router.shutdown().await.unwrap();
}
