//! The families that speak of an error budget, a degradation, telemetry, automation: what they
//! become.

use harness_core::plan::{Against, Assertion, AutomationRule, Expectation, Plan};
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
        assert_eq!(expectation.claim.in_at_least, percent("90%"));
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
