//! Recovery times: from probes, against deadlines, with censoring.

use crate::Adapter;
use crate::convert::{Alphas, decision, input, joined, seconds, state};
use serde::Deserialize;
use serde_json::{Value, json};
use stats::binomial::Bounds;
use stats::decision::{Claim, Tally, decide};
use stats::recovery::{Course, Interval, Probe, Search, from_probes};
use stats::survival::{Spell, kaplan_meier, survival_bounds};

pub(crate) const FUNCTIONS: &[(&str, Adapter)] = &[
    ("recovery_from_probes", recovery_from_probes),
    ("within_deadline", within_deadline),
    ("recovery_verdict", recovery_verdict),
    ("kaplan_meier", curve),
    ("bpcp_upper_survival", bpcp_upper_survival),
];

pub(crate) fn probes(probes: Vec<(f64, bool)>) -> Vec<Probe> {
    probes.into_iter().map(|(at, good)| Probe { at: seconds(at), good }).collect()
}

fn recovery_from_probes(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        probes: Vec<(f64, bool)>,
        fault_start: f64,
        hold: f64,
        measured_from: f64,
    }
    let found: Input = input(value);
    let search = Search {
        fault_start: seconds(found.fault_start),
        hold: seconds(found.hold),
        measured_from: seconds(found.measured_from),
    };
    let recovery = from_probes(&probes(found.probes), &search);
    let (kind, relapsed) = match recovery.course {
        Course::NoImpact => ("no_impact", false),
        Course::Recovered { relapsed } => ("recovered", relapsed),
        Course::Censored => ("censored", false),
    };
    json!({
        "kind": kind,
        "lower": recovery.interval.lower.as_secs_f64(),
        "upper": recovery.interval.upper.map(|upper| upper.as_secs_f64()),
        "relapsed": relapsed,
    })
}

fn interval(lower: f64, upper: Option<f64>) -> Interval {
    Interval { lower: seconds(lower), upper: upper.map(seconds) }
}

fn within_deadline(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        lower: f64,
        upper: Option<f64>,
        deadline: f64,
    }
    let Input { lower, upper, deadline } = input(value);
    json!({"state": state(interval(lower, upper).within(seconds(deadline)))})
}

fn recovery_verdict(value: &Value) -> Value {
    #[derive(Deserialize)]
    struct Input {
        intervals: Vec<(f64, Option<f64>)>,
        deadline: f64,
        q: f64,
    }
    let Input { intervals, deadline, q } = input(value);
    let states = intervals
        .into_iter()
        .map(|(lower, upper)| interval(lower, upper).within(seconds(deadline)));
    let tally: Tally = states.collect();
    let claim = Claim { share: q, levels: input::<Alphas>(value).into() };
    let counts = json!({"ok": tally.ok, "bad": tally.bad, "ambiguous": tally.ambiguous});
    joined(decision(decide(tally, claim)), counts)
}

#[derive(Deserialize)]
struct Times {
    #[serde(rename = "times")]
    lasted: Vec<f64>,
    observed: Vec<bool>,
    #[serde(rename = "T")]
    moment: f64,
    alpha: f64,
}

impl Times {
    fn spells(&self) -> Vec<Spell> {
        self.lasted
            .iter()
            .zip(&self.observed)
            .map(|(&time, &ended)| Spell { time, ended })
            .collect()
    }
}

fn curve(value: &Value) -> Value {
    let times: Times = input(value);
    let found = kaplan_meier(&times.spells(), times.moment, times.alpha).expect("some spells");
    json!({
        "S_T": found.survival,
        "median": found.median,
        "loglog_lower_S": found.survival_bounds.map(|bounds| bounds.lower),
        "loglog_upper_S": found.survival_bounds.map(|bounds| bounds.upper),
        "rmst": found.restricted_mean,
    })
}

fn bpcp_upper_survival(value: &Value) -> Value {
    let times: Times = input(value);
    let Bounds { upper, .. } = survival_bounds(&times.spells(), times.moment, times.alpha);
    json!({"upper": upper})
}
