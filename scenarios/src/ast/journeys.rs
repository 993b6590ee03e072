//! `load: {journeys: {...}}`: users, their journeys, the steps of each.

use std::collections::BTreeMap;

use harness_core::diag::Span;
use harness_core::plan::{Extract, StatusRange, Think};
use harness_core::units::Duration;

use super::load::{LoadAst, METHODS, REQUESTS_MAX, RequestAst, read_feeds, read_good, request_of};
use crate::codes;
use crate::findings::{Finding, Findings};
use crate::node::{Entry, Node, Spanned};
use crate::read::{Fields, Section, list, name, named, quantity, text};

pub(crate) const JOURNEYS: Section = Section {
    name: "`journeys`",
    keys: &[
        "users",
        "rampUp",
        "mix",
        "timeout",
        "good",
        "timer",
        "workers",
        "correlation",
        "feeds",
    ],
    kinds: &[],
};
pub(crate) const JOURNEY: Section =
    Section { name: "a journey", keys: &["name", "weight", "think", "steps"], kinds: &[] };
pub(crate) const JOURNEY_STEP: Section = Section {
    name: "a step",
    keys: &[
        "think",
        "key",
        "headers",
        "body",
        "kind",
        "good",
        "bodyContains",
        "bodyMatches",
        "extract",
    ],
    kinds: &METHODS,
};

/// How pauses are distributed; exactly one of them, or a length alone.
pub(crate) const THINK_KINDS: [&str; 2] = ["uniform", "exponential"];
pub(crate) const THINK: Section = Section { name: "`think`", keys: &[], kinds: &THINK_KINDS };
pub(crate) const UNIFORM: Section =
    Section { name: "`uniform`", keys: &["from", "to"], kinds: &[] };
pub(crate) const EXPONENTIAL: Section =
    Section { name: "`exponential`", keys: &["mean", "atMost"], kinds: &[] };

/// Where a value may stand; exactly one of them.
pub(crate) const EXTRACT_KINDS: [&str; 3] = ["json", "header", "regex"];
pub(crate) const EXTRACT: Section = Section { name: "`extract`", keys: &[], kinds: &EXTRACT_KINDS };

/// Users at once.
pub(crate) const USERS_MAX: u64 = 10_000;
/// An exponential pause without a bound is cut to so many times its mean.
const MEANS_MAX: u64 = 10;

/// Journeys as written.
#[derive(Debug, Clone)]
pub(crate) struct JourneysAst {
    pub(crate) users: Option<Spanned<u64>>,
    pub(crate) ramp_up: Option<Spanned<Duration>>,
    pub(crate) mix: Vec<JourneyAst>,
}

/// One journey as written.
#[derive(Debug, Clone)]
pub(crate) struct JourneyAst {
    pub(crate) name: Spanned<String>,
    pub(crate) weight: Option<Spanned<u64>>,
    pub(crate) think: Option<Spanned<Think>>,
    pub(crate) steps: Vec<StepAst>,
}

/// One step as written.
#[derive(Debug, Clone)]
pub(crate) struct StepAst {
    pub(crate) request: RequestAst,
    pub(crate) think: Option<Spanned<Think>>,
    pub(crate) good: Option<Vec<StatusRange>>,
    pub(crate) body_matches: Option<Spanned<String>>,
    pub(crate) extract: Vec<(Spanned<String>, Spanned<Extract>)>,
}

impl LoadAst {
    pub(super) fn read_journeys(node: &Node, place: Span, findings: &mut Findings) -> Option<Self> {
        let fields = Fields::read(node, place, &JOURNEYS, findings)?;
        let users = fields.whole("users", 1..=USERS_MAX, findings);
        let users = fields.require("users", users, findings);
        let ramp_up = fields.quantity("rampUp", findings);
        let mix = fields.node("mix", findings);
        let mix = fields.require("mix", mix, findings);
        let mix = mix.map_or_else(Vec::new, |node| read_mix(node, findings));
        Some(Self {
            shape: None,
            journeys: Some(JourneysAst { users, ramp_up, mix }),
            arrivals: None,
            timeout: fields.positive("timeout", findings),
            mix: Vec::new(),
            good: fields.node("good", findings).map(|node| read_good(node, findings)),
            connections: None,
            reuse: None,
            in_flight: None,
            timer: super::load::read_timer(&fields, findings),
            workers: fields.whole("workers", 1..=64, findings),
            http2: None,
            correlation: fields.flag("correlation", findings),
            feeds: fields
                .node("feeds", findings)
                .map_or_else(BTreeMap::new, |node| read_feeds(node, findings)),
        })
    }
}

fn read_mix(node: &Node, findings: &mut Findings) -> Vec<JourneyAst> {
    let items = list(node, "mix", findings);
    let journeys: Vec<JourneyAst> =
        items.iter().take(REQUESTS_MAX).filter_map(|item| read_journey(item, findings)).collect();
    let steps: usize = journeys.iter().map(|journey| journey.steps.len()).sum();
    if items.is_empty() || items.len() > REQUESTS_MAX || steps > REQUESTS_MAX {
        let message = format!("`mix` holds journeys with from 1 to {REQUESTS_MAX} steps in all");
        findings.push(Finding::error(codes::IMPOSSIBLE_LOAD, node.span, message));
    }
    journeys
}

fn read_journey(node: &Node, findings: &mut Findings) -> Option<JourneyAst> {
    let fields = Fields::read(node, node.span, &JOURNEY, findings)?;
    let called = fields.text("name", findings);
    let called = fields.require("name", called, findings);
    let weight = fields.whole("weight", 1..=1_000_000, findings);
    let think = think_of(&fields, findings);
    let steps = fields.node("steps", findings);
    let steps = fields.require("steps", steps, findings)?;
    let items = list(steps, "steps", findings);
    if items.is_empty() && steps.scalar().is_none() {
        let message = "a journey needs at least one step";
        findings.push(Finding::error(codes::MISSING_KEY, steps.span, message));
    }
    let items = items.iter().take(REQUESTS_MAX);
    let steps = items.filter_map(|item| read_step(item, findings)).collect();
    let name = name(called?, "a journey", findings)?;
    Some(JourneyAst { name, weight, think, steps })
}

fn read_step(node: &Node, findings: &mut Findings) -> Option<StepAst> {
    let fields = Fields::read(node, node.span, &JOURNEY_STEP, findings)?;
    let think = think_of(&fields, findings);
    let good = fields.node("good", findings).map(|node| read_good(node, findings));
    let body_matches = fields.text("bodyMatches", findings);
    let body_matches = body_matches.filter(|pattern| is_pattern(pattern, findings));
    let extract = fields.node("extract", findings);
    let extract = extract.map_or_else(Vec::new, |node| {
        let entries = named(node, "extract", findings);
        entries.iter().filter_map(|entry| read_extract(entry, findings)).collect()
    });
    let request = request_of(&fields, findings)?;
    Some(StepAst { request, think, good, body_matches, extract })
}

/// A pause; one that cannot be read was told, and is taken to be some.
fn think_of(fields: &Fields<'_>, findings: &mut Findings) -> Option<Spanned<Think>> {
    let node = fields.node("think", findings)?;
    let some = Spanned::new(Think::Fixed { lasts: Duration::from_secs(1) }, node.span);
    Some(read_think(node, findings).unwrap_or(some))
}

/// `200ms`, `{uniform: {from, to}}`, `{exponential: {mean, atMost}}`.
fn read_think(node: &Node, findings: &mut Findings) -> Option<Spanned<Think>> {
    if node.scalar().is_some() {
        let lasts = quantity::<Duration>(node, "think", findings)?.value;
        return Some(Spanned::new(Think::Fixed { lasts }, node.span));
    }
    let frame = Fields::read(node, node.span, &THINK, findings)?;
    let kind = frame.one_of(&THINK_KINDS, findings)?;
    let part = |fields: &Fields<'_>, key: &str, findings: &mut Findings| {
        let value = fields.quantity::<Duration>(key, findings);
        fields.require(key, value, findings)
    };
    let think = if kind.key.value == "uniform" {
        let fields = Fields::read(&kind.node, kind.key.span, &UNIFORM, findings)?;
        let (from, to) = (part(&fields, "from", findings), part(&fields, "to", findings));
        let (from, to) = (from?, to?);
        if from.value > to.value {
            findings.push(
                Finding::error(codes::OUT_OF_RANGE, to.span, "`to` is below `from`")
                    .label("the longest pause")
                    .related(from.span, "the shortest pause"),
            );
            return None;
        }
        Think::Uniform { from: from.value, to: to.value }
    } else {
        let fields = Fields::read(&kind.node, kind.key.span, &EXPONENTIAL, findings)?;
        let mean = fields.positive("mean", findings);
        let mean = fields.require("mean", mean, findings)?.value;
        let at_most = fields.positive("atMost", findings);
        let at_most = at_most.map_or(mean.times(MEANS_MAX), |at_most| at_most.value);
        Think::Exponential { mean, at_most }
    };
    Some(Spanned::new(think, node.span))
}

fn read_extract(
    entry: &Entry,
    findings: &mut Findings,
) -> Option<(Spanned<String>, Spanned<Extract>)> {
    let called = name(entry.key.clone(), "a value", findings);
    let fields = Fields::read(&entry.node, entry.key.span, &EXTRACT, findings)?;
    let kind = fields.one_of(&EXTRACT_KINDS, findings)?;
    let from = text(&kind.node, &kind.key.value, findings)?;
    let extract = match kind.key.value.as_str() {
        "json" if from.value.is_empty() || from.value.starts_with('/') => {
            Extract::Json { pointer: from.value }
        }
        "json" => {
            findings.push(
                Finding::error(
                    codes::BAD_CONDITION,
                    from.span,
                    format!("`{}` is not a JSON pointer", from.value),
                )
                .label("does not begin with `/`")
                .hint("for example `/items/0/id`"),
            );
            return None;
        }
        "header" => Extract::Header { name: from.value.to_lowercase() },
        _ if is_pattern(&from, findings) => Extract::Regex { pattern: from.value },
        _ => return None,
    };
    Some((called?, Spanned::new(extract, from.span)))
}

/// Whether a text is a regular expression; tells why not.
fn is_pattern(pattern: &Spanned<String>, findings: &mut Findings) -> bool {
    let Err(error) = regex::Regex::new(&pattern.value) else { return true };
    // The last line says what is wrong; those before draw the place, as our picture does.
    let text = error.to_string();
    let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
    findings.push(
        Finding::error(
            codes::BAD_CONDITION,
            pattern.span,
            format!("`{}` is not a regular expression", pattern.value),
        )
        .label(why),
    );
    false
}
