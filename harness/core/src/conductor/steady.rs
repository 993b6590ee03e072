//! Whether the service level holds, from closed windows and sentinels: for the baseline, and to
//! know when the recovery phase may end. The judge has its own, more careful look.

use std::collections::BTreeMap;

use crate::event::WindowCounts;
use crate::ids::SignalId;
use crate::load::WINDOW;
use crate::plan::SteadyPlan;
use crate::signal::Observation;
use crate::time::RunTime;
use crate::units::Duration;

/// Since when the service level holds.
#[derive(Debug, Default)]
pub(super) struct SteadyTracker {
    /// Start of the first good window after the last bad one.
    windows_since: Option<RunTime>,
    /// End of the newest closed window.
    windows_until: RunTime,
    /// By sentinel: since when it is ok; absent while it is not.
    sentinels_since: BTreeMap<SignalId, RunTime>,
    planned: u64,
    good: u64,
    within: u64,
}

impl SteadyTracker {
    /// Forgets the sums, for a new phase; the running facts stay.
    pub(super) fn restart_sums(&mut self) {
        (self.planned, self.good, self.within) = (0, 0, 0);
    }

    pub(super) fn on_window(&mut self, steady: &SteadyPlan, window: &WindowCounts) {
        self.planned += window.planned;
        self.good += window.good;
        self.within += window.within;
        self.windows_until = window.start + WINDOW;
        if window.planned == 0 {
            return;
        }
        if holds(steady, window.planned, window.good, window.within) {
            self.windows_since.get_or_insert(window.start);
        } else {
            self.windows_since = None;
        }
    }

    pub(super) fn on_observation(&mut self, observation: &Observation) {
        match observation {
            Observation::Value { signal, at, value } if *value >= 1.0 => {
                self.sentinels_since.entry(signal.clone()).or_insert(*at);
            }
            Observation::Value { signal, .. } | Observation::Gap { signal, .. } => {
                self.sentinels_since.remove(signal);
            }
        }
    }

    /// Whether the windows summed up since the last restart hold together; `None` without any.
    pub(super) fn sums_hold(&self, steady: &SteadyPlan) -> Option<bool> {
        (self.planned > 0).then(|| holds(steady, self.planned, self.good, self.within))
    }

    /// The sums for people: `97.20 % of 250 requests succeeded, 61.00 % within 250ms`.
    pub(super) fn sums_words(&self, steady: &SteadyPlan) -> String {
        let share = |part: u64| 100.0 * part as f64 / self.planned.max(1) as f64;
        let success = format!("{:.2} % of {} requests succeeded", share(self.good), self.planned);
        match steady.latency {
            Some((quantile, most)) => format!(
                "{success}, {:.2} % within {most} ({quantile} was asked)",
                share(self.within)
            ),
            None => success,
        }
    }

    /// Whether everything has held for `hold`, counting from `from` at the earliest.
    pub(super) fn has_held(&self, steady: &SteadyPlan, from: RunTime, hold: Duration) -> bool {
        let Some(windows_since) = self.windows_since else { return false };
        let sentinels = steady.sentinels.iter().map(|name| self.sentinels_since.get(name).copied());
        let Some(since) = sentinels
            .chain([Some(windows_since), Some(from)])
            .try_fold(RunTime::START, |latest, since| since.map(|since| latest.max(since)))
        else {
            return false;
        };
        self.windows_until >= since + hold
    }
}

fn holds(steady: &SteadyPlan, planned: u64, good: u64, within: u64) -> bool {
    let latency = steady.latency.is_none_or(|(quantile, _)| within >= quantile.rank(planned));
    steady.success_at_least.is_reached_by(good, planned) && latency
}
