//! Signals with their defaults. A lab always has `alerts` and `actions`, and
//! `spend` where a cost is claimed.

use harness_core::ids::{EdgeName, SignalId};
use harness_core::plan::{Plan, SignalPlan, SourcePlan, SystemPlan};
use harness_core::topology::Topology;
use harness_core::units::{Currency, Duration};

use crate::ast::{Check, Family, SignalSource, Spec};
use crate::codes;
use crate::findings::{Finding, Findings, did_you_mean};
use crate::node::Spanned;

const PROBE_EVERY: Duration = Duration::from_millis(250);
const PROBE_TIMEOUT_MAX: Duration = Duration::from_secs(1);
const PROBE_PATH: &str = "/healthz";
const ACTIONS_EVERY: Duration = Duration::from_millis(250);
const SPEND_EVERY: Duration = Duration::from_millis(100);

/// What the scenario's signals are.
pub(super) struct Signals {
    /// In the order of the scenario, then those that are always there.
    pub(super) plans: Vec<SignalPlan>,
    /// All names, also of signals that cannot be read.
    names: Vec<String>,
}

impl Signals {
    /// The signals of a plan.
    pub(super) fn of(plan: &Plan) -> Self {
        let names = plan.signals.iter().map(|signal| signal.id.to_string()).collect();
        Self { plans: plan.signals.clone(), names }
    }

    /// The probe of this name, and its period.
    pub(super) fn probe_period(&self, id: &SignalId) -> Option<Duration> {
        self.plans.iter().find(|plan| &plan.id == id).and_then(|plan| match plan.source {
            SourcePlan::Probe { every, .. } => Some(every),
            SourcePlan::Alerts {}
            | SourcePlan::Actions { .. }
            | SourcePlan::Pages { .. }
            | SourcePlan::Spend { .. } => None,
        })
    }

    /// Whether alerts are received.
    pub(super) fn has_alerts(&self) -> bool {
        self.plans.iter().any(|plan| matches!(plan.source, SourcePlan::Alerts {}))
    }

    /// All records of actions.
    pub(super) fn actions(&self) -> impl Iterator<Item = &SignalId> {
        let records =
            self.plans.iter().filter(|plan| matches!(plan.source, SourcePlan::Actions { .. }));
        records.map(|plan| &plan.id)
    }

    /// Whether a name stands for a record of actions; tells when it does not.
    pub(super) fn find_actions(&self, name: &Spanned<String>, findings: &mut Findings) -> bool {
        if self.actions().any(|id| id.as_str() == name.value) {
            return true;
        }
        let known = self.names.contains(&name.value);
        if known && !self.plans.iter().any(|plan| plan.id.as_str() == name.value) {
            return false;
        }
        let message = if known {
            format!("`{}` does not record actions", name.value)
        } else {
            format!("there is no signal `{}`", name.value)
        };
        let hint = match did_you_mean(&name.value, self.actions().map(SignalId::as_str)) {
            hint if hint.is_empty() => {
                format!("declare it under `signals: {{{}: {{actions: {{}}}}}}`", name.value)
            }
            hint => hint,
        };
        findings.push(Finding::error(codes::UNKNOWN_REFERENCE, name.span, message).hint(hint));
        false
    }

    /// The signal that a name stands for, when it tells of alerts; tells when it does not.
    pub(super) fn find_alerts(
        &self,
        name: &Spanned<String>,
        findings: &mut Findings,
    ) -> Option<SignalId> {
        let is_one = |plan: &&SignalPlan| {
            let tells = match plan.source {
                SourcePlan::Alerts {} | SourcePlan::Pages { .. } => true,
                SourcePlan::Probe { .. }
                | SourcePlan::Actions { .. }
                | SourcePlan::Spend { .. } => false,
            };
            tells && plan.id.as_str() == name.value
        };
        let found = self.plans.iter().find(is_one).map(|plan| plan.id.clone());
        if found.is_none() {
            let message = format!("`{}` does not tell of alerts", name.value);
            let hint = format!("declare it under `signals: {{{}: {{pages: {{}}}}}}`", name.value);
            findings.push(Finding::error(codes::UNKNOWN_REFERENCE, name.span, message).hint(hint));
        }
        found
    }

    /// All cost feeds, and what they count in.
    pub(super) fn spend(&self) -> impl Iterator<Item = (SignalId, Currency)> {
        self.plans.iter().filter_map(|plan| match &plan.source {
            SourcePlan::Spend { currency, .. } => Some((plan.id.clone(), *currency)),
            SourcePlan::Probe { .. }
            | SourcePlan::Alerts {}
            | SourcePlan::Actions { .. }
            | SourcePlan::Pages { .. } => None,
        })
    }

    /// The cost feed that a name stands for; tells when there is none.
    pub(super) fn find_spend(
        &self,
        name: &Spanned<String>,
        findings: &mut Findings,
    ) -> Option<(SignalId, Currency)> {
        let found = self.spend().find(|(id, _)| id.as_str() == name.value);
        let unreadable = self.names.contains(&name.value)
            && !self.plans.iter().any(|plan| plan.id.as_str() == name.value);
        if found.is_none() && !unreadable {
            let message = format!("`{}` is no cost feed", name.value);
            let hint = format!("declare it under `signals: {{{}: {{spend: {{}}}}}}`", name.value);
            findings.push(Finding::error(codes::UNKNOWN_REFERENCE, name.span, message).hint(hint));
        }
        found
    }

    /// All probes.
    pub(super) fn probes(&self) -> impl Iterator<Item = SignalId> {
        let probes =
            self.plans.iter().filter(|plan| matches!(plan.source, SourcePlan::Probe { .. }));
        probes.map(|plan| plan.id.clone())
    }

    /// The probe that a name stands for; tells when there is none.
    pub(super) fn find_probe(
        &self,
        name: &Spanned<String>,
        findings: &mut Findings,
    ) -> Option<SignalId> {
        let id = SignalId::new(&name.value);
        if self.probe_period(&id).is_some() {
            return Some(id);
        }
        let probes: Vec<SignalId> = self.probes().collect();
        let message = if self.names.contains(&name.value) {
            if !self.plans.iter().any(|plan| plan.id == id) {
                return None;
            }
            format!("`{}` is not a probe", name.value)
        } else {
            format!("there is no signal `{}`", name.value)
        };
        let hint = match did_you_mean(&name.value, probes.iter().map(SignalId::as_str)) {
            hint if hint.is_empty() => {
                format!("declare it under `signals: {{{}: {{probe: ...}}}}`", name.value)
            }
            hint => hint,
        };
        findings.push(Finding::error(codes::UNKNOWN_REFERENCE, name.span, message).hint(hint));
        None
    }
}

pub(super) fn lower(
    spec: &Spec,
    topology: Option<&Topology>,
    system: Option<&SystemPlan>,
    findings: &mut Findings,
) -> Signals {
    let mut plans = Vec::new();
    for signal in &spec.signals {
        let source = match &signal.source {
            None => continue,
            Some(SignalSource::Alerts) => SourcePlan::Alerts {},
            Some(SignalSource::Actions { every }) => SourcePlan::Actions {
                every: every.as_ref().map_or(ACTIONS_EVERY, |every| every.value),
            },
            Some(SignalSource::Pages { every }) => SourcePlan::Pages {
                every: every.as_ref().map_or(ACTIONS_EVERY, |every| every.value),
            },
            Some(SignalSource::Spend { every, currency }) => SourcePlan::Spend {
                every: every.as_ref().map_or(SPEND_EVERY, |every| every.value),
                currency: currency.as_ref().map_or(Currency::EUR, |currency| currency.value),
            },
            Some(SignalSource::Probe { edge, every, path, check, timeout }) => {
                let every = every.as_ref().map_or(PROBE_EVERY, |every| every.value);
                let default = every.min(PROBE_TIMEOUT_MAX);
                SourcePlan::Probe {
                    edge: edge.as_ref().and_then(|edge| find_edge(edge, topology, findings)),
                    path: asked_path(path.as_ref(), check.as_ref(), findings),
                    every,
                    timeout: timeout.as_ref().map_or(default, |timeout| timeout.value),
                }
            }
        };
        plans.push(SignalPlan { id: SignalId::new(&signal.name.value), source });
    }
    let mut names: Vec<String> =
        spec.signals.iter().map(|signal| signal.name.value.clone()).collect();
    if system.is_some_and(|system| system.kind == "lab") {
        let always = [
            ("alerts", SourcePlan::Alerts {}),
            ("actions", SourcePlan::Actions { every: ACTIONS_EVERY }),
        ];
        // Only where something is claimed about it: a feed is asked often.
        let claimed = spec.claims.expect.iter().find_map(|one| match &one.family {
            Family::Cost(cost) => Some(cost.currency().value),
            Family::SuccessRate { .. }
            | Family::Latency { .. }
            | Family::Detection(_)
            | Family::Recovery { .. }
            | Family::Invariant { .. }
            | Family::ErrorBudget(_)
            | Family::Degradation(_)
            | Family::Telemetry(_)
            | Family::Regression(_)
            | Family::Silence { .. } => None,
        });
        let spend =
            claimed.map(|currency| ("spend", SourcePlan::Spend { every: SPEND_EVERY, currency }));
        for (name, source) in always.into_iter().chain(spend) {
            let same = std::mem::discriminant(&source);
            let there = plans.iter().any(|plan| std::mem::discriminant(&plan.source) == same);
            if !there && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
                plans.push(SignalPlan { id: SignalId::new(name), source });
            }
        }
    }
    Signals { plans, names }
}

/// The path that an HTTP check asks for; a TCP check has none.
fn asked_path(
    path: Option<&Spanned<String>>,
    check: Option<&Spanned<Check>>,
    findings: &mut Findings,
) -> Option<String> {
    match (check.map(|check| check.value), path) {
        (Some(Check::Tcp), Some(path)) => {
            findings.push(
                Finding::error(codes::NOT_ONE_KIND, path.span, "a TCP check asks for no path")
                    .hint("leave out `path`, or write `check: http`"),
            );
            None
        }
        (Some(Check::Tcp), None) => None,
        (Some(Check::Http) | None, path) => {
            Some(path.map_or(PROBE_PATH, |path| &path.value).to_owned())
        }
    }
}

fn find_edge(
    name: &Spanned<String>,
    topology: Option<&Topology>,
    findings: &mut Findings,
) -> Option<EdgeName> {
    let edge = EdgeName::new(&name.value);
    let topology = topology?;
    if topology.edge(&edge).is_some() {
        return Some(edge);
    }
    let known = topology.edges.iter().map(|edge| edge.name.as_str());
    findings.push(
        Finding::error(
            codes::UNKNOWN_TARGET,
            name.span,
            format!("there is no edge `{}`", name.value),
        )
        .hint(did_you_mean(&name.value, known)),
    );
    None
}
