//! Runs against containers of a real engine, under the policy that holds outside of a lab.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use harness_core::time::WallTime;
use harness_engine::store::{RunStore, SystemLock};
use serde_json::json;

use crate::podman::{ADDRESSES, Podman};
use crate::support::{Place, alone, until};
use crate::target::ledger_lines;

/// One fault on one of two containers, and load on the other one.
pub(crate) fn scenario(podman: &Podman, kind: &str, spec: &str, lasts: &str) -> String {
    let (socket, entry) = (podman.socket(), ADDRESSES[1]);
    format!(
        "apiVersion: gameday.dev/v1alpha1
kind: Scenario
metadata: {{name: contained, title: A fault on containers}}
spec:
  system:
    containers:
      socket: {}
      entry: http://{entry}
      environment: staging
      services:
        web: {{containers: [web-1, web-2], port: 8080}}
  load: {{open: {{rate: 50/s, mix: [{{weight: 1, get: /healthz}}]}}}}
  steadyState: {{success: 50%, hold: 200ms}}
  phases: {{warmup: 100ms, baseline: 300ms, settle: 100ms}}
  faults:
    - {{id: it, {kind}: {spec}, for: {lasts}}}
  expect:
    - successRate: {{atLeast: 95%, during: fault}}
  safety:
    environments: [staging]
    approvals: {{required: 1}}
    lease: 2s
  trials: {{count: 1, placebo: 0, mode: observed, seed: 1}}
",
        socket.display()
    )
}

/// Approves the plan of a run with these arguments, as somebody must who runs outside of a lab.
/// `way`: words before the command.
pub(crate) fn approve(place: &Place, way: &[String], run: &[&str], runs: &str) {
    let said = |arguments: &[&str]| {
        let arguments = [arguments, &["--runs", runs]].concat();
        place.start_by(way, &arguments).end()
    };
    let refused = said(run);
    assert_eq!(refused.code, 69, "nobody has approved it: {refused:?}");
    let (_, rest) = refused.err.split_once("gameday approve ").expect("it says how");
    let plan = rest.split_whitespace().next().unwrap();
    let approved = said(&["approve", plan, "--by", "tester"]);
    assert_eq!(approved.code, 0, "{approved:?}");
}

#[test]
fn a_service_of_two_containers_survives_the_pause_of_one() {
    let Some(podman) = Podman::start("a_service_of_two_containers_survives_the_pause_of_one")
    else {
        return;
    };
    let _alone = alone();
    let place = Place::new();
    let first = "{service: web, which: first}";
    let text = scenario(&podman, "container-pause", first, "2s");
    let file = place.write("contained.yaml", &text);
    let lab = place.gameday(&["run", &file, "--lab", "shop"]);
    assert_eq!(lab.code, 69, "the policy is asked first: {lab:?}");
    approve(&place, &[], &["run", &file], ".gameday/runs");
    let lab = place.gameday(&["run", &file, "--lab", "shop"]);
    assert_eq!(lab.code, 64, "there is no lab in it: {lab:?}");
    approve(&place, &[], &["run", &file], "others");
    let run = place.start(&["run", &file]);
    let begun = until(Duration::from_secs(30), || (ledger_lines(&place) > 0).then_some(()));
    assert!(begun.is_some(), "a run on containers has a ledger");
    let second = place.gameday(&["run", &file, "--runs", "others"]);
    assert_eq!(second.code, 69, "a container has one run at a time: {second:?}");
    assert!(second.err.contains("lock the system"), "{second:?}");
    let run = run.end();
    assert_eq!(run.code, 0, "{run:?}");
    let directory = place.only_run().unwrap();
    assert!(directory.join("report.html").is_file());
    let journal = std::fs::read_to_string(directory.join("journal.jsonl")).unwrap();
    assert!(journal.contains("is frozen: true") && journal.contains("is frozen: false"));
    assert_eq!(podman.podman(&["inspect", "-f", "{{.State.Status}}", "web-1"]), "running");

    // What is not on this machine, and what no container tells, is refused before anything starts.
    let absent = text.replace(&podman.socket().display().to_string(), "/nowhere/api.sock");
    let absent = place.gameday(&["plan", &place.write("absent.yaml", &absent)]);
    assert!(absent.code == 64 && absent.err.contains("container-engine"), "{absent:?}");
    let two = text.replace("{service: web, which: first}", "{service: web, count: 2}");
    let two = place.gameday(&["run", &place.write("two.yaml", &two)]);
    assert_eq!(two.code, 69, "more than half outside of a lab: {two:?}");
    assert!(two.err.contains("(share)"), "{two:?}");
}

/// In the quick form: one trial with the fault.
fn quick(place: &Place, podman: &Podman, scenario: &str, entry: &str) -> i32 {
    let way = ["env".to_owned(), format!("DOCKER_HOST=unix://{}", podman.socket().display())];
    let entry = format!("entry=http://{entry}");
    let run = ["run", scenario, "--mode", "observed", "--trials", "1", "--placebo", "0"];
    let run = [&run[..], &["--set", &entry]].concat();
    approve(place, &way, &run, ".gameday/runs");
    let said = place.start_by(&way, &run).end();
    assert!(said.code < 2, "{scenario}: {said:?}");
    said.code
}

/// Every kind's scenario in the catalogue, with callers that reach the other container; and with
/// nothing in front of the one that is attacked.
#[test]
fn the_catalogue_holds_with_another_container_and_fails_without() {
    let Some(podman) = Podman::start("the_catalogue_holds_with_another_container") else { return };
    let _alone = alone();
    let place = Place::new();
    // One that is killed is back before its callers have missed it much: nothing to fail on.
    assert_eq!(quick(&place, &podman, "web-container-kill", ADDRESSES[1]), 0);
    for scenario in ["web-container-pause", "web-container-stop", "web-network-disconnect"] {
        assert_eq!(quick(&place, &podman, scenario, ADDRESSES[1]), 0, "{scenario}");
        assert_eq!(quick(&place, &podman, scenario, ADDRESSES[0]), 1, "{scenario}");
    }
}

/// An engine that knows two containers: `spare`, and one by whatever other name it is asked for.
fn engine_of_two(socket: &Path, id: &str) {
    let listener = UnixListener::bind(socket).unwrap();
    let container = |id: &str| {
        let started = "2026-01-01T00:00:00Z";
        let state = json!({"Running": true, "Paused": false, "Pid": 0, "StartedAt": started});
        let body = json!({"Id": id, "State": state}).to_string();
        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length:";
        format!("{head} {}\r\n\r\n{body}", body.len())
    };
    let (spare, other) = (container(&"0c0f818f0d75".repeat(5)), container(id));
    // It ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.push(byte[0]);
            }
            let is_spare = String::from_utf8_lossy(&head).contains("/spare/");
            let answer = if is_spare { &spare } else { &other };
            // Who only wants to know that somebody is there does not read all of it.
            stream.write_all(answer.as_bytes()).unwrap_or_default();
        }
    });
}

/// A container is held by its id, whatever a scenario calls it, whichever socket leads to it, and
/// wherever a run keeps its temporary files.
#[test]
fn a_container_is_one_system_by_whatever_name() {
    let place = Place::new();
    // Locks are the user's: another process may try the same.
    let id = format!("{:012x}", std::process::id()).repeat(5);
    let [socket, other] = ["api.sock", "other.sock"].map(|name| place.path().join(name));
    engine_of_two(&socket, &id);
    engine_of_two(&other, &id);
    let write = |socket: &Path, names: &str| {
        let text = format!(
            "apiVersion: gameday.dev/v1alpha1
kind: Scenario
metadata: {{name: named, title: One container by its names}}
spec:
  system:
    containers:
      socket: {}
      entry: http://127.0.0.1:1
      environment: staging
      services:
        web: {{containers: [{names}], port: 8080}}
  load: {{open: {{rate: 50/s, mix: [{{weight: 1, get: /healthz}}]}}}}
  faults:
    - {{id: it, container-pause: {{service: web}}, for: 1s}}
  expect:
    - successRate: {{atLeast: 95%, during: fault}}
  safety: {{environments: [staging], approvals: {{required: 1}}}}
  trials: {{count: 1, placebo: 0, mode: observed, seed: 1}}
",
            socket.display()
        );
        let file = place.write("named.yaml", &text);
        approve(&place, &[], &["run", &file], ".gameday/runs");
        file
    };
    // One container by two names would make a wrong share of the service.
    let file = write(&socket, &format!("web-1, {id}"));
    let twice = place.gameday(&["run", &file]);
    assert_eq!(twice.code, 69, "{twice:?}");
    assert!(twice.err.contains("are one container"), "{twice:?}");

    let plan = place.gameday(&["plan", &file, "--json"]);
    let store = RunStore::new(place.path().join("elsewhere"));
    let plan = serde_json::from_str(&plan.out).unwrap();
    let (holder, _alive) = store.create(&plan, WallTime(0)).unwrap();
    let locks = injectors::own_place().unwrap();
    let _held = SystemLock::take(&locks, &format!("container:{id}"), &holder).unwrap();
    let tmp = ["env".to_owned(), format!("TMPDIR={}", place.path().display())];
    for (socket, name) in [(&socket, "web-1"), (&socket, id.as_str()), (&other, "web-1")] {
        let file = write(socket, &format!("{name}, spare"));
        for way in [&[][..], &tmp[..]] {
            let refused = place.start_by(way, &["run", &file]).end();
            assert_eq!(refused.code, 69, "{name}: {refused:?}");
            let words = format!("is held by run {}", holder.id());
            assert!(refused.err.contains(&words), "{name} at {}: {refused:?}", socket.display());
        }
    }
}

/// The example in the docs is a whole scenario, and right.
#[test]
fn the_documented_scenario_is_right() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/containers.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("```yaml\napiVersion:").expect("a whole scenario");
    let (example, _) = rest.split_once("```").unwrap();
    let place = Place::new();
    let file = place.write("example.yaml", &format!("apiVersion:{example}"));
    let said = place.gameday(&["validate", &file]);
    assert_eq!(said.code, 0, "{said:?}");
}
