//! `gameday doctor`: which mechanisms and servers this machine has, which kinds of fault that
//! allows, and how to get the rest.

use std::collections::BTreeMap;

use harness_core::exit;
use harness_core::fault::{Capability, Registry};
use serde_json::json;

use crate::args::Doctor;
use crate::output;
use crate::ports;
use crate::style::Style;

pub(crate) fn run(arguments: &Doctor, style: Style) -> u8 {
    let capabilities = injectors::capabilities();
    let registry = ports::registry();
    if arguments.json {
        let faults: Vec<_> = registry
            .iter()
            .map(|(kind, system, entry)| {
                let missing = missing(&entry.requires, &capabilities);
                json!({"kind": kind, "system": system, "missing": missing})
            })
            .collect();
        let text = json!({"mechanisms": capabilities, "faults": faults});
        output::say(&serde_json::to_string_pretty(&text).expect("plain data"));
    } else {
        output::say(&text(&capabilities, &registry, style));
    }
    let usable = registry.iter().all(|(_, _, e)| missing(&e.requires, &capabilities).is_empty());
    if usable { exit::PASS } else { exit::REFUSED }
}

fn missing(
    requires: &[harness_core::fault::Requirement],
    capabilities: &BTreeMap<String, Capability>,
) -> Vec<String> {
    requires
        .iter()
        .filter(|need| !matches!(capabilities.get(need.0), Some(Capability::Available(_))))
        .map(|need| need.0.to_owned())
        .collect()
}

fn text(capabilities: &BTreeMap<String, Capability>, registry: &Registry, style: Style) -> String {
    let mut out = format!("{}\n", style.bold("Mechanisms of this machine"));
    for (name, capability) in capabilities {
        let (mark, words) = match capability {
            Capability::Available(words) => (style.good("✓"), words),
            Capability::Missing(words) => (style.warn("–"), words),
        };
        out += &format!("  {mark} {name:<18} {words}\n");
    }
    out += &format!("\n{}\n", style.bold("Kinds of fault"));
    for (kind, system, entry) in registry.iter() {
        let missing = missing(&entry.requires, capabilities);
        let summary = entry.injector.summary();
        if missing.is_empty() {
            out += &format!("  {} {kind:<18} {system:<6} {summary}\n", style.good("✓"));
        } else {
            let why = format!("refused: needs {}", missing.join(", "));
            out += &format!("  {} {kind:<18} {system:<6} {why}\n", style.bad("✗"));
        }
    }
    out += "\n✓ works here   – missing; only faults that need it are refused   ✗ refused here\n";
    out
}
