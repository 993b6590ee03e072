//! `--help` of every command, as snapshots: it is part of the product.

use crate::support::Place;

const COMMANDS: [&str; 20] = [
    "",
    "init",
    "validate",
    "plan",
    "run",
    "calibrate",
    "judge",
    "replay",
    "report",
    "runs",
    "undo",
    "abort",
    "load",
    "lab",
    "schema",
    "completions",
    "doctor",
    "approve",
    "policy",
    "injectors",
];

#[test]
fn help_reads_well() {
    let place = Place::new();
    for command in COMMANDS {
        let arguments: Vec<_> =
            [command, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        let said = place.gameday(&arguments);
        assert_eq!(said.code, 0, "{command}: {said:?}");
        let name = if command.is_empty() { "gameday" } else { command };
        insta::assert_snapshot!(format!("help_{name}"), said.out);
    }
}

#[test]
fn wrong_usage_has_its_own_code() {
    let place = Place::new();
    for wrong in [&["rnu"][..], &["run"], &["run", "x.yaml", "--trials", "0"], &["run", "--with"]] {
        let said = place.gameday(wrong);
        assert_eq!(said.code, 64, "{wrong:?}: {said:?}");
        assert!(!said.err.is_empty());
    }
}
