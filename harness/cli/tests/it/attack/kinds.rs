//! `kill -9` of the harness at each line of the ledger, for every kind of fault that this machine
//! has; and of its watchdog before it, for kinds that nothing ends by itself then. A kind is tried
//! as its scenario in the catalogue uses it, or as its page in the docs does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::packets::IN_NAMESPACE;
use super::{Figure, SAFE_MAX};
use crate::support::{Place, Running, beside_others, until};
use crate::target::{kill_after_watchdog, lab_up, newest_run, order_works};

/// Lines of a ledger on a lab that was there before: header, armed, injected, paid.
pub(super) const LINES: usize = 4;

/// Until a run has written a line; a guest is slow.
const LINE_MAX: Duration = Duration::from_mins(2);

/// Kinds of the lab that no lease ends: with the harness and its watchdog dead they stay in force.
const STAYING: [&str; 6] =
    ["cpu-pressure", "disk-full", "exec", "fd-limit", "process-freeze", "process-pause"];

/// No scenario of the catalogue can use a program of the user's own; this one is the example of the
/// docs.
fn example() -> Option<String> {
    Command::new("python3").arg("--version").output().ok()?;
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/examples/exec");
    let program = |name| examples.join(name).canonicalize().unwrap();
    let spec = serde_json::json!({
        "program": program("pause.py"),
        "witness": program("pause_witness.py"),
        "with": {"instance": "payments-0"},
        "touches": {"instances": ["payments-0"]},
    });
    Some(spec.to_string())
}

/// The specification in the example of a kind's page.
fn documented(kind: &str) -> String {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/faults");
    let page = std::fs::read_to_string(pages.join(format!("{kind}.md")))
        .unwrap_or_else(|error| panic!("{kind} has no page: {error}"));
    let (_, rest) = page.split_once(&format!(", {kind}: ")).expect("a page shows an example");
    let (spec, _) = rest.split_once(", for: ").expect("an example says how long");
    spec.to_owned()
}

/// The kinds that this machine can do, each with a specification.
fn kinds(place: &Place) -> BTreeMap<String, String> {
    let doctor = place.gameday(&["doctor", "--json"]);
    let doctor: Value = serde_json::from_str(&doctor.out).unwrap();
    let here = doctor["faults"].as_array().unwrap().iter().filter(|fault| {
        fault["system"] == "lab" && fault["missing"].as_array().unwrap().is_empty()
    });
    let mut specs = BTreeMap::new();
    let list = place.gameday(&["validate", "--list"]);
    for name in list.out.lines().filter_map(|line| line.split_whitespace().next()) {
        let plan = place.gameday(&["plan", name, "--json"]);
        let Ok(plan) = serde_json::from_str::<Value>(&plan.out) else { continue };
        for fault in plan["faults"].as_array().unwrap() {
            let kind = fault["kind"].as_str().unwrap().to_owned();
            specs.entry(kind).or_insert_with(|| fault["spec"].to_string());
        }
    }
    here.map(|fault| fault["kind"].as_str().unwrap().to_owned())
        // Those are attacked where they can act.
        .filter(|kind| !IN_NAMESPACE.iter().any(|(one, _)| one == kind))
        .filter_map(|kind| {
            let spec = match kind.as_str() {
                "exec" => example()?,
                _ => specs.remove(&kind).unwrap_or_else(|| documented(&kind)),
            };
            Some((kind, spec))
        })
        .collect()
}

pub(super) fn scenario(kind: &str, spec: &str, lasts: &str) -> String {
    format!(
        "apiVersion: gameday.dev/v1alpha1
kind: Scenario
metadata: {{name: attacked, title: One fault of this kind}}
spec:
  system: {{lab: shop}}
  load: {{open: {{rate: 50/s, mix: [{{weight: 1, post: /checkout}}]}}}}
  steadyState: {{success: 50%, hold: 200ms}}
  phases: {{warmup: 100ms, baseline: 300ms, settle: 100ms}}
  faults:
    - {{id: it, {kind}: {spec}, for: {lasts}}}
  expect:
    - invariant: {{noneLost: true, noneTwice: true}}
  safety: {{lease: 2s}}
  trials: {{count: 1, placebo: 0, mode: observed, seed: 1}}
"
    )
}

fn ledger(runs: &Path) -> String {
    let run = newest_run(runs);
    run.and_then(|run| std::fs::read_to_string(run.join("undo.jsonl")).ok()).unwrap_or_default()
}

/// Keeps the newest undo record of a ledger as a golden file, where that is asked for and none is
/// there.
fn bless(kind: &str, runs: &Path) {
    let Some(directory) = std::env::var_os("GAMEDAY_BLESS_UNDO") else { return };
    let text = ledger(runs);
    let entries =
        text.lines().filter_map(|line| serde_json::from_str(line.split_once(' ')?.1).ok());
    let mut armed = Value::Null;
    for entry in entries.collect::<Vec<Value>>() {
        if let Some(fault) = entry.get("armed") {
            armed = fault.clone();
        } else if let Some(undo) = entry.pointer("/injected/undo").filter(|undo| !undo.is_null()) {
            armed["undo"] = undo.clone();
        }
    }
    assert!(armed["undo"].is_object(), "{kind} leaves a record: {text}");
    let path = PathBuf::from(directory).join(format!("{kind}.json"));
    if path.exists() {
        return;
    }
    std::fs::write(path, serde_json::to_string_pretty(&armed).unwrap() + "\n").unwrap();
}

/// Every kind is in one of so many parts, which are tried beside each other.
const PARTS: usize = 4;

fn part_is_put_back_when_the_harness_is_killed_at_any_ledger_line(part: usize) {
    let _beside = beside_others();
    let place = Place::new();
    let kinds = kinds(&place);
    assert!(kinds.len() >= 3 * PARTS, "{kinds:?}");
    let address = lab_up(&place);
    for (kind, spec) in kinds.iter().skip(part).step_by(PARTS) {
        let attacked = Attacked {
            way: &[],
            arguments: &["--lab", "shop"],
            prepare: &|_, _| {},
            works: &|| order_works(&address),
        };
        let text = |lasts: &str| scenario(kind, spec, lasts);
        kill_at_each_line(&place, &attacked, kind, &text);
        if STAYING.contains(&kind.as_str()) {
            kill_watchdog_first(&place, &attacked, kind, &text);
        }
    }
    let down = place.gameday(&["lab", "down", "--state", "shop"]);
    assert_eq!(down.code, 0, "{down:?}");
    assert!(place.processes().is_empty(), "{:?}", place.processes());
}

/// One test for each part.
macro_rules! parts {
    ($($test:ident: $part:literal;)+) => {
        const _: () = assert!([$($part),+].len() == PARTS);
        $(
            #[test]
            fn $test() {
                part_is_put_back_when_the_harness_is_killed_at_any_ledger_line($part);
            }
        )+
    };
}

parts! {
    every_kind_is_put_back_when_the_harness_is_killed_at_any_ledger_line_part_1: 0;
    every_kind_is_put_back_when_the_harness_is_killed_at_any_ledger_line_part_2: 1;
    every_kind_is_put_back_when_the_harness_is_killed_at_any_ledger_line_part_3: 2;
    every_kind_is_put_back_when_the_harness_is_killed_at_any_ledger_line_part_4: 3;
}

/// The system under a fault while the harness is killed.
pub(super) struct Attacked<'a> {
    /// Words before a command that is to run where the system does; empty for anywhere.
    pub(super) way: &'a [String],
    /// Further arguments of `gameday run`.
    pub(super) arguments: &'a [&'a str],
    /// What must be done before a run of this scenario that is kept in this directory.
    pub(super) prepare: &'a dyn Fn(&str, &str),
    /// Whether the system does its work.
    pub(super) works: &'a dyn Fn() -> bool,
}

/// Kills one run of a scenario after the other, each at another line. The scenario's text is made
/// for how long its fault lasts.
pub(super) fn kill_at_each_line(
    place: &Place,
    attacked: &Attacked<'_>,
    kind: &str,
    text: &dyn Fn(&str) -> String,
) {
    // A row of looks at that one takes longer.
    let lasts = if kind == "latency" { "2s" } else { "500ms" };
    let file = place.write(&format!("{kind}.yaml"), &text(lasts));
    for line in 1..=LINES {
        kill_at(place, attacked, (kind, &file), line);
    }
}

/// Kills the watchdog of a run whose fault is in force, and then the run: who comes later pays.
pub(super) fn kill_watchdog_first(
    place: &Place,
    attacked: &Attacked<'_>,
    kind: &str,
    text: &dyn Fn(&str) -> String,
) {
    let file = place.write(&format!("{kind}-long.yaml"), &text("30s"));
    let runs = place.path().join(format!("runs-{kind}-watchdog"));
    let runs_text = runs.display().to_string();
    (attacked.prepare)(&file, &runs_text);
    let mut run = begin(place, attacked, &file, &runs_text);
    let in_force =
        until(LINE_MAX, || (is_effective(&runs) || !run.is_running()).then(|| run.is_running()));
    assert_eq!(in_force, Some(true), "{kind}: its fault is in force");
    let began = Instant::now();
    kill_after_watchdog(place, run);
    let owing = place.gameday(&["undo", "--dry-run", "--runs", &runs_text]);
    assert_eq!(owing.code, 4, "{kind}: nobody has put it back: {owing:?}");
    let undo = place.start_by(attacked.way, &["undo", "--runs", &runs_text]).end();
    assert_eq!(undo.code, 0, "{kind}: {undo:?}");
    assert!(undo.out.contains("put back and proven"), "{kind}: {undo:?}");
    let to_safe = began.elapsed();
    let works = until(SAFE_MAX, || (attacked.works)().then_some(()));
    assert!(works.is_some(), "{kind}: the system works again");
    Figure { attack: "watchdog killed first, then undo", kind, to_safe, named: 0 }.keep();
}

/// Whether a witness has seen the fault of the newest run in force.
fn is_effective(runs: &Path) -> bool {
    let journal =
        newest_run(runs).and_then(|run| std::fs::read_to_string(run.join("journal.jsonl")).ok());
    journal.is_some_and(|text| text.contains("\"effective\":{"))
}

fn begin(place: &Place, attacked: &Attacked<'_>, file: &str, runs: &str) -> Running {
    let arguments = [&["run", file, "--runs", runs], attacked.arguments].concat();
    place.start_by(attacked.way, &arguments)
}

fn kill_at(place: &Place, attacked: &Attacked<'_>, (kind, file): (&str, &str), line: usize) {
    let at = format!("{kind}, killed at line {line}");
    let runs = place.path().join(format!("runs-{kind}-{line}"));
    let runs_text = runs.display().to_string();
    (attacked.prepare)(file, &runs_text);
    let mut run = begin(place, attacked, file, &runs_text);
    let there = until(LINE_MAX, || {
        (ledger(&runs).lines().count() >= line || !run.is_running()).then_some(())
    });
    assert!(there.is_some(), "{at}: the line is written");
    let ended = !run.is_running();
    let began = Instant::now();
    if ended {
        let said = run.end();
        assert!(said.code <= 2, "{at}: it ended by itself: {said:?}");
    } else {
        run.kill();
    }
    let watchdog = || {
        place
            .processes()
            .into_iter()
            .any(|(_, words)| words.contains("agent-watchdog") && words.contains(&runs_text))
    };
    let gone = until(SAFE_MAX, || (!watchdog()).then(|| began.elapsed()));
    let to_safe = gone.unwrap_or_else(|| panic!("{at}: the watchdog is still there"));
    let undo = place.gameday(&["undo", "--runs", &runs_text]);
    assert_eq!(undo.code, 0, "{at}: {undo:?}");
    assert!(undo.out.contains("Nothing is owed"), "{at}: the watchdog has paid: {undo:?}");
    let works = until(SAFE_MAX, || (attacked.works)().then_some(()));
    assert!(works.is_some(), "{at}: the system works again");
    let attack = format!("kill -9 at ledger line {line}");
    Figure { attack: &attack, kind, to_safe, named: 0 }.keep();
    if line == LINES {
        bless(kind, &runs);
    }
}
