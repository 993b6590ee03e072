//! The conformance suite on every fault of the proxy, against a real proxy process.

use std::sync::Arc;

use harness_core::fault::{Cx, Debt, DynInjector, FaultError, Reverted, Sighting, Witness};
use harness_core::ids::{FaultId, RunId, TrialIndex};
use harness_core::system::BoxFuture;
use harness_core::time::Clock;
use harness_core::topology::{Edge, Topology};
use harness_core::units::Duration;
use injectors::conformance::{World, check};
use serde_json::{Value, json};

use crate::world::{Callee, EDGE, Proxy, TestClock, ask_fresh};

struct ProxyWorld {
    proxy: Proxy,
    _callees: Vec<Callee>,
    kind: &'static str,
    spec: Value,
}

impl ProxyWorld {
    fn new(kind: &'static str, spec: Value, slots: usize) -> Self {
        let callees: Vec<Callee> = (0..slots).map(|_| Callee::start()).collect();
        let upstreams: Vec<_> = callees.iter().map(|callee| callee.address).collect();
        Self { proxy: Proxy::start(&upstreams), _callees: callees, kind, spec }
    }

    fn live(&self) -> Topology {
        Topology {
            edges: vec![Edge {
                name: EDGE.into(),
                caller: "checkout".to_owned(),
                callee: "payments".into(),
                addresses: self.proxy.listen.iter().map(ToString::to_string).collect(),
                interposable: true,
            }],
            controls: [("proxy".to_owned(), self.proxy.socket.display().to_string())].into(),
            ..Topology::default()
        }
    }
}

impl World for ProxyWorld {
    fn topology(&self) -> BoxFuture<'_, Topology> {
        Box::pin(std::future::ready(self.live()))
    }

    fn clock(&self) -> &dyn Clock {
        &TestClock
    }

    fn fresh(&self) -> (Arc<dyn DynInjector>, Arc<dyn Witness>) {
        let registry = injectors::registry();
        let entry = registry.entry(self.kind, "lab").unwrap();
        (Arc::clone(&entry.injector), Arc::clone(&entry.witness))
    }

    fn spec(&self) -> Value {
        self.spec.clone()
    }
}

async fn conforms(kind: &'static str, spec: Value, slots: usize) {
    let world = ProxyWorld::new(kind, spec, slots);
    if let Err(broken) = check(&world, "conformance").await {
        panic!("{kind}: {broken}\n{}", world.proxy.log());
    }
    for address in &world.proxy.listen {
        assert_eq!(ask_fresh(*address).unwrap(), 200);
    }
}

#[tokio::test]
async fn refuse_conforms() {
    conforms("dependency-outage", json!({"edge": EDGE, "mode": "refuse"}), 3).await;
}

#[tokio::test]
async fn reset_conforms() {
    conforms("dependency-outage", json!({"edge": EDGE, "mode": "reset"}), 1).await;
}

#[tokio::test]
async fn blackhole_conforms() {
    conforms("dependency-outage", json!({"edge": EDGE, "mode": "blackhole"}), 2).await;
}

#[tokio::test]
async fn status_conforms() {
    conforms("dependency-outage", json!({"edge": EDGE, "mode": "status", "status": 429}), 1).await;
}

#[tokio::test]
async fn latency_conforms() {
    conforms("latency", json!({"edge": EDGE, "delay": "80ms", "jitter": "20ms"}), 2).await;
}

/// Longer than a look may usually take.
#[tokio::test]
async fn a_latency_of_seconds_conforms() {
    conforms("latency", json!({"edge": EDGE, "delay": "2500ms"}), 1).await;
}

#[tokio::test]
async fn faults_of_streams_conform() {
    conforms("half-open", json!({"edge": EDGE}), 2).await;
    conforms("truncate", json!({"edge": EDGE}), 2).await;
    conforms("truncate", json!({"edge": EDGE, "afterBytes": 1000}), 1).await;
    conforms("corrupt", json!({"edge": EDGE, "everyBytes": 100}), 2).await;
}

#[tokio::test]
async fn faults_of_pace_conform() {
    conforms("bandwidth", json!({"edge": EDGE, "kibPerSecond": 64}), 2).await;
    conforms("stall", json!({"edge": EDGE, "share": "30%", "pause": "150ms"}), 2).await;
}

#[tokio::test]
async fn faults_of_requests_conform() {
    let some = json!({"edge": EDGE, "share": "30%", "status": 500});
    conforms("http-error", some, 2).await;
    let posts = json!({"edge": EDGE, "method": "POST", "path": "/charge"});
    conforms("http-error", posts, 1).await;
    conforms("http-latency", json!({"edge": EDGE, "delay": "150ms", "share": "40%"}), 1).await;
}

#[tokio::test]
async fn faults_that_come_and_go_conform() {
    let refuse = json!({"edge": EDGE, "mode": "refuse", "down": "200ms", "up": "150ms"});
    conforms("flapping", refuse, 2).await;
    let silent = json!({"edge": EDGE, "mode": "blackhole", "down": "600ms", "up": "200ms"});
    conforms("flapping", silent, 1).await;
    let brown_out = json!({"edge": EDGE, "delay": "150ms", "on": "400ms", "off": "200ms"});
    conforms("brown-out", brown_out, 2).await;
}

/// A fault whose proxy is killed is put back with it; the record alone must say so, and a proxy
/// that lives but does not answer must not be taken for a dead one.
#[tokio::test]
async fn a_proxy_that_is_gone_owes_nothing_and_a_silent_one_does() {
    let mut world =
        ProxyWorld::new("dependency-outage", json!({"edge": EDGE, "mode": "refuse"}), 1);
    let (run, fault, topology) = (RunId::new("gone"), FaultId::from("down"), world.live());
    let cx = Cx {
        run: &run,
        trial: TrialIndex(0),
        fault: &fault,
        topology: &topology,
        lease: Duration::from_secs(60),
        deadline: Duration::from_millis(500),
        clock: &TestClock,
    };
    let (injector, witness) = world.fresh();
    let spec = injector.check(&world.spec()).unwrap();
    let undo = injector.arm(&cx, &spec).await.unwrap();
    let baseline = witness.baseline(&cx, &spec, &undo).await.unwrap();
    injector.inject(&cx, &spec, &undo).await.unwrap();
    let debt = Debt { spec: &spec, undo: &undo, baseline: &baseline };
    assert!(matches!(witness.look(&cx, debt).await, Sighting::InForce(_)));

    world.proxy.pause();
    let silent = injector.revert(&cx, &undo).await;
    assert!(matches!(silent, Err(FaultError::Failed { .. })), "{silent:?}");
    world.proxy.resume();

    // Its socket is away, and it lives.
    let aside = world.proxy.socket.with_extension("aside");
    std::fs::rename(&world.proxy.socket, &aside).unwrap();
    let hidden = injector.revert(&cx, &undo).await;
    assert!(matches!(hidden, Err(FaultError::Failed { .. })), "{hidden:?}");
    std::fs::rename(&aside, &world.proxy.socket).unwrap();

    world.proxy.kill();
    assert_eq!(injector.revert(&cx, &undo).await, Ok(Reverted::WasClean));
    // Nothing listens now: that is no healthy edge, and the witness does not say it is.
    assert!(!matches!(witness.look(&cx, debt).await, Sighting::NotInForce(_)));
    world.proxy.restart();
    assert_eq!(injector.revert(&cx, &undo).await, Ok(Reverted::WasClean));
    assert!(matches!(witness.look(&cx, debt).await, Sighting::NotInForce(_)));
}

#[tokio::test]
async fn an_edge_that_is_taken_or_not_healthy_is_not_armed() {
    let world = ProxyWorld::new("dependency-outage", json!({"edge": EDGE, "mode": "reset"}), 1);
    let (run, fault, topology) = (RunId::new("taken"), FaultId::from("down"), world.live());
    let cx = Cx {
        run: &run,
        trial: TrialIndex(0),
        fault: &fault,
        topology: &topology,
        lease: Duration::from_secs(60),
        deadline: Duration::from_secs(5),
        clock: &TestClock,
    };
    let (injector, witness) = world.fresh();
    let undo = injector.arm(&cx, &world.spec()).await.unwrap();
    let other = injectors::proxy::wire::ProxyEffect::Reset;
    assert_eq!(world.proxy.put("other", other, 60_000).await.status, 200);
    let taken = injector.arm(&cx, &world.spec()).await;
    assert!(matches!(taken, Err(FaultError::Conflict { .. })), "{taken:?}");
    let taken = injector.inject(&cx, &world.spec(), &undo).await;
    assert!(matches!(taken, Err(FaultError::Conflict { .. })), "{taken:?}");
    let sick = witness.baseline(&cx, &world.spec(), &undo).await;
    assert!(matches!(sick, Err(FaultError::Failed { .. })), "{sick:?}");
    let spec = json!({"edge": "checkout->till", "mode": "reset"});
    let unknown = injector.arm(&cx, &spec).await;
    assert!(matches!(unknown, Err(FaultError::NoTarget { .. })), "{unknown:?}");
}
