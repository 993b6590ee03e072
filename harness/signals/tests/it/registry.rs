//! What cannot be had is said in words.

use std::sync::Arc;

use harness_core::plan::{SignalPlan, SourcePlan};
use harness_core::signal::Sources;
use harness_core::time::{Clock, RunTime, WallTime};
use harness_core::topology::{Edge, Topology};
use harness_core::units::Duration;
use harness_signals::SignalSources;

struct NoClock;

impl Clock for NoClock {
    fn now(&self) -> RunTime {
        RunTime::START
    }

    fn wall(&self) -> WallTime {
        WallTime(0)
    }
}

fn refusal(source: SourcePlan, topology: &Topology) -> String {
    let plan = SignalPlan { id: "it".into(), source };
    let made = SignalSources.source(&plan, topology, Arc::new(NoClock));
    made.err().expect("it cannot be had")
}

fn probe(edge: Option<&str>, path: &str, every_ms: u64, timeout_ms: u64) -> SourcePlan {
    SourcePlan::Probe {
        edge: edge.map(Into::into),
        path: Some(path.to_owned()),
        every: Duration::from_millis(every_ms),
        timeout: Duration::from_millis(timeout_ms),
    }
}

fn topology() -> Topology {
    let edge = |name: &str, addresses: &[&str]| Edge {
        name: name.into(),
        caller: "a".to_owned(),
        callee: "b".into(),
        addresses: addresses.iter().map(|&one| one.to_owned()).collect(),
        interposable: false,
    };
    Topology {
        entry: "http://127.0.0.1:1".to_owned(),
        edges: vec![edge("a->b", &[]), edge("a->c", &["127.0.0.1:1", "nowhere"])],
        ..Topology::default()
    }
}

#[test]
fn a_probe_needs_an_address_a_path_and_times() {
    let whole = topology();
    for (source, why) in [
        (probe(Some("a->x"), "/", 10, 10), "there is no edge a->x"),
        (probe(Some("a->b"), "/", 10, 10), "the edge has no address that could be probed"),
        (probe(Some("a->c"), "/", 10, 10), "`nowhere` is no address like `127.0.0.1:4711`"),
        (probe(None, "healthz", 10, 10), "`healthz` is no path"),
        (probe(None, "/a b", 10, 10), "`/a b` is no path"),
        (probe(None, "/", 0, 10), "a period of 0s is too short; the shortest is 5ms"),
        (probe(None, "/", 10, 0), "a probe needs a timeout"),
    ] {
        assert_eq!(refusal(source, &whole), why);
    }
    let why = refusal(probe(None, "/", 10, 10), &Topology::default());
    assert_eq!(why, "the system has no entry that could be probed");
}

#[test]
fn alerts_and_actions_need_their_controls() {
    let mut topology = topology();
    let every = Duration::from_millis(10);
    let actions = || SourcePlan::Actions { every };
    let missing = "the system has no control `alerter`";
    assert_eq!(refusal(SourcePlan::Alerts {}, &topology), missing);
    assert_eq!(refusal(actions(), &topology), "the system has no control `supervisor`");
    topology.controls.insert("supervisor".to_owned(), "/tmp/a.sock".to_owned());
    assert!(refusal(actions(), &topology).contains("`/tmp/a.sock` is no address"));
}
