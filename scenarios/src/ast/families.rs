//! Families of `expect` about what an incident costs and leaves: the share of an error budget, a
//! latency against one without the fault, telemetry that arrives.

use harness_core::plan::Against;
use harness_core::units::{Duration, Quantile, Ratio};

use crate::codes;
use crate::findings::{Finding, Findings};
use crate::node::Spanned;
use crate::read::{Fields, Section};

use super::expect::Family;
use super::mean::{self, Over};

pub(crate) const ERROR_BUDGET: Section = Section {
    name: "`errorBudget`",
    keys: &[
        "takesAtMost",
        "mean",
        "window",
        "during",
        "of",
        "id",
        "arms",
        "inAtLeast",
        "confidence",
    ],
    kinds: &["slo", "objective"],
};
pub(crate) const DEGRADATION: Section = Section {
    name: "`degradation`",
    keys: &[
        "quantile",
        "byAtMost",
        "against",
        "during",
        "of",
        "id",
        "arms",
        "inAtLeast",
        "confidence",
    ],
    kinds: &[],
};
pub(crate) const TELEMETRY: Section = Section {
    name: "`telemetry`",
    keys: &["signal", "atLeast", "gapAtMost", "during", "id", "arms", "inAtLeast", "confidence"],
    kinds: &[],
};

/// `errorBudget: {...}`.
#[derive(Debug, Clone)]
pub(crate) struct ErrorBudget {
    pub(crate) objective: Objective,
    pub(crate) takes_at_most: Spanned<Ratio>,
    pub(crate) during: Option<Spanned<String>>,
    pub(crate) over: Over,
}

/// Either bounds what is taken in an incident, or on average.
pub(crate) const BUDGET_BOUNDS: [&str; 2] = ["takesAtMost", "mean"];

/// Whose budget it is.
#[derive(Debug, Clone)]
pub(crate) enum Objective {
    /// That of an objective under `slos`.
    Named(Spanned<String>),
    /// That of this share of good requests in this time.
    Here { share: Ratio, window: Option<Spanned<Duration>>, of: Option<Spanned<String>> },
}

/// `degradation: {...}`.
#[derive(Debug, Clone)]
pub(crate) struct Degradation {
    pub(crate) quantile: Spanned<Quantile>,
    pub(crate) by_at_most: Spanned<Ratio>,
    pub(crate) against: Option<Spanned<Against>>,
    pub(crate) during: Option<Spanned<String>>,
    pub(crate) of: Option<Spanned<String>>,
}

/// `telemetry: {...}`.
#[derive(Debug, Clone)]
pub(crate) struct Telemetry {
    pub(crate) signal: Spanned<String>,
    pub(crate) at_least: Spanned<Ratio>,
    pub(crate) gap_at_most: Option<Spanned<Duration>>,
    pub(crate) during: Option<Spanned<String>>,
}

pub(super) fn error_budget(fields: &Fields<'_>, findings: &mut Findings) -> Option<Family> {
    let bound = if fields.entry("mean").is_some() {
        fields.one_of(&BUDGET_BOUNDS, findings).and_then(|entry| mean::budget(entry, findings))
    } else {
        let most = fields.quantity("takesAtMost", findings);
        let most = fields.require("takesAtMost", most, findings);
        most.map(|most| (most, Over::Trials))
    };
    let during = fields.text("during", findings);
    let entry = fields.one_of(ERROR_BUDGET.kinds, findings)?;
    let objective = match entry.key.value.as_str() {
        "slo" => {
            for key in ["window", "of"] {
                if let Some(entry) = fields.entry(key) {
                    let message = format!("`{key}` belongs to the objective itself");
                    findings.push(
                        Finding::error(codes::UNKNOWN_KEY, entry.key.span, message)
                            .hint("leave it out here, and write it under `slis` and `slos`"),
                    );
                }
            }
            Objective::Named(fields.text("slo", findings)?)
        }
        _ => Objective::Here {
            share: objective_share(fields, "objective", findings)?,
            window: fields.positive("window", findings),
            of: fields.text("of", findings),
        },
    };
    let (takes_at_most, over) = bound?;
    Some(Family::ErrorBudget(ErrorBudget { objective, takes_at_most, during, over }))
}

/// The share of an objective, which leaves something to spend.
pub(super) fn objective_share(
    fields: &Fields<'_>,
    key: &str,
    findings: &mut Findings,
) -> Option<Ratio> {
    let share = fields.quantity::<Ratio>(key, findings)?;
    if share.value >= Ratio::ONE {
        findings.push(
            Finding::error(codes::OUT_OF_RANGE, share.span, format!("`{key}` is out of range"))
                .label("below 100%")
                .hint("an objective of 100% has no budget; write, say, `99.9%`"),
        );
        return None;
    }
    Some(share.value)
}

pub(super) fn degradation(fields: &Fields<'_>, findings: &mut Findings) -> Option<Family> {
    let quantile = fields.quantity("quantile", findings);
    let quantile = fields.require("quantile", quantile, findings);
    let by_at_most = fields.quantity("byAtMost", findings);
    let by_at_most = fields.require("byAtMost", by_at_most, findings);
    let others = [("baseline", Against::Baseline), ("placebo", Against::Placebo)];
    let against = fields.word("against", &others, findings);
    let during = fields.text("during", findings);
    let of = fields.text("of", findings);
    let (quantile, by_at_most) = (quantile?, by_at_most?);
    Some(Family::Degradation(Degradation { quantile, by_at_most, against, during, of }))
}

pub(super) fn telemetry(fields: &Fields<'_>, findings: &mut Findings) -> Option<Family> {
    let signal = fields.text("signal", findings);
    let signal = fields.require("signal", signal, findings);
    let at_least = fields.quantity("atLeast", findings);
    let at_least = fields.require("atLeast", at_least, findings);
    let gap_at_most = fields.positive("gapAtMost", findings);
    let during = fields.text("during", findings);
    let (signal, at_least) = (signal?, at_least?);
    Some(Family::Telemetry(Telemetry { signal, at_least, gap_at_most, during }))
}
