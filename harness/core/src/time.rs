//! Instants: one monotonic clock for a run, with wall time beside it. The clock itself is a port.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::Duration;

/// Nanoseconds since the run began, on the one monotonic clock of the run.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct RunTime(u64);

impl RunTime {
    /// The beginning of the run.
    pub const START: Self = Self(0);

    /// From nanoseconds since the run began.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the run began.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Seconds since the run began.
    pub fn secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Time since `earlier`, rounded down to microseconds; zero when it is later than this.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0) / 1000)
    }
}

impl std::ops::Add<Duration> for RunTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.micros().saturating_mul(1000)))
    }
}

impl fmt::Display for RunTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.secs_f64())
    }
}

/// Milliseconds since 1970-01-01 UTC. For people and for matching with other systems' records;
/// no decision of a run rests on it; before a run, approvals and
/// change freezes are held against it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct WallTime(pub i64);

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// The port through which the outside tells the time. Only its implementations may call `now()`.
pub trait Clock: Send + Sync {
    /// Time since the run began.
    fn now(&self) -> RunTime;
    /// The wall clock.
    fn wall(&self) -> WallTime;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_never_go_below_zero() {
        let (early, late) = (RunTime::from_nanos(1_000), RunTime::from_nanos(5_000_000));
        assert_eq!(late.since(early).micros(), 4_999);
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(early + Duration::from_micros(4), RunTime::from_nanos(5_000));
    }

    #[test]
    fn wall_time_is_readable() {
        assert_eq!(WallTime(0).to_string(), "1970-01-01T00:00:00.000Z");
    }
}
