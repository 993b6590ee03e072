//! Numbers for people: a unit beside each of them and no more digits than they are worth.
//! Does not round what is compared; that is done before, and elsewhere.

use harness_core::verdict::{Estimate, Measured, Quantity};

/// A share in percent, with as many digits as it takes to tell it from 100 %: `99.93 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{} %", percent_digits(share))
}

/// The digits of [`percent`] without the sign.
pub(crate) fn percent_digits(share: f64) -> String {
    let value = share * 100.0;
    let missing = (100.0 - value).abs();
    let places = match missing {
        m if m == 0.0 || value == 0.0 => 0,
        m if m < 0.01 => 4,
        m if m < 0.1 => 3,
        m if m < 1.0 => 2,
        _ => 1,
    };
    trimmed(value, places)
}

/// Seconds: `80 ms`, `1.24 s`, `2 min 5 s`.
pub(crate) fn seconds(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0 s".to_owned()
    } else if size < 0.001 {
        format!("{} µs", trimmed(value * 1e6, 0))
    } else if size < 0.9995 {
        format!("{} ms", trimmed(value * 1e3, usize::from(size < 0.01)))
    } else if size < 120.0 {
        format!("{} s", trimmed(value, 2))
    } else {
        let minutes = (value / 60.0).trunc();
        format!("{minutes:.0} min {} s", trimmed((value - minutes * 60.0).abs(), 0))
    }
}

/// A value of this measured quantity, in its own unit.
pub(crate) fn in_unit(value: f64, unit: &str) -> String {
    match unit {
        "ratio" => percent(value),
        "s" => seconds(value),
        "ms" => seconds(value / 1e3),
        "us" => seconds(value / 1e6),
        // Money may be a small part of a cent.
        _ if is_money(unit) && value.abs() < 1.0 => format!("{} {unit}", trimmed(value, 6)),
        _ => format!("{} {unit}", trimmed(value, 2)),
    }
}

/// `EUR`, or `EUR/s`.
fn is_money(unit: &str) -> bool {
    let currency = unit.strip_suffix("/s").unwrap_or(unit);
    currency.len() == 3 && currency.bytes().all(|letter| letter.is_ascii_uppercase())
}

/// `at most 800 ms`.
pub(crate) fn bound(measured: &Measured) -> String {
    let side = if measured.bound_is_upper { "at most" } else { "at least" };
    format!("{side} {}", in_unit(measured.bound, &measured.unit))
}

/// Median and worst value over trials: `median 1.24 s, worst beyond its window (2 of 14)`.
pub(crate) fn spread(measured: &Measured) -> String {
    let value = |value: Option<f64>| match value {
        Some(value) => in_unit(value, &measured.unit),
        None => "not reached".to_owned(),
    };
    format!("median {}, worst {}", value(measured.median), value(measured.worst))
}

/// `100 % (95 %: 80.7–100, n = 14 trials)`: the estimate, and the one-sided bounds where a
/// confidence was claimed.
pub(crate) fn share(share: &Estimate, confidence: Option<f64>, n: u32) -> String {
    let trials = if n == 1 { "trial" } else { "trials" };
    let interval = confidence.map_or_else(String::new, |confidence| {
        let (lower, upper) = (percent_digits(share.lower), percent_digits(share.upper));
        format!("{}: {lower}–{upper}, ", percent(confidence))
    });
    format!("{} ({interval}n = {n} {trials})", percent(share.value))
}

/// `mean time to restore 1.2 s (95 %: 1.1 s – 2.9 s, n = 14 trials)`: an estimate that is no share
/// of trials, with the bounds that there are.
pub(crate) fn quantity(quantity: &Quantity, confidence: Option<f64>, n: u32) -> String {
    let trials = if n == 1 { "trial" } else { "trials" };
    let end = |end: Option<f64>| end.map_or("?".to_owned(), |end| in_unit(end, &quantity.unit));
    let interval = confidence.map_or_else(String::new, |confidence| {
        let about = if quantity.approximate { "about " } else { "" };
        let (lower, upper) = (end(quantity.lower), end(quantity.upper));
        format!("{}: {about}{lower} – {upper}, ", percent(confidence))
    });
    let value = in_unit(quantity.value, &quantity.unit);
    format!("{} {value} ({interval}n = {n} {trials})", quantity.name)
}

/// A number with at most so many places and no trailing zeros.
pub(crate) fn trimmed(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_near_one_keep_their_digits() {
        for (share, text) in [
            (1.0, "100 %"),
            (0.0, "0 %"),
            (0.8074, "80.7 %"),
            (0.9993, "99.93 %"),
            (0.99951, "99.951 %"),
            (0.999_999, "99.9999 %"),
            (0.5, "50 %"),
        ] {
            assert_eq!(percent(share), text);
        }
    }

    #[test]
    fn seconds_choose_their_unit() {
        for (value, text) in [
            (0.0, "0 s"),
            (0.000_25, "250 µs"),
            (0.0042, "4.2 ms"),
            (0.08, "80 ms"),
            (1.0, "1 s"),
            (1.238, "1.24 s"),
            (125.0, "2 min 5 s"),
            (-0.5, "-500 ms"),
        ] {
            assert_eq!(seconds(value), text);
        }
    }

    #[test]
    fn a_share_says_its_bounds_and_n() {
        let estimate = Estimate { value: 1.0, lower: 0.8074, upper: 1.0 };
        assert_eq!(share(&estimate, Some(0.95), 14), "100 % (95 %: 80.7–100, n = 14 trials)");
        assert_eq!(share(&estimate, None, 1), "100 % (n = 1 trial)");
    }

    #[test]
    fn a_quantity_says_the_bounds_that_there_are() {
        let mean = Quantity {
            name: "mean time to restore".to_owned(),
            unit: "s".to_owned(),
            value: 1.2,
            lower: Some(1.1),
            upper: None,
            bound: 3.0,
            approximate: true,
        };
        assert_eq!(
            quantity(&mean, Some(0.95), 14),
            "mean time to restore 1.2 s (95 %: about 1.1 s – ?, n = 14 trials)"
        );
        assert_eq!(quantity(&mean, None, 1), "mean time to restore 1.2 s (n = 1 trial)");
    }
}
