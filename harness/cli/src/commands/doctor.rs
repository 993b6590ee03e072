//! `gameday doctor`: which mechanisms and servers this machine has, which kinds of fault that
//! allows, and how to get the rest.

use std::collections::BTreeMap;

use harness_core::exit;
use harness_core::fault::{Capability, Registry};
use serde_json::json;

use crate::args::Doctor;
use crate::containers;
use crate::output;
use crate::ports;
use crate::style::{Style, width};

/// Programs that no run needs.
const PROGRAMS: [(&str, &str); 5] = [
    ("chromium", "opens reports"),
    ("haproxy", "the peer of the proxy's benchmark"),
    ("linux.uml", "a kernel of its own, for tests that reboot"),
    ("prometheus", "a real source of telemetry"),
    ("wrk", "the peer of the load benchmark"),
];

pub(crate) fn run(arguments: &Doctor, style: Style) -> u8 {
    let capabilities = containers::capabilities(None);
    let registry = ports::registry();
    if arguments.json {
        let faults: Vec<_> = registry
            .iter()
            .map(|(kind, system, entry)| {
                let missing = missing(&entry.requires, &capabilities);
                json!({"kind": kind, "system": system, "missing": missing})
            })
            .collect();
        let programs: BTreeMap<_, _> =
            PROGRAMS.iter().map(|(name, _)| (*name, is_installed(name))).collect();
        let text = json!({"mechanisms": capabilities, "programs": programs, "faults": faults});
        output::say(&serde_json::to_string_pretty(&text).expect("plain data"));
    } else {
        output::say(&text(&capabilities, &registry, style));
    }
    // The lab comes with gameday, and some kinds need root; what is refused here is said above.
    let mut on_lab = registry.iter().filter(|(_, system, _)| *system == injectors::lab::LAB);
    let usable = on_lab.any(|(_, _, e)| missing(&e.requires, &capabilities).is_empty());
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

/// Column at which the words about a mechanism begin.
const WORDS_AT: usize = 23;

fn text(capabilities: &BTreeMap<String, Capability>, registry: &Registry, style: Style) -> String {
    let columns = width();
    let about = |words: &str| reports::wrapped(words, columns, WORDS_AT).trim_start().to_owned();
    let mut out = format!("{}\n", style.bold("Mechanisms of this machine"));
    for (name, capability) in capabilities {
        let (mark, words) = match capability {
            Capability::Available(words) => (style.good("✓"), words),
            Capability::Missing(words) => (style.warn("–"), words),
        };
        out += &format!("  {mark} {name:<18} {}\n", about(words));
    }
    out += &format!("\n{}\n", style.bold("Programs that tests and benchmarks of gameday use"));
    for (name, about) in PROGRAMS {
        let mark = if is_installed(name) { style.good("✓") } else { style.warn("–") };
        out += &format!("  {mark} {name:<18} {about}\n");
    }
    out += &format!("\n{}\n", style.bold("Kinds of fault"));
    for (kind, system, entry) in registry.iter() {
        let missing = missing(&entry.requires, capabilities);
        let (mark, words) = if missing.is_empty() {
            (style.good("✓"), entry.injector.summary().to_owned())
        } else {
            (style.bad("✗"), format!("refused: needs {}", missing.join(", ")))
        };
        out += &format!("  {mark} {kind:<18} {system:<10} {words}\n");
    }
    out += "\n✓ works here   – missing; only what needs it is refused   ✗ refused here\n";
    out
}

fn is_installed(program: &str) -> bool {
    #[expect(clippy::disallowed_methods, reason = "the cli reads the environment")]
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
