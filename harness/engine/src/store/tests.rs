//! Names, lookups, locks and unpaid runs, on a real directory.

use harness_core::fault::Reverted;
use harness_core::history::{EarlierRun, History, RunValue};

use super::*;
use crate::ledger::{Ledger, LedgerEntry, PaidHow};
use crate::testing::plan;

const WALL: WallTime = WallTime(1_795_358_762_000);

#[test]
fn a_run_is_named_found_and_listed() {
    let directory = tempfile::tempdir().unwrap();
    let store = RunStore::new(directory.path().join("deep/runs"));
    assert!(store.list().unwrap().is_empty());
    let plan = plan();
    let (first, _lock) = store.create(&plan, WALL).unwrap();
    let (second, _lock_2) = store.create(&plan, WallTime(WALL.0 + 5000)).unwrap();
    let (third, _lock_3) = store.create(&plan, WALL).unwrap();
    assert_ne!(first.id(), third.id(), "two runs of one second have two names");

    let id = first.id().as_str();
    assert!(id.starts_with("20261122-144602-payments-outage-"), "{id}");
    assert!(id.rsplit('-').next().is_some_and(|tail| tail.len() == 4));
    assert_eq!(first.plan().unwrap(), plan);
    assert_eq!(store.list().unwrap().len(), 3);
    assert_eq!(store.find("latest").unwrap(), second);
    assert_eq!(store.find(id).unwrap(), first);
    assert_eq!(store.find("20261122-144607").unwrap(), second);
    let by_path = store.find(first.path().to_str().unwrap()).unwrap();
    assert_eq!(by_path.id(), first.id());
    assert!(
        matches!(store.find("2026"), Err(StoreError::Ambiguous { found, .. }) if found.len() == 3)
    );
    for name in ["", "1999", "/nowhere"] {
        assert!(matches!(store.find(name), Err(StoreError::Unknown { .. })), "{name}");
    }
}

#[test]
fn a_newer_plan_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = RunStore::new(directory.path());
    let (run, _lock) = store.create(&plan(), WALL).unwrap();
    run.write(RunDir::PLAN, br#"{"format": "gameday.plan/7"}"#).unwrap();
    let error = run.plan().unwrap_err().to_string();
    assert!(error.contains("newer"), "{error}");
}

#[test]
fn unpaid_runs_are_named_once_their_process_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let store = RunStore::new(directory.path());
    let (run, lock) = store.create(&plan(), WALL).unwrap();
    let ledger = Ledger::begin(run.files().unwrap().ledger, run.id()).unwrap();
    let owed = crate::ledger::tests::owed(0, "down");
    ledger.write_blocking(LedgerEntry::Armed(Box::new(owed))).unwrap();
    assert!(run.is_alive());
    assert!(store.unpaid().unwrap().is_empty(), "a run under way is no unpaid run");
    drop(lock);
    assert!(!run.is_alive());
    let unpaid = store.unpaid().unwrap();
    assert_eq!(unpaid[0].debts.as_ref().unwrap(), &["fault down in trial 1"]);

    std::fs::write(run.ledger_path(), "rubbish\n").unwrap();
    let unpaid = store.unpaid().unwrap();
    assert_eq!(unpaid[0].debts.as_ref().unwrap(), &["unreadable ledger line 1"]);
}

#[test]
fn one_system_is_attacked_by_one_run() {
    let directory = tempfile::tempdir().unwrap();
    let locks = directory.path();
    let store = RunStore::new(directory.path().join("runs"));
    let [one, two] = [0, 1].map(|_| store.create(&plan(), WALL).unwrap().0);
    let first = SystemLock::take(locks, "lab:/tmp/shop", &one).unwrap();
    let other = SystemLock::take(locks, "lab:/tmp/other", &two).unwrap();
    let error = SystemLock::take(locks, "lab:/tmp/shop", &two).unwrap_err();
    assert!(error.to_string().contains(&format!("held by run {}", one.id())), "{error}");
    drop(first);
    SystemLock::take(locks, "lab:/tmp/shop", &two).unwrap();
    drop(other);
}

/// Whoever puts something else in the place of a lock gets nothing overwritten.
#[test]
fn a_lock_is_a_file_of_ours_with_one_name() {
    let directory = tempfile::tempdir().unwrap();
    let run = RunStore::new(directory.path().join("runs")).create(&plan(), WALL).unwrap().0;
    let precious = directory.path().join("precious");
    std::fs::write(&precious, "kept").unwrap();
    let lock = |name: &str| directory.path().join(name);
    std::os::unix::fs::symlink(&precious, lock("link")).unwrap();
    std::os::unix::fs::symlink(lock("absent"), lock("dangling")).unwrap();
    std::fs::hard_link(&precious, lock("second-name")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        lock("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    std::fs::create_dir(lock("directory")).unwrap();
    for name in ["link", "dangling", "second-name", "pipe", "directory"] {
        let refused = Lock::take(&lock(name));
        assert!(matches!(refused, Err(LockError::File { .. })), "{name}: {refused:?}");
    }
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "kept");
    assert!(!lock("absent").exists());

    // The lock of a system has a name that can be guessed.
    drop(SystemLock::take(directory.path(), "lab:/tmp/shop", &run).unwrap());
    let mut entries = std::fs::read_dir(directory.path()).unwrap().map(|one| one.unwrap().path());
    let is_lock = |path: &PathBuf| path.to_string_lossy().contains("/system-");
    let taken = entries.find(is_lock).unwrap();
    std::fs::remove_file(&taken).unwrap();
    std::os::unix::fs::symlink(&precious, &taken).unwrap();
    assert!(SystemLock::take(directory.path(), "lab:/tmp/shop", &run).is_err());
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "kept");
}

#[test]
fn a_history_is_read_back_and_may_be_absent() {
    let directory = tempfile::tempdir().unwrap();
    let store = RunStore::new(directory.path());
    let (run, _lock) = store.create(&plan(), WALL).unwrap();
    assert_eq!(run.history().unwrap(), History::default());
    let earlier = EarlierRun {
        run: "20261101-000000-it-0000".into(),
        plan_sha256: "0".into(),
        values: [(
            "p99".into(),
            RunValue { name: "p99".into(), unit: "s".into(), median: Some(0.25), trials: 14 },
        )]
        .into(),
    };
    let history = History { runs: vec![earlier], ..History::default() };
    let text = serde_json::to_string(&history).unwrap();
    run.write(RunDir::HISTORY, text.as_bytes()).unwrap();
    assert_eq!(run.history().unwrap(), history);
    let newer = text.replace("gameday.history/1", "gameday.history/2");
    run.write(RunDir::HISTORY, newer.as_bytes()).unwrap();
    let error = run.history().unwrap_err().to_string();
    assert!(error.contains("history.json") && error.contains("newer"), "{error}");
}

#[test]
fn a_debt_of_another_store_blocks_the_system_until_it_is_paid() {
    let directory = tempfile::tempdir().unwrap();
    let locks = directory.path();
    let run =
        |store: &str| RunStore::new(directory.path().join(store)).create(&plan(), WALL).unwrap().0;
    let (mine, yours) = (run("mine"), run("yours"));
    drop(SystemLock::take(locks, "lab:/tmp/shop", &mine).unwrap());
    let ledger = Ledger::begin(mine.files().unwrap().ledger, mine.id()).unwrap();
    let owed = crate::ledger::tests::owed(0, "down");
    let (trial, fault) = (owed.trial, owed.fault.clone());
    ledger.write_blocking(LedgerEntry::Armed(Box::new(owed))).unwrap();

    let error = SystemLock::take(locks, "lab:/tmp/shop", &yours).unwrap_err();
    assert!(
        matches!(&error, LockError::Owes { run, debts }
            if run == mine.path() && debts == &["fault down in trial 1"]),
        "{error}"
    );
    // Refused, it left the note as it was: the next one is refused, too.
    assert!(SystemLock::take(locks, "lab:/tmp/shop", &yours).is_err());
    SystemLock::take(locks, "lab:/tmp/other", &yours).unwrap();

    let how = PaidHow::Reverted(Reverted::PutBack);
    let (seen, by) = (String::new(), "undo".to_owned());
    ledger.write_blocking(LedgerEntry::Paid { trial, fault, how, seen, by }).unwrap();
    SystemLock::take(locks, "lab:/tmp/shop", &yours).unwrap();
}
