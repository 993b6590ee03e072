//! Changes of the price list: each has a name and a lease, and all in force multiply. Pure.
//!
//! A name that was taken back is never taken again: a change that arrives late changes nothing.

use std::collections::BTreeMap;

/// More names are refused; a name is never forgotten.
const NAMES_MAX: usize = 4_096;
/// 100 times the list price at most.
pub(super) const PERCENT_MAX: u64 = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// To this share of the price, until this time.
    InForce { percent: u64, until_ms: u64 },
    /// Ended, or taken back.
    Over,
}

/// All changes by name.
#[derive(Debug, Default)]
pub(super) struct Prices {
    changes: BTreeMap<String, Change>,
}

impl Prices {
    fn advance(&mut self, now_ms: u64) {
        for change in self.changes.values_mut() {
            if matches!(change, Change::InForce { until_ms, .. } if *until_ms <= now_ms) {
                *change = Change::Over;
            }
        }
    }

    /// Puts a change in force, or extends its lease; `false` when the name is over.
    pub(super) fn set(&mut self, now_ms: u64, name: &str, percent: u64, lease_ms: u64) -> bool {
        self.advance(now_ms);
        let full = self.changes.len() >= NAMES_MAX && !self.changes.contains_key(name);
        if full || self.changes.get(name) == Some(&Change::Over) {
            return false;
        }
        let until_ms = now_ms.saturating_add(lease_ms);
        self.changes.insert(name.to_owned(), Change::InForce { percent, until_ms });
        true
    }

    /// Takes a change back; whether it was in force.
    pub(super) fn take_back(&mut self, now_ms: u64, name: &str) -> bool {
        self.advance(now_ms);
        let old = self.changes.insert(name.to_owned(), Change::Over);
        matches!(old, Some(Change::InForce { .. }))
    }

    /// Whether a change is in force.
    pub(super) fn holds(&mut self, now_ms: u64, name: &str) -> bool {
        self.advance(now_ms);
        matches!(self.changes.get(name), Some(Change::InForce { .. }))
    }

    /// The share of the list price that is paid now.
    pub(super) fn percent(&mut self, now_ms: u64) -> u64 {
        self.advance(now_ms);
        let in_force = self.changes.values().filter_map(|change| match change {
            Change::InForce { percent, .. } => Some(*percent),
            Change::Over => None,
        });
        in_force.fold(100, |all, percent| (all * percent / 100).min(PERCENT_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_ends_by_its_lease_or_by_its_name_and_never_comes_back() {
        let mut prices = Prices::default();
        assert_eq!(prices.percent(0), 100);
        assert!(prices.set(0, "a", 300, 100) && prices.set(0, "b", 200, 50));
        assert_eq!(prices.percent(10), 600);
        assert!(prices.set(40, "a", 300, 100), "renewed");
        assert_eq!(prices.percent(60), 300);
        assert!(prices.take_back(70, "a") && !prices.take_back(70, "a"));
        assert_eq!(prices.percent(70), 100);
        assert!(!prices.set(80, "a", 300, 100) && !prices.set(80, "b", 300, 100));
        assert!(!prices.take_back(90, "c") && !prices.set(90, "c", 300, 100));
        assert!(!prices.holds(90, "c"));
    }
}
