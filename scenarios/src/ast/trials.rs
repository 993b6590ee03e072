//! The section `trials`: how often, in which arms, judged how.

use harness_core::diag::Span;
use harness_core::plan::{StopRule, TrialMode};
use harness_core::units::{Duration, Ratio};

use crate::codes;
use crate::findings::{Finding, Findings};
use crate::node::{Node, Spanned, Value};
use crate::read::{Fields, Section, list, name, named, text, whole};

/// Trials of one arm.
pub(crate) const TRIALS_MAX: u64 = 1000;
/// Arms of a scenario.
pub(crate) const ARMS_MAX: usize = 10;

pub(crate) const TRIALS: Section = Section {
    name: "`trials`",
    keys: &["seed", "order", "mode", "arms", "count", "placebo", "stop", "invalidAtMost", "wall"],
    kinds: &[],
};
pub(crate) const ARM: Section = Section { name: "an arm", keys: &["faults"], kinds: &[] };
pub(crate) const COUNT: Section = Section { name: "`count`", keys: &["min", "max"], kinds: &[] };

/// In which order trials run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// By the seed, arms interleaved.
    Shuffled,
    /// Arms in turn, in the order of the scenario.
    InTurn,
}

/// One arm as written.
#[derive(Debug, Clone)]
pub(crate) struct ArmAst {
    pub(crate) name: Spanned<String>,
    /// `None` stands for all faults.
    pub(crate) faults: Option<Vec<Spanned<String>>>,
}

/// Trials as written.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrialsAst {
    pub(crate) place: Option<Span>,
    pub(crate) seed: Option<Spanned<u64>>,
    pub(crate) order: Option<Spanned<Order>>,
    pub(crate) mode: Option<Spanned<TrialMode>>,
    pub(crate) arms: Option<Vec<ArmAst>>,
    /// The fewest and the most; the same when one number was written.
    pub(crate) count: Option<(Spanned<u64>, Spanned<u64>)>,
    pub(crate) placebo: Option<Spanned<u64>>,
    pub(crate) stop: Option<Spanned<StopRule>>,
    pub(crate) invalid_at_most: Option<Spanned<Ratio>>,
    pub(crate) wall: Option<Spanned<Duration>>,
}

impl TrialsAst {
    pub(crate) fn read(section: Option<(&Node, Span)>, findings: &mut Findings) -> Self {
        let fields = section.and_then(|(node, place)| Fields::read(node, place, &TRIALS, findings));
        let Some(fields) = fields else { return Self::default() };
        let orders = [("shuffled", Order::Shuffled), ("inTurn", Order::InTurn)];
        let modes = [("inferred", TrialMode::Inferred), ("observed", TrialMode::Observed)];
        let stops = [("fixed", StopRule::Fixed), ("sequential", StopRule::Sequential)];
        let count = fields.node("count", findings).and_then(|node| {
            let place = fields.entry("count").map_or(fields.place, |entry| entry.key.span);
            read_count(node, place, findings)
        });
        Self {
            place: Some(fields.place),
            seed: fields.whole("seed", 0..=u64::MAX, findings),
            order: fields.word("order", &orders, findings),
            mode: fields.word("mode", &modes, findings),
            arms: fields.node("arms", findings).map(|node| read_arms(node, findings)),
            count,
            placebo: fields.whole("placebo", 0..=TRIALS_MAX, findings),
            stop: fields.word("stop", &stops, findings),
            invalid_at_most: fields.quantity("invalidAtMost", findings),
            wall: fields.positive("wall", findings),
        }
    }
}

fn read_count(
    node: &Node,
    place: Span,
    findings: &mut Findings,
) -> Option<(Spanned<u64>, Spanned<u64>)> {
    if let Value::Scalar { .. } = node.value {
        let count = whole(node, "count", 1..=TRIALS_MAX, findings)?;
        return Some((count.clone(), count));
    }
    let fields = Fields::read(node, place, &COUNT, findings)?;
    let min = fields.whole("min", 1..=TRIALS_MAX, findings);
    let max = fields.whole("max", 1..=TRIALS_MAX, findings);
    let min = fields.require("min", min, findings);
    let max = fields.require("max", max, findings);
    let (min, max) = (min?, max?);
    if min.value > max.value {
        findings.push(
            Finding::error(codes::IMPOSSIBLE_TRIALS, min.span, "`min` is above `max`")
                .label("the fewest")
                .hint("exchange them")
                .related(max.span, "the most"),
        );
        return None;
    }
    Some((min, max))
}

fn read_arms(node: &Node, findings: &mut Findings) -> Vec<ArmAst> {
    let entries = named(node, "arms", findings);
    if entries.is_empty() || entries.len() > ARMS_MAX {
        let message = format!("`arms` holds from 1 to {ARMS_MAX} arms");
        findings.push(Finding::error(codes::IMPOSSIBLE_TRIALS, node.span, message));
    }
    let mut arms = Vec::new();
    for entry in entries.iter().take(ARMS_MAX) {
        let Some(name) = name(entry.key.clone(), "an arm", findings) else { continue };
        let Some(fields) = Fields::read(&entry.node, entry.key.span, &ARM, findings) else {
            continue;
        };
        let faults = fields.node("faults", findings).map(|node| match node.scalar() {
            Some("none") => Vec::new(),
            _ => list(node, "faults", findings)
                .iter()
                .filter_map(|item| text(item, "faults", findings))
                .collect(),
        });
        arms.push(ArmAst { name, faults });
    }
    arms
}
