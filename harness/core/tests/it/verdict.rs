//! Whole verdicts: outcome, exit code, words.

use harness_core::event::InvalidReason;
use harness_core::exit::{self, EndOfRun};
use harness_core::ids::TrialIndex;
use harness_core::judge::{StopDecision, judge, judge_with, may_stop, outcomes_by_states};
use harness_core::plan::{Assertion, Claim, FaultInstant, Plan, RecoveryTo, StopRule, TrialMode};
use harness_core::signal::AlertStatus;
use harness_core::units::Ratio;
use harness_core::verdict::{Counts, Outcome};

use crate::fixture::*;

fn one(count: u32) -> Plan {
    plan(count, vec![("availability", success("99%"))])
}

fn mitigated(within: &str) -> Assertion {
    Assertion::Recovery {
        to: RecoveryTo::Mitigate,
        fault: fault(),
        from: FaultInstant::Effective,
        within: within.parse().unwrap(),
    }
}

#[test]
fn fourteen_clean_trials_pass() {
    let verdict = verdict(&one(14), trials(14, 0));
    assert_eq!((verdict.outcome, verdict.exit_code), (Outcome::Pass, exit::PASS));
    let judgement = &verdict.judgements[0];
    insta::assert_snapshot!(judgement.because, @"in 14 of 14 incidents the success rate stayed at or above 99% during fault; with 95% confidence this holds in at least 80.7% of incidents like this one (claim: 80%; exact binomial)");
    insta::assert_snapshot!(judgement.claim, @"in at least 80% of incidents like this one, with 95% confidence");
    insta::assert_snapshot!(judgement.change, @"had it not held in one of these trials, it would be inconclusive");
    insta::assert_snapshot!(judgement.condition, @"success rate at least 99% during fault");
    insta::assert_snapshot!(judgement.method, @"exact binomial (Clopper-Pearson)");
    assert_eq!(verdict.because, format!("availability passed: {}", judgement.because));
    let share = judgement.share.unwrap();
    assert!((share.lower - 0.05_f64.powf(1.0 / 14.0)).abs() < 1e-12 && share.upper >= 1.0);
    assert!((judgement.p_pass.unwrap() - 0.8_f64.powi(14)).abs() < 1e-12);
}

#[test]
fn twelve_clean_trials_are_too_few() {
    let verdict = verdict(&one(12), trials(12, 0));
    assert_eq!(verdict.exit_code, exit::INCONCLUSIVE);
    insta::assert_snapshot!(verdict.because, @"nothing failed, but availability is not settled: in 12 of 12 incidents the success rate stayed at or above 99% during fault; with 95% confidence this holds in at least 77.9% and at most 100% of incidents like this one (claim: 80%; exact binomial)");
    insta::assert_snapshot!(verdict.judgements[0].change, @"2 more trials in which it holds would make it pass");
}

#[test]
fn a_broken_system_fails_and_the_margin_is_named() {
    let mut plan = plan(14, vec![("mttm", mitigated("1s"))]);
    let late = (0..14).map(|index| Trial::fault(index).failing(1500, 3000, PER_WINDOW));
    let late = verdict(&plan, late);
    assert_eq!((late.outcome, late.exit_code), (Outcome::Fail, exit::FAIL));
    insta::assert_snapshot!(late.because, @"mttm failed: in 0 of 14 incidents the service level was back within 1s of down.effective while down was in force; with 95% confidence this holds in at most 19.3% of incidents like this one (claim: 80%; exact binomial)");
    insta::assert_snapshot!(late.judgements[0].change, @"92 more trials in which it holds would make it pass; these trials would have passed with a bound of 1.4s");
    let measured = late.judgements[0].measured.clone().unwrap();
    assert_eq!((measured.median, measured.worst, measured.censored), (Some(1.4), Some(1.4), 0));
    plan.expectations[0].assertion = mitigated("1400ms");
    let trials = (0..14).map(|index| Trial::fault(index).failing(1500, 3000, PER_WINDOW));
    assert_eq!(verdict(&plan, trials).outcome, Outcome::Pass, "the margin holds what it says");
}

#[test]
fn a_trial_without_an_end_is_counted_as_endless() {
    let plan = plan(14, vec![("mttm", mitigated("1s"))]);
    let trials = (0..14).map(|index| match index {
        0..9 => Trial::fault(index).failing(1500, 4500, PER_WINDOW),
        _ => Trial::fault(index).failing(1500, 2000, PER_WINDOW),
    });
    let measured = judgement(&plan, trials).measured.unwrap();
    assert_eq!((measured.median, measured.worst, measured.censored), (None, None, 9));
}

#[test]
fn ambiguous_trials_count_against_both_ends() {
    let ambiguous = |count: u32, bad: u32| {
        trials(count, bad).into_iter().enumerate().map(move |(index, trial)| {
            if [3, 9].contains(&index) { trial.gap(2000, 2100) } else { trial }
        })
    };
    let judged = judgement(&one(14), ambiguous(14, 0));
    assert_eq!(judged.counts, Counts { ok: 12, bad: 0, ambiguous: 2, excluded: 0 });
    assert_eq!(judged.outcome, Outcome::Inconclusive);
    insta::assert_snapshot!(judged.because, @"in 12 of 14 incidents the success rate stayed at or above 99% during fault (2 could not be told); with 95% confidence this holds in at least 61.4% and at most 100% of incidents like this one (claim: 80%; exact binomial)");
    let judged = judgement(&one(30), ambiguous(30, 0));
    assert_eq!(judged.outcome, Outcome::Pass, "28 of 30 pass even so");
}

#[test]
fn too_many_invalid_trials_conclude_nothing() {
    let some = |excluded: u32| {
        trials(20, 0).into_iter().enumerate().map(move |(index, trial)| {
            if index < excluded as usize {
                trial.invalid(InvalidReason::NotSteady, true)
            } else {
                trial
            }
        })
    };
    assert_eq!(judgement(&one(20), some(4)).outcome, Outcome::Pass);
    let judged = judgement(&one(20), some(5));
    assert_eq!(judged.outcome, Outcome::Inconclusive);
    insta::assert_snapshot!(judged.because, @"in 15 of 15 incidents the success rate stayed at or above 99% during fault; with 95% confidence this holds in at least 81.8% and at most 100% of incidents like this one (claim: 80%; exact binomial); 5 of 20 trials were invalid, and with more than 20% nothing is concluded");
    insta::assert_snapshot!(judged.change, @"at most 20% invalid trials would let it be concluded");
    let verdict = verdict(&one(20), some(5));
    assert_eq!((verdict.validity.valid, verdict.validity.invalid), (15, 5));
    assert_eq!(verdict.validity.reasons[&InvalidReason::NotSteady], 5);
}

/// One p value just under the level is a failure alone, and none among three.
#[test]
fn a_failure_is_named_only_after_correction() {
    let broken = trials(14, 6);
    let alone = judgement(&one(14), broken.clone());
    assert!(alone.p_fail.unwrap() > 0.05 / 3.0 && alone.p_fail.unwrap() <= 0.05);
    assert_eq!(alone.outcome, Outcome::Fail);
    let others = ["a", "b"].map(|id| (id, success("10%")));
    let mut three = vec![("availability", success("99%"))];
    three.extend(others);
    let mut trials = broken;
    for trial in &mut trials {
        *trial = trial.clone().failing(1500, 1600, 0);
    }
    let verdict = verdict(&plan(14, three), trials);
    let judged = &verdict.judgements[0];
    assert_eq!(judged.outcome, Outcome::Inconclusive);
    assert!(
        judged
            .because
            .contains("alone it would count as failed, among 3 expectations it does not (Holm)")
    );
}

#[test]
fn the_worst_outcome_wins() {
    let two = plan(14, vec![("good", success("99%")), ("bad", success("100%"))]);
    let trials = (0..14).map(|index| Trial::fault(index).failing(2000, 2100, 1));
    let verdict = verdict(&two, trials);
    let outcomes: Vec<Outcome> = verdict.judgements.iter().map(|one| one.outcome).collect();
    assert_eq!(outcomes, [Outcome::Pass, Outcome::Fail]);
    assert_eq!(verdict.outcome, Outcome::Fail);
    assert!(verdict.because.starts_with("bad failed: in 0 of 14 incidents"));
}

#[test]
fn observed_trials_are_compared_plainly() {
    let mut plan = one(2);
    plan.trials.mode = TrialMode::Observed;
    let good = verdict(&plan, trials(2, 0));
    assert_eq!(good.exit_code, exit::PASS);
    insta::assert_snapshot!(good.because, @"availability passed: in 2 of 2 incidents the success rate stayed at or above 99% during fault; a plain comparison, no confidence statement");
    insta::assert_snapshot!(good.judgements[0].claim, @"in every incident of this run; no confidence statement");
    assert_eq!((good.judgements[0].share, good.judgements[0].p_pass), (None, None));
    assert_eq!(verdict(&plan, trials(2, 1)).exit_code, exit::FAIL);
    let gap = [Trial::fault(0), Trial::fault(1).gap(2000, 2100)];
    assert_eq!(verdict(&plan, gap).exit_code, exit::INCONCLUSIVE);
    assert_eq!(verdict(&plan, []).exit_code, exit::INCONCLUSIVE);
}

#[test]
fn the_end_of_the_run_beats_what_it_found() {
    let check = |end: Option<EndOfRun>, owed: bool, expected: u8| {
        let mut evidence = run(trials(14, 14));
        evidence.end = end;
        if owed {
            evidence.leftovers.push((TrialIndex(3), fault()));
        }
        let verdict = judge(&one(14), &evidence);
        assert_eq!(verdict.exit_code, expected, "{}", verdict.because);
        verdict.because
    };
    let because = || "guardrail tripped".to_owned();
    let aborted = || Some(EndOfRun::Aborted { because: because() });
    check(Some(EndOfRun::Completed), false, exit::FAIL);
    insta::assert_snapshot!(check(aborted(), false, exit::ABORTED), @"the run was aborted and everything was put back: guardrail tripped");
    insta::assert_snapshot!(check(None, false, exit::ABORTED), @"the run was aborted and everything was put back: the journal breaks off: gameday itself was stopped");
    insta::assert_snapshot!(check(Some(EndOfRun::Refused { because: because() }), false, exit::REFUSED), @"nothing was started: guardrail tripped");
    let errored = Some(EndOfRun::Errored { because: because() });
    insta::assert_snapshot!(check(errored.clone(), false, exit::BUG), @"the run ended by an error: guardrail tripped");
    insta::assert_snapshot!(check(errored, true, exit::LEFTOVERS), @"down of trial 4 is not proven to be put back: a person is needed");
    check(aborted(), true, exit::LEFTOVERS);
    let mut late = run(trials(14, 14));
    late.end = aborted();
    late.put_back_late.push((TrialIndex(3), fault()));
    let verdict = judge(&one(14), &late);
    assert_eq!(verdict.exit_code, exit::ABORTED, "nobody is needed any more");
    insta::assert_snapshot!(verdict.because, @"the run was aborted and everything was put back, down of trial 4 late: guardrail tripped");
    let mut evidence = run(trials(14, 0));
    evidence.end = aborted();
    assert_eq!(judge(&one(14), &evidence).outcome, Outcome::Inconclusive, "it did not complete");
}

#[test]
fn placebo_trials_show_the_floor_and_are_judged_for_silence() {
    let quiet = Assertion::Quiet { alert: "Burn".into() };
    let plan = plan(14, vec![("availability", success("99%")), ("silence", quiet)]);
    let placebo = (14..19).map(|index| match index {
        14 => Trial::placebo(index).failing(1500, 4500, 40).alert(2000, AlertStatus::Firing),
        _ => Trial::placebo(index),
    });
    let verdict = verdict(&plan, trials(14, 0).into_iter().chain(placebo));
    let [availability, silence] = &verdict.judgements[..] else { panic!("two judgements") };
    let floor = Counts { ok: 4, bad: 1, ..Counts::default() };
    assert_eq!((availability.placebo, silence.placebo), (Some(floor), None));
    assert_eq!((availability.outcome, silence.counts), (Outcome::Pass, floor));
    insta::assert_snapshot!(silence.because, @"in 4 of 5 placebo trials Burn stayed silent; with 95% confidence this holds in at least 34.2% and at most 99% of placebo trials like this one (claim: 80%; exact binomial)");
}

#[test]
fn a_claim_of_always_is_never_proven_and_refuted_at_once() {
    let mut plan = one(200);
    plan.expectations[0].claim = Claim::share(Ratio::ONE, Ratio::from_percent(95));
    assert_eq!(judgement(&plan, trials(200, 0)).outcome, Outcome::Inconclusive);
    assert_eq!(judgement(&plan, trials(200, 1)).outcome, Outcome::Fail);
}

#[test]
fn a_run_without_expectations_proves_nothing() {
    let verdict = verdict(&plan(14, vec![]), trials(14, 0));
    assert_eq!(verdict.exit_code, exit::INCONCLUSIVE);
    insta::assert_snapshot!(verdict.because, @"the plan expects nothing, so nothing was judged");
}

#[test]
fn other_expectations_can_be_judged_on_the_same_evidence() {
    let planned = one(14);
    let evidence = run((0..14).map(|index| Trial::fault(index).failing(2000, 2100, 2)));
    assert_eq!(judge(&planned, &evidence).outcome, Outcome::Pass);
    let stricter = plan(14, vec![("availability", success("100%"))]).expectations;
    let verdict = judge_with(&planned, stricter, &evidence);
    assert_eq!(verdict.outcome, Outcome::Fail);
    assert_ne!(verdict.plan_sha256, planned.sha256());
    let text = serde_json::to_string(&verdict).unwrap();
    let read: harness_core::verdict::Verdict = serde_json::from_str(&text).unwrap();
    assert_eq!((&read.because, &read.end), (&verdict.because, &verdict.end));
}

fn sequential(count: u32) -> Plan {
    let mut plan = one(count);
    plan.trials.stop = StopRule::Sequential;
    plan
}

#[test]
fn a_run_stops_when_its_verdict_is_settled() {
    let plan = sequential(55);
    let stop = |trials: Vec<Trial>| may_stop(&plan, &run(trials));
    assert_eq!(stop(trials(17, 0)), StopDecision::GoOn);
    let because = "every expectation passed".to_owned();
    assert_eq!(stop(trials(18, 0)), StopDecision::Stop { because });
    let judged = judgement(&plan, trials(18, 0));
    assert_eq!(judged.outcome, Outcome::Pass);
    insta::assert_snapshot!(judged.because, @"in 18 of 18 incidents the success rate stayed at or above 99% during fault; with 95% confidence this holds in at least 84.6% of incidents like this one (claim: 80%; exact binomial with early stopping)");
    let because = "availability failed after 4 trials".to_owned();
    assert_eq!(stop(trials(4, 4)), StopDecision::Stop { because });
    assert_eq!(judgement(&plan, trials(4, 4)).outcome, Outcome::Fail);
    let hopeless = |index: u32| index.is_multiple_of(3);
    let trials: Vec<Trial> = (0..24)
        .map(|index| {
            let trial = Trial::fault(index);
            if hopeless(index) { trial.failing(1500, 4500, PER_WINDOW) } else { trial }
        })
        .collect();
    let because = "availability can no longer pass after 24 trials".to_owned();
    assert_eq!(stop(trials), StopDecision::Stop { because });
}

#[test]
fn a_run_has_the_trials_that_it_asks_for_at_least() {
    let mut plan = sequential(55);
    plan.trials.count_min = 20;
    for settled in [trials(18, 0), trials(19, 19)] {
        assert_eq!(may_stop(&plan, &run(settled)), StopDecision::GoOn);
    }
    assert!(matches!(may_stop(&plan, &run(trials(20, 0))), StopDecision::Stop { .. }));
    let placebo = trials(18, 0).into_iter().chain((20..40).map(Trial::placebo));
    assert_eq!(may_stop(&plan, &run(placebo)), StopDecision::GoOn, "placebo trials are others");
}

#[test]
fn fixed_and_observed_runs_are_never_stopped() {
    assert_eq!(may_stop(&one(55), &run(trials(55, 0))), StopDecision::GoOn);
    let mut observed = sequential(55);
    observed.trials.mode = TrialMode::Observed;
    assert_eq!(may_stop(&observed, &run(trials(4, 4))), StopDecision::GoOn);
}

#[test]
fn too_few_requests_for_the_bound_are_told() {
    let told = |percent: &str| {
        let plan = plan(14, vec![("availability", success(percent))]);
        judgement(&plan, trials(14, 0)).because
    };
    // A window of 1200 requests resolves 99 %, but not 99.9 %.
    assert!(!told("99%").contains("fair verdict"));
    let words = "its window held 1200 requests at least, and a fair verdict on this bound takes \
                 10000";
    assert!(told("99.9%").ends_with(words), "{}", told("99.9%"));
    assert!(!told("100%").contains("fair verdict"), "no number of requests resolves it");
}

/// Four bad trials of 44 still pass, unless they come in a row.
#[test]
fn bad_trials_in_a_row_do_not_pass() {
    let run_with = |bad: [u32; 4]| {
        let some = (0..44).map(move |index| {
            let trial = Trial::fault(index);
            if bad.contains(&index) { trial.failing(1500, 4500, PER_WINDOW) } else { trial }
        });
        (judgement(&one(44), some.clone()), outcomes_by_states(&one(44), &run(some)))
    };
    let (judged, by_states) = run_with([20, 21, 22, 23]);
    assert_eq!((judged.outcome, by_states), (Outcome::Inconclusive, vec![Outcome::Pass]));
    assert!(judged.because.contains("so they are no independent cases and nothing passes"));
    insta::assert_snapshot!(judged.change, @"trials that carry nothing over into the next would let it pass: a longer `steadyState` hold, or a reset of what they leave behind");
    let (judged, by_states) = run_with([3, 14, 26, 39]);
    assert_eq!((judged.outcome, by_states), (Outcome::Pass, vec![Outcome::Pass]));
    assert!(!judged.because.contains("resemble"), "{}", judged.because);
}

/// Each of these trials is ok, and each answers a little worse than the one before it.
#[test]
fn a_trend_within_the_bound_is_told() {
    let drifting =
        (0..14).map(|index| Trial::fault(index).failing(1500, 1600, u64::from(index) / 2));
    let judged = judgement(&one(14), drifting);
    assert_eq!(judged.outcome, Outcome::Pass);
    assert!(judged.because.contains("trials resemble the ones before them"), "{}", judged.because);
    assert!(judged.because.contains("which may be chance"), "{}", judged.because);
}

#[test]
fn a_resemblance_never_mends_nor_breaks_a_failure() {
    let plan = one(14);
    let broken = || trials(14, 9);
    let judged = judgement(&plan, broken());
    assert_eq!(judged.outcome, Outcome::Fail);
    assert!(judged.because.contains("trials resemble the ones before them"), "{}", judged.because);
    let mut observed = plan;
    observed.trials.mode = TrialMode::Observed;
    let judged = judgement(&observed, broken());
    assert!(!judged.because.contains("resemble"), "a plain comparison asks for nothing");
}
