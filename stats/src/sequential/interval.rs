//! An interval of the ok share for a walk that is not decided, at whatever look that is asked.
//!
//! A plain interval of the counts would be too narrow, and could contradict the boundaries: it does
//! not know how often it was looked at. Here every look has the part of the levels that the
//! spending gives to it, so that all looks together keep them (Bonferroni).

use super::boundary::Design;
use crate::binomial::{Bounds, lower_bound, upper_bound};
use crate::decimal::Share;
use crate::decision::{Levels, Tally};

/// The Clopper-Pearson bounds after these cases, at this look's own part of the levels. The chance
/// that the truth is beyond an end at any look at all is at most the claim's level for that end.
/// Ambiguous cases are taken as bad for the lower end and as ok for the upper one. As long as no
/// boundary is crossed, the claimed share lies between the ends.
///
/// # Panics
/// If the cases are none, or more than the design has.
pub fn bounds_at(design: &Design, tally: Tally) -> Bounds {
    let cases = u32::try_from(tally.cases()).expect("at most as many as the design has");
    assert!((1..=design.cases_max()).contains(&cases), "{cases} is no look of this design");
    let Levels { pass, fail } = design.levels_at(cases);
    let share = |part| Share { part, whole: tally.cases() };
    Bounds {
        lower: lower_bound(share(tally.ok), pass),
        upper: upper_bound(share(tally.ok + tally.ambiguous), fail),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Progress, Spending};
    use super::*;
    use crate::decision::{Claim, Levels, State};

    fn design(cases_max: u32) -> Design {
        let claim = Claim { share: 0.8, levels: Levels::FIVE_PERCENT };
        Design::new(claim, cases_max, Spending::Pocock)
    }

    fn tally(cases: u32, bad: u32) -> Tally {
        Tally { ok: u64::from(cases - bad), bad: u64::from(bad), ambiguous: 0 }
    }

    #[test]
    fn an_undecided_claim_lies_between_the_ends() {
        let design = design(25);
        for cases in 1..=25 {
            for bad in 0..=cases {
                let passes = design.pass_failures_max(cases).is_some_and(|most| bad <= most);
                let fails = design.fail_failures_min(cases).is_some_and(|least| bad >= least);
                let Bounds { lower, upper } = bounds_at(&design, tally(cases, bad));
                assert!(passes || lower < 0.8, "{bad} of {cases}: {lower}");
                assert!(fails || upper > 0.8, "{bad} of {cases}: {upper}");
            }
        }
    }

    /// Over every run of cases: the share of those with a look at which an end exceeds the truth.
    #[test]
    fn the_ends_hold_at_every_look() {
        const CASES: u32 = 14;
        let design = design(CASES);
        let all: Vec<Vec<Bounds>> = (1..=CASES)
            .map(|cases| (0..=cases).map(|bad| bounds_at(&design, tally(cases, bad))).collect())
            .collect();
        for truth in [0.3, 0.6, 0.8, 0.9, 0.97] {
            let (mut above, mut below) = (0.0, 0.0);
            for run in 0..1_u32 << CASES {
                let (mut bad, mut is_above, mut is_below) = (0, false, false);
                for (at, looks) in all.iter().enumerate() {
                    bad += (run >> at & 1) as usize;
                    is_above |= looks[bad].lower > truth;
                    is_below |= looks[bad].upper < truth;
                }
                let failures = i32::try_from(run.count_ones()).unwrap();
                let ok = i32::try_from(CASES).unwrap() - failures;
                let chance = f64::powi(truth, ok) * f64::powi(1.0 - truth, failures);
                above += if is_above { chance } else { 0.0 };
                below += if is_below { chance } else { 0.0 };
            }
            assert!(above <= 0.05 && below <= 0.05, "{truth}: {above} {below}");
        }
    }

    #[test]
    fn two_bad_cases_fail_no_claim_yet() {
        let design = design(14);
        let walk = design.walk([State::Bad, State::Bad]);
        assert_eq!(walk.progress, Progress::Open { pass_possible: false });
        let ends = bounds_at(&design, walk.tally);
        assert!(ends.lower == 0.0 && ends.upper > 0.85 && ends.upper < 0.97, "{ends:?}");
    }
}
