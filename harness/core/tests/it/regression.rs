//! A run against earlier ones.

use harness_core::event::InvalidReason;
use harness_core::evidence::Evidence;
use harness_core::history::{EarlierRun, History, RunValue};
use harness_core::ids::{ExpectationId, RunId};
use harness_core::judge::judge;
use harness_core::plan::{Assertion, Bound, Holds, Plan, StopRule};
use harness_core::units::{Quantile, Ratio};
use harness_core::verdict::{Judgement, Outcome};

use crate::fixture::*;

fn latency() -> Assertion {
    Assertion::Latency {
        of: None,
        quantile: Quantile::P50,
        at_most: ms(1000),
        during: during_fault(),
    }
}

fn against_runs(measured: Assertion, by_at_most: u64) -> Plan {
    let regression = Assertion::Regression {
        of: ExpectationId::new("measured"),
        by_at_most: Ratio::from_percent(by_at_most),
        runs: 10,
        reset_at: None,
    };
    let mut plan = plan(14, vec![("measured", measured), ("regression", regression)]);
    plan.expectations[1].claim.holds = Holds::OverRuns;
    plan
}

/// Earlier runs of 14 trials with these medians, a day apart.
fn history(name: &str, unit: &str, medians: impl IntoIterator<Item = f64>) -> History {
    let run = |(day, median): (usize, f64)| EarlierRun {
        run: RunId::new(format!("202611{:02}-000000-test-0000", day + 1)),
        plan_sha256: String::new(),
        values: [(
            ExpectationId::new("measured"),
            RunValue { name: name.into(), unit: unit.into(), median: Some(median), trials: 14 },
        )]
        .into(),
    };
    History { runs: medians.into_iter().enumerate().map(run).collect(), ..History::default() }
}

fn latencies(count: usize) -> History {
    let medians = [0.0200, 0.0202, 0.0198, 0.0201, 0.0199];
    history("p50 latency", "s", medians.into_iter().cycle().take(count))
}

fn judged(plan: &Plan, history: History, trials: Vec<Trial>) -> Judgement {
    let evidence = Evidence { history, ..run(trials) };
    judge(plan, &evidence).judgements.remove(1)
}

fn slow(millis: u64) -> Vec<Trial> {
    (0..14).map(|index| Trial::fault(index).load(1500, 4500, 0, millis)).collect()
}

#[test]
fn a_run_is_as_good_as_before_or_it_is_not() {
    let plan = against_runs(latency(), 20);
    let same = judged(&plan, latencies(10), slow(20));
    assert_eq!(same.outcome, Outcome::Pass, "{}", same.because);
    insta::assert_snapshot!(same.because, @"over 14 incidents the median p50 latency of this run was 20ms, 0.1% worse than the mean of 10 earlier runs; with 95% confidence between 1.6% better and 1.6% worse (claim: at most 20% worse; t prediction interval over runs); 0.1 robust spreads from their middle");
    let worse = judged(&plan, latencies(10), slow(30));
    assert_eq!(worse.outcome, Outcome::Fail, "{}", worse.because);
    assert!(worse.change.contains("resetAt"), "{}", worse.change);
    let quantity = worse.quantity.unwrap();
    assert!(
        (quantity.value - 0.5).abs() < 0.01 && (quantity.bound - 0.2).abs() < 1e-9,
        "{quantity:?}"
    );
    let near = judged(&plan, latencies(10), slow(24));
    assert_eq!(near.outcome, Outcome::Inconclusive, "{}", near.because);
    assert_eq!(judged(&plan, latencies(10), slow(10)).outcome, Outcome::Pass, "better");
}

#[test]
fn too_few_runs_decide_nothing() {
    let plan = against_runs(latency(), 20);
    for count in 0..5 {
        let found = judged(&plan, latencies(count), slow(100));
        assert_eq!(found.outcome, Outcome::Inconclusive, "{}", found.because);
    }
    assert_eq!(judged(&plan, latencies(5), slow(100)).outcome, Outcome::Fail);
    insta::assert_snapshot!(judged(&plan, latencies(0), slow(20)).because, @"over 14 incidents there is nothing to compare: 0 earlier runs");
}

#[test]
fn runs_before_a_reset_and_runs_of_another_kind_do_not_count() {
    let mut plan = against_runs(latency(), 20);
    let level_shift = |reset_at: Option<&str>, plan: &mut Plan| {
        let Assertion::Regression { reset_at: reset, .. } = &mut plan.expectations[1].assertion
        else {
            panic!("the second expectation is the regression")
        };
        *reset = reset_at.map(str::to_owned);
        let medians = [[0.02; 8].as_slice(), &[0.0400, 0.0402, 0.0398, 0.0401, 0.0399]].concat();
        judged(plan, history("p50 latency", "s", medians), slow(40))
    };
    assert_ne!(level_shift(None, &mut plan).outcome, Outcome::Pass);
    let after = level_shift(Some("20261109"), &mut plan);
    assert_eq!(after.outcome, Outcome::Pass, "{}", after.because);
    assert!(after.because.contains("8 earlier runs left out"), "{}", after.because);
    let plan = against_runs(latency(), 20);
    let other = history("p99 latency", "s", [0.02; 10]);
    assert_eq!(judged(&plan, other, slow(100)).outcome, Outcome::Inconclusive);
    // Two trials say far less than fourteen.
    assert_eq!(
        judged(&plan, latencies(10), slow(100).into_iter().take(2).collect()).outcome,
        Outcome::Inconclusive
    );
}

#[test]
fn only_the_last_runs_count() {
    let plan = against_runs(latency(), 20);
    let medians = [vec![9.0; 7], [0.0200, 0.0202, 0.0198, 0.0201, 0.0199].repeat(2)].concat();
    assert_eq!(
        judged(&plan, history("p50 latency", "s", medians), slow(20)).outcome,
        Outcome::Pass
    );
}

#[test]
fn of_a_share_less_is_worse_in_percentage_points() {
    let measured = Assertion::SuccessRate {
        of: None,
        bound: Bound::AtLeast(Ratio::from_percent(50)),
        during: during_fault(),
    };
    let plan = against_runs(measured, 2);
    let shares =
        || history("success rate", "ratio", [1.0, 0.998, 1.0, 0.999, 1.0, 0.998, 1.0, 1.0]);
    let failing = |failed: u64| -> Vec<Trial> {
        (0..14).map(|index| Trial::fault(index).failing(1500, 4500, failed)).collect()
    };
    assert_eq!(judged(&plan, shares(), failing(0)).outcome, Outcome::Pass);
    // Two of forty are five percentage points.
    let worse = judged(&plan, shares(), failing(2));
    assert_eq!(worse.outcome, Outcome::Fail, "{}", worse.because);
    assert!(worse.because.contains("5 percentage points worse"), "{}", worse.because);
}

#[test]
fn a_trial_that_cannot_be_told_helps_neither_end() {
    let plan = against_runs(latency(), 20);
    let torn = |millis: u64, count: usize| -> Vec<Trial> {
        let torn = |(place, trial): (usize, Trial)| {
            if place < count { trial.invalid(InvalidReason::Stalled, false) } else { trial }
        };
        slow(millis).into_iter().enumerate().map(torn).collect()
    };
    assert_eq!(judged(&plan, latencies(10), torn(20, 2)).outcome, Outcome::Pass);
    assert_eq!(judged(&plan, latencies(10), torn(30, 2)).outcome, Outcome::Fail);
    let mut lenient = plan.clone();
    lenient.trials.invalid_at_most = Ratio::ONE;
    for millis in [20, 30] {
        let found = judged(&lenient, latencies(10), torn(millis, 8));
        assert_eq!(found.outcome, Outcome::Inconclusive, "{}", found.because);
    }
}

#[test]
fn a_run_leaves_its_medians_to_later_ones() {
    let plan = against_runs(latency(), 20);
    let verdict = judge(&plan, &run(slow(30)));
    let left = EarlierRun::of(&RunId::new("20261101-000000-test-0000"), &verdict).unwrap();
    let value = &left.values[&ExpectationId::new("measured")];
    assert_eq!((value.name.as_str(), value.unit.as_str(), value.trials), ("p50 latency", "s", 14));
    assert!((value.median.unwrap() - 0.03).abs() < 0.001, "{value:?}");
    let mut broken_off = run(slow(30));
    broken_off.end = None;
    let verdict = judge(&plan, &broken_off);
    assert_eq!(EarlierRun::of(&RunId::new("x"), &verdict), None, "it did not complete");
}

#[test]
fn a_run_with_such_a_claim_does_not_stop_early() {
    use harness_core::judge::{StopDecision, may_stop};
    let mut plan = against_runs(latency(), 20);
    plan.trials.stop = StopRule::Sequential;
    assert_eq!(may_stop(&plan, &run(slow(20))), StopDecision::GoOn);
}
