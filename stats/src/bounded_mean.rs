//! Bounds of a mean that no case can push beyond a cap, and the betting process for evidence
//! gathered without a planned end.
//!
//! Without an enforced cap a mean cannot be shown to be small by any number of good cases, because
//! a rare case may lose everything; so there is no bound here that does without one. Gaffke,
//! "Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative
//! variable" (2004); Learned-Miller and Thomas, "A new confidence interval for the mean of a
//! bounded random variable" (2019). The bound is exact for two-point laws and a conjecture, without
//! known counterexample, for others. Waudby-Smith and Ramdas, "Estimating means of bounded random
//! variables by betting" (2024), is proven.

use crate::binomial::{Bounds, assert_level};
use crate::decision::{Conclusion, Levels};
use crate::special::bisect;

/// Why losses have no bound.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum MeanError {
    /// A loss lies outside of what was declared possible, so the declaration is wrong.
    #[error("a loss of {loss} lies outside of 0 to {cap}")]
    OutsideCap {
        /// The loss.
        loss: f64,
        /// The declared cap.
        cap: f64,
    },
    /// There is no loss at all.
    #[error("there is no case")]
    NoCases,
}

/// Losses of cases with the cap that is enforced on each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CappedLosses<'a> {
    losses: &'a [f64],
    cap: f64,
}

impl<'a> CappedLosses<'a> {
    /// Checks that every loss is between zero and the cap.
    pub fn new(losses: &'a [f64], cap: f64) -> Result<Self, MeanError> {
        if losses.is_empty() {
            return Err(MeanError::NoCases);
        }
        match losses.iter().find(|loss| !(0.0..=cap).contains(*loss)) {
            Some(&loss) => Err(MeanError::OutsideCap { loss, cap }),
            None => Ok(Self { losses, cap }),
        }
    }

    /// The upper bound of the mean at level `alpha`. Equals the cap times the Clopper-Pearson
    /// bound when every loss is zero or the cap. The work grows with the square of the cases.
    pub fn upper_bound(self, alpha: f64) -> f64 {
        let mut knots = self.losses.to_vec();
        knots.push(self.cap);
        weighted_quantile_upper(knots, alpha)
    }

    /// The lower bound of the mean at level `alpha`; it needs no cap.
    pub fn lower_bound(self, alpha: f64) -> f64 {
        let mut knots: Vec<f64> = self.losses.iter().map(|loss| -loss).collect();
        knots.push(0.0);
        -weighted_quantile_upper(knots, alpha)
    }

    /// Both bounds, each at level `alpha`.
    pub fn bounds(self, alpha: f64) -> Bounds {
        Bounds { lower: self.lower_bound(alpha), upper: self.upper_bound(alpha) }
    }

    /// Decides "the mean loss is at most `mean_max`".
    pub fn decide(self, mean_max: f64, levels: Levels) -> MeanDecision {
        let bounds =
            Bounds { lower: self.lower_bound(levels.fail), upper: self.upper_bound(levels.pass) };
        let conclusion = if bounds.upper <= mean_max {
            Conclusion::Pass
        } else if bounds.lower > mean_max {
            Conclusion::Fail
        } else {
            Conclusion::Inconclusive
        };
        MeanDecision { bounds, conclusion }
    }
}

/// A conclusion about a mean with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanDecision {
    /// The lower bound at the fail level and the upper bound at the pass level.
    pub bounds: Bounds,
    /// The end.
    pub conclusion: Conclusion,
}

/// The upper `alpha` point of the mean of the knots under uniform random weights.
fn weighted_quantile_upper(mut knots: Vec<f64>, alpha: f64) -> f64 {
    assert_level(alpha);
    knots.sort_by(f64::total_cmp);
    let (least, most) = (knots[0], knots[knots.len() - 1]);
    if least >= most {
        return most;
    }
    let mut scratch = vec![0.0; knots.len()];
    bisect([least, most], |point| alpha - chance_above(&knots, point, &mut scratch))
}

/// The chance that the mean of sorted knots under weights from the flat Dirichlet law is above a
/// point: a recursion over runs of knots in which every step is a convex combination, so it is
/// stable and allows ties.
fn chance_above(knots: &[f64], point: f64, chances: &mut [f64]) -> f64 {
    for (chance, knot) in chances.iter_mut().zip(knots) {
        *chance = if *knot > point { 1.0 } else { 0.0 };
    }
    for length in 1..knots.len() {
        for first in 0..knots.len() - length {
            let (low, high) = (knots[first], knots[first + length]);
            chances[first] = if low > point {
                1.0
            } else if high <= point {
                0.0
            } else {
                let upper = (high - point) * chances[first + 1];
                (upper + (point - low) * chances[first]) / (high - low)
            };
        }
    }
    chances[0]
}

/// The share of the largest safe bet that each part of the betting process stakes.
pub const STAKES: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99];

/// A process that grows while losses stay below a mean. At any moment, planned or not, a value of
/// `1 / alpha` or more rejects "the mean is `mean_max` or above" at level `alpha`.
#[derive(Debug, Clone, PartialEq)]
pub struct BettingProcess {
    mean_max: f64,
    cap: f64,
    /// Each stake with its wealth so far.
    parts: Vec<(f64, f64)>,
}

impl BettingProcess {
    /// A process with the stakes given, each a share of the largest safe bet: usually [`STAKES`].
    ///
    /// # Panics
    /// If the mean is not strictly between zero and the cap, or there is no stake.
    pub fn new(mean_max: f64, cap: f64, stakes: &[f64]) -> Self {
        assert!(mean_max > 0.0 && mean_max < cap, "a mean loss lies between zero and the cap");
        assert!(!stakes.is_empty(), "a betting process has at least one stake");
        let parts = stakes.iter().map(|stake| (*stake, 1.0)).collect();
        Self { mean_max, cap, parts }
    }

    /// Takes the loss of one more case and returns the evidence so far.
    pub fn observe(&mut self, loss: f64) -> Result<f64, MeanError> {
        let Self { mean_max, cap, ref mut parts } = *self;
        if !(0.0..=cap).contains(&loss) {
            return Err(MeanError::OutsideCap { loss, cap });
        }
        for (stake, wealth) in parts {
            *wealth *= 1.0 + *stake / (cap - mean_max) * (mean_max - loss);
        }
        Ok(self.evidence())
    }

    /// Whether the evidence so far rejects "the mean is `mean_max` or above" at level `alpha`.
    pub fn rejects(&self, alpha: f64) -> bool {
        assert_level(alpha);
        self.evidence() >= 1.0 / alpha
    }

    /// The evidence so far: the mean wealth of the parts, 1 at the start.
    pub fn evidence(&self) -> f64 {
        self.parts.iter().map(|(_, wealth)| wealth).sum::<f64>() / self.parts.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binomial;
    use crate::decimal::Share;

    #[test]
    fn two_point_losses_are_clopper_pearson() {
        for cases in [1_usize, 5, 14, 30] {
            for lost in 0..=cases {
                let losses: Vec<f64> =
                    (0..cases).map(|case| if case < lost { 0.5 } else { 0.0 }).collect();
                let found = CappedLosses::new(&losses, 0.5).unwrap().bounds(0.05);
                let share = Share { part: lost as u64, whole: cases as u64 };
                let expected = binomial::bounds(share, 0.05);
                assert!((found.upper - 0.5 * expected.upper).abs() < 1e-12, "{lost} of {cases}");
                assert!((found.lower - 0.5 * expected.lower).abs() < 1e-12, "{lost} of {cases}");
            }
        }
    }

    /// Coverage for a three-point law, summed over every sample of six cases.
    #[test]
    fn the_upper_bound_covers_a_three_point_law() {
        let points = [(0.0, 0.7), (0.1, 0.2), (1.0, 0.1)];
        let truth: f64 = points.iter().map(|(loss, chance)| loss * chance).sum();
        let mut missed = 0.0;
        for code in 0..3_usize.pow(6) {
            let drawn: Vec<(f64, f64)> =
                (0..6).map(|case| points[code / 3_usize.pow(case) % 3]).collect();
            let losses: Vec<f64> = drawn.iter().map(|(loss, _)| *loss).collect();
            let upper = CappedLosses::new(&losses, 1.0).unwrap().upper_bound(0.1);
            let weight: f64 = drawn.iter().map(|(_, chance)| chance).product();
            missed += if upper < truth { weight } else { 0.0 };
        }
        assert!(missed <= 0.1, "{missed}");
    }

    #[test]
    fn a_loss_beyond_its_cap_is_refused() {
        let error = CappedLosses::new(&[0.0, 0.2], 0.1).unwrap_err();
        assert_eq!(error, MeanError::OutsideCap { loss: 0.2, cap: 0.1 });
        assert!(CappedLosses::new(&[f64::NAN], 0.1).is_err());
        assert_eq!(CappedLosses::new(&[], 0.1).unwrap_err(), MeanError::NoCases);
        assert!(BettingProcess::new(0.1, 0.2, &STAKES).observe(0.3).is_err());
    }

    /// A fair two-point loss keeps the expected evidence at one, over all samples.
    #[test]
    fn the_betting_process_is_fair_at_the_edge() {
        let mut expected = 0.0;
        for code in 0..2_u32.pow(8) {
            let mut process = BettingProcess::new(0.25, 1.0, &STAKES);
            let mut weight = 1.0;
            for case in 0..8 {
                let lost = code >> case & 1 == 1;
                weight *= if lost { 0.25 } else { 0.75 };
                process.observe(if lost { 1.0 } else { 0.0 }).unwrap();
            }
            expected += weight * process.evidence();
        }
        assert!((expected - 1.0).abs() < 1e-12, "{expected}");
    }

    #[test]
    fn zero_losses_decide() {
        let levels = Levels::FIVE_PERCENT;
        let decide = |cases: usize| {
            let losses = vec![0.0; cases];
            CappedLosses::new(&losses, 0.05).unwrap().decide(0.01, levels).conclusion
        };
        assert_eq!(decide(13), Conclusion::Inconclusive);
        assert_eq!(decide(14), Conclusion::Pass);
        let all_lost = CappedLosses::new(&[0.05; 4], 0.05).unwrap();
        assert_eq!(all_lost.decide(0.01, levels).conclusion, Conclusion::Fail);
    }
}
