//! Style codes for a terminal, or none at all.

use harness_core::verdict::Outcome;
use tabled::settings::Color;

use crate::format::TextStyle;

/// Puts style codes around text when they were asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    style: TextStyle,
}

impl Paint {
    pub(super) const fn new(style: TextStyle) -> Self {
        Self { style }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(super) fn outcome(self, text: &str, outcome: Outcome) -> String {
        self.with(code(outcome), text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self.style {
            TextStyle::Plain => text.to_owned(),
            TextStyle::Ansi => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

/// Bold green, yellow, red.
const fn code(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "1;32",
        Outcome::Inconclusive => "1;33",
        Outcome::Fail => "1;31",
    }
}

/// The same for a cell of a table, which counts widths itself.
pub(super) const fn table_colour(outcome: Outcome) -> Color {
    match outcome {
        Outcome::Pass => Color::FG_GREEN,
        Outcome::Inconclusive => Color::FG_YELLOW,
        Outcome::Fail => Color::FG_RED,
    }
}
