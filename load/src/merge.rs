//! The workers' parts put together: windows in order, ticks, pauses, and the summary.
//!
//! Pure. A window is complete when each worker has given its part; parts stay in their small form
//! until then.

use std::collections::BTreeMap;

use harness_core::ids::{RequestKind, TrialIndex};
use harness_core::load::{
    KindSamples, LoadSummary, LoadTick, SampleSink, TraceNote, WINDOW, WindowSamples,
};
use harness_core::time::RunTime;
use harness_core::units::Duration;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::latencies::Latencies;
use crate::ranges::Ranges;
use crate::recorder::{Notable, WindowPart};
use crate::request::trace_id;

/// What one worker saw in one tick, by the time of completion.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct TickPart {
    /// Became due.
    pub(crate) due: u64,
    /// Ended well.
    pub(crate) good: u64,
    /// Ended otherwise.
    pub(crate) bad: u64,
    /// On their way at the end.
    pub(crate) in_flight: u64,
    /// Largest send lag.
    pub(crate) lag_ns_max: u64,
    /// Of the good ones, from the intended send time.
    pub(crate) latency: Latencies,
}

/// What a worker tells at its end.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct WorkerEnd {
    /// Requests that became due.
    pub(crate) due: u64,
    /// Requests that were sent.
    pub(crate) sent: u64,
    /// CPU time of the worker's thread.
    pub(crate) cpu_ns: u64,
}

/// Puts the parts of all workers together.
#[derive(Debug)]
pub(crate) struct Merger {
    trial: TrialIndex,
    from: RunTime,
    kinds: Vec<RequestKind>,
    workers: usize,
    next_window: u32,
    windows: BTreeMap<u32, Vec<WindowPart>>,
    next_tick: u32,
    ticks: BTreeMap<u32, Vec<TickPart>>,
    pauses: Vec<(u64, u64)>,
    accepted: Ranges,
    unknown: Ranges,
    lag_us: Histogram<u64>,
    end: WorkerEnd,
    /// The seed of trace ids, where requests carry them.
    tracing: Option<u64>,
    /// Slowest first; at most [`SLOWEST_MAX`].
    slowest: Vec<Notable>,
    /// In the order of windows; at most [`FAILED_MAX`].
    failed: Vec<Notable>,
}

/// So many slow requests are named.
const SLOWEST_MAX: usize = 3;
/// So many failed ones.
const FAILED_MAX: usize = 5;

impl Merger {
    /// For one trial; `kinds` by place in the mix.
    pub(crate) fn new(
        trial: TrialIndex,
        from: RunTime,
        kinds: Vec<RequestKind>,
        workers: usize,
    ) -> Self {
        Self {
            trial,
            from,
            kinds,
            workers,
            next_window: 0,
            windows: BTreeMap::new(),
            next_tick: 0,
            ticks: BTreeMap::new(),
            pauses: Vec::new(),
            accepted: Ranges::default(),
            unknown: Ranges::default(),
            lag_us: harness_core::load::latency_histogram(),
            end: WorkerEnd::default(),
            tracing: None,
            slowest: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// Names requests that stand out by the ids of their traces, which come from this seed; `None`
    /// where requests carry none.
    pub(crate) fn tracing(self, seed: Option<u64>) -> Self {
        Self { tracing: seed, ..self }
    }

    /// Takes one worker's part of a window.
    pub(crate) fn window(&mut self, index: u32, part: WindowPart) {
        self.windows.entry(index).or_default().push(part);
    }

    /// The next window for which every worker gave its part.
    pub(crate) fn next_window(&mut self) -> Option<WindowSamples> {
        let complete = self.windows.get(&self.next_window)?.len() == self.workers;
        complete.then(|| self.put_together())
    }

    /// At the end: hands on what not every worker came to.
    pub(crate) fn hand_on_the_rest(&mut self, out: &dyn SampleSink) {
        while let Some((_, parts)) = self.ticks.pop_first() {
            out.tick(tick_of(&parts));
        }
        while let Some(window) = self.rest_of_windows() {
            out.window(window);
        }
    }

    fn rest_of_windows(&mut self) -> Option<WindowSamples> {
        let last = *self.windows.last_key_value()?.0;
        (self.next_window <= last).then(|| self.put_together())
    }

    fn put_together(&mut self) -> WindowSamples {
        let index = self.next_window;
        let parts = self.windows.remove(&index).unwrap_or_default();
        self.next_window += 1;
        let start = self.from + WINDOW.times(u64::from(index));
        let mut samples = WindowSamples::new(self.trial, index, start);
        let (mut accepted, mut unknown) = (Vec::new(), Vec::new());
        for part in parts {
            add_part(&mut samples, &part, &self.kinds);
            self.note(&part);
            accepted.extend(part.accepted);
            unknown.extend(part.unknown);
        }
        insert_sorted(&mut self.accepted, accepted);
        insert_sorted(&mut self.unknown, unknown);
        let added = self.lag_us.add(&samples.lag_us);
        added.expect("all histograms have the same bounds");
        samples
    }

    /// Keeps what stands out in a part of a window.
    fn note(&mut self, part: &WindowPart) {
        self.slowest.extend(part.slowest);
        self.slowest.sort_by_key(|notable| std::cmp::Reverse(notable.latency_ns));
        self.slowest.truncate(SLOWEST_MAX);
        self.failed.extend(part.failed.filter(|_| self.failed.len() < FAILED_MAX));
    }

    fn traces(&self) -> Vec<TraceNote> {
        let Some(seed) = self.tracing else { return Vec::new() };
        let notables = self.slowest.iter().chain(&self.failed);
        let note = |notable: &Notable| TraceNote {
            trace_id: trace_id(seed, notable.number),
            kind: self.kinds[notable.request].clone(),
            due: self.from + Duration::from_micros(notable.due_ns / 1000),
            outcome: notable.outcome,
            latency_us: notable.latency_ns / 1000,
        };
        notables.map(note).collect()
    }

    /// Takes one worker's part of a tick.
    pub(crate) fn tick(&mut self, index: u32, part: TickPart) {
        self.ticks.entry(index).or_default().push(part);
    }

    /// The next tick for which every worker gave its part.
    pub(crate) fn next_tick(&mut self) -> Option<LoadTick> {
        if self.ticks.get(&self.next_tick)?.len() < self.workers {
            return None;
        }
        let parts = self.ticks.remove(&self.next_tick)?;
        self.next_tick += 1;
        Some(tick_of(&parts))
    }

    /// A worker stood still.
    pub(crate) fn pause(&mut self, from_ns: u64, to_ns: u64) {
        self.pauses.push((from_ns, to_ns));
    }

    /// A worker has ended.
    pub(crate) fn ended(&mut self, end: WorkerEnd) {
        self.end.due += end.due;
        self.end.sent += end.sent;
        self.end.cpu_ns += end.cpu_ns;
    }

    /// The summary of a load that took `elapsed_ns`.
    pub(crate) fn summary(self, elapsed_ns: u64) -> LoadSummary {
        let traces = self.traces();
        let (pauses, paused_ns) = union(self.pauses);
        LoadSummary {
            due: self.end.due,
            sent: self.end.sent,
            accepted: self.accepted.into_vec(),
            unknown: self.unknown.into_vec(),
            lag_us_p50: self.lag_us.value_at_quantile(0.5),
            lag_us_p99: self.lag_us.value_at_quantile(0.99),
            lag_us_max: self.lag_us.max(),
            cpu_cores: self.end.cpu_ns as f64 / elapsed_ns.max(1) as f64,
            pauses,
            paused: Duration::from_micros(paused_ns / 1000),
            traces,
        }
    }
}

fn add_part(samples: &mut WindowSamples, part: &WindowPart, kinds: &[RequestKind]) {
    part.lag.add_to(&mut samples.lag_us);
    samples.paused |= part.paused;
    for (request, kind) in part.requests.iter().zip(kinds) {
        if request.planned == 0 {
            continue;
        }
        let sums: &mut KindSamples = samples.kinds.entry(kind.clone()).or_default();
        sums.planned += request.planned;
        sums.good += request.good;
        for (outcome, count) in &request.outcomes {
            *sums.outcomes.entry(*outcome).or_default() += count;
        }
        request.latency.add_to(&mut sums.latency_us);
        request.service.add_to(&mut sums.service_us);
    }
}

fn insert_sorted(ranges: &mut Ranges, mut numbers: Vec<u64>) {
    numbers.sort_unstable();
    for number in numbers {
        ranges.insert(number);
    }
}

fn tick_of(parts: &[TickPart]) -> LoadTick {
    let mut tick = LoadTick::default();
    let mut latency = Latencies::default();
    let mut lag_ns_max = 0;
    for part in parts {
        tick.due += part.due;
        tick.good += part.good;
        tick.bad += part.bad;
        tick.in_flight += part.in_flight;
        lag_ns_max = lag_ns_max.max(part.lag_ns_max);
        latency.append(&part.latency);
    }
    tick.lag_us_max = lag_ns_max / 1000;
    [tick.latency_us_p50, tick.latency_us_p99] = latency.quantiles([0.5, 0.99]);
    tick
}

/// How many separate stretches of time there are, and how long they are in all.
fn union(mut stretches: Vec<(u64, u64)>) -> (u32, u64) {
    stretches.sort_unstable();
    let (mut count, mut total, mut reached) = (0, 0, None);
    for (from, to) in stretches {
        match reached {
            Some(end) if from <= end => {
                total += to.saturating_sub(end);
                reached = Some(to.max(end));
            }
            _ => {
                count += 1;
                total += to - from;
                reached = Some(to);
            }
        }
    }
    (count, total)
}

#[cfg(test)]
mod tests {
    use harness_core::load::RequestOutcome;
    use proptest::prelude::*;

    use super::*;
    use crate::mix::Arrival;
    use crate::recorder::{Ending, Recorder};

    const LENGTH_NS: u64 = 1_000_000_000;

    #[test]
    fn overlapping_pauses_count_once() {
        assert_eq!(union(vec![]), (0, 0));
        assert_eq!(union(vec![(50, 60), (0, 10), (5, 20), (6, 7)]), (2, 30));
    }

    fn merged(requests: &[(u64, u64, u16)], workers: usize) -> (Vec<WindowSamples>, LoadSummary) {
        let kinds = vec!["a".into(), "b".into()];
        let mut merger = Merger::new(TrialIndex(0), RunTime::START, kinds, workers);
        let mut recorders: Vec<Recorder> =
            (0..workers).map(|_| Recorder::new(2, LENGTH_NS)).collect();
        for (number, (due_ns, latency_ns, status)) in requests.iter().enumerate() {
            let recorder = &mut recorders[number % workers];
            let request = usize::from(*status % 2 == 0);
            let number = number as u64;
            let arrival = Arrival { number, due_ns: *due_ns, request, id: Some(number) };
            recorder.planned(&arrival);
            recorder.sent(&arrival, latency_ns / 3);
            let outcome = RequestOutcome::Status(*status);
            let (good, service_ns) = (*status < 400, latency_ns / 2);
            let ending = Ending { outcome, good, latency_ns: *latency_ns, service_ns, sent: true };
            recorder.ended(&arrival, ending);
        }
        let mut windows = Vec::new();
        for recorder in recorders {
            for (index, part) in recorder.finish(LENGTH_NS) {
                merger.window(index, part);
                windows.extend(std::iter::from_fn(|| merger.next_window()));
            }
        }
        (windows, merger.summary(LENGTH_NS))
    }

    proptest! {
        // Each case makes and compares some 200 histograms.
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_number_of_workers_gives_the_same_windows(
            mut requests in proptest::collection::vec(
                (0..LENGTH_NS, 1_u64..700_000_000_000, 200_u16..600), 0..300
            ),
            workers in 2_usize..5,
        ) {
            requests.sort_unstable();
            let (one, summary) = merged(&requests, 1);
            let (many, same_summary) = merged(&requests, workers);
            prop_assert_eq!(one.len(), 10);
            prop_assert_eq!(&one, &many);
            prop_assert_eq!(summary, same_summary);
            let totals = one.iter().fold((0, 0), |(planned, good), window| {
                (planned + window.totals().0, good + window.totals().1)
            });
            let good = requests.iter().filter(|(_, _, status)| *status < 400).count();
            prop_assert_eq!(totals, (requests.len() as u64, good as u64));
            for kind in one.iter().flat_map(|window| window.kinds.values()) {
                prop_assert_eq!(kind.planned, kind.outcomes.values().sum::<u64>());
                prop_assert_eq!(kind.good, kind.latency_us.len());
            }
            // Windows added up are the whole, exactly.
            let mut sum = KindSamples::default();
            for kind in one.iter().flat_map(|window| window.kinds.values()) {
                sum.merge(kind);
            }
            let mut direct = harness_core::load::latency_histogram();
            for (_, latency_ns, status) in &requests {
                if *status < 400 {
                    direct.record(u64::from(crate::latencies::micros(*latency_ns))).unwrap();
                }
            }
            prop_assert_eq!(sum.latency_us, direct);
        }
    }
}
