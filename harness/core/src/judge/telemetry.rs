//! Whether a probe's observations arrived. Here the telemetry is the subject: what is missing is
//! bad, and only a probe whose period is unknown cannot be told.

use stats::telemetry::completeness;

use super::case::{Case, Found, Value};
use super::words;
use crate::ids::SignalId;
use crate::plan::{SourcePlan, WindowRange};
use crate::signal::Observation;
use crate::units::{Duration, Ratio};
use crate::verdict::TrialState;

/// Whether enough arrived, without too long a gap.
pub(super) fn telemetry(
    case: Case<'_>,
    signal: &SignalId,
    share_at_least: Ratio,
    gap_at_most: Option<Duration>,
    during: &WindowRange,
) -> Found {
    let (from, to) = match case.range(during) {
        Ok(range) => range,
        Err(found) => return found,
    };
    let Some(every) = period(case, signal) else {
        return Found::ambiguous(format!("{signal} has no period, so nothing is expected of it"));
    };
    let period = every.micros() * 1000;
    let due = to.nanos().saturating_sub(from.nanos()) / period;
    if due == 0 {
        return Found::ambiguous(format!("`{}` is shorter than the period {every}", during.text));
    }
    let seen = case.trial.observations.get(signal).map_or(&[][..], Vec::as_slice);
    let times: Vec<u64> = seen
        .iter()
        .filter_map(|observation| match observation {
            Observation::Value { at, .. } if (from..to).contains(at) => Some(at.nanos()),
            Observation::Value { .. } | Observation::Gap { .. } => None,
        })
        .collect();
    // Numbered by the period from the first one on, so that a little lateness moves no number.
    let first = times.first().copied().unwrap_or(0);
    let before = first.saturating_sub(from.nanos()) / period;
    let numbers: Vec<u64> = times
        .iter()
        .map(|at| 1 + before + (at.saturating_sub(first) + period / 2) / period)
        .collect();
    let arrived = completeness(&numbers, due);
    let gap = Duration::from(arrived.longest_gap(every.as_std()));
    let received = arrived.received;
    let enough = share_at_least.is_reached_by(received.part, received.whole);
    let steady = gap_at_most.is_none_or(|most| gap <= most);
    let state = if enough && steady { TrialState::Ok } else { TrialState::Bad };
    let share = received.ratio().unwrap_or(0.0);
    let because = format!(
        "{} of {} arrived, {} at most without one",
        words::share(share),
        words::count(due, "observation"),
        words::seconds(gap.secs_f64())
    );
    Found::new(state, Value::At(share), because)
}

fn period(case: Case<'_>, signal: &SignalId) -> Option<Duration> {
    let planned = case.plan.signals.iter().find(|planned| &planned.id == signal)?;
    match &planned.source {
        SourcePlan::Probe { every, .. } if every.micros() > 0 => Some(*every),
        SourcePlan::Probe { .. }
        | SourcePlan::Alerts { .. }
        | SourcePlan::Actions { .. }
        | SourcePlan::Pages { .. }
        | SourcePlan::Spend { .. } => None,
    }
}
