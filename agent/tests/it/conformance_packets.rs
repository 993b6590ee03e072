//! The conformance suite on faults on packets, in a network namespace that the test makes: real
//! processes in it, and the kernel's own rules.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration as StdDuration;

use harness_core::fault::{Cx, Debt, DynInjector, FaultError, Reverted, Sighting, Witness};
use harness_core::ids::{FaultId, RunId, TrialIndex};
use harness_core::system::BoxFuture;
use harness_core::time::Clock;
use harness_core::topology::{Edge, Instance, ProcessIdentity, Service, Topology};
use harness_core::units::Duration;
use injectors::conformance::{World, check};
use injectors::process::identity;
use serde_json::{Value, json};

use crate::namespace::{Netns, ip};
use crate::world::{Callee, EDGE, Proxy, TestClock, ask, ask_fresh, connect};

/// A call that is not answered within this time is not answered.
const SILENCE: StdDuration = StdDuration::from_millis(300);

/// A caller that does nothing, and a callee that answers, in one namespace.
pub(crate) struct PacketWorld {
    kind: &'static str,
    spec: Value,
    pub(crate) callee: Proxy,
    caller: Child,
    pub(crate) behind: Callee,
    pub(crate) namespace: Netns,
}

impl PacketWorld {
    pub(crate) fn new(namespace: Netns, kind: &'static str, spec: Value) -> Self {
        let listener = namespace.within(|| TcpListener::bind("127.0.0.1:0").unwrap());
        let behind = Callee::on(listener);
        let callee = Proxy::start_by(&namespace.way(), &[behind.address]);
        let [program, before @ ..] = namespace.way();
        let idle = Command::new(program)
            .args(before)
            .args(["sleep", "600"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut spec = spec;
        spec["namespace"] = json!(namespace.name);
        let world = Self { kind, spec, callee, caller: idle, behind, namespace };
        // `ip` has entered the namespace when it has become the other program.
        while std::fs::read(format!("/proc/{}/comm", world.caller.id())).unwrap() != b"sleep\n" {
            std::thread::yield_now();
        }
        world
    }

    fn live(&self) -> Topology {
        let service = |name: &str, address: Option<String>, process: Option<ProcessIdentity>| {
            let instance =
                Instance { name: format!("{name}-0"), uid: None, address, process, ready: true };
            Service { name: name.into(), labels: BTreeMap::new(), instances: vec![instance] }
        };
        let address = self.callee.address().to_string();
        Topology {
            services: vec![
                service("checkout", None, identity(self.caller.id())),
                service("payments", Some(address.clone()), self.callee.identity()),
            ],
            edges: vec![Edge {
                name: EDGE.into(),
                caller: "checkout".to_owned(),
                callee: "payments".into(),
                addresses: vec![address],
                interposable: true,
            }],
            ..Topology::default()
        }
    }
}

impl Drop for PacketWorld {
    fn drop(&mut self) {
        // The test may have ended it.
        self.caller.kill().unwrap_or_default();
        self.caller.wait().map(|_| ()).unwrap_or_default();
    }
}

impl World for PacketWorld {
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

/// One fault in a world, step by step.
pub(crate) struct Steps<'a> {
    world: &'a PacketWorld,
    run: RunId,
    fault: FaultId,
    topology: Topology,
    /// What the witness has seen before.
    baseline: std::sync::OnceLock<Value>,
    pub(crate) lease: Duration,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(world: &'a PacketWorld) -> Self {
        let run = RunId::new(unique("steps"));
        Self {
            world,
            run,
            fault: "fault".into(),
            topology: world.live(),
            baseline: std::sync::OnceLock::new(),
            lease: Duration::from_secs(60),
        }
    }

    pub(crate) fn cx(&self) -> Cx<'_> {
        Cx {
            run: &self.run,
            trial: TrialIndex(0),
            fault: &self.fault,
            topology: &self.topology,
            lease: self.lease,
            deadline: Duration::from_secs(30),
            clock: &TestClock,
        }
    }

    pub(crate) async fn arm(&self) -> Result<Value, FaultError> {
        let (injector, _) = self.world.fresh();
        injector.arm(&self.cx(), &self.world.spec).await
    }

    pub(crate) async fn inject(&self) -> Value {
        let undo = self.arm().await.unwrap();
        let (injector, witness) = self.world.fresh();
        // On a machine that is busy, a look now and then says nothing.
        let until = TestClock.now() + Duration::from_secs(20);
        let baseline = loop {
            match witness.baseline(&self.cx(), &self.world.spec, &undo).await {
                Ok(baseline) => break baseline,
                Err(error) => assert!(TestClock.now() < until, "{error}"),
            }
        };
        self.baseline.set(baseline).unwrap();
        injector.inject(&self.cx(), &self.world.spec, &undo).await.unwrap();
        undo
    }

    pub(crate) async fn revert(&self, undo: &Value) -> Result<Reverted, FaultError> {
        let (injector, _) = self.world.fresh();
        injector.revert(&self.cx(), undo).await
    }

    pub(crate) async fn look(&self, undo: &Value) -> Sighting {
        let (_, witness) = self.world.fresh();
        let baseline = self.baseline.get().unwrap_or(&Value::Null);
        let debt = Debt { spec: &self.world.spec, undo, baseline };
        witness.look(&self.cx(), debt).await
    }
}

/// A name that no earlier run has used: what was reverted once is never injected again.
pub(crate) fn unique(what: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    format!("{what}{}", folder.path().file_name().unwrap().to_string_lossy())
}

async fn conforms(test: &str, kind: &'static str, specs: &[Value]) {
    for spec in specs {
        let Some(namespace) = Netns::make(test) else { return };
        let world = PacketWorld::new(namespace, kind, spec.clone());
        if let Err(broken) = check(&world, &unique("laws")).await {
            panic!("{spec}: {broken}");
        }
        assert_eq!(world.namespace.nft(&["list", "tables"]), "", "{spec}: nothing is left");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partition_conforms() {
    let reset = json!({"service": "payments", "mode": "reset"});
    conforms("partition_conforms", "partition", &[json!({"edge": EDGE}), reset]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packet_loss_conforms() {
    let few = json!({"edge": EDGE, "share": "5%"});
    let many = json!({"service": "payments", "share": "60%"});
    conforms("packet_loss_conforms", "packet-loss", &[few, many]).await;
}

/// The kernel drops the share that was asked for, of what comes by there and of nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_is_as_large_as_it_was_asked_for() {
    /// Connections that are tried, some hundred packets in all.
    const TRIED: usize = 400;
    let Some(namespace) = Netns::make("packet_loss_share") else { return };
    let spec = json!({"edge": EDGE, "share": "25%"});
    let world = PacketWorld::new(namespace, "packet-loss", spec);
    let (namespace, callee) = (&world.namespace, world.callee.address());
    let steps = Steps::new(&world);
    let undo = steps.inject().await;
    let open = || std::net::TcpStream::connect_timeout(&callee, StdDuration::from_millis(20));
    let opened = namespace.within(|| (0..TRIED).filter(|_| open().is_ok()).count());
    // Both first packets pass in 56 % of tries; six standard deviations to either side.
    assert!((165..=285).contains(&opened), "{opened} of {TRIED} connections opened at once");
    let table = namespace.nft(&["list", "table", "inet", undo["table"].as_str().unwrap()]);
    let packets = |what: &str| -> f64 {
        let lines = table.lines().filter(|line| line.contains(what));
        let count = |line: &str| {
            let (_, rest) = line.split_once("packets ").unwrap();
            rest.split(' ').next().unwrap().parse::<f64>().unwrap()
        };
        lines.map(count).sum()
    };
    let (seen, met) = (packets("\"seen 0\""), packets("\"met 0\""));
    let (share, deviation) = (met / seen, (0.25 * 0.75 / seen).sqrt());
    println!("{opened} of {TRIED} opened; {met} of {seen} packets lost: {share:.3} of 0.25 asked");
    assert!(seen > 400.0 && (share - 0.25).abs() < 6.0 * deviation, "{share} of {seen}");
    assert_eq!(namespace.within(|| ask_fresh(world.behind.address)).unwrap(), 200);
    assert_eq!(steps.revert(&undo).await, Ok(Reverted::PutBack));
}

/// Packets of open connections are cut off, too; other tables and other ports are not touched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_cuts_open_connections_and_touches_nothing_else() {
    for mode in ["drop", "reset"] {
        let Some(namespace) = Netns::make("partition_cuts") else { return };
        let spec = json!({"edge": EDGE, "mode": mode});
        let world = PacketWorld::new(namespace, "partition", spec);
        let namespace = &world.namespace;
        namespace.nft(&["add", "table", "inet", "somebody-elses"]);
        let callee = world.callee.address();
        let mut open = namespace.within(|| connect(callee).unwrap());
        assert_eq!(ask(&mut open).unwrap(), 200);
        let steps = Steps::new(&world);
        let undo = steps.inject().await;
        open.set_read_timeout(Some(SILENCE)).unwrap();
        let cut = ask(&mut open).unwrap_err().kind();
        let other = namespace.within(|| ask_fresh(world.behind.address)).unwrap();
        assert_eq!(other, 200, "another port of the namespace is as before");
        match mode {
            "drop" => assert_eq!(cut, ErrorKind::WouldBlock),
            _ => assert_eq!(cut, ErrorKind::ConnectionReset),
        }
        assert!(matches!(steps.look(&undo).await, Sighting::InForce(_)), "{mode}");
        assert_eq!(steps.revert(&undo).await, Ok(Reverted::PutBack));
        let left = namespace.nft(&["list", "tables"]);
        assert_eq!(left.trim(), "table inet somebody-elses");
        if mode == "drop" {
            // What was sent meanwhile is sent again.
            open.set_read_timeout(Some(StdDuration::from_secs(10))).unwrap();
            assert_eq!(crate::world::read_status(&mut open).unwrap(), 200);
        }
        assert_eq!(namespace.within(|| ask_fresh(callee)).unwrap(), 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_live_in_the_namespace_is_refused() {
    let Some(namespace) = Netns::make("partition_refuses") else { return };
    let Some(other) = Netns::make("partition_refuses") else { return };
    let mut world = PacketWorld::new(namespace, "partition", json!({"edge": EDGE}));
    assert!(Steps::new(&world).arm().await.is_ok());
    // The caller lives elsewhere.
    let mut steps = Steps::new(&world);
    steps.topology.services[0].instances[0].process = identity(std::process::id());
    let refused = steps.arm().await.unwrap_err();
    assert!(refused.to_string().contains("of checkout-0"), "{refused}");
    // Both do.
    world.spec["namespace"] = json!(other.name);
    let refused = Steps::new(&world).arm().await.unwrap_err();
    assert!(refused.to_string().contains("gameday lab up"), "{refused}");
    // A name for the machine's own namespace.
    let own = format!("{}-own", other.name);
    assert!(ip(&["netns", "attach", &own, &std::process::id().to_string()]));
    world.spec["namespace"] = json!(own);
    let refused = Steps::new(&world).arm().await.unwrap_err();
    assert!(ip(&["netns", "del", &own]));
    assert!(refused.to_string().contains("the machine's own"), "{refused}");
    world.spec["namespace"] = json!("gdtest-no-such-namespace");
    let (injector, _) = world.fresh();
    let refused = injector.ready(&world.spec).unwrap_err();
    assert!(refused.to_string().contains("ip netns add"), "{refused}");
    world.spec["namespace"] = json!(other.name);
    let refused = injector.ready(&world.spec).unwrap_err();
    assert!(refused.to_string().contains("gameday run"), "{refused}");
}

/// A table that is there already is not taken over, and a namespace is more than its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_debt_is_paid_where_it_was_made() {
    let Some(namespace) = Netns::make("partition_debt") else { return };
    let world = PacketWorld::new(namespace, "partition", json!({"edge": EDGE}));
    let steps = Steps::new(&world);
    let undo = steps.inject().await;
    let again = steps.arm().await;
    assert!(matches!(again, Err(FaultError::Conflict { .. })), "{again:?}");
    // Another namespace takes the name; the first one lives on with its processes.
    world.namespace.forget_name();
    assert!(ip(&["netns", "add", &world.namespace.name]));
    let table = undo["table"].as_str().unwrap();
    world.namespace.nft(&["add", "table", "inet", table]);
    assert!(matches!(steps.look(&undo).await, Sighting::InForce(_)));
    assert_eq!(steps.revert(&undo).await, Ok(Reverted::PutBack));
    assert!(matches!(steps.look(&undo).await, Sighting::NotInForce(_)));
    let left = world.namespace.nft(&["list", "tables"]);
    assert!(left.contains(table), "the new namespace is a stranger: {left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_are_gone_with_their_namespace() {
    let Some(namespace) = Netns::make("partition_gone") else { return };
    let mut world = PacketWorld::new(namespace, "partition", json!({"edge": EDGE}));
    let undo = Steps::new(&world).inject().await;
    world.callee.kill();
    world.caller.kill().unwrap();
    world.caller.wait().unwrap();
    let mut earlier = undo.clone();
    earlier["namespace"]["inode"] = json!(1);
    let steps = Steps::new(&world);
    assert_eq!(steps.revert(&earlier).await, Ok(Reverted::WasClean));
    let seen = steps.look(&earlier).await;
    assert!(matches!(&seen, Sighting::NotInForce(words) if words.contains("gone")), "{seen:?}");
    assert!(!world.namespace.nft(&["list", "tables"]).is_empty(), "it is another one's");
    assert_eq!(steps.revert(&undo).await, Ok(Reverted::PutBack));
}

/// When its system is gone, a fault that outlives it must still be proven, or a run would owe it
/// for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_callee_the_kernels_list_decides() {
    for kind in ["partition", "packet-loss"] {
        let Some(namespace) = Netns::make("packets_without_callee") else { return };
        let mut spec = json!({"edge": EDGE});
        if kind == "packet-loss" {
            spec["share"] = json!("60%");
        }
        let mut world = PacketWorld::new(namespace, kind, spec);
        let undo = Steps::new(&world).inject().await;
        world.callee.kill();
        let steps = Steps::new(&world);
        assert!(!matches!(steps.look(&undo).await, Sighting::NotInForce(_)), "{kind}");
        assert_eq!(steps.revert(&undo).await, Ok(Reverted::PutBack));
        let seen = steps.look(&undo).await;
        assert!(matches!(seen, Sighting::NotInForce(_)), "{kind}: {seen:?}");
    }
}
