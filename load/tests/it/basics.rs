//! A healthy target: what was planned arrives, in time, and is counted.

use std::sync::{Arc, Mutex};

use harness_core::load::RequestOutcome;
use harness_core::plan::{Arrivals, Feed, Key, Reuse, TimerMode};

use crate::support::{Connection, OK, drive, plan, request, target};

#[tokio::test]
async fn every_planned_request_arrives_and_is_counted() {
    let target = target(Connection::answer_all).await;
    let outcome = drive(&plan(500), &target.url(), 1_000).await;
    assert_eq!(outcome.summary.due, 500);
    assert_eq!(outcome.count(RequestOutcome::Status(200)), 500);
    assert_eq!(target.requests(), 500);
    assert_eq!(outcome.windows.len(), 10);
    assert!(outcome.windows.iter().all(|window| window.totals() == (50, 50)));
    assert!(outcome.summary.cpu_cores > 0.0 && outcome.summary.cpu_cores < 1.0);
    let (due, good, bad) = outcome
        .ticks
        .iter()
        .fold((0, 0, 0), |sums, tick| (sums.0 + tick.due, sums.1 + tick.good, sums.2 + tick.bad));
    assert_eq!((due, good, bad), (500, 500, 0));
}

#[tokio::test]
async fn several_workers_share_the_load() {
    let target = target(Connection::answer_all).await;
    let mut plan = plan(900);
    plan.workers = 3;
    plan.arrivals = Arrivals::Poisson;
    plan.mix = vec![request("GET", "/a", 3), request("POST", "/b", 1)];
    plan.mix[1].key = Key::Sequence;
    let outcome = drive(&plan, &target.url(), 1_000).await;
    let total = outcome.total();
    assert_eq!(total.planned, target.requests());
    assert_eq!(total.good, total.planned);
    let keyed: u64 = outcome
        .windows
        .iter()
        .filter_map(|window| window.kinds.get(&"POST /b".into()))
        .map(|kind| kind.good)
        .sum();
    assert!(keyed > 100, "{keyed}");
    assert_eq!(outcome.summary.accepted, [(0, keyed - 1)]);
    assert_eq!(outcome.summary.unknown, []);
}

#[tokio::test]
async fn every_timer_keeps_the_schedule() {
    for timer in [TimerMode::Relaxed, TimerMode::Precise, TimerMode::Exact] {
        let target = target(Connection::answer_all).await;
        let mut plan = plan(200);
        plan.timer = timer;
        let outcome = drive(&plan, &target.url(), 500).await;
        assert_eq!(outcome.count(RequestOutcome::Status(200)), 100, "{timer:?}");
        // Generous: other tests run beside this one.
        assert!(outcome.summary.lag_us_p50 < 20_000, "{timer:?}: {:?}", outcome.summary);
    }
}

#[tokio::test]
async fn data_and_correlation_reach_the_target() {
    let (seen, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let target = target(move |mut connection: Connection| {
        let seen = seen.clone();
        async move {
            while let Some(request) = connection.request().await {
                seen.send(request).unwrap();
                connection.write(OK).await;
            }
        }
    })
    .await;
    let mut plan = plan(50);
    plan.correlation = true;
    plan.feeds.insert("n".to_owned(), Feed::Sequence {});
    plan.mix = vec![request("POST", "/orders/{{n}}", 1)];
    plan.mix[0].key = Key::Sequence;
    plan.mix[0].body = Some("n={{n}}".to_owned());
    let outcome = drive(&plan, &target.url(), 200).await;
    assert_eq!(outcome.count(RequestOutcome::Status(200)), 10);
    let mut numbers = Vec::new();
    while let Ok(request) = requests.try_recv() {
        let number = request.split_once("/orders/").unwrap().1.split(' ').next().unwrap();
        assert!(request.ends_with(&format!("\r\n\r\nn={number}")), "{request}");
        assert!(request.contains(&format!("idempotency-key: run-1-3-{number}\r\n")), "{request}");
        assert!(request.contains("traceparent: 00-"), "{request}");
        assert!(request.contains("gameday.run=run-1,gameday.trial=3"), "{request}");
        numbers.push(number.parse::<u32>().unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_answer_is_good_by_the_plans_rule_alone() {
    let target = target(async |mut connection: Connection| {
        while connection.request().await.is_some() {
            connection.write("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
        }
    })
    .await;
    let mut plan = plan(100);
    let outcome = drive(&plan, &target.url(), 200).await;
    assert_eq!((outcome.count(RequestOutcome::Status(404)), outcome.total().good), (20, 0));
    plan.good[0].to = 404;
    let outcome = drive(&plan, &target.url(), 200).await;
    assert_eq!(outcome.total().good, 20);
}

#[tokio::test]
async fn a_connection_carries_as_many_requests_as_it_may() {
    for (requests, connections_min) in [(1, 100), (10, 10)] {
        let target = target(Connection::answer_all).await;
        let mut plan = plan(200);
        plan.reuse = Reuse::UpTo { requests };
        let outcome = drive(&plan, &target.url(), 500).await;
        assert_eq!(outcome.count(RequestOutcome::Status(200)), 100);
        assert!(target.connections() >= connections_min, "{}", target.connections());
        // No connection is opened ahead of need.
        assert!(target.connections() <= 100, "{}", target.connections());
    }
}

#[tokio::test]
async fn what_stands_out_is_named_by_its_trace() {
    // One path is slow, one fails; the target notes the trace of each.
    let traces = Arc::new(Mutex::new(Vec::new()));
    let keep = traces.clone();
    let target = target(move |mut connection: Connection| {
        let keep = keep.clone();
        async move {
            while let Some(request) = connection.request().await {
                let id = request.split("traceparent: 00-").nth(1).unwrap()[..32].to_owned();
                let path = request.split(' ').nth(1).unwrap().to_owned();
                let answer = if path == "/fails" {
                    "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"
                } else {
                    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
                    OK
                };
                keep.lock().unwrap().push((path, id));
                connection.write(answer).await;
            }
        }
    });
    let (target, mut plan) = (target.await, plan(100));
    plan.mix = vec![request("GET", "/slow", 1), request("GET", "/fails", 1)];
    assert_eq!(drive(&plan, &target.url(), 300).await.summary.traces, []);
    plan.correlation = true;
    traces.lock().unwrap().clear();
    let noted = drive(&plan, &target.url(), 300).await.summary.traces;
    let (slow, failed): (Vec<_>, Vec<_>) =
        noted.iter().partition(|note| note.kind.as_str() == "GET /slow");
    assert_eq!((slow.len(), failed.len()), (3, 3), "three windows have one failure each");
    assert!(slow.is_sorted_by(|one, other| one.latency_us >= other.latency_us));
    assert!(slow.iter().all(|note| note.latency_us >= 150_000));
    let traces = traces.lock().unwrap();
    for note in &noted {
        let path = note.kind.as_str().trim_start_matches("GET ").to_owned();
        assert!(traces.contains(&(path, note.trace_id.clone())), "{note:?}");
    }
}
