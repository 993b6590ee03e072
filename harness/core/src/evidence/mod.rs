//! Evidence: what the journal and the samples say about each trial, put in order. Ground data of
//! the judge; holds no opinion.

mod build;
mod latencies;
mod trial;
mod window;

pub use build::EvidenceBuilder;
pub use latencies::{Latencies, LatencyBucket};
pub use trial::{FaultEvidence, PhaseTimes, TrialEvidence};
pub use window::{KindEvidence, WindowEvidence};

use crate::exit::EndOfRun;
use crate::history::History;
use crate::ids::{FaultId, TrialIndex};
use crate::time::WallTime;

/// Everything that a run brought to light.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// When the run began, by the wall clock.
    pub started: WallTime,
    /// How it ended; `None` while it runs, or when its journal breaks off.
    pub end: Option<EndOfRun>,
    /// Faults not proven to be put back when the journal ends.
    pub leftovers: Vec<(TrialIndex, FaultId)>,
    /// Faults that were such leftovers, and that are proven to be put back by now.
    pub put_back_late: Vec<(TrialIndex, FaultId)>,
    /// What earlier runs measured, as it was known when this one began.
    pub history: History,
    /// In the order of execution.
    pub trials: Vec<TrialEvidence>,
}
