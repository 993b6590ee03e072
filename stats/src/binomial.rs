//! Exact binomial probabilities and the Clopper-Pearson bounds, at any count up to 10^11.
//!
//! Every level and bound is one-sided. Verdicts need no bound: they compare a tail with a level
//! (see [`crate::decision`]); the bounds are there to be shown. Clopper and Pearson, "The use of
//! confidence or fiducial limits illustrated in the case of the binomial" (1934).

use crate::decimal::Share;
use crate::special::{Chance, Shapes, beta_at_most, bisect, ln_binomial_mass, ln_of};

/// The bounds that enclose a probability; each holds on its own at its level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// The lower bound.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
}

/// `P(X = part)` for `X` binomial over `whole` draws with chance `p`.
pub fn mass(counted: Share, p: f64) -> f64 {
    ln_mass(counted, p).exp()
}

/// The natural logarithm of [`mass`], for masses too small for a floating-point number.
pub fn ln_mass(counted: Share, p: f64) -> f64 {
    ln_binomial_mass(counted.part as f64, counted.whole as f64, chance(p))
}

/// `P(X <= part)` for `X` binomial over `whole` draws with chance `p`; 1 for no draws.
pub fn at_most(counted: Share, p: f64) -> f64 {
    at_most_chance(counted, chance(p))
}

/// `P(X >= part)` for `X` binomial over `whole` draws with chance `p`; 1 for no draws.
pub fn at_least(counted: Share, p: f64) -> f64 {
    at_least_chance(counted, chance(p))
}

/// The Clopper-Pearson lower bound of the chance behind `part` of `whole`: the `p` at which so
/// many or more has probability `alpha`. Zero when nothing was counted.
pub fn lower_bound(counted: Share, alpha: f64) -> f64 {
    assert_level(alpha);
    let Share { part, whole } = counted;
    if part == 0 || whole == 0 {
        return 0.0;
    }
    if part == whole {
        return (alpha.ln() / whole as f64).exp();
    }
    solve(|p| at_least_chance(counted, p) - alpha).yes
}

/// The Clopper-Pearson upper bound of the chance behind `part` of `whole`: the `p` at which so
/// many or fewer has probability `alpha`. One when all, or none of none, were counted.
pub fn upper_bound(counted: Share, alpha: f64) -> f64 {
    assert_level(alpha);
    let Share { part, whole } = counted;
    if part >= whole {
        return 1.0;
    }
    if part == 0 {
        return -(alpha.ln() / whole as f64).exp_m1();
    }
    solve(|p| alpha - at_most_chance(counted, p)).yes
}

/// Both Clopper-Pearson bounds, each at level `alpha`.
pub fn bounds(counted: Share, alpha: f64) -> Bounds {
    Bounds { lower: lower_bound(counted, alpha), upper: upper_bound(counted, alpha) }
}

pub(crate) fn assert_level(alpha: f64) {
    assert!(alpha > 0.0 && alpha < 1.0, "a level lies strictly between 0 and 1, not {alpha}");
}

fn chance(p: f64) -> Chance {
    assert!((0.0..=1.0).contains(&p), "a probability lies between 0 and 1, not {p}");
    Chance::new(p)
}

fn at_most_chance(counted: Share, p: Chance) -> f64 {
    let Share { part, whole } = counted;
    if part >= whole {
        return 1.0;
    }
    if part == 0 {
        return (whole as f64 * ln_of(p.swapped())).exp();
    }
    beta_at_most(Shapes { a: (whole - part) as f64, b: part as f64 + 1.0 }, p.swapped())
}

fn at_least_chance(counted: Share, p: Chance) -> f64 {
    let Share { part, whole } = counted;
    if part == 0 || whole == 0 {
        return 1.0;
    }
    if part > whole {
        return 0.0;
    }
    at_most_chance(Share { part: whole - part, whole }, p.swapped())
}

/// Where a function of the chance that increases crosses zero. The search runs over the logarithm
/// of the odds, so that a bound near 1 keeps the precision of its distance from 1.
fn solve(increasing: impl Fn(Chance) -> f64) -> Chance {
    const LOGIT_MAX: f64 = 60.0;
    let logit = bisect([-LOGIT_MAX, LOGIT_MAX], |logit| increasing(Chance::from_logit(logit)));
    Chance::from_logit(logit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(part: u64, whole: u64) -> Share {
        Share { part, whole }
    }

    fn close(actual: f64, expected: f64, relative: f64) {
        let error = (actual - expected).abs();
        assert!(error <= relative * expected.abs(), "{actual:e} is not {expected:e}");
    }

    /// Lower bounds found with 50-digit arithmetic by direct summation.
    #[test]
    fn bounds_against_long_arithmetic() {
        for (part, whole, alpha, expected) in [
            (13, 14, 0.05, 0.703_265_761_051_125_3),
            (58, 59, 0.05, 0.922_102_078_481_181_7),
            (295, 299, 0.01, 0.961_679_433_419_924_2),
            (1, 10_000_000, 0.05, 5.129_329_425_600_043e-9),
            (19_990_000, 20_000_000, 0.05, 0.999_491_699_103_672_3),
        ] {
            close(lower_bound(share(part, whole), alpha), expected, 1e-11);
        }
    }

    #[test]
    fn tails_are_sums_of_masses() {
        for p in [0.0, 0.03, 0.5, 0.8, 1.0] {
            for whole in 0..=25 {
                let mut sum = 0.0;
                for part in 0..=whole {
                    assert!((at_least(share(part, whole), p) - (1.0 - sum)).abs() < 1e-13);
                    sum += mass(share(part, whole), p);
                    assert!((at_most(share(part, whole), p) - sum).abs() < 1e-13);
                }
            }
        }
    }

    /// The lower bound exceeds the truth with probability at most `alpha`, summed over all
    /// outcomes: no simulation.
    #[test]
    fn both_bounds_cover_every_truth() {
        for whole in [1, 2, 5, 14, 40] {
            for truth in [0.01, 0.2, 0.5, 0.77, 0.8, 0.95, 0.999] {
                let mut above = 0.0;
                let mut below = 0.0;
                for part in 0..=whole {
                    let found = bounds(share(part, whole), 0.05);
                    let weight = mass(share(part, whole), truth);
                    above += if found.lower > truth { weight } else { 0.0 };
                    below += if found.upper < truth { weight } else { 0.0 };
                }
                assert!(above <= 0.05 + 1e-12, "n = {whole}, p = {truth}: {above}");
                assert!(below <= 0.05 + 1e-12, "n = {whole}, p = {truth}: {below}");
            }
        }
    }

    #[test]
    fn nothing_observed_bounds_nothing() {
        let found = bounds(share(0, 0), 0.05);
        assert!(found.lower <= 0.0 && found.upper >= 1.0);
        assert!(at_least(share(0, 0), 0.8) >= 1.0 && at_most(share(0, 0), 0.8) >= 1.0);
    }

    #[test]
    fn a_tail_far_below_one_keeps_its_precision() {
        close(at_most(share(0, 100_000), 0.001), 3.538_527_688_343_435e-44, 1e-12);
        close(at_least(share(14, 14), 0.8), 0.8_f64.powi(14), 1e-14);
    }
}
