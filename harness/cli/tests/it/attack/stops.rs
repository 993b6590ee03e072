//! Every way to stop a run leads to the same path, and one that stands still is put back behind
//! its back.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Figure, OUTAGE, healed, journal};
use crate::support::{Place, Said, alone, beside_others, signal, until};
use crate::target::{Begin, in_force, kill_after_watchdog, lab_up, newest_run, order_works};

/// The first revert begins this soon after the decision.
const FIRST_REVERT_MAX: Duration = Duration::from_millis(100);

/// The journal's entries.
fn entries(run: &Path) -> Vec<Value> {
    let text = journal(run);
    text.lines()
        .map(|line| serde_json::from_str(line.split_once(' ').unwrap().1).unwrap())
        .collect()
}

/// Run time of an entry.
fn at(entry: &Value) -> Duration {
    Duration::from_nanos(entry["at"].as_u64().unwrap())
}

/// How long after the abort the first revert began.
fn first_revert(entries: &[Value]) -> Duration {
    let abort = entries.iter().find(|entry| entry.pointer("/what/event/abort").is_some());
    let abort = abort.expect("the abort is in the journal");
    let began = entries
        .iter()
        .find_map(|entry| entry.pointer("/what/event/done/outcome/reverted/began")?.as_u64())
        .expect("a revert is in the journal");
    Duration::from_nanos(began).saturating_sub(at(abort))
}

fn post_abort(run: &Path) -> String {
    let text = std::fs::read_to_string(run.join("abort-http.json")).unwrap();
    let known: Value = serde_json::from_str(&text).unwrap();
    let url = known["url"].as_str().unwrap();
    let address = url.trim_start_matches("http://").trim_end_matches("/abort");
    let say = |token: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!(
            "POST /abort HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    };
    assert!(say("wrong").contains("401"), "without its token nothing is stopped");
    say(known["token"].as_str().unwrap())
}

/// Stops a run in one way, and looks at what follows.
fn stopped_by(place: &Place, address: &str, way: &str, stop: impl FnOnce(u32, &Path)) -> Said {
    let runs = place.path().join(format!("runs-{}", way.replace(' ', "-")));
    let switch = place.path().join("stop-all");
    let more = [
        "--runs",
        runs.to_str().unwrap(),
        "--abort-file",
        switch.to_str().unwrap(),
        "--abort-http",
        "127.0.0.1:0",
    ];
    let run = in_force(place, address, Begin { more: &more, ..Begin::plain(&runs) });
    let dir = newest_run(&runs).unwrap();
    let began = Instant::now();
    stop(run.pid(), &dir);
    let to_safe = healed(began, address, way);
    let said = run.end();
    assert_eq!(said.code, 3, "{way}: {said:?}");
    let first = first_revert(&entries(&dir));
    assert!(first <= FIRST_REVERT_MAX, "{way}: the first revert began after {first:?}");
    let attack = format!("abort by {way}");
    Figure { attack: &attack, kind: OUTAGE, to_safe, named: 0 }.keep();
    said
}

#[test]
fn every_way_to_stop_a_run_leads_to_the_same_path() {
    let _alone = alone();
    let place = Place::new();
    let address = lab_up(&place);
    let said = stopped_by(&place, &address, "signal", |pid, _| signal(pid, "INT"));
    assert!(said.out.contains("interrupted"), "{said:?}");
    let said = stopped_by(&place, &address, "command", |_, dir| {
        let asked = place.gameday(&["abort", dir.to_str().unwrap()]);
        assert_eq!(asked.code, 0, "{asked:?}");
    });
    assert!(said.out.contains("aborted by gameday abort"), "{said:?}");
    let said = stopped_by(&place, &address, "file", |_, _| {
        place.write("stop-all", "the pager of anna");
    });
    assert!(said.out.contains("aborted by the pager of anna"), "{said:?}");
    std::fs::remove_file(place.path().join("stop-all")).unwrap();
    let said = stopped_by(&place, &address, "http", |_, dir| {
        assert!(post_abort(dir).contains("202"));
    });
    assert!(said.out.contains("aborted by HTTP from 127.0.0.1"), "{said:?}");
    assert_eq!(place.gameday(&["lab", "down", "--state", "shop"]).code, 0);
}

#[test]
fn a_harness_that_stands_still_past_its_lease_is_put_back_behind_its_back() {
    let _alone = alone();
    let place = Place::new();
    let address = lab_up(&place);
    let runs = place.path().join(".gameday/runs");
    let run = in_force(&place, &address, Begin::plain(&runs));
    let dir = newest_run(&runs).unwrap();
    let began = Instant::now();
    signal(run.pid(), "STOP");
    let to_safe = healed(began, &address, "SIGSTOP");
    assert!(to_safe < Duration::from_secs(6), "the lease is 2 s: {to_safe:?}");
    let paid = until(Duration::from_secs(20), || {
        let ledger = std::fs::read_to_string(dir.join("undo.jsonl")).unwrap();
        ledger.contains("\"by\":\"watchdog\"").then_some(())
    });
    assert!(paid.is_some(), "the watchdog has paid while the harness stood still");
    signal(run.pid(), "CONT");
    let said = run.end();
    assert_eq!(said.code, 3, "it may not go on: {said:?}");
    assert!(order_works(&address), "and nothing is in force again");
    let undo = place.gameday(&["undo", "--dry-run"]);
    assert_eq!(undo.code, 0, "{undo:?}");
    let attack = "SIGSTOP past the lease";
    Figure { attack, kind: OUTAGE, to_safe, named: 0 }.keep();
    assert_eq!(place.gameday(&["lab", "down", "--state", "shop"]).code, 0);
}

#[test]
fn two_runs_do_not_attack_one_system_and_a_debt_blocks_it() {
    let _beside = beside_others();
    let (one, other) = (Place::new(), Place::new());
    let address = lab_up(&one);
    let runs = one.path().join(".gameday/runs");
    let run = in_force(&one, &address, Begin { lease: "60s", ..Begin::plain(&runs) });
    let shop = one.path().join("shop").display().to_string();
    let file = other.write("short.yaml", &crate::support::short_scenario("2s", "1s"));
    let second = other.gameday(&["run", &file, "--lab", &shop]);
    assert_eq!(second.code, 69, "{second:?}");
    assert!(second.err.contains("is held by run"), "{second:?}");

    // With both dead, the second one is told about the debt of the first.
    kill_after_watchdog(&one, run);
    let second = other.gameday(&["run", &file, "--lab", &shop]);
    assert_eq!(second.code, 69, "{second:?}");
    assert!(second.err.contains("still owes this system: fault down in trial 1"), "{second:?}");
    let dir = newest_run(&runs).unwrap();
    let undo = other.gameday(&["undo", dir.to_str().unwrap()]);
    assert_eq!(undo.code, 0, "{undo:?}");
    assert!(order_works(&address));
    let second = other.gameday(&["run", &file, "--lab", &shop]);
    assert!(second.code <= 2, "paid, it may be attacked again: {second:?}");
    let dir = newest_run(&other.path().join(".gameday/runs")).unwrap();
    let passed = std::fs::read_to_string(dir.join("policy.json")).unwrap();
    assert!(passed.contains("default.rego"), "it says what let it pass: {passed}");
    assert_eq!(one.gameday(&["lab", "down", "--state", "shop"]).code, 0);
}
