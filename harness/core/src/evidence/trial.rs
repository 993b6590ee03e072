//! The evidence of one trial.

use std::collections::BTreeMap;

use super::WindowEvidence;
use crate::event::Invalid;
use crate::ids::{ArmName, FaultId, SignalId, TrialIndex};
use crate::load::LoadSummary;
use crate::plan::Phase;
use crate::signal::{ActionNotice, AlertNotice, Observation};
use crate::system::Processed;
use crate::time::RunTime;

/// When each phase began and ended; a phase that was never reached is absent.
pub type PhaseTimes = BTreeMap<Phase, (RunTime, Option<RunTime>)>;

/// The evidence of one trial.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialEvidence {
    /// The trial.
    pub trial: TrialIndex,
    /// Its arm.
    pub arm: ArmName,
    /// When it began.
    pub began: RunTime,
    /// When it ended; `None` when the journal breaks off in it.
    pub ended: Option<RunTime>,
    /// Why it is invalid, as the rules found while it ran.
    pub invalid: Vec<Invalid>,
    /// Its phases.
    pub phases: PhaseTimes,
    /// Its faults; in a placebo trial the instants at which they would have been.
    pub faults: BTreeMap<FaultId, FaultEvidence>,
    /// Closed windows of samples in ascending order.
    pub windows: Vec<WindowEvidence>,
    /// What the load driver said at the end.
    pub load: Option<LoadSummary>,
    /// What probes and metrics saw, by signal, in the order of time.
    pub observations: BTreeMap<SignalId, Vec<Observation>>,
    /// Alerts that were delivered while it ran, in the order of delivery.
    pub alerts: Vec<AlertNotice>,
    /// What automation did.
    pub actions: Vec<ActionNotice>,
    /// What the system stored; `Err` says why it is not known.
    pub processed: Option<Result<Processed, String>>,
}

/// The instants of one fault in one trial.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FaultEvidence {
    /// The injection was begun.
    pub inject: Option<RunTime>,
    /// The witness first saw it in force. In a placebo trial equal to `inject`.
    pub effective: Option<RunTime>,
    /// The revert was begun.
    pub revert: Option<RunTime>,
    /// The witness first saw it gone. In a placebo trial equal to `revert`.
    pub reverted: Option<RunTime>,
    /// What the witness saw, for people.
    pub seen: Vec<String>,
}
