//! Charts as inline SVG. Colours come from the page's style by class; every mark has a shape of its
//! own, and every chart a text that says the same.

pub(super) mod interval;
mod pen;
mod scale;
pub(super) mod strip;
pub(super) mod symbols;
pub(super) mod timeline;

use maud::{Markup, PreEscaped};

use crate::numbers::trimmed;

/// A coordinate: a tenth of a unit is finer than anyone sees.
fn xy(value: f64) -> String {
    trimmed(value, 1)
}

/// A path's data; digits, letters and spaces only.
fn path(class: &str, data: &str) -> Markup {
    PreEscaped(format!(r#"<path class="{class}" d="{data}"/>"#))
}

/// A straight line.
fn line(class: &str, from: (f64, f64), to: (f64, f64)) -> Markup {
    let data = format!("M{} {}L{} {}", xy(from.0), xy(from.1), xy(to.0), xy(to.1));
    path(class, &data)
}
