//! What was spent, by service and by group of jobs. Pure: readings and times are handed in.
//!
//! Money is counted in millionths of the currency, in whole numbers, and only grows. Every sum is
//! that of the last good reading: between two readings nothing is guessed.

use std::collections::BTreeMap;

/// What the second of one instance of a service costs, in millionths.
pub(super) const INSTANCE_SECOND: u64 = 10_000;
/// What the second of one job costs, in millionths.
pub(super) const JOB_SECOND: u64 = 50_000;

/// What was used, at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Usage {
    /// The process that counts; another one begins anew.
    pub(super) instance: String,
    /// Microseconds of the monotonic clock.
    pub(super) at_us: u64,
    /// Milliseconds that jobs have run, by label.
    pub(super) used_ms: BTreeMap<String, u64>,
}

/// All that was spent.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Replicas by service.
    services: Vec<(&'static str, u64)>,
    last: Option<Usage>,
    spent_on_services: BTreeMap<&'static str, u64>,
    spent_on_jobs: BTreeMap<String, u64>,
}

impl Ledger {
    pub(super) fn new(services: Vec<(&'static str, u64)>) -> Self {
        let spent_on_services = services.iter().map(|(name, _)| (*name, 0)).collect();
        Self { services, spent_on_services, ..Self::default() }
    }

    /// Charges what was used since the last reading, at this share of the list price.
    pub(super) fn take(&mut self, usage: Usage, percent: u64) {
        let before = self.last.as_ref().map_or(usage.at_us, |last| last.at_us);
        let since_us = usage.at_us.saturating_sub(before);
        for (name, replicas) in &self.services {
            let spent = since_us * replicas * INSTANCE_SECOND / 1_000_000;
            *self.spent_on_services.entry(name).or_default() += spent * percent / 100;
        }
        let known = self.last.as_ref().filter(|last| last.instance == usage.instance);
        for (label, used) in &usage.used_ms {
            let before = known.and_then(|last| last.used_ms.get(label)).copied().unwrap_or(0);
            let spent = used.saturating_sub(before) * JOB_SECOND / 1_000;
            *self.spent_on_jobs.entry(label.clone()).or_default() += spent * percent / 100;
        }
        self.last = Some(usage);
    }

    /// When the last reading was true, in microseconds of the monotonic clock.
    pub(super) fn as_of_us(&self) -> Option<u64> {
        self.last.as_ref().map(|last| last.at_us)
    }

    pub(super) fn services(&self) -> &BTreeMap<&'static str, u64> {
        &self.spent_on_services
    }

    pub(super) fn jobs(&self) -> &BTreeMap<String, u64> {
        &self.spent_on_jobs
    }

    pub(super) fn total(&self) -> u64 {
        self.spent_on_services.values().sum::<u64>() + self.spent_on_jobs.values().sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(instance: &str, at_ms: u64, used_ms: &[(&str, u64)]) -> Usage {
        let used_ms = used_ms.iter().map(|(label, used)| ((*label).to_owned(), *used)).collect();
        Usage { instance: instance.to_owned(), at_us: at_ms * 1_000, used_ms }
    }

    #[test]
    fn services_cost_time_and_jobs_cost_what_they_used() {
        let mut ledger = Ledger::new(vec![("edge", 1), ("checkout", 3)]);
        ledger.take(usage("jobs-1", 1_000, &[("a", 500)]), 100);
        assert_eq!((ledger.total(), ledger.as_of_us()), (25_000, Some(1_000_000)));
        ledger.take(usage("jobs-1", 3_000, &[("a", 500), ("b", 4_000)]), 100);
        assert_eq!(ledger.services()["checkout"], 60_000);
        assert_eq!((ledger.jobs()["a"], ledger.jobs()["b"]), (25_000, 200_000));
        assert_eq!(ledger.total(), 25_000 + 80_000 + 200_000);
    }

    #[test]
    fn a_price_counts_from_the_reading_on_and_a_restart_loses_nothing() {
        let mut ledger = Ledger::new(vec![]);
        ledger.take(usage("jobs-1", 0, &[("a", 1_000)]), 100);
        ledger.take(usage("jobs-1", 100, &[("a", 2_000)]), 300);
        assert_eq!(ledger.jobs()["a"], 50_000 + 150_000);
        ledger.take(usage("jobs-2", 200, &[("a", 100)]), 100);
        assert_eq!(ledger.jobs()["a"], 200_000 + 5_000);
    }
}
