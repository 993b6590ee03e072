//! What a scenario claims: `expect`, and what it may refer to.

use serde_json::{Value, json};

use crate::ast::{
    DEGRADATION, DETECTION, ERROR_BUDGET, EXPECTATIONS_MAX, INVARIANT, LATENCY, PAGES, RECOVERY,
    SLI, SLI_RATIO, SLO, SUCCESS_RATE, TELEMETRY,
};

use super::parts::{
    Shape, duration, exactly_one, flag, list, name, object, quantity, ratio, text, texts, whole,
};
use super::sections::optional;

/// What every family takes.
fn common() -> Vec<(&'static str, Value)> {
    vec![
        ("id", name("Its name; else its family.")),
        ("arms", list(&text("Over the trials of these arms; those with the fault."))),
        ("inAtLeast", ratio("In at least this share of incidents; 80%.")),
        ("confidence", ratio("With this confidence; 95%.")),
    ]
}

fn family(
    section: &'static crate::read::Section,
    own: Vec<(&'static str, Value)>,
    required: &'static [&'static str],
) -> Value {
    let properties = own.into_iter().chain(common()).collect();
    object(section, Shape { properties, required, later: &[] })
}

/// The families about a window of requests: `successRate` and `latency`.
fn rates_and_latencies() -> (Value, Value) {
    let during = || text("`baseline`, `fault`, `recovery`, `all` or `from .. to`; `fault`.");
    let of = || text("A request of the load; else all.");
    let success = family(
        &SUCCESS_RATE,
        vec![
            ("atLeast", ratio("The bound.")),
            ("atMost", ratio("The bound.")),
            ("during", during()),
            ("of", of()),
        ],
        &[],
    );
    let latency = family(
        &LATENCY,
        vec![
            ("quantile", quantity("Quantile", "Which.")),
            ("atMost", duration("The bound.")),
            ("during", during()),
            ("of", of()),
        ],
        &["quantile", "atMost"],
    );
    (exactly_one(success, SUCCESS_RATE.kinds), latency)
}

pub(super) fn expect() -> Value {
    let (success, latency) = rates_and_latencies();
    let pages = optional(&PAGES, vec![("exactly", whole(0, "So often."))]);
    let detection = family(
        &DETECTION,
        vec![
            ("alert", text("`alertname`.")),
            ("within", duration("Fires within this time from `effective`.")),
            ("after", text("The fault; the first one.")),
            ("pages", pages),
            ("resolvesWithin", duration("Resolves within this time from `reverted`.")),
            ("quietInPlacebo", flag("And stays silent in every placebo trial.")),
        ],
        &["alert", "within"],
    );
    let recovery = family(
        &RECOVERY,
        vec![
            ("to", texts(&["mitigate", "restore"])),
            ("from", texts(&["inject", "effective", "revert", "reverted"])),
            ("within", duration("Within this time.")),
            ("of", text("The fault; the first one.")),
        ],
        &["to", "within"],
    );
    let invariant = family(
        &INVARIANT,
        vec![
            ("noneLost", flag("No accepted id is missing.")),
            ("noneTwice", flag("No id was processed twice.")),
        ],
        &[],
    );
    let words = list(&json!({"enum": ["none-lost", "none-twice"]}));
    let expectation = json!({
        "type": "object",
        "properties": {
            "successRate": success,
            "latency": latency,
            "detection": detection,
            "recovery": recovery,
            "invariant": {"oneOf": [invariant, words]},
            "errorBudget": error_budget(),
            "degradation": degradation(),
            "telemetry": telemetry(),
        },
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
    });
    let mut expect = list(&expectation);
    expect["minItems"] = json!(1);
    expect["maxItems"] = json!(EXPECTATIONS_MAX);
    expect
}

fn during() -> Value {
    text("`baseline`, `fault`, `recovery`, `all` or `from .. to`; `fault`.")
}

fn error_budget() -> Value {
    let budget = family(
        &ERROR_BUDGET,
        vec![
            ("slo", text("Of this objective under `slos`.")),
            ("objective", ratio("Of an objective with this share of good requests.")),
            ("window", duration("And this time; 30d.")),
            ("of", text("And this request of the load; else all.")),
            ("takesAtMost", ratio("At most this share of the budget.")),
            ("during", during()),
        ],
        &["takesAtMost"],
    );
    exactly_one(budget, ERROR_BUDGET.kinds)
}

fn degradation() -> Value {
    family(
        &DEGRADATION,
        vec![
            ("quantile", quantity("Quantile", "Which.")),
            ("byAtMost", ratio("Longer by at most this share: 20% is 1.2 times as long.")),
            ("against", texts(&["baseline", "placebo"])),
            ("during", during()),
            ("of", text("A request of the load; else all.")),
        ],
        &["quantile", "byAtMost"],
    )
}

fn telemetry() -> Value {
    family(
        &TELEMETRY,
        vec![
            ("signal", text("A probe under `signals`.")),
            ("atLeast", ratio("At least this share of what is due arrives.")),
            ("gapAtMost", duration("And never longer without one.")),
            ("during", during()),
        ],
        &["signal", "atLeast"],
    )
}

pub(super) fn slis() -> Value {
    let statuses = json!({"type": ["string", "integer"]});
    let good = json!({"oneOf": [statuses, list(&statuses)]});
    let ratio =
        optional(&SLI_RATIO, vec![("of", text("`load`, or a request of it.")), ("good", good)]);
    let sli = object(
        &SLI,
        Shape { properties: vec![("ratio", ratio)], required: &["ratio"], later: &["quantile"] },
    );
    json!({
        "type": "object",
        "description": "Numbers about the load by name.",
        "additionalProperties": sli,
    })
}

pub(super) fn slos() -> Value {
    let slo = object(
        &SLO,
        Shape {
            properties: vec![
                ("sli", text("Of this SLI.")),
                ("atLeast", ratio("At least this.")),
                ("window", duration("Over this time; 30d.")),
            ],
            required: &["sli", "atLeast"],
            later: &["openslo"],
        },
    );
    json!({
        "type": "object",
        "description": "Objectives by name, whose error budgets are claimed about.",
        "additionalProperties": slo,
    })
}
