//! HTTP: bodies in, answers out, and who may ask from a browser.

use crate::{
    Config, Origins, RpcError,
    body::{self, Fault},
    context::{Connection, Context, Node, crowded},
    protocol, websocket,
};
use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State, ws::WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, uri::Authority},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::any,
};
use bytes::Bytes;
use std::{net::IpAddr, sync::Arc};
use tokio::sync::watch;

#[derive(Clone)]
pub(crate) struct Service {
    pub node: Arc<Node>,
    /// Whether the server listens on loopback only.
    pub loopback: bool,
    /// What `GET /` answers, in JSON.
    pub home: Bytes,
    pub shutdown: watch::Receiver<bool>,
}

/// The routes of the JSON-RPC server, joined with those of others on the same port.
pub(crate) fn router(service: Service, others: Router) -> Router {
    let own = Router::new().route("/", any(serve)).route("/ws", any(serve)).with_state(service.clone());
    others.merge(own).layer(middleware::from_fn_with_state(service, guard))
}

/// What goes before every route: the `Host` header, CORS.
async fn guard(State(service): State<Service>, request: Request, next: Next) -> Response {
    let config = &service.node.config;
    let headers = request.headers();
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if service.loopback && !named.is_none_or(|host| host_allowed(config, host)) {
        return (StatusCode::FORBIDDEN, "invalid host specified\n").into_response();
    }
    let origin = headers.get(header::ORIGIN).cloned();
    let allowed = origin.filter(|origin| origin_allowed(&service.node, origin, headers));
    let preflight = request.method() == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let mut response = if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    if let Some(origin) = allowed
        && !headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
    {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if preflight {
            let methods = HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS");
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            if let Some(asked) = asked {
                headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
            }
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
            headers.insert("access-control-allow-private-network", HeaderValue::from_static("true"));
        }
    }
    response
}

fn host_allowed(config: &Config, host: &str) -> bool {
    // The port does not matter: `host:port`, `[v6]:port`, or either without one.
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.parse::<IpAddr>().is_ok() || is_own(config, name)
}

/// Whether a name is this machine's, or one that the node is served under.
fn is_own(config: &Config, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || config.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(&name))
}

/// Whether pages of an origin may call. A node that signs with accounts of its own does so for whoever asks: where pages of every origin
/// may call, those of this machine may call it, those of names that it is served under, its own, and no others.
fn origin_allowed(node: &Node, origin: &HeaderValue, headers: &HeaderMap) -> bool {
    match &node.config.origins {
        Origins::Any => node.accounts.is_empty() || is_near(&node.config, origin, headers.get(header::HOST)),
        Origins::Only(list) => list.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()),
    }
}

/// Whether a page is one of this machine, on whatever port, or of a name that the node is served under; or no page but what the browser's
/// user has added to it, or a program that names the node's own address, as some do that open WebSockets.
fn is_near(config: &Config, origin: &HeaderValue, named: Option<&HeaderValue>) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    let Ok(uri) = origin.parse::<Uri>() else { return false };
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else { return false };
    // A wallet that its user has added to the browser: no page has such an origin.
    if scheme.ends_with("-extension") {
        return true;
    }
    if !["http", "https"].contains(&scheme) {
        return false;
    }
    // Nothing else stands in an origin. Where something does, the host may be another than the one that is read there.
    let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    if !origin.eq_ignore_ascii_case(&format!("{scheme}://{host}{port}")) {
        return false;
    }
    let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() else { return is_own(config, host) };
    // No name leads to an address but itself: what is called by the one that the page has is what the page came from.
    address.is_loopback() || named.is_some_and(|named| is_same(&uri, named))
}

/// Whether a `Host` header names the very host and port of an origin.
fn is_same(origin: &Uri, named: &HeaderValue) -> bool {
    let named = named.to_str().ok().and_then(|named| named.parse::<Authority>().ok());
    let usual = if origin.scheme_str() == Some("https") { 443 } else { 80 };
    named.is_some_and(|named| {
        origin.host().is_some_and(|host| host.eq_ignore_ascii_case(named.host()))
            && origin.port_u16().unwrap_or(usual) == named.port_u16().unwrap_or(usual)
    })
}

fn json(status: StatusCode, body: Bytes) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// An error that is not the answer to any one request.
fn refusal(status: StatusCode, error: RpcError) -> Response {
    let mut body = Vec::new();
    protocol::write(&mut body, None, &Err(error));
    json(status, body.into())
}

/// Whether the client is Hardhat, of any version.
fn is_hardhat(headers: &HeaderMap) -> bool {
    const NAME: &[u8] = b"hardhat";
    let agent = headers.get(header::USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    agent.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME))
}

async fn serve(
    State(service): State<Service>,
    connection: Extension<Arc<Connection>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    let config = &service.node.config;
    let hardhat = is_hardhat(request.headers());
    let origin = request.headers().get(header::ORIGIN);
    let is_allowed = origin.is_none_or(|origin| origin_allowed(&service.node, origin, request.headers()));
    // Over HTTP a browser asks before it sends what a page says, but not if the page's own name leads here.
    if !is_allowed && (upgrade.is_ok() || !service.node.accounts.is_empty()) {
        return (StatusCode::FORBIDDEN, "origin not allowed\n").into_response();
    }
    if let Ok(upgrade) = upgrade {
        let Some(slot) = service.node.traffic.open_websocket(config.max_websockets) else {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, RpcError::limit("too many WebSocket connections"));
        };
        let (max, received) = (config.max_message_bytes, connection.0.received.clone());
        return upgrade
            .max_message_size(max)
            .max_frame_size(max)
            .max_write_buffer_size(2 * config.max_response_bytes)
            .on_upgrade(async move |socket| {
                let _slot = slot;
                websocket::serve(socket, service.node, hardhat, received, service.shutdown).await;
            });
    }
    match *request.method() {
        Method::POST => post(service.node, connection.0, hardhat, request).await,
        Method::GET | Method::HEAD if service.home.is_empty() => (StatusCode::OK, "").into_response(),
        Method::GET | Method::HEAD => json(StatusCode::OK, service.home),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n").into_response(),
    }
}

/// Whether the body says that it is JSON. A page can send other types to any address without asking first.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    ["application/json", "application/json-rpc", "application/jsonrequest"]
        .iter()
        .any(|allowed| kind.eq_ignore_ascii_case(allowed))
}

async fn post(node: Arc<Node>, connection: Arc<Connection>, hardhat: bool, request: Request<Body>) -> Response {
    let (max, patience) = (node.config.max_request_bytes, node.config.body_timeout);
    if !is_json(request.headers()) {
        let why = "invalid content type, only application/json is supported";
        let answer = refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, RpcError::invalid_request(why));
        return body::discard(request.into_body(), patience).await.answer(answer);
    }
    match body::read(request.into_body(), max, patience, &node.memory).await {
        Ok(body) => {
            let answer = Context::new(node, connection, hardhat).answer(body).await;
            json(StatusCode::OK, answer.unwrap_or_default())
        }
        Err((fault, discarded)) => {
            let (status, error) = match fault {
                Fault::TooLarge => {
                    let why = format!("request too large, at most {max} bytes");
                    (StatusCode::PAYLOAD_TOO_LARGE, RpcError::invalid_request(why))
                }
                Fault::TooSlow => (StatusCode::REQUEST_TIMEOUT, RpcError::timeout()),
                Fault::Broken => (StatusCode::BAD_REQUEST, RpcError::parse("the body ends before it is complete")),
                Fault::NoRoom => (StatusCode::SERVICE_UNAVAILABLE, crowded()),
            };
            discarded.answer(refusal(status, error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{http_client, signer, with_node};

    #[test]
    fn hardhat_is_known_by_how_its_user_agent_begins() {
        let is_hardhat = |agent: &'static str| {
            is_hardhat(&HeaderMap::from_iter([(header::USER_AGENT, HeaderValue::from_static(agent))]))
        };
        assert!(["hardhat 2.26.3", "Hardhat 3.0.1", "HARDHAT"].into_iter().all(is_hardhat));
        assert!(!["", "hard", "foundry", "not hardhat"].into_iter().any(is_hardhat));
        assert!(!super::is_hardhat(&HeaderMap::new()));
    }

    #[test]
    fn pages_of_this_machine_are_near_and_what_looks_like_them_is_not() {
        let config = Config { hosts: vec!["node.example".into()], ..Config::default() };
        let named = HeaderValue::from_static("127.0.0.1:8545");
        let near = |origin: &'static str| is_near(&config, &HeaderValue::from_static(origin), Some(&named));
        for origin in [
            "http://localhost",
            "http://localhost:3000",
            "https://a.localhost:3000",
            "http://127.0.0.1:5173",
            "http://[::1]",
            "http://[::1]:5173",
            "http://LOCALHOST:3000",
            "http://node.example:3000",
            "https://Node.example",
            "chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn",
            "moz-extension://3a0d1a1c-7c4b-4f8e-9d64-2f0a7e1b5c11",
        ] {
            assert!(near(origin), "{origin}");
        }
        for origin in [
            "null",
            "",
            "localhost",
            "file://",
            "ftp://localhost",
            "https://evil.example",
            "http://localhost.evil.example",
            "https://localhost.evil.com",
            "https://notlocalhost",
            "http://localhost@evil.example",
            "http://localhost:3000@evil.example",
            "http://127.0.0.1.evil.example",
            "http://127.0.0.1:80@evil.example",
            "http://[::1].evil.example",
            "http://[::2]:5173",
            "http://evil.example/localhost",
            "http://localhost, http://evil.example",
            "http://evil.example:8545",
            "http://10.0.0.7",
            "http://a.node.example",
        ] {
            assert!(!near(origin), "{origin}");
        }
    }

    #[test]
    fn who_names_the_address_that_he_calls_is_near_and_no_other_address_or_name_is() {
        let near = |origin: &'static str, named: &'static str| {
            let named = (!named.is_empty()).then(|| HeaderValue::from_static(named));
            is_near(&Config::default(), &HeaderValue::from_static(origin), named.as_ref())
        };
        for (origin, named) in [
            ("http://10.0.0.7:8545", "10.0.0.7:8545"),
            ("https://10.0.0.7:8545", "10.0.0.7:8545"),
            ("http://10.0.0.7", "10.0.0.7"),
            ("http://10.0.0.7:80", "10.0.0.7"),
            ("https://10.0.0.7", "10.0.0.7:443"),
            ("http://[2001:DB8::7]:8545", "[2001:db8::7]:8545"),
        ] {
            assert!(near(origin, named), "{origin} {named}");
        }
        for (origin, named) in [
            ("http://10.0.0.7:8545", ""),
            ("http://10.0.0.7:3000", "10.0.0.7:8545"),
            ("http://10.0.0.7", "10.0.0.7:8545"),
            ("http://10.0.0.7:8545", "10.0.0.8:8545"),
            ("http://10.0.0.7:8545", "not an authority"),
            // A name may lead here and elsewhere.
            ("http://evil.example:8545", "evil.example:8545"),
            ("ftp://10.0.0.7:8545", "10.0.0.7:8545"),
            ("http://10.0.0.7:8545@evil.example", "10.0.0.7:8545"),
        ] {
            assert!(!near(origin, named), "{origin} {named}");
        }
    }

    #[test]
    fn a_node_that_signs_for_whoever_asks_answers_pages_of_this_machine_alone() {
        for (accounts, others) in [(vec![], true), (vec![signer(0)], false)] {
            with_node(
                Config::default(),
                |builder| builder.accounts(accounts),
                async |node| {
                    let client = http_client();
                    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_accounts"}"#;
                    let answers = async |origin: &str, method: reqwest::Method| {
                        let asked = client.request(method, node.url()).header("origin", origin);
                        let asked = asked.header("access-control-request-method", "POST");
                        let answer = asked.header("content-type", "application/json").body(body).send().await.unwrap();
                        answer.headers().contains_key("access-control-allow-origin")
                    };
                    for method in [reqwest::Method::POST, reqwest::Method::OPTIONS] {
                        assert!(answers("http://localhost:3000", method.clone()).await);
                        assert_eq!(answers("https://evil.example", method.clone()).await, others, "{method}");
                        assert_eq!(answers("null", method).await, others);
                    }
                    // Programs that name the address that they call are no pages of others.
                    for (origin, answered) in [("http://10.0.0.7:8545", true), ("http://10.0.0.7:80", others)] {
                        let asked = client.post(node.url()).header("host", "10.0.0.7:8545").header("origin", origin);
                        let asked = asked.header("content-type", "application/json").body(body);
                        assert_eq!(asked.send().await.unwrap().status() == 200, answered, "{origin}");
                    }
                    // Nor does it do what a page asks whose own name leads here, for which the browser does not ask first.
                    let asked = client.post(node.url()).header("origin", "http://evil.example:8545");
                    let asked = asked.header("content-type", "application/json").body(body);
                    assert_eq!(asked.send().await.unwrap().status() == 200, others);
                },
            );
        }
    }

    #[test]
    fn only_local_names_and_addresses_reach_a_node_on_loopback() {
        let config = Config { hosts: vec!["node.example".into()], ..Config::default() };
        for host in ["localhost:8545", "127.0.0.1", "[::1]:8545", "a.localhost", "node.example:80", "LOCALHOST"] {
            assert!(host_allowed(&config, host), "{host}");
        }
        for host in ["evil.example:8545", "localhost.evil.example", "", "127.0.0.1.evil.example"] {
            assert!(!host_allowed(&config, host), "{host}");
        }
    }
}
