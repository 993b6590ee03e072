//! The one place that reads the machine's clocks, and the detector of standstills.
//!
//! Run time is `CLOCK_BOOTTIME`: like the monotonic clock, but it goes on while the machine is
//! suspended, so that a suspension shows as a standstill. Wall time is read beside it.

use std::sync::Arc;

use harness_core::event::Event;
use harness_core::time::{Clock, RunTime, WallTime};
use harness_core::units::Duration;
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::report::{Report, Reports};

/// How often the detector looks at the clock.
pub const STALL_LOOK: Duration = Duration::from_millis(20);
/// A look that came later than this is a standstill.
pub const STALL_MIN: Duration = Duration::from_millis(100);

/// The machine's clock, counted from the moment of its making.
#[derive(Debug)]
pub struct RunClock {
    start_nanos: u64,
}

impl RunClock {
    /// Starts at zero, now.
    pub fn start() -> Self {
        Self { start_nanos: nanos(clock_gettime(ClockId::Boottime)) }
    }
}

impl Clock for RunClock {
    fn now(&self) -> RunTime {
        let now = nanos(clock_gettime(ClockId::Boottime));
        RunTime::from_nanos(now.saturating_sub(self.start_nanos))
    }

    fn wall(&self) -> WallTime {
        let time = clock_gettime(ClockId::Realtime);
        WallTime(time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000))
    }
}

fn nanos(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).expect("the boot clock is never negative");
    let rest = u64::try_from(time.tv_nsec).expect("nanoseconds are never negative");
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

/// Tells standstills from the times of looks that should be [`STALL_LOOK`] apart.
#[derive(Debug)]
pub struct StallDetector {
    last: RunTime,
}

impl StallDetector {
    /// The first look.
    pub fn new(now: RunTime) -> Self {
        Self { last: now }
    }

    /// A further look: for how long the process stood still before it, if it did.
    pub fn look(&mut self, now: RunTime) -> Option<Duration> {
        let late = now.since(self.last).saturating_sub(STALL_LOOK);
        self.last = now;
        (late > STALL_MIN).then_some(late)
    }
}

/// Looks for standstills and reports each, for ever.
pub(crate) async fn watch_stalls(clock: Arc<dyn Clock>, reports: Reports) {
    let mut detector = StallDetector::new(clock.now());
    loop {
        tokio::time::sleep(STALL_LOOK.as_std()).await;
        if let Some(lasting) = detector.look(clock.now()) {
            reports.put(Report::Event(Event::Stalled { lasting })).await;
        }
    }
}

/// Tokio's clock, which tests pause.
#[cfg(test)]
pub(crate) struct PausedClock(tokio::time::Instant);

#[cfg(test)]
impl PausedClock {
    #[expect(clippy::disallowed_methods, reason = "this is a clock")]
    pub(crate) fn start() -> Self {
        Self(tokio::time::Instant::now())
    }
}

#[cfg(test)]
impl Clock for PausedClock {
    fn now(&self) -> RunTime {
        let nanos = self.0.elapsed().as_nanos();
        RunTime::from_nanos(u64::try_from(nanos).expect("tests are short"))
    }

    fn wall(&self) -> WallTime {
        WallTime(1_800_000_000_000 + i64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_forward_from_zero() {
        let clock = RunClock::start();
        let first = clock.now();
        assert!(first.secs_f64() < 60.0 && clock.now() >= first);
        assert!(clock.wall() > WallTime(1_700_000_000_000), "the wall clock is in milliseconds");
    }

    #[test]
    fn a_late_look_is_a_standstill_once() {
        let at = |millis: u64| RunTime::from_nanos(millis * 1_000_000);
        let mut detector = StallDetector::new(at(0));
        assert_eq!(detector.look(at(20)), None);
        assert_eq!(detector.look(at(140)), None, "100 ms late is the bound");
        assert_eq!(detector.look(at(1160)), Some(Duration::from_millis(1000)));
        assert_eq!(detector.look(at(1180)), None);
    }
}
