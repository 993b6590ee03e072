//! Alerts of one trial.

use harness_core::event::InvalidReason;
use harness_core::plan::Assertion;
use harness_core::signal::AlertStatus::{Firing, Resolved};
use harness_core::verdict::TrialState::{self, Ambiguous, Bad, Excluded, Ok};

use crate::fixture::*;

fn detection(pages_exactly: Option<u32>, resolves_ms: Option<u64>) -> Assertion {
    Assertion::Detection {
        alert: "Burn".into(),
        fault: fault(),
        within: ms(2000),
        pages_exactly,
        resolves_within: resolves_ms.map(ms),
        through: None,
    }
}

fn check(assertion: &Assertion, trial: Trial, expected: (TrialState, &str)) {
    let said = trial_says(assertion, trial);
    assert_eq!((said.state, said.because.as_str()), expected);
}

#[test]
fn an_alert_fires_in_time_or_not() {
    let fires = |at| Trial::fault(0).alert(at, Firing);
    let plain = detection(None, None);
    check(&plain, fires(3600), (Ok, "Burn fired after 2s"));
    check(&plain, fires(3601), (Bad, "Burn fired after 2s"));
    check(&plain, fires(1550), (Ok, "Burn fired after 0s"));
    check(&plain, Trial::fault(0), (Bad, "Burn did not fire in the 6.4s that one looked"));
    assert_eq!(trial_says(&plain, Trial::fault(0)).censored_at, Some(6.4));
    let other = fires(2000).with(|trial| trial.alerts[0].alert = "Other".into());
    assert_eq!(trial_says(&plain, other).state, Bad);
}

#[test]
fn an_alert_that_fired_before_excludes_unless_it_had_ended() {
    let plain = detection(None, None);
    let before = Trial::fault(0).alert(700, Firing);
    check(&plain, before.clone(), (Excluded, "Burn fired already before the fault"));
    let ended = before.alert(900, Resolved).alert(2000, Firing);
    check(&plain, ended, (Ok, "Burn fired after 400ms"));
}

#[test]
fn pages_are_counted_from_the_injection() {
    let exactly = detection(Some(1), None);
    let once = Trial::fault(0).alert(2000, Firing);
    check(&exactly, once.clone(), (Ok, "Burn fired after 400ms, paged once"));
    let twice = once.alert(2500, Firing);
    check(&exactly, twice, (Bad, "Burn fired after 400ms, paged twice"));
}

#[test]
fn an_alert_resolves_in_time() {
    let resolves = detection(None, Some(1000));
    let fired = || Trial::fault(0).alert(2000, Firing);
    let after = |at| fired().alert(at, Resolved);
    check(
        &resolves,
        after(5600),
        (Ok, "Burn fired after 400ms, resolved 1s after the fault was gone"),
    );
    assert_eq!(trial_says(&resolves, after(5601)).state, Bad);
    assert_eq!(trial_says(&resolves, after(3000)).state, Ok);
    check(&resolves, fired(), (Bad, "Burn fired after 400ms, did not resolve while one looked"));
    assert_eq!(trial_says(&detection(None, Some(5000)), fired()).state, Ambiguous);
    assert_eq!(trial_says(&resolves, after(3000).alert(4000, Firing)).state, Bad);
}

#[test]
fn a_receiver_that_was_not_reached_knows_nothing() {
    let plain = detection(None, None);
    let blind = Trial::fault(0).alert(2000, Firing).observed("pages", 2500, None);
    check(&plain, blind, (Ambiguous, "pages was not reached: refused"));
    let early = Trial::fault(0).alert(2000, Firing).observed("pages", 500, None);
    assert_eq!(trial_says(&plain, early).state, Ok);
}

#[test]
fn silence_is_asked_of_the_whole_placebo_trial() {
    let quiet = Assertion::Quiet { alert: "Burn".into() };
    check(&quiet, Trial::placebo(0), (Ok, "Burn stayed silent"));
    check(&quiet, Trial::placebo(0).alert(5000, Firing), (Bad, "Burn fired once"));
    let blind = Trial::placebo(0).observed("pages", 100, None);
    check(&quiet, blind, (Ambiguous, "pages was not reached: refused"));
    // What excludes a fault trial is here the very thing that is asked for.
    let early = Trial::placebo(0).alert(700, Firing).invalid(InvalidReason::AlertBefore, true);
    check(&quiet, early, (Bad, "Burn fired once"));
    let other = Trial::placebo(0).invalid(InvalidReason::AlertBefore, true);
    assert_eq!(trial_says(&quiet, other).state, Excluded);
}

#[test]
fn a_placebo_has_nothing_to_detect() {
    let mut plan = plan(14, vec![("it", detection(None, None))]);
    plan.expectations[0].arms = vec!["placebo".into()];
    assert_eq!(trial_says_in(&plan, Trial::placebo(0)).state, Excluded);
}
