//! What the system's automation did in one trial, and "never" over trials.

use harness_core::event::InvalidReason;
use harness_core::ids::SignalId;
use harness_core::plan::{Assertion, AutomationRule, Plan, SignalPlan, SourcePlan};
use harness_core::signal::ActionNotice;
use harness_core::verdict::Outcome;
use harness_core::verdict::TrialState::{self, Ambiguous, Bad, Excluded, Ok};

use crate::fixture::*;

fn asks(rule: AutomationRule) -> Plan {
    let mut plan = plan(14, vec![("it", Assertion::Automation { actor: "breaker".into(), rule })]);
    let source = SourcePlan::Actions { every: ms(100) };
    plan.signals.push(SignalPlan { id: SignalId::new("record"), source });
    plan
}

pub(crate) fn acts(trial: Trial, at: u64, action: &str, target: &str) -> Trial {
    let at = trial.at(at);
    trial.with(|trial| {
        trial.actions.push(ActionNotice {
            signal: SignalId::new("record"),
            actor: "breaker".into(),
            action: action.into(),
            target: target.into(),
            at,
        });
    })
}

fn opens(at: u64) -> Trial {
    acts(Trial::fault(0), at, "open", "payments")
}

fn check(plan: &Plan, trial: Trial, expected: (TrialState, &str)) {
    let said = trial_says_in(plan, trial);
    assert_eq!((said.state, said.because.as_str()), expected);
}

#[test]
fn it_acts_in_time_on_the_right_target() {
    let plan = asks(AutomationRule::Acts {
        action: "open".into(),
        target: Some("payments".into()),
        fault: fault(),
        within: ms(1000),
    });
    check(&plan, opens(2600), (Ok, "acted after 1s"));
    check(&plan, opens(1550), (Ok, "acted after 0s"));
    assert_eq!(trial_says_in(&plan, opens(2601)).state, Bad);
    check(&plan, opens(1000), (Bad, "did not act in the 6.4s that one looked"));
    assert_eq!(trial_says_in(&plan, acts(Trial::fault(0), 2000, "open", "store")).state, Bad);
    let blind = opens(2000).observed("record", 3000, None);
    check(&plan, blind, (Ambiguous, "record could not be read: refused"));
    let mut unasked = plan.clone();
    unasked.signals.retain(|signal| signal.id != SignalId::new("record"));
    check(&unasked, opens(2000), (Ambiguous, "the plan has no source of actions"));
}

#[test]
fn it_releases_after_the_fault() {
    let (action, fault) = ("close".to_owned(), fault());
    let plan = asks(AutomationRule::Releases { action, fault, within: ms(2000) });
    let closes = |at| acts(opens(2000), at, "close", "payments");
    check(&plan, closes(6600), (Ok, "acted after 2s"));
    assert_eq!(trial_says_in(&plan, closes(6601)).state, Bad);
    assert_eq!(trial_says_in(&plan, closes(4000)).state, Bad, "before the fault was gone");
}

#[test]
fn it_stays_quiet_and_on_its_targets() {
    let mut quiet = asks(AutomationRule::StaysQuiet { action: None });
    quiet.expectations[0].arms = vec!["placebo".into()];
    check(&quiet, Trial::placebo(0), (Ok, "nothing unwanted was done"));
    let acted = acts(acts(Trial::placebo(0), 100, "open", "payments"), 900, "close", "payments");
    check(&quiet, acted.clone(), (Bad, "breaker open payments and 1 more"));
    check(&quiet, acted.observed("record", 3000, None), (Bad, "breaker open payments and 1 more"));
    let blind = Trial::placebo(0).observed("record", 3000, None);
    check(&quiet, blind, (Ambiguous, "record could not be read: refused"));
    let only = asks(AutomationRule::Only { targets: vec!["payments".into()] });
    assert_eq!(trial_says_in(&only, opens(2000)).state, Ok);
    let stray = acts(opens(2000), 2100, "open", "store");
    check(&only, stray, (Bad, "breaker open store"));
}

#[test]
fn it_acts_exactly_once() {
    let target = Some("payments".to_owned());
    let plan = asks(AutomationRule::ExactlyOnce { action: "open".into(), target, fault: fault() });
    check(&plan, opens(2000), (Ok, "open was done once"));
    check(&plan, Trial::fault(0), (Bad, "open was not done"));
    let twice = acts(opens(2000), 3000, "open", "payments");
    check(&plan, twice, (Bad, "open was done twice"));
    let stray = acts(opens(2000), 3000, "open", "store");
    check(&plan, stray, (Bad, "open was done elsewhere or before the fault"));
    check(&plan, opens(1000), (Bad, "open was done elsewhere or before the fault"));
    let mut any = plan.clone();
    any.expectations[0].assertion = Assertion::Automation {
        actor: "breaker".into(),
        rule: AutomationRule::ExactlyOnce { action: "open".into(), target: None, fault: fault() },
    };
    assert_eq!(trial_says_in(&any, acts(Trial::fault(0), 3000, "open", "store")).state, Ok);
    any.expectations[0].arms = vec!["placebo".into()];
    assert_eq!(trial_says_in(&any, Trial::placebo(0)).state, Excluded);
}

#[test]
fn one_violation_of_never_fails_even_in_an_excluded_trial() {
    let plan = asks(AutomationRule::Never { actions: vec!["delete".into()] });
    let clean = || (0..14).map(Trial::fault);
    assert_eq!(judgement(&plan, clean()).outcome, Outcome::Pass);
    assert_eq!(judgement(&plan, clean().take(13)).outcome, Outcome::Inconclusive);
    let once = |trial: Trial| {
        let trial = acts(trial, 2000, "delete", "store");
        std::iter::once(trial).chain((1..14).map(Trial::fault))
    };
    for reason in [None, Some(true), Some(false)] {
        let trial = match reason {
            None => Trial::fault(0),
            Some(before) => Trial::fault(0).invalid(InvalidReason::Stalled, before),
        };
        let judged = judgement(&plan, once(trial));
        assert_eq!(judged.outcome, Outcome::Fail);
        insta::allow_duplicates! {
            insta::assert_snapshot!(judged.because, @"in 13 of 14 incidents breaker did not do delete; in 1 trial it happened, and once is enough to fail");
        }
    }
    let mut observed = plan.clone();
    observed.trials.mode = harness_core::plan::TrialMode::Observed;
    assert_eq!(judgement(&observed, once(Trial::fault(0))).outcome, Outcome::Fail);
}

/// The fault is in force from 1.6 s, and its end begins at 4.5 s.
#[test]
fn it_holds_when_blind() {
    let actions = Some(vec!["open".to_owned()]);
    let plan = asks(AutomationRule::HoldsWhenBlind { fault: fault(), actions });
    check(&plan, Trial::fault(0), (Ok, "nothing unwanted was done"));
    check(&plan, opens(1599), (Ok, "nothing unwanted was done"));
    check(&plan, opens(1600), (Bad, "breaker open payments"));
    check(&plan, opens(4499), (Bad, "breaker open payments"));
    check(&plan, opens(4500), (Ok, "nothing unwanted was done"));
    let closes = acts(Trial::fault(0), 2000, "close", "payments");
    assert_eq!(trial_says_in(&plan, closes.clone()).state, Ok);
    let any = asks(AutomationRule::HoldsWhenBlind { fault: fault(), actions: None });
    assert_eq!(trial_says_in(&any, closes).state, Bad);
    let torn = |at| Trial::fault(0).observed("record", at, None);
    check(&plan, torn(3000), (Ambiguous, "record could not be read: refused"));
    check(&plan, torn(4600), (Ambiguous, "record could not be read: refused"));
    assert_eq!(trial_says_in(&plan, torn(1000)).state, Ok, "what was read before is no matter");
    assert_eq!(trial_says_in(&plan, torn(6000)).state, Ok, "nor what was read long after");
    let unseen = Trial::fault(0).with(|trial| {
        trial.faults.get_mut(&fault()).unwrap().effective = None;
    });
    assert_eq!(trial_says_in(&plan, unseen).state, Ambiguous);
    // A revert that never began: to the end of what one saw.
    let endless = acts(Trial::fault(0), 7000, "open", "payments").with(|trial| {
        let times = trial.faults.get_mut(&fault()).unwrap();
        (times.revert, times.reverted) = (None, None);
    });
    assert_eq!(trial_says_in(&plan, endless).state, Bad);
    let twice = |index: u32| {
        if index < 2 {
            acts(Trial::fault(index), 2000, "open", "payments")
        } else {
            Trial::fault(index)
        }
    };
    assert_eq!(judgement(&plan, (0..14).map(twice)).outcome, Outcome::Inconclusive, "a share");
}

#[test]
fn one_act_of_what_is_switched_off_fails() {
    let plan = asks(AutomationRule::ObeysKillSwitch { switch: fault(), actions: None });
    assert_eq!(judgement(&plan, (0..14).map(Trial::fault)).outcome, Outcome::Pass);
    let once = |trial: Trial| std::iter::once(trial).chain((1..14).map(Trial::fault));
    let judged = judgement(&plan, once(opens(2000)));
    assert_eq!(judged.outcome, Outcome::Fail);
    assert_eq!(
        judged.because,
        "in 13 of 14 incidents breaker did not do anything while down switched it off; in 1 trial \
         it happened, and once is enough to fail"
    );
    // Also in a trial that is worth nothing otherwise.
    let excluded = opens(2000).invalid(InvalidReason::NotSteady, true);
    assert_eq!(judgement(&plan, once(excluded)).outcome, Outcome::Fail);
    assert_eq!(judgement(&plan, once(opens(1000))).outcome, Outcome::Pass, "before the switch");
    assert_eq!(judgement(&plan, once(opens(5000))).outcome, Outcome::Pass, "after it");
}
