//! How busy the data thread is: what it ran, of the time that went by.

use std::cell::Cell;

use super::clock::{monotonic_nanos, thread_nanos};

/// So long is looked at, at least, in nanoseconds: a burst alone does not fill it.
const WINDOW_NANOS: u64 = 200_000_000;

/// A window is full from so many tenths.
const FULL_TENTHS: u64 = 9;

thread_local! {
    static BUSY: Cell<Busy> = const { Cell::new(Busy { since: 0, ran: 0, is_full: false }) };
}

#[derive(Debug, Clone, Copy)]
struct Busy {
    /// When the window began.
    since: u64,
    /// What the thread had run by then.
    ran: u64,
    /// Whether the last window was full.
    is_full: bool,
}

impl Busy {
    /// Whether the last window was full, at `now`, when the thread has run for `ran`.
    fn look(&mut self, now: u64, ran: impl FnOnce() -> u64) -> bool {
        let went_by = now.saturating_sub(self.since);
        if went_by >= WINDOW_NANOS {
            let ran = ran();
            let is_full = 10 * ran.saturating_sub(self.ran) >= FULL_TENTHS * went_by;
            *self = Self { since: now, ran, is_full };
        }
        self.is_full
    }
}

/// Whether this thread ran all the time lately. It must be asked all the time: a window is what
/// lies between two questions.
pub(super) fn has_no_time_left() -> bool {
    let mut busy = BUSY.get();
    let is_full = busy.look(monotonic_nanos(), thread_nanos);
    BUSY.set(busy);
    is_full
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn only_a_whole_window_of_work_is_no_time_left() {
        let mut busy = Busy { since: 0, ran: 0, is_full: false };
        assert!(!busy.look(100 * MS, || 100 * MS), "half a window says nothing");
        assert!(busy.look(200 * MS, || 181 * MS));
        assert!(busy.look(300 * MS, || 181 * MS), "until the next one");
        assert!(!busy.look(400 * MS, || (181 + 179) * MS));
        // Nobody asked for long: the time in between was not worked through.
        assert!(!busy.look(9_000 * MS, || 800 * MS));
    }
}
