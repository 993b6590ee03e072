//! What a plan may do: the limits that are always there. Reads the plan alone; a refusal names the
//! limit and how to change it, and nothing is started.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::fault::{Capability, Extent, Reversibility, Touched};
use crate::plan::{Arm, FaultPlan, Plan};
use crate::time::WallTime;

/// Why a plan may not be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A stable word: `environment`, `blast-radius`, `irreversible`, `capability`, `approvals`.
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

/// A person's consent to one plan, for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// SHA-256 of the plan, in hexadecimal. Another plan needs another consent.
    pub plan: String,
    /// Who, by their own word.
    pub by: String,
    /// The account of the machine that it was given from.
    pub account: String,
    /// When.
    pub at: WallTime,
    /// From then on it counts no more.
    pub expires: WallTime,
    /// Why, or under which conditions; may be empty.
    #[serde(default)]
    pub note: String,
}

/// Those consents that count for a plan now: for this very plan, not expired, one per person.
pub fn valid_approvals<'a>(
    plan_sha256: &str,
    approvals: &'a [Approval],
    now: WallTime,
) -> Vec<&'a Approval> {
    let mut persons = BTreeSet::new();
    approvals
        .iter()
        .filter(|one| one.plan == plan_sha256 && one.at <= now && now < one.expires)
        .filter(|one| persons.insert(one.by.trim().to_lowercase()))
        .collect()
}

/// Why a plan may not be run yet: too few have approved it.
pub fn review_approvals(plan: &Plan, approvals: &[Approval], now: WallTime) -> Option<Refusal> {
    let (sha256, needed) = (plan.sha256(), plan.safety.approvals as usize);
    let valid = valid_approvals(&sha256, approvals, now).len();
    (valid < needed).then(|| Refusal {
        rule: "approvals",
        because: format!("{valid} of {needed} approvals are there"),
        hint: format!("`gameday approve {sha256} --by NAME`, by somebody who has read the plan"),
    })
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

/// How much the faults of an arm touch together, at most.
pub fn extent(plan: &Plan, arm: &Arm) -> Extent {
    Extent::of(&plan.system.topology, faults(plan, arm).map(|fault| &fault.radius))
}

fn radius(plan: &Plan, arm: &Arm) -> Vec<Refusal> {
    let limit = &plan.safety.radius;
    let Extent { instances, share, edges } = extent(plan, arm);
    let mut refusals = Vec::new();
    let mut refuse = |what: &str, asked: String, limit: String, key: &str| {
        refusals.push(Refusal {
            rule: "blast-radius",
            because: format!("arm {} touches {asked} {what}, the limit is {limit}", arm.name),
            hint: format!("touch less, or raise `safety.blastRadius.{key}`"),
        });
    };
    if instances > limit.instances {
        refuse("instances", instances.to_string(), limit.instances.to_string(), "instances");
    }
    if edges > limit.edges {
        refuse("edges", edges.to_string(), limit.edges.to_string(), "edges");
    }
    if share > limit.share {
        refuse("of a service", share.to_string(), limit.share.to_string(), "share");
    }
    refusals
}

/// Why a fault that is armed may not be injected: an injector chooses its targets only now, so what
/// its record names is held against the plan once more. `None` when it may.
pub fn review_armed(plan: &Plan, fault: &FaultPlan, touched: &Touched) -> Option<String> {
    let beyond = fault.radius.is_exceeded_by(touched);
    let arms = plan.arms.iter().filter(|arm| arm.faults.contains(&fault.id));
    // Within the radius of each fault, an arm touches no more than all of them together.
    let mut together = arms.flat_map(|arm| radius(plan, arm));
    beyond.or_else(|| Some(together.next()?.because))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::{ms, plan};
    use crate::units::Ratio;

    fn rules(change: impl FnOnce(&mut Plan)) -> Vec<&'static str> {
        let mut plan = plan(&["fault"]);
        change(&mut plan);
        review(&plan).into_iter().map(|refusal| refusal.rule).collect()
    }

    #[test]
    fn a_plan_within_its_limits_may_run() {
        assert_eq!(rules(|_| {}), [""; 0]);
    }

    #[test]
    fn every_limit_refuses() {
        assert_eq!(rules(|p| p.system.environment = "prod".into()), ["environment"]);
        assert_eq!(
            rules(|p| p.faults[0].radius.instances = vec!["a/0".into(), "a/1".into()]),
            ["blast-radius"]
        );
        assert_eq!(
            rules(|p| {
                p.faults[0].radius.edges = vec!["a->b".into()];
                p.faults[1].radius.edges = vec!["b->c".into()];
            }),
            ["blast-radius"],
            "faults of one arm count together"
        );
        assert_eq!(
            rules(|p| {
                p.safety.radius.share = Ratio::from_percent(34);
                p.faults[1].radius.share = Some(Ratio::from_percent(50));
            }),
            ["blast-radius"]
        );
        assert_eq!(
            rules(|p| {
                for fault in &mut p.faults {
                    fault.radius.instances = vec!["a/0".into(), "a/1".into()];
                    fault.radius.at_most = Some(1);
                }
            }),
            ["blast-radius"],
            "chance may choose two different ones"
        );
        assert_eq!(rules(|p| p.safety.radius.max_for = ms(999)), ["blast-radius"; 2]);
        assert_eq!(
            rules(|p| {
                p.capabilities.insert("pidfd".into(), Capability::Missing("old kernel".into()));
            }),
            ["capability"]
        );
    }

    #[test]
    fn what_is_armed_is_held_against_the_plan_again() {
        let mut plan = plan(&["fault"]);
        plan.faults[0].radius.edges = vec!["a->b".into()];
        let armed = |plan: &Plan, edge: &str| {
            review_armed(plan, &plan.faults[0], &Touched::edges([edge.to_owned()]))
        };
        assert_eq!(armed(&plan, "a->b"), None);
        assert!(armed(&plan, "b->c").unwrap().contains("it names b->c"));
        plan.faults[1].radius.edges = vec!["b->c".into()];
        let together = armed(&plan, "a->b").unwrap();
        assert!(together.contains("touches 2 edges, the limit is 1"), "{together}");
        plan.arms[0].faults.pop();
        assert_eq!(armed(&plan, "a->b"), None, "in another arm it is alone");
    }

    #[test]
    fn approvals_are_for_this_plan_for_a_while_and_one_per_person() {
        let mut plan = plan(&["fault"]);
        plan.safety.approvals = 2;
        let sha256 = plan.sha256();
        let approval = |by: &str| Approval {
            plan: sha256.clone(),
            by: by.to_owned(),
            account: "root".to_owned(),
            at: WallTime(1_000),
            expires: WallTime(2_000),
            note: String::new(),
        };
        let missing = |approvals: &[Approval], now: i64| {
            review_approvals(&plan, approvals, WallTime(now)).map(|refusal| refusal.because)
        };
        let both = [approval("anna"), approval("ben")];
        assert_eq!(missing(&both, 1_000), None);
        assert_eq!(missing(&both, 1_999), None);
        let none = Some("0 of 2 approvals are there".to_owned());
        let one = Some("1 of 2 approvals are there".to_owned());
        assert_eq!(missing(&[], 1_500), none);
        assert_eq!(missing(&both, 999), none, "not given yet");
        assert_eq!(missing(&both, 2_000), none, "expired");
        assert_eq!(missing(&[approval("anna"), approval("Anna ")], 1_500), one, "one person");
        let other = Approval { plan: "00".to_owned(), ..approval("ben") };
        assert_eq!(missing(&[approval("anna"), other], 1_500), one, "another plan");
    }

    #[test]
    fn what_cannot_be_undone_stays_in_the_lab() {
        let outside = |p: &mut Plan| {
            p.faults[0].reversibility = Reversibility::Irreversible;
            p.system.environment = "staging".into();
            p.safety.environments = vec!["staging".into()];
        };
        assert_eq!(rules(outside), ["irreversible"]);
        assert_eq!(rules(|p| p.faults[0].reversibility = Reversibility::Irreversible), [""; 0]);
    }
}
