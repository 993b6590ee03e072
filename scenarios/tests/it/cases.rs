//! Wrong scenarios: each gives exactly one diagnostic, with its place and how to mend it.

use std::collections::BTreeSet;

use harness_core::diag::Diagnostic;
use scenarios::{CheckInput, check, render};

use crate::world;

macro_rules! cases {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../cases/", $name, ".yaml")))),+]
    };
}

/// Each with one mistake.
const CASES: &[(&str, &str)] = cases![
    "alias-bomb",
    "bad-fault",
    "bad-guardrail",
    "bad-name",
    "bad-param",
    "bad-ratio",
    "bad-window",
    "bad-witness",
    "budget-without-bound",
    "cap-below-mean",
    "cap-not-enforced",
    "cap-of-window",
    "cap-too-late",
    "coarse-requests",
    "containers-elsewhere",
    "containers-entry-with-path",
    "containers-in-the-lab",
    "containers-named-twice",
    "containers-odd-name",
    "containers-odd-port",
    "containers-of-nothing",
    "containers-relative-socket",
    "containers-tell-no-ids",
    "containers-without-pager",
    "cost-capped-too-late",
    "cost-grace-of-total",
    "cost-in-two-currencies",
    "cost-of-nothing",
    "cost-of-unknown-feed",
    "cost-without-currency",
    "cyclic-params",
    "duplicate-expectation-id",
    "duplicate-id",
    "duplicate-key",
    "empty",
    "environment",
    "fault-conflict",
    "fault-on-what-another-needs",
    "few-placebo-to-compare",
    "few-requests",
    "few-trials",
    "impossible-phases",
    "journey-backwards-pause",
    "journey-pattern",
    "journey-pointer",
    "journey-twice",
    "journey-value-like-feed",
    "journey-value-too-early",
    "journey-with-rate",
    "journey-without-pause",
    "latency-nobody-can-see",
    "missing-file",
    "missing-key",
    "missing-section",
    "missing-unit",
    "missing-unit-for",
    "mitigate-too-late",
    "needs-fault",
    "no-budget",
    "no-followable-id",
    "no-placebo-to-compare",
    "not-supported",
    "nothing-after-key",
    "nothing-expected",
    "objective-twice",
    "other-instant",
    "other-kind",
    "other-statuses",
    "other-system",
    "path-of-tcp-check",
    "quiet-without-placebo",
    "radius",
    "range-of-fixed",
    "regression-of-a-count",
    "regression-of-unknown",
    "releases-too-late",
    "second-document",
    "secret-in-header",
    "several-instances",
    "share-of-a-mean",
    "short-horizon",
    "slow-probe",
    "switch-of-unknown-fault",
    "tab",
    "tag",
    "telemetry-of-unknown",
    "telemetry-too-seldom",
    "too-many-instances",
    "two-actors",
    "two-kinds",
    "unknown-action",
    "unknown-actor",
    "unknown-alias",
    "unknown-edge",
    "unknown-fault-kind",
    "unknown-feed",
    "unknown-key",
    "unknown-key-in-fault",
    "unknown-objective",
    "unknown-param",
    "unknown-record",
    "unknown-reference",
    "unknown-rule",
    "unknown-service",
    "unknown-sli",
    "unknown-state",
    "unknown-system",
    "unknown-target",
    "unknown-unit",
    "unknown-word",
    "window-backwards",
    "window-missing-unit",
    "window-unknown-fault",
    "wrong-type",
    "wrong-version",
    "yaml-syntax",
];

/// Mistakes in every section at once.
const SEVERAL: &str = include_str!("../cases/several.yaml");

/// Mistakes in one fault: in its frame, in its specification, and in what it names.
const SEVERAL_IN_FAULT: &str = include_str!("../cases/several-in-fault.yaml");

fn diagnose(name: &str, text: &str, set: &[(String, String)]) -> (Vec<Diagnostic>, String) {
    let (registry, systems) = (world::registry(), world::systems());
    let input = CheckInput {
        params_set: set,
        registry: &registry,
        systems: &systems,
        files: &world::files,
    };
    let file = format!("{name}.yaml");
    let (scenario, diagnostics) = check(&file, text, &input);
    let errors = diagnostics.iter().any(|d| d.severity == harness_core::diag::Severity::Error);
    assert_eq!(scenario.is_none(), errors, "{name}: a scenario stands or falls with its errors");
    let drawn = render(&file, text, &diagnostics, false);
    (diagnostics, drawn)
}

#[test]
fn each_mistake_is_told_once_at_its_place() {
    let mut wrong = Vec::new();
    for (name, text) in CASES {
        let (diagnostics, drawn) = diagnose(name, text, &[]);
        if diagnostics.len() != 1 {
            wrong.push(format!("{name}: {} diagnostics\n{drawn}", diagnostics.len()));
        }
        for diagnostic in &diagnostics {
            assert!(!diagnostic.hint.is_empty() || !diagnostic.label.is_empty(), "{name}");
            assert!(
                scenarios::codes::ALL.iter().any(|(code, _)| *code == diagnostic.code),
                "{name}: an unlisted code"
            );
        }
        insta::assert_snapshot!(*name, drawn);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_case_is_forgotten() {
    let listed: BTreeSet<String> = CASES.iter().map(|(name, _)| format!("{name}.yaml")).collect();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let present: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !["several.yaml", "several-in-fault.yaml"].contains(&name.as_str()))
        .collect();
    assert_eq!(present, listed);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let (diagnostics, drawn) = diagnose("several", SEVERAL, &[]);
    insta::assert_snapshot!("several", drawn);
    assert!(diagnostics.len() >= 4);
}

#[test]
fn all_mistakes_of_a_fault_are_told_at_once() {
    let (diagnostics, drawn) = diagnose("several-in-fault", SEVERAL_IN_FAULT, &[]);
    insta::assert_snapshot!("several-in-fault", drawn);
    assert_eq!(diagnostics.len(), 6, "{drawn}");
}

#[test]
fn set_names_a_parameter_and_fits_its_type() {
    let slow = scenarios::catalogue::find("payments-slow").unwrap().text;
    for (name, value, words) in [
        ("delya", "300ms", "did you mean `delay`?"),
        ("delay", "300", "`--set delay=300` is not a duration"),
    ] {
        let (diagnostics, drawn) =
            diagnose("payments-slow", slow, &[(name.to_owned(), value.to_owned())]);
        assert_eq!(diagnostics.len(), 1, "{drawn}");
        assert!(drawn.contains(words), "{drawn}");
    }
}

#[test]
fn set_says_when_no_parameter_is_declared() {
    let text = scenarios::catalogue::find("payments-outage").unwrap().text;
    let (diagnostics, drawn) =
        diagnose("payments-outage", text, &[("rps".to_owned(), "5".to_owned())]);
    assert_eq!(diagnostics.len(), 1, "{drawn}");
    assert!(drawn.contains("`--set rps=5` names no parameter of this scenario"), "{drawn}");
    assert!(drawn.contains("hint: this scenario declares no parameters"), "{drawn}");
}

#[test]
fn a_text_beyond_the_limit_is_refused() {
    let text = "#".repeat(scenarios::TEXT_BYTES_MAX + 1);
    let (diagnostics, _) = diagnose("large", &text, &[]);
    assert_eq!(diagnostics[0].code, scenarios::codes::TOO_LARGE);
    let levels = scenarios::DEPTH_MAX + 2;
    let deep = "[".repeat(levels) + &"]".repeat(levels);
    let (diagnostics, _) = diagnose("deep", &deep, &[]);
    assert_eq!(diagnostics[0].code, scenarios::codes::TOO_LARGE);
}

#[test]
fn colour_changes_no_word() {
    let (diagnostics, plain) = diagnose("several", SEVERAL, &[]);
    let coloured = render("several.yaml", SEVERAL, &diagnostics, true);
    let mut stripped = String::new();
    let mut escape = false;
    for letter in coloured.chars() {
        match (escape, letter) {
            (false, '\u{1b}') => escape = true,
            (false, _) => stripped.push(letter),
            (true, _) => escape = letter != 'm',
        }
    }
    assert_ne!(coloured, plain);
    assert_eq!(stripped, plain);
}
