//! The whole chain: raw records of cases to the joint end.

use crate::Adapter;
use crate::automation::{Event, actions};
use crate::convert::{Alphas, conclusion, decimal, decision, input, joined, seconds, state};
use crate::latency::{Edges, buckets};
use crate::recovery::probes;
use crate::validity::{Metrics, Rules, standing};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use stats::automation::{Wanted, exactly_once, was_tried};
use stats::composition::{Asked, Family, FamilyDecision, compose};
use stats::decimal::Share;
use stats::decision::State;
use stats::degradation::worsening_state;
use stats::latency::{ThresholdCounts, nearest_rank};
use stats::multiplicity::MergeRules;
use stats::recovery::{Search, from_probes};
use stats::validity::{Standing, validity};

pub(crate) const FUNCTIONS: &[(&str, Adapter)] = &[("scenario_report", scenario_report)];

#[derive(Deserialize)]
struct Window {
    #[serde(default)]
    good: u64,
    total: u64,
    errors: u64,
    histogram: Vec<Edges>,
}

#[derive(Deserialize)]
struct Trial {
    fault: Window,
    baseline: Window,
    probes: Vec<(f64, bool)>,
    fault_start: f64,
    actions: Vec<Event>,
    metrics: Metrics,
}

#[derive(Deserialize)]
struct Assertion {
    name: String,
    q: Option<f64>,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "snake_case")]
enum Kind {
    SuccessRate { target: Value },
    Latency { quantile: Value, threshold_ms: f64 },
    Recovery { deadline_s: f64, hold_s: f64 },
    Degradation { quantile: Value, max_ratio: Value },
    ExactlyOnce { action: String, target: String, window: (f64, f64) },
    Never { action: String, max_rate: f64 },
}

#[derive(Deserialize)]
struct Input {
    trials: Vec<Value>,
    assertions: Vec<Assertion>,
    rules: Rules,
    max_invalid_share: Value,
}

fn asked(assertion: &Assertion) -> Asked {
    match (&assertion.kind, assertion.q) {
        (Kind::Never { max_rate, .. }, _) => Asked::Never { rate_max: *max_rate },
        (_, Some(share)) => Asked::Share(share),
        (_, None) => panic!("assertion {} claims no share", assertion.name),
    }
}

fn observed(kind: &Kind, trial: Trial) -> Option<State> {
    let Trial { fault, baseline, .. } = trial;
    match kind {
        Kind::SuccessRate { target } => {
            State::of_share(Share { part: fault.good, whole: fault.total }, decimal(target))
        }
        Kind::Latency { quantile, threshold_ms } => {
            let buckets = buckets(fault.histogram);
            ThresholdCounts::of_buckets(&buckets, fault.errors, *threshold_ms)
                .quantile_within(decimal(quantile))
        }
        Kind::Recovery { deadline_s, hold_s } => {
            let search = Search {
                fault_start: seconds(trial.fault_start),
                hold: seconds(*hold_s),
                measured_from: seconds(trial.fault_start),
            };
            let recovery = from_probes(&probes(trial.probes), &search);
            Some(recovery.interval.within(seconds(*deadline_s)))
        }
        Kind::Degradation { quantile, max_ratio } => {
            let [baseline, fault] = [baseline, fault].map(|window| {
                nearest_rank(&buckets(window.histogram), window.errors, decimal(quantile))
            });
            worsening_state(baseline, fault, decimal(max_ratio))
        }
        Kind::ExactlyOnce { action, target, window } => {
            let (from, until) = (seconds(window.0), seconds(window.1));
            let wanted = Wanted { name: action, target, from, until };
            Some(exactly_once(&actions(&trial.actions), &wanted).state())
        }
        Kind::Never { action, .. } => {
            let tried = was_tried(&actions(&trial.actions), action);
            Some(if tried { State::Bad } else { State::Ok })
        }
    }
}

fn family_decision(name: &str, found: FamilyDecision) -> Value {
    match found {
        FamilyDecision::Share { tally, decision: decided } => joined(
            decision(decided),
            json!({
                "name": name,
                "ok": tally.ok,
                "bad": tally.bad,
                "ambiguous": tally.ambiguous,
            }),
        ),
        FamilyDecision::Never { violated, decision: decided } => json!({
            "name": name,
            "trials": violated.whole,
            "violations": violated.part,
            "upper": decided.upper,
            "verdict": conclusion(decided.conclusion),
        }),
    }
}

fn scenario_report(value: &Value) -> Value {
    let found: Input = input(value);
    let standings: Vec<Standing> = found
        .trials
        .iter()
        .map(|trial| {
            let trial: Trial = input(trial);
            validity(&(&trial.metrics).into(), &(&found.rules).into()).standing()
        })
        .collect();
    let families: Vec<Family> = found
        .assertions
        .iter()
        .map(|assertion| Family {
            asked: asked(assertion),
            observed: found
                .trials
                .iter()
                .map(|trial| observed(&assertion.kind, input(trial)))
                .collect(),
        })
        .collect();
    let rules = MergeRules {
        invalid_share_max: decimal(&found.max_invalid_share),
        levels: input::<Alphas>(value).into(),
    };
    let composed = compose(&families, &standings, &rules);
    let names = || found.assertions.iter().map(|assertion| assertion.name.as_str());
    let states: Map<String, Value> = names()
        .zip(&composed.counted)
        .map(|(name, counted)| {
            let states: Vec<Option<&str>> =
                counted.iter().map(|counted| counted.map(state)).collect();
            (name.to_owned(), json!(states))
        })
        .collect();
    let decisions: Vec<Value> = names()
        .zip(&composed.decisions)
        .map(|(name, decision)| family_decision(name, *decision))
        .collect();
    let all: Vec<&str> = names().collect();
    let mut failed: Vec<&str> = composed.joint.failed.iter().map(|&index| all[index]).collect();
    failed.sort_unstable();
    json!({
        "trial_status": standings.into_iter().map(standing).collect::<Vec<_>>(),
        "states": states,
        "assertions": decisions,
        "invalid_share": composed.invalid.ratio(),
        "failed": failed,
        "scenario": conclusion(composed.joint.conclusion),
    })
}
