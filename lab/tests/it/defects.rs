//! Every defect can be seen from outside, or no scenario could fail because of it.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use serde_json::Value;

use crate::support::{TestLab, all_within, get, is_alive, request, signal, wait_until};

#[test]
fn without_breaker_an_outage_of_payments_fails_most_orders() {
    let lab = TestLab::up(&["breaker=off"]);
    let payments = lab.pid("payments");
    let seen = lab.orders_while(("breaker-1", 300, 4), || signal(payments, Signal::STOP));
    signal(payments, Signal::CONT);
    // One good second, then at most 120 orders a second of 300 within the edge's limit.
    assert!(seen.success() < 0.75, "{:?}", seen.by_status);
    assert!(seen.latency_ms_p99 > 1_500.0, "{}", seen.latency_ms_p99);
}

#[test]
fn without_fallback_an_outage_of_payments_is_refused() {
    let lab = TestLab::up(&["fallback=off"]);
    let payments = lab.pid("payments");
    let seen = lab.orders_while(("fallback-1", 100, 3), || signal(payments, Signal::STOP));
    signal(payments, Signal::CONT);
    assert!(seen.by_status.get(&503).is_some_and(|count| *count > 50), "{:?}", seen.by_status);
    assert!(!seen.by_status.contains_key(&202));
}

#[test]
fn a_checkout_that_opens_a_file_for_each_order_refuses_when_it_cannot() {
    let lab = TestLab::up(&["checkout=reopens"]);
    let pods: Vec<u32> = lab.pods("checkout").iter().map(|pod| pod.pid.unwrap()).collect();
    let none_more = || {
        let limit = Rlimit { current: Some(3), ..getrlimit(Resource::Nofile) };
        for pid in &pods {
            let pid = Pid::from_raw(i32::try_from(*pid).unwrap());
            prlimit(pid, Resource::Nofile, limit).unwrap();
        }
    };
    let seen = lab.orders_while(("reopens-1", 100, 3), none_more);
    assert!(seen.by_status.get(&503).is_some_and(|count| *count > 50), "{:?}", seen.by_status);
}

#[test]
fn without_supervisor_and_alerter_a_dead_pod_stays_dead_and_nobody_is_told() {
    let lab = TestLab::up(&["supervisor=off", "alerter=off"]);
    let before = lab.pods("checkout").remove(1);
    signal(before.pid.unwrap(), Signal::KILL);
    wait_until("alert", || lab.fires("CheckoutInstanceDown"));
    wait_until("record of the death", || lab.pods("checkout")[1].pid.is_none());
    assert_eq!(lab.firing_pages("CheckoutInstanceDown"), 0);
    let events = get(&lab.lab.endpoints.supervisor, "/api/events");
    let reasons: Vec<&Value> =
        events["events"].as_array().unwrap().iter().map(|event| &event["reason"]).collect();
    assert!(reasons.contains(&&Value::from("NotRestarted")), "{reasons:?}");
    let path = "/api/deployments/checkout/restore";
    assert_eq!(request(&lab.lab.endpoints.supervisor, "POST", path, "").0, 200);
    let after = lab.pods("checkout").remove(1);
    assert!(after.ready && after.uid != before.uid && is_alive(after.pid.unwrap()));
    let unknown = "/api/deployments/cache/restore";
    assert_eq!(request(&lab.lab.endpoints.supervisor, "POST", unknown, "").0, 404);
}

#[test]
fn slow_restart_no_retries_and_a_repeating_alerter_are_seen_in_one_kill() {
    let lab = TestLab::up(&["restart=slow", "retries=off", "alerter=repeats"]);
    let before = lab.pods("checkout").remove(2);
    let killed = Instant::now();
    let seen = lab.orders_while(("slow-1", 100, 3), || signal(before.pid.unwrap(), Signal::KILL));
    assert!(seen.by_status.contains_key(&502), "{:?}", seen.by_status);
    wait_until("new pod", || lab.pods("checkout")[2].ready);
    assert!(killed.elapsed() > Duration::from_secs(4));
    assert_eq!(lab.firing_pages("CheckoutInstanceDown"), 2);
}

#[test]
fn slow_payments_are_slow() {
    let lab = TestLab::up(&["payments=slow"]);
    let seen = lab.orders("payments-1", 20, 2);
    assert!(seen.latency_ms_p50 > 80.0, "{}", seen.latency_ms_p50);
    assert_eq!(seen.accepted.len(), 40, "{:?}", seen.by_status);
}

/// Orders during an outage, then payments comes back and the queue empties.
fn drained(defect: &str, prefix: &str) -> (Vec<u64>, Value) {
    let lab = TestLab::up(&[defect]);
    let payments = lab.pid("payments");
    let seen = lab.orders_while((prefix, 100, 3), || signal(payments, Signal::STOP));
    signal(payments, Signal::CONT);
    wait_until("empty queue", || lab.ranges(prefix)["pending"] == Value::Array(vec![]));
    (seen.accepted, lab.ranges(prefix))
}

#[test]
fn a_worker_that_loses_orders_leaves_accepted_ones_unstored() {
    let (accepted, ranges) = drained("worker=loses-orders", "loses-1");
    assert!(!all_within(&accepted, &ranges["stored"]), "{ranges}");
    assert_eq!(ranges["processedTwice"], Value::Array(vec![]));
}

#[test]
fn a_worker_that_duplicates_charges_orders_twice() {
    let (accepted, ranges) = drained("worker=duplicates", "twice-1");
    assert!(all_within(&accepted, &ranges["stored"]), "{ranges}");
    assert_ne!(ranges["processedTwice"], Value::Array(vec![]));
}

#[test]
fn a_blind_balancer_keeps_asking_an_instance_that_stands_still() {
    let lab = TestLab::up(&["balance=blind"]);
    let frozen = lab.pods("checkout").remove(1).pid.unwrap();
    let seen = lab.orders_while(("blind-1", 100, 2), || signal(frozen, Signal::STOP));
    signal(frozen, Signal::CONT);
    // The fault begins a second into the load: a third of what follows waits in vain.
    assert!(seen.success() < 0.9, "{:?}", seen.by_status);
}
