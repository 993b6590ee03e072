//! What a scenario claims: `expect`, and what it may refer to.

use serde_json::{Value, json};

use crate::ast::{
    ACTION, ACTS, AUTOMATION, AUTOMATIONS_MAX, BUDGET_BOUNDS, CONFIDENCE, COST, DEGRADATION,
    DETECTION, ERROR_BUDGET, EXACTLY_ONCE, EXPECTATIONS_MAX, HOLDS_WHEN_BLIND, INVARIANT, LATENCY,
    MEAN_BUDGET, MEAN_SUCCESS, MEAN_TIME, NEVER, OBEYS_KILL_SWITCH, ONLY, PAGES, RECOVERY,
    REGRESSION, REGRESSION_RUNS_MIN, RELEASES, RULES, SLI, SLI_RATIO, SLO, STAYS_QUIET,
    SUCCESS_RATE, TELEMETRY,
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
            (
                "mean",
                mean(
                    &MEAN_SUCCESS,
                    ("atLeast", ratio("On average over incidents.")),
                    ratio("What one incident loses at most: 100%."),
                ),
            ),
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
            ("through", text("As this signal tells: `pages`, or `alerts`.")),
            ("staysSilent", flag("It does not fire at all.")),
        ],
        &["alert"],
    );
    // One that fires in time, or one that must not fire.
    let detection = exactly_one(detection, &["within", "staysSilent"]);
    let recovery = family(
        &RECOVERY,
        vec![
            ("to", texts(&["mitigate", "restore"])),
            ("from", texts(&["inject", "effective", "revert", "reverted"])),
            ("within", duration("Within this time.")),
            ("median", duration("Within this time in half of all incidents.")),
            (
                "mean",
                mean(
                    &MEAN_TIME,
                    ("atMost", duration("On average over incidents.")),
                    duration("A longer time counts as this; one looks so long."),
                ),
            ),
            ("of", text("The fault; the first one.")),
        ],
        &["to"],
    );
    let recovery = exactly_one(recovery, RECOVERY.kinds);
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
            "regression": regression(),
            "cost": cost(),
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
            (
                "mean",
                mean(
                    &MEAN_BUDGET,
                    ("takesAtMost", ratio("On average over incidents.")),
                    ratio("What one incident takes at most, which its window enforces."),
                ),
            ),
            ("during", during()),
        ],
        &[],
    );
    let bounded = exactly_one(json!({}), &BUDGET_BOUNDS);
    let mut budget = exactly_one(budget, ERROR_BUDGET.kinds);
    budget["allOf"] = json!([bounded]);
    budget
}

/// A bound of a mean, and what one incident adds to it at most.
fn mean(section: &'static crate::read::Section, bound: (&'static str, Value), cap: Value) -> Value {
    let required: &'static [&'static str] = &section.keys[..1];
    let properties = vec![bound, ("cap", cap)];
    object(section, Shape { properties, required, later: &[] })
}

fn regression() -> Value {
    let properties = vec![
        ("of", text("Another expectation, by its name: what it measures is compared.")),
        ("byAtMost", ratio("Worse by at most this: of a time, or percentage points of a share.")),
        ("runs", whole(REGRESSION_RUNS_MIN, "Than in the last so many runs; 10.")),
        ("resetAt", text("Runs whose names sort before this do not count: `20261122-171621`.")),
        ("id", name("Its name; else its family.")),
        ("confidence", ratio("With this confidence; 95%.")),
    ];
    object(&REGRESSION, Shape { properties, required: &["of", "byAtMost"], later: &[] })
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

fn cost() -> Value {
    let cost = family(
        &COST,
        vec![
            ("rateAtMost", quantity("SpendRate", "The spend per time is at most this.")),
            ("perSuccessAtMost", quantity("Money", "The spend for each good request.")),
            ("totalAtMost", quantity("Money", "All that is spent in the window.")),
            ("grace", duration("The rate counts from this time after the window's start.")),
            ("cappedWithin", duration("The rate is back within this time from `effective`.")),
            ("of", text("The fault that is to be capped; the first one.")),
            ("during", during()),
            ("signal", text("A cost feed under `signals`; else the only one.")),
        ],
        &[],
    );
    exactly_one(cost, COST.kinds)
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

pub(super) fn automation() -> Value {
    let action = object(
        &ACTION,
        Shape {
            properties: vec![
                ("actor", text("Who does it; the automation's actor.")),
                ("action", text("What, as the system calls it.")),
            ],
            required: &["action"],
            later: &[],
        },
    );
    let action = json!({"oneOf": [text("`open`, or `becomes open`."), action]});
    let actions = json!({
        "type": "object",
        "description": "Names for what it can do; what the system knows needs none.",
        "properties": {"from": text("The signal that records it.")},
        "additionalProperties": action,
    });
    let confidence = optional(
        &CONFIDENCE,
        vec![
            ("atLeast", ratio("In at least this share of incidents; 80%.")),
            ("at", ratio("With this confidence; 95%.")),
        ],
    );
    let automation = object(
        &AUTOMATION,
        Shape {
            properties: vec![
                ("id", name("Its name.")),
                ("actor", text("Who acts, as the system calls it; the id.")),
                ("actions", actions),
                ("expect", rules()),
                ("confidence", confidence),
            ],
            required: &["id", "expect"],
            later: &[],
        },
    );
    let mut all = list(&automation);
    all["maxItems"] = json!(AUTOMATIONS_MAX);
    all["description"] = json!("What reacts by itself, and what it must and must not do.");
    all
}

fn rules() -> Value {
    let rule =
        |section, properties, required| object(section, Shape { properties, required, later: &[] });
    let action = || ("action", text("What it does."));
    let target = || ("target", text("On this instance; else on any."));
    let within = |description| ("within", duration(description));
    let acts = rule(
        &ACTS,
        vec![
            action(),
            ("after", text("`down.effective`; that of the first fault.")),
            within("Within this time."),
            target(),
        ],
        &["action", "within"],
    );
    let releases = rule(
        &RELEASES,
        vec![
            action(),
            ("after", text("`down.reverted`; that of the first fault.")),
            within("Within this time."),
        ],
        &["action", "within"],
    );
    let once = rule(
        &EXACTLY_ONCE,
        vec![
            action(),
            ("per", json!({"const": "fault"})),
            ("of", text("The fault; the first one.")),
            target(),
        ],
        &["action"],
    );
    let arms = list(&text("In these arms; those without a fault."));
    let quiet = rule(&STAYS_QUIET, vec![action(), ("arms", arms)], &[]);
    let targets = list(&text("A service, or one instance of it."));
    let only = rule(&ONLY, vec![("targets", targets)], &["targets"]);
    let never = rule(&NEVER, vec![("actions", list(&text("What.")))], &["actions"]);
    let any = || ("actions", list(&text("What; else anything.")));
    let obeys = rule(
        &OBEYS_KILL_SWITCH,
        vec![("switch", text("The fault that throws the switch.")), any()],
        &["switch"],
    );
    let blind = rule(
        &HOLDS_WHEN_BLIND,
        vec![("fault", text("The fault that takes its eyes; the first one.")), any()],
        &[],
    );
    object(
        &RULES,
        Shape {
            properties: vec![
                ("acts", acts),
                ("staysQuiet", quiet),
                ("exactlyOnce", once),
                ("releases", releases),
                ("only", only),
                ("never", never),
                ("obeysKillSwitch", obeys),
                ("holdsWhenBlind", blind),
            ],
            required: &[],
            later: &[],
        },
    )
}
