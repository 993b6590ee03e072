//! The ledger under attack: cut off at every byte, damaged, written by others, on a full disk.

use harness_core::fault::{Reversibility, Reverted};
use harness_core::ids::TrialIndex;
use harness_core::plan::WitnessPlan;
use serde_json::json;

use super::*;
use crate::storage::FileStorage;
use crate::storage::memory::{Hanging, Memory};

pub(crate) fn owed(trial: u32, fault: &str) -> OwedFault {
    OwedFault {
        trial: TrialIndex(trial),
        fault: fault.into(),
        kind: "latency".into(),
        system: "lab".into(),
        spec: json!({"edge": "checkout->payments"}),
        undo: json!({"rule": fault}),
        baseline: json!(null),
        reversibility: Reversibility::Reversible,
        lease: Duration::from_secs(3),
        revert: Duration::from_secs(1),
        reverted: WitnessPlan {
            by: None,
            in_a_row: 2,
            every: Duration::from_millis(100),
            within: Duration::from_secs(2),
        },
    }
}

fn injected(trial: u32, fault: &str, rule: Option<&str>) -> LedgerEntry {
    let undo = rule.map(|rule| json!({ "rule": rule }));
    LedgerEntry::Injected { trial: TrialIndex(trial), fault: fault.into(), undo }
}

fn paid(trial: u32, fault: &str) -> LedgerEntry {
    LedgerEntry::Paid {
        trial: TrialIndex(trial),
        fault: fault.into(),
        how: PaidHow::Reverted(Reverted::PutBack),
        seen: "200 in 3 ms".into(),
        by: "run".into(),
    }
}

/// A ledger's life, and what is owed after each of its lines.
fn life() -> Vec<(LedgerEntry, &'static [&'static str])> {
    let armed = |trial, fault| LedgerEntry::Armed(Box::new(owed(trial, fault)));
    let opened = LedgerEntry::SystemOpened {
        kind: "lab".into(),
        record: json!({"state": "/tmp/lab"}),
        close: Duration::from_secs(5),
    };
    vec![
        (opened, &["the lab that the run started"]),
        (armed(0, "slow"), &["fault slow in trial 1", "the lab that the run started"]),
        (
            injected(0, "slow", Some("new")),
            &["fault slow in trial 1", "the lab that the run started"],
        ),
        (
            armed(0, "down"),
            &["fault down in trial 1", "fault slow in trial 1", "the lab that the run started"],
        ),
        (paid(0, "slow"), &["fault down in trial 1", "the lab that the run started"]),
        (paid(0, "down"), &["the lab that the run started"]),
        (injected(0, "down", None), &["fault down in trial 1", "the lab that the run started"]),
        (paid(0, "down"), &["the lab that the run started"]),
        (LedgerEntry::SystemClosed { by: "run".into() }, &[]),
    ]
}

fn written(entries: &[(LedgerEntry, &[&str])]) -> Vec<u8> {
    let disk = Memory::default();
    let ledger = Ledger::begin(Box::new(disk.clone()), &RunId::new("r")).unwrap();
    for (entry, _) in entries {
        ledger.write_blocking(entry.clone()).unwrap();
    }
    assert_eq!(disk.synced(), disk.bytes().len(), "every entry is synced");
    let mut read = LedgerState::from_bytes(&disk.bytes()).unwrap();
    read.finished_bytes = 0;
    assert_eq!(ledger.state(), read, "writer and reader agree");
    disk.bytes()
}

#[test]
fn killed_at_every_byte_the_debts_are_those_of_the_finished_lines() {
    let life = life();
    let bytes = written(&life);
    for cut in 0..=bytes.len() {
        let state = LedgerState::from_bytes(&bytes[..cut]).unwrap();
        let lines = crate::testing::lines(&bytes[..cut]);
        let expected: &[&str] = if lines < 2 { &[] } else { life[lines - 2].1 };
        assert_eq!(state.debts(), expected, "cut at byte {cut}");
        assert_eq!(state.is_unpaid(), !expected.is_empty());
        assert_eq!(state.run.is_some(), lines > 0);
    }
}

#[test]
fn the_newest_undo_record_counts() {
    let state = LedgerState::from_bytes(&written(&life())).unwrap();
    let (slow, is_owed) = state.faults.last().unwrap();
    assert_eq!((&slow.undo, *is_owed), (&json!({"rule": "new"}), false));
}

#[test]
fn a_damaged_line_is_owed_by_its_number() {
    let life = life();
    let mut bytes = written(&life[..2]);
    let at = bytes.len() - 10;
    bytes[at] ^= 1;
    let state = LedgerState::from_bytes(&bytes).unwrap();
    assert_eq!(state.unreadable, [3]);
    let debts = ["the lab that the run started", "unreadable ledger line 3"];
    assert_eq!(state.debts(), debts);

    let mut bytes = written(&life[..6]);
    let line_5 =
        bytes.split_inclusive(|byte| *byte == b'\n').take(4).map(<[u8]>::len).sum::<usize>();
    bytes[line_5 + 30] ^= 1;
    let state = LedgerState::from_bytes(&bytes).unwrap();
    assert_eq!(state.unreadable, [5], "the payment of an unknown debt owes nothing more");
    assert!(state.is_unpaid());
}

fn with_lines(lines: &[serde_json::Value]) -> Vec<u8> {
    let disk = Memory::default();
    let mut writer = LineWriter::new(Box::new(disk.clone()));
    for line in lines {
        writer.append(line).unwrap();
    }
    disk.bytes()
}

#[test]
fn other_versions() {
    let header = |format: &str| json!({"header": {"format": format, "run": "r", "gameday": "9"}});
    let newer_minor = with_lines(&[header("gameday.undo/1.4"), json!({"mopped": {"by": "x"}})]);
    let state = LedgerState::from_bytes(&newer_minor).unwrap();
    assert_eq!(state.debts(), ["unreadable ledger line 2"], "what is not understood may be owed");
    let older = with_lines(&[header("gameday.undo/1.0")]);
    assert!(!LedgerState::from_bytes(&older).unwrap().is_unpaid());
    let newer = with_lines(&[header("gameday.undo/2")]);
    assert!(matches!(LedgerState::from_bytes(&newer), Err(LedgerError::Format(_))));
    let other = with_lines(&[json!({"hello": 1})]);
    assert!(matches!(LedgerState::from_bytes(&other), Err(LedgerError::Format(_))));
}

#[tokio::test]
async fn a_full_disk_fails_the_write_and_leaves_no_half_line() {
    let disk = Memory::default();
    let ledger = Ledger::begin(Box::new(disk.clone()), &RunId::new("r")).unwrap();
    disk.fail(3, 4);
    assert!(ledger.write(LedgerEntry::Armed(Box::new(owed(0, "down")))).await.is_err());
    ledger.write(LedgerEntry::Armed(Box::new(owed(1, "down")))).await.unwrap();
    let state = LedgerState::from_bytes(&disk.bytes()).unwrap();
    assert_eq!(state.debts(), ["fault down in trial 2"]);

    let full = FileStorage::any(std::path::Path::new("/dev/full")).unwrap();
    assert!(Ledger::begin(Box::new(full), &RunId::new("r")).is_err());
}

#[tokio::test]
async fn a_ledger_is_continued_after_its_torn_tail() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("undo.jsonl");
    let mut bytes = written(&life()[..2]);
    bytes.extend_from_slice(b"0123456789abcdef {\"paid\":{\"tri");
    std::fs::write(&path, &bytes).unwrap();
    let state = LedgerState::read(&path).unwrap();
    let storage = FileStorage::open(&path, state.finished_bytes).unwrap();
    Ledger::resume(Box::new(storage), state).write(paid(0, "slow")).await.unwrap();
    let state = LedgerState::read(&path).unwrap();
    assert_eq!(state.debts(), ["the lab that the run started"]);
    assert!(state.unreadable.is_empty());
    assert!(!LedgerState::read(&directory.path().join("none")).unwrap().is_unpaid());
}

#[test]
fn what_is_owed_can_be_asked_for_while_the_disk_hangs() {
    let (disk, hold) = Hanging::after(0);
    let ledger = Ledger::resume(Box::new(disk), LedgerState::default());
    let writer = ledger.clone();
    let writing = std::thread::spawn(move || {
        writer.write_blocking(LedgerEntry::Armed(Box::new(owed(0, "down"))))
    });
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while ledger.state().debts().is_empty() {
            std::thread::yield_now();
        }
        tell.send(ledger.state().debts()).unwrap();
    });
    let debts = told.recv_timeout(std::time::Duration::from_secs(20));
    assert!(!writing.is_finished(), "the disk hangs");
    drop(hold);
    writing.join().unwrap().unwrap();
    assert_eq!(debts.as_deref(), Ok(&["fault down in trial 1".to_owned()][..]));
}
