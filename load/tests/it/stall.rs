//! Stalls: of the target, whose time must be counted, and of the client, whose time must not.

use std::sync::Arc;

use harness_core::load::RequestOutcome;
use harness_core::plan::Arrivals;
use tokio::sync::watch;

use crate::support::{Connection, OK, Outcome, drive, plan, target};

/// A target that answers nothing from `at` to `at + lasts` (ms after its first request).
async fn stalled_load(arrivals: Arrivals, at: u64, lasts: u64) -> Outcome {
    let (stalled, _) = watch::channel(false);
    let (stalled, begun) = (Arc::new(stalled), Arc::new(tokio::sync::Notify::new()));
    let (switch, first) = (stalled.clone(), begun.clone());
    let mut clock = tokio::task::JoinSet::new();
    clock.spawn(async move {
        first.notified().await;
        tokio::time::sleep(std::time::Duration::from_millis(at)).await;
        switch.send_replace(true);
        tokio::time::sleep(std::time::Duration::from_millis(lasts)).await;
        switch.send_replace(false);
    });
    let target = target(move |mut connection: Connection| {
        let (mut stalled, begun) = (stalled.subscribe(), begun.clone());
        async move {
            while connection.request().await.is_some() {
                begun.notify_one();
                stalled.wait_for(|stalled| !stalled).await.unwrap();
                connection.write(OK).await;
            }
        }
    })
    .await;
    let mut plan = plan(400);
    plan.arrivals = arrivals;
    plan.connections_max = 20;
    drive(&plan, &target.url(), 5_000).await
}

#[tokio::test]
async fn a_stall_is_charged_to_every_request_that_was_due_in_it() {
    for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
        let outcome = stalled_load(arrivals, 2_000, 500).await;
        let total = outcome.total();
        assert_eq!(total.outcomes.keys().collect::<Vec<_>>(), [&RequestOutcome::Status(200)]);
        // Arrivals are uniform in time: P(L > x) = (500 - x) / 5,000, so of n requests
        // n (500 - x) / 5,000 take longer than x. Generous for a busy machine and for Poisson.
        let slower_than = |ms: u64| total.latency_us.count_between(ms * 1000, u64::MAX) as f64;
        for ms in [100, 250, 400] {
            let expected = total.planned as f64 * (500 - ms) as f64 / 5_000.0;
            let noise = if arrivals == Arrivals::Poisson { 4.0 * expected.sqrt() } else { 0.0 };
            let seen = slower_than(ms);
            assert!(
                (seen - expected).abs() < 0.15 * expected + 10.0 + noise,
                "{arrivals:?}: {seen} of {expected} slower than {ms} ms"
            );
        }
        // Service time alone would hide nearly all of it: 20 connections, 20 slow answers.
        let slow = total.service_us.count_between(100_000, u64::MAX);
        assert!(slow <= 40, "{slow}");
        // Waiting for the target is not the client's lag.
        assert!(outcome.summary.lag_us_p99 < 50_000, "{:?}", outcome.summary);
    }
}

#[cfg(target_os = "linux")]
mod client {
    //! The client itself is stopped: it must own up to it.

    use std::process::Stdio;
    use std::time::Duration;

    use rustix::process::{Pid, Signal, kill_process};
    use tokio::io::{AsyncBufReadExt, BufReader};
    use tokio::process::{Child, Command};

    use super::*;

    /// Named so that the child runs it alone; does nothing without its target in `argv`.
    const CHILD: &str = "stall::client::child_that_drives_load";

    /// This binary again, as a process of its own that drives load against `url`.
    fn start(url: &str) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD, "--nocapture"])
            .env("LOAD_TEST_TARGET", url)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the parent tells its child where to send")]
    async fn child_that_drives_load() {
        let Ok(url) = std::env::var("LOAD_TEST_TARGET") else { return };
        let outcome = drive(&plan(200), &url, 3_000).await;
        let mut lines = Vec::new();
        for window in &outcome.windows {
            let slow: u64 = window
                .kinds
                .values()
                .map(|kind| kind.latency_us.count_between(100_000, u64::MAX))
                .sum();
            lines.push(format!("window {} {} {slow}", window.index, window.paused));
        }
        let summary = &outcome.summary;
        let paused_ms = summary.paused.millis();
        lines.push(format!(
            "summary {} {paused_ms} {} {}",
            summary.pauses, summary.lag_us_max, summary.due
        ));
        println!("{}", lines.join("\n"));
    }

    #[tokio::test]
    async fn a_stop_of_the_client_marks_its_windows_and_is_told() {
        let target = target(Connection::answer_all).await;
        let mut child = start(&target.url());
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        while target.requests() < 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        kill_process(pid, Signal::STOP).unwrap();
        tokio::time::sleep(Duration::from_millis(700)).await;
        kill_process(pid, Signal::CONT).unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut marked, mut slow, mut summary) = (0, 0, None);
        while let Some(line) = lines.next_line().await.unwrap() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["window", index, paused, slow_here] => {
                    let slow_here: u64 = slow_here.parse().unwrap();
                    let paused: bool = paused.parse().unwrap();
                    marked += u64::from(paused);
                    slow += slow_here;
                    assert!(paused || slow_here == 0, "window {index} charges the target");
                }
                ["summary", pauses, paused_ms, lag_us_max, due] => {
                    let number = |text: &str| text.parse::<u64>().unwrap();
                    let numbers = [pauses, paused_ms, lag_us_max, due].map(number);
                    summary = Some(numbers);
                }
                _ => {}
            }
        }
        assert!(child.wait().await.unwrap().success());
        let [pauses, paused_ms, lag_us_max, due] = summary.unwrap();
        assert_eq!(due, 600, "nothing is skipped");
        assert!(pauses >= 1 && paused_ms >= 600, "{pauses} pauses of {paused_ms} ms");
        assert!((7..=30).contains(&marked), "{marked} windows are marked");
        assert!(slow >= 50, "the pause itself is in the latencies of marked windows: {slow}");
        assert!(lag_us_max >= 600_000, "the pause is lag: {lag_us_max}");
    }
}
