//! `regression`: what another expectation measures, against earlier runs of the scenario.

use harness_core::history::RUNS_MAX;
use harness_core::units::Ratio;

use crate::findings::Findings;
use crate::node::Spanned;
use crate::read::{Fields, Section};

use super::expect::Family;

pub(crate) const REGRESSION: Section = Section {
    name: "`regression`",
    keys: &["of", "byAtMost", "runs", "resetAt", "id", "confidence"],
    kinds: &[],
};

/// Fewer earlier runs decide nothing.
pub(crate) const REGRESSION_RUNS_MIN: u64 = 5;

/// `regression: {...}`.
#[derive(Debug, Clone)]
pub(crate) struct Regression {
    pub(crate) of: Spanned<String>,
    pub(crate) by_at_most: Spanned<Ratio>,
    pub(crate) runs: Option<Spanned<u64>>,
    pub(crate) reset_at: Option<Spanned<String>>,
}

pub(super) fn read(fields: &Fields<'_>, findings: &mut Findings) -> Option<Family> {
    let of = fields.text("of", findings);
    let of = fields.require("of", of, findings);
    let by_at_most = fields.quantity("byAtMost", findings);
    let by_at_most = fields.require("byAtMost", by_at_most, findings);
    let runs = fields.whole("runs", REGRESSION_RUNS_MIN..=RUNS_MAX as u64, findings);
    let reset_at = fields.text("resetAt", findings);
    Some(Family::Regression(Regression { of: of?, by_at_most: by_at_most?, runs, reset_at }))
}
