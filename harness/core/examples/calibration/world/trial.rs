//! One trial in the making, with as few windows of samples as its assertion needs.
//!
//! Baseline from 0 s, fault from 0.5 s, recovery from 1.6 s to 4.1 s after the load's start. The
//! fault is injected and seen gone at a random place within a window of samples, as in a real run.

use std::collections::BTreeMap;

use harness_core::event::{Invalid, InvalidReason};
use harness_core::evidence::{
    FaultEvidence, KindEvidence, Latencies, TrialEvidence, WindowEvidence,
};
use harness_core::ids::{ArmName, RequestKind, SignalId, TrialIndex};
use harness_core::load::{LoadSummary, WINDOW};
use harness_core::plan::Phase;
use harness_core::signal::{ActionNotice, AlertNotice, AlertStatus, Observation};
use harness_core::system::Processed;
use harness_core::time::RunTime;
use harness_core::units::Duration;

use super::plan::{ACTIONS, ALERTS, FAULT_ARM, METER, PLACEBO_ARM, PROBE, fault, ms};

/// Requests of one kind in a window of samples.
pub(super) const PER_WINDOW: u64 = 20;
/// The windows of the baseline, of the fault phase, and from there to the end.
pub(super) const BASELINE: std::ops::Range<u32> = 0..5;
pub(super) const FAULT: std::ops::Range<u32> = 5..16;
pub(super) const RECOVERY: std::ops::Range<u32> = 16..41;

/// A trial in the making.
pub(super) struct Trial {
    pub(super) evidence: TrialEvidence,
    base: RunTime,
}

impl Trial {
    /// A trial without anything in it; `within_window` says where in a window the fault begins.
    pub(super) fn new(index: u32, placebo: bool, within_window: Duration) -> Self {
        let base = RunTime::START + Duration::from_secs(20 * u64::from(index) + 3);
        let inject = base + ms(500) + within_window;
        let effective = inject + ms(if placebo { 0 } else { 20 });
        let revert = base + ms(1600);
        let reverted = if placebo { revert } else { revert + within_window };
        let span = |from, to| (base + ms(from), Some(base + ms(to)));
        let times = [inject, effective, revert, reverted].map(Some);
        let [inject, effective, revert, reverted] = times;
        let faults = FaultEvidence { inject, effective, revert, reverted, seen: Vec::new() };
        let evidence = TrialEvidence {
            trial: TrialIndex(index),
            arm: ArmName::new(if placebo { PLACEBO_ARM } else { FAULT_ARM }),
            began: base,
            ended: Some(base + ms(5000)),
            invalid: Vec::new(),
            phases: BTreeMap::from([
                (Phase::Baseline, span(0, 500)),
                (Phase::Fault, span(500, 1600)),
                (Phase::Recovery, span(1600, 4100)),
            ]),
            faults: BTreeMap::from([(fault(), faults)]),
            windows: Vec::new(),
            load: None,
            observations: BTreeMap::new(),
            alerts: Vec::new(),
            actions: Vec::new(),
            processed: None,
        };
        Self { evidence, base }
    }

    pub(super) fn at(&self, millis: u64) -> RunTime {
        self.base + ms(millis)
    }

    /// When the fault was injected, first seen in force, and seen gone.
    pub(super) fn instants(&self) -> [RunTime; 3] {
        let times = &self.evidence.faults[&fault()];
        [times.inject, times.effective, times.reverted]
            .map(|at| at.expect("new() sets all instants"))
    }

    /// The fault is held until then, and what follows is looked at until the other time, in ms.
    pub(super) fn hold_fault(&mut self, [until, end]: [u64; 2]) {
        for (phase, from, to) in [(Phase::Fault, 500, until), (Phase::Recovery, until, end)] {
            let span = (self.at(from), Some(self.at(to)));
            self.evidence.phases.insert(phase, span);
        }
        let [revert, reverted] = [self.at(until), self.at(until) + ms(20)];
        for fault in self.evidence.faults.values_mut() {
            fault.revert = Some(revert);
            fault.reverted = Some(reverted);
        }
    }

    /// The window of this number, made when it is not there.
    fn window(&mut self, index: u32) -> &mut WindowEvidence {
        let windows = &mut self.evidence.windows;
        let place = windows.partition_point(|window| window.index < index);
        if windows.get(place).is_none_or(|window| window.index != index) {
            let start = self.base + WINDOW.times(u64::from(index));
            let (kinds, lag_us) = (BTreeMap::new(), Latencies::default());
            windows.insert(place, WindowEvidence { index, start, kinds, lag_us, paused: false });
        }
        &mut windows[place]
    }

    /// Requests of a kind in a window, so many of them good, with these latencies.
    pub(super) fn requests(&mut self, window: u32, kind: &str, good: u64, latency_us: Latencies) {
        let samples =
            KindEvidence { planned: PER_WINDOW, outcomes: BTreeMap::new(), good, latency_us };
        self.window(window).kinds.insert(RequestKind::new(kind), samples);
    }

    pub(super) fn alert(&mut self, at: RunTime, alert: &str) {
        self.evidence.alerts.push(AlertNotice {
            signal: SignalId::new(ALERTS),
            alert: alert.to_owned(),
            labels: BTreeMap::new(),
            status: AlertStatus::Firing,
            at,
            starts_at: None,
            fingerprint: "one".to_owned(),
        });
    }

    pub(super) fn action(&mut self, at: RunTime, actor: &str, action: &str) {
        self.evidence.actions.push(ActionNotice {
            signal: SignalId::new(ACTIONS),
            actor: actor.to_owned(),
            action: action.to_owned(),
            target: "payments".to_owned(),
            at,
        });
    }

    pub(super) fn observed(&mut self, at: RunTime) {
        let signal = SignalId::new(PROBE);
        let seen = self.evidence.observations.entry(signal.clone()).or_default();
        seen.push(Observation::Value { signal, at, value: 1.0 });
    }

    /// The meter told this sum so long after the load's start, or nothing.
    pub(super) fn metered(&mut self, after: Duration, sum: Option<f64>) {
        let (at, signal) = (self.base + after, SignalId::new(METER));
        let seen = self.evidence.observations.entry(signal.clone()).or_default();
        seen.push(match sum {
            Some(value) => Observation::Value { signal, at, value },
            None => Observation::Gap { signal, at, why: "silent".to_owned() },
        });
    }

    /// So many ids were accepted, of which the first `lost` are not stored.
    pub(super) fn ids(&mut self, accepted: u64, lost: u64) {
        self.evidence.load = Some(LoadSummary {
            due: accepted,
            sent: accepted,
            accepted: vec![(0, accepted - 1)],
            unknown: Vec::new(),
            lag_us_p50: 50,
            lag_us_p99: 400,
            lag_us_max: 900,
            cpu_cores: 0.2,
            pauses: 0,
            paused: Duration::ZERO,
            traces: Vec::new(),
        });
        let stored = vec![(lost, accepted - 1)];
        self.evidence.processed = Some(Ok(Processed { stored, ..Processed::default() }));
    }

    pub(super) fn invalid(&mut self, reason: InvalidReason, before_injection: bool) {
        let because = "by chance".to_owned();
        self.evidence.invalid.push(Invalid { reason, because, before_injection });
    }
}
