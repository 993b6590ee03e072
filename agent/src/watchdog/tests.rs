//! The watchdog against a file: the fault is that a file exists. Harnesses are real processes that
//! are really killed or stopped.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use harness_core::fault::{
    BlastRadius, Cx, Debt, Effect, FaultEntry, FaultError, Injector, Reversibility, Reverted,
    Sighting, Touched, Witness,
};
use harness_core::ids::TrialIndex;
use harness_core::plan::WitnessPlan;
use harness_core::system::BoxFuture;
use harness_core::topology::Topology;
use harness_engine::ledger::{Ledger, LedgerEntry, OwedFault};
use serde_json::{Value, json};
use tokio::io::{DuplexStream, duplex};

use super::*;

struct Litter;

impl Injector for Litter {
    const KIND: &'static str = "litter";
    const SUMMARY: &'static str = "a file that should not be there";
    const REVERSIBILITY: Reversibility = Reversibility::Reversible;
    type Spec = PathBuf;
    type Undo = PathBuf;

    fn blast_radius(_: &PathBuf, _: &Topology) -> Result<BlastRadius, FaultError> {
        Ok(BlastRadius::default())
    }

    fn mechanism(_: &PathBuf) -> String {
        "file".into()
    }

    async fn arm(&self, _: &Cx<'_>, spec: &PathBuf) -> Result<PathBuf, FaultError> {
        Ok(spec.clone())
    }

    fn touched(_: &PathBuf, _: &PathBuf, _: &Topology) -> Touched {
        Touched::default()
    }

    async fn inject(
        &self,
        _: &Cx<'_>,
        _: &PathBuf,
        undo: &PathBuf,
    ) -> Result<Option<PathBuf>, FaultError> {
        std::fs::write(undo, "").unwrap();
        Ok(None)
    }

    async fn verify(&self, _: &Cx<'_>, _: &PathBuf, undo: &PathBuf) -> Result<Effect, FaultError> {
        Ok(if undo.exists() { Effect::InPlace } else { Effect::Absent })
    }

    async fn revert(&self, _: &Cx<'_>, undo: &PathBuf) -> Result<Reverted, FaultError> {
        let removed = std::fs::remove_file(undo).is_ok();
        Ok(if removed { Reverted::PutBack } else { Reverted::WasClean })
    }
}

struct Eye;

impl Witness for Eye {
    fn method(&self) -> &'static str {
        "stat"
    }

    fn baseline<'a>(
        &'a self,
        _: &'a Cx<'a>,
        _: &'a Value,
        _: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async { Ok(Value::Null) })
    }

    fn look<'a>(&'a self, _: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting> {
        let there = PathBuf::from(debt.undo.as_str().unwrap()).exists();
        Box::pin(async move {
            let words = "stat".to_owned();
            if there { Sighting::InForce(words) } else { Sighting::NotInForce(words) }
        })
    }
}

/// A process that does nothing, in the place of a harness.
struct Harness(Child);

impl Harness {
    fn start() -> Self {
        Self(Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap())
    }

    fn process(&self) -> HarnessProcess {
        HarnessProcess::of(i32::try_from(self.0.id()).unwrap()).unwrap()
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A run with one fault in force.
struct Scene {
    directory: tempfile::TempDir,
    job: WatchdogJob,
    outside: Outside,
    ledger: Ledger,
}

impl Scene {
    fn new(harness: &Harness, lease: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(RunDir::PLAN), "{}").unwrap();
        let run = RunDir::at(directory.path()).unwrap();
        let ledger = Ledger::begin(run.files().unwrap().ledger, run.id()).unwrap();
        let mut registry = Registry::default();
        let entry =
            FaultEntry { injector: Arc::new(Litter), witness: Arc::new(Eye), requires: Vec::new() };
        registry.register("lab", entry);
        let outside = Outside { registry, host: Box::new(|_| None) };
        let job = WatchdogJob { run, lease, harness: harness.process() };
        let scene = Self { directory, job, outside, ledger };
        scene.inject("litter");
        scene
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn inject(&self, name: &str) {
        let file = json!(self.file(name));
        let owed = OwedFault {
            trial: TrialIndex(0),
            fault: name.into(),
            kind: "litter".into(),
            system: "lab".into(),
            spec: file.clone(),
            undo: file,
            baseline: Value::Null,
            reversibility: Reversibility::Reversible,
            lease: Duration::from_millis(100),
            revert: Duration::from_millis(500),
            reverted: WitnessPlan {
                by: None,
                in_a_row: 2,
                every: Duration::from_millis(10),
                within: Duration::from_millis(500),
            },
        };
        self.ledger.write_blocking(LedgerEntry::Armed(Box::new(owed))).unwrap();
        std::fs::write(self.file(name), "").unwrap();
    }

    async fn watch(&self, say: DuplexStream, hear: DuplexStream) -> WatchdogEnd {
        let log = Log::open(&self.job.run).unwrap();
        let gone = Gone::of(self.job.harness).unwrap();
        let watch = Watch { job: &self.job, outside: &self.outside, log, gone, say: Box::new(say) };
        watch.go(Box::new(hear)).await
    }

    fn is_clean(&self) -> bool {
        !self.file("litter").exists() && !self.job.run.ledger().unwrap().is_unpaid()
    }
}

/// The harness's side of the pipes.
struct Line {
    say: DuplexStream,
    hear: Lines<BufReader<DuplexStream>>,
}

fn line() -> (Line, DuplexStream, DuplexStream) {
    let (say, theirs) = duplex(4096);
    let (hear, their_say) = duplex(4096);
    (Line { say, hear: BufReader::new(hear).lines() }, their_say, theirs)
}

impl Line {
    async fn say(&mut self, word: ToWatchdog) {
        let mut text = serde_json::to_vec(&word).unwrap();
        text.push(b'\n');
        self.say.write_all(&text).await.unwrap();
    }

    async fn hear(&mut self) -> FromWatchdog {
        let heard = timeout(Duration::from_secs(20).as_std(), self.hear.next_line());
        serde_json::from_str(&heard.await.unwrap().unwrap().unwrap()).unwrap()
    }
}

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_run_that_is_done_needs_no_watchdog() {
    let harness = Harness::start();
    let scene = Scene::new(&harness, LONG);
    let (mut line, say, hear) = line();
    let talk = async {
        assert_eq!(line.hear().await, FromWatchdog::Ready);
        line.say(ToWatchdog::Renew { sequence: 4 }).await;
        assert_eq!(line.hear().await, FromWatchdog::Renewed { sequence: 4 });
        line.say(ToWatchdog::Done).await;
    };
    let (end, ()) = tokio::join!(scene.watch(say, hear), talk);
    assert_eq!(end, WatchdogEnd::NotNeeded);
    assert!(scene.file("litter").exists(), "it touches nothing when it is not needed");
    assert!(!scene.job.run.fence_path().exists());
}

#[tokio::test]
async fn a_killed_harness_is_paid_for_at_once() {
    let mut harness = Harness::start();
    let scene = Scene::new(&harness, LONG);
    let (mut line, say, hear) = line();
    let talk = async {
        assert_eq!(line.hear().await, FromWatchdog::Ready);
        harness.kill();
    };
    let (end, ()) = tokio::join!(scene.watch(say, hear), talk);
    assert_eq!(end, WatchdogEnd::Paid);
    assert!(scene.is_clean() && scene.job.run.fence_path().exists());
    let log = std::fs::read_to_string(scene.job.run.watchdog_log_path()).unwrap();
    assert!(log.contains("taking over: the harness is gone"), "{log}");
}

#[tokio::test]
async fn the_last_words_of_a_harness_count() {
    let mut harness = Harness::start();
    let scene = Scene::new(&harness, LONG);
    let (mut line, say, hear) = line();
    line.say(ToWatchdog::Done).await;
    harness.kill();
    assert_eq!(scene.watch(say, hear).await, WatchdogEnd::NotNeeded);
}

#[tokio::test]
async fn a_harness_that_stands_still_is_fenced_and_watched_on() {
    let mut harness = Harness::start();
    let scene = Scene::new(&harness, Duration::from_millis(150));
    let (mut line, say, hear) = line();
    let talk = async {
        assert_eq!(line.hear().await, FromWatchdog::Ready);
        assert!(matches!(line.hear().await, FromWatchdog::Fenced { .. }));
        assert!(scene.job.run.fence_path().exists(), "the fence is up before the word is out");
        wait_until(|| scene.is_clean()).await;
        // The harness goes on and injects once more, behind the fence.
        scene.inject("late");
        wait_until(|| !scene.file("late").exists()).await;
        // And once more without a trace in the ledger; then it dies.
        std::fs::write(scene.file("late"), "").unwrap();
        harness.kill();
    };
    let (end, ()) = tokio::join!(scene.watch(say, hear), talk);
    assert_eq!(end, WatchdogEnd::Paid);
    assert!(scene.is_clean() && !scene.file("late").exists());
}

#[tokio::test]
async fn a_closed_pipe_alone_is_not_the_end_of_the_harness() {
    let harness = Harness::start();
    let scene = Scene::new(&harness, Duration::from_millis(200));
    let (line, say, hear) = line();
    drop(line);
    let watch = scene.watch(say, hear);
    // The lease ends, and it pays; but the harness lives, so it watches on.
    let paid = async { wait_until(|| scene.is_clean()).await };
    tokio::select! {
        end = watch => panic!("it left: {end:?}"),
        () = paid => {}
    }
    let log = std::fs::read_to_string(scene.job.run.watchdog_log_path()).unwrap();
    assert!(log.contains("the lease ended"), "{log}");
}

/// Waits for a state of real files, for at most 20 s.
async fn wait_until(state: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if state() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10).as_std()).await;
    }
    panic!("the state is not reached");
}

#[test]
fn a_process_is_named_by_number_and_start() {
    let own = HarnessProcess::own().unwrap();
    assert_eq!(own.to_string().parse(), Ok(own));
    assert!(own.watch().unwrap().is_some());
    let later = HarnessProcess { start_ticks: own.start_ticks + 1, ..own };
    assert!(later.watch().unwrap().is_none(), "another process with the same number");
    assert!("12".parse::<HarnessProcess>().is_err());
}
