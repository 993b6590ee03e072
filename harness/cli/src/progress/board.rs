//! What is going on, gathered from the journal as it is written. Holds no clock and prints nothing.

use std::collections::{BTreeMap, VecDeque};

use harness_core::event::{Command, Done, Event, Invalid};
use harness_core::ids::{ArmName, CommandId, FaultId, TrialIndex};
use harness_core::journal::{Entry, What};
use harness_core::load::LoadTick;
use harness_core::plan::{Phase, Plan};
use harness_core::signal::{AlertStatus, SignalEvent};
use harness_core::time::RunTime;

/// Ticks that the load line looks back on: one second.
const TICKS: usize = 10;

/// Where a fault stands, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultState {
    /// Its record is written.
    Armed,
    /// Put in place, not seen yet.
    Injected,
    /// Its witness sees it.
    InForce,
    /// Being put back.
    Reverting,
    /// Its witness saw it gone.
    PutBack,
    /// Not seen to be gone.
    Owed,
}

impl FaultState {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Armed => "armed",
            Self::Injected => "injected",
            Self::InForce => "in force",
            Self::Reverting => "being put back",
            Self::PutBack => "put back",
            Self::Owed => "NOT put back",
        }
    }
}

/// What is going on in a run.
#[derive(Debug)]
pub(crate) struct Board {
    /// Trials that the plan asks for.
    pub(crate) planned: usize,
    /// Trials that have ended.
    pub(crate) ended: usize,
    /// Those that ended invalid.
    pub(crate) invalid: usize,
    /// The trial under way.
    pub(crate) trial: Option<(TrialIndex, ArmName)>,
    /// Its phase, and when that began.
    pub(crate) phase: Option<(Phase, RunTime)>,
    /// What is waited for outside a trial.
    pub(crate) waiting: &'static str,
    /// Faults of the trial.
    pub(crate) faults: BTreeMap<FaultId, FaultState>,
    /// Alerts that fire now.
    pub(crate) alerts: BTreeMap<String, usize>,
    ticks: VecDeque<LoadTick>,
    commands: BTreeMap<CommandId, (TrialIndex, FaultId)>,
}

/// Something worth a line of its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Note {
    /// The system is open.
    Opened,
    /// A trial began.
    TrialBegan(TrialIndex, ArmName),
    /// A fault is in force, been seen so.
    InForce(FaultId, String),
    /// A fault is gone, been seen so.
    PutBack(FaultId, String),
    /// A step of a fault went wrong.
    FaultTrouble(FaultId, String),
    /// An alert fired, or ended.
    Alert(String, AlertStatus),
    /// A trial ended.
    TrialEnded(TrialIndex, ArmName, Vec<Invalid>),
    /// The run is being stopped.
    Stopping(String),
}

impl Board {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            planned: plan.trials.planned.len(),
            ended: 0,
            invalid: 0,
            trial: None,
            phase: None,
            waiting: "starting the system",
            faults: BTreeMap::new(),
            alerts: BTreeMap::new(),
            ticks: VecDeque::new(),
            commands: BTreeMap::new(),
        }
    }

    /// Takes an entry; what is worth a line comes back.
    pub(crate) fn entry(&mut self, entry: &Entry) -> Option<Note> {
        match &entry.what {
            What::Header(_) => None,
            What::Event(event) => self.event(event),
            What::Command(issued) => self.command(entry.at, issued.id, &issued.command),
        }
    }

    /// The load of the last second: sent, good and bad requests, and the newest latencies in us.
    pub(crate) fn load(&self) -> LoadTick {
        let mut sum = LoadTick::default();
        for tick in &self.ticks {
            sum.due += tick.due;
            sum.good += tick.good;
            sum.bad += tick.bad;
            sum.in_flight = tick.in_flight;
            sum.latency_us_p50 = sum.latency_us_p50.max(tick.latency_us_p50);
            sum.latency_us_p99 = sum.latency_us_p99.max(tick.latency_us_p99);
        }
        sum
    }

    fn command(&mut self, at: RunTime, id: CommandId, command: &Command) -> Option<Note> {
        match command {
            Command::Settle { .. } => self.waiting = "waiting for steady state",
            Command::TrialBegins { trial, arm } => {
                self.trial = Some((*trial, arm.clone()));
                self.faults.clear();
                self.ticks.clear();
                return Some(Note::TrialBegan(*trial, arm.clone()));
            }
            Command::PhaseBegins { phase, .. } => self.phase = Some((*phase, at)),
            Command::Collect { .. } => self.waiting = "collecting what the system stored",
            Command::TrialEnds { trial, invalid } => {
                self.ended += 1;
                self.invalid += usize::from(!invalid.is_empty());
                self.phase = None;
                let arm = self.trial.take().map_or_else(|| ArmName::new("?"), |(_, arm)| arm);
                return Some(Note::TrialEnded(*trial, arm, invalid.clone()));
            }
            Command::Close => self.waiting = "closing the system",
            Command::Arm { trial, fault }
            | Command::Inject { trial, fault }
            | Command::AwaitEffective { trial, fault }
            | Command::AwaitReverted { trial, fault, .. } => {
                self.commands.insert(id, (*trial, fault.clone()));
            }
            Command::Revert { trial, fault, .. } => {
                self.commands.insert(id, (*trial, fault.clone()));
                self.faults.insert(fault.clone(), FaultState::Reverting);
            }
            Command::Open
            | Command::StartLoad { .. }
            | Command::StopLoad { .. }
            | Command::Wake { .. }
            | Command::PlaceboMark { .. }
            | Command::End { .. } => {}
        }
        None
    }

    fn event(&mut self, event: &Event) -> Option<Note> {
        match event {
            Event::Load(tick) => {
                self.ticks.push_back(*tick);
                if self.ticks.len() > TICKS {
                    self.ticks.pop_front();
                }
                None
            }
            Event::Done { command, outcome } => self.done(*command, outcome),
            Event::Signal(SignalEvent::Alert(notice)) => {
                match notice.status {
                    AlertStatus::Firing => {
                        *self.alerts.entry(notice.alert.clone()).or_default() += 1;
                    }
                    AlertStatus::Resolved => {
                        self.alerts.remove(&notice.alert);
                    }
                }
                Some(Note::Alert(notice.alert.clone(), notice.status))
            }
            Event::Abort(request) => Some(Note::Stopping(match request {
                harness_core::event::AbortRequest::Signal { count: 1 } => {
                    "interrupted: putting everything back (once more: with short deadlines)".into()
                }
                harness_core::event::AbortRequest::Signal { count: 2 } => {
                    "interrupted again: short deadlines (once more: leave what is owed)".into()
                }
                harness_core::event::AbortRequest::Signal { .. } => "leaving".into(),
                harness_core::event::AbortRequest::Command { by } => format!("aborted by {by}"),
            })),
            Event::Lost(lost) => Some(Note::Stopping(format!("stopping: {lost:?}"))),
            Event::Started { .. }
            | Event::Woke { .. }
            | Event::Window(_)
            | Event::Signal(SignalEvent::Observed(_) | SignalEvent::Action(_))
            | Event::Enough { .. }
            | Event::Stalled { .. } => None,
        }
    }

    fn done(&mut self, command: CommandId, outcome: &Done) -> Option<Note> {
        if matches!(outcome, Done::Opened(_)) {
            return Some(Note::Opened);
        }
        let (_, fault) = self.commands.remove(&command)?;
        let (state, note) = match outcome {
            Done::Armed => (FaultState::Armed, None),
            Done::Injected { .. } => (FaultState::Injected, None),
            Done::Effective { seen, .. } => {
                (FaultState::InForce, Some(Note::InForce(fault.clone(), seen.clone())))
            }
            Done::ProvenReverted { seen, .. } => {
                (FaultState::PutBack, Some(Note::PutBack(fault.clone(), seen.clone())))
            }
            Done::NotEffective { seen } => {
                let words = format!("not seen in force: {seen}");
                (FaultState::Injected, Some(Note::FaultTrouble(fault.clone(), words)))
            }
            Done::NotReverted { seen } => {
                let words = format!("not seen to be put back: {seen}");
                (FaultState::Owed, Some(Note::FaultTrouble(fault.clone(), words)))
            }
            Done::FaultFailed(error) => {
                let words = error.to_string();
                return Some(Note::FaultTrouble(fault, words));
            }
            _ => return None,
        };
        self.faults.insert(fault, state);
        note
    }
}
