//! What earlier runs of a scenario measured: one value per run and expectation, with the number of
//! trials behind it. Trials of different runs are never pooled: runs differ more than the trials
//! within one.
//!
//! Gathered by the shell when a run begins and stored beside it, so that judging it again reads the
//! same history. Which of it counts is the judge's decision.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::exit::EndOfRun;
use crate::ids::{ArmName, ExpectationId, RunId};
use crate::plan::Plan;
use crate::verdict::{Judgement, TrialState, Verdict};

/// The format of `history.json`; a reader refuses a newer major version.
pub const FORMAT: &str = "gameday.history/1";

/// Earlier runs that are kept at most: the last ones.
pub const RUNS_MAX: usize = 100;

/// Earlier runs of the scenario on its system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct History {
    /// [`FORMAT`].
    pub format: String,
    /// Oldest first.
    pub runs: Vec<EarlierRun>,
}

impl Default for History {
    fn default() -> Self {
        Self { format: FORMAT.to_owned(), runs: Vec::new() }
    }
}

/// One earlier run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EarlierRun {
    /// Which.
    pub run: RunId,
    /// SHA-256 of its plan, in hexadecimal.
    pub plan_sha256: String,
    /// What it measured, by expectation.
    pub values: BTreeMap<ExpectationId, RunValue>,
}

/// What a run measured for one expectation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunValue {
    /// What is measured: `p99 latency`.
    pub name: String,
    /// Its unit: `s`.
    pub unit: String,
    /// The median over the trials in which it could be told; `None` when it is endless.
    pub median: Option<f64>,
    /// Those trials.
    pub trials: u32,
}

impl EarlierRun {
    /// What a run leaves to later ones. `None` when it did not complete.
    pub fn of(run: &RunId, verdict: &Verdict) -> Option<Self> {
        let EndOfRun::Completed = verdict.end else { return None };
        let value = |judgement: &Judgement| Some((judgement.id.clone(), value_of(judgement)?));
        Some(Self {
            run: run.clone(),
            plan_sha256: verdict.plan_sha256.clone(),
            values: verdict.judgements.iter().filter_map(value).collect(),
        })
    }
}

/// Whether an earlier plan is of the same family: the same scenario on the same system, with trials
/// of the same arms. A run in which a defect was switched on is no standard for anything.
pub fn is_family(earlier: &Plan, plan: &Plan) -> bool {
    let system = |plan: &Plan| {
        let system = &plan.system;
        (system.kind.clone(), system.name.clone(), system.environment.clone())
    };
    // A calibration runs placebo trials only: nothing to compare incidents with.
    let arms = |plan: &Plan| -> BTreeSet<ArmName> {
        plan.trials.planned.iter().map(|trial| trial.arm.clone()).collect()
    };
    earlier.scenario.name == plan.scenario.name
        && system(earlier) == system(plan)
        && arms(earlier) == arms(plan)
        && earlier.system.defects.is_empty()
}

fn value_of(judgement: &Judgement) -> Option<RunValue> {
    let measured = judgement.measured.as_ref()?;
    let told = judgement.trials.iter().filter(|trial| match trial.state {
        TrialState::Ok | TrialState::Bad => true,
        TrialState::Ambiguous | TrialState::Excluded => false,
    });
    // What was not reached, or has no end, lies beyond every number.
    let values: Vec<f64> = told.map(|trial| trial.value.unwrap_or(f64::INFINITY)).collect();
    let trials = u32::try_from(values.len()).unwrap_or(u32::MAX);
    let median = median(values)?;
    Some(RunValue {
        name: measured.name.clone(),
        unit: measured.unit.clone(),
        median: Some(median).filter(|median| median.is_finite()),
        trials,
    })
}

/// The middle value, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let (low, high) = (values[last / 2], values[last.div_ceil(2)]);
    // Not the mean of two infinities, which is no number when they differ.
    Some(if low.total_cmp(&high).is_eq() { low } else { f64::midpoint(low, high) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::plan;

    #[test]
    fn a_median_may_be_endless() {
        let endless = f64::INFINITY;
        for (values, expected) in [
            (vec![], None),
            (vec![3.0], Some(3.0)),
            (vec![4.0, 1.0, 2.0], Some(2.0)),
            (vec![4.0, 1.0], Some(2.5)),
            (vec![1.0, endless], Some(endless)),
            (vec![endless, endless], Some(endless)),
            (vec![1.0, 2.0, endless], Some(2.0)),
        ] {
            assert_eq!(median(values.clone()), expected, "{values:?}");
        }
    }

    #[test]
    fn a_family_is_a_scenario_on_a_system_without_defects() {
        let now = plan(&["fault"]);
        let mut other = now.clone();
        other.seed += 1;
        assert!(is_family(&other, &now), "another plan of the same scenario");
        other.system.defects.insert("breaker".into(), "off".into());
        assert!(!is_family(&other, &now), "a broken system is no standard");
        assert!(is_family(&now, &other), "but is compared with a whole one");
        let mut other = now.clone();
        other.scenario.name = "another".into();
        assert!(!is_family(&other, &now));
        let mut other = now.clone();
        other.trials.planned[0].arm = ArmName::new("placebo");
        assert!(!is_family(&other, &now), "a calibration");
        let mut other = now.clone();
        other.system.environment = "staging".into();
        assert!(!is_family(&other, &now));
    }
}
