//! Quantiles by nearest rank, as counts: whether a quantile is within a threshold, what it is, and
//! how it is bounded over cases.
//!
//! Nothing is interpolated and no quantiles are averaged. What was never answered (errors,
//! timeouts, requests that were due and not sent) stands above every threshold. A bucket that
//! encloses the threshold is not split: where it decides, the answer is ambiguous.

use crate::binomial;
use crate::decimal::{Decimal, Share};
use crate::decision::State;
use hdrhistogram::Histogram;

/// Values in `(above, up_to]`, in one unit of the caller's choice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// The open lower edge.
    pub above: f64,
    /// The closed upper edge.
    pub up_to: f64,
    /// How many values lie between.
    pub count: u64,
}

/// How a sample lies around a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThresholdCounts {
    /// Values at or below the threshold for sure.
    pub at_most: u64,
    /// Values above the threshold for sure, among them all that were lost.
    pub above: u64,
    /// Values in a bucket that encloses the threshold.
    pub straddling: u64,
}

impl ThresholdCounts {
    /// Counts the values of buckets, and what was lost, around a threshold.
    pub fn of_buckets(buckets: &[Bucket], lost: u64, threshold: f64) -> Self {
        let mut counts = Self { above: lost, ..Self::default() };
        for bucket in buckets {
            if bucket.up_to <= threshold {
                counts.at_most += bucket.count;
            } else if bucket.above >= threshold {
                counts.above += bucket.count;
            } else {
                counts.straddling += bucket.count;
            }
        }
        counts
    }

    /// Counts the values of a histogram of whole numbers, and what was lost, around a threshold in
    /// the histogram's own unit.
    pub fn of_histogram(histogram: &Histogram<u64>, lost: u64, threshold: u64) -> Self {
        let mut counts = Self { above: lost, ..Self::default() };
        for step in histogram.iter_recorded() {
            let value = step.value_iterated_to();
            let count = step.count_at_value();
            if histogram.highest_equivalent(value) <= threshold {
                counts.at_most += count;
            } else if histogram.lowest_equivalent(value) > threshold {
                counts.above += count;
            } else {
                counts.straddling += count;
            }
        }
        counts
    }

    /// The size of the sample.
    pub fn total(self) -> u64 {
        self.at_most + self.above + self.straddling
    }

    /// Whether the quantile is at or below the threshold; `None` for an empty sample.
    pub fn quantile_within(self, quantile: Decimal) -> Option<State> {
        if self.total() == 0 {
            return None;
        }
        let needed = quantile.rank_of(self.total())?;
        Some(if self.at_most >= needed {
            State::Ok
        } else if self.at_most + self.straddling < needed {
            State::Bad
        } else {
            State::Ambiguous
        })
    }
}

/// A quantile by nearest rank.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quantile {
    /// There is no sample.
    NoSample,
    /// The upper edge of the bucket that holds the rank.
    UpTo(f64),
    /// The rank lies among the values that were lost: the quantile is infinite.
    Lost,
}

/// The quantile of a sample in buckets of ascending upper edges: the edge of the bucket that holds
/// the value of rank `ceil(q n)`, at least 1.
pub fn nearest_rank(buckets: &[Bucket], lost: u64, quantile: Decimal) -> Quantile {
    let total = buckets.iter().map(|bucket| bucket.count).sum::<u64>() + lost;
    let Some(rank) = quantile.rank_of(total).map(|rank| rank.max(1)) else {
        return Quantile::Lost;
    };
    if total == 0 {
        return Quantile::NoSample;
    }
    let mut seen = 0;
    for bucket in buckets {
        seen += bucket.count;
        if seen >= rank {
            return Quantile::UpTo(bucket.up_to);
        }
    }
    Quantile::Lost
}

/// The buckets of a histogram of whole numbers, each value `v` enclosed in `(v - 1, v]`.
pub fn buckets_of(histogram: &Histogram<u64>) -> Vec<Bucket> {
    histogram
        .iter_recorded()
        .map(|step| Bucket {
            above: histogram.lowest_equivalent(step.value_iterated_to()) as f64 - 1.0,
            up_to: histogram.highest_equivalent(step.value_iterated_to()) as f64,
            count: step.count_at_value(),
        })
        .collect()
}

/// A bound of a quantile over cases by an order statistic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OrderBound {
    /// The rank of the value that is the bound, from 1; `None` when there are too few cases.
    pub rank: Option<usize>,
    /// The value of that rank.
    pub bound: Option<f64>,
    /// The confidence of the bound; without one, that of the largest value.
    pub confidence: f64,
}

/// The upper confidence bound of the `quantile` over cases of a value per case: the smallest order
/// statistic that is at or above it with at least the `confidence`, whatever the law (Wilks,
/// "Determination of sample sizes for setting tolerance limits", 1941). Needs 14 cases for 80 % and
/// 59 for 95 % at a confidence of 95 %.
pub fn quantile_upper_bound(values: &[f64], quantile: f64, confidence: f64) -> OrderBound {
    const SLACK: f64 = 1e-12;
    binomial::assert_level(confidence);
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let whole = sorted.len() as u64;
    let reached = |rank: u64| match rank.checked_sub(1) {
        // All of them cannot be below: the tail of one less than the whole.
        Some(part) => binomial::at_most(Share { part, whole }, quantile),
        None => 0.0,
    };
    let found = (1..=whole).zip(&sorted).find(|(rank, _)| reached(*rank) >= confidence - SLACK);
    match found {
        Some((rank, value)) => OrderBound {
            rank: usize::try_from(rank).ok(),
            bound: Some(*value),
            confidence: reached(rank),
        },
        None => OrderBound { rank: None, bound: None, confidence: reached(whole) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    /// The bucket form agrees with the plain sorted sample, for every rank and threshold.
    #[test]
    fn buckets_agree_with_the_sorted_sample() {
        let values = [1_u64, 1, 2, 5, 5, 5, 7, 9, 9, 12];
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 1000, 3).unwrap();
        for value in values {
            histogram.record(value).unwrap();
        }
        for percent in 1..=100 {
            let quantile = Decimal::new(percent, 2);
            let rank = quantile.rank_of(10).unwrap();
            let expected = values[usize::try_from(rank).unwrap() - 1];
            let found = nearest_rank(&buckets_of(&histogram), 0, quantile);
            assert_eq!(found, Quantile::UpTo(expected as f64), "{percent}");
            for threshold in 0..=13 {
                let counts = ThresholdCounts::of_histogram(&histogram, 0, threshold);
                let state = if expected <= threshold { State::Ok } else { State::Bad };
                assert_eq!(counts.quantile_within(quantile), Some(state));
            }
        }
    }

    #[test]
    fn what_is_lost_is_above_everything() {
        let bucket = Bucket { above: 0.0, up_to: 10.0, count: 98 };
        let counts = ThresholdCounts::of_buckets(&[bucket], 2, 1e9);
        assert_eq!(counts.quantile_within(decimal("0.99")), Some(State::Bad));
        assert_eq!(nearest_rank(&[bucket], 2, decimal("0.99")), Quantile::Lost);
        assert_eq!(nearest_rank(&[bucket], 2, decimal("0.98")), Quantile::UpTo(10.0));
        assert_eq!(nearest_rank(&[], 0, decimal("0.5")), Quantile::NoSample);
        assert_eq!(ThresholdCounts::default().quantile_within(decimal("0.5")), None);
    }

    #[test]
    fn a_wide_bucket_is_ambiguous_only_where_it_decides() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 10_000_000, 2).unwrap();
        histogram.record_n(100, 980).unwrap();
        histogram.record_n(1_000_000, 20).unwrap();
        let inside = 1_000_000;
        let counts = ThresholdCounts::of_histogram(&histogram, 0, inside);
        assert_eq!(counts.straddling, 20);
        assert_eq!(counts.quantile_within(decimal("0.99")), Some(State::Ambiguous));
        assert_eq!(counts.quantile_within(decimal("0.98")), Some(State::Ok));
    }

    #[test]
    fn wilks_needs_enough_cases() {
        let values: Vec<f64> = (1..=59).map(f64::from).collect();
        assert_eq!(quantile_upper_bound(&values, 0.95, 0.95).rank, Some(59));
        assert_eq!(quantile_upper_bound(&values[..58], 0.95, 0.95).rank, None);
        assert_eq!(quantile_upper_bound(&values[..14], 0.8, 0.95).bound, Some(14.0));
        assert_eq!(quantile_upper_bound(&[], 0.8, 0.95).bound, None);
    }
}
