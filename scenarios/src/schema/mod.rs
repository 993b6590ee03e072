//! The JSON Schema of the language, draft 2020-12, for editors.
//!
//! Made from the same tables of keys as the readers, so that neither can know a key that the other
//! does not. It says what a text may look like; what it may mean is `check`'s matter. Where a value
//! may be a parameter, `${name}` is accepted beside the real form.

mod claims;
mod journeys;
mod parts;
mod sections;

use harness_core::fault::Registry;
use serde_json::{Map, Value, json};

use crate::ast::{API_VERSION, DOCUMENT, METADATA, SPEC};
use crate::vars::{PARAM, TYPE_WORDS};

use parts::{Shape, object, texts};

/// The schema, with the specifications of the registry's kinds of faults.
pub fn schema(registry: &Registry) -> Value {
    let mut definitions = Map::new();
    let faults = sections::faults(registry, &mut definitions);
    parts::define_quantities(&mut definitions);
    let mut spec = object(
        &SPEC,
        Shape {
            properties: vec![
                ("params", params()),
                ("system", sections::system()),
                ("signals", sections::signals()),
                ("load", sections::load()),
                ("steadyState", sections::steady()),
                ("phases", sections::phases()),
                ("faults", faults),
                ("expect", claims::expect()),
                ("automation", claims::automation()),
                ("slis", claims::slis()),
                ("slos", claims::slos()),
                ("safety", sections::safety()),
                ("trials", sections::trials()),
                ("report", sections::report()),
            ],
            required: &["system", "load"],
            later: &[],
        },
    );
    spec["anyOf"] = json!([{"required": ["expect"]}, {"required": ["automation"]}]);
    let mut root = object(
        &DOCUMENT,
        Shape {
            properties: vec![
                ("apiVersion", json!({"const": API_VERSION})),
                ("kind", json!({"const": "Scenario"})),
                ("metadata", metadata()),
                ("spec", spec),
            ],
            required: &["apiVersion", "kind", "metadata", "spec"],
            later: &[],
        },
    );
    let fields = root.as_object_mut().expect("an object's schema is an object");
    let mut whole = Map::new();
    whole.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    whole.insert("title".into(), json!("A gameday scenario"));
    whole.append(fields);
    whole.insert("$defs".into(), Value::Object(definitions));
    Value::Object(whole)
}

fn metadata() -> Value {
    let text = || json!({"type": "string"});
    let labels = json!({"type": "object", "additionalProperties": {"type": "string"}});
    object(
        &METADATA,
        Shape {
            properties: vec![
                ("name", parts::name("The scenario's name, used in reports and run names.")),
                ("title", text()),
                ("owner", text()),
                ("labels", labels),
                ("description", text()),
            ],
            required: &["name"],
            later: &[],
        },
    )
}

fn params() -> Value {
    let param = object(
        &PARAM,
        Shape {
            properties: vec![
                ("type", texts(&TYPE_WORDS)),
                ("default", json!({"type": ["string", "number", "boolean"]})),
                ("description", json!({"type": "string"})),
            ],
            required: &["type"],
            later: &[],
        },
    );
    json!({
        "type": "object",
        "description": "Values that `${name}` stands for; `--set name=value` sets them.",
        "additionalProperties": param,
    })
}
