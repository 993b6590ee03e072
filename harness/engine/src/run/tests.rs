//! Whole runs on real files in virtual time: how they are recorded and how they are cut short.

mod ends;
mod leaps;

use std::sync::Mutex;

use harness_core::event::{Command, Done};
use harness_core::evidence::EvidenceBuilder;
use harness_core::load::{LoadDriver, LoadError, LoadJob, LoadSummary, SampleSink, Stop};
use harness_core::system::BoxFuture;
use harness_core::time::{Clock, WallTime};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

use super::*;
use crate::clock::PausedClock;
use crate::sim::ports::ports;
use crate::sim::world::{Habit, Nature, World};
use crate::storage::memory::Memory;
use crate::store::{Lock, RunDir, RunStore};
use crate::testing::plan;
use crate::watchdog::{FromWatchdog, ToWatchdog};

/// Keeps what it hears: entries, and steps of the payment at the end.
#[derive(Default)]
struct Heard(Mutex<Vec<Entry>>, Mutex<Vec<String>>);

impl Observer for Heard {
    fn entry(&self, entry: &Entry) {
        self.0.lock().unwrap().push(entry.clone());
    }

    fn paying(&self, step: &str) {
        self.1.lock().unwrap().push(step.to_owned());
    }
}

struct Scene {
    directory: tempfile::TempDir,
    _lock: Lock,
    dir: RunDir,
    world: World,
    heard: Arc<Heard>,
    interrupt: mpsc::Sender<AbortRequest>,
    input: Option<RunInput>,
}

impl Scene {
    fn new() -> Self {
        Self::with(plan(), false)
    }

    fn with(plan: Plan, leases: bool) -> Self {
        Self::on(plan, leases, Arc::new(PausedClock::start()))
    }

    fn on(plan: Plan, leases: bool, clock: Arc<dyn Clock>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (dir, lock) = RunStore::new(directory.path()).create(&plan, WallTime(0)).unwrap();
        let nature = Nature { lies: 0, stuck: false, leases, owned: true };
        // The world checks each injection against this disk; here the ledger is on a real one.
        let world = World::new(1, nature, clock, Memory::default()).trusting();
        let heard = Arc::new(Heard::default());
        let (interrupt, interrupts) = mpsc::channel(4);
        let input = RunInput {
            run: dir.id().clone(),
            plan: Arc::new(plan),
            ports: ports(&world),
            files: dir.files().unwrap(),
            interrupts,
            switches: vec![dir.abort_path(), directory.path().join("stop")],
            observer: Arc::clone(&heard) as Arc<dyn Observer>,
            enough: None,
            watchdog: None,
        };
        let input = Some(input);
        Self { directory, _lock: lock, dir, world, heard, interrupt, input }
    }

    fn input(&mut self) -> RunInput {
        self.input.take().expect("taken once")
    }

    fn commands(&self) -> Vec<Command> {
        let entries = self.heard.0.lock().unwrap();
        let command = |entry: &Entry| match &entry.what {
            What::Command(issued) => Some(issued.command.clone()),
            What::Header(_) | What::Event(_) => None,
        };
        entries.iter().filter_map(command).collect()
    }

    async fn until_in_force(&self) {
        while self.world.rules().is_empty() {
            tokio::time::sleep(Duration::from_millis(20).as_std()).await;
        }
    }

    fn assert_put_back(&self) {
        assert_eq!(self.world.rules(), Vec::<String>::new());
        assert!(!self.dir.ledger().unwrap().is_unpaid());
        assert!(!self.world.is_open(), "what the run started is stopped");
    }
}

fn aborted(summary: &RunSummary) -> &str {
    match &summary.end {
        EndOfRun::Aborted { because } => because,
        other => panic!("not aborted: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_is_recorded_replays_and_is_evidence() {
    let mut scene = Scene::new();
    let summary = run(scene.input()).await.unwrap();
    assert_eq!(summary.end, EndOfRun::Completed);
    assert!(summary.leftovers.is_empty() && summary.owed.is_empty());
    scene.assert_put_back();
    assert_eq!(scene.world.injections(), 2);

    let journal = scene.dir.journal().unwrap();
    replay(&scene.dir.plan().unwrap(), &journal).unwrap();
    assert_eq!(journal.entries, *scene.heard.0.lock().unwrap());
    let mut builder = EvidenceBuilder::new();
    journal.entries.iter().for_each(|entry| builder.entry(entry));
    for window in scene.dir.samples().unwrap() {
        builder.samples(&window.unwrap());
    }
    let evidence = builder.finish();
    let loads = journal.entries.iter().filter(|entry| {
        matches!(&entry.what, What::Event(Event::Done { outcome: Done::LoadEnded(_), .. }))
    });
    assert_eq!(loads.count(), 2);
    assert_eq!(evidence.trials.len(), 2);
    for trial in evidence.trials {
        assert!(trial.invalid.is_empty(), "{:?}", trial.invalid);
        assert!(trial.windows.len() > 15, "{} windows", trial.windows.len());
    }

    let mut other = scene.dir.plan().unwrap();
    other.seed += 1;
    assert!(matches!(replay(&other, &journal), Err(ReplayError::OtherPlan { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_chooses_beyond_the_plan_is_not_injected_nor_is_any_other() {
    let mut scene = Scene::new();
    scene.world.take_up(Habit::ArmsElsewhere);
    run(scene.input()).await.unwrap();
    assert_eq!(scene.world.injections(), 0);
    scene.assert_put_back();
    let journal = scene.dir.journal().unwrap();
    let refused = journal.entries.iter().find_map(|entry| match &entry.what {
        What::Event(Event::Done { outcome: Done::FaultFailed(error), .. }) => Some(error),
        _ => None,
    });
    let words =
        "could not keep to the blast radius: it names worker->store, which the plan does not";
    assert_eq!(refused.unwrap().to_string(), words);
}

#[tokio::test(start_paused = true)]
async fn every_file_switch_aborts() {
    for own in [true, false] {
        let mut scene = Scene::new();
        let input = scene.input();
        let switching = async {
            scene.until_in_force().await;
            if own {
                scene.dir.request_abort("anna\n").unwrap();
            } else {
                std::fs::write(scene.directory.path().join("stop"), "anna\n").unwrap();
            }
        };
        let (summary, ()) = tokio::join!(run(input), switching);
        assert_eq!(aborted(&summary.unwrap()), "aborted by anna");
        scene.assert_put_back();
    }
}

#[tokio::test(start_paused = true)]
async fn the_third_interrupt_leaves_with_the_ledger_intact() {
    let mut scene = Scene::new();
    let input = scene.input();
    let interrupting = async {
        scene.until_in_force().await;
        for count in 1..=3 {
            scene.interrupt.send(AbortRequest::Signal { count }).await.unwrap();
        }
    };
    let (summary, ()) = tokio::join!(run(input), interrupting);
    let summary = summary.unwrap();
    assert!(!summary.leftovers.is_empty());
    let debts = scene.dir.ledger().unwrap().debts();
    assert_eq!(summary.owed, debts);
    assert!(debts.iter().any(|debt| debt.contains("down in trial 1")), "{debts:?}");
}

/// Drives load until the world has a rule in force; then it panics.
struct Panicking(World);

impl LoadDriver for Panicking {
    fn run<'a>(
        &'a self,
        job: LoadJob<'a>,
        out: &'a dyn SampleSink,
        stop: &'a dyn Stop,
    ) -> BoxFuture<'a, Result<LoadSummary, LoadError>> {
        Box::pin(async move {
            let driver = ports(&self.0).driver;
            let in_force = async {
                while self.0.rules().is_empty() {
                    tokio::time::sleep(Duration::from_millis(50).as_std()).await;
                }
            };
            tokio::select! {
                biased;
                () = in_force => panic!("the driver breaks"),
                ended = driver.run(job, out, stop) => ended,
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_defect_ends_the_run_and_what_is_in_force_is_put_back_first() {
    let mut scene = Scene::new();
    let mut input = scene.input();
    input.ports.driver = Arc::new(Panicking(scene.world.clone()));
    match run(input).await {
        Err(EngineError::Bug { what, owed }) => {
            assert_eq!((what.as_str(), owed.len()), ("the driver breaks", 0));
        }
        other => panic!("{other:?}"),
    }
    scene.assert_put_back();
}

struct AfterFirst(u32);

impl Enough for AfterFirst {
    fn entry(&mut self, _: &Entry) {}

    fn samples(&mut self, samples: &WindowSamples) {
        assert_eq!(samples.trial, TrialIndex(0), "no second trial");
        self.0 += 1;
    }

    fn after_trial(&mut self) -> Option<String> {
        assert!(self.0 > 20, "the windows come before the end of the trial");
        Some("decided".to_owned())
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_stops_when_enough_was_seen() {
    let mut scene = Scene::new();
    let mut input = scene.input();
    input.enough = Some(Box::new(AfterFirst(0)));
    let summary = run(input).await.unwrap();
    assert_eq!(summary.end, EndOfRun::Completed);
    let trials = scene.commands();
    let trials = trials.iter().filter(|command| matches!(command, Command::TrialEnds { .. }));
    assert_eq!(trials.count(), 1);
    replay(&scene.dir.plan().unwrap(), &scene.dir.journal().unwrap()).unwrap();
}

/// The watchdog's end of a link.
struct Peer {
    say: DuplexStream,
    hear: tokio::io::Lines<BufReader<DuplexStream>>,
}

impl Peer {
    /// A link, and the peer that has said that it is ready.
    async fn linked(lease: Duration) -> (WatchdogLink, Self) {
        let (to_peer, hear) = duplex(4096);
        let (say, from_peer) = duplex(4096);
        let mut peer = Self { say, hear: BufReader::new(hear).lines() };
        peer.say(FromWatchdog::Ready).await;
        let link = WatchdogLink::over(Box::new(to_peer), Box::new(from_peer), lease);
        (link.ready().await.unwrap(), peer)
    }

    async fn say(&mut self, word: FromWatchdog) {
        let mut line = serde_json::to_vec(&word).unwrap();
        line.push(b'\n');
        self.say.write_all(&line).await.unwrap();
    }

    /// Answers renewals until it hears something else, or nothing any more.
    async fn answer(&mut self) -> Option<ToWatchdog> {
        while let Some(line) = self.hear.next_line().await.unwrap() {
            match serde_json::from_str(&line).unwrap() {
                ToWatchdog::Renew { sequence } => {
                    self.say(FromWatchdog::Renewed { sequence }).await;
                }
                done @ ToWatchdog::Done => return Some(done),
            }
        }
        None
    }
}

const LEASE: Duration = Duration::from_secs(3);

#[tokio::test(start_paused = true)]
async fn a_watchdog_may_leave_when_nothing_is_owed() {
    let mut scene = Scene::new();
    let mut input = scene.input();
    let (link, mut peer) = Peer::linked(LEASE).await;
    input.watchdog = Some(link);
    let (summary, last) = tokio::join!(run(input), peer.answer());
    assert_eq!(summary.unwrap().end, EndOfRun::Completed);
    assert_eq!(last, Some(ToWatchdog::Done));
}

#[tokio::test(start_paused = true)]
async fn a_dead_watchdog_aborts_the_run() {
    let mut scene = Scene::new();
    let mut input = scene.input();
    let (link, mut peer) = Peer::linked(LEASE).await;
    input.watchdog = Some(link);
    let dying = async {
        tokio::select! {
            _ = peer.answer() => panic!("the harness left first"),
            () = scene.until_in_force() => drop(peer),
        }
    };
    let (summary, ()) = tokio::join!(run(input), dying);
    assert_eq!(aborted(&summary.unwrap()), "the watchdog is gone: its process has ended");
    scene.assert_put_back();
}

#[tokio::test(start_paused = true)]
async fn a_silent_watchdog_aborts_the_run_before_anything_is_injected() {
    let mut scene = Scene::new();
    let mut input = scene.input();
    let lease = Duration::from_millis(300);
    let (link, _peer) = Peer::linked(lease).await;
    input.watchdog = Some(link);
    let summary = run(input).await.unwrap();
    assert!(aborted(&summary).contains("no answer within the lease"), "{summary:?}");
    assert_eq!(scene.world.injections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_fenced_harness_stops_and_puts_back() {
    let mut scene = Scene::new();
    let mut input = scene.input();
    let (link, mut peer) = Peer::linked(LEASE).await;
    input.watchdog = Some(link);
    let fencing = async {
        tokio::select! {
            _ = peer.answer() => panic!("the harness left first"),
            () = scene.until_in_force() => {}
        }
        peer.say(FromWatchdog::Fenced { why: "the lease ended".to_owned() }).await;
        peer.answer().await
    };
    let (summary, last) = tokio::join!(run(input), fencing);
    assert!(aborted(&summary.unwrap()).contains("it has taken over"));
    assert_eq!(last, None, "a watchdog that has taken over is not sent away");
    scene.assert_put_back();
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_before_the_run_is_told_and_nothing_is_done() {
    let mut scene = Scene::new();
    let mut input = scene.input();
    let full = Memory::default();
    full.fail(1, u64::MAX);
    input.files.ledger = Box::new(full);
    assert!(matches!(run(input).await, Err(EngineError::Storage(_))));
    assert!(scene.heard.0.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_written_aborts_and_puts_back() {
    for which in ["journal", "samples"] {
        let mut scene = Scene::new();
        let mut input = scene.input();
        let disk = Memory::default();
        disk.fail(20, u64::MAX);
        match which {
            "journal" => input.files.journal = Box::new(disk),
            _ => input.files.samples = Box::new(disk),
        }
        let summary = run(input).await.unwrap();
        assert!(aborted(&summary).contains("cannot be written"), "{which}: {summary:?}");
        scene.assert_put_back();
    }
}

/// Every fault hangs when it is injected.
#[tokio::test(start_paused = true)]
async fn a_hanging_injection_ends_with_its_deadline() {
    let mut scene = Scene::new();
    let input = scene.input();
    scene.world.take_up(Habit::InjectionsHang);
    let summary = run(input).await.unwrap();
    assert_eq!(summary.end, EndOfRun::Completed);
    scene.assert_put_back();
    let entries = scene.heard.0.lock().unwrap().clone();
    let timed_out = entries.iter().any(|entry| {
        matches!(&entry.what, What::Event(Event::Done { outcome: Done::FaultFailed(error), .. })
            if error.to_string() == "inject did not end within 500ms")
    });
    assert!(timed_out);
}

#[tokio::test(start_paused = true)]
async fn an_abort_cuts_off_an_injection() {
    let mut scene = Scene::new();
    let input = scene.input();
    scene.world.take_up(Habit::InjectionsHang);
    let interrupting = async {
        scene.until_in_force().await;
        scene.interrupt.send(AbortRequest::Signal { count: 1 }).await.unwrap();
    };
    let (summary, ()) = tokio::join!(run(input), interrupting);
    assert_eq!(aborted(&summary.unwrap()), "interrupted");
    scene.assert_put_back();
    let entries = scene.heard.0.lock().unwrap().clone();
    let aborted = entries.iter().find(|entry| matches!(entry.what, What::Event(Event::Abort(_))));
    let reverted = entries.iter().find_map(|entry| match &entry.what {
        What::Event(Event::Done { outcome: Done::Reverted { began, .. }, .. }) => Some(*began),
        _ => None,
    });
    let waited = reverted.unwrap().since(aborted.unwrap().at);
    assert!(waited < Duration::from_millis(5), "the revert began {waited} after the abort");
}

fn with_a_short_lease() -> Plan {
    let mut plan = plan();
    plan.safety.lease = Duration::from_millis(300);
    plan
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_is_held_for_longer_than_its_lease_is_renewed() {
    let mut scene = Scene::with(with_a_short_lease(), true);
    let summary = run(scene.input()).await.unwrap();
    assert_eq!(summary.end, EndOfRun::Completed);
    assert_eq!((scene.world.injections(), scene.world.lapsed()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_renewed_aborts_the_run() {
    let mut scene = Scene::with(with_a_short_lease(), true);
    let input = scene.input();
    scene.world.take_up(Habit::RenewalsRaise);
    let summary = run(input).await.unwrap();
    let because = aborted(&summary);
    assert!(because.starts_with("the lease of down could not be renewed"), "{because}");
    scene.assert_put_back();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_injected_behind_the_fence() {
    let mut scene = Scene::new();
    let mut input = scene.input();
    let (link, mut peer) = Peer::linked(LEASE).await;
    // The word of the watchdog has not come, but its fence is up.
    std::fs::write(scene.dir.fence_path(), "").unwrap();
    input.watchdog = Some(link.behind(scene.dir.fence_path()));
    let (summary, _) = tokio::join!(run(input), peer.answer());
    assert_eq!(summary.unwrap().end, EndOfRun::Completed);
    assert_eq!(scene.world.injections(), 0);
    scene.assert_put_back();
}
