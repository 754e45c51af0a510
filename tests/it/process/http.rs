//! One HTTP/1.1 request at a time, by hand: the judge has no client library that would forgive what a customer would not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A daemon that does not answer for so long is broken.
const SILENCE: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Response {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|e| panic!("{e} in the answer {} {:?}", self.status, self.body))
    }
}

/// `GET path`, with a key or without.
pub(crate) fn get(address: SocketAddr, path: &str, key: Option<&str>) -> std::io::Result<Response> {
    exchange(address, &format!("GET {path} HTTP/1.1\r\n{}\r\n", head(address, key)))
}

/// `DELETE path`.
pub(crate) fn delete(address: SocketAddr, path: &str, key: &str) -> std::io::Result<Response> {
    exchange(address, &format!("DELETE {path} HTTP/1.1\r\n{}\r\n", head(address, Some(key))))
}

/// `POST path` with a JSON body.
pub(crate) fn post(address: SocketAddr, path: &str, key: &str, body: &Value) -> std::io::Result<Response> {
    let body = body.to_string();
    let head = head(address, Some(key));
    let length = body.len();
    exchange(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\n{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
    )
}

fn head(address: SocketAddr, key: Option<&str>) -> String {
    let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    format!("Host: {address}\r\nConnection: close\r\n{key}")
}

/// Several requests in one go, on one connection; the answers in their order.
pub(crate) fn pipeline(address: SocketAddr, requests: &str, count: usize) -> std::io::Result<Vec<Response>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.write_all(requests.as_bytes())?;
    let mut reader = BufReader::new(stream);
    (0..count).map(|_| read_response(&mut reader)).collect()
}

fn exchange(address: SocketAddr, request: &str) -> std::io::Result<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.write_all(request.as_bytes())?;
    read_response(&mut BufReader::new(stream))
}

fn read_response(reader: &mut impl BufRead) -> std::io::Result<Response> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|s| s.parse().ok());
    let Some(status) = status else {
        return Err(std::io::Error::other(format!("not a status line: {line:?}")));
    };
    let mut length = None;
    let mut chunked = false;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok(),
            "transfer-encoding" => chunked = value.trim() == "chunked",
            _ => {}
        }
    }
    assert!(!chunked, "the daemon knows the lengths of its answers");
    let mut body = String::new();
    match length {
        Some(length) => reader.take(length).read_to_string(&mut body)?,
        None => reader.read_to_string(&mut body)?,
    };
    Ok(Response { status, body })
}

#[test]
fn a_response_is_read_by_its_length() {
    let bytes = b"HTTP/1.1 202 Accepted\r\nContent-Type: a\r\ncontent-length: 2\r\n\r\n{}rest";
    let response = read_response(&mut &bytes[..]).expect("it is a response");
    assert_eq!((response.status, response.body.as_str()), (202, "{}"));
    assert!(read_response(&mut &b"nonsense\r\n\r\n"[..]).is_err());
}
