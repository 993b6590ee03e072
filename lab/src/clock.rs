//! The two clocks that every record of the lab carries: wall time and `CLOCK_MONOTONIC`.
//!
//! The monotonic one is the same in all processes of a boot, so a judge can order what two
//! processes wrote. It deliberately offers no arithmetic: durations inside one process use
//! `std::time::Instant`.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// One instant on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// Milliseconds since the Unix epoch, by the wall clock.
    pub unix_ms: i64,
    /// Microseconds of `CLOCK_MONOTONIC`, comparable between processes of one boot.
    pub monotonic_us: u64,
}

/// The present instant on both clocks.
pub fn moment() -> Moment {
    Moment { unix_ms: unix_ms(), monotonic_us: monotonic_us() }
}

/// Milliseconds since the Unix epoch.
pub fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Microseconds of `CLOCK_MONOTONIC`.
pub fn monotonic_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default() / 1_000
}

/// A Unix time in milliseconds as RFC 3339 text in UTC, as Alertmanager writes it.
pub(crate) fn rfc3339(unix_ms: i64) -> String {
    Timestamp::from_millisecond(unix_ms)
        .map_or_else(|_| String::from("1970-01-01T00:00:00Z"), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_instant_is_written_in_utc() {
        assert_eq!(rfc3339(1_795_330_236_152), "2026-11-22T06:50:36.152Z");
    }

    #[test]
    fn the_monotonic_clock_does_not_run_backwards() {
        let first = monotonic_us();
        assert!(monotonic_us() >= first);
    }
}
