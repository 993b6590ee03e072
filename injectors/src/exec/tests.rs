//! Real programs: shell scripts that speak the protocol, and some that break it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use harness_core::fault::{Debt, DynInjector, Sighting, Witness};
use harness_core::ids::{FaultId, RunId, TrialIndex};
use harness_core::system::BoxFuture;
use harness_core::time::{Clock, RunTime, WallTime};
use harness_core::units::Duration;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use super::*;
use crate::conformance::{World, check};
use crate::lab::lab_kind;

struct TestClock;

impl Clock for TestClock {
    fn now(&self) -> RunTime {
        let now = clock_gettime(ClockId::Monotonic);
        RunTime::from_nanos(u64::try_from(now.tv_sec * 1_000_000_000 + now.tv_nsec).unwrap())
    }

    fn wall(&self) -> WallTime {
        WallTime(0)
    }
}

/// The fault is a file that is there. `verb` is what a script is asked.
const HEAD: &str = r#"#!/bin/sh
question=$(cat)
verb=${question#*'"verb":"'}; verb=${verb%%'"'*}
directory=${question##*'"directory":"'}; directory=${directory%%'"'*}
"#;

const INJECTOR: &str = r#"
case $verb in
describe) echo '{"format":"gameday.exec/1","summary":"a file is there"}' ;;
arm) echo '{"undo":{"file":"on"}}' ;;
inject) : >"$directory/on"; echo '{}' ;;
verify)
    if [ -e "$directory/on" ]; then echo '{"inPlace":true}'; else echo '{"inPlace":false}'; fi ;;
revert)
    if [ -e "$directory/on" ]; then rm "$directory/on"; echo '{"reverted":"putBack"}'
    else echo '{"reverted":"wasClean"}'; fi ;;
esac
"#;

const WITNESS: &str = r#"
case $verb in
baseline) echo '{"baseline":{"files":0}}' ;;
look)
    case $(ls "$directory") in
    *on*) echo '{"sighting":"inForce","seen":"the file is listed"}' ;;
    *) echo '{"sighting":"notInForce","seen":"no such file is listed"}' ;;
    esac ;;
esac
"#;

struct Scripts {
    folder: tempfile::TempDir,
}

impl Scripts {
    fn new(injector: &str) -> Self {
        let scripts = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(scripts.folder.path().join("state")).unwrap();
        scripts.write("injector", injector);
        scripts.write("witness", WITNESS);
        scripts
    }

    fn write(&self, name: &str, body: &str) {
        let path = self.path(name);
        std::fs::write(&path, format!("{HEAD}{body}")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn spec(&self) -> Value {
        json!({
            "program": self.path("injector"),
            "witness": self.path("witness"),
            "with": {"directory": self.path("state")},
            "touches": {"instances": ["payments-0"]},
        })
    }

    fn is_on(&self) -> bool {
        self.path("state/on").exists()
    }
}

impl World for Scripts {
    fn topology(&self) -> BoxFuture<'_, Topology> {
        let shop = lab_kind(Vec::new()).declared["shop"].clone();
        Box::pin(std::future::ready(shop))
    }

    fn clock(&self) -> &dyn Clock {
        &TestClock
    }

    fn fresh(&self) -> (Arc<dyn DynInjector>, Arc<dyn Witness>) {
        (Arc::new(Exec), Arc::new(ExecWitness))
    }

    fn spec(&self) -> Value {
        self.spec()
    }
}

/// A name that no other test and no earlier run has used.
fn unique(test: &str) -> RunId {
    let folder = tempfile::tempdir().unwrap();
    RunId::new(format!("{test}-{}", folder.path().file_name().unwrap().to_string_lossy()))
}

#[tokio::test]
async fn a_shell_script_can_be_an_injector() {
    let scripts = Scripts::new(INJECTOR);
    check(&scripts, unique("conforms").as_str()).await.unwrap();
    assert!(!scripts.is_on());
}

#[tokio::test]
async fn a_script_that_breaks_a_law_is_found_out() {
    for (from, to, law) in [
        ("arm) echo", "arm) : >\"$directory/on\"; echo", "verify is false before"),
        ("inject) : >\"$directory/on\"; ", "inject) ", "verify is true between"),
        ("rm \"$directory/on\"; ", "", "the second revert finds nothing"),
    ] {
        let broken = INJECTOR.replace(from, to);
        assert_ne!(broken, INJECTOR);
        let scripts = Scripts::new(&broken);
        let found = check(&scripts, unique("breaks").as_str()).await.unwrap_err();
        assert_eq!(found.law, law, "{found}");
    }
}

struct Parts {
    run: RunId,
    fault: FaultId,
    topology: Topology,
}

impl Parts {
    fn new(test: &str) -> Self {
        Self { run: unique(test), fault: "it".into(), topology: Topology::default() }
    }

    fn cx(&self, deadline: Duration) -> Cx<'_> {
        Cx {
            run: &self.run,
            trial: TrialIndex(0),
            fault: &self.fault,
            topology: &self.topology,
            lease: Duration::from_secs(60),
            deadline,
            clock: &TestClock,
        }
    }
}

fn spec(scripts: &Scripts) -> ExecSpec {
    serde_json::from_value(scripts.spec()).unwrap()
}

#[test]
fn what_cannot_be_run_is_refused_before_a_run() {
    let scripts = Scripts::new(INJECTOR);
    let ready = |program: PathBuf, witness: PathBuf| {
        let spec = ExecSpec { program, witness, ..spec(&scripts) };
        <Exec as Injector>::ready(&spec).map_err(|error| error.to_string())
    };
    let [injector, witness] = ["injector", "witness"].map(|name| scripts.path(name));
    assert_eq!(ready(injector.clone(), witness.clone()), Ok(()));
    std::fs::write(scripts.path("text"), INJECTOR).unwrap();
    for (name, why) in
        [("nowhere", "No such file"), ("state", "directory"), ("text", "Permission denied")]
    {
        for found in [
            ready(scripts.path(name), witness.clone()),
            ready(injector.clone(), scripts.path(name)),
        ] {
            let error = found.unwrap_err();
            assert!(error.contains(why) && error.contains(name), "{name}: {error}");
        }
    }
}

async fn arm_error(answer: &str) -> String {
    let scripts =
        Scripts::new(&INJECTOR.replace("arm) echo '{\"undo\":{\"file\":\"on\"}}'", answer));
    let parts = Parts::new("wrong");
    let cx = parts.cx(Duration::from_millis(2_000));
    Injector::arm(&Exec, &cx, &spec(&scripts)).await.unwrap_err().to_string()
}

#[tokio::test]
async fn what_a_program_does_wrong_is_named() {
    for (answer, words) in [
        ("arm) echo '{\"error\":\"no such host\"}'; exit 1", "no such host"),
        ("arm) echo out of luck >&2; exit 7", "exit status: 7: out of luck"),
        ("arm) echo what", "its answer is not understood"),
        ("arm) kill -KILL $$", "killed by signal 9"),
        ("arm) yes", "says more than 65536 bytes"),
        ("arm) echo '{\"undo\":{},\"extra\":1}'", "its answer is not understood"),
        ("arm) [ -z \"$HOME$USER\" ] || exit 1; echo '{\"error\":\"bare\"}'", "bare"),
    ] {
        let error = arm_error(answer).await;
        assert!(error.contains(words) && error.contains("arm by"), "{answer}: {error}");
    }
    let missing = Parts::new("missing");
    let nowhere = Path::new("/nonexistent/injector");
    let error = describe(&missing.cx(Duration::from_secs(2)), nowhere).await.unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_with_what_it_has_started() {
    let hanging = INJECTOR.replace(
        "inject) : >\"$directory/on\"; echo '{}'",
        "inject) sleep 300 & : >\"$directory/on\"; wait",
    );
    let scripts = Scripts::new(&hanging);
    let parts = Parts::new("hangs");
    let undo = Injector::arm(&Exec, &parts.cx(Duration::from_secs(5)), &spec(&scripts)).await;
    let undo = undo.unwrap();
    let short = parts.cx(Duration::from_millis(1_000));
    let late = Injector::inject(&Exec, &short, &spec(&scripts), &undo).await;
    assert!(matches!(late, Err(FaultError::TimedOut { .. })), "{late:?}");
    assert!(scripts.is_on(), "it had its effect before it hung");
    let marks = [format!("GAMEDAY_FAULT={}", short.name())];
    while !crate::process::with_environment(&marks).is_empty() {
        tokio::task::yield_now().await;
    }
    let cx = parts.cx(Duration::from_secs(5));
    let reverted = Injector::revert(&Exec, &cx, &undo).await;
    assert_eq!(reverted, Ok(Reverted::PutBack));
    assert!(!scripts.is_on());
}

#[tokio::test]
async fn an_injection_that_a_dead_harness_left_is_ended_before_the_revert() {
    let slow = INJECTOR.replace(
        "inject) : >\"$directory/on\"; echo '{}'",
        "inject) : >\"$directory/begun\"; sleep 300; : >\"$directory/on\"; echo '{}'",
    );
    let scripts = Scripts::new(&slow);
    let parts = Parts::new("left");
    let cx = parts.cx(Duration::from_secs(5));
    let undo = Injector::arm(&Exec, &cx, &spec(&scripts)).await.unwrap();
    // As a process that another harness has started and nobody waits for.
    let mut left = std::process::Command::new(scripts.path("injector"))
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("GAMEDAY_FAULT", cx.name())
        .env("GAMEDAY_VERB", "inject")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let question = json!({"verb": "inject", "with": {"directory": scripts.path("state")}});
    let mut to = left.stdin.take().unwrap();
    std::io::Write::write_all(&mut to, question.to_string().as_bytes()).unwrap();
    drop(to);
    while !scripts.path("state/begun").exists() {
        tokio::task::yield_now().await;
    }
    assert_eq!(Injector::revert(&Exec, &cx, &undo).await, Ok(Reverted::WasClean));
    left.wait().unwrap();
    assert!(!scripts.is_on(), "it never takes effect");
    let late = Injector::inject(&Exec, &cx, &spec(&scripts), &undo).await.unwrap_err();
    assert!(late.to_string().contains("reverted before"), "{late}");
}

/// In the place of a permit there is something that can be neither written nor taken away.
fn block_permit(name: &str) -> PathBuf {
    let path = permit::path(name).unwrap();
    // It was never there, or is there as a file.
    std::fs::remove_file(&path).unwrap_or_default();
    std::fs::create_dir(&path).unwrap();
    path
}

#[tokio::test]
async fn what_cannot_be_permitted_is_not_armed() {
    let scripts = Scripts::new(INJECTOR);
    let parts = Parts::new("forbidden");
    let cx = parts.cx(Duration::from_secs(5));
    let blocked = block_permit(&cx.name());
    let refused = Injector::arm(&Exec, &cx, &spec(&scripts)).await;
    std::fs::remove_dir(&blocked).unwrap();
    assert!(matches!(refused, Err(FaultError::Unavailable { .. })), "{refused:?}");
    // And what was never armed has no permit.
    let undo = ExecUndo {
        program: scripts.path("injector"),
        with: json!({"directory": scripts.path("state")}),
        record: json!({"file": "on"}),
    };
    assert!(Injector::inject(&Exec, &cx, &spec(&scripts), &undo).await.is_err());
    assert!(!scripts.is_on());
}

#[tokio::test]
async fn a_revert_that_cannot_forbid_puts_back_all_the_same() {
    let scripts = Scripts::new(INJECTOR);
    let parts = Parts::new("unforbidden");
    let cx = parts.cx(Duration::from_secs(5));
    let undo = Injector::arm(&Exec, &cx, &spec(&scripts)).await.unwrap();
    Injector::inject(&Exec, &cx, &spec(&scripts), &undo).await.unwrap();
    assert!(scripts.is_on());
    let blocked = block_permit(&cx.name());
    let reverted = Injector::revert(&Exec, &cx, &undo).await;
    std::fs::remove_dir(&blocked).unwrap();
    assert_eq!(reverted, Ok(Reverted::PutBack));
    assert!(!scripts.is_on());
}

#[tokio::test]
async fn a_revert_leaves_no_permit_behind() {
    let scripts = Scripts::new(INJECTOR);
    let parts = Parts::new("tidy");
    let cx = parts.cx(Duration::from_secs(5));
    let undo = Injector::arm(&Exec, &cx, &spec(&scripts)).await.unwrap();
    let permit = permit::path(&cx.name()).unwrap();
    assert!(permit.is_file());
    assert_eq!(Injector::revert(&Exec, &cx, &undo).await, Ok(Reverted::WasClean));
    assert!(!permit.exists());
}

#[tokio::test]
async fn a_witness_that_fails_says_nothing() {
    let scripts = Scripts::new(INJECTOR);
    scripts.write("witness", "exit 3\n");
    let parts = Parts::new("blind");
    let cx = parts.cx(Duration::from_secs(5));
    let undo = json!({"program": "/x", "with": null, "record": {}});
    let spec = scripts.spec();
    let baseline = json!(null);
    let debt = Debt { spec: &spec, undo: &undo, baseline: &baseline };
    let seen = ExecWitness.look(&cx, debt).await;
    assert!(matches!(&seen, Sighting::Unknown(why) if why.contains("exit status: 3")), "{seen:?}");
    assert!(ExecWitness.baseline(&cx, &spec, &undo).await.is_err());
}

#[test]
fn the_radius_is_what_the_specification_says_and_only_what_is_there() {
    let shop = lab_kind(Vec::new()).declared["shop"].clone();
    let radius = |change: &dyn Fn(&mut ExecSpec)| {
        let mut spec = ExecSpec {
            program: "/a".into(),
            witness: "/b".into(),
            with: Value::Null,
            touches: Touches { instances: vec!["checkout-1".into()], edges: Vec::new() },
        };
        change(&mut spec);
        <Exec as Injector>::blast_radius(&spec, &shop)
    };
    let one = radius(&|_| ()).unwrap();
    assert_eq!(one.instances, ["checkout/checkout-1"]);
    assert_eq!(one.share, Some(Ratio::from_billionths(333_333_334)));
    let refused: [&dyn Fn(&mut ExecSpec); 6] = [
        &|spec| spec.touches.instances = vec!["supervisor-0".into()],
        &|spec| spec.program = "a".into(),
        &|spec| spec.witness = "/a".into(),
        &|spec| spec.touches.instances = Vec::new(),
        &|spec| spec.touches.instances = vec!["checkout-9".into()],
        &|spec| spec.touches.edges = vec!["checkout->nobody".into()],
    ];
    for change in refused {
        assert!(radius(change).is_err());
    }
}
