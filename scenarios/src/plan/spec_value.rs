//! What stands under a kind of fault, as the JSON value that its injector checks.
//!
//! The injector's schema says which keys there are and which of them are texts, so that
//! `delay: 250` is refused as a duration without a unit and not as a number.

use harness_core::diag::Span;
use harness_core::fault::{DynInjector, SpecError};
use serde_json::{Map, Number, Value as Json};

use crate::codes;
use crate::findings::{Finding, Findings, did_you_mean, listed};
use crate::node::{Entry, Node, Value};

/// Reads and checks a specification. Gives it back with every default written out.
pub(super) fn read(
    entry: &Entry,
    injector: &dyn DynInjector,
    findings: &mut Findings,
) -> Option<Json> {
    if holds_parameter(&entry.node) {
        return None;
    }
    let schema = injector.schema().to_value();
    let before = findings.count();
    let place = Place { schema: &schema, root: &schema };
    let value = convert(&entry.node, entry.key.span, &place, &entry.key.value, findings);
    if findings.count() > before {
        return None;
    }
    match injector.check(&value) {
        Ok(spec) => Some(spec),
        Err(error) => {
            findings.push(refused(entry, &schema, &error));
            None
        }
    }
}

/// The place of the text that equals a name, where a specification holds one.
pub(super) fn place_of(entry: &Entry, name: &str) -> Option<Span> {
    fn search(node: &Node, name: &str) -> Option<Span> {
        match &node.value {
            Value::Scalar { text, .. } => (text == name).then_some(node.span),
            Value::List(items) => items.iter().find_map(|item| search(item, name)),
            Value::Map(entries) => entries.iter().find_map(|entry| search(&entry.node, name)),
        }
    }
    search(&entry.node, name)
}

/// Whether a `${...}` is left, whose value could not be put in and which was told.
fn holds_parameter(node: &Node) -> bool {
    match &node.value {
        Value::Scalar { text, .. } => text.contains("${"),
        Value::List(items) => items.iter().any(holds_parameter),
        Value::Map(entries) => entries.iter().any(|entry| holds_parameter(&entry.node)),
    }
}

/// A schema with the document that its references point into.
#[derive(Clone, Copy)]
struct Place<'s> {
    schema: &'s Json,
    root: &'s Json,
}

impl Place<'_> {
    /// Follows references, and passes through the wrapper of optional values.
    fn resolved(self) -> Self {
        let mut schema = self.schema;
        // Schemas made from types nest references a level or two deep.
        for _ in 0..8 {
            let target = schema.get("$ref").and_then(Json::as_str);
            if let Some(target) = target.and_then(|target| target.strip_prefix('#')) {
                schema = self.root.pointer(target).unwrap_or(&Json::Null);
                continue;
            }
            let some = schema.get("anyOf").and_then(Json::as_array).and_then(|options| {
                let mut real = options
                    .iter()
                    .filter(|option| option.get("type").and_then(Json::as_str) != Some("null"));
                real.next().filter(|_| real.next().is_none())
            });
            match some {
                Some(inner) => schema = inner,
                None => break,
            }
        }
        Self { schema, root: self.root }
    }

    fn property(self, name: &str) -> Option<Self> {
        let schema = self.schema.get("properties")?.get(name)?;
        Some(Self { schema, root: self.root })
    }

    /// Whether only a text can stand here.
    fn is_text(self) -> bool {
        let schema = self.resolved().schema;
        match schema.get("type") {
            Some(Json::String(kind)) => kind == "string",
            Some(Json::Array(kinds)) => kinds.iter().all(|kind| kind == "string" || kind == "null"),
            _ => schema.get("enum").is_some() || schema.get("const").is_some_and(Json::is_string),
        }
    }

    /// "a duration", where the schema is that of a quantity.
    fn quantity(self) -> Option<&'static str> {
        let reference =
            |schema: &Json| schema.get("$ref").and_then(Json::as_str).map(str::to_owned);
        let options = self.schema.get("anyOf").and_then(Json::as_array);
        let own = reference(self.schema)
            .or_else(|| options.and_then(|options| options.iter().find_map(reference)))?;
        [("/Duration", "a duration"), ("/Rate", "a rate"), ("/Ratio", "a ratio")]
            .into_iter()
            .find(|(name, _)| own.ends_with(name))
            .map(|(_, words)| words)
    }
}

fn convert(
    node: &Node,
    span: Span,
    place: &Place<'_>,
    name: &str,
    findings: &mut Findings,
) -> Json {
    match &node.value {
        Value::Scalar { text, plain } => scalar(text, *plain && !place.is_text()),
        Value::List(items) => {
            let place = place.resolved();
            let inner = place.schema.get("items").unwrap_or(&Json::Null);
            let inner = Place { schema: inner, root: place.root };
            let items = items.iter();
            Json::Array(
                items.map(|item| convert(item, item.span, &inner, name, findings)).collect(),
            )
        }
        Value::Map(entries) => {
            let place = place.resolved();
            check_keys(entries, span, place, name, findings);
            let mut map = Map::new();
            for entry in entries {
                let key = &entry.key.value;
                let nothing = Place { schema: &Json::Null, root: place.root };
                let inner = place.property(key).unwrap_or(nothing);
                let value = convert(&entry.node, entry.key.span, &inner, key, findings);
                map.insert(key.clone(), value);
            }
            Json::Object(map)
        }
    }
}

/// Tells unknown and missing keys where the schema knows all of them.
fn check_keys(
    entries: &[Entry],
    span: Span,
    place: Place<'_>,
    name: &str,
    findings: &mut Findings,
) {
    let Some(properties) = place.schema.get("properties").and_then(Json::as_object) else { return };
    let known: Vec<&str> = properties.keys().map(String::as_str).collect();
    let closed = place.schema.get("additionalProperties") == Some(&Json::Bool(false));
    for entry in entries.iter().filter(|entry| closed && !known.contains(&&*entry.key.value)) {
        let key = &entry.key.value;
        findings.push(
            Finding::error(
                codes::UNKNOWN_KEY,
                entry.key.span,
                format!("`{name}` has no key `{key}`"),
            )
            .label("unknown key")
            .hint(did_you_mean(key, known.iter().copied())),
        );
    }
    let required = place.schema.get("required").and_then(Json::as_array);
    let unknown_there = entries.iter().any(|entry| !known.contains(&&*entry.key.value));
    for key in required.into_iter().flatten().filter_map(Json::as_str) {
        // A misspelt key was told; that the right one is missing would be the same again.
        if !unknown_there && !entries.iter().any(|entry| entry.key.value == key) {
            findings.push(
                Finding::error(codes::MISSING_KEY, span, format!("`{name}` needs `{key}`"))
                    .hint(format!("known keys are {}", listed(&known))),
            );
        }
    }
}

fn scalar(text: &str, typed: bool) -> Json {
    if !typed {
        return Json::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" => Json::Null,
        "true" => Json::Bool(true),
        "false" => Json::Bool(false),
        _ => text
            .parse::<u64>()
            .map(Number::from)
            .or_else(|_| text.parse::<i64>().map(Number::from))
            .ok()
            .or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64))
            .map_or_else(|| Json::String(text.to_owned()), Json::Number),
    }
}

/// Turns the path of an injector's refusal into a place.
fn refused(entry: &Entry, schema: &Json, error: &SpecError) -> Finding {
    let mut node = &entry.node;
    let mut span = if matches!(node.value, Value::Map(_)) { entry.key.span } else { node.span };
    let mut place = Place { schema, root: schema };
    let mut name = entry.key.value.as_str();
    for part in &error.path {
        let next = match &node.value {
            Value::Map(entries) => entries.iter().find(|entry| &entry.key.value == part),
            Value::List(_) | Value::Scalar { .. } => None,
        };
        let Some(next) = next else { break };
        place = place.resolved().property(part).unwrap_or(place);
        (node, name, span) = (&next.node, &next.key.value, next.node.span);
    }
    if let Some(quantity) = place.quantity() {
        return Finding::error(codes::BAD_QUANTITY, span, format!("`{name}` needs {quantity}"))
            .label(&error.message)
            .hint(&error.hint);
    }
    if let Some((said, known)) = unknown_word(&error.message) {
        return Finding::error(codes::UNKNOWN_WORD, span, format!("`{name}` cannot be `{said}`"))
            .label(format!("not one of {}", known.join(", ")))
            .hint(did_you_mean(&said, known.iter().map(String::as_str)));
    }
    // What is wrong with a specification as a whole is told where the key stands that it speaks of.
    let spoken = match &node.value {
        Value::Map(entries) => entries.iter().find(|entry| {
            let mut words = error.message.split(|c: char| !c.is_ascii_alphanumeric());
            words.any(|word| word == entry.key.value)
        }),
        Value::List(_) | Value::Scalar { .. } => None,
    };
    let span = spoken.map_or(span, |entry| entry.node.span);
    Finding::error(codes::BAD_FAULT, span, format!("`{name}` is not right"))
        .label(&error.message)
        .hint(&error.hint)
}

/// Takes serde's ``unknown variant `x`, expected one of `a`, `b` `` apart.
fn unknown_word(message: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix("unknown variant `")?;
    let mut words = rest.split('`').step_by(2).map(str::to_owned);
    let said = words.next()?;
    let known: Vec<String> = words.filter(|word| !word.is_empty()).collect();
    Some((said, known))
}
