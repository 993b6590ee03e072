//! The share of an error budget that one incident takes.
//!
//! By time, because the load is synthetic: how bad each window of samples was counts, not how many
//! requests it had. A window without traffic takes nothing.

use stats::budget::taken_by_time;
use stats::decimal::Share;

use super::case::{Case, Found, SEND_LAG_MAX, Value};
use super::samples::trusted;
use super::words;
use crate::ids::RequestKind;
use crate::load::WINDOW;
use crate::plan::WindowRange;
use crate::units::{Duration, Ratio};
use crate::verdict::TrialState;

/// A budget and what may be taken of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub(super) objective: Ratio,
    pub(super) period: Duration,
    pub(super) takes_at_most: Ratio,
}

/// Whether the trial took no more than it may.
pub(super) fn budget(
    case: Case<'_>,
    of: Option<&RequestKind>,
    budget: Budget,
    during: &WindowRange,
) -> Found {
    /// What a sum of floating-point numbers may be off by.
    const SLACK: f64 = 1e-12;
    let windows =
        match case.range(during).and_then(|(from, to)| trusted(case, from, to, SEND_LAG_MAX)) {
            Ok(windows) => windows,
            Err(found) => return found,
        };
    let steps: Vec<Share> = windows
        .iter()
        .map(|window| {
            let kinds = window.kinds.iter().filter(|(kind, _)| of.is_none_or(|of| of == *kind));
            kinds.fold(Share { part: 0, whole: 0 }, |sum, (_, samples)| Share {
                part: sum.part + samples.planned.saturating_sub(samples.good),
                whole: sum.whole + samples.planned,
            })
        })
        .collect();
    if steps.iter().all(|step| step.whole == 0) {
        return Found::excluded(format!("no request was due in `{}`", during.text));
    }
    let objective = budget.objective.as_f64();
    let taken = taken_by_time(&steps, WINDOW.as_std(), objective, budget.period.as_std());
    if taken.is_nan() {
        return Found::ambiguous("an objective of 100% has no budget");
    }
    let holds = taken <= budget.takes_at_most.as_f64() + SLACK;
    let state = if holds { TrialState::Ok } else { TrialState::Bad };
    let value = if taken.is_finite() { Value::At(taken) } else { Value::Endless };
    let seconds = WINDOW.secs_f64() * steps.len() as f64;
    let allowed = budget.objective.complement().as_f64() * budget.period.secs_f64();
    let found = Found::new(state, value, format!("took {} of the budget", words::share(taken)));
    Found { most: Some(seconds / allowed), ..found }
}
