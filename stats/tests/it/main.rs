//! The one test binary of the package: the numbers in `tests/vectors` against the public items that
//! the judge and the planner call.
//!
//! The adapters, one file per family, convert and call; they calculate nothing.

mod automation;
mod budget;
mod compare;
mod convert;
mod cost;
mod degradation;
mod end_to_end;
mod history;
mod latency;
mod multiplicity;
mod planning;
mod properties;
mod recovery;
mod sequential;
mod success;
mod validity;

use compare::differences;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Takes the input of a vector and gives what was calculated, in the words of the expectation.
type Adapter = fn(&Value) -> Value;

/// The family of every function that a vector may name.
const FAMILIES: [(&str, &[(&str, Adapter)]); 13] = [
    ("a_success", success::FUNCTIONS),
    ("b_latency", latency::FUNCTIONS),
    ("c_budget", budget::FUNCTIONS),
    ("d_recovery", recovery::FUNCTIONS),
    ("e_degradation", degradation::FUNCTIONS),
    ("f_automation", automation::FUNCTIONS),
    ("g_cost", cost::FUNCTIONS),
    ("h_history", history::FUNCTIONS),
    ("m_multiplicity", multiplicity::FUNCTIONS),
    ("p_planning", planning::FUNCTIONS),
    ("s_sequential", sequential::FUNCTIONS),
    ("v_validity", validity::FUNCTIONS),
    ("z_end_to_end", end_to_end::FUNCTIONS),
];

const SCHEMA: &str = "gameday-stat-vectors/1";

#[derive(Deserialize)]
struct File {
    schema: String,
    set: String,
    family: String,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    id: String,
    function: String,
    input: Value,
    expected: Value,
    tolerance: Value,
}

#[expect(clippy::disallowed_methods, reason = "a test may be pointed at another set of vectors")]
fn directory() -> PathBuf {
    std::env::var_os("GAMEDAY_VECTORS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"), PathBuf::from)
}

#[expect(clippy::disallowed_methods, reason = "the vectors are files")]
fn read(path: &Path) -> File {
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("could not read {}: {error}", path.display()));
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("could not understand {}: {error}", path.display()))
}

fn files(directory: &Path) -> Vec<File> {
    let entries = std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("could not list {}: {error}", directory.display()));
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a readable directory").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

#[test]
#[expect(clippy::print_stdout, reason = "the count per function is part of the evidence")]
fn vectors() {
    let functions: BTreeMap<&str, Adapter> =
        FAMILIES.iter().flat_map(|(_, functions)| functions.iter().copied()).collect();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut families = BTreeSet::new();
    let mut failures = Vec::new();
    for file in files(&directory()) {
        assert_eq!(file.schema, SCHEMA, "the format of family {}", file.family);
        assert!(!file.vectors.is_empty(), "family {} of set {} is empty", file.family, file.set);
        for vector in file.vectors {
            let Some(adapter) = functions.get(vector.function.as_str()) else {
                failures.push(format!("{}: unknown function {}", vector.id, vector.function));
                continue;
            };
            let found = adapter(&asked(&vector));
            let wrong = differences(&vector.expected, &found, &vector.tolerance);
            failures.extend(wrong.iter().map(|wrong| format!("{}: {wrong}", vector.id)));
            *counts.entry(vector.function).or_default() += 1;
        }
        families.insert(file.family);
    }
    for (function, count) in &counts {
        println!("{count:4} {function}");
    }
    println!("{:4} vectors of {} families", counts.values().sum::<usize>(), families.len());
    for (family, _) in FAMILIES {
        if !families.contains(family) {
            failures.push(format!("family {family} is missing"));
        }
    }
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
}

/// The input of a vector. The truths at which a design is asked for its characteristics stand only
/// in the names of what is expected, so they are added.
fn asked(vector: &Vector) -> Value {
    let mut input = vector.input.clone();
    if let Some(Value::Object(truths)) = vector.expected.get("oc") {
        input["truths"] = truths.keys().cloned().collect();
    }
    input
}

/// The comparison itself must be able to fail.
#[test]
fn a_wrong_number_is_noticed() {
    let tolerance = serde_json::json!({"rel": 1e-9});
    let expected = serde_json::json!({"p": 0.25, "list": [1, 2], "verdict": "pass", "no": null});
    for (found, wrong) in [
        (serde_json::json!({"p": 0.25, "list": [1, 2], "verdict": "pass", "no": null}), 0),
        (serde_json::json!({"p": 0.250_000_1, "list": [1, 2], "verdict": "pass", "no": null}), 1),
        (serde_json::json!({"p": 0.25, "list": [1, 3], "verdict": "fail", "no": 0.0}), 3),
        (serde_json::json!({"p": 0.25, "list": [1], "verdict": "pass"}), 2),
        (serde_json::json!({"p": null, "list": [1, 2], "verdict": "pass", "no": null}), 1),
    ] {
        assert_eq!(differences(&expected, &found, &tolerance).len(), wrong, "{found}");
    }
}
