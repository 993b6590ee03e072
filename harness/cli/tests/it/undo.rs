//! `gameday undo` on several runs, which need no lab.

use std::path::PathBuf;

use harness_core::units::Duration;
use harness_engine::ledger::{Ledger, LedgerEntry};
use harness_engine::store::RunDir;

use crate::support::Place;

/// The directory of a run whose harness is dead.
fn run(place: &Place, name: &str) -> PathBuf {
    let path = place.path().join(".gameday/runs").join(name);
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join(RunDir::PLAN), "{}").unwrap();
    path
}

/// A run that owes the end of a lab of which nothing is left.
fn owing(place: &Place, name: &str) {
    let path = run(place, name);
    let record = serde_json::json!({"format": "gameday.lab-host/1", "state": path.join("lab")});
    let run = RunDir::at(&path).unwrap();
    let ledger = Ledger::begin(run.files().unwrap().ledger, run.id()).unwrap();
    let close = Duration::from_secs(5);
    let opened = LedgerEntry::SystemOpened { kind: "lab".to_owned(), record, close };
    ledger.write_blocking(opened).unwrap();
}

#[test]
fn a_run_that_cannot_be_paid_does_not_keep_the_others_from_being_paid() {
    let place = Place::new();
    owing(&place, "1-oldest");
    owing(&place, "2-older");
    // Its ledger cannot be read.
    let broken = run(&place, "3-newest");
    std::fs::create_dir(broken.join("undo.jsonl")).unwrap();
    let undo = place.gameday(&["undo"]);
    assert_eq!(undo.code, 4, "{undo:?}");
    let at = |words: &str| undo.out.find(words).unwrap_or_else(|| panic!("{words}: {undo:?}"));
    assert!(at("2-older: put back and proven") < at("1-oldest: put back and proven"), "{undo:?}");
    assert!(undo.err.contains("3-newest:") && undo.err.contains("could not pay"), "{undo:?}");
    let alone = place.gameday(&["undo", "3-newest"]);
    assert_eq!((alone.code, alone.out.as_str()), (4, ""), "{alone:?}");
    std::fs::remove_dir(broken.join("undo.jsonl")).unwrap();
    let undo = place.gameday(&["undo"]);
    assert_eq!((undo.code, undo.out.trim()), (0, "Nothing is owed."), "{undo:?}");
}
