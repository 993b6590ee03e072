//! Cost: the ratio of spend to requests, and whether a runaway spend is capped in time.
//!
//! Ratios are for display: their bounds miss 4 to 21 percent of the time with skewed costs. What is
//! decided is whether the spend of each case was capped.

use crate::binomial::assert_level;
use crate::resample::mean_and_error;
use crate::student;
use std::time::Duration;

/// What one case cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CaseCost {
    /// The spend, in one currency.
    pub spent: f64,
    /// The requests, or whatever else the spend is for.
    pub requests: f64,
}

/// Spend per request over cases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CostRatio {
    /// All spend over all requests.
    pub ratio: f64,
    /// The upper t bound on the logarithm: the one to show. `None` for a single case or no spend.
    pub log_upper: Option<f64>,
    /// The plain upper t bound; `None` for a single case.
    pub t_upper: Option<f64>,
    /// The p value of "the mean of spend minus cap times requests is zero or more"; `None` when it
    /// does not vary.
    pub p_below_cap: Option<f64>,
}

/// Spend per request with approximate bounds at level `alpha`, and the p value against a `cap` per
/// request. `None` without requests.
pub fn cost_ratio(cases: &[CaseCost], cap: f64, alpha: f64) -> Option<CostRatio> {
    assert_level(alpha);
    let spent: f64 = cases.iter().map(|case| case.spent).sum();
    let requests: f64 = cases.iter().map(|case| case.requests).sum();
    if requests <= 0.0 {
        return None;
    }
    let ratio = spent / requests;
    let over: Vec<f64> = cases.iter().map(|case| case.spent - cap * case.requests).collect();
    let Some((over_mean, over_error)) = mean_and_error(&over) else {
        return Some(CostRatio { ratio, log_upper: None, t_upper: None, p_below_cap: None });
    };
    let count = cases.len() as f64;
    let freedom = count - 1.0;
    let squares: f64 = cases.iter().map(|case| (case.spent - ratio * case.requests).powi(2)).sum();
    let error = (count / freedom * squares).sqrt() / requests;
    let reach = student::quantile_upper(alpha, freedom) * error;
    Some(CostRatio {
        ratio,
        log_upper: (ratio > 0.0).then(|| ratio * (reach / ratio).exp()),
        t_upper: Some(ratio + reach),
        p_below_cap: (over_error > 0.0)
            .then(|| student::upper_tail(-over_mean / over_error, freedom)),
    })
}

/// A rate of spend at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpendSample {
    /// When, on the clock of the run.
    pub at: Duration,
    /// The spend per unit of time.
    pub rate: f64,
}

/// How a cap is watched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpendWatch {
    /// The highest accepted rate.
    pub cap: f64,
    /// When the runaway started, on the clock of the run.
    pub runaway_start: Duration,
    /// How long the rate may stay above the cap from then on.
    pub grace: Duration,
}

/// Whether and when a spend was capped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpendCapped {
    /// Whether every sample after the grace is at or below the cap; `None` when there is none,
    /// because the end of the grace was not observed.
    pub capped: Option<bool>,
    /// From the start of the runaway to the first sample from which on all are at or below the cap;
    /// `None` when the last one is above it.
    pub time_to_cap: Option<Duration>,
}

/// Looks at samples in ascending order of time.
pub fn spend_capped(samples: &[SpendSample], watch: &SpendWatch) -> SpendCapped {
    let from = |start: Duration| &samples[samples.partition_point(|sample| sample.at < start)..];
    let within = |sample: &SpendSample| sample.rate <= watch.cap;
    let after_grace = from(watch.runaway_start + watch.grace);
    let during = from(watch.runaway_start);
    let settled = during.iter().rposition(|sample| !within(sample)).map_or(0, |last| last + 1);
    SpendCapped {
        capped: (!after_grace.is_empty()).then(|| after_grace.iter().all(within)),
        time_to_cap: during
            .get(settled)
            .map(|sample| sample.at.saturating_sub(watch.runaway_start)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(rates: &[f64]) -> Vec<SpendSample> {
        (0..)
            .zip(rates)
            .map(|(at, &rate)| SpendSample { at: Duration::from_secs(at), rate })
            .collect()
    }

    #[test]
    fn a_runaway_is_capped_or_not() {
        let watch = SpendWatch {
            cap: 10.0,
            runaway_start: Duration::from_secs(1),
            grace: Duration::from_secs(2),
        };
        for (rates, capped, seconds) in [
            (vec![1.0, 50.0, 50.0, 10.0, 9.0], Some(true), Some(2)),
            (vec![1.0, 50.0, 50.0, 50.0, 9.0], Some(false), Some(3)),
            (vec![1.0, 50.0, 9.0, 9.0, 11.0], Some(false), None),
            (vec![1.0, 50.0, 9.0], None, Some(1)),
            (vec![1.0, 2.0, 2.0, 2.0], Some(true), Some(0)),
            (vec![], None, None),
        ] {
            let found = spend_capped(&samples(&rates), &watch);
            let expected = SpendCapped { capped, time_to_cap: seconds.map(Duration::from_secs) };
            assert_eq!(found, expected, "{rates:?}");
        }
    }

    #[test]
    fn one_case_has_no_bound() {
        let one = [CaseCost { spent: 2.0, requests: 1000.0 }];
        let found = cost_ratio(&one, 0.01, 0.05).unwrap();
        assert_eq!((found.t_upper, found.p_below_cap), (None, None));
        assert_eq!(cost_ratio(&[], 0.01, 0.05), None);
    }
}
