//! The conformance suite on a full disk: a real process that writes to a real volume, which only
//! its own mount namespace sees.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use harness_core::fault::{
    Capability, Cx, Debt, DynInjector, FaultError, Reverted, Sighting, Witness,
};
use harness_core::ids::{FaultId, RunId, TrialIndex};
use harness_core::system::BoxFuture;
use harness_core::time::Clock;
use harness_core::topology::{Instance, Service, Topology};
use harness_core::units::Duration;
use injectors::conformance::{Late, World, check};
use injectors::process::identity;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{TestClock, skip};

/// The mechanism that this kind needs.
const MECHANISM: &str = "mount-namespaces";
/// The size of the volume, in bytes.
const VOLUME: u64 = 8 << 20;

/// A store that keeps its journal open, on a volume of its own or where everybody sees it.
struct DiskWorld {
    spec: Value,
    store: Child,
    folder: TempDir,
}

impl DiskWorld {
    /// On a volume of its own; nothing where this machine can have none, which is said by name.
    fn new(test: &str, spec: Value) -> Option<Self> {
        if let Capability::Missing(why) = &injectors::capabilities_of([MECHANISM])[MECHANISM] {
            skip(&format!("mount: {test}"), why);
            return None;
        }
        let mount = format!("mount -n -t tmpfs -o size={VOLUME} tmpfs \"$0\" && ");
        Some(Self::start(&["unshare", "--mount"], &mount, spec))
    }

    fn start(way: &[&str], before: &str, spec: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = format!("{before}exec 3>>\"$0/journal\" && echo ready && exec sleep 600");
        let words = [way, &["sh", "-c", &script][..]].concat();
        let mut store = Command::new(words[0])
            .args(&words[1..])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(store.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { spec, store, folder }
    }

    fn live(&self) -> Topology {
        let instance = Instance {
            name: "store-0".to_owned(),
            uid: Some("uid-0".to_owned()),
            address: None,
            process: identity(self.store.id()),
            ready: true,
        };
        let service = |name: &str, instances| Service {
            name: name.into(),
            labels: BTreeMap::new(),
            instances,
        };
        Topology { services: vec![service("store", vec![instance])], ..Topology::default() }
    }

    /// The volume, as the store sees it.
    fn inside(&self) -> PathBuf {
        let folder = self.folder.path().canonicalize().unwrap();
        Path::new(&format!("/proc/{}/root", self.store.id()))
            .join(folder.strip_prefix("/").unwrap())
    }

    fn end(&mut self) {
        self.store.kill().unwrap_or_default();
        self.store.wait().unwrap();
    }
}

impl Drop for DiskWorld {
    fn drop(&mut self) {
        self.end();
    }
}

impl World for DiskWorld {
    fn topology(&self) -> BoxFuture<'_, Topology> {
        Box::pin(std::future::ready(self.live()))
    }

    fn clock(&self) -> &dyn Clock {
        &TestClock
    }

    fn fresh(&self) -> (Arc<dyn DynInjector>, Arc<dyn Witness>) {
        let registry = injectors::registry();
        let entry = registry.entry("disk-full", "lab").unwrap();
        (Arc::clone(&entry.injector), Arc::clone(&entry.witness))
    }

    fn spec(&self) -> Value {
        self.spec.clone()
    }

    fn late(&self) -> Late {
        Late::Never
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

fn store() -> Value {
    json!({"service": "store"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disk_full_conforms() {
    for spec in [store(), json!({"service": "store", "keepFree": "4KiB"})] {
        let Some(world) = DiskWorld::new("disk_full_conforms", spec.clone()) else { return };
        if let Err(broken) = check(&world, "conformance").await {
            panic!("{spec}: {broken}");
        }
        let left = std::fs::read_dir(world.inside()).unwrap().count();
        assert_eq!(left, 1, "only the journal is left");
    }
}

/// Nobody else may need what is filled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_others_see_is_never_filled() {
    let world = DiskWorld::start(&["env"], "", store());
    let (run, fault, topology) = (RunId::new("shared"), FaultId::from("full"), world.live());
    let (injector, _) = world.fresh();
    let refused = injector.arm(&cx(&run, &fault, &topology), &world.spec()).await;
    assert!(matches!(refused, Err(FaultError::Conflict { .. })), "{refused:?}");
}

/// Only what has the fault's name and begins as its file does is removed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_somebody_else_is_left_alone() {
    let Some(world) = DiskWorld::new("a_file_of_somebody_else_is_left", store()) else { return };
    let (run, fault, topology) = (RunId::new("theirs"), FaultId::from("full"), world.live());
    let (injector, _) = world.fresh();
    let cx = cx(&run, &fault, &topology);
    let spec = injector.check(&world.spec()).unwrap();
    let undo = injector.arm(&cx, &spec).await.unwrap();
    let theirs = world.inside().join(undo["filler"]["name"].as_str().unwrap());
    std::fs::write(&theirs, "orders").unwrap();
    let refused = injector.inject(&cx, &spec, &undo).await;
    assert!(matches!(refused, Err(FaultError::Conflict { .. })), "{refused:?}");
    let refused = injector.revert(&cx, &undo).await;
    assert!(matches!(refused, Err(FaultError::Conflict { .. })), "{refused:?}");
    assert_eq!(std::fs::read(&theirs).unwrap(), b"orders");
}

/// The witness does not ask who has taken the room; and a volume that nobody sees any more is owed
/// to nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_witness_looks_at_the_disk_and_not_at_the_fault() {
    let Some(mut world) = DiskWorld::new("the_witness_looks_at_the_disk", store()) else { return };
    let (run, fault, topology) = (RunId::new("looked"), FaultId::from("full"), world.live());
    let (injector, witness) = world.fresh();
    let cx = cx(&run, &fault, &topology);
    let spec = injector.check(&world.spec()).unwrap();
    let undo = injector.arm(&cx, &spec).await.unwrap();
    let baseline = witness.baseline(&cx, &spec, &undo).await.unwrap();
    let debt = Debt { spec: &spec, undo: &undo, baseline: &baseline };
    let other = world.inside().join("other");
    let take = |bytes: u64| {
        let mut file = File::create(&other).unwrap();
        std::io::copy(&mut std::io::repeat(0).take(bytes), &mut file).unwrap();
    };
    take(VOLUME - (256 << 10));
    let seen = witness.look(&cx, debt).await;
    assert!(matches!(seen, Sighting::Unknown(_)), "neither full nor free: {seen:?}");
    take(VOLUME - (32 << 10));
    let seen = witness.look(&cx, debt).await;
    assert!(matches!(seen, Sighting::InForce(_)), "{seen:?}");
    let refused = injector.inject(&cx, &spec, &undo).await;
    assert!(matches!(refused, Err(FaultError::Conflict { .. })), "it is full: {refused:?}");
    assert_eq!(injector.revert(&cx, &undo).await, Ok(Reverted::WasClean));
    std::fs::remove_file(&other).unwrap();
    injector.inject(&cx, &spec, &undo).await.unwrap();
    world.end();
    assert_eq!(injector.revert(&cx, &undo).await, Ok(Reverted::WasClean));
    let seen = witness.look(&cx, debt).await;
    assert!(matches!(seen, Sighting::NotInForce(_)), "{seen:?}");
}
