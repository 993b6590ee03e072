//! Things that are in force under a name until their lease ends. Pure: the time, in milliseconds of
//! one monotonic clock, is handed in.
//!
//! A name that was taken back, or whose lease ended, is never taken again: what arrives late has no
//! effect.

use std::collections::BTreeMap;

/// More names are refused; a name is never forgotten.
const NAMES_MAX: usize = 4_096;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Lease<T> {
    InForce { value: T, until_ms: u64 },
    Over,
}

/// All things by name.
#[derive(Debug)]
pub(crate) struct Leases<T> {
    names: BTreeMap<String, Lease<T>>,
}

impl<T> Default for Leases<T> {
    fn default() -> Self {
        Self { names: BTreeMap::new() }
    }
}

impl<T> Leases<T> {
    fn advance(&mut self, now_ms: u64) {
        for lease in self.names.values_mut() {
            if matches!(lease, Lease::InForce { until_ms, .. } if *until_ms <= now_ms) {
                *lease = Lease::Over;
            }
        }
    }

    /// Puts something in force, or extends its lease; `false` when the name is over, or there are
    /// too many.
    pub(crate) fn set(&mut self, now_ms: u64, name: &str, value: T, lease_ms: u64) -> bool {
        self.advance(now_ms);
        let full = self.names.len() >= NAMES_MAX && !self.names.contains_key(name);
        if full || matches!(self.names.get(name), Some(Lease::Over)) {
            return false;
        }
        let until_ms = now_ms.saturating_add(lease_ms);
        self.names.insert(name.to_owned(), Lease::InForce { value, until_ms });
        true
    }

    /// Takes something back for good; what was in force, if it was.
    pub(crate) fn take_back(&mut self, now_ms: u64, name: &str) -> Option<T> {
        self.advance(now_ms);
        match self.names.insert(name.to_owned(), Lease::Over) {
            Some(Lease::InForce { value, .. }) => Some(value),
            Some(Lease::Over) | None => None,
        }
    }

    /// What is in force under a name.
    pub(crate) fn find(&mut self, now_ms: u64, name: &str) -> Option<&T> {
        self.advance(now_ms);
        match self.names.get(name) {
            Some(Lease::InForce { value, .. }) => Some(value),
            Some(Lease::Over) | None => None,
        }
    }

    /// All that is in force, by name.
    pub(crate) fn live(&mut self, now_ms: u64) -> impl Iterator<Item = (&String, &T)> {
        self.advance(now_ms);
        self.names.iter().filter_map(|(name, lease)| match lease {
            Lease::InForce { value, .. } => Some((name, value)),
            Lease::Over => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_by_its_lease_or_its_name_never_comes_back() {
        let mut leases = Leases::default();
        assert!(leases.set(0, "a", 3, 100) && leases.set(0, "b", 2, 50));
        assert_eq!(leases.live(10).map(|(_, value)| *value).collect::<Vec<_>>(), [3, 2]);
        assert!(leases.set(40, "a", 3, 100), "renewed");
        assert_eq!((leases.find(60, "a").copied(), leases.find(60, "b").copied()), (Some(3), None));
        assert_eq!((leases.take_back(70, "a"), leases.take_back(70, "a")), (Some(3), None));
        assert!(!leases.set(80, "a", 3, 100) && !leases.set(80, "b", 3, 100));
        assert_eq!(leases.take_back(90, "c"), None);
        assert!(!leases.set(90, "c", 3, 100), "taken back before it came");
    }
}
