//! The list of injectors, and the suite on a program of one's own: the worked example of the
//! documentation, on a real lab.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Place, beside_others};
use crate::target::{lab_up, order_works};

#[test]
fn every_kind_is_listed_with_what_it_needs() {
    let place = Place::new();
    let said = place.gameday(&["injectors", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let kinds: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    for kind in ["dependency-outage", "latency", "pod-kill", "exec"] {
        let one = kinds.iter().find(|one| one["kind"] == kind).unwrap();
        assert!(one["schema"]["properties"].is_object(), "{one}");
        assert!(!one["witness"].as_str().unwrap().is_empty());
    }
    let text = place.gameday(&["injectors"]);
    assert!(text.out.contains("pod-kill on lab") && text.out.contains("self-healing"), "{text:?}");
}

#[test]
fn the_worked_example_keeps_every_law_and_a_broken_one_is_found_out() {
    if Command::new("python3").arg("--version").output().is_err() {
        return crate::attack::skip("worked_example", "there is no python3 here");
    }
    let _beside = beside_others();
    let place = Place::new();
    let address = lab_up(&place);
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/examples/exec");
    let injector = examples.join("pause.py").canonicalize().unwrap();
    let witness = examples.join("pause_witness.py").canonicalize().unwrap();
    let tried = |injector: &str| {
        place.gameday(&[
            "injectors",
            "test",
            injector,
            "--witness",
            witness.to_str().unwrap(),
            "--with",
            "{\"instance\": \"payments-0\"}",
            "--instance",
            "payments-0",
            "--lab",
            "shop",
        ])
    };
    let good = tried(injector.to_str().unwrap());
    assert_eq!(good.code, 0, "{good:?}");
    assert!(order_works(&address), "payments runs on");
    let text = std::fs::read_to_string(&injector).unwrap();
    let forgetful = text.replace("os.kill(process[\"pid\"], signal.SIGCONT)", "pass");
    assert_ne!(forgetful, text);
    let broken = place.path().join("broken.py");
    std::fs::write(&broken, forgetful).unwrap();
    let mode = std::fs::metadata(&injector).unwrap().permissions();
    std::fs::set_permissions(&broken, mode).unwrap();
    let bad = tried("broken.py");
    assert_eq!(bad.code, 1, "{bad:?}");
    assert!(bad.out.contains("breaks a law"), "{bad:?}");
    // Stopped processes end with the lab, too.
    let down = place.gameday(&["lab", "down", "--state", "shop"]);
    assert_eq!(down.code, 0, "{down:?}");
}
