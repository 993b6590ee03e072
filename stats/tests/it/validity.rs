//! Which cases count, and whether neighbours resemble each other.

use crate::Adapter;
use crate::convert::{Alphas, conclusion, decimal, input};
use serde::Deserialize;
use serde_json::{Value, json};
use stats::clustering::lag_one;
use stats::decision::{Claim, Tally};
use stats::validity::{
    Standing, ValidityMeasures, ValidityRules, decide_with_excluded, invalid_share, validity,
};

pub(crate) const FUNCTIONS: &[(&str, Adapter)] = &[
    ("trial_validity", trial_validity),
    ("verdict_with_invalid", verdict_with_invalid),
    ("lag1_permutation", lag1_permutation),
];

/// Orders that are drawn, not enumerated, come from this seed.
const SEED: u64 = 1;

/// Measures as they stand in a vector.
#[derive(Deserialize)]
pub(crate) struct Metrics {
    sent_ratio: f64,
    send_lag_p99_ms: f64,
    baseline_success: Option<f64>,
    baseline_requests: u64,
    steady_hold_ok: bool,
    fault_effect_share: f64,
    clock_skew_ms: f64,
    alerts_firing_at_injection: u64,
    recovery_restored: bool,
    aborted: bool,
}

impl From<&Metrics> for ValidityMeasures {
    fn from(metrics: &Metrics) -> Self {
        Self {
            sent_ratio: metrics.sent_ratio,
            send_lag_ms_p99: metrics.send_lag_p99_ms,
            baseline_success: metrics.baseline_success,
            baseline_requests: metrics.baseline_requests,
            steady: metrics.steady_hold_ok,
            alerts_firing: metrics.alerts_firing_at_injection,
            fault_effect_share: metrics.fault_effect_share,
            clock_skew_ms: metrics.clock_skew_ms,
            restored: metrics.recovery_restored,
            aborted: metrics.aborted,
        }
    }
}

/// Limits as they stand in a vector.
#[derive(Deserialize)]
pub(crate) struct Rules {
    min_sent_ratio: f64,
    max_send_lag_p99_ms: f64,
    min_baseline_success: f64,
    min_baseline_requests: u64,
    min_fault_effect_share: f64,
    max_clock_skew_ms: f64,
}

impl From<&Rules> for ValidityRules {
    fn from(rules: &Rules) -> Self {
        Self {
            sent_ratio_min: rules.min_sent_ratio,
            send_lag_ms_p99_max: rules.max_send_lag_p99_ms,
            baseline_success_min: rules.min_baseline_success,
            baseline_requests_min: rules.min_baseline_requests,
            fault_effect_share_min: rules.min_fault_effect_share,
            clock_skew_ms_max: rules.max_clock_skew_ms,
        }
    }
}

pub(crate) fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Valid => "valid",
        Standing::Ambiguous => "ambiguous",
        Standing::Excluded => "excluded",
    }
}

fn trial_validity(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        metrics: Metrics,
        rules: Rules,
    }
    let Input { metrics, rules } = input(value);
    let found = validity(&(&metrics).into(), &(&rules).into());
    json!({
        "status": standing(found.standing()),
        "pre": found.before.iter().map(|reason| reason.name()).collect::<Vec<_>>(),
        "post": found.after.iter().map(|reason| reason.name()).collect::<Vec<_>>(),
    })
}

fn verdict_with_invalid(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        ok: u64,
        bad: u64,
        excluded: u64,
        ambiguous: u64,
        q: f64,
        max_invalid_share: Value,
    }
    let Input { ok, bad, excluded, ambiguous, q, max_invalid_share } = input(value);
    let tally = Tally { ok, bad, ambiguous };
    let claim = Claim { share: q, levels: input::<Alphas>(value).into() };
    let found = decide_with_excluded(tally, excluded, decimal(&max_invalid_share), claim);
    json!({
        "invalid_share": invalid_share(tally, excluded).ratio(),
        "p_pass": found.p_pass,
        "p_fail": found.p_fail,
        "verdict": conclusion(found.conclusion),
    })
}

fn lag1_permutation(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        x: Vec<f64>,
    }
    let Input { x } = input(value);
    let found = lag_one(&x, SEED).expect("at least three values");
    json!({"stat": found.covariance, "p": found.p})
}
