//! Load with its defaults, and how many requests a stretch of time gets.

use std::collections::{BTreeMap, BTreeSet};

use harness_core::ids::RequestKind;
use harness_core::plan::{
    Arrivals, Feed, Key, LoadPlan, RequestPlan, Reuse, Shape, StatusRange, TimerMode,
};
use harness_core::units::Duration;

use crate::ast::{LoadAst, RequestAst, Spec};
use crate::codes;
use crate::findings::{Finding, Findings, did_you_mean};
use crate::node::Spanned;

/// A request's timeout where the scenario says none.
const TIMEOUT: Duration = Duration::from_secs(2);
const CONNECTIONS: u32 = 256;
const IN_FLIGHT: u32 = 4096;
/// 2xx.
const GOOD: StatusRange = StatusRange { from: 200, to: 299 };

pub(super) fn lower(spec: &Spec, findings: &mut Findings) -> Option<LoadPlan> {
    let load = spec.load.as_ref()?;
    let (shape, mix) = match &load.journeys {
        Some(journeys) => {
            let (journeys, requests) = super::journeys::lower(load, journeys, findings)?;
            (Shape::Journeys(journeys), requests)
        }
        None => open(load, findings)?,
    };
    // Every user has its own connection.
    let users = match &shape {
        Shape::Journeys(journeys) => Some(journeys.users),
        Shape::Constant { .. }
        | Shape::Ramp { .. }
        | Shape::Steps { .. }
        | Shape::Spike { .. }
        | Shape::Recorded { .. } => None,
    };
    let count = |value: &Option<Spanned<u64>>, default: u32| {
        value.as_ref().map_or(default, |count| {
            u32::try_from(count.value).expect("the reader keeps counts far below 2^32")
        })
    };
    let flag = |value: &Option<Spanned<bool>>| value.as_ref().is_some_and(|flag| flag.value);
    Some(LoadPlan {
        shape,
        arrivals: load.arrivals.as_ref().map_or(Arrivals::Constant, |arrivals| arrivals.value),
        timeout: load.timeout.as_ref().map_or(TIMEOUT, |timeout| timeout.value),
        mix,
        feeds: load.feeds.clone(),
        good: load.good.clone().unwrap_or_else(|| vec![GOOD]),
        connections_max: users.unwrap_or(count(&load.connections, CONNECTIONS)),
        reuse: load.reuse.as_ref().map_or(Reuse::Always {}, |reuse| reuse.value),
        in_flight_max: users.unwrap_or(count(&load.in_flight, IN_FLIGHT)),
        timer: load.timer.as_ref().map_or(TimerMode::Precise, |timer| timer.value),
        correlation: flag(&load.correlation),
        workers: count(&load.workers, 1),
        http2: flag(&load.http2),
    })
}

/// Shape and mix of the open loop.
fn open(load: &LoadAst, findings: &mut Findings) -> Option<(Shape, Vec<RequestPlan>)> {
    let mix = mix(load, findings);
    let shape = load.shape.as_ref()?;
    if peak(&shape.value) == 0.0 {
        findings.push(
            Finding::error(codes::IMPOSSIBLE_LOAD, shape.span, "there is no load")
                .label("zero")
                .hint("without requests nothing can be judged"),
        );
    }
    (!mix.is_empty()).then(|| (shape.value.clone(), mix))
}

fn mix(load: &LoadAst, findings: &mut Findings) -> Vec<RequestPlan> {
    let mut known: BTreeMap<String, &RequestAst> = BTreeMap::new();
    let mut mix = Vec::new();
    for request in &load.mix {
        let plan = request_plan(request);
        let kind = plan.kind.as_str().to_owned();
        if let Some(first) = known.insert(kind.clone(), request) {
            let span = |request: &RequestAst| {
                request.kind.as_ref().map_or(request.path.span, |kind| kind.span)
            };
            let message = format!("two requests are called `{kind}`");
            findings.push(
                Finding::error(codes::DUPLICATE_NAME, span(request), message)
                    .hint("give one of them a `kind: ...` of its own")
                    .related(span(first), "the first one"),
            );
            continue;
        }
        check_templates(request, &load.feeds, &BTreeSet::new(), findings);
        mix.push(plan);
    }
    mix
}

/// A request with its defaults.
pub(super) fn request_plan(request: &RequestAst) -> RequestPlan {
    let plain = format!("{} {}", request.method, request.path.value);
    let kind = request.kind.as_ref().map_or(plain, |kind| kind.value.clone());
    let default = if request.method == "POST" { Key::Sequence } else { Key::None };
    RequestPlan {
        kind: RequestKind::new(kind),
        weight: request.weight.as_ref().map_or(1, |weight| {
            u32::try_from(weight.value).expect("the reader keeps weights below 2^32")
        }),
        method: request.method.clone(),
        path: request.path.value.clone(),
        headers: request
            .headers
            .iter()
            .map(|(name, value)| (name.value.clone(), value.value.clone()))
            .collect(),
        body: request.body.as_ref().map(|body| body.value.clone()),
        key: request.key.as_ref().map_or(default, |key| key.value),
        body_contains: request.body_contains.as_ref().map(|text| text.value.clone()),
    }
}

/// Every `{{name}}` and `{{name.column}}` must stand for a feed, or for what was `found` before.
pub(super) fn check_templates(
    request: &RequestAst,
    feeds: &BTreeMap<String, Feed>,
    found: &BTreeSet<&str>,
    findings: &mut Findings,
) {
    let texts = std::iter::once(&request.path)
        .chain(request.headers.iter().map(|(_, value)| value))
        .chain(&request.body);
    for text in texts {
        for (start, name) in templates(&text.value) {
            if found.contains(name) {
                continue;
            }
            let (feed, column) = match name.split_once('.') {
                Some((feed, column)) => (feed, Some(column)),
                None => (name, None),
            };
            let known = feeds.get(feed);
            let columns: BTreeSet<&str> = match known {
                Some(Feed::Rows { rows, .. }) => {
                    rows.iter().flat_map(|row| row.keys().map(String::as_str)).collect()
                }
                _ => BTreeSet::new(),
            };
            let hint = match (known, column) {
                (None, _) => {
                    let known = feeds.keys().map(String::as_str).chain(found.iter().copied());
                    did_you_mean(feed, known)
                }
                (Some(Feed::Rows { .. }), Some(column)) if columns.contains(column) => continue,
                (Some(Feed::Rows { .. }), _) => {
                    did_you_mean(column.unwrap_or(""), columns.iter().copied())
                }
                (Some(_), None) => continue,
                (Some(_), Some(_)) => format!("write `{{{{{feed}}}}}`"),
            };
            let span = text.part(start, start + name.len());
            let message = format!("there is no feed for `{{{{{name}}}}}`");
            let hint = if hint.is_empty() { "declare it under `feeds`".to_owned() } else { hint };
            findings.push(Finding::error(codes::UNKNOWN_REFERENCE, span, message).hint(hint));
        }
    }
}

/// The names between `{{` and `}}`, each with its first byte.
fn templates(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find("{{").map(|at| from + at + 2) {
        let Some(length) = text[start..].find("}}") else { break };
        let inner = &text[start..start + length];
        let lead = inner.len() - inner.trim_start().len();
        found.push((start + lead, inner.trim()));
        from = start + length + 2;
    }
    found
}

/// The highest rate, per second; for recorded arrivals their number.
fn peak(shape: &Shape) -> f64 {
    match shape {
        Shape::Constant { rate } => rate.per_second(),
        Shape::Ramp { from, to, .. } => from.per_second().max(to.per_second()),
        Shape::Steps { steps } => {
            steps.iter().map(|step| step.rate.per_second()).fold(0.0, f64::max)
        }
        Shape::Spike { base, peak, .. } => base.per_second().max(peak.per_second()),
        Shape::Recorded { offsets_us } => offsets_us.len() as f64,
        Shape::Journeys(journeys) => f64::from(journeys.users),
    }
}

/// How many requests are due until a time since the load's start, on average; of users as many as
/// they send when no answer takes any time.
pub(super) fn due_until(shape: &Shape, at: Duration) -> f64 {
    let t = at.secs_f64();
    match shape {
        Shape::Constant { rate } => rate.per_second() * t,
        Shape::Ramp { from, to, over } => {
            let (from, to, over) = (from.per_second(), to.per_second(), over.secs_f64());
            let rising = t.min(over);
            let slope = (to - from) / over;
            from * rising + slope * rising * rising / 2.0 + to * (t - rising)
        }
        Shape::Steps { steps } => {
            let mut left = t;
            let mut due = 0.0;
            for (index, step) in steps.iter().enumerate() {
                let last = index + 1 == steps.len();
                let part = if last { left } else { left.min(step.lasts.secs_f64()) };
                due += part * step.rate.per_second();
                left -= part;
            }
            due
        }
        Shape::Spike { base, peak, at, lasts } => {
            let spike = (t - at.secs_f64()).clamp(0.0, lasts.secs_f64());
            base.per_second() * (t - spike) + peak.per_second() * spike
        }
        Shape::Recorded { offsets_us } => {
            offsets_us.partition_point(|offset| *offset < at.micros()) as f64
        }
        Shape::Journeys(journeys) => journeys.expected_until(at, Duration::ZERO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_due_follow_the_shape() {
        let rate = |text: &str| text.parse().unwrap();
        let s = Duration::from_secs;
        let spike = Shape::Spike { base: rate("10/s"), peak: rate("50/s"), at: s(2), lasts: s(1) };
        let ramp = Shape::Ramp { from: rate("0/s"), to: rate("10/s"), over: s(10) };
        for (shape, at, due) in [
            (Shape::Constant { rate: rate("400/s") }, 3, 1200.0),
            (ramp.clone(), 10, 50.0),
            (ramp, 12, 70.0),
            (spike.clone(), 2, 20.0),
            (spike, 4, 80.0),
            (Shape::Recorded { offsets_us: vec![0, 10, 3_000_000] }, 3, 2.0),
        ] {
            assert!((due_until(&shape, s(at)) - due).abs() < 1e-9, "{shape:?} {at}");
        }
    }

    #[test]
    fn templates_are_found_with_their_place() {
        assert_eq!(templates("/a/{{id}}?u={{ user.name }}"), [(5, "id"), (15, "user.name")]);
        assert!(templates("{{open").is_empty());
    }
}
