//! Whether a run may stop before its planned trials are done. Reads the same conclusions as the
//! verdict: no pass or failure that is decided here is turned into the other afterwards.

use stats::sequential::Progress;

use super::conclusion::{Concluded, Method, conclude};
use super::verdict::{look, states};
use crate::evidence::Evidence;
use crate::plan::Plan;
use crate::verdict::Outcome;

/// Whether to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopDecision {
    /// Nothing is settled that would end the run.
    GoOn,
    /// More trials cannot change the verdict, or an expectation has failed.
    Stop {
        /// One sentence.
        because: String,
    },
}

/// Asked between two trials of a plan with [`StopRule::Sequential`](crate::plan::StopRule): stops
/// when all expectations passed, when one failed, or when one can no longer pass. Plans with fixed
/// or observed trials always go on. Whether trials resemble each other is not asked here: a look at
/// it after every trial would find it by chance, so a run may stop at a pass that the verdict then
/// takes away.
pub fn may_stop(plan: &Plan, evidence: &Evidence) -> StopDecision {
    let concluded = conclude(plan, &states(&look(plan, evidence)));
    let named = || plan.expectations.iter().map(|expectation| &expectation.id).zip(&concluded);
    let stop = |because: String| StopDecision::Stop { because };
    let progress = |concluded: &Concluded| match concluded.method {
        Method::Sequential { progress, .. } => Some(progress),
        Method::Fixed | Method::Observed => None,
    };
    if concluded.is_empty() || concluded.iter().any(|one| progress(one).is_none()) {
        return StopDecision::GoOn;
    }
    if let Some((id, one)) = named().find(|(_, one)| one.outcome == Outcome::Fail) {
        return stop(format!("{id} failed after {} trials", one.tally.cases()));
    }
    let hopeless = |one: &Concluded| {
        matches!(progress(one), Some(Progress::UsedUp | Progress::Open { pass_possible: false }))
    };
    if let Some((id, one)) = named().find(|(_, one)| hopeless(one)) {
        return stop(format!("{id} can no longer pass after {} trials", one.tally.cases()));
    }
    if concluded.iter().all(|one| one.outcome == Outcome::Pass) {
        return stop("every expectation passed".to_owned());
    }
    StopDecision::GoOn
}
