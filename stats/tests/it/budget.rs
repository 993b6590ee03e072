//! Error budgets and burn-rate rules.

use crate::Adapter;
use crate::convert::{decimal, input, seconds};
use serde::Deserialize;
use serde_json::{Value, json};
use stats::budget::{BurnRule, first_fire, taken_by_requests, taken_by_time};
use stats::decimal::Share;

pub(crate) const FUNCTIONS: &[(&str, Adapter)] = &[
    ("budget_fraction_requests", fraction_requests),
    ("budget_fraction_time", fraction_time),
    ("burn_rate_alert", burn_rate_alert),
];

fn steps(bad: Vec<u64>, total: Vec<u64>) -> Vec<Share> {
    bad.into_iter().zip(total).map(|(part, whole)| Share { part, whole }).collect()
}

fn fraction_requests(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        bad: Vec<u64>,
        slo: f64,
        monthly_requests: u64,
    }
    let Input { bad, slo, monthly_requests } = input(value);
    json!({"fraction": taken_by_requests(&bad, slo, monthly_requests)})
}

fn fraction_time(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        bad: Vec<u64>,
        total: Vec<u64>,
        step_s: f64,
        slo: f64,
        month_s: f64,
    }
    let Input { bad, total, step_s, slo, month_s } = input(value);
    let steps = steps(bad, total);
    json!({"fraction": taken_by_time(&steps, seconds(step_s), slo, seconds(month_s))})
}

fn burn_rate_alert(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        bad: Vec<u64>,
        total: Vec<u64>,
        step_s: f64,
        slo: Value,
        long_s: f64,
        short_s: f64,
        threshold: Value,
    }
    let found: Input = input(value);
    let rule = BurnRule {
        slo: decimal(&found.slo),
        threshold: decimal(&found.threshold),
        long: seconds(found.long_s),
        short: seconds(found.short_s),
    };
    let series = steps(found.bad, found.total);
    json!({"first_index": first_fire(&rule, seconds(found.step_s), &series)})
}
