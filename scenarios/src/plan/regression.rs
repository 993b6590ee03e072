//! A claim against earlier runs: the expectation that it is about, found among the others.

use harness_core::ids::ArmName;
use harness_core::plan::{Assertion, AutomationRule};

use crate::ast::Regression;
use crate::codes;
use crate::findings::{Finding, Findings, did_you_mean};

use super::expectations::Stated;

/// Compared with so many earlier runs when the scenario does not say.
const RUNS: u32 = 10;

/// The claim, and the arms of what it is about.
pub(super) fn lower(
    regression: &Regression,
    stated: &[Stated],
    findings: &mut Findings,
) -> Option<(Assertion, Vec<ArmName>)> {
    let of = &regression.of;
    let known = || stated.iter().map(|(_, expectation)| expectation);
    let Some(found) = known().find(|expectation| expectation.id.as_str() == of.value) else {
        let names = known().map(|expectation| expectation.id.as_str());
        let near = did_you_mean(&of.value, names);
        let hint = if near.is_empty() {
            "name another expectation by its `id`, or by its family".to_owned()
        } else {
            near
        };
        let message = format!("there is no expectation `{}`", of.value);
        findings.push(Finding::error(codes::UNKNOWN_REFERENCE, of.span, message).hint(hint));
        return None;
    };
    if !is_measured(&found.assertion) {
        findings.push(
            Finding::error(
                codes::NO_EVIDENCE,
                of.span,
                format!("`{}` measures nothing that runs could be compared by", of.value),
            )
            .label("it only counts")
            .hint("compare a success rate, a latency, a time or a share of a budget"),
        );
        return None;
    }
    let assertion = Assertion::Regression {
        of: found.id.clone(),
        by_at_most: regression.by_at_most.value,
        runs: regression.runs.as_ref().map_or(RUNS, |runs| {
            u32::try_from(runs.value).expect("the reader keeps runs below 2^32")
        }),
        reset_at: regression.reset_at.as_ref().map(|reset| reset.value.clone()),
    };
    Some((assertion, found.arms.clone()))
}

/// Whether a trial gives a time or a share.
fn is_measured(assertion: &Assertion) -> bool {
    match assertion {
        Assertion::SuccessRate { .. }
        | Assertion::Latency { .. }
        | Assertion::Detection { .. }
        | Assertion::Recovery { .. }
        | Assertion::ErrorBudget { .. }
        | Assertion::Degradation { .. }
        | Assertion::Cost { .. }
        | Assertion::Telemetry { .. } => true,
        Assertion::Automation { rule, .. } => match rule {
            AutomationRule::Acts { .. } | AutomationRule::Releases { .. } => true,
            AutomationRule::StaysQuiet { .. }
            | AutomationRule::ExactlyOnce { .. }
            | AutomationRule::Only { .. }
            | AutomationRule::Never { .. }
            | AutomationRule::ObeysKillSwitch { .. }
            | AutomationRule::HoldsWhenBlind { .. } => false,
        },
        Assertion::Quiet { .. } | Assertion::Invariant { .. } | Assertion::Regression { .. } => {
            false
        }
    }
}
