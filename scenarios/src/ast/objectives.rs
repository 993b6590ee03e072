//! The sections `slis` and `slos`: named ratios of the load, and the shares of them that an
//! objective promises over a time.

use harness_core::plan::StatusRange;
use harness_core::units::{Duration, Ratio};

use crate::findings::Findings;
use crate::node::{Entry, Node, Spanned, Value};
use crate::read::{Fields, Section, name, named, not_supported};

use super::families::objective_share;
use super::load::read_good;

pub(crate) const SLI: Section =
    Section { name: "an SLI", keys: &[], kinds: &["ratio", "quantile"] };
pub(crate) const SLI_RATIO: Section =
    Section { name: "`ratio`", keys: &["of", "good"], kinds: &[] };
pub(crate) const SLO: Section =
    Section { name: "an SLO", keys: &["sli", "atLeast", "window"], kinds: &["openslo"] };

/// `accepted: {ratio: {of: load, good: [200, 202]}}`.
#[derive(Debug, Clone)]
pub(crate) struct SliAst {
    pub(crate) name: Spanned<String>,
    /// `load`, or one of its requests.
    pub(crate) of: Option<Spanned<String>>,
    /// The statuses that are good; those of the load when it does not say.
    pub(crate) good: Option<Spanned<Vec<StatusRange>>>,
}

/// `availability: {sli: accepted, atLeast: 99.9%, window: 30d}`.
#[derive(Debug, Clone)]
pub(crate) struct SloAst {
    pub(crate) name: Spanned<String>,
    pub(crate) sli: Spanned<String>,
    pub(crate) at_least: Ratio,
    pub(crate) window: Option<Spanned<Duration>>,
}

/// Both sections.
#[derive(Debug, Clone, Default)]
pub(crate) struct ObjectivesAst {
    pub(crate) slis: Vec<SliAst>,
    pub(crate) slos: Vec<SloAst>,
    /// Names that stand there but cannot be read, so that nobody is told that they are missing.
    pub(crate) unreadable: Vec<String>,
}

impl ObjectivesAst {
    pub(crate) fn read(
        indicators: Option<&Node>,
        objectives: Option<&Node>,
        findings: &mut Findings,
    ) -> Self {
        let mut read = Self::default();
        for entry in indicators.map_or(&[][..], |node| named(node, "slis", findings)) {
            match sli(entry, findings) {
                Some(sli) => read.slis.push(sli),
                None => read.unreadable.push(entry.key.value.clone()),
            }
        }
        for entry in objectives.map_or(&[][..], |node| named(node, "slos", findings)) {
            match slo(entry, findings) {
                Some(slo) => read.slos.push(slo),
                None => read.unreadable.push(entry.key.value.clone()),
            }
        }
        read
    }
}

fn sli(entry: &Entry, findings: &mut Findings) -> Option<SliAst> {
    let place = entry.key.span;
    let name = name(entry.key.clone(), "an SLI", findings);
    let fields = Fields::read(&entry.node, place, &SLI, findings)?;
    let kind = fields.one_of(SLI.kinds, findings)?;
    if kind.key.value != "ratio" {
        findings.push(not_supported(&kind.key, "claim it under `expect`: `latency: {...}`"));
        return None;
    }
    let fields = Fields::read(&kind.node, kind.key.span, &SLI_RATIO, findings)?;
    let of = fields.text("of", findings);
    let good = fields
        .node("good", findings)
        .map(|node| Spanned::new(good_statuses(node, findings), node.span));
    Some(SliAst { name: name?, of, good })
}

/// A list of statuses, also in the words `status in [200, 202]`.
fn good_statuses(node: &Node, findings: &mut Findings) -> Vec<StatusRange> {
    let listed = node.scalar().and_then(|text| {
        let list = text.trim().strip_prefix("status in")?.trim();
        list.strip_prefix('[')?.strip_suffix(']')
    });
    let Some(listed) = listed else { return read_good(node, findings) };
    let item = |text: &str| Node {
        value: Value::Scalar { text: text.trim().to_owned(), plain: true },
        span: node.span,
    };
    let items = listed.split(',').map(item).collect();
    read_good(&Node { value: Value::List(items), span: node.span }, findings)
}

fn slo(entry: &Entry, findings: &mut Findings) -> Option<SloAst> {
    let place = entry.key.span;
    let name = name(entry.key.clone(), "an SLO", findings);
    let fields = Fields::read(&entry.node, place, &SLO, findings)?;
    if let Some(entry) = fields.entry("openslo") {
        findings.push(not_supported(&entry.key, "write `{sli: ..., atLeast: 99.9%}`"));
        return None;
    }
    let sli = fields.text("sli", findings);
    let sli = fields.require("sli", sli, findings);
    let at_least = objective_share(&fields, "atLeast", findings);
    let at_least = fields.require("atLeast", at_least, findings);
    let window = fields.positive("window", findings);
    Some(SloAst { name: name?, sli: sli?, at_least: at_least?, window })
}
