//! What a plan may do: the limits that are always there. Reads the plan alone; a refusal names the
//! limit and how to change it, and nothing is started.

use std::collections::BTreeSet;

use crate::fault::{Capability, Reversibility};
use crate::plan::{Arm, FaultPlan, Plan};
use crate::units::Ratio;

/// Why a plan may not be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A stable word: `environment`, `blast-radius`, `irreversible`, `capability`.
    pub rule: &'static str,
    /// One sentence without a full stop.
    pub because: String,
    /// How to mend it.
    pub hint: String,
}

/// All reasons why this plan may not be run; empty when it may.
pub fn review(plan: &Plan) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    refusals.extend(environment(plan));
    for arm in &plan.arms {
        refusals.extend(radius(plan, arm));
    }
    for fault in &plan.faults {
        refusals.extend(fault_alone(plan, fault));
    }
    for (mechanism, capability) in &plan.capabilities {
        if let Capability::Missing(why) = capability {
            refusals.push(Refusal {
                rule: "capability",
                because: format!("{mechanism} is not available on this machine: {why}"),
                hint: "`gameday doctor` shows what this machine can do".to_owned(),
            });
        }
    }
    refusals
}

fn environment(plan: &Plan) -> Option<Refusal> {
    let here = &plan.system.environment;
    let allowed = &plan.safety.environments;
    (!allowed.contains(here)).then(|| Refusal {
        rule: "environment",
        because: format!(
            "the system's environment is `{here}`, the scenario allows {}",
            allowed.join(", ")
        ),
        hint: format!("add `{here}` to `safety.environments` if it is meant"),
    })
}

fn faults<'a>(plan: &'a Plan, arm: &'a Arm) -> impl Iterator<Item = &'a FaultPlan> {
    arm.faults.iter().filter_map(|id| plan.fault(id))
}

fn radius(plan: &Plan, arm: &Arm) -> Vec<Refusal> {
    let limit = &plan.safety.radius;
    let instances: BTreeSet<_> = faults(plan, arm).flat_map(|f| &f.radius.instances).collect();
    let edges: BTreeSet<_> = faults(plan, arm).flat_map(|f| &f.radius.edges).collect();
    let share = faults(plan, arm).filter_map(|f| f.radius.share).max().unwrap_or(Ratio::ZERO);
    let mut refusals = Vec::new();
    let mut refuse = |what: &str, asked: String, limit: String, key: &str| {
        refusals.push(Refusal {
            rule: "blast-radius",
            because: format!("arm {} touches {asked} {what}, the limit is {limit}", arm.name),
            hint: format!("touch less, or raise `safety.blastRadius.{key}`"),
        });
    };
    if instances.len() > limit.instances as usize {
        let asked = instances.len().to_string();
        refuse("instances", asked, limit.instances.to_string(), "instances");
    }
    if edges.len() > limit.edges as usize {
        refuse("edges", edges.len().to_string(), limit.edges.to_string(), "edges");
    }
    if share > limit.share {
        refuse("of a service", share.to_string(), limit.share.to_string(), "share");
    }
    refusals
}

fn fault_alone(plan: &Plan, fault: &FaultPlan) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if fault.lasts > plan.safety.radius.max_for {
        refusals.push(Refusal {
            rule: "blast-radius",
            because: format!(
                "{} lasts {}, the limit is {}",
                fault.id, fault.lasts, plan.safety.radius.max_for
            ),
            hint: "shorten it, or raise `safety.blastRadius.maxFor`".to_owned(),
        });
    }
    if fault.reversibility == Reversibility::Irreversible && plan.system.environment != "lab" {
        refusals.push(Refusal {
            rule: "irreversible",
            because: format!("{} cannot be undone", fault.id),
            hint: "faults that cannot be undone run only on a lab".to_owned(),
        });
    }
    refusals
}
