//! What more than one trial or run decides: a run that ends as soon as it is settled, and one that
//! is compared with the runs before it.

use std::path::{Path, PathBuf};

use crate::support::{MEASURED_MAX, Place, Said, alone, is_disturbed, run_undisturbed};

/// Three trials of which none is good settle that not eight of ten incidents are: fourteen were
/// allowed. After two of them it could not pass any more, which is no failure yet.
const SETTLED_EARLY: &str = "apiVersion: gameday.dev/v1alpha1
kind: Scenario
metadata: {name: settled, title: Orders are taken while payments is down}
spec:
  system: {lab: shop}
  load: {rate: 100/s, request: {post: /checkout}}
  phases: {warmup: 300ms, baseline: 500ms, settle: 200ms}
  faults:
    - {id: down, dependency-outage: {edge: checkout->payments, mode: refuse}, for: 1s}
  expect:
    - successRate: {atLeast: 80%, during: fault}
  trials: {count: {min: 3, max: 14}, placebo: 0, stop: sequential, seed: 1}
";

#[test]
fn a_run_stops_as_soon_as_an_expectation_has_failed() {
    let scenario = Place::new();
    scenario.write("settled.yaml", SETTLED_EARLY);
    let file = scenario.path().join("settled.yaml").display().to_string();
    let (place, said) = run_undisturbed(&["run", &file, "--with", "fallback=off"]);
    assert_eq!(said.code, 1, "{said:?}");
    let verdict = json(&place.only_run().unwrap().join("verdict.json"));
    let judgement = &verdict["judgements"][0];
    assert_eq!(judgement["counts"]["bad"], 3, "the fewest that can fail it: {judgement:#}");
    assert_eq!(verdict["trials"].as_array().unwrap().len(), 3);
    assert_eq!(verdict["end"], "completed", "it was settled, and not aborted");
    assert!(said.out.contains("FAIL"), "{}", said.out);
    assert!(place.processes().is_empty(), "left behind: {:?}", place.processes());
}

/// Every order waits a tenth of a second, which runs can be compared by on any machine.
const COMPARED: &str = "apiVersion: gameday.dev/v1alpha1
kind: Scenario
metadata: {name: compared, title: An order takes no longer than it did}
spec:
  system: {lab: shop}
  load: {rate: 100/s, request: {post: /checkout}}
  phases: {warmup: 300ms, baseline: 500ms, settle: 200ms}
  faults:
    - {id: slow, latency: {edge: edge->checkout, delay: 100ms}, for: 1s}
  expect:
    - latency: {quantile: p50, atMost: 1s, during: fault, id: middle}
    - regression: {of: middle, byAtMost: 50%}
  trials: {count: 1, placebo: 0, mode: observed, seed: 1}
";

#[test]
fn a_run_is_compared_with_the_runs_in_the_store() {
    let (_alone, place) = (alone(), Place::new());
    let file = place.write("compared.yaml", COMPARED);
    let runs = place.path().join("store");

    let (first, said) = run_into(&place, &runs, &file);
    assert_eq!(said.code, 2, "the first of its kind: {said:?}");
    assert!(said.out.contains("there is nothing to compare: 0 earlier runs"), "{}", said.out);

    // Four more of the kind; what one of them measured has to be read from its evidence again.
    for number in 1..=4 {
        let copy = copied(&first, &format!("20260101-00000{number}-compared"));
        if number == 1 {
            std::fs::remove_file(copy.join("verdict.json")).unwrap();
        }
    }
    // And one that says nothing: a run with a defect.
    let broken = copied(&first, "20260101-000009-compared");
    change(&broken.join("plan.json"), |plan| {
        plan["system"]["defects"] = serde_json::json!({"breaker": "off"});
    });

    let (second, said) = run_into(&place, &runs, &file);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("than the mean of 5 earlier runs"), "{}", said.out);

    // What was measured then is kept beside the run: the store may be emptied.
    for entry in std::fs::read_dir(&runs).unwrap().map(|entry| entry.unwrap().path()) {
        if entry != second {
            std::fs::remove_dir_all(entry).unwrap();
        }
    }
    let judge = || place.gameday(&["judge", "--runs", &runs.display().to_string()]);
    let again = judge();
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.out.contains("than the mean of 5 earlier runs"), "{}", again.out);

    change(&second.join("history.json"), |history| {
        for run in history["runs"].as_array_mut().unwrap() {
            let median = &mut run["values"]["middle"]["median"];
            *median = (median.as_f64().unwrap() / 10.0).into();
        }
    });
    let worse = judge();
    assert_eq!(worse.code, 1, "ten times as slow as before: {worse:?}");
    let words: Vec<&str> = worse.out.split_whitespace().collect();
    assert!(words.join(" ").contains("claim: at most 50% worse"), "{}", worse.out);
}

/// Runs into a store, and gives the directory of the run; what the machine disturbed is not kept.
fn run_into(place: &Place, runs: &Path, file: &str) -> (PathBuf, Said) {
    let before = entries(runs);
    let store = runs.display().to_string();
    for measured in 1.. {
        let said = place.gameday(&["run", file, "--runs", &store]);
        let new: Vec<PathBuf> =
            entries(runs).into_iter().filter(|entry| !before.contains(entry)).collect();
        let [run] = &new[..] else { panic!("one run is expected: {new:?} {said:?}") };
        if measured == MEASURED_MAX || !is_disturbed(run) {
            return (run.clone(), said);
        }
        std::fs::remove_dir_all(run).unwrap();
    }
    unreachable!("it ends with the last measurement")
}

fn entries(runs: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(runs).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.join("plan.json").is_file()).collect()
}

/// A copy of a run under another name.
fn copied(run: &Path, name: &str) -> PathBuf {
    let copy = run.with_file_name(name);
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(run).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_file() {
            std::fs::copy(&entry, copy.join(entry.file_name().unwrap())).unwrap();
        }
    }
    copy
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn change(path: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let mut value = json(path);
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}
