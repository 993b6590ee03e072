//! A small HTTP/1.1 client for control interfaces: one request per connection, bounded in time
//! and size, over TCP or a Unix socket.
//!
//! It deliberately keeps no pool, follows no redirect and retries nothing.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use harness_core::units::Duration;

use crate::unix_socket::reachable;

/// A larger answer is an error.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Where a control interface listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `127.0.0.1:4711`.
    Tcp(String),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nothing listens there: connection refused, or no such socket.
    #[error("nothing listens at {address}")]
    Absent {
        /// Where.
        address: String,
    },
    /// The deadline passed.
    #[error("{address} did not answer within {within}")]
    TimedOut {
        /// Where.
        address: String,
        /// The deadline.
        within: Duration,
    },
    /// The connection or the exchange broke.
    #[error("{address}: {why}")]
    Broken {
        /// Where.
        address: String,
        /// What happened.
        why: String,
    },
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Status and the beginning of the body, for messages.
    pub fn summary(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        format!("{} {}", self.status, text.chars().take(200).collect::<String>().trim())
    }
}

/// Makes one request and reads the whole answer.
pub async fn call(
    address: &Address,
    method: Method,
    path: &str,
    body: Option<&Value>,
    within: Duration,
) -> Result<Answer, CallError> {
    let exchange = async {
        match address {
            Address::Tcp(target) => {
                let stream = TcpStream::connect(target).await.map_err(|e| failed(address, &e))?;
                stream.set_nodelay(true).map_err(|e| failed(address, &e))?;
                send(stream, address, method, path, body).await
            }
            Address::Unix(target) => {
                let socket = reachable(target).map_err(|e| failed(address, &e))?;
                let stream = UnixStream::connect(socket.path()).await;
                let stream = stream.map_err(|e| failed(address, &e))?;
                send(stream, address, method, path, body).await
            }
        }
    };
    tokio::time::timeout(within.as_std(), exchange)
        .await
        .map_err(|_| CallError::TimedOut { address: address.to_string(), within })?
}

fn failed(address: &Address, error: &io::Error) -> CallError {
    let absent = matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound);
    let address = address.to_string();
    if absent {
        CallError::Absent { address }
    } else {
        CallError::Broken { address, why: error.to_string() }
    }
}

/// A part of a path, or a value of a query, with `%xx` for what has a meaning of its own there.
pub(crate) fn encoded(text: &str) -> String {
    let part = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(part).collect()
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    address: &Address,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer, CallError> {
    let broken = |error: &hyper::Error| CallError::Broken {
        address: address.to_string(),
        why: error.source().map_or_else(|| error.to_string(), ToString::to_string),
    };
    let host = match address {
        Address::Tcp(target) => target.as_str(),
        Address::Unix(_) => "localhost",
    };
    let bytes = body.map(|value| Bytes::from(value.to_string())).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, host)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(bytes))
        .map_err(|e| CallError::Broken { address: host.to_owned(), why: e.to_string() })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| broken(&e))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|e| broken(&e))?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|e| CallError::Broken { address: address.to_string(), why: e.to_string() })?
            .to_bytes();
        Ok(Answer { status, headers, body })
    };
    tokio::pin!(exchange, connection);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        // The connection may end before the answer was handed on; it is in the exchange already.
        _ = &mut connection => exchange.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_part_of_an_address() {
        assert_eq!(encoded("run-1.a"), "run-1.a");
        assert_eq!(encoded("a&b=c d/"), "a%26b%3Dc%20d%2F");
    }
}
