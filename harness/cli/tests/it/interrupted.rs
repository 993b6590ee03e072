//! Interrupts while users walk: goose must never take them, nor end us without putting back.

use std::time::{Duration, Instant};

use crate::support::{Place, alone, signal_group, until};
use crate::target::{ledger_lines, order_works, shop};

/// One short trial of a blackhole at the front door, under users who then wait.
const SCENARIO: &str = "apiVersion: gameday.dev/v1alpha1
kind: Scenario
metadata: {name: walk, title: Users before a closed door}
spec:
  system: {lab: shop}
  load:
    journeys:
      users: 10
      timeout: 30s
      mix: [{name: buy, think: 50ms, steps: [{get: /catalog}, {post: /checkout}]}]
  phases: {warmup: 300ms, baseline: 500ms, settle: 200ms}
  faults:
    - {id: down, dependency-outage: {edge: edge->checkout, mode: blackhole}, for: 60s}
  expect:
    - invariant: {noneLost: true, noneTwice: true}
  safety: {lease: 20s}
  trials: {count: 1, placebo: 0, mode: observed, seed: 1}
";

/// The walking processes that a run has started: children of any of its threads.
fn walkers(run: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{run}/task")) else { return Vec::new() };
    let children = threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let children: Vec<u32> = children
        .flat_map(|text| {
            text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .collect();
    children.into_iter().filter(|pid| words(*pid).contains("agent-journeys")).collect()
}

fn words(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

#[test]
fn two_interrupts_of_the_group_end_in_our_own_way() {
    let (_alone, place) = (alone(), Place::new());
    let up = place.gameday(&["lab", "up", "--state", "shop"]);
    assert_eq!(up.code, 0, "{up:?}");
    let address = shop(&place.path().join("shop"));
    let file = place.write("walk.yaml", SCENARIO);
    let mut run = place.start(&["run", &file, "--lab", "shop"]);
    let in_force = until(Duration::from_secs(20), || {
        assert!(run.is_running(), "the run goes on while the fault is in force");
        (ledger_lines(&place) > 1 && !order_works(&address)).then_some(())
    });
    assert!(in_force.is_some(), "the fault is in force");
    let walkers = walkers(run.pid());
    assert_eq!(walkers.len(), 1, "users walk in one process");
    let began = Instant::now();
    signal_group(run.pid(), "INT");
    std::thread::sleep(Duration::from_millis(30));
    signal_group(run.pid(), "INT");
    // The walker goes within a second, though its users wait for answers that never come.
    let gone = until(Duration::from_secs(10), || {
        (!words(walkers[0]).contains("agent-journeys")).then(|| began.elapsed())
    });
    let gone = gone.expect("the walker ends");
    let said = run.end();
    assert_eq!(said.code, 3, "aborted, all put back: {said:?}");
    assert!(order_works(&address), "the fault is gone: {said:?}");
    assert!(gone < Duration::from_secs(1), "the walker took {gone:?}");
    assert_eq!(place.gameday(&["lab", "down", "--state", "shop"]).code, 0);
}
