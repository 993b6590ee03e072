//! Journeys with their defaults: each step becomes a request of the mix.

use std::collections::{BTreeMap, BTreeSet};

use harness_core::plan::{JourneyPlan, JourneysPlan, RequestPlan, StepPlan, Think};
use harness_core::units::Duration;

use super::load::{check_templates, request_plan};
use crate::ast::{JourneyAst, JourneysAst, LoadAst, StepAst};
use crate::codes;
use crate::findings::{Finding, Findings};
use crate::node::Spanned;

/// What to do instead of walking without a pause.
const OPEN_INSTEAD: &str = "add `think: 200ms`; requests without pauses are \
    `load: {rate: ..., mix: [...]}`, an open loop that does not slow down with the system";

/// The journeys, and the requests of their steps.
pub(super) fn lower(
    load: &LoadAst,
    journeys: &JourneysAst,
    findings: &mut Findings,
) -> Option<(JourneysPlan, Vec<RequestPlan>)> {
    let mut requests = Vec::new();
    let mut plans = Vec::new();
    let mut known: BTreeMap<&str, &Spanned<String>> = BTreeMap::new();
    for journey in &journeys.mix {
        if let Some(first) = known.insert(&journey.name.value, &journey.name) {
            let message = format!("two journeys are called `{}`", journey.name.value);
            findings.push(
                Finding::error(codes::DUPLICATE_NAME, journey.name.span, message)
                    .hint("give one of them another name")
                    .related(first.span, "the first one"),
            );
        }
        plans.push(lower_one(load, journey, &mut requests, findings));
    }
    let users = journeys.users.as_ref()?.value;
    (!requests.is_empty()).then_some((
        JourneysPlan {
            users: u32::try_from(users).expect("the reader keeps users far below 2^32"),
            ramp_up: journeys.ramp_up.as_ref().map_or(Duration::ZERO, |ramp_up| ramp_up.value),
            journeys: plans,
        },
        requests,
    ))
}

fn lower_one(
    load: &LoadAst,
    journey: &JourneyAst,
    requests: &mut Vec<RequestPlan>,
    findings: &mut Findings,
) -> JourneyPlan {
    let weight = journey.weight.as_ref().map_or(1, |weight| {
        u32::try_from(weight.value).expect("the reader keeps weights below 2^32")
    });
    let mut found = BTreeSet::new();
    let mut steps = Vec::new();
    for step in &journey.steps {
        check_templates(&step.request, &load.feeds, &found, findings);
        check_names(load, step, findings);
        found.extend(step.extract.iter().map(|(name, _)| name.value.as_str()));
        let request = u32::try_from(requests.len()).expect("the reader bounds the steps");
        let think = pause(journey, step, steps.is_empty(), findings);
        requests.push(RequestPlan { weight, ..request_plan(&step.request) });
        steps.push(StepPlan {
            request,
            think,
            good: step.good.clone(),
            body_matches: step.body_matches.as_ref().map(|pattern| pattern.value.clone()),
            extract: step
                .extract
                .iter()
                .map(|(name, extract)| (name.value.clone(), extract.value.clone()))
                .collect(),
        });
    }
    JourneyPlan { name: journey.name.value.clone(), weight, steps }
}

/// The pause before a step. Before a journey's first one there must be some: a visit that fails at
/// once would else be followed by the next without end.
fn pause(journey: &JourneyAst, step: &StepAst, first: bool, findings: &mut Findings) -> Think {
    let think = step.think.as_ref().or(journey.think.as_ref());
    let name = &journey.name;
    let place = think.map_or(name.span, |think| think.span);
    let think = think.map_or(Think::Fixed { lasts: Duration::ZERO }, |think| think.value);
    if first && think.mean_secs() == 0.0 {
        let message = format!("the users of `{}` do not pause before it", name.value);
        let label = if place == name.span { "has no `think`" } else { "zero" };
        findings.push(
            Finding::error(codes::IMPOSSIBLE_LOAD, place, message).label(label).hint(OPEN_INSTEAD),
        );
    }
    think
}

/// A value must not have the name of a feed: a text could mean either.
fn check_names(load: &LoadAst, step: &StepAst, findings: &mut Findings) {
    for (name, _) in &step.extract {
        if load.feeds.contains_key(&name.value) {
            let message = format!("a feed is called `{}`, too", name.value);
            findings.push(
                Finding::error(codes::DUPLICATE_NAME, name.span, message)
                    .hint("give the value another name"),
            );
        }
    }
}
