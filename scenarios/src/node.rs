//! The tree of a document, each part with its place. Knows nothing of YAML or of scenarios.

use harness_core::diag::Span;

/// A value with the place where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spanned<T> {
    /// What was read.
    pub(crate) value: T,
    /// Where it stands.
    pub(crate) span: Span,
}

impl<T> Spanned<T> {
    pub(crate) fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl Spanned<String> {
    /// The place of a part of the text; of the whole where escapes or quotes hide it.
    pub(crate) fn part(&self, start: usize, end: usize) -> Span {
        let width = self.span.end - self.span.start;
        let lead = match width.checked_sub(self.value.len()) {
            Some(0) => 0,
            Some(2) => 1,
            _ => return self.span,
        };
        Span { start: self.span.start + lead + start, end: self.span.start + lead + end }
    }
}

/// A part of a document.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where it stands.
    pub(crate) span: Span,
    /// What it is.
    pub(crate) value: Value,
}

/// What a part of a document is.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A text, a number, a truth value or nothing; `plain` when it was written without quotes.
    Scalar {
        /// The text, escapes resolved.
        text: String,
        /// Written without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the text; keys are unique.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: Spanned<String>,
    /// Its value.
    pub(crate) node: Node,
}

impl Node {
    /// Whether nothing was written where a value belongs.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// The text of a scalar.
    pub(crate) fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The entry of this key, where this is a mapping that has one.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key.value == key),
            Value::Scalar { .. } | Value::List(_) => None,
        }
    }

    /// What it is, in words.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.value {
            _ if self.is_nothing() => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}
