//! Whether the trial is long enough, and the load and the probes dense enough, for what is claimed.
//!
//! The floors are those of the statistics of a share: under `1 / (1 - target)` requests one single
//! failure decides, under ten times as many the verdict is coarse.

use harness_core::diag::Span;
use harness_core::ids::{FaultId, RequestKind, SignalId};
use harness_core::plan::{
    Assertion, AutomationRule, Bound, Cap, FaultInstant, FaultPlan, Holds, LoadPlan, Phase, Phases,
    RecoveryTo, SteadyPlan, WindowRange,
};
use harness_core::units::{Duration, Ratio};

use crate::ast::Spec;
use crate::codes;
use crate::findings::{Finding, Findings};

use super::expectations::Stated;
use super::load::due_until;
use super::signals::Signals;
use super::window::Timeline;

/// A window should hold at least so many times `1 / (1 - target)` requests.
const FLOOR_FACTOR: f64 = 10.0;
/// A probe looks at least so often within the time that it must resolve.
const LOOKS_MIN: u64 = 10;

/// What the claims are held against.
pub(super) struct Horizon<'a> {
    pub(super) load: Option<&'a LoadPlan>,
    pub(super) signals: &'a Signals,
    pub(super) steady: &'a SteadyPlan,
    pub(super) phases: Phases,
    pub(super) faults: &'a [FaultPlan],
    pub(super) timeline: &'a Timeline,
}

pub(super) fn check(
    spec: &Spec,
    expectations: &[Stated],
    horizon: &Horizon<'_>,
    findings: &mut Findings,
) {
    for (place, expectation) in expectations {
        match &expectation.assertion {
            Assertion::SuccessRate { of, bound, during } => {
                let (Bound::AtLeast(target) | Bound::AtMost(target)) = bound;
                let gap = match bound {
                    Bound::AtLeast(_) => target.complement().as_f64(),
                    Bound::AtMost(_) => target.as_f64(),
                };
                requests(*place, of.as_ref(), gap, during, horizon, findings);
            }
            Assertion::Latency { of, quantile, during, .. } => {
                let gap = 1.0 - quantile.as_f64();
                requests(*place, of.as_ref(), gap, during, horizon, findings);
            }
            Assertion::Recovery { to, fault, from, within } => {
                // A mean counts each time as its cap at most, so one looks as long as that.
                let within = match expectation.claim.holds {
                    Holds::OnAverage { cap: Some(Cap::Time(cap)) } => cap,
                    Holds::OnAverage { .. } | Holds::InAtLeast(_) | Holds::OverRuns => *within,
                };
                let claim = Claim { place: *place, fault, from: *from, within };
                recovery(spec, *to, &claim, horizon, findings);
                probes(&claim, horizon.steady.sentinels.iter(), horizon, findings);
            }
            Assertion::Detection { fault, within, resolves_within, .. } => {
                let from = FaultInstant::Effective;
                let claim = Claim { place: *place, fault, from, within: *within };
                detection(spec, &claim, *resolves_within, horizon, findings);
                probes(&claim, std::iter::empty(), horizon, findings);
            }
            Assertion::Quiet { .. }
            | Assertion::Invariant { .. }
            | Assertion::Regression { .. } => {}
            Assertion::ErrorBudget { objective, period, during, .. } => {
                if let Holds::OnAverage { cap: Some(Cap::Share(cap)) } = expectation.claim.holds {
                    let allowed = objective.complement().as_f64() * period.secs_f64();
                    budget_cap(*place, cap, allowed, during, horizon, findings);
                }
            }
            Assertion::Automation { rule, .. } => {
                automation(spec, *place, rule, horizon, findings);
            }
            Assertion::Degradation { of, quantile, during, .. } => {
                let gap = 1.0 - quantile.as_f64();
                let baseline = WindowRange::phases("baseline", Phase::Baseline, Phase::Baseline);
                for during in [&baseline, during] {
                    requests(*place, of.as_ref(), gap, during, horizon, findings);
                }
            }
            Assertion::Cost { bound, .. } => {
                super::cost::in_time(*place, bound, horizon, findings);
            }
            Assertion::Telemetry { signal, during, .. } => {
                observations(*place, signal, during, horizon, findings);
            }
        }
    }
}

/// "within this time from this instant of this fault".
#[derive(Clone, Copy)]
struct Claim<'a> {
    place: Span,
    fault: &'a FaultId,
    from: FaultInstant,
    within: Duration,
}

impl Claim<'_> {
    fn fault<'h>(&self, horizon: &Horizon<'h>) -> Option<&'h FaultPlan> {
        horizon.faults.iter().find(|fault| &fault.id == self.fault)
    }
}

/// Tells a window with too few requests for its bound.
fn requests(
    place: Span,
    of: Option<&RequestKind>,
    gap: f64,
    during: &WindowRange,
    horizon: &Horizon<'_>,
    findings: &mut Findings,
) {
    let Some(load) = horizon.load else { return };
    let (Some(from), Some(to)) =
        (horizon.timeline.position_us(&during.from), horizon.timeline.position_us(&during.to))
    else {
        return;
    };
    if gap <= 0.0 {
        return;
    }
    let at = |us: i64| Duration::from_micros(u64::try_from(us).unwrap_or(0));
    let all = due_until(&load.shape, at(to)) - due_until(&load.shape, at(from));
    let weight = |request: &RequestKind| {
        load.mix.iter().filter(|r| &r.kind == request).map(|r| f64::from(r.weight)).sum::<f64>()
    };
    let total: f64 = load.mix.iter().map(|request| f64::from(request.weight)).sum();
    let due = of.map_or(all, |kind| all * weight(kind) / total);
    // A hair below, so that 1 / (1 - 0.99) is 100 and not a little more.
    let least = (1.0 / gap - 1e-6).ceil();
    let floor = (FLOOR_FACTOR / gap - 1e-6).ceil();
    let message = format!("`{}` sees about {due:.0} requests", during.text);
    if due < least {
        findings.push(
            Finding::error(codes::FEW_REQUESTS, place, message)
                .label(format!("this bound needs at least {least}"))
                .hint(format!("raise the rate or lengthen the window; {floor} would be good")),
        );
    } else if due < floor {
        findings.push(
            Finding::warning(codes::FEW_REQUESTS, place, message)
                .label(format!("a fair verdict on this bound takes {floor}"))
                .hint("raise the rate or lengthen the window"),
        );
    }
}

/// Tells a cap below what a window takes of a budget (allowed bad time in seconds) when all of it
/// is bad.
fn budget_cap(
    place: Span,
    cap: Ratio,
    allowed: f64,
    during: &WindowRange,
    horizon: &Horizon<'_>,
    findings: &mut Findings,
) {
    let ends =
        (horizon.timeline.position_us(&during.from), horizon.timeline.position_us(&during.to));
    let (Some(from), Some(to)) = ends else { return };
    let lasts = Duration::from_micros(u64::try_from(to.saturating_sub(from)).unwrap_or(0));
    let most = lasts.secs_f64() / allowed;
    if most <= cap.as_f64() {
        return;
    }
    findings.push(
        Finding::error(
            codes::UNENFORCED_CAP,
            place,
            format!("nothing keeps an incident from taking more than {cap} of the budget"),
        )
        .label(format!(
            "`{}` lasts {lasts}, and takes {:.3}% when all fails",
            during.text,
            most * 100.0
        ))
        .hint(format!("write a `cap` above {:.3}%", most * 100.0)),
    );
}

/// Tells a window that ends before a single observation of a probe is due.
fn observations(
    place: Span,
    signal: &SignalId,
    during: &WindowRange,
    horizon: &Horizon<'_>,
    findings: &mut Findings,
) {
    let ends =
        (horizon.timeline.position_us(&during.from), horizon.timeline.position_us(&during.to));
    let ((Some(from), Some(to)), Some(every)) = (ends, horizon.signals.probe_period(signal)) else {
        return;
    };
    let lasts = Duration::from_micros(u64::try_from(to.saturating_sub(from)).unwrap_or(0));
    if lasts >= every {
        return;
    }
    findings.push(
        Finding::error(
            codes::SLOW_PROBE,
            place,
            format!("`{signal}` looks every {every}, and `{}` lasts {lasts}", during.text),
        )
        .label("nothing is expected in that time")
        .hint("lengthen the window, or shorten the probe's `every`"),
    );
}

/// Tells a recovery that could come in time and still not be seen.
fn recovery(
    spec: &Spec,
    to: RecoveryTo,
    claim: &Claim<'_>,
    horizon: &Horizon<'_>,
    findings: &mut Findings,
) {
    let Some(fault) = claim.fault(horizon) else { return };
    let needed = claim.within + horizon.steady.hold;
    let phases = &horizon.phases;
    let during_fault = to == RecoveryTo::Mitigate;
    let end =
        if during_fault { fault.at + fault.lasts } else { phases.fault + phases.recovery_up_to };
    let start = match claim.from {
        FaultInstant::Inject | FaultInstant::Effective => fault.at,
        FaultInstant::Revert | FaultInstant::Reverted => fault.at + fault.lasts,
    };
    let seen = end.saturating_sub(start);
    if seen >= needed {
        return;
    }
    let hold = horizon.steady.hold;
    let (what, hint) = if during_fault {
        (
            "fault",
            format!("let the fault last {} or longer", needed + start.saturating_sub(fault.at)),
        )
    } else {
        ("recovery", format!("let the recovery take up to {needed} or longer"))
    };
    let finding = Finding::error(
        codes::SHORT_HORIZON,
        claim.place,
        format!("the {what} ends before this claim can be judged"),
    )
    .label(format!("{} and {hold} of holding take {needed}, seen are {seen}", claim.within))
    .hint(hint);
    let said = spec.phases.recovery_up_to.as_ref().filter(|_| !during_fault);
    findings.push(match said {
        Some(up_to) => finding.related(up_to.span, "the recovery ends here"),
        None => finding,
    });
}

/// Tells a detection whose time reaches beyond the end of the trial.
fn detection(
    spec: &Spec,
    claim: &Claim<'_>,
    resolves_within: Option<Duration>,
    horizon: &Horizon<'_>,
    findings: &mut Findings,
) {
    let Some(fault) = claim.fault(horizon) else { return };
    let phases = &horizon.phases;
    let end = phases.fault + phases.recovery_up_to + phases.settle;
    let resolved = resolves_within.map(|within| fault.at + fault.lasts + within);
    let needed = (fault.at + claim.within).max(resolved.unwrap_or_default());
    if needed <= end {
        return;
    }
    let finding = Finding::error(
        codes::SHORT_HORIZON,
        claim.place,
        "the trial ends before this claim can be judged",
    )
    .label(format!("takes {needed} from the fault phase's start, the trial ends after {end}"))
    .hint(format!("let the recovery take up to {} or longer", needed.saturating_sub(phases.fault)));
    findings.push(match &spec.phases.recovery_up_to {
        Some(up_to) => finding.related(up_to.span, "the recovery ends here"),
        None => finding,
    });
}

/// Tells an action whose time reaches beyond the end of the trial.
fn automation(
    spec: &Spec,
    place: Span,
    rule: &AutomationRule,
    horizon: &Horizon<'_>,
    findings: &mut Findings,
) {
    match rule {
        AutomationRule::Acts { fault, within, .. } => {
            let claim = Claim { place, fault, from: FaultInstant::Effective, within: *within };
            detection(spec, &claim, None, horizon, findings);
            probes(&claim, std::iter::empty(), horizon, findings);
        }
        AutomationRule::Releases { fault, within, .. } => {
            let claim = Claim { place, fault, from: FaultInstant::Reverted, within: *within };
            let none = Claim { within: Duration::ZERO, ..claim };
            detection(spec, &none, Some(*within), horizon, findings);
            probes(&claim, std::iter::empty(), horizon, findings);
        }
        AutomationRule::StaysQuiet { .. }
        | AutomationRule::ExactlyOnce { .. }
        | AutomationRule::Only { .. }
        | AutomationRule::Never { .. }
        | AutomationRule::ObeysKillSwitch { .. }
        | AutomationRule::HoldsWhenBlind { .. } => {}
    }
}

/// Tells probes that look too seldom: those that give the claim its start, or its end.
fn probes<'a>(
    claim: &Claim<'a>,
    sentinels: impl Iterator<Item = &'a SignalId>,
    horizon: &Horizon<'a>,
    findings: &mut Findings,
) {
    let witness = claim.fault(horizon).and_then(|fault| match claim.from {
        FaultInstant::Effective => fault.effective.by.as_ref(),
        FaultInstant::Reverted => fault.reverted.by.as_ref(),
        FaultInstant::Inject | FaultInstant::Revert => None,
    });
    for id in witness.into_iter().chain(sentinels) {
        let Some(every) = horizon.signals.probe_period(id) else { continue };
        if every.times(LOOKS_MIN) <= claim.within {
            continue;
        }
        findings.push(
            Finding::error(
                codes::SLOW_PROBE,
                claim.place,
                format!("`{id}` looks every {every}, too seldom for {}", claim.within),
            )
            .label(format!("a tenth of it is {}", claim.within.divided_by(LOOKS_MIN)))
            .hint(format!("write `every: {}` or less", claim.within.divided_by(LOOKS_MIN))),
        );
        return;
    }
}
