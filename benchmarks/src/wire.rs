//! One keep-alive connection for JSON-RPC, as plain as it can be: the generator shall cost little beside the node.

use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure};
use memchr::memmem;
use serde::de::DeserializeOwned;
use serde_json::{Value, json, value::RawValue};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// One connection.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A whole HTTP request with this JSON body.
pub fn request(body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The JSON of one call.
pub fn call(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

impl Wire {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If nobody listens.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a [`request`] and waits for the body of the answer.
    ///
    /// # Errors
    ///
    /// If the connection fails, or the answer holds a JSON-RPC error.
    pub async fn send(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (body, end) = loop {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the node closed the connection");
            if let Some(head) = memmem::find(&self.buffer, b"\r\n\r\n") {
                let length = content_length(&self.buffer[..head])?;
                break (head + 4, head + 4 + length);
            }
        };
        while self.buffer.len() < end {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the node closed the connection");
        }
        let body = &self.buffer[body..end];
        if memmem::find(&body[..body.len().min(200)], b"\"error\"").is_some() {
            bail!("the node answers {}", String::from_utf8_lossy(body));
        }
        Ok(body)
    }

    /// Calls a method.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), or if the result is of another kind.
    pub async fn call<T: DeserializeOwned>(&mut self, method: &str, params: Value) -> Result<T> {
        let answer = self.send(&request(&call(method, &params).to_string())).await?;
        result(answer).wrap_err_with(|| method.to_owned())
    }
}

/// The result in an answer.
///
/// # Errors
///
/// If the answer holds none, or one of another kind.
pub fn result<T: DeserializeOwned>(answer: &[u8]) -> Result<T> {
    #[derive(serde::Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        result: &'a RawValue,
    }
    let answer: Answer<'_> = serde_json::from_slice(answer)?;
    Ok(serde_json::from_str(answer.result.get())?)
}

fn content_length(head: &[u8]) -> Result<usize> {
    let head = std::str::from_utf8(head)?;
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let (_, length) = fields
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .wrap_err("an answer does not say how long it is")?;
    Ok(length.trim().parse()?)
}
