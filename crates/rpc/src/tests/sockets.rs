//! WebSockets and subscriptions.

use super::*;
use crate::RpcError;
use futures::{SinkExt, StreamExt};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Message,
        protocol::frame::{
            Frame,
            coding::{Data, OpCode},
        },
    },
};

struct Socket(WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>);

impl Socket {
    async fn open(node: &Node) -> Self {
        Self(connect_async(format!("ws://{}", node.handle.local_addr())).await.unwrap().0)
    }

    async fn send(&mut self, method: &str, params: Value) {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.0.send(Message::text(body.to_string())).await.unwrap();
    }

    async fn next(&mut self) -> Value {
        let message = tokio::time::timeout(Duration::from_secs(10), self.0.next()).await;
        serde_json::from_str(message.expect("a message").unwrap().unwrap().to_text().unwrap()).unwrap()
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(method, params).await;
        self.next().await
    }
}

#[test]
fn a_socket_answers_like_a_post() {
    with_default_node(async |node| {
        let mut socket = Socket::open(&node).await;
        assert_eq!(socket.call("eth_chainId", json!([])).await["result"], "0x7a69");
        socket.0.send(Message::text("nonsense")).await.unwrap();
        assert_eq!(socket.next().await["error"]["code"], -32700);
        let batch = json!([{"jsonrpc": "2.0", "id": 5, "method": "eth_blockNumber"}, 1]);
        socket.0.send(Message::text(batch.to_string())).await.unwrap();
        let answer = socket.next().await;
        assert_eq!((&answer[0]["result"], &answer[1]["error"]["code"]), (&json!("0x1"), &json!(-32600)));
    });
}

#[test]
fn what_clients_ask_and_have_open_is_counted() {
    let traffic = Traffic::default();
    let counting = traffic.clone();
    with_node(
        Config::default(),
        |builder| builder.traffic(counting),
        async move |node| {
            let count = |wanted: [&str; 2]| traffic.requests().find(|(kind, _)| *kind == wanted).unwrap().1;
            let mut socket = Socket::open(&node).await;
            assert!(socket.call("eth_subscribe", json!(["newHeads"])).await["result"].is_string());
            assert_eq!((traffic.websockets(), traffic.subscriptions()), (1, 1));
            assert!(traffic.connections() >= 1);
            node.call("net_version", json!([])).await;
            node.fails("eth_call", json!(["nonsense"])).await;
            node.fails("weather", json!([])).await;
            node.post("nonsense").await;
            assert_eq!((count(["eth", "ok"]), count(["eth", "refused"])), (1, 1));
            assert_eq!((count(["net", "ok"]), count(["other", "refused"])), (1, 2));
            assert_eq!(traffic.in_flight(), 0);
            drop(socket);
            let open = || (traffic.websockets(), traffic.subscriptions());
            for _ in 0..100 {
                if open() == (0, 0) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            panic!("they are still counted when closed: {:?}", open());
        },
    );
}

#[test]
fn subscriptions_tell_of_heads_logs_and_waiting_transactions() {
    with_default_node(async |node| {
        let mut socket = Socket::open(&node).await;
        let mut ids = Vec::new();
        for params in [
            json!(["newHeads"]),
            json!(["logs", {"address": LOGGER}]),
            json!(["newPendingTransactions"]),
            json!(["newPendingTransactions", true]),
            json!(["logs", {"address": COUNTER}]),
            json!(["syncing"]),
        ] {
            ids.push(socket.call("eth_subscribe", params).await["result"].clone());
        }
        let hash = node.send(&transaction(0, 0, LOGGER, 0)).await;
        let receipt = node.receipt(&hash).await;
        let mut told = BTreeMap::new();
        for _ in 0..4 {
            let message = socket.next().await;
            assert_eq!((&message["method"], &message["jsonrpc"]), (&json!("eth_subscription"), &json!("2.0")));
            told.insert(message["params"]["subscription"].to_string(), message["params"]["result"].clone());
        }
        let of = |index: usize| &told[&ids[index].to_string()];
        assert_eq!(of(0)["hash"], receipt["blockHash"]);
        assert!(of(0).get("transactions").is_none());
        assert_eq!(of(1), &receipt["logs"][0]);
        assert_eq!(of(2), &hash);
        assert_eq!(of(3)["hash"], hash);

        assert_eq!(socket.call("eth_unsubscribe", json!([ids[0]])).await["result"], true);
        for gone in [&ids[0], &json!("0x1")] {
            let again = socket.call("eth_unsubscribe", json!([gone])).await;
            assert_eq!(again["error"]["message"], "subscription not found");
        }
        assert_eq!(socket.call("eth_unsubscribe", json!([ids[5]])).await["result"], true);
        let unknown = socket.call("eth_subscribe", json!(["weather"])).await;
        assert_eq!(unknown["error"]["message"], "no \"weather\" subscription in eth namespace");
        let (code, message, _) = node.fails("eth_subscribe", json!(["newHeads"])).await;
        assert_eq!((code, message.as_str()), (-32601, "notifications not supported"));
    });
}

#[test]
fn a_hundred_thousand_subscriptions_are_bounded_and_given_back() {
    let config = Config {
        max_subscriptions_per_connection: 60,
        max_subscriptions: 100,
        max_filters_per_connection: 5,
        ..Config::default()
    };
    with_node(
        config,
        |builder| builder,
        async |node| {
            let one = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]});
            let batch = Value::Array(vec![one; 1_000]).to_string();
            let mut taken = Vec::new();
            let mut sockets = Vec::new();
            for _ in 0..3 {
                let mut socket = Socket::open(&node).await;
                let mut accepted = 0;
                for _ in 0..34 {
                    socket.0.send(Message::text(batch.clone())).await.unwrap();
                    for answer in socket.next().await.as_array().unwrap() {
                        if answer["result"].is_string() {
                            accepted += 1;
                        } else {
                            assert_eq!(answer["error"]["code"], -32005);
                        }
                    }
                }
                taken.push(accepted);
                sockets.push(socket);
            }
            assert_eq!(taken, [60, 40, 0]);
            sockets.clear();
            let mut socket = Socket::open(&node).await;
            let mut result = Value::Null;
            for _ in 0..100 {
                result = socket.call("eth_subscribe", json!(["newHeads"])).await;
                if result["result"].is_string() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(result["result"].is_string(), "closed connections give their places back: {result}");

            let mut errors = 0;
            for _ in 0..10 {
                errors += usize::from(socket.call("eth_newBlockFilter", json!([])).await["error"]["code"] == -32005);
            }
            assert_eq!(errors, 5);
            assert_eq!(node.call("eth_chainId", json!([])).await, "0x7a69");
        },
    );
}

/// A filter of so many topics and an address.
fn of(topics: u8) -> Value {
    json!({"address": LOGGER, "topics": [(1..=topics).map(B256::repeat_byte).collect::<Vec<_>>()]})
}

#[test]
fn addresses_and_topics_in_filters_and_subscriptions_are_bounded_and_given_back() {
    let config = Config { max_alternatives_per_connection: 6, max_alternatives: 10, ..Config::default() };
    with_node(
        config,
        |builder| builder,
        async |node| {
            let (mut first, mut second) = (Socket::open(&node).await, Socket::open(&node).await);
            let subscribed = first.call("eth_subscribe", json!(["logs", of(3)])).await["result"].clone();
            assert!(subscribed.is_string());
            for (method, params) in [("eth_newFilter", json!([of(2)])), ("eth_subscribe", json!(["logs", of(2)]))] {
                let refused = first.call(method, params).await;
                let words = "too many addresses and topics: at most 6 in filters and subscriptions of a connection, \
                             10 in all filters, and 10 in all subscriptions";
                assert_eq!(refused["error"], json!({"code": -32005, "message": words}));
            }
            assert!(first.call("eth_newFilter", json!([of(1)])).await["result"].is_string());
            // Filters, however many, leave the room of the subscriptions: the others come without a connection that lasts.
            let post = async |method: &str, params: Value| {
                let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
                // Each over a connection of its own.
                let asked = http_client().post(node.url()).header("content-type", "application/json").body(body);
                serde_json::from_str::<Value>(&asked.send().await.unwrap().text().await.unwrap()).unwrap()
            };
            let words = post("eth_newFilter", json!([of(6)])).await;
            assert_eq!(words["error"]["code"], -32005, "a connection of HTTP has no more than a WebSocket: {words}");
            let filter = post("eth_newFilter", json!([of(3)])).await["result"].clone();
            assert!(post("eth_newFilter", json!([of(3)])).await["result"].is_string());
            assert_eq!(post("eth_newFilter", json!([of(0)])).await["error"]["code"], -32005);
            assert!(post("eth_newFilter", json!([{}])).await["result"].is_string());
            assert!(second.call("eth_subscribe", json!(["logs", of(5)])).await["result"].is_string());

            // Now there is no more in all for subscriptions either.
            let mut third = Socket::open(&node).await;
            assert_eq!(third.call("eth_subscribe", json!(["logs", of(0)])).await["error"]["code"], -32005);
            assert!(third.call("eth_subscribe", json!(["logs", {}])).await["result"].is_string());

            assert_eq!(post("eth_uninstallFilter", json!([filter])).await["result"], true);
            assert!(post("eth_newFilter", json!([of(3)])).await["result"].is_string());
            assert_eq!(first.call("eth_unsubscribe", json!([subscribed])).await["result"], true);
            assert!(third.call("eth_subscribe", json!(["logs", of(3)])).await["result"].is_string());

            drop(second);
            let mut result = Value::Null;
            for _ in 0..100 {
                result = first.call("eth_subscribe", json!(["logs", of(3)])).await;
                if result["result"].is_string() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(result["result"].is_string(), "a closed connection gives back what it had: {result}");
        },
    );
}

#[test]
fn subscriptions_with_few_and_many_alternatives_hear_of_their_logs_alone() {
    with_default_node(async |node| {
        let mut socket = Socket::open(&node).await;
        let topics = |range: std::ops::Range<u8>| json!([range.rev().map(B256::with_last_byte).collect::<Vec<_>>()]);
        let mut wanted = Vec::new();
        for (query, is_wanted) in [
            (json!({"topics": topics(0..100)}), true),
            (json!({"topics": topics(100..200)}), false),
            (json!({"topics": topics(7..8)}), true),
            (json!({"topics": topics(8..9)}), false),
            (json!({"address": [COUNTER, LOGGER, LOGGER]}), true),
            (json!({"address": COUNTER}), false),
            (json!({"topics": [null, B256::with_last_byte(7)]}), false),
            (json!({}), true),
            (json!({"fromBlock": "0xffff"}), false),
        ] {
            let id = socket.call("eth_subscribe", json!(["logs", query])).await["result"].clone();
            if is_wanted {
                wanted.push(id.to_string());
            }
        }
        wanted.sort();
        for nonce in 0..2 {
            let hash = node.send(&transaction(0, nonce, LOGGER, 0)).await;
            let receipt = node.receipt(&hash).await;
            let mut heard = Vec::new();
            for _ in 0..wanted.len() {
                let message = socket.next().await;
                assert_eq!(message["params"]["result"], receipt["logs"][0]);
                heard.push(message["params"]["subscription"].to_string());
            }
            heard.sort();
            assert_eq!(heard, wanted);
        }
    });
}

#[test]
fn a_message_beyond_the_limit_ends_the_connection_and_nothing_else() {
    let config = Config { max_message_bytes: 1_000, ..Config::default() };
    with_node(
        config,
        |builder| builder,
        async |node| {
            let mut socket = Socket::open(&node).await;
            socket.0.send(Message::text("x".repeat(10_000))).await.unwrap();
            let end = tokio::time::timeout(Duration::from_secs(10), socket.0.next()).await.unwrap();
            assert!(matches!(end, Some(Ok(Message::Close(_)) | Err(_)) | None), "{end:?}");
            assert_eq!(node.call("eth_chainId", json!([])).await, "0x7a69");
        },
    );
}

#[test]
fn messages_share_the_memory_for_large_bodies() {
    let go = Arc::<AtomicBool>::default();
    let waited = go.clone();
    let add = |builder: Builder| {
        builder.method("test_wait", move |_, params| {
            let go = waited.clone();
            async move {
                // Which are in the message.
                let _params = params;
                while !go.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok::<_, RpcError>(true)
            }
        })
    };
    let config = Config { max_buffered_bytes: 1 << 20, ..Config::default() };
    with_node(config, add, async move |node| {
        let (mut first, mut second) = (Socket::open(&node).await, Socket::open(&node).await);
        let body = |method: &str, length: usize| {
            let body = json!({"jsonrpc": "2.0", "id": 1, "method": method}).to_string();
            Message::text(body + &" ".repeat(length))
        };
        let params = json!(["a".repeat(700 << 10)]);
        let waits = json!({"jsonrpc": "2.0", "id": 1, "method": "test_wait", "params": params});
        first.0.send(Message::text(waits.to_string())).await.unwrap();
        // The first one may be still on its way: until it is here, there is room.
        let mut refused = Value::Null;
        for _ in 0..100 {
            second.0.send(body("eth_chainId", 500 << 10)).await.unwrap();
            refused = second.next().await;
            if refused["error"].is_object() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!((&refused["error"]["code"], &refused["id"]), (&json!(-32005), &json!(1)), "{refused}");
        assert_eq!(second.call("eth_chainId", json!([])).await["result"], "0x7a69", "what is small is free");
        go.store(true, Ordering::Relaxed);
        assert_eq!(first.next().await["result"], true);
        second.0.send(body("eth_chainId", 500 << 10)).await.unwrap();
        assert_eq!(second.next().await["result"], "0x7a69");
    });
}

#[test]
fn a_message_that_is_never_finished_ends_the_connection() {
    let config = Config { body_timeout: Duration::from_millis(400), ..Config::default() };
    with_node(
        config,
        |builder| builder,
        async |node| {
            let (mut late, mut idle) = (Socket::open(&node).await, Socket::open(&node).await);
            let part = Frame::message(vec![b'['; 10], OpCode::Data(Data::Text), false);
            late.0.send(Message::Frame(part)).await.unwrap();
            let ended = async {
                loop {
                    // It says again and again that it is alive.
                    let _ = late.0.send(Message::Pong(Default::default())).await;
                    idle.0.send(Message::Pong(Default::default())).await.unwrap();
                    if let Ok(end) = tokio::time::timeout(Duration::from_millis(50), late.0.next()).await {
                        return end;
                    }
                }
            };
            let end = tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it is ended");
            assert!(matches!(end, Some(Ok(Message::Close(_)) | Err(_)) | None), "{end:?}");
            assert_eq!(idle.call("eth_chainId", json!([])).await["result"], "0x7a69");
        },
    );
}

#[test]
fn a_farewell_is_answered() {
    with_default_node(async |node| {
        let mut socket = Socket::open(&node).await;
        socket.0.close(None).await.unwrap();
        let mut next = async || tokio::time::timeout(Duration::from_secs(10), socket.0.next()).await.unwrap();
        let answer = next().await;
        assert!(matches!(answer, Some(Ok(Message::Close(_)))), "{answer:?}");
        assert!(next().await.is_none());
    });
}

#[test]
fn a_silent_socket_is_dropped() {
    let config = Config { ping_interval: Duration::from_millis(100), ..Config::default() };
    with_node(
        config,
        |builder| builder,
        async |node| {
            let mut socket = Socket::open(&node).await;
            // Reading answers pings, so this one stays; not reading at all does not answer them.
            for _ in 0..3 {
                let ping = tokio::time::timeout(Duration::from_secs(5), socket.0.next()).await.unwrap();
                assert!(matches!(ping, Some(Ok(Message::Ping(_)))), "{ping:?}");
            }
            tokio::time::sleep(Duration::from_millis(800)).await;
            let mut end = None;
            for _ in 0..10 {
                match tokio::time::timeout(Duration::from_secs(5), socket.0.next()).await.unwrap() {
                    Some(Ok(Message::Ping(_))) => {}
                    other => {
                        end = Some(other);
                        break;
                    }
                }
            }
            assert!(matches!(end, Some(None | Some(Err(_)))), "{end:?}");
        },
    );
}
