//! Placebo against placebo on a real lab: nothing is injected, and every number agrees with the
//! counts of trials. What the trials show depends on the machine, and is not asserted.

use crate::support::{Place, alone};

#[test]
fn a_calibration_injects_nothing_and_says_what_it_saw() {
    let _alone = alone();
    let place = Place::new();
    let said = place.gameday(&["calibrate", "payments-outage", "--placebo", "2", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let said: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(said["format"], "gameday.calibration/1");
    let calibration = &said["calibration"];
    assert!(calibration["trials"].as_u64().unwrap() >= 2, "{said:#}");
    assert_eq!(calibration["notAsked"], serde_json::json!(["recovery"]));
    let expectations = calibration["expectations"].as_array().unwrap();
    let ids: Vec<_> = expectations.iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["successRate", "latency", "invariant"]);
    for one in expectations {
        let count = |state: &str| one["counts"][state].as_u64().unwrap();
        let counted = count("ok") + count("bad") + count("ambiguous");
        assert_eq!(one["testable"], false, "two trials support no claim of 80 %: {one:#}");
        assert_eq!(one["cleanNeeded"], 14, "{one:#}");
        // The lower bound of the share after two clean trials of two is the root of 5 %.
        let floor = one["floor"].as_f64().unwrap();
        if counted == 2 && count("ok") == 2 {
            assert!((floor - 0.05_f64.sqrt()).abs() < 1e-6, "{one:#}");
        } else {
            assert!(floor < 0.23, "{one:#}");
        }
    }

    let run = place.only_run().unwrap();
    let read = |name: &str| std::fs::read_to_string(run.join(name)).unwrap();
    let plan: serde_json::Value = serde_json::from_str(&read("plan.json")).unwrap();
    for trial in plan["trials"]["planned"].as_array().unwrap() {
        assert_eq!(trial["arm"], "placebo");
    }
    assert!(!read("undo.jsonl").contains("\"armed\""), "no fault was even armed");
    assert!(!read("journal.jsonl").contains("\"effective\":{"), "no fault was in force");
    assert!(place.processes().is_empty(), "left behind: {:?}", place.processes());
}

#[test]
fn a_calibration_needs_two_trials() {
    let said = Place::new().gameday(&["calibrate", "payments-outage", "--placebo", "1"]);
    assert_eq!(said.code, 64, "{said:?}");
}
