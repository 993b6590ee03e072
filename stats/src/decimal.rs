//! Exact decimals and exact comparison of counts with them.
//!
//! A target such as `0.999` has no exact binary form, and `0.07 * 100` is a little more than seven
//! in floating point; so whether a count meets a target is decided here on integers alone.
//! There is no arithmetic beyond what such comparisons need.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The most decimal places a [`Decimal`] keeps; ten to this power still fits a `u64`.
pub const DECIMAL_PLACES_MAX: u32 = 18;

/// The longest text that is read as a [`Decimal`], in bytes.
pub const DECIMAL_TEXT_BYTES_MAX: usize = 64;

/// A number that is zero or more, held exactly as `units / 10^places`, in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    units: u64,
    places: u32,
}

/// Why a text is not a [`Decimal`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// The text is not digits with at most one point and an optional exponent.
    #[error("`{0}` is not a plain number of zero or more")]
    NotANumber(String),
    /// The number needs more digits than can be held exactly.
    #[error("`{0}` has more digits than can be compared exactly")]
    TooManyDigits(String),
}

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self { units: 0, places: 0 };
    /// One.
    pub const ONE: Self = Self { units: 1, places: 0 };

    /// The number `units / 10^places`.
    ///
    /// # Panics
    /// If `places` is above [`DECIMAL_PLACES_MAX`].
    pub const fn new(units: u64, places: u32) -> Self {
        assert!(places <= DECIMAL_PLACES_MAX, "a decimal keeps at most 18 places");
        let mut lowest = Self { units, places };
        while lowest.places > 0 && lowest.units.is_multiple_of(10) {
            lowest.units /= 10;
            lowest.places -= 1;
        }
        lowest
    }

    /// The number `parts / 10^9`: how a share of parts per billion becomes a decimal.
    pub const fn from_billionths(parts: u64) -> Self {
        Self::new(parts, 9)
    }

    /// The nearest floating-point number.
    pub fn to_f64(self) -> f64 {
        format!("{}e-{}", self.units, self.places)
            .parse()
            .expect("digits with an exponent are a floating-point number")
    }

    /// One minus this number; `None` when it is above one.
    pub const fn complement(self) -> Option<Self> {
        let one = 10_u64.pow(self.places);
        match one.checked_sub(self.units) {
            Some(units) => Some(Self::new(units, self.places)),
            None => None,
        }
    }

    /// The least whole number that is at least this share of `count`: the nearest rank of a
    /// quantile, `ceil(q * n)`. `None` when the product is above the largest `u64`.
    pub fn rank_of(self, count: u64) -> Option<u64> {
        let product = u128::from(self.units) * u128::from(count);
        u64::try_from(product.div_ceil(u128::from(self.ten_to_places()))).ok()
    }

    pub(crate) const fn units(self) -> u64 {
        self.units
    }

    pub(crate) const fn ten_to_places(self) -> u64 {
        10_u64.pow(self.places)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_products(&[self.units, other.ten_to_places()], &[other.units, self.ten_to_places()])
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = self.ten_to_places();
        write!(out, "{}", self.units / scale)?;
        if self.places > 0 {
            let width = usize::try_from(self.places).expect("at most 18 places");
            write!(out, ".{:0width$}", self.units % scale)?;
        }
        Ok(())
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    /// Reads `0.999`, `14`, `.5` or `1e-5` without rounding.
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let not_a_number = || {
            DecimalError::NotANumber(text.chars().take(DECIMAL_TEXT_BYTES_MAX).collect::<String>())
        };
        if text.len() > DECIMAL_TEXT_BYTES_MAX {
            return Err(not_a_number());
        }
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                (mantissa, exponent.parse::<i32>().map_err(|_| not_a_number())?)
            }
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: String = [whole, fraction].concat();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(not_a_number());
        }
        let significant = digits.trim_end_matches('0');
        let dropped = digits.len() - significant.len();
        let places = i64::try_from(fraction.len()).expect("a short text")
            - i64::from(exponent)
            - i64::try_from(dropped).expect("a short text");
        scaled(significant, places).ok_or_else(|| DecimalError::TooManyDigits(text.to_owned()))
    }
}

/// The decimal with these digits (no trailing zero) and this many places, which may be negative.
fn scaled(digits: &str, places: i64) -> Option<Decimal> {
    if digits.is_empty() {
        return Some(Decimal::ZERO);
    }
    let units: u64 = digits.parse().ok()?;
    if let Ok(places) = u32::try_from(places) {
        return (places <= DECIMAL_PLACES_MAX).then(|| Decimal::new(units, places));
    }
    let shift = u32::try_from(-places).ok().filter(|shift| *shift <= DECIMAL_PLACES_MAX)?;
    units.checked_mul(10_u64.pow(shift)).map(|units| Decimal::new(units, 0))
}

/// A count out of a whole, such as 14 ok trials of 15, or 999 good requests of 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Share {
    /// How many of the whole are counted; at most `whole`.
    pub part: u64,
    /// How many there are.
    pub whole: u64,
}

impl Share {
    /// Whether `part / whole >= target`, decided exactly; `None` when the whole is zero, because
    /// nothing was observed.
    pub fn meets(self, target: Decimal) -> Option<bool> {
        (self.whole > 0).then(|| {
            u128::from(self.part) * u128::from(target.ten_to_places())
                >= u128::from(target.units()) * u128::from(self.whole)
        })
    }

    /// `part / whole`; `None` when the whole is zero.
    pub fn ratio(self) -> Option<f64> {
        (self.whole > 0).then(|| self.part as f64 / self.whole as f64)
    }

    /// The rest of the whole: the share that was not counted.
    ///
    /// # Panics
    /// If the part is above the whole.
    pub fn rest(self) -> Self {
        let part = self.whole.checked_sub(self.part).expect("a part is at most its whole");
        Self { part, whole: self.whole }
    }
}

/// How many 64-bit limbs an exact product may take; four factors need four.
const LIMBS_MAX: usize = 4;

/// Compares two products of at most four factors each, without rounding and without overflow.
pub(crate) fn compare_products(left: &[u64], right: &[u64]) -> Ordering {
    let (left, right) = (product(left), product(right));
    left.iter().rev().cmp(right.iter().rev())
}

/// The product, least limb first.
fn product(factors: &[u64]) -> [u64; LIMBS_MAX] {
    assert!(factors.len() <= LIMBS_MAX, "every factor takes at most one limb");
    let mut limbs = [0_u64; LIMBS_MAX];
    limbs[0] = 1;
    for factor in factors {
        let mut carry = 0_u128;
        for limb in &mut limbs {
            let full = u128::from(*limb) * u128::from(*factor) + carry;
            *limb = u64::try_from(full & u128::from(u64::MAX)).expect("masked to 64 bits");
            carry = full >> 64;
        }
    }
    limbs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn texts_are_read_exactly() {
        for (text, units, places) in [
            ("0.999", 999, 3),
            ("14.40", 144, 1),
            ("1", 1, 0),
            ("100", 100, 0),
            ("0", 0, 0),
            ("0.000", 0, 0),
            (".5", 5, 1),
            ("1e-5", 1, 5),
            ("2.5e3", 2500, 0),
        ] {
            assert_eq!(decimal(text), Decimal::new(units, places), "{text}");
        }
        for text in ["", "-1", "1.2.3", "one", "0x1", "1e", "+1", &"1".repeat(65)] {
            assert!(matches!(text.parse::<Decimal>(), Err(DecimalError::NotANumber(_))), "{text}");
        }
        for text in ["0.1234567890123456789", "1e30", "99999999999999999999"] {
            assert!(
                matches!(text.parse::<Decimal>(), Err(DecimalError::TooManyDigits(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for text in ["0.999", "14.4", "0.000000001", "1", "250", "0"] {
            assert_eq!(decimal(text).to_string(), text);
        }
    }

    #[test]
    fn counts_meet_targets_exactly() {
        for (part, whole, target, expected) in [
            (7, 100, "0.07", Some(true)),
            (29, 100, "0.29", Some(true)),
            (999, 1000, "0.999", Some(true)),
            (998, 999, "0.999", Some(false)),
            (0, 0, "0.5", None),
            (u64::MAX - 1, u64::MAX, "1", Some(false)),
        ] {
            assert_eq!(Share { part, whole }.meets(decimal(target)), expected, "{part}/{whole}");
        }
    }

    #[test]
    fn ranks_and_complements() {
        assert_eq!(decimal("0.99").rank_of(100), Some(99));
        assert_eq!(decimal("0.99").rank_of(101), Some(100));
        assert_eq!(decimal("0.07").rank_of(100), Some(7));
        assert_eq!(decimal("0.999").complement(), Some(decimal("0.001")));
        assert_eq!(decimal("1.5").complement(), None);
        assert_eq!(decimal("2").rank_of(u64::MAX), None);
    }

    #[test]
    fn products_do_not_overflow() {
        let most = u64::MAX;
        assert_eq!(compare_products(&[most; 4], &[most; 4]), Ordering::Equal);
        assert_eq!(compare_products(&[most; 4], &[most, most, most, most - 1]), Ordering::Greater);
        assert_eq!(compare_products(&[6, 7], &[2, 3, 7]), Ordering::Equal);
        assert!(decimal("0.1") < decimal("0.11"));
        assert!((decimal("0.1").to_f64() - 0.1).abs() < f64::MIN_POSITIVE);
    }
}
