//! One run: from its plan to its end. Puts everything that happens in one order, lets the conductor
//! decide, and has its decisions carried out.

mod the_loop;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use harness_core::conductor::{self, Conductor, Divergence};
use harness_core::event::{AbortRequest, Event, Lost};
use harness_core::exit::EndOfRun;
use harness_core::ids::{FaultId, RunId, TrialIndex};
use harness_core::journal::{self, Entry, Header, What};
use harness_core::load::WindowSamples;
use harness_core::plan::Plan;
use harness_core::system::Host;
use harness_core::time::RunTime;
use harness_core::units::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::watch_stalls;
use crate::executor::{BY, Executor, Ports, Surroundings};
use crate::journal::{Journal, JournalWriter};
use crate::ledger::Ledger;
use crate::looks::Observed;
use crate::report::{Report, Reports};
use crate::samples::SamplesWriter;
use crate::store::RunFiles;
use crate::undo::{Purse, Which, pay_ledger};
use crate::watchdog::{Fence, WatchdogLink};
use the_loop::{Ended, Interrupts, RunLoop};

/// How often the file switch is looked at.
pub const SWITCH_LOOK: Duration = Duration::from_millis(50);
/// The longest name in a file switch that is read, in bytes.
const SWITCH_BYTES_MAX: usize = 256;
/// The watchdog's task must have ended after this time.
const WATCHDOG_END_MAX: Duration = Duration::from_secs(5);

/// Hears what happens. Called from the run loop: must not block.
pub trait Observer: Send + Sync {
    /// An entry was put into the journal.
    fn entry(&self, entry: &Entry);
    /// At the end of the run something is still put back; in words.
    fn paying(&self, step: &str);
}

/// Decides whether enough was seen, for plans that stop early.
pub trait Enough: Send {
    /// An entry was put into the journal.
    fn entry(&mut self, entry: &Entry);
    /// A window was closed.
    fn samples(&mut self, samples: &WindowSamples);
    /// A trial has ended. `Some` says why no further trial is needed.
    fn after_trial(&mut self) -> Option<String>;
}

/// A run to be done.
pub struct RunInput {
    /// Its name.
    pub run: RunId,
    /// What is to be done.
    pub plan: Arc<Plan>,
    /// The outside.
    pub ports: Ports,
    /// Where it is recorded; new and empty.
    pub files: RunFiles,
    /// The operator's and the system's interrupts.
    pub interrupts: mpsc::Receiver<AbortRequest>,
    /// When one of these files appears, the run aborts.
    pub switches: Vec<PathBuf>,
    /// Hears what happens.
    pub observer: Arc<dyn Observer>,
    /// Stops early; `None` does all trials.
    pub enough: Option<Box<dyn Enough>>,
    /// Puts things back when this process cannot. Ready before anything is armed.
    pub watchdog: Option<WatchdogLink>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// By the conductor's word.
    pub end: EndOfRun,
    /// Faults that were not proven to be put back when the conductor ended the run.
    pub leftovers: Vec<(TrialIndex, FaultId)>,
    /// What the ledger says is owed at the very end, in words.
    pub owed: Vec<String>,
}

/// Why a run could not be brought to its end.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The run's files cannot be begun. Nothing was done.
    #[error("could not begin the run's record")]
    Storage(#[source] io::Error),
    /// A broken invariant. What could be put back was put back.
    #[error("a defect of gameday: {what}")]
    Bug {
        /// The words of the panic.
        what: String,
        /// What is still owed, in words.
        owed: Vec<String>,
    },
}

/// Why a journal does not replay.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It is of another plan.
    #[error("the journal belongs to plan {journal}, this is plan {plan}")]
    OtherPlan {
        /// SHA-256 in the journal.
        journal: String,
        /// SHA-256 of the plan.
        plan: String,
    },
    /// The conductor decides otherwise.
    #[error("the conductor of today decides otherwise")]
    Diverges(#[source] Box<Divergence>),
}

/// Whether the conductor gives the same commands for a recorded journal.
pub fn replay(plan: &Plan, journal: &Journal) -> Result<(), ReplayError> {
    let sha256 = plan.sha256();
    if journal.header.plan_sha256 != sha256 {
        let journal = journal.header.plan_sha256.clone();
        return Err(ReplayError::OtherPlan { journal, plan: sha256 });
    }
    conductor::replay(plan, &journal.entries).map_err(ReplayError::Diverges)
}

/// Does a run. Whatever happens in it, everything that was injected is put back, or named in
/// [`RunSummary::owed`]; only when this future is dropped, or its process dies, that falls to the
/// watchdog.
pub async fn run(input: RunInput) -> Result<RunSummary, EngineError> {
    let RunInput { run, plan, ports, files, interrupts, switches, observer, enough, watchdog } =
        input;
    let clock = Arc::clone(&ports.clock);
    let header = Entry {
        at: clock.now(),
        wall: clock.wall(),
        what: What::Header(Header {
            format: journal::FORMAT.to_owned(),
            run: run.to_string(),
            plan_sha256: plan.sha256(),
            gameday: env!("CARGO_PKG_VERSION").to_owned(),
        }),
    };
    let journal = JournalWriter::begin(files.journal, &header).map_err(EngineError::Storage)?;
    let samples = SamplesWriter::begin(files.samples).map_err(EngineError::Storage)?;
    let ledger = Ledger::begin(files.ledger, &run).map_err(EngineError::Storage)?;

    let (reports, queue) = Reports::new();
    let (observed_put, observed) = watch::channel(Observed::new());
    let fence = watchdog.as_ref().map_or_else(Fence::default, |link| link.fence(clock.now()));
    let mut aside = Aside::start(&ports, &reports, switches, watchdog, &fence);
    let around = Surroundings {
        run: run.clone(),
        ports: ports.clone(),
        ledger: ledger.clone(),
        reports: reports.clone(),
        fence: fence.clone(),
        observed,
    };
    let run_loop = RunLoop {
        plan: &plan,
        conductor: Conductor::new(&plan),
        executor: Executor::new(Arc::clone(&plan), around),
        clock,
        journal,
        samples,
        observer: Arc::clone(&observer),
        enough,
        reports,
        queue,
        interrupts,
        observed: observed_put,
        storage_lost: None,
        ended: None,
        gave_up: false,
        last_turn: RunTime::START,
        fence,
    };
    let (Ended { how, gave_up }, interrupts) = run_loop.go().await;

    if ledger.state().is_unpaid() && !gave_up {
        pay_the_rest(&ledger, &run, &ports, &*observer, interrupts).await;
    }
    let owed = ledger.state().debts();
    aside.end(owed.is_empty()).await;
    match how {
        Ok((end, leftovers)) => Ok(RunSummary { end, leftovers, owed }),
        Err(what) => Err(EngineError::Bug { what, owed }),
    }
}

/// Pays what the loop left owed, unless the run is to be left at once.
async fn pay_the_rest(
    ledger: &Ledger,
    run: &RunId,
    ports: &Ports,
    observer: &dyn Observer,
    mut interrupts: Interrupts,
) {
    let host = Arc::clone(&ports.host);
    let purse = Purse {
        registry: &ports.registry,
        host: &move |_: &str| Some(Arc::clone(&host) as Arc<dyn Host>),
        clock: Arc::clone(&ports.clock),
        observer: &|step| observer.paying(step),
    };
    let hurry = interrupts.hurry.clone();
    tokio::select! {
        biased;
        () = interrupts.until_told_to_leave() => {}
        _ = pay_ledger(ledger, run, &purse, BY, (Which::Owed, &hurry)) => {}
    }
}

/// The tasks beside the loop: the detector of standstills, the file switch, the watchdog's lease.
struct Aside {
    tasks: JoinSet<()>,
    watchdog: JoinSet<Option<WatchdogLink>>,
    done: CancellationToken,
}

impl Aside {
    fn start(
        ports: &Ports,
        reports: &Reports,
        switches: Vec<PathBuf>,
        watchdog: Option<WatchdogLink>,
        fence: &Fence,
    ) -> Self {
        let (mut tasks, done) = (JoinSet::new(), CancellationToken::new());
        tasks.spawn(watch_stalls(Arc::clone(&ports.clock), reports.clone()));
        for switch in switches {
            tasks.spawn(watch_switch(switch, reports.clone()));
        }
        let mut of_watchdog = JoinSet::new();
        if let Some(mut link) = watchdog {
            let (clock, fence) = (Arc::clone(&ports.clock), fence.clone());
            let (reports, done) = (reports.clone(), done.clone());
            of_watchdog.spawn(async move {
                match link.tend(&*clock, &fence, &done).await {
                    Ok(()) => Some(link),
                    Err(why) => {
                        reports.put(Report::Event(Event::Lost(Lost::Watchdog { why }))).await;
                        None
                    }
                }
            });
        }
        Self { tasks, watchdog: of_watchdog, done }
    }

    /// Ends all of it. A watchdog may leave only when nothing is owed; else it will find that the
    /// harness is gone, and pay.
    async fn end(&mut self, nothing_owed: bool) {
        self.tasks.shutdown().await;
        self.done.cancel();
        let ended = tokio::time::timeout(WATCHDOG_END_MAX.as_std(), self.watchdog.join_next());
        if let Ok(Some(Ok(Some(link)))) = ended.await
            && nothing_owed
        {
            link.leave().await;
        }
    }
}

/// Waits for the file switch.
async fn watch_switch(path: PathBuf, reports: Reports) {
    loop {
        tokio::time::sleep(SWITCH_LOOK.as_std()).await;
        if let Some(by) = read_switch(&path) {
            let abort = Event::Abort(AbortRequest::Command { by });
            return reports.put(Report::Event(abort)).await;
        }
    }
}

/// Who put the switch there, if it is there.
fn read_switch(path: &Path) -> Option<String> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(_) => Vec::new(),
    };
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SWITCH_BYTES_MAX)]);
    let by = text.trim();
    Some(if by.is_empty() { "the file switch" } else { by }.to_owned())
}

#[cfg(test)]
mod tests;
