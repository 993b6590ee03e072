//! `gameday injectors`: the kinds of fault and whether this machine has what they need; and
//! `gameday injectors test`, which tries a program of the user's against every law.

mod trial;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use harness_core::exit;
use harness_core::fault::{Capability, FaultEntry, Reversibility};
use serde_json::{Value, json};

use crate::containers;
use crate::failure::Failure;
use crate::output;
use crate::ports;
use crate::style::Style;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Injectors {
    /// Print as JSON, with the schema of each specification
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<InjectorsCommand>,
}

#[derive(Debug, Subcommand)]
enum InjectorsCommand {
    /// Try a program of your own against the laws of an injector (see docs/exec-injector.md)
    Test(Test),
}

#[derive(Debug, Args)]
pub(super) struct Test {
    /// The injector: an executable that speaks the four verbs
    #[arg(value_name = "PROGRAM")]
    program: PathBuf,
    /// Its witness: another executable
    #[arg(long, value_name = "PROGRAM")]
    witness: PathBuf,
    /// Handed to both as it is
    #[arg(long, value_name = "JSON", default_value = "null", value_parser = json_value)]
    with: Value,
    /// An instance that it touches
    #[arg(long = "instance", value_name = "NAME", required_unless_present = "edges")]
    instances: Vec<String>,
    /// An edge that it touches
    #[arg(long = "edge", value_name = "CALLER->CALLEE")]
    edges: Vec<String>,
    /// Try it on the running lab of this state directory; else on one that is only declared
    #[arg(long, value_name = "DIR")]
    lab: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

fn json_value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

pub(crate) fn run(arguments: &Injectors, style: Style) -> Result<u8, Failure> {
    match &arguments.command {
        Some(InjectorsCommand::Test(test)) => trial::run(test, style),
        None => {
            list(arguments.json, style);
            Ok(exit::PASS)
        }
    }
}

/// What one kind lacks here: mechanism and reason.
fn missing(
    entry: &FaultEntry,
    capabilities: &BTreeMap<String, Capability>,
) -> BTreeMap<&'static str, String> {
    let lacks = |name: &'static str| match capabilities.get(name) {
        Some(Capability::Available(_)) => None,
        Some(Capability::Missing(why)) => Some((name, why.clone())),
        None => Some((name, "nobody has looked for it".to_owned())),
    };
    entry.requires.iter().filter_map(|requirement| lacks(requirement.0)).collect()
}

const fn word(reversibility: Reversibility) -> &'static str {
    match reversibility {
        Reversibility::Reversible => "reversible",
        Reversibility::SelfHealing => "self-healing",
        Reversibility::Irreversible => "irreversible",
    }
}

fn list(as_json: bool, style: Style) {
    let registry = ports::registry();
    let capabilities = containers::capabilities(None);
    if as_json {
        let kinds: Vec<Value> = registry
            .iter()
            .map(|(kind, system, entry)| {
                json!({
                    "kind": kind,
                    "system": system,
                    "summary": entry.injector.summary(),
                    "reversibility": entry.injector.reversibility(),
                    "witness": entry.witness.method(),
                    "needs": entry.requires,
                    "missing": missing(entry, &capabilities),
                    "schema": entry.injector.schema(),
                })
            })
            .collect();
        return output::say(&serde_json::to_string_pretty(&kinds).expect("plain data"));
    }
    let mut text = String::new();
    for (kind, system, entry) in registry.iter() {
        let missing = missing(entry, &capabilities);
        let mark = if missing.is_empty() { style.good("✓") } else { style.bad("✗") };
        let needs: Vec<_> = entry.requires.iter().map(|one| one.0).collect();
        text += &format!("{mark} {} on {system}: {}\n", style.bold(kind), entry.injector.summary());
        text += &format!(
            "  {}; needs {}; its witness: {}\n",
            word(entry.injector.reversibility()),
            needs.join(", "),
            entry.witness.method()
        );
        for (mechanism, why) in missing {
            text += &format!("  refused here: {mechanism}: {why}\n");
        }
    }
    text += "\n✓ works here   ✗ a plan that needs it is refused\n";
    output::say(&text);
}
