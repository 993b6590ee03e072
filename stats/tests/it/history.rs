//! A new run against earlier ones.

use crate::Adapter;
use crate::convert::{conclusion, input};
use serde::Deserialize;
use serde_json::{Value, json};
use stats::decimal::Share;
use stats::decision::Levels;
use stats::history::{pooled_fisher_less, predict, rank_p};

pub(crate) const FUNCTIONS: &[(&str, Adapter)] = &[
    ("history_prediction", history_prediction),
    ("conformal_rank_p", conformal_rank_p),
    ("fisher_pooled", fisher_pooled),
];

fn history_prediction(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        history: Vec<f64>,
        new: f64,
        alpha: f64,
        margin: f64,
    }
    let Input { history, new, alpha, margin } = input(value);
    let found = predict(&history, new, margin, Levels { pass: alpha, fail: alpha });
    json!({
        "delta": found.difference,
        "lower": found.bounds.map(|bounds| bounds.lower),
        "upper": found.bounds.map(|bounds| bounds.upper),
        "verdict": conclusion(found.conclusion),
    })
}

fn conformal_rank_p(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        history: Vec<f64>,
        new: f64,
    }
    let Input { history, new } = input(value);
    json!({"p": rank_p(&history, new)})
}

fn fisher_pooled(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        history_ok: Vec<u64>,
        new_ok: u64,
        trials_per_run: u64,
    }
    let Input { history_ok, new_ok, trials_per_run } = input(value);
    let run = |part| Share { part, whole: trials_per_run };
    let earlier: Vec<Share> = history_ok.into_iter().map(run).collect();
    json!({"p": pooled_fisher_less(run(new_ok), &earlier)})
}
