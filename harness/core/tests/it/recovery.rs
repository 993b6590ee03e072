//! Time to mitigate and time to restore of one trial.

use harness_core::ids::SignalId;
use harness_core::plan::{Assertion, FaultInstant, Plan, RecoveryTo};
use harness_core::units::Duration;
use harness_core::verdict::TrialState::{self, Ambiguous, Bad, Excluded, Ok};

use crate::fixture::*;

fn recovery(to: RecoveryTo, within: &str) -> Assertion {
    let from = match to {
        RecoveryTo::Mitigate => FaultInstant::Effective,
        RecoveryTo::Restore => FaultInstant::Reverted,
    };
    Assertion::Recovery { to, fault: fault(), from, within: within.parse().unwrap() }
}

fn mitigate(within: &str) -> Assertion {
    recovery(RecoveryTo::Mitigate, within)
}

fn restore(within: &str) -> Assertion {
    recovery(RecoveryTo::Restore, within)
}

fn check(assertion: &Assertion, trial: Trial, expected: (TrialState, &str)) {
    let said = trial_says(assertion, trial);
    assert_eq!((said.state, said.because.as_str()), expected);
}

#[test]
fn mitigation_is_the_start_of_what_held_until_the_revert() {
    let failing = |from, to| Trial::fault(0).failing(from, to, PER_WINDOW);
    let after = "mitigated after 900ms to 1s";
    check(&mitigate("1s"), failing(1500, 2600), (Ok, after));
    check(&mitigate("950ms"), failing(1500, 2600), (Ambiguous, after));
    check(&mitigate("900ms"), failing(1500, 2600), (Bad, after));
    let again = failing(1500, 2600).failing(4000, 4100, PER_WINDOW);
    check(&mitigate("1s"), again, (Bad, "mitigated after 2.4s to 2.5s"));
    let never = "not mitigated while one looked; not before 2.8s";
    check(&mitigate("2s"), failing(1500, 4500), (Bad, never));
    check(&mitigate("2.9s"), failing(1500, 4500), (Ambiguous, never));
    assert_eq!(trial_says(&mitigate("2s"), failing(1500, 4500)).censored_at, Some(2.8));
    // One failed request of forty leaves the level, nine tenths, as it is.
    check(
        &mitigate("1s"),
        Trial::fault(0).failing(1500, 4500, 4),
        (Ok, "the service level held all along"),
    );
    // What is bad only after the revert is no matter of mitigation.
    assert_eq!(trial_says(&mitigate("1s"), failing(4500, 6000)).value, Some(0.0));
}

#[test]
fn restoration_must_hold() {
    let failing = |from, to| Trial::fault(0).failing(from, to, PER_WINDOW);
    check(&restore("1s"), failing(1500, 5500), (Ok, "restored after 800ms to 900ms"));
    check(&restore("850ms"), failing(1500, 5500), (Ambiguous, "restored after 800ms to 900ms"));
    check(&restore("800ms"), failing(1500, 5500), (Bad, "restored after 800ms to 900ms"));
    // Good for half a second only: it did not hold.
    let twice = failing(1500, 5500).failing(6000, 6100, PER_WINDOW);
    check(&restore("1s"), twice, (Bad, "restored after 1.4s to 1.5s"));
    let relapse = failing(1500, 5000).failing(7000, 7100, PER_WINDOW);
    check(&restore("1s"), relapse, (Ok, "restored after 300ms to 400ms, and lost again later"));
    let never = "not restored while one looked; not before 2.8s";
    check(&restore("2s"), failing(1500, 7500), (Bad, never));
    check(&restore("4s"), failing(1500, 7500), (Ambiguous, never));
    check(&restore("1s"), failing(1500, 4500), (Ok, "the service level held all along"));
}

#[test]
fn the_clock_can_start_at_another_instant() {
    let (to, from) = (RecoveryTo::Restore, FaultInstant::Effective);
    let assertion = |within| Assertion::Recovery { to, fault: fault(), from, within: ms(within) };
    let trial = || Trial::fault(0).failing(1500, 5500, PER_WINDOW);
    assert_eq!(trial_says(&assertion(4000), trial()).state, Ok);
    assert_eq!(trial_says(&assertion(3700), trial()).state, Bad);
    let said = trial_says(&assertion(4000), Trial::fault(0));
    assert_eq!((said.state, said.value), (Ok, Some(3.0)), "not before the fault was gone");
}

#[test]
fn an_end_that_was_not_seen_is_no_recovery() {
    let short = Trial::fault(0).failing(1500, 5500, PER_WINDOW).with(|trial| {
        let base = trial.began;
        trial.phases.remove(&harness_core::plan::Phase::Settle);
        let end = Some(base + ms(6000));
        trial.phases.get_mut(&harness_core::plan::Phase::Recovery).unwrap().1 = end;
        trial.windows.truncate(60);
    });
    check(&restore("2s"), short, (Ambiguous, "not restored while one looked; not before 800ms"));
    let gone =
        |trial: Trial| trial.with(|trial| trial.faults.get_mut(&fault()).unwrap().reverted = None);
    check(&restore("2s"), gone(Trial::fault(0)), (Ambiguous, "down.reverted was not seen"));
}

#[test]
fn gaps_and_doubt_make_a_recovery_ambiguous() {
    let failing = || Trial::fault(0).failing(1500, 2600, PER_WINDOW);
    assert_eq!(trial_says(&mitigate("2s"), failing().gap(2600, 2700)).state, Ambiguous);
    assert_eq!(trial_says(&restore("2s"), failing().gap(5000, 5100)).state, Ambiguous);
    let unproven =
        || Trial::fault(0).with(|trial| trial.faults.get_mut(&fault()).unwrap().effective = None);
    assert_eq!(trial_says(&mitigate("2s"), unproven()).state, Ambiguous, "no impact, no fault");
    assert_eq!(trial_says(&restore("2s"), unproven()).state, Ambiguous);
}

#[test]
fn a_placebo_has_nothing_to_recover_from() {
    let mut plan = plan(14, vec![("it", mitigate("2s"))]);
    plan.expectations[0].arms = vec!["placebo".into()];
    assert_eq!(trial_says_in(&plan, Trial::placebo(0)).state, Excluded);
}

fn with_sentinel() -> Plan {
    let mut plan = plan(14, vec![("it", restore("1s"))]);
    plan.steady.sentinels = vec![SignalId::new("sentinel")];
    plan
}

/// A sentinel that looks every 250 ms and fails up to `until`.
fn sentinel(until: u64) -> Trial {
    (0..32).fold(Trial::fault(0), |trial, look| {
        let at = look * 250;
        trial.observed("sentinel", at, Some(if (1500..until).contains(&at) { 0.0 } else { 1.0 }))
    })
}

#[test]
fn sentinels_are_part_of_the_steady_state() {
    let plan = with_sentinel();
    let says = |until| trial_says_in(&plan, sentinel(until));
    assert_eq!((says(4600).state, says(4600).value), (Ok, Some(0.15)));
    assert_eq!(says(5500).because, "restored after 650ms to 900ms");
    assert_eq!(says(5500).state, Ok);
    assert_eq!(says(5700).state, Ambiguous);
    assert_eq!(says(6000).state, Bad);
    let silent = trial_says_in(&plan, Trial::fault(0));
    assert_eq!(silent.because, "sentinel said nothing after the revert");
    let blind = sentinel(4600).observed("sentinel", 7990, None);
    assert_eq!(
        trial_says_in(&plan, blind).because,
        "restored after 0s to 150ms, and lost again later"
    );
}

#[test]
fn latency_can_be_part_of_the_level() {
    let mut plan = plan(14, vec![("it", mitigate("1s"))]);
    plan.steady.latency = Some(("p90".parse().unwrap(), Duration::from_millis(100)));
    let slow = |millis| Trial::fault(0).load(1500, 3000, 0, millis);
    assert_eq!(trial_says_in(&plan, slow(90)).state, Ok);
    assert_eq!(trial_says_in(&plan, slow(110)).state, Bad);
}
