//! The client side of a role: a small pool of kept-alive connections to one address.
//!
//! It retries only what was surely not sent. Any other retry is the caller's policy.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::tls::Connector;

/// More idle connections are closed.
const IDLE_MAX: usize = 64;
/// A larger answer is refused.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

type Sender = SendRequest<Full<Bytes>>;

/// A pool of connections to one address.
///
/// With TLS there is none: each request has a connection of its own, so that the certificate of
/// whoever answers it has just been looked at. Such requests are rare.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    host: HeaderValue,
    secure: Option<Connector>,
    idle: Mutex<Vec<Sender>>,
}

/// One request to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(HeaderName, HeaderValue)],
    pub(crate) body: Bytes,
}

impl<'a> Outgoing<'a> {
    /// A GET without headers.
    pub(crate) fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, headers: &[], body: Bytes::new() }
    }

    /// A POST of JSON.
    pub(crate) fn post<T: Serialize>(path: &'a str, value: &T) -> Self {
        let body = serde_json::to_vec(value).expect("our own requests have string keys only");
        Self { method: Method::POST, path, headers: &[], body: body.into() }
    }
}

/// One answer, completely read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as JSON, when the status is a success.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        let good = self.status.is_success();
        good.then(|| serde_json::from_slice(&self.body).ok()).flatten()
    }
}

/// Why there was no answer.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    /// No connection came to be, so nothing was sent.
    #[error("cannot connect")]
    Refused(#[source] std::io::Error),
    /// The connection broke; the request may have been acted on.
    #[error("connection broken")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The time was over; the request may have been acted on.
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
}

impl Client {
    /// A pool for `address`, without a connection yet.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self::with(address, None)
    }

    /// The same over TLS.
    pub(crate) fn secure(address: SocketAddr, connector: Connector) -> Self {
        Self::with(address, Some(connector))
    }

    fn with(address: SocketAddr, secure: Option<Connector>) -> Self {
        let host = HeaderValue::from_str(&address.to_string()).expect("an address is plain text");
        Self { address, host, secure, idle: Mutex::new(Vec::new()) }
    }

    /// Where this client's requests go.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends one request; all of it, connecting included, ends within `limit`.
    pub(crate) async fn call(
        &self,
        request: &Outgoing<'_>,
        limit: Duration,
    ) -> Result<Answer, CallError> {
        match tokio::time::timeout(limit, self.exchange(request)).await {
            Ok(result) => result,
            Err(_) => Err(CallError::TimedOut(limit)),
        }
    }

    async fn exchange(&self, request: &Outgoing<'_>) -> Result<Answer, CallError> {
        while let Some(mut sender) = self.pop_idle() {
            // One that its peer closed meanwhile is dropped, and the next one is tried.
            if sender.ready().await.is_ok() {
                match self.send(sender, request).await {
                    Err(CallError::Broken(error)) if was_not_sent(error.as_ref()) => {}
                    result => return result,
                }
            }
        }
        let sender = self.connect().await?;
        self.send(sender, request).await
    }

    fn pop_idle(&self) -> Option<Sender> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    async fn connect(&self) -> Result<Sender, CallError> {
        let stream = TcpStream::connect(self.address).await.map_err(CallError::Refused)?;
        stream.set_nodelay(true).map_err(CallError::Refused)?;
        match &self.secure {
            None => speak(stream).await,
            Some(connector) => {
                speak(connector.connect(stream).await.map_err(CallError::Refused)?).await
            }
        }
    }

    async fn send(&self, mut sender: Sender, out: &Outgoing<'_>) -> Result<Answer, CallError> {
        let mut request = Request::new(Full::new(out.body.clone()));
        *request.method_mut() = out.method.clone();
        *request.uri_mut() = out.path.parse().map_err(broken)?;
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        if !out.body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        headers.extend(out.headers.iter().cloned());
        let (parts, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(broken)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if self.secure.is_none() && idle.len() < IDLE_MAX {
            idle.push(sender);
        }
        Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Sender, CallError> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // The connection's task ends with its socket; its error comes back through the sender.
    tokio::spawn(async move { connection.await.unwrap_or_default() });
    Ok(sender)
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CallError {
    CallError::Broken(error.into())
}

fn was_not_sent(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
}
