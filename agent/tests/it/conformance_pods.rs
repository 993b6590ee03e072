//! The conformance suite on faults of processes, against a small supervisor with real processes.
//!
//! A pod is a proxy process in front of a healthy callee: it answers while it lives, and it can be
//! killed. The supervisor speaks the lab's interface as far as the injector uses it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use harness_core::fault::{
    Capability, Cx, Debt, DynInjector, FaultError, Reverted, Sighting, Witness,
};
use harness_core::ids::{FaultId, RunId, TrialIndex};
use harness_core::system::BoxFuture;
use harness_core::time::Clock;
use harness_core::topology::{Instance, ProcessIdentity, Service, Topology};
use harness_core::units::Duration;
use injectors::conformance::{Late, World, check};
use injectors::process::{Presence, identity, is_stopped, presence};
use serde_json::{Value, json};

use crate::world::{Callee, Proxy, TestClock, skip};

const SLOTS: usize = 3;

struct Pod {
    proxy: Proxy,
    generation: u32,
}

/// Orders that pods crash, by their markers; `false` when one was taken back. Nothing is restarted
/// here, so nothing crashes.
type Orders = BTreeMap<String, bool>;

struct PodWorld {
    kind: &'static str,
    pods: Arc<Mutex<Vec<Pod>>>,
    supervisor: SocketAddr,
    _callee: Callee,
    spec: Value,
}

impl PodWorld {
    fn new(kind: &'static str, spec: Value) -> Self {
        let callee = Callee::start();
        let start = |_| Pod { proxy: Proxy::start(&[callee.address]), generation: 0 };
        let pods: Arc<Mutex<Vec<Pod>>> = Arc::new(Mutex::new((0..SLOTS).map(start).collect()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let supervisor = listener.local_addr().unwrap();
        let served = Arc::downgrade(&pods);
        std::thread::spawn(move || {
            let mut orders = Orders::new();
            for stream in listener.incoming() {
                let Some(pods) = served.upgrade() else { return };
                serve(stream.unwrap(), &pods, &mut orders);
            }
        });
        Self { kind, pods, supervisor, _callee: callee, spec }
    }

    fn live(&self) -> Topology {
        let pods = self.pods.lock().unwrap();
        let instance = |(slot, pod): (usize, &Pod)| Instance {
            name: format!("checkout-{slot}"),
            uid: Some(uid(slot, pod)),
            address: Some(pod.proxy.address().to_string()),
            process: pod.proxy.identity(),
            ready: pod.proxy.identity().is_some(),
        };
        Topology {
            services: vec![Service {
                name: "checkout".into(),
                labels: BTreeMap::new(),
                instances: pods.iter().enumerate().map(instance).collect(),
            }],
            controls: [("supervisor".to_owned(), self.supervisor.to_string())].into(),
            ..Topology::default()
        }
    }
}

fn uid(slot: usize, pod: &Pod) -> String {
    format!("uid-{slot}-{}", pod.generation)
}

/// What is asked of orders to crash: whether the named one is, or was, in force; `None` when it may
/// not be.
fn order(head: &str, stream: &mut TcpStream, orders: &mut Orders) -> Option<bool> {
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |text| text.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    if head.starts_with("put ") {
        let order: Value = serde_json::from_slice(&body).unwrap();
        let marker = order["marker"].as_str().unwrap().to_owned();
        return (*orders.entry(marker).or_insert(true)).then_some(true);
    }
    let (_, rest) = head.split_once("?marker=").unwrap();
    let marker = rest.split(' ').next().unwrap().to_owned();
    let in_force = orders.get(&marker).copied().unwrap_or_default();
    if head.starts_with("delete ") {
        orders.insert(marker, false);
    }
    Some(in_force)
}

/// Answers one request.
fn serve(mut stream: TcpStream, pods: &Mutex<Vec<Pod>>, orders: &mut Orders) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_exact(&mut byte).is_err() {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut pods = pods.lock().unwrap();
    let mut status = "200 OK";
    let body = if head.contains(" /-/crashes") {
        let in_force = order(&head, &mut stream, orders);
        status = in_force.map_or("409 Conflict", |_| status);
        json!({"inForce": in_force})
    } else if head.starts_with("GET /api/pods ") {
        let pod = |(slot, pod): (usize, &Pod)| {
            let process = pod.proxy.identity();
            json!({
                "name": format!("checkout-x-{slot}"), "uid": uid(slot, pod),
                "deployment": "checkout", "slot": slot, "ready": process.is_some(),
                "pid": process.as_ref().map(|it| it.pid),
                "startTime": process.as_ref().map(|it| it.start_ticks),
                "address": pod.proxy.address().to_string(),
            })
        };
        json!({"pods": pods.iter().enumerate().map(pod).collect::<Vec<_>>()})
    } else if head.starts_with("POST /api/deployments/checkout/restore ") {
        for pod in pods.iter_mut().filter(|pod| pod.proxy.identity().is_none()) {
            pod.proxy.restart();
            pod.generation += 1;
        }
        json!({"ready": true, "missing": []})
    } else {
        panic!("an unexpected request: {head}");
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
    // The injector may have been cut off.
    stream.write_all((head + &body).as_bytes()).unwrap_or_default();
}

impl World for PodWorld {
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

    fn late(&self) -> Late {
        Late::Never
    }

    /// The supervisor of this world heals nothing by itself, and a revert waits for that.
    fn step(&self) -> Duration {
        Duration::from_secs(2)
    }
}

/// Three instances; some of them are attacked, again and again.
async fn conforms(kind: &'static str, specs: &[Value]) {
    for spec in specs {
        let world = PodWorld::new(kind, spec.clone());
        if let Err(broken) = check(&world, "conformance").await {
            panic!("{spec}: {broken}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pod_kill_conforms() {
    let two = json!({"service": "checkout", "count": 2, "which": "first"});
    conforms("pod-kill", &[json!({"service": "checkout"}), two]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_loop_conforms() {
    let two = json!({"service": "checkout", "count": 2, "which": "first", "times": 2});
    conforms("crash-loop", &[json!({"service": "checkout"}), two]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_pause_conforms() {
    let two = json!({"service": "checkout", "count": 2, "which": "first"});
    conforms("process-pause", &[json!({"service": "checkout"}), two]).await;
}

/// Whoever has stopped a process wants it stopped: it is no target, and not set going again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_somebody_else_has_stopped_is_left_alone() {
    let all = json!({"service": "checkout", "count": SLOTS});
    let world = PodWorld::new("process-pause", all);
    let (run, fault, topology) = (RunId::new("other"), FaultId::from("pause"), world.live());
    let cx = cx(&run, &fault, &topology);
    world.pods.lock().unwrap()[1].proxy.pause();
    let process = topology.services[0].instances[1].process.clone().unwrap();
    while is_stopped(&process) != Some(true) {
        tokio::task::yield_now().await;
    }
    let (injector, _) = world.fresh();
    let refused = injector.arm(&cx, &world.spec()).await;
    assert!(matches!(refused, Err(FaultError::Conflict { .. })), "{refused:?}");
    assert_eq!(is_stopped(&process), Some(true));
    world.pods.lock().unwrap()[1].proxy.resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fd_limit_conforms() {
    let all = json!({"service": "checkout", "count": 3, "room": 4});
    conforms("fd-limit", &[json!({"service": "checkout"}), all]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_freeze_conforms() {
    if lacks("process_freeze_conforms", "cgroup-freezer") {
        return;
    }
    let two = json!({"service": "checkout", "count": 2, "which": "first"});
    conforms("process-freeze", &[json!({"service": "checkout"}), two]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cpu_pressure_conforms() {
    if lacks("cpu_pressure_conforms", "cgroup-cpu") {
        return;
    }
    let all = json!({"service": "checkout", "count": 3, "share": "2%"});
    let one = json!({"service": "checkout", "share": "0.5%"});
    conforms("cpu-pressure", &[one, all]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_pressure_conforms() {
    if lacks("memory_pressure_conforms", "cgroup-memory") {
        return;
    }
    let two = json!({"service": "checkout", "count": 2, "which": "first", "headroom": "256KiB"});
    let one = json!({"service": "checkout", "headroom": "512KiB"});
    conforms("memory-pressure", &[one, two]).await;
}

/// The kernel kills the named instance for want of memory, and no other process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_pressure_kills_only_whom_it_names() {
    if lacks("memory_pressure_kills_only_whom_it_names", "cgroup-memory") {
        return;
    }
    let spec = json!({"service": "checkout", "which": "first", "headroom": "256KiB"});
    let world = PodWorld::new("memory-pressure", spec);
    let (run, fault, topology) = (RunId::new("hungry"), FaultId::from("short"), world.live());
    let cx = cx(&run, &fault, &topology);
    let (injector, witness) = world.fresh();
    let spec = injector.check(&world.spec()).unwrap();
    let undo = injector.arm(&cx, &spec).await.unwrap();
    let baseline = witness.baseline(&cx, &spec, &undo).await.unwrap();
    injector.inject(&cx, &spec, &undo).await.unwrap();
    let named = |slot: usize| topology.services[0].instances[slot].process.clone().unwrap();
    let until = TestClock.now() + Duration::from_secs(10);
    while presence(&named(0)) == Presence::Alive {
        assert!(TestClock.now() < until, "it is never short of memory");
        witness.look(&cx, Debt { spec: &spec, undo: &undo, baseline: &baseline }).await;
    }
    let seen = witness.look(&cx, Debt { spec: &spec, undo: &undo, baseline: &baseline }).await;
    assert!(matches!(seen, Sighting::InForce(_)), "{seen:?}");
    assert_eq!([1, 2].map(|slot| presence(&named(slot))), [Presence::Alive; 2]);
    assert_eq!(injector.revert(&cx, &undo).await, Ok(Reverted::PutBack));
    let seen = witness.look(&cx, Debt { spec: &spec, undo: &undo, baseline: &baseline }).await;
    assert!(matches!(seen, Sighting::NotInForce(_)), "another has taken its place: {seen:?}");
}

/// Who was moved on meanwhile is left where he is, and nothing of ours stays behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_somebody_else_has_moved_is_left_there() {
    if lacks("a_process_that_somebody_else_has_moved", "cgroup-cpu") {
        return;
    }
    let spec = json!({"service": "checkout", "which": "first", "share": "2%"});
    let world = PodWorld::new("cpu-pressure", spec);
    let (run, fault, topology) = (RunId::new("moved"), FaultId::from("slow"), world.live());
    let cx = cx(&run, &fault, &topology);
    let (injector, _) = world.fresh();
    let undo = injector.arm(&cx, &world.spec()).await.unwrap();
    injector.inject(&cx, &world.spec(), &undo).await.unwrap();
    let group = &undo["processes"][0]["change"]["group"];
    let folder = |name: &str| {
        let mount = Path::new(group["hierarchy"]["mount"].as_str().unwrap());
        mount.join(group[name].as_str().unwrap().trim_start_matches('/'))
    };
    let theirs = folder("from").join(format!("theirs-{}", std::process::id()));
    let pid = topology.services[0].instances[0].process.clone().unwrap().pid.to_string();
    std::fs::create_dir(&theirs).unwrap();
    std::fs::write(theirs.join("cgroup.procs"), &pid).unwrap();
    let refused = injector.revert(&cx, &undo).await;
    assert!(matches!(refused, Err(FaultError::Conflict { .. })), "{refused:?}");
    let held = std::fs::read_to_string(theirs.join("cgroup.procs")).unwrap();
    assert_eq!(held.trim(), pid, "it stays where it was put");
    assert!(!folder("own").exists(), "our own group is removed");
    std::fs::write(folder("from").join("cgroup.procs"), &pid).unwrap();
    std::fs::remove_dir(&theirs).unwrap();
    assert_eq!(injector.revert(&cx, &undo).await, Ok(Reverted::WasClean));
}

/// Says by name that a test is left out because this machine lacks something.
fn lacks(test: &str, mechanism: &'static str) -> bool {
    match &injectors::capabilities_of([mechanism])[mechanism] {
        Capability::Available(_) => false,
        Capability::Missing(why) => {
            skip(&format!("cgroup: {test}"), why);
            true
        }
    }
}

fn cx<'a>(run: &'a RunId, fault: &'a FaultId, topology: &'a Topology) -> Cx<'a> {
    Cx {
        run,
        trial: TrialIndex(0),
        fault,
        topology,
        lease: Duration::from_secs(60),
        deadline: Duration::from_secs(5),
        clock: &TestClock,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lab_that_is_gone_owes_no_pods_and_a_silent_supervisor_does() {
    let world = PodWorld::new("pod-kill", json!({"service": "checkout"}));
    let (run, fault) = (RunId::new("gone"), FaultId::from("kill"));
    let mut topology = world.live();
    // Some process that can end, in the supervisor's place.
    let mut stand_in = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let process: ProcessIdentity = identity(stand_in.id()).unwrap();
    topology.services.push(Service {
        name: "supervisor".into(),
        labels: BTreeMap::new(),
        instances: vec![Instance {
            name: "supervisor-0".to_owned(),
            uid: None,
            address: None,
            process: Some(process),
            ready: true,
        }],
    });
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    topology.controls.insert("supervisor".to_owned(), nobody.to_string());
    let cx = cx(&run, &fault, &topology);
    let (injector, _) = world.fresh();
    let undo = injector.arm(&cx, &world.spec()).await.unwrap();
    let silent = injector.revert(&cx, &undo).await;
    assert!(matches!(silent, Err(FaultError::Failed { .. })), "{silent:?}");
    stand_in.kill().unwrap();
    stand_in.wait().unwrap();
    assert_eq!(injector.revert(&cx, &undo).await, Ok(Reverted::WasClean));
}
