//! The schema against the catalogue, by a small validator of the keywords that it uses.

use serde_json::Value;

use crate::world;

/// What is wrong with a value, each complaint with its path; empty when nothing is.
fn complaints(schema: &Value, value: &Value, root: &Value, path: &str) -> Vec<String> {
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let schema = root.pointer(&target[1..]).unwrap_or_else(|| panic!("{target} is not there"));
        return complaints(schema, value, root, path);
    }
    let mut found = Vec::new();
    let matching = |key: &str| {
        let options = schema.get(key).and_then(Value::as_array)?;
        let fits = |option: &&Value| complaints(option, value, root, path).is_empty();
        Some(options.iter().filter(fits).count())
    };
    if let Some(count) = matching("oneOf").filter(|count| *count != 1) {
        found.push(format!("{path}: {count} of the choices"));
    }
    if matching("anyOf") == Some(0) {
        found.push(format!("{path}: none of the choices"));
    }
    if let Some(kind) = schema.get("type") {
        let kinds = kind.as_array().cloned().unwrap_or_else(|| vec![kind.clone()]);
        let own = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if !kinds.iter().any(|kind| kind == own || (own == "integer" && kind == "number")) {
            found.push(format!("{path}: {own} where {kind} belongs"));
        }
    }
    if schema.get("const").is_some_and(|only| only != value)
        || schema.get("enum").and_then(Value::as_array).is_some_and(|all| !all.contains(value))
    {
        found.push(format!("{path}: {value} is not allowed"));
    }
    match value {
        Value::Object(fields) => {
            let required = schema.get("required").and_then(Value::as_array);
            for key in required.into_iter().flatten().filter_map(Value::as_str) {
                if !fields.contains_key(key) {
                    found.push(format!("{path}: lacks {key}"));
                }
            }
            for (key, value) in fields {
                let path = format!("{path}/{key}");
                let property = schema.get("properties").and_then(|all| all.get(key));
                match (property, schema.get("additionalProperties")) {
                    (Some(property), _) => found.extend(complaints(property, value, root, &path)),
                    (None, Some(Value::Bool(false))) => found.push(format!("{path}: unknown")),
                    (None, Some(other)) => found.extend(complaints(other, value, root, &path)),
                    (None, None) => {}
                }
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                if let Some(schema) = schema.get("items") {
                    found.extend(complaints(schema, item, root, &format!("{path}/{at}")));
                }
            }
        }
        _ => {}
    }
    found
}

fn parsed(text: &str) -> Value {
    serde_yaml::from_str(text).expect("YAML")
}

#[test]
fn every_scenario_of_the_catalogue_fits_the_schema() {
    let schema = scenarios::schema(&world::registry());
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let entries = scenarios::catalogue::all().iter().map(|entry| (entry.name, entry.text));
    for (name, text) in entries.chain([("starter", scenarios::starter())]) {
        let found = complaints(&schema, &parsed(text), &schema, name);
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let schema = scenarios::schema(&world::registry());
    for text in [
        include_str!("../cases/unknown-key.yaml"),
        include_str!("../cases/unknown-key-in-fault.yaml"),
        include_str!("../cases/missing-key.yaml"),
        include_str!("../cases/missing-section.yaml"),
        include_str!("../cases/missing-unit.yaml"),
        include_str!("../cases/wrong-type.yaml"),
        include_str!("../cases/wrong-version.yaml"),
        include_str!("../cases/two-kinds.yaml"),
        include_str!("../cases/unknown-fault-kind.yaml"),
    ] {
        assert!(!complaints(&schema, &parsed(text), &schema, "").is_empty(), "{text}");
    }
}

/// All texts under `$ref`.
fn references<'a>(schema: &'a Value, found: &mut Vec<&'a str>) {
    match schema {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_of_the_schema_is_there() {
    let schema = scenarios::schema(&world::registry());
    let mut found = Vec::new();
    references(&schema, &mut found);
    assert!(found.len() > 20, "quantities and kinds of faults are references");
    for target in found {
        assert!(schema.pointer(&target[1..]).is_some(), "{target}");
    }
}

#[test]
fn the_schema_is_on_record() {
    let schema = scenarios::schema(&world::registry());
    insta::assert_snapshot!("schema", serde_json::to_string_pretty(&schema).unwrap());
}
