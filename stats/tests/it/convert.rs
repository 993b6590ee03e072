//! Reads the inputs of vectors as the types of the package, and writes its types as they are
//! expected.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stats::decimal::Decimal;
use stats::decision::{Conclusion, Decision, Levels, State};
use std::time::Duration;

/// The input as a type of the adapter.
pub(crate) fn input<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone())
        .unwrap_or_else(|error| panic!("could not read the input {value}: {error}"))
}

/// An exact decimal from its text, or from the shortest text of a number.
pub(crate) fn decimal(value: &Value) -> Decimal {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().unwrap_or_else(|error| panic!("could not read a decimal: {error}"))
}

pub(crate) fn seconds(value: f64) -> Duration {
    Duration::from_secs_f64(value)
}

/// The two levels, as they stand in many inputs.
#[derive(serde::Deserialize, Clone, Copy)]
pub(crate) struct Alphas {
    alpha_pass: f64,
    alpha_fail: f64,
}

impl From<Alphas> for Levels {
    fn from(alphas: Alphas) -> Self {
        Self { pass: alphas.alpha_pass, fail: alphas.alpha_fail }
    }
}

pub(crate) fn conclusion(conclusion: Conclusion) -> &'static str {
    match conclusion {
        Conclusion::Pass => "pass",
        Conclusion::Inconclusive => "inconclusive",
        Conclusion::Fail => "fail",
    }
}

pub(crate) fn state(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Bad => "bad",
        State::Ambiguous => "ambiguous",
    }
}

pub(crate) fn decision(decision: Decision) -> Value {
    json!({
        "n": decision.cases,
        "lower": decision.lower,
        "upper": decision.upper,
        "p_pass": decision.p_pass,
        "p_fail": decision.p_fail,
        "verdict": conclusion(decision.conclusion),
    })
}

/// One object with the fields of both.
pub(crate) fn joined(mut first: Value, second: Value) -> Value {
    let (Value::Object(fields), Value::Object(more)) = (&mut first, second) else {
        panic!("only objects are joined");
    };
    fields.extend(more);
    first
}
