//! The plan in words: what is attacked, under which load, how often, and what a pass would mean.

use std::collections::BTreeSet;

use harness_core::plan::{
    Arrivals, Claim, FaultPlan, Holds, JourneyPlan, JourneysPlan, LoadPlan, Plan, Shape, Step,
    StopRule, TrialMode,
};
use harness_core::units::Duration;
use serde_json::Value;

use super::{ArmCount, FaultWords, Setting};
use crate::clean::clean;
use crate::numbers::percent;

/// At most this many values of a fault's specification are spelled out.
const SPEC_VALUES_MAX: usize = 12;

pub(super) fn setting(plan: &Plan, plan_sha256: &str, arms: Vec<ArmCount>) -> Setting {
    let defects = plan.system.defects.iter().map(|(name, value)| (clean(name), clean(value)));
    Setting {
        system: clean(&format!("{}/{}", plan.system.kind, plan.system.name)),
        environment: clean(&plan.system.environment),
        defects: defects.collect(),
        faults: plan.faults.iter().map(fault_words).collect(),
        load: clean(&load_words(&plan.load)),
        arms,
        phases: phases_words(plan),
        steady: clean(&steady_words(plan)),
        pass_means: pass_words(plan),
        safety: clean(&safety_words(plan)),
        seed: plan.seed,
        plan_sha256: clean(plan_sha256),
    }
}

fn fault_words(fault: &FaultPlan) -> FaultWords {
    let when = match fault.at.micros() {
        0 => format!("for {}", fault.lasts),
        _ => format!("{} into the fault phase, for {}", fault.at, fault.lasts),
    };
    FaultWords {
        id: harness_core::ids::FaultId::new(clean(fault.id.as_str())),
        kind: clean(&fault.kind),
        what: clean(&spec_words(&fault.spec)),
        when,
        mechanism: clean(&fault.mechanism),
    }
}

/// `edge checkout->payments, mode blackhole`: the plain values of a specification.
fn spec_words(spec: &Value) -> String {
    let Value::Object(fields) = spec else { return plain(spec) };
    let shown = fields.iter().filter(|(_, value)| !value.is_null()).take(SPEC_VALUES_MAX);
    shown.map(|(key, value)| format!("{key} {}", plain(value))).collect::<Vec<_>>().join(", ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn load_words(load: &LoadPlan) -> String {
    let arrivals = match load.arrivals {
        Arrivals::Constant => "evenly spaced",
        Arrivals::Poisson => "Poisson",
    };
    let total: u64 = load.mix.iter().map(|request| u64::from(request.weight)).sum();
    let request = |request: &harness_core::plan::RequestPlan| {
        let share = f64::from(request.weight) / (total.max(1) as f64);
        match load.mix.len() {
            0 | 1 => request.kind.to_string(),
            _ => format!("{} ({})", request.kind, percent(share)),
        }
    };
    let mix = load.mix.iter().map(request).collect::<Vec<_>>().join(", ");
    if let Some(journeys) = load.journeys() {
        return journeys_words(journeys, load.timeout);
    }
    format!("open loop, {}, {arrivals} arrivals, timeout {}: {mix}", shape(load), load.timeout)
}

/// Says what this model of load hides, wherever a verdict rests on it.
fn journeys_words(plan: &JourneysPlan, timeout: Duration) -> String {
    let total: u64 = plan.journeys.iter().map(|journey| u64::from(journey.weight)).sum();
    let one = |journey: &JourneyPlan| {
        let share = f64::from(journey.weight) / (total.max(1) as f64);
        let (name, steps) = (&journey.name, journey.steps.len());
        format!("{name} ({}, {steps} steps)", percent(share))
    };
    let journeys = plan.journeys.iter().map(one).collect::<Vec<_>>().join(", ");
    let users = plan.users;
    format!(
        "closed model, {users} users who wait for their answers (a slow system gets fewer \
         requests, and a stall delays one request of each user), timeout {timeout}: {journeys}"
    )
}

fn shape(load: &LoadPlan) -> String {
    match &load.shape {
        Shape::Journeys(journeys) => format!("{} users", journeys.users),
        Shape::Constant { rate } => format!("{rate}"),
        Shape::Ramp { from, to, over } => format!("from {from} to {to} over {over}"),
        Shape::Steps { steps } => {
            let one = |step: &Step| format!("{} for {}", step.rate, step.lasts);
            steps.iter().map(one).collect::<Vec<_>>().join(", then ")
        }
        Shape::Spike { base, peak, at, lasts } => {
            format!("{base} with a spike of {peak} after {at} for {lasts}")
        }
        Shape::Recorded { offsets_us } => format!("{} recorded arrivals", offsets_us.len()),
    }
}

fn phases_words(plan: &Plan) -> String {
    let phases = &plan.phases;
    format!(
        "warmup {}, baseline {}, fault {}, recovery up to {}, settle {}",
        phases.warmup, phases.baseline, phases.fault, phases.recovery_up_to, phases.settle
    )
}

fn steady_words(plan: &Plan) -> String {
    let steady = &plan.steady;
    let mut parts = vec![format!("at least {} of requests succeed", steady.success_at_least)];
    if let Some((quantile, bound)) = &steady.latency {
        parts.push(format!("{quantile} latency is at most {bound}"));
    }
    if !steady.sentinels.is_empty() {
        let names = steady.sentinels.iter().map(ToString::to_string).collect::<Vec<_>>();
        parts.push(format!("{} ok", names.join(" and ")));
    }
    format!("{}, for {}", parts.join(", "), steady.hold)
}

/// One sentence about what PASS claims; the claims may differ, then each is said at its place.
fn pass_words(plan: &Plan) -> String {
    if plan.trials.mode == TrialMode::Observed {
        return "A plain comparison: every expectation held in the trials that were seen. It is no \
                confidence statement about incidents to come."
            .to_owned();
    }
    let claims: BTreeSet<_> =
        plan.expectations.iter().map(|expectation| expectation.claim).collect();
    let stop = match plan.trials.stop {
        StopRule::Fixed => "",
        StopRule::Sequential => " Trials stop early as soon as the exact design allows.",
    };
    let claim = match claims.first() {
        Some(Claim { holds: Holds::InAtLeast(share), confidence }) if claims.len() == 1 => format!(
            "In at least {} of incidents like this one, every expectation below holds, each with \
             {} confidence over independent trials.",
            percent(share.as_f64()),
            percent(confidence.as_f64())
        ),
        _ if claims.iter().any(|claim| claim.in_at_least().is_none()) => {
            "Every expectation below holds, each in its own way and with its own confidence: in a \
             share of incidents like this one, on average over them, or against earlier runs."
                .to_owned()
        }
        _ => "In the claimed share of incidents like this one, every expectation below holds, \
              each with its own confidence over independent trials."
            .to_owned(),
    };
    claim + stop
}

fn safety_words(plan: &Plan) -> String {
    let safety = &plan.safety;
    let counted = |count: u32, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    };
    let guards: Vec<&str> = safety.guardrails.iter().map(|guard| guard.text.as_str()).collect();
    let guards = if guards.is_empty() {
        String::new()
    } else {
        format!("; aborts when {}", guards.join(", or "))
    };
    format!(
        "at most {}, {} of a service and {}, no fault longer than {}; faults revert by themselves \
         {} after the last sign of life{guards}",
        counted(safety.radius.instances, "instance", "instances"),
        percent(safety.radius.share.as_f64()),
        counted(safety.radius.edges, "edge", "edges"),
        safety.radius.max_for,
        safety.lease,
    )
}
