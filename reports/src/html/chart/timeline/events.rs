//! The lanes of a timeline that show happenings: probes, alerts, actions of automation.

use harness_core::signal::AlertStatus;
use maud::{Markup, html};

use super::super::symbols::mark;
use super::super::{line, xy};
use super::{Canvas, LEFT, RIGHT};
use crate::model::{AlertMark, Pulse, TrialReport};
use crate::numbers::seconds;

const ROW_HEIGHT: f64 = 22.0;
/// Above the first row of each group: its name.
const GROUP_HEIGHT: f64 = 26.0;
/// At most this many rows per group; the table of events has all.
const ROWS_MAX: usize = 8;
/// At most this many characters fit beside a row.
const NAME_CHARS_MAX: usize = 21;
const MARK: f64 = 13.0;

pub(super) fn sentinels(canvas: &mut Canvas, trial: &TrialReport) -> Markup {
    let tracks: Vec<_> = trial.sentinels.iter().take(ROWS_MAX).collect();
    html! {
        @if !tracks.is_empty() { (group(canvas, "Probes")) }
        @for track in tracks {
            @let top = canvas.take(ROW_HEIGHT);
            (label(top, track.signal.as_str()))
            @for span in &track.spans {
                @let from = canvas.time.at(span.from_s);
                @let to = canvas.time.at(span.to_s);
                @let (class, word, height) = pulse(span.pulse);
                rect class=(class) x=(xy(from)) y=(xy(top + 11.0 - height / 2.0))
                    width=(xy((to - from).max(1.5))) height=(height) {
                    title { (track.signal) " " (word) " from " (seconds(span.from_s)) }
                }
            }
        }
    }
}

/// Ok is a thin line, failed a thick one, nothing known a hatched one: told apart without colour.
const fn pulse(pulse: Pulse) -> (&'static str, &'static str, f64) {
    match pulse {
        Pulse::Ok => ("pulse-ok", "ok", 3.0),
        Pulse::Failed => ("pulse-failed", "failed", 11.0),
        Pulse::Gap => ("pulse-gap", "unknown", 11.0),
    }
}

pub(super) fn alerts(canvas: &mut Canvas, trial: &TrialReport) -> Markup {
    let mut names: Vec<&str> = trial.alerts.iter().map(|alert| alert.alert.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    html! {
        @if !names.is_empty() { (group(canvas, "Alerts")) }
        @for name in names.iter().take(ROWS_MAX) {
            @let top = canvas.take(ROW_HEIGHT);
            (label(top, name))
            @let of_it = trial.alerts.iter().filter(|alert| alert.alert == *name);
            (alert_row(canvas, top, &of_it.collect::<Vec<_>>()))
        }
    }
}

/// A line from firing to resolved, and a mark for each delivery.
fn alert_row(canvas: &Canvas, top: f64, alerts: &[&AlertMark]) -> Markup {
    let y = top + 11.0;
    let mut firing: Option<f64> = None;
    let mut spans = Vec::new();
    for alert in alerts {
        match alert.status {
            AlertStatus::Firing => firing = firing.or(Some(alert.at_s)),
            AlertStatus::Resolved => {
                spans.extend(firing.take().map(|from| (from, alert.at_s)));
            }
        }
    }
    spans.extend(firing.map(|from| (from, canvas.time.values.1)));
    html! {
        @for (from, to) in spans {
            (line("alerting", (canvas.time.at(from), y), (canvas.time.at(to), y)))
        }
        @for alert in alerts {
            @let (shape, word) = match alert.status {
                AlertStatus::Firing => ("firing", "fires"),
                AlertStatus::Resolved => ("resolved", "is resolved"),
            };
            @let text = format!("{} {word} at {}", alert.alert, seconds(alert.at_s));
            (mark(shape, "alert", (canvas.time.at(alert.at_s), y), MARK, &text))
        }
    }
}

pub(super) fn actions(canvas: &mut Canvas, trial: &TrialReport) -> Markup {
    let mut kinds: Vec<(&str, &str)> = Vec::new();
    for action in &trial.actions {
        let kind = (action.actor.as_str(), action.action.as_str());
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    html! {
        @if !kinds.is_empty() { (group(canvas, "Automation")) }
        @for (actor, did) in kinds.iter().take(ROWS_MAX) {
            @let top = canvas.take(ROW_HEIGHT);
            (label(top, &format!("{actor}: {did}")))
            (line("grid", (LEFT, top + 11.0), (RIGHT, top + 11.0)))
            @for action in &trial.actions {
                @if action.actor == *actor && action.action == *did {
                    @let at = (canvas.time.at(action.at_s), top + 11.0);
                    @let when = seconds(action.at_s);
                    @let text = format!("{actor}: {did} {} at {when}", action.target);
                    (mark("act", "action", at, MARK, &text))
                }
            }
        }
    }
}

/// The name of a group, above its first row.
fn group(canvas: &mut Canvas, name: &str) -> Markup {
    let top = canvas.take(GROUP_HEIGHT);
    html! { text class="name" x="0" y=(xy(top + 21.0)) { (name) } }
}

fn label(top: f64, name: &str) -> Markup {
    html! {
        text class="label row" x="0" y=(xy(top + 15.0)) { (short(name)) title { (name) } }
    }
}

/// As much of a name as fits beside a row.
pub(super) fn short(name: &str) -> String {
    if name.chars().count() <= NAME_CHARS_MAX {
        return name.to_owned();
    }
    name.chars().take(NAME_CHARS_MAX - 1).chain(['…']).collect()
}
