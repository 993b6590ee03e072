//! Success shares: exact bounds, decisions, clusters, capped means.

use crate::Adapter;
use crate::convert::{Alphas, decimal, decision, input};
use serde::Deserialize;
use serde_json::{Value, json};
use stats::binomial::{Bounds, bounds};
use stats::bounded_mean::{BettingProcess, CappedLosses};
use stats::clustering::cluster_mean;
use stats::decimal::Share;
use stats::decision::{Claim, State, Tally, decide};

pub(crate) const FUNCTIONS: &[(&str, Adapter)] = &[
    ("clopper_pearson", clopper_pearson),
    ("compliance_verdict", compliance_verdict),
    ("trial_success_ok", trial_success_ok),
    ("cluster_mean", clusters),
    ("bounded_mean_bounds", bounded_mean_bounds),
    ("betting_e_process", betting_e_process),
];

fn clopper_pearson(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        successes: u64,
        n: u64,
        alpha: f64,
    }
    let Input { successes, n, alpha } = input(value);
    let Bounds { lower, upper } = bounds(Share { part: successes, whole: n }, alpha);
    json!({"lower": lower, "upper": upper})
}

fn compliance_verdict(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        ok: u64,
        bad: u64,
        ambiguous: u64,
        q: f64,
    }
    let Input { ok, bad, ambiguous, q } = input(value);
    let claim = Claim { share: q, levels: input::<Alphas>(value).into() };
    decision(decide(Tally { ok, bad, ambiguous }, claim))
}

fn trial_success_ok(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        good: u64,
        total: u64,
        target: Value,
    }
    let Input { good, total, target } = input(value);
    let state = State::of_share(Share { part: good, whole: total }, decimal(&target));
    json!({"ok": state.map(|state| state == State::Ok)})
}

fn clusters(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        good: Vec<u64>,
        total: Vec<u64>,
        alpha: f64,
    }
    let Input { good, total, alpha } = input(value);
    let clusters: Vec<Share> =
        good.into_iter().zip(total).map(|(part, whole)| Share { part, whole }).collect();
    let found = cluster_mean(&clusters, alpha).expect("a vector has traffic");
    json!({
        "n": found.clusters,
        "ratio": found.ratio,
        "se": found.standard_error,
        "t_lower": found.t_bounds.map(|bounds| bounds.lower),
        "t_upper": found.t_bounds.map(|bounds| bounds.upper),
        "logit_lower": found.logit_bounds.map(|bounds| bounds.lower),
        "logit_upper": found.logit_bounds.map(|bounds| bounds.upper),
        "deff": found.design_effect,
        "icc": found.intraclass_correlation,
    })
}

fn bounded_mean_bounds(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        x: Vec<f64>,
        cap: f64,
        alpha: f64,
    }
    let Input { x, cap, alpha } = input(value);
    let Bounds { lower, upper } = CappedLosses::new(&x, cap).expect("capped losses").bounds(alpha);
    json!({"lower": lower, "upper": upper})
}

fn betting_e_process(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        x: Vec<f64>,
        m0: f64,
        cap: f64,
        lambda_grid: Vec<f64>,
        alpha: f64,
    }
    let Input { x, m0, cap, lambda_grid, alpha } = input(value);
    let mut process = BettingProcess::new(m0, cap, &lambda_grid);
    let mut first_pass = None;
    let path: Vec<f64> = (1..)
        .zip(x)
        .map(|(cases, loss)| {
            let evidence = process.observe(loss).expect("a capped loss");
            first_pass = first_pass.or(process.rejects(alpha).then_some(cases));
            evidence
        })
        .collect();
    json!({"path": path, "first_pass_n": first_pass})
}
