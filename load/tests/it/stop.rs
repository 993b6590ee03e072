//! A stop ends all sending at once, whatever the target does.

use std::sync::Arc;
use std::time::Duration as StdDuration;

use harness_core::load::RequestOutcome;
use harness_core::time::Clock;
use load::HttpDriver;

use crate::support::{Connection, TestClock, TestStop, TestTarget, drive_with, plan, target};

async fn stopped_while_busy(target: TestTarget, requests_before: u64) {
    let mut plan = plan(2_000);
    plan.workers = 2;
    plan.connections_max = 10;
    plan.in_flight_max = 100_000;
    let (stop, clock) = (Arc::new(TestStop::default()), TestClock::new());
    let url = target.url();
    let driving = drive_with(HttpDriver::new, &plan, &url, 60_000, &stop);
    let pulling = async {
        while target.requests() < requests_before {
            tokio::time::sleep(StdDuration::from_millis(2)).await;
        }
        // Some time at full load.
        tokio::time::sleep(StdDuration::from_millis(300)).await;
        stop.pull();
        let pulled = clock.now();
        // From 100 ms on the target sees nothing new.
        tokio::time::sleep(StdDuration::from_millis(100)).await;
        let seen = target.requests();
        tokio::time::sleep(StdDuration::from_millis(300)).await;
        assert_eq!(target.requests(), seen, "requests still arrive after the stop");
        pulled
    };
    let (outcome, pulled) = tokio::join!(async { (driving.await.unwrap(), clock.now()) }, pulling);
    let (outcome, ended) = outcome;
    assert!(ended.since(pulled).millis() < 1_000, "{} ms", ended.since(pulled).millis());
    let total = outcome.total();
    assert!(total.planned > 100 && total.planned < 60_000, "{}", total.planned);
    let sent: u64 = total.planned - outcome.count(RequestOutcome::Unsent);
    assert_eq!(sent, outcome.summary.sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_full_load() {
    stopped_while_busy(target(Connection::answer_all).await, 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_while_the_target_hangs() {
    let target =
        target(async |mut connection: Connection| while connection.request().await.is_some() {})
            .await;
    stopped_while_busy(target, 10).await;
}

#[tokio::test]
async fn a_driver_that_is_dropped_stops_too() {
    let target = target(Connection::answer_all).await;
    let (plan, url, stop) = (plan(500), target.url(), TestStop::default());
    let driving = drive_with(HttpDriver::new, &plan, &url, 60_000, &stop);
    tokio::select! {
        _ = driving => panic!("the load ended by itself"),
        () = async {
            while target.requests() < 50 {
                tokio::time::sleep(StdDuration::from_millis(2)).await;
            }
        } => {}
    }
    tokio::time::sleep(StdDuration::from_millis(100)).await;
    let seen = target.requests();
    tokio::time::sleep(StdDuration::from_millis(200)).await;
    assert_eq!(target.requests(), seen);
}

#[tokio::test]
async fn a_stop_before_the_start_sends_nothing() {
    let target = target(Connection::answer_all).await;
    let stop = TestStop::default();
    stop.pull();
    let outcome =
        drive_with(HttpDriver::new, &plan(500), &target.url(), 60_000, &stop).await.unwrap();
    assert_eq!((outcome.summary.due, target.requests()), (0, 0));
}
