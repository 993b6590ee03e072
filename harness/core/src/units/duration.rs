//! A length of time, exact to a microsecond.

use std::fmt;
use std::str::FromStr;

use super::{UnitError, decimal, decimal_text};

/// A length of time in whole microseconds. Prints as scenarios write it: `250ms`, `1.5s`, `1m30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(u64);

const QUANTITY: &str = "a duration";
const KNOWN: &str = "us, ms, s, m, h, d";
/// Ten years; longer is a slip of the pen.
const MICROS_MAX: u64 = 3650 * 86_400 * 1_000_000;

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// From microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// From milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1000)
    }

    /// From seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000_000)
    }

    /// Microseconds.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Milliseconds, rounded down.
    pub const fn millis(self) -> u64 {
        self.0 / 1000
    }

    /// Seconds.
    pub fn secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// As the standard library's type.
    pub const fn as_std(self) -> std::time::Duration {
        std::time::Duration::from_micros(self.0)
    }

    /// The smaller difference; zero when `other` is longer.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// This many times as long.
    pub const fn times(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    /// This part of it, rounded down. The divisor is at least 1.
    pub const fn divided_by(self, divisor: u64) -> Self {
        Self(self.0 / divisor)
    }
}

impl std::ops::Add for Duration {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for Duration {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, |sum, next| sum + next)
    }
}

impl From<std::time::Duration> for Duration {
    /// Rounds down to whole microseconds.
    fn from(duration: std::time::Duration) -> Self {
        Self(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }
}

impl FromStr for Duration {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let whole = text.trim();
        let not_a_number = || UnitError::NotANumber {
            text: whole.to_owned(),
            quantity: QUANTITY,
            example: "250ms",
        };
        let out_of_range =
            || UnitError::OutOfRange { text: whole.to_owned(), range: "at most ten years" };
        let mut rest = whole;
        let mut micros: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let (number, tail) = rest.split_at(digits);
            let value = decimal(number, 6).ok_or_else(not_a_number)?;
            let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, next) = tail.split_at(letters);
            let scale: u64 = match unit.trim() {
                "us" | "µs" => 1,
                "ms" => 1_000,
                "s" => 1_000_000,
                "m" | "min" => 60_000_000,
                "h" => 3_600_000_000,
                "d" => 86_400_000_000,
                "" => return Err(UnitError::NoUnit { hint: format!("{number}ms` or `{number}s") }),
                other => {
                    return Err(UnitError::UnknownUnit {
                        unit: other.to_owned(),
                        quantity: QUANTITY,
                        known: KNOWN,
                    });
                }
            };
            // `value` counts millionths of the unit; what is below a microsecond is refused.
            let exact = u128::from(value) * u128::from(scale);
            if !exact.is_multiple_of(1_000_000) {
                return Err(UnitError::OutOfRange {
                    text: whole.to_owned(),
                    range: "a whole number of microseconds",
                });
            }
            let part = u64::try_from(exact / 1_000_000).map_err(|_| out_of_range())?;
            micros = micros.checked_add(part).ok_or_else(out_of_range)?;
            rest = next;
        }
        if whole.is_empty() {
            return Err(not_a_number());
        }
        if micros > MICROS_MAX {
            return Err(out_of_range());
        }
        Ok(Self(micros))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0;
        let text = if micros == 0 {
            "0s".to_owned()
        } else if micros < 1_000 || (micros < 1_000_000 && !micros.is_multiple_of(1_000)) {
            if micros < 1_000 { format!("{micros}us") } else { decimal_text(micros, 3) + "ms" }
        } else if micros < 1_000_000 {
            format!("{}ms", micros / 1_000)
        } else {
            let (minutes, rest) = (micros / 60_000_000, micros % 60_000_000);
            let (hours, minutes) = (minutes / 60, minutes % 60);
            let part = |count: u64, unit: &str| match count {
                0 => String::new(),
                _ => format!("{count}{unit}"),
            };
            let seconds = match rest {
                0 => String::new(),
                _ => decimal_text(rest, 6) + "s",
            };
            part(hours, "h") + &part(minutes, "m") + &seconds
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints() {
        for (text, micros, printed) in [
            ("250ms", 250_000, "250ms"),
            ("3s", 3_000_000, "3s"),
            ("1.5s", 1_500_000, "1.5s"),
            ("1m30s", 90_000_000, "1m30s"),
            ("90s", 90_000_000, "1m30s"),
            ("2h", 7_200_000_000, "2h"),
            ("0s", 0, "0s"),
            ("100us", 100, "100us"),
            ("1.25ms", 1250, "1.25ms"),
            ("30d", 2_592_000_000_000, "720h"),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.micros(), micros, "{text}");
            assert_eq!(duration.to_string(), printed);
            assert_eq!(duration.to_string().parse::<Duration>().unwrap(), duration);
        }
    }

    #[test]
    fn refuses_what_is_not_one() {
        assert!(matches!("250".parse::<Duration>(), Err(UnitError::NoUnit { .. })));
        assert!(matches!("5 parsecs".parse::<Duration>(), Err(UnitError::UnknownUnit { .. })));
        assert!(matches!("".parse::<Duration>(), Err(UnitError::NotANumber { .. })));
        assert!(matches!("-3s".parse::<Duration>(), Err(UnitError::NotANumber { .. })));
        assert!(matches!("0.5us".parse::<Duration>(), Err(UnitError::OutOfRange { .. })));
        assert!(matches!("99999d".parse::<Duration>(), Err(UnitError::OutOfRange { .. })));
    }
}
