//! The form `load: {journeys: ...}`.

use serde_json::{Value, json};

use super::parts::{Shape, duration, exactly_one, flag, list, name, object, text, texts, whole};
use super::sections::{feeds, good, optional, request_parts};
use crate::ast::{
    EXPONENTIAL, EXTRACT, EXTRACT_KINDS, JOURNEY, JOURNEY_STEP, JOURNEYS, METHODS, THINK,
    THINK_KINDS, UNIFORM,
};

/// Users who walk.
pub(super) fn journeys() -> Value {
    object(
        &JOURNEYS,
        Shape {
            properties: vec![
                ("users", whole(1, "Users at once; each waits for its answers.")),
                ("rampUp", duration("They begin one after the other over this time; 0s.")),
                ("mix", list(&journey())),
                ("timeout", duration("A request without its whole answer then has failed; 2s.")),
                ("good", good()),
                ("timer", texts(&["relaxed", "precise", "exact"])),
                ("workers", whole(1, "Threads that send; 1.")),
                ("correlation", flag("Carry `traceparent` and `baggage`.")),
                ("feeds", feeds()),
            ],
            required: &["users", "mix"],
            later: &[],
        },
    )
}

fn journey() -> Value {
    object(
        &JOURNEY,
        Shape {
            properties: vec![
                ("name", name("Its name.")),
                ("weight", whole(1, "Its share of all visits is this over the sum; 1.")),
                ("think", think("Before each step, unless the step says otherwise.")),
                ("steps", list(&step())),
            ],
            required: &["name", "steps"],
            later: &[],
        },
    )
}

fn step() -> Value {
    let from = vec![
        ("json", text("A JSON pointer into the body: `/items/0/id`.")),
        ("header", text("A header's name.")),
        ("regex", text("The first group, or the match, in the body.")),
    ];
    let extract = exactly_one(optional(&EXTRACT, from), &EXTRACT_KINDS);
    let mut properties = request_parts();
    properties.extend([
        ("think", think("The pause before this step; the journey's.")),
        ("good", good()),
        ("bodyMatches", text("A regular expression that the answer's body must match.")),
        (
            "extract",
            json!({
                "type": "object",
                "additionalProperties": extract,
                "description": "Values for later steps, which write `{{name}}`.",
            }),
        ),
    ]);
    exactly_one(optional(&JOURNEY_STEP, properties), &METHODS)
}

fn think(description: &str) -> Value {
    let uniform = object(
        &UNIFORM,
        Shape {
            properties: vec![("from", duration("The shortest.")), ("to", duration("The longest."))],
            required: &["from", "to"],
            later: &[],
        },
    );
    let exponential = object(
        &EXPONENTIAL,
        Shape {
            properties: vec![
                ("mean", duration("The mean.")),
                ("atMost", duration("Longer ones are cut to this; ten means.")),
            ],
            required: &["mean"],
            later: &[],
        },
    );
    let drawn = vec![("uniform", uniform), ("exponential", exponential)];
    let drawn = exactly_one(optional(&THINK, drawn), &THINK_KINDS);
    json!({"oneOf": [duration("Always as long."), drawn], "description": description})
}
