//! One trial on one time axis: load, latency, phases, fault, signals, alerts and automation.
//! Times are seconds from [`Zero`]; nothing is judged here.

use std::collections::BTreeMap;

use harness_core::event::Invalid;
use harness_core::evidence::{FaultEvidence, TrialEvidence};
use harness_core::ids::{ArmName, FaultId, SignalId, TrialIndex};
use harness_core::load::TraceNote;
use harness_core::plan::{Phase, Plan, SourcePlan};
use harness_core::signal::{AlertStatus, Observation};
use harness_core::time::RunTime;
use serde::{Deserialize, Serialize};

use super::EVENTS_MAX;
use super::series::series;
use super::spend::{SpendTrack, tracks};
use crate::clean::clean;

/// Where the time axis of a trial begins to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Zero {
    /// The first injection; in a placebo trial the instant at which it would have been.
    Injection,
    /// The start of the trial, which never came to an injection.
    TrialStart,
}

/// One trial on one time axis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialReport {
    /// The trial.
    pub trial: TrialIndex,
    /// Its arm.
    pub arm: ArmName,
    /// The arm injects nothing.
    pub placebo: bool,
    /// Why it is invalid; empty when it is valid.
    pub invalid: Vec<Invalid>,
    /// What time 0 is.
    pub zero: Zero,
    /// Time 0 in seconds since the run began.
    pub zero_s: f64,
    /// Phases in order.
    pub phases: Vec<PhaseSpan>,
    /// Faults in the order of the plan.
    pub faults: Vec<FaultSpan>,
    /// Load and latency.
    pub series: Series,
    /// Alerts in the order of delivery.
    pub alerts: Vec<AlertMark>,
    /// What automation did.
    pub actions: Vec<ActionMark>,
    /// Probes: ok, failed, or nothing known.
    pub sentinels: Vec<PulseTrack>,
    /// What cost feeds said; empty where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spend: Vec<SpendTrack>,
    /// What the load driver said.
    pub load: Option<LoadFacts>,
    /// Alerts, actions and spans that were left out because of [`EVENTS_MAX`].
    pub left_out: usize,
}

/// A phase of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseSpan {
    /// Which.
    pub phase: Phase,
    /// Its start.
    pub from_s: f64,
    /// Its end; `None` when the evidence breaks off in it.
    pub to_s: Option<f64>,
}

/// The instants of a fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultSpan {
    /// The fault.
    pub fault: FaultId,
    /// Its kind.
    pub kind: String,
    /// The injection was begun.
    pub inject_s: Option<f64>,
    /// Seen in force.
    pub effective_s: Option<f64>,
    /// The revert was begun.
    pub revert_s: Option<f64>,
    /// Seen to be gone.
    pub reverted_s: Option<f64>,
    /// What the witness saw.
    pub seen: Vec<String>,
}

/// Load and latency over time; all columns have the same length, one entry per window.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Series {
    /// The length of a window: 0.1 s, or a multiple where the trial was thinned.
    pub step_s: f64,
    /// Beginning of each window.
    pub at_s: Vec<f64>,
    /// Requests that were due in it.
    pub planned: Vec<u64>,
    /// Those that ended well.
    pub good: Vec<u64>,
    /// Median latency of the good ones from the intended send time.
    pub latency_ms_p50: Vec<Option<f64>>,
    /// 99th percentile of the same.
    pub latency_ms_p99: Vec<Option<f64>>,
    /// Beginnings of windows in which the client itself stood still.
    pub paused_s: Vec<f64>,
}

/// An alert was delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertMark {
    /// When.
    pub at_s: f64,
    /// `alertname`.
    pub alert: String,
    /// Firing or resolved.
    pub status: AlertStatus,
}

/// An automation acted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionMark {
    /// When.
    pub at_s: f64,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// On what.
    pub target: String,
}

/// What one probe saw over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PulseTrack {
    /// The probe.
    pub signal: SignalId,
    /// Spans of one state in the order of time.
    pub spans: Vec<PulseSpan>,
}

/// What a probe says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Pulse {
    /// It succeeded.
    Ok,
    /// It failed.
    Failed,
    /// Nothing could be read.
    Gap,
}

/// Looks in a row that said the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PulseSpan {
    /// The first look.
    pub from_s: f64,
    /// The first look that said otherwise, or the last one.
    pub to_s: f64,
    /// What they said.
    pub pulse: Pulse,
}

/// What the load driver said at the end of the trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadFacts {
    /// Requests that were due.
    pub due: u64,
    /// Requests that were sent.
    pub sent: u64,
    /// 99th percentile of send lag.
    pub lag_ms_p99: f64,
    /// Largest send lag.
    pub lag_ms_max: f64,
    /// How long the client stood still in all.
    pub paused_s: f64,
    /// Requests that stand out, to be looked up in the system's own tracing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<TraceFacts>,
}

/// One request by its trace id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceFacts {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// What was asked.
    pub kind: String,
    /// When it was due, on the trial's axis.
    pub due_s: f64,
    /// How it ended: a status, `timeout`, ...
    pub outcome: String,
    /// From when it was due to its end.
    pub latency_ms: f64,
}

/// Seconds from the axis' zero, exact to 0.1 ms: finer is below what anything here can tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    zero: RunTime,
}

impl Axis {
    pub(super) fn at(self, time: RunTime) -> f64 {
        let nanos = i128::from(time.nanos()) - i128::from(self.zero.nanos());
        let tenths = (nanos + nanos.signum() * 50_000) / 100_000;
        tenths as f64 / 1e4
    }
}

/// Puts the evidence of one trial on its axis.
pub(super) fn trial_report(
    plan: &Plan,
    evidence: &TrialEvidence,
    invalid: Vec<Invalid>,
) -> TrialReport {
    let injected = evidence.faults.values().filter_map(|fault| fault.inject).min();
    let start = evidence.windows.first().map_or(evidence.began, |window| window.start);
    let axis = Axis { zero: injected.unwrap_or(start) };
    let placebo = plan.arms.iter().any(|arm| arm.name == evidence.arm && arm.is_placebo());
    let (alerts, actions, sentinels) = (
        alert_marks(evidence, axis),
        action_marks(evidence, axis),
        pulse_tracks(plan, evidence, axis),
    );
    let left_out = alerts.1 + actions.1 + sentinels.1;
    TrialReport {
        trial: evidence.trial,
        arm: ArmName::new(clean(evidence.arm.as_str())),
        placebo,
        invalid,
        zero: if injected.is_some() { Zero::Injection } else { Zero::TrialStart },
        zero_s: axis.zero.secs_f64(),
        phases: phase_spans(evidence, axis),
        faults: fault_spans(plan, evidence, axis),
        series: series(&evidence.windows, axis),
        alerts: alerts.0,
        actions: actions.0,
        sentinels: sentinels.0,
        spend: tracks(plan, evidence, axis),
        load: evidence.load.as_ref().map(|load| LoadFacts {
            due: load.due,
            sent: load.sent,
            lag_ms_p99: load.lag_us_p99 as f64 / 1e3,
            lag_ms_max: load.lag_us_max as f64 / 1e3,
            paused_s: load.paused.secs_f64(),
            traces: load.traces.iter().map(|note| trace_facts(note, axis)).collect(),
        }),
        left_out,
    }
}

fn trace_facts(note: &TraceNote, axis: Axis) -> TraceFacts {
    TraceFacts {
        trace_id: clean(&note.trace_id),
        kind: clean(note.kind.as_str()),
        due_s: axis.at(note.due),
        outcome: note.outcome.to_string(),
        latency_ms: note.latency_us as f64 / 1e3,
    }
}

fn phase_spans(evidence: &TrialEvidence, axis: Axis) -> Vec<PhaseSpan> {
    let span = |(phase, (from, to)): (&Phase, &(RunTime, Option<RunTime>))| PhaseSpan {
        phase: *phase,
        from_s: axis.at(*from),
        to_s: to.map(|to| axis.at(to)),
    };
    evidence.phases.iter().map(span).collect()
}

fn fault_spans(plan: &Plan, evidence: &TrialEvidence, axis: Axis) -> Vec<FaultSpan> {
    let place = |id: &FaultId| plan.faults.iter().position(|fault| &fault.id == id);
    let mut faults: Vec<(&FaultId, &FaultEvidence)> = evidence.faults.iter().collect();
    faults.sort_by_key(|(id, _)| place(id).unwrap_or(usize::MAX));
    let span = |(id, fault): (&FaultId, &FaultEvidence)| FaultSpan {
        fault: FaultId::new(clean(id.as_str())),
        kind: plan.fault(id).map_or_else(String::new, |fault| clean(&fault.kind)),
        inject_s: fault.inject.map(|at| axis.at(at)),
        effective_s: fault.effective.map(|at| axis.at(at)),
        revert_s: fault.revert.map(|at| axis.at(at)),
        reverted_s: fault.reverted.map(|at| axis.at(at)),
        seen: fault.seen.iter().map(|seen| clean(seen)).collect(),
    };
    faults.into_iter().map(span).collect()
}

/// The alerts that are kept, and how many are not.
fn alert_marks(evidence: &TrialEvidence, axis: Axis) -> (Vec<AlertMark>, usize) {
    let marks = evidence.alerts.iter().take(EVENTS_MAX).map(|notice| AlertMark {
        at_s: axis.at(notice.at),
        alert: clean(&notice.alert),
        status: notice.status,
    });
    (marks.collect(), evidence.alerts.len().saturating_sub(EVENTS_MAX))
}

fn action_marks(evidence: &TrialEvidence, axis: Axis) -> (Vec<ActionMark>, usize) {
    let marks = evidence.actions.iter().take(EVENTS_MAX).map(|notice| ActionMark {
        at_s: axis.at(notice.at),
        actor: clean(&notice.actor),
        action: clean(&notice.action),
        target: clean(&notice.target),
    });
    (marks.collect(), evidence.actions.len().saturating_sub(EVENTS_MAX))
}

fn pulse_tracks(plan: &Plan, evidence: &TrialEvidence, axis: Axis) -> (Vec<PulseTrack>, usize) {
    let is_probe = |signal: &SignalId| {
        let of_it = |plan: &&harness_core::plan::SignalPlan| &plan.id == signal;
        let source = plan.signals.iter().find(of_it).map(|plan| &plan.source);
        matches!(source, Some(SourcePlan::Probe { .. }))
    };
    let mut left_out = 0;
    let observed: BTreeMap<_, _> =
        evidence.observations.iter().filter(|(signal, _)| is_probe(signal)).collect();
    let track = |(signal, looks): (&SignalId, &Vec<Observation>)| {
        let mut spans = pulse_spans(looks, axis);
        left_out += spans.len().saturating_sub(EVENTS_MAX);
        spans.truncate(EVENTS_MAX);
        PulseTrack { signal: SignalId::new(clean(signal.as_str())), spans }
    };
    let tracks = observed.into_iter().map(track).collect();
    (tracks, left_out)
}

fn pulse_spans(looks: &[Observation], axis: Axis) -> Vec<PulseSpan> {
    let mut spans: Vec<PulseSpan> = Vec::new();
    for look in looks {
        let (at, pulse) = match look {
            Observation::Value { at, value, .. } if *value > 0.5 => (*at, Pulse::Ok),
            Observation::Value { at, .. } => (*at, Pulse::Failed),
            Observation::Gap { at, .. } => (*at, Pulse::Gap),
        };
        let at_s = axis.at(at);
        if let Some(last) = spans.last_mut() {
            last.to_s = at_s;
            if last.pulse == pulse {
                continue;
            }
        }
        spans.push(PulseSpan { from_s: at_s, to_s: at_s, pulse });
    }
    spans
}
