//! Success rate and latency of one trial.

use harness_core::event::InvalidReason;
use harness_core::evidence::Latencies;
use harness_core::ids::RequestKind;
use harness_core::plan::{
    Anchor, Assertion, Bound, FaultInstant, Moment, Phase, PhaseEdge, Shape, WindowRange,
};
use harness_core::units::Ratio;
use harness_core::verdict::TrialState::{self, Ambiguous, Bad, Excluded, Ok};

use crate::fixture::*;

fn check(assertion: &Assertion, trial: Trial, expected: (TrialState, &str)) {
    let said = trial_says(assertion, trial);
    assert_eq!((said.state, said.because.as_str()), expected);
}

fn latency(quantile: &str, at_most: &str) -> Assertion {
    Assertion::Latency {
        of: None,
        quantile: quantile.parse().unwrap(),
        at_most: at_most.parse().unwrap(),
        during: WindowRange::phases("fault", Phase::Fault, Phase::Fault),
    }
}

#[test]
fn success_is_compared_exactly() {
    let all = success("99%");
    check(&all, Trial::fault(0), (Ok, "100% of 1200 requests succeeded"));
    // Twelve of 1200 are just the allowed percent.
    let edge = Trial::fault(0).failing(2000, 2600, 2);
    check(&all, edge, (Ok, "99% of 1200 requests succeeded"));
    let beyond = Trial::fault(0).failing(2000, 2600, 2).failing(3000, 3100, 1);
    check(&all, beyond, (Bad, "98.916% of 1200 requests succeeded"));
    let outside = Trial::fault(0).failing(0, 1500, 40).failing(4500, 8000, 40);
    check(&all, outside, (Ok, "100% of 1200 requests succeeded"));
    let upper = Assertion::SuccessRate {
        of: Some(kind()),
        bound: Bound::AtMost(Ratio::from_percent(50)),
        during: WindowRange::phases("fault", Phase::Fault, Phase::Fault),
    };
    check(&upper, Trial::fault(0), (Bad, "100% of 1200 requests succeeded"));
    let half = Trial::fault(0).failing(1500, 4500, 20);
    check(&upper, half, (Ok, "50% of 1200 requests succeeded"));
}

#[test]
fn latency_counts_failed_requests_as_endless() {
    let bound = latency("p99", "800ms");
    check(&bound, Trial::fault(0), (Ok, "p99 20ms of 1200 requests"));
    let slow = |from, to, slow| Trial::fault(0).load(from, to, 0, slow);
    check(&bound, slow(2000, 2100, 900), (Bad, "p99 900ms of 1200 requests"));
    let few = Trial::fault(0).failing(2000, 2100, 12);
    check(&bound, few, (Ok, "p99 20ms of 1200 requests"));
    let many = Trial::fault(0).failing(2000, 2100, 13);
    check(&bound, many, (Bad, "13 of 1200 requests had no good answer"));
    assert_eq!(trial_says(&bound, Trial::fault(0).failing(2000, 2100, 13)).value, None);
}

/// 3000 us and 3001 us share a bucket: where that bucket decides, nothing can be said.
#[test]
fn a_bucket_around_the_threshold_is_ambiguous_only_where_it_decides() {
    let slow = |millis| Trial::fault(0).load(1500, 4500, 0, millis);
    let lenient = latency("p50", "3s");
    assert_eq!(trial_says(&lenient, slow(2000)).state, Ok);
    assert_eq!(trial_says(&lenient, slow(3000)).state, Ambiguous);
    assert_eq!(trial_says(&lenient, slow(3010)).state, Bad);
    let mostly = slow(2000).load(2000, 2200, 0, 3000);
    assert_eq!(trial_says(&lenient, mostly).state, Ok);
}

#[test]
fn missing_samples_are_never_success() {
    let all = success("99%");
    let gap = (Ambiguous, "1 of 30 windows of samples are missing");
    check(&all, Trial::fault(0).gap(2000, 2100), gap);
    check(&all, Trial::fault(0).gap(0, 9000), (Ambiguous, "there are no samples"));
    let half = Trial::fault(0).gap(4000, 9000);
    check(&all, half, (Ambiguous, "5 of 30 windows of samples are missing"));
    // Outside the window a gap says nothing about it.
    check(&all, Trial::fault(0).gap(5000, 6000), (Ok, "100% of 1200 requests succeeded"));
    let silent = Trial::fault(0).with(|trial| {
        for window in &mut trial.windows {
            window.kinds.clear();
        }
    });
    let said = (Ambiguous, "about 1200 requests were planned, none was recorded");
    check(&all, silent, said);
}

#[test]
fn a_time_without_load_is_excluded() {
    let mut plan = plan(14, vec![("it", success("99%"))]);
    plan.load.shape = Shape::Recorded { offsets_us: vec![0, 100] };
    let silent = |trial: Trial| {
        trial.with(|trial| {
            for window in &mut trial.windows {
                window.kinds.clear();
            }
        })
    };
    assert_eq!(trial_says_in(&plan, silent(Trial::fault(0))).state, Excluded);
    assert_eq!(trial_says_in(&plan, Trial::fault(0).gap(1500, 4500)).state, Excluded);
    // Of a kind that the mix does not hold nothing was due, and so nothing can be missing.
    let of = Some(RequestKind::new("GET /nothing"));
    let during = WindowRange::phases("fault", Phase::Fault, Phase::Fault);
    let bound = Bound::AtLeast(Ratio::from_percent(99));
    check(
        &Assertion::SuccessRate { of, bound, during },
        Trial::fault(0),
        (Excluded, "no request was due in `fault`"),
    );
}

#[test]
fn a_client_that_stood_still_or_was_late_proves_nothing() {
    let all = success("99%");
    let paused = Trial::fault(0).with(|trial| trial.windows[20].paused = true);
    check(&all, paused, (Ambiguous, "the client stood still in 1 windows"));
    let lagging = |lag_ms: u64| {
        Trial::fault(0).with(|trial| {
            let lag: Latencies = [(ms(lag_ms), 40)].into_iter().collect();
            for window in &mut trial.windows {
                window.lag_us = lag.clone();
            }
        })
    };
    assert_eq!(trial_says(&all, lagging(49)).state, Ok);
    assert_eq!(trial_says(&all, lagging(51)).state, Ambiguous);
    // A tenth of the threshold, where that is less.
    assert_eq!(trial_says(&latency("p99", "200ms"), lagging(19)).state, Ok);
    assert_eq!(trial_says(&latency("p99", "200ms"), lagging(21)).state, Ambiguous);
}

#[test]
fn invalid_trials_are_excluded_or_ambiguous_by_when_it_was_found() {
    let all = success("99%");
    let before = Trial::fault(0).invalid(InvalidReason::BaselineNotSteady, true);
    check(&all, before, (Excluded, "baseline not steady: as the test says"));
    let bad = || Trial::fault(0).failing(1500, 4500, 40);
    let after = bad().invalid(InvalidReason::Stalled, false);
    check(&all, after, (Ambiguous, "the harness stood still: as the test says"));
    let both = bad().invalid(InvalidReason::Stalled, false).invalid(InvalidReason::NotSteady, true);
    assert_eq!(trial_says(&all, both).state, Excluded);
    let unseen = bad().with(|trial| trial.faults.get_mut(&fault()).unwrap().effective = None);
    check(&all, unseen, (Ambiguous, "down was not seen in force"));
    let broken_off = bad().with(|trial| trial.ended = None);
    assert_eq!(trial_says(&all, broken_off).state, Ambiguous);
    let early = bad().with(|trial| {
        trial.ended = None;
        trial.faults.clear();
    });
    assert_eq!(trial_says(&all, early).state, Excluded);
}

#[test]
fn windows_hang_on_phases_and_faults() {
    let fault_at = |instant, offset_us| Moment {
        anchor: Anchor::Fault { fault: fault(), instant },
        offset_us,
    };
    let fault_end = Moment {
        anchor: Anchor::Phase { phase: Phase::Fault, edge: PhaseEdge::End },
        offset_us: -500_000,
    };
    let during = WindowRange {
        text: "down.effective+1s .. fault.end-500ms".into(),
        from: fault_at(FaultInstant::Effective, 1_000_000),
        to: fault_end,
    };
    let bound = Bound::AtLeast(Ratio::from_percent(100));
    let late = Assertion::SuccessRate { of: None, bound, during };
    let trial = Trial::fault(0).failing(1500, 2600, 40).failing(4000, 4500, 40);
    check(&late, trial, (Ok, "100% of 560 requests succeeded"));
    let trial = Trial::fault(0).failing(2600, 2700, 1);
    assert_eq!(trial_says(&late, trial).state, Bad);
    let never = Trial::fault(0).with(|trial| {
        trial.phases.get_mut(&Phase::Fault).unwrap().1 = None;
    });
    assert_eq!(trial_says(&late, never).state, Ambiguous);
}
