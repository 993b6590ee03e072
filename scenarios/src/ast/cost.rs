//! `cost` under `expect`: the rate of spend, the spend for each good request, or all of it.

use harness_core::units::{Currency, Duration, Money, SpendRate};

use crate::codes;
use crate::findings::{Finding, Findings};
use crate::node::Spanned;
use crate::read::{Fields, Section};

use super::expect::Family;

pub(crate) const COST: Section = Section {
    name: "`cost`",
    keys: &[
        "grace",
        "cappedWithin",
        "of",
        "during",
        "signal",
        "id",
        "arms",
        "inAtLeast",
        "confidence",
    ],
    kinds: &["rateAtMost", "perSuccessAtMost", "totalAtMost"],
};

/// `cost: {...}`.
#[derive(Debug, Clone)]
pub(crate) struct Cost {
    pub(crate) signal: Option<Spanned<String>>,
    pub(crate) bound: SpendBound,
    pub(crate) during: Option<Spanned<String>>,
}

/// What is bounded.
#[derive(Debug, Clone)]
pub(crate) enum SpendBound {
    Rate { at_most: Spanned<SpendRate>, grace: Option<Spanned<Duration>> },
    Capped { at_most: Spanned<SpendRate>, within: Duration, of: Option<Spanned<String>> },
    PerSuccess { at_most: Spanned<Money> },
    Total { at_most: Spanned<Money> },
}

impl Cost {
    /// What its bound is in.
    pub(crate) fn currency(&self) -> Spanned<Currency> {
        match &self.bound {
            SpendBound::Rate { at_most, .. } | SpendBound::Capped { at_most, .. } => {
                Spanned::new(at_most.value.currency(), at_most.span)
            }
            SpendBound::PerSuccess { at_most } | SpendBound::Total { at_most } => {
                Spanned::new(at_most.value.currency(), at_most.span)
            }
        }
    }
}

pub(super) fn cost(fields: &Fields<'_>, findings: &mut Findings) -> Option<Family> {
    let signal = fields.text("signal", findings);
    let during = fields.text("during", findings);
    let grace = fields.positive("grace", findings);
    let within = fields.positive("cappedWithin", findings);
    let of = fields.text("of", findings);
    let entry = fields.one_of(COST.kinds, findings)?;
    let key = entry.key.value.as_str();
    let bound = if key == "rateAtMost" {
        let at_most = fields.quantity(key, findings)?;
        if let Some(within) = within {
            let why = "goes with a window, and `cappedWithin` has its own: the fault";
            misplaced(fields, &["grace", "during"], why, findings)?;
            SpendBound::Capped { at_most, within: within.value, of }
        } else {
            misplaced(fields, &["of"], "goes with `cappedWithin` only", findings)?;
            SpendBound::Rate { at_most, grace }
        }
    } else {
        let why = "goes with `rateAtMost` only";
        misplaced(fields, &["grace", "cappedWithin", "of"], why, findings)?;
        let at_most = fields.quantity(key, findings)?;
        if key == "perSuccessAtMost" {
            SpendBound::PerSuccess { at_most }
        } else {
            SpendBound::Total { at_most }
        }
    };
    Some(Family::Cost(Cost { signal, bound, during }))
}

/// Tells keys that say nothing here; `None` when there is one.
fn misplaced(fields: &Fields<'_>, keys: &[&str], why: &str, findings: &mut Findings) -> Option<()> {
    let mut good = Some(());
    for key in keys {
        if let Some(entry) = fields.entry(key) {
            let message = format!("`{key}` {why}");
            findings.push(
                Finding::error(codes::UNKNOWN_KEY, entry.key.span, message).hint("leave it out"),
            );
            good = None;
        }
    }
    good
}
