//! Several claims in one judgement.

use crate::Adapter;
use crate::convert::{Alphas, conclusion, decimal, input};
use serde::Deserialize;
use serde_json::{Value, json};
use stats::decimal::Share;
use stats::multiplicity::{ClaimEvidence, MergeRules, benjamini_hochberg, holm, merge};

pub(crate) const FUNCTIONS: &[(&str, Adapter)] =
    &[("adjust_p", adjust_p), ("scenario_verdict", scenario_verdict)];

fn adjust_p(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        p: Vec<f64>,
    }
    let Input { p } = input(value);
    json!({"holm": holm(&p), "bh": benjamini_hochberg(&p)})
}

fn scenario_verdict(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Assertion {
        name: String,
        p_pass: f64,
        p_fail: f64,
        #[serde(default)]
        never_violated: bool,
    }
    #[derive(Deserialize)]
    struct Input {
        assertions: Vec<Assertion>,
        invalid: u64,
        valid: u64,
        max_invalid_share: Value,
    }
    let found: Input = input(value);
    let claims: Vec<ClaimEvidence> = found
        .assertions
        .iter()
        .map(|&Assertion { p_pass, p_fail, never_violated, .. }| ClaimEvidence {
            p_pass,
            p_fail,
            never_violated,
        })
        .collect();
    let rules = MergeRules {
        invalid_share_max: decimal(&found.max_invalid_share),
        levels: input::<Alphas>(value).into(),
    };
    let invalid = Share { part: found.invalid, whole: found.invalid + found.valid };
    let joint = merge(&claims, invalid, &rules);
    let mut failed: Vec<&str> =
        joint.failed.iter().map(|&index| found.assertions[index].name.as_str()).collect();
    failed.sort_unstable();
    json!({
        "scenario": conclusion(joint.conclusion),
        "failed": failed,
        "reason": joint.too_many_invalid.then_some("too_many_invalid"),
    })
}
