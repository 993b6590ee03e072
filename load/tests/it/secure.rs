//! TLS and HTTP/2: certificates are checked, and many requests share a connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use harness_core::load::RequestOutcome;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use load::{HttpDriver, JourneyDriver};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::journeys::{look_around, walking_command};
use crate::support::{Connection, Outcome, TestStop, drive_with, plan, target};

/// A server of our own with a certificate of our own.
struct SecureTarget {
    url: String,
    certificate: Vec<u8>,
    pem: String,
    connections: Arc<AtomicU64>,
    _server: tokio::task::JoinSet<()>,
}

/// A certificate for `localhost` and 127.0.0.1 that is valid between two years.
async fn secure_target(from_year: i32, to_year: i32) -> SecureTarget {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(from_year, 1, 1);
    params.not_after = date_time_ymd(to_year, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let der = certificate.der().to_vec();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicU64::new(0));
    let accepted = connections.clone();
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async move {
        let mut open = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, accepted) = (acceptor.clone(), accepted.clone());
            open.spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    accepted.fetch_add(1, Ordering::SeqCst);
                    serve(stream).await;
                }
            });
        }
    });
    SecureTarget { url, certificate: der, pem: certificate.pem(), connections, _server: server }
}

/// Speaks HTTP/1.1 or HTTP/2, as the client does.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let answer = service_fn(async |_: Request<hyper::body::Incoming>| {
        Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from_static(b"ok"))))
    });
    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    drop(server.serve_connection(TokioIo::new(stream), answer).await);
}

async fn driven(target: &SecureTarget, http2: bool, trusted: bool) -> Outcome {
    let mut plan = plan(200);
    plan.http2 = http2;
    plan.connections_max = 4;
    let roots = trusted.then(|| target.certificate.clone());
    let driver = |clock| HttpDriver::new(clock).trusting(roots);
    drive_with(driver, &plan, &target.url, 500, &TestStop::default()).await.unwrap()
}

#[tokio::test]
async fn a_trusted_certificate_serves_both_protocols() {
    for http2 in [false, true] {
        let target = secure_target(2020, 2060).await;
        let outcome = driven(&target, http2, true).await;
        let expected = BTreeMap::from([(RequestOutcome::Status(200), 100)]);
        assert_eq!(outcome.total().outcomes, expected, "http2: {http2}");
        let connections = target.connections.load(Ordering::SeqCst);
        assert!((1..=4).contains(&connections), "{connections}");
    }
}

#[tokio::test]
async fn an_expired_certificate_is_a_failure_of_tls() {
    for http2 in [false, true] {
        let target = secure_target(2000, 2001).await;
        let outcome = driven(&target, http2, true).await;
        let expected = BTreeMap::from([(RequestOutcome::Tls, 100)]);
        assert_eq!(outcome.total().outcomes, expected, "http2: {http2}");
        assert_eq!(outcome.summary.sent, 0);
    }
}

#[tokio::test]
async fn an_unknown_certificate_is_a_failure_of_tls() {
    let target = secure_target(2020, 2060).await;
    let outcome = driven(&target, false, false).await;
    assert_eq!(outcome.total().outcomes, BTreeMap::from([(RequestOutcome::Tls, 100)]));
}

/// Walks with the authorities of the machine replaced by the target's own certificate, as
/// `SSL_CERT_FILE` does it for every program of a machine.
async fn walked(target: &SecureTarget, trusted: bool) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let mut command = walking_command();
    if trusted {
        let file = folder.path().join("roots.pem");
        std::fs::write(&file, &target.pem).unwrap();
        let roots = format!("SSL_CERT_FILE={}", file.display());
        command.splice(0..0, ["env".to_owned(), roots]);
    }
    let driver = |clock| JourneyDriver::new(clock, command);
    drive_with(driver, &look_around(4), &target.url, 600, &TestStop::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn journeys_speak_tls_to_a_trusted_target() {
    let target = secure_target(2020, 2060).await;
    let total = walked(&target, true).await.total();
    assert!(total.planned >= 4, "{}", total.planned);
    assert_eq!(total.outcomes, BTreeMap::from([(RequestOutcome::Status(200), total.planned)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn journeys_count_a_bad_certificate_as_a_failure_of_tls() {
    for (from_year, to_year, trusted) in [(2000, 2001, true), (2020, 2060, false)] {
        let target = secure_target(from_year, to_year).await;
        let total = walked(&target, trusted).await.total();
        assert!(total.planned >= 4, "{}", total.planned);
        assert_eq!(total.outcomes, BTreeMap::from([(RequestOutcome::Tls, total.planned)]));
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_in_the_handshake_is_a_reset() {
    let plain = target(async |connection: Connection| connection.reset()).await;
    let url = plain.url().replace("http://", "https://");
    let stop = TestStop::default();
    let outcome = drive_with(HttpDriver::new, &plan(100), &url, 300, &stop).await.unwrap();
    assert_eq!(outcome.total().outcomes, BTreeMap::from([(RequestOutcome::Reset, 30)]));
}

/// HTTP/2 without TLS.
async fn plain_http2(delay_ms: u64) -> (String, Arc<AtomicU64>, tokio::task::JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicU64::new(0));
    let accepted = connections.clone();
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async move {
        let mut open = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            accepted.fetch_add(1, Ordering::SeqCst);
            open.spawn(async move {
                let answer = service_fn(move |_: Request<hyper::body::Incoming>| async move {
                    tokio::time::sleep(std::time::Duration::from_millis(delay_ms)).await;
                    Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from_static(b"ok"))))
                });
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                drop(server.serve_connection(TokioIo::new(stream), answer).await);
            });
        }
    });
    (url, connections, server)
}

#[tokio::test]
async fn many_requests_share_one_http2_connection() {
    let (url, connections, _server) = plain_http2(100).await;
    let mut plan = plan(200);
    plan.http2 = true;
    plan.connections_max = 1;
    let stop = TestStop::default();
    let outcome = drive_with(HttpDriver::new, &plan, &url, 500, &stop).await.unwrap();
    assert_eq!(outcome.total().outcomes, BTreeMap::from([(RequestOutcome::Status(200), 100)]));
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    // One after the other they would take 10 s.
    let slowest = outcome.total().latency_us.max();
    assert!(slowest < 2_000_000, "{slowest} us");
}

#[tokio::test]
async fn an_http2_request_times_out_alone() {
    let (url, connections, _server) = plain_http2(400).await;
    let mut plan = plan(100);
    plan.http2 = true;
    plan.connections_max = 1;
    plan.timeout = harness_core::units::Duration::from_millis(100);
    let stop = TestStop::default();
    let outcome = drive_with(HttpDriver::new, &plan, &url, 500, &stop).await.unwrap();
    assert_eq!(outcome.total().outcomes, BTreeMap::from([(RequestOutcome::Timeout, 50)]));
    assert_eq!(connections.load(Ordering::SeqCst), 1, "the connection lives on");
}
