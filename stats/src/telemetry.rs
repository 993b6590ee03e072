//! Completeness of telemetry by numbered signals: what arrived of what was sent.
//!
//! It counts numbers only; whether a signal arrived late is for the caller.

use crate::decimal::Share;
use std::time::Duration;

/// What became of numbered signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completeness {
    /// Numbers that arrived, each counted once, of those sent.
    pub received: Share,
    /// Arrivals beyond the first of a number.
    pub duplicates: u64,
    /// Arrivals of numbers that were never sent.
    pub unknown: u64,
    /// The most neighbouring numbers that are missing.
    pub gap_signals: u64,
}

impl Completeness {
    /// Numbers that never arrived.
    pub fn missing(&self) -> u64 {
        self.received.rest().part
    }

    /// The longest time without an arrival, when a signal is sent every `step`.
    pub fn longest_gap(&self, step: Duration) -> Duration {
        // A gap that does not fit a duration is the longest that does.
        let most = u32::try_from(self.gap_signals).unwrap_or(u32::MAX);
        step.saturating_mul(most)
    }
}

/// Counts the arrivals of the numbers 1 to `sent`, in any order.
pub fn completeness(arrived: &[u64], sent: u64) -> Completeness {
    let mut numbers: Vec<u64> =
        arrived.iter().copied().filter(|number| (1..=sent).contains(number)).collect();
    let known = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    let ends = std::iter::once(0).chain(numbers.iter().copied());
    let nexts = numbers.iter().copied().chain(std::iter::once(sent + 1));
    let gap_signals = ends.zip(nexts).map(|(before, after)| after - before - 1).max();
    Completeness {
        received: Share { part: numbers.len() as u64, whole: sent },
        duplicates: (known - numbers.len()) as u64,
        unknown: (arrived.len() - known) as u64,
        gap_signals: gap_signals.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_counted() {
        for (arrived, sent, expected) in [
            (vec![3, 1, 2], 3, (3, 0, 0, 0)),
            (vec![2, 2, 5, 9], 6, (2, 1, 1, 2)),
            (vec![], 4, (0, 0, 0, 4)),
            (vec![], 0, (0, 0, 0, 0)),
            (vec![0, 1], 1, (1, 0, 1, 0)),
            (vec![1, 2], 6, (2, 0, 0, 4)),
        ] {
            let found = completeness(&arrived, sent);
            let counted = (found.received.part, found.duplicates, found.unknown, found.gap_signals);
            assert_eq!(counted, expected, "{arrived:?}");
        }
        let gap = completeness(&[1, 4], 4).longest_gap(Duration::from_millis(500));
        assert_eq!(gap, Duration::from_secs(1));
    }
}
