//! The plan of a calibration: the same trials as placebo, and of each expectation what can be
//! asked where there is no fault.

use harness_core::ids::ArmName;
use harness_core::plan::{
    Against, Arm, Assertion, AutomationRule, CostBound, Expectation, Phase, Plan, StopRule,
    TrialPlan, WindowRange,
};
use harness_core::units::Duration;

/// All trials of a plan as placebo trials, judged by what can be asked of a placebo.
pub(super) fn placebo_plan(wanted: &Plan) -> Plan {
    let mut plan = wanted.clone();
    let known = plan.arms.iter().find(|arm| arm.is_placebo()).map(|arm| arm.name.clone());
    let placebo = known.unwrap_or_else(|| {
        let name = ArmName::new("placebo");
        plan.arms.push(Arm { name: name.clone(), faults: Vec::new() });
        name
    });
    // The trials with the fault, each with its own seed and delay, become placebo trials.
    let of_fault = |trials: &[TrialPlan]| {
        let fault = trials.iter().filter(|trial| !wanted.arm(trial).is_placebo());
        fault.map(|trial| TrialPlan { arm: placebo.clone(), ..trial.clone() }).collect::<Vec<_>>()
    };
    plan.trials.planned = of_fault(&wanted.trials.planned);
    plan.trials.spare = of_fault(&wanted.trials.spare);
    let trials = plan.trials.planned.iter_mut().chain(&mut plan.trials.spare);
    for (index, trial) in (0..).zip(trials) {
        trial.index.0 = index;
    }
    plan.trials.stop = StopRule::Fixed;
    plan.reports.clear();
    plan.scenario.title = format!("Placebo trials of: {}", wanted.scenario.title);
    let asked = wanted.expectations.iter().filter_map(|expectation| {
        // The false-alarm rate of a claim that is no share of trials is not one of trials.
        expectation.claim.in_at_least()?;
        let assertion = asked(&expectation.assertion)?;
        Some(Expectation { arms: vec![placebo.clone()], assertion, ..expectation.clone() })
    });
    plan.expectations = asked.collect();
    plan
}

/// What can be asked of a placebo: the same, or that what must follow a fault stays away.
fn asked(assertion: &Assertion) -> Option<Assertion> {
    match assertion {
        Assertion::SuccessRate { .. }
        | Assertion::Latency { .. }
        | Assertion::Quiet { .. }
        | Assertion::Invariant { .. }
        | Assertion::ErrorBudget { .. }
        | Assertion::Degradation { against: Against::Baseline, .. }
        | Assertion::Telemetry { .. }
        | Assertion::Cost {
            bound: CostBound::Rate { .. } | CostBound::PerSuccess { .. } | CostBound::Total { .. },
            ..
        } => Some(assertion.clone()),
        Assertion::Cost { signal, bound: CostBound::Capped { at_most, .. } } => {
            Some(Assertion::Cost {
                signal: signal.clone(),
                bound: CostBound::Rate {
                    at_most: *at_most,
                    grace: Duration::ZERO,
                    during: WindowRange::phases("fault", Phase::Fault, Phase::Fault),
                },
            })
        }
        Assertion::Degradation { of, quantile, against: Against::Placebo, by_at_most, during } => {
            Some(Assertion::Degradation {
                of: of.clone(),
                quantile: *quantile,
                against: Against::Baseline,
                by_at_most: *by_at_most,
                during: during.clone(),
            })
        }
        Assertion::Detection { alert, .. } => Some(Assertion::Quiet { alert: alert.clone() }),
        Assertion::Automation { actor, rule } => {
            let rule = match rule {
                AutomationRule::Acts { action, .. }
                | AutomationRule::ExactlyOnce { action, .. } => {
                    AutomationRule::StaysQuiet { action: Some(action.clone()) }
                }
                AutomationRule::StaysQuiet { .. }
                | AutomationRule::Only { .. }
                | AutomationRule::Never { .. } => rule.clone(),
                AutomationRule::Releases { .. }
                | AutomationRule::ObeysKillSwitch { .. }
                | AutomationRule::HoldsWhenBlind { .. } => return None,
            };
            Some(Assertion::Automation { actor: actor.clone(), rule })
        }
        Assertion::Recovery { .. } | Assertion::Regression { .. } => None,
    }
}
