//! What the system's automation did in one trial: acts, stays quiet, acts just once, releases, acts
//! only where it may, never does what it must not.
//!
//! Every action is one that the system itself recorded. While its record could not be read, nothing
//! that was not seen is known to be absent; what was seen was done.

use std::time::Duration as StdDuration;

use stats::automation::{Action, ExactlyOnce, Wanted, exactly_once};
use stats::recovery::{Interval, first_event};

use super::case::{Case, Found, Value, state_of};
use super::words;
use crate::ids::FaultId;
use crate::plan::{AutomationRule, FaultInstant, SourcePlan};
use crate::signal::{ActionNotice, Observation};
use crate::time::RunTime;
use crate::units::Duration;
use crate::verdict::TrialState;

/// What the trial shows of a rule.
pub(super) fn automation(case: Case<'_>, actor: &str, rule: &AutomationRule) -> Found {
    match rule {
        AutomationRule::Acts { action, target, fault, within } => {
            let one = |notice: &&ActionNotice| {
                notice.action == *action && target.as_ref().is_none_or(|t| *t == notice.target)
            };
            timed(case, fault, FaultInstant::Effective, *within, actions(case, actor).filter(one))
        }
        AutomationRule::Releases { action, fault, within } => {
            let one = |notice: &&ActionNotice| notice.action == *action;
            timed(case, fault, FaultInstant::Reverted, *within, actions(case, actor).filter(one))
        }
        AutomationRule::StaysQuiet { action } => {
            let one = |notice: &&ActionNotice| action.as_ref().is_none_or(|a| *a == notice.action);
            absent(case, actions(case, actor).filter(one))
        }
        AutomationRule::Only { targets } => {
            let one = |notice: &&ActionNotice| !targets.contains(&notice.target);
            absent(case, actions(case, actor).filter(one))
        }
        AutomationRule::Never { actions: forbidden } => {
            let one = |notice: &&ActionNotice| forbidden.contains(&notice.action);
            absent(case, actions(case, actor).filter(one))
        }
        AutomationRule::ExactlyOnce { action, target, fault } => {
            once(case, actor, action, target.as_deref(), fault)
        }
        AutomationRule::ObeysKillSwitch { switch: fault, actions }
        | AutomationRule::HoldsWhenBlind { fault, actions } => {
            still(case, actor, fault, actions.as_deref())
        }
    }
}

/// A violation of what must never happen, if the rule is about that and there is one.
pub(super) fn violation(case: Case<'_>, actor: &str, rule: &AutomationRule) -> Option<Found> {
    let found = match rule {
        AutomationRule::Never { actions: forbidden } => {
            let one = |notice: &&ActionNotice| forbidden.contains(&notice.action);
            seen(actions(case, actor).filter(one))
        }
        AutomationRule::ObeysKillSwitch { switch, actions } => {
            let (from, to) = in_force(case, switch)?;
            seen(done_between(case, actor, actions.as_deref(), from, to))
        }
        AutomationRule::Acts { .. }
        | AutomationRule::StaysQuiet { .. }
        | AutomationRule::ExactlyOnce { .. }
        | AutomationRule::Releases { .. }
        | AutomationRule::Only { .. }
        | AutomationRule::HoldsWhenBlind { .. } => return None,
    };
    Some(found).filter(|found| found.state == TrialState::Bad)
}

/// Nothing of this kind was done while a fault was surely in force.
fn still(case: Case<'_>, actor: &str, fault: &FaultId, unwanted: Option<&[String]>) -> Found {
    if case.is_placebo() {
        return Found::excluded("a placebo has nothing to hold still for");
    }
    let Some((from, to)) = in_force(case, fault) else {
        return Found::ambiguous(format!("{fault} was not seen in force"));
    };
    let found = seen(done_between(case, actor, unwanted, from, to));
    match (found.state, blind_between(case, from, to)) {
        (TrialState::Ok, Some(because)) => Found::ambiguous(because),
        (_, _) => found,
    }
}

/// From when a fault was seen in force to when its end was begun: from then on it may be gone. With
/// a revert that never began, to the end of what one saw.
fn in_force(case: Case<'_>, fault: &FaultId) -> Option<(RunTime, RunTime)> {
    let from = case.instant(fault, FaultInstant::Effective)?;
    let to = case.instant(fault, FaultInstant::Revert).or_else(|| case.observed_until())?;
    Some((from, to))
}

fn done_between<'a>(
    case: Case<'a>,
    actor: &'a str,
    unwanted: Option<&'a [String]>,
    from: RunTime,
    to: RunTime,
) -> impl Iterator<Item = &'a ActionNotice> + 'a {
    actions(case, actor)
        .filter(move |notice| (from..to).contains(&notice.at))
        .filter(move |notice| unwanted.is_none_or(|unwanted| unwanted.contains(&notice.action)))
}

fn actions<'a>(case: Case<'a>, actor: &'a str) -> impl Iterator<Item = &'a ActionNotice> + 'a {
    case.trial.actions.iter().filter(move |notice| notice.actor == actor)
}

/// The first of these actions comes in time after an instant of a fault.
fn timed<'a>(
    case: Case<'a>,
    fault: &FaultId,
    from: FaultInstant,
    within: Duration,
    wanted: impl Iterator<Item = &'a ActionNotice>,
) -> Found {
    if case.is_placebo() {
        return Found::excluded("a placebo has nothing to act on");
    }
    let Some(clock) = case.instant(fault, from) else {
        return Found::ambiguous(format!("{fault}.{} was not seen", words::instant(from)));
    };
    let Some(until) = case.observed_until() else {
        return Found::ambiguous("it is not known how long one looked");
    };
    // An automation may be quicker than the witness, but not than the injection.
    let earliest = match from {
        FaultInstant::Effective => case.instant(fault, FaultInstant::Inject).unwrap_or(clock),
        FaultInstant::Inject | FaultInstant::Revert | FaultInstant::Reverted => clock,
    };
    if let Some(because) = blind(case, earliest) {
        return Found::ambiguous(because);
    }
    let times =
        wanted.filter(|notice| notice.at >= earliest).map(|notice| run_time(notice.at.max(clock)));
    let took = first_event(times, run_time(clock), run_time(until));
    let Interval { lower, upper } = took;
    let secs = upper.unwrap_or(lower).as_secs_f64();
    let (value, because) = if upper.is_some() {
        (Value::At(secs), format!("acted after {}", words::seconds(secs)))
    } else {
        let looked = words::seconds(secs);
        (Value::Beyond(secs), format!("did not act in the {looked} that one looked"))
    };
    Found::new(state_of(took.within(within.as_std())), value, because)
}

/// None of these actions was done all through the trial.
fn absent<'a>(case: Case<'a>, unwanted: impl Iterator<Item = &'a ActionNotice>) -> Found {
    let found = seen(unwanted);
    match (found.state, blind(case, case.trial.began)) {
        (TrialState::Ok, Some(because)) => Found::ambiguous(because),
        (_, _) => found,
    }
}

/// What was done of what is unwanted.
fn seen<'a>(unwanted: impl Iterator<Item = &'a ActionNotice>) -> Found {
    let unwanted: Vec<&ActionNotice> = unwanted.collect();
    let value = Value::At(unwanted.len() as f64);
    match unwanted.first() {
        None => Found::new(TrialState::Ok, value, "nothing unwanted was done"),
        Some(first) => {
            let more = match unwanted.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            let because = format!("{} {} {}{more}", first.actor, first.action, first.target);
            Found::new(TrialState::Bad, value, because)
        }
    }
}

/// Just one such action, from the injection on.
fn once(case: Case<'_>, actor: &str, action: &str, target: Option<&str>, fault: &FaultId) -> Found {
    if case.is_placebo() {
        return Found::excluded("a placebo has nothing to act on");
    }
    let instant = case.instant(fault, FaultInstant::Inject);
    let (Some(inject), Some(until)) = (instant, case.observed_until()) else {
        return Found::ambiguous(format!("{fault}.inject was not seen"));
    };
    if let Some(because) = blind(case, case.trial.began) {
        return Found::ambiguous(because);
    }
    let all: Vec<Action<'_>> = actions(case, actor)
        .map(|notice| Action {
            at: run_time(notice.at),
            name: &notice.action,
            // Any target is right when none is asked for.
            target: target.map_or("", |_| notice.target.as_str()),
            succeeded: true,
        })
        .collect();
    let wanted = Wanted {
        name: action,
        target: target.unwrap_or(""),
        from: run_time(inject),
        until: run_time(until),
    };
    let kind = exactly_once(&all, &wanted);
    let count = all.iter().filter(|one| one.name == action).count();
    let because = match kind {
        ExactlyOnce::Ok => format!("{action} was done once"),
        ExactlyOnce::Missed | ExactlyOnce::Failed => format!("{action} was not done"),
        ExactlyOnce::Duplicate => format!("{action} was done {}", words::times(count)),
        ExactlyOnce::WrongTargetOrTime => {
            format!("{action} was done elsewhere or before the fault")
        }
    };
    Found::new(state_of(kind.state()), Value::At(count as f64), because)
}

/// Why it is not known what was done from this time on.
fn blind(case: Case<'_>, from: RunTime) -> Option<String> {
    blind_between(case, from, RunTime::from_nanos(u64::MAX))
}

/// Why it is not known what was done between two times. A record that could not be read shortly
/// after may hide what was done before, so the first look after the end counts, too.
fn blind_between(case: Case<'_>, from: RunTime, to: RunTime) -> Option<String> {
    let mut records = case
        .plan
        .signals
        .iter()
        .filter_map(|signal| match &signal.source {
            SourcePlan::Actions { every } => Some((&signal.id, *every)),
            SourcePlan::Probe { .. }
            | SourcePlan::Alerts { .. }
            | SourcePlan::Pages { .. }
            | SourcePlan::Spend { .. } => None,
        })
        .peekable();
    if records.peek().is_none() {
        return Some("the plan has no source of actions".to_owned());
    }
    records.find_map(|(record, every)| {
        let seen = case.trial.observations.get(record)?;
        // Two periods: a look may have been under way at the end.
        let until = to.nanos().saturating_add(every.micros().saturating_mul(2000));
        let within = |at: RunTime| at >= from && at.nanos() <= until;
        seen.iter().find_map(|observation| match observation {
            Observation::Gap { at, why, .. } if within(*at) => {
                Some(format!("{record} could not be read: {why}"))
            }
            Observation::Gap { .. } | Observation::Value { .. } => None,
        })
    })
}

fn run_time(at: RunTime) -> StdDuration {
    StdDuration::from_nanos(at.nanos())
}
