//! Whether a run may stop before its planned trials are done. Reads the same conclusions as the
//! verdict: no pass or failure that is decided here is turned into the other afterwards.

use stats::sequential::Progress;

use super::conclusion::{Concluded, Method, conclude};
use super::verdict::{founds, look};
use crate::evidence::Evidence;
use crate::plan::{Arm, Plan};
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
/// when all expectations passed, when one failed, or when one can no longer pass, but not before
/// each arm has had the trials that the plan asks for at least. Plans with fixed or observed trials
/// always go on, and so do those with a claim about a mean or against earlier runs: such a claim is
/// judged at the end. Whether trials resemble each other is not asked here: a look at it after
/// every trial would find it by chance, so a run may stop at a pass that the verdict then takes
/// away.
pub fn may_stop(plan: &Plan, evidence: &Evidence) -> StopDecision {
    if lacks_trials(plan, evidence) {
        return StopDecision::GoOn;
    }
    let looks = look(plan, evidence);
    let concluded = conclude(plan, &evidence.history, &founds(&looks));
    let named = || plan.expectations.iter().map(|expectation| &expectation.id).zip(&concluded);
    let stop = |because: String| StopDecision::Stop { because };
    let progress = |concluded: &Concluded| match concluded.method {
        Method::Sequential { progress, .. } => Some(progress),
        Method::Fixed | Method::Observed | Method::Averaged(_) | Method::Compared(_) => None,
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

/// Whether an arm with a fault (any arm, where none has one) has had fewer trials than the plan
/// asks for at least.
fn lacks_trials(plan: &Plan, evidence: &Evidence) -> bool {
    let only_placebo = plan.arms.iter().all(Arm::is_placebo);
    let had = |arm: &Arm| evidence.trials.iter().filter(|trial| trial.arm == arm.name).count();
    let mut arms = plan.arms.iter().filter(|arm| only_placebo || !arm.is_placebo());
    arms.any(|arm| had(arm) < usize::try_from(plan.trials.count_min).unwrap_or(usize::MAX))
}
