//! A healthy lab under faults: it loses nothing, recovers by itself and pages once.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{TestLab, all_within, get, request, signal, wait_until};

/// Takes webhooks and sends their bodies.
fn receiver() -> (String, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (bodies, received) = mpsc::channel();
    std::thread::spawn(move || {
        // Ends with the test's process; a test takes a handful of webhooks.
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            let mut bytes = Vec::new();
            let mut chunk = [0; 4096];
            let body = loop {
                let count = stream.read(&mut chunk).unwrap_or(0);
                bytes.extend_from_slice(&chunk[..count]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
                let whole = body.and_then(|body| serde_json::from_str::<Value>(&body).ok());
                if count == 0 || whole.is_some() {
                    break whole;
                }
            };
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            if let Some(body) = body
                && bodies.send(body).is_err()
            {
                return;
            }
        }
    });
    (url, received)
}

#[test]
fn a_killed_checkout_costs_little_comes_back_as_a_new_pod_and_pages_once() {
    let lab = TestLab::up(&[]);
    let (url, webhooks) = receiver();
    let lease = format!(r#"{{"url":"{url}","ttlSeconds":60}}"#);
    assert_eq!(request(&lab.lab.endpoints.alerter, "POST", "/-/receivers", &lease).0, 201);
    let before = lab.pods("checkout").remove(0);
    let seen = lab.orders_while(("kill-1", 100, 4), || {
        signal(before.pid.unwrap(), Signal::KILL);
    });
    assert!(seen.success() >= 0.99, "{:?}", seen.by_status);
    wait_until("new pod", || {
        let now = lab.pods("checkout").into_iter().find(|pod| pod.slot == before.slot).unwrap();
        now.ready && now.uid != before.uid && now.restarts == 1 && now.address == before.address
    });
    let ended = lab.pods("checkout").remove(0).last_state.unwrap();
    assert_eq!((ended.pod, ended.signal), (before.name, Some(9)));
    lab.wait_for_steady();
    assert_eq!(lab.firing_pages("CheckoutInstanceDown"), 1);
    let next = || webhooks.recv_timeout(Duration::from_secs(5)).unwrap();
    let (firing, resolved) = (next(), next());
    assert_eq!((&firing["status"], &resolved["status"]), (&"firing".into(), &"resolved".into()));
    for body in [&firing, &resolved] {
        assert_eq!(body["version"], "4");
        assert_eq!(body["groupLabels"]["alertname"], "CheckoutInstanceDown");
    }
    assert!(webhooks.try_recv().is_err(), "one page and one end");
    assert!(all_within(&seen.accepted, &lab.ranges("kill-1")["stored"]));
}

#[test]
fn a_crash_loop_by_order_ends_after_so_many_crashes_or_with_its_lease() {
    let lab = TestLab::up(&[]);
    let supervisor = &lab.lab.endpoints.supervisor;
    let order = |marker: &str, slot: usize, lease_ms: u64| {
        let order = serde_json::json!({
            "marker": marker, "deployment": "checkout", "slots": [slot], "times": 2,
            "afterMs": 50, "leaseMs": lease_ms,
        });
        request(supervisor, "PUT", "/-/crashes", &order.to_string()).0
    };
    // The second lease ends before the first restart.
    assert_eq!((order("long", 1, 60_000), order("short", 2, 300)), (200, 200));
    for pod in lab.pods("checkout").into_iter().filter(|pod| pod.slot > 0) {
        signal(pod.pid.unwrap(), Signal::KILL);
    }
    wait_until("end of the loop", || {
        let looped = lab.pods("checkout").remove(1);
        looped.ready && looped.restarts == 3
    });
    let restarts: Vec<u32> = lab.pods("checkout").iter().map(|pod| pod.restarts).collect();
    assert_eq!(restarts, [0, 3, 1]);
    assert_eq!(request(supervisor, "DELETE", "/-/crashes?marker=long", "").0, 200);
    assert_eq!((order("long", 1, 60_000), order("short", 2, 60_000)), (409, 409));
}

/// Release and status of an answer of an instance; status 0 where there is none.
fn ask_release(address: &str) -> (String, u16) {
    let (status, _) = request(&format!("http://{address}"), "GET", "/catalog", "");
    let (_, body) = request(&format!("http://{address}"), "GET", "/healthz", "");
    let health: Value = serde_json::from_str(&body).unwrap_or_default();
    (health["release"].as_str().unwrap_or_default().to_owned(), status)
}

#[test]
fn a_release_under_a_lease_is_rolled_out_instance_by_instance_and_rolled_back_at_its_end() {
    let lab = TestLab::up(&[]);
    let supervisor = &lab.lab.endpoints.supervisor;
    let before = lab.pods("checkout");
    let known =
        |slot: usize| serde_json::json!({"slot": slot, "uid": before[slot].uid, "release": "1"});
    let order = serde_json::json!({
        "name": "bad", "leaseMs": 2_500, "order": {
            "deployment": "checkout", "slots": [known(0), known(2)],
            "release": {"name": "2", "flaw": {"errorsPermille": 1_000}},
        },
    });
    let answers = || {
        let pods = lab.pods("checkout").into_iter();
        pods.map(|pod| ask_release(&pod.address.to_string())).collect::<Vec<_>>()
    };
    let (old, new) = ((String::from("1"), 200), (String::from("2"), 500));
    let seen = lab.orders_while(("rollout-1", 100, 6), || {
        assert_eq!(request(supervisor, "PUT", "/-/releases", &order.to_string()).0, 200);
        wait_until("rollout", || answers() == [new.clone(), old.clone(), new.clone()]);
        assert!(!get(supervisor, "/api/steady")["ready"].as_bool().unwrap());
        // Nobody renews the lease.
        wait_until("rollback", || answers() == [old.clone(), old.clone(), old.clone()]);
    });
    // Their own errors are all that a rollout costs.
    let own: Vec<u16> =
        seen.by_status.keys().copied().filter(|it| ![200, 500].contains(it)).collect();
    assert!(own.is_empty() && seen.by_status.contains_key(&500), "{:?}", seen.by_status);
    lab.wait_for_steady();
    assert_eq!(lab.pods("checkout")[1].uid, before[1].uid, "it was not touched");
    let late = request(supervisor, "PUT", "/-/releases", &order.to_string()).0;
    assert_ne!(late, 200, "its name is over, and its instances are gone");
}

#[test]
fn a_rollout_for_good_ends_what_holds_under_a_lease() {
    let lab = TestLab::up(&[]);
    let supervisor = &lab.lab.endpoints.supervisor;
    let uid = lab.pods("checkout").remove(0).uid;
    let order = serde_json::json!({
        "name": "bad", "leaseMs": 60_000, "order": {
            "deployment": "checkout", "release": {"name": "2", "flaw": {"slowMs": 20}},
            "slots": [{"slot": 0, "uid": uid, "release": "1"}],
        },
    });
    assert_eq!(request(supervisor, "PUT", "/-/releases", &order.to_string()).0, 200);
    let releases = || lab.pods("checkout").into_iter().map(|pod| pod.release).collect::<Vec<_>>();
    wait_until("rollout", || releases() == ["2", "1", "1"]);
    let rollout = serde_json::json!({"release": {"name": "3"}}).to_string();
    let path = "/api/deployments/checkout/release";
    assert_eq!(request(supervisor, "POST", path, &rollout).0, 200);
    wait_until("rollout for good", || releases() == ["3", "3", "3"]);
    assert_eq!(request(supervisor, "DELETE", "/-/releases?name=bad", "").0, 200);
    lab.wait_for_steady();
    assert_eq!(releases(), ["3", "3", "3"]);
    let topology = get(supervisor, "/api/topology");
    let deployments = topology["deployments"].as_array().unwrap();
    assert!(deployments.iter().any(|it| it["name"] == "checkout" && it["revision"] == 2));
}

#[test]
fn a_killed_store_loses_no_accepted_order() {
    let lab = TestLab::up(&[]);
    let seen = lab.orders_while(("durable-1", 100, 4), || {
        signal(lab.pid("store"), Signal::KILL);
    });
    assert!(seen.accepted.len() > 100, "{:?}", seen.by_status);
    assert!(seen.by_status.contains_key(&503), "the store was away: {:?}", seen.by_status);
    lab.wait_for_steady();
    let ranges = lab.ranges("durable-1");
    assert!(all_within(&seen.accepted, &ranges["stored"]), "{ranges}");
    assert_eq!(ranges["processedTwice"], Value::Array(vec![]));
}

#[test]
fn orders_outlive_an_outage_of_payments_and_are_charged_exactly_once() {
    let lab = TestLab::up(&[]);
    let payments = lab.pid("payments");
    let seen = lab.orders_while(("outage-1", 100, 4), || {
        signal(payments, Signal::STOP);
        wait_until("open breaker", || {
            let addresses = &lab.lab.services.iter().find(|one| one.name == "checkout").unwrap();
            addresses
                .addresses
                .iter()
                .any(|at| get(&format!("http://{at}"), "/state")["breaker"] == "open")
        });
        wait_until("alert", || lab.fires("PaymentsUnavailable"));
    });
    assert!(seen.success() > 0.999, "{:?}", seen.by_status);
    assert!(seen.by_status.get(&202).is_some_and(|count| *count > 50), "{:?}", seen.by_status);
    let pending = lab.ranges("outage-1")["pending"].clone();
    assert_ne!(pending, Value::Array(vec![]), "payments is still away");
    signal(payments, Signal::CONT);
    lab.wait_for_steady();
    let ranges = lab.ranges("outage-1");
    let whole = serde_json::json!([[1, seen.sent]]);
    assert_eq!((&ranges["stored"], &ranges["pending"]), (&whole, &Value::Array(vec![])));
    assert_eq!(ranges["processedTwice"], Value::Array(vec![]));
    assert_eq!(lab.firing_pages("PaymentsUnavailable"), 1);
    let automation = get(&lab.lab.endpoints.supervisor, "/api/automation");
    assert_eq!(automation["silent"], Value::Array(vec![]));
    let events = automation["events"].as_array().unwrap().iter();
    let events: Vec<&Value> = events.filter(|event| event["automation"] == "breaker").collect();
    assert_eq!(events[0]["to"], "open");
    assert_eq!(events.last().unwrap()["to"], "closed");
}

#[test]
fn a_reset_closes_breakers_and_brings_missing_pods_back_at_once() {
    let lab = TestLab::up(&["restart=slow"]);
    let payments = lab.pid("payments");
    lab.orders_while(("reset-1", 100, 2), || signal(payments, Signal::STOP));
    signal(payments, Signal::CONT);
    signal(lab.pid("worker"), Signal::KILL);
    let (status, body) = request(&lab.lab.endpoints.supervisor, "POST", "/api/reset", "");
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["ready"], true);
    assert!(lab.pods("worker")[0].ready);
}
