//! The bounds of the ok share after a sequential pass or fail.
//!
//! The plain bound of the final count would be too tight, because the stop was chosen by the data.
//! Outcomes are ordered by stage: an earlier end is stronger evidence than a later one (Jennison
//! and Turnbull, "Group Sequential Methods", 2000, chapter 8).

use super::boundary::{Design, step};
use crate::special::Chance;

/// The lower bound, at level `alpha`, of the ok share when the design passed after `cases` with
/// `failures`: the share at which an earlier pass, or one there with as few failures, has
/// probability `alpha`.
///
/// `None` when the design does not pass there.
pub fn lower_bound_after_pass(
    design: &Design,
    cases: u32,
    failures: u32,
    alpha: f64,
) -> Option<f64> {
    let in_range = (1..=design.cases_max()).contains(&cases);
    if !in_range || design.pass_failures_max(cases).is_none_or(|most| failures > most) {
        return None;
    }
    let most = |at| design.pass_failures_max(at);
    let above = |logit| chance_as_early(most, cases, failures, Chance::from_logit(logit)) - alpha;
    Some(Chance::from_logit(crossing(above)).yes)
}

/// The upper bound, at level `alpha`, of the ok share when the design failed after `cases` of which
/// `bad` were bad for sure: the share at which an earlier fail, or one there with at least as many,
/// has probability `alpha`.
///
/// `None` when the design does not fail there.
pub fn upper_bound_after_fail(design: &Design, cases: u32, bad: u32, alpha: f64) -> Option<f64> {
    let in_range = (1..=design.cases_max()).contains(&cases) && bad <= cases;
    if !in_range || design.fail_failures_min(cases).is_none_or(|least| bad < least) {
        return None;
    }
    // A fail is a pass of the opposite claim: few enough cases that are not bad.
    let most = |at| design.fail_failures_min(at).map(|least| at - least);
    let not_bad = cases - bad;
    let above = |logit| chance_as_early(most, cases, not_bad, Chance::from_logit(logit)) - alpha;
    Some(Chance::from_logit(crossing(above)).no)
}

/// Where an increasing function of the logit crosses zero. Each value costs a walk through the
/// whole design, so the last digits come from false position (the Illinois rule), not from halving.
fn crossing(increasing: impl Fn(f64) -> f64) -> f64 {
    const LOGIT_MAX: f64 = 40.0;
    const WIDTH_MIN: f64 = 1e-13;
    const STEPS_MAX: u32 = 200;
    let (mut low, mut high) = (-LOGIT_MAX, LOGIT_MAX);
    let (mut at_low, mut at_high) = (increasing(low), increasing(high));
    for step in 0..STEPS_MAX {
        // Every third step halves, which keeps the worst case short.
        let inside = if high - low > 1.0 || step % 3 == 0 || at_high <= at_low {
            low + (high - low) / 2.0
        } else {
            low - at_low * (high - low) / (at_high - at_low)
        };
        if high - low <= WIDTH_MIN * high.abs().max(1.0) || inside <= low || inside >= high {
            break;
        }
        let value = increasing(inside);
        if value < 0.0 {
            (low, at_low, at_high) = (inside, value, at_high / 2.0);
        } else {
            (high, at_high, at_low) = (inside, value, at_low / 2.0);
        }
    }
    low + (high - low) / 2.0
}

/// The chance of an end before `cases`, or at `cases` with at most `failures`, when `most` failures
/// end it at each look.
fn chance_as_early(
    most: impl Fn(u32) -> Option<u32>,
    cases: u32,
    failures: u32,
    ok: Chance,
) -> f64 {
    let size = |count: u32| usize::try_from(count).expect("a count of cases fits");
    // More failures than are allowed at the stop cannot end it by then: they need no place.
    let places = size(most(cases).unwrap_or(0)) + 1;
    let mut reach = vec![0.0; places];
    reach[0] = 1.0;
    let mut ended = 0.0;
    let mut from = 0;
    for at in 1..=cases {
        step(&mut reach, from, ok);
        let ending = if at == cases {
            size(failures) + 1
        } else {
            most(at).map_or(0, |most| size(most) + 1)
        };
        ended += reach[..ending].iter_mut().map(std::mem::take).sum::<f64>();
        from = ending;
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::super::Spending;
    use super::*;
    use crate::decision::{Claim, Levels};

    fn design(cases_max: u32) -> Design {
        let claim = Claim { share: 0.8, levels: Levels::FIVE_PERCENT };
        Design::new(claim, cases_max, Spending::Pocock)
    }

    #[test]
    fn eighteen_clean_cases_prove_most() {
        let bound = lower_bound_after_pass(&design(55), 18, 0, 0.05).unwrap();
        assert!((bound - 0.8467).abs() < 1e-4, "{bound}");
    }

    #[test]
    fn only_a_pass_has_a_bound() {
        let design = design(55);
        assert_eq!(lower_bound_after_pass(&design, 17, 0, 0.05), None);
        assert_eq!(lower_bound_after_pass(&design, 18, 1, 0.05), None);
        assert_eq!(lower_bound_after_pass(&design, 0, 0, 0.05), None);
        assert_eq!(lower_bound_after_pass(&design, 56, 0, 0.05), None);
    }

    /// The bound exceeds the truth with probability at most its level, summed over every way to
    /// pass.
    #[test]
    fn the_bound_covers_the_truth() {
        let design = design(60);
        let mut bounds = std::collections::BTreeMap::new();
        for truth in [0.7, 0.8, 0.85, 0.9, 0.97] {
            let mut missed = 0.0;
            let mut reach = vec![1.0];
            for cases in 1..=60 {
                reach.push(0.0);
                step(&mut reach, 0, Chance::new(truth));
                let Some(most) = design.pass_failures_max(cases) else { continue };
                for failures in 0..=most {
                    let chance = std::mem::take(&mut reach[failures as usize]);
                    let bound = *bounds.entry((cases, failures)).or_insert_with(|| {
                        lower_bound_after_pass(&design, cases, failures, 0.05).unwrap()
                    });
                    missed += if bound > truth { chance } else { 0.0 };
                }
            }
            assert!(missed <= 0.05 + 1e-9, "{truth}: {missed}");
        }
    }

    /// Every pass supports at least the claim itself.
    #[test]
    fn the_bound_is_never_below_the_claim() {
        let design = design(70);
        for cases in 1..=70 {
            for failures in 0..=design.pass_failures_max(cases).unwrap_or(0) {
                if let Some(bound) = lower_bound_after_pass(&design, cases, failures, 0.05) {
                    assert!(bound >= 0.8, "{cases} {failures}: {bound}");
                }
            }
        }
    }

    /// Every fail refutes the claim itself, and the bound is above the truth in all but its level,
    /// summed over every way to fail.
    #[test]
    fn the_bound_after_a_fail_is_below_the_claim_and_covers_the_truth() {
        let design = design(40);
        for truth in [0.2, 0.5, 0.7, 0.8] {
            let mut missed = 0.0;
            let mut reach = vec![1.0];
            for cases in 1..=40 {
                reach.push(0.0);
                step(&mut reach, 0, Chance::new(truth));
                let Some(least) = design.fail_failures_min(cases) else { continue };
                for bad in least..=cases {
                    let chance = std::mem::take(&mut reach[bad as usize]);
                    let bound = upper_bound_after_fail(&design, cases, bad, 0.05).unwrap();
                    assert!(bound <= 0.8, "{cases} {bad}: {bound}");
                    missed += if bound < truth { chance } else { 0.0 };
                }
            }
            assert!(missed <= 0.05 + 1e-9, "{truth}: {missed}");
        }
        assert_eq!(upper_bound_after_fail(&design, 2, 2, 0.05), None, "that is no fail yet");
    }
}
