//! The section `safety`: limits, and conditions that abort.

use harness_core::diag::Span;
use harness_core::plan::{Comparison, Guard, Guardrail};
use harness_core::units::{Duration, Ratio};

use crate::codes;
use crate::findings::{Finding, Findings};
use crate::node::{Node, Spanned, Value};
use crate::read::{Fields, Section, bad_quantity, list, text};

/// Guardrails of a scenario.
pub(crate) const GUARDRAILS_MAX: usize = 20;
/// The load is never unseen for longer: this guardrail is always on.
const STALE_MAX: Duration = Duration::from_secs(10);
/// Files of rules of a scenario.
const POLICY_FILES_MAX: usize = 20;
/// Persons who must approve a plan.
const APPROVALS_MAX: u64 = 20;

pub(crate) const SAFETY: Section = Section {
    name: "`safety`",
    keys: &["environments", "blastRadius", "guardrails", "lease", "policy", "approvals"],
    kinds: &[],
};
pub(crate) const RADIUS: Section =
    Section { name: "`blastRadius`", keys: &["instances", "share", "edges", "maxFor"], kinds: &[] };
pub(crate) const APPROVALS: Section =
    Section { name: "`approvals`", keys: &["required"], kinds: &[] };
pub(crate) const GUARDRAIL: Section = Section { name: "a guardrail", keys: &["when"], kinds: &[] };

/// Limits as written.
#[derive(Debug, Clone, Default)]
pub(crate) struct RadiusAst {
    pub(crate) instances: Option<Spanned<u64>>,
    pub(crate) share: Option<Spanned<Ratio>>,
    pub(crate) edges: Option<Spanned<u64>>,
    pub(crate) max_for: Option<Spanned<Duration>>,
}

/// Safety as written.
#[derive(Debug, Clone, Default)]
pub(crate) struct SafetyAst {
    pub(crate) environments: Option<Vec<Spanned<String>>>,
    pub(crate) radius: RadiusAst,
    pub(crate) guardrails: Vec<Guardrail>,
    pub(crate) lease: Option<Spanned<Duration>>,
    pub(crate) policy: Vec<String>,
    pub(crate) approvals: Option<Spanned<u64>>,
}

impl SafetyAst {
    pub(crate) fn read(section: Option<(&Node, Span)>, findings: &mut Findings) -> Self {
        let fields = section.and_then(|(node, place)| Fields::read(node, place, &SAFETY, findings));
        let Some(fields) = fields else { return Self::default() };
        let environments = fields.node("environments", findings).map(|node| {
            let items = list(node, "environments", findings).iter();
            items.filter_map(|item| text(item, "environments", findings)).collect()
        });
        let radius = fields.node("blastRadius", findings).and_then(|node| {
            let place = fields.entry("blastRadius").map_or(fields.place, |e| e.key.span);
            let radius = Fields::read(node, place, &RADIUS, findings)?;
            Some(RadiusAst {
                instances: radius.whole("instances", 0..=u64::from(u32::MAX), findings),
                share: radius.quantity("share", findings),
                edges: radius.whole("edges", 0..=u64::from(u32::MAX), findings),
                max_for: radius.positive("maxFor", findings),
            })
        });
        let policy = fields.list("policy", findings).iter().take(POLICY_FILES_MAX);
        let policy = policy.filter_map(|item| text(item, "policy", findings));
        let policy = policy.map(|file| file.value).collect();
        let approvals = fields.node("approvals", findings).and_then(|node| {
            let place = fields.entry("approvals").map_or(fields.place, |e| e.key.span);
            let approvals = Fields::read(node, place, &APPROVALS, findings)?;
            let required = approvals.whole("required", 0..=APPROVALS_MAX, findings);
            approvals.require("required", required, findings)
        });
        let guardrails = fields.list("guardrails", findings).iter().take(GUARDRAILS_MAX);
        let guardrails = guardrails.filter_map(|item| read_guardrail(item, findings)).collect();
        Self {
            environments,
            radius: radius.unwrap_or_default(),
            guardrails,
            lease: fields.positive("lease", findings),
            policy,
            approvals,
        }
    }
}

fn read_guardrail(node: &Node, findings: &mut Findings) -> Option<Guardrail> {
    let when = match &node.value {
        Value::Scalar { .. } => text(node, "guardrails", findings)?,
        Value::List(_) | Value::Map(_) => {
            let fields = Fields::read(node, node.span, &GUARDRAIL, findings)?;
            let when = fields.text("when", findings);
            fields.require("when", when, findings)?
        }
    };
    parse_guardrail(&when, findings)
}

/// `success < 50% for 5s`, `latency > 2s for 3s`, `load stale for 3s`.
fn parse_guardrail(when: &Spanned<String>, findings: &mut Findings) -> Option<Guardrail> {
    let words: Vec<&str> = when.value.split_whitespace().collect();
    let guard = match words.as_slice() {
        ["load", "stale", "for", _] => Guard::LoadStale {},
        ["success", sign @ ("<" | ">"), than, "for", _] => {
            let is = if *sign == "<" { Comparison::Below } else { Comparison::Above };
            Guard::Success { is, than: parse_word::<Ratio>(than, "success", when, findings)? }
        }
        ["latency", ">", than, "for", _] => {
            Guard::LatencyAbove { than: parse_word::<Duration>(than, "latency", when, findings)? }
        }
        _ => {
            findings.push(
                Finding::error(
                    codes::BAD_CONDITION,
                    when.span,
                    format!("`{}` is not a condition for a guardrail", when.value),
                )
                .hint("write `success < 50% for 5s`, `latency > 2s for 3s` or `load stale for 3s`"),
            );
            return None;
        }
    };
    let lasting = words.last().expect("every form has words");
    let lasting: Duration = parse_word(lasting, "for", when, findings)?;
    if lasting == Duration::ZERO {
        findings.push(
            Finding::error(codes::OUT_OF_RANGE, when.span, "a guardrail needs some time to judge")
                .hint("write `for 1s` or longer"),
        );
        return None;
    }
    if guard == (Guard::LoadStale {}) && lasting > STALE_MAX {
        findings.push(
            Finding::error(codes::OUT_OF_RANGE, when.span, "the load is watched more closely")
                .label(format!("at most {STALE_MAX}"))
                .hint("without its load a run knows nothing of what its faults do to users"),
        );
        return None;
    }
    Some(Guardrail { text: when.value.clone(), guard, lasting })
}

fn parse_word<T: crate::read::Quantity>(
    word: &str,
    what: &str,
    when: &Spanned<String>,
    findings: &mut Findings,
) -> Option<T> {
    match word.parse::<T>() {
        Ok(value) => Some(value),
        Err(error) => {
            let start = when.value.find(word).unwrap_or(0);
            let span = when.part(start, start + word.len());
            findings.push(bad_quantity(what, T::NAME, span, &error));
            None
        }
    }
}
