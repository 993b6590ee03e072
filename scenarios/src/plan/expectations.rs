//! Expectations: windows and names resolved, claims with their defaults.

use std::collections::BTreeSet;

use harness_core::diag::Span;
use harness_core::ids::{ArmName, ExpectationId, FaultId, RequestKind};
use harness_core::plan::{
    Arm, Assertion, Claim, Expectation, FaultInstant, Holds, Key, LoadPlan, Phase, RecoveryTo,
    SystemPlan, WindowRange,
};
use harness_core::units::Ratio;

use crate::ast::{ClaimsAst, Common, Detection, ExpectAst, Family, Over};
use crate::codes;
use crate::findings::{Finding, Findings, did_you_mean};
use crate::node::Spanned;

use super::automation;
use super::containers;
use super::cost;
use super::families;
use super::faults::Faults;
use super::objectives::Objectives;
use super::regression;
use super::signals::Signals;
use super::window::{self, Timeline};

pub(super) const IN_AT_LEAST: Ratio = Ratio::from_percent(80);
pub(super) const CONFIDENCE: Ratio = Ratio::from_percent(95);
/// What a median claims.
const HALF: Ratio = Ratio::from_percent(50);

/// An expectation with its place in the text.
pub(super) type Stated = (Span, Expectation);

/// What expectations speak of.
pub(super) struct Surroundings<'a> {
    pub(super) faults: &'a Faults,
    pub(super) arms: &'a [Arm],
    pub(super) signals: &'a Signals,
    pub(super) load: Option<&'a LoadPlan>,
    pub(super) timeline: &'a Timeline,
    pub(super) objectives: &'a Objectives,
    pub(super) system: Option<&'a SystemPlan>,
}

pub(super) fn lower(
    claims: &ClaimsAst,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> Vec<Stated> {
    let mut names = Names::reserve(&claims.expect, findings);
    let mut stated = Vec::new();
    for expectation in &claims.expect {
        let key = &expectation.key;
        if containers::tells_nothing(key, &expectation.family, around.system, findings) {
            continue;
        }
        let Some((assertion, about)) = assertion(expectation, around, findings) else { continue };
        let Some(arms) = arms(&expectation.common, about.as_ref(), around, findings) else {
            continue;
        };
        let claim = claim(&expectation.common, expectation.family.over());
        let id = names.take(expectation.common.id.as_ref(), &key.value);
        if let Family::Detection(Detection { alert, quiet_in_placebo: Some(quiet), .. }) =
            &expectation.family
            && quiet.value
            && let Some(placebo) = placebo_arms(quiet.span, around, findings)
        {
            stated.push((
                key.span,
                Expectation {
                    id: names.take(None, &format!("{id}-quiet")),
                    arms: placebo,
                    assertion: Assertion::Quiet { alert: alert.value.clone() },
                    claim,
                },
            ));
            let main = stated.len() - 1;
            stated.insert(main, (key.span, Expectation { id, arms, assertion, claim }));
            continue;
        }
        stated.push((key.span, Expectation { id, arms, assertion, claim }));
    }
    stated.extend(automation::lower(&claims.automation, around, &mut names, findings));
    for written in &claims.expect {
        let Family::Regression(regression) = &written.family else { continue };
        let Some((assertion, arms)) = regression::lower(regression, &stated, findings) else {
            continue;
        };
        let claim = claim(&written.common, written.family.over());
        let id = names.take(written.common.id.as_ref(), &written.key.value);
        stated.push((written.key.span, Expectation { id, arms, assertion, claim }));
    }
    stated
}

/// Gives every expectation a name of its own.
pub(super) struct Names {
    taken: BTreeSet<String>,
}

impl Names {
    /// Sets the names aside that the scenario gives, and tells those given twice.
    fn reserve(expectations: &[ExpectAst], findings: &mut Findings) -> Self {
        let mut taken: Vec<&Spanned<String>> = Vec::new();
        for id in expectations.iter().filter_map(|expectation| expectation.common.id.as_ref()) {
            if let Some(first) = taken.iter().find(|known| known.value == id.value) {
                findings.push(
                    Finding::error(
                        codes::DUPLICATE_NAME,
                        id.span,
                        format!("two expectations are called `{}`", id.value),
                    )
                    .label("again here")
                    .hint("give each expectation an `id` of its own")
                    .related(first.span, "first here"),
                );
            } else {
                taken.push(id);
            }
        }
        Self { taken: taken.into_iter().map(|id| id.value.clone()).collect() }
    }

    pub(super) fn take(&mut self, said: Option<&Spanned<String>>, family: &str) -> ExpectationId {
        if let Some(said) = said {
            return ExpectationId::new(&said.value);
        }
        let numbered = (2..).map(|number| format!("{family}-{number}"));
        let name = std::iter::once(family.to_owned())
            .chain(numbered)
            .find(|name| !self.taken.contains(name))
            .expect("there are more numbers than names");
        self.taken.insert(name.clone());
        ExpectationId::new(name)
    }
}

fn claim(common: &Common, over: &Over) -> Claim {
    let share = common.in_at_least.as_ref().map_or(IN_AT_LEAST, |share| share.value);
    let holds = match over {
        Over::Trials => Holds::InAtLeast(share),
        Over::Median(_) => Holds::InAtLeast(HALF),
        Over::Mean { cap, .. } => Holds::OnAverage { cap: cap.as_ref().map(|cap| cap.value) },
        Over::Runs => Holds::OverRuns,
    };
    Claim { holds, confidence: common.confidence.as_ref().map_or(CONFIDENCE, |share| share.value) }
}

/// The assertion, and the fault that it is about.
fn assertion(
    expectation: &ExpectAst,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> Option<(Assertion, Option<FaultId>)> {
    let place = expectation.key.span;
    match &expectation.family {
        Family::SuccessRate { bound, during, of, .. } => {
            let during = during_or_default(during.as_ref(), around, findings);
            let of = request_of(of.as_ref(), around, findings);
            let bound = bound.value;
            Some((Assertion::SuccessRate { of, bound, during: during? }, None))
        }
        Family::Latency { quantile, at_most, during, of } => {
            let during = during_or_default(during.as_ref(), around, findings);
            let of = request_of(of.as_ref(), around, findings);
            let (quantile, at_most) = (quantile.value, at_most.value);
            Some((Assertion::Latency { of, quantile, at_most, during: during? }, None))
        }
        Family::Detection(detection) => {
            let fault = fault(detection.after.as_ref(), place, around, findings)?;
            if !around.signals.has_alerts() {
                findings.push(
                    Finding::error(codes::NO_EVIDENCE, place, "no signal receives alerts")
                        .hint("add `signals: {pages: {alerts: {}}}`"),
                );
            }
            let through = match &detection.through {
                None => None,
                Some(name) => Some(around.signals.find_alerts(name, findings)?),
            };
            let assertion = Assertion::Detection {
                alert: detection.alert.value.clone(),
                fault: fault.clone(),
                within: detection.within.value,
                pages_exactly: detection.pages_exactly.as_ref().map(|pages| {
                    u32::try_from(pages.value).expect("the reader keeps pages below 2^32")
                }),
                resolves_within: detection.resolves_within.as_ref().map(|within| within.value),
                through,
            };
            Some((assertion, Some(fault)))
        }
        Family::Silence { alert } => Some((Assertion::Quiet { alert: alert.value.clone() }, None)),
        Family::Recovery { to, from, within, of, .. } => {
            let fault = fault(of.as_ref(), place, around, findings)?;
            let default = match to.value {
                RecoveryTo::Mitigate => FaultInstant::Effective,
                RecoveryTo::Restore => FaultInstant::Reverted,
            };
            let from = from.as_ref().map_or(default, |from| from.value);
            let (to, within) = (to.value, within.value);
            Some((Assertion::Recovery { to, fault: fault.clone(), from, within }, Some(fault)))
        }
        Family::Invariant { none_lost, none_twice } => {
            check_keys(place, around, findings);
            let (none_lost, none_twice) = (*none_lost, *none_twice);
            Some((Assertion::Invariant { none_lost, none_twice }, None))
        }
        Family::ErrorBudget(budget) => {
            families::error_budget(budget, around, findings).map(|found| (found, None))
        }
        Family::Degradation(degradation) => {
            families::degradation(degradation, around, findings).map(|found| (found, None))
        }
        Family::Telemetry(telemetry) => {
            families::telemetry(telemetry, around, findings).map(|found| (found, None))
        }
        // Needs the others, and comes after them.
        Family::Regression(_) => None,
        Family::Cost(cost) => cost::cost(cost, place, around, findings),
    }
}

/// The window as said; else the fault phase.
pub(super) fn during_or_default(
    during: Option<&Spanned<String>>,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> Option<WindowRange> {
    match during {
        Some(text) => window::parse(text, around.faults, around.timeline, findings),
        None => Some(WindowRange::phases("fault", Phase::Fault, Phase::Fault)),
    }
}

/// The requests that are meant; all of them where none, or one that does not exist, is named. The
/// latter is told.
pub(super) fn request_of(
    of: Option<&Spanned<String>>,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> Option<RequestKind> {
    request(of, around.load?, findings)
}

/// The request of this name in a load.
pub(super) fn request(
    of: Option<&Spanned<String>>,
    load: &LoadPlan,
    findings: &mut Findings,
) -> Option<RequestKind> {
    let of = of?;
    let known = || load.mix.iter().map(|request| request.kind.as_str());
    if known().any(|kind| kind == of.value) {
        return Some(RequestKind::new(&of.value));
    }
    findings.push(
        Finding::error(
            codes::UNKNOWN_REFERENCE,
            of.span,
            format!("the load has no request `{}`", of.value),
        )
        .hint(did_you_mean(&of.value, known())),
    );
    None
}

/// The fault as said; else the first one.
pub(super) fn fault(
    said: Option<&Spanned<String>>,
    place: Span,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> Option<FaultId> {
    let names = &around.faults.names;
    if let Some(said) = said {
        if names.iter().any(|known| known.value == said.value) {
            return Some(FaultId::new(&said.value));
        }
        let message = format!("there is no fault `{}`", said.value);
        findings.push(
            Finding::error(codes::UNKNOWN_REFERENCE, said.span, message)
                .hint(did_you_mean(&said.value, names.iter().map(|name| name.value.as_str()))),
        );
        return None;
    }
    if let Some(first) = names.first() {
        return Some(FaultId::new(&first.value));
    }
    findings.push(
        Finding::error(codes::NEEDS_FAULT, place, "this expectation is about a fault")
            .label("the scenario has none")
            .hint("add one under `faults`"),
    );
    None
}

pub(super) fn arms(
    common: &Common,
    about: Option<&FaultId>,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> Option<Vec<ArmName>> {
    let Some(said) = &common.arms else {
        let with_faults: Vec<ArmName> = around
            .arms
            .iter()
            .filter(|arm| !arm.is_placebo() && about.is_none_or(|fault| arm.faults.contains(fault)))
            .map(|arm| arm.name.clone())
            .collect();
        if !with_faults.is_empty() {
            return Some(with_faults);
        }
        return Some(around.arms.iter().map(|arm| arm.name.clone()).collect());
    };
    let known = || around.arms.iter().map(|arm| arm.name.as_str());
    let mut chosen = Vec::new();
    for name in said {
        if !known().any(|arm| arm == name.value) {
            let message = format!("there is no arm `{}`", name.value);
            findings.push(
                Finding::error(codes::UNKNOWN_REFERENCE, name.span, message)
                    .hint(did_you_mean(&name.value, known())),
            );
            return None;
        }
        chosen.push(ArmName::new(&name.value));
    }
    Some(chosen)
}

pub(super) fn placebo_arms(
    place: Span,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> Option<Vec<ArmName>> {
    let placebo: Vec<ArmName> =
        around.arms.iter().filter(|arm| arm.is_placebo()).map(|arm| arm.name.clone()).collect();
    if placebo.is_empty() {
        findings.push(
            Finding::error(codes::IMPOSSIBLE_TRIALS, place, "there is no placebo arm")
                .hint("add an arm with `faults: none`, or leave `placebo: 0` out"),
        );
        return None;
    }
    Some(placebo)
}

/// Ids can only be compared where requests carry ones that can be followed.
fn check_keys(place: Span, around: &Surroundings<'_>, findings: &mut Findings) {
    let Some(load) = around.load else { return };
    if load.mix.iter().any(|request| request.key == Key::Sequence) {
        return;
    }
    findings.push(
        Finding::error(codes::NO_EVIDENCE, place, "no request carries an id that can be followed")
            .hint("add `key: sequence` to the request whose orders count"),
    );
}
