//! Claims about an error budget, a degradation and telemetry, with names and defaults resolved.

use harness_core::plan::{Against, Assertion};

use crate::ast::{Degradation, ErrorBudget, Objective, Telemetry};
use crate::findings::Findings;

use super::expectations::{Surroundings, during_or_default, request_of};
use super::objectives::WINDOW;

pub(super) fn error_budget(
    budget: &ErrorBudget,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> Option<Assertion> {
    let during = during_or_default(budget.during.as_ref(), around, findings);
    let (of, objective, period) = match &budget.objective {
        Objective::Named(name) => {
            let slo = around.objectives.find(name, findings)?;
            (slo.of.clone(), slo.share, slo.window)
        }
        Objective::Here { share, window, of } => {
            let of = request_of(of.as_ref(), around, findings);
            (of, *share, window.as_ref().map_or(WINDOW, |window| window.value))
        }
    };
    let takes_at_most = budget.takes_at_most.value;
    Some(Assertion::ErrorBudget { of, objective, period, takes_at_most, during: during? })
}

pub(super) fn degradation(
    degradation: &Degradation,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> Option<Assertion> {
    let during = during_or_default(degradation.during.as_ref(), around, findings);
    let of = request_of(degradation.of.as_ref(), around, findings);
    let against = match &degradation.against {
        None => Against::Baseline,
        Some(against) => {
            if against.value == Against::Placebo {
                super::expectations::placebo_arms(against.span, around, findings)?;
            }
            against.value
        }
    };
    Some(Assertion::Degradation {
        of,
        quantile: degradation.quantile.value,
        against,
        by_at_most: degradation.by_at_most.value,
        during: during?,
    })
}

pub(super) fn telemetry(
    telemetry: &Telemetry,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> Option<Assertion> {
    let during = during_or_default(telemetry.during.as_ref(), around, findings);
    let signal = around.signals.find_probe(&telemetry.signal, findings)?;
    Some(Assertion::Telemetry {
        signal,
        share_at_least: telemetry.at_least.value,
        gap_at_most: telemetry.gap_at_most.as_ref().map(|gap| gap.value),
        during: during?,
    })
}
