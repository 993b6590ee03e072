//! Faults: kind and specification by the registry, times, witnesses, what they touch.

use std::collections::BTreeMap;

use harness_core::diag::Span;
use harness_core::fault::{Capability, FaultEntry, FaultError, Reversibility, look_deadline};
use harness_core::ids::FaultId;
use harness_core::plan::{FaultPlan, Phase, Plan, SystemPlan, WitnessPlan};
use harness_core::units::Duration;

use crate::ast::{FaultAst, Spec, WitnessAst};
use crate::codes;
use crate::findings::{Finding, Findings, did_you_mean, listed};
use crate::node::{Entry, Spanned, Value};

use super::signals::Signals;
use super::{Context, spec_value, system};

/// Faults of a scenario.
pub(crate) const FAULTS_MAX: usize = 50;

const IN_A_ROW: u32 = 3;
const LOOK_EVERY: Duration = Duration::from_millis(50);
const EFFECTIVE_WITHIN: Duration = Duration::from_secs(2);
const REVERTED_WITHIN: Duration = Duration::from_secs(5);

/// The faults of a scenario.
pub(super) struct Faults {
    /// Those that can be planned, in the order of the scenario.
    pub(super) plans: Vec<FaultPlan>,
    /// All names, also of faults that cannot be planned.
    pub(super) names: Vec<Spanned<String>>,
    /// The mechanisms that they need, as this machine has them.
    pub(super) capabilities: BTreeMap<String, Capability>,
}

impl Faults {
    /// The faults of a plan.
    pub(super) fn of(plan: &Plan) -> Self {
        let names = plan.faults.iter();
        let names = names.map(|fault| Spanned::new(fault.id.to_string(), Span::default()));
        Self {
            names: names.collect(),
            plans: plan.faults.clone(),
            capabilities: plan.capabilities.clone(),
        }
    }
}

pub(super) fn lower(
    spec: &Spec,
    context: &Context<'_>,
    system: Option<&SystemPlan>,
    signals: &Signals,
    findings: &mut Findings,
) -> Faults {
    let mut faults = Faults { plans: Vec::new(), names: Vec::new(), capabilities: BTreeMap::new() };
    if let Some(extra) = spec.faults.get(FAULTS_MAX) {
        let message = format!("more than {FAULTS_MAX} faults");
        findings.push(Finding::error(codes::TOO_LARGE, extra.place, message));
    }
    for fault in spec.faults.iter().take(FAULTS_MAX) {
        let kind = kind(fault, context, system, findings);
        let name = name_of(fault);
        if !is_free(&name, &faults.names, findings) {
            continue;
        }
        faults.names.push(name.clone());
        let (Some(system), Some((entry, kind))) = (system, kind) else { continue };
        require(fault, kind, context, &mut faults.capabilities, findings);
        if let Some(plan) = plan(fault, &name, (entry, kind), system, signals, findings) {
            if kind.injector.reversibility() == Reversibility::Irreversible {
                check_disposable(spec, entry, context, findings);
            }
            faults.plans.push(plan);
        }
    }
    faults
}

fn name_of(fault: &FaultAst) -> Spanned<String> {
    match (&fault.id, fault.kinds.as_slice()) {
        (Some(id), _) => id.clone(),
        (None, [only, ..]) => only.key.clone(),
        (None, []) => Spanned::new("fault".to_owned(), fault.place),
    }
}

fn is_free(name: &Spanned<String>, taken: &[Spanned<String>], findings: &mut Findings) -> bool {
    if Phase::ALL.iter().any(|phase| phase.name() == name.value) {
        findings.push(
            Finding::error(
                codes::BAD_NAME,
                name.span,
                format!("`{}` is the name of a phase", name.value),
            )
            .hint("choose another `id`, so that windows are clear"),
        );
        return false;
    }
    if let Some(first) = taken.iter().find(|known| known.value == name.value) {
        findings.push(
            Finding::error(
                codes::DUPLICATE_NAME,
                name.span,
                format!("two faults are called `{}`", name.value),
            )
            .label("again here")
            .hint("give each fault an `id` of its own")
            .related(first.span, "first here"),
        );
        return false;
    }
    true
}

/// The one kind of a fault, looked up in the registry.
fn kind<'a>(
    fault: &'a FaultAst,
    context: &Context<'a>,
    system: Option<&SystemPlan>,
    findings: &mut Findings,
) -> Option<(&'a Entry, &'a FaultEntry)> {
    let on = system.map_or("", |system| system.kind.as_str());
    let known: Vec<&str> = context
        .registry
        .iter()
        .filter(|(_, s, _)| *s == on || on.is_empty())
        .map(|k| k.0)
        .collect();
    match fault.kinds.as_slice() {
        [] => {
            findings.push(
                Finding::error(codes::NOT_ONE_KIND, fault.place, "a fault needs a kind")
                    .hint(format!("known kinds are {}", listed(&known))),
            );
            None
        }
        [only] => {
            let said = only.key.value.as_str();
            if let Some(entry) = context.registry.entry(said, on) {
                return Some((only, entry));
            }
            if !on.is_empty() || !known.contains(&said) {
                findings.push(unknown_kind(only, on, &known, context));
            }
            None
        }
        [first, second, ..] => {
            // One of them may be a misspelt key of the frame; the kinds that exist decide.
            let kinds: Vec<&Entry> =
                fault.kinds.iter().filter(|entry| known.contains(&&*entry.key.value)).collect();
            if let [one] = kinds.as_slice() {
                for other in fault.kinds.iter().filter(|entry| entry.key.value != one.key.value) {
                    let key = &other.key.value;
                    findings.push(
                        Finding::error(
                            codes::UNKNOWN_KEY,
                            other.key.span,
                            format!("a fault has no key `{key}`"),
                        )
                        .label("unknown key")
                        .hint(did_you_mean(key, crate::ast::FAULT.keys.iter().copied())),
                    );
                }
                return context.registry.entry(&one.key.value, on).map(|entry| (*one, entry));
            }
            findings.push(
                Finding::error(codes::NOT_ONE_KIND, second.key.span, "a fault has one kind")
                    .label("a second one")
                    .hint("write two faults")
                    .related(first.key.span, "the first one"),
            );
            None
        }
    }
}

fn unknown_kind(entry: &Entry, on: &str, known: &[&str], context: &Context<'_>) -> Finding {
    let said = &entry.key.value;
    let elsewhere: Vec<&str> = context
        .registry
        .iter()
        .filter(|(kind, ..)| kind == said)
        .map(|(_, system, _)| system)
        .collect();
    if !elsewhere.is_empty() {
        let message = format!("`{said}` does not exist on a {on} system");
        return Finding::error(codes::UNKNOWN_FAULT_KIND, entry.key.span, message)
            .hint(format!("it exists on {}", listed(&elsewhere)));
    }
    Finding::error(
        codes::UNKNOWN_FAULT_KIND,
        entry.key.span,
        format!("`{said}` is neither a kind of fault nor a key of one"),
    )
    .hint(did_you_mean(said, known.iter().copied().chain(crate::ast::FAULT.keys.iter().copied())))
}

/// Notes the mechanisms that a kind needs and refuses those that are missing. What was not looked
/// for counts as missing.
fn require(
    fault: &FaultAst,
    kind: &FaultEntry,
    context: &Context<'_>,
    noted: &mut BTreeMap<String, Capability>,
    findings: &mut Findings,
) {
    let Some(capabilities) = context.capabilities else { return };
    for requirement in &kind.requires {
        let why = match capabilities.get(requirement.0) {
            Some(capability @ Capability::Available(_)) => {
                noted.insert(requirement.0.to_owned(), capability.clone());
                continue;
            }
            Some(Capability::Missing(why)) => why.as_str(),
            None => "nobody looked for it",
        };
        let span = fault.kinds.first().map_or(fault.place, |entry| entry.key.span);
        findings.push(
            Finding::error(
                codes::MISSING_MECHANISM,
                span,
                format!("this machine has no `{}`", requirement.0),
            )
            .label(why)
            .hint("`gameday doctor` shows what is there"),
        );
    }
}

fn plan(
    fault: &FaultAst,
    name: &Spanned<String>,
    (entry, kind): (&Entry, &FaultEntry),
    system: &SystemPlan,
    signals: &Signals,
    findings: &mut Findings,
) -> Option<FaultPlan> {
    let spec = spec_value::read(entry, kind.injector.as_ref(), findings);
    let lasts = fault.lasts.as_ref().map(|lasts| lasts.value);
    let takes = spec.as_ref().map_or(Duration::ZERO, |spec| kind.witness.look_takes(spec));
    let looks = u64::from(fault.effective.when.as_ref().map_or(IN_A_ROW, |it| it.value.in_a_row));
    let row = takes.times(looks);
    let effective_max = EFFECTIVE_WITHIN.max(look_deadline(row));
    let effective_max = lasts.map_or(effective_max, |lasts| lasts.min(effective_max));
    let effective = witness(&fault.effective, effective_max, signals, findings);
    let reverted = witness(&fault.reverted, REVERTED_WITHIN, signals, findings);
    let Some(spec) = spec else {
        check_named(entry, system, findings);
        return None;
    };
    let radius = match kind.injector.blast_radius(&spec, &system.topology) {
        Ok(radius) => radius,
        Err(error) => {
            findings.push(no_target(entry, system, &error));
            return None;
        }
    };
    let mechanism = kind.injector.mechanism(&spec).ok()?;
    let lasts = lasts?;
    if effective.by.is_none() && effective.within < row {
        let said = fault.effective.within.as_ref().map(|within| within.span);
        let span = said.or(fault.lasts.as_ref().map(|lasts| lasts.span)).unwrap_or(fault.place);
        findings.push(unseen(span, effective.within, (looks, takes)));
    }
    if let (Some(within), Some(said)) = (&fault.effective.within, &fault.lasts)
        && within.value > said.value
    {
        findings.push(
            Finding::error(
                codes::IMPOSSIBLE_PHASES,
                within.span,
                format!("the fault lasts {}, so it cannot be seen after that", said.value),
            )
            .label("longer than the fault")
            .hint(format!("write at most `within: {}`", said.value))
            .related(said.span, "the fault ends here"),
        );
    }
    Some(FaultPlan {
        id: FaultId::new(&name.value),
        kind: entry.key.value.clone(),
        spec,
        at: fault.at.as_ref().map_or(Duration::ZERO, |at| at.value),
        lasts,
        mechanism,
        reversibility: kind.injector.reversibility(),
        radius,
        effective,
        reverted,
    })
}

/// A fault that is over, or given up, before its witness can have seen it.
fn unseen(span: Span, within: Duration, (looks, takes): (u64, Duration)) -> Finding {
    let least = takes.times(looks);
    let message = format!("within {within} nobody can see that the fault is in force");
    Finding::error(codes::IMPOSSIBLE_PHASES, span, message)
        .label(format!("{looks} looks in a row take at least {least}"))
        .hint(format!(
            "give it longer than {least} by `for` and `within`, or ask for one look by \
             `effective: {{when: failed}}`"
        ))
}

fn witness(
    witness: &WitnessAst,
    within_default: Duration,
    signals: &Signals,
    findings: &mut Findings,
) -> WitnessPlan {
    let by = witness.by.as_ref().and_then(|name| signals.find_probe(name, findings));
    let every = by.as_ref().and_then(|id| signals.probe_period(id)).unwrap_or(LOOK_EVERY);
    WitnessPlan {
        by,
        in_a_row: witness.when.as_ref().map_or(IN_A_ROW, |when| when.value.in_a_row),
        every,
        within: witness.within.as_ref().map_or(within_default, |within| within.value),
    }
}

/// Says what the topology lacks, with the nearest thing that it has.
fn no_target(entry: &Entry, system: &SystemPlan, error: &FaultError) -> Finding {
    let named = match error {
        FaultError::NoTarget { target } => {
            spec_value::place_of(entry, target).map(|span| (target, span))
        }
        _ => None,
    };
    let Some((target, span)) = named else {
        return Finding::error(
            codes::BAD_FAULT,
            entry.key.span,
            format!("`{}` does not fit this system", entry.key.value),
        )
        .label(error.to_string());
    };
    let known = if target.contains("->") { edges_of(system) } else { services_of(system) };
    unknown_target(target, span, &known)
}

/// What a specification that cannot be read names all the same and the system does not have: told
/// in the same pass, so that nobody mends a file twice.
fn check_named(entry: &Entry, system: &SystemPlan, findings: &mut Findings) {
    let Value::Map(fields) = &entry.node.value else { return };
    for field in fields {
        let known = match field.key.value.as_str() {
            "edge" => edges_of(system),
            "service" => services_of(system),
            _ => continue,
        };
        let named = field.node.scalar().filter(|name| !name.contains("${"));
        if let Some(name) = named.filter(|name| !known.names.contains(name)) {
            findings.push(unknown_target(name, field.node.span, &known));
        }
    }
}

/// What a system has of one sort.
struct Known<'a> {
    word: &'static str,
    names: Vec<&'a str>,
}

fn edges_of(system: &SystemPlan) -> Known<'_> {
    let names = system.topology.edges.iter().map(|edge| edge.name.as_str()).collect();
    Known { word: "edge", names }
}

fn services_of(system: &SystemPlan) -> Known<'_> {
    let names = system.topology.services.iter().map(|service| service.name.as_str()).collect();
    Known { word: "service", names }
}

fn unknown_target(target: &str, span: Span, known: &Known<'_>) -> Finding {
    let message = format!("there is no {} `{target}`", known.word);
    Finding::error(codes::UNKNOWN_TARGET, span, message)
        .hint(did_you_mean(target, known.names.iter().copied()))
}

fn check_disposable(spec: &Spec, entry: &Entry, context: &Context<'_>, findings: &mut Findings) {
    let mut told = Findings::default();
    let kind = spec.system.as_ref().and_then(|s| system::kind(s, context.systems, &mut told));
    if !kind.is_some_and(|kind| kind.disposable) {
        findings.push(
            Finding::error(
                codes::IRREVERSIBLE,
                entry.key.span,
                format!("`{}` cannot be undone", entry.key.value),
            )
            .hint("use it on a disposable system only"),
        );
    }
}
