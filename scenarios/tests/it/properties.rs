//! Properties of every plan, over random scenarios.

use harness_core::plan::Plan;
use harness_core::policy;
use proptest::prelude::*;

use crate::world::plan_of;

#[derive(Debug, Clone)]
struct Drawn {
    rate: u32,
    kill: bool,
    lasts_ms: u32,
    at_ms: u32,
    count: u32,
    placebo: u32,
    seed: u64,
    param: bool,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    (
        200_u32..2000,
        any::<bool>(),
        2000_u32..9000,
        0_u32..500,
        1_u32..40,
        1_u32..20,
        any::<u64>(),
        any::<bool>(),
    )
        .prop_map(|(rate, kill, lasts_ms, at_ms, count, placebo, seed, param)| Drawn {
            rate,
            kill,
            lasts_ms,
            at_ms,
            count,
            placebo,
            seed,
            param,
        })
}

fn text(drawn: &Drawn) -> String {
    let kind = if drawn.kill {
        "pod-kill: {service: checkout, count: 2}"
    } else {
        "dependency-outage: {edge: checkout->payments, mode: reset}"
    };
    let (params, rate) = if drawn.param {
        (
            format!("  params: {{rps: {{type: rate, default: {}/s}}}}\n", drawn.rate),
            "'${rps}'".to_owned(),
        )
    } else {
        (String::new(), format!("{}/s", drawn.rate))
    };
    format!(
        "apiVersion: gameday.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: drawn}}\nspec:\n\
         {params}  system: {{lab: shop}}\n  \
         load: {{rate: {rate}, request: {{post: /checkout}}}}\n  \
         faults:\n    - {{id: it, {kind}, at: {}ms, for: {}ms}}\n  expect:\n    \
         - successRate: {{atLeast: 90%, during: fault}}\n    \
         - recovery: {{to: restore, within: 3s}}\n  \
         trials: {{seed: {}, count: {}, placebo: {}}}\n",
        drawn.at_ms, drawn.lasts_ms, drawn.seed, drawn.count, drawn.placebo
    )
}

fn keeps_its_limits(plan: &Plan) {
    assert_eq!(policy::review(plan), [], "a plan that was checked may run");
    for arm in &plan.arms {
        let faults = plan.faults.iter().filter(|fault| arm.faults.contains(&fault.id));
        for fault in faults {
            let limit = &plan.safety.radius;
            assert!(fault.radius.count() <= limit.instances);
            assert!(fault.radius.edges.len() <= limit.edges as usize);
            assert!(fault.radius.share.is_none_or(|share| share <= limit.share));
            assert!(fault.lasts <= limit.max_for);
            assert!(fault.at + fault.lasts <= plan.phases.fault);
        }
    }
    assert!(plan.safety.environments.contains(&plan.system.environment));
    assert!(plan.phases.recovery_up_to >= plan.steady.hold);
    assert!(!plan.safety.guardrails.is_empty(), "the load is always watched");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_plan_keeps_its_limits_and_its_counts(drawn in drawn()) {
        let plan = plan_of(&text(&drawn), |_| {}).unwrap();
        keeps_its_limits(&plan);
        let of = |arm: &str| {
            plan.trials.planned.iter().filter(|trial| trial.arm.as_str() == arm).count()
        };
        prop_assert_eq!(of("fault"), drawn.count as usize);
        prop_assert_eq!(of("placebo"), drawn.placebo as usize);
    }

    #[test]
    fn the_same_scenario_and_seed_give_the_same_bytes(drawn in drawn()) {
        let one = plan_of(&text(&drawn), |_| {}).unwrap();
        let two = plan_of(&text(&drawn), |_| {}).unwrap();
        prop_assert_eq!(one.to_json(), two.to_json());
        let read: Plan = serde_json::from_str(&one.to_json()).unwrap();
        prop_assert_eq!(read, one);
    }

    #[test]
    fn another_seed_draws_other_trials(drawn in drawn()) {
        let one = plan_of(&text(&drawn), |_| {}).unwrap();
        let two = plan_of(&text(&drawn), |input| input.seed = Some(drawn.seed ^ 1)).unwrap();
        prop_assert_ne!(&one.trials, &two.trials);
        prop_assert_eq!(one.trials.planned.len(), two.trials.planned.len());
    }

    #[test]
    fn a_parameter_is_the_same_as_its_value(drawn in drawn()) {
        let with = plan_of(&text(&Drawn { param: true, ..drawn.clone() }), |_| {}).unwrap();
        let without = plan_of(&text(&Drawn { param: false, ..drawn }), |_| {}).unwrap();
        prop_assert_eq!(with.scenario.params.len(), 1);
        let with = Plan { scenario: without.scenario.clone(), ..with };
        prop_assert_eq!(with, without);
    }

    #[test]
    fn no_text_makes_it_panic(bytes in "[ -~\n]{0,200}", at in 0_usize..2000, cut in 0_usize..50) {
        let base = include_str!("../../catalogue/payments-outage.yaml");
        let at = at.min(base.len());
        let end = (at + cut).min(base.len());
        let broken = format!("{}{bytes}{}", &base[..at], &base[end..]);
        // Whatever comes out, it comes out: a plan, or words about a place in the text.
        match plan_of(&broken, |_| {}) {
            Ok(plan) => keeps_its_limits(&plan),
            Err(words) => prop_assert!(words.contains("S0")),
        }
    }
}
