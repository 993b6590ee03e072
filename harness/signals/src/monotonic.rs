//! Translates stamps of the machine's `CLOCK_MONOTONIC`, which other processes put on their
//! records, to the run's clock.
//!
//! This is no clock of its own: the machine's clock is read only beside the run's, to know how far
//! apart they are. Both go at the same rate; over a suspension they part, and the run's clock shows
//! that as a standstill.

use harness_core::time::{Clock, RunTime};
use rustix::time::{ClockId, clock_gettime};

/// Both clocks are read so often; the closest pair counts, for the others were interrupted.
const READS: u32 = 5;

/// One instant on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SharedInstant {
    run: RunTime,
    monotonic_nanos: u64,
}

impl SharedInstant {
    /// The present on both clocks.
    pub(crate) fn now(clock: &dyn Clock) -> Self {
        let mut closest = (u64::MAX, Self { run: RunTime::START, monotonic_nanos: 0 });
        for _ in 0..READS {
            let before = monotonic_nanos();
            let run = clock.now();
            let apart = monotonic_nanos().saturating_sub(before);
            if apart < closest.0 {
                closest = (apart, Self { run, monotonic_nanos: before + apart / 2 });
            }
        }
        closest.1
    }

    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub(crate) fn monotonic_nanos(self) -> u64 {
        self.monotonic_nanos
    }

    /// Microseconds of `CLOCK_MONOTONIC` at a time of the run.
    pub(crate) fn monotonic_us(self, at: RunTime) -> u64 {
        let nanos = i128::from(self.monotonic_nanos)
            + (i128::from(at.nanos()) - i128::from(self.run.nanos()));
        u64::try_from(nanos.max(0) / 1000).unwrap_or(u64::MAX)
    }

    /// The time of the run at a stamp, never after `now`: a record is not of the future.
    pub(crate) fn run_time(self, monotonic_us: u64, now: RunTime) -> RunTime {
        let nanos = i128::from(self.run.nanos())
            + (i128::from(monotonic_us) * 1000 - i128::from(self.monotonic_nanos));
        RunTime::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX)).min(now)
    }
}

fn monotonic_nanos() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let (seconds, rest) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    let seconds = seconds.expect("the monotonic clock is never negative");
    seconds * 1_000_000_000 + rest.expect("nanoseconds are never negative")
}

#[cfg(test)]
mod tests {
    use harness_core::time::WallTime;

    use super::*;

    const fn at(nanos: u64) -> RunTime {
        RunTime::from_nanos(nanos)
    }

    #[test]
    fn stamps_are_translated_and_never_of_the_future() {
        let shared = SharedInstant { run: at(5_000_000), monotonic_nanos: 100_000_000 };
        let now = at(9_000_000);
        assert_eq!(shared.run_time(100_000, now), at(5_000_000));
        assert_eq!(shared.run_time(102_500, now), at(7_500_000), "after it");
        assert_eq!(shared.run_time(99_000, now), at(4_000_000), "before it");
        assert_eq!(shared.run_time(0, now), RunTime::START, "before the run");
        assert_eq!(shared.run_time(200_000, now), now);
        assert_eq!(shared.run_time(u64::MAX, now), now);
        assert_eq!(shared.monotonic_us(at(7_500_000)), 102_500);
        assert_eq!(shared.monotonic_us(RunTime::START), 95_000);
    }

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> RunTime {
            at(7)
        }

        fn wall(&self) -> WallTime {
            WallTime(0)
        }
    }

    #[test]
    fn both_clocks_are_read_together() {
        let (before, shared) = (monotonic_nanos(), SharedInstant::now(&Fixed));
        assert_eq!(shared.run, at(7));
        assert!((before..=monotonic_nanos()).contains(&shared.monotonic_nanos()));
    }
}
