//! A new run against earlier ones: values per run, never pooled cases.
//!
//! Runs differ more than the cases within one, so pooling cases finds differences that are none;
//! the pooled test is here for display, under a name that says so.

use crate::binomial::{Bounds, assert_level};
use crate::decimal::Share;
use crate::decision::{Conclusion, Levels};
use crate::resample::mean_and_error;
use crate::special::{Chance, ln_binomial_mass};
use crate::student;

/// The fewest earlier runs that give an interval.
pub const PREDICTION_RUNS_MIN: usize = 2;

/// The fewest earlier runs from which on the rank can be as small as five percent.
pub const RANK_RUNS_MIN: usize = 19;

/// How far a new run lies above earlier ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// The new value minus the mean of the earlier ones; `None` without any.
    pub difference: Option<f64>,
    /// The bounds of the difference, the lower one at the fail level and the upper one at the pass
    /// level; `None` with fewer than [`PREDICTION_RUNS_MIN`] runs.
    pub bounds: Option<Bounds>,
    /// Pass when the upper bound is at most the margin, fail when the lower one is above it.
    pub conclusion: Conclusion,
}

/// Decides "the new run is not worse than the earlier ones by more than the margin", larger being
/// worse, by the t prediction interval `d ± t s √(1 + 1/K)`.
pub fn predict(earlier: &[f64], new: f64, margin: f64, levels: Levels) -> Prediction {
    let count = earlier.len() as f64;
    let difference = (!earlier.is_empty()).then(|| new - earlier.iter().sum::<f64>() / count);
    let (Some(difference), Some((_, error))) = (difference, mean_and_error(earlier)) else {
        return Prediction { difference, bounds: None, conclusion: Conclusion::Inconclusive };
    };
    // The error of the mean is s / √K.
    let spread = error * count.sqrt() * (1.0 + 1.0 / count).sqrt();
    let reach = |alpha: f64| student::quantile_upper(alpha, count - 1.0) * spread;
    let bounds =
        Bounds { lower: difference - reach(levels.fail), upper: difference + reach(levels.pass) };
    let conclusion = if bounds.upper <= margin {
        Conclusion::Pass
    } else if bounds.lower > margin {
        Conclusion::Fail
    } else {
        Conclusion::Inconclusive
    };
    Prediction { difference: Some(difference), bounds: Some(bounds), conclusion }
}

/// The rank of the new run among the earlier ones as a p value, larger being worse:
/// `(1 + how many are as large) / (K + 1)`. Never below `1 / (K + 1)`.
pub fn rank_p(earlier: &[f64], new: f64) -> f64 {
    let as_large = earlier.iter().filter(|value| **value >= new).count();
    (1.0 + as_large as f64) / (earlier.len() as f64 + 1.0)
}

/// Fisher's exact p of "the new run has no fewer ok cases", with the cases of all earlier runs
/// pooled. For display: it ignores that runs differ, and is wrong in 8 to 11 percent of cases where
/// they do.
pub fn pooled_fisher_less(new: Share, earlier: &[Share]) -> f64 {
    let earlier = Share {
        part: earlier.iter().map(|run| run.part).sum(),
        whole: earlier.iter().map(|run| run.whole).sum(),
    };
    let whole = new.whole + earlier.whole;
    let ok = new.part + earlier.part;
    if whole == 0 {
        return 1.0;
    }
    // Hypergeometric masses from binomial ones, at the chance that keeps them largest.
    let chance = Chance::new(ok as f64 / whole as f64);
    let mass = |part: u64, whole: u64| ln_binomial_mass(part as f64, whole as f64, chance);
    let all = mass(ok, whole);
    let least = ok.saturating_sub(earlier.whole);
    (least..=new.part)
        .map(|part| (mass(part, new.whole) + mass(ok - part, earlier.whole) - all).exp())
        .sum::<f64>()
        .min(1.0)
}

/// How far a new value lies from the middle of earlier ones, in units of their spread, when neither
/// is moved by a few outliers: `(x - median) / (1.4826 MAD)`. For display beside the interval;
/// `None` without spread.
pub fn robust_distance(earlier: &[f64], new: f64) -> Option<f64> {
    /// Makes the median deviation of normal values their standard deviation.
    const NORMAL_FACTOR: f64 = 1.482_602_218_505_602;
    let middle = median(earlier)?;
    let deviations: Vec<f64> = earlier.iter().map(|value| (value - middle).abs()).collect();
    let spread = NORMAL_FACTOR * median(&deviations)?;
    (spread > 0.0).then(|| (new - middle) / spread)
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    Some(f64::midpoint(sorted[last / 2], sorted[last.div_ceil(2)]))
}

/// Checks that a level can be reached at all by [`rank_p`] with so many runs.
pub fn rank_can_reach(runs: usize, alpha: f64) -> bool {
    assert_level(alpha);
    1.0 / (runs as f64 + 1.0) <= alpha
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_runs_are_inconclusive() {
        let levels = Levels::FIVE_PERCENT;
        let none = predict(&[], 1.0, 0.5, levels);
        assert_eq!((none.difference, none.conclusion), (None, Conclusion::Inconclusive));
        let one = predict(&[1.0], 1.0, 0.5, levels);
        assert_eq!((one.bounds, one.conclusion), (None, Conclusion::Inconclusive));
    }

    #[test]
    fn steady_runs_decide() {
        let earlier = [10.0, 10.1, 9.9, 10.05, 9.95, 10.0];
        let end = |new| predict(&earlier, new, 0.5, Levels::FIVE_PERCENT).conclusion;
        assert_eq!(end(10.1), Conclusion::Pass);
        assert_eq!(end(10.4), Conclusion::Inconclusive);
        assert_eq!(end(11.0), Conclusion::Fail);
        assert!(robust_distance(&earlier, 11.0).unwrap() > 10.0);
        assert_eq!(robust_distance(&[1.0; 5], 2.0), None);
    }

    #[test]
    fn ranks_reach_five_percent_with_nineteen_runs() {
        assert!(rank_can_reach(RANK_RUNS_MIN, 0.05) && !rank_can_reach(RANK_RUNS_MIN - 1, 0.05));
        assert!((rank_p(&[1.0, 2.0, 3.0], 2.0) - 0.75).abs() < 1e-15);
    }

    /// The lady tasting tea: 3 of 4 against 1 of 4.
    #[test]
    fn fisher_by_hand() {
        let share = |part, whole| Share { part, whole };
        let found = pooled_fisher_less(share(1, 4), &[share(2, 2), share(1, 2)]);
        assert!((found - 17.0 / 70.0).abs() < 1e-13, "{found}");
        assert!(pooled_fisher_less(share(4, 4), &[share(0, 4)]) >= 1.0 - 1e-13);
        assert!(pooled_fisher_less(share(0, 0), &[share(0, 0)]) >= 1.0);
        let all_ok = pooled_fisher_less(share(5, 5), &[share(9, 9)]);
        assert!((all_ok - 1.0).abs() < 1e-13);
    }
}
