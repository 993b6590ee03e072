//! What the harness stands on is killed: its proxy in the middle of a fault, and everything at
//! once, with the machine.

use std::process::Command;
use std::time::{Duration, Instant};

use super::{Figure, OUTAGE, healed, skip};
use crate::support::{Place, alone, beside_others, short_scenario, signal, until};
use crate::target::{Begin, in_force, kill_after_watchdog, lab_up, newest_run};

#[test]
fn a_proxy_that_is_killed_takes_its_faults_with_it() {
    let _alone = alone();
    let place = Place::new();
    let address = lab_up(&place);
    let runs = place.path().join(".gameday/runs");
    let run = in_force(&place, &address, Begin::plain(&runs));
    let processes = place.processes();
    let proxy = processes.iter().find(|(_, words)| words.contains("agent-proxy"));
    let began = Instant::now();
    signal(proxy.expect("a proxy stands on the edges").0, "KILL");
    let to_safe = healed(began, &address, "proxy killed");
    let said = run.end();
    assert_eq!(said.code, 3, "its lease is lost: {said:?}");
    let undo = place.gameday(&["undo", "--dry-run"]);
    assert_eq!(undo.code, 0, "{undo:?}");
    Figure { attack: "proxy killed", kind: OUTAGE, to_safe, named: 0 }.keep();
    assert_eq!(place.gameday(&["lab", "down", "--state", "shop"]).code, 0);
}

/// Everything dies at once, and the one who pays finds another boot: process numbers of before
/// mean nothing any more.
#[test]
fn after_another_boot_nothing_is_owed_that_the_boot_has_ended() {
    let _beside = beside_others();
    let place = Place::new();
    let other_boot = place.path().join("boot_id");
    std::fs::write(&other_boot, "00000000-0000-4000-8000-000000000000\n").unwrap();
    let script = "mount --bind \"$1\" /proc/sys/kernel/random/boot_id && shift && exec \"$@\"";
    let way = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh"];
    let way = [&way[..], &[other_boot.to_str().unwrap()]].concat();
    let tried = Command::new(way[0]).args(&way[1..]).arg("true").output();
    if !tried.is_ok_and(|output| output.status.success()) {
        return skip("another_boot", "no mount namespace can be had here");
    }
    let file = place.write("short.yaml", &short_scenario("60s", "60s"));
    let run = place.start(&["run", &file]);
    let in_force = until(Duration::from_mins(1), || {
        let journal = std::fs::read_to_string(place.only_run()?.join("journal.jsonl")).ok()?;
        journal.contains("\"effective\":{").then_some(())
    });
    assert!(in_force.is_some(), "the fault is in force");
    let began = Instant::now();
    kill_after_watchdog(&place, run);
    for (pid, _) in place.processes() {
        signal(pid, "KILL");
    }
    let gone = until(Duration::from_secs(10), || place.processes().is_empty().then_some(()));
    assert!(gone.is_some(), "{:?}", place.processes());
    let owing = place.gameday(&["undo", "--dry-run"]);
    assert_eq!(owing.code, 4, "{owing:?}");

    let way: Vec<String> = way.into_iter().map(str::to_owned).collect();
    let undo = place.start_by(&way, &["undo"]).end();
    assert_eq!(undo.code, 0, "{undo:?}");
    assert!(newest_run(&place.path().join(".gameday/runs")).is_some());
    let to_safe = began.elapsed();
    Figure { attack: "all killed, another boot", kind: OUTAGE, to_safe, named: 0 }.keep();
}
