//! A command that could not do its work: what was tried, why not, how to mend it, exit code.

use std::error::Error;

use harness_core::exit;

use crate::output;

/// Why a command ends without its result.
#[derive(Debug)]
pub(crate) struct Failure {
    /// One of `harness_core::exit`.
    pub(crate) code: u8,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// The user's command line or file is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: exit::USAGE, message: message.into(), hint: None }
    }

    /// Not ready, or refused.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self { code: exit::REFUSED, message: message.into(), hint: None }
    }

    /// With an exit code of its own.
    pub(crate) fn with_code(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// Something could not be put back.
    pub(crate) fn leftovers(message: impl Into<String>) -> Self {
        Self { code: exit::LEFTOVERS, message: message.into(), hint: None }
    }

    /// `could not ACTION: error: its causes`, as a refusal.
    pub(crate) fn could_not(action: &str, error: &dyn Error) -> Self {
        let mut message = format!("could not {action}: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            message += &format!(": {cause}");
            source = cause.source();
        }
        Self::refused(message)
    }

    /// Adds how to mend it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Prints it. An empty message was printed before (diagnostics).
    pub(crate) fn tell(&self) {
        if self.message.is_empty() {
            return;
        }
        output::tell(&format!("gameday: {}", self.message));
        if let Some(hint) = &self.hint {
            output::tell(&format!("  hint: {hint}"));
        }
    }

    /// Everything was said already.
    pub(crate) const fn said(code: u8) -> Self {
        Self { code, message: String::new(), hint: None }
    }
}
