//! A store whose disk is full: it refuses, keeps what it has, and takes orders again by itself.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;
use serde_json::json;

use crate::support::{PROGRAM, TestLab, all_within, request, settings, signal, wait_until};

/// Says by name that a test is left out; the gate fails on those that were not allowed.
#[expect(clippy::print_stderr, reason = "whoever runs the tests is told")]
fn skip(name: &str, why: &str) {
    let line = format!("mount: {name}: {why}");
    eprintln!("skipped: {line}");
    if let Some(list) = std::env::var_os("GAMEDAY_SKIPS") {
        let mut list = OpenOptions::new().append(true).create(true).open(list).unwrap();
        writeln!(list, "{line}").unwrap();
    }
}

/// Where the store writes, as it sees it; nothing where the lab has no volume of its own.
fn volume(lab: &TestLab, test: &str) -> Option<PathBuf> {
    let inside = |pid: u32| PathBuf::from(format!("/proc/{pid}/root{}", lab.lab.state.display()));
    let data = inside(lab.lab.supervisor.pid).join("data");
    let own = data.metadata().unwrap().dev() != lab.state().metadata().unwrap().dev();
    if !own {
        skip(test, "nothing can be mounted here");
        return None;
    }
    Some(data)
}

/// Takes all the room there is.
fn fill(volume: &std::path::Path) {
    let mut file = File::create(volume.join("filler")).unwrap();
    let error = io::copy(&mut io::repeat(7), &mut file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
}

fn order(lab: &TestLab) -> u16 {
    request(&lab.lab.endpoints.edge, "POST", "/checkout", "").0
}

#[test]
fn a_full_disk_refuses_orders_and_costs_none_that_was_taken() {
    let lab = TestLab::up(&[]);
    let Some(volume) = volume(&lab, "a_full_disk_refuses_orders") else { return };
    let store = lab.pid("store");
    let seen = lab.orders_while(("full-1", 100, 5), || {
        fill(&volume);
        wait_until("refused order", || order(&lab) == 503);
        // Longer than whatever is left of the last block.
        let key = "full-".repeat(2_000);
        let body = json!({"key": key, "status": "pending-payment"}).to_string();
        let (status, why) = request(&lab.lab.endpoints.store, "POST", "/orders", &body);
        assert!(status == 507 && why.contains("disk is full"), "{status} {why}");
        assert_ne!(lab.ranges("full-1")["stored"], json!([]), "it still tells what it has");
        std::fs::remove_file(volume.join("filler")).unwrap();
    });
    wait_until("order", || order(&lab) == 200);
    assert!(seen.by_status.contains_key(&503), "{:?}", seen.by_status);
    assert!(seen.accepted.len() > 100, "{:?}", seen.by_status);
    assert_eq!(lab.pid("store"), store, "it has not ended");
    signal(store, Signal::KILL);
    lab.wait_for_steady();
    let ranges = lab.ranges("full-1");
    assert!(all_within(&seen.accepted, &ranges["stored"]), "{ranges}");
    assert_eq!(ranges["processedTwice"], json!([]));
}

#[test]
fn a_store_that_wedges_takes_no_order_until_its_restart_or_a_reset() {
    let lab = TestLab::up(&["store=wedges"]);
    let Some(volume) = volume(&lab, "a_store_that_wedges") else { return };
    let full_for_a_moment = || {
        fill(&volume);
        wait_until("refused order", || order(&lab) == 503);
        std::fs::remove_file(volume.join("filler")).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(order(&lab), 503, "there is room, and it does not look");
    };
    full_for_a_moment();
    signal(lab.pid("store"), Signal::KILL);
    wait_until("order after a restart", || order(&lab) == 200);
    full_for_a_moment();
    // Steady or not yet: an alert may still fire.
    request(&lab.lab.endpoints.supervisor, "POST", "/api/reset", "");
    assert_eq!(order(&lab), 200);
}

#[test]
fn the_volume_is_seen_by_nobody_else_and_leaves_nothing_behind() {
    let lab = TestLab::up(&[]);
    let Some(volume) = volume(&lab, "the_volume_is_seen_by_nobody_else") else { return };
    assert_eq!(order(&lab), 200);
    assert!(volume.join("orders.journal").metadata().unwrap().len() > 0);
    assert!(!lab.state().join("data/orders.journal").exists());
    lab::down(&lab.state(), lab::Leave::Logs).unwrap();
    assert!(!lab.state().join("data").exists());
}

/// As on a machine where nothing may be mounted: without the right to, dropped on the way.
#[test]
fn a_lab_that_may_not_mount_keeps_its_journal_on_the_ordinary_disk() {
    let setpriv = Command::new("setpriv").args(["--bounding-set=-sys_admin", "true"]).status();
    if !setpriv.is_ok_and(|status| status.success()) {
        return skip("a_lab_that_may_not_mount", "no right can be dropped here");
    }
    let lab = TestLab::with(|state| {
        let words = ["--bounding-set=-sys_admin", PROGRAM, "lab-role"];
        let role_arguments = words.map(str::to_owned).to_vec();
        lab::Settings { program: "setpriv".into(), role_arguments, ..settings(state, &[]) }
    });
    assert_eq!(order(&lab), 200);
    assert!(lab.state().join("data/orders.journal").metadata().unwrap().len() > 0);
    lab::down(&lab.state(), lab::Leave::Nothing).unwrap();
    assert!(!lab.state().exists());
}
