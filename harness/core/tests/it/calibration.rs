//! How often the judge is wrong when the truth is known: every study of the long calibration, run
//! less often. A study that keeps its rate is called broken by chance in one of ten thousand; the
//! seed is fixed, so it is either broken or not.

#[path = "../../examples/calibration/world/mod.rs"]
mod world;

use harness_core::judge::judge;
use world::{Ends, Expectation, Sizes, Study, long_run, studies};

/// Runs of each study: a true rate of 25 % in place of 5 % is seen nearly always, so this
/// guards against a broken judge; the long calibration measures it.
const RUNS: u64 = 120;
/// Short runs: 14 clean trials just support the claim, 18 with early stopping.
const SIZES: Sizes = Sizes { fixed: 14, sequential: 20, together: 20 };
const SEED: u64 = 20_261_122;

fn keeps_its_rates(group: usize) {
    let group = studies(SIZES).swap_remove(group);
    let runs = RUNS / group.one_run_in;
    let broken: Vec<String> = group
        .studies
        .iter()
        .filter_map(|study: &Study| study.broken(study.run(runs, SEED)))
        .collect();
    assert!(broken.is_empty(), "{}: {broken:#?}", group.heading);
}

#[test]
fn at_the_boundary_wrong_verdicts_are_rare() {
    keeps_its_rates(0);
}

#[test]
fn invalid_trials_and_trends_make_no_verdict_wrong() {
    keeps_its_rates(1);
}

#[test]
fn power_is_what_the_planner_promises() {
    keeps_its_rates(2);
}

#[test]
fn several_expectations_keep_the_rate_of_the_scenario() {
    keeps_its_rates(3);
}

#[test]
fn a_judge_that_is_wrong_too_often_is_called_broken() {
    let study = studies(SIZES).swap_remove(0).studies.swap_remove(0);
    assert_eq!(study.expected, Expectation::BothWrong);
    let ends = Ends { runs: 10_000, pass: 583, fail: 583, ..Ends::default() };
    assert_eq!(study.broken(ends), None);
    assert!(study.broken(Ends { pass: 584, ..ends }).is_some());
    assert!(study.broken(Ends { fail: 584, ..ends }).is_some());
}

#[test]
fn the_long_run_of_the_benchmark_is_judged_trial_by_trial() {
    let (plan, evidence) = long_run(3, 60);
    let verdict = judge(&plan, &evidence);
    assert_eq!(verdict.judgements.len(), plan.expectations.len());
    for judgement in &verdict.judgements {
        assert_eq!(judgement.counts.ok, 3, "{judgement:#?}");
    }
}
