//! Numbers of a calibration: what placebo cases say about drift, about the floor of what can be
//! claimed at all, and whether the engine keeps its own error rate.

use crate::binomial;
use crate::decimal::Share;
use crate::special::bisect;

/// The two-sided sign test of "there is no drift": how often values lie above zero as against
/// below, zeros dropped. 1 when nothing moved.
pub fn drift_p(differences: &[f64]) -> f64 {
    let above = differences.iter().filter(|value| **value > 0.0).count() as u64;
    let below = differences.iter().filter(|value| **value < 0.0).count() as u64;
    let fewer = Share { part: above.min(below), whole: above + below };
    (2.0 * binomial::at_most(fewer, 0.5)).min(1.0)
}

/// What share of quiet cases meets an assertion for sure, at level `alpha`, from cases without any
/// fault: its floor. An assertion whose claimed share is above the floor cannot be tested here.
pub fn floor(met: Share, alpha: f64) -> f64 {
    binomial::lower_bound(met, alpha)
}

/// The most wrong verdicts among `rounds` rounds of a true hypothesis that an engine with the error
/// rate `level` shows, but for a chance of `false_alarm`: above it the engine is wrong.
pub fn wrong_verdicts_max(rounds: u64, level: f64, false_alarm: f64) -> u64 {
    binomial::assert_level(false_alarm);
    let beyond = |wrong: u64| {
        binomial::at_least(Share { part: wrong + 1, whole: rounds }, level) <= false_alarm
    };
    let (mut low, mut high) = (0, rounds);
    while low < high {
        let middle = low + (high - low) / 2;
        if beyond(middle) { high = middle } else { low = middle + 1 }
    }
    high
}

/// The chance that a limit on wrong verdicts catches an engine whose true error is `truth`.
pub fn catch_chance(rounds: u64, wrong_max: u64, truth: f64) -> f64 {
    binomial::at_least(Share { part: wrong_max + 1, whole: rounds }, truth)
}

/// The requests per window under which a target cannot even be resolved (`1 / (1 - target)`), and
/// ten times as many, under which a window's answer is mostly chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolution {
    /// Fewer requests than this cannot show the target.
    pub requests_refused_below: u64,
    /// Fewer requests than this deserve a warning.
    pub requests_warned_below: u64,
}

/// The resolution that a target needs; `None` for a target of one or more, which no number of
/// requests resolves.
pub fn resolution(target: crate::decimal::Decimal) -> Option<Resolution> {
    let budget = target.complement().filter(|budget| *budget > crate::decimal::Decimal::ZERO)?;
    let needed = |times: u64| {
        let ten = u128::from(budget.ten_to_places()) * u128::from(times);
        u64::try_from(ten.div_ceil(u128::from(budget.units()))).ok()
    };
    Some(Resolution { requests_refused_below: needed(1)?, requests_warned_below: needed(10)? })
}

/// The truth at which `rounds` rounds catch an engine with the chance given: what a self-test of
/// that size can see.
pub fn error_caught_with(rounds: u64, wrong_max: u64, chance: f64) -> f64 {
    bisect([0.0, 1.0], |truth| catch_chance(rounds, wrong_max, truth) - chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_self_test_of_the_method() {
        assert_eq!(wrong_verdicts_max(10_000, 0.05, 1e-4), 583);
        assert_eq!(wrong_verdicts_max(2000, 0.05, 1e-4), 138);
        assert!(catch_chance(10_000, 583, 0.07) > 0.999_99);
        assert!((catch_chance(2000, 138, 0.08) - 0.96).abs() < 0.01);
        let seen = error_caught_with(2000, 138, 0.96);
        assert!((seen - 0.08).abs() < 0.001, "{seen}");
    }

    #[test]
    fn drift_needs_agreement() {
        assert!(drift_p(&[0.1; 5]) > 0.05);
        assert!((drift_p(&[0.1; 6]) - 0.031_25).abs() < 1e-12);
        assert!(drift_p(&[0.1, -0.1, 0.0]) >= 1.0);
        assert!(drift_p(&[]) >= 1.0);
    }

    #[test]
    fn fourteen_quiet_cases_give_a_floor_of_eighty_percent() {
        assert!(floor(Share { part: 14, whole: 14 }, 0.05) > 0.8);
        assert!(floor(Share { part: 13, whole: 14 }, 0.05) < 0.8);
    }

    #[test]
    fn resolution_follows_the_target() {
        let resolution = |text: &str| resolution(text.parse().unwrap());
        let found = resolution("0.999").unwrap();
        assert_eq!((found.requests_refused_below, found.requests_warned_below), (1000, 10_000));
        assert_eq!(resolution("1"), None);
        assert_eq!(resolution("0.7").unwrap().requests_refused_below, 4);
    }
}
