//! The board on a terminal: drawn anew a few times a second, gone when the run ends.

use harness_core::plan::Phase;
use harness_core::time::RunTime;
use harness_core::units::Duration;
use harness_core::verdict::Outcome;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::board::{Board, FaultState, Note};
use super::plain;
use crate::style::Style;

/// Columns of the bar of trials.
const BAR: usize = 30;
/// The board is not drawn more often than this.
const REDRAW: Duration = Duration::from_millis(100);

/// A drawn board.
pub(super) struct Live {
    bar: ProgressBar,
    title: String,
    drawn: RunTime,
}

impl Live {
    pub(super) fn new(title: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is a constant"));
        Self { bar, title: title.to_owned(), drawn: RunTime::START }
    }

    /// A line that stays above the board.
    pub(super) fn print(&self, line: &str) {
        self.bar.println(line);
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    pub(super) fn draw(
        &mut self,
        at: RunTime,
        board: &Board,
        standing: &[(String, Outcome)],
        style: Style,
    ) {
        if at.since(self.drawn) >= REDRAW || self.drawn == RunTime::START {
            self.drawn = at;
            self.bar.set_message(lines(&self.title, at, board, standing, style).join("\n"));
            self.bar.tick();
        }
    }
}

/// What stays on the screen: what a person must not miss.
pub(super) fn lasting(note: &Note, style: Style) -> Option<String> {
    match note {
        Note::TrialEnded(trial, arm, invalid) if !invalid.is_empty() => {
            let text =
                format!("trial {} ({arm}) not valid: {}", trial.number(), plain::words(invalid));
            Some(style.warn(&text))
        }
        Note::FaultTrouble(fault, words) => Some(style.warn(&format!("{fault}: {words}"))),
        Note::Stopping(because) => Some(style.bad(because)),
        Note::Opened
        | Note::TrialBegan(..)
        | Note::InForce(..)
        | Note::PutBack(..)
        | Note::Alert(..)
        | Note::TrialEnded(..) => None,
    }
}

fn lines(
    title: &str,
    at: RunTime,
    board: &Board,
    standing: &[(String, Outcome)],
    style: Style,
) -> Vec<String> {
    let filled = BAR * board.ended.min(board.planned) / board.planned.max(1);
    let bar = format!("{}{}", "━".repeat(filled), style.faint(&"━".repeat(BAR - filled)));
    let secs = at.since(RunTime::START).millis() / 1000;
    let mut lines = vec![
        format!(
            "{}  {bar}  {}/{} trials  {}:{:02}",
            style.bold(title),
            board.ended,
            board.planned,
            secs / 60,
            secs % 60
        ),
        format!("  {:<8} {}", "now", now(at, board, style)),
    ];
    if board.phase.is_some() {
        lines.push(format!("  {:<8} {}", "load", load(board)));
    }
    for (fault, state) in &board.faults {
        let text = match state {
            FaultState::InForce => style.bad(state.label()),
            FaultState::Owed => style.bad(&style.bold(state.label())),
            _ => state.label().to_owned(),
        };
        lines.push(format!("  {:<8} {fault} {text}", "fault"));
    }
    if !board.alerts.is_empty() {
        let names: Vec<_> = board.alerts.keys().map(String::as_str).collect();
        lines.push(format!("  {:<8} {} firing", "alerts", style.warn(&names.join(", "))));
    }
    if !standing.is_empty() {
        let parts = standing.iter().map(|(text, outcome)| mark(text, *outcome, style));
        lines.push(format!("  {:<8} {}", "so far", parts.collect::<Vec<_>>().join("  ")));
    }
    lines
}

fn now(at: RunTime, board: &Board, style: Style) -> String {
    match (&board.trial, board.phase) {
        (Some((trial, arm)), Some((phase, since))) => {
            let strip: Vec<_> = Phase::ALL
                .iter()
                .map(|one| {
                    if *one == phase {
                        let secs = at.since(since).secs_f64();
                        style.bold(&format!("{} {secs:.1}s", one.name()))
                    } else {
                        style.faint(one.name())
                    }
                })
                .collect();
            format!("trial {} ({arm})  {}", trial.number(), strip.join(" · "))
        }
        _ => board.waiting.to_owned(),
    }
}

fn load(board: &Board) -> String {
    let sum = board.load();
    let ended = sum.good + sum.bad;
    let success = if ended == 0 {
        "no answers".to_owned()
    } else {
        format!("{:.1} % good", 100.0 * sum.good as f64 / ended as f64)
    };
    format!(
        "{}/s due  {success}  p50 {:.0} ms  p99 {:.0} ms  {} in flight",
        sum.due,
        sum.latency_us_p50 as f64 / 1000.0,
        sum.latency_us_p99 as f64 / 1000.0,
        sum.in_flight
    )
}

fn mark(text: &str, outcome: Outcome, style: Style) -> String {
    match outcome {
        Outcome::Pass => style.good(&format!("✓ {text}")),
        Outcome::Inconclusive => format!("… {text}"),
        Outcome::Fail => style.bad(&format!("✗ {text}")),
    }
}
