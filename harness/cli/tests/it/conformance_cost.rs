//! The conformance suite on the faults of spending, alerting, telemetry and releases, against the
//! lab itself: their mechanism lives in the lab, so nothing smaller would show that they conform.

use std::sync::Arc;

use harness_core::fault::{Cx, DynInjector, FaultError, Witness};
use harness_core::ids::{FaultId, RunId, TrialIndex};
use harness_core::system::{BoxFuture, Host as _};
use harness_core::time::{Clock, RunTime, WallTime};
use harness_core::topology::Topology;
use harness_core::units::Duration;
use hyper::Method;
use injectors::conformance::{World, check};
use injectors::http::{Address, call};
use injectors::lab::{LabHost, LabStart};
use serde_json::{Value, json};

use crate::support::{Place, Room, beside_others};

/// So many requests make counters that can be told from counters that have begun again.
const REQUESTS: u32 = 90;

/// The monotonic clock from a beginning.
pub(crate) struct TestClock(pub(crate) std::time::Instant);

impl Clock for TestClock {
    fn now(&self) -> RunTime {
        RunTime::from_nanos(u64::try_from(self.0.elapsed().as_nanos()).unwrap())
    }

    fn wall(&self) -> WallTime {
        WallTime(0)
    }
}

/// A lab, and one kind of fault in it.
struct LabWorld {
    place: Place,
    clock: TestClock,
    kind: &'static str,
    spec: Value,
    _beside: Room,
}

impl LabWorld {
    fn new(defects: &[&str], kind: &'static str, spec: Value) -> Self {
        let beside = beside_others();
        let place = Place::new();
        let mut arguments = vec!["lab", "up", "--state", "shop"];
        for defect in defects {
            arguments.extend(["--with", defect]);
        }
        let up = place.gameday(&arguments);
        assert_eq!(up.code, 0, "{up:?}");
        Self { place, clock: TestClock(std::time::Instant::now()), kind, spec, _beside: beside }
    }
}

impl Drop for LabWorld {
    fn drop(&mut self) {
        // What is left is killed with the place.
        self.place.gameday(&["lab", "down", "--state", "shop"]);
    }
}

impl World for LabWorld {
    fn topology(&self) -> BoxFuture<'_, Topology> {
        Box::pin(async {
            let host = LabHost::new(self.place.path().join("shop"), LabStart::Attach);
            let opened = host.open(Duration::from_secs(10)).await.unwrap();
            opened.system.topology(Duration::from_secs(10)).await.unwrap()
        })
    }

    fn clock(&self) -> &dyn Clock {
        &self.clock
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

async fn conforms(world: &LabWorld) {
    if let Err(broken) = check(world, "conformance").await {
        panic!("{} {}: {broken}", world.kind, world.spec);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cost_runaway_conforms() {
    // Without a cap, which would end the jobs before the fault does.
    let spec = json!({"jobs": 3, "spendAtMost": "50 EUR"});
    conforms(&LabWorld::new(&["cap=off"], "cost-runaway", spec)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collector_blackout_conforms() {
    let spec = json!({"services": ["checkout", "edge"], "mode": "blackhole"});
    conforms(&LabWorld::new(&[], "collector-blackout", spec)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_storm_conforms() {
    conforms(&LabWorld::new(&[], "alert-storm", json!({"alerts": 20}))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicate_alerts_conforms() {
    conforms(&LabWorld::new(&[], "duplicate-alerts", json!({"times": 3}))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_certificate_conforms() {
    let spec = json!({"service": "pager"});
    conforms(&LabWorld::new(&[], "expired-certificate", spec)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn price_spike_conforms() {
    conforms(&LabWorld::new(&[], "price-spike", json!({"times": 4}))).await;
}

/// Without requests the services have counted nothing that could be told wrongly.
async fn telemetry_conforms(kind: &'static str, spec: Value) {
    let world = LabWorld::new(&[], kind, spec);
    let topology = world.topology().await;
    let edge = Address::Tcp(topology.entry.trim_start_matches("http://").to_owned());
    for _ in 0..REQUESTS {
        let within = Duration::from_secs(5);
        let answer = call(&edge, Method::GET, "/catalog", None, within).await.unwrap();
        assert!(answer.is_success(), "{}", answer.summary());
    }
    conforms(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telemetry_lag_conforms() {
    telemetry_conforms("telemetry-lag", json!({"by": "1500ms"})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn label_drop_conforms() {
    telemetry_conforms("label-drop", json!({"label": "code"})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telemetry_sample_conforms() {
    telemetry_conforms("telemetry-sample", json!({"oneIn": 3, "services": ["edge"]})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telemetry_duplicate_conforms() {
    telemetry_conforms("telemetry-duplicate", json!({"services": ["edge", "checkout"]})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counter_reset_conforms() {
    telemetry_conforms("counter-reset", json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn config_drift_conforms() {
    let spec = json!({"service": "payments", "setting": "processors", "to": 3});
    conforms(&LabWorld::new(&[], "config-drift", spec)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_that_somebody_else_has_changed_stays_as_it_is() {
    let spec = json!({"service": "payments", "setting": "processors", "to": 3});
    let world = LabWorld::new(&[], "config-drift", spec.clone());
    let topology = world.topology().await;
    let (run, fault) = (RunId::new("other"), FaultId::from("drift"));
    let cx = Cx {
        run: &run,
        trial: TrialIndex(0),
        fault: &fault,
        topology: &topology,
        lease: Duration::from_secs(60),
        deadline: Duration::from_secs(5),
        clock: &world.clock,
    };
    let (injector, _) = world.fresh();
    let undo = injector.arm(&cx, &spec).await.unwrap();
    injector.inject(&cx, &spec, &undo).await.unwrap();
    let payments = Address::Tcp(topology.controls["payments"].clone());
    let within = Duration::from_secs(5);
    let ask = async |method: Method, body: Option<Value>| {
        call(&payments, method, "/-/config", body.as_ref(), within).await.unwrap()
    };
    let now: Value = ask(Method::GET, None).await.json().unwrap();
    let others = json!({
        "name": "somebody", "ifHash": now["hash"], "set": {"serviceTimeMs": 9}, "last": false,
    });
    assert!(ask(Method::PUT, Some(others)).await.is_success());
    let refused = injector.revert(&cx, &undo).await;
    assert!(matches!(refused, Err(FaultError::Conflict { .. })), "{refused:?}");
    let now: Value = ask(Method::GET, None).await.json().unwrap();
    assert_eq!(now["settings"], json!({"processors": 3, "serviceTimeMs": 9}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_release_conforms() {
    let flaw = json!({"errors": "40%"});
    let spec = json!({"service": "checkout", "count": 2, "which": "first", "flaw": flaw});
    conforms(&LabWorld::new(&[], "bad-release", spec)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_release_conforms() {
    let spec = json!({"service": "payments", "release": "2", "flaw": {"slow": "100ms"}});
    conforms(&LabWorld::new(&[], "bad-release", spec)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_somebody_else_has_rolled_out_stays() {
    let spec = json!({"service": "checkout", "flaw": {"slow": "50ms"}});
    let world = LabWorld::new(&[], "bad-release", spec.clone());
    let topology = world.topology().await;
    let (run, fault) = (RunId::new("other"), FaultId::from("rollout"));
    let cx = Cx {
        run: &run,
        trial: TrialIndex(0),
        fault: &fault,
        topology: &topology,
        lease: Duration::from_secs(60),
        deadline: Duration::from_secs(10),
        clock: &world.clock,
    };
    let (injector, _) = world.fresh();
    let spec = injector.check(&spec).unwrap();
    let undo = injector.arm(&cx, &spec).await.unwrap();
    injector.inject(&cx, &spec, &undo).await.unwrap();
    let supervisor = Address::Tcp(topology.controls["supervisor"].clone());
    let within = Duration::from_secs(5);
    let others = json!({"release": {"name": "theirs"}});
    let path = "/api/deployments/checkout/release";
    let rolled = call(&supervisor, Method::POST, path, Some(&others), within).await.unwrap();
    assert!(rolled.is_success(), "{}", rolled.summary());
    for _ in 0..2 {
        let refused = injector.revert(&cx, &undo).await;
        assert!(matches!(refused, Err(FaultError::Conflict { .. })), "{refused:?}");
    }
    let told = call(&supervisor, Method::GET, "/api/releases", None, within).await.unwrap();
    let told: Value = told.json().unwrap();
    let slots = told["releases"].as_array().unwrap().iter();
    let mut checkout = slots.filter(|slot| slot["deployment"] == "checkout");
    assert!(checkout.all(|slot| slot["wanted"] == "theirs"), "{told}");
}
