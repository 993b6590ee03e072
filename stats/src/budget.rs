//! Error budgets: what share of a budget an incident takes, and when a burn-rate rule fires.
//!
//! The rule is replayed on counts exactly; it says nothing about why a step was bad. Rule after the
//! multiwindow, multi-burn-rate alerts of Google's "The Site Reliability Workbook" (2018),
//! chapter 5.

use crate::decimal::{Decimal, Share, compare_products};
use std::time::Duration;

/// The share of a budget that the bad requests of some steps take, when the budget allows the share
/// `1 - slo` of all `requests` of its period to be bad.
pub fn taken_by_requests(bad: &[u64], slo: f64, requests: u64) -> f64 {
    let bad: u64 = bad.iter().sum();
    bad as f64 / ((1.0 - slo) * requests as f64)
}

/// The share of a budget that an incident takes by time: the sum over steps of bad share times
/// length of step, over `1 - slo` of the `period`. A step without traffic takes nothing. For
/// synthetic load, whose request counts say nothing about real traffic.
pub fn taken_by_time(steps: &[Share], step: Duration, slo: f64, period: Duration) -> f64 {
    let bad_s: f64 = steps.iter().map(|bad| bad.ratio().unwrap_or(0.0) * step.as_secs_f64()).sum();
    bad_s / ((1.0 - slo) * period.as_secs_f64())
}

/// A rule that fires when both windows burn at least `threshold` times as fast as the budget
/// allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BurnRule {
    /// The objective, a share up to 1.
    pub slo: Decimal,
    /// The burn rate at which the rule fires.
    pub threshold: Decimal,
    /// The long window.
    pub long: Duration,
    /// The short window.
    pub short: Duration,
}

/// The index of the first step at whose end the rule fires, given the bad share of each step of the
/// length `step`; `None` when it never does. A window has as many whole steps as fit, is cut at the
/// start of the series, and does not fire without traffic.
///
/// # Panics
/// If the length of a step is zero.
pub fn first_fire(rule: &BurnRule, step: Duration, series: &[Share]) -> Option<usize> {
    assert!(step > Duration::ZERO, "a step takes time");
    let mut sums = Vec::with_capacity(series.len() + 1);
    let mut sum = Share { part: 0, whole: 0 };
    sums.push(sum);
    for bad in series {
        sum = Share { part: sum.part + bad.part, whole: sum.whole + bad.whole };
        sums.push(sum);
    }
    let windows = [rule.long, rule.short]
        .map(|window| usize::try_from(window.as_nanos() / step.as_nanos()).unwrap_or(usize::MAX));
    (0..series.len()).find(|&last| {
        windows.iter().all(|&length| {
            let before = sums[(last + 1).saturating_sub(length)];
            let after = sums[last + 1];
            let window =
                Share { part: after.part - before.part, whole: after.whole - before.whole };
            burns(rule, window)
        })
    })
}

/// Whether `bad / total >= threshold (1 - slo)`, exactly.
fn burns(rule: &BurnRule, bad: Share) -> bool {
    let allowed = rule.slo.complement().unwrap_or(Decimal::ZERO);
    let left = [bad.part, rule.threshold.ten_to_places(), allowed.ten_to_places()];
    let right = [rule.threshold.units(), allowed.units(), bad.whole];
    bad.whole > 0 && compare_products(&left, &right).is_ge()
}

/// How long a constant bad share burns from a clean start until the rule fires:
/// `long window * threshold (1 - slo) / share`. `None` when it burns too slowly to fire.
pub fn time_to_fire(rule: &BurnRule, bad_share: f64) -> Option<Duration> {
    let allowed = rule.slo.complement().unwrap_or(Decimal::ZERO).to_f64();
    let needed = rule.threshold.to_f64() * allowed;
    (bad_share > 0.0 && bad_share >= needed).then(|| rule.long.mul_f64(needed / bad_share))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rule(threshold: &str, long_s: u64, short_s: u64) -> BurnRule {
        let read = |text: &str| text.parse().unwrap();
        let (long, short) = (Duration::from_secs(long_s), Duration::from_secs(short_s));
        BurnRule { slo: read("0.999"), threshold: read(threshold), long, short }
    }

    /// A total outage fires each standard rule when its long window holds enough of it.
    #[test]
    fn the_standard_rules_fire_in_time() {
        for (threshold, hours, millis) in
            [("14.4", 1, 51_840), ("6", 6, 129_600), ("1", 72, 259_200)]
        {
            let rule = rule(threshold, hours * 3600, 300);
            let found = time_to_fire(&rule, 1.0).unwrap();
            assert!(found.abs_diff(Duration::from_millis(millis)) < Duration::from_micros(1));
            let quiet = usize::try_from(hours).unwrap() * 3600;
            let clean = std::iter::repeat_n(Share { part: 0, whole: 10 }, quiet);
            let bad = std::iter::repeat_n(Share { part: 10, whole: 10 }, 300);
            let series: Vec<Share> = clean.chain(bad).collect();
            let fired = first_fire(&rule, SECOND, &series).map(|last| last + 1 - quiet);
            assert_eq!(fired, Some(usize::try_from(millis.div_ceil(1000)).unwrap()));
        }
        assert_eq!(time_to_fire(&rule("14.4", 3600, 300), 0.01), None);
    }

    #[test]
    fn no_traffic_does_not_fire() {
        let silent = [Share { part: 0, whole: 0 }; 5];
        assert_eq!(first_fire(&rule("1", 2, 1), SECOND, &silent), None);
        assert_eq!(first_fire(&rule("1", 2, 1), SECOND, &[]), None);
    }

    #[test]
    fn the_edge_itself_fires() {
        let edge = Share { part: 1, whole: 1000 };
        assert_eq!(first_fire(&rule("1", 1, 1), SECOND, &[edge]), Some(0));
        let below = Share { part: 1, whole: 1001 };
        assert_eq!(first_fire(&rule("1", 1, 1), SECOND, &[below]), None);
    }

    #[test]
    fn budgets_by_requests_and_by_time() {
        assert!(
            (taken_by_requests(&[350, 7], 0.999, 2_592_000_000) - 357.0 / 2_592_000.0).abs()
                < 1e-15
        );
        let steps = [Share { part: 5, whole: 10 }, Share { part: 0, whole: 0 }];
        let month = Duration::from_hours(720);
        let taken = taken_by_time(&steps, Duration::from_mins(1), 0.99, month);
        assert!((taken - 30.0 / 25_920.0).abs() < 1e-15);
    }
}
