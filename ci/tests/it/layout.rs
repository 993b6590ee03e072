//! Rules about packages: one direction of dependencies, purity, and what must be there.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use super::root;

/// Which of our own packages each may use. Cargo refuses cycles; this pins the direction.
const MAY_USE: [(&str, &[&str]); 13] = [
    ("stats", &[]),
    ("lab", &[]),
    ("ci", &[]),
    ("harness-core", &["stats"]),
    ("scenarios", &["harness-core", "stats"]),
    ("injectors", &["harness-core"]),
    ("load", &["harness-core"]),
    ("harness-signals", &["harness-core"]),
    ("reports", &["harness-core", "stats"]),
    ("harness-engine", &["harness-core"]),
    ("harness-policy", &["harness-core"]),
    ("agent", &["harness-core", "harness-engine", "injectors"]),
    (
        "harness-cli",
        &[
            "agent",
            "harness-core",
            "harness-engine",
            "harness-policy",
            "harness-signals",
            "injectors",
            "lab",
            "load",
            "reports",
            "scenarios",
            "stats",
        ],
    ),
];

/// Packages without any input or output: no runtime, no socket, no process.
const PURE: [&str; 4] = ["stats", "harness-core", "scenarios", "reports"];
const IMPURE_CRATES: [&str; 9] =
    ["tokio", "hyper", "hyper-util", "rustix", "ctrlc", "tempfile", "reqwest", "goose", "kube"];

/// Normal dependencies of each of our packages.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo tells its metadata");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    packages
        .iter()
        .map(|package| {
            let normal = package["dependencies"].as_array().into_iter().flatten();
            let names = normal.filter(|d| d["kind"].is_null()).map(|d| text(&d["name"]));
            (text(&package["name"]), names.collect())
        })
        .collect()
}

#[test]
fn dependencies_point_one_way() {
    let dependencies = dependencies();
    let ours: Vec<_> = MAY_USE.iter().map(|(name, _)| *name).collect();
    let mut members: Vec<_> = dependencies.keys().map(String::as_str).collect();
    members.sort_unstable();
    let mut expected = ours.clone();
    expected.sort_unstable();
    assert_eq!(members, expected, "a new package needs its line in MAY_USE");
    for (name, allowed) in MAY_USE {
        for used in &dependencies[name] {
            let fine = !ours.contains(&used.as_str()) || allowed.contains(&used.as_str());
            assert!(fine, "{name} must not use {used}");
        }
    }
}

#[test]
fn pure_packages_stay_pure() {
    let dependencies = dependencies();
    for name in PURE {
        for used in &dependencies[name] {
            assert!(!IMPURE_CRATES.contains(&used.as_str()), "{name} is pure and uses {used}");
        }
        let rules = name.replace("harness-", "harness/") + "/clippy.toml";
        let text = std::fs::read_to_string(root().join(&rules)).expect("a pure package has rules");
        assert!(text.contains("std::time::Instant::now"), "{rules} bans the clock");
        assert!(text.contains("std::fs::File::open"), "{rules} bans files");
    }
}

#[test]
fn what_a_newcomer_looks_for_is_there() {
    for file in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "deny.toml",
        "rustfmt.toml",
        "clippy.toml",
        ".ci/run",
    ] {
        assert!(root().join(file).is_file(), "{file} is missing");
    }
}

#[test]
fn documents_name_only_what_exists() {
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = std::fs::read_to_string(root().join(document)).expect("it is there");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or(target);
            if path.is_empty() || path.contains("://") {
                continue;
            }
            assert!(root().join(path).exists(), "{document} links to {path}, which is not there");
        }
    }
}
