//! The families that speak of an error budget, a degradation, telemetry, automation: what they
//! become.

use harness_core::plan::{
    Against, Assertion, AutomationRule, Cap, Expectation, Holds, Plan, StopRule,
};
use harness_core::units::{Duration, Ratio};

use crate::world::plan_of;

/// A scenario with these sections before and after the fault, and these expectations.
fn scenario(sections: &str, expect: &str) -> String {
    format!(
        "apiVersion: gameday.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: it}}\nspec:\n  \
         system: {{lab: shop}}\n  load: {{rate: 400/s, request: {{post: /checkout}}}}\n{sections}  \
         faults:\n    - {{id: down, dependency-outage: {{edge: checkout->payments, mode: reset}}, \
         for: 3s}}\n{expect}"
    )
}

fn plan(sections: &str, expect: &str) -> Plan {
    plan_of(&scenario(sections, &format!("  expect:\n{expect}")), |_| {})
        .unwrap_or_else(|drawn| panic!("{drawn}"))
}

fn percent(text: &str) -> Ratio {
    text.parse().expect("a ratio")
}

fn placebo_trials(plan: &Plan) -> usize {
    plan.trials.planned.iter().filter(|trial| trial.arm.as_str() == "placebo").count()
}

#[test]
fn a_budget_is_named_or_written_out() {
    let slos = "  slis: {accepted: {ratio: {of: load, good: 'status in [2xx]'}}}\n  \
                slos: {availability: {sli: accepted, atLeast: 99.9%, window: 30d}}\n";
    let named = plan(slos, "    - errorBudget: {slo: availability, takesAtMost: 0.1%}\n");
    let here = plan("", "    - errorBudget: {objective: 99.9%, takesAtMost: 0.1%}\n");
    assert_eq!(named.expectations, here.expectations);
    let Assertion::ErrorBudget { of, objective, period, takes_at_most, during } =
        &here.expectations[0].assertion
    else {
        panic!("{:?}", here.expectations);
    };
    assert_eq!((of, *objective, *takes_at_most), (&None, percent("99.9%"), percent("0.1%")));
    assert_eq!((period.to_string().as_str(), during.text.as_str()), ("720h", "fault"));
}

#[test]
fn a_comparison_with_placebo_takes_a_placebo_for_each_trial() {
    let against = |what: &str| {
        let expect = format!("    - degradation: {{quantile: p90, byAtMost: 20%{what}}}\n");
        plan("", &expect)
    };
    let baseline = against("");
    assert_eq!(placebo_trials(&baseline), 5);
    let placebo = against(", against: placebo");
    assert_eq!(placebo_trials(&placebo), 14);
    let Assertion::Degradation { against, by_at_most, .. } = &placebo.expectations[0].assertion
    else {
        panic!("{:?}", placebo.expectations);
    };
    assert_eq!((*against, *by_at_most), (Against::Placebo, percent("20%")));
}

#[test]
fn telemetry_is_claimed_of_a_probe() {
    let signals = "  signals: {sentinel: {probe: {edge: checkout->store, every: 100ms}}}\n";
    let expect = "    - telemetry: {signal: sentinel, atLeast: 95%, gapAtMost: 1s, during: all}\n";
    let planned = plan(signals, expect);
    let Assertion::Telemetry { signal, share_at_least, gap_at_most, during } =
        &planned.expectations[0].assertion
    else {
        panic!("{:?}", planned.expectations);
    };
    assert_eq!((signal.as_str(), *share_at_least), ("sentinel", percent("95%")));
    assert_eq!(gap_at_most.map(|gap| gap.to_string()).as_deref(), Some("1s"));
    assert_eq!(during.text, "all");
}

#[test]
fn a_claim_over_placebo_and_fault_together_is_proven_by_the_fault_trials() {
    let expect = "    - {successRate: {atLeast: 90%, arms: [fault, placebo]}}\n";
    let planned = plan("", expect);
    assert_eq!((placebo_trials(&planned), planned.trials.planned.len()), (5, 19));
}

/// The rule and the arms of one expectation on the breaker.
fn rule<'a>(plan: &'a Plan, id: &str) -> (&'a AutomationRule, Vec<&'a str>) {
    let found = plan.expectations.iter().find(|expectation| expectation.id.as_str() == id);
    let Some(Expectation { assertion: Assertion::Automation { actor, rule }, arms, .. }) = found
    else {
        panic!("no automation `{id}`: {:?}", plan.expectations);
    };
    assert_eq!(actor, "breaker");
    (rule, arms.iter().map(harness_core::ids::ArmName::as_str).collect())
}

fn automation(text: &str) -> Plan {
    plan_of(&scenario(&format!("  automation:\n{text}"), ""), |_| {})
        .unwrap_or_else(|drawn| panic!("{drawn}"))
}

#[test]
fn automation_alone_is_a_claim() {
    let planned = automation(
        "    - id: breaker\n      actions: {trip: becomes open, reset: {action: close}}\n      \
         confidence: {atLeast: 90%, at: 90%}\n      expect:\n        \
         acts: {action: trip, after: down.effective, within: 1s, target: checkout-1}\n        \
         staysQuiet: {}\n        \
         exactlyOnce: {action: trip, per: fault, target: checkout-0}\n        \
         releases: {action: reset, within: 5s}\n        only: {targets: [checkout]}\n        \
         never: {actions: [half-open]}\n",
    );
    assert_eq!(planned.expectations.len(), 6);
    for expectation in &planned.expectations {
        assert_eq!(expectation.claim.in_at_least(), Some(percent("90%")));
        assert_eq!(expectation.claim.confidence, percent("90%"));
    }
    let (acts, arms) = rule(&planned, "breaker-acts");
    let target = Some("checkout-1".to_owned());
    assert!(matches!(acts, AutomationRule::Acts { action, target: on, .. }
        if action == "open" && *on == target));
    assert_eq!(arms, ["fault"]);
    let (quiet, arms) = rule(&planned, "breaker-stays-quiet");
    assert_eq!((quiet, arms), (&AutomationRule::StaysQuiet { action: None }, vec!["placebo"]));
    let (releases, _) = rule(&planned, "breaker-releases");
    assert!(matches!(releases, AutomationRule::Releases { action, .. } if action == "close"));
    let (only, arms) = rule(&planned, "breaker-only");
    let targets = ["checkout-0", "checkout-1", "checkout-2"].map(str::to_owned).to_vec();
    assert_eq!((only, arms), (&AutomationRule::Only { targets }, vec!["fault", "placebo"]));
    let (never, _) = rule(&planned, "breaker-never");
    assert_eq!(never, &AutomationRule::Never { actions: vec!["half-open".to_owned()] });
    rule(&planned, "breaker-exactly-once");
    // 90% with 90% confidence takes 22 clean trials, of placebo as well.
    assert_eq!((placebo_trials(&planned), planned.trials.planned.len()), (22, 44));
    assert!(planned.phases.recovery_up_to > Duration::from_secs(5));
}

#[test]
fn only_what_is_claimed_of_the_placebo_takes_more_of_it() {
    let acts = "    - {id: breaker, expect: {acts: {action: open, within: 1s}}}\n";
    assert_eq!(placebo_trials(&automation(acts)), 5);
    let quiet = "    - {id: breaker, expect: {staysQuiet: {action: open}}}\n";
    assert_eq!(placebo_trials(&automation(quiet)), 14);
    let never = "    - {id: breaker, expect: {never: {actions: [close]}}}\n";
    assert_eq!(placebo_trials(&automation(never)), 5);
}

#[test]
fn what_is_claimed_of_the_placebo_cannot_do_without() {
    let quiet = "    - {id: breaker, expect: {staysQuiet: {action: open}}}\n";
    let text = scenario(&format!("  automation:\n{quiet}"), "");
    let refused = plan_of(&text, |input| input.placebo = Some(0)).unwrap_err();
    assert!(refused.contains("placebo"), "{refused}");
}

#[test]
fn rules_about_a_time_name_its_fault() {
    let planned = automation(
        "    - id: breaker\n      expect:\n        obeysKillSwitch: {switch: down}\n        \
         holdsWhenBlind: {actions: [open, close]}\n",
    );
    let down = harness_core::ids::FaultId::new("down");
    let (switch, arms) = rule(&planned, "breaker-obeys-kill-switch");
    let expected = AutomationRule::ObeysKillSwitch { switch: down.clone(), actions: None };
    assert_eq!((switch, arms), (&expected, vec!["fault"]));
    let (blind, arms) = rule(&planned, "breaker-holds-when-blind");
    let actions = Some(vec!["open".to_owned(), "close".to_owned()]);
    let expected = AutomationRule::HoldsWhenBlind { fault: down, actions };
    assert_eq!((blind, arms), (&expected, vec!["fault"]));
}

fn trials_with_fault(plan: &Plan) -> usize {
    plan.trials.planned.len() - placebo_trials(plan)
}

#[test]
fn a_mean_has_its_cap_and_the_trials_that_prove_it() {
    let planned = plan("", "    - recovery: {to: restore, mean: {atMost: 3s, cap: 30s}}\n");
    let expectation = &planned.expectations[0];
    let cap = Some(Cap::Time(Duration::from_secs(30)));
    assert_eq!(expectation.claim.holds, Holds::OnAverage { cap });
    assert!(matches!(&expectation.assertion, Assertion::Recovery { within, .. }
        if *within == Duration::from_secs(3)));
    // Ten times as large a cap takes 29 clean trials, and is looked at for so long.
    assert_eq!(trials_with_fault(&planned), 29);
    assert!(planned.phases.recovery_up_to > Duration::from_secs(30));
    let planned = plan("", "    - successRate: {mean: {atLeast: 80%, cap: 100%}}\n");
    let cap = Some(Cap::Share(Ratio::ONE));
    assert_eq!(planned.expectations[0].claim.holds, Holds::OnAverage { cap });
    assert_eq!(trials_with_fault(&planned), 14);
    let budget = "    - errorBudget: {objective: 99.9%, mean: {takesAtMost: 0.05%, cap: 0.2%}}\n";
    let planned = plan("", budget);
    let cap = Some(Cap::Share(percent("0.2%")));
    assert_eq!(planned.expectations[0].claim.holds, Holds::OnAverage { cap });
    let planned = plan("", "    - successRate: {mean: {atLeast: 99%}}\n");
    assert_eq!(planned.expectations[0].claim.holds, Holds::OnAverage { cap: None });
}

#[test]
fn a_median_is_half_of_all_incidents() {
    let planned = plan("", "    - recovery: {to: mitigate, median: 2s}\n");
    assert_eq!(planned.expectations[0].claim.in_at_least(), Some(percent("50%")));
    assert_eq!(trials_with_fault(&planned), 5);
}

#[test]
fn a_regression_is_about_another_expectation_wherever_that_stands() {
    let planned = plan(
        "",
        "    - regression: {of: slow, byAtMost: 20%, runs: 8, resetAt: '20261101'}\n    \
         - latency: {id: slow, quantile: p99, atMost: 1s}\n",
    );
    let [latency, regression] = &planned.expectations[..] else { panic!("two expectations") };
    let expected = Assertion::Regression {
        of: latency.id.clone(),
        by_at_most: percent("20%"),
        runs: 8,
        reset_at: Some("20261101".to_owned()),
    };
    assert_eq!(regression.assertion, expected);
    assert_eq!((regression.claim.holds, &regression.arms), (Holds::OverRuns, &latency.arms));
}

#[test]
fn the_fewest_trials_reach_the_plan_where_the_run_may_stop() {
    let with = |trials: &str| {
        let text = scenario("", "  expect:\n    - latency: {quantile: p99, atMost: 1s}\n");
        plan_of(&format!("{text}  trials: {trials}\n"), |_| {})
            .unwrap_or_else(|drawn| panic!("{drawn}"))
            .trials
    };
    let trials = with("{count: {min: 20, max: 30}, stop: sequential}");
    assert_eq!((trials.count_min, trials.stop), (20, StopRule::Sequential));
    assert_eq!(with("{count: 14}").count_min, 1);
}
