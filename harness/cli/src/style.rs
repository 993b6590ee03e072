//! Colour: only where a person reads it, and never as the only sign.

use std::io::IsTerminal;

use crate::args::Colour;

/// Whether to use colour, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Escape codes are written.
    pub(crate) colour: bool,
}

impl Style {
    /// For standard output.
    pub(crate) fn stdout(colour: Colour) -> Self {
        Self::decide(colour, std::io::stdout().is_terminal())
    }

    /// For standard error.
    pub(crate) fn stderr(colour: Colour) -> Self {
        Self::decide(colour, std::io::stderr().is_terminal())
    }

    #[expect(clippy::disallowed_methods, reason = "the cli reads the environment")]
    fn decide(colour: Colour, terminal: bool) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colour = match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && !set("NO_COLOR") && !dumb,
        };
        Self { colour }
    }

    /// Bold.
    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// Faint: what is there for completeness.
    pub(crate) fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// Green: fine.
    pub(crate) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// Red: not fine.
    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// Yellow: look here.
    pub(crate) fn warn(self, text: &str) -> String {
        self.wrap("33", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// The width of the terminal in columns; 100 where there is none.
pub(crate) fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .map_or(100, |size| usize::from(size.ws_col))
        .clamp(60, 160)
}
