//! Probes through an edge and at the entry.

use harness_core::plan::SourcePlan;
use harness_core::topology::{Edge, Topology};
use harness_core::units::Duration;
use tokio::net::TcpListener;

use crate::fake::{Fake, Reply};
use crate::watch::{Watch, gaps, values};

fn probe(edge: Option<&str>, timeout_ms: u64) -> SourcePlan {
    SourcePlan::Probe {
        edge: edge.map(Into::into),
        path: Some("/healthz".to_owned()),
        every: Duration::from_millis(10),
        timeout: Duration::from_millis(timeout_ms),
    }
}

fn through(addresses: Vec<String>) -> Topology {
    let edge = Edge {
        name: "checkout->payments".into(),
        caller: "checkout".to_owned(),
        callee: "payments".into(),
        addresses,
        interposable: true,
    };
    Topology { edges: vec![edge], ..Topology::default() }
}

fn text(status: u16) -> Reply {
    Reply::Text(status, "some text".to_owned())
}

#[tokio::test]
async fn an_entry_is_ok_then_failing_then_gone() {
    let fake = Fake::start(|_| text(200)).await;
    let entry = format!("http://{}", fake.address);
    let watch = Watch::start(probe(None, 2_000), &Topology { entry, ..Topology::default() });
    watch.until(|events| values(events).len() >= 3).await;
    fake.answer(|_| text(503));
    let asked = fake.asked();
    assert!(asked.iter().all(|one| one.method == "GET" && one.path == "/healthz"), "{asked:?}");
    let events = watch.until(|events| values(events).last() == Some(&0.0)).await;
    let seen = values(&events).len();
    fake.answer(|_| text(204));
    watch.until(|events| values(events)[seen..].contains(&1.0)).await;
    fake.end().await;
    watch.until(|events| values(events).ends_with(&[0.0, 0.0])).await;
    let events = watch.stop().await;
    assert_eq!(gaps(&events), Vec::<&str>::new(), "a refusal is a failure, not a gap");
}

#[tokio::test]
async fn the_slots_of_an_edge_are_checked_in_turn() {
    let good = Fake::start(|_| text(200)).await;
    let bad = Fake::start(|_| text(500)).await;
    let addresses = vec![good.address.to_string(), bad.address.to_string()];
    let watch = Watch::start(probe(Some("checkout->payments"), 2_000), &through(addresses));
    let events = watch.until(|events| values(events).len() >= 4).await;
    assert_eq!(values(&events)[..4], [1.0, 0.0, 1.0, 0.0]);
    watch.stop().await;
}

#[tokio::test]
async fn silence_is_a_failure_in_bounded_time() {
    let fake = Fake::start(|_| Reply::Never).await;
    let addresses = vec![fake.address.to_string()];
    let watch = Watch::start(probe(Some("checkout->payments"), 30), &through(addresses));
    let ended = |events: &[_]| values(events).len() + gaps(events).len() >= 2;
    let events = watch.until(ended).await;
    assert!(!values(&events).contains(&1.0), "{events:?}");
    watch.stop().await;
}

#[tokio::test]
async fn a_check_that_hangs_does_not_hold_up_the_end() {
    // Connections are taken by the kernel; nobody ever answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = vec![listener.local_addr().unwrap().to_string()];
    let watch = Watch::start(probe(Some("checkout->payments"), 60_000), &through(addresses));
    let (stream, _) = listener.accept().await.unwrap();
    assert!(watch.stop().await.is_empty());
    drop(stream);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_failure() {
    use tokio::io::AsyncWriteExt;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = vec![listener.local_addr().unwrap().to_string()];
    let watch = Watch::start(probe(Some("checkout->payments"), 2_000), &through(addresses));
    for answer in ["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", "", "no HTTP\r\n\r\n"] {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
    let events = watch.until(|events| values(events).len() >= 3).await;
    assert_eq!(values(&events)[..3], [0.0, 0.0, 0.0]);
    watch.stop().await;
}

/// A TCP check of an edge.
fn tcp(timeout_ms: u64) -> SourcePlan {
    SourcePlan::Probe {
        edge: Some("checkout->payments".into()),
        path: None,
        every: Duration::from_millis(10),
        timeout: Duration::from_millis(timeout_ms),
    }
}

#[tokio::test]
async fn a_tcp_check_wants_a_connection_and_no_answer() {
    // Taken by the kernel; nobody ever reads or answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = vec![listener.local_addr().unwrap().to_string()];
    let watch = Watch::start(tcp(2_000), &through(addresses));
    watch.until(|events| values(events).len() >= 3).await;
    drop(listener);
    let events = watch.until(|events| values(events).ends_with(&[0.0, 0.0])).await;
    assert_eq!(values(&events)[..2], [1.0, 1.0]);
    assert_eq!(gaps(&events), Vec::<&str>::new(), "a refusal is a failure, not a gap");
    watch.stop().await;
}

#[tokio::test]
async fn a_connection_that_is_closed_at_once_has_failed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = vec![listener.local_addr().unwrap().to_string()];
    let watch = Watch::start(tcp(2_000), &through(addresses));
    for _ in 0..3 {
        let (stream, _) = listener.accept().await.unwrap();
        drop(stream);
    }
    let events = watch.until(|events| values(events).len() >= 3).await;
    assert_eq!(values(&events)[..3], [0.0, 0.0, 0.0]);
    // Who greets first is somebody.
    for _ in 0..3 {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"220 hello\r\n").await.unwrap();
    }
    let seen = events.len();
    watch.until(|events| values(events)[seen..].contains(&1.0)).await;
    watch.stop().await;
}
