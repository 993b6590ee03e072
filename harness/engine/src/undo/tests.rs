//! Paying on real files: after a death at each line, against worlds that do not obey, and never
//! twice at once.

use harness_core::ids::TrialIndex;
use harness_core::time::WallTime;
use serde_json::json;

use super::*;
use crate::clock::PausedClock;
use crate::executor::Ports;
use crate::sim::ports::ports;
use crate::sim::world::{BEYOND, Habit, Nature, World};
use crate::storage::memory::Memory;
use crate::store::RunStore;
use crate::testing::{plan, witness};

struct Scene {
    _directory: tempfile::TempDir,
    run_lock: Option<Lock>,
    dir: RunDir,
    world: World,
    ports: Ports,
}

const HONEST: Nature = Nature { lies: 0, stuck: false, leases: false, owned: false };

impl Scene {
    fn new(nature: Nature) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (dir, lock) = RunStore::new(directory.path()).create(&plan(), WallTime(0)).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(PausedClock::start());
        let world = World::new(1, nature, clock, Memory::default()).trusting();
        let ports = ports(&world);
        Self { _directory: directory, run_lock: Some(lock), dir, world, ports }
    }

    fn begin(&self) -> Ledger {
        Ledger::begin(self.dir.files().unwrap().ledger, self.dir.id()).unwrap()
    }

    /// Its process is gone.
    fn dead(mut self) -> Self {
        self.run_lock = None;
        self
    }

    async fn pay(&self, who: Who) -> Result<PayReport, PayError> {
        self.pay_which(who, Which::Owed).await
    }

    async fn pay_which(&self, who: Who, which: Which) -> Result<PayReport, PayError> {
        let host = Arc::clone(&self.ports.host);
        let purse = Purse {
            registry: &self.ports.registry,
            host: &move |kind| (kind == "lab").then(|| Arc::clone(&host)),
            clock: Arc::clone(&self.ports.clock),
            observer: &|_| (),
        };
        pay(&self.dir, &purse, who, which).await
    }

    fn now(&self) -> f64 {
        self.world.clock().now().secs_f64()
    }
}

fn owed(trial: u32, fault: &str) -> OwedFault {
    OwedFault {
        trial: TrialIndex(trial),
        kind: "outage".into(),
        spec: json!({"edge": "e", "name": fault}),
        undo: json!({"rule": rule(trial, fault), "token": null}),
        reverted: witness(),
        ..crate::ledger::tests::owed(trial, fault)
    }
}

fn rule(trial: u32, fault: &str) -> String {
    format!("r-{trial}-{fault}")
}

fn armed(trial: u32, fault: &str) -> LedgerEntry {
    LedgerEntry::Armed(Box::new(owed(trial, fault)))
}

/// A fault whose rule outlives the system.
fn armed_beyond(trial: u32, fault: &str) -> LedgerEntry {
    LedgerEntry::Armed(Box::new(OwedFault {
        kind: "lasting-outage".into(),
        undo: json!({"rule": rule_beyond(trial, fault), "token": null}),
        ..owed(trial, fault)
    }))
}

fn rule_beyond(trial: u32, fault: &str) -> String {
    format!("{BEYOND}{}", rule(trial, fault))
}

fn paid(trial: u32, fault: &str) -> LedgerEntry {
    LedgerEntry::Paid {
        trial: TrialIndex(trial),
        fault: fault.into(),
        how: PaidHow::Reverted(Reverted::PutBack),
        seen: String::new(),
        by: "run".into(),
    }
}

fn opened() -> LedgerEntry {
    let record = json!({"state": "/world"});
    LedgerEntry::SystemOpened { kind: "lab".into(), record, close: Duration::from_secs(2) }
}

#[tokio::test(start_paused = true)]
async fn killed_after_each_line_everything_is_put_back() {
    let injected = |fault: &str| LedgerEntry::Injected {
        trial: TrialIndex(0),
        fault: fault.into(),
        undo: Some(json!({"rule": rule(0, fault), "token": 7})),
    };
    let life = [
        opened(),
        armed(0, "slow"),
        injected("slow"),
        armed(0, "down"),
        injected("down"),
        paid(0, "slow"),
        LedgerEntry::SystemClosed { by: "run".into() },
    ];
    for died_after in 0..=life.len() {
        let scene = Scene::new(Nature { owned: true, ..HONEST });
        let ledger = scene.begin();
        for entry in &life[..died_after] {
            ledger.write_blocking(entry.clone()).unwrap();
            // As far as the process may have come before it died.
            match entry {
                LedgerEntry::SystemOpened { .. } => scene.world.open().await.unwrap(),
                LedgerEntry::Armed(fault) => {
                    scene.world.put_in_force(&rule(0, fault.fault.as_str()));
                }
                LedgerEntry::SystemClosed { .. } => scene.world.close().await.unwrap(),
                _ => {}
            }
        }
        let scene = scene.dead();
        let report = scene.pay(Who::Person).await.unwrap();
        assert_eq!(report.owed, [], "died after line {died_after}");
        assert_eq!(scene.world.rules(), Vec::<String>::new(), "died after line {died_after}");
        assert!(!scene.world.is_open());
        assert!(!scene.dir.ledger().unwrap().is_unpaid());
        let again = scene.pay(Who::Person).await.unwrap();
        assert_eq!(again, PayReport::default(), "nothing is paid twice");
    }
}

#[tokio::test(start_paused = true)]
async fn the_newest_is_put_back_first() {
    let scene = Scene::new(HONEST);
    let ledger = scene.begin();
    for (trial, fault) in [(0, "a"), (0, "b"), (1, "a")] {
        ledger.write_blocking(armed(trial, fault)).unwrap();
    }
    let report = scene.dead().pay(Who::Person).await.unwrap();
    assert_eq!(report.paid, ["fault a in trial 2", "fault b in trial 1", "fault a in trial 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_under_way_is_left_to_itself_but_not_by_its_watchdog() {
    let scene = Scene::new(HONEST);
    scene.begin().write_blocking(armed(0, "down")).unwrap();
    scene.world.put_in_force(&rule(0, "down"));
    assert!(matches!(scene.pay(Who::Person).await, Err(PayError::Alive { .. })));
    assert_eq!(scene.world.rules().len(), 1);
    let report = scene.pay(Who::Watchdog).await.unwrap();
    assert_eq!((report.paid.len(), report.owed.len()), (1, 0));
}

/// A line that the harness is still writing must not be cut off; one that a dead harness has not
/// finished is.
#[tokio::test(start_paused = true)]
async fn an_unfinished_line_is_cut_off_only_when_its_writer_is_dead() {
    let scene = Scene::new(HONEST);
    scene.begin().write_blocking(armed(0, "down")).unwrap();
    let path = scene.dir.ledger_path();
    let whole = std::fs::read(&path).unwrap();
    let unfinished = [&whole[..], b"0123456789abcdef {\"inj"].concat();
    std::fs::write(&path, &unfinished).unwrap();
    scene.world.put_in_force(&rule(0, "down"));
    let report = scene.pay(Who::Watchdog).await.unwrap();
    assert_eq!(scene.world.rules(), Vec::<String>::new(), "it is put back all the same");
    assert_eq!((report.paid.len(), report.owed.len()), (0, 1), "{report:?}");
    assert!(report.owed[0].why.starts_with("it is put back, but"), "{report:?}");
    assert_eq!(std::fs::read(&path).unwrap(), unfinished);

    let scene = scene.dead();
    let report = scene.pay(Who::Watchdog).await.unwrap();
    assert_eq!((report.paid.len(), report.owed.len()), (1, 0), "{report:?}");
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes.starts_with(&whole) && bytes.len() > whole.len());
    assert!(!scene.dir.ledger().unwrap().is_unpaid());
}

#[tokio::test(start_paused = true)]
async fn two_payers_do_not_meet() {
    let scene = Scene::new(HONEST).dead();
    let lock = Lock::take_as(&scene.dir.pay_lock_path(), "the watchdog").unwrap();
    let error = scene.pay(Who::Person).await.unwrap_err();
    assert!(
        matches!(&error, PayError::Busy(LockError::Held { holder, .. })
        if holder == "the watchdog"),
        "{error:?}"
    );
    assert!(scene.now() >= PAY_WAIT_MAX.secs_f64());
    let pay = scene.pay(Who::Person);
    let leave = async {
        tokio::time::sleep(Duration::from_secs(3).as_std()).await;
        drop(lock);
    };
    let (paid, ()) = tokio::join!(pay, leave);
    paid.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_proven_is_owed_with_its_reason() {
    let scene = Scene::new(Nature { stuck: true, ..HONEST });
    let ledger = scene.begin();
    ledger.write_blocking(armed(0, "down")).unwrap();
    let unknown = OwedFault { kind: "gremlin".into(), ..owed(1, "odd") };
    ledger.write_blocking(LedgerEntry::Armed(Box::new(unknown))).unwrap();
    scene.world.put_in_force(&rule(0, "down"));
    let scene = scene.dead();
    let report = scene.pay(Who::Person).await.unwrap();
    assert_eq!(report.paid, Vec::<String>::new());
    let owed: Vec<_> = report.owed.iter().map(|owed| (&*owed.what, &*owed.why)).collect();
    assert_eq!(
        owed,
        [
            ("fault odd in trial 2", "this gameday knows no gremlin on lab"),
            ("fault down in trial 1", "its witness says: refused"),
        ]
    );
    assert_eq!(scene.dir.ledger().unwrap().owed().count(), 2, "and stays so");
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_raised_is_not_done() {
    let scene = Scene::new(HONEST);
    scene.begin().write_blocking(armed(0, "down")).unwrap();
    scene.world.put_in_force(&rule(0, "down"));
    scene.world.take_up(Habit::RevertsRaise);
    let scene = scene.dead();
    let report = scene.pay(Who::Person).await.unwrap();
    assert_eq!(scene.world.rules(), Vec::<String>::new());
    assert_eq!((report.paid.len(), report.owed.len()), (0, 1), "{report:?}");
    assert!(report.owed[0].why.contains("a bad end"), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ends_proves_what_no_revert_could() {
    let scene = Scene::new(Nature { stuck: true, leases: true, ..HONEST });
    scene.begin().write_blocking(armed(0, "down")).unwrap();
    scene.world.put_in_force(&rule(0, "down"));
    let scene = scene.dead();
    let report = scene.pay(Who::Person).await.unwrap();
    assert_eq!((report.paid.len(), report.owed.len()), (1, 0), "{report:?}");
    assert!(scene.now() > 3.0, "it was waited for");
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_gone_with_the_system_that_the_run_started() {
    let scene = Scene::new(Nature { stuck: true, owned: true, ..HONEST });
    let ledger = scene.begin();
    ledger.write_blocking(opened()).unwrap();
    ledger.write_blocking(armed(0, "down")).unwrap();
    scene.world.open().await.unwrap();
    scene.world.put_in_force(&rule(0, "down"));
    let report = scene.dead().pay(Who::Person).await.unwrap();
    assert_eq!(report.paid, ["the lab that the run started", "fault down in trial 1"]);
    assert_eq!(report.owed, []);
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_outlives_the_system_is_not_gone_with_it() {
    let scene = Scene::new(Nature { stuck: true, owned: true, ..HONEST });
    let ledger = scene.begin();
    ledger.write_blocking(opened()).unwrap();
    ledger.write_blocking(armed_beyond(0, "cut")).unwrap();
    scene.world.open().await.unwrap();
    scene.world.put_in_force(&rule_beyond(0, "cut"));
    let scene = scene.dead();
    for paid in [&["the lab that the run started"][..], &[]] {
        let report = scene.pay(Who::Person).await.unwrap();
        assert_eq!(report.paid, paid);
        assert_eq!(report.owed.len(), 1, "{report:?}");
        assert_eq!(report.owed[0].why, "its witness says: refused");
        assert_eq!(scene.dir.ledger().unwrap().debts(), ["fault cut in trial 1"], "it stays so");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_fault_has_beside_its_system_is_still_removed() {
    let scene = Scene::new(Nature { owned: true, ..HONEST });
    let ledger = scene.begin();
    ledger.write_blocking(opened()).unwrap();
    ledger.write_blocking(armed(0, "down")).unwrap();
    scene.world.open().await.unwrap();
    scene.world.take_up(Habit::RevertsRaise);
    let report = scene.dead().pay(Who::Person).await.unwrap();
    assert_eq!(report.paid, ["the lab that the run started"]);
    assert!(report.owed[0].why.contains("a bad end"), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_injected_behind_our_back_outlives_a_system_that_was_stopped() {
    let scene = Scene::new(Nature { owned: true, ..HONEST });
    let ledger = scene.begin();
    let stopped = LedgerEntry::SystemClosed { by: "watchdog".into() };
    for entry in [opened(), armed(0, "down"), armed_beyond(0, "cut")] {
        ledger.write_blocking(entry).unwrap();
    }
    for entry in [paid(0, "cut"), paid(0, "down"), stopped] {
        ledger.write_blocking(entry).unwrap();
    }
    scene.world.put_in_force(&rule_beyond(0, "cut"));
    let scene = scene.dead();
    let report = scene.pay_which(Who::Watchdog, Which::All).await.unwrap();
    assert_eq!(report.paid, ["fault cut in trial 1"], "the other is gone with its system");
    assert_eq!((report.owed, scene.world.rules()), (Vec::new(), Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_line_stays_owed() {
    let scene = Scene::new(HONEST);
    scene.begin().write_blocking(armed(0, "down")).unwrap();
    let path = scene.dir.ledger_path();
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 4;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let report = scene.dead().pay(Who::Person).await.unwrap();
    assert_eq!(report.owed.len(), 1);
    assert_eq!(report.owed[0].what, "unreadable ledger line 2");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_never_began_owes_nothing() {
    let scene = Scene::new(HONEST).dead();
    assert_eq!(scene.pay(Who::Person).await.unwrap(), PayReport::default());
}
