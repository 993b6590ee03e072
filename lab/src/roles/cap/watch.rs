//! When the cost cap acts. Pure: samples of the meter go in, acts come out.
//!
//! The rate is that of all jobs over the last half second. When it has been above the limit for a
//! while, the group that spends most is stopped; once it has been below for a while, groups that
//! were stopped are released. A gap in the samples forgets how long the rate was above: a blind
//! cap does not act.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The limit of the jobs' spend, in millionths of the currency a second.
pub(super) const LIMIT_MICRO_PER_SECOND: u64 = 500_000;
/// The rate is taken over this time.
const WINDOW_US: u64 = 500_000;
/// And over no less than this.
const WINDOW_US_MIN: u64 = 250_000;
/// Samples further apart are a gap.
const GAP_US_MAX: u64 = 1_000_000;
/// Below the limit for so long, what was stopped is released.
const RELEASE_AFTER_US: u64 = 1_500_000;

/// What the meter said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) at_us: u64,
    /// Spent by label, in millionths.
    pub(super) spent: BTreeMap<String, u64>,
}

/// What to do with a group of jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    Stop(String),
    Release(String),
}

/// What the cap has seen and done.
#[derive(Debug)]
pub(super) struct Watch {
    /// Above the limit for so long, it acts.
    patience_us: u64,
    /// Groups that are never stopped.
    protected: &'static str,
    samples: VecDeque<Sample>,
    over_since_us: Option<u64>,
    under_since_us: Option<u64>,
    stopped: BTreeSet<String>,
}

impl Watch {
    pub(super) fn new(patience_us: u64, protected: &'static str) -> Self {
        Self {
            patience_us,
            protected,
            samples: VecDeque::new(),
            over_since_us: None,
            under_since_us: None,
            stopped: BTreeSet::new(),
        }
    }

    /// Takes one sample, and says what is to be done. The same is said again until [`Self::done`].
    pub(super) fn step(&mut self, sample: Sample) -> Option<Act> {
        let at_us = sample.at_us;
        if let Some(last) = self.samples.back() {
            if at_us <= last.at_us {
                return None;
            }
            if at_us - last.at_us > GAP_US_MAX {
                self.forget();
            }
        }
        self.samples.push_back(sample);
        while self.samples.get(1).is_some_and(|second| at_us - second.at_us >= WINDOW_US) {
            self.samples.pop_front();
        }
        let rates = self.rates()?;
        if rates.values().sum::<u64>() > LIMIT_MICRO_PER_SECOND {
            self.under_since_us = None;
            let since = *self.over_since_us.get_or_insert(at_us);
            let may_stop = |(label, _): &(&String, &u64)| **label != self.protected;
            let worst = rates.iter().filter(may_stop).max_by_key(|(_, rate)| **rate);
            let (label, _) = worst.filter(|(_, rate)| **rate > 0)?;
            return (at_us - since >= self.patience_us).then(|| Act::Stop(label.clone()));
        }
        self.over_since_us = None;
        let since = *self.under_since_us.get_or_insert(at_us);
        let over = at_us - since >= RELEASE_AFTER_US;
        over.then(|| self.stopped.first().cloned().map(Act::Release)).flatten()
    }

    /// An act was carried out: what was seen before it says nothing of what is now.
    pub(super) fn done(&mut self, act: &Act) {
        match act {
            Act::Stop(label) => {
                self.stopped.insert(label.clone());
                self.forget();
            }
            Act::Release(label) => {
                self.stopped.remove(label);
            }
        }
    }

    /// The groups that are stopped.
    pub(super) fn stopped(&self) -> impl Iterator<Item = &String> {
        self.stopped.iter()
    }

    fn forget(&mut self) {
        self.samples.clear();
        self.over_since_us = None;
        self.under_since_us = None;
    }

    /// Millionths a second by label, over the window; none while it is too short.
    fn rates(&self) -> Option<BTreeMap<String, u64>> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let took = last.at_us - first.at_us;
        if took < WINDOW_US_MIN {
            return None;
        }
        let rate = |(label, spent): (&String, &u64)| {
            let before = first.spent.get(label).copied().unwrap_or(0);
            (label.clone(), spent.saturating_sub(before) * 1_000_000 / took)
        };
        Some(last.spent.iter().map(rate).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a sample each 100 ms; `a` spends `rate` a second from `from` on.
    fn feed(watch: &mut Watch, from_ms: u64, to_ms: u64, rate: impl Fn(u64) -> u64) -> Vec<Act> {
        let mut spent = 0;
        let mut acts = Vec::new();
        for at_ms in (from_ms..to_ms).step_by(100) {
            spent += rate(at_ms) / 10;
            let labels = [("a", spent), ("reports", at_ms * 100), ("b", at_ms)];
            let spent = labels.map(|(label, spent)| (label.to_owned(), spent)).into();
            if let Some(act) = watch.step(Sample { at_us: at_ms * 1_000, spent }) {
                watch.done(&act);
                acts.push(act);
            }
        }
        acts
    }

    #[test]
    fn a_runaway_is_stopped_once_and_released_when_it_is_over() {
        let mut watch = Watch::new(500_000, "reports");
        let acts = feed(&mut watch, 0, 1_500, |at| if at < 500 { 0 } else { 900_000 });
        assert_eq!(acts, [Act::Stop("a".to_owned())]);
        assert_eq!(watch.stopped().collect::<Vec<_>>(), ["a"]);
        let mut later = feed(&mut watch, 1_500, 4_000, |_| 0);
        assert_eq!(later.pop(), Some(Act::Release("a".to_owned())));
        assert!(later.is_empty() && watch.stopped().next().is_none());
    }

    #[test]
    fn a_short_peak_and_a_rate_at_the_limit_are_left_alone() {
        let mut watch = Watch::new(500_000, "reports");
        let peak = |at| if (1_000..1_200).contains(&at) { 1_200_000 } else { 0 };
        assert!(feed(&mut watch, 0, 5_000, peak).is_empty());
        let mut watch = Watch::new(500_000, "reports");
        assert!(feed(&mut watch, 0, 5_000, |_| 398_000).is_empty());
    }

    #[test]
    fn a_gap_forgets_how_long_it_was_above() {
        let mut watch = Watch::new(500_000, "reports");
        assert!(feed(&mut watch, 0, 700, |_| 900_000).is_empty());
        assert!(feed(&mut watch, 5_000, 5_700, |_| 900_000).is_empty());
    }

    #[test]
    fn the_protected_group_is_never_stopped() {
        let mut watch = Watch::new(500_000, "a");
        let acts = feed(&mut watch, 0, 5_000, |_| 900_000);
        assert!(!acts.contains(&Act::Stop("a".to_owned())), "{acts:?}");
    }
}
