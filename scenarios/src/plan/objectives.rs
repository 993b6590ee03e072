//! Objectives resolved: which requests, which share of them, over which time.

use harness_core::ids::RequestKind;
use harness_core::plan::{LoadPlan, StatusRange};
use harness_core::units::{Duration, Ratio};

use crate::ast::{ObjectivesAst, SliAst};
use crate::codes;
use crate::findings::{Finding, Findings, did_you_mean};
use crate::node::Spanned;

/// The time of an objective that names none: 30 days.
pub(super) const WINDOW: Duration = Duration::from_secs(30 * 24 * 3600);

/// `of: load` stands for all requests.
const LOAD: &str = "load";

/// An objective with all that it refers to.
#[derive(Debug, Clone)]
pub(super) struct Slo {
    pub(super) of: Option<RequestKind>,
    pub(super) share: Ratio,
    pub(super) window: Duration,
}

/// The objectives of a scenario by name; `None` for those that cannot be read.
pub(super) struct Objectives {
    known: Vec<(String, Option<Slo>)>,
}

impl Objectives {
    /// The objective of this name; tells when there is none.
    pub(super) fn find(&self, name: &Spanned<String>, findings: &mut Findings) -> Option<&Slo> {
        if let Some((_, slo)) = self.known.iter().find(|(known, _)| *known == name.value) {
            return slo.as_ref();
        }
        let message = format!("there is no objective `{}`", name.value);
        let near = did_you_mean(&name.value, self.known.iter().map(|(known, _)| known.as_str()));
        let hint = if near.is_empty() {
            format!(
                "declare it under `slos`, or write `objective: 99.9%` for `slo: {}`",
                name.value
            )
        } else {
            near
        };
        findings.push(Finding::error(codes::UNKNOWN_REFERENCE, name.span, message).hint(hint));
        None
    }
}

pub(super) fn lower(
    ast: &ObjectivesAst,
    load: Option<&LoadPlan>,
    findings: &mut Findings,
) -> Objectives {
    let slis: Vec<(&SliAst, Option<Option<RequestKind>>)> =
        ast.slis.iter().map(|sli| (sli, requests(sli, load, findings))).collect();
    let mut known: Vec<(String, Option<Slo>)> =
        ast.unreadable.iter().map(|name| (name.clone(), None)).collect();
    for slo in &ast.slos {
        let found = slis.iter().find(|(sli, _)| sli.name.value == slo.sli.value);
        if found.is_none() && !ast.unreadable.contains(&slo.sli.value) {
            let names = slis.iter().map(|(sli, _)| sli.name.value.as_str());
            let message = format!("there is no SLI `{}`", slo.sli.value);
            findings.push(
                Finding::error(codes::UNKNOWN_REFERENCE, slo.sli.span, message)
                    .hint(did_you_mean(&slo.sli.value, names)),
            );
        }
        let of = found.and_then(|(_, of)| of.clone());
        let window = slo.window.as_ref().map_or(WINDOW, |window| window.value);
        let slo_found = of.map(|of| Slo { of, share: slo.at_least, window });
        known.push((slo.name.value.clone(), slo_found));
    }
    Objectives { known }
}

/// Which requests an SLI counts; the outer `None` where that cannot be told.
#[expect(clippy::option_option, reason = "all requests is not the same as not to be told")]
fn requests(
    sli: &SliAst,
    load: Option<&LoadPlan>,
    findings: &mut Findings,
) -> Option<Option<RequestKind>> {
    let load = load?;
    if let Some(good) = &sli.good
        && !same(&good.value, &load.good)
    {
        findings.push(
            Finding::error(codes::NO_EVIDENCE, good.span, "the load counts other statuses as good")
                .label("samples keep how many were good, not each status")
                .hint("write the same statuses under `load: {good: ...}`"),
        );
        return None;
    }
    match &sli.of {
        None => Some(None),
        Some(of) if of.value == LOAD => Some(None),
        Some(of) => super::expectations::request(Some(of), load, findings).map(Some),
    }
}

/// Whether two lists hold the same statuses.
fn same(one: &[StatusRange], other: &[StatusRange]) -> bool {
    let holds = |ranges: &[StatusRange], status: u16| {
        ranges.iter().any(|range| (range.from..=range.to).contains(&status))
    };
    (100..=599).all(|status| holds(one, status) == holds(other, status))
}
