//! How much requests of one case resemble each other, and whether cases resemble their
//! predecessors: numbers for the report and for warnings.
//!
//! No verdict rests on a bound from here: with a few cases and rare losses these bounds miss far
//! more often than they say.

use statrs::function::gamma::ln_gamma;

use crate::binomial::{Bounds, assert_level};
use crate::decimal::Share;
use crate::resample::Stream;
use crate::student;

/// A ratio over clusters of unequal size, with what the clustering does to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClusterMean {
    /// The number of clusters that have any traffic.
    pub clusters: u64,
    /// Good of all, over all clusters.
    pub ratio: f64,
    /// The linearised standard error between clusters; `None` for a single cluster.
    pub standard_error: Option<f64>,
    /// The t bounds, each at the level asked for; `None` for a single cluster.
    pub t_bounds: Option<Bounds>,
    /// The t bounds on the logit scale; `None` where the ratio is 0 or 1 too.
    pub logit_bounds: Option<Bounds>,
    /// The variance over that of independent requests; `None` as for the logit bounds.
    pub design_effect: Option<f64>,
    /// The analysis-of-variance estimate of the correlation within clusters; `None` where nothing
    /// varies. It can be below zero by chance.
    pub intraclass_correlation: Option<f64>,
}

/// The ratio over clusters with approximate bounds at level `alpha`. Clusters without traffic say
/// nothing and are left out; `None` when no cluster has any.
pub fn cluster_mean(clusters: &[Share], alpha: f64) -> Option<ClusterMean> {
    assert_level(alpha);
    let with_traffic: Vec<(f64, f64)> = clusters
        .iter()
        .filter(|cluster| cluster.whole > 0)
        .map(|cluster| (cluster.part as f64, cluster.whole as f64))
        .collect();
    let count = with_traffic.len() as f64;
    let good: f64 = with_traffic.iter().map(|(good, _)| good).sum();
    let total: f64 = with_traffic.iter().map(|(_, total)| total).sum();
    if with_traffic.is_empty() {
        return None;
    }
    let ratio = good / total;
    let mut found = ClusterMean {
        clusters: with_traffic.len() as u64,
        ratio,
        standard_error: None,
        t_bounds: None,
        logit_bounds: None,
        design_effect: None,
        intraclass_correlation: intraclass_correlation(&with_traffic),
    };
    if with_traffic.len() < 2 {
        return Some(found);
    }
    let squares: f64 =
        with_traffic.iter().map(|(good, total)| (good - ratio * total).powi(2)).sum();
    let variance = count / (count - 1.0) * squares / total.powi(2);
    let error = variance.sqrt();
    let reach = student::quantile_upper(alpha, count - 1.0) * error;
    found.standard_error = Some(error);
    found.t_bounds = Some(Bounds { lower: ratio - reach, upper: ratio + reach });
    if ratio > 0.0 && ratio < 1.0 {
        let spread = ratio * (1.0 - ratio);
        let logit = (ratio / (1.0 - ratio)).ln();
        let back = |logit: f64| 1.0 / (1.0 + (-logit).exp());
        let (lower, upper) = (back(logit - reach / spread), back(logit + reach / spread));
        found.logit_bounds = Some(Bounds { lower, upper });
        found.design_effect = Some(variance / (spread / total));
    }
    Some(found)
}

/// The analysis-of-variance estimate for clusters of unequal size, as (good, total).
fn intraclass_correlation(clusters: &[(f64, f64)]) -> Option<f64> {
    let count = clusters.len() as f64;
    let good: f64 = clusters.iter().map(|(good, _)| good).sum();
    let total: f64 = clusters.iter().map(|(_, total)| total).sum();
    if count < 2.0 || total <= count {
        return None;
    }
    let mean = good / total;
    let between: f64 =
        clusters.iter().map(|(good, total)| total * (good / total - mean).powi(2)).sum::<f64>()
            / (count - 1.0);
    let within: f64 = clusters.iter().map(|(good, total)| good * (1.0 - good / total)).sum::<f64>()
        / (total - count);
    let squares: f64 = clusters.iter().map(|(_, total)| total * total).sum();
    let size = (total - squares / total) / (count - 1.0);
    let whole = between + (size - 1.0) * within;
    (whole.abs() > 0.0).then(|| (between - within) / whole)
}

/// The most values whose orders are all enumerated; above, orders are drawn at random.
pub const ORDERS_EXACT_VALUES_MAX: usize = 8;

/// Random orders that are drawn when there are too many to enumerate.
pub const ORDERS_DRAWN: u32 = 9_999;

/// A p of [`lag_one`] below this deserves a warning.
pub const LAG_ONE_WARNS_BELOW: f64 = 0.05;

/// A p of [`lag_one`] below this turns a pass into no conclusion: at such a dependence one false
/// claim in five passes instead of one in twenty.
pub const LAG_ONE_FORBIDS_BELOW: f64 = 0.01;

/// A permutation test of resemblance between neighbours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LagOne {
    /// The sum of products of neighbouring deviations from the mean.
    pub covariance: f64,
    /// The share of orders with a covariance at least as large: one-sided, exact up to
    /// [`ORDERS_EXACT_VALUES_MAX`] values and where there are but two different ones, a valid
    /// random test above.
    pub p: f64,
}

/// Tests whether each value resembles the one before it, in the order of the run. `None` for fewer
/// than three values, where there is no order to speak of.
///
/// A small p warns (below [`LAG_ONE_WARNS_BELOW`]) or forbids a pass (below
/// [`LAG_ONE_FORBIDS_BELOW`]): cases that carry over into the next are not exchangeable.
pub fn lag_one(values: &[f64], seed: u64) -> Option<LagOne> {
    let Order { covariance, .. } = Order::of(values)?;
    // No p is above one, so all orders are drawn.
    let p = lag_one_below(values, seed, f64::INFINITY).unwrap_or(1.0);
    Some(LagOne { covariance, p })
}

/// The p of [`lag_one`] where it is below a level; `None` where it is not, or there is no order to
/// speak of. Quicker, for no more orders are drawn than it takes to know.
pub fn lag_one_below(values: &[f64], seed: u64, level: f64) -> Option<f64> {
    let Order { mut deviations, edge, .. } = Order::of(values)?;
    let p = if deviations.len() <= ORDERS_EXACT_VALUES_MAX {
        let (mut reached, mut orders) = (0_u32, 0_u32);
        for_each_order(&mut deviations, &mut |order| {
            orders += 1;
            reached += u32::from(neighbour_products(order) >= edge);
        });
        f64::from(reached) / f64::from(orders)
    } else if let Some(higher) = two_valued(values) {
        two_valued_p(&higher)
    } else {
        let mut stream = Stream::new(seed);
        let all = f64::from(ORDERS_DRAWN + 1);
        let mut reached = 1_u32;
        for _ in 0..ORDERS_DRAWN {
            if f64::from(reached) / all >= level {
                return None;
            }
            stream.shuffle(&mut deviations);
            reached += u32::from(neighbour_products(&deviations) >= edge);
        }
        f64::from(reached) / all
    };
    (p < level).then_some(p)
}

/// Values in the order of the run.
struct Order {
    deviations: Vec<f64>,
    covariance: f64,
    /// A covariance from here on counts as large as the one that was seen.
    edge: f64,
}

impl Order {
    fn of(values: &[f64]) -> Option<Self> {
        if values.len() < 3 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let deviations: Vec<f64> = values.iter().map(|value| value - mean).collect();
        let covariance = neighbour_products(&deviations);
        let scale: f64 = deviations.iter().map(|value| value * value).sum();
        let edge = covariance - 1e-12 * scale.max(f64::MIN_POSITIVE);
        Some(Self { deviations, covariance, edge })
    }
}

/// For each value whether it is the higher one, where there are two different ones at most.
fn two_valued(values: &[f64]) -> Option<Vec<bool>> {
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let is = |value: f64, end: f64| value.total_cmp(&end).is_eq();
    values
        .iter()
        .map(|value| (is(*value, high) || is(*value, low)).then_some(is(*value, high)))
        .collect()
}

/// The exact p of an order of two values, by counting arrangements: their covariance depends only
/// on the number of rows of the higher value, and on how many of the two ends it holds.
fn two_valued_p(higher: &[bool]) -> f64 {
    let count = higher.iter().filter(|one| **one).count();
    let (n, k) = (higher.len() as f64, count as f64);
    let rest = n - k;
    if count == 0 || count == higher.len() {
        return 1.0;
    }
    let mean = k / n;
    let covariance = |rows: f64, ends: u8| {
        (k - rows) - mean * (2.0 * k - f64::from(ends)) + (n - 1.0) * mean * mean
    };
    let pairs = higher.windows(2).filter(|pair| pair[0] && pair[1]).count() as f64;
    let held = |place: usize| u8::from(higher[place]);
    let seen = covariance(k - pairs, held(0) + held(higher.len() - 1));
    let all = ln_choose(n, k);
    // So many rows of the higher value leave one row fewer, as many, or one more of the other.
    let arrangements = |rows: f64, ends: u8| {
        let ways = if ends == 1 { 2.0 } else { 1.0 };
        let others = rows + 1.0 - f64::from(ends);
        ways * (ln_choose(k - 1.0, rows - 1.0) + ln_choose(rest - 1.0, others - 1.0) - all).exp()
    };
    let reached: f64 = (1..=count)
        .flat_map(|rows| [0, 1, 2].map(|ends| (rows as f64, ends)))
        .filter(|(rows, ends)| covariance(*rows, *ends) >= seen - 1e-9)
        .map(|(rows, ends)| arrangements(rows, ends))
        .sum();
    reached.min(1.0)
}

/// The logarithm of a binomial coefficient of whole numbers; minus infinity where there is no way.
fn ln_choose(n: f64, k: f64) -> f64 {
    if k < 0.0 || k > n || n < 0.0 {
        return f64::NEG_INFINITY;
    }
    ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0)
}

fn neighbour_products(values: &[f64]) -> f64 {
    values.windows(2).map(|pair| pair[0] * pair[1]).sum()
}

/// Visits every order of the values once (Heap's method, without recursion).
fn for_each_order(values: &mut [f64], visit: &mut impl FnMut(&[f64])) {
    let mut counters = vec![0; values.len()];
    visit(values);
    let mut at = 0;
    while at < values.len() {
        if counters[at] < at {
            values.swap(if at % 2 == 0 { 0 } else { counters[at] }, at);
            visit(values);
            counters[at] += 1;
            at = 0;
        } else {
            counters[at] = 0;
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_clusters_have_no_correlation() {
        let same = vec![Share { part: 90, whole: 100 }; 6];
        let found = cluster_mean(&same, 0.05).unwrap();
        assert!(found.intraclass_correlation.unwrap() < 0.0);
        assert!(found.design_effect.unwrap() < 1e-9);
        assert_eq!(cluster_mean(&[Share { part: 0, whole: 0 }], 0.05), None);
    }

    #[test]
    fn all_or_nothing_clusters_are_fully_correlated() {
        let shares = [0, 50, 50, 0, 50].map(|part| Share { part, whole: 50 });
        let found = cluster_mean(&shares, 0.05).unwrap();
        assert!((found.intraclass_correlation.unwrap() - 1.0).abs() < 1e-12);
        assert!(found.design_effect.unwrap() > 40.0);
    }

    #[test]
    fn every_order_is_visited_once() {
        let mut seen = std::collections::BTreeSet::new();
        for_each_order(&mut [1.0, 2.0, 3.0, 4.0, 5.0], &mut |order| {
            assert!(seen.insert(order.iter().map(|value| value.to_bits()).collect::<Vec<_>>()));
        });
        assert_eq!(seen.len(), 120);
    }

    #[test]
    fn a_trend_is_seen_and_a_zigzag_is_not() {
        let trend: Vec<f64> = (0..20).map(f64::from).collect();
        assert!(lag_one(&trend, 7).unwrap().p <= 0.001);
        let zigzag: Vec<f64> = (0..20).map(|step| f64::from(step % 2)).collect();
        assert!(lag_one(&zigzag, 7).unwrap().p > 0.99);
        assert_eq!(lag_one(&trend, 7), lag_one(&trend, 7));
        assert_eq!(lag_one(&trend[..2], 7), None);
    }

    /// Against every arrangement, one by one.
    #[test]
    fn two_values_are_counted_exactly() {
        for n in 3..=13_u32 {
            for bits in (0..1_u32 << n).step_by(if n > 9 { 37 } else { 1 }) {
                let values: Vec<bool> = (0..n).map(|place| bits >> place & 1 == 1).collect();
                let ones = bits.count_ones();
                let deviations = |bits: u32| -> Vec<f64> {
                    let mean = f64::from(ones) / f64::from(n);
                    (0..n).map(|place| f64::from(bits >> place & 1) - mean).collect()
                };
                let seen = neighbour_products(&deviations(bits));
                let same = (0..1_u32 << n).filter(|other| other.count_ones() == ones);
                let (mut all, mut reached) = (0.0, 0.0);
                for other in same {
                    all += 1.0;
                    if neighbour_products(&deviations(other)) >= seen - 1e-9 {
                        reached += 1.0;
                    }
                }
                let found = two_valued_p(&values);
                assert!((found - reached / all).abs() < 1e-9, "{values:?}: {found}");
            }
        }
    }

    #[test]
    fn a_p_below_a_level_is_that_of_the_whole_test() {
        for seed in 0..40 {
            let mut stream = Stream::new(seed);
            let mut walk = 0.0;
            let values: Vec<f64> = (0..25)
                .map(|_| {
                    walk = 0.4 * walk + stream.unit() - 0.5;
                    walk
                })
                .collect();
            let whole = lag_one(&values, 3).unwrap().p;
            let below = lag_one_below(&values, 3, 0.05);
            assert_eq!(below, (whole < 0.05).then_some(whole), "seed {seed}: {whole}");
        }
    }

    #[test]
    fn constant_values_are_no_evidence() {
        assert!(lag_one(&[2.0; 5], 1).unwrap().p >= 1.0);
        assert!(lag_one(&[0.1; 12], 1).unwrap().p >= 1.0);
    }
}
