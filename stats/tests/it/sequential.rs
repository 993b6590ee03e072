//! Sequential designs.

use crate::Adapter;
use crate::convert::{Alphas, conclusion, input};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use stats::decision::{Claim, Levels, State};
use stats::sequential::{Design, Futility, Progress, Spending, lower_bound_after_pass};

pub(crate) const FUNCTIONS: &[(&str, Adapter)] = &[
    ("sequential_design", sequential_design),
    ("sequential_run", sequential_run),
    ("stagewise_lower_bound", stagewise_lower_bound),
];

#[derive(Deserialize)]
struct Frame {
    q: f64,
    n_max: u32,
}

fn design(value: &Value, levels: Levels) -> Design {
    let Frame { q, n_max } = input(value);
    Design::new(Claim { share: q, levels }, n_max, Spending::Pocock)
}

fn sequential_design(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        truths: Vec<String>,
    }
    let Input { truths } = input(value);
    let design = design(value, input::<Alphas>(value).into());
    let cases = 1..=design.cases_max();
    let pass: Vec<i64> =
        cases.clone().map(|cases| design.pass_failures_max(cases).map_or(-1, i64::from)).collect();
    let fail: Vec<u32> =
        cases.map(|cases| design.fail_failures_min(cases).unwrap_or(cases + 1)).collect();
    let characteristics: Map<String, Value> = truths
        .into_iter()
        .map(|truth| {
            let share = truth.parse().expect("a truth is a number");
            let found = design.characteristics(share, Futility::GoOn);
            let fields = json!({
                "p_pass": found.p_pass,
                "p_fail": found.p_fail,
                "p_inconclusive": found.p_inconclusive,
                "expected_n": found.cases_expected,
            });
            (truth, fields)
        })
        .collect();
    json!({
        "pass_max": pass,
        "fail_min": fail,
        "spent_pass": design.spent().pass,
        "spent_fail": design.spent().fail,
        "oc": characteristics,
    })
}

fn sequential_run(value: &Value) -> Value {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Outcome {
        Ok,
        Bad,
        Ambiguous,
    }
    #[derive(Deserialize)]
    struct Input {
        outcomes: Vec<Outcome>,
    }
    let Input { outcomes } = input(value);
    let states = outcomes.into_iter().map(|outcome| match outcome {
        Outcome::Ok => State::Ok,
        Outcome::Bad => State::Bad,
        Outcome::Ambiguous => State::Ambiguous,
    });
    let walk = design(value, input::<Alphas>(value).into()).walk(states);
    let verdict = match walk.progress {
        Progress::Open { .. } => "running",
        stopped => conclusion(stopped.conclusion()),
    };
    let possible = walk.progress == Progress::Open { pass_possible: true };
    json!({"verdict": verdict, "n": walk.cases, "pass_still_possible": possible})
}

fn stagewise_lower_bound(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        n_stop: u32,
        failures: u32,
        alpha: f64,
    }
    let Input { n_stop, failures, alpha } = input(value);
    let design = design(value, Levels { pass: alpha, fail: alpha });
    json!({"lower": lower_bound_after_pass(&design, n_stop, failures, alpha)})
}
