//! Checks of single fields while they are read, so that wrong values cannot exist afterwards.

use std::fmt::Display;
use std::ops::RangeInclusive;

use harness_core::units::{Duration, Ratio};
use serde::de::{Deserialize, Deserializer, Error as _};

/// Reads a value that must lie in a range.
pub(super) fn between<'de, D, T>(from: D, range: RangeInclusive<T>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + PartialOrd + Display,
{
    let value = T::deserialize(from)?;
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (range.start(), range.end());
    Err(D::Error::custom(format!("{value} is out of range; write {least} to {most}")))
}

/// A share that can be seen in a few looks.
pub(super) fn share<'de, D: Deserializer<'de>>(from: D) -> Result<Ratio, D::Error> {
    between(from, Ratio::from_percent(5)..=Ratio::ONE)
}

/// A delay that can be told from noise.
pub(super) fn delay<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    between(from, Duration::from_millis(50)..=Duration::from_secs(1))
}

/// An error status.
pub(super) fn error_status<'de, D: Deserializer<'de>>(from: D) -> Result<u16, D::Error> {
    between(from, 400..=599)
}

/// One part of a cycle.
pub(super) fn cycle_part<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    between(from, Duration::from_millis(50)..=CYCLE_MAX)
}

/// A longer cycle takes too long to be seen.
pub(super) const CYCLE_MAX: Duration = Duration::from_secs(1);

/// How many requests are needed to hit a share of them at least once, but for one look in 10,000.
pub(crate) fn requests_to_hit(share: Ratio) -> u32 {
    let (mut missed, mut requests) = (1.0, 0);
    while missed > 1e-4 {
        missed *= 1.0 - share.as_f64();
        requests += 1;
    }
    requests
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rare_hits_need_more_requests() {
        assert_eq!(requests_to_hit(Ratio::ONE), 1);
        assert_eq!(requests_to_hit(Ratio::from_percent(50)), 14);
        assert_eq!(requests_to_hit(Ratio::from_percent(5)), 180);
    }

    #[test]
    fn values_out_of_range_are_refused_with_a_hint() {
        let error = error_status(json!(200)).unwrap_err().to_string();
        assert_eq!(error, "200 is out of range; write 400 to 599");
        assert_eq!(error_status(json!(599)).unwrap(), 599);
        assert!(share(json!("4%")).is_err() && share(json!("5%")).is_ok());
        assert!(delay(json!("49ms")).is_err() && cycle_part(json!("1001ms")).is_err());
    }
}
