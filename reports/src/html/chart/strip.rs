//! The distribution of a measured quantity over trials: one mark per trial, the bound, the median.
//! A trial in which the value was not reached is an arrow at the end of what was seen, never a
//! value and never left out.

use harness_core::verdict::{Measured, TrialState};
use maud::{Markup, html};

use super::scale::Scale;
use super::symbols::{mark, of_state};
use super::{line, xy};
use crate::model::{Dot, ExpectationReport};
use crate::numbers::{bound, in_unit, spread};

const WIDTH: f64 = 400.0;
const MARGIN: f64 = 18.0;
/// Side of a mark.
const MARK: f64 = 13.0;
/// From one mark to the one above it.
const STACK: f64 = 11.5;
/// Above the marks: the label of the bound.
const TOP: f64 = 24.0;
/// Below them: ticks, the median, and their labels.
const BOTTOM: f64 = 40.0;
/// At most this many marks are stacked before they overlap.
const STACKED_MAX: usize = 9;

/// A mark before it has its place.
struct Placed<'a> {
    dot: &'a Dot,
    x: f64,
    level: usize,
    beyond: bool,
}

/// The chart; `None` where nothing was measured, or all there is to say is one number.
pub(in crate::html) fn chart(expectation: &ExpectationReport) -> Option<Markup> {
    let measured = expectation.measured.as_ref()?;
    let told = |dot: &&Dot| matches!(dot.state, TrialState::Ok | TrialState::Bad);
    let dots: Vec<&Dot> = expectation.dots.iter().filter(told).collect();
    let values: Vec<f64> = dots.iter().filter_map(|dot| dot.value.or(dot.censored_at)).collect();
    let varies = values.iter().any(|value| (value - measured.bound).abs() > f64::EPSILON);
    if !varies {
        return None;
    }
    let scale = scale(measured, &values);
    let placed = placed(&dots, &scale);
    let levels = placed.iter().map(|mark| mark.level + 1).max().unwrap_or(1).max(2);
    let base = TOP + levels as f64 * STACK + 4.0;
    Some(svg(measured, &scale, &placed, base))
}

fn scale(measured: &Measured, values: &[f64]) -> Scale {
    let all = || values.iter().copied().chain([measured.bound]);
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    let room = (MARGIN, WIDTH - MARGIN - MARK);
    if measured.unit == "ratio" && high <= 1.0 {
        let floors = [0.99, 0.95, 0.9, 0.8, 0.5];
        let floor = floors.into_iter().find(|floor| *floor < low).unwrap_or(0.0);
        return Scale::linear((floor, 1.0), room);
    }
    Scale::linear((low.min(0.0), high * 1.04), room)
}

/// Each mark at its value; marks that would cover one another are stacked.
fn placed<'a>(dots: &[&'a Dot], scale: &Scale) -> Vec<Placed<'a>> {
    let mut marks: Vec<Placed<'a>> = dots
        .iter()
        .map(|dot| {
            let beyond = dot.value.is_none();
            let x = match dot.value.or(dot.censored_at) {
                Some(value) => scale.at(value),
                None => scale.room.1 + MARK * 0.8,
            };
            Placed { dot, x, level: 0, beyond }
        })
        .collect();
    marks.sort_by(|a, b| a.x.total_cmp(&b.x));
    let mut ends = [f64::NEG_INFINITY; STACKED_MAX];
    for mark in &mut marks {
        let free = ends.iter().position(|end| mark.x >= *end);
        mark.level = free.unwrap_or(STACKED_MAX - 1);
        ends[mark.level] = mark.x + MARK * 0.8;
    }
    marks
}

fn svg(measured: &Measured, scale: &Scale, placed: &[Placed<'_>], base: f64) -> Markup {
    let height = base + BOTTOM;
    let at_bound = scale.at(measured.bound);
    let (from, to) = if measured.bound_is_upper { (at_bound, WIDTH) } else { (0.0, at_bound) };
    let side = if at_bound > WIDTH * 0.6 { "end" } else { "start" };
    let shift = if side == "end" { -5.0 } else { 5.0 };
    html! {
        svg class="chart" viewBox=(format!("0 0 {WIDTH} {height:.0}")) role="img"
            aria-label=(description(measured)) {
            rect class="beyond" x=(xy(from)) y="4" width=(xy(to - from)) height=(xy(base - 4.0)) {}
            (line("axis", (MARGIN, base), (WIDTH - MARGIN, base)))
            @for tick in scale.ticks(4) {
                (line("tick", (scale.at(tick), base), (scale.at(tick), base + 4.0)))
                text class="label middle" x=(xy(scale.at(tick))) y=(xy(base + 17.0)) {
                    (in_unit(tick, &measured.unit))
                }
            }
            (line("claim", (at_bound, 4.0), (at_bound, base + 4.0)))
            text class={ "label claimed " (side) } x=(xy(at_bound + shift)) y="15" {
                "bound: " (bound(measured))
            }
            @for placed in placed { (one(placed, measured, base)) }
            @if let Some(median) = measured.median {
                path class="median" d=(median_path(scale.at(median), base)) {}
                text class="label middle strong" x=(xy(scale.at(median))) y=(xy(base + 33.0)) {
                    "median " (in_unit(median, &measured.unit))
                }
            }
        }
    }
}

/// A small pointer from below.
fn median_path(x: f64, base: f64) -> String {
    format!("M{} {}l4 6h-8z", xy(x), xy(base + 1.0))
}

fn one(placed: &Placed<'_>, measured: &Measured, base: f64) -> Markup {
    let dot = placed.dot;
    let value = match (dot.value, dot.censored_at) {
        (Some(value), _) => in_unit(value, &measured.unit),
        (None, Some(at)) => format!("not reached, more than {}", in_unit(at, &measured.unit)),
        (None, None) => "not reached".to_owned(),
    };
    let text = format!("trial {}: {value}", dot.trial.number());
    let shape = if placed.beyond { "beyond" } else { of_state(dot.state) };
    let y = base - STACK * (placed.level as f64 + 0.5) - 1.0;
    mark(shape, of_state(dot.state), (placed.x, y), MARK, &text)
}

fn description(measured: &Measured) -> String {
    let censored = match measured.censored {
        0 => String::new(),
        count => format!("; not reached in {count}"),
    };
    format!(
        "Distribution of {} over trials: {}{censored}; bound {}",
        measured.name,
        spread(measured),
        bound(measured)
    )
}
