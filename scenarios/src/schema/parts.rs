//! The pieces that the schema is put together from.

use harness_core::units::{Currency, Duration, Money, Quantile, Rate, Ratio, SpendRate};
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use crate::read::Section;

/// The definitions that [`define_quantities`] makes.
pub(super) const QUANTITIES: [&str; 7] =
    ["Duration", "Rate", "Ratio", "Quantile", "Currency", "Money", "SpendRate"];

/// What a parameter's place looks like.
const PARAMETER: &str = r"\$\{[^}]+\}";

/// The content of a mapping's schema.
pub(super) struct Shape {
    /// Each key with its schema, kinds included.
    pub(super) properties: Vec<(&'static str, Value)>,
    /// Keys that must be there.
    pub(super) required: &'static [&'static str],
    /// Keys that the reader knows only to say that they are not built in yet.
    pub(super) later: &'static [&'static str],
}

/// The schema of a mapping. A bug if it has other keys than its reader.
pub(super) fn object(section: &Section, shape: Shape) -> Value {
    let known = || section.keys.iter().chain(section.kinds);
    for key in known() {
        let here = shape.properties.iter().any(|(name, _)| name == key);
        assert!(here || shape.later.contains(key), "{}: no schema for `{key}`", section.name);
    }
    for (key, _) in &shape.properties {
        assert!(known().any(|name| name == key), "{}: no reader for `{key}`", section.name);
    }
    let properties: Map<String, Value> =
        shape.properties.into_iter().map(|(key, schema)| (key.to_owned(), schema)).collect();
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !shape.required.is_empty() {
        schema["required"] = json!(shape.required);
    }
    schema
}

/// Adds "exactly one of these keys".
pub(super) fn exactly_one(mut schema: Value, kinds: &[&str]) -> Value {
    let choices: Vec<Value> = kinds.iter().map(|kind| json!({"required": [kind]})).collect();
    schema["oneOf"] = Value::Array(choices);
    schema
}

/// Puts the quantities under `$defs`, each beside the form of a parameter.
pub(super) fn define_quantities(definitions: &mut Map<String, Value>) {
    let mut generator = SchemaGenerator::default();
    let mut define = |name: &str, schema: schemars::Schema| {
        let mut schema = schema.to_value();
        let pattern = schema["pattern"].as_str().map(|own| format!("{own}|{PARAMETER}"));
        if let Some(pattern) = pattern {
            schema["pattern"] = Value::String(pattern);
        }
        definitions.insert(name.to_owned(), schema);
    };
    define(QUANTITIES[0], <Duration as schemars::JsonSchema>::json_schema(&mut generator));
    define(QUANTITIES[1], <Rate as schemars::JsonSchema>::json_schema(&mut generator));
    define(QUANTITIES[2], <Ratio as schemars::JsonSchema>::json_schema(&mut generator));
    define(QUANTITIES[3], <Quantile as schemars::JsonSchema>::json_schema(&mut generator));
    define(QUANTITIES[4], <Currency as schemars::JsonSchema>::json_schema(&mut generator));
    define(QUANTITIES[5], <Money as schemars::JsonSchema>::json_schema(&mut generator));
    define(QUANTITIES[6], <SpendRate as schemars::JsonSchema>::json_schema(&mut generator));
}

/// A quantity of this name, said what for.
pub(super) fn quantity(name: &str, description: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}"), "description": description})
}

/// A duration.
pub(super) fn duration(description: &str) -> Value {
    quantity("Duration", description)
}

/// A ratio.
pub(super) fn ratio(description: &str) -> Value {
    quantity("Ratio", description)
}

/// A name.
pub(super) fn name(description: &str) -> Value {
    json!({
        "type": "string",
        "pattern": "^[A-Za-z][A-Za-z0-9_-]*$",
        "maxLength": crate::read::NAME_BYTES_MAX,
        "description": description,
    })
}

/// Some text.
pub(super) fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

/// A whole number, or a parameter.
pub(super) fn whole(least: u64, description: &str) -> Value {
    json!({
        "oneOf": [
            {"type": "integer", "minimum": least},
            {"type": "string", "pattern": PARAMETER},
        ],
        "description": description,
    })
}

/// `true` or `false`.
pub(super) fn flag(description: &str) -> Value {
    json!({"type": "boolean", "description": description})
}

/// One of some words, or a parameter.
pub(super) fn texts(words: &[&str]) -> Value {
    json!({"anyOf": [{"enum": words}, {"type": "string", "pattern": PARAMETER}]})
}

/// A list of something.
pub(super) fn list(items: &Value) -> Value {
    json!({"type": "array", "items": items})
}
