//! The formats, their names, and what a caller may choose about them.

use std::fmt;
use std::str::FromStr;

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// For a terminal.
    Text,
    /// The whole model, for programs.
    Json,
    /// One test case per expectation, for pipelines.
    Junit,
    /// For a comment on a change, or the summary of a pipeline's job.
    Markdown,
    /// One self-contained page.
    Html,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Text, Self::Json, Self::Junit, Self::Markdown, Self::Html];

    /// The name in scenarios and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Junit => "junit",
            Self::Markdown => "markdown",
            Self::Html => "html",
        }
    }

    /// The file in a run's directory.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Text => "report.txt",
            Self::Json => "report.json",
            Self::Junit => "report.junit.xml",
            Self::Markdown => "report.md",
            Self::Html => "report.html",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let named = Self::ALL.into_iter().find(|format| format.name() == text);
        named.ok_or_else(|| UnknownFormat { text: text.to_owned() })
    }
}

/// Not the name of a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a report format; known: text, json, junit, markdown, html")]
pub struct UnknownFormat {
    /// What was written.
    pub text: String,
}

/// What a caller chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Columns of the terminal; text is wrapped to it, but never to less than 40.
    pub width: usize,
    /// Whether text may carry style codes.
    pub style: TextStyle,
    /// Where the page is, for the last line of the text.
    pub html_at: Option<String>,
    /// How `JUnit` tells an inconclusive expectation.
    pub junit_inconclusive: JunitInconclusive,
}

/// Whether text may carry style codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextStyle {
    /// Not a single escape sequence.
    Plain,
    /// ANSI colours and bold. They only repeat what the words say.
    Ansi,
}

/// How `JUnit` tells an inconclusive expectation; it knows success, failure, error and skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JunitInconclusive {
    /// `<failure type="inconclusive">`: what is not proven does not turn a pipeline green.
    Failure,
    /// `<error type="inconclusive">`, for tools that show the two apart.
    Error,
    /// `<skipped>`, for pipelines that look at the exit code.
    Skipped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
        }
        assert!("pdf".parse::<Format>().unwrap_err().to_string().contains("`pdf`"));
    }
}
