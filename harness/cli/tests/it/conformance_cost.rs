//! The conformance suite on the faults of spending, against the lab itself: their mechanism lives
//! in the lab, so nothing smaller would show that they conform.

use std::sync::Arc;

use harness_core::fault::{DynInjector, Witness};
use harness_core::system::{BoxFuture, Host as _};
use harness_core::time::{Clock, RunTime, WallTime};
use harness_core::topology::Topology;
use harness_core::units::Duration;
use injectors::conformance::{World, check};
use injectors::lab::{LabHost, LabStart};
use serde_json::{Value, json};

use crate::support::{Alone, Place, alone};

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
    _alone: Alone,
}

impl LabWorld {
    fn new(defects: &[&str], kind: &'static str, spec: Value) -> Self {
        let alone = alone();
        let place = Place::new();
        let mut arguments = vec!["lab", "up", "--state", "shop"];
        for defect in defects {
            arguments.extend(["--with", defect]);
        }
        let up = place.gameday(&arguments);
        assert_eq!(up.code, 0, "{up:?}");
        Self { place, clock: TestClock(std::time::Instant::now()), kind, spec, _alone: alone }
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
async fn price_spike_conforms() {
    conforms(&LabWorld::new(&[], "price-spike", json!({"times": 4}))).await;
}
