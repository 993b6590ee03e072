//! Shares and quantiles, exact to a billionth.

use std::fmt;
use std::str::FromStr;

use super::{UnitError, decimal, decimal_text};

/// One, in billionths.
const ONE: u64 = 1_000_000_000;

/// A share between 0 and 1, exact to a billionth; printed in percent: `99.9%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio(u64);

impl Ratio {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All.
    pub const ONE: Self = Self(ONE);

    /// From whole percent; at most 100.
    pub const fn from_percent(percent: u64) -> Self {
        assert!(percent <= 100, "a ratio is at most 100 %");
        Self(percent * (ONE / 100))
    }

    /// From billionths; at most 1,000,000,000.
    pub const fn from_billionths(billionths: u64) -> Self {
        assert!(billionths <= ONE, "a ratio is at most one");
        Self(billionths)
    }

    /// Billionths.
    pub const fn billionths(self) -> u64 {
        self.0
    }

    /// As a floating point number, for display and for `stats`.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / ONE as f64
    }

    /// `part / total >= self`, without rounding (0.07 * 100 is 7, not 7.000000000000001).
    pub const fn is_reached_by(self, part: u64, total: u64) -> bool {
        part as u128 * ONE as u128 >= self.0 as u128 * total as u128
    }

    /// `part / total <= self`, without rounding.
    pub const fn is_not_exceeded_by(self, part: u64, total: u64) -> bool {
        part as u128 * ONE as u128 <= self.0 as u128 * total as u128
    }

    /// What is missing to one.
    pub const fn complement(self) -> Self {
        Self(ONE - self.0)
    }
}

impl FromStr for Ratio {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let text = text.trim();
        let example = "99.9%";
        let Some(number) = text.strip_suffix('%') else {
            return Err(match text.parse::<f64>() {
                Ok(value) if (0.0..=1.0).contains(&value) => match decimal(text, 9) {
                    Some(billionths) => UnitError::NoUnit { hint: Self(billionths).to_string() },
                    None => UnitError::NoUnit { hint: example.to_owned() },
                },
                Ok(_) => UnitError::NoUnit { hint: format!("{text}%") },
                Err(_) => {
                    UnitError::NotANumber { text: text.to_owned(), quantity: "a ratio", example }
                }
            });
        };
        let billionths = decimal(number.trim(), 7).ok_or_else(|| UnitError::NotANumber {
            text: text.to_owned(),
            quantity: "a ratio",
            example,
        })?;
        if billionths > ONE {
            return Err(UnitError::OutOfRange { text: text.to_owned(), range: "from 0% to 100%" });
        }
        Ok(Self(billionths))
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&(decimal_text(self.0, 7) + "%"))
    }
}

/// A quantile strictly between 0 and 1: `p99`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantile(u64);

impl Quantile {
    /// The median.
    pub const P50: Self = Self(ONE / 2);
    /// The 99th percentile.
    pub const P99: Self = Self(ONE / 100 * 99);

    /// As a floating point number in (0, 1).
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / ONE as f64
    }

    /// Billionths.
    pub const fn billionths(self) -> u64 {
        self.0
    }

    /// The rank of this quantile among `total` values, counted from 1: nearest rank, `ceil(q n)`.
    pub fn rank(self, total: u64) -> u64 {
        let exact = u128::from(self.0) * u128::from(total);
        u64::try_from(exact.div_ceil(u128::from(ONE))).expect("a quantile's rank is at most total")
    }
}

impl FromStr for Quantile {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let text = text.trim();
        let not_a_number = || UnitError::NotANumber {
            text: text.to_owned(),
            quantity: "a quantile",
            example: "p99",
        };
        let number = text.strip_prefix('p').ok_or_else(not_a_number)?;
        let billionths = decimal(number, 7).ok_or_else(not_a_number)?;
        if billionths == 0 || billionths >= ONE {
            return Err(UnitError::OutOfRange {
                text: text.to_owned(),
                range: "above p0 and below p100",
            });
        }
        Ok(Self(billionths))
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("p{}", decimal_text(self.0, 7)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_compare_exactly() {
        let seven: Ratio = "7%".parse().unwrap();
        assert!(seven.is_reached_by(7, 100));
        assert!(!seven.is_reached_by(6, 100));
        assert!(seven.is_not_exceeded_by(7, 100));
        let slo: Ratio = "99.9%".parse().unwrap();
        assert!(slo.is_reached_by(999, 1000));
        assert!(!slo.is_reached_by(9989, 10_000));
        assert_eq!(slo.complement().to_string(), "0.1%");
    }

    #[test]
    fn ratios_refuse_bare_numbers_with_a_hint() {
        assert_eq!("0.999".parse::<Ratio>(), Err(UnitError::NoUnit { hint: "99.9%".into() }));
        assert_eq!("80".parse::<Ratio>(), Err(UnitError::NoUnit { hint: "80%".into() }));
        assert!(matches!("101%".parse::<Ratio>(), Err(UnitError::OutOfRange { .. })));
    }

    #[test]
    fn quantiles_use_nearest_rank() {
        let p99: Quantile = "p99".parse().unwrap();
        assert_eq!(p99, Quantile::P99);
        assert_eq!(p99.rank(100), 99);
        assert_eq!(p99.rank(101), 100);
        assert_eq!("p99.9".parse::<Quantile>().unwrap().to_string(), "p99.9");
        assert!("p100".parse::<Quantile>().is_err());
        assert!("99".parse::<Quantile>().is_err());
    }
}
