//! The model: times, bounds, and that nothing is invented where nothing is known.

use harness_core::evidence::TrialEvidence;
use harness_core::ids::{SignalId, TrialIndex};
use harness_core::plan::TrialMode;
use harness_core::signal::{ActionNotice, Observation};
use harness_core::units::Duration;
use harness_core::verdict::{Estimate, TrialState};
use reports::{EVENTS_MAX, Format, Pulse, Report, TrialReport, Zero, render};

use crate::fixture::{self, Run};

fn trial_of(report: &Report, trial: TrialIndex) -> &TrialReport {
    report.trials.iter().find(|told| told.trial == trial).expect("every trial is told")
}

fn first_fault_trial(run: &mut Run) -> &mut TrialEvidence {
    run.evidence.trials.iter_mut().find(|trial| trial.arm.as_str() == "fault").expect("one of many")
}

#[test]
fn times_count_from_the_injection() {
    let mut run = fixture::clean();
    let index = first_fault_trial(&mut run).trial;
    let report = run.report();
    let trial = trial_of(&report, index);
    assert_eq!(trial.zero, Zero::Injection);
    let fault = &trial.faults[0];
    let instants = [fault.inject_s, fault.effective_s, fault.revert_s, fault.reverted_s];
    assert_eq!(instants, [Some(0.0), Some(0.18), Some(3.0), Some(3.24)]);
    assert!((trial.series.at_s[0] + 3.0).abs() < 1e-9, "the load begins 3 s before");
    assert!((trial.phases[0].from_s + 3.0).abs() < 1e-9);
}

#[test]
fn a_trial_without_a_load_has_no_series_and_no_fault() {
    let report = fixture::mixed().report();
    let unsteady = report.trials.iter().find(|trial| trial.zero == Zero::TrialStart).unwrap();
    assert!(unsteady.series.at_s.is_empty() && unsteady.faults.is_empty());
    assert!(!unsteady.invalid.is_empty());
}

#[test]
fn a_fault_that_was_not_seen_has_no_effective_time() {
    let report = fixture::mixed().report();
    let unseen = |trial: &&TrialReport| trial.faults.iter().any(|f| f.effective_s.is_none());
    let unseen = report.trials.iter().find(unseen).unwrap();
    assert!(unseen.faults[0].inject_s.is_some());
    let page = render(Format::Html, &report, &fixture::options());
    assert!(page.contains("effective <b class=\"never\">never seen</b>"));
}

#[test]
fn what_the_verdict_found_invalid_is_shown_although_the_run_did_not() {
    let mut run = fixture::mixed();
    for trial in &mut run.evidence.trials {
        trial.invalid.clear();
    }
    let report = run.report();
    let invalid = report.trials.iter().filter(|trial| !trial.invalid.is_empty()).count();
    assert_eq!(invalid, 2);
}

#[test]
fn looks_of_one_kind_become_one_span_and_a_gap_stays_a_gap() {
    let mut run = fixture::clean();
    let signal = SignalId::from("sentinel");
    let trial = first_fault_trial(&mut run);
    let (index, start) = (trial.trial, trial.began);
    let at = |tenth: u64| start + Duration::from_millis(tenth * 100);
    let value = |tenth, value| Observation::Value { signal: signal.clone(), at: at(tenth), value };
    let gap = Observation::Gap { signal: signal.clone(), at: at(3), why: "no answer".to_owned() };
    let looks = vec![value(0, 1.0), value(1, 1.0), value(2, 0.0), gap, value(4, 1.0)];
    trial.observations.insert(signal.clone(), looks);
    let report = run.report();
    let spans = &trial_of(&report, index).sentinels[0].spans;
    let pulses: Vec<Pulse> = spans.iter().map(|span| span.pulse).collect();
    assert_eq!(pulses, [Pulse::Ok, Pulse::Failed, Pulse::Gap, Pulse::Ok]);
    assert!((spans[0].to_s - spans[1].from_s).abs() < 1e-9);
}

#[test]
fn too_many_events_are_cut_and_counted() {
    let mut run = fixture::clean();
    let trial = first_fault_trial(&mut run);
    let (index, at) = (trial.trial, trial.began);
    let action = |number: u64| ActionNotice {
        signal: SignalId::from("automation"),
        actor: "breaker".to_owned(),
        action: "open".to_owned(),
        target: "checkout-0".to_owned(),
        at: at + Duration::from_millis(number),
    };
    trial.actions = (0..EVENTS_MAX as u64 + 25).map(action).collect();
    let report = run.report();
    let trial = trial_of(&report, index);
    assert_eq!((trial.actions.len(), trial.left_out), (EVENTS_MAX, 25));
    let page = render(Format::Html, &report, &fixture::options());
    assert!(page.contains("25 more were left out."));
}

#[test]
fn a_number_that_is_none_is_left_out_not_drawn() {
    let mut run = fixture::mixed();
    for judgement in &mut run.verdict.judgements {
        judgement.share =
            Some(Estimate { value: f64::NAN, lower: f64::NEG_INFINITY, upper: f64::INFINITY });
        judgement.p_pass = Some(f64::NAN);
        for trial in &mut judgement.trials {
            trial.value = Some(f64::INFINITY);
        }
    }
    let report = run.report();
    assert!(report.expectations.iter().all(|e| e.share.is_none() && e.p_pass.is_none()));
    for format in Format::ALL {
        let text = render(format, &report, &fixture::options());
        assert!(!text.contains("NaN") && !text.contains("inf "), "{format}");
    }
}

#[test]
fn an_observed_run_makes_no_confidence_statement() {
    let mut run = fixture::clean();
    run.plan.trials.mode = TrialMode::Observed;
    run.verdict.mode = TrialMode::Observed;
    let report = run.report();
    assert!(report.expectations.iter().all(|e| e.confidence.is_none() && e.in_at_least.is_none()));
    assert!(report.setting.pass_means.contains("no confidence statement"));
    let text = render(Format::Text, &report, &fixture::options());
    assert!(text.contains("share     100 % (n = 14 trials)"), "{text}");
    let page = render(Format::Html, &report, &fixture::options());
    assert!(!page.contains("class=\"interval\""));
}

#[test]
fn a_run_without_trials_or_expectations_is_still_a_report() {
    let mut run = fixture::clean();
    run.evidence.trials.clear();
    run.verdict.trials.clear();
    run.verdict.judgements.clear();
    run.verdict.validity = harness_core::verdict::Validity::default();
    let report = run.report();
    for format in Format::ALL {
        assert!(!render(format, &report, &fixture::options()).is_empty());
    }
    let text = render(Format::Text, &report, &fixture::options());
    assert!(text.contains("no trial was begun"), "{text}");
}

#[test]
fn a_journal_that_breaks_off_leaves_open_ends() {
    let mut run = fixture::clean();
    let trial = first_fault_trial(&mut run);
    let index = trial.trial;
    for (_, to) in trial.phases.values_mut() {
        *to = None;
    }
    trial.ended = None;
    for fault in trial.faults.values_mut() {
        (fault.revert, fault.reverted) = (None, None);
    }
    let report = run.report();
    let trial = trial_of(&report, index);
    assert!(trial.phases.iter().all(|phase| phase.to_s.is_none()));
    assert_eq!(trial.faults[0].reverted_s, None);
    let page = render(Format::Html, &report, &fixture::options());
    assert!(page.contains("reverted <b class=\"never\">never seen</b>"));
}

#[test]
fn a_window_that_is_missing_breaks_the_line() {
    let mut run = fixture::clean();
    let trial = first_fault_trial(&mut run);
    let index = trial.trial;
    trial.windows.retain(|window| !(20..25).contains(&window.index));
    let report = run.report();
    let series = &trial_of(&report, index).series;
    let jump = series.at_s.windows(2).filter(|pair| pair[1] - pair[0] > 0.15).count();
    assert_eq!(jump, 1);
    assert_eq!(series.at_s.len(), 82);
}

#[test]
fn states_of_all_kinds_are_told_with_their_signs() {
    let report = fixture::mixed().report();
    let text = render(Format::Text, &report, &fixture::options());
    for (state, sign) in [
        (TrialState::Ok, '●'),
        (TrialState::Bad, '✗'),
        (TrialState::Ambiguous, '?'),
        (TrialState::Excluded, '·'),
    ] {
        let there = report.expectations.iter().flat_map(|e| &e.dots).any(|dot| dot.state == state);
        assert!(there && text.contains(sign), "{state:?}");
    }
}
