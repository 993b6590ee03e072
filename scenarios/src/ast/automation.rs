//! The section `automation`: what reacts to the faults by itself, what it can do, and what it must
//! and must not do.

use harness_core::diag::Span;
use harness_core::units::{Duration, Ratio};

use crate::codes;
use crate::findings::{Finding, Findings};
use crate::node::{Entry, Node, Spanned, Value};
use crate::read::{Fields, Section, list, name, named, text};

use super::expect::inner_share;

/// Automations of a scenario.
pub(crate) const AUTOMATIONS_MAX: usize = 20;

pub(crate) const AUTOMATION: Section = Section {
    name: "an automation",
    keys: &["id", "actor", "actions", "expect", "confidence"],
    kinds: &[],
};
pub(crate) const ACTION: Section =
    Section { name: "an action", keys: &["actor", "action"], kinds: &[] };
pub(crate) const RULES: Section = Section {
    name: "`expect`",
    keys: &[
        "acts",
        "staysQuiet",
        "exactlyOnce",
        "releases",
        "only",
        "never",
        "obeysKillSwitch",
        "holdsWhenBlind",
    ],
    kinds: &[],
};
pub(crate) const ACTS: Section =
    Section { name: "`acts`", keys: &["action", "after", "within", "target"], kinds: &[] };
pub(crate) const STAYS_QUIET: Section =
    Section { name: "`staysQuiet`", keys: &["action", "arms"], kinds: &[] };
pub(crate) const EXACTLY_ONCE: Section =
    Section { name: "`exactlyOnce`", keys: &["action", "per", "of", "target"], kinds: &[] };
pub(crate) const RELEASES: Section =
    Section { name: "`releases`", keys: &["action", "after", "within"], kinds: &[] };
pub(crate) const ONLY: Section = Section { name: "`only`", keys: &["targets"], kinds: &[] };
pub(crate) const NEVER: Section = Section { name: "`never`", keys: &["actions"], kinds: &[] };
pub(crate) const OBEYS_KILL_SWITCH: Section =
    Section { name: "`obeysKillSwitch`", keys: &["switch", "actions"], kinds: &[] };
pub(crate) const HOLDS_WHEN_BLIND: Section =
    Section { name: "`holdsWhenBlind`", keys: &["fault", "actions"], kinds: &[] };
pub(crate) const CONFIDENCE: Section =
    Section { name: "`confidence`", keys: &["atLeast", "at"], kinds: &[] };

/// One automation as written.
#[derive(Debug, Clone)]
pub(crate) struct AutomationAst {
    pub(crate) id: Spanned<String>,
    /// Who acts, as the system calls it; the id when it does not say.
    pub(crate) actor: Option<Spanned<String>>,
    /// The signal that records what it does.
    pub(crate) from: Option<Spanned<String>>,
    pub(crate) actions: Vec<ActionAst>,
    /// Each with the place of its key.
    pub(crate) rules: Vec<(Span, RuleAst)>,
    pub(crate) at_least: Option<Spanned<Ratio>>,
    pub(crate) confidence: Option<Spanned<Ratio>>,
}

/// A name for something that can be done: `open: becomes open`, or
/// `open: {actor: breaker, action: open}`.
#[derive(Debug, Clone)]
pub(crate) struct ActionAst {
    pub(crate) name: Spanned<String>,
    pub(crate) actor: Option<Spanned<String>>,
    /// The action, or the state that it leads to.
    pub(crate) action: Spanned<String>,
    /// Said as `becomes ...`.
    pub(crate) is_state: bool,
}

/// What it must, or must not, do.
#[derive(Debug, Clone)]
pub(crate) enum RuleAst {
    Acts {
        action: Spanned<String>,
        target: Option<Spanned<String>>,
        after: Option<Spanned<String>>,
        within: Spanned<Duration>,
    },
    StaysQuiet {
        action: Option<Spanned<String>>,
        arms: Option<Vec<Spanned<String>>>,
    },
    ExactlyOnce {
        action: Spanned<String>,
        target: Option<Spanned<String>>,
        of: Option<Spanned<String>>,
    },
    Releases {
        action: Spanned<String>,
        after: Option<Spanned<String>>,
        within: Spanned<Duration>,
    },
    Only {
        targets: Vec<Spanned<String>>,
    },
    Never {
        actions: Vec<Spanned<String>>,
    },
    ObeysKillSwitch {
        /// The fault that throws it.
        switch: Spanned<String>,
        actions: Option<Vec<Spanned<String>>>,
    },
    HoldsWhenBlind {
        fault: Option<Spanned<String>>,
        actions: Option<Vec<Spanned<String>>>,
    },
}

impl AutomationAst {
    /// Reads the section.
    pub(crate) fn read_all(node: &Node, place: Span, findings: &mut Findings) -> Vec<Self> {
        let items = list(node, "automation", findings);
        if items.len() > AUTOMATIONS_MAX {
            let message = format!("more than {AUTOMATIONS_MAX} automations");
            findings.push(Finding::error(codes::TOO_LARGE, place, message));
        }
        let items = items.iter().take(AUTOMATIONS_MAX);
        items.filter_map(|item| Self::read(item, findings)).collect()
    }

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let fields = Fields::read(node, node.span, &AUTOMATION, findings)?;
        let id = fields.text("id", findings).and_then(|id| name(id, "an automation", findings));
        let id = fields.require("id", id, findings);
        let actor = fields.text("actor", findings);
        let (from, actions) = fields
            .node("actions", findings)
            .map_or((None, Vec::new()), |node| read_actions(node, findings));
        let rules = fields.node("expect", findings);
        let rules = fields.require("expect", rules, findings).map(|node| {
            let place = fields.entry("expect").map_or(fields.place, |entry| entry.key.span);
            read_rules(node, place, findings)
        });
        let confidence = fields.node("confidence", findings).and_then(|node| {
            let place = fields.entry("confidence").map_or(fields.place, |entry| entry.key.span);
            Fields::read(node, place, &CONFIDENCE, findings)
        });
        let share = |key: &str, findings: &mut Findings| {
            confidence.as_ref().and_then(|fields| inner_share(fields, key, findings))
        };
        let at_least = share("atLeast", findings);
        let confidence = share("at", findings);
        Some(Self { id: id?, actor, from, actions, rules: rules?, at_least, confidence })
    }
}

fn read_actions(node: &Node, findings: &mut Findings) -> (Option<Spanned<String>>, Vec<ActionAst>) {
    let mut from = None;
    let mut actions = Vec::new();
    for entry in named(node, "actions", findings) {
        if entry.key.value == "from" {
            from = text(&entry.node, "from", findings);
        } else {
            actions.extend(read_action(entry, findings));
        }
    }
    (from, actions)
}

fn read_action(entry: &Entry, findings: &mut Findings) -> Option<ActionAst> {
    let called = entry.key.clone();
    if let Value::Map(_) = &entry.node.value {
        let fields = Fields::read(&entry.node, called.span, &ACTION, findings)?;
        let actor = fields.text("actor", findings);
        let action = fields.text("action", findings);
        let action = fields.require("action", action, findings)?;
        return Some(ActionAst { name: called, actor, action, is_state: false });
    }
    let said = text(&entry.node, &called.value, findings)?;
    let state = said.value.trim().strip_prefix("becomes ").map(str::trim);
    let action = Spanned::new(state.unwrap_or(said.value.trim()).to_owned(), said.span);
    Some(ActionAst { name: called, actor: None, action, is_state: state.is_some() })
}

fn read_rules(node: &Node, place: Span, findings: &mut Findings) -> Vec<(Span, RuleAst)> {
    let Some(fields) = Fields::read(node, place, &RULES, findings) else { return Vec::new() };
    let readers: [(&str, &'static Section, Reader); 8] = [
        ("acts", &ACTS, acts),
        ("staysQuiet", &STAYS_QUIET, stays_quiet),
        ("exactlyOnce", &EXACTLY_ONCE, exactly_once),
        ("releases", &RELEASES, releases),
        ("only", &ONLY, only),
        ("never", &NEVER, never),
        ("obeysKillSwitch", &OBEYS_KILL_SWITCH, obeys_kill_switch),
        ("holdsWhenBlind", &HOLDS_WHEN_BLIND, holds_when_blind),
    ];
    let mut rules = Vec::new();
    for (key, section, read) in readers {
        let Some(entry) = fields.entry(key) else { continue };
        let Some(node) = fields.node(key, findings) else { continue };
        let Some(own) = Fields::read(node, entry.key.span, section, findings) else { continue };
        rules.extend(read(&own, findings).map(|rule| (entry.key.span, rule)));
    }
    if node_is_empty(node) {
        findings.push(
            Finding::error(codes::MISSING_KEY, place, "nothing is expected of this automation")
                .hint("for example `acts: {action: open, within: 2s}`"),
        );
    }
    rules
}

fn node_is_empty(node: &Node) -> bool {
    matches!(&node.value, Value::Map(entries) if entries.is_empty())
}

/// Reads one rule.
type Reader = fn(&Fields<'_>, &mut Findings) -> Option<RuleAst>;

fn required(fields: &Fields<'_>, key: &str, findings: &mut Findings) -> Option<Spanned<String>> {
    let text = fields.text(key, findings);
    fields.require(key, text, findings)
}

fn within(fields: &Fields<'_>, findings: &mut Findings) -> Option<Spanned<Duration>> {
    let within = fields.positive("within", findings);
    fields.require("within", within, findings)
}

fn acts(fields: &Fields<'_>, findings: &mut Findings) -> Option<RuleAst> {
    let action = required(fields, "action", findings);
    let within = within(fields, findings);
    let target = fields.text("target", findings);
    let after = fields.text("after", findings);
    Some(RuleAst::Acts { action: action?, target, after, within: within? })
}

fn stays_quiet(fields: &Fields<'_>, findings: &mut Findings) -> Option<RuleAst> {
    let action = fields.text("action", findings);
    let arms = match fields.entry("arms") {
        None => None,
        Some(_) => Some(some(fields, "arms", findings)?),
    };
    Some(RuleAst::StaysQuiet { action, arms })
}

fn exactly_once(fields: &Fields<'_>, findings: &mut Findings) -> Option<RuleAst> {
    let action = required(fields, "action", findings);
    fields.word("per", &[("fault", ())], findings);
    let target = fields.text("target", findings);
    let of = fields.text("of", findings);
    Some(RuleAst::ExactlyOnce { action: action?, target, of })
}

fn releases(fields: &Fields<'_>, findings: &mut Findings) -> Option<RuleAst> {
    let action = required(fields, "action", findings);
    let within = within(fields, findings);
    let after = fields.text("after", findings);
    Some(RuleAst::Releases { action: action?, after, within: within? })
}

fn only(fields: &Fields<'_>, findings: &mut Findings) -> Option<RuleAst> {
    Some(RuleAst::Only { targets: some(fields, "targets", findings)? })
}

fn never(fields: &Fields<'_>, findings: &mut Findings) -> Option<RuleAst> {
    Some(RuleAst::Never { actions: some(fields, "actions", findings)? })
}

fn obeys_kill_switch(fields: &Fields<'_>, findings: &mut Findings) -> Option<RuleAst> {
    let switch = required(fields, "switch", findings);
    let actions = some_or_any(fields, findings)?;
    Some(RuleAst::ObeysKillSwitch { switch: switch?, actions })
}

fn holds_when_blind(fields: &Fields<'_>, findings: &mut Findings) -> Option<RuleAst> {
    let fault = fields.text("fault", findings);
    Some(RuleAst::HoldsWhenBlind { fault, actions: some_or_any(fields, findings)? })
}

/// The actions that are listed; the inner `None` where none are.
#[expect(clippy::option_option, reason = "no actions named is not a mistake in naming them")]
fn some_or_any(
    fields: &Fields<'_>,
    findings: &mut Findings,
) -> Option<Option<Vec<Spanned<String>>>> {
    match fields.entry("actions") {
        None => Some(None),
        Some(_) => some(fields, "actions", findings).map(Some),
    }
}

/// A list that is not empty.
fn some(fields: &Fields<'_>, key: &str, findings: &mut Findings) -> Option<Vec<Spanned<String>>> {
    let node = fields.node(key, findings);
    let node = fields.require(key, node, findings)?;
    let all = texts(node, key, findings);
    if matches!(&node.value, Value::List(items) if items.is_empty()) {
        let message = format!("`{key}` needs at least one entry");
        findings.push(Finding::error(codes::MISSING_KEY, node.span, message));
    }
    (!all.is_empty()).then_some(all)
}

fn texts(node: &Node, key: &str, findings: &mut Findings) -> Vec<Spanned<String>> {
    list(node, key, findings).iter().filter_map(|item| text(item, key, findings)).collect()
}
