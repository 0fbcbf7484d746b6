//! Clients that mean harm, or mean well and do it badly.

use super::*;
use crate::{Origins, RpcError};
use std::{sync::atomic::AtomicUsize, time::Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn connect(node: &Node) -> TcpStream {
    TcpStream::connect(node.handle.local_addr()).await.unwrap()
}

async fn all(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut text)).await;
    // A reset after the answer is an end as well.
    let _ = read.expect("the server ends the connection");
    String::from_utf8_lossy(&text).into_owned()
}

async fn is_alive(node: &Node) {
    assert_eq!(node.call("eth_chainId", json!([])).await, "0x7a69");
}

#[test]
fn bad_bodies_get_the_standard_codes() {
    with_default_node(async |node| {
        for (body, code) in [
            (String::new(), -32700),
            ("{\"jsonrpc\":".into(), -32700),
            (format!("{}{}", "[".repeat(1_000), "]".repeat(1_000)), -32700),
            (format!("{}1{}", "{\"a\":".repeat(1_000), "}".repeat(1_000)), -32700),
            ("[]".into(), -32600),
            (format!("[{}1]", "1,".repeat(1_000_000)), -32600),
            ("{}".into(), -32600),
        ] {
            let answer = node.post(body.clone()).await;
            assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &Value::Null), "{answer}");
        }
        let batch = r#"[{"id":1,"method":"eth_chainId"},{"jsonrpc":"1.0","id":"a","method":"eth_chainId"}]"#;
        let answer = node.post(batch).await;
        assert_eq!((&answer[0]["error"]["code"], &answer[0]["id"]), (&json!(-32600), &json!(1)), "{answer}");
        assert_eq!((&answer[1]["error"]["code"], &answer[1]["id"]), (&json!(-32600), &json!("a")), "{answer}");
        is_alive(&node).await;
    });
}

#[test]
fn notifications_get_no_answer() {
    with_default_node(async |node| {
        let one = json!({"jsonrpc": "2.0", "method": "eth_chainId"});
        assert_eq!(node.post(one.to_string()).await, "");
        assert_eq!(node.post(json!([one, one]).to_string()).await, "");
        let mixed = json!([one, {"jsonrpc": "2.0", "id": "a", "method": "eth_chainId"}]);
        let answer = node.post(mixed.to_string()).await;
        assert_eq!(answer, json!([{"jsonrpc": "2.0", "id": "a", "result": "0x7a69"}]));
    });
}

#[test]
fn a_body_beyond_the_limit_is_refused_and_who_sends_it_hears_why() {
    let config = Config { max_request_bytes: 1_000, ..Config::default() };
    with_node(
        config,
        |builder| builder,
        async |node| {
            let head =
                format!("POST / HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n", node.handle.local_addr());
            let mut announced = connect(&node).await;
            announced.write_all(format!("{head}content-length: 100000000\r\n\r\n").as_bytes()).await.unwrap();
            let mut answer = vec![0; 1_000];
            let length = announced.read(&mut answer).await.unwrap();
            let answer = String::from_utf8_lossy(&answer[..length]);
            assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("at most 1000 bytes"), "{answer}");

            let mut chunked = connect(&node).await;
            chunked.write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).await.unwrap();
            chunked.write_all(format!("800\r\n{}\r\n", "x".repeat(0x800)).as_bytes()).await.unwrap();
            let mut answer = vec![0; 1_000];
            let length = chunked.read(&mut answer).await.unwrap();
            assert!(String::from_utf8_lossy(&answer[..length]).starts_with("HTTP/1.1 413"));

            // Who sends all of it before he reads is not hung up on.
            let mut sent = connect(&node).await;
            sent.write_all(format!("{head}content-length: 4000000\r\n\r\n").as_bytes()).await.unwrap();
            sent.write_all(&vec![b'x'; 4_000_000]).await.unwrap();
            let length = sent.read(&mut answer).await.unwrap();
            assert!(String::from_utf8_lossy(&answer[..length]).starts_with("HTTP/1.1 413"));
            is_alive(&node).await;
        },
    );
}

#[test]
fn slow_heads_slow_bodies_and_half_open_connections_end() {
    let config = Config {
        header_timeout: Duration::from_millis(300),
        body_timeout: Duration::from_millis(300),
        ..Config::default()
    };
    with_node(
        config,
        |builder| builder,
        async |node| {
            let began = Instant::now();
            let mut silent = connect(&node).await;
            let mut slow_head = connect(&node).await;
            slow_head.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\nx-a: ").await.unwrap();
            let mut slow_body = connect(&node).await;
            let head =
                "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{";
            slow_body.write_all(head.as_bytes()).await.unwrap();
            let mut half_open = connect(&node).await;
            half_open.write_all(head.as_bytes()).await.unwrap();
            half_open.shutdown().await.unwrap();
            let dripping = tokio::spawn(async move {
                // One byte at a time never completes a head, however long it goes on.
                for _ in 0..200 {
                    if slow_head.write_all(b"x").await.is_err() {
                        return true;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                false
            });
            all(&mut silent).await;
            let answer = all(&mut slow_body).await;
            assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("-32002"), "{answer}");
            all(&mut half_open).await;
            assert!(dripping.await.unwrap(), "the dripping client was not cut off");
            assert!(began.elapsed() < Duration::from_secs(10));
            is_alive(&node).await;
        },
    );
}

/// Asks something over a connection, which stays open.
async fn ask(stream: &mut TcpStream) {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 1_000];
    let length = stream.read(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer[..length]).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_head_that_has_begun_has_less_time_than_a_connection_may_be_idle() {
    let (short, long) = (Duration::from_millis(300), Duration::from_secs(3_600));
    with_node(
        Config { header_timeout: short, idle_timeout: long, ..Config::default() },
        |builder| builder,
        async |node| {
            let mut idle = connect(&node).await;
            ask(&mut idle).await;
            let mut begun = connect(&node).await;
            ask(&mut begun).await;
            begun.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
            all(&mut begun).await;
            all(&mut connect(&node).await).await;
            // It has been idle for longer than those others were there.
            ask(&mut idle).await;
        },
    );
    with_node(
        Config { header_timeout: long, idle_timeout: short, ..Config::default() },
        |builder| builder,
        async |node| {
            let mut idle = connect(&node).await;
            ask(&mut idle).await;
            all(&mut idle).await;
        },
    );
}

#[test]
fn a_client_that_does_not_read_is_dropped() {
    // The one connection there may be is the one that gets stuck.
    let config = Config { write_timeout: Duration::from_millis(300), max_connections: 1, ..Config::default() };
    let big = |builder: Builder| builder.method("test_big", async |_, _| Ok::<_, RpcError>("x".repeat(20 << 20)));
    with_node(config, big, async |node| {
        let mut stream = connect(&node).await;
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "test_big"}).to_string();
        let request = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let status = async || node.client.get(node.url()).send().await.map(|response| response.status().as_u16());
        assert_eq!(status().await.unwrap(), 503);
        let began = Instant::now();
        while !matches!(status().await, Ok(200)) {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "the connection is kept for a client that does not read"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        drop(stream);
    });
}

#[test]
fn connections_beyond_the_limit_are_turned_away() {
    let config = Config { max_connections: 3, ..Config::default() };
    with_node(
        config,
        |builder| builder,
        async |node| {
            let held = [connect(&node).await, connect(&node).await, connect(&node).await];
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut fourth = connect(&node).await;
            fourth.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
            let answer = all(&mut fourth).await;
            assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("too many connections"), "{answer}");
            drop(held);
            tokio::time::sleep(Duration::from_millis(100)).await;
            is_alive(&node).await;
        },
    );
}

#[test]
fn answers_and_waits_are_bounded() {
    let config = Config {
        max_response_bytes: 10_000,
        request_timeout: Duration::from_millis(300),
        max_batch: 5,
        ..Config::default()
    };
    let add = |builder: Builder| {
        builder
            .method("test_big", async |_, _| Ok::<_, RpcError>("x".repeat(20_000)))
            .method("test_some", async |_, _| Ok::<_, RpcError>("x".repeat(6_000)))
            .method("test_slow", async |_, _| {
                tokio::time::sleep(Duration::from_secs(60)).await;
                Ok::<_, RpcError>(())
            })
            .methods(|methods| {
                let slow = async |_, _| {
                    tokio::time::sleep(Duration::from_millis(600)).await;
                    Ok::<_, RpcError>(true)
                };
                methods.add("test_patient", slow).patient("test_patient");
            })
    };
    with_node(config, add, async |node| {
        assert_eq!(node.fails("test_big", json!([])).await.0, -32003);
        assert_eq!(node.fails("test_slow", json!([])).await.0, -32002);
        assert_eq!(node.call("test_patient", json!([])).await, true);
        let some = json!({"jsonrpc": "2.0", "id": 1, "method": "test_some"});
        let answer = node.post(json!([some, some, some, some]).to_string()).await;
        let failed = answer.as_array().unwrap().iter().filter(|answer| answer["error"]["code"] == -32003).count();
        assert_eq!(failed, 3);
        let answer = node.post(Value::Array(vec![some; 6]).to_string()).await;
        assert_eq!(answer["error"]["message"], "batch too large, at most 5 requests");
        is_alive(&node).await;
    });
}

#[test]
fn an_answer_that_finds_no_room_is_told_from_what_was_not_done() {
    let config = Config { max_buffered_bytes: 64 << 10, ..Config::default() };
    let done = Arc::<AtomicUsize>::default();
    let counted = done.clone();
    let add = |builder: Builder| {
        builder.methods(move |methods| {
            methods.instant("test_big", move |_, _| {
                counted.fetch_add(1, Ordering::Relaxed);
                Ok::<_, RpcError>("x".repeat(128 << 10))
            });
        })
    };
    with_node(config, add, async move |node| {
        let (code, message, _) = node.fails("test_big", json!([])).await;
        assert!(code == -32005 && message.starts_with("no room for the answer"), "{message}");
        let one = json!({"jsonrpc": "2.0", "id": 1, "method": "test_big"});
        let answer = node.post(json!([one, one]).to_string()).await;
        let said = |place: usize| (answer[place]["error"]["code"].clone(), answer[place]["error"]["message"].clone());
        assert_eq!(said(0), (json!(-32005), json!(message)));
        assert_eq!(said(1), (json!(-32005), json!("the node is busy with large requests, try again later")));
        assert_eq!(done.load(Ordering::Relaxed), 2);
    });
}

/// Adds a method that keeps its worker until this is true.
fn keep(go: Arc<AtomicBool>) -> impl FnOnce(Builder) -> Builder {
    move |builder| {
        builder.methods(move |methods| {
            methods.read("test_keep", move |_, _| {
                while !go.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok::<_, RpcError>(true)
            });
        })
    }
}

#[test]
fn what_takes_long_to_read_is_read_by_a_worker() {
    let go = Arc::<AtomicBool>::default();
    let config = Config { read_workers: 1, request_timeout: Duration::from_secs(1), ..Config::default() };
    with_node(config, keep(go.clone()), async move |node| {
        node.automine.store(false, Ordering::Relaxed);
        node.send(&transaction(0, 0, COUNTER, 0)).await;
        assert_eq!(node.fails("test_keep", json!([])).await.0, -32002);

        // The only worker is busy still. What is small does without one, and so does a transaction whose sender is known.
        is_alive(&node).await;
        node.send(&transaction(0, 1, COUNTER, 0)).await;
        let small = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"});
        let large = small.to_string() + &" ".repeat(300 << 10);
        let long = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": "x".repeat(255 << 10)});
        let raw = transaction(0, 2, COUNTER, 0);
        let batch = json!([small, {"jsonrpc": "2.0", "id": 2, "method": "eth_sendRawTransaction", "params": [raw]}]);
        assert_eq!(node.post(large.clone()).await["error"]["code"], -32002);
        assert_eq!(node.post(long.to_string()).await["error"]["code"], -32602, "it is not large enough");
        let answer = node.post(batch.to_string()).await;
        assert_eq!((&answer[0]["result"], &answer[1]["error"]["code"]), (&json!("0x7a69"), &json!(-32002)));

        go.store(true, Ordering::Relaxed);
        assert_eq!(node.post(large).await["result"], "0x7a69");
        assert_eq!(node.post(batch.to_string()).await[1]["result"], json!(alloy_primitives::keccak256(&raw)));
    });
}

#[test]
fn work_ends_when_nobody_waits_for_it_any_more() {
    let config = Config { read_workers: 1, request_timeout: Duration::from_secs(1), ..Config::default() };
    let add = |builder: Builder| {
        builder.methods(|methods| {
            methods.read("test_endless", |context, _| {
                while context.is_awaited() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok::<_, RpcError>(true)
            });
        })
    };
    with_node(config, add, async |node| {
        assert_eq!(node.fails("test_endless", json!([])).await.0, -32002);
        assert!(node.call("eth_getBlockByNumber", json!(["0x0", false])).await.is_object());
        // Nor does it go on for a client that has gone.
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "test_endless"}).to_string();
        let mut gone = connect(&node).await;
        let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ";
        gone.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(gone);
        assert!(node.call("eth_getBlockByNumber", json!(["0x0", false])).await.is_object());
    });
}

#[test]
fn others_have_their_turn_within_a_batch() {
    let done = Arc::<AtomicUsize>::default();
    let counted = done.clone();
    let add = |builder: Builder| {
        builder.methods(move |methods| {
            methods.instant("test_instant", move |_, _| {
                counted.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
                Ok::<_, RpcError>(true)
            });
        })
    };
    with_node(Config::default(), add, async move |node| {
        let mut other = connect(&node).await;
        ask(&mut other).await;
        let one = json!({"jsonrpc": "2.0", "id": 1, "method": "test_instant"});
        let body = Value::Array(vec![one; 1_000]).to_string();
        // More of them than the runtime has threads.
        let batches = futures::future::join_all((0..3).map(|_| node.post(body.clone())));
        let asked = async {
            while done.load(Ordering::Relaxed) < 40 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            ask(&mut other).await;
            done.load(Ordering::Relaxed)
        };
        let (answers, done_by_then) = futures::future::join(batches, asked).await;
        assert!(done_by_then < 1_500, "{done_by_then} came before");
        assert!(answers.iter().all(|answer| answer.as_array().unwrap().len() == 1_000));
    });
}

#[test]
fn a_method_that_panics_fails_alone() {
    // With time enough for the panic to print its backtrace on a busy machine.
    let add = |builder: Builder| {
        builder.methods(|methods| {
            methods.read("test_panic", |_, _| -> Result<(), RpcError> { panic!("a bug in a method") });
        })
    };
    with_node(Config::default(), add, async |node| {
        assert_eq!(node.fails("test_panic", json!([])).await.0, -32603);
        is_alive(&node).await;
    });
}

#[test]
fn pages_may_call_and_strangers_names_may_not() {
    let config = Config { origins: Origins::Only(vec!["https://wallet.example".into()]), ..Config::default() };
    with_node(
        config,
        |builder| builder,
        async |node| {
            let body = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}).to_string();
            let post = || node.client.post(node.url()).header("content-type", "application/json").body(body.clone());
            let allowed = post().header("origin", "https://wallet.example").send().await.unwrap();
            assert_eq!(allowed.headers()["access-control-allow-origin"], "https://wallet.example");
            let other = post().header("origin", "https://evil.example").send().await.unwrap();
            assert!(!other.headers().contains_key("access-control-allow-origin"));
            let preflight = node
                .client
                .request(reqwest::Method::OPTIONS, node.url())
                .header("origin", "https://wallet.example")
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "content-type")
                .send()
                .await
                .unwrap();
            assert_eq!(preflight.status(), 204);
            assert_eq!(preflight.headers()["access-control-allow-headers"], "content-type");

            let rebound = post().header("host", "evil.example:8545").send().await.unwrap();
            assert_eq!(rebound.status(), 403);
            let text = node.client.post(node.url()).header("content-type", "text/plain").body(body.clone());
            assert_eq!(text.send().await.unwrap().status(), 415);
            assert_eq!(node.client.get(node.url()).send().await.unwrap().status(), 200);
            assert_eq!(node.client.put(node.url()).send().await.unwrap().status(), 405);
            assert_eq!(node.client.get(format!("{}/nothing", node.url())).send().await.unwrap().status(), 404);
        },
    );
}

#[test]
fn methods_and_routes_can_be_added_and_replaced() {
    let extend = |builder: Builder| {
        builder
            .method("stoa_hello", async |context: crate::Context, _| Ok::<_, RpcError>(context.chain_id()))
            .method("eth_coinbase", async |_, _| Ok::<_, RpcError>("replaced"))
            .router(axum::Router::new().route("/hello", axum::routing::get(async || "hello")))
            .home(r#"{"home":1}"#)
    };
    with_node(Config::default(), extend, async |node| {
        assert_eq!(node.call("stoa_hello", json!([])).await, 31337);
        assert_eq!(node.call("eth_coinbase", json!([])).await, "replaced");
        let page = node.client.get(format!("{}/hello", node.url())).send().await.unwrap();
        assert_eq!(page.text().await.unwrap(), "hello");
        let home = node.client.get(node.url()).send().await.unwrap();
        assert_eq!(home.headers()["content-type"], "application/json");
        assert_eq!(home.text().await.unwrap(), r#"{"home":1}"#);
        let address = node.handle.local_addr();
        node.handle.shutdown().await;
        assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
    });
}
