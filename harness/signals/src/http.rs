//! A small HTTP/1.1 client: one request on a fresh connection, bounded in time and size.
//!
//! It deliberately keeps no pool, follows no redirect and retries nothing: what an exchange came
//! to is the observation.

use std::error::Error as _;
use std::io;

use bytes::Bytes;
use harness_core::units::Duration;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::http::uri::Authority;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;
use tokio::net::TcpStream;

use crate::text::short;

/// A larger answer that is to be kept is an error.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why there is no whole answer.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    /// This machine could not even open a connection: no free port, descriptor or memory.
    #[error("could not try {address}: {why}")]
    Untried { address: String, why: String },
    /// Nothing listens there.
    #[error("{address} refused the connection")]
    Refused { address: String },
    /// The time was over.
    #[error("{address} did not answer within {within}")]
    TimedOut { address: String, within: Duration },
    /// The connection or the exchange broke.
    #[error("{address}: {why}")]
    Broken { address: String, why: String },
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) address: &'a str,
    pub(crate) method: &'a Method,
    /// Path and query.
    pub(crate) path: &'a str,
    pub(crate) body: Option<&'a Value>,
    /// For all of it, connecting included.
    pub(crate) within: Duration,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    address: String,
    status: u16,
    body: Vec<u8>,
}

impl Answer {
    /// The body, or the refusal in words when the status is no success.
    pub(crate) fn success(self) -> Result<Vec<u8>, String> {
        if is_success(self.status) {
            return Ok(self.body);
        }
        let text = short(String::from_utf8_lossy(&self.body).trim());
        Err(format!("{} answered {}: {text}", self.address, self.status))
    }

    /// The body of a success as JSON.
    pub(crate) fn json<T: DeserializeOwned>(self) -> Result<T, String> {
        let address = self.address.clone();
        serde_json::from_slice(&self.success()?).map_err(|error| {
            format!("{address} gave what cannot be read: {}", short(&error.to_string()))
        })
    }
}

/// Whether a status is 2xx.
pub(crate) const fn is_success(status: u16) -> bool {
    status >= 200 && status < 300
}

/// `127.0.0.1:4711` of an address or of a base URL like `http://127.0.0.1:4711/`.
pub(crate) fn authority(text: &str) -> Result<String, String> {
    let plain = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let parsed = plain.parse::<Authority>().ok();
    let usable = parsed.is_some_and(|it| it.port_u16().is_some() && !plain.contains('@'));
    if usable {
        Ok(plain.to_owned())
    } else {
        Err(format!("`{}` is no address like `127.0.0.1:4711`", short(text)))
    }
}

/// A value of a query, with all but the plainest characters as `%XX`.
pub(crate) fn query(text: &str) -> String {
    let part = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(part).collect()
}

/// Asks and keeps the whole answer.
pub(crate) async fn ask(ask: Ask<'_>) -> Result<Answer, CallError> {
    let exchange = async {
        exchange(ask, |response| async move {
            let status = response.status().as_u16();
            let body = kept(response.into_body()).await?;
            Ok(Answer { address: ask.address.to_owned(), status, body })
        })
        .await
    };
    in_time(ask, exchange).await
}

/// Asks, and reads the answer to its end without keeping it: its status.
pub(crate) async fn status(ask: Ask<'_>) -> Result<u16, CallError> {
    let exchange = async {
        exchange(ask, |response| async move {
            let status = response.status().as_u16();
            // Bounded by the time of the whole exchange; nothing is kept.
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                frame.map_err(|error| reason(&error))?;
            }
            Ok(status)
        })
        .await
    };
    in_time(ask, exchange).await
}

async fn in_time<T>(
    ask: Ask<'_>,
    exchange: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    let timed_out = |_| CallError::TimedOut { address: ask.address.to_owned(), within: ask.within };
    tokio::time::timeout(ask.within.as_std(), exchange).await.map_err(timed_out)?
}

async fn exchange<T, F>(
    ask: Ask<'_>,
    read: impl FnOnce(hyper::Response<Incoming>) -> F,
) -> Result<T, CallError>
where
    F: Future<Output = Result<T, String>>,
{
    let broken = |why: String| CallError::Broken { address: ask.address.to_owned(), why };
    let request = request(ask).map_err(broken)?;
    let unconnected = |error: io::Error| unconnected(ask.address, &error);
    let stream = TcpStream::connect(ask.address).await.map_err(unconnected)?;
    stream.set_nodelay(true).map_err(unconnected)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(reason(&error)))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| reason(&error))?;
        read(response).await
    };
    tokio::pin!(exchange, connection);
    let ended = tokio::select! {
        biased;
        ended = &mut exchange => ended,
        // The connection may end first; what it has received, or why it broke, is handed on.
        _ = &mut connection => exchange.await,
    };
    ended.map_err(broken)
}

fn request(ask: Ask<'_>) -> Result<Request<Full<Bytes>>, String> {
    let body = ask.body.map(|value| Bytes::from(value.to_string())).unwrap_or_default();
    Request::builder()
        .method(ask.method)
        .uri(ask.path)
        .header(HOST, ask.address)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| error.to_string())
}

async fn kept(mut incoming: Incoming) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| reason(&error))?;
        let data = frame.data_ref().map_or(&[][..], |data| data);
        if body.len() + data.len() > ANSWER_BYTES_MAX {
            return Err(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes"));
        }
        body.extend_from_slice(data);
    }
    Ok(body)
}

/// The cause of an error, where it names one.
fn reason(error: &hyper::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// The class of a failure to connect.
pub(crate) fn unconnected(address: &str, error: &io::Error) -> CallError {
    let address = address.to_owned();
    let ours = [Errno::ADDRNOTAVAIL, Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    let number = error.raw_os_error();
    if ours.iter().any(|errno| number == Some(errno.raw_os_error())) {
        CallError::Untried { address, why: error.to_string() }
    } else if error.kind() == io::ErrorKind::ConnectionRefused {
        CallError::Refused { address }
    } else {
        CallError::Broken { address, why: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_base_urls_are_taken() {
        for good in ["127.0.0.1:1", "http://127.0.0.1:1", "http://127.0.0.1:1/"] {
            assert_eq!(authority(good).as_deref(), Ok("127.0.0.1:1"));
        }
        assert_eq!(authority("http://[::1]:80").as_deref(), Ok("[::1]:80"));
        for wrong in ["", "/", "127.0.0.1", "https://127.0.0.1:1", "a@b:1", "http://a:1/x", "a b:1"]
        {
            let why = authority(wrong).expect_err(wrong);
            assert!(why.contains("is no address"), "{why}");
        }
    }

    #[test]
    fn a_url_is_one_value_of_a_query() {
        assert_eq!(query("http://127.0.0.1:9/a&b"), "http%3A%2F%2F127.0.0.1%3A9%2Fa%26b");
    }

    #[test]
    fn what_this_machine_lacks_was_not_tried() {
        let error = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        let of = |errno| unconnected("a:1", &error(errno));
        assert!(matches!(of(Errno::MFILE), CallError::Untried { .. }));
        assert!(matches!(of(Errno::ADDRNOTAVAIL), CallError::Untried { .. }));
        assert!(matches!(of(Errno::CONNREFUSED), CallError::Refused { .. }));
        assert!(matches!(of(Errno::CONNRESET), CallError::Broken { .. }));
        assert!(matches!(of(Errno::PERM), CallError::Broken { .. }), "a fault may do this");
    }

    #[test]
    fn only_a_success_has_a_body() {
        let answer =
            |status| Answer { address: "a:1".to_owned(), status, body: b"{\"n\": 1}".to_vec() };
        assert_eq!(answer(201).json::<Value>().unwrap()["n"], 1);
        assert_eq!(answer(503).json::<Value>(), Err("a:1 answered 503: {\"n\": 1}".to_owned()));
        assert!(answer(200).json::<Vec<u8>>().unwrap_err().contains("cannot be read"));
    }
}
