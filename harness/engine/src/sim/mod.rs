//! The whole engine in virtual time against a simulated world: many seeds, each with its own lies,
//! interleaving, interrupts, full disks and deaths. Asserts safety (nothing without its record,
//! nothing but reverts after an abort, nothing left that is not named) and liveness (it ends).

mod checks;
pub(crate) mod ports;
pub(crate) mod world;

use std::sync::Arc;

use harness_core::event::AbortRequest;
use harness_core::exit::EndOfRun;
use harness_core::ids::RunId;
use harness_core::journal::Entry;
use harness_core::system::Host;
use harness_core::time::Clock;
use harness_core::units::Duration;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::PausedClock;
use crate::ledger::{Ledger, LedgerState};
use crate::run::{EngineError, Observer, RunInput, RunSummary, run};
use crate::storage::memory::Memory;
use crate::store::RunFiles;
use crate::testing::plan;
use crate::undo::{Purse, Which, pay_ledger};
use world::{Nature, World};

/// Seeds that every test run tries.
const SEEDS: u64 = 240;
/// Seeds that once found something.
const CORPUS: [u64; 1] = [345];
/// In virtual time every run ends within this.
const RUN_MAX: Duration = Duration::from_secs(900);
/// Payments that may die before one is left to finish.
const PAYMENTS_DYING: u32 = 3;

/// What happens to one run from outside.
#[derive(Debug)]
struct Fate {
    nature: Nature,
    /// Interrupts at these times, in ms.
    interrupts_ms: Vec<u64>,
    /// The ledger's disk is full from its n-th operation on, for a while.
    full_from: Option<u64>,
    /// The process dies before the n-th operation on the ledger.
    dies_at_operation: Option<u64>,
    /// The process dies at this time, in ms.
    dies_at_ms: Option<u64>,
    /// The machine dies with it: bytes that were not synced may be lost.
    power_loss: bool,
}

impl Fate {
    /// A world in which nothing is as it says, and nobody who interrupts.
    fn of_lies(seed: u64) -> Self {
        let nature = Nature { lies: 900, ..Self::of(seed).nature };
        Self {
            nature,
            interrupts_ms: Vec::new(),
            full_from: None,
            dies_at_operation: None,
            dies_at_ms: None,
            power_loss: false,
        }
    }

    fn of(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
        let lies = [0, 10, 60, 200][random.random_range(0..4)];
        let mut chance = |percent: u32| random.random_range(0..100) < percent;
        let nature = Nature { lies, stuck: chance(8), leases: chance(60), owned: chance(50) };
        let (interrupted, full) = (chance(35), chance(15));
        let (dies_at_operation, dies_later) = (chance(20), chance(20));
        let power_loss = chance(50);
        let mut interrupts_ms: Vec<u64> = if interrupted {
            (0..random.random_range(1..=3)).map(|_| random.random_range(0..9_000)).collect()
        } else {
            Vec::new()
        };
        interrupts_ms.sort_unstable();
        Self {
            nature,
            interrupts_ms,
            full_from: full.then(|| random.random_range(3..20)),
            dies_at_operation: dies_at_operation.then(|| random.random_range(3..24)),
            dies_at_ms: dies_later.then(|| random.random_range(0..12_000)),
            power_loss,
        }
    }
}

struct Quiet;

impl Observer for Quiet {
    fn entry(&self, _: &Entry) {}
    fn paying(&self, _: &str) {}
}

/// What came of one seed.
struct Outcome {
    fate: Fate,
    world: World,
    /// `None` when the process died.
    ended: Option<Result<RunSummary, EngineError>>,
    journal: Memory,
    ledger: Memory,
}

async fn simulate(seed: u64, fate: Fate) -> Outcome {
    let clock: Arc<dyn Clock> = Arc::new(PausedClock::start());
    let (journal, ledger) = (Memory::default(), Memory::default());
    let world = World::new(seed, fate.nature.clone(), Arc::clone(&clock), ledger.clone());
    if let Some(from) = fate.full_from {
        ledger.fail(from, from + 6);
    }
    if let Some(from) = fate.dies_at_operation {
        ledger.crash(from);
    }
    let (interrupt, interrupts) = mpsc::channel(8);
    let input = RunInput {
        run: RunId::new("r"),
        plan: Arc::new(plan()),
        ports: ports::ports(&world),
        files: RunFiles {
            journal: Box::new(journal.clone()),
            ledger: Box::new(ledger.clone()),
            samples: Box::new(Memory::default()),
        },
        interrupts,
        switches: Vec::new(),
        observer: Arc::new(Quiet),
        enough: None,
        watchdog: None,
    };
    let death = async {
        if let Some(ms) = fate.dies_at_ms {
            tokio::time::sleep(Duration::from_millis(ms).as_std()).await;
            return ledger.crash(0);
        }
        while !ledger.is_crashed() {
            tokio::time::sleep(Duration::from_millis(5).as_std()).await;
        }
    };
    let interrupting = async {
        for (count, ms) in (1_u32..).zip(&fate.interrupts_ms) {
            let left = Duration::from_millis(*ms).saturating_sub(elapsed(&*clock));
            tokio::time::sleep(left.as_std()).await;
            interrupt.send(AbortRequest::Signal { count }).await.ok();
        }
        std::future::pending::<()>().await;
    };
    let running = tokio::time::timeout(RUN_MAX.as_std(), run(input));
    let ended = tokio::select! {
        biased;
        () = death => None,
        ended = running => Some(ended.expect("every run ends")),
        () = interrupting => None,
    };
    // A dead process may look alive for a moment.
    let ended = ended.filter(|_| !ledger.is_crashed());
    Outcome { fate, world, ended, journal, ledger }
}

fn elapsed(clock: &dyn Clock) -> Duration {
    clock.now().since(harness_core::time::RunTime::START)
}

/// A new process pays what a dead one left, and may die itself. The ledger that is left at the end.
async fn pay_after_death(outcome: &Outcome) -> Memory {
    let more = |disk: &Memory| {
        let unsynced = disk.bytes().len() - disk.synced();
        let bound = u32::try_from(unsynced + 1).expect("small files");
        if outcome.fate.power_loss { outcome.world.random(bound) as usize } else { unsynced }
    };
    let mut disk = outcome.ledger.after_crash(more(&outcome.ledger));
    for payment in 0..=PAYMENTS_DYING {
        let state = LedgerState::from_bytes(&disk.bytes()).expect("our own ledger");
        disk.truncate(usize::try_from(state.finished_bytes).expect("small files"));
        if payment < PAYMENTS_DYING {
            disk.crash(u64::from(outcome.world.random(8)) + 1);
        }
        let world = outcome.world.for_process(disk.clone());
        let ports = ports::ports(&world);
        let host = Arc::clone(&ports.host);
        let purse = Purse {
            registry: &ports.registry,
            host: &move |_| Some(Arc::clone(&host) as Arc<dyn Host>),
            clock: Arc::clone(&ports.clock),
            observer: &|_| (),
        };
        let ledger = Ledger::resume(Box::new(disk.clone()), state);
        let run = RunId::new("r");
        let hurry = CancellationToken::new();
        let paying = pay_ledger(&ledger, &run, &purse, "undo", (Which::Owed, &hurry));
        let report = tokio::time::timeout(RUN_MAX.as_std(), paying).await.expect("payments end");
        if !disk.is_crashed() {
            let owed = ledger.state().debts();
            assert_eq!(report.owed.len(), owed.len(), "{report:?} {owed:?}");
            return disk;
        }
        disk = disk.after_crash(more(&disk));
    }
    disk
}

/// Prints the seed of a failure.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {} fails: {:?}", self.0, Fate::of(self.0));
        }
    }
}

/// What all seeds together went through; a simulation that never gets anywhere proves nothing.
#[derive(Debug, Default)]
struct Coverage {
    completed: u32,
    aborted: u32,
    died: u32,
    owed: u32,
    injections: u32,
}

/// One thread, virtual time.
fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a runtime")
}

fn try_seed(seed: u64, fate: Fate, coverage: &mut Coverage) {
    let _seed = Seed(seed);
    runtime().block_on(async {
        let outcome = simulate(seed, fate).await;
        let problems = checks::of_journal(&outcome.journal.bytes(), outcome.ended.is_some());
        assert_eq!(problems, Vec::<String>::new());
        let disk = if let Some(ended) = &outcome.ended {
            let summary = ended.as_ref().expect("no defect, and a disk to begin on");
            let disk_was_full = outcome.fate.full_from.is_some();
            checks::of_summary(summary, &outcome.ledger.bytes(), disk_was_full);
            let completed = summary.end == EndOfRun::Completed;
            coverage.completed += u32::from(completed);
            coverage.aborted += u32::from(!completed);
            outcome.ledger.clone()
        } else {
            coverage.died += 1;
            pay_after_death(&outcome).await
        };
        assert_eq!(outcome.world.violations(), Vec::<String>::new());
        let owed = LedgerState::from_bytes(&disk.bytes()).expect("our own ledger").debts();
        coverage.owed += u32::from(!owed.is_empty());
        coverage.injections += outcome.world.injections();
        checks::of_world(&outcome.world, &owed);
    });
}

#[test]
fn a_seed_is_the_whole_story() {
    let story = |seed| {
        let runtime = runtime();
        let outcome = runtime.block_on(simulate(seed, Fate::of(seed)));
        (outcome.journal.bytes(), outcome.ledger.bytes())
    };
    for seed in 0..6 {
        assert!(story(seed) == story(seed), "seed {seed} gives two stories");
    }
}

#[test]
fn many_seeds() {
    let mut coverage = Coverage::default();
    for seed in CORPUS.into_iter().chain(0..SEEDS) {
        try_seed(seed, Fate::of(seed), &mut coverage);
    }
    let Coverage { completed, aborted, died, owed, injections } = coverage;
    assert!(completed > 30 && aborted > 30 && died > 30 && owed > 5, "{coverage:?}");
    assert!(injections > 200, "{coverage:?}");
}

#[test]
fn a_world_of_lies_is_left_in_the_end() {
    let mut coverage = Coverage::default();
    for seed in 0..12 {
        try_seed(seed, Fate::of_lies(seed), &mut coverage);
    }
    assert!(coverage.completed + coverage.aborted == 12, "{coverage:?}");
}
