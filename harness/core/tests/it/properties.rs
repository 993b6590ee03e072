//! What must hold for all runs: worse evidence never gives a better verdict.
//!
//! The laws are those of the decision by states. Above it the judge also asks whether trials
//! resemble the ones before them; that check looks at their order, so the laws do not bind it, but
//! it must never do more than take a pass away.

use harness_core::event::InvalidReason;
use harness_core::judge::outcomes_by_states;
use harness_core::plan::{Assertion, FaultInstant, Plan, RecoveryTo, StopRule};
use harness_core::units::Ratio;
use harness_core::verdict::Outcome;
use proptest::prelude::*;

use crate::fixture::*;

/// What happens in a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ok,
    Bad,
    Ambiguous,
    Excluded,
}

fn trial(index: u32, kind: Kind) -> Trial {
    let good = Trial::fault(index).failing(1500, 2000, PER_WINDOW / 2);
    match kind {
        Kind::Ok => good,
        Kind::Bad => good.failing(1500, 4500, PER_WINDOW),
        Kind::Ambiguous => good.invalid(InvalidReason::Stalled, false),
        Kind::Excluded => good.invalid(InvalidReason::NotSteady, true),
    }
}

fn expectations() -> Vec<(&'static str, Assertion)> {
    let mitigate = Assertion::Recovery {
        to: RecoveryTo::Mitigate,
        fault: fault(),
        from: FaultInstant::Effective,
        within: ms(1000),
    };
    vec![("availability", success("80%")), ("mttm", mitigate)]
}

/// A plan in which invalid trials do not forbid a conclusion by their number.
fn lenient(count: usize, stop: StopRule) -> Plan {
    let mut plan = plan(u32::try_from(count).unwrap(), expectations());
    plan.trials.invalid_at_most = Ratio::ONE;
    plan.trials.stop = stop;
    plan
}

fn outcome(plan: &Plan, kinds: &[Kind]) -> Outcome {
    by_states(plan, (0..).zip(kinds).map(|(index, kind)| trial(index, *kind)).collect())
}

/// The worst outcome of the decision by states.
fn by_states(plan: &Plan, trials: Vec<Trial>) -> Outcome {
    let outcomes = outcomes_by_states(plan, &run(trials));
    outcomes.into_iter().max().unwrap()
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
        // The order of outcomes is from good to bad.
        prop_assert!(outcome(&plan, &changed) >= outcome(&plan, &kinds), "{kinds:?} {place}");
    }

    #[test]
    fn excluding_never_makes_a_pass(kinds in kinds(), place in any::<prop::sample::Index>()) {
        let plan = plan(u32::try_from(kinds.len()).unwrap(), expectations());
        let place = place.index(kinds.len());
        prop_assume!(kinds[place] == Kind::Ok);
        let mut changed = kinds.clone();
        changed[place] = Kind::Excluded;
        let before = outcome(&plan, &kinds);
        prop_assert!(before == Outcome::Pass || outcome(&plan, &changed) != Outcome::Pass);
    }

    #[test]
    fn the_order_of_trials_does_not_matter((kinds, shuffled) in ordered_twice()) {
        let plan = plan(u32::try_from(kinds.len()).unwrap(), expectations());
        prop_assert_eq!(outcome(&plan, &kinds), outcome(&plan, &shuffled));
    }

    /// Whatever windows are lost, in whatever trials.
    #[test]
    fn lost_samples_never_make_a_pass(
        kinds in kinds(),
        lost in prop::collection::vec(lost_windows(), 1..8),
    ) {
        let plan = plan(u32::try_from(kinds.len()).unwrap(), expectations());
        let whole: Vec<Trial> =
            (0..).zip(&kinds).map(|(index, kind)| trial(index, *kind)).collect();
        let mut torn = whole.clone();
        for (place, first, count) in lost {
            let place = place.index(torn.len());
            torn[place] = torn[place].clone().gap(first * 100, (first + count) * 100);
        }
        let before = by_states(&plan, whole);
        prop_assert!(before == Outcome::Pass || by_states(&plan, torn) != Outcome::Pass);
    }

    #[test]
    fn the_verdict_only_takes_passes_away(kinds in kinds(), stop in stops()) {
        let plan = lenient(kinds.len(), stop);
        let trials: Vec<Trial> =
            (0..).zip(&kinds).map(|(index, kind)| trial(index, *kind)).collect();
        let states = outcomes_by_states(&plan, &run(trials.clone()));
        for (judgement, by_states) in verdict(&plan, trials).judgements.iter().zip(states) {
            let taken = (by_states, judgement.outcome) == (Outcome::Pass, Outcome::Inconclusive);
            let said = judgement.because.contains("resemble the ones before them");
            prop_assert!(judgement.outcome == by_states || (taken && said));
        }
    }
}
