//! Cost and telemetry.

use crate::Adapter;
use crate::convert::{input, seconds};
use serde::Deserialize;
use serde_json::{Value, json};
use stats::cost::{CaseCost, SpendSample, SpendWatch, cost_ratio, spend_capped};
use stats::telemetry::completeness;

pub(crate) const FUNCTIONS: &[(&str, Adapter)] = &[
    ("cost_ratio", ratio),
    ("telemetry_completeness", telemetry_completeness),
    ("spend_capped", capped),
];

fn ratio(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        cost: Vec<f64>,
        requests: Vec<f64>,
        cap: f64,
        alpha: f64,
    }
    let Input { cost, requests, cap, alpha } = input(value);
    let cases: Vec<CaseCost> = cost
        .into_iter()
        .zip(requests)
        .map(|(spent, requests)| CaseCost { spent, requests })
        .collect();
    let found = cost_ratio(&cases, cap, alpha).expect("some requests");
    json!({
        "ratio": found.ratio,
        "log_upper": found.log_upper,
        "t_upper": found.t_upper,
        "fieller_p": found.p_below_cap,
    })
}

fn telemetry_completeness(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        received: Vec<u64>,
        sent: u64,
        step_s: f64,
    }
    let Input { received, sent, step_s } = input(value);
    let found = completeness(&received, sent);
    json!({
        "completeness": found.received.ratio(),
        "duplicates": found.duplicates,
        "missing": found.missing(),
        "longest_gap_s": found.longest_gap(seconds(step_s)).as_secs_f64(),
    })
}

fn capped(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        samples: Vec<(f64, f64)>,
        cap: f64,
        runaway_start: f64,
        grace: f64,
    }
    let found: Input = input(value);
    let samples: Vec<SpendSample> =
        found.samples.into_iter().map(|(at, rate)| SpendSample { at: seconds(at), rate }).collect();
    let watch = SpendWatch {
        cap: found.cap,
        runaway_start: seconds(found.runaway_start),
        grace: seconds(found.grace),
    };
    let found = spend_capped(&samples, &watch);
    json!({
        "ok": found.capped,
        "time_to_cap": found.time_to_cap.map(|time| time.as_secs_f64()),
    })
}
