//! Time to mitigate and time to restore of one trial, interval-censored and right-censored.
//!
//! Closed windows of samples are the probes, at their beginnings; for `restore` the sentinels of
//! the steady state, too. The time lies after the last probe that was bad and at or before the
//! first good one that held: the upper end decides for ok, the lower end for bad. A trial in which
//! it was not reached is never dropped and never given the length of its window.

use std::time::Duration as StdDuration;

use stats::decimal::Decimal;
use stats::latency::ThresholdCounts;
use stats::recovery::{Course, Interval, Probe, Recovery, Search, from_probes};

use super::case::{Case, Found, SEND_LAG_MAX, Value, state_of};
use super::samples::{Sum, trusted};
use super::slo::buckets;
use super::words;
use crate::evidence::WindowEvidence;
use crate::ids::{FaultId, SignalId};
use crate::plan::{FaultInstant, RecoveryTo, SteadyPlan};
use crate::signal::Observation;
use crate::time::RunTime;
use crate::units::Duration;

/// What must be reached, in what time.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) to: RecoveryTo,
    pub(super) fault: &'a FaultId,
    pub(super) from: FaultInstant,
    pub(super) within: Duration,
}

/// Whether it was reached in time.
pub(super) fn recovery(case: Case<'_>, wanted: &Wanted<'_>) -> Found {
    if case.is_placebo() {
        return Found::excluded("a placebo has nothing to recover from");
    }
    let Some(clock) = case.instant(wanted.fault, wanted.from) else {
        let instant = words::instant(wanted.from);
        return Found::ambiguous(format!("{}.{instant} was not seen", wanted.fault));
    };
    let found = match wanted.to {
        RecoveryTo::Mitigate => mitigate(case, wanted.fault, clock),
        RecoveryTo::Restore => restore(case, wanted.fault, clock),
    };
    match found {
        Ok(found) => told(found, wanted),
        Err(found) => found,
    }
}

/// The level holds up to the revert: from the first good probe after the last bad one.
fn mitigate(case: Case<'_>, fault: &FaultId, clock: RunTime) -> Result<Recovery, Found> {
    let not_seen = |what: &str| Found::ambiguous(format!("{fault} was not {what}"));
    let inject = case.instant(fault, FaultInstant::Inject).ok_or_else(|| not_seen("injected"))?;
    let revert = case.instant(fault, FaultInstant::Revert).ok_or_else(|| not_seen("reverted"))?;
    let windows = trusted(case, floor_to_window(case, inject), revert, SEND_LAG_MAX)?;
    let steady = &case.plan.steady;
    let probes: Vec<Probe> = windows
        .into_iter()
        .filter_map(|window| Some(probe(window, holds(steady, window)?)))
        .collect();
    if probes.is_empty() {
        return Err(Found::ambiguous(format!("no request was due while {fault} was in force")));
    }
    let last_bad = probes.iter().rev().find(|probe| !probe.good);
    let search = Search {
        fault_start: last_bad.map_or(StdDuration::ZERO, |probe| probe.at),
        hold: StdDuration::ZERO,
        measured_from: run_time(clock),
    };
    Ok(from_probes(&probes, &search))
}

/// The whole steady state holds after the fault is seen to be gone, for its hold time.
fn restore(case: Case<'_>, fault: &FaultId, clock: RunTime) -> Result<Recovery, Found> {
    let gone = case
        .instant(fault, FaultInstant::Reverted)
        .ok_or_else(|| Found::ambiguous(format!("{fault} was not seen to be put back")))?;
    let until = case
        .observed_until()
        .ok_or_else(|| Found::ambiguous("the end of the load is not known"))?;
    let windows = trusted(case, floor_to_window(case, gone), until, SEND_LAG_MAX)?;
    let probes = steady_probes(case, gone, until, &windows)?;
    let hold = case.plan.steady.hold.as_std();
    let search = Search { fault_start: StdDuration::ZERO, hold, measured_from: run_time(clock) };
    let recovery = from_probes(&probes, &search);
    let seen_until = probes.last().map_or(StdDuration::ZERO, |probe| probe.at);
    if recovery.course == Course::NoImpact && seen_until < run_time(gone) + hold {
        let interval = Interval { lower: StdDuration::ZERO, upper: None };
        return Ok(Recovery { course: Course::Censored, interval });
    }
    if recovery.course == Course::NoImpact {
        // It held all along: restored as soon as the fault was gone, on the clock that is asked.
        let at = run_time(gone).saturating_sub(run_time(clock));
        let interval = Interval { lower: at, upper: Some(at) };
        return Ok(Recovery { course: Course::NoImpact, interval });
    }
    Ok(recovery)
}

/// Windows and sentinels in one order. A bad look is a bad probe; a good look is a good probe when
/// all the others were good at their last look, else it says nothing.
fn steady_probes(
    case: Case<'_>,
    gone: RunTime,
    until: RunTime,
    windows: &[&WindowEvidence],
) -> Result<Vec<Probe>, Found> {
    let steady = &case.plan.steady;
    let mut looks: Vec<(RunTime, usize, bool)> = Vec::new();
    let mut latest: Vec<Option<bool>> = vec![None];
    let told = windows.iter().filter_map(|window| Some((*window, holds(steady, window)?)));
    let mut last = None;
    for (window, good) in told {
        looks.push((window.start, 0, good));
        last = Some((window.end(), 0, good));
    }
    // The last window speaks for its whole length.
    looks.extend(last);
    for (place, sentinel) in (1..).zip(&steady.sentinels) {
        let (before, after) = sentinel_looks(case, sentinel, gone, until);
        if after.is_empty() {
            return Err(Found::ambiguous(format!("{sentinel} said nothing after the revert")));
        }
        latest.push(None);
        looks.extend(before.map(|good| (gone, place, good)));
        looks.extend(after.into_iter().map(|(at, good)| (at, place, good)));
    }
    looks.sort_by_key(|(at, place, _)| (*at, *place));
    let mut probes = Vec::with_capacity(looks.len());
    for (at, place, good) in looks {
        latest[place] = Some(good);
        if !good || latest.iter().all(|state| *state == Some(true)) {
            probes.push(Probe { at: run_time(at), good });
        }
    }
    Ok(probes)
}

/// What a sentinel said last before a time, and what it said from then on. A gap is not ok.
fn sentinel_looks(
    case: Case<'_>,
    sentinel: &SignalId,
    gone: RunTime,
    until: RunTime,
) -> (Option<bool>, Vec<(RunTime, bool)>) {
    let all = case.trial.observations.get(sentinel).map_or(&[][..], Vec::as_slice);
    let looks = all.iter().map(|observation| match observation {
        Observation::Value { at, value, .. } => (*at, *value >= 1.0),
        Observation::Gap { at, .. } => (*at, false),
    });
    let (before, after): (Vec<_>, Vec<_>) =
        looks.filter(|(at, _)| *at <= until).partition(|(at, _)| *at < gone);
    (before.last().map(|(_, good)| *good), after)
}

/// Whether the service level holds in a window; `None` when no request was due in it.
pub(super) fn holds(steady: &SteadyPlan, window: &WindowEvidence) -> Option<bool> {
    let (planned, good) = window.totals();
    if planned == 0 {
        return None;
    }
    let success = steady.success_at_least.is_reached_by(good, planned);
    let Some((quantile, at_most)) = steady.latency else {
        return Some(success);
    };
    let latencies = window.kinds.values().map(|kind| &kind.latency_us).collect();
    let (buckets, lost) = buckets(&Sum { planned, good, latencies });
    let counts = ThresholdCounts::of_buckets(&buckets, lost, at_most.micros() as f64);
    let within = counts.quantile_within(Decimal::from_billionths(quantile.billionths()));
    Some(success && within == Some(stats::decision::State::Ok))
}

fn told(found: Recovery, wanted: &Wanted<'_>) -> Found {
    let Interval { lower, upper } = found.interval;
    let state = state_of(found.interval.within(wanted.within.as_std()));
    let done = match wanted.to {
        RecoveryTo::Mitigate => "mitigated",
        RecoveryTo::Restore => "restored",
    };
    let secs = |time: StdDuration| words::seconds(time.as_secs_f64());
    let (value, because) = match (found.course, upper) {
        (Course::NoImpact, Some(upper)) => {
            (Value::At(upper.as_secs_f64()), "the service level held all along".to_owned())
        }
        (Course::Recovered { relapsed }, Some(upper)) => {
            let again = if relapsed { ", and lost again later" } else { "" };
            let because = format!("{done} after {} to {}{again}", secs(lower), secs(upper));
            (Value::At(upper.as_secs_f64()), because)
        }
        (Course::Censored | Course::NoImpact | Course::Recovered { .. }, _) => (
            Value::Beyond(lower.as_secs_f64()),
            format!("not {done} while one looked; not before {}", secs(lower)),
        ),
    };
    let above = upper.map(|_| lower.as_secs_f64());
    Found { above, ..Found::new(state, value, because) }
}

fn probe(window: &WindowEvidence, good: bool) -> Probe {
    Probe { at: run_time(window.start), good }
}

fn run_time(at: RunTime) -> StdDuration {
    StdDuration::from_nanos(at.nanos())
}

/// The beginning of the window of samples that an instant lies in.
fn floor_to_window(case: Case<'_>, at: RunTime) -> RunTime {
    let windows = case.trial.windows.iter();
    windows.map(|window| window.start).rfind(|start| *start <= at).unwrap_or(at)
}
