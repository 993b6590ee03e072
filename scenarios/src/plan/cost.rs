//! Claims about spending, with names and defaults resolved.

use harness_core::diag::Span;
use harness_core::ids::{FaultId, SignalId};
use harness_core::plan::{Assertion, CostBound};
use harness_core::units::{Currency, Duration};

use crate::ast::{Cost, SpendBound};
use crate::codes;
use crate::findings::{Finding, Findings};

use super::expectations::{Surroundings, during_or_default, fault};
use super::horizon::Horizon;

/// The assertion, and the fault that it is about.
pub(super) fn cost(
    cost: &Cost,
    place: Span,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> Option<(Assertion, Option<FaultId>)> {
    let signal = feed(cost, place, around, findings);
    let (bound, about) = match &cost.bound {
        SpendBound::Rate { at_most, grace } => {
            let during = during_or_default(cost.during.as_ref(), around, findings)?;
            let grace = grace.as_ref().map_or(Duration::ZERO, |grace| grace.value);
            (CostBound::Rate { at_most: at_most.value, grace, during }, None)
        }
        SpendBound::Capped { at_most, within, of } => {
            let fault = fault(of.as_ref(), place, around, findings)?;
            let (at_most, within) = (at_most.value, *within);
            (CostBound::Capped { at_most, fault: fault.clone(), within }, Some(fault))
        }
        SpendBound::PerSuccess { at_most } => {
            let during = during_or_default(cost.during.as_ref(), around, findings)?;
            (CostBound::PerSuccess { at_most: at_most.value, during }, None)
        }
        SpendBound::Total { at_most } => {
            let during = during_or_default(cost.during.as_ref(), around, findings)?;
            (CostBound::Total { at_most: at_most.value, during }, None)
        }
    };
    Some((Assertion::Cost { signal: signal?, bound }, about))
}

/// The cost feed that is meant, which counts in the bound's currency.
fn feed(
    cost: &Cost,
    place: Span,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> Option<SignalId> {
    let found: Option<(SignalId, Currency)> = if let Some(name) = &cost.signal {
        around.signals.find_spend(name, findings)
    } else {
        let first = around.signals.spend().next();
        if first.is_none() {
            findings.push(
                Finding::error(codes::NO_EVIDENCE, place, "no signal tells what is spent")
                    .hint("add `signals: {spend: {spend: {currency: EUR}}}`"),
            );
        }
        first
    };
    let (signal, counts_in) = found?;
    let currency = cost.currency();
    if currency.value != counts_in {
        let message = format!("`{signal}` counts in {counts_in}");
        findings.push(
            Finding::error(codes::BAD_QUANTITY, currency.span, message)
                .label(format!("this is in {}", currency.value))
                .hint("money is not converted; write the bound in the feed's currency"),
        );
        return None;
    }
    Some(signal)
}

/// Tells a cap that is asked for only when the fault is over.
pub(super) fn in_time(
    place: Span,
    bound: &CostBound,
    horizon: &Horizon<'_>,
    findings: &mut Findings,
) {
    let CostBound::Capped { fault, within, .. } = bound else { return };
    let Some(plan) = horizon.faults.iter().find(|plan| &plan.id == fault) else { return };
    if *within >= plan.lasts {
        let message = format!("`{fault}` lasts {}", plan.lasts);
        findings.push(
            Finding::error(codes::SHORT_HORIZON, place, message)
                .label(format!("so it cannot be seen to be capped within {within}"))
                .hint("hold the fault longer, or ask for a quicker cap"),
        );
    }
}
