//! What must hold for all runs: worse evidence never gives a better verdict.
//!
//! The laws are those of the decision by states. Above it the judge also asks whether trials
//! resemble the ones before them; that check looks at their order, so the laws do not bind it, but
//! it must never do more than take a pass away.

use harness_core::judge::{judge, outcomes_by_states};
use harness_core::plan::{Holds, Plan, StopRule};
use harness_core::verdict::Outcome;
use proptest::prelude::*;

use crate::every_claim::{Kind, evidence, lenient, made, paired, planned};
use crate::fixture::Trial;

/// The outcomes of the decision by states, by expectation.
fn outcomes(plan: &Plan, trials: Vec<Trial>) -> Vec<(String, Holds, Outcome)> {
    let outcomes = outcomes_by_states(plan, &evidence(trials));
    plan.expectations
        .iter()
        .zip(outcomes)
        .map(|(asked, outcome)| (asked.id.to_string(), asked.claim.holds, outcome))
        .collect()
}

fn kinds() -> impl Strategy<Value = Vec<Kind>> {
    let kind = prop_oneof![
        12 => Just(Kind::Ok),
        2 => Just(Kind::Bad),
        1 => Just(Kind::Ambiguous),
        1 => Just(Kind::Excluded),
    ];
    prop::collection::vec(kind, 1..32)
}

/// Fault trials with the placebo trials beside them.
fn pairs() -> impl Strategy<Value = Vec<(Kind, Kind)>> {
    let placebo = prop_oneof![
        10 => Just(Kind::Ok),
        1 => Just(Kind::Ambiguous),
        1 => Just(Kind::Excluded),
    ];
    kinds().prop_flat_map(move |kinds| {
        let others = prop::collection::vec(placebo.clone(), kinds.len());
        (Just(kinds), others).prop_map(|(kinds, others)| kinds.into_iter().zip(others).collect())
    })
}

fn stops() -> impl Strategy<Value = StopRule> {
    prop_oneof![Just(StopRule::Fixed), Just(StopRule::Sequential)]
}

/// Runs as made up here are no corpus to keep.
fn config() -> ProptestConfig {
    ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() }
}

/// In which trial, from which window, how many.
fn lost_windows() -> impl Strategy<Value = (prop::sample::Index, u64, u64)> {
    (any::<prop::sample::Index>(), 0..80_u64, 1..40_u64)
}

fn ordered_twice() -> impl Strategy<Value = (Vec<Kind>, Vec<Kind>)> {
    kinds().prop_flat_map(|kinds| (Just(kinds.clone()), Just(kinds).prop_shuffle()))
}

/// Each family can pass, fail and be neither: a law over outcomes that never differ says nothing.
#[test]
fn every_expectation_knows_good_from_bad() {
    let found = |kind| outcomes(&planned(16), made(&[kind; 16]));
    for (id, holds, outcome) in found(Kind::Ok) {
        let uncapped = holds == Holds::OnAverage { cap: None };
        let expected = if uncapped { Outcome::Inconclusive } else { Outcome::Pass };
        assert_eq!(outcome, expected, "{id}");
    }
    for (id, _, outcome) in found(Kind::Bad) {
        assert_eq!(outcome, Outcome::Fail, "{id}");
    }
    for (id, _, outcome) in found(Kind::Ambiguous) {
        assert_eq!(outcome, Outcome::Inconclusive, "{id}");
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_worse_trial_never_helps(
        kinds in kinds(),
        stop in stops(),
        place in any::<prop::sample::Index>(),
        worse in prop_oneof![Just(Kind::Bad), Just(Kind::Ambiguous)],
    ) {
        let plan = lenient(kinds.len(), stop);
        let place = place.index(kinds.len());
        prop_assume!(kinds[place] == Kind::Ok);
        let mut changed = kinds.clone();
        changed[place] = worse;
        let before = outcomes(&plan, made(&kinds));
        let both = before.into_iter().zip(outcomes(&plan, made(&changed)));
        for ((id, holds, before), (_, _, after)) in both {
            // What cannot be told any more may have been the proof of a fail, where not the states
            // but the values decide.
            let lost = worse == Kind::Ambiguous
                && !matches!(holds, Holds::InAtLeast(_))
                && (before, after) == (Outcome::Fail, Outcome::Inconclusive);
            // The order of outcomes is from good to bad.
            prop_assert!(after >= before || lost, "{id}: {kinds:?} {place} {worse:?}");
        }
    }

    /// A trial that turns out invalid after the injection is not left out.
    #[test]
    fn leaving_out_never_makes_a_pass(kinds in kinds(), place in any::<prop::sample::Index>()) {
        let plan = planned(kinds.len());
        let place = place.index(kinds.len());
        prop_assume!(kinds[place] == Kind::Ok);
        for excluded in [Kind::Ambiguous, Kind::Excluded] {
            let mut changed = kinds.clone();
            changed[place] = excluded;
            let before = outcomes(&plan, made(&kinds));
            let both = before.into_iter().zip(outcomes(&plan, made(&changed)));
            for ((id, holds, before), (_, _, after)) in both {
                // Found before the injection, it may have been one that spoils a mean.
                let by_value = excluded == Kind::Excluded && !matches!(holds, Holds::InAtLeast(_));
                prop_assert!(by_value || before == Outcome::Pass || after != Outcome::Pass, "{id}");
            }
        }
    }

    #[test]
    fn the_order_of_trials_does_not_matter((kinds, shuffled) in ordered_twice()) {
        let plan = planned(kinds.len());
        prop_assert_eq!(outcomes(&plan, made(&kinds)), outcomes(&plan, made(&shuffled)));
    }

    /// What a fault trial is compared with may be worth nothing. Found before the injection, it may
    /// be a bad one that is left out.
    #[test]
    fn a_worthless_placebo_trial_never_makes_a_pass(
        pairs in pairs(),
        place in any::<prop::sample::Index>(),
    ) {
        let plan = planned(pairs.len());
        let place = place.index(pairs.len());
        let (kind, other) = pairs[place];
        prop_assume!(other == Kind::Ok);
        for worthless in [Kind::Ambiguous, Kind::Excluded] {
            if worthless == Kind::Excluded && kind != Kind::Ok {
                continue;
            }
            let mut changed = pairs.clone();
            changed[place].1 = worthless;
            let before = outcomes(&plan, paired(pairs.clone()));
            let both = before.into_iter().zip(outcomes(&plan, paired(changed)));
            for ((id, _, before), (_, _, after)) in both {
                prop_assert!(before == Outcome::Pass || after != Outcome::Pass, "{id}");
            }
        }
    }

    #[test]
    fn the_order_of_pairs_does_not_matter(
        (pairs, shuffled) in pairs().prop_flat_map(|pairs| {
            (Just(pairs.clone()), Just(pairs).prop_shuffle())
        }),
    ) {
        let plan = planned(pairs.len());
        prop_assert_eq!(outcomes(&plan, paired(pairs)), outcomes(&plan, paired(shuffled)));
    }

    /// Whatever windows are lost, in whatever trials.
    #[test]
    fn lost_samples_never_make_a_pass(
        kinds in kinds(),
        lost in prop::collection::vec(lost_windows(), 1..8),
    ) {
        let plan = planned(kinds.len());
        let whole = made(&kinds);
        let mut torn = whole.clone();
        for (place, first, count) in lost {
            let place = place.index(torn.len());
            torn[place] = torn[place].clone().gap(first * 100, (first + count) * 100);
        }
        let before = outcomes(&plan, whole);
        for ((id, _, before), (_, _, after)) in before.into_iter().zip(outcomes(&plan, torn)) {
            prop_assert!(before == Outcome::Pass || after != Outcome::Pass, "{id}");
        }
    }

    #[test]
    fn the_verdict_only_takes_passes_away(kinds in kinds(), stop in stops()) {
        let plan = lenient(kinds.len(), stop);
        let evidence = evidence(made(&kinds));
        let states = outcomes_by_states(&plan, &evidence);
        for (judgement, by_states) in judge(&plan, &evidence).judgements.iter().zip(states) {
            let taken = (by_states, judgement.outcome) == (Outcome::Pass, Outcome::Inconclusive);
            let said = judgement.because.contains("resemble the ones before them");
            prop_assert!(judgement.outcome == by_states || (taken && said));
        }
    }
}
