//! Claims that are not about a share of incidents: a median, a mean with the cap on what one
//! incident adds, earlier runs.

use harness_core::diag::Span;
use harness_core::plan::Cap;
use harness_core::units::{Duration, Ratio};

use crate::codes;
use crate::findings::{Finding, Findings};
use crate::node::{Entry, Spanned};
use crate::read::{Fields, Section};

use super::expect::Common;

pub(crate) const MEAN_SUCCESS: Section =
    Section { name: "`mean`", keys: &["atLeast", "cap"], kinds: &[] };
pub(crate) const MEAN_TIME: Section =
    Section { name: "`mean`", keys: &["atMost", "cap"], kinds: &[] };
pub(crate) const MEAN_BUDGET: Section =
    Section { name: "`mean`", keys: &["takesAtMost", "cap"], kinds: &[] };

/// In what way something is claimed over trials.
#[derive(Debug, Clone)]
pub(crate) enum Over {
    /// In a share of them.
    Trials,
    /// In half of them; with the place of its key.
    Median(Span),
    /// On average.
    Mean {
        /// The place of its key.
        place: Span,
        /// What one incident adds at most.
        cap: Option<Spanned<Cap>>,
    },
    /// Against earlier runs.
    Runs,
}

impl Over {
    /// Tells a share beside a claim that is about none.
    pub(super) fn refuse_share(&self, common: &Common, findings: &mut Findings) {
        let (place, what) = match self {
            Self::Trials | Self::Runs => return,
            Self::Median(place) => (*place, "a median is a share of 50%"),
            Self::Mean { place, .. } => (*place, "a mean is no share of incidents"),
        };
        if let Some(share) = &common.in_at_least {
            findings.push(
                Finding::error(codes::NOT_ONE_KIND, share.span, what)
                    .label("a share is claimed here")
                    .hint("leave `inAtLeast` out")
                    .related(place, "and this here"),
            );
        }
    }
}

/// `mean: {atLeast: 99%, cap: 100%}`.
pub(super) fn success(entry: &Entry, findings: &mut Findings) -> Option<(Spanned<Ratio>, Over)> {
    let fields = Fields::read(&entry.node, entry.key.span, &MEAN_SUCCESS, findings)?;
    let least = fields.quantity::<Ratio>("atLeast", findings);
    let least = fields.require("atLeast", least, findings);
    let cap = fields.quantity::<Ratio>("cap", findings);
    if let Some(cap) = cap.as_ref().filter(|cap| cap.value != Ratio::ONE) {
        let message = format!("nothing keeps an incident from losing more than {}", cap.value);
        findings.push(
            Finding::error(codes::UNENFORCED_CAP, cap.span, message)
                .label("an incident can lose every request of its window")
                .hint("write `cap: 100%`, or claim a share of incidents: `atLeast: 99%`"),
        );
        return None;
    }
    let least = least?;
    if least.value == Ratio::ONE || least.value == Ratio::ZERO {
        findings.push(out_of_range("atLeast", least.span, "above 0% and below 100%"));
        return None;
    }
    Some((least, over(entry, cap, Cap::Share)))
}

/// `mean: {atMost: 3s, cap: 30s}`.
pub(super) fn time(entry: &Entry, findings: &mut Findings) -> Option<(Spanned<Duration>, Over)> {
    let fields = Fields::read(&entry.node, entry.key.span, &MEAN_TIME, findings)?;
    let most = fields.positive("atMost", findings);
    let most = fields.require("atMost", most, findings)?;
    let cap = fields.positive("cap", findings);
    above("atMost", &most, cap.as_ref(), findings)?;
    Some((most, over(entry, cap, Cap::Time)))
}

/// `mean: {takesAtMost: 0.05%, cap: 0.2%}`.
pub(super) fn budget(entry: &Entry, findings: &mut Findings) -> Option<(Spanned<Ratio>, Over)> {
    let fields = Fields::read(&entry.node, entry.key.span, &MEAN_BUDGET, findings)?;
    let most = fields.quantity::<Ratio>("takesAtMost", findings);
    let most = fields.require("takesAtMost", most, findings)?;
    let cap = fields.quantity::<Ratio>("cap", findings);
    if most.value == Ratio::ZERO {
        findings.push(out_of_range("takesAtMost", most.span, "above 0%"));
        return None;
    }
    above("takesAtMost", &most, cap.as_ref(), findings)?;
    Some((most, over(entry, cap, Cap::Share)))
}

fn over<T: Copy>(entry: &Entry, cap: Option<Spanned<T>>, of: fn(T) -> Cap) -> Over {
    let cap = cap.map(|cap| Spanned::new(of(cap.value), cap.span));
    Over::Mean { place: entry.key.span, cap }
}

/// A cap at or below the mean claims nothing.
fn above<T: PartialOrd + std::fmt::Display>(
    key: &str,
    most: &Spanned<T>,
    cap: Option<&Spanned<T>>,
    findings: &mut Findings,
) -> Option<()> {
    let Some(cap) = cap.filter(|cap| cap.value <= most.value) else { return Some(()) };
    findings.push(
        Finding::error(codes::OUT_OF_RANGE, cap.span, "a cap lies above the mean that is claimed")
            .label(format!("no incident could take more than {}", cap.value))
            .hint(format!("write a `cap` above `{key}: {}`", most.value)),
    );
    None
}

fn out_of_range(key: &str, span: Span, range: &str) -> Finding {
    Finding::error(codes::OUT_OF_RANGE, span, format!("`{key}` is out of range"))
        .label(range.to_owned())
        .hint("a mean at the very end of its range is never proven")
}
