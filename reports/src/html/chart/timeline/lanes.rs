//! The lanes of a timeline that show amounts: phases, faults, load, success, latency.

use maud::{Markup, html};

use super::super::pen::Pen;
use super::super::scale::Scale;
use super::super::{line, path, xy};
use super::{Canvas, Frame, LEFT, RIGHT};
use crate::model::{FaultSpan, Series, TrialReport};
use crate::numbers::{percent, seconds, trimmed};

const FAULT_HEIGHT: f64 = 24.0;
const LOAD_HEIGHT: f64 = 66.0;
const SUCCESS_HEIGHT: f64 = 82.0;
const LATENCY_HEIGHT: f64 = 112.0;
/// Between a lane's top and what it shows.
const PAD: f64 = 16.0;
/// A phase narrower than this has no room for its name.
const PHASE_NAME_MIN: f64 = 38.0;

pub(super) fn phases(trial: &TrialReport, time: &Scale, top: f64, bottom: f64) -> Markup {
    html! {
        @for phase in &trial.phases {
            @let from = time.at(phase.from_s);
            @let to = time.at(phase.to_s.unwrap_or(time.values.1));
            (line("phase", (from, top), (from, bottom)))
            @if to - from >= PHASE_NAME_MIN {
                text class="label" x=(xy(from + 5.0)) y=(xy(top + 14.0)) { (phase.phase.name()) }
            }
        }
        text class="name" x="0" y=(xy(top + 14.0)) { "Phase" }
    }
}

/// One fault: thin while it comes and goes, thick while it is in force.
pub(super) fn fault(canvas: &mut Canvas, fault: &FaultSpan, placebo: bool) -> Markup {
    let top = canvas.take(FAULT_HEIGHT);
    let time = canvas.time;
    let end = Some(time.values.1);
    let bar = |class: &str, from: Option<f64>, to: Option<f64>, height: f64| {
        let (Some(from), Some(to)) = (from, to) else { return html! {} };
        let (from, to) = (time.at(from), time.at(to));
        html! {
            rect class=(class) x=(xy(from)) y=(xy(top + 12.0 - height / 2.0))
                width=(xy((to - from).max(1.0))) height=(height) rx="1.5" {}
        }
    };
    let gone = fault.reverted_s.or(end);
    let name = if placebo { "Placebo" } else { "Fault" };
    html! {
        text class="name" x="0" y=(xy(top + 16.0)) {
            (name) " " tspan class="detail" { (super::events::short(fault.fault.as_str())) }
        }
        @if placebo {
            (bar("bar-placebo", fault.inject_s, gone, 8.0))
        } @else {
            (bar("bar-between", fault.inject_s, gone, 4.0))
            (bar("bar-in-force", fault.effective_s, fault.revert_s.or(end), 12.0))
        }
    }
}

pub(super) fn load(canvas: &mut Canvas, trial: &TrialReport, frame: &Frame) -> Markup {
    let top = canvas.take(LOAD_HEIGHT);
    let scale = Scale::linear((0.0, frame.rate_max), (top + LOAD_HEIGHT, top + PAD));
    let series = &trial.series;
    let rate = |counts: &[u64]| -> Vec<Option<f64>> {
        counts.iter().map(|count| Some(*count as f64 / series.step_s)).collect()
    };
    let (planned, good) = (rate(&series.planned), rate(&series.good));
    html! {
        (header(top, "Load", &["requests/s", "planned and good"]))
        (grid(&scale, 3, |tick| trimmed(tick, 0)))
        (path("area-good", &steps(series, &good, &canvas.time, &scale, Close::ToAxis)))
        (path("line-planned", &steps(series, &planned, &canvas.time, &scale, Close::Open)))
        @for at in &series.paused_s {
            rect class="paused" x=(xy(canvas.time.at(*at))) y=(xy(top + PAD)) width="3"
                height=(xy(LOAD_HEIGHT - PAD)) {
                title { "the load client itself stood still" }
            }
        }
    }
}

pub(super) fn success(canvas: &mut Canvas, trial: &TrialReport, frame: &Frame) -> Markup {
    let top = canvas.take(SUCCESS_HEIGHT);
    let scale = Scale::linear((frame.success_floor, 1.0), (top + SUCCESS_HEIGHT, top + PAD));
    let series = &trial.series;
    let share =
        |(planned, good): (&u64, &u64)| (*planned > 0).then(|| *good as f64 / *planned as f64);
    let told = frame.success_bound.map(|bound| format!("expected at least {}", percent(bound)));
    let told = told.unwrap_or_default();
    let shares: Vec<Option<f64>> = series.planned.iter().zip(&series.good).map(share).collect();
    html! {
        (header(top, "Success", &["share of requests"]))
        (grid(&scale, 2, percent))
        (path("line-success", &steps(series, &shares, &canvas.time, &scale, Close::Open)))
        (bound_line(&scale, frame.success_bound, &told, 13.0))
    }
}

pub(super) fn latency(canvas: &mut Canvas, trial: &TrialReport, frame: &Frame) -> Markup {
    let top = canvas.take(LATENCY_HEIGHT);
    let scale = frame.latency_scale((top + LATENCY_HEIGHT, top + PAD));
    let series = &trial.series;
    let kind = if scale.logarithmic { "good ones, log scale" } else { "good ones" };
    let told =
        frame.latency_ms_bound.map(|bound| format!("expected at most {}", seconds(bound / 1e3)));
    let told = told.unwrap_or_default();
    html! {
        (header(top, "Latency", &[kind]))
        (legend("line-p99", top + 44.0, "p99"))
        (legend("line-p50", top + 60.0, "p50"))
        (grid(&scale, 3, |tick| seconds(tick / 1e3)))
        (path("line-p50", &points(series, &series.latency_ms_p50, &canvas.time, &scale)))
        (path("line-p99", &points(series, &series.latency_ms_p99, &canvas.time, &scale)))
        (bound_line(&scale, frame.latency_ms_bound, &told, -4.0))
    }
}

pub(super) fn header(top: f64, name: &str, details: &[&str]) -> Markup {
    html! {
        text class="name" x="0" y=(xy(top + PAD + 4.0)) { (name) }
        @for (place, detail) in details.iter().enumerate() {
            text class="label" x="0" y=(xy(top + PAD + 18.0 + 13.0 * place as f64)) { (detail) }
        }
    }
}

fn legend(class: &str, y: f64, name: &str) -> Markup {
    html! {
        (line(class, (0.0, y + 4.0), (18.0, y + 4.0)))
        text class="label" x="24" y=(xy(y + 8.0)) { (name) }
    }
}

pub(super) fn grid(scale: &Scale, about: usize, told: impl Fn(f64) -> String) -> Markup {
    html! {
        @for tick in scale.ticks(about) {
            (line("grid", (LEFT, scale.at(tick)), (RIGHT, scale.at(tick))))
            text class="label end" x=(LEFT - 7.0) y=(xy(scale.at(tick) + 4.0)) { (told(tick)) }
        }
    }
}

/// The bound of an expectation; its label stands where the line it judges should not be.
pub(super) fn bound_line(scale: &Scale, bound: Option<f64>, told: &str, label_y: f64) -> Markup {
    html! {
        @if let Some(bound) = bound {
            @let y = scale.at(bound);
            (line("bound", (LEFT, y), (RIGHT, y)))
            text class="label end claimed" x=(RIGHT - 3.0) y=(xy(y + label_y)) { (told) }
        }
    }
}

/// What happens to the ends of a path.
#[derive(Clone, Copy, PartialEq)]
enum Close {
    Open,
    ToAxis,
}

/// A value per window, level over the window; a missing value breaks the path.
fn steps(
    series: &Series,
    values: &[Option<f64>],
    time: &Scale,
    scale: &Scale,
    close: Close,
) -> String {
    let mut pen = Pen::default();
    let mut open_until: Option<f64> = None;
    let lift = |pen: &mut Pen, open_until: &mut Option<f64>| {
        let Some(until) = open_until.take() else { return };
        if close == Close::ToAxis {
            pen.draw(time.at(until), scale.room.0);
            pen.close();
        }
    };
    for (at, value) in series.at_s.iter().zip(values) {
        let Some(value) = value else {
            lift(&mut pen, &mut open_until);
            continue;
        };
        let (x, y) = (time.at(*at), scale.at(*value));
        if !open_until.is_some_and(|until| at - until < series.step_s * 0.5) {
            lift(&mut pen, &mut open_until);
            pen.go(x, if close == Close::ToAxis { scale.room.0 } else { y });
        }
        let until = at + series.step_s;
        pen.draw(x, y);
        pen.draw(time.at(until), y);
        open_until = Some(until);
    }
    lift(&mut pen, &mut open_until);
    pen.finish()
}

/// A value per window, joined from middle to middle; a missing value breaks the path.
fn points(series: &Series, values: &[Option<f64>], time: &Scale, scale: &Scale) -> String {
    let mut pen = Pen::default();
    let mut last: Option<f64> = None;
    for (at, value) in series.at_s.iter().zip(values) {
        let Some(value) = value else {
            last = None;
            continue;
        };
        let (x, y) = (time.at(at + series.step_s / 2.0), scale.at(*value));
        if last.is_some_and(|last| at - last < series.step_s * 1.5) {
            pen.draw(x, y);
        } else {
            pen.go(x, y);
        }
        last = Some(*at);
    }
    pen.finish()
}
