//! How much requests of one case resemble each other, and whether cases resemble their
//! predecessors: numbers for the report and for warnings.
//!
//! No verdict rests on a bound from here: with a few cases and rare losses these bounds miss far
//! more often than they say.

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
    /// [`ORDERS_EXACT_VALUES_MAX`] values and a valid random test above.
    pub p: f64,
}

/// Tests whether each value resembles the one before it, in the order of the run. `None` for fewer
/// than three values, where there is no order to speak of.
///
/// A small p warns (below [`LAG_ONE_WARNS_BELOW`]) or forbids a pass (below
/// [`LAG_ONE_FORBIDS_BELOW`]): cases that carry over into the next are not exchangeable.
pub fn lag_one(values: &[f64], seed: u64) -> Option<LagOne> {
    if values.len() < 3 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let mut deviations: Vec<f64> = values.iter().map(|value| value - mean).collect();
    let covariance = neighbour_products(&deviations);
    let scale: f64 = deviations.iter().map(|value| value * value).sum();
    let edge = covariance - 1e-12 * scale.max(f64::MIN_POSITIVE);
    let p = if values.len() <= ORDERS_EXACT_VALUES_MAX {
        let (mut reached, mut orders) = (0_u32, 0_u32);
        for_each_order(&mut deviations, &mut |order| {
            orders += 1;
            reached += u32::from(neighbour_products(order) >= edge);
        });
        f64::from(reached) / f64::from(orders)
    } else {
        let mut stream = Stream::new(seed);
        let mut reached = 1_u32;
        for _ in 0..ORDERS_DRAWN {
            stream.shuffle(&mut deviations);
            reached += u32::from(neighbour_products(&deviations) >= edge);
        }
        f64::from(reached) / f64::from(ORDERS_DRAWN + 1)
    };
    Some(LagOne { covariance, p })
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

    #[test]
    fn constant_values_are_no_evidence() {
        assert!(lag_one(&[2.0; 5], 1).unwrap().p >= 1.0);
        assert!(lag_one(&[0.1; 12], 1).unwrap().p >= 1.0);
    }
}
