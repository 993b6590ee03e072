//! Shapes that are used many times: defined once on the page, then referred to.

use harness_core::verdict::TrialState;
use maud::{Markup, PreEscaped, html};

/// Must stand on the page once, before all charts.
pub(in crate::html) fn definitions() -> Markup {
    // A constant of ours; nothing from outside is in it.
    PreEscaped(
        concat!(
            r#"<svg class="definitions" width="0" height="0" aria-hidden="true"><defs>"#,
            r#"<symbol id="s-ok" viewBox="-8 -8 16 16"><circle r="5.5"/></symbol>"#,
            r#"<symbol id="s-bad" viewBox="-8 -8 16 16"><path d="M-5 -5L5 5M5 -5L-5 5"/></symbol>"#,
            r#"<symbol id="s-ambiguous" viewBox="-8 -8 16 16">"#,
            r#"<path d="M0 -5.5L5.8 4.8H-5.8Z"/></symbol>"#,
            r#"<symbol id="s-excluded" viewBox="-8 -8 16 16"><circle r="5"/></symbol>"#,
            r#"<symbol id="s-beyond" viewBox="-8 -8 16 16">"#,
            r#"<path d="M-4 -5.5L5.5 0L-4 5.5Z"/></symbol>"#,
            r#"<symbol id="s-act" viewBox="-8 -8 16 16"><path d="M0 -6L6 0L0 6L-6 0Z"/></symbol>"#,
            r#"<symbol id="s-firing" viewBox="-8 -8 16 16"><path d="M0 -6L6 5H-6Z"/></symbol>"#,
            r#"<symbol id="s-resolved" viewBox="-8 -8 16 16"><path d="M0 6L6 -5H-6Z"/></symbol>"#,
            r#"<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" "#,
            r#"patternTransform="rotate(45)"><path class="hatch" d="M0 0V6"/></pattern>"#,
            "</defs></svg>",
        )
        .to_owned(),
    )
}

/// The class and the shape of a state.
pub(in crate::html) const fn of_state(state: TrialState) -> &'static str {
    match state {
        TrialState::Ok => "ok",
        TrialState::Bad => "bad",
        TrialState::Ambiguous => "ambiguous",
        TrialState::Excluded => "excluded",
    }
}

/// A shape inside a chart, centred there, with a text for those who point at it.
pub(super) fn mark(shape: &str, class: &str, at: (f64, f64), size: f64, text: &str) -> Markup {
    let (x, y) = (super::xy(at.0 - size / 2.0), super::xy(at.1 - size / 2.0));
    html! {
        use href={ "#s-" (shape) } class={ "s " (class) } x=(x) y=(y) width=(size) height=(size) {
            title { (text) }
        }
    }
}

/// A shape in running text.
pub(in crate::html) fn inline(shape: &str, class: &str) -> Markup {
    html! {
        svg class={ "s " (class) } width="15" height="15" aria-hidden="true" {
            use href={ "#s-" (shape) } {}
        }
    }
}
