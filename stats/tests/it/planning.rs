//! How many cases a claim needs.

use crate::Adapter;
use crate::convert::input;
use serde::Deserialize;
use serde_json::{Value, json};
use stats::planning::{
    PairedPlan, Wanted, cases_allowing, clean_cases_for_mean, clean_cases_needed,
    detectable_difference, fixed_design, share_proven,
};

pub(crate) const FUNCTIONS: &[(&str, Adapter)] = &[
    ("zero_failure_trials", zero_failure_trials),
    ("zero_failures_prove", zero_failures_prove),
    ("trials_allowing_failures", trials_allowing_failures),
    ("fixed_design", fixed),
    ("capped_mean_trials", capped_mean_trials),
    ("mde_paired", mde_paired),
];

fn zero_failure_trials(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        q: f64,
        conf: f64,
    }
    let Input { q, conf } = input(value);
    json!({"n": clean_cases_needed(q, 1.0 - conf)})
}

fn zero_failures_prove(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        n: u64,
        conf: f64,
    }
    let Input { n, conf } = input(value);
    json!({"q": share_proven(n, 1.0 - conf)})
}

fn trials_allowing_failures(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        q: f64,
        failures: u64,
        alpha: f64,
    }
    let Input { q, failures, alpha } = input(value);
    json!({"n": cases_allowing(failures, q, alpha)})
}

fn fixed(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        q: f64,
        p1: f64,
        alpha: f64,
        power: f64,
    }
    let Input { q, p1, alpha, power } = input(value);
    let wanted = Wanted { share: q, alternative: p1, alpha, power };
    let found = fixed_design(wanted).expect("a design");
    json!({
        "n": found.cases,
        "allowed_failures": found.failures_max,
        "actual_alpha": found.alpha_actual,
        "actual_power": found.power_actual,
    })
}

fn capped_mean_trials(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        eps: f64,
        cap: f64,
        alpha: f64,
    }
    let Input { eps, cap, alpha } = input(value);
    json!({"n": clean_cases_for_mean(eps, cap, alpha)})
}

fn mde_paired(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        n: u64,
        sd: f64,
        alpha: f64,
        power: f64,
    }
    let Input { n, sd, alpha, power } = input(value);
    let plan = PairedPlan { pairs: n, deviation: sd, alpha, power };
    json!({"mde": detectable_difference(plan)})
}
