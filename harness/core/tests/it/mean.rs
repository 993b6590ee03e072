//! Claims about a mean over incidents: only a cap lets them pass, and it has to be one.

use harness_core::event::InvalidReason;
use harness_core::plan::{Assertion, Cap, FaultInstant, Holds, Plan, RecoveryTo, TrialMode};
use harness_core::units::{Duration, Ratio};
use harness_core::verdict::Outcome;

use crate::fixture::*;

fn on_average(count: u32, assertion: Assertion, cap: Option<Cap>) -> Plan {
    let mut plan = plan(count, vec![("mean", assertion)]);
    plan.expectations[0].claim.holds = Holds::OnAverage { cap };
    plan
}

const ALL: Option<Cap> = Some(Cap::Share(Ratio::ONE));

fn outcome(plan: &Plan, trials: Vec<Trial>) -> Outcome {
    judgement(plan, trials).outcome
}

#[test]
fn a_mean_passes_only_with_a_cap() {
    let capped = on_average(20, success("80%"), ALL);
    assert_eq!(outcome(&capped, trials(13, 0)), Outcome::Inconclusive);
    assert_eq!(outcome(&capped, trials(14, 0)), Outcome::Pass);
    let judged = judgement(&capped, trials(14, 0));
    insta::assert_snapshot!(judged.because, @"over 14 incidents the mean success rate was 100%; with 95% confidence it is at least 80.7% and at most 100% over incidents like this one (claim: at least 80%; Gaffke's bound, no incident can lose more than 100%)");
    assert_eq!((judged.share, judged.p_pass), (None, None));
    let without = on_average(200, success("80%"), None);
    let judged = judgement(&without, trials(200, 0));
    assert_eq!(judged.outcome, Outcome::Inconclusive);
    insta::assert_snapshot!(judged.because, @"over 200 incidents the mean success rate was 100%; with 95% confidence it is at most 100% (claim: at least 80%); without a cap on what one incident adds a mean never passes");
}

/// Where each incident loses all or nothing the bound is that of Clopper and Pearson.
#[test]
fn all_or_nothing_is_a_share_of_incidents() {
    let quantity = judgement(&on_average(14, success("80%"), ALL), trials(14, 3)).quantity.unwrap();
    let share = judgement(&plan(14, vec![("share", success("80%"))]), trials(14, 3)).share.unwrap();
    let near = |one: f64, other: f64| (one - other).abs() < 1e-9;
    assert!(near(quantity.value, share.value), "{quantity:?} {share:?}");
    assert!(near(quantity.lower.unwrap(), share.lower), "{quantity:?} {share:?}");
    assert!(near(quantity.upper.unwrap(), share.upper), "{quantity:?} {share:?}");
}

#[test]
fn a_mean_fails_without_a_cap_too() {
    for cap in [ALL, None] {
        let plan = on_average(14, success("80%"), cap);
        assert_eq!(outcome(&plan, trials(14, 14)), Outcome::Fail);
        assert_eq!(outcome(&plan, trials(14, 4)), Outcome::Inconclusive);
    }
}

fn mean_restore(cap: Option<Cap>) -> Plan {
    let restore = Assertion::Recovery {
        to: RecoveryTo::Restore,
        fault: fault(),
        from: FaultInstant::Reverted,
        within: ms(1000),
    };
    on_average(30, restore, cap)
}

#[test]
fn a_time_that_is_not_reached_counts_as_its_cap() {
    let cap = Some(Cap::Time(ms(2000)));
    let never = |index| Trial::fault(index).failing(1500, 8000, PER_WINDOW);
    let one_never = || std::iter::once(never(0)).chain((1..30).map(Trial::fault));
    let judged = judgement(&mean_restore(cap), one_never());
    // 2 s over 30 trials, and the bound of two points: 2 s times the upper bound of 1 of 30.
    let quantity = judged.quantity.unwrap();
    assert!((quantity.value - 2.0 / 30.0).abs() < 1e-9, "{quantity:?}");
    let upper =
        2.0 * stats::binomial::upper_bound(stats::decimal::Share { part: 1, whole: 30 }, 0.05);
    assert!((quantity.upper.unwrap() - upper).abs() < 1e-6, "{quantity:?} {upper}");
    assert_eq!(judged.outcome, Outcome::Pass);
    let all_never: Vec<Trial> = (0..30).map(never).collect();
    assert_eq!(outcome(&mean_restore(cap), all_never.clone()), Outcome::Fail);
    // Seen for 2.4 s at least: without a cap, too, that is above one second.
    assert_eq!(outcome(&mean_restore(None), all_never), Outcome::Fail);
}

#[test]
fn a_trial_that_cannot_be_told_stands_against_both_ends() {
    let ambiguous = |index| Trial::fault(index).invalid(InvalidReason::Stalled, false);
    let plan = on_average(20, success("80%"), ALL);
    let some = |clean: u32| (0..clean).map(Trial::fault).chain((clean..clean + 2).map(ambiguous));
    assert_eq!(outcome(&plan, some(14).collect()), Outcome::Inconclusive);
    let lost = on_average(20, success("99%"), ALL);
    let mut trials = trials(2, 2);
    trials.push(ambiguous(2));
    assert_eq!(outcome(&lost, trials), Outcome::Inconclusive, "a third of them is unknown");
}

#[test]
fn a_cap_that_the_window_does_not_keep_is_none() {
    let budget = Assertion::ErrorBudget {
        of: None,
        objective: Ratio::from_percent(99),
        period: Duration::from_secs(30 * 86_400),
        takes_at_most: Ratio::from_billionths(50_000),
        during: during_fault(),
    };
    // Three seconds of the 25,920 that one percent of a month leaves: 0.0116 %.
    let plan = |cap| on_average(14, budget.clone(), Some(Cap::Share(Ratio::from_billionths(cap))));
    assert_eq!(outcome(&plan(120_000), trials(14, 0)), Outcome::Pass);
    let judged = judgement(&plan(110_000), trials(14, 0));
    assert_eq!(judged.outcome, Outcome::Inconclusive);
    assert!(judged.because.contains("nothing enforces the cap of 0.011%"), "{}", judged.because);
}

#[test]
fn an_observed_mean_is_compared_plainly() {
    let mut plan = on_average(4, success("80%"), ALL);
    plan.trials.mode = TrialMode::Observed;
    assert_eq!(outcome(&plan, trials(4, 0)), Outcome::Pass);
    assert_eq!(outcome(&plan, trials(4, 1)), Outcome::Fail);
    let ambiguous = Trial::fault(4).invalid(InvalidReason::Stalled, false);
    let mut some = trials(4, 0);
    some.push(ambiguous);
    assert_eq!(outcome(&plan, some), Outcome::Inconclusive);
}
