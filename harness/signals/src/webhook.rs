//! Alerts, as a receiver of Alertmanager's webhook gets them: a free loopback port that is leased
//! at the alerter, and one notice per alert of each delivery.
//!
//! All notices of one delivery have the same time, and no two deliveries have the same: whoever
//! counts pages counts times. A repeated delivery is reported again; it is not told apart here.

mod lease;
mod payload;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use harness_core::ids::SignalId;
use harness_core::load::Stop;
use harness_core::signal::{AlertNotice, SignalEvent, SignalSink, Source};
use harness_core::system::BoxFuture;
use harness_core::time::{Clock, RunTime};
use harness_core::units::Duration;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use crate::monotonic::SharedInstant;
use crate::outlet::Outlet;
use lease::Lease;

/// A larger delivery is refused with 413, and a gap.
const DELIVERY_BYTES_MAX: usize = 1024 * 1024;
/// Further connections wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 32;
/// A connection carries one delivery and is closed after so long.
const CONNECTION_MAX: Duration = Duration::from_secs(5);
/// A connection that sends no complete header for so long is closed.
const HEADER_MAX: Duration = Duration::from_secs(2);
/// A delivery whose body takes longer is refused with 408, and a gap.
const BODY_MAX: Duration = Duration::from_secs(3);
/// Notices of one run of the source; further deliveries are refused with 503, and one gap.
const NOTICES_MAX: u64 = 10_000;
/// After a failure to open the port, or to accept, the next try waits.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Alerts of a lab; see the module.
pub(crate) struct Alerts {
    pub(crate) signal: SignalId,
    /// `host:port` of the alerter.
    pub(crate) alerter: String,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Source for Alerts {
    fn signal(&self) -> &SignalId {
        &self.signal
    }

    fn run<'a>(&'a self, out: &'a dyn SignalSink, stop: &'a dyn Stop) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut stopped = stop.stopped();
            let outlet = Outlet { signal: &self.signal, clock: self.clock.as_ref(), out };
            let (listener, address) = tokio::select! {
                biased;
                () = &mut stopped => return,
                opened = open(outlet) => opened,
            };
            // A late delivery to an earlier receiver of the same port must not be taken for ours.
            let unique = SharedInstant::now(outlet.clock).monotonic_nanos();
            let path = format!("/alerts/{unique:x}");
            let url = format!("http://{address}{path}");
            let lease = Lease { alerter: &self.alerter, url: &url, outlet };
            let desk = Desk::new(outlet, path);
            tokio::select! {
                biased;
                () = &mut stopped => {}
                never = receive(&listener, &desk) => match never {},
                never = lease.keep() => match never {},
            }
            lease.end().await;
        })
    }
}

/// Opens a free loopback port; each failure is a gap.
async fn open(outlet: Outlet<'_>) -> (TcpListener, std::net::SocketAddr) {
    loop {
        let opened = match TcpListener::bind(("127.0.0.1", 0)).await {
            Ok(listener) => listener.local_addr().map(|address| (listener, address)),
            Err(error) => Err(error),
        };
        match opened {
            Ok(opened) => return opened,
            Err(error) => outlet.gap(format!("could not open a port for alerts: {error}")),
        }
        tokio::time::sleep(RETRY_AFTER.as_std()).await;
    }
}

/// Takes deliveries for ever.
async fn receive(listener: &TcpListener, desk: &Desk<'_>) -> Infallible {
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = connections.next(), if !connections.is_empty() => {}
            stream = accept(listener), if connections.len() < CONNECTIONS_MAX => {
                connections.push(serve(stream, desk));
            }
        }
    }
}

/// Dropped and begun again, it loses no connection.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(_) => tokio::time::sleep(RETRY_AFTER.as_std()).await,
        }
    }
}

async fn serve(stream: TcpStream, desk: &Desk<'_>) {
    // Without it the small answer may wait; a failure costs only time.
    stream.set_nodelay(true).unwrap_or_default();
    let handler = service_fn(|request| async {
        let mut response = Response::new(Full::new(Bytes::new()));
        *response.status_mut() = desk.answer(request).await;
        Ok::<_, Infallible>(response)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_MAX.as_std())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), handler);
    // How the sender ends its connection is no event of ours.
    tokio::time::timeout(CONNECTION_MAX.as_std(), connection).await.ok();
}

/// Where deliveries are taken in.
struct Desk<'a> {
    outlet: Outlet<'a>,
    path: String,
    noticed: AtomicU64,
    /// The latest delivery, in nanoseconds of the run.
    latest: AtomicU64,
}

impl<'a> Desk<'a> {
    fn new(outlet: Outlet<'a>, path: String) -> Self {
        Self { outlet, path, noticed: AtomicU64::new(0), latest: AtomicU64::new(0) }
    }

    async fn answer(&self, request: Request<Incoming>) -> StatusCode {
        if request.uri().path() != self.path {
            return StatusCode::NOT_FOUND;
        }
        if request.method() != Method::POST {
            return StatusCode::METHOD_NOT_ALLOWED;
        }
        let body = Limited::new(request.into_body(), DELIVERY_BYTES_MAX).collect();
        let (status, why) = match tokio::time::timeout(BODY_MAX.as_std(), body).await {
            Ok(Ok(body)) => return self.take(&body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                let why = format!("a delivery is longer than {DELIVERY_BYTES_MAX} bytes");
                (StatusCode::PAYLOAD_TOO_LARGE, why)
            }
            Ok(Err(error)) => (StatusCode::BAD_REQUEST, format!("a delivery broke off: {error}")),
            Err(_) => {
                (StatusCode::REQUEST_TIMEOUT, format!("a delivery took more than {BODY_MAX}"))
            }
        };
        self.outlet.gap(why);
        status
    }

    /// Takes one whole delivery.
    fn take(&self, body: &[u8]) -> StatusCode {
        let delivery = match payload::read(body) {
            Ok(delivery) => delivery,
            Err(why) => {
                self.outlet.gap(why);
                return StatusCode::BAD_REQUEST;
            }
        };
        let before = self.noticed.fetch_add(delivery.alerts.len() as u64, Ordering::Relaxed);
        if before + delivery.alerts.len() as u64 > NOTICES_MAX {
            if before <= NOTICES_MAX {
                self.outlet.gap(format!("more than {NOTICES_MAX} alerts were delivered"));
            }
            // From here on every delivery is refused, also a small one that would fit.
            self.noticed.store(NOTICES_MAX + 1, Ordering::Relaxed);
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        let at = self.instant();
        for alert in delivery.alerts {
            self.outlet.put(SignalEvent::Alert(AlertNotice {
                signal: self.outlet.signal.clone(),
                alert: alert.name,
                labels: alert.labels,
                status: alert.status,
                at,
                starts_at: alert.starts_at,
                fingerprint: alert.fingerprint,
            }));
        }
        for problem in delivery.problems {
            self.outlet.gap(problem);
        }
        StatusCode::OK
    }

    /// The present, a nanosecond later where an earlier delivery has it already.
    fn instant(&self) -> RunTime {
        let now = self.outlet.now().nanos();
        let after = |latest: u64| now.max(latest.saturating_add(1));
        let latest = self
            .latest
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |latest| Some(after(latest)));
        RunTime::from_nanos(after(latest.expect("it is always updated")))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use harness_core::signal::Observation;
    use harness_core::time::WallTime;
    use serde_json::json;

    use super::*;

    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> RunTime {
            RunTime::from_nanos(50)
        }

        fn wall(&self) -> WallTime {
            WallTime(0)
        }
    }

    #[derive(Default)]
    struct Kept(Mutex<Vec<SignalEvent>>);

    impl SignalSink for Kept {
        fn put(&self, event: SignalEvent) {
            self.0.lock().unwrap().push(event);
        }
    }

    impl Kept {
        fn take(&self) -> Vec<SignalEvent> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    fn delivery(alerts: usize) -> Vec<u8> {
        let alert = json!({"status": "firing", "labels": {"alertname": "Down"}});
        json!({"version": "4", "alerts": vec![alert; alerts]}).to_string().into_bytes()
    }

    #[test]
    fn notices_of_one_delivery_share_a_time_that_no_other_has() {
        let (signal, kept) = (SignalId::new("pages"), Kept::default());
        let desk =
            Desk::new(Outlet { signal: &signal, clock: &Stopped, out: &kept }, "/".to_owned());
        assert_eq!(desk.take(&delivery(2)), StatusCode::OK);
        assert_eq!(desk.take(&delivery(1)), StatusCode::OK);
        let times: Vec<u64> = kept
            .take()
            .iter()
            .map(|event| match event {
                SignalEvent::Alert(notice) => notice.at.nanos(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(times, [50, 50, 51]);
    }

    #[test]
    fn too_many_notices_are_one_gap() {
        let (signal, kept) = (SignalId::new("pages"), Kept::default());
        let desk =
            Desk::new(Outlet { signal: &signal, clock: &Stopped, out: &kept }, "/".to_owned());
        for _ in 0..NOTICES_MAX / 1_000 {
            assert_eq!(desk.take(&delivery(1_000)), StatusCode::OK);
        }
        assert_eq!(kept.take().len() as u64, NOTICES_MAX);
        for _ in 0..3 {
            assert_eq!(desk.take(&delivery(1)), StatusCode::SERVICE_UNAVAILABLE);
        }
        let events = kept.take();
        let [SignalEvent::Observed(Observation::Gap { why, .. })] = events.as_slice() else {
            panic!("{events:?}");
        };
        assert_eq!(why, "more than 10000 alerts were delivered");
    }
}
