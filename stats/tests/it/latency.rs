//! Latency: nearest ranks, thresholds, bounds of quantiles over cases.

use crate::Adapter;
use crate::convert::{decimal, input, state};
use serde::Deserialize;
use serde_json::{Value, json};
use stats::latency::{Bucket, Quantile, ThresholdCounts, nearest_rank, quantile_upper_bound};

pub(crate) const FUNCTIONS: &[(&str, Adapter)] = &[
    ("hist_quantile", hist_quantile),
    ("trial_latency_ok", trial_latency_ok),
    ("quantile_upper_bound", upper_bound),
];

/// A bucket as lower edge, upper edge and count.
#[derive(Deserialize)]
pub(crate) struct Edges(f64, f64, u64);

pub(crate) fn buckets(edges: Vec<Edges>) -> Vec<Bucket> {
    edges.into_iter().map(|Edges(above, up_to, count)| Bucket { above, up_to, count }).collect()
}

fn hist_quantile(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        buckets: Vec<(f64, u64)>,
        errors: u64,
        q: Value,
    }
    let Input { buckets, errors, q } = input(value);
    let mut above = 0.0;
    let buckets: Vec<Bucket> = buckets
        .into_iter()
        .map(|(up_to, count)| {
            let bucket = Bucket { above, up_to, count };
            above = up_to;
            bucket
        })
        .collect();
    match nearest_rank(&buckets, errors, decimal(&q)) {
        Quantile::UpTo(edge) => json!({"value": edge}),
        Quantile::NoSample | Quantile::Lost => json!({"value": null}),
    }
}

fn trial_latency_ok(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        buckets: Vec<Edges>,
        errors: u64,
        q: Value,
        threshold: f64,
    }
    let found: Input = input(value);
    let buckets = buckets(found.buckets);
    let counts = ThresholdCounts::of_buckets(&buckets, found.errors, found.threshold);
    json!({
        "state": counts.quantile_within(decimal(&found.q)).map_or("invalid", state),
        "counts": {
            "le": counts.at_most,
            "gt": counts.above,
            "straddle": counts.straddling,
        },
    })
}

fn upper_bound(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        values: Vec<f64>,
        q: f64,
        conf: f64,
    }
    let Input { values, q, conf } = input(value);
    let found = quantile_upper_bound(&values, q, conf);
    json!({"rank": found.rank, "bound": found.bound, "achieved": found.confidence})
}
