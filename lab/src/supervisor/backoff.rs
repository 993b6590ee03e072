//! How long a dead instance waits for its restart. Pure.

use std::time::Duration;

/// The longest wait.
const MOST: Duration = Duration::from_secs(10);
/// An instance that was healthy for so long starts again from the first wait.
const FORGET_AFTER: Duration = Duration::from_secs(10);
/// The first wait of a healthy lab, and with the defect `restart=slow`.
pub(super) const INITIAL: Duration = Duration::from_millis(800);
pub(super) const INITIAL_SLOW: Duration = Duration::from_secs(4);

/// The waits of one slot: each is twice the last one.
#[derive(Debug)]
pub(super) struct BackOff {
    initial: Duration,
    next: Duration,
}

impl BackOff {
    pub(super) fn new(initial: Duration) -> Self {
        Self { initial, next: initial }
    }

    /// The wait after an instance that was healthy for so long.
    pub(super) fn wait(&mut self, healthy: Duration) -> Duration {
        if healthy >= FORGET_AFTER {
            self.next = self.initial;
        }
        let wait = self.next;
        self.next = (wait * 2).min(MOST);
        wait
    }

    /// Starts again from the first wait.
    pub(super) fn clear(&mut self) {
        self.next = self.initial;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits_ms(back_off: &mut BackOff, healthy: &[u64]) -> Vec<u128> {
        healthy
            .iter()
            .map(|seconds| back_off.wait(Duration::from_secs(*seconds)).as_millis())
            .collect()
    }

    #[test]
    fn waits_double_up_to_the_most() {
        let mut back_off = BackOff::new(INITIAL);
        let waits = waits_ms(&mut back_off, &[0; 6]);
        assert_eq!(waits, [800, 1_600, 3_200, 6_400, 10_000, 10_000]);
    }

    #[test]
    fn health_and_a_reset_forget_them() {
        let mut back_off = BackOff::new(INITIAL);
        assert_eq!(waits_ms(&mut back_off, &[0, 9, 10, 0]), [800, 1_600, 800, 1_600]);
        back_off.clear();
        assert_eq!(waits_ms(&mut back_off, &[0]), [800]);
    }
}
