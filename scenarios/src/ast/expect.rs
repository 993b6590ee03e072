//! The section `expect`: a list of assertions. One reader per family; to add a family, add its
//! section table, its arm in `Family` and its arm in `read_family`.

use harness_core::diag::Span;
use harness_core::plan::{Bound, FaultInstant, RecoveryTo};
use harness_core::units::{Duration, Quantile, Ratio};

use crate::codes;
use crate::findings::{Finding, Findings, listed};
use crate::node::{Entry, Node, Spanned, Value};
use crate::read::{Fields, Section, list, name, not_supported, text};

use super::cost::{self, COST, Cost};
use super::families::{
    self, DEGRADATION, Degradation, ERROR_BUDGET, ErrorBudget, TELEMETRY, Telemetry,
};
use super::mean::{self, Over};
use super::regression::{self, REGRESSION, Regression};

/// Expectations of a scenario.
pub(crate) const EXPECTATIONS_MAX: usize = 100;

/// Families that this build judges.
pub(crate) const EXPECT_KINDS: [&str; 10] = [
    "successRate",
    "latency",
    "detection",
    "recovery",
    "invariant",
    "errorBudget",
    "degradation",
    "telemetry",
    "regression",
    "cost",
];
/// All families of the language.
const ALL_KINDS: [&str; 12] = [
    "successRate",
    "latency",
    "detection",
    "recovery",
    "invariant",
    "errorBudget",
    "degradation",
    "automation",
    "telemetry",
    "cost",
    "regression",
    "promql",
];

const EXPECT: Section = Section { name: "an expectation", keys: &[], kinds: &ALL_KINDS };
pub(crate) const SUCCESS_RATE: Section = Section {
    name: "`successRate`",
    keys: &["during", "of", "id", "arms", "inAtLeast", "confidence"],
    kinds: &["atLeast", "atMost", "mean"],
};
pub(crate) const LATENCY: Section = Section {
    name: "`latency`",
    keys: &["quantile", "atMost", "during", "of", "id", "arms", "inAtLeast", "confidence"],
    kinds: &[],
};
pub(crate) const DETECTION: Section = Section {
    name: "`detection`",
    keys: &[
        "alert",
        "within",
        "after",
        "pages",
        "resolvesWithin",
        "quietInPlacebo",
        "through",
        "staysSilent",
        "id",
        "arms",
        "inAtLeast",
        "confidence",
    ],
    kinds: &[],
};
pub(crate) const PAGES: Section = Section { name: "`pages`", keys: &["exactly"], kinds: &[] };
pub(crate) const RECOVERY: Section = Section {
    name: "`recovery`",
    keys: &["to", "from", "of", "id", "arms", "inAtLeast", "confidence"],
    kinds: &["within", "median", "mean"],
};
pub(crate) const INVARIANT: Section = Section {
    name: "`invariant`",
    keys: &["noneLost", "noneTwice", "id", "arms", "inAtLeast", "confidence"],
    kinds: &[],
};

/// One expectation as written.
#[derive(Debug, Clone)]
pub(crate) struct ExpectAst {
    /// The family's key.
    pub(crate) key: Spanned<String>,
    pub(crate) common: Common,
    pub(crate) family: Family,
}

/// What every family takes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Common {
    pub(crate) id: Option<Spanned<String>>,
    pub(crate) arms: Option<Vec<Spanned<String>>>,
    pub(crate) in_at_least: Option<Spanned<Ratio>>,
    pub(crate) confidence: Option<Spanned<Ratio>>,
}

/// What is claimed.
#[derive(Debug, Clone)]
pub(crate) enum Family {
    SuccessRate {
        bound: Spanned<Bound>,
        during: Option<Spanned<String>>,
        of: Option<Spanned<String>>,
        over: Over,
    },
    Latency {
        quantile: Spanned<Quantile>,
        at_most: Spanned<Duration>,
        during: Option<Spanned<String>>,
        of: Option<Spanned<String>>,
    },
    Detection(Detection),
    Silence {
        alert: Spanned<String>,
    },
    Recovery {
        to: Spanned<RecoveryTo>,
        from: Option<Spanned<FaultInstant>>,
        within: Spanned<Duration>,
        of: Option<Spanned<String>>,
        over: Over,
    },
    Invariant {
        none_lost: bool,
        none_twice: bool,
    },
    ErrorBudget(ErrorBudget),
    Degradation(Degradation),
    Telemetry(Telemetry),
    Cost(Cost),
    Regression(Regression),
}

impl Family {
    /// In what way it is claimed over trials.
    pub(crate) fn over(&self) -> &Over {
        match self {
            Self::SuccessRate { over, .. } | Self::Recovery { over, .. } => over,
            Self::ErrorBudget(budget) => &budget.over,
            Self::Regression(_) => &Over::Runs,
            Self::Latency { .. }
            | Self::Detection(_)
            | Self::Invariant { .. }
            | Self::Degradation(_)
            | Self::Telemetry(_)
            | Self::Silence { .. }
            | Self::Cost(_) => &Over::Trials,
        }
    }
}

/// `detection: {...}`.
#[derive(Debug, Clone)]
pub(crate) struct Detection {
    pub(crate) alert: Spanned<String>,
    pub(crate) within: Spanned<Duration>,
    pub(crate) after: Option<Spanned<String>>,
    pub(crate) pages_exactly: Option<Spanned<u64>>,
    pub(crate) resolves_within: Option<Spanned<Duration>>,
    pub(crate) quiet_in_placebo: Option<Spanned<bool>>,
    pub(crate) through: Option<Spanned<String>>,
}

/// Reads a list of expectations.
pub(crate) fn read(node: &Node, place: Span, findings: &mut Findings) -> Vec<ExpectAst> {
    let items = list(node, "expect", findings);
    if matches!(node.value, Value::List(_)) && (items.is_empty() || items.len() > EXPECTATIONS_MAX)
    {
        findings.push(
            Finding::error(
                codes::MISSING_KEY,
                place,
                format!("`expect` holds from 1 to {EXPECTATIONS_MAX} expectations"),
            )
            .hint("for example `- successRate: {atLeast: 99%, during: fault}`"),
        );
    }
    items.iter().take(EXPECTATIONS_MAX).filter_map(|item| read_one(item, findings)).collect()
}

fn read_one(node: &Node, findings: &mut Findings) -> Option<ExpectAst> {
    let fields = Fields::read(node, node.span, &EXPECT, findings)?;
    let entry = fields.one_of(&ALL_KINDS, findings)?;
    if !EXPECT_KINDS.contains(&entry.key.value.as_str()) {
        let instead = match entry.key.value.as_str() {
            "automation" => "what automation does is claimed in the section `automation`".into(),
            _ => format!("known today are {}", listed(&EXPECT_KINDS)),
        };
        findings.push(not_supported(&entry.key, &instead));
        return None;
    }
    let (family, common) = read_family(entry, findings)?;
    Some(ExpectAst { key: entry.key.clone(), common, family })
}

/// Reads what is a family's own.
type Reader = fn(&Fields<'_>, &mut Findings) -> Option<Family>;

fn read_family(entry: &Entry, findings: &mut Findings) -> Option<(Family, Common)> {
    let (node, place) = (&entry.node, entry.key.span);
    let (section, read): (&'static Section, Reader) = match entry.key.value.as_str() {
        "successRate" => (&SUCCESS_RATE, success_rate),
        "latency" => (&LATENCY, latency),
        "detection" => (&DETECTION, detection),
        "recovery" => (&RECOVERY, recovery),
        "errorBudget" => (&ERROR_BUDGET, families::error_budget),
        "degradation" => (&DEGRADATION, families::degradation),
        "telemetry" => (&TELEMETRY, families::telemetry),
        "regression" => (&REGRESSION, regression::read),
        "cost" => (&COST, cost::cost),
        _ => {
            if let Value::List(items) = &node.value {
                return Some((invariant_words(items, findings)?, Common::default()));
            }
            (&INVARIANT, invariant)
        }
    };
    let fields = Fields::read(node, place, section, findings)?;
    let common = Common::read(&fields, findings);
    let family = read(&fields, findings)?;
    family.over().refuse_share(&common, findings);
    Some((family, common))
}

impl Common {
    fn read(fields: &Fields<'_>, findings: &mut Findings) -> Self {
        let id = fields.text("id", findings).and_then(|id| name(id, "an expectation", findings));
        let arms = fields.node("arms", findings).map(|node| {
            let items = list(node, "arms", findings).iter();
            items.filter_map(|item| text(item, "arms", findings)).collect()
        });
        let in_at_least = inner_share(fields, "inAtLeast", findings);
        let confidence = inner_share(fields, "confidence", findings);
        Self { id, arms, in_at_least, confidence }
    }
}

/// A share strictly between nothing and all: nothing else can be claimed from trials.
pub(super) fn inner_share(
    fields: &Fields<'_>,
    key: &str,
    findings: &mut Findings,
) -> Option<Spanned<Ratio>> {
    let share = fields.quantity::<Ratio>(key, findings)?;
    if share.value == Ratio::ZERO || share.value == Ratio::ONE {
        findings.push(
            Finding::error(codes::OUT_OF_RANGE, share.span, format!("`{key}` is out of range"))
                .label("above 0% and below 100%")
                .hint("no number of trials can prove more than, say, 99%"),
        );
        return None;
    }
    Some(share)
}

fn success_rate(fields: &Fields<'_>, findings: &mut Findings) -> Option<Family> {
    let entry = fields.one_of(SUCCESS_RATE.kinds, findings);
    let during = fields.text("during", findings);
    let of = fields.text("of", findings);
    let entry = entry?;
    let key = entry.key.value.as_str();
    if key == "mean" {
        let (least, over) = mean::success(entry, findings)?;
        let bound = Spanned::new(Bound::AtLeast(least.value), least.span);
        return Some(Family::SuccessRate { bound, during, of, over });
    }
    let ratio = fields.quantity::<Ratio>(key, findings)?;
    let bound = match key {
        "atLeast" => Bound::AtLeast(ratio.value),
        _ => Bound::AtMost(ratio.value),
    };
    let bound = Spanned::new(bound, ratio.span);
    Some(Family::SuccessRate { bound, during, of, over: Over::Trials })
}

fn latency(fields: &Fields<'_>, findings: &mut Findings) -> Option<Family> {
    let quantile = fields.quantity("quantile", findings);
    let quantile = fields.require("quantile", quantile, findings);
    let at_most = fields.positive("atMost", findings);
    let at_most = fields.require("atMost", at_most, findings);
    let during = fields.text("during", findings);
    let of = fields.text("of", findings);
    Some(Family::Latency { quantile: quantile?, at_most: at_most?, during, of })
}

fn detection(fields: &Fields<'_>, findings: &mut Findings) -> Option<Family> {
    let alert = fields.text("alert", findings);
    let alert = fields.require("alert", alert, findings);
    if fields.flag("staysSilent", findings).is_some_and(|silent| silent.value) {
        return silence(fields, alert?, findings);
    }
    let within = fields.positive("within", findings);
    let within = fields.require("within", within, findings);
    let after = fields.text("after", findings);
    let pages_exactly = fields.node("pages", findings).and_then(|node| {
        let place = fields.entry("pages").map_or(fields.place, |entry| entry.key.span);
        let pages = Fields::read(node, place, &PAGES, findings)?;
        let exactly = pages.whole("exactly", 0..=1000, findings);
        pages.require("exactly", exactly, findings)
    });
    let resolves_within = fields.positive("resolvesWithin", findings);
    let quiet_in_placebo = fields.flag("quietInPlacebo", findings);
    Some(Family::Detection(Detection {
        alert: alert?,
        within: within?,
        after,
        pages_exactly,
        resolves_within,
        quiet_in_placebo,
        through: fields.text("through", findings),
    }))
}

/// An alert that must not fire has nothing else to say.
fn silence(fields: &Fields<'_>, alert: Spanned<String>, findings: &mut Findings) -> Option<Family> {
    let keys = ["within", "after", "pages", "resolvesWithin", "quietInPlacebo", "through"];
    let mut others = keys.iter().filter_map(|key| fields.entry(key));
    let Some(other) = others.next() else { return Some(Family::Silence { alert }) };
    let message = format!("`{}` goes with an alert that fires", other.key.value);
    findings.push(
        Finding::error(codes::UNKNOWN_KEY, other.key.span, message)
            .hint("leave it out, or leave `staysSilent` out"),
    );
    None
}

fn recovery(fields: &Fields<'_>, findings: &mut Findings) -> Option<Family> {
    let ends = [("mitigate", RecoveryTo::Mitigate), ("restore", RecoveryTo::Restore)];
    let instants = [
        ("inject", FaultInstant::Inject),
        ("effective", FaultInstant::Effective),
        ("revert", FaultInstant::Revert),
        ("reverted", FaultInstant::Reverted),
    ];
    let to = fields.word("to", &ends, findings);
    let to = fields.require("to", to, findings);
    let from = fields.word("from", &instants, findings);
    let of = fields.text("of", findings);
    let entry = fields.one_of(RECOVERY.kinds, findings)?;
    let (within, over) = match entry.key.value.as_str() {
        "mean" => mean::time(entry, findings)?,
        "median" => (fields.positive("median", findings)?, Over::Median(entry.key.span)),
        _ => (fields.positive("within", findings)?, Over::Trials),
    };
    Some(Family::Recovery { to: to?, from, within, of, over })
}

fn invariant(fields: &Fields<'_>, findings: &mut Findings) -> Option<Family> {
    let none_lost = fields.flag("noneLost", findings).is_some_and(|flag| flag.value);
    let none_twice = fields.flag("noneTwice", findings).is_some_and(|flag| flag.value);
    if !none_lost && !none_twice {
        findings.push(
            Finding::error(codes::MISSING_KEY, fields.place, "`invariant` claims nothing")
                .hint("write `invariant: [none-lost, none-twice]`"),
        );
        return None;
    }
    Some(Family::Invariant { none_lost, none_twice })
}

fn invariant_words(items: &[Node], findings: &mut Findings) -> Option<Family> {
    let (mut none_lost, mut none_twice) = (false, false);
    for item in items {
        let word = text(item, "invariant", findings)?;
        match word.value.as_str() {
            "none-lost" => none_lost = true,
            "none-twice" => none_twice = true,
            _ => {
                findings.push(
                    Finding::error(
                        codes::UNKNOWN_WORD,
                        word.span,
                        format!("`{}` is not an invariant", word.value),
                    )
                    .hint(crate::findings::did_you_mean(&word.value, ["none-lost", "none-twice"])),
                );
                return None;
            }
        }
    }
    (none_lost || none_twice).then_some(Family::Invariant { none_lost, none_twice })
}
