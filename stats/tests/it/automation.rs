//! Automation as a classifier.

use crate::Adapter;
use crate::convert::{Alphas, conclusion, input, seconds};
use serde::Deserialize;
use serde_json::{Value, json};
use stats::automation::{
    Action, ClassifierClaim, ExactlyOnce, Rates, Wanted, decide_classifier, exactly_once, never,
    predictive_value, rate_bounds,
};
use stats::binomial::Bounds;
use stats::decimal::Share;
use stats::decision::{Decision, Tally};

pub(crate) const FUNCTIONS: &[(&str, Adapter)] = &[
    ("classifier_verdict", classifier_verdict),
    ("never_verdict", never_verdict),
    ("poisson_rate_bounds", poisson_rate_bounds),
    ("exactly_once", once),
];

fn classifier_verdict(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        tp: u64,
        #[serde(rename = "fn")]
        missed: u64,
        tn: u64,
        fp: u64,
        q_sensitivity: f64,
        q_specificity: f64,
        prevalence: f64,
    }
    let found: Input = input(value);
    let with_fault = Tally { ok: found.tp, bad: found.missed, ambiguous: 0 };
    let without_fault = Tally { ok: found.tn, bad: found.fp, ambiguous: 0 };
    let claim = ClassifierClaim {
        sensitivity: found.q_sensitivity,
        specificity: found.q_specificity,
        levels: input::<Alphas>(value).into(),
    };
    let decided = decide_classifier(with_fault, without_fault, &claim);
    let side = |side: Decision| {
        json!({
            "lower": side.lower,
            "upper": side.upper,
            "verdict": conclusion(side.conclusion),
        })
    };
    let points = with_fault.surely_ok().ratio().zip(without_fault.surely_ok().ratio());
    let value = |sensitivity, specificity| {
        predictive_value(Rates { sensitivity, specificity }, found.prevalence)
    };
    let (sensitivity, specificity) = (decided.sensitivity, decided.specificity);
    json!({
        "sensitivity": side(sensitivity),
        "specificity": side(specificity),
        "joint": conclusion(decided.conclusion),
        "ppv_point": points.and_then(|(sensitivity, specificity)| value(sensitivity, specificity)),
        "ppv_lower": points.and_then(|_| value(sensitivity.lower, specificity.lower)),
    })
}

fn never_verdict(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        trials: u64,
        violations: u64,
        max_rate: f64,
        alpha: f64,
    }
    let Input { trials, violations, max_rate, alpha } = input(value);
    let found = never(Share { part: violations, whole: trials }, max_rate, alpha);
    json!({"upper": found.upper, "verdict": conclusion(found.conclusion)})
}

fn poisson_rate_bounds(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        events: u64,
        exposure: f64,
        alpha: f64,
    }
    let Input { events, exposure, alpha } = input(value);
    let Bounds { lower, upper } = rate_bounds(events, exposure, alpha).expect("some exposure");
    json!({"lower": lower, "upper": upper})
}

/// An action as it stands in a vector.
#[derive(Deserialize)]
pub(crate) struct Event {
    t: f64,
    action: String,
    target: String,
    outcome: String,
}

pub(crate) fn actions(events: &[Event]) -> Vec<Action<'_>> {
    events
        .iter()
        .map(|event| Action {
            at: seconds(event.t),
            name: &event.action,
            target: &event.target,
            succeeded: event.outcome == "success",
        })
        .collect()
}

fn once(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Want {
        action: String,
        target: String,
    }
    #[derive(Deserialize)]
    struct Input {
        events: Vec<Event>,
        want: Want,
        window: (f64, f64),
    }
    let found: Input = input(value);
    let wanted = Wanted {
        name: &found.want.action,
        target: &found.want.target,
        from: seconds(found.window.0),
        until: seconds(found.window.1),
    };
    let state = match exactly_once(&actions(&found.events), &wanted) {
        ExactlyOnce::Ok => "ok",
        ExactlyOnce::Missed => "missed",
        ExactlyOnce::Duplicate => "duplicate",
        ExactlyOnce::WrongTargetOrTime => "wrong_target_or_time",
        ExactlyOnce::Failed => "failed",
    };
    json!({"state": state})
}
