//! A load as a whole: all windows added up, for `gameday load` and for benchmarks.
//!
//! Pure sums of constant size. Judges nothing: that needs windows and a plan.

use std::collections::BTreeMap;
use std::sync::Mutex;

use harness_core::ids::RequestKind;
use harness_core::load::{
    KindSamples, LoadSummary, LoadTick, RequestOutcome, SampleSink, WindowSamples,
    latency_histogram,
};
use harness_core::plan::LoadPlan;
use harness_core::units::Duration;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::schedule::Schedule;

/// A sink that adds up every window and drops it.
#[derive(Debug)]
pub struct LoadTotals(Mutex<Sums>);

#[derive(Debug)]
struct Sums {
    kinds: BTreeMap<RequestKind, KindSamples>,
    lag_us: Histogram<u64>,
    windows: u64,
    windows_paused: u64,
}

impl LoadTotals {
    /// Nothing yet.
    pub fn new() -> Self {
        Self(Mutex::new(Sums {
            kinds: BTreeMap::new(),
            lag_us: latency_histogram(),
            windows: 0,
            windows_paused: 0,
        }))
    }

    /// The report on a load by `plan` over `length`.
    pub fn report(self, plan: &LoadPlan, length: Duration, summary: &LoadSummary) -> LoadReport {
        let sums = self.0.into_inner().expect("no holder of this lock panics");
        let mut all = KindSamples::default();
        for kind in sums.kinds.values() {
            all.merge(kind);
        }
        let seconds = length.secs_f64().max(1e-6);
        let asked = Schedule::expected(&plan.shape, length.micros().saturating_mul(1000));
        LoadReport {
            seconds,
            rate_asked: asked / seconds,
            rate_achieved: summary.sent as f64 / seconds,
            due: summary.due,
            sent: summary.sent,
            total: KindReport::of(&all),
            kinds: sums
                .kinds
                .iter()
                .map(|(name, kind)| (name.clone(), KindReport::of(kind)))
                .collect(),
            lag_us: Percentiles::of(&sums.lag_us, sums.lag_us.len()),
            windows: sums.windows,
            windows_paused: sums.windows_paused,
            pauses: summary.pauses,
            paused_us: summary.paused.micros(),
            cpu_cores: summary.cpu_cores,
        }
    }
}

impl Default for LoadTotals {
    fn default() -> Self {
        Self::new()
    }
}

impl SampleSink for LoadTotals {
    fn window(&self, samples: WindowSamples) {
        let mut sums = self.0.lock().expect("no holder of this lock panics");
        sums.windows += 1;
        sums.windows_paused += u64::from(samples.paused);
        sums.lag_us.add(&samples.lag_us).expect("all histograms have the same bounds");
        for (name, kind) in samples.kinds {
            sums.kinds.entry(name).or_default().merge(&kind);
        }
    }

    fn tick(&self, _: LoadTick) {}
}

/// What a load did, and how well the client kept its schedule.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadReport {
    /// How long requests were planned for.
    pub seconds: f64,
    /// Requests per second that the shape asks for on average.
    pub rate_asked: f64,
    /// Requests per second that were sent.
    pub rate_achieved: f64,
    /// Requests whose time came.
    pub due: u64,
    /// Requests that were sent.
    pub sent: u64,
    /// All requests together.
    pub total: KindReport,
    /// By request of the mix.
    pub kinds: BTreeMap<RequestKind, KindReport>,
    /// Send lag of what was sent.
    pub lag_us: Percentiles,
    /// Windows of 100 ms.
    pub windows: u64,
    /// Windows in which the client itself stood still.
    pub windows_paused: u64,
    /// How often the client stood still.
    pub pauses: u32,
    /// How long in all.
    pub paused_us: u64,
    /// CPU time of the client's workers as a share of one core.
    pub cpu_cores: f64,
}

/// One request of the mix, or all.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KindReport {
    /// Requests whose time came.
    pub planned: u64,
    /// Those that ended well.
    pub good: u64,
    /// How all ended.
    pub outcomes: BTreeMap<RequestOutcome, u64>,
    /// From the intended send time, over all planned requests: what did not end well counts as
    /// endless.
    pub latency_us: Percentiles,
    /// From the real send time, over those that ended well.
    pub service_us: Percentiles,
}

impl KindReport {
    fn of(samples: &KindSamples) -> Self {
        Self {
            planned: samples.planned,
            good: samples.good,
            outcomes: samples.outcomes.clone(),
            latency_us: Percentiles::of(&samples.latency_us, samples.planned),
            service_us: Percentiles::of(&samples.service_us, samples.good),
        }
    }
}

/// Percentiles in us; `None` where they lie among requests that never ended well, or where there
/// are no requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Percentiles {
    /// Median.
    pub p50: Option<u64>,
    /// 90th.
    pub p90: Option<u64>,
    /// 95th.
    pub p95: Option<u64>,
    /// 99th.
    pub p99: Option<u64>,
    /// 99.9th.
    pub p999: Option<u64>,
    /// Largest.
    pub max: Option<u64>,
}

impl Percentiles {
    /// Of `histogram` and as many endless values as `count` has more.
    pub fn of(histogram: &Histogram<u64>, count: u64) -> Self {
        let at = |share: f64| {
            let rank = (share * count as f64).ceil().max(1.0);
            let ended = histogram.len() as f64;
            // Half a rank below avoids a step to the next value by rounding.
            (rank <= ended).then(|| histogram.value_at_quantile((rank - 0.5) / ended))
        };
        let all_ended = count > 0 && histogram.len() >= count;
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: all_ended.then(|| histogram.max()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_end_counts_as_endless() {
        let mut histogram = latency_histogram();
        for value in 1..=98 {
            histogram.record(value).unwrap();
        }
        let percentiles = Percentiles::of(&histogram, 100);
        let all = [percentiles.p50, percentiles.p90, percentiles.p95, percentiles.p99];
        assert_eq!(all, [Some(50), Some(90), Some(95), None]);
        assert_eq!(percentiles.max, None);
        let percentiles = Percentiles::of(&histogram, 98);
        assert_eq!((percentiles.p99, percentiles.max), (Some(98), Some(98)));
        assert_eq!(Percentiles::of(&latency_histogram(), 0).p50, None);
    }
}
