//! How many cases a claim needs, and what a number of cases can prove, for fixed designs.
//!
//! Sequential designs have their own numbers in [`crate::sequential`].

use crate::binomial;
use crate::decimal::Share;
use crate::decision::{Claim, Conclusion, Levels, Tally, decide};
use crate::special::{Chance, ln_of};
use crate::student;

/// The most cases that a search for a design looks at.
pub const SEARCH_CASES_MAX: u64 = 100_000;

/// The fewest cases that, all ok, prove the share at the level: `ceil(ln alpha / ln share)`.
///
/// # Panics
/// If the share or the level is not strictly between 0 and 1.
pub fn clean_cases_needed(share: f64, alpha: f64) -> u64 {
    assert!(share > 0.0 && share < 1.0, "a share lies strictly between 0 and 1");
    cases_for_power(ln_of(Chance::new(share)), alpha)
}

/// The share that is proven at the level when all of `cases` are ok: `alpha^(1/cases)`; zero for
/// no cases.
pub fn share_proven(cases: u64, alpha: f64) -> f64 {
    binomial::lower_bound(Share { part: cases, whole: cases }, alpha)
}

/// The fewest cases with which a claim still passes after so many failures; `None` above
/// [`SEARCH_CASES_MAX`].
pub fn cases_allowing(failures: u64, share: f64, alpha: f64) -> Option<u64> {
    let passes = |cases: u64| {
        cases > failures && {
            let ok = Share { part: cases - failures, whole: cases };
            binomial::at_least(ok, share) <= alpha
        }
    };
    // The tail falls as cases grow, so the first that passes is found by halving.
    if !passes(SEARCH_CASES_MAX) {
        return None;
    }
    let (mut low, mut high) = (failures, SEARCH_CASES_MAX);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if passes(middle) { high = middle } else { low = middle }
    }
    Some(high)
}

/// What a fixed design is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wanted {
    /// The claimed share.
    pub share: f64,
    /// The true share at which the design shall pass.
    pub alternative: f64,
    /// The accepted chance of a pass when the claim is false.
    pub alpha: f64,
    /// The chance of a pass at the alternative that is wanted.
    pub power: f64,
}

/// A fixed number of cases with the failures that it allows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FixedDesign {
    /// The number of cases.
    pub cases: u64,
    /// The most failures with which the claim passes.
    pub failures_max: u64,
    /// The true chance of a pass at the edge of the claim.
    pub alpha_actual: f64,
    /// The true chance of a pass at the alternative.
    pub power_actual: f64,
}

/// The smallest fixed design with the wanted power; `None` when even [`SEARCH_CASES_MAX`] cases
/// are not enough, or the alternative is not above the claim.
pub fn fixed_design(wanted: Wanted) -> Option<FixedDesign> {
    if wanted.alternative <= wanted.share {
        return None;
    }
    // Per number of allowed failures the power falls as cases grow; so the smallest number of
    // cases for each is the best, and the first that reaches the power wins.
    for failures_max in 0.. {
        let cases = cases_allowing(failures_max, wanted.share, wanted.alpha)?;
        let ok = Share { part: cases - failures_max, whole: cases };
        let power_actual = binomial::at_least(ok, wanted.alternative);
        if power_actual >= wanted.power {
            let alpha_actual = binomial::at_least(ok, wanted.share);
            return Some(FixedDesign { cases, failures_max, alpha_actual, power_actual });
        }
    }
    None
}

/// The exact chances of each end of a fixed number of cases, none ambiguous.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chances {
    /// The chance of a pass.
    pub p_pass: f64,
    /// The chance of no conclusion.
    pub p_inconclusive: f64,
    /// The chance of a fail.
    pub p_fail: f64,
}

/// The chances of each end when `cases` are run and each is ok with probability `truth`.
pub fn chances(cases: u64, claim: Claim, truth: f64) -> Chances {
    let ends = |ok: u64, wanted: Conclusion| {
        decide(Tally { ok, bad: cases - ok, ambiguous: 0 }, claim).conclusion == wanted
    };
    let passing = first(cases, |ok| ends(ok, Conclusion::Pass));
    let failing = first(cases, |bad| ends(cases - bad, Conclusion::Fail));
    let p_pass =
        passing.map_or(0.0, |ok| binomial::at_least(Share { part: ok, whole: cases }, truth));
    let p_fail = failing
        .map_or(0.0, |bad| binomial::at_most(Share { part: cases - bad, whole: cases }, truth));
    Chances { p_pass, p_fail, p_inconclusive: (1.0 - p_pass - p_fail).max(0.0) }
}

/// The least count up to `most` from which on the condition holds.
fn first(most: u64, holds: impl Fn(u64) -> bool) -> Option<u64> {
    if !holds(most) {
        return None;
    }
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { high = middle } else { low = middle + 1 }
    }
    Some(high)
}

/// The chance that a scenario of several claims passes is at least this: one minus the sum of what
/// each lacks (Bonferroni), whatever the claims share.
pub fn joint_power_at_least(powers: &[f64]) -> f64 {
    (1.0 - powers.iter().map(|power| 1.0 - power).sum::<f64>()).max(0.0)
}

/// The fewest loss-free cases that prove a mean loss of at most `mean_max`, when no case can lose
/// more than `cap`: the least `n` with `cap (1 - alpha^(1/n)) <= mean_max`.
///
/// # Panics
/// If `mean_max` is not strictly between zero and the cap.
pub fn clean_cases_for_mean(mean_max: f64, cap: f64, alpha: f64) -> u64 {
    assert!(mean_max > 0.0 && mean_max < cap, "a mean loss lies between zero and the cap");
    cases_for_power((-mean_max / cap).ln_1p(), alpha)
}

/// The least `n` with `n ln_each <= ln alpha`. A quotient that is a whole number but for rounding
/// counts as that number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a whole number between zero and 2^53, as asserted"
)]
fn cases_for_power(ln_each: f64, alpha: f64) -> u64 {
    const SLACK: f64 = 1e-12;
    binomial::assert_level(alpha);
    let cases = (alpha.ln() / ln_each * (1.0 - SLACK)).ceil();
    assert!(
        (0.0..2_f64.powi(53)).contains(&cases),
        "a share this close to one needs more cases than can be run"
    );
    cases as u64
}

/// What a paired comparison is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedPlan {
    /// The number of pairs, at least two.
    pub pairs: u64,
    /// The standard deviation of the differences.
    pub deviation: f64,
    /// The level of the test.
    pub alpha: f64,
    /// The chance of detection.
    pub power: f64,
}

/// The smallest mean difference that the plan detects: `(t_{1-alpha} + t_{power}) s / √n`.
/// `None` for fewer than two pairs.
pub fn detectable_difference(plan: PairedPlan) -> Option<f64> {
    if plan.pairs < 2 {
        return None;
    }
    let freedom = plan.pairs as f64 - 1.0;
    let factor = student::quantile_upper(plan.alpha, freedom)
        + student::quantile_upper(1.0 - plan.power, freedom);
    Some(factor * plan.deviation / (plan.pairs as f64).sqrt())
}

/// The level of each claim's fail boundary inside a sequential run of several claims, so that the
/// chance of naming any good claim stays at the whole level (Bonferroni).
pub fn levels_within(levels: Levels, claims: u32) -> Levels {
    Levels { pass: levels.pass, fail: levels.fail / f64::from(claims.max(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_tables() {
        let clean = [
            (0.5, 5),
            (0.6, 6),
            (0.7, 9),
            (0.75, 11),
            (0.8, 14),
            (0.85, 19),
            (0.9, 29),
            (0.95, 59),
            (0.97, 99),
            (0.98, 149),
            (0.99, 299),
            (0.995, 598),
            (0.999, 2995),
        ];
        for (share, cases) in clean {
            assert_eq!(clean_cases_needed(share, 0.05), cases, "{share}");
            assert_eq!(cases_allowing(0, share, 0.05), Some(cases), "{share}");
        }
        let allowing = [
            (0.5, [5, 8, 11, 13, 16, 18]),
            (0.7, [9, 14, 19, 24, 28, 33]),
            (0.8, [14, 22, 30, 37, 44, 50]),
            (0.9, [29, 46, 61, 76, 89, 103]),
            (0.95, [59, 93, 124, 153, 181, 208]),
            (0.99, [299, 473, 628, 773, 913, 1049]),
        ];
        for (share, row) in allowing {
            for (failures, cases) in (0..).zip(row) {
                assert_eq!(cases_allowing(failures, share, 0.05), Some(cases), "{share}");
            }
        }
    }

    #[test]
    fn the_designs_of_the_method() {
        for (share, alternative, cases, failures_max) in [
            (0.5, 0.9, 11, 2),
            (0.8, 0.9, 112, 15),
            (0.8, 0.95, 44, 4),
            (0.8, 0.99, 22, 1),
            (0.9, 0.95, 239, 16),
            (0.9, 0.98, 76, 3),
            (0.9, 0.99, 46, 1),
            (0.95, 0.99, 153, 3),
        ] {
            let wanted = Wanted { share, alternative, alpha: 0.05, power: 0.9 };
            let found = fixed_design(wanted).unwrap();
            assert_eq!((found.cases, found.failures_max), (cases, failures_max));
        }
        let wanted = Wanted { share: 0.9, alternative: 0.9, alpha: 0.05, power: 0.9 };
        assert_eq!(fixed_design(wanted), None);
    }

    #[test]
    fn a_perfect_system_passes_with_enough_cases() {
        let claim = Claim { share: 0.8, levels: Levels::FIVE_PERCENT };
        assert!(chances(14, claim, 1.0).p_pass >= 1.0);
        assert!(chances(13, claim, 1.0).p_inconclusive >= 1.0);
        let edge = chances(44, claim, 0.8);
        assert!((edge.p_pass - 0.044_010_207_249_240_32).abs() < 1e-13);
        assert!(edge.p_fail > 0.02 && edge.p_fail <= 0.05);
    }

    #[test]
    fn joint_power_adds_what_is_lacking() {
        assert!((joint_power_at_least(&[0.9, 0.95]) - 0.85).abs() < 1e-12);
        assert!(joint_power_at_least(&[0.3, 0.3]) <= 0.0);
    }
}
