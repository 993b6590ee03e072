//! A trial on one time axis: phases, faults, load, success, latency, probes, alerts, automation.
//! The vertical scales are the same for all trials of a report, so that trials can be compared.

mod events;
mod lanes;
mod spend;

use maud::{Markup, html};

use super::scale::Scale;
use super::{line, xy};
use crate::model::{FaultSpan, Report, TrialReport, Zero};
use crate::numbers::{percent, seconds};

const WIDTH: f64 = 900.0;
const LEFT: f64 = 148.0;
const RIGHT: f64 = 888.0;
const PHASES_HEIGHT: f64 = 22.0;
const AXIS_HEIGHT: f64 = 40.0;

/// Scales that all trials of a report share.
#[derive(Debug, Clone, Copy)]
pub(in crate::html) struct Frame {
    rate_max: f64,
    success_floor: f64,
    latency_ms: (f64, f64),
    success_bound: Option<f64>,
    latency_ms_bound: Option<f64>,
    spend_max: f64,
    spend_bound: Option<f64>,
}

impl Frame {
    pub(in crate::html) fn of(report: &Report) -> Self {
        let mut rate_max: f64 = 1.0;
        let mut success_min: f64 = 1.0;
        let mut latency_ms = (f64::INFINITY, 0.0_f64);
        for series in report.trials.iter().map(|trial| &trial.series) {
            for (planned, good) in series.planned.iter().zip(&series.good) {
                rate_max = rate_max.max(*planned as f64 / series.step_s);
                if *planned > 0 {
                    success_min = success_min.min(*good as f64 / *planned as f64);
                }
            }
            for value in series.latency_ms_p50.iter().chain(&series.latency_ms_p99).flatten() {
                latency_ms = (latency_ms.0.min(*value), latency_ms.1.max(*value));
            }
        }
        let bound = |family: &str| {
            let of_family = report.expectations.iter().find(|e| e.family == family)?;
            of_family.measured.as_ref().map(|measured| measured.bound)
        };
        let success_bound = bound("successRate");
        let least = success_bound.unwrap_or(1.0).min(success_min);
        let spend_bound = report.expectations.iter().find_map(|expectation| {
            let measured = expectation.measured.as_ref()?;
            let is_rate = expectation.family == "cost" && measured.unit.ends_with("/s");
            is_rate.then_some(measured.bound)
        });
        let spends = report.trials.iter().flat_map(|trial| &trial.spend);
        let rates = spends.flat_map(|track| track.per_second.iter().flatten().copied());
        let floors = [0.99, 0.95, 0.9, 0.75, 0.5];
        Self {
            rate_max: rate_max * 1.05,
            success_floor: floors.into_iter().find(|floor| *floor < least).unwrap_or(0.0),
            latency_ms,
            success_bound,
            latency_ms_bound: bound("latency").map(|seconds| seconds * 1e3),
            spend_max: rates.fold(spend_bound.unwrap_or(0.0), f64::max).max(1e-6) * 1.1,
            spend_bound,
        }
    }

    /// Latency over decades is shown by ratio.
    fn latency_scale(&self, room: (f64, f64)) -> Scale {
        let (low, high) = self.latency_ms;
        let high = high.max(self.latency_ms_bound.unwrap_or(0.0)).max(1.0) * 1.1;
        if low > 0.0 && low.is_finite() && high / low > 20.0 {
            return Scale::logarithmic((low * 0.8, high), room);
        }
        Scale::linear((0.0, high), room)
    }
}

/// Where the next lane begins, and the time axis of all lanes.
struct Canvas {
    time: Scale,
    y: f64,
}

impl Canvas {
    /// Takes so much height; returns where it begins.
    fn take(&mut self, height: f64) -> f64 {
        let top = self.y;
        self.y += height;
        top
    }
}

/// The chart; `None` for a trial of which nothing was seen.
pub(in crate::html) fn chart(trial: &TrialReport, frame: &Frame) -> Option<Markup> {
    let time = Scale::linear(extent(trial)?, (LEFT, RIGHT));
    let mut canvas = Canvas { time, y: 0.0 };
    let phases_top = canvas.take(PHASES_HEIGHT);
    let faults: Vec<Markup> =
        trial.faults.iter().map(|fault| lanes::fault(&mut canvas, fault, trial.placebo)).collect();
    let lanes = html! {
        (lanes::load(&mut canvas, trial, frame))
        (lanes::success(&mut canvas, trial, frame))
        (lanes::latency(&mut canvas, trial, frame))
        (spend::spend(&mut canvas, trial, frame))
        (events::sentinels(&mut canvas, trial))
        (events::alerts(&mut canvas, trial))
        (events::actions(&mut canvas, trial))
    };
    let bottom = canvas.y;
    let height = bottom + AXIS_HEIGHT;
    let name = format!("Trial {} of arm {}", trial.trial.number(), trial.arm);
    let markup = html! {
        svg class="chart timeline" viewBox=(format!("0 0 {WIDTH} {height:.0}")) role="img"
            aria-label=(format!("{name}. {}", description(trial))) {
            (shades(trial, &time, bottom))
            (lanes::phases(trial, &time, phases_top, bottom))
            @for fault in &faults { (fault) }
            (lanes)
            (axis(trial, &time, bottom))
        }
    };
    Some(markup)
}

/// First and last instant that anything is known of.
fn extent(trial: &TrialReport) -> Option<(f64, f64)> {
    let series = &trial.series;
    let windows = series.at_s.iter().flat_map(|at| [*at, at + series.step_s]);
    let phases = trial.phases.iter().flat_map(|phase| [Some(phase.from_s), phase.to_s]).flatten();
    let known: Vec<f64> = windows.chain(phases).collect();
    let first = known.iter().copied().reduce(f64::min)?;
    let last = known.iter().copied().reduce(f64::max)?;
    (last > first).then_some((first, last))
}

/// The fault behind all lanes: shaded while it was seen in force, hatched while that is not known,
/// to the end of the trial when it was never seen to be gone.
fn shades(trial: &TrialReport, time: &Scale, bottom: f64) -> Markup {
    let top = PHASES_HEIGHT;
    let shade = |class: &str, from: Option<f64>, to: Option<f64>| {
        let (Some(from), Some(to)) = (from, to) else { return html! {} };
        let (from, to) = (time.at(from), time.at(to));
        html! {
            rect class=(class) x=(xy(from)) y=(top) width=(xy((to - from).max(0.0)))
                height=(xy(bottom - top)) {}
        }
    };
    let one = |fault: &FaultSpan| {
        let revert = fault.revert_s.or(Some(time.values.1));
        html! {
            (shade("in-force", fault.effective_s, revert))
            (shade("between", fault.inject_s, fault.effective_s.or(revert)))
            (shade("between", fault.revert_s, fault.reverted_s.or(Some(time.values.1))))
        }
    };
    html! { @if !trial.placebo { @for fault in &trial.faults { (one(fault)) } } }
}

fn axis(trial: &TrialReport, time: &Scale, bottom: f64) -> Markup {
    let from = match (trial.zero, trial.placebo) {
        (Zero::Injection, false) => "seconds from the injection",
        (Zero::Injection, true) => "seconds from where the injection would have been",
        (Zero::TrialStart, _) => "seconds from the start of the trial",
    };
    html! {
        (line("axis", (LEFT, bottom), (RIGHT, bottom)))
        @for tick in time.ticks(10) {
            (line("tick", (time.at(tick), bottom), (time.at(tick), bottom + 4.0)))
            text class="label middle" x=(xy(time.at(tick))) y=(xy(bottom + 16.0)) {
                (crate::numbers::trimmed(tick, 2))
            }
        }
        text class="label end" x=(RIGHT) y=(xy(bottom + 34.0)) { (from) }
    }
}

/// What the chart shows, in a sentence.
fn description(trial: &TrialReport) -> String {
    let series = &trial.series;
    let shares = series.planned.iter().zip(&series.good).zip(&series.at_s);
    let lowest = shares
        .filter(|((planned, _), _)| **planned > 0)
        .map(|((planned, good), at)| (*good as f64 / *planned as f64, *at))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    let success = match lowest {
        Some((share, at)) => {
            format!("Success is lowest with {} at {}", percent(share), seconds(at))
        }
        None => "No requests were seen".to_owned(),
    };
    let slowest = series.latency_ms_p99.iter().flatten().copied().fold(0.0, f64::max);
    format!(
        "{success}; the highest p99 latency of good requests is {}; {} alert notices, {} actions \
         of automation.",
        seconds(slowest / 1e3),
        trial.alerts.len(),
        trial.actions.len()
    )
}
