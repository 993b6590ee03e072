//! Lengths of phases: as said, else long enough for the faults and for what is expected of them.

use harness_core::plan::{Cap, FaultInstant, FaultPlan, Phases, RecoveryTo, SteadyPlan};
use harness_core::units::Duration;

use crate::ast::{Family, Over, RuleAst, Spec};
use crate::codes;
use crate::findings::{Finding, Findings};
use crate::node::Spanned;

const WARMUP: Duration = Duration::from_millis(500);
const BASELINE: Duration = Duration::from_millis(1500);
/// The fault phase of a scenario without faults.
const FAULT_WITHOUT: Duration = Duration::from_secs(3);
const RECOVERY_UP_TO_MIN: Duration = Duration::from_secs(5);
/// What recovery gets beyond the longest claim about it.
const RECOVERY_SPARE: Duration = Duration::from_secs(1);
const SETTLE: Duration = Duration::from_millis(300);

pub(super) fn lower(
    spec: &Spec,
    faults: &[FaultPlan],
    steady: &SteadyPlan,
    findings: &mut Findings,
) -> Phases {
    let phases = &spec.phases;
    let said = |value: &Option<Spanned<Duration>>, default: Duration| {
        value.as_ref().map_or(default, |value| value.value)
    };
    let last = faults.iter().map(|fault| fault.at + fault.lasts).max();
    if let (Some(fault), Some(last)) = (&phases.fault, last)
        && fault.value < last
    {
        findings.push(
            Finding::error(
                codes::IMPOSSIBLE_PHASES,
                fault.span,
                format!("the fault phase ends after {}, a fault only after {last}", fault.value),
            )
            .label("too short")
            .hint(format!("write `fault: {last}` or longer, or leave it out")),
        );
    }
    if let Some(up_to) = &phases.recovery_up_to
        && up_to.value < steady.hold
    {
        findings.push(
            Finding::error(
                codes::IMPOSSIBLE_PHASES,
                up_to.span,
                format!("in {} the steady state cannot hold for {}", up_to.value, steady.hold),
            )
            .label("too short")
            .hint("lengthen the recovery, or shorten `steadyState: {hold: ...}`"),
        );
    }
    Phases {
        warmup: said(&phases.warmup, WARMUP),
        baseline: said(&phases.baseline, BASELINE),
        fault: said(&phases.fault, last.unwrap_or(FAULT_WITHOUT)),
        recovery_up_to: said(&phases.recovery_up_to, recovery_default(spec, steady)),
        settle: said(&phases.settle, SETTLE),
    }
}

/// Long enough to see every claim about the time after a revert kept or broken.
fn recovery_default(spec: &Spec, steady: &SteadyPlan) -> Duration {
    let claims = spec.claims.expect.iter().filter_map(|expectation| match &expectation.family {
        Family::Recovery { to, from, within, over, .. } => {
            let within = match over {
                Over::Mean { cap: Some(Spanned { value: Cap::Time(cap), .. }), .. } => *cap,
                Over::Mean { .. } | Over::Trials | Over::Median(_) | Over::Runs => within.value,
            };
            let from = from.as_ref().map(|from| from.value);
            let after_revert = to.value == RecoveryTo::Restore
                || matches!(from, Some(FaultInstant::Revert | FaultInstant::Reverted));
            after_revert.then(|| within + steady.hold + RECOVERY_SPARE)
        }
        Family::Detection(detection) => {
            detection.resolves_within.as_ref().map(|within| within.value + RECOVERY_SPARE)
        }
        Family::SuccessRate { .. }
        | Family::Latency { .. }
        | Family::Invariant { .. }
        | Family::ErrorBudget(_)
        | Family::Degradation(_)
        | Family::Telemetry(_)
        | Family::Silence { .. }
        | Family::Cost(_)
        | Family::Regression(_) => None,
    });
    let rules = spec.claims.automation.iter().flat_map(|automation| &automation.rules);
    let releases = rules.filter_map(|(_, rule)| match rule {
        RuleAst::Releases { within, .. } => Some(within.value + RECOVERY_SPARE),
        RuleAst::Acts { .. }
        | RuleAst::StaysQuiet { .. }
        | RuleAst::ExactlyOnce { .. }
        | RuleAst::Only { .. }
        | RuleAst::Never { .. }
        | RuleAst::ObeysKillSwitch { .. }
        | RuleAst::HoldsWhenBlind { .. } => None,
    });
    claims.chain(releases).fold(RECOVERY_UP_TO_MIN, Duration::max)
}
