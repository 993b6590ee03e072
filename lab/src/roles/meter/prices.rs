//! Changes of the price list: each has a name and a lease, and all in force multiply. Pure.

use crate::leases::Leases;

/// 100 times the list price at most.
pub(super) const PERCENT_MAX: u64 = 10_000;

/// The share of the list price that is paid, with these changes in force.
pub(super) fn percent(changes: &mut Leases<u64>, now_ms: u64) -> u64 {
    let in_force = changes.live(now_ms).map(|(_, percent)| *percent);
    in_force.fold(100, |all, percent| (all * percent / 100).min(PERCENT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_changes_in_force_multiply_up_to_a_bound() {
        let mut changes = Leases::default();
        assert_eq!(percent(&mut changes, 0), 100);
        assert!(changes.set(0, "a", 300, 100) && changes.set(0, "b", 200, 50));
        assert_eq!((percent(&mut changes, 10), percent(&mut changes, 60)), (600, 300));
        assert!(changes.set(60, "c", PERCENT_MAX, 100));
        assert_eq!(percent(&mut changes, 61), PERCENT_MAX);
    }
}
