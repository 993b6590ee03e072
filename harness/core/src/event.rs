//! What reaches the conductor, and what it asks for.
//!
//! All sources are put in one order by one task; that order is the truth. Every command has an id,
//! and every completion names the command that it answers.

use serde::{Deserialize, Serialize};

use crate::exit::EndOfRun;
use crate::fault::{Effect, FaultError, Reverted};
use crate::ids::{ArmName, CommandId, FaultId, TrialIndex};
use crate::load::{LoadSummary, LoadTick};
use crate::plan::Phase;
use crate::signal::SignalEvent;
use crate::system::Processed;
use crate::time::{RunTime, WallTime};
use crate::topology::Topology;
use crate::units::Duration;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// The run began; always the first.
    Started {
        /// By the wall clock.
        wall: WallTime,
    },
    /// The time that a [`Command::Wake`] asked for has come.
    Woke {
        /// Which command.
        command: CommandId,
    },
    /// A command has ended.
    Done {
        /// Which.
        command: CommandId,
        /// How.
        outcome: Done,
    },
    /// A tick of the load driver.
    Load(LoadTick),
    /// A closed window of samples, summed up; the samples themselves are in `samples.bin`.
    Window(WindowCounts),
    /// A signal.
    Signal(SignalEvent),
    /// Somebody wants the run to stop.
    Abort(AbortRequest),
    /// A precondition of safety is gone: the run must stop.
    Lost(Lost),
    /// The judge has seen enough: no further trial is begun. Comes between two trials.
    Enough {
        /// What was decided.
        because: String,
    },
    /// The harness itself stood still; found by its own clock.
    Stalled {
        /// For how long.
        lasting: Duration,
    },
}

/// Counts of one closed window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WindowCounts {
    /// The trial.
    pub trial: TrialIndex,
    /// The window's number in the trial.
    pub index: u32,
    /// Its beginning.
    pub start: RunTime,
    /// Requests that were due in it.
    pub planned: u64,
    /// Those that ended well.
    pub good: u64,
    /// Those that ended well within the steady state's latency bound; all good ones without it.
    pub within: u64,
    /// The client stood still.
    pub paused: bool,
}

/// Who wants the run to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum AbortRequest {
    /// An interrupt (Ctrl-C, SIGTERM); the count tells how often.
    Signal {
        /// 1 for the first.
        count: u32,
    },
    /// `gameday abort`, or the file switch.
    Command {
        /// Who, as far as it is known.
        by: String,
    },
}

/// A precondition of safety that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Lost {
    /// The journal or the ledger cannot be written.
    Storage {
        /// Why.
        why: String,
    },
    /// The watchdog does not answer.
    Watchdog {
        /// Why.
        why: String,
    },
    /// The lease of a fault could not be renewed.
    Lease {
        /// Which fault.
        fault: FaultId,
        /// Why.
        why: String,
    },
    /// The system under test is gone altogether.
    System {
        /// Why.
        why: String,
    },
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Done {
    /// The system is open; this is what it consists of.
    Opened(Topology),
    /// The system could not be opened, or is not what the plan says.
    NotOpened {
        /// Why.
        why: String,
    },
    /// The system is closed, or was left as it was found.
    Closed,
    /// The system could not be closed.
    NotClosed {
        /// What is left.
        why: String,
    },
    /// The system is steady, for the hold time.
    Steady(Topology),
    /// It did not become steady in time.
    Unsteady {
        /// What is missing.
        missing: Vec<String>,
    },
    /// The load has begun; its first window begins here.
    LoadStarted {
        /// The beginning of window 0.
        from: RunTime,
    },
    /// The load has ended and nothing is in flight.
    LoadEnded(LoadSummary),
    /// The load could not be driven, or ended by itself.
    LoadFailed {
        /// Why.
        why: String,
    },
    /// The fault is armed, and its undo record is on disk.
    Armed,
    /// The fault is injected.
    Injected {
        /// When the injection began.
        began: RunTime,
        /// What the injector itself found afterwards.
        effect: Effect,
    },
    /// The witness saw the fault in force, so many times in a row.
    Effective {
        /// The first look of the row.
        since: RunTime,
        /// What was seen.
        seen: String,
    },
    /// The witness did not see it in force in time.
    NotEffective {
        /// What was seen last.
        seen: String,
    },
    /// The fault is reverted, by the injector's own word.
    Reverted {
        /// When the revert began.
        began: RunTime,
        /// What it did.
        how: Reverted,
    },
    /// The witness saw the fault gone, so many times in a row; the ledger's entry is paid.
    ProvenReverted {
        /// The first look of the row.
        since: RunTime,
        /// What was seen.
        seen: String,
    },
    /// The witness did not see it gone in time: it is owed.
    NotReverted {
        /// What was seen last.
        seen: String,
    },
    /// A step of a fault failed.
    FaultFailed(FaultError),
    /// What the system stored for the trial.
    Collected(Processed),
    /// The system could not tell, or its queues did not empty in time.
    NotCollected {
        /// Why.
        why: String,
    },
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Command {
    /// Start the system, or attach to it.
    Open,
    /// Reset it and wait until it is steady for the hold time.
    Settle {
        /// Before this trial.
        trial: TrialIndex,
    },
    /// Start load and signals of a trial.
    StartLoad {
        /// The trial.
        trial: TrialIndex,
    },
    /// End the load; answered by the `LoadEnded` of its `StartLoad`.
    StopLoad {
        /// The trial.
        trial: TrialIndex,
        /// Send nothing any more and wait for nothing; else what is in flight may still end.
        now: bool,
    },
    /// Arm a fault and write its undo record.
    Arm {
        /// The trial.
        trial: TrialIndex,
        /// The fault.
        fault: FaultId,
    },
    /// Inject it. Only after `Armed`.
    Inject {
        /// The trial.
        trial: TrialIndex,
        /// The fault.
        fault: FaultId,
    },
    /// Look until it is in force.
    AwaitEffective {
        /// The trial.
        trial: TrialIndex,
        /// The fault.
        fault: FaultId,
    },
    /// Put it back. Cuts off an `Inject` or `AwaitEffective` of the same fault that is under way.
    Revert {
        /// The trial.
        trial: TrialIndex,
        /// The fault.
        fault: FaultId,
        /// With the short deadlines of a second interrupt.
        hurry: bool,
    },
    /// Look until it is gone.
    AwaitReverted {
        /// The trial.
        trial: TrialIndex,
        /// The fault.
        fault: FaultId,
        /// With the short deadlines of a second interrupt.
        hurry: bool,
    },
    /// Ask the system what it stored for the trial.
    Collect {
        /// The trial.
        trial: TrialIndex,
    },
    /// Answer with [`Event::Woke`] at this time.
    Wake {
        /// When.
        at: RunTime,
    },
    /// A trial begins: a mark in the journal, nothing to execute.
    TrialBegins {
        /// The trial.
        trial: TrialIndex,
        /// Its arm.
        arm: ArmName,
    },
    /// A phase begins: a mark in the journal, nothing to execute.
    PhaseBegins {
        /// The trial.
        trial: TrialIndex,
        /// The phase.
        phase: Phase,
    },
    /// In a placebo trial, an instant at which a fault would have begun or ended: a mark.
    PlaceboMark {
        /// The trial.
        trial: TrialIndex,
        /// The fault.
        fault: FaultId,
        /// Begins; else it ends.
        begins: bool,
    },
    /// A trial has ended: a mark in the journal, nothing to execute.
    TrialEnds {
        /// The trial.
        trial: TrialIndex,
        /// Why it is invalid; empty when it is valid.
        invalid: Vec<Invalid>,
    },
    /// Stop what `Open` started; leave what it found.
    Close,
    /// The run has ended: the last command.
    End {
        /// How.
        end: EndOfRun,
        /// Faults not proven to be put back: trial and fault.
        leftovers: Vec<(TrialIndex, FaultId)>,
    },
}

/// Why a trial is invalid, and whether that was known before anything was injected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invalid {
    /// Which rule.
    pub reason: InvalidReason,
    /// One sentence.
    pub because: String,
    /// Found before injection: the trial is excluded and may be replaced. Else it is ambiguous.
    pub before_injection: bool,
}

/// The validity rules, declared before the run (law 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InvalidReason {
    /// The system was not steady before the trial.
    NotSteady,
    /// The baseline was not steady.
    BaselineNotSteady,
    /// A watched alert fired already before the injection.
    AlertBefore,
    /// A fault could not be armed or injected.
    NotInjected,
    /// A fault was not seen in force.
    NotEffective,
    /// A fault was not seen to be put back.
    NotReverted,
    /// The load was sent too late.
    LoadLate,
    /// The load failed, or requests were planned and no samples came.
    LoadMissing,
    /// The client or the harness stood still.
    Stalled,
    /// The run was aborted during the trial.
    Aborted,
}

impl InvalidReason {
    /// For tables: a few words.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotSteady => "system not steady before",
            Self::BaselineNotSteady => "baseline not steady",
            Self::AlertBefore => "alert fired before the fault",
            Self::NotInjected => "fault not injected",
            Self::NotEffective => "fault not seen in force",
            Self::NotReverted => "fault not seen to be put back",
            Self::LoadLate => "load sent late",
            Self::LoadMissing => "load or its samples missing",
            Self::Stalled => "the harness stood still",
            Self::Aborted => "run aborted",
        }
    }
}

/// A command with its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issued {
    /// Its id, in the order of issue.
    pub id: CommandId,
    /// What is to be done.
    pub command: Command,
}
