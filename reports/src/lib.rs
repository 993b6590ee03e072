//! Reports: one model of a run, then one file per format. Pure: takes plan, evidence and verdict,
//! gives text; writes no file, asks no clock, decides nothing.
//!
//! ```text
//! Report::new(&plan, &evidence, &verdict, &facts) ─▶ render(Format::Html, &report, &options)
//! ```

mod clean;
mod format;
mod html;
mod json;
mod junit;
mod markdown;
mod model;
mod numbers;
mod text;
mod wording;

pub use format::{Format, JunitInconclusive, Options, TextStyle, UnknownFormat};
pub use model::{
    ActionMark, AlertMark, ArmCount, Dot, EVENTS_MAX, ExpectationReport, FORMAT, FaultSpan,
    FaultWords, Headline, InvalidTrial, LeftoverReport, LoadFacts, POINTS_MAX, PhaseSpan, Pulse,
    PulseSpan, PulseTrack, Report, RunFacts, Series, Setting, SpendTrack, TraceFacts, TrialReport,
    ValidityReport, Zero,
};
pub use text::wrapped;

/// The report in this format; always UTF-8 and ending with a line break.
pub fn render(format: Format, report: &Report, options: &Options) -> String {
    match format {
        Format::Text => text::render(report, options),
        Format::Json => json::render(report),
        Format::Junit => junit::render(report, options.junit_inconclusive),
        Format::Markdown => markdown::render(report),
        Format::Html => html::render(report),
    }
}
