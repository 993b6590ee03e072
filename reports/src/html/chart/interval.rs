//! The share of trials in which a condition held: estimate, interval, and the claimed share.

use harness_core::verdict::Estimate;
use maud::{Markup, html};

use super::scale::Scale;
use super::{line, xy};
use crate::model::ExpectationReport;
use crate::numbers::percent;
use crate::wording;

const WIDTH: f64 = 400.0;
const MARGIN: f64 = 18.0;
const MIDDLE: f64 = 38.0;
const HEIGHT: f64 = 78.0;

pub(in crate::html) fn chart(expectation: &ExpectationReport, share: &Estimate) -> Markup {
    let scale = Scale::linear((0.0, 1.0), (MARGIN, WIDTH - MARGIN));
    let (lower, upper) = (scale.at(share.lower), scale.at(share.upper));
    let told = format!("Share of trials in which it held: {}", wording::share(expectation));
    html! {
        svg class="chart" viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(told) {
            (line("axis", (MARGIN, MIDDLE), (WIDTH - MARGIN, MIDDLE)))
            @for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
                (line("tick", (scale.at(tick), MIDDLE - 3.0), (scale.at(tick), MIDDLE + 3.0)))
                text class="label middle" x=(xy(scale.at(tick))) y=(MIDDLE + 32.0) {
                    (percent(tick))
                }
            }
            @if expectation.confidence.is_some() {
                rect class="interval" x=(xy(lower)) y=(MIDDLE - 7.0)
                    width=(xy((upper - lower).max(1.0))) height="14" rx="3" {}
            }
            @if let Some(claim) = expectation.in_at_least {
                (line("claim", (scale.at(claim), 18.0), (scale.at(claim), MIDDLE + 15.0)))
                text class=(anchored("label claimed", claim)) x=(xy(scale.at(claim))) y="12" {
                    "claim: at least " (percent(claim))
                }
            }
            circle class="estimate" cx=(xy(scale.at(share.value))) cy=(MIDDLE) r="5" {}
        }
    }
}

/// A label near an end of the axis reads towards its middle.
fn anchored(class: &str, share: f64) -> String {
    let side = match share {
        share if share > 0.7 => "end",
        share if share < 0.3 => "start",
        _ => "middle",
    };
    format!("{class} {side}")
}
