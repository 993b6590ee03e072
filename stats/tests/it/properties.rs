//! Properties over drawn inputs: what must hold for every count, level and sample.

use proptest::prelude::*;
use stats::binomial::{at_least, at_most, bounds, mass};
use stats::bounded_mean::CappedLosses;
use stats::budget::{BurnRule, first_fire};
use stats::decimal::{Decimal, Share};
use stats::decision::{Claim, Conclusion, Levels, State, Tally, decide};
use stats::degradation::{mann_whitney_less, shift_one_sample, signed_rank};
use stats::latency::{Bucket, Quantile, ThresholdCounts, nearest_rank};
use stats::multiplicity::{ClaimEvidence, MergeRules, holm, merge};
use stats::sequential::{Design, Spending};
use std::time::Duration;

fn shares() -> impl Strategy<Value = Share> {
    (1_u64..400).prop_flat_map(|whole| (0..=whole).prop_map(move |part| Share { part, whole }))
}

fn states() -> impl Strategy<Value = Vec<State>> {
    let state = prop_oneof![Just(State::Ok), Just(State::Bad), Just(State::Ambiguous)];
    prop::collection::vec(state, 0..60)
}

fn rank(end: Conclusion) -> u8 {
    match end {
        Conclusion::Fail => 0,
        Conclusion::Inconclusive => 1,
        Conclusion::Pass => 2,
    }
}

/// The rule that a burn alert follows, in floating point, away from the edge.
fn burns_plainly(window: &[Share], rate: f64) -> Option<bool> {
    let bad: u64 = window.iter().map(|step| step.part).sum();
    let total: u64 = window.iter().map(|step| step.whole).sum();
    if total == 0 {
        return Some(false);
    }
    let ratio = bad as f64 / total as f64;
    ((ratio - rate).abs() > 1e-9).then_some(ratio > rate)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None,
        ..ProptestConfig::default() })]

    #[test]
    fn decimals_survive_their_text(units in 0_u64..u64::MAX, places in 0_u32..=18) {
        let decimal = Decimal::new(units, places);
        prop_assert_eq!(decimal.to_string().parse(), Ok(decimal));
    }

    /// Exact comparison agrees with floating point wherever that is sure of itself.
    #[test]
    fn exact_comparison_agrees_away_from_the_edge(share in shares(), units in 0_u64..=10_000) {
        let target = Decimal::new(units, 4);
        let ratio = share.part as f64 / share.whole as f64;
        if (ratio - target.to_f64()).abs() > 1e-9 {
            prop_assert_eq!(share.meets(target), Some(ratio > target.to_f64()));
        }
    }

    /// A bound is where the tail is the level, so bound and test always agree.
    #[test]
    fn bounds_and_tails_agree(share in shares(), alpha in 0.001_f64..0.4) {
        let found = bounds(share, alpha);
        let ratio = share.part as f64 / share.whole as f64;
        prop_assert!(found.lower <= ratio && ratio <= found.upper);
        if share.part > 0 {
            prop_assert!((at_least(share, found.lower) - alpha).abs() < 1e-9);
        }
        if share.part < share.whole {
            prop_assert!((at_most(share, found.upper) - alpha).abs() < 1e-9);
        }
    }

    #[test]
    fn tails_meet_at_the_mass(share in shares(), p in 0.0_f64..=1.0) {
        let sum = at_least(share, p) + at_most(share, p) - mass(share, p);
        prop_assert!((sum - 1.0).abs() < 1e-11, "{}", sum);
    }

    /// A worse case in place of a better one never improves the end, fixed or sequential.
    #[test]
    fn a_worse_case_never_helps(states in states(), at in 0_usize..60, share in 0.3_f64..0.97) {
        prop_assume!(at < states.len() && states[at] != State::Bad);
        let mut worse = states.clone();
        worse[at] = if states[at] == State::Ok { State::Ambiguous } else { State::Bad };
        let claim = Claim { share, levels: Levels::FIVE_PERCENT };
        let fixed = |states: &[State]| {
            rank(decide(states.iter().copied().collect::<Tally>(), claim).conclusion)
        };
        prop_assert!(fixed(&worse) <= fixed(&states));
        let design = Design::new(claim, 60, Spending::Pocock);
        let walked = |states: &[State]| {
            rank(design.walk(states.iter().copied()).progress.conclusion())
        };
        prop_assert!(walked(&worse) <= walked(&states));
    }

    /// The bounds of a capped mean enclose the sample mean and rise with every loss.
    #[test]
    fn capped_means_are_monotone(
        losses in prop::collection::vec(0.0_f64..=1.0, 1..25),
        at in 0_usize..25,
        more in 0.0_f64..1.0,
    ) {
        let mean = losses.iter().sum::<f64>() / losses.len() as f64;
        let before = CappedLosses::new(&losses, 1.0).unwrap().bounds(0.05);
        prop_assert!(before.lower <= mean + 1e-12 && mean <= before.upper + 1e-12);
        let mut raised = losses.clone();
        let at = at % losses.len();
        raised[at] += (1.0 - raised[at]) * more;
        let after = CappedLosses::new(&raised, 1.0).unwrap().bounds(0.05);
        prop_assert!(after.upper >= before.upper - 1e-9 && after.lower >= before.lower - 1e-9);
    }

    /// A threshold at an edge is never ambiguous and agrees with the nearest rank.
    #[test]
    fn quantiles_and_thresholds_agree(
        counts in prop::collection::vec(0_u64..50, 1..10), lost in 0_u64..5, percent in 1_u64..=100,
    ) {
        let buckets: Vec<Bucket> = (0_u32..)
            .zip(&counts)
            .map(|(at, &count)| Bucket { above: f64::from(at), up_to: f64::from(at + 1), count })
            .collect();
        let quantile = Decimal::new(percent, 2);
        let rank = nearest_rank(&buckets, lost, quantile);
        for edge in 0..=u32::try_from(counts.len()).unwrap() {
            let threshold = f64::from(edge);
            let state =
                ThresholdCounts::of_buckets(&buckets, lost, threshold).quantile_within(quantile);
            let expected = match rank {
                Quantile::NoSample => None,
                Quantile::UpTo(value) if value <= threshold => Some(State::Ok),
                Quantile::Lost | Quantile::UpTo(_) => Some(State::Bad),
            };
            prop_assert_eq!(state, expected);
        }
    }

    /// The exact replay of a burn rule agrees with a plain one wherever that is sure of itself.
    #[test]
    fn burn_rules_agree_with_a_plain_replay(
        series in prop::collection::vec((0_u64..20, 0_u64..20), 1..40), long in 1_u64..12,
    ) {
        let series: Vec<Share> = series
            .into_iter()
            .map(|(bad, good)| Share { part: bad, whole: bad + good })
            .collect();
        let rule = BurnRule {
            slo: Decimal::new(9, 1),
            threshold: Decimal::new(43, 1),
            long: Duration::from_secs(long),
            short: Duration::from_secs(1),
        };
        let found = first_fire(&rule, Duration::from_secs(1), &series);
        for last in 0..series.len() {
            let window = |steps: usize| &series[(last + 1).saturating_sub(steps)..=last];
            let plain = [window(usize::try_from(long).unwrap()), window(1)]
                .map(|window| burns_plainly(window, 0.43));
            if let [Some(long), Some(short)] = plain
                && found.is_none_or(|found| last <= found)
            {
                prop_assert_eq!(long && short, found == Some(last));
            }
        }
    }

    /// A shift of all values shifts the estimate and its bounds and nothing else.
    #[test]
    fn shifts_follow_the_values(
        values in prop::collection::vec(-5.0_f64..5.0, 5..15), by in -3.0_f64..3.0,
    ) {
        let moved: Vec<f64> = values.iter().map(|value| value + by).collect();
        let (before, after) =
            (shift_one_sample(&values, 0.05).unwrap(), shift_one_sample(&moved, 0.05).unwrap());
        prop_assert!((after.estimate - before.estimate - by).abs() < 1e-12);
        prop_assert_eq!(after.rank, before.rank);
        let below = signed_rank(&values, 20.0).unwrap();
        let above = signed_rank(&values, -20.0).unwrap();
        prop_assert!(below.p_below <= 0.5_f64.powi(5) && above.p_below >= 1.0 - 1e-12);
    }

    /// Both directions of the rank test share exactly the chance of what was seen.
    #[test]
    fn rank_tests_of_both_directions_overlap(
        first in prop::collection::hash_set(0_u32..1000, 1..12),
        second in prop::collection::hash_set(1000_u32..2000, 1..12),
        offset in 0_u32..1500,
    ) {
        let first: Vec<f64> = first.iter().map(|value| f64::from(value + offset) + 0.5).collect();
        let second: Vec<f64> = second.iter().map(|value| f64::from(*value)).collect();
        let less = mann_whitney_less(&first, &second).unwrap();
        let more = mann_whitney_less(&second, &first).unwrap();
        prop_assert!(less + more >= 1.0 - 1e-12 && less <= 1.0 && more <= 1.0);
    }

    /// Another claim never makes a failure easier to name, nor a pass easier to reach.
    #[test]
    fn more_claims_never_help(p in prop::collection::vec((0.0_f64..=1.0, 0.0_f64..=1.0), 1..8)) {
        let claims: Vec<ClaimEvidence> = p
            .iter()
            .map(|&(p_pass, p_fail)| ClaimEvidence { p_pass, p_fail, never_violated: false })
            .collect();
        let rules = MergeRules {
            invalid_share_max: Decimal::new(2, 1),
            levels: Levels::FIVE_PERCENT,
        };
        let valid = Share { part: 0, whole: 30 };
        let all = merge(&claims, valid, &rules);
        let fewer = merge(&claims[1..], valid, &rules);
        prop_assert!(all.conclusion != Conclusion::Pass || claims.len() == 1
            || fewer.conclusion == Conclusion::Pass);
        let named = all.failed.iter().filter(|index| **index > 0).map(|index| index - 1);
        prop_assert!(named.into_iter().all(|index| fewer.failed.contains(&index)));
        let adjusted = holm(&p.iter().map(|(_, p_fail)| *p_fail).collect::<Vec<_>>());
        prop_assert!(adjusted.iter().zip(&p).all(|(adjusted, (_, raw))| adjusted >= raw));
    }
}
