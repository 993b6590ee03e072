//! Whether trials resemble the ones before them. Then they are no independent cases, and a pass
//! says more than they show.
//!
//! The check looks at the order of trials, as no conclusion from states does, and it can only take
//! a pass away. It is no part of the decision to stop early: that is read from the states alone.

use stats::clustering::{LAG_ONE_FORBIDS_BELOW, LAG_ONE_WARNS_BELOW, LagOne, lag_one};

use super::case::{Found, Value};
use super::conclusion::{Concluded, Method};
use crate::verdict::{Outcome, TrialState};

/// How likely trials without a memory look so much alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Resemblance {
    /// Of the permutation test.
    pub(super) p: f64,
    /// So unlikely that nothing passes.
    pub(super) forbids: bool,
}

/// Looks at the trials that a conclusion rests on, in the order of the run, and takes a pass away
/// that they do not bear. `seed` draws the orders that they are compared with.
pub(super) fn check(concluded: Concluded, look: &[&Found], seed: u64) -> Concluded {
    if concluded.method == Method::Observed {
        return concluded;
    }
    let cases = usize::try_from(concluded.tally.cases()).unwrap_or(usize::MAX);
    let counted: Vec<&Found> = look
        .iter()
        .copied()
        .filter(|found| found.state != TrialState::Excluded)
        .take(cases)
        .collect();
    let Some(LagOne { p, .. }) = lag_one(&series(&counted), seed) else { return concluded };
    if p >= LAG_ONE_WARNS_BELOW {
        return concluded;
    }
    let forbids = p < LAG_ONE_FORBIDS_BELOW && concluded.outcome == Outcome::Pass;
    Concluded {
        outcome: if forbids { Outcome::Inconclusive } else { concluded.outcome },
        resemblance: Some(Resemblance { p, forbids }),
        ..concluded
    }
}

/// One number per trial: what was measured, where every trial has such a number; else its state.
fn series(counted: &[&Found]) -> Vec<f64> {
    let measured: Option<Vec<f64>> = counted
        .iter()
        .map(|found| match found.value {
            Value::At(value) => Some(value),
            Value::None | Value::Beyond(_) | Value::Endless => None,
        })
        .collect();
    let state = |found: &&Found| if found.state == TrialState::Ok { 0.0 } else { 1.0 };
    measured.unwrap_or_else(|| counted.iter().map(state).collect())
}
