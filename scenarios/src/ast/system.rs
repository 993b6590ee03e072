//! The sections `system`, `signals`, `steadyState` and `phases`.

use harness_core::diag::Span;
use harness_core::units::{Currency, Duration, Quantile, Ratio};

use crate::codes;
use crate::findings::{Finding, Findings};
use crate::node::{Node, Spanned, Value};
use crate::read::{Fields, Section, list, name, named, not_supported, quantity, text};

/// `system: {lab: shop}`.
#[derive(Debug, Clone)]
pub(crate) struct SystemAst {
    /// `lab`.
    pub(crate) kind: Spanned<String>,
    /// What stands under the kind.
    pub(crate) node: Node,
}

impl SystemAst {
    pub(crate) fn read(node: &Node, place: Span, findings: &mut Findings) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            findings.push(
                Finding::error(
                    codes::WRONG_TYPE,
                    node.span,
                    format!("`system` must be a mapping, not {}", node.describe()),
                )
                .hint("write `system: {lab: shop}`"),
            );
            return None;
        };
        if let [only] = entries.as_slice() {
            return Some(Self { kind: only.key.clone(), node: only.node.clone() });
        }
        findings.push(
            Finding::error(codes::NOT_ONE_KIND, place, "`system` needs exactly one kind")
                .hint("write `system: {lab: shop}`"),
        );
        None
    }
}

/// Sources of the language that this build does not have.
const LATER: [&str; 4] = ["metric", "events", "ids", "webhook"];
const ALL_SIGNAL_KINDS: [&str; 9] =
    ["probe", "alerts", "actions", "pages", "spend", "metric", "events", "ids", "webhook"];

pub(crate) const SIGNAL: Section =
    Section { name: "a signal", keys: &[], kinds: &ALL_SIGNAL_KINDS };
pub(crate) const PROBE: Section =
    Section { name: "`probe`", keys: &["edge", "every", "path", "check", "timeout"], kinds: &[] };
pub(crate) const ALERTS: Section = Section { name: "`alerts`", keys: &[], kinds: &[] };
pub(crate) const PAGER: Section = Section { name: "`pages`", keys: &["every"], kinds: &[] };
pub(crate) const SPEND: Section =
    Section { name: "`spend`", keys: &["every", "currency"], kinds: &[] };
pub(crate) const ACTIONS: Section = Section { name: "`actions`", keys: &["every"], kinds: &[] };

/// A named source of observations.
#[derive(Debug, Clone)]
pub(crate) struct SignalAst {
    pub(crate) name: Spanned<String>,
    /// `None` where it cannot be read; the name is known all the same.
    pub(crate) source: Option<SignalSource>,
}

/// How a probe looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// Asks for a path and wants a good answer.
    Http,
    /// Wants a connection.
    Tcp,
}

/// What a signal reads.
#[derive(Debug, Clone)]
pub(crate) enum SignalSource {
    Probe {
        edge: Option<Spanned<String>>,
        every: Option<Spanned<Duration>>,
        path: Option<Spanned<String>>,
        check: Option<Spanned<Check>>,
        timeout: Option<Spanned<Duration>>,
    },
    Alerts,
    Actions {
        every: Option<Spanned<Duration>>,
    },
    Pages {
        every: Option<Spanned<Duration>>,
    },
    Spend {
        every: Option<Spanned<Duration>>,
        currency: Option<Spanned<Currency>>,
    },
}

impl SignalAst {
    pub(crate) fn read_all(node: &Node, findings: &mut Findings) -> Vec<Self> {
        let mut signals = Vec::new();
        for entry in named(node, "signals", findings) {
            let Some(name) = name(entry.key.clone(), "a signal", findings) else { continue };
            if name.value == "load" {
                findings.push(
                    Finding::error(codes::DUPLICATE_NAME, name.span, "`load` is always there")
                        .hint("give the signal another name"),
                );
                continue;
            }
            let source = Self::source(&entry.node, entry.key.span, findings);
            signals.push(Self { name, source });
        }
        signals
    }

    fn source(node: &Node, place: Span, findings: &mut Findings) -> Option<SignalSource> {
        let fields = Fields::read(node, place, &SIGNAL, findings)?;
        let kind = fields.one_of(&ALL_SIGNAL_KINDS, findings)?;
        let place = kind.key.span;
        match kind.key.value.as_str() {
            "probe" => {
                let fields = Fields::read(&kind.node, place, &PROBE, findings)?;
                let checks = [("http", Check::Http), ("tcp", Check::Tcp)];
                Some(SignalSource::Probe {
                    edge: fields.text("edge", findings),
                    every: fields.positive("every", findings),
                    path: fields.text("path", findings),
                    check: fields.word("check", &checks, findings),
                    timeout: fields.positive("timeout", findings),
                })
            }
            "alerts" => {
                Fields::read(&kind.node, place, &ALERTS, findings).map(|_| SignalSource::Alerts)
            }
            "actions" => {
                let fields = Fields::read(&kind.node, place, &ACTIONS, findings)?;
                Some(SignalSource::Actions { every: fields.positive("every", findings) })
            }
            "pages" => {
                let fields = Fields::read(&kind.node, place, &PAGER, findings)?;
                Some(SignalSource::Pages { every: fields.positive("every", findings) })
            }
            "spend" => {
                let fields = Fields::read(&kind.node, place, &SPEND, findings)?;
                Some(SignalSource::Spend {
                    every: fields.positive("every", findings),
                    currency: fields.quantity("currency", findings),
                })
            }
            _ => {
                assert!(LATER.contains(&kind.key.value.as_str()), "every kind has its arm");
                let instead = "known today are `probe`, `alerts`, `actions`, `pages` and `spend`";
                findings.push(not_supported(&kind.key, instead));
                None
            }
        }
    }
}

pub(crate) const STEADY: Section = Section {
    name: "`steadyState`",
    keys: &["success", "latency", "require", "hold", "within"],
    kinds: &[],
};
pub(crate) const LATENCY_BOUND: Section =
    Section { name: "`latency`", keys: &["quantile", "atMost"], kinds: &[] };

/// What must hold before a trial.
#[derive(Debug, Clone, Default)]
pub(crate) struct SteadyAst {
    pub(crate) success: Option<Spanned<Ratio>>,
    pub(crate) latency: Option<(Spanned<Quantile>, Spanned<Duration>)>,
    pub(crate) require: Option<Vec<Spanned<String>>>,
    pub(crate) hold: Option<Spanned<Duration>>,
    pub(crate) within: Option<Spanned<Duration>>,
}

impl SteadyAst {
    pub(crate) fn read(section: Option<(&Node, Span)>, findings: &mut Findings) -> Self {
        let fields = section.and_then(|(node, place)| Fields::read(node, place, &STEADY, findings));
        let Some(fields) = fields else { return Self::default() };
        let latency = fields.node("latency", findings).and_then(|node| {
            let place = fields.entry("latency").map_or(fields.place, |entry| entry.key.span);
            let bound = Fields::read(node, place, &LATENCY_BOUND, findings)?;
            let quantile = bound.quantity("quantile", findings);
            let quantile = bound.require("quantile", quantile, findings);
            let at_most = bound.positive("atMost", findings);
            let at_most = bound.require("atMost", at_most, findings);
            Some((quantile?, at_most?))
        });
        let require = fields.node("require", findings).map(|node| {
            let names = list(node, "require", findings).iter();
            names.filter_map(|item| text(item, "require", findings)).collect()
        });
        Self {
            success: fields.quantity("success", findings),
            latency,
            require,
            hold: fields.positive("hold", findings),
            within: fields.positive("within", findings),
        }
    }
}

pub(crate) const PHASES: Section = Section {
    name: "`phases`",
    keys: &["warmup", "baseline", "fault", "recovery", "settle"],
    kinds: &[],
};
pub(crate) const RECOVERY_PHASE: Section =
    Section { name: "`recovery`", keys: &["upTo"], kinds: &[] };

/// Lengths of phases that the scenario states.
#[derive(Debug, Clone, Default)]
pub(crate) struct PhasesAst {
    pub(crate) warmup: Option<Spanned<Duration>>,
    pub(crate) baseline: Option<Spanned<Duration>>,
    pub(crate) fault: Option<Spanned<Duration>>,
    pub(crate) recovery_up_to: Option<Spanned<Duration>>,
    pub(crate) settle: Option<Spanned<Duration>>,
}

impl PhasesAst {
    pub(crate) fn read(section: Option<(&Node, Span)>, findings: &mut Findings) -> Self {
        let fields = section.and_then(|(node, place)| Fields::read(node, place, &PHASES, findings));
        let Some(fields) = fields else { return Self::default() };
        let recovery_up_to = fields.node("recovery", findings).and_then(|node| match &node.value {
            Value::Scalar { .. } => quantity::<Duration>(node, "recovery", findings),
            Value::List(_) | Value::Map(_) => {
                let place = fields.entry("recovery").map_or(fields.place, |e| e.key.span);
                let recovery = Fields::read(node, place, &RECOVERY_PHASE, findings)?;
                let up_to = recovery.positive("upTo", findings);
                recovery.require("upTo", up_to, findings)
            }
        });
        Self {
            warmup: fields.quantity("warmup", findings),
            baseline: fields.positive("baseline", findings),
            fault: fields.positive("fault", findings),
            recovery_up_to,
            settle: fields.quantity("settle", findings),
        }
    }
}
