//! Targets that misbehave: each kind of failure is counted as what it is, and as nothing else.

use std::collections::BTreeMap;
use std::time::Duration as StdDuration;

use harness_core::load::RequestOutcome;
use harness_core::plan::{Key, LoadPlan};
use harness_core::units::Duration;

use crate::support::{Connection, OK, TestTarget, drive, plan, request, target};

/// 50 requests that carry ids, and how they ended.
async fn outcomes(target: &TestTarget) -> (BTreeMap<RequestOutcome, u64>, Vec<(u64, u64)>) {
    let outcome = drive(&keyed(100), &target.url(), 500).await;
    (outcome.total().outcomes, outcome.summary.unknown)
}

fn keyed(per_second: u32) -> LoadPlan {
    let mut plan = plan(per_second);
    plan.mix = vec![request("POST", "/orders", 1)];
    plan.mix[0].key = Key::Sequence;
    plan.timeout = Duration::from_millis(300);
    plan
}

/// Answers each request with these bytes and closes the connection.
async fn answers_and_closes(answer: &'static str) -> TestTarget {
    target(move |mut connection: Connection| async move {
        if connection.request().await.is_some() {
            connection.write(answer).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let target = target(async |mut connection: Connection| {
        connection.request().await;
        connection.reset();
    })
    .await;
    let (outcomes, unknown) = outcomes(&target).await;
    assert_eq!(outcomes, BTreeMap::from([(RequestOutcome::Reset, 50)]));
    assert_eq!(unknown, [(0, 49)], "the target may have taken each of them");
}

#[tokio::test]
async fn a_close_without_an_answer_is_a_reset() {
    let target = answers_and_closes("").await;
    let (outcomes, _) = outcomes(&target).await;
    assert_eq!(outcomes, BTreeMap::from([(RequestOutcome::Reset, 50)]));
}

#[tokio::test]
async fn a_reset_within_the_body_is_a_reset() {
    let target = target(async |mut connection: Connection| {
        connection.request().await;
        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n1234").await;
        // The client reads what came before the reset; then nothing is left to overtake.
        tokio::time::sleep(StdDuration::from_millis(20)).await;
        connection.reset();
    })
    .await;
    let (outcomes, _) = outcomes(&target).await;
    assert_eq!(outcomes, BTreeMap::from([(RequestOutcome::Reset, 50)]));
}

#[tokio::test]
async fn a_body_shorter_than_promised_is_a_wrong_body() {
    let target = answers_and_closes("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n1234").await;
    let (outcomes, unknown) = outcomes(&target).await;
    assert_eq!(outcomes, BTreeMap::from([(RequestOutcome::Body, 50)]));
    assert_eq!(unknown, [(0, 49)]);
}

#[tokio::test]
async fn a_body_longer_than_promised_is_a_wrong_body() {
    let target = answers_and_closes("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n1234").await;
    let (outcomes, _) = outcomes(&target).await;
    assert_eq!(outcomes, BTreeMap::from([(RequestOutcome::Body, 50)]));
}

#[tokio::test]
async fn a_chunked_body_that_ends_early_is_a_reset() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n";
    let target = answers_and_closes(answer).await;
    let (outcomes, _) = outcomes(&target).await;
    assert_eq!(outcomes, BTreeMap::from([(RequestOutcome::Reset, 50)]));
}

#[tokio::test]
async fn what_is_no_http_is_a_wrong_answer() {
    let target = answers_and_closes("ERR no such command\r\n\r\n").await;
    let (outcomes, _) = outcomes(&target).await;
    assert_eq!(outcomes, BTreeMap::from([(RequestOutcome::Body, 50)]));
}

#[tokio::test]
async fn a_body_is_searched_for_what_it_must_contain() {
    let target = target(Connection::answer_all).await;
    let mut plan = plan(100);
    plan.mix = vec![request("GET", "/good", 1), request("GET", "/bad", 1)];
    plan.mix[0].body_contains = Some("ok".to_owned());
    plan.mix[1].body_contains = Some("fine".to_owned());
    let outcome = drive(&plan, &target.url(), 500).await;
    for window in &outcome.windows {
        for (kind, samples) in &window.kinds {
            let expected = match kind.as_str() {
                "GET /good" => RequestOutcome::Status(200),
                _ => RequestOutcome::Body,
            };
            assert_eq!(samples.outcomes.keys().collect::<Vec<_>>(), [&expected], "{kind}");
        }
    }
    // A failed check leaves the connection as it was.
    // On a busy machine several connections are needed; one per failed check would be 25.
    assert!(target.connections() < 25, "{}", target.connections());
}

#[tokio::test]
async fn silence_is_a_timeout_counted_from_the_send() {
    let target =
        target(async |mut connection: Connection| while connection.request().await.is_some() {})
            .await;
    let (outcomes, unknown) = outcomes(&target).await;
    assert_eq!(outcomes, BTreeMap::from([(RequestOutcome::Timeout, 50)]));
    assert_eq!(unknown, [(0, 49)]);
}

#[tokio::test]
async fn a_trickle_does_not_outlive_the_timeout() {
    let target = target(async |mut connection: Connection| {
        connection.request().await;
        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
        for _ in 0..1000 {
            connection.write("x").await;
            tokio::time::sleep(StdDuration::from_millis(5)).await;
        }
    })
    .await;
    let (outcomes, _) = outcomes(&target).await;
    assert_eq!(outcomes, BTreeMap::from([(RequestOutcome::Timeout, 50)]));
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let target = target(Connection::answer_all).await;
    let url = target.url();
    drop(target);
    // The listener goes with its task, at the runtime's next turn.
    while tokio::net::TcpStream::connect(url.trim_start_matches("http://")).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let outcome = drive(&keyed(100), &url, 500).await;
    assert_eq!(outcome.total().outcomes, BTreeMap::from([(RequestOutcome::Refused, 50)]));
    assert_eq!((outcome.summary.sent, outcome.summary.unknown), (0, vec![]));
}

#[tokio::test]
async fn a_target_that_closes_after_each_answer_is_no_error() {
    for answer in [OK, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"] {
        let target = answers_and_closes(answer).await;
        let (outcomes, _) = outcomes(&target).await;
        assert_eq!(outcomes, BTreeMap::from([(RequestOutcome::Status(200), 50)]));
        assert_eq!(target.connections(), 50);
    }
}

#[tokio::test]
async fn beyond_the_bound_requests_are_overrun_and_never_sent() {
    let target =
        target(async |mut connection: Connection| while connection.request().await.is_some() {})
            .await;
    let mut plan = keyed(200);
    plan.timeout = Duration::from_secs(2);
    plan.connections_max = 5;
    plan.in_flight_max = 20;
    let outcome = drive(&plan, &target.url(), 500).await;
    // 20 are admitted: 5 are sent and time out after 2 s, the next 5 then, and so on.
    let expected = [(RequestOutcome::Timeout, 20), (RequestOutcome::Overrun, 80)];
    assert_eq!(outcome.total().outcomes, BTreeMap::from(expected));
    assert_eq!((outcome.summary.due, outcome.summary.sent, target.requests()), (100, 20, 20));
    assert_eq!(outcome.summary.unknown, [(0, 19)]);
}
