//! The receiver of alerts against an alerter that leases.

use std::collections::BTreeSet;
use std::sync::Mutex;

use harness_core::plan::SourcePlan;
use harness_core::signal::AlertStatus;
use harness_core::time::WallTime;
use harness_core::topology::Topology;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::fake::{Asked, Fake, Reply, post};
use crate::watch::{Watch, alerts, gaps_in_time};

fn at(fake: &Fake) -> Topology {
    let mut topology = Topology::default();
    topology.controls.insert("alerter".to_owned(), fake.address.to_string());
    topology
}

/// Leases as the lab's alerter does, without an end of their own.
fn leasing() -> impl Fn(&Asked) -> Reply + Send + Sync {
    let receivers = Mutex::new(BTreeSet::<String>::new());
    move |asked| {
        let mut receivers = receivers.lock().unwrap();
        match (asked.method.as_str(), asked.path.as_str()) {
            ("POST", "/-/receivers") => {
                let lease: Value = serde_json::from_str(&asked.body).unwrap();
                receivers.insert(lease["url"].as_str().unwrap().to_owned());
                Reply::Text(201, asked.body.clone())
            }
            ("GET", "/-/receivers") => {
                Reply::Text(200, json!({ "receivers": *receivers }).to_string())
            }
            ("DELETE", _) => Reply::Text(200, "{\"receivers\": []}".to_owned()),
            _ => Reply::Text(404, String::new()),
        }
    }
}

/// The URL that a source has leased.
async fn leased(fake: &Fake) -> String {
    let asked = fake.until_asked(0, "POST").await;
    let lease: Value = serde_json::from_str(&asked.body).unwrap();
    assert!((1..=3600).contains(&lease["ttlSeconds"].as_u64().unwrap()), "{lease}");
    lease["url"].as_str().unwrap().to_owned()
}

fn delivery(status: &str, slots: &[&str]) -> String {
    let alert = |slot: &&str| {
        json!({
            "status": status, "labels": {"alertname": "CheckoutDown", "slot": slot},
            "annotations": {}, "startsAt": "2026-11-22T06:50:36.152Z",
            "endsAt": "0001-01-01T00:00:00Z", "fingerprint": format!("f{slot}"),
        })
    };
    let alerts: Vec<_> = slots.iter().map(alert).collect();
    json!({"version": "4", "status": status, "alerts": alerts, "truncatedAlerts": 0}).to_string()
}

#[tokio::test]
async fn each_alert_of_each_delivery_is_a_notice() {
    let fake = Fake::start(leasing()).await;
    let watch = Watch::start(SourcePlan::Alerts {}, &at(&fake));
    let url = leased(&fake).await;
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    assert_eq!(post(&url, delivery("firing", &["0", "1"])).await, 200);
    assert_eq!(post(&url, delivery("firing", &["0"])).await, 200);
    assert_eq!(post(&url, delivery("resolved", &["0"])).await, 200);
    let events = watch.stop().await;
    let [a, b, again, end] = alerts(&events)[..] else { panic!("{events:?}") };
    assert_eq!((a.alert.as_str(), a.signal.as_str()), ("CheckoutDown", "it"));
    assert_eq!((a.fingerprint.as_str(), b.labels["slot"].as_str()), ("f0", "1"));
    assert_eq!(a.starts_at, Some(WallTime(1_795_330_236_152)));
    assert_eq!((a.status, end.status), (AlertStatus::Firing, AlertStatus::Resolved));
    assert!(a.at == b.at && b.at < again.at && again.at < end.at, "{events:?}");
    assert_eq!(gaps_in_time(&events), Vec::<&str>::new());
}

#[tokio::test]
async fn the_lease_is_given_back() {
    let fake = Fake::start(leasing()).await;
    let watch = Watch::start(SourcePlan::Alerts {}, &at(&fake));
    let url = leased(&fake).await;
    watch.stop().await;
    let asked = fake.until_asked(0, "DELETE").await;
    let encoded = url.replace(':', "%3A").replace('/', "%2F");
    assert_eq!(asked.path, format!("/-/receivers?url={encoded}"));
}

#[tokio::test]
async fn a_lease_that_fails_is_a_gap_and_tried_again() {
    let fake = Fake::start(|_| Reply::Text(429, "too many receivers".to_owned())).await;
    let watch = Watch::start(SourcePlan::Alerts {}, &at(&fake));
    watch.until_gap("is not leased").await;
    watch.until_gap("answered 429: too many receivers").await;
    let failed = fake.asked().len();
    fake.answer(leasing());
    fake.until_asked(failed, "POST").await;
    let events = watch.stop().await;
    assert!(alerts(&events).is_empty());
}

#[tokio::test]
async fn a_receiver_that_was_forgotten_is_a_gap_and_leased_anew() {
    let fake = Fake::start(leasing()).await;
    let watch = Watch::start(SourcePlan::Alerts {}, &at(&fake));
    leased(&fake).await;
    let before = fake.asked().len();
    // An alerter that was restarted knows nobody.
    fake.answer(leasing());
    fake.until_asked(before, "GET").await;
    fake.until_asked(before, "POST").await;
    watch.until_gap("the alerter forgot the receiver; deliveries may be lost").await;
    watch.stop().await;
}

#[tokio::test]
async fn without_an_alerter_there_are_gaps_and_the_end_is_quick() {
    let fake = Fake::start(leasing()).await;
    let topology = at(&fake);
    fake.end().await;
    let watch = Watch::start(SourcePlan::Alerts {}, &topology);
    watch.until_gap("is not leased").await;
    watch.stop().await;
    let fake = Fake::start(|_| Reply::Never).await;
    let watch = Watch::start(SourcePlan::Alerts {}, &at(&fake));
    fake.until_asked(0, "POST").await;
    watch.stop().await;
}

#[tokio::test]
async fn what_is_no_delivery_is_refused() {
    let fake = Fake::start(leasing()).await;
    let watch = Watch::start(SourcePlan::Alerts {}, &at(&fake));
    let url = leased(&fake).await;
    let other = format!("{}/other", url.rsplit_once("/alerts").unwrap().0);
    assert_eq!(post(&other, delivery("firing", &["0"])).await, 404);
    assert!(alerts(&watch.events()).is_empty(), "another's delivery is not ours");
    assert_eq!(post(&url, "no JSON").await, 400);
    watch.until_gap("a delivery cannot be read").await;
    assert_eq!(post(&url, vec![b' '; 1024 * 1024 + 1]).await, 413);
    watch.until_gap("longer than 1048576 bytes").await;
    assert_eq!(post(&url, delivery("firing", &["0"])).await, 200, "it still takes good ones");
    let events = watch.stop().await;
    assert_eq!((alerts(&events).len(), gaps_in_time(&events).len()), (1, 2), "{events:?}");
}

#[tokio::test]
async fn connections_that_hang_or_talk_nonsense_do_not_hold_up_others_or_the_end() {
    let fake = Fake::start(leasing()).await;
    let watch = Watch::start(SourcePlan::Alerts {}, &at(&fake));
    let url = leased(&fake).await;
    let address = url.trim_start_matches("http://").split('/').next().unwrap();
    let mut held = Vec::new();
    for start in ["", "POST /alerts", "\0\r\n\r\n", "POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        held.push(stream);
    }
    assert_eq!(post(&url, delivery("firing", &["0"])).await, 200);
    let events = watch.stop().await;
    assert_eq!((alerts(&events).len(), gaps_in_time(&events).len()), (1, 0), "{events:?}");
}

#[tokio::test]
async fn more_connections_than_fit_wait_for_their_turn() {
    let fake = Fake::start(leasing()).await;
    let watch = Watch::start(SourcePlan::Alerts {}, &at(&fake));
    let url = leased(&fake).await;
    let address = url.trim_start_matches("http://").split('/').next().unwrap();
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    assert_eq!(post(&url, delivery("firing", &["0"])).await, 200, "those that idle are closed");
    assert_eq!(alerts(&watch.stop().await).len(), 1);
    assert_eq!(idle.len(), 40);
}
