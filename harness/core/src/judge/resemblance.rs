//! Whether trials resemble the ones before them. Then they are no independent cases, and a pass
//! says more than they show.
//!
//! A conclusion rests on the states of trials, so only states that resemble each other take a pass
//! away. Measured values that do are told: a trend that keeps its bound makes no claim wrong, but
//! somebody should know. The check looks at the order of trials, as no conclusion from states does,
//! and is no part of the decision to stop early.

use stats::clustering::{
    LAG_ONE_FORBIDS_BELOW, LAG_ONE_WARNS_BELOW, LagOne, lag_one, lag_one_below,
};

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
    match concluded.method {
        Method::Observed | Method::Compared(_) => return concluded,
        Method::Fixed | Method::Sequential { .. } | Method::Averaged(_) => {}
    }
    let cases = usize::try_from(concluded.tally.cases()).unwrap_or(usize::MAX);
    let counted: Vec<&Found> = look
        .iter()
        .copied()
        .filter(|found| found.state != TrialState::Excluded)
        .take(cases)
        .collect();
    let states = counted.iter().map(|found| f64::from(u8::from(found.state != TrialState::Ok)));
    let states: Vec<f64> = states.collect();
    let states = lag_one(&states, seed).map_or(1.0, |LagOne { p, .. }| p);
    let forbids = states < LAG_ONE_FORBIDS_BELOW && concluded.outcome == Outcome::Pass;
    // Of the values only a p that warns is told.
    let told = |values: Vec<f64>| lag_one_below(&values, seed, LAG_ONE_WARNS_BELOW);
    let p =
        if forbids { states } else { measured(&counted).and_then(told).unwrap_or(1.0).min(states) };
    if p >= LAG_ONE_WARNS_BELOW {
        return concluded;
    }
    Concluded {
        outcome: if forbids { Outcome::Inconclusive } else { concluded.outcome },
        resemblance: Some(Resemblance { p, forbids }),
        ..concluded
    }
}

/// What was measured, where every trial has a number.
fn measured(counted: &[&Found]) -> Option<Vec<f64>> {
    let number = |found: &&Found| match found.value {
        Value::At(value) => Some(value),
        Value::None | Value::Beyond(_) | Value::Endless => None,
    };
    counted.iter().map(number).collect()
}
