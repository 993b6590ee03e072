//! Degradation: sign test, ranks, shifts, equivalence.

use crate::Adapter;
use crate::convert::{Alphas, decision, input, joined};
use serde::Deserialize;
use serde_json::{Value, json};
use stats::decision::{Claim, decide};
use stats::degradation::{
    Margin, Range, Shift, equivalence, mann_whitney_less, median_tally, shift_one_sample,
    shift_two_samples, signed_rank,
};

pub(crate) const FUNCTIONS: &[(&str, Adapter)] = &[
    ("median_claim", median_claim),
    ("signed_rank", signed_ranks),
    ("hodges_lehmann_one_sample", one_sample),
    ("tost_paired", tost_paired),
    ("hodges_lehmann_two_sample", two_samples),
];

/// The share that makes a claim one about the median.
const MEDIAN: f64 = 0.5;

fn median_claim(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        d: Vec<f64>,
        margin: f64,
    }
    let Input { d, margin } = input(value);
    let tally = median_tally(&d, Margin(margin));
    let claim = Claim { share: MEDIAN, levels: input::<Alphas>(value).into() };
    joined(decision(decide(tally, claim)), json!({"ok": tally.ok}))
}

fn signed_ranks(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        d: Vec<f64>,
        margin: f64,
    }
    let Input { d, margin } = input(value);
    let found = signed_rank(&d, margin).expect("few differences");
    json!({
        "n_nonzero": found.nonzero,
        "w_plus": found.rank_sum_above,
        "p_less": found.p_below,
    })
}

fn shift(shift: Shift) -> Value {
    json!({
        "estimate": shift.estimate,
        "upper": shift.upper,
        "lower": shift.lower,
        "k": shift.rank,
    })
}

fn one_sample(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        d: Vec<f64>,
        alpha: f64,
    }
    let Input { d, alpha } = input(value);
    shift(shift_one_sample(&d, alpha).expect("some differences"))
}

fn tost_paired(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        d: Vec<f64>,
        low: f64,
        high: f64,
        alpha: f64,
    }
    let Input { d, low, high, alpha } = input(value);
    let found = equivalence(&d, Range { low, high }, alpha).expect("at least two differences");
    json!({
        "p": found.p(),
        "p_low": found.p_low,
        "p_high": found.p_high,
        "ci_lower": found.bounds.lower,
        "ci_upper": found.bounds.upper,
        "equivalent": found.equivalent,
    })
}

fn two_samples(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        x: Vec<f64>,
        y: Vec<f64>,
        alpha: f64,
    }
    let Input { x, y, alpha } = input(value);
    let found = shift(shift_two_samples(&x, &y, alpha).expect("values in both samples"));
    joined(found, json!({"mw_p_less": mann_whitney_less(&x, &y)}))
}
