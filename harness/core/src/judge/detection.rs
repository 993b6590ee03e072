//! Alerts of one trial: fires in time, pages the right number of times, resolves in time; or stays
//! silent all through.
//!
//! What counts is the delivery at the receiver. An alert that fires already when the fault is
//! injected excludes the trial: nothing could be detected.

use std::collections::BTreeSet;
use std::time::Duration as StdDuration;

use stats::decision::State;
use stats::recovery::{Interval, first_event};

use super::case::{Case, Found, Value, state_of};
use super::words;
use crate::ids::{FaultId, SignalId};
use crate::plan::{FaultInstant, SourcePlan};
use crate::signal::{AlertNotice, AlertStatus, Observation};
use crate::time::RunTime;
use crate::units::Duration;
use crate::verdict::TrialState;

/// What the alert must do.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) alert: &'a str,
    pub(super) fault: &'a FaultId,
    pub(super) within: Duration,
    pub(super) pages_exactly: Option<u32>,
    pub(super) resolves_within: Option<Duration>,
    pub(super) through: Option<&'a SignalId>,
}

/// Whether the alert did it.
pub(super) fn detection(case: Case<'_>, wanted: &Wanted<'_>) -> Found {
    if case.is_placebo() {
        return Found::excluded("a placebo has nothing to detect");
    }
    let not_seen = |what: &str| Found::ambiguous(format!("{} was not seen {what}", wanted.fault));
    let instant = |which| case.instant(wanted.fault, which);
    let Some(inject) = instant(FaultInstant::Inject) else {
        return not_seen("to be injected");
    };
    let Some(effective) = instant(FaultInstant::Effective) else {
        return not_seen("in force");
    };
    let Some(until) = case.observed_until() else {
        return Found::ambiguous("it is not known how long one looked");
    };
    if fires_at(notices(case, wanted.alert, wanted.through), inject) {
        return Found::excluded(format!("{} fired already before the fault", wanted.alert));
    }
    if let Some(because) = blind(case, wanted.through, inject) {
        return Found::ambiguous(because);
    }
    let firing: Vec<RunTime> = notices(case, wanted.alert, wanted.through)
        .filter(|notice| notice.status == AlertStatus::Firing && notice.at >= inject)
        .map(|notice| notice.at)
        .collect();
    // An alert that is quicker than the witness took no time.
    let times = firing.iter().map(|at| run_time((*at).max(effective)));
    let took = first_event(times, run_time(effective), run_time(until));
    let mut parts = vec![fired(took, wanted)];
    if let Some(exactly) = wanted.pages_exactly {
        // One delivery is one page, however many series of the alert it carries.
        let pages: BTreeSet<_> = firing.iter().collect();
        parts.push(paged(pages.len(), exactly));
    }
    if let Some(within) = wanted.resolves_within {
        let Some(reverted) = instant(FaultInstant::Reverted) else {
            return not_seen("to be put back");
        };
        parts.push(resolved(case, wanted, within, [reverted, until]));
    }
    let value = match took.upper {
        Some(upper) => Value::At(upper.as_secs_f64()),
        None => Value::Beyond(took.lower.as_secs_f64()),
    };
    let state = worst(parts.iter().map(|(state, _)| *state));
    let because: Vec<String> = parts.into_iter().map(|(_, words)| words).collect();
    Found::new(state_of(state), value, because.join(", "))
}

/// Whether the alert stayed silent all through the trial.
pub(super) fn quiet(case: Case<'_>, alert: &str) -> Found {
    let told = notices(case, alert, None);
    let firing = told.filter(|notice| notice.status == AlertStatus::Firing).count();
    let value = Value::At(firing as f64);
    if firing > 0 {
        let because = format!("{alert} fired {}", words::times(firing));
        return Found::new(TrialState::Bad, value, because);
    }
    match blind(case, None, case.trial.began) {
        Some(because) => Found::ambiguous(because),
        None => Found::new(TrialState::Ok, value, format!("{alert} stayed silent")),
    }
}

/// The deliveries of an alert, as one signal tells them, or as the run's own receivers do.
fn notices<'a>(
    case: Case<'a>,
    alert: &'a str,
    through: Option<&'a SignalId>,
) -> impl Iterator<Item = &'a AlertNotice> + 'a {
    let is_meant = move |notice: &&AlertNotice| match through {
        Some(signal) => &notice.signal == signal,
        None => !is_pager(case, &notice.signal),
    };
    case.trial.alerts.iter().filter(move |notice| notice.alert == alert).filter(is_meant)
}

/// Whether a signal tells what arrived at the system's own pager.
fn is_pager(case: Case<'_>, signal: &SignalId) -> bool {
    let planned = case.plan.signals.iter().find(|planned| &planned.id == signal);
    planned.is_some_and(|planned| match &planned.source {
        SourcePlan::Pages { .. } => true,
        SourcePlan::Probe { .. }
        | SourcePlan::Alerts { .. }
        | SourcePlan::Actions { .. }
        | SourcePlan::Spend { .. } => false,
    })
}

/// Whether any series of the alert fires at this time, by what was delivered before it.
fn fires_at<'a>(notices: impl Iterator<Item = &'a AlertNotice>, at: RunTime) -> bool {
    let mut firing = BTreeSet::new();
    for notice in notices.filter(|notice| notice.at < at) {
        match notice.status {
            AlertStatus::Firing => firing.insert(&notice.fingerprint),
            AlertStatus::Resolved => firing.remove(&notice.fingerprint),
        };
    }
    !firing.is_empty()
}

fn fired(took: Interval, wanted: &Wanted<'_>) -> (State, String) {
    let state = took.within(wanted.within.as_std());
    let words = match took.upper {
        Some(upper) => {
            format!("{} fired after {}", wanted.alert, words::seconds(upper.as_secs_f64()))
        }
        None => format!(
            "{} did not fire in the {} that one looked",
            wanted.alert,
            words::seconds(took.lower.as_secs_f64())
        ),
    };
    (state, words)
}

fn paged(pages: usize, exactly: u32) -> (State, String) {
    let right = u64::from(exactly) == pages as u64;
    (if right { State::Ok } else { State::Bad }, format!("paged {}", words::times(pages)))
}

/// Whether the alert's end was delivered in time: every series that fired has ended, the last one
/// within `within` of the first of the two times, seen until the second.
fn resolved(
    case: Case<'_>,
    wanted: &Wanted<'_>,
    within: Duration,
    [reverted, until]: [RunTime; 2],
) -> (State, String) {
    let mut firing = BTreeSet::new();
    let mut ended = None;
    for notice in notices(case, wanted.alert, wanted.through) {
        match notice.status {
            AlertStatus::Firing => {
                firing.insert(&notice.fingerprint);
            }
            AlertStatus::Resolved => {
                if firing.remove(&notice.fingerprint) {
                    ended = Some(notice.at);
                }
            }
        }
    }
    let ended = ended.filter(|_| firing.is_empty()).map(|at| run_time(at.max(reverted)));
    let took = first_event(ended, run_time(reverted), run_time(until));
    let words = match took.upper {
        Some(upper) => {
            format!("resolved {} after the fault was gone", words::seconds(upper.as_secs_f64()))
        }
        None => "did not resolve while one looked".to_owned(),
    };
    (took.within(within.as_std()), words)
}

/// Why it is not known what was delivered from this time on: silence of a receiver that could not
/// be reached is no silence of the alert.
fn blind(case: Case<'_>, through: Option<&SignalId>, from: RunTime) -> Option<String> {
    let mut receivers = case.plan.signals.iter().filter(|signal| match (&signal.source, through) {
        (SourcePlan::Alerts { .. } | SourcePlan::Pages { .. }, Some(meant)) => &signal.id == meant,
        (SourcePlan::Alerts { .. }, None) => true,
        (
            SourcePlan::Pages { .. }
            | SourcePlan::Probe { .. }
            | SourcePlan::Actions { .. }
            | SourcePlan::Spend { .. },
            _,
        ) => false,
    });
    receivers.find_map(|receiver| {
        let seen = case.trial.observations.get(&receiver.id)?;
        seen.iter().find_map(|observation| match observation {
            Observation::Gap { at, why, .. } if *at >= from => {
                Some(format!("{} was not reached: {why}", receiver.id))
            }
            Observation::Gap { .. } | Observation::Value { .. } => None,
        })
    })
}

/// The worst of several parts that must all hold.
fn worst(states: impl Iterator<Item = State>) -> State {
    let rank = |state: &State| match state {
        State::Ok => 0,
        State::Ambiguous => 1,
        State::Bad => 2,
    };
    states.max_by_key(rank).unwrap_or(State::Ok)
}

fn run_time(at: RunTime) -> StdDuration {
    StdDuration::from_nanos(at.nanos())
}
