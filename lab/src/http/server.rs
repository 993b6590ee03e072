//! The server side: one bounded accept loop, one task per connection, one future per request.
//!
//! A request whose caller goes away is dropped with its connection, as real servers that watch
//! their sockets do; handlers must be correct when cancelled at any await.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::release::RELEASE_HEADER;
use crate::tls::{Acceptor, Opened};

/// A larger request body is refused with 413.
const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// More connections wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 4096;
/// The kernel's queue of connections not yet accepted.
const BACKLOG: u32 = 1024;
/// A connection that sends no complete header for so long is closed.
const HEADER_LIMIT: Duration = Duration::from_mins(2);
/// After a stop, requests in flight have this long to end.
const STOP_LIMIT: Duration = Duration::from_millis(300);
/// After an accept that failed (no descriptors left), the next one waits.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// One request, completely read.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    /// The value of a query parameter, with `%xx` and `+` decoded.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        self.parameters().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// All query parameters in order, decoded.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
    }

    /// The body as JSON, or the reply that says what is wrong with it.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Reply> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Reply::error(StatusCode::BAD_REQUEST, &error.to_string()))
    }
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: HeaderValue,
    pub(crate) body: Bytes,
    /// The release of the process that made it; the server of a role fills it in.
    pub(crate) release: Option<HeaderValue>,
}

impl Reply {
    /// An answer with a JSON body.
    pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Self {
        let body = serde_json::to_vec(value).expect("our own replies have string keys only");
        let content_type = HeaderValue::from_static("application/json");
        Self { status, content_type, body: body.into(), release: None }
    }

    /// 200 with a JSON body.
    pub(crate) fn ok<T: Serialize>(value: &T) -> Self {
        Self::json(StatusCode::OK, value)
    }

    /// An error with its reason as JSON: `{"error": "..."}`.
    pub(crate) fn error(status: StatusCode, reason: &str) -> Self {
        Self::json(status, &serde_json::json!({ "error": reason }))
    }

    /// 404 for a path or method that does not exist.
    pub(crate) fn not_found() -> Self {
        Self::error(StatusCode::NOT_FOUND, "no such path or method")
    }

    /// 200 with metrics in the Prometheus text format.
    pub(crate) fn metrics(text: String) -> Self {
        let content_type = HeaderValue::from_static("text/plain; version=0.0.4");
        Self { status: StatusCode::OK, content_type, body: text.into(), release: None }
    }
}

/// What a role answers.
pub(crate) trait Service: Send + Sync + 'static {
    /// Answers one request; dropped when the caller goes away.
    fn answer(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send;
}

/// Binds a listening socket; the address may still have old connections in `TIME_WAIT`.
pub(crate) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop`, then lets what is in flight end, for a bounded time.
///
/// With an acceptor both TLS and plain HTTP are spoken on the one address: callers of the shop use
/// TLS; those who watch and direct the process (its supervisor's probes, whoever reads what it
/// knows or gives it orders) go on with plain HTTP.
pub(crate) async fn serve<S: Service>(
    address: SocketAddr,
    service: Arc<S>,
    stop: CancellationToken,
    secure: Option<Acceptor>,
) -> std::io::Result<()> {
    let listener = bind(address)?;
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let tracker = TaskTracker::new();
    loop {
        let Ok(room) = Arc::clone(&connections).acquire_owned().await else { break };
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                stream
            }
        };
        let connection = connection(stream, secure.clone(), Arc::clone(&service), stop.clone());
        tracker.spawn(async move {
            connection.await;
            drop(room);
        });
    }
    drop(listener);
    tracker.close();
    // What is still in flight after the limit is cut off with the process.
    tokio::time::timeout(STOP_LIMIT, tracker.wait()).await.unwrap_or_default();
    Ok(())
}

async fn connection<S: Service>(
    stream: TcpStream,
    secure: Option<Acceptor>,
    service: Arc<S>,
    stop: CancellationToken,
) {
    // Without it small answers wait for an acknowledgement; a failure costs only time.
    stream.set_nodelay(true).unwrap_or_default();
    let Some(acceptor) = secure else { return exchange(stream, service, stop).await };
    let opened = tokio::select! {
        () = stop.cancelled() => return,
        opened = tokio::time::timeout(HEADER_LIMIT, acceptor.open(stream)) => opened,
    };
    match opened {
        Ok(Ok(Opened::Plain(stream))) => exchange(stream, service, stop).await,
        Ok(Ok(Opened::Secure(stream))) => exchange(stream, service, stop).await,
        // A caller that says nothing, or refuses our certificate, goes its way.
        Ok(Err(_)) | Err(_) => {}
    }
}

async fn exchange<S: Service>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: Arc<S>,
    stop: CancellationToken,
) {
    let handler = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, std::convert::Infallible>(handle(service, request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .serve_connection(TokioIo::new(stream), handler);
    tokio::pin!(serving);
    let stopped = tokio::select! {
        // The peer's way to end a connection is no event of ours.
        ended = serving.as_mut() => { ended.unwrap_or_default(); false }
        () = stop.cancelled() => true,
    };
    if stopped {
        serving.as_mut().graceful_shutdown();
        serving.await.unwrap_or_default();
    }
}

async fn handle<S: Service>(service: Arc<S>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let reply = match Limited::new(body, REQUEST_BYTES_MAX).collect().await {
        Ok(body) => {
            let call = Call {
                method: parts.method,
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().unwrap_or_default().to_owned(),
                headers: parts.headers,
                body: body.to_bytes(),
            };
            service.answer(call).await
        }
        Err(_) => Reply::error(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large or broken"),
    };
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status;
    response.headers_mut().insert(CONTENT_TYPE, reply.content_type);
    if let Some(release) = reply.release {
        response.headers_mut().insert(RELEASE_HEADER, release);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let call = Call {
            method: Method::GET,
            path: String::from("/"),
            query: String::from("prefix=a%2Fb+c&empty=&flag&broken=%2"),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        assert_eq!(call.parameter("prefix").as_deref(), Some("a/b c"));
        assert_eq!(call.parameter("empty").as_deref(), Some(""));
        assert_eq!(call.parameter("flag").as_deref(), Some(""));
        assert_eq!(call.parameter("broken").as_deref(), Some("%2"));
        assert_eq!(call.parameter("missing"), None);
    }
}
