//! Claims about what automation does: names of actions, actors, targets and faults resolved.

use harness_core::diag::Span;
use harness_core::ids::{ArmName, FaultId};
use harness_core::plan::{Assertion, AutomationRule, Claim, Expectation, FaultInstant, SystemPlan};

use crate::ast::{ActionAst, AutomationAst, Common, RuleAst};
use crate::codes;
use crate::findings::{Finding, Findings, did_you_mean};
use crate::node::Spanned;

use super::containers::is_containers;
use super::expectations::{
    CONFIDENCE, IN_AT_LEAST, Names, Stated, Surroundings, arms, fault, placebo_arms,
};

/// Who acts by itself in a lab, and what it does: each action with the state that it leads to.
const LAB: [Actor; 4] = [
    Actor { name: "alerter", actions: &[("page", "paged")] },
    Actor {
        name: "breaker",
        actions: &[("open", "open"), ("half-open", "half-open"), ("close", "closed")],
    },
    Actor { name: "cap", actions: &[("stop", "stopped"), ("release", "released")] },
    Actor { name: "supervisor", actions: &[("restart", "restarted")] },
];

/// An actor that is known beforehand.
#[derive(Debug)]
struct Actor {
    name: &'static str,
    actions: &'static [(&'static str, &'static str)],
}

pub(super) fn lower(
    automations: &[AutomationAst],
    around: &Surroundings<'_>,
    names: &mut Names,
    findings: &mut Findings,
) -> Vec<Stated> {
    let mut stated = Vec::new();
    for automation in automations {
        if !records(automation, around, findings) {
            continue;
        }
        let one = Automation { written: automation, around };
        for action in &automation.actions {
            // Also those that no rule speaks of.
            drop(one.declared(action, findings));
        }
        let claim = Claim::share(
            automation.at_least.as_ref().map_or(IN_AT_LEAST, |share| share.value),
            automation.confidence.as_ref().map_or(CONFIDENCE, |share| share.value),
        );
        for (place, rule) in &automation.rules {
            let Some((assertion, arms)) = one.rule(*place, rule, findings) else { continue };
            let family = format!("{}-{}", automation.id.value, word(rule));
            let id = names.take(None, &family);
            stated.push((*place, Expectation { id, arms, assertion, claim }));
        }
    }
    stated
}

/// A rule in an expectation's name.
fn word(rule: &RuleAst) -> &'static str {
    match rule {
        RuleAst::Acts { .. } => "acts",
        RuleAst::StaysQuiet { .. } => "stays-quiet",
        RuleAst::ExactlyOnce { .. } => "exactly-once",
        RuleAst::Releases { .. } => "releases",
        RuleAst::Only { .. } => "only",
        RuleAst::Never { .. } => "never",
        RuleAst::ObeysKillSwitch { .. } => "obeys-kill-switch",
        RuleAst::HoldsWhenBlind { .. } => "holds-when-blind",
    }
}

/// Whether something records what is done; tells when nothing does.
fn records(automation: &AutomationAst, around: &Surroundings<'_>, findings: &mut Findings) -> bool {
    if is_containers(around.system) {
        // Told where the whole scenario is seen.
        return false;
    }
    if let Some(from) = &automation.from {
        return around.signals.find_actions(from, findings);
    }
    if around.signals.actions().next().is_some() {
        return true;
    }
    findings.push(
        Finding::error(codes::NO_EVIDENCE, automation.id.span, "no signal records what it does")
            .hint("add `signals: {record: {actions: {}}}`"),
    );
    false
}

/// One automation among what it speaks of.
struct Automation<'a> {
    written: &'a AutomationAst,
    around: &'a Surroundings<'a>,
}

impl Automation<'_> {
    fn rule(
        &self,
        place: Span,
        rule: &RuleAst,
        findings: &mut Findings,
    ) -> Option<(Assertion, Vec<ArmName>)> {
        let about = |fault: &FaultId, findings: &mut Findings| {
            arms(&Common::default(), Some(fault), self.around, findings)
        };
        let all = || self.around.arms.iter().map(|arm| arm.name.clone()).collect();
        let (actor, rule, arms) = match rule {
            RuleAst::Acts { action, target, after, within } => {
                let (actor, action) = self.action(action, findings)?;
                let target = self.one_target(target.as_ref(), findings)?;
                let fault = self.after(after.as_ref(), FaultInstant::Effective, place, findings)?;
                let (arms, within) = (about(&fault, findings)?, within.value);
                (actor, AutomationRule::Acts { action, target, fault, within }, arms)
            }
            RuleAst::Releases { action, after, within } => {
                let (actor, action) = self.action(action, findings)?;
                let fault = self.after(after.as_ref(), FaultInstant::Reverted, place, findings)?;
                let (arms, within) = (about(&fault, findings)?, within.value);
                (actor, AutomationRule::Releases { action, fault, within }, arms)
            }
            RuleAst::ExactlyOnce { action, target, of } => {
                let (actor, action) = self.action(action, findings)?;
                let target = self.one_target(target.as_ref(), findings)?;
                let fault = fault(of.as_ref(), place, self.around, findings)?;
                let arms = about(&fault, findings)?;
                (actor, AutomationRule::ExactlyOnce { action, target, fault }, arms)
            }
            RuleAst::StaysQuiet { action, arms: said } => {
                let (actor, action) = match action {
                    None => (self.actor(findings)?, None),
                    Some(action) => {
                        let (actor, action) = self.action(action, findings)?;
                        (actor, Some(action))
                    }
                };
                let arms = match said {
                    None => placebo_arms(place, self.around, findings)?,
                    Some(said) => {
                        let common = Common { arms: Some(said.clone()), ..Common::default() };
                        arms(&common, None, self.around, findings)?
                    }
                };
                (actor, AutomationRule::StaysQuiet { action }, arms)
            }
            RuleAst::Only { targets } => {
                let targets = self.targets(targets, findings)?;
                (self.actor(findings)?, AutomationRule::Only { targets }, all())
            }
            RuleAst::Never { actions } => {
                let (actor, actions) = self.forbidden(actions, findings)?;
                (actor, AutomationRule::Never { actions }, all())
            }
            RuleAst::ObeysKillSwitch { switch, actions } => {
                let (actor, actions) = self.forbidden_or_any(actions.as_deref(), findings)?;
                let switch = fault(Some(switch), place, self.around, findings)?;
                let arms = about(&switch, findings)?;
                (actor, AutomationRule::ObeysKillSwitch { switch, actions }, arms)
            }
            RuleAst::HoldsWhenBlind { fault: said, actions } => {
                let (actor, actions) = self.forbidden_or_any(actions.as_deref(), findings)?;
                let fault = fault(said.as_ref(), place, self.around, findings)?;
                let arms = about(&fault, findings)?;
                (actor, AutomationRule::HoldsWhenBlind { fault, actions }, arms)
            }
        };
        Some((Assertion::Automation { actor, rule }, arms))
    }

    /// What must never be done, all of it by one actor.
    fn forbidden(
        &self,
        actions: &[Spanned<String>],
        findings: &mut Findings,
    ) -> Option<(String, Vec<String>)> {
        let found: Option<Vec<(String, String)>> =
            actions.iter().map(|action| self.action(action, findings)).collect();
        let found = found?;
        let (actor, _) = found.first()?;
        if let Some(place) = found.iter().position(|(other, _)| other != actor) {
            let (other, _) = &found[place];
            findings.push(
                Finding::error(
                    codes::NOT_ONE_KIND,
                    actions[place].span,
                    format!("`{other}` does this, not `{actor}`"),
                )
                .hint("give each actor an automation of its own"),
            );
            return None;
        }
        Some((actor.clone(), found.iter().map(|(_, action)| action.clone()).collect()))
    }

    /// What must not be done for a while; anything at all where nothing is listed.
    fn forbidden_or_any(
        &self,
        actions: Option<&[Spanned<String>]>,
        findings: &mut Findings,
    ) -> Option<(String, Option<Vec<String>>)> {
        match actions {
            None => Some((self.actor(findings)?, None)),
            Some(actions) => {
                let (actor, actions) = self.forbidden(actions, findings)?;
                Some((actor, Some(actions)))
            }
        }
    }

    /// Who acts, as the system calls it.
    fn actor(&self, findings: &mut Findings) -> Option<String> {
        if self.written.actor.is_none() {
            let mut actors = self.written.actions.iter().filter_map(|one| one.actor.as_ref());
            if let Some(actor) = actors.next() {
                return self.known_actor(actor, findings);
            }
        }
        self.known_actor(self.written.actor.as_ref().unwrap_or(&self.written.id), findings)
    }

    fn known_actor(&self, actor: &Spanned<String>, findings: &mut Findings) -> Option<String> {
        let known = actors(self.around.system);
        if known.is_empty() || known.iter().any(|one| one.name == actor.value) {
            return Some(actor.value.clone());
        }
        let names = known.iter().map(|one| one.name);
        let list: Vec<&str> = known.iter().map(|one| one.name).collect();
        let near = did_you_mean(&actor.value, names);
        let hint = if near.is_empty() {
            format!("write `actor: ...`: one of {}", list.join(", "))
        } else {
            near
        };
        let message = format!("nothing called `{}` acts in this system", actor.value);
        findings.push(Finding::error(codes::UNKNOWN_REFERENCE, actor.span, message).hint(hint));
        None
    }

    /// An action as a rule names it: one that is declared, or one of the actor's own.
    fn action(&self, said: &Spanned<String>, findings: &mut Findings) -> Option<(String, String)> {
        let declared = || self.written.actions.iter();
        if let Some(action) = declared().find(|action| action.name.value == said.value) {
            // What is wrong with it was told where it stands.
            return self.declared(action, &mut Findings::default());
        }
        let actor = self.actor(findings)?;
        let own = actors(self.around.system).iter().find(|one| one.name == actor);
        let own = own.map_or(&[][..], |actor| actor.actions);
        if own.iter().any(|(action, _)| *action == said.value) {
            return Some((actor, said.value.clone()));
        }
        let names = declared().map(|action| action.name.value.as_str());
        let known: Vec<&str> = names.chain(own.iter().map(|(action, _)| *action)).collect();
        let near = did_you_mean(&said.value, known.iter().copied());
        let hint = if near.is_empty() {
            format!("declare it: `actions: {{{0}: {{actor: {actor}, action: {0}}}}}`", said.value)
        } else {
            near
        };
        let message = format!("`{actor}` has no action `{}`", said.value);
        findings.push(Finding::error(codes::UNKNOWN_REFERENCE, said.span, message).hint(hint));
        None
    }

    /// What a declared action stands for: who does what.
    fn declared(&self, action: &ActionAst, findings: &mut Findings) -> Option<(String, String)> {
        let actor = match &action.actor {
            Some(actor) => self.known_actor(actor, findings)?,
            None => self.actor(findings)?,
        };
        let Some(known) = actors(self.around.system).iter().find(|one| one.name == actor) else {
            return Some((actor, action.action.value.clone()));
        };
        let said = action.action.value.as_str();
        let found = known
            .actions
            .iter()
            .find(|(verb, state)| if action.is_state { *state == said } else { *verb == said });
        if let Some((verb, _)) = found {
            return Some((actor, (*verb).to_owned()));
        }
        let words = known.actions.iter();
        let words = words.map(|(verb, state)| if action.is_state { *state } else { *verb });
        let message = if action.is_state {
            format!("`{actor}` never becomes `{said}`")
        } else {
            format!("`{actor}` has no action `{said}`")
        };
        findings.push(
            Finding::error(codes::UNKNOWN_REFERENCE, action.action.span, message)
                .hint(did_you_mean(said, words)),
        );
        None
    }

    /// The fault, said as `down` or as `down.effective`: each rule has one instant that it is
    /// counted from.
    fn after(
        &self,
        said: Option<&Spanned<String>>,
        instant: FaultInstant,
        place: Span,
        findings: &mut Findings,
    ) -> Option<FaultId> {
        let word = if instant == FaultInstant::Reverted { "reverted" } else { "effective" };
        let Some((said, (name, point))) =
            said.and_then(|said| Some((said, said.value.split_once('.')?)))
        else {
            return fault(said, place, self.around, findings);
        };
        let named = Spanned::new(name.to_owned(), said.part(0, name.len()));
        let found = fault(Some(&named), place, self.around, findings)?;
        if point == word {
            return Some(found);
        }
        let message = format!("this is counted from `{name}.{word}`");
        findings.push(
            Finding::error(codes::BAD_WINDOW, said.span, message)
                .hint(format!("write `after: {name}.{word}`")),
        );
        None
    }

    /// The instance of this name; the outer `None` where it is told that there is none.
    #[expect(clippy::option_option, reason = "no target asked for is not an unknown one")]
    fn one_target(
        &self,
        said: Option<&Spanned<String>>,
        findings: &mut Findings,
    ) -> Option<Option<String>> {
        let Some(said) = said else { return Some(None) };
        let mut found = self.instances(said, findings)?;
        if found.len() == 1 {
            return Some(found.pop());
        }
        let message = format!("`{}` has several instances", said.value);
        findings.push(
            Finding::error(codes::UNKNOWN_TARGET, said.span, message)
                .hint(format!("name one of them: `{}-0`", said.value)),
        );
        None
    }

    fn targets(&self, said: &[Spanned<String>], findings: &mut Findings) -> Option<Vec<String>> {
        let found: Option<Vec<Vec<String>>> =
            said.iter().map(|target| self.instances(target, findings)).collect();
        found.map(|all| all.concat())
    }

    /// The instances that a name stands for: one, or all of a service.
    fn instances(&self, said: &Spanned<String>, findings: &mut Findings) -> Option<Vec<String>> {
        let topology = &self.around.system?.topology;
        let names = |service: &harness_core::topology::Service| -> Vec<String> {
            service.instances.iter().map(|instance| instance.name.clone()).collect()
        };
        for service in &topology.services {
            if service.name.as_str() == said.value {
                return Some(names(service));
            }
            if names(service).contains(&said.value) {
                return Some(vec![said.value.clone()]);
            }
        }
        let known: Vec<String> = topology
            .services
            .iter()
            .flat_map(|service| std::iter::once(service.name.to_string()).chain(names(service)))
            .collect();
        let message = format!("there is no service or instance `{}`", said.value);
        findings.push(
            Finding::error(codes::UNKNOWN_TARGET, said.span, message)
                .hint(did_you_mean(&said.value, known.iter().map(String::as_str))),
        );
        None
    }
}

/// The actors that are known beforehand; none where anything may act.
fn actors(system: Option<&SystemPlan>) -> &'static [Actor] {
    if system.is_some_and(|system| system.kind == "lab") { &LAB } else { &[] }
}
