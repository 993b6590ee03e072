//! Numbers and names as text for people.

use crate::plan::FaultInstant;
use crate::units::Currency;

/// Which way a number is rounded, so that no sentence says more than its evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    Down,
    Up,
}

/// A share in percent, rounded down to a thousandth: `99.412%`.
pub(super) fn share(share: f64) -> String {
    trimmed(rounded(share * 100.0, 3, Round::Down), 3) + "%"
}

/// A bound of a share in percent, to a tenth: `80.7%`.
pub(super) fn bound(share: f64, round: Round) -> String {
    trimmed(rounded(share * 100.0, 1, round), 1) + "%"
}

/// A share in percent with two digits that count at least: `80.7%`, `0.0096%`.
pub(super) fn fine(share: f64, round: Round) -> String {
    let size = (share * 100.0).abs();
    let decimals = [1.0, 0.1, 0.01, 0.001, 0.000_1, 0.000_01];
    let decimals = decimals.iter().take_while(|least| size < **least).count() + 1;
    let places = i32::try_from(decimals).expect("at most seven");
    trimmed(rounded(share * 100.0, places, round), decimals) + "%"
}

/// A time in the unit that reads best: `412ms`, `1.24s`.
pub(super) fn seconds(secs: f64) -> String {
    if secs <= 0.0 {
        "0s".to_owned()
    } else if secs < 0.01 {
        trimmed(secs * 1000.0, 2) + "ms"
    } else if secs < 0.9995 {
        format!("{:.0}ms", secs * 1000.0)
    } else {
        trimmed(secs, 2) + "s"
    }
}

/// An amount of money with as many decimals as it is worth: `1.24 EUR`, `0.00052 EUR`.
pub(super) fn money(amount: f64, currency: Currency) -> String {
    let decimals = if amount >= 1.0 { 2 } else { 6 };
    format!("{} {currency}", trimmed(amount, decimals))
}

/// A rate of spend: `1.24 EUR/s`.
pub(super) fn money_rate(per_second: f64, currency: Currency) -> String {
    money(per_second, currency) + "/s"
}

/// `once`, `twice`, `3 times`.
pub(super) fn times(count: usize) -> String {
    match count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}

/// `1 trial`, `2 trials`.
pub(super) fn count(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// As scenarios write it after the fault's name.
pub(super) fn instant(instant: FaultInstant) -> &'static str {
    match instant {
        FaultInstant::Inject => "inject",
        FaultInstant::Effective => "effective",
        FaultInstant::Revert => "revert",
        FaultInstant::Reverted => "reverted",
    }
}

/// Rounds to so many decimals. What is a decimal but for a floating-point error stays as it is.
pub(super) fn rounded(value: f64, decimals: i32, round: Round) -> f64 {
    const SLACK: f64 = 1e-9;
    let scale = 10_f64.powi(decimals);
    let scaled = value * scale;
    let whole = match round {
        Round::Down => (scaled + SLACK).floor(),
        Round::Up => (scaled - SLACK).ceil(),
    };
    // Not a zero with a sign.
    whole / scale + 0.0
}

fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well_and_claim_no_more() {
        for (value, expected) in
            [(0.99, "99%"), (0.989_999_9, "98.999%"), (1.0, "100%"), (0.07, "7%"), (0.0, "0%")]
        {
            assert_eq!(share(value), expected);
        }
        assert_eq!(bound(0.807_35, Round::Down), "80.7%");
        assert_eq!(bound(0.807_35, Round::Up), "80.8%");
        for (value, round, expected) in [
            (0.807_35, Round::Down, "80.7%"),
            (0.0, Round::Up, "0%"),
            (0.000_05, Round::Down, "0.005%"),
            (0.000_115_741, Round::Up, "0.012%"),
            (0.000_115_741, Round::Down, "0.011%"),
            (1.0, Round::Up, "100%"),
        ] {
            assert_eq!(fine(value, round), expected);
        }
        for (value, expected) in [
            (0.0, "0s"),
            (0.000_25, "0.25ms"),
            (0.4123, "412ms"),
            (0.9999, "1s"),
            (1.2399, "1.24s"),
            (90.0, "90s"),
        ] {
            assert_eq!(seconds(value), expected);
        }
        assert_eq!((times(0), count(1, "trial")), ("never".to_owned(), "1 trial".to_owned()));
    }
}
