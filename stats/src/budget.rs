//! Error budgets: what share of a budget an incident takes, and when a burn-rate rule fires.
//!
//! The rule is replayed on counts exactly; it says nothing about why a step was bad. Rule after the
//! multiwindow, multi-burn-rate alerts of Google's "The Site Reliability Workbook" (2018), chapter 5.

use crate::decimal::{Decimal, Share, compare_products};
use std::time::Duration;

/// The share of a budget that a number of bad requests takes, when the budget allows the share
/// `1 - slo` of `requests` to be bad.
pub fn taken_by_requests(bad: u64, slo: f64, requests: u64) -> f64 {
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
    /// Steps of the long window.
    pub long_steps: usize,
    /// Steps of the short window.
    pub short_steps: usize,
}

/// The index of the first step at whose end the rule fires, given the bad share of each step;
/// `None` when it never does. Windows are cut at the start of the series; a window without traffic
/// does not fire.
pub fn first_fire(rule: &BurnRule, steps: &[Share]) -> Option<usize> {
    let mut sums = Vec::with_capacity(steps.len() + 1);
    let mut sum = Share { part: 0, whole: 0 };
    sums.push(sum);
    for step in steps {
        sum = Share { part: sum.part + step.part, whole: sum.whole + step.whole };
        sums.push(sum);
    }
    (0..steps.len()).find(|&last| {
        [rule.long_steps, rule.short_steps].iter().all(|&length| {
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
pub fn time_to_fire(rule: &BurnRule, step: Duration, bad_share: f64) -> Option<Duration> {
    let allowed = rule.slo.complement().unwrap_or(Decimal::ZERO).to_f64();
    let needed = rule.threshold.to_f64() * allowed;
    let window = step * u32::try_from(rule.long_steps).ok()?;
    (bad_share > 0.0 && bad_share >= needed).then(|| window.mul_f64(needed / bad_share))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(threshold: &str, long_steps: usize, short_steps: usize) -> BurnRule {
        let read = |text: &str| text.parse().unwrap();
        BurnRule { slo: read("0.999"), threshold: read(threshold), long_steps, short_steps }
    }

    /// A total outage fires each standard rule when its long window holds enough of it.
    #[test]
    fn the_standard_rules_fire_in_time() {
        let second = Duration::from_secs(1);
        for (threshold, hours, millis) in
            [("14.4", 1, 51_840), ("6", 6, 129_600), ("1", 72, 259_200)]
        {
            let rule = rule(threshold, hours * 3600, 300);
            let found = time_to_fire(&rule, second, 1.0).unwrap();
            assert!(found.abs_diff(Duration::from_millis(millis)) < Duration::from_micros(1));
            let clean = std::iter::repeat_n(Share { part: 0, whole: 10 }, rule.long_steps);
            let bad = std::iter::repeat_n(Share { part: 10, whole: 10 }, 300);
            let steps: Vec<Share> = clean.chain(bad).collect();
            let fired = first_fire(&rule, &steps).map(|last| last + 1 - rule.long_steps);
            assert_eq!(fired, Some(usize::try_from(millis.div_ceil(1000)).unwrap()));
        }
    }

    #[test]
    fn no_traffic_does_not_fire() {
        assert_eq!(first_fire(&rule("1", 2, 1), &[Share { part: 0, whole: 0 }; 5]), None);
        assert_eq!(first_fire(&rule("1", 2, 1), &[]), None);
    }

    #[test]
    fn the_edge_itself_fires() {
        let edge = Share { part: 1, whole: 1000 };
        assert_eq!(first_fire(&rule("1", 1, 1), &[edge]), Some(0));
        let below = Share { part: 1, whole: 1001 };
        assert_eq!(first_fire(&rule("1", 1, 1), &[below]), None);
    }

    #[test]
    fn budgets_by_requests_and_by_time() {
        assert!((taken_by_requests(357, 0.999, 2_592_000_000) - 357.0 / 2_592_000.0).abs() < 1e-15);
        let steps = [Share { part: 5, whole: 10 }, Share { part: 0, whole: 0 }];
        let month = Duration::from_hours(720);
        let taken = taken_by_time(&steps, Duration::from_mins(1), 0.99, month);
        assert!((taken - 30.0 / 25_920.0).abs() < 1e-15);
    }
}
