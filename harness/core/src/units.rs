//! Quantities that carry their unit: durations, rates, ratios, quantiles, money, sizes.
//!
//! All parse from and print to the text that scenarios use (`250ms`, `400/s`, `99.9%`, `p99`,
//! `4MiB`), are exact (integers inside), and refuse a bare number.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod duration;
mod money;
mod ratio;
mod size;

pub use duration::Duration;
pub use money::{Currency, Money, SpendRate};
pub use ratio::{Quantile, Ratio};
pub use size::Size;

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// A number without its unit.
    #[error("a bare number has no unit")]
    NoUnit {
        /// What the writer most likely meant.
        hint: String,
    },
    /// A unit that this quantity does not know.
    #[error("`{unit}` is not a unit of {quantity}")]
    UnknownUnit {
        /// The text where the unit was expected.
        unit: String,
        /// What was being read: `a duration`.
        quantity: &'static str,
        /// The units that it knows.
        known: &'static str,
    },
    /// Not a number at all.
    #[error("`{text}` is not {quantity}")]
    NotANumber {
        /// The whole text.
        text: String,
        /// What was being read.
        quantity: &'static str,
        /// A text that would be right.
        example: &'static str,
    },
    /// A number outside what the quantity can be.
    #[error("`{text}` is out of range: {range}")]
    OutOfRange {
        /// The whole text.
        text: String,
        /// What the quantity can be.
        range: &'static str,
    },
}

impl UnitError {
    /// One sentence that says how to mend it.
    pub fn hint(&self) -> String {
        match self {
            Self::NoUnit { hint } => format!("write `{hint}`"),
            Self::UnknownUnit { known, .. } => format!("known units: {known}"),
            Self::NotANumber { example, .. } => format!("for example `{example}`"),
            Self::OutOfRange { range, .. } => format!("it must be {range}"),
        }
    }
}

/// A number of events per second, minute or hour; exact to a thousandth of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Thousandths of an event per `per`.
    milli: u64,
    per: Per,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Per {
    Second,
    Minute,
    Hour,
}

impl Rate {
    /// A rate of whole events per second.
    pub const fn per_second_whole(count: u32) -> Self {
        Self { milli: count as u64 * 1000, per: Per::Second }
    }

    /// Events per second.
    pub fn per_second(self) -> f64 {
        let seconds = match self.per {
            Per::Second => 1.0,
            Per::Minute => 60.0,
            Per::Hour => 3600.0,
        };
        self.milli as f64 / 1000.0 / seconds
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        const QUANTITY: &str = "a rate";
        let text = text.trim();
        let Some((number, unit)) = text.split_once('/') else {
            return Err(if text.parse::<f64>().is_ok() {
                UnitError::NoUnit { hint: format!("{text}/s") }
            } else {
                UnitError::NotANumber { text: text.to_owned(), quantity: QUANTITY, example: "40/s" }
            });
        };
        let per = match unit.trim() {
            "s" => Per::Second,
            "m" | "min" => Per::Minute,
            "h" => Per::Hour,
            other => {
                return Err(UnitError::UnknownUnit {
                    unit: format!("/{other}"),
                    quantity: QUANTITY,
                    known: "/s, /m, /h",
                });
            }
        };
        let milli = decimal(number.trim(), 3).ok_or_else(|| UnitError::NotANumber {
            text: text.to_owned(),
            quantity: QUANTITY,
            example: "40/s",
        })?;
        if milli > 10_000_000_000 {
            return Err(UnitError::OutOfRange {
                text: text.to_owned(),
                range: "at most 10000000 events per unit",
            });
        }
        Ok(Self { milli, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per {
            Per::Second => "s",
            Per::Minute => "m",
            Per::Hour => "h",
        };
        write!(f, "{}/{unit}", decimal_text(self.milli, 3))
    }
}

/// Reads an unsigned decimal into an integer of `10^-places`; `None` when it is not one, has more
/// places, or does not fit.
fn decimal(text: &str, places: usize) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > places {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let padded: u64 = if places == 0 { 0 } else { format!("{fraction:0<places$}").parse().ok()? };
    let scale = 10_u64.checked_pow(u32::try_from(places).ok()?)?;
    whole.checked_mul(scale)?.checked_add(padded)
}

/// Prints an integer of `10^-places` as the shortest decimal.
fn decimal_text(value: u64, places: u32) -> String {
    let scale = 10_u64.pow(places);
    let (whole, fraction) = (value / scale, value % scale);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = places as usize;
    format!("{whole}.{}", format!("{fraction:0width$}").trim_end_matches('0'))
}

macro_rules! text_form {
    ($type:ident, $pattern:literal, $description:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(|error: UnitError| {
                    serde::de::Error::custom(format_args!("{error}; {}", error.hint()))
                })
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "pattern": $pattern,
                    "description": $description,
                })
            }
        }
    };
}

text_form!(
    Duration,
    r"^([0-9]+(\.[0-9]+)?(us|ms|s|m|h|d))+$",
    "A length of time with its unit: `250ms`, `3s`, `1m30s`."
);
text_form!(Rate, r"^[0-9]+(\.[0-9]+)?/(s|m|min|h)$", "Events per time: `400/s`, `30/m`.");
text_form!(Ratio, r"^[0-9]+(\.[0-9]+)?%$", "A share in percent: `99.9%`.");
text_form!(Currency, r"^[A-Z]{3}$", "A currency by its three letters: `EUR`.");
text_form!(Money, r"^[0-9]+(\.[0-9]+)? ?[A-Z]{3}$", "An amount of money: `0.02 EUR`.");
text_form!(SpendRate, r"^[0-9]+(\.[0-9]+)? ?[A-Z]{3}/(s|m|min|h)$", "Money per time: `1.5 EUR/s`.");
text_form!(Size, r"^[0-9]+(\.[0-9]+)? ?(B|KiB|MiB|GiB)$", "A number of bytes: `512KiB`, `4MiB`.");
text_form!(Quantile, r"^p[0-9]+(\.[0-9]+)?$", "A quantile: `p50`, `p99`, `p99.9`.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_round_trip_and_refuse_bare_numbers() {
        for (text, per_second) in [("400/s", 400.0), ("30/m", 0.5), ("0.5/s", 0.5), ("18/h", 0.005)]
        {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.to_string(), text);
            assert!((rate.per_second() - per_second).abs() < 1e-12, "{text}");
        }
        assert_eq!("40".parse::<Rate>(), Err(UnitError::NoUnit { hint: "40/s".into() }));
        assert!(matches!("40/x".parse::<Rate>(), Err(UnitError::UnknownUnit { .. })));
        assert!(matches!("fast".parse::<Rate>(), Err(UnitError::NotANumber { .. })));
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal("0.07", 9), Some(70_000_000));
        assert_eq!(decimal("1.5", 0), None);
        assert_eq!(decimal("", 3), None);
        assert_eq!(decimal("18446744073709551616", 3), None);
        assert_eq!(decimal_text(99_900_000, 6), "99.9");
    }
}
