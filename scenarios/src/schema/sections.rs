//! The sections of `spec`.

use harness_core::fault::Registry;
use serde_json::{Map, Value, json};

use super::journeys::journeys;
use crate::ast::{
    ACTIONS, APPROVALS, ARM, CONTAINER_SERVICE, CONTAINERS, COUNT, FAULT, FEED, GUARDRAIL,
    LATENCY_BOUND, LOAD, METHODS, PAGER, PHASES, PROBE, RADIUS, RAMP, RECOVERY_PHASE, REPORT,
    REPORT_FORMATS, REQUEST, SAFETY, SHAPES, SPEND, SPIKE, STEADY, STEP, TRIALS, WITNESS,
};

use super::parts::{
    QUANTITIES, Shape, duration, exactly_one, flag, list, name, object, quantity, ratio, text,
    texts, whole,
};

/// A mapping without required keys.
pub(super) fn optional(
    section: &'static crate::read::Section,
    properties: Vec<(&'static str, Value)>,
) -> Value {
    object(section, Shape { properties, required: &[], later: &[] })
}

pub(super) fn system() -> Value {
    let properties = json!({
        "lab": text("A lab of this name: `shop`."),
        "containers": containers(),
    });
    let system = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    exactly_one(system, &["lab", "containers"])
}

fn containers() -> Value {
    let service = object(
        &CONTAINER_SERVICE,
        Shape {
            properties: vec![
                ("containers", list(&text("A container's name."))),
                ("port", whole(1, "Where the containers take connections.")),
            ],
            required: &["containers", "port"],
            later: &[],
        },
    );
    object(
        &CONTAINERS,
        Shape {
            properties: vec![
                ("socket", text("The engine's Unix socket; the machine's own.")),
                ("entry", text("Where load is sent: `http://127.0.0.1:8080`.")),
                ("environment", name("`staging`, say; what `safety.environments` must name.")),
                ("services", json!({"type": "object", "additionalProperties": service})),
            ],
            required: &["entry", "environment", "services"],
            later: &[],
        },
    )
}

pub(super) fn signals() -> Value {
    let probe = optional(
        &PROBE,
        vec![
            ("edge", text("Through this edge; else at the system's entry.")),
            ("every", duration("Period; 250ms.")),
            ("check", texts(&["http", "tcp"])),
            ("path", text("Path of an HTTP check; `/healthz`.")),
            ("timeout", duration("A check that took longer has failed; the period, at most 1s.")),
        ],
    );
    let actions = optional(&ACTIONS, vec![("every", duration("Period of asking; 250ms."))]);
    let pages = optional(&PAGER, vec![("every", duration("Period of asking; 250ms."))]);
    let spend = optional(
        &SPEND,
        vec![
            ("every", duration("Period of asking; 100ms.")),
            ("currency", quantity("Currency", "What it must count in; EUR.")),
        ],
    );
    let nothing = json!({"type": "object", "additionalProperties": false});
    let signal = json!({
        "type": "object",
        "properties": {
            "probe": probe, "alerts": nothing, "actions": actions, "pages": pages, "spend": spend,
        },
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
    });
    json!({
        "type": "object",
        "description": "Sources of observations beside the load.",
        "additionalProperties": signal,
    })
}

fn rate(description: &str) -> Value {
    quantity("Rate", description)
}

/// What a request of a mix and a step of a journey have in common.
pub(super) fn request_parts() -> Vec<(&'static str, Value)> {
    let mut properties: Vec<(&'static str, Value)> =
        METHODS.iter().map(|method| (*method, text("The path, from `/` on."))).collect();
    let headers = json!({"type": "object", "additionalProperties": {"type": "string"}});
    properties.extend([
        ("key", texts(&["none", "sequence", "uuid"])),
        ("headers", headers),
        ("body", text("The body; may hold `{{feed}}`.")),
        ("kind", text("What reports call it; else method and path.")),
        ("bodyContains", text("The answer must contain this to be good.")),
    ]);
    properties
}

fn request() -> Value {
    let mut properties = request_parts();
    let weight = "Its share of all requests is this over the sum of weights; 1.";
    properties.push(("weight", whole(1, weight)));
    exactly_one(optional(&REQUEST, properties), &METHODS)
}

/// Statuses that are good.
pub(super) fn good() -> Value {
    let status = json!({"type": ["string", "integer"]});
    json!({"oneOf": [status, list(&status)]})
}

/// The feeds of a load, by name.
pub(super) fn feeds() -> Value {
    json!({"type": "object", "additionalProperties": feed()})
}

fn feed() -> Value {
    let nothing = || json!({"type": ["object", "null"]});
    let rows = json!({"type": "object"});
    optional(
        &FEED,
        vec![
            ("uuid", nothing()),
            ("sequence", nothing()),
            ("choice", list(&json!({"type": ["string", "number"]}))),
            ("rows", list(&rows)),
            ("csv", text("A file; its first line names the columns.")),
            ("json", text("A file with a list of mappings, or of single values.")),
            ("inTurn", flag("One row after the other; else at random.")),
        ],
    )
}

fn recorded() -> Value {
    let file = text("A file with a time in seconds on each line; the first is the load's start.");
    json!({
        "oneOf": [
            list(&duration("Since the load's start.")),
            {
                "type": "object",
                "properties": {"file": file},
                "required": ["file"],
                "additionalProperties": false,
            },
        ],
    })
}

fn shapes() -> Vec<(&'static str, Value)> {
    let ramp = object(
        &RAMP,
        Shape {
            properties: vec![
                ("from", rate("At the start.")),
                ("to", rate("At the end and after it.")),
                ("over", duration("How long it takes.")),
            ],
            required: &["from", "to", "over"],
            later: &[],
        },
    );
    let step = object(
        &STEP,
        Shape {
            properties: vec![("rate", rate("The rate.")), ("for", duration("How long."))],
            required: &["rate", "for"],
            later: &[],
        },
    );
    let spike = object(
        &SPIKE,
        Shape {
            properties: vec![
                ("base", rate("Before and after.")),
                ("peak", rate("In the spike.")),
                ("at", duration("When it begins.")),
                ("for", duration("How long it lasts.")),
            ],
            required: &["base", "peak", "at", "for"],
            later: &[],
        },
    );
    vec![
        ("rate", rate("One rate: `400/s`.")),
        ("ramp", ramp),
        ("steps", list(&step)),
        ("spike", spike),
        ("recorded", recorded()),
    ]
}

pub(super) fn load() -> Value {
    let mut properties = shapes();
    properties.extend([
        ("arrivals", texts(&["constant", "poisson"])),
        ("timeout", duration("A request without its whole answer then has failed; 2s.")),
        ("request", request()),
        ("mix", list(&request())),
        ("good", good()),
        ("connections", whole(1, "Connections at once at most; 256.")),
        (
            "reuse",
            json!({
                "oneOf": [{"enum": ["always", "never"]}, whole(1, "So many requests on each.")],
                "description": "How long a connection is kept; `always`.",
            }),
        ),
        ("inFlight", whole(1, "Requests unanswered at once at most; 4096.")),
        ("timer", texts(&["relaxed", "precise", "exact"])),
        ("workers", whole(1, "Threads that send; 1.")),
        ("http2", flag("Speak HTTP/2.")),
        ("correlation", flag("Carry `traceparent` and `baggage`.")),
        ("feeds", feeds()),
    ]);
    let direct = exactly_one(optional(&LOAD, properties), &SHAPES);
    json!({
        "oneOf": [
            direct,
            {
                "type": "object",
                "properties": {"open": direct},
                "required": ["open"],
                "additionalProperties": false,
            },
            {
                "type": "object",
                "properties": {"journeys": journeys()},
                "required": ["journeys"],
                "additionalProperties": false,
            },
        ],
    })
}

pub(super) fn steady() -> Value {
    let latency = object(
        &LATENCY_BOUND,
        Shape {
            properties: vec![
                ("quantile", quantity("Quantile", "Which.")),
                ("atMost", duration("The bound.")),
            ],
            required: &["quantile", "atMost"],
            later: &[],
        },
    );
    optional(
        &STEADY,
        vec![
            ("success", ratio("At least this share of requests is good; 99%.")),
            ("latency", latency),
            ("require", list(&text("A probe that must be ok; all of them."))),
            ("hold", duration("All of it for this long; 500ms.")),
            ("within", duration("Reached within this time; 20s.")),
        ],
    )
}

pub(super) fn phases() -> Value {
    let recovery = optional(&RECOVERY_PHASE, vec![("upTo", duration("At most this long."))]);
    optional(
        &PHASES,
        vec![
            ("warmup", duration("Load runs, nothing is judged; 500ms.")),
            ("baseline", duration("Load runs without a fault; 1.5s.")),
            ("fault", duration("Until the last fault ends.")),
            ("recovery", json!({"oneOf": [duration("At most this long."), recovery]})),
            ("settle", duration("Late relapses show; 300ms.")),
        ],
    )
}

/// The list of faults; each kind's specification goes under `$defs`.
pub(super) fn faults(registry: &Registry, definitions: &mut Map<String, Value>) -> Value {
    let witness = optional(
        &WITNESS,
        vec![
            ("by", text("A probe; else the kind's own witness.")),
            ("when", text("`failed 3 in a row`, or `ok 3 in a row`.")),
            ("within", duration("They must have agreed within this time.")),
        ],
    );
    let mut fault = object(
        &FAULT,
        Shape {
            properties: vec![
                ("id", name("Its name; else its kind.")),
                ("at", duration("When, from the start of the fault phase; 0s.")),
                ("for", duration("How long it is held.")),
                ("effective", witness.clone()),
                ("reverted", witness),
            ],
            required: &["for"],
            later: &[],
        },
    );
    let mut kinds: Vec<&str> = Vec::new();
    for (kind, _, entry) in registry.iter() {
        if kinds.last() == Some(&kind) {
            continue;
        }
        kinds.push(kind);
        let mut schema = entry.injector.schema().to_value();
        lift_definitions(kind, &mut schema, definitions);
        schema["description"] = json!(entry.injector.summary());
        let id = format!("fault.{kind}");
        fault["properties"][kind] = json!({"$ref": format!("#/$defs/{id}")});
        definitions.insert(id, schema);
    }
    list(&exactly_one(fault, &kinds))
}

/// Moves a specification's own `$defs` to the root. Quantities are the language's own; all others
/// get the kind's name in front, because two kinds may give one name to different things.
fn lift_definitions(kind: &str, schema: &mut Value, definitions: &mut Map<String, Value>) {
    let Some(fields) = schema.as_object_mut() else { return };
    fields.remove("$schema");
    fields.remove("title");
    let own = fields.remove("$defs");
    rename_references(kind, schema);
    let Some(Value::Object(own)) = own else { return };
    for (name, mut definition) in own {
        if !QUANTITIES.contains(&name.as_str()) {
            rename_references(kind, &mut definition);
            definitions.insert(format!("fault.{kind}.{name}"), definition);
        }
    }
}

fn rename_references(kind: &str, schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                let name = value.as_str().and_then(|target| target.strip_prefix("#/$defs/"));
                match name.filter(|name| key == "$ref" && !QUANTITIES.contains(name)) {
                    Some(name) => *value = json!(format!("#/$defs/fault.{kind}.{name}")),
                    None => rename_references(kind, value),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                rename_references(kind, item);
            }
        }
        _ => {}
    }
}

pub(super) fn safety() -> Value {
    let radius = optional(
        &RADIUS,
        vec![
            ("instances", whole(0, "Instances at most.")),
            ("share", ratio("Share of one service's instances at most.")),
            ("edges", whole(0, "Edges at most.")),
            ("maxFor", duration("Length of one fault at most.")),
        ],
    );
    let when =
        text("`success < 50% for 5s`, `latency > 2s for 3s`, `load stale for 3s` (at most 10s).");
    let guardrail = object(
        &GUARDRAIL,
        Shape { properties: vec![("when", when.clone())], required: &["when"], later: &[] },
    );
    let required = whole(0, "So many persons must approve this very plan; 0.");
    let approvals = object(
        &APPROVALS,
        Shape { properties: vec![("required", required)], required: &["required"], later: &[] },
    );
    object(
        &SAFETY,
        Shape {
            properties: vec![
                ("environments", list(&text("Where this may run; `lab`."))),
                ("blastRadius", radius),
                ("guardrails", list(&json!({"oneOf": [when, guardrail]}))),
                ("lease", duration("Faults revert without us after this time; 15s.")),
                ("policy", list(&text("A file of Rego rules, or of their data as JSON."))),
                ("approvals", approvals),
            ],
            required: &[],
            later: &[],
        },
    )
}

pub(super) fn trials() -> Value {
    let count = object(
        &COUNT,
        Shape {
            properties: vec![("min", whole(1, "The fewest.")), ("max", whole(1, "The most."))],
            required: &["min", "max"],
            later: &[],
        },
    );
    let some = list(&text("A fault."));
    let faults = json!({"oneOf": [{"const": "none"}, some]});
    let arm = optional(&ARM, vec![("faults", faults)]);
    optional(
        &TRIALS,
        vec![
            ("seed", whole(0, "All random choices come from it; 1.")),
            ("order", texts(&["shuffled", "inTurn"])),
            ("mode", texts(&["inferred", "observed"])),
            ("arms", json!({"type": "object", "additionalProperties": arm})),
            ("count", json!({"oneOf": [whole(1, "Trials of each arm."), count]})),
            ("placebo", whole(0, "Trials without a fault; 5.")),
            ("stop", texts(&["fixed", "sequential"])),
            ("invalidAtMost", ratio("With more invalid trials nothing is concluded; 20%.")),
            ("wall", duration("No trial starts after this time; 30m.")),
        ],
    )
}

pub(super) fn report() -> Value {
    optional(&REPORT, vec![("formats", list(&json!({"enum": REPORT_FORMATS})))])
}
