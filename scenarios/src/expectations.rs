//! Expectations from a file of their own, for judging a stored run again: `expect: [...]` alone, or
//! a whole scenario of which only `spec.expect` is read.

use harness_core::diag::{Diagnostic, Span};
use harness_core::plan::{Expectation, Plan};

use crate::ast::ClaimsAst;
use crate::check::only_document;
use crate::codes;
use crate::findings::{Finding, Findings};
use crate::node::Node;
use crate::plan::expectations_for;
use crate::read::{Fields, Section};
use crate::{source, vars};

const ALONE: Section = Section {
    name: "a file of expectations",
    keys: &["expect", "automation", "slis", "slos"],
    kinds: &[],
};

/// Reads expectations and resolves them against a plan that was run: its faults, arms, requests
/// and phases. Warnings do not refuse.
pub fn expectations(
    file_name: &str,
    text: &str,
    plan: &Plan,
) -> Result<Vec<Expectation>, Vec<Diagnostic>> {
    let mut findings = Findings::default();
    let read = read(file_name, text, plan, &mut findings);
    match read {
        Some(expectations) if !findings.has_errors() => Ok(expectations),
        _ => Err(findings.into_sorted()),
    }
}

fn read(
    file_name: &str,
    text: &str,
    plan: &Plan,
    findings: &mut Findings,
) -> Option<Vec<Expectation>> {
    let documents = source::documents(text, findings);
    let mut document = only_document(file_name, documents, findings)?;
    let claims = if claims_something(&document) {
        Fields::read(&document, document.span, &ALONE, findings)?;
        claims(&document, findings)
    } else {
        let used = params(&document, plan);
        vars::apply(&mut document, &used, findings);
        let spec = document.entry("spec").map(|entry| &entry.node);
        let Some(spec) = spec.filter(|spec| claims_something(spec)) else {
            findings.push(
                Finding::error(codes::MISSING_KEY, Span::default(), "there is no `expect` here")
                    .hint("write `expect:` and a list, or give a whole scenario"),
            );
            return None;
        };
        claims(spec, findings)
    };
    Some(expectations_for(plan, &claims, findings))
}

fn claims_something(node: &Node) -> bool {
    node.entry("expect").or(node.entry("automation")).is_some()
}

fn claims(node: &Node, findings: &mut Findings) -> ClaimsAst {
    let section =
        |key: &str, _: &mut Findings| node.entry(key).map(|entry| (&entry.node, entry.key.span));
    ClaimsAst::read(section, findings)
}

/// The run's own parameters, as far as this scenario declares them.
fn params(document: &Node, plan: &Plan) -> Vec<(String, String)> {
    let declared = document.entry("spec").and_then(|spec| spec.node.entry("params"));
    plan.scenario
        .params
        .iter()
        .filter(|(name, _)| declared.is_some_and(|params| params.node.entry(name).is_some()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
