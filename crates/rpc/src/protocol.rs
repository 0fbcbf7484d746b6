//! JSON-RPC 2.0 framing: from a body to requests, from outcomes to a body.
//!
//! Nothing is turned into a tree of values. Identifiers and parameters stay parts of the body, which they hold together, results
//! are text that is copied once into the answer.

use crate::RpcError;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// One request of a body.
pub(crate) struct Request {
    /// The identifier's JSON text; `None` for a notification, which gets no answer.
    pub id: Option<Bytes>,
    pub method: String,
    /// JSON text.
    pub params: Option<Bytes>,
}

/// What stands in a request's place and is none.
#[derive(Debug)]
pub(crate) struct Invalid {
    /// Its identifier's JSON text, as far as there is one.
    pub id: Option<Bytes>,
}

impl Invalid {
    /// What is told of it.
    pub fn error() -> RpcError {
        RpcError::invalid_request("invalid request")
    }
}

/// A body: one request or a list of them. Each may be wrong on its own.
pub(crate) enum Body {
    Single(Result<Request, Invalid>),
    Batch(Vec<Result<Request, Invalid>>),
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

/// Keeps `null` apart from a missing member: a request with the identifier null is answered.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The request that a part of the body is.
fn request(body: &Bytes, value: &RawValue) -> Result<Request, Invalid> {
    valid(body, value).ok_or_else(|| Invalid { id: identifier(value).map(|id| share(body, id)) })
}

fn valid(body: &Bytes, value: &RawValue) -> Option<Request> {
    let frame: Frame<'_> = serde_json::from_str(value.get()).ok()?;
    let valid = frame.jsonrpc.as_deref() == Some("2.0") && frame.id.is_none_or(is_identifier);
    let method = frame.method.filter(|_| valid)?.into_owned();
    Some(Request {
        id: frame.id.map(|id| share(body, id)),
        method,
        params: frame.params.map(|params| share(body, params)),
    })
}

fn is_identifier(id: &RawValue) -> bool {
    !id.get().starts_with(['{', '[', 't', 'f'])
}

/// The identifier of an object, whatever else stands in it.
fn identifier(value: &RawValue) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    let named = value.get().starts_with('{').then(|| serde_json::from_str::<Named<'_>>(value.get()))?;
    named.ok().map(|named| named.id).filter(|id| is_identifier(id))
}

/// The requests of a batch, or nothing if there are more than `max`.
struct Batch<'a>(Option<Vec<&'a RawValue>>);

struct BatchVisitor {
    max: usize,
}

impl<'de> de::Visitor<'de> for BatchVisitor {
    type Value = Batch<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of requests")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut sequence: A) -> Result<Batch<'de>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element()? {
            if values.len() < self.max {
                values.push(value);
            } else {
                // The rest is looked at only as far as being JSON.
                while sequence.next_element::<de::IgnoredAny>()?.is_some() {}
                return Ok(Batch(None));
            }
        }
        Ok(Batch(Some(values)))
    }
}

/// Refuses text nested deeper than `max`, before anything that recurses sees it.
fn check_depth(body: &[u8], max: usize) -> Result<(), RpcError> {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for byte in body {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > max {
                    return Err(RpcError::parse(format_args!("nested more than {max} levels deep")));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Reads a body.
///
/// # Errors
///
/// -32700 if it isn't JSON, -32600 if it is an empty or too long batch.
pub(crate) fn read(body: &Bytes, max_batch: usize, max_depth: usize) -> Result<Body, RpcError> {
    check_depth(body, max_depth)?;
    let text = std::str::from_utf8(body).map_err(RpcError::parse)?;
    if !text.trim_start().starts_with('[') {
        let value: &RawValue = serde_json::from_str(text).map_err(RpcError::parse)?;
        return Ok(Body::Single(request(body, value)));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let batch = deserializer
        .deserialize_seq(BatchVisitor { max: max_batch })
        .and_then(|batch| deserializer.end().map(|()| batch))
        .map_err(RpcError::parse)?;
    match batch.0 {
        None => Err(RpcError::invalid_request(format!("batch too large, at most {max_batch} requests"))),
        Some(values) if values.is_empty() => Err(RpcError::invalid_request("empty batch")),
        Some(values) => Ok(Body::Batch(values.into_iter().map(|value| request(body, value)).collect())),
    }
}

/// The bytes of `body` that a part of it covers, without a copy.
fn share(body: &Bytes, part: &RawValue) -> Bytes {
    body.slice_ref(part.get().as_bytes())
}

/// Appends one answer.
pub(crate) fn write(out: &mut Vec<u8>, id: Option<&[u8]>, outcome: &Result<Vec<u8>, RpcError>) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.unwrap_or(b"null"));
    match outcome {
        Ok(result) => {
            out.extend_from_slice(br#","result":"#);
            out.extend_from_slice(result);
        }
        Err(error) => {
            out.extend_from_slice(br#","error":"#);
            // Writing a struct of numbers and strings into memory has nothing that can fail.
            if serde_json::to_writer(&mut *out, error).is_err() {
                out.extend_from_slice(br#"{"code":-32603,"message":"internal error"}"#);
            }
        }
    }
    out.push(b'}');
}

/// What is answered to a body of which nothing is done: this error, under the identifier of each of its requests, and under none if it
/// cannot be read. `None` if it holds only notifications.
pub(crate) fn refuse(body: &Bytes, error: RpcError, max_batch: usize, max_depth: usize) -> Option<Vec<u8>> {
    let identifier = |request: Result<Request, Invalid>| match request {
        Ok(request) => request.id,
        Err(Invalid { id }) => Some(id.unwrap_or_else(|| Bytes::from_static(b"null"))),
    };
    let (outcome, mut out) = (Err(error), Vec::new());
    match read(body, max_batch, max_depth) {
        Err(_) => write(&mut out, None, &outcome),
        Ok(Body::Single(request)) => write(&mut out, Some(&identifier(request)?), &outcome),
        Ok(Body::Batch(requests)) => {
            for id in requests.into_iter().filter_map(identifier) {
                out.push(if out.is_empty() { b'[' } else { b',' });
                write(&mut out, Some(&id), &outcome);
            }
            if out.is_empty() {
                return None;
            }
            out.push(b']');
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(body: &str) -> Result<Body, RpcError> {
        super::read(&Bytes::copy_from_slice(body.as_bytes()), 10, 100)
    }

    fn single(body: &str) -> Result<Request, RpcError> {
        match read(body)? {
            Body::Single(request) => request.map_err(|_| Invalid::error()),
            Body::Batch(_) => panic!("a batch"),
        }
    }

    #[test]
    fn a_request_is_read_and_its_identifier_kept_as_written() {
        let request = single(r#"{"jsonrpc":"2.0","method":"a","params":["x"],"id":"\u0041"}"#).unwrap();
        assert_eq!((&*request.method, &*request.id.unwrap()), ("a", &br#""\u0041""#[..]));
        assert_eq!(request.params.unwrap(), r#"["x"]"#);
    }

    #[test]
    fn a_missing_identifier_is_a_notification_and_null_is_not() {
        assert!(single(r#"{"jsonrpc":"2.0","method":"a"}"#).unwrap().id.is_none());
        assert_eq!(single(r#"{"jsonrpc":"2.0","method":"a","id":null}"#).unwrap().id.unwrap(), "null");
    }

    #[test]
    fn what_is_no_request_gets_the_standard_code() {
        for (body, code) in [
            ("", -32700),
            ("{", -32700),
            ("nonsense", -32700),
            (r#"{"jsonrpc":"2.0","method":"a"} x"#, -32700),
            ("1", -32600),
            ("{}", -32600),
            (r#"{"jsonrpc":"1.0","method":"a","id":1}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
            (r#"{"jsonrpc":"2.0","method":1,"id":1}"#, -32600),
            (r#"{"jsonrpc":"2.0","method":"a","id":{}}"#, -32600),
            ("[]", -32600),
        ] {
            let error = match read(body) {
                Ok(Body::Single(Err(_))) => Invalid::error(),
                Err(error) => error,
                _ => panic!("{body} was accepted"),
            };
            assert_eq!(error.code, code, "{body}");
        }
    }

    #[test]
    fn what_is_no_request_keeps_its_identifier() {
        for (body, id) in [
            (r#"{"id":1,"method":"a"}"#, Some("1")),
            (r#"{"jsonrpc":"1.0","id":"x","method":"a"}"#, Some("\"x\"")),
            (r#"{"jsonrpc":2,"id":1,"method":"a"}"#, Some("1")),
            (r#"{"jsonrpc":"2.0","id":1}"#, Some("1")),
            (r#"{"jsonrpc":"2.0","method":1,"id":1}"#, Some("1")),
            (r#"{"jsonrpc":"2.0","method":"a","id":{}}"#, None),
            ("{}", None),
            ("1", None),
        ] {
            let Ok(Body::Single(Err(invalid))) = read(body) else { panic!("{body} was accepted") };
            assert_eq!(invalid.id.as_deref(), id.map(str::as_bytes), "{body}");
        }
    }

    #[test]
    fn a_bad_request_in_a_batch_spoils_only_itself() {
        let Ok(Body::Batch(requests)) = read(r#"[1, {"jsonrpc":"2.0","method":"a","id":1}]"#) else {
            panic!("no batch")
        };
        assert_eq!((requests[0].is_err(), requests[1].is_ok()), (true, true));
    }

    #[test]
    fn a_batch_of_a_million_is_refused_without_keeping_it() {
        let body = format!("[{}1]", "1,".repeat(1_000_000));
        let Err(error) = super::read(&body.into(), 1_000, 100) else { panic!("accepted") };
        assert_eq!((error.code, &*error.message), (-32600, "batch too large, at most 1000 requests"));
    }

    #[test]
    fn deep_nesting_is_a_parse_error_but_brackets_in_text_are_not() {
        let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        assert_eq!(read(&deep).err().unwrap().code, -32700);
        let quoted = format!(r#"{{"jsonrpc":"2.0","method":"{}\"[","id":1}}"#, "[".repeat(1_000));
        assert!(single(&quoted).is_ok());
    }

    #[test]
    fn answers_carry_result_or_error() {
        let mut out = Vec::new();
        write(&mut out, Some(b"7"), &Ok(b"true".to_vec()));
        assert_eq!(out, br#"{"jsonrpc":"2.0","id":7,"result":true}"#);
        out.clear();
        write(&mut out, None, &Err(RpcError::invalid_request("invalid request")));
        assert_eq!(out, br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"invalid request"}}"#);
    }

    #[test]
    fn a_body_that_is_refused_is_answered_under_each_identifier() {
        let refused = |body: &str| {
            let body = Bytes::copy_from_slice(body.as_bytes());
            refuse(&body, RpcError::limit("no"), 10, 100).map(|out| String::from_utf8(out).unwrap())
        };
        let answer = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32005,"message":"no"}}}}"#);
        let (seven, silent) = (r#"{"jsonrpc":"2.0","method":"a","id":7}"#, r#"{"jsonrpc":"2.0","method":"a"}"#);
        assert_eq!(refused(seven), Some(answer("7")));
        assert_eq!((refused(silent), refused(&format!("[{silent},{silent}]"))), (None, None));
        let batch = format!(r#"[{seven},{silent},{{"id":"x"}},1]"#);
        assert_eq!(refused(&batch), Some(format!("[{},{},{}]", answer("7"), answer("\"x\""), answer("null"))));
        assert_eq!(refused("nonsense"), Some(answer("null")));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body: Vec<u8>) {
            let _ = super::read(&body.into(), 10, 100);
        }
    }
}
