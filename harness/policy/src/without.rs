//! A build without Rego: rules that a scenario names cannot be asked, which is a refusal.

use crate::{Answer, PolicyError, Question, Source, Tested};

/// Errors when there are rules beside our own; the typed limits of the core hold in any case.
pub fn ask(sources: &[Source], _question: &Question<'_>) -> Result<Answer, PolicyError> {
    let own = crate::default_rules();
    if sources.iter().all(|source| *source == own) {
        return Ok(Answer::default());
    }
    Err(PolicyError::Unsupported)
}

/// Always errors.
pub fn test(_sources: &[Source]) -> Result<Vec<Tested>, PolicyError> {
    Err(PolicyError::Unsupported)
}
