//! Which system is attacked, and which of its defects are switched on.

use std::collections::BTreeMap;

use harness_core::plan::SystemPlan;
use harness_core::system::SystemKind;

use crate::ast::{Spec, SystemAst};
use crate::codes;
use crate::findings::{Finding, Findings, did_you_mean, listed};
use crate::read::{not_supported, text};

use super::{Context, containers};

/// Kinds of system that the language knows; those not given from outside are not built in.
const LANGUAGE: [&str; 5] = ["lab", "kubernetes", "containers", "processes", "endpoints"];

pub(super) fn lower(
    spec: &Spec,
    context: &Context<'_>,
    findings: &mut Findings,
) -> Option<SystemPlan> {
    let system = spec.system.as_ref()?;
    let kind = kind(system, context.systems, findings)?;
    if kind.key == containers::KIND {
        // They have no defects of ours: `--with` is told.
        defects(system, kind, context.defects, findings);
        return containers::lower(system, findings);
    }
    let name = text(&system.node, kind.key, findings)?;
    let Some(topology) = kind.declared.get(&name.value) else {
        let known = kind.declared.keys().map(String::as_str);
        let message = format!("there is no {} system `{}`", kind.key, name.value);
        findings.push(
            Finding::error(codes::UNKNOWN_TARGET, name.span, message)
                .hint(did_you_mean(&name.value, known)),
        );
        return None;
    };
    let defects = defects(system, kind, context.defects, findings);
    Some(SystemPlan {
        kind: kind.key.to_owned(),
        name: name.value,
        // A lab is its own environment; it holds nothing that anybody else depends on.
        environment: kind.key.to_owned(),
        defects,
        topology: topology.declared(),
        containers: None,
    })
}

/// The kind of system that the scenario names.
pub(super) fn kind<'a>(
    system: &SystemAst,
    systems: &'a [SystemKind],
    findings: &mut Findings,
) -> Option<&'a SystemKind> {
    let said = system.kind.value.as_str();
    if let Some(kind) = systems.iter().find(|kind| kind.key == said) {
        return Some(kind);
    }
    let known: Vec<&str> = systems.iter().map(|kind| kind.key).collect();
    if LANGUAGE.contains(&said) {
        let instead = format!("systems of this build: {}", listed(&known));
        findings.push(not_supported(&system.kind, &instead));
    } else {
        let message = format!("`{said}` is not a kind of system");
        findings.push(
            Finding::error(codes::UNKNOWN_KEY, system.kind.span, message)
                .label("unknown key")
                .hint(did_you_mean(said, known.into_iter().chain(LANGUAGE))),
        );
    }
    None
}

fn defects(
    system: &SystemAst,
    kind: &SystemKind,
    wanted: &[(String, String)],
    findings: &mut Findings,
) -> BTreeMap<String, String> {
    let mut defects = BTreeMap::new();
    for (name, value) in wanted {
        let values: Vec<&str> = kind
            .defects
            .iter()
            .filter(|defect| &defect.name == name)
            .flat_map(|defect| defect.values.iter().map(String::as_str))
            .collect();
        if values.contains(&value.as_str()) {
            defects.insert(name.clone(), value.clone());
            continue;
        }
        let hint = if values.is_empty() {
            did_you_mean(name, kind.defects.iter().map(|defect| defect.name.as_str()))
        } else {
            format!("`{name}` can be {}", listed(&values))
        };
        let message = format!("`--with {name}={value}` is not a defect of this system");
        findings.push(Finding::error(codes::UNKNOWN_DEFECT, system.kind.span, message).hint(hint));
    }
    defects
}
