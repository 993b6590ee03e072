//! Parameters: `spec.params`, `--set name=value`, and `${name}` anywhere else in the document.
//!
//! Values are texts that fit their type; a default may use other parameters. Secrets are never
//! parameters, and nothing here reads the environment.

use std::collections::{BTreeMap, BTreeSet};

use harness_core::diag::Span;
use harness_core::units::{Duration, Quantile, Rate, Ratio, UnitError};

use crate::codes;
use crate::findings::{Finding, Findings, did_you_mean};
use crate::node::{Node, Spanned, Value};
use crate::read::{Fields, Section, name, named};

/// A scenario has at most so many parameters.
pub const PARAMS_MAX: usize = 100;
/// A value is at most so many bytes, also after the parameters in it were put in.
pub const VALUE_BYTES_MAX: usize = 10_000;

pub(crate) const PARAM: Section =
    Section { name: "a parameter", keys: &["type", "default", "description"], kinds: &[] };

/// What a parameter can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Text,
    Whole,
    Flag,
    Duration,
    Rate,
    Ratio,
    Quantile,
}

/// The words for the types.
pub(crate) const TYPE_WORDS: [&str; 7] =
    ["string", "integer", "boolean", "duration", "rate", "ratio", "quantile"];

const TYPES: [(&str, Type); 7] = [
    (TYPE_WORDS[0], Type::Text),
    (TYPE_WORDS[1], Type::Whole),
    (TYPE_WORDS[2], Type::Flag),
    (TYPE_WORDS[3], Type::Duration),
    (TYPE_WORDS[4], Type::Rate),
    (TYPE_WORDS[5], Type::Ratio),
    (TYPE_WORDS[6], Type::Quantile),
];

impl Type {
    fn accepts(self, text: &str) -> Result<(), (String, String)> {
        let unit = |error: UnitError| (error.to_string(), error.hint());
        match self {
            Self::Text => Ok(()),
            Self::Whole => text
                .parse::<u64>()
                .map(drop)
                .map_err(|_| ("not a whole number".to_owned(), "for example `3`".to_owned())),
            Self::Flag if matches!(text, "true" | "false") => Ok(()),
            Self::Flag => {
                Err(("not a truth value".to_owned(), "write `true` or `false`".to_owned()))
            }
            Self::Duration => text.parse::<Duration>().map(drop).map_err(unit),
            Self::Rate => text.parse::<Rate>().map(drop).map_err(unit),
            Self::Ratio => text.parse::<Ratio>().map(drop).map_err(unit),
            Self::Quantile => text.parse::<Quantile>().map(drop).map_err(unit),
        }
    }
}

struct Param {
    name: Spanned<String>,
    kind: Type,
    /// What `--set` or the default says, `${...}` not yet put in.
    raw: Option<Spanned<String>>,
    set: bool,
}

/// Reads `spec.params`, applies `--set`, and puts the values into the rest of the document. Gives
/// the values that were used.
pub(crate) fn apply(
    document: &mut Node,
    set: &[(String, String)],
    findings: &mut Findings,
) -> BTreeMap<String, String> {
    let spec = document.entry("spec").map(|entry| &entry.node);
    let declared = spec.and_then(|spec| spec.entry("params"));
    let mut params = declared.map_or_else(Vec::new, |entry| declare(&entry.node, findings));
    let place = declared.map_or(document.span, |entry| entry.key.span);
    override_from(set, &mut params, place, findings);
    let Resolved { values, broken } = resolve(&params, findings);
    let known: Vec<&str> = params.iter().map(|param| param.name.value.as_str()).collect();
    let scope = Scope { values: &values, known: &known, broken: &broken };
    substitute(document, &[], &scope, findings);
    values
}

fn declare(node: &Node, findings: &mut Findings) -> Vec<Param> {
    let entries = named(node, "params", findings);
    if entries.len() > PARAMS_MAX {
        let message = format!("more than {PARAMS_MAX} parameters");
        findings.push(Finding::error(codes::TOO_LARGE, node.span, message));
    }
    let mut params = Vec::new();
    for entry in entries.iter().take(PARAMS_MAX) {
        let Some(name) = name(entry.key.clone(), "a parameter", findings) else { continue };
        let Some(fields) = Fields::read(&entry.node, entry.key.span, &PARAM, findings) else {
            continue;
        };
        let kind = fields.word("type", &TYPES, findings);
        let Some(kind) = fields.require("type", kind, findings) else { continue };
        let raw = fields.node("default", findings).and_then(|node| {
            // Not through `text`, which leaves out what still holds a `${...}`.
            let text = node.scalar().map(|text| Spanned::new(text.to_owned(), node.span));
            if text.is_none() {
                let message = "`default` must be a text or a number";
                findings.push(Finding::error(codes::WRONG_TYPE, node.span, message));
            }
            text
        });
        params.push(Param { name, kind: kind.value, raw, set: false });
    }
    params
}

fn override_from(
    set: &[(String, String)],
    params: &mut [Param],
    place: Span,
    findings: &mut Findings,
) {
    for (name, value) in set {
        if let Some(param) = params.iter_mut().find(|param| &param.name.value == name) {
            param.raw = Some(Spanned::new(value.clone(), param.name.span));
            param.set = true;
            continue;
        }
        let known = params.iter().map(|param| param.name.value.as_str());
        let hint = if params.is_empty() {
            "this scenario declares no parameters; `spec.params` does".to_owned()
        } else {
            did_you_mean(name, known)
        };
        findings.push(
            Finding::error(
                codes::UNKNOWN_PARAMETER,
                Span { start: place.start, end: place.end.min(place.start + 60) },
                format!("`--set {name}={value}` names no parameter of this scenario"),
            )
            .hint(hint),
        );
    }
}

struct Resolved {
    values: BTreeMap<String, String>,
    /// Names whose value is wrong, which was told.
    broken: BTreeSet<String>,
}

/// Puts parameters into parameters, in the order of need, and checks the values' types.
fn resolve(params: &[Param], findings: &mut Findings) -> Resolved {
    let known: Vec<&str> = params.iter().map(|param| param.name.value.as_str()).collect();
    let mut waiting: Vec<(&Param, &Spanned<String>)> =
        params.iter().filter_map(|param| Some((param, param.raw.as_ref()?))).collect();
    let mut values = BTreeMap::new();
    let mut broken = BTreeSet::new();
    // Each round resolves at least one parameter, or is the last.
    loop {
        let names: BTreeSet<&str> =
            waiting.iter().map(|(param, _)| param.name.value.as_str()).collect();
        let (later, now): (Vec<_>, Vec<_>) = waiting
            .iter()
            .partition(|(_, raw)| references(&raw.value).iter().any(|n| names.contains(&**n)));
        for (param, raw) in &now {
            let scope = Scope { values: &values, known: &known, broken: &broken };
            let value = put_in(raw, &scope, findings);
            let fits = value.as_deref().map(|value| param.kind.accepts(value));
            if let Some(Err((label, hint))) = &fits {
                findings.push(bad_value(param, raw, label, hint));
            }
            let name = param.name.value.clone();
            match (value, fits) {
                (Some(value), Some(Ok(()))) => drop(values.insert(name, value)),
                _ => drop(broken.insert(name)),
            }
        }
        let stuck = now.is_empty();
        waiting = later;
        if stuck || waiting.is_empty() {
            break;
        }
    }
    if let Some((first, raw)) = waiting.first() {
        let circle = circle_from(first, &waiting);
        findings.push(
            Finding::error(
                codes::CYCLIC_PARAMETER,
                raw.span,
                format!("the parameter `{}` needs itself", first.name.value),
            )
            .label(circle.join(" -> "))
            .hint("give one of them a plain value"),
        );
        broken.extend(waiting.iter().map(|(param, _)| param.name.value.clone()));
    }
    Resolved { values, broken }
}

fn bad_value(param: &Param, raw: &Spanned<String>, label: &str, hint: &str) -> Finding {
    let name = &param.name.value;
    let kind = TYPES.iter().find(|(_, kind)| *kind == param.kind).map_or("", |(word, _)| word);
    let message = if param.set {
        format!("`--set {name}={}` is not a {kind}", raw.value)
    } else {
        format!("the default of `{name}` is not a {kind}")
    };
    Finding::error(codes::BAD_PARAMETER, raw.span, message).label(label).hint(hint)
}

fn circle_from(first: &Param, waiting: &[(&Param, &Spanned<String>)]) -> Vec<String> {
    let mut circle = vec![first.name.value.clone()];
    let mut raw = first.raw.as_ref();
    for _ in 0..waiting.len() {
        let needs = raw.map_or_else(Vec::new, |raw| references(&raw.value));
        let next = waiting.iter().find(|(param, _)| needs.contains(&param.name.value));
        let Some((next, value)) = next else { break };
        let closed = circle.contains(&next.name.value);
        circle.push(next.name.value.clone());
        if closed {
            break;
        }
        raw = Some(value);
    }
    circle
}

/// The names between `${` and `}`.
fn references(text: &str) -> Vec<String> {
    text.split("${")
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name.trim().to_owned()))
        .collect()
}

struct Scope<'a> {
    values: &'a BTreeMap<String, String>,
    known: &'a [&'a str],
    broken: &'a BTreeSet<String>,
}

/// A text with its parameters put in; `None` when that failed and was told.
fn put_in(text: &Spanned<String>, scope: &Scope<'_>, findings: &mut Findings) -> Option<String> {
    let mut result = String::new();
    let mut rest = text.value.as_str();
    let mut complete = true;
    while let Some(start) = rest.find("${") {
        let offset = text.value.len() - rest.len() + start;
        result.push_str(&rest[..start]);
        let Some(length) = rest[start..].find('}') else {
            findings.push(
                Finding::error(
                    codes::UNKNOWN_PARAMETER,
                    text.part(offset, text.value.len()),
                    "`${` is never closed",
                )
                .hint("write `${name}`"),
            );
            return None;
        };
        let name = rest[start + 2..start + length].trim();
        if let Some(value) = scope.values.get(name) {
            result.push_str(value);
        } else {
            complete = false;
            if !scope.broken.contains(name) {
                let span = text.part(offset, offset + length + 1);
                findings.push(no_value(name, span, scope));
            }
        }
        rest = &rest[start + length + 1..];
    }
    result.push_str(rest);
    if result.len() > VALUE_BYTES_MAX && result.len() > text.value.len() {
        let message = format!("with its parameters this is longer than {VALUE_BYTES_MAX} bytes");
        findings.push(Finding::error(codes::TOO_LARGE, text.span, message));
        return None;
    }
    complete.then_some(result)
}

fn no_value(name: &str, span: Span, scope: &Scope<'_>) -> Finding {
    if scope.known.contains(&name) {
        return Finding::error(
            codes::BAD_PARAMETER,
            span,
            format!("the parameter `{name}` has no value"),
        )
        .hint(format!("give it a default, or `--set {name}=...`"));
    }
    let hint = match did_you_mean(name, scope.known.iter().copied()) {
        hint if hint.is_empty() => format!("declare it under `params: {{{name}: ...}}`"),
        hint => hint,
    };
    Finding::error(codes::UNKNOWN_PARAMETER, span, format!("`{name}` is not a parameter"))
        .label("not declared under `params`")
        .hint(hint)
}

/// Puts the values into every text of the document but `spec.params`.
fn substitute(node: &mut Node, path: &[&str], scope: &Scope<'_>, findings: &mut Findings) {
    if path == ["spec", "params"] {
        return;
    }
    let span = node.span;
    match &mut node.value {
        Value::Scalar { text, plain } if text.contains("${") => {
            let written = Spanned::new(std::mem::take(text), span);
            if let Some(value) = put_in(&written, scope, findings) {
                *text = value;
                *plain = true;
            } else {
                *text = written.value;
            }
        }
        Value::Scalar { .. } => {}
        Value::List(items) => {
            for item in items {
                substitute(item, &["-", "-", "-"], scope, findings);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                let key = entry.key.value.clone();
                let deeper: Vec<&str> =
                    path.iter().copied().chain([key.as_str()]).take(3).collect();
                substitute(&mut entry.node, &deeper, scope, findings);
            }
        }
    }
}
