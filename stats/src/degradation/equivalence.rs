//! Two one-sided t tests: that a mean difference is neither above nor below a range, and how many
//! pairs that takes (Schuirmann 1987).
//!
//! For placebo runs only: it certifies that the machinery itself does not shift a metric.

use crate::binomial::{Bounds, assert_level};
use crate::resample::mean_and_error;
use crate::student;
use statrs::distribution::{ContinuousCDF, Normal};
use statrs::function::gamma::ln_gamma;

/// The range in which a mean difference is no difference that matters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The lower end, usually below zero.
    pub low: f64,
    /// The upper end, usually above zero.
    pub high: f64,
}

/// The result of the two tests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Equivalence {
    /// Against "at or below the lower end".
    pub p_low: f64,
    /// Against "at or above the upper end".
    pub p_high: f64,
    /// The bounds of the mean, each at the level: together an interval of twice the level.
    pub bounds: Bounds,
    /// Whether both tests reject, so the mean lies within the range.
    pub equivalent: bool,
}

impl Equivalence {
    /// The larger of both: small speaks for equivalence.
    pub fn p(&self) -> f64 {
        self.p_low.max(self.p_high)
    }
}

/// Tests whether the mean difference lies within a range, each side at level `alpha`. `None` for
/// fewer than two differences.
pub fn equivalence(differences: &[f64], range: Range, alpha: f64) -> Option<Equivalence> {
    assert_level(alpha);
    let (mean, error) = mean_and_error(differences)?;
    let freedom = differences.len() as f64 - 1.0;
    let tail = |distance: f64| {
        if error > 0.0 {
            student::upper_tail(distance / error, freedom)
        } else if distance > 0.0 {
            0.0
        } else {
            1.0
        }
    };
    let reach = student::quantile_upper(alpha, freedom) * error;
    let (p_low, p_high) = (tail(mean - range.low), tail(range.high - mean));
    Some(Equivalence {
        p_low,
        p_high,
        bounds: Bounds { lower: mean - reach, upper: mean + reach },
        equivalent: p_low <= alpha && p_high <= alpha,
    })
}

/// A plan to certify that nothing shifts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EquivalencePlan {
    /// The standard deviation of the differences, normal.
    pub deviation: f64,
    /// Half the width of the range around zero.
    pub half_width: f64,
    /// The level of each side.
    pub alpha: f64,
}

/// The chance that `pairs` differences without any shift are certified as equivalent: the integral,
/// over the law of the sample deviation, of the chance that the mean stays in what it leaves.
pub fn equivalence_power(plan: EquivalencePlan, pairs: u32) -> f64 {
    const PANELS: u32 = 400;
    if pairs < 2 {
        return 0.0;
    }
    let freedom = f64::from(pairs) - 1.0;
    let root = f64::from(pairs).sqrt();
    let quantile = student::quantile_upper(plan.alpha, freedom);
    // Above this ratio of sample to true deviation nothing can be certified.
    let ratio_max = plan.half_width * root / (quantile * plan.deviation);
    let normal = Normal::standard();
    let integrand = |ratio: f64| {
        let reach = root * plan.half_width / plan.deviation - quantile * ratio;
        deviation_density(ratio, freedom) * (2.0 * normal.cdf(reach) - 1.0).max(0.0)
    };
    // The density beyond six standard errors adds nothing.
    let end = ratio_max.min(1.0 + 6.0 / (2.0 * freedom).sqrt());
    let width = end / f64::from(PANELS);
    let sum: f64 = (0..=PANELS)
        .map(|panel| {
            let weight = match panel {
                0 | PANELS => 1.0,
                inner if inner % 2 == 1 => 4.0,
                _ => 2.0,
            };
            weight * integrand(f64::from(panel) * width)
        })
        .sum();
    (sum * width / 3.0).clamp(0.0, 1.0)
}

/// The density of sample over true standard deviation of normal values.
fn deviation_density(ratio: f64, freedom: f64) -> f64 {
    if ratio <= 0.0 {
        return if freedom <= 1.0 { (2.0 / std::f64::consts::PI).sqrt() } else { 0.0 };
    }
    let half = freedom / 2.0;
    let ln =
        half * half.ln() - ln_gamma(half) + (freedom - 1.0) * ratio.ln() - half * ratio * ratio;
    2.0 * ln.exp()
}

/// The fewest pairs that are certified with at least this chance; `None` when even `pairs_max` are
/// too few.
pub fn equivalence_pairs_needed(plan: EquivalencePlan, power: f64, pairs_max: u32) -> Option<u32> {
    (2..=pairs_max).find(|pairs| equivalence_power(plan, *pairs) >= power)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: EquivalencePlan = EquivalencePlan { deviation: 0.1, half_width: 0.05, alpha: 0.05 };

    /// The simulated powers of the method, to their two digits.
    #[test]
    fn the_power_of_a_certificate() {
        for (pairs, expected) in [(5, 0.02), (10, 0.06), (15, 0.19), (20, 0.40), (30, 0.70)] {
            let found = equivalence_power(PLAN, pairs);
            assert!((found - expected).abs() < 0.02, "{pairs}: {found}");
        }
        assert!(equivalence_power(PLAN, 1) <= 0.0);
        let needed = equivalence_pairs_needed(PLAN, 0.9, 200).unwrap();
        assert!(equivalence_power(PLAN, needed) >= 0.9);
        assert!(equivalence_power(PLAN, needed - 1) < 0.9);
        assert_eq!(equivalence_pairs_needed(PLAN, 0.9, 10), None);
    }

    #[test]
    fn the_interval_and_the_tests_agree() {
        let range = Range { low: -0.05, high: 0.05 };
        for shift in [-0.08, -0.03, 0.0, 0.02, 0.06] {
            let values = [0.01, -0.02, 0.015, 0.0, -0.01].map(|value| value + shift);
            let found = equivalence(&values, range, 0.05).unwrap();
            let inside = found.bounds.lower >= range.low && found.bounds.upper <= range.high;
            assert_eq!(found.equivalent, inside, "{shift}");
        }
        assert_eq!(equivalence(&[0.0], range, 0.05), None);
        assert!(equivalence(&[0.0, 0.0], range, 0.05).unwrap().equivalent);
    }
}
