//! The lane of a timeline that shows the rate of spend, one for each cost feed.

use maud::{Markup, html};

use super::super::path;
use super::super::pen::Pen;
use super::super::scale::Scale;
use super::lanes::{bound_line, grid, header};
use super::{Canvas, Frame};
use crate::model::{SpendTrack, TrialReport};
use crate::numbers::trimmed;

const HEIGHT: f64 = 66.0;
/// Between the lane's top and what it shows.
const PAD: f64 = 16.0;

/// All cost feeds of a trial.
pub(super) fn spend(canvas: &mut Canvas, trial: &TrialReport, frame: &Frame) -> Markup {
    let tracks: Vec<Markup> = trial.spend.iter().map(|track| lane(canvas, track, frame)).collect();
    html! { @for track in &tracks { (track) } }
}

fn lane(canvas: &mut Canvas, track: &SpendTrack, frame: &Frame) -> Markup {
    let top = canvas.take(HEIGHT);
    let scale = Scale::linear((0.0, frame.spend_max), (top + HEIGHT, top + PAD));
    let unit = format!("{}/s", track.currency);
    let told =
        frame.spend_bound.map(|bound| format!("expected at most {} {unit}", trimmed(bound, 3)));
    let told = told.unwrap_or_default();
    let mut pen = Pen::default();
    let mut joined = false;
    for (at, rate) in track.at_s.iter().zip(&track.per_second) {
        match rate {
            Some(rate) if joined => pen.draw(canvas.time.at(*at), scale.at(*rate)),
            Some(rate) => pen.go(canvas.time.at(*at), scale.at(*rate)),
            None => {}
        }
        joined = rate.is_some();
    }
    html! {
        (header(top, "Spend", &[&unit, track.signal.as_str()]))
        (grid(&scale, 2, |tick| trimmed(tick, 2)))
        (path("line-p99", &pen.finish()))
        (bound_line(&scale, frame.spend_bound, &told, -4.0))
    }
}
