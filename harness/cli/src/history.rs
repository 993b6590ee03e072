//! What earlier runs of a scenario measured, gathered from the run store when a run begins.
//!
//! Verdicts are read where they are stored, and made again from the ground data where they are not.
//! A run that cannot be read is left out: it is no reason not to run.

use harness_core::history::{EarlierRun, History, RUNS_MAX, is_family};
use harness_core::plan::Plan;
use harness_core::verdict::Verdict;
use harness_engine::store::{RunDir, RunStore, StoreError};

use crate::stored::Stored;

/// Directories that are looked at, from the latest on.
const LOOKED_AT_MAX: usize = 1000;

/// The history of a run that begins now.
pub(crate) fn gather(store: &RunStore, plan: &Plan, now: &RunDir) -> Result<History, StoreError> {
    let before = store.list()?.into_iter().rev().filter(|run| run.id() < now.id());
    let mut runs: Vec<EarlierRun> =
        before.take(LOOKED_AT_MAX).filter_map(|run| left_by(run, plan)).take(RUNS_MAX).collect();
    runs.reverse();
    Ok(History { runs, ..History::default() })
}

/// What a run of the plan's family left, when it is over.
fn left_by(run: RunDir, plan: &Plan) -> Option<EarlierRun> {
    let earlier = run.plan().ok().filter(|earlier| is_family(earlier, plan))?;
    if run.is_alive() {
        return None;
    }
    let stored = std::fs::read(run.path().join(RunDir::VERDICT))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Verdict>(&bytes).ok())
        .filter(|verdict| verdict.plan_sha256 == earlier.sha256());
    let id = run.id().clone();
    let verdict = match stored {
        Some(verdict) => verdict,
        None => Stored::read(run).ok()?.verdict(),
    };
    EarlierRun::of(&id, &verdict)
}
