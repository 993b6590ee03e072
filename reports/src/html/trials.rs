//! Every trial on its time axis: the one that tells most is open, the others are folded away.

use harness_core::ids::TrialIndex;
use harness_core::signal::AlertStatus;
use harness_core::verdict::TrialState;
use maud::{Markup, html};

use super::chart::symbols::{inline, of_state};
use super::chart::timeline::{Frame, chart};
use crate::model::{ExpectationReport, FaultSpan, Report, TrialReport, Zero};
use crate::numbers::{seconds, trimmed};
use crate::wording::{self, sentence};

/// The element of a trial, for links to it.
pub(super) fn anchor(trial: TrialIndex) -> String {
    format!("trial-{}", trial.number())
}

pub(super) fn section(report: &Report) -> Markup {
    let frame = Frame::of(report);
    let telling = report.telling_trial();
    let others: Vec<&TrialReport> = report
        .trials
        .iter()
        .filter(|trial| telling.is_none_or(|telling| telling.trial != trial.trial))
        .collect();
    html! {
        section aria-labelledby="trials" {
            h2 id="trials" { "Trials" }
            @if let Some(trial) = telling {
                p class="lead" {
                    "Trial " (trial.trial.number())
                    " tells most. Time runs from left to right, the same in \
                     every row; the vertical scales are the same in all trials. The signs beside a \
                     trial say how it went for each expectation, in their order."
                }
                div class="trial" id=(anchor(trial.trial)) {
                    h3 { (title(trial)) (said(report, trial)) }
                    (body(trial, &frame))
                }
            } @else {
                p { "No trial was begun." }
            }
            @if !others.is_empty() {
                h3 class="others" { "The other trials" }
                @for trial in others {
                    details class="trial" {
                        summary { (title(trial)) (said(report, trial)) }
                        div id=(anchor(trial.trial)) { (body(trial, &frame)) }
                    }
                }
            }
        }
    }
}

fn title(trial: &TrialReport) -> Markup {
    html! {
        "Trial " (trial.trial.number()) " "
        span class="quiet" { "· " (trial.arm) " · " (in_short(trial)) }
    }
}

/// What the trial said about each expectation, in their order.
fn said(report: &Report, trial: &TrialReport) -> Markup {
    let dot = |expectation: &ExpectationReport| -> Option<(TrialState, String)> {
        let dot = expectation.dots.iter().find(|dot| dot.trial == trial.trial)?;
        Some((dot.state, format!("{}: {}", expectation.condition, wording::state_word(dot.state))))
    };
    let dots: Vec<(TrialState, String)> = report.expectations.iter().filter_map(dot).collect();
    html! {
        @if !dots.is_empty() {
            span class="said" {
                @for (state, text) in &dots {
                    span role="img" title=(text) aria-label=(text) {
                        (inline(of_state(*state), of_state(*state)))
                    }
                }
            }
        }
    }
}

fn in_short(trial: &TrialReport) -> String {
    match trial.invalid.first() {
        None => "valid".to_owned(),
        Some(invalid) => format!("invalid: {}", invalid.reason.label()),
    }
}

fn body(trial: &TrialReport, frame: &Frame) -> Markup {
    html! {
        @for invalid in &trial.invalid { p class="invalid" { (sentence(&invalid.because)) } }
        @for fault in &trial.faults { (instants(trial, fault)) }
        @match chart(trial, frame) {
            Some(chart) => {
                div class="scroll" tabindex="0" role="region"
                    aria-label=(format!("timeline of trial {}", trial.trial.number())) { (chart) }
            }
            None => p { "Nothing was recorded in this trial." },
        }
        @if let Some(load) = &trial.load {
            p class="note" {
                (load.sent) " of " (load.due) " requests sent; send lag p99 "
                (seconds(load.lag_ms_p99 / 1e3)) ", largest " (seconds(load.lag_ms_max / 1e3)) "."
                @if load.paused_s > 0.0 {
                    " The client itself stood still for " (seconds(load.paused_s)) " in all."
                }
            }
            @if !load.traces.is_empty() {
                p class="note" { "To look up in the system's own tracing, by trace id:" }
                ul class="note" {
                    @for trace in &load.traces {
                        li {
                            code { (trace.trace_id) } " " (trace.kind) " at "
                            (seconds(trace.due_s)) ": " (trace.outcome) " after "
                            (seconds(trace.latency_ms / 1e3))
                        }
                    }
                }
            }
        }
        (events(trial))
    }
}

/// `inject 0 s → effective +180 ms → revert +3 s → reverted +3.24 s`
fn instants(trial: &TrialReport, fault: &FaultSpan) -> Markup {
    let all = if trial.placebo {
        vec![("would begin at", fault.inject_s), ("would end at", fault.revert_s)]
    } else {
        instants_of(fault).to_vec()
    };
    html! {
        p class="instants" {
            strong { (fault.fault) }
            @if trial.placebo { span class="quiet" { " (placebo: nothing is injected)" } }
            @for (name, at) in all {
                span class="instant" {
                    (name) " "
                    @match at {
                        Some(at) => b { (seconds(at)) },
                        None => b class="never" { "never seen" },
                    }
                }
            }
        }
    }
}

const fn instants_of(fault: &FaultSpan) -> [(&'static str, Option<f64>); 4] {
    [
        ("inject", fault.inject_s),
        ("effective", fault.effective_s),
        ("revert", fault.revert_s),
        ("reverted", fault.reverted_s),
    ]
}

/// All that happened, in the order of time, for those who cannot or will not read the chart.
fn events(trial: &TrialReport) -> Markup {
    let mut rows: Vec<(f64, String)> = Vec::new();
    for phase in &trial.phases {
        rows.push((phase.from_s, format!("phase {} begins", phase.phase.name())));
    }
    let kind = if trial.placebo { "placebo for fault" } else { "fault" };
    for fault in &trial.faults {
        for (name, at) in instants_of(fault) {
            rows.extend(at.map(|at| (at, format!("{kind} {}: {name}", fault.fault))));
        }
    }
    for alert in &trial.alerts {
        let word = match alert.status {
            AlertStatus::Firing => "fires",
            AlertStatus::Resolved => "is resolved",
        };
        rows.push((alert.at_s, format!("alert {} {word}", alert.alert)));
    }
    for action in &trial.actions {
        let told = format!("{}: {} {}", action.actor, action.action, action.target);
        rows.push((action.at_s, told));
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let zero = if trial.zero == Zero::Injection { "the injection" } else { "the start" };
    html! {
        @if !rows.is_empty() {
            details class="events" {
                summary { "What happened, as a table" }
                div class="scroll" {
                    table {
                        thead {
                            tr {
                                th scope="col" class="number" { "Seconds from " (zero) }
                                th scope="col" { "What" }
                            }
                        }
                        tbody {
                            @for (at, what) in &rows {
                                tr { td class="number" { (trimmed(*at, 3)) } td { (what) } }
                            }
                        }
                    }
                }
                @if trial.left_out > 0 {
                    p class="note" { (trial.left_out) " more were left out." }
                }
            }
        }
    }
}
