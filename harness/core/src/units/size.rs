//! A number of bytes of memory or of disk.

use std::fmt;
use std::str::FromStr;

use super::{UnitError, decimal};

/// A whole number of bytes. Prints as scenarios write it, in the largest unit that divides it:
/// `512KiB`, `4MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

const QUANTITY: &str = "a size";
/// From the largest.
const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const KNOWN: &str = "B, KiB, MiB, GiB";
/// A thousand GiB; more is a slip of the pen.
const BYTES_MAX: u64 = 1000 << 30;

impl Size {
    /// From bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// From units of 1024 bytes.
    pub const fn from_kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// From units of 1024 KiB.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// Bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let value = decimal(number, 6).ok_or_else(|| UnitError::NotANumber {
            text: text.to_owned(),
            quantity: QUANTITY,
            example: "4MiB",
        })?;
        let unit = unit.trim();
        if unit.is_empty() {
            return Err(UnitError::NoUnit { hint: format!("{number}KiB` or `{number}MiB") });
        }
        let known = UNITS.iter().find(|(name, _)| *name == unit);
        let (_, scale) = known.ok_or_else(|| UnitError::UnknownUnit {
            unit: unit.to_owned(),
            quantity: QUANTITY,
            known: KNOWN,
        })?;
        // `value` counts millionths of the unit; what is below a byte is refused.
        let exact = u128::from(value) * u128::from(*scale);
        let out_of = |range| UnitError::OutOfRange { text: text.to_owned(), range };
        if !exact.is_multiple_of(1_000_000) {
            return Err(out_of("a whole number of bytes"));
        }
        match u64::try_from(exact / 1_000_000) {
            Ok(bytes) if bytes <= BYTES_MAX => Ok(Self(bytes)),
            Ok(_) | Err(_) => Err(out_of("at most 1000GiB")),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, scale): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(*scale);
        let (unit, scale) = UNITS.iter().find(whole).unwrap_or(&("B", 1));
        f.pad(&format!("{}{unit}", self.0 / scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints() {
        for (text, bytes, printed) in [
            ("4MiB", 4 << 20, "4MiB"),
            ("512KiB", 512 << 10, "512KiB"),
            ("1.5MiB", 1536 << 10, "1536KiB"),
            ("1024 MiB", 1 << 30, "1GiB"),
            ("100B", 100, "100B"),
            ("0B", 0, "0B"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!(size.bytes(), bytes, "{text}");
            assert_eq!(size.to_string(), printed);
            assert_eq!(size.to_string().parse::<Size>().unwrap(), size);
        }
        assert_eq!(Size::from_kib(1024), Size::from_mib(1));
    }

    #[test]
    fn refuses_what_is_not_one() {
        assert!(matches!("4".parse::<Size>(), Err(UnitError::NoUnit { .. })));
        assert!(matches!("4M".parse::<Size>(), Err(UnitError::UnknownUnit { .. })));
        assert!(matches!("MiB".parse::<Size>(), Err(UnitError::NotANumber { .. })));
        assert!(matches!("-1MiB".parse::<Size>(), Err(UnitError::NotANumber { .. })));
        assert!(matches!("0.5B".parse::<Size>(), Err(UnitError::OutOfRange { .. })));
        assert!(matches!("1001GiB".parse::<Size>(), Err(UnitError::OutOfRange { .. })));
    }
}
