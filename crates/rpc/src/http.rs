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
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
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
    let allowed = origin.filter(|origin| origin_allowed(config, origin));
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
    let name = name.to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok()
        || config.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(&name))
}

fn origin_allowed(config: &Config, origin: &HeaderValue) -> bool {
    match &config.origins {
        Origins::Any => true,
        Origins::Only(list) => list.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()),
    }
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
    if let Ok(upgrade) = upgrade {
        let origin = request.headers().get(header::ORIGIN);
        if !origin.is_none_or(|origin| origin_allowed(config, origin)) {
            return (StatusCode::FORBIDDEN, "origin not allowed\n").into_response();
        }
        let Some(slot) = service.node.traffic.open_websocket(config.max_websockets) else {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, RpcError::limit("too many WebSocket connections"));
        };
        let max = config.max_message_bytes;
        return upgrade
            .max_message_size(max)
            .max_frame_size(max)
            .max_write_buffer_size(2 * config.max_response_bytes)
            .on_upgrade(async move |socket| {
                let _slot = slot;
                websocket::serve(socket, service.node, hardhat, service.shutdown).await;
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
            let context = Context { node: node.clone(), connection, message: 0, hardhat };
            let answer = context.answer(body).await;
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
