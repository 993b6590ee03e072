//! The samples of one window of a trial, as the judge and the reports read them.

use std::collections::BTreeMap;

use super::Latencies;
use crate::ids::RequestKind;
use crate::load::{KindSamples, RequestOutcome, WINDOW, WindowSamples};
use crate::time::RunTime;

/// All samples of one closed window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowEvidence {
    /// The window's number, from 0 at the start of the trial's load.
    pub index: u32,
    /// Its beginning on the run's clock.
    pub start: RunTime,
    /// By request kind.
    pub kinds: BTreeMap<RequestKind, KindEvidence>,
    /// Real minus intended send time, in us, of all requests that were sent.
    pub lag_us: Latencies,
    /// The load client itself stood still in this window; its latencies are not the target's.
    pub paused: bool,
}

/// The samples of one request kind in one window.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KindEvidence {
    /// Requests whose intended send time lies in the window.
    pub planned: u64,
    /// How they ended.
    pub outcomes: BTreeMap<RequestOutcome, u64>,
    /// Those that ended well.
    pub good: u64,
    /// Latency of the good ones from the intended send time. The others count as endless.
    pub latency_us: Latencies,
}

impl WindowEvidence {
    /// Its end.
    pub fn end(&self) -> RunTime {
        self.start + WINDOW
    }

    /// Planned and good requests of all kinds.
    pub fn totals(&self) -> (u64, u64) {
        self.kinds
            .values()
            .fold((0, 0), |(planned, good), kind| (planned + kind.planned, good + kind.good))
    }
}

impl From<&WindowSamples> for WindowEvidence {
    fn from(samples: &WindowSamples) -> Self {
        Self {
            index: samples.index,
            start: samples.start,
            kinds: samples.kinds.iter().map(|(kind, of)| (kind.clone(), of.into())).collect(),
            lag_us: Latencies::from(&samples.lag_us),
            paused: samples.paused,
        }
    }
}

impl From<&KindSamples> for KindEvidence {
    fn from(samples: &KindSamples) -> Self {
        Self {
            planned: samples.planned,
            outcomes: samples.outcomes.clone(),
            good: samples.good,
            latency_us: Latencies::from(&samples.latency_us),
        }
    }
}
