//! A load as a whole, in an open and in a closed loop.

use harness_core::ids::{RunId, TrialIndex};
use harness_core::load::{LoadDriver, LoadJob, RequestOutcome};
use harness_core::time::Clock;
use harness_core::units::Duration;
use load::{HttpDriver, LoadTotals, run_closed};

use crate::support::{Connection, OK, TestClock, TestStop, plan, target};

#[tokio::test]
async fn totals_of_an_open_loop() {
    let target = target(Connection::answer_all).await;
    let clock = std::sync::Arc::new(TestClock::new());
    let (plan, length) = (plan(300), Duration::from_millis(500));
    let from = clock.now() + Duration::from_millis(10);
    let job = LoadJob {
        plan: &plan,
        run: &RunId::new("r"),
        trial: TrialIndex(0),
        arm: "fault",
        target: &target.url(),
        seed: 1,
        id_prefix: "r-0",
        from,
        until: from + length,
    };
    let totals = LoadTotals::new();
    let stop = TestStop::default();
    let summary = HttpDriver::new(clock).run(job, &totals, &stop).await.unwrap();
    let report = totals.report(&plan, length, &summary);
    assert_eq!((report.due, report.sent, report.windows), (150, 150, 5));
    assert!(
        (report.rate_asked - 300.0).abs() < 1e-9 && (report.rate_achieved - 300.0).abs() < 1e-9
    );
    assert_eq!(report.total.outcomes.get(&RequestOutcome::Status(200)), Some(&150));
    assert_eq!(report.kinds.len(), 1);
    assert!(report.total.latency_us.p99.is_some() && report.lag_us.p99.is_some());
    let text = serde_json::to_string(&report).unwrap();
    assert!(text.contains("\"outcomes\":{\"200\":150}"), "{text}");
}

#[tokio::test]
async fn a_closed_loop_counts_what_the_target_saw() {
    let target = target(Connection::answer_all).await;
    let mut plan = plan(1);
    (plan.workers, plan.connections_max) = (2, 6);
    let (clock, stop) = (TestClock::new(), TestStop::default());
    let length = Duration::from_millis(300);
    let report = run_closed(&clock, &plan, &target.url(), length, &stop).await.unwrap();
    assert_eq!(target.connections(), 6);
    let answered = report.outcomes[&RequestOutcome::Status(200)];
    assert_eq!(report.requests, answered);
    // At most one request of each connection was under way at the end.
    assert!((answered..=answered + 6).contains(&target.requests()), "{answered}");
    assert!(answered > 50, "{answered}");
}

#[tokio::test]
async fn a_closed_loop_tells_failures_apart() {
    let target = target(async |mut connection: Connection| {
        connection.request().await;
        connection.write(OK).await;
        connection.request().await;
        connection.reset();
    })
    .await;
    let mut plan = plan(1);
    plan.connections_max = 1;
    let (clock, stop) = (TestClock::new(), TestStop::default());
    let length = Duration::from_millis(300);
    let report = run_closed(&clock, &plan, &target.url(), length, &stop).await.unwrap();
    let [good, reset] = [RequestOutcome::Status(200), RequestOutcome::Reset]
        .map(|outcome| report.outcomes.get(&outcome).copied().unwrap_or(0));
    assert!(good > 5 && good.abs_diff(reset) <= 1, "{good} good, {reset} reset");
    assert_eq!(good + reset, report.requests);
}
