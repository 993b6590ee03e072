//! The other commands, on one stored run and without any.

use harness_core::time::WallTime;
use harness_engine::store::RunStore;

use crate::support::{Place, run_undisturbed, short_scenario};

#[test]
fn a_scenario_goes_from_init_to_plan() {
    let place = Place::new();
    assert_eq!(place.gameday(&["init"]).code, 0);
    let again = place.gameday(&["init"]);
    assert_eq!(again.code, 64, "it does not overwrite: {again:?}");
    let validate = place.gameday(&["validate", "scenario.yaml"]);
    assert_eq!(validate.code, 0, "{validate:?}");
    let plan = place.gameday(&["plan", "scenario.yaml"]);
    assert_eq!(plan.code, 0, "{plan:?}");
    assert!(plan.out.contains("clean needed"), "{}", plan.out);
}

#[test]
fn two_plans_of_one_seed_are_the_same_bytes() {
    let place = Place::new();
    for scenario in ["payments-outage", "checkout-pod-kill", "payments-slow"] {
        let plan = || place.gameday(&["plan", scenario, "--json", "--seed", "42"]);
        let (one, two) = (plan(), plan());
        assert_eq!(one.code, 0, "{one:?}");
        assert_eq!(one.out, two.out);
        let other = place.gameday(&["plan", scenario, "--json", "--seed", "43"]);
        assert_ne!(one.out, other.out);
    }
}

#[test]
fn every_scenario_of_the_catalogue_is_valid_and_listed() {
    let place = Place::new();
    let list = place.gameday(&["validate", "--list"]);
    assert_eq!(list.code, 0);
    let names: Vec<_> = list.out.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.len() >= 4, "{names:?}");
    let mut arguments = vec!["validate"];
    arguments.extend(&names);
    let said = place.gameday(&arguments);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn a_misspelt_name_is_answered_with_the_one_that_was_meant() {
    let place = Place::new();
    let said = place.gameday(&["run", "payment-outage"]);
    assert_eq!(said.code, 64, "{said:?}");
    assert!(said.err.contains("did you mean `payments-outage`"), "{}", said.err);
    let said = place.gameday(&["plan", "no/such/file.yaml"]);
    assert!(said.err.contains("gameday validate --list"), "{}", said.err);
}

/// What a run has started is no system that another run may attack.
#[test]
fn the_lab_of_a_run_is_attacked_by_no_other() {
    let place = Place::new();
    let file = place.write("short.yaml", &short_scenario("2s", "1s"));
    let plan = place.gameday(&["plan", &file, "--json"]);
    let plan = serde_json::from_str(&plan.out).unwrap();
    let store = RunStore::new(place.path().join("elsewhere"));
    let (owner, alive) = store.create(&plan, WallTime(0)).unwrap();
    let lab = owner.path().join("lab");
    std::fs::create_dir(&lab).unwrap();
    let link = place.path().join("link");
    std::os::unix::fs::symlink(&lab, &link).unwrap();
    let attack = |state: &std::path::Path| {
        let said = place.gameday(&["run", &file, "--lab", state.to_str().unwrap()]);
        assert_eq!(said.code, 69, "{said:?}");
        said.err
    };
    for state in [&lab, &link] {
        let refused = attack(state);
        assert!(refused.contains("which is under way"), "{refused}");
    }
    drop(alive);
    std::fs::write(owner.ledger_path(), "what nobody can read\n").unwrap();
    let refused = attack(&lab);
    assert!(refused.contains("still owes something"), "{refused}");
    std::fs::remove_file(owner.ledger_path()).unwrap();
    let absent = attack(&lab);
    assert!(absent.contains("could not use the lab"), "it is nobody's any more: {absent}");
}

#[test]
fn a_wrong_scenario_starts_nothing() {
    let place = Place::new();
    let text = "apiVersion: gameday.dev/v1alpha1\nkind: Scenario\nmetadata: {name: wrong}\n\
                spec:\n  sytem: {lab: shop}\n";
    let file = place.write("wrong.yaml", text);
    let said = place.gameday(&["run", &file]);
    assert_eq!(said.code, 64, "{said:?}");
    assert!(said.err.contains("wrong.yaml:5:3"), "{}", said.err);
    assert!(said.err.contains("system"), "{}", said.err);
    assert!(!place.path().join(".gameday").exists(), "nothing was started");
}

#[test]
fn the_schema_and_completions_are_printed() {
    let place = Place::new();
    let schema = place.gameday(&["schema"]);
    let parsed: serde_json::Value = serde_json::from_str(&schema.out).unwrap();
    assert!(parsed.get("$schema").is_some());
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.gameday(&["completions", shell]).out.contains("gameday"));
    }
}

#[test]
fn doctor_says_what_this_machine_can_do() {
    let place = Place::new();
    let said = place.gameday(&["doctor"]);
    assert_eq!(said.code, 0, "{said:?}");
    for kind in ["dependency-outage", "latency", "pod-kill"] {
        assert!(said.out.contains(kind), "{}", said.out);
    }
    let json: serde_json::Value =
        serde_json::from_str(&place.gameday(&["doctor", "--json"]).out).unwrap();
    assert!(json["mechanisms"].is_object());
}

#[test]
fn a_stored_run_is_judged_replayed_and_reported_without_its_lab() {
    let (place, run) =
        run_undisturbed(&["run", "payments-outage", "--mode", "observed", "--trials", "2"]);
    assert_eq!(run.code, 0, "{run:?}");
    let again = place.gameday(&["judge"]);
    assert_eq!(again.code, 0, "{again:?}");
    let strict = "expect:\n  - latency: {quantile: p99, atMost: 300ms, during: fault}\n";
    let file = place.write("strict.yaml", strict);
    let strict = place.gameday(&["judge", "--expect", &file]);
    assert_eq!(strict.code, 1, "{strict:?}");
    let replay = place.gameday(&["replay"]);
    assert_eq!(replay.code, 0, "{replay:?}");
    for format in ["text", "json", "junit", "markdown", "html"] {
        let report = place.gameday(&["report", "--format", format]);
        assert_eq!(report.code, 0, "{report:?}");
        assert!(report.out.contains("payments-outage"), "{format}");
    }
    let runs = place.gameday(&["runs"]);
    assert!(runs.out.contains("PASS"), "{}", runs.out);
    let abort = place.gameday(&["abort"]);
    assert_eq!(abort.code, 69, "it is not under way: {abort:?}");
}
