//! Diagnostics: what is wrong with a text that a user wrote. Data only; the cli draws them.

use serde::{Deserialize, Serialize};

/// A range of bytes in a source text, `start <= end`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// The scenario can run, but probably does not say what was meant.
    Warning,
    /// Nothing is started.
    Error,
}

/// One thing that is wrong, with its place and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// Stable code: `S014`. Codes are never reused.
    pub code: String,
    /// How bad.
    pub severity: Severity,
    /// One line without a full stop: what is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
    /// A few words under the marked place; may be empty.
    pub label: String,
    /// How to mend it; may be empty.
    pub hint: String,
    /// Other places that matter, each with its words: the first use of a duplicate id.
    pub related: Vec<(Span, String)>,
}
