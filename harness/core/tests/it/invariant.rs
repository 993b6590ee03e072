//! Accepted ids against stored ids.

use harness_core::plan::Assertion;
use harness_core::system::Processed;
use harness_core::verdict::TrialState::{self, Ambiguous, Bad, Ok};

use crate::fixture::*;

const BOTH: Assertion = Assertion::Invariant { none_lost: true, none_twice: true };

fn stored(processed: Processed) -> Trial {
    Trial::fault(0).with(|trial| trial.processed = Some(Result::Ok(processed)))
}

fn check(assertion: &Assertion, processed: Processed, expected: (TrialState, &str)) {
    let said = trial_says(assertion, stored(processed));
    assert_eq!((said.state, said.because.as_str()), expected);
}

fn processed(stored: &[(u64, u64)], pending: &[(u64, u64)], repeated: &[u64]) -> Processed {
    Processed { stored: stored.to_vec(), pending: pending.to_vec(), repeated: repeated.to_vec() }
}

#[test]
fn accepted_ids_are_stored_once() {
    let all = (Ok, "3200 accepted ids, all as it should be");
    check(&BOTH, processed(&[(0, 3199)], &[], &[]), all);
    check(&BOTH, processed(&[(0, 1000), (1001, 9999)], &[], &[]), all);
    let lost = (Bad, "3200 accepted ids: 2 lost");
    check(&BOTH, processed(&[(0, 99), (102, 3199)], &[], &[]), lost);
    check(&BOTH, processed(&[], &[], &[]), (Bad, "3200 accepted ids: 3200 lost"));
    let twice = processed(&[(0, 3199)], &[], &[7, 9]);
    check(&BOTH, twice.clone(), (Bad, "3200 accepted ids: 2 processed twice"));
    let only_lost = Assertion::Invariant { none_lost: true, none_twice: false };
    check(&only_lost, twice, all);
    let only_twice = Assertion::Invariant { none_lost: false, none_twice: true };
    check(&only_twice, processed(&[], &[], &[]), all);
}

#[test]
fn work_that_is_not_finished_is_not_done() {
    let pending = (Bad, "3200 accepted ids: 100 still pending");
    check(&BOTH, processed(&[(0, 3099)], &[(3100, 3199)], &[]), pending);
    check(&BOTH, processed(&[(0, 3199)], &[(3100, 3199)], &[]), pending);
    let mixed = (Bad, "3200 accepted ids: 1 lost, 1 still pending");
    check(&BOTH, processed(&[(0, 3197)], &[(3199, 3199)], &[]), mixed);
}

#[test]
fn ids_whose_end_is_unknown_may_be_stored_or_not() {
    let unknown = |processed: Processed| {
        stored(processed).with(|trial| {
            let load = trial.load.as_mut().unwrap();
            load.accepted = vec![(0, 99)];
            load.unknown = vec![(100, 199)];
        })
    };
    assert_eq!(trial_says(&BOTH, unknown(processed(&[(0, 150)], &[], &[]))).state, Ok);
    assert_eq!(trial_says(&BOTH, unknown(processed(&[(0, 99)], &[], &[]))).state, Ok);
    assert_eq!(trial_says(&BOTH, unknown(processed(&[(1, 199)], &[], &[]))).state, Bad);
}

#[test]
fn what_is_not_known_is_ambiguous() {
    for (trial, because) in [
        (
            Trial::fault(0).with(|trial| trial.processed = None),
            "the system was not asked what it stored",
        ),
        (
            Trial::fault(0).with(|trial| trial.processed = Some(Err("no answer".into()))),
            "it is not known what was stored: no answer",
        ),
        (
            Trial::fault(0).with(|trial| trial.load = None),
            "the load's own record of accepted ids is missing",
        ),
        (
            Trial::fault(0).with(|trial| trial.load.as_mut().unwrap().accepted.clear()),
            "no request with an id was accepted",
        ),
    ] {
        let said = trial_says(&BOTH, trial);
        assert_eq!((said.state, said.because.as_str()), (Ambiguous, because));
    }
}
