//! Amounts of money, exact to a millionth, and rates of spending.

use std::fmt;
use std::str::FromStr;

use super::{UnitError, decimal, decimal_text};

const PLACES: u32 = 6;
/// A thousand million; more is a slip of the pen.
const MICROS_MAX: u64 = 1_000_000_000 * 1_000_000;

/// A currency by its three letters: `EUR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// An amount of money, exact to a millionth; printed as scenarios write it: `0.02 EUR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money {
    micros: u64,
    currency: Currency,
}

/// Money per time; printed as scenarios write it: `1.5 EUR/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpendRate {
    money: Money,
    per: Per,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Per {
    Second,
    Minute,
    Hour,
}

impl Currency {
    /// The euro.
    pub const EUR: Self = Self(*b"EUR");
}

impl Money {
    /// From millionths.
    pub const fn from_micros(micros: u64, currency: Currency) -> Self {
        Self { micros, currency }
    }

    /// Millionths.
    pub const fn micros(self) -> u64 {
        self.micros
    }

    /// The amount in whole units of its currency.
    pub fn amount(self) -> f64 {
        self.micros as f64 / 1e6
    }

    /// Its currency.
    pub const fn currency(self) -> Currency {
        self.currency
    }
}

impl SpendRate {
    /// Units of the currency per second.
    pub fn per_second(self) -> f64 {
        let seconds = match self.per {
            Per::Second => 1.0,
            Per::Minute => 60.0,
            Per::Hour => 3600.0,
        };
        self.money.amount() / seconds
    }

    /// Its currency.
    pub const fn currency(self) -> Currency {
        self.money.currency
    }
}

impl FromStr for Currency {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let text = text.trim();
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(letters) if letters.iter().all(u8::is_ascii_uppercase) => Ok(Self(letters)),
            Ok(_) | Err(_) => Err(UnitError::NotANumber {
                text: text.to_owned(),
                quantity: "a currency",
                example: "EUR",
            }),
        }
    }
}

impl FromStr for Money {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        const QUANTITY: &str = "an amount of money";
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let wrong = || UnitError::NotANumber {
            text: text.to_owned(),
            quantity: QUANTITY,
            example: "0.02 EUR",
        };
        let micros = decimal(number, PLACES as usize).ok_or_else(wrong)?;
        if unit.trim().is_empty() {
            return Err(UnitError::NoUnit { hint: format!("{number} EUR") });
        }
        let currency = unit.parse().map_err(|_| UnitError::UnknownUnit {
            unit: unit.trim().to_owned(),
            quantity: QUANTITY,
            known: "the three capital letters of a currency, as in `0.02 EUR`",
        })?;
        if micros > MICROS_MAX {
            let range = "at most a thousand million";
            return Err(UnitError::OutOfRange { text: text.to_owned(), range });
        }
        Ok(Self { micros, currency })
    }
}

impl FromStr for SpendRate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        const QUANTITY: &str = "a rate of spending";
        let text = text.trim();
        let Some((money, per)) = text.split_once('/') else {
            return Err(match text.parse::<Money>() {
                Ok(money) => UnitError::NoUnit { hint: format!("{money}/s") },
                Err(UnitError::NoUnit { hint }) => UnitError::NoUnit { hint: hint + "/s" },
                Err(_) => UnitError::NotANumber {
                    text: text.to_owned(),
                    quantity: QUANTITY,
                    example: "1.5 EUR/s",
                },
            });
        };
        let per = match per.trim() {
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
        Ok(Self { money: money.parse()?, per })
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| write!(f, "{}", char::from(*letter)))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", decimal_text(self.micros, PLACES), self.currency)
    }
}

impl fmt::Display for SpendRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per {
            Per::Second => "s",
            Per::Minute => "m",
            Per::Hour => "h",
        };
        write!(f, "{}/{per}", self.money)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_and_rates_round_trip() {
        for text in ["0.02 EUR", "12 USD", "0.000001 EUR", "0 EUR"] {
            assert_eq!(text.parse::<Money>().unwrap().to_string(), text);
        }
        assert_eq!(
            "1.50EUR".parse::<Money>().unwrap(),
            Money::from_micros(1_500_000, Currency::EUR)
        );
        for (text, per_second) in [("1.5 EUR/s", 1.5), ("36 EUR/h", 0.01), ("3 EUR/m", 0.05)] {
            let rate: SpendRate = text.parse().unwrap();
            assert_eq!(rate.to_string(), text);
            assert!((rate.per_second() - per_second).abs() < 1e-12, "{text}");
        }
    }

    #[test]
    fn what_is_no_money_is_refused_with_a_hint() {
        let hint = |text: &str| text.parse::<Money>().unwrap_err().hint();
        assert_eq!(hint("5"), "write `5 EUR`");
        assert!(hint("5 euros").contains("three capital letters"));
        assert!(matches!("".parse::<Money>(), Err(UnitError::NotANumber { .. })));
        assert!(matches!("1.0000001 EUR".parse::<Money>(), Err(UnitError::NotANumber { .. })));
        assert!(matches!("9000000000 EUR".parse::<Money>(), Err(UnitError::OutOfRange { .. })));
        let hint = |text: &str| text.parse::<SpendRate>().unwrap_err().hint();
        assert_eq!(
            (hint("5"), hint("5 EUR")),
            ("write `5 EUR/s`".into(), "write `5 EUR/s`".into())
        );
        assert_eq!(hint("5 EUR/d"), "known units: /s, /m, /h");
    }
}
