//! The proxy's own clocks: nanoseconds of the monotonic clock for delays, of the boot clock for
//! leases (it goes on while the machine sleeps), of what a thread has run, and of the wall clock
//! for the log and the kernel's stamps.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub(super) fn monotonic_nanos() -> u64 {
    nanos(ClockId::Monotonic)
}

/// Nanoseconds of `CLOCK_BOOTTIME`.
pub(super) fn boot_nanos() -> u64 {
    nanos(ClockId::Boottime)
}

/// Nanoseconds for which this thread has run.
pub(super) fn thread_nanos() -> u64 {
    nanos(ClockId::ThreadCPUTime)
}

/// Nanoseconds of the wall clock since 1970.
pub(super) fn wall_nanos() -> u64 {
    nanos(ClockId::Realtime)
}

/// Milliseconds of the wall clock since 1970.
pub(super) fn wall_millis() -> u64 {
    wall_nanos() / 1_000_000
}

fn nanos(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}
