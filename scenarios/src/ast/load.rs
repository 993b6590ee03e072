//! The section `load`: the short form `{rate, request}` and the full form `open: {...}` are the
//! same mapping, so every key works in both.

use std::collections::BTreeMap;

use harness_core::diag::Span;
use harness_core::plan::{Arrivals, Feed, Key, Reuse, Shape, StatusRange, Step, TimerMode};
use harness_core::units::{Duration, Rate};

use super::journeys::JourneysAst;
use crate::codes;
use crate::findings::{Finding, Findings};
use crate::node::{Entry, Node, Spanned};
use crate::read::{Fields, Section, list, name, named, quantity, text};

/// The shapes of load; exactly one of them.
pub(crate) const SHAPES: [&str; 5] = ["rate", "ramp", "steps", "spike", "recorded"];

pub(crate) const LOAD: Section = Section {
    name: "`load`",
    keys: &[
        "arrivals",
        "timeout",
        "request",
        "mix",
        "good",
        "connections",
        "reuse",
        "inFlight",
        "timer",
        "workers",
        "http2",
        "correlation",
        "feeds",
    ],
    kinds: &SHAPES,
};
/// The full forms, and what they are made of; the short form is that of `open`.
pub(crate) const FORMS: Section =
    Section { name: "`load`", keys: &[], kinds: &["open", "journeys"] };
pub(crate) const RAMP: Section =
    Section { name: "`ramp`", keys: &["from", "to", "over"], kinds: &[] };
pub(crate) const STEP: Section = Section { name: "a step", keys: &["rate", "for"], kinds: &[] };
pub(crate) const SPIKE: Section =
    Section { name: "`spike`", keys: &["base", "peak", "at", "for"], kinds: &[] };

/// Methods of requests; exactly one of them.
pub(crate) const METHODS: [&str; 6] = ["get", "post", "put", "delete", "patch", "head"];
pub(crate) const REQUEST: Section = Section {
    name: "a request",
    keys: &["weight", "key", "headers", "body", "kind", "bodyContains"],
    kinds: &METHODS,
};

/// Where values of templates come from; exactly one of them.
pub(crate) const FEED_KINDS: [&str; 6] = ["uuid", "sequence", "choice", "rows", "csv", "json"];
pub(crate) const FEED: Section = Section { name: "a feed", keys: &["inTurn"], kinds: &FEED_KINDS };

/// Requests in a mix.
pub(crate) const REQUESTS_MAX: usize = 100;
/// Recorded arrivals, and steps of a shape.
pub(crate) const ARRIVALS_RECORDED_MAX: usize = 20_000;
/// Values of one feed.
pub(crate) const FEED_VALUES_MAX: usize = 10_000;

/// Load as written.
#[derive(Debug, Clone)]
pub(crate) struct LoadAst {
    /// Of the open loop.
    pub(crate) shape: Option<Spanned<Shape>>,
    /// In place of shape and mix.
    pub(crate) journeys: Option<JourneysAst>,
    pub(crate) arrivals: Option<Spanned<Arrivals>>,
    pub(crate) timeout: Option<Spanned<Duration>>,
    pub(crate) mix: Vec<RequestAst>,
    pub(crate) good: Option<Vec<StatusRange>>,
    pub(crate) connections: Option<Spanned<u64>>,
    pub(crate) reuse: Option<Spanned<Reuse>>,
    pub(crate) in_flight: Option<Spanned<u64>>,
    pub(crate) timer: Option<Spanned<TimerMode>>,
    pub(crate) workers: Option<Spanned<u64>>,
    pub(crate) http2: Option<Spanned<bool>>,
    pub(crate) correlation: Option<Spanned<bool>>,
    pub(crate) feeds: BTreeMap<String, Feed>,
}

/// One request as written.
#[derive(Debug, Clone)]
pub(crate) struct RequestAst {
    pub(crate) kind: Option<Spanned<String>>,
    pub(crate) weight: Option<Spanned<u64>>,
    /// In capitals.
    pub(crate) method: String,
    pub(crate) path: Spanned<String>,
    pub(crate) headers: Vec<(Spanned<String>, Spanned<String>)>,
    pub(crate) body: Option<Spanned<String>>,
    pub(crate) key: Option<Spanned<Key>>,
    pub(crate) body_contains: Option<Spanned<String>>,
}

impl LoadAst {
    pub(crate) fn read(node: &Node, place: Span, findings: &mut Findings) -> Option<Self> {
        if FORMS.kinds.iter().all(|form| node.entry(form).is_none()) {
            return Self::read_open(node, place, findings);
        }
        let frame = Fields::read(node, place, &FORMS, findings)?;
        let form = frame.one_of(FORMS.kinds, findings)?;
        let inner = frame.node(&form.key.value, findings)?;
        if form.key.value == "open" {
            Self::read_open(inner, form.key.span, findings)
        } else {
            Self::read_journeys(inner, form.key.span, findings)
        }
    }

    fn read_open(node: &Node, place: Span, findings: &mut Findings) -> Option<Self> {
        let fields = Fields::read(node, place, &LOAD, findings)?;
        let arrivals = [("constant", Arrivals::Constant), ("poisson", Arrivals::Poisson)];
        let shape = fields.one_of(&SHAPES, findings);
        Some(Self {
            shape: shape.and_then(|entry| read_shape(entry, findings)),
            journeys: None,
            arrivals: fields.word("arrivals", &arrivals, findings),
            timeout: fields.positive("timeout", findings),
            mix: read_mix(&fields, findings),
            good: fields.node("good", findings).map(|node| read_good(node, findings)),
            connections: fields.whole("connections", 1..=10_000, findings),
            reuse: read_reuse(&fields, findings),
            in_flight: fields.whole("inFlight", 1..=100_000, findings),
            timer: read_timer(&fields, findings),
            workers: fields.whole("workers", 1..=64, findings),
            http2: fields.flag("http2", findings),
            correlation: fields.flag("correlation", findings),
            feeds: fields
                .node("feeds", findings)
                .map_or_else(BTreeMap::new, |node| read_feeds(node, findings)),
        })
    }
}

/// `always`, `never`, or after how many requests a connection is closed.
fn read_reuse(fields: &Fields<'_>, findings: &mut Findings) -> Option<Spanned<Reuse>> {
    let node = fields.node("reuse", findings)?;
    let reuse = match node.scalar() {
        Some("always") => Reuse::Always {},
        Some("never") => Reuse::UpTo { requests: 1 },
        _ => {
            let requests = fields.whole("reuse", 1..=1_000_000, findings)?.value;
            let requests = u32::try_from(requests).expect("the bound is below 2^32");
            Reuse::UpTo { requests }
        }
    };
    Some(Spanned::new(reuse, node.span))
}

pub(super) fn read_timer(
    fields: &Fields<'_>,
    findings: &mut Findings,
) -> Option<Spanned<TimerMode>> {
    let timers = [
        ("relaxed", TimerMode::Relaxed),
        ("precise", TimerMode::Precise),
        ("exact", TimerMode::Exact),
    ];
    fields.word("timer", &timers, findings)
}

fn read_shape(entry: &Entry, findings: &mut Findings) -> Option<Spanned<Shape>> {
    let (node, place) = (&entry.node, entry.key.span);
    let shape = match entry.key.value.as_str() {
        "rate" => Shape::Constant { rate: quantity::<Rate>(node, "rate", findings)?.value },
        "ramp" => {
            let fields = Fields::read(node, place, &RAMP, findings)?;
            let (from, to) = (rate(&fields, "from", findings), rate(&fields, "to", findings));
            let over = length(&fields, "over", findings);
            Shape::Ramp { from: from?, to: to?, over: over? }
        }
        "steps" => {
            let items = list(node, "steps", findings).iter().take(ARRIVALS_RECORDED_MAX);
            let steps: Vec<Step> = items
                .filter_map(|item| {
                    let fields = Fields::read(item, item.span, &STEP, findings)?;
                    let rate = rate(&fields, "rate", findings);
                    let lasts = length(&fields, "for", findings);
                    Some(Step { rate: rate?, lasts: lasts? })
                })
                .collect();
            (!steps.is_empty()).then_some(Shape::Steps { steps })?
        }
        "spike" => {
            let fields = Fields::read(node, place, &SPIKE, findings)?;
            let (base, peak) = (rate(&fields, "base", findings), rate(&fields, "peak", findings));
            let at = fields.quantity::<Duration>("at", findings);
            let at = fields.require("at", at, findings).map(|at| at.value);
            let lasts = length(&fields, "for", findings);
            Shape::Spike { base: base?, peak: peak?, at: at?, lasts: lasts? }
        }
        _ => Shape::Recorded { offsets_us: read_recorded(node, findings)? },
    };
    Some(Spanned::new(shape, node.span))
}

fn rate(fields: &Fields<'_>, key: &str, findings: &mut Findings) -> Option<Rate> {
    let value = fields.quantity::<Rate>(key, findings);
    fields.require(key, value, findings).map(|rate| rate.value)
}

fn length(fields: &Fields<'_>, key: &str, findings: &mut Findings) -> Option<Duration> {
    let value = fields.positive(key, findings);
    fields.require(key, value, findings).map(|length| length.value)
}

fn read_recorded(node: &Node, findings: &mut Findings) -> Option<Vec<u64>> {
    let items = list(node, "recorded", findings);
    if items.is_empty() || items.len() > ARRIVALS_RECORDED_MAX {
        findings.push(Finding::error(
            codes::IMPOSSIBLE_LOAD,
            node.span,
            format!("`recorded` holds from 1 to {ARRIVALS_RECORDED_MAX} offsets"),
        ));
        return None;
    }
    let mut offsets_us: Vec<u64> = Vec::with_capacity(items.len());
    for item in items {
        let offset = quantity::<Duration>(item, "recorded", findings)?.value.micros();
        if offsets_us.last().is_some_and(|last| *last > offset) {
            findings.push(
                Finding::error(codes::IMPOSSIBLE_LOAD, item.span, "recorded arrivals go back")
                    .label("earlier than the one before")
                    .hint("sort the offsets"),
            );
            return None;
        }
        offsets_us.push(offset);
    }
    Some(offsets_us)
}

fn read_mix(fields: &Fields<'_>, findings: &mut Findings) -> Vec<RequestAst> {
    let one = fields.entry("request");
    let many = fields.entry("mix");
    match (one, many) {
        (Some(one), None) => read_request(&one.node, one.key.span, findings).into_iter().collect(),
        (None, Some(many)) => {
            let items = list(&many.node, "mix", findings);
            if items.len() > REQUESTS_MAX || items.is_empty() {
                let message = format!("`mix` holds from 1 to {REQUESTS_MAX} requests");
                findings.push(Finding::error(codes::IMPOSSIBLE_LOAD, many.node.span, message));
            }
            let items = items.iter().take(REQUESTS_MAX);
            items.filter_map(|item| read_request(item, item.span, findings)).collect()
        }
        (Some(one), Some(many)) => {
            findings.push(
                Finding::error(
                    codes::NOT_ONE_KIND,
                    many.key.span,
                    "`load` takes `request` or `mix`",
                )
                .label("a second one")
                .related(one.key.span, "the first one"),
            );
            Vec::new()
        }
        (None, None) => {
            findings.push(
                Finding::error(codes::MISSING_KEY, fields.place, "`load` needs `request` or `mix`")
                    .hint("for example `request: {get: /}`"),
            );
            Vec::new()
        }
    }
}

fn read_request(node: &Node, place: Span, findings: &mut Findings) -> Option<RequestAst> {
    let fields = Fields::read(node, place, &REQUEST, findings)?;
    let weight = fields.whole("weight", 1..=1_000_000, findings);
    Some(RequestAst { weight, ..request_of(&fields, findings)? })
}

/// What a request of a mix and a step of a journey have in common.
pub(super) fn request_of(fields: &Fields<'_>, findings: &mut Findings) -> Option<RequestAst> {
    let method = fields.one_of(&METHODS, findings);
    let keys = [("none", Key::None), ("sequence", Key::Sequence), ("uuid", Key::Uuid)];
    let headers = fields.node("headers", findings);
    let headers = headers.map_or_else(Vec::new, |node| read_headers(node, findings));
    let kind = fields.text("kind", findings);
    let body = fields.text("body", findings);
    let key = fields.word("key", &keys, findings);
    let body_contains = fields.text("bodyContains", findings);
    let method = method?;
    let path = text(&method.node, &method.key.value, findings)?;
    if !path.value.starts_with('/') {
        findings.push(
            Finding::error(
                codes::IMPOSSIBLE_LOAD,
                path.span,
                format!("`{}` is not a path", path.value),
            )
            .label("does not begin with `/`")
            .hint("the address comes from the system; write the path alone"),
        );
        return None;
    }
    let method = method.key.value.to_uppercase();
    Some(RequestAst { kind, weight: None, method, path, headers, body, key, body_contains })
}

fn read_headers(node: &Node, findings: &mut Findings) -> Vec<(Spanned<String>, Spanned<String>)> {
    let mut headers = Vec::new();
    for entry in named(node, "headers", findings) {
        if entry.node.entry("env").or(entry.node.entry("file")).is_some() {
            findings.push(
                Finding::error(
                    codes::MISPLACED_SECRET,
                    entry.node.span,
                    "this build cannot take a header from a secret",
                )
                .hint("write the value out when it is no secret"),
            );
            continue;
        }
        let Some(value) = text(&entry.node, &entry.key.value, findings) else { continue };
        headers.push((entry.key.clone(), value));
    }
    headers
}

/// Statuses and ranges of them.
pub(super) fn read_good(node: &Node, findings: &mut Findings) -> Vec<StatusRange> {
    let mut ranges = Vec::new();
    let one = std::slice::from_ref(node);
    let items = if node.scalar().is_some() { one } else { list(node, "good", findings) };
    for item in items {
        let Some(word) = text(item, "good", findings) else { continue };
        match status_range(&word.value) {
            Some(range) => ranges.push(range),
            None => findings.push(
                Finding::error(
                    codes::UNKNOWN_WORD,
                    word.span,
                    format!("`{}` is not a status or a range of them", word.value),
                )
                .hint("write `200`, `2xx` or `200..299`"),
            ),
        }
    }
    if items.is_empty() {
        let message = "`good` needs at least one status";
        findings.push(Finding::error(codes::MISSING_KEY, node.span, message));
    }
    ranges
}

/// `200`, `2xx`, `200..299`.
fn status_range(text: &str) -> Option<StatusRange> {
    let (from, to) = match (text.strip_suffix("xx"), text.split_once("..")) {
        (Some(hundreds), _) => {
            let from = hundreds.parse::<u16>().ok()?.checked_mul(100)?;
            (from, from + 99)
        }
        (None, Some((from, to))) => (from.trim().parse().ok()?, to.trim().parse().ok()?),
        (None, None) => {
            let status = text.parse().ok()?;
            (status, status)
        }
    };
    (100 <= from && from <= to && to <= 599).then_some(StatusRange { from, to })
}

pub(super) fn read_feeds(node: &Node, findings: &mut Findings) -> BTreeMap<String, Feed> {
    let mut feeds = BTreeMap::new();
    for entry in named(node, "feeds", findings) {
        let Some(name) = name(entry.key.clone(), "a feed", findings) else { continue };
        if let Some(feed) = read_feed(&entry.node, entry.key.span, findings) {
            feeds.insert(name.value, feed);
        }
    }
    feeds
}

fn read_feed(node: &Node, place: Span, findings: &mut Findings) -> Option<Feed> {
    let fields = Fields::read(node, place, &FEED, findings)?;
    let kind = fields.one_of(&FEED_KINDS, findings)?;
    match kind.key.value.as_str() {
        // What is in the file stands here by now, or was told.
        "csv" | "json" => None,
        "uuid" => Some(Feed::Uuid {}),
        "sequence" => Some(Feed::Sequence {}),
        "choice" => {
            let items = list(&kind.node, "choice", findings).iter().take(FEED_VALUES_MAX);
            let of: Vec<String> = items
                .filter_map(|item| text(item, "choice", findings))
                .map(|text| text.value)
                .collect();
            some_values(of.is_empty(), kind, findings)?;
            Some(Feed::Choice { of })
        }
        _ => {
            let items = list(&kind.node, "rows", findings).iter().take(FEED_VALUES_MAX);
            let rows: Vec<BTreeMap<String, String>> = items
                .map(|row| {
                    named(row, "rows", findings)
                        .iter()
                        .filter_map(|column| {
                            let value = text(&column.node, &column.key.value, findings)?;
                            Some((column.key.value.clone(), value.value))
                        })
                        .collect()
                })
                .collect();
            some_values(rows.is_empty(), kind, findings)?;
            let in_turn = fields.flag("inTurn", findings).is_some_and(|flag| flag.value);
            Some(Feed::Rows { rows, in_turn })
        }
    }
}

fn some_values(empty: bool, kind: &Entry, findings: &mut Findings) -> Option<()> {
    if empty {
        let message = format!("`{}` needs at least one value", kind.key.value);
        findings.push(Finding::error(codes::MISSING_KEY, kind.key.span, message));
        return None;
    }
    Some(())
}
