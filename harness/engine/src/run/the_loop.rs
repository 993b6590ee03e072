//! The loop: takes what comes, in one order; writes it down; asks the conductor; writes its answer
//! down; has it carried out.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use harness_core::conductor::Conductor;
use harness_core::event::{AbortRequest, Command, Done, Event, Issued, Lost, WindowCounts};
use harness_core::exit::EndOfRun;
use harness_core::ids::{FaultId, TrialIndex};
use harness_core::journal::{Entry, What};
use harness_core::load::{KindSamples, WindowSamples};
use harness_core::plan::Plan;
use harness_core::signal::{Observation, SignalEvent};
use harness_core::time::{Clock, RunTime};
use harness_core::units::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{Enough, Observer};
use crate::clock::STALL_MIN;
use crate::executor::Executor;
use crate::journal::JournalWriter;
use crate::ledger::WRITE_MAX;
use crate::looks::Observed;
use crate::report::{Report, Reports};
use crate::samples::SamplesWriter;
use crate::watchdog::Fence;

/// From the second interrupt on, deadlines are short.
const INTERRUPTS_TO_HURRY: u32 = 2;
/// The third interrupt leaves what is owed to the ledger.
const INTERRUPTS_TO_LEAVE: u32 = 3;

/// The loop turns at least so often, also when nothing happens.
const TURN_MAX: Duration = Duration::from_millis(200);

/// How the loop ended: the conductor's last word, or the words of a panic.
pub(super) struct Ended {
    pub(super) how: Result<(EndOfRun, Vec<(TrialIndex, FaultId)>), String>,
    pub(super) gave_up: bool,
}

/// The interrupts after the loop, which concern whoever pays what is owed then.
pub(super) struct Interrupts {
    queue: mpsc::Receiver<AbortRequest>,
    /// Cancelled once a second one came.
    pub(super) hurry: CancellationToken,
}

pub(super) struct RunLoop<'p> {
    pub(super) plan: &'p Plan,
    pub(super) conductor: Conductor<'p>,
    pub(super) executor: Executor,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) journal: JournalWriter,
    pub(super) samples: SamplesWriter,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) enough: Option<Box<dyn Enough>>,
    pub(super) reports: Reports,
    pub(super) queue: mpsc::Receiver<Report>,
    pub(super) interrupts: mpsc::Receiver<AbortRequest>,
    pub(super) observed: watch::Sender<Observed>,
    /// Why the record could not be written; told once.
    pub(super) storage_lost: Option<StorageLost>,
    pub(super) ended: Option<Ended>,
    pub(super) gave_up: bool,
    pub(super) last_turn: RunTime,
    /// Hears that the loop turns.
    pub(super) fence: Fence,
}

pub(super) enum StorageLost {
    Untold(String),
    Told,
}

enum Next {
    Interrupt(AbortRequest),
    Wake,
    Report(Report),
    Panic(String),
    Nothing,
}

impl RunLoop<'_> {
    pub(super) async fn go(mut self) -> (Ended, Interrupts) {
        self.take(Event::Started { wall: self.clock.wall() });
        while self.ended.is_none() {
            self.last_turn = self.clock.now();
            self.fence.turn(self.last_turn);
            match self.next().await {
                Next::Interrupt(request) => {
                    self.gave_up |= leaves(&request);
                    self.take(Event::Abort(request));
                }
                Next::Wake => {
                    if let Some(command) = self.executor.take_wake(self.clock.now()) {
                        self.take(Event::Woke { command });
                    }
                }
                Next::Report(report) => self.report(report),
                Next::Panic(what) => self.bug(what),
                Next::Nothing => {}
            }
            self.tell_losses();
        }
        self.executor.shut_down().await;
        // Who leaves at once waits for no disk.
        if !self.gave_up {
            match tokio::time::timeout(WRITE_MAX.as_std(), self.synced()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "could not sync the journal"),
                Err(_) => tracing::warn!("the journal was not synced within {WRITE_MAX}"),
            }
        }
        let hurry = CancellationToken::new();
        if self.executor.is_in_hurry() {
            hurry.cancel();
        }
        let ended = self.ended.expect("the loop ends when this is set");
        (ended, Interrupts { queue: self.interrupts, hurry })
    }

    /// Cancel safe: every branch only receives.
    async fn next(&mut self) -> Next {
        let wake = self.executor.next_wake();
        let clock = Arc::clone(&self.clock);
        let wake = async move {
            match wake {
                Some(at) => tokio::time::sleep(at.since(clock.now()).as_std()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(request) = self.interrupts.recv() => Next::Interrupt(request),
            () = wake => Next::Wake,
            Some(report) = self.queue.recv() => Next::Report(report),
            panic = self.executor.join_next() => panic.map_or(Next::Nothing, Next::Panic),
            () = tokio::time::sleep(TURN_MAX.as_std()) => Next::Nothing,
        }
    }

    fn report(&mut self, report: Report) {
        match report {
            Report::Event(event) => self.take(event),
            Report::Opened(command, opened) => {
                let outcome = Done::Opened(opened.topology.clone());
                self.executor.opened(opened);
                self.take(Event::Done { command, outcome });
            }
            Report::Window(samples) => {
                if let Err(error) = self.samples.append(&samples) {
                    self.lose_storage(&format!("samples: {error}"));
                }
                if let Some(enough) = &mut self.enough {
                    enough.samples(&samples);
                }
                self.take(Event::Window(counts(self.plan, &samples)));
            }
        }
    }

    /// One event, from its entry in the journal to the beginning of all that follows from it.
    fn take(&mut self, event: Event) {
        let at = self.clock.now();
        self.executor.note(&event);
        if let Event::Signal(SignalEvent::Observed(observation)) = &event {
            self.observe(observation.clone());
        }
        let conductor = &mut self.conductor;
        let decided = catch_unwind(AssertUnwindSafe(|| conductor.on_event(at, &event)));
        self.write(at, What::Event(event));
        match decided {
            Ok(issued) => issued.into_iter().for_each(|issued| self.obey(at, issued)),
            Err(panic) => self.bug(crate::executor::panic_text(panic.as_ref())),
        }
    }

    fn obey(&mut self, at: RunTime, issued: Issued) {
        self.write(at, What::Command(issued.clone()));
        match &issued.command {
            Command::TrialEnds { .. } => {
                self.sync_aside();
                let because = self.enough.as_mut().and_then(|enough| enough.after_trial());
                if let Some(because) = because {
                    // Through the queue: the conductor is not asked while it is being obeyed.
                    self.executor.tell(Event::Enough { because });
                }
            }
            Command::End { end, leftovers } => {
                let how = Ok((end.clone(), leftovers.clone()));
                self.ended = Some(Ended { how, gave_up: self.gave_up });
            }
            _ => {}
        }
        self.executor.execute(issued);
    }

    fn write(&mut self, at: RunTime, what: What) {
        let entry = Entry { at, wall: self.clock.wall(), what };
        if let Err(error) = self.journal.append(&entry) {
            self.lose_storage(&format!("journal: {error}"));
        }
        if let Some(enough) = &mut self.enough {
            enough.entry(&entry);
        }
        self.observer.entry(&entry);
    }

    /// While the disk takes its time, the loop turns and hears interrupts.
    fn sync_aside(&mut self) {
        let (synced, reports) = (self.synced(), self.reports.clone());
        self.executor.aside(async move {
            if let Err(error) = synced.await {
                let lost = Lost::Storage { why: format!("journal: {error}") };
                reports.put(Report::Event(Event::Lost(lost))).await;
            }
        });
    }

    /// Ends when all that was recorded so far would survive a loss of power.
    fn synced(&self) -> impl Future<Output = io::Result<()>> + Send + use<> {
        let (journal, samples) = (self.journal.syncing(), self.samples.syncing());
        let may_block = self.journal.may_block();
        let sync = move || journal().and_then(|()| samples());
        async move {
            if !may_block {
                return sync();
            }
            tokio::task::spawn_blocking(sync).await.map_err(io::Error::other)?
        }
    }

    fn observe(&mut self, observation: Observation) {
        let (Observation::Value { signal, .. } | Observation::Gap { signal, .. }) = &observation;
        let signal = signal.clone();
        self.observed.send_modify(|observed| {
            observed.insert(signal, observation);
        });
    }

    fn lose_storage(&mut self, why: &str) {
        if self.storage_lost.is_none() {
            self.storage_lost = Some(StorageLost::Untold(why.to_owned()));
        }
    }

    /// What was lost on the way is an event, too.
    fn tell_losses(&mut self) {
        if let Some(StorageLost::Untold(why)) = &self.storage_lost {
            let why = why.clone();
            self.storage_lost = Some(StorageLost::Told);
            self.take(Event::Lost(Lost::Storage { why }));
        }
        let lost = self.reports.take_lost();
        if lost > 0 {
            tracing::warn!(lost, "the run loop did not keep up and lost reports");
            let lasting = self.clock.now().since(self.last_turn).max(STALL_MIN);
            self.take(Event::Stalled { lasting });
        }
    }

    fn bug(&mut self, what: String) {
        tracing::error!(what, "a defect of gameday ends the run");
        self.ended = Some(Ended { how: Err(what), gave_up: false });
    }
}

/// Whether what is owed is left to the ledger.
fn leaves(request: &AbortRequest) -> bool {
    matches!(request, AbortRequest::Signal { count } if *count >= INTERRUPTS_TO_LEAVE)
}

impl Interrupts {
    /// Hears them until one says that the run is to be left at once.
    pub(super) async fn until_told_to_leave(&mut self) {
        while let Some(request) = self.queue.recv().await {
            if leaves(&request) {
                return;
            }
            if matches!(request, AbortRequest::Signal { count } if count >= INTERRUPTS_TO_HURRY) {
                self.hurry.cancel();
            }
        }
        std::future::pending::<()>().await;
    }
}

/// A window, summed up for the conductor.
fn counts(plan: &Plan, samples: &WindowSamples) -> WindowCounts {
    let (planned, good) = samples.totals();
    let within = match plan.steady.latency {
        None => good,
        Some((_, bound)) => {
            let of = |kind: &KindSamples| kind.latency_us.count_between(0, bound.micros());
            samples.kinds.values().map(of).sum()
        }
    };
    WindowCounts {
        trial: samples.trial,
        index: samples.index,
        start: samples.start,
        planned,
        good,
        within,
        paused: samples.paused,
    }
}
