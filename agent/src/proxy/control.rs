//! The control side: the Unix socket, the table of faults and their leases, on a thread of its own.
//!
//! It never touches a connection of an edge; it gives orders to routes and waits, for a bounded
//! time, until they are carried out. A lost control connection changes nothing.

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use harness_core::ids::EdgeName;
use harness_core::topology::ProcessIdentity;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use injectors::proxy::wire::{
    FORMAT, FaultRequest, Faults, Health, ProxyEffect, Refusal, Removed, RenewRequest, Routes,
};
use injectors::unix_socket::reachable;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;

use super::clock::boot_nanos;
use super::log::Log;
use super::process::ProxyError;
use super::standing::RouteControl;
use super::table::{Put, Table, TableError};

/// More control connections wait.
const CONNECTIONS_MAX: usize = 64;
/// A larger request is refused.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// A request whose head or body does not come within this time is given up.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// An answer waits so long for the routes to carry an order out, and says if they have not.
const APPLY_LIMIT: Duration = Duration::from_secs(1);
/// Leases are looked at this often at least: the machine may have slept.
const LEASE_LOOK: Duration = Duration::from_secs(1);
/// After an accept that failed, the next one waits.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// All that the control thread knows.
#[derive(Debug)]
pub(super) struct Control {
    routes: Vec<RouteControl>,
    /// Shared by the tasks of the control thread alone.
    table: Mutex<Table>,
    leases_changed: Notify,
    identity: ProcessIdentity,
    log: Log,
}

type Reply = Response<Full<Bytes>>;

impl Control {
    pub(super) fn new(routes: Vec<RouteControl>, identity: ProcessIdentity, log: Log) -> Self {
        Self { routes, table: Mutex::default(), leases_changed: Notify::new(), identity, log }
    }

    /// Serves for ever. The caller stops it by dropping it.
    pub(super) async fn serve(self: Arc<Self>, listener: UnixListener) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let tracker = TaskTracker::new();
        loop {
            let permit = Arc::clone(&room).acquire_owned().await;
            let permit = permit.expect("the semaphore is never closed");
            match listener.accept().await {
                Ok((stream, _)) => {
                    let control = Arc::clone(&self);
                    tracker.spawn(async move {
                        control.connection(stream).await;
                        drop(permit);
                    });
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: UnixStream) {
        let log = self.log.clone();
        let service = service_fn(move |request| {
            let control = Arc::clone(&self);
            async move { Ok::<_, Infallible>(control.answer(request).await) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST_LIMIT)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served {
            log.line(&format!("a control connection broke: {error}"));
        }
    }

    /// Ends faults whose lease is over, and turns those that come and go, for ever.
    pub(super) async fn watch_leases(&self) {
        loop {
            let now = boot_nanos();
            // Nothing else runs on this thread until the orders are given, so none of them comes
            // after the removal of its fault.
            let (expired, turned, first) = {
                let mut table = self.table();
                (table.expire(now), table.pulse(now), table.first_deadline())
            };
            for (edge, effect) in turned {
                self.order(&edge, effect.as_ref());
            }
            for (name, edge) in expired {
                self.order(&edge, None);
                self.log.line(&format!("{name} on {edge} expired: its lease was not renewed"));
            }
            let wait = first.map_or(LEASE_LOOK, |first| {
                Duration::from_nanos(first.saturating_sub(now)).min(LEASE_LOOK)
            });
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.leases_changed.notified() => {}
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Reply {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match (&head.method, parts.as_slice()) {
            (&Method::GET, ["v1", "health"]) => reply(StatusCode::OK, &self.health()),
            (&Method::GET, ["v1", "routes"]) => {
                let routes = self.routes.iter().map(RouteControl::report).collect();
                reply(StatusCode::OK, &Routes { routes })
            }
            (&Method::GET, ["v1", "faults"]) => {
                let faults = self.table().report(boot_nanos());
                reply(StatusCode::OK, &Faults { faults })
            }
            (&Method::PUT, ["v1", "faults", name]) => match read(body).await {
                Ok(request) => self.put(name, &request).await,
                Err(refused) => refused,
            },
            (&Method::POST, ["v1", "faults", name, "renew"]) => match read(body).await {
                Ok(request) => self.renew(name, request),
                Err(refused) => refused,
            },
            (&Method::DELETE, ["v1", "faults", name]) => self.remove(name).await,
            _ => refuse(StatusCode::NOT_FOUND, "no such path or method"),
        }
    }

    fn health(&self) -> Health {
        Health {
            format: FORMAT.to_owned(),
            pid: self.identity.pid,
            start_ticks: self.identity.start_ticks,
            boot_id: self.identity.boot_id.clone(),
        }
    }

    async fn put(&self, name: &str, request: &FaultRequest) -> Reply {
        if self.on(&request.edge).next().is_none() {
            return refused(&TableError::Unknown(format!("no route of {}", request.edge)));
        }
        let put = self.table().put(name, request, boot_nanos());
        match put {
            Ok(Put::New) => {
                self.order(&request.edge, Some(&request.effect));
                self.log.line(&format!("{name} on {}: {}", request.edge, request.effect));
            }
            Ok(Put::Same) => {}
            Err(error) => return refused(&error),
        }
        self.leases_changed.notify_one();
        match self.carried_out(&request.edge).await {
            None => reply(StatusCode::OK, &serde_json::json!({ "name": name })),
            Some(why) => refuse(StatusCode::GATEWAY_TIMEOUT, &why),
        }
    }

    fn renew(&self, name: &str, request: RenewRequest) -> Reply {
        let renewed = self.table().renew(name, request.lease_ms, boot_nanos());
        match renewed {
            Ok(()) => {
                self.leases_changed.notify_one();
                reply(StatusCode::OK, &serde_json::json!({ "name": name }))
            }
            Err(error) => refused(&error),
        }
    }

    async fn remove(&self, name: &str) -> Reply {
        let (was, edge) = self.table().remove(name);
        let Some(edge) = edge else {
            return reply(StatusCode::OK, &Removed { was, pending: None });
        };
        if was == injectors::proxy::wire::FaultState::InForce {
            self.order(&edge, None);
            self.log.line(&format!("{name} on {edge} is put back"));
        }
        // Another fault may have taken the edge since; then its own answer tells.
        let pending = if self.stands_on(&edge) { None } else { self.carried_out(&edge).await };
        reply(StatusCode::OK, &Removed { was, pending })
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on<'a>(&'a self, edge: &'a EdgeName) -> impl Iterator<Item = &'a RouteControl> {
        self.routes.iter().filter(move |route| &route.edge == edge)
    }

    fn stands_on(&self, edge: &EdgeName) -> bool {
        self.on(edge).any(|route| route.standing.borrow().effect.is_some())
    }

    fn order(&self, edge: &EdgeName, effect: Option<&ProxyEffect>) {
        for route in self.on(edge) {
            route.order(effect.cloned());
        }
    }

    /// Waits until the orders on an edge are carried out; else says why they are not yet.
    async fn carried_out(&self, edge: &EdgeName) -> Option<String> {
        let all = async {
            for route in self.on(edge) {
                route.carried_out().await;
            }
        };
        match tokio::time::timeout(APPLY_LIMIT, all).await {
            Ok(()) => None,
            Err(_) => self.on(edge).find_map(RouteControl::pending),
        }
    }
}

/// Listens on a Unix socket that only its owner may use, in place of one that nobody serves.
/// Needs a runtime.
pub(super) async fn listen(path: &Path) -> Result<UnixListener, ProxyError> {
    let failed = |source| ProxyError::Socket { path: path.to_owned(), source };
    if UnixStream::connect(reachable(path).map_err(failed)?.path()).await.is_ok() {
        return Err(ProxyError::Running { path: path.to_owned() });
    }
    // Bound under another name, so that it never stands there with other permissions.
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(reachable(Path::new(&new)).map_err(failed)?.path());
    let listener = listener.map_err(failed)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    std::fs::rename(&new, path).map_err(failed)?;
    Ok(listener)
}

async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, Reply> {
    let whole = Limited::new(body, REQUEST_BYTES_MAX).collect();
    let bytes = match tokio::time::timeout(REQUEST_LIMIT, whole).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => return Err(refuse(StatusCode::BAD_REQUEST, &error.to_string())),
        Err(_) => return Err(refuse(StatusCode::REQUEST_TIMEOUT, "the body did not come")),
    };
    serde_json::from_slice(&bytes)
        .map_err(|error| refuse(StatusCode::BAD_REQUEST, &error.to_string()))
}

fn refused(error: &TableError) -> Reply {
    let status = match error {
        TableError::Wrong(_) => StatusCode::BAD_REQUEST,
        TableError::Conflict(_) => StatusCode::CONFLICT,
        TableError::Unknown(_) => StatusCode::NOT_FOUND,
    };
    refuse(status, &error.to_string())
}

fn refuse(status: StatusCode, why: &str) -> Reply {
    reply(status, &Refusal { error: why.to_owned() })
}

fn reply<T: Serialize>(status: StatusCode, body: &T) -> Reply {
    let mut text = serde_json::to_vec(body).expect("our own answers have string keys only");
    text.push(b'\n');
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
