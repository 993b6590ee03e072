//! Collects diagnostics, and finds the name that was most likely meant.

use harness_core::diag::{Diagnostic, Severity, Span};

/// No more diagnostics than this are kept of one text.
pub const FINDINGS_MAX: usize = 100;

/// One diagnostic while it is put together.
#[derive(Debug)]
#[must_use = "a finding is only told when it is pushed"]
pub(crate) struct Finding(Diagnostic);

impl Finding {
    /// An error: nothing is started.
    pub(crate) fn error(code: &str, span: Span, message: impl Into<String>) -> Self {
        Self(Diagnostic {
            code: code.to_owned(),
            severity: Severity::Error,
            message: message.into(),
            span,
            label: String::new(),
            hint: String::new(),
            related: Vec::new(),
        })
    }

    /// A warning: it can run, but probably does not say what was meant.
    pub(crate) fn warning(code: &str, span: Span, message: impl Into<String>) -> Self {
        let mut finding = Self::error(code, span, message);
        finding.0.severity = Severity::Warning;
        finding
    }

    /// A few words under the place.
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.0.label = label.into();
        self
    }

    /// How to mend it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = hint.into();
        self
    }

    /// Another place that matters.
    pub(crate) fn related(mut self, span: Span, words: impl Into<String>) -> Self {
        self.0.related.push((span, words.into()));
        self
    }
}

/// All diagnostics of one text, in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Diagnostic>,
}

impl Findings {
    /// Keeps a diagnostic; the same one only once.
    pub(crate) fn push(&mut self, finding: Finding) {
        if self.list.len() < FINDINGS_MAX && !self.list.contains(&finding.0) {
            self.list.push(finding.0);
        }
    }

    /// Whether nothing may be started.
    pub(crate) fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.list.len()
    }

    /// All of them in the order of the text.
    pub(crate) fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|diagnostic| (diagnostic.span, diagnostic.code.clone()));
        self.list
    }
}

/// The hint for a word that is not known: the nearest known one, else all of them.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => String::new(),
        None => format!("known are {}", listed(&known)),
    }
}

/// Names as a list for people: `` `a`, `b` ``.
pub(crate) fn listed<S: AsRef<str>>(names: &[S]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// The known word within a third of its length of edits, capital letters aside.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .iter()
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), *candidate))
        .filter(|(edits, candidate)| *edits <= candidate.chars().count().div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, taken out, replaced or swapped with their neighbour: the
/// restricted Damerau-Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered() {
        let known = ["baseline", "fault", "recovery", "all"];
        for (word, hint) in [
            ("falut", "did you mean `fault`?"),
            ("Fault", "did you mean `fault`?"),
            ("recover", "did you mean `recovery`?"),
            ("tomorrow", "known are `baseline`, `fault`, `recovery`, `all`"),
        ] {
            assert_eq!(did_you_mean(word, known), hint);
        }
    }

    #[test]
    fn distances() {
        for (a, b, edits) in [("", "abc", 3), ("ab", "ba", 1), ("kitten", "sitting", 3)] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }
}
