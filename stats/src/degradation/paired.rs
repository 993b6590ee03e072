//! Pairs of one metric, before and under the fault, within one case.

use crate::decimal::Decimal;
use crate::decision::{State, Tally};
use crate::latency::Quantile;

/// The largest accepted difference; a difference just there is accepted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Margin(pub f64);

/// How many differences are within the margin: decided with a claimed share of one half this is
/// the sign test of the median.
pub fn median_tally(differences: &[f64], margin: Margin) -> Tally {
    let state = |difference: &f64| {
        if difference.is_nan() {
            State::Ambiguous
        } else if *difference <= margin.0 {
            State::Ok
        } else {
            State::Bad
        }
    };
    differences.iter().map(state).collect()
}

/// One metric in two windows of one case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// The value before the fault.
    pub baseline: f64,
    /// The value under the fault.
    pub fault: f64,
}

/// `ln(fault / baseline)`; `None` unless both are above zero and finite.
pub fn log_ratio(change: Change) -> Option<f64> {
    let usable = |value: f64| value > 0.0 && value.is_finite();
    (usable(change.baseline) && usable(change.fault)).then(|| (change.fault / change.baseline).ln())
}

/// Whether a quantile under the fault is at most `ratio_max` times that of the baseline. Edges of
/// buckets are compared as they are. `None` without a sample in a window; a baseline that was
/// itself lost has nothing to compare with, so the case is ambiguous.
pub fn worsening_state(baseline: Quantile, fault: Quantile, ratio_max: Decimal) -> Option<State> {
    match (baseline, fault) {
        (Quantile::NoSample, _) | (_, Quantile::NoSample) => None,
        (Quantile::Lost, _) => Some(State::Ambiguous),
        (Quantile::UpTo(_), Quantile::Lost) => Some(State::Bad),
        (Quantile::UpTo(baseline), Quantile::UpTo(fault)) => {
            let most = baseline * ratio_max.to_f64();
            // The product may be one rounding below a limit that is met exactly.
            let slack = most.abs() * f64::EPSILON;
            Some(if fault <= most + slack { State::Ok } else { State::Bad })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Quantile::{Lost, NoSample, UpTo};

    #[test]
    fn the_margin_itself_is_ok() {
        let tally = median_tally(&[0.1, 0.15, 0.2, f64::NAN], Margin(0.15));
        assert_eq!(tally, Tally { ok: 2, bad: 1, ambiguous: 1 });
    }

    #[test]
    fn ratios_of_edges() {
        let at_most =
            |text: &str, baseline, fault| worsening_state(baseline, fault, text.parse().unwrap());
        assert_eq!(at_most("4", UpTo(40.0), UpTo(160.0)), Some(State::Ok));
        assert_eq!(at_most("1.1", UpTo(3.0), UpTo(3.3)), Some(State::Ok));
        assert_eq!(at_most("1.1", UpTo(100.0), UpTo(111.0)), Some(State::Bad));
        assert_eq!(at_most("4", UpTo(40.0), Lost), Some(State::Bad));
        assert_eq!(at_most("4", Lost, UpTo(40.0)), Some(State::Ambiguous));
        assert_eq!(at_most("4", NoSample, UpTo(40.0)), None);
    }

    #[test]
    fn log_ratios_need_positive_values() {
        let ratio = log_ratio(Change { baseline: 10.0, fault: 20.0 }).unwrap();
        assert!((ratio - std::f64::consts::LN_2).abs() < 1e-15);
        assert_eq!(log_ratio(Change { baseline: 0.0, fault: 1.0 }), None);
        assert_eq!(log_ratio(Change { baseline: 1.0, fault: f64::INFINITY }), None);
    }
}
