//! A load that finishes: nothing more becomes due, what is in flight ends as it would have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use harness_core::load::RequestOutcome;
use harness_core::plan::{Arrivals, LoadPlan};
use load::HttpDriver;
use tokio::sync::watch;

use crate::support::{Connection, OK, Outcome, TestStop, TestTarget, drive_with, plan, target};

/// How many requests are on their way when the load is told to finish.
const ON_THEIR_WAY: u64 = 40;

/// Answers nothing until it may, then everything.
async fn held_target() -> (TestTarget, watch::Sender<bool>) {
    let (release, held) = watch::channel(false);
    let target = target(move |mut connection: Connection| {
        let mut held = held.clone();
        async move {
            while connection.request().await.is_some() {
                // A sender that is gone holds nothing back.
                held.wait_for(|free| *free).await.ok();
                connection.write(OK).await;
            }
        }
    })
    .await;
    (target, release)
}

async fn arrived(target: &TestTarget, requests: u64) {
    while target.requests() < requests {
        tokio::time::sleep(StdDuration::from_millis(2)).await;
    }
}

/// Drives `plan`, lets it finish while at least `seen` requests have no answer, then answers all.
async fn finished_in_flight(plan: &LoadPlan, seen: u64) -> (Outcome, TestTarget) {
    let (target, release) = held_target().await;
    let (stop, url) = (Arc::new(TestStop::default()), target.url());
    let driving = drive_with(HttpDriver::new, plan, &url, 60_000, &stop);
    let finishing = async {
        arrived(&target, seen).await;
        stop.finish();
        // Long enough for a hundred arrivals, had they become due.
        tokio::time::sleep(StdDuration::from_millis(250)).await;
        release.send_replace(true);
    };
    let (outcome, ()) = tokio::join!(driving, finishing);
    (outcome.unwrap(), target)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_flight_ends_normally() {
    for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
        let mut plan = plan(400);
        plan.arrivals = arrivals;
        plan.workers = 2;
        plan.connections_max = 1_000;
        let (outcome, target) = finished_in_flight(&plan, ON_THEIR_WAY).await;
        let due = outcome.summary.due;
        assert!(due >= ON_THEIR_WAY, "{due}");
        assert_eq!(outcome.total().outcomes, BTreeMap::from([(RequestOutcome::Status(200), due)]));
        assert_eq!((outcome.summary.sent, target.requests()), (due, due));
        // Latency counts to the answer, although the answer came after the end.
        assert!(outcome.total().latency_us.min() >= 250_000);
        let windows = outcome.windows.len() as u64;
        assert!(windows < 60_000 / 100, "windows end with the load, not with the plan: {windows}");
        // The end may come right after the beginning of a window.
        let last = outcome.windows.iter().rev().take(2).map(|window| window.totals().0);
        assert!(last.sum::<u64>() > 0, "windows end where arrivals do");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_connection_is_still_sent() {
    let mut plan = plan(400);
    plan.connections_max = 3;
    let (target, release) = held_target().await;
    let (stop, url) = (Arc::new(TestStop::default()), target.url());
    let driving = drive_with(HttpDriver::new, &plan, &url, 60_000, &stop);
    let finishing = async {
        arrived(&target, 3).await;
        tokio::time::sleep(StdDuration::from_millis(100)).await;
        stop.finish();
        release.send_replace(true);
    };
    let (outcome, ()) = tokio::join!(driving, finishing);
    let outcome = outcome.unwrap();
    let due = outcome.summary.due;
    assert!(due > 3, "some waited: {due}");
    assert_eq!(outcome.total().outcomes, BTreeMap::from([(RequestOutcome::Status(200), due)]));
    assert_eq!((outcome.summary.sent, target.requests()), (due, due));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_while_finishing_ends_it_at_once() {
    let (target, _held) = held_target().await;
    let mut plan = plan(400);
    plan.connections_max = 1_000;
    plan.timeout = harness_core::units::Duration::from_secs(60);
    let (stop, url) = (Arc::new(TestStop::default()), target.url());
    let driving = drive_with(HttpDriver::new, &plan, &url, 60_000, &stop);
    let pulling = async {
        arrived(&target, ON_THEIR_WAY).await;
        stop.finish();
        tokio::time::sleep(StdDuration::from_millis(100)).await;
        stop.pull();
    };
    let both = async { tokio::join!(driving, pulling) };
    let (outcome, ()) =
        tokio::time::timeout(StdDuration::from_secs(10), both).await.expect("it ends at the stop");
    let outcome = outcome.unwrap();
    let due = outcome.summary.due;
    assert_eq!(outcome.total().outcomes, BTreeMap::from([(RequestOutcome::Timeout, due)]));
}

#[tokio::test]
async fn finished_before_the_start_sends_nothing() {
    let target = target(Connection::answer_all).await;
    let stop = TestStop::default();
    stop.finish();
    let outcome =
        drive_with(HttpDriver::new, &plan(500), &target.url(), 60_000, &stop).await.unwrap();
    assert_eq!((outcome.summary.due, target.requests()), (0, 0));
}
