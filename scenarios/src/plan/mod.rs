//! Scenario to plan: names are resolved, defaults written out, limits checked, trials drawn.
//!
//! The same steps serve `check`, which drops the plan, so that both say the same. Each step goes on
//! when an earlier one failed, as far as it can without repeating the same complaint.

mod automation;
mod conflicts;
mod containers;
mod cost;
mod expectations;
mod families;
mod faults;
mod horizon;
mod journeys;
mod load;
mod objectives;
mod phases;
mod regression;
mod safety;
mod signals;
mod spec_value;
mod steady;
mod system;
mod trials;
mod window;

use std::collections::BTreeMap;

use harness_core::fault::{Capability, Registry};
use harness_core::plan::{Deadlines, Expectation, FORMAT, Plan, ScenarioReference, TrialMode};
use harness_core::system::SystemKind;
use harness_core::units::Duration;

use crate::ast::{ClaimsAst, Spec};
use crate::findings::Findings;

pub use trials::{JITTER_MAX, SEED_DEFAULT, SPARE_PERCENT};

/// What comes from outside the scenario.
pub(crate) struct Context<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) systems: &'a [SystemKind],
    pub(crate) seed: Option<u64>,
    pub(crate) trials: Option<u32>,
    pub(crate) placebo: Option<u32>,
    pub(crate) mode: Option<TrialMode>,
    pub(crate) defects: &'a [(String, String)],
    /// `None` while only the text is checked.
    pub(crate) capabilities: Option<&'a BTreeMap<String, Capability>>,
    pub(crate) sha256: &'a str,
    pub(crate) params: &'a BTreeMap<String, String>,
}

/// Makes the plan. `None` when something is wrong, which is then among the findings.
pub(crate) fn lower(spec: &Spec, context: &Context<'_>, findings: &mut Findings) -> Option<Plan> {
    // Checks of numbers across sections would complain about defaults that stand in for what could
    // not be read; they wait until everything could be.
    let readable = !findings.has_errors();
    let system = system::lower(spec, context, findings);
    let topology = system.as_ref().map(|system| &system.topology);
    let load = load::lower(spec, findings);
    containers::refuse_records(spec, system.as_ref(), findings);
    let signals = signals::lower(spec, topology, system.as_ref(), findings);
    let faults = faults::lower(spec, context, system.as_ref(), &signals, findings);
    let steady = steady::lower(spec, &signals, findings);
    let before = findings.count();
    let phases = phases::lower(spec, &faults.plans, &steady, findings);
    let readable = readable && findings.count() == before;
    let arms = trials::arms(spec, context, &faults, findings);
    let timeline = window::Timeline::new(phases, &faults);
    let objectives = objectives::lower(&spec.claims.objectives, load.as_ref(), findings);
    let expectations = expectations::lower(
        &spec.claims,
        &expectations::Surroundings {
            faults: &faults,
            arms: &arms,
            signals: &signals,
            load: load.as_ref(),
            timeline: &timeline,
            objectives: &objectives,
            system: system.as_ref(),
        },
        findings,
    );
    let safety = safety::lower(spec, system.as_ref(), &faults.plans, &arms, findings);
    conflicts::refuse(context.registry, system.as_ref(), &faults, &arms, findings);
    if readable {
        let horizon = horizon::Horizon {
            load: load.as_ref(),
            signals: &signals,
            steady: &steady,
            phases,
            faults: &faults.plans,
            timeline: &timeline,
        };
        horizon::check(spec, &expectations, &horizon, findings);
    }
    let trials = trials::lower(spec, context, &arms, &expectations, phases, findings);
    if findings.has_errors() {
        return None;
    }
    let load = load?;
    let system = system?;
    let deadlines = deadlines(load.timeout);
    Some(Plan {
        format: FORMAT.to_owned(),
        scenario: reference(spec, context),
        seed: trials::seed(spec, context),
        system,
        capabilities: faults.capabilities,
        load,
        signals: signals.plans,
        steady,
        phases,
        faults: faults.plans,
        arms,
        trials,
        expectations: expectations.into_iter().map(|(_, expectation)| expectation).collect(),
        safety,
        deadlines,
        reports: spec.reports.clone(),
    })
}

fn reference(spec: &Spec, context: &Context<'_>) -> ScenarioReference {
    let metadata = &spec.metadata;
    ScenarioReference {
        name: metadata.name.value.clone(),
        title: metadata.title.clone(),
        description: metadata.description.clone(),
        owner: metadata.owner.clone(),
        sha256: context.sha256.to_owned(),
        params: context.params.clone(),
    }
}

/// Expectations resolved against a plan that was run.
pub(crate) fn expectations_for(
    plan: &Plan,
    claims: &ClaimsAst,
    findings: &mut Findings,
) -> Vec<Expectation> {
    let faults = faults::Faults::of(plan);
    let signals = signals::Signals::of(plan);
    let timeline = window::Timeline::new(plan.phases, &faults);
    let objectives = objectives::lower(&claims.objectives, Some(&plan.load), findings);
    let around = expectations::Surroundings {
        faults: &faults,
        arms: &plan.arms,
        signals: &signals,
        load: Some(&plan.load),
        timeline: &timeline,
        objectives: &objectives,
        system: Some(&plan.system),
    };
    let stated = expectations::lower(claims, &around, findings);
    stated.into_iter().map(|(_, expectation)| expectation).collect()
}

/// Deadlines of the engine's steps. They bound what hangs; in a healthy run none is reached.
fn deadlines(request_timeout: Duration) -> Deadlines {
    Deadlines {
        open: Duration::from_secs(30),
        close: Duration::from_secs(15),
        reset: Duration::from_secs(5),
        arm: Duration::from_secs(3),
        inject: Duration::from_secs(3),
        revert: Duration::from_secs(5),
        // What is in flight ends within its timeout; the ids take a little more.
        collect: request_timeout + Duration::from_secs(3),
    }
}
