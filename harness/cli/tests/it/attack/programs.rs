//! Injectors that hang and lie: programs of `exec` that do not do what they say. The fault is a
//! file; its witness lists the directory.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Figure, SAFE_MAX, journal};
use crate::support::{Place, Said, alone, beside_others, signal, until};
use crate::target::{lab_up, newest_run};

const HEAD: &str = r#"#!/bin/sh
question=$(cat)
verb=${question#*'"verb":"'}; verb=${verb%%'"'*}
directory=${question##*'"directory":"'}; directory=${directory%%'"'*}
"#;

const INJECTOR: &str = r#"
case $verb in
describe) echo '{"format":"gameday.exec/1","summary":"a file is there"}' ;;
arm) echo '{"undo":{}}' ;;
inject) : >"$directory/on"; echo '{}' ;;
verify) echo '{"inPlace":true}' ;;
revert) rm -f "$directory/on"; echo '{"reverted":"putBack"}' ;;
esac
"#;

const WITNESS: &str = r#"
case $verb in
baseline) echo '{"baseline":null}' ;;
look)
    case $(ls "$directory") in
    *on*) echo '{"sighting":"inForce","seen":"the file is listed"}' ;;
    *) echo '{"sighting":"notInForce","seen":"no such file is listed"}' ;;
    esac ;;
esac
"#;

/// A lab, and an injector of which one part does something else than it says.
struct Scene {
    place: Place,
}

impl Scene {
    fn new(from: &str, to: &str) -> Self {
        let place = Place::new();
        std::fs::create_dir(place.path().join("state")).unwrap();
        let injector = INJECTOR.replace(from, to);
        assert_ne!(injector, INJECTOR, "something is changed");
        for (name, body) in [("injector", &*injector), ("witness", WITNESS)] {
            place.write(name, &format!("{HEAD}{body}"));
            let path = place.path().join(name);
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        lab_up(&place);
        Self { place }
    }

    fn scenario(&self) -> String {
        let path = self.place.path().display();
        let scenario = format!(
            "apiVersion: gameday.dev/v1alpha1
kind: Scenario
metadata: {{name: programs, title: A program injects}}
spec:
  system: {{lab: shop}}
  load: {{open: {{rate: 50/s, mix: [{{weight: 1, post: /checkout}}]}}}}
  phases: {{warmup: 100ms, baseline: 300ms, settle: 100ms}}
  faults:
    - id: it
      exec:
        program: {path}/injector
        witness: {path}/witness
        with: {{directory: {path}/state}}
        touches: {{instances: [payments-0]}}
      for: 500ms
  expect:
    - invariant: {{noneLost: true, noneTwice: true}}
  safety: {{lease: 2s}}
  trials: {{count: 1, placebo: 0, mode: observed, seed: 1}}
"
        );
        self.place.write("programs.yaml", &scenario)
    }

    fn run(&self) -> Said {
        let file = self.scenario();
        self.place.gameday(&["run", &file, "--lab", "shop"])
    }

    fn on(&self) -> PathBuf {
        self.place.path().join("state/on")
    }

    /// Programs of ours that are still there.
    fn left(&self) -> usize {
        let injector = self.place.path().join("injector").display().to_string();
        self.place.processes().iter().filter(|(_, words)| words.contains(&injector)).count()
    }

    fn down(self) {
        let down = self.place.gameday(&["lab", "down", "--state", "shop"]);
        assert_eq!(down.code, 0, "{down:?}");
    }
}

#[test]
fn an_injector_that_hangs_is_cut_off_and_put_back() {
    let _alone = alone();
    let scene = Scene::new("echo '{}'", "sleep 300");
    let began = Instant::now();
    let said = scene.run();
    assert_eq!(said.code, 2, "nothing can be concluded: {said:?}");
    assert!(!scene.on().exists(), "its effect is put back");
    assert_eq!(scene.left(), 0);
    let to_safe = began.elapsed();
    Figure { attack: "hanging injector (whole run)", kind: "exec", to_safe, named: 0 }.keep();

    // An abort does not wait for the deadline of an injection under way.
    let file = scene.scenario();
    let more = ["run", &file, "--lab", "shop", "--runs", "runs-abort"];
    let run = scene.place.start(&more);
    let there = until(SAFE_MAX, || scene.on().exists().then_some(()));
    assert!(there.is_some(), "it hangs after its effect");
    let began = Instant::now();
    signal(run.pid(), "INT");
    let gone = until(SAFE_MAX, || (!scene.on().exists()).then(|| began.elapsed()));
    let to_safe = gone.expect("its effect is put back");
    assert!(to_safe < Duration::from_secs(1), "the abort is pre-emptive: {to_safe:?}");
    let said = run.end();
    assert_eq!(said.code, 3, "{said:?}");
    assert_eq!(scene.left(), 0);
    Figure { attack: "abort of a hanging injector", kind: "exec", to_safe, named: 0 }.keep();
    scene.down();
}

#[test]
fn an_injector_that_only_says_so_proves_nothing() {
    let _beside = beside_others();
    let scene = Scene::new(": >\"$directory/on\"; ", "");
    let said = scene.run();
    assert_eq!(said.code, 2, "{said:?}");
    let run = newest_run(&scene.place.path().join(".gameday/runs")).unwrap();
    assert!(journal(&run).contains("\"notEffective\":{"), "{said:?}");
    let owed = scene.place.gameday(&["undo", "--dry-run"]);
    assert_eq!(owed.code, 0, "{owed:?}");
    scene.down();
}

#[test]
fn a_revert_that_only_says_so_is_a_named_leftover_until_it_is_true() {
    let _beside = beside_others();
    let scene = Scene::new("rm -f \"$directory/on\"; ", "");
    let began = Instant::now();
    let said = scene.run();
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.err.contains("fault it in trial 1"), "{said:?}");
    // The watchdog would go on trying for a while, and a person would wait for it.
    if let Some(watchdog) = crate::target::watchdog(&scene.place) {
        signal(watchdog, "KILL");
    }
    let undo = scene.place.gameday(&["undo"]);
    assert_eq!(undo.code, 4, "{undo:?}");
    assert!(undo.out.contains("STILL OWED") && undo.out.contains("the file is listed"), "{undo:?}");
    let next = scene.run();
    assert_eq!(next.code, 69, "and blocks the next run: {next:?}");
    std::fs::remove_file(scene.on()).unwrap();
    let undo = scene.place.gameday(&["undo"]);
    assert_eq!(undo.code, 0, "{undo:?}");
    assert!(newest_run(&scene.place.path().join(".gameday/runs")).is_some());
    let to_safe = began.elapsed();
    Figure { attack: "lying revert, until a person helps", kind: "exec", to_safe, named: 1 }.keep();
    scene.down();
}
