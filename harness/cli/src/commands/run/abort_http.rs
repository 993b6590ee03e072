//! `POST /abort` on a loopback address: a button for dashboards and scripts. Off unless asked for.
//!
//! Only loopback, only with the token from the run's directory, and never for a browser's page:
//! a request with an `Origin`, or for another host's name, is refused. It leads to the same path as
//! an interrupt, and knows nothing about the run.

use std::convert::Infallible;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use bytes::Bytes;
use harness_core::event::AbortRequest;
use harness_core::units::Duration;
use harness_engine::store::RunDir;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::failure::Failure;

/// The file in the run's directory that holds address and token; readable by its owner alone.
const FILE: &str = "abort-http.json";
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// Connections at once.
const CONNECTIONS_MAX: usize = 16;
/// A connection must have said what it wants after this time, and is closed after it.
const CONNECTION_MAX: Duration = Duration::from_secs(5);
/// A request's head is not larger, in bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// After a failed `accept`.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener that is bound, and whose token is written down.
pub(super) struct AbortHttp {
    listener: TcpListener,
    gate: Gate,
}

/// Who may come in.
#[derive(Debug, Clone)]
struct Gate {
    address: SocketAddr,
    token: String,
}

impl AbortHttp {
    /// Binds, and writes address and token into the run's directory.
    pub(super) fn bind(address: SocketAddr, run: &RunDir) -> Result<Self, Failure> {
        if !address.ip().is_loopback() {
            return Err(Failure::usage(format!("{address} is no loopback address"))
                .hint("write `--abort-http 127.0.0.1:0`; port 0 takes a free one"));
        }
        let could_not = |error: io::Error| {
            Failure::could_not(&format!("listen on {address} for an abort"), &error)
        };
        let listener = TcpListener::bind(address).map_err(could_not)?;
        listener.set_nonblocking(true).map_err(could_not)?;
        let address = listener.local_addr().map_err(could_not)?;
        let gate = Gate { address, token: token().map_err(could_not)? };
        gate.write_down(run).map_err(could_not)?;
        Ok(Self { listener, gate })
    }

    /// How to use it, for people; without the token.
    pub(super) fn words(&self) -> String {
        format!("abort with POST http://{}/abort and the token in {FILE}", self.gate.address)
    }

    /// Serves until it is dropped. Ends only when it cannot listen any more.
    pub(super) async fn serve(self, put: mpsc::Sender<AbortRequest>) {
        let listener = match tokio::net::TcpListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::warn!(%error, "nobody listens for an abort"),
        };
        let gate = Arc::new(self.gate);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let place = Arc::clone(&places).acquire_owned().await;
            let Ok(place) = place else { return };
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE.as_std()).await;
                    continue;
                }
            };
            let (gate, put) = (Arc::clone(&gate), put.clone());
            connections.spawn(async move {
                let answer = service_fn(move |request| {
                    let answer = gate.answer(&request, peer, &put);
                    std::future::ready(Ok::<_, Infallible>(answer))
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(CONNECTION_MAX.as_std())
                    .max_buf_size(HEAD_BYTES_MAX)
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(stream), answer);
                let ended = tokio::time::timeout(CONNECTION_MAX.as_std(), connection).await;
                if let Ok(Err(error)) = ended {
                    tracing::debug!(%error, "a connection for an abort broke off");
                }
                drop(place);
            });
        }
    }
}

impl Gate {
    fn write_down(&self, run: &RunDir) -> io::Result<()> {
        let url = format!("http://{}/abort", self.address);
        let text = serde_json::json!({
            "format": "gameday.abort-http/1", "url": url, "token": self.token,
        });
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create_new(true).mode(0o600).open(run.path().join(FILE))?;
        file.write_all(format!("{text}\n").as_bytes())
    }

    /// The answer, and the request to abort where it is due.
    fn answer<B>(
        &self,
        request: &Request<B>,
        peer: SocketAddr,
        put: &mpsc::Sender<AbortRequest>,
    ) -> Response<Full<Bytes>> {
        let admitted = self.admits(request);
        if admitted.is_ok() {
            let by = format!("HTTP from {peer}");
            // A full queue means that enough requests to stop wait already.
            put.try_send(AbortRequest::Command { by }).ok();
        }
        let accepted = (StatusCode::ACCEPTED, "the run stops and puts everything back\n");
        let (status, words) = admitted.map_or_else(|refused| refused, |()| accepted);
        let mut response = Response::new(Full::new(Bytes::from_static(words.as_bytes())));
        *response.status_mut() = status;
        response
    }

    fn admits<B>(&self, request: &Request<B>) -> Result<(), (StatusCode, &'static str)> {
        let headers = request.headers();
        if headers.contains_key(ORIGIN) || !self.is_meant(headers) {
            return Err((StatusCode::FORBIDDEN, "not for browsers, and only by its own address\n"));
        }
        if request.uri().path() != "/abort" {
            return Err((StatusCode::NOT_FOUND, "there is only POST /abort\n"));
        }
        if request.method() != Method::POST {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "use POST\n"));
        }
        let said = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = said.and_then(|said| said.strip_prefix("Bearer "));
        if !token.is_some_and(|token| same(token.as_bytes(), self.token.as_bytes())) {
            return Err((StatusCode::UNAUTHORIZED, "the token of the run is missing or wrong\n"));
        }
        Ok(())
    }

    /// Another host's name here means that somebody's page was led to this address.
    fn is_meant(&self, headers: &HeaderMap) -> bool {
        let local = format!("localhost:{}", self.address.port());
        headers
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .is_some_and(|host| host == self.address.to_string() || host == local)
    }
}

/// Compares without telling by its time where the difference is.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

/// Hexadecimal digits that nobody can guess.
fn token() -> io::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        text += &format!("{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate { address: "127.0.0.1:4711".parse().unwrap(), token: "s3cret".to_owned() }
    }

    fn status(method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, bool) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (put, mut take) = mpsc::channel(1);
        let peer = "127.0.0.1:9".parse().unwrap();
        let answer = gate().answer(&request.body(()).unwrap(), peer, &put);
        (answer.status().as_u16(), take.try_recv().is_ok())
    }

    #[test]
    fn only_who_knows_the_token_aborts() {
        let host = ("host", "127.0.0.1:4711");
        let token = ("authorization", "Bearer s3cret");
        assert_eq!(status("POST", "/abort", &[host, token]), (202, true));
        assert_eq!(status("POST", "/abort", &[("host", "localhost:4711"), token]), (202, true));
        for (expected, method, path, headers) in [
            (401, "POST", "/abort", vec![host]),
            (401, "POST", "/abort", vec![host, ("authorization", "Bearer s3crea")]),
            (401, "POST", "/abort", vec![host, ("authorization", "Bearer s3cret2")]),
            (401, "POST", "/abort", vec![host, ("authorization", "Basic s3cret")]),
            (403, "POST", "/abort", vec![token]),
            (403, "POST", "/abort", vec![("host", "evil.example"), token]),
            (403, "POST", "/abort", vec![host, token, ("origin", "http://evil.example")]),
            (404, "POST", "/", vec![host, token]),
            (405, "GET", "/abort", vec![host, token]),
        ] {
            assert_eq!(status(method, path, &headers), (expected, false), "{method} {path}");
        }
    }

    #[test]
    fn two_tokens_differ() {
        let [one, other] = [token().unwrap(), token().unwrap()];
        assert_eq!(one.len(), 2 * TOKEN_BYTES);
        assert_ne!(one, other);
    }
}
