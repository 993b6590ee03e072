//! The section `faults`. The kinds are those of a registry; what stands under a kind is read by
//! `plan`, which knows the registry.

use harness_core::diag::Span;
use harness_core::units::Duration;

use crate::codes;
use crate::findings::{Finding, Findings};
use crate::node::{Entry, Node, Spanned, Value};
use crate::read::{Fields, Section, list, name};

pub(crate) const FAULT: Section =
    Section { name: "a fault", keys: &["id", "at", "for", "effective", "reverted"], kinds: &[] };
pub(crate) const WITNESS: Section =
    Section { name: "a witness", keys: &["by", "when", "within"], kinds: &[] };

/// A row of looks is at most so long.
pub(crate) const LOOKS_IN_A_ROW_MAX: u32 = 100;

/// One fault.
#[derive(Debug, Clone)]
pub(crate) struct FaultAst {
    /// The place that stands for the whole.
    pub(crate) place: Span,
    pub(crate) id: Option<Spanned<String>>,
    /// All keys that are not of the frame: exactly one of them should be a kind.
    pub(crate) kinds: Vec<Entry>,
    pub(crate) at: Option<Spanned<Duration>>,
    pub(crate) lasts: Option<Spanned<Duration>>,
    pub(crate) effective: WitnessAst,
    pub(crate) reverted: WitnessAst,
}

/// When a fault counts as in force, or as put back.
#[derive(Debug, Clone, Default)]
pub(crate) struct WitnessAst {
    pub(crate) by: Option<Spanned<String>>,
    pub(crate) when: Option<Spanned<WitnessWhen>>,
    pub(crate) within: Option<Spanned<Duration>>,
}

/// `failed 3 in a row`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WitnessWhen {
    pub(crate) in_a_row: u32,
}

impl FaultAst {
    pub(crate) fn read_all(node: &Node, findings: &mut Findings) -> Vec<Self> {
        let items = list(node, "faults", findings).iter();
        items.filter_map(|item| Self::read(item, findings)).collect()
    }

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        // The kinds are not known here, so every other key passes as one.
        let others: Vec<Entry> = match &node.value {
            Value::Map(entries) => entries
                .iter()
                .filter(|entry| !FAULT.keys.contains(&entry.key.value.as_str()))
                .cloned()
                .collect(),
            Value::Scalar { .. } | Value::List(_) => Vec::new(),
        };
        let names: Vec<&str> = others.iter().map(|entry| entry.key.value.as_str()).collect();
        let place = match &node.value {
            Value::Map(entries) => entries.first().map_or(node.span, |entry| entry.key.span),
            Value::Scalar { .. } | Value::List(_) => node.span,
        };
        let fields = Fields::read_with_kinds(node, place, &FAULT, &names, findings)?;
        let id = fields.text("id", findings).and_then(|id| name(id, "a fault", findings));
        let at = fields.quantity("at", findings);
        let lasts = fields.positive("for", findings);
        let lasts = fields.require("for", lasts, findings);
        let effective = WitnessAst::read(&fields, "effective", "failed", findings);
        let reverted = WitnessAst::read(&fields, "reverted", "ok", findings);
        Some(Self { place, id, kinds: others, at, lasts, effective, reverted })
    }
}

impl WitnessAst {
    fn read(fault: &Fields<'_>, key: &str, state: &str, findings: &mut Findings) -> Self {
        let Some(node) = fault.node(key, findings) else { return Self::default() };
        let place = fault.entry(key).map_or(fault.place, |entry| entry.key.span);
        let Some(fields) = Fields::read(node, place, &WITNESS, findings) else {
            return Self::default();
        };
        Self {
            by: fields.text("by", findings),
            when: fields
                .text("when", findings)
                .and_then(|text| WitnessWhen::parse(&text, state, findings)),
            within: fields.positive("within", findings),
        }
    }
}

impl WitnessWhen {
    /// Reads `failed 3 in a row`; the state is fixed by the key that it stands under.
    fn parse(
        text: &Spanned<String>,
        state: &str,
        findings: &mut Findings,
    ) -> Option<Spanned<Self>> {
        let words: Vec<&str> = text.value.split_whitespace().collect();
        let count = match words.as_slice() {
            [said] if *said == state => Some(1),
            [said, count, "in", "a", "row"] if *said == state => count.parse::<u32>().ok(),
            _ => None,
        };
        match count {
            Some(in_a_row) if (1..=LOOKS_IN_A_ROW_MAX).contains(&in_a_row) => {
                Some(Spanned::new(Self { in_a_row }, text.span))
            }
            _ => {
                findings.push(
                    Finding::error(
                        codes::BAD_CONDITION,
                        text.span,
                        format!("`{}` is not a condition for a witness", text.value),
                    )
                    .hint(format!("write `{state} 3 in a row`")),
                );
                None
            }
        }
    }
}
