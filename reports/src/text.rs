//! The terminal: verdict first, then the expectations, then what a reader needs to act on.
//! Writes no style code unless it was asked to, and never says anything by colour alone.

use std::fmt::Write as _;

use harness_core::verdict::Outcome;
use tabled::builder::Builder;
use tabled::settings::object::Rows;
use tabled::settings::{Alignment, Color, Modify, Style};

use crate::clean::clean;
use crate::format::{Options, TextStyle};
use crate::model::{ExpectationReport, Report};
use crate::{numbers, wording};

mod paint;
mod wrap;

use paint::Paint;
pub use wrap::wrapped;

/// Below this many columns text is no longer wrapped narrower.
const WIDTH_MIN: usize = 40;
/// Above this many columns lines become hard to read.
const WIDTH_MAX: usize = 120;
/// At most this many invalid trials are told one by one.
const INVALID_TOLD_MAX: usize = 10;
/// Below this many columns the table is left out; all that it says is said below it, too.
const TABLE_WIDTH_MIN: usize = 76;
/// `? INCONCLUSIVE`.
const VERDICT_WIDTH: usize = 14;
/// Width of the names before facts.
const NAME_WIDTH: usize = 11;

pub(crate) fn render(report: &Report, options: &Options) -> String {
    let width = options.width.clamp(WIDTH_MIN, WIDTH_MAX);
    let paint = Paint::new(options.style);
    let mut out = String::new();
    head(&mut out, report, width, paint);
    leftovers(&mut out, report, width, paint);
    facts(&mut out, report, width, paint);
    if let Some(table) = table(report, width, options.style) {
        line(&mut out, &format!("\n{table}"));
    }
    for expectation in &report.expectations {
        self::expectation(&mut out, expectation, width, paint);
    }
    invalid(&mut out, report, width, paint);
    foot(&mut out, report, width, options, paint);
    out
}

fn head(out: &mut String, report: &Report, width: usize, paint: Paint) {
    let headline = &report.headline;
    let label = paint.outcome(&headline.label, headline_outcome(report));
    let title = wrapped(&report.scenario.title, width, headline.label.chars().count() + 2);
    line(out, &format!("{label}  {}", paint.bold(title.trim_start())));
    line(out, &wrapped(&headline.because, width, 0));
}

/// A run that did not end plainly is never shown as passed.
fn headline_outcome(report: &Report) -> Outcome {
    match report.headline.exit_code {
        harness_core::exit::PASS => Outcome::Pass,
        harness_core::exit::INCONCLUSIVE => Outcome::Inconclusive,
        _ => Outcome::Fail,
    }
}

fn leftovers(out: &mut String, report: &Report, width: usize, paint: Paint) {
    if report.leftovers.is_empty() {
        return;
    }
    out.push('\n');
    let count = report.leftovers.len();
    let noun = if count == 1 { "fault is" } else { "faults are" };
    let told = format!("{count} {noun} not proven to be put back:");
    line(out, &paint.outcome(&wrapped(&told, width, 0), Outcome::Fail));
    for owed in &report.leftovers {
        let what = format!("- {} ({}) of trial {}", owed.fault, owed.kind, owed.trial.number());
        line(out, &format!("  {}", wrapped(&what, width, 4).trim_start()));
    }
    line(out, &format!("  put back and check: {}", paint.bold(&report.undo)));
}

fn facts(out: &mut String, report: &Report, width: usize, paint: Paint) {
    out.push('\n');
    let setting = &report.setting;
    let plan = format!(
        "{}, seed {}, gameday {}",
        wording::short_hash(&setting.plan_sha256),
        setting.seed,
        report.run.gameday
    );
    let trials = format!("{}; {}", wording::arms(&setting.arms), wording::validity(report));
    for (name, value) in [
        ("run", format!("{}, started {}", report.run.run, report.run.started)),
        ("attacked", wording::attacked(report)),
        ("load", setting.load.clone()),
        ("trials", trials),
        ("pass means", setting.pass_means.clone()),
        ("plan", plan),
    ] {
        fact(out, name, &value, width, paint);
    }
}

fn fact(out: &mut String, name: &str, value: &str, width: usize, paint: Paint) {
    let name = paint.dim(&format!("{name:NAME_WIDTH$}"));
    line(out, &format!("{name} {}", wrapped(value, width, NAME_WIDTH + 1).trim_start()));
}

fn verbatim(out: &mut String, name: &str, value: &str, paint: Paint) {
    let name = paint.dim(&format!("{name:NAME_WIDTH$}"));
    line(out, &format!("{name} {value}"));
}

/// A table whose lines are exactly so wide; `None` where a terminal is too narrow for one.
fn table(report: &Report, width: usize, style: TextStyle) -> Option<String> {
    if report.expectations.is_empty() || width < TABLE_WIDTH_MIN {
        return None;
    }
    // Four cells, each with a border and a space on either side, and the last border.
    let room = width - VERDICT_WIDTH - 13;
    let (share, measured) = (room * 3 / 10, room * 3 / 10);
    let condition = room - share - measured;
    let mut builder = Builder::default();
    builder.push_record(["verdict", "expectation", "share of trials", "measured"]);
    for expectation in &report.expectations {
        let verdict = wording::outcome_sign(expectation.outcome).to_string();
        let spread = expectation.measured.as_ref().map_or_else(String::new, numbers::spread);
        builder.push_record([
            format!("{verdict} {}", expectation.outcome.label()),
            wrapped(&expectation.condition, condition, 0),
            wrapped(&wording::share(expectation), share, 0),
            wrapped(&spread, measured, 0),
        ]);
    }
    let mut table = builder.build();
    table.with(Style::rounded()).with(Alignment::left());
    if style == TextStyle::Ansi {
        for (row, expectation) in report.expectations.iter().enumerate() {
            let colour = paint::table_colour(expectation.outcome);
            table.with(Modify::new((row + 1, 0)).with(colour));
        }
        table.with(Modify::new(Rows::first()).with(Color::BOLD));
    }
    Some(table.to_string())
}

fn expectation(out: &mut String, expectation: &ExpectationReport, width: usize, paint: Paint) {
    out.push('\n');
    let label = paint.outcome(expectation.outcome.label(), expectation.outcome);
    line(out, &format!("{}: {label}", paint.bold(expectation.id.as_str())));
    let dots: String = expectation.dots.iter().map(|dot| wording::sign(dot.state)).collect();
    let counted = if dots.is_empty() {
        wording::counts(&expectation.counts)
    } else {
        format!("{dots}  {}", wording::counts(&expectation.counts))
    };
    let placebo = expectation.placebo.map(|counts| wording::counts(&counts));
    indented(out, "condition", &expectation.condition, width, paint);
    indented(out, "share", &wording::share(expectation), width, paint);
    indented(out, "trials", &counted, width, paint);
    if let Some(placebo) = placebo {
        indented(out, "placebo", &format!("{placebo} (counted, not judged)"), width, paint);
    }
    if let Some(measured) = &expectation.measured {
        let value = format!(
            "{}: {}; bound {}",
            measured.name,
            numbers::spread(measured),
            numbers::bound(measured)
        );
        indented(out, "measured", &value, width, paint);
    }
    indented(out, "why", &expectation.because, width, paint);
    indented(out, "to change", &expectation.change, width, paint);
}

fn indented(out: &mut String, name: &str, value: &str, width: usize, paint: Paint) {
    let name = paint.dim(&format!("{name:9}"));
    line(out, &format!("  {name} {}", wrapped(value, width, 12).trim_start()));
}

fn invalid(out: &mut String, report: &Report, width: usize, paint: Paint) {
    if report.validity.trials.is_empty() {
        return;
    }
    out.push('\n');
    line(out, &paint.bold(&wrapped(&format!("{}:", wording::validity(report)), width, 0)));
    for trial in report.validity.trials.iter().take(INVALID_TOLD_MAX) {
        let why: Vec<&str> = trial.invalid.iter().map(|invalid| invalid.because.as_str()).collect();
        let told = format!(
            "trial {} ({}), {}: {}",
            trial.trial.number(),
            trial.arm,
            wording::invalid_counts_as(&trial.invalid),
            why.join("; ")
        );
        line(out, &format!("  {}", wrapped(&told, width, 4).trim_start()));
    }
    let more = report.validity.trials.len().saturating_sub(INVALID_TOLD_MAX);
    if more > 0 {
        line(out, &format!("  and {} more", wording::trials(more)));
    }
}

fn foot(out: &mut String, report: &Report, width: usize, options: &Options, paint: Paint) {
    out.push('\n');
    let exit = format!("{} ({})", report.headline.exit_code, report.headline.exit_meaning);
    fact(out, "exit code", &exit, width, paint);
    // What is copied to a command line is not broken into lines.
    verbatim(out, "repeat", &report.run.repeat, paint);
    if let Some(html) = &options.html_at {
        verbatim(out, "report", &clean(html), paint);
    }
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{}", text.trim_end()).expect("writing to a string cannot fail");
}
