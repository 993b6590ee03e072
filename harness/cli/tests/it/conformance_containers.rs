//! The conformance suite on the faults of containers, against a real engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use harness_core::fault::{DynInjector, FaultError, Witness};
use harness_core::plan::{ContainersPlan, SystemPlan};
use harness_core::system::{BoxFuture, Host as _};
use harness_core::time::Clock;
use harness_core::topology::{Instance, Service, Topology};
use harness_core::units::Duration;
use injectors::conformance::{Late, World, check};
use injectors::containers::{CONTAINERS, ContainerHost};
use serde_json::{Value, json};

use crate::conformance_cost::TestClock;
use crate::podman::Podman;

/// Two containers of one service, and one kind of fault on them.
struct ContainerWorld<'a> {
    podman: &'a Podman,
    clock: TestClock,
    kind: &'static str,
    spec: Value,
}

impl ContainerWorld<'_> {
    fn host(&self) -> ContainerHost {
        let instance = |name: &str| Instance {
            name: name.to_owned(),
            uid: None,
            address: None,
            process: None,
            ready: false,
        };
        let service = Service {
            name: "web".into(),
            labels: BTreeMap::new(),
            instances: vec![instance("web-1"), instance("web-2")],
        };
        let plan = SystemPlan {
            kind: CONTAINERS.to_owned(),
            name: "web".to_owned(),
            environment: "test".to_owned(),
            defects: BTreeMap::new(),
            topology: Topology { services: vec![service], ..Topology::default() },
            containers: Some(ContainersPlan {
                socket: None,
                entry: "http://127.0.0.1:8080".to_owned(),
                ports: [("web".into(), 8080)].into(),
            }),
        };
        ContainerHost::new(&self.podman.socket(), &plan).unwrap()
    }

    async fn live(&self) -> Topology {
        self.host().open(Duration::from_secs(10)).await.unwrap().topology
    }
}

impl World for ContainerWorld<'_> {
    fn topology(&self) -> BoxFuture<'_, Topology> {
        Box::pin(async {
            // A container that was killed comes back by itself.
            loop {
                let topology = self.live().await;
                if topology.services[0].instances.iter().all(|one| one.ready) {
                    return topology;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
    }

    fn clock(&self) -> &dyn Clock {
        &self.clock
    }

    fn fresh(&self) -> (Arc<dyn DynInjector>, Arc<dyn Witness>) {
        let registry = injectors::registry();
        let entry = registry.entry(self.kind, CONTAINERS).unwrap();
        (Arc::clone(&entry.injector), Arc::clone(&entry.witness))
    }

    fn spec(&self) -> Value {
        self.spec.clone()
    }

    /// The engine carries out what it was told, also when nobody waits for it any more.
    fn late(&self) -> Late {
        Late::Outwaited
    }
}

/// The runtime of a test; all on its thread, which is where the containers' network is.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn conforms(test: &str, kind: &'static str, specs: &[Value]) {
    let Some(podman) = Podman::start(test) else { return };
    for (number, spec) in specs.iter().enumerate() {
        let clock = TestClock(std::time::Instant::now());
        let world = ContainerWorld { podman: &podman, clock, kind, spec: spec.clone() };
        let run = format!("conformance-{number}");
        if let Err(broken) = block_on(check(&world, &run)) {
            panic!("{spec}: {broken}");
        }
    }
}

#[test]
fn container_pause_conforms() {
    let two = json!({"service": "web", "count": 2, "which": "first"});
    let specs = [json!({"service": "web"}), two];
    conforms("container_pause_conforms", "container-pause", &specs);
}

#[test]
fn container_stop_conforms() {
    let two = json!({"service": "web", "count": 2, "which": "first", "graceSeconds": 0});
    let specs = [json!({"service": "web"}), two];
    conforms("container_stop_conforms", "container-stop", &specs);
}

#[test]
fn container_kill_conforms() {
    let two = json!({"service": "web", "count": 2, "which": "first"});
    let specs = [json!({"service": "web"}), two];
    conforms("container_kill_conforms", "container-kill", &specs);
}

#[test]
fn network_disconnect_conforms() {
    let two = json!({"service": "web", "count": 2, "which": "first", "network": null});
    let specs = [json!({"service": "web"}), two];
    conforms("network_disconnect_conforms", "network-disconnect", &specs);
}

/// Whoever has paused a container wants it paused: it is no target, and not set going again; and a
/// container of the same name that took its place is not touched.
#[test]
fn what_somebody_else_has_changed_is_left_alone() {
    let Some(podman) = Podman::start("what_somebody_else_has_changed_is_left_alone") else {
        return;
    };
    let clock = TestClock(std::time::Instant::now());
    let spec = json!({"service": "web", "count": 2, "which": "first"});
    let world = ContainerWorld { podman: &podman, clock, kind: "container-pause", spec };
    let (injector, _) = world.fresh();
    let paused = || podman.podman(&["inspect", "-f", "{{.State.Paused}}", "web-1"]);
    block_on(async {
        let (run, fault) = ("other".into(), "pause".into());
        let healthy = world.live().await;
        let cx = |topology| harness_core::fault::Cx {
            run: &run,
            trial: harness_core::ids::TrialIndex(0),
            fault: &fault,
            topology,
            lease: Duration::from_secs(60),
            deadline: Duration::from_secs(5),
            clock: &world.clock,
        };
        let undo = injector.arm(&cx(&healthy), &world.spec).await.unwrap();
        podman.podman(&["pause", "web-1"]);
        // As it was chosen before it was paused, and as it is found now.
        let late = injector.arm(&cx(&healthy), &world.spec).await;
        assert!(matches!(late, Err(FaultError::Conflict { .. })), "{late:?}");
        let now = world.live().await;
        let refused = injector.arm(&cx(&now), &world.spec).await;
        assert!(matches!(refused, Err(FaultError::NoTarget { .. })), "{refused:?}");
        assert_eq!(paused(), "true");
        // Removed, with another one of its name that is paused, too.
        podman.podman(&["rm", "-f", "-t", "0", "web-1"]);
        let network = podman.network();
        let run = ["run", "-d", "--pull", "never", "--name", "web-1", "--network", network, "web"];
        podman.podman(&run);
        podman.podman(&["pause", "web-1"]);
        let how = injector.revert(&cx(&Topology::default()), &undo).await;
        assert_eq!(how, Ok(harness_core::fault::Reverted::WasClean));
        assert_eq!(paused(), "true", "another container is not ours");
    });
}
