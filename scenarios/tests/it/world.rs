//! A small world to check scenarios against: the lab's declared topology, and kinds of faults that
//! have the real specifications and never inject anything.

#[macro_use]
mod harmless;

use std::collections::BTreeMap;
use std::sync::Arc;

use harness_core::diag::Diagnostic;
use harness_core::fault::{
    BlastRadius, Capability, Cx, Debt, DynInjector, Effect, FaultEntry, FaultError, Hold, Injector,
    PROCESS, Registry, Requirement, Reversibility, Reverted, Sighting, Touched, Witness,
};
use harness_core::ids::{EdgeName, ServiceName};
use harness_core::plan::{Plan, TrialMode};
use harness_core::system::{BoxFuture, DefectKind, SystemKind};
use harness_core::topology::{Edge, Instance, Service, Topology};
use harness_core::units::{Duration, Money, Ratio, Size};
use scenarios::{CheckInput, PlanInput, check, plan, render};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Outage {
    edge: EdgeName,
    mode: Mode,
    #[serde(default = "unavailable")]
    status: u16,
}

fn unavailable() -> u16 {
    503
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Mode {
    Refuse,
    Reset,
    Blackhole,
    Status,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "WrittenLatency")]
pub(crate) struct Latency {
    edge: EdgeName,
    delay: Duration,
    jitter: Duration,
}

/// A specification may be checked as a whole; the schema comes from what is written.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenLatency {
    edge: EdgeName,
    delay: Duration,
    #[serde(default)]
    jitter: Duration,
}

impl TryFrom<WrittenLatency> for Latency {
    type Error = String;

    fn try_from(written: WrittenLatency) -> Result<Self, String> {
        let WrittenLatency { edge, delay, jitter } = written;
        if jitter.times(2) > delay {
            return Err(format!("a jitter of {jitter} is too large; at most half of {delay}"));
        }
        Ok(Self { edge, delay, jitter })
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct HttpError {
    edge: EdgeName,
    status: u16,
    share: Ratio,
    method: String,
    path: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BrownOut {
    edge: EdgeName,
    errors: Ratio,
    delay: Duration,
    on: Duration,
    off: Duration,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Kill {
    service: ServiceName,
    #[serde(default = "one")]
    count: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    which: Option<String>,
}

fn one() -> u32 {
    1
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Runaway {
    jobs: u32,
    spend_at_most: Money,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Blackout {
    #[serde(default)]
    services: Vec<ServiceName>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Storm {
    alerts: u32,
    alertname: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spike {
    times: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drift {
    service: ServiceName,
    setting: String,
    to: u64,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lag {
    #[serde(default)]
    services: Vec<ServiceName>,
    by: Duration,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Sample {
    #[serde(default)]
    services: Vec<ServiceName>,
    one_in: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LostLabel {
    #[serde(default)]
    services: Vec<ServiceName>,
    label: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Copies {
    #[serde(default)]
    services: Vec<ServiceName>,
    times: u32,
}

fn on_instance(service: &str, topology: &Topology) -> Result<BlastRadius, FaultError> {
    let found = topology.service(&service.into());
    let found = found.ok_or(FaultError::NoTarget { target: service.to_owned() })?;
    let instances = vec![format!("{service}/{}", found.instances[0].name)];
    Ok(BlastRadius { instances, ..BlastRadius::default() })
}

fn on_edge(edge: &EdgeName, topology: &Topology) -> Result<BlastRadius, FaultError> {
    let found = topology.edge(edge).ok_or(FaultError::NoTarget { target: edge.to_string() })?;
    Ok(BlastRadius { edges: vec![found.name.to_string()], ..BlastRadius::default() })
}

fn on_service(spec: &Kill, topology: &Topology) -> Result<BlastRadius, FaultError> {
    on_instances(&spec.service, spec.count, topology)
}

fn on_instances(
    name: &ServiceName,
    count: u32,
    topology: &Topology,
) -> Result<BlastRadius, FaultError> {
    let service =
        topology.service(name).ok_or(FaultError::NoTarget { target: name.to_string() })?;
    let total = service.instances.len() as u64;
    let count = u64::from(count);
    if count > total {
        let target = format!("{count} instances of {name}; it has {total}");
        return Err(FaultError::NoTarget { target });
    }
    // Chance decides which of them.
    Ok(BlastRadius {
        instances: service.instances.iter().map(|one| service.path_of(one)).collect(),
        at_most: (count < total).then(|| u32::try_from(count).expect("a handful")),
        share: Some(Ratio::from_billionths(count * 1_000_000_000 / total)),
        edges: Vec::new(),
    })
}

harmless!(OutageFault, Outage, "dependency-outage", Reversible, "proxy", |s, t| on_edge(
    &s.edge, t
));
harmless!(LatencyFault, Latency, "latency", Reversible, "proxy", |s, t| on_edge(&s.edge, t));
harmless!(ErrorFault, HttpError, "http-error", Reversible, "proxy", |s, t| on_edge(&s.edge, t));
harmless!(BrownOutFault, BrownOut, "brown-out", Reversible, "proxy", |s, t| on_edge(&s.edge, t));
harmless!(PauseFault, Kill, "process-pause", Reversible, "SIGSTOP", on_service);
harmless!(ContainerPauseFault, Kill, "container-pause", Reversible, "pause", on_service);
harmless!(ContainerStopFault, Kill, "container-stop", Reversible, "stop", on_service);
harmless!(ContainerKillFault, Kill, "container-kill", SelfHealing, "SIGKILL", on_service);
harmless!(DisconnectFault, Kill, "network-disconnect", Reversible, "disconnect", on_service);
harmless!(FreezeFault, Kill, "process-freeze", Reversible, "cgroup freezer", on_service);
harmless!(BlackoutFault, Blackout, "collector-blackout", Reversible, "proxy", |_, t| {
    let edges = t.edges.iter().filter(|edge| edge.caller == "collector");
    let edges = edges.map(|edge| edge.name.to_string()).collect();
    Ok(BlastRadius { edges, ..BlastRadius::default() })
});
harmless!(StormFault, Storm, "alert-storm", Reversible, "synthetic alerts", |_, t| on_instance(
    "alerter", t
));
harmless!(RunawayFault, Runaway, "cost-runaway", Reversible, "batch jobs", |_, t| on_instance(
    "jobs", t
));
harmless!(SpikeFault, Spike, "price-spike", Reversible, "cost feed", |_, t| on_instance(
    "meter", t
));
harmless!(DriftFault, Drift, "config-drift", Reversible, "change of a setting", |s, t| {
    on_instance(s.service.as_str(), t)
});
harmless!(RepeatFault, Spike, "duplicate-alerts", Reversible, "order to the alerter", |_, t| {
    on_instance("alerter", t)
});
harmless!(LagFault, Lag, "telemetry-lag", Reversible, "order to the collector", |_, t| {
    on_instance("collector", t)
});
harmless!(SampleFault, Sample, "telemetry-sample", Reversible, "order to the collector", |_, t| {
    on_instance("collector", t)
});
harmless!(LabelFault, LostLabel, "label-drop", Reversible, "order to the collector", |_, t| {
    on_instance("collector", t)
});
harmless!(
    CopyFault,
    Copies,
    "telemetry-duplicate",
    Reversible,
    "order to the collector",
    |_, t| { on_instance("collector", t) }
);
harmless!(ResetFault, Blackout, "counter-reset", Reversible, "order to the collector", |_, t| {
    on_instance("collector", t)
});
harmless!(KillFault, Kill, "pod-kill", SelfHealing, "SIGKILL", on_service);

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Flaw {
    Errors(Ratio),
    Slow(Duration),
}

/// Faults on some instances of a service whose specification is plain.
macro_rules! on_some_instances {
    ($($fault:ident, $spec:ident, $kind:literal, $how:ident, $mechanism:literal
        { $($field:ident: $type:ty),* };)+) => {
        $(
            #[derive(Serialize, Deserialize, JsonSchema)]
            #[serde(rename_all = "camelCase", deny_unknown_fields)]
            pub(crate) struct $spec {
                service: ServiceName,
                #[serde(default = "one")]
                count: u32,
                $($field: $type,)*
            }

            harmless!($fault, $spec, $kind, $how, $mechanism, |s, t| {
                on_instances(&s.service, s.count, t)
            });
        )+
    };
}

on_some_instances! {
    ShortageFault, Shortage, "fd-limit", Reversible, "prlimit" { room: u32 };
    DiskFault, Disk, "disk-full", Reversible, "fallocate" { keep_free: Size };
    LoopFault, Loop, "crash-loop", SelfHealing, "crashes" { times: u32, after: Duration };
    PressureFault, Pressure, "cpu-pressure", Reversible, "cgroup quota" { share: Ratio };
    MemoryFault, Scarcity, "memory-pressure", SelfHealing, "memory limit" { headroom: Size };
    ExpiryFault, Expiry, "expired-certificate", Reversible, "order to the pager" {};
    ReleaseFault, Rollout, "bad-release", Reversible, "rollout by the supervisor"
        { release: String, flaw: Flaw };
}

/// Faults on an edge whose specification is plain: its fields and nothing to check.
macro_rules! on_an_edge {
    ($($fault:ident, $spec:ident, $kind:literal { $($field:ident: $type:ty),* };)+) => {
        $(
            #[derive(Serialize, Deserialize, JsonSchema)]
            #[serde(rename_all = "camelCase", deny_unknown_fields)]
            pub(crate) struct $spec {
                edge: EdgeName,
                $($field: $type,)*
            }

            harmless!($fault, $spec, $kind, Reversible, "proxy", |s, t| on_edge(&s.edge, t));
        )+
    };
}

on_an_edge! {
    HttpLatencyFault, HttpLatency, "http-latency" {
        method: String, path: String, delay: Duration, share: Ratio
    };
    BandwidthFault, Bandwidth, "bandwidth" { kib_per_second: u64 };
    StallFault, Stall, "stall" { share: Ratio, pause: Duration };
    HalfOpenFault, HalfOpen, "half-open" {};
    TruncateFault, Truncate, "truncate" { after_bytes: u64 };
    CorruptFault, Corrupt, "corrupt" { every_bytes: u64 };
    PartitionFault, Partition, "partition" { namespace: String, mode: PartitionMode };
    PacketLossFault, PacketLoss, "packet-loss" { namespace: String, share: Ratio };
    PacketDelayFault, PacketDelay, "packet-delay" {
        namespace: String, delay: Duration, jitter: Duration
    };
    FlappingFault, Flapping, "flapping" { mode: Mode, down: Duration, up: Duration };
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum PartitionMode {
    Drop,
    Reset,
}

struct Blind;

impl Witness for Blind {
    fn method(&self) -> &'static str {
        "none"
    }

    fn look_takes(&self, spec: &Value) -> Duration {
        Latency::deserialize(spec).map_or(Duration::ZERO, |it| it.delay + it.jitter)
    }

    fn baseline<'a>(
        &'a self,
        _: &'a Cx<'a>,
        _: &'a Value,
        _: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async { Ok(Value::Null) })
    }

    fn look<'a>(&'a self, _: &'a Cx<'a>, _: Debt<'a>) -> BoxFuture<'a, Sighting> {
        Box::pin(async { Sighting::Unknown("blind".to_owned()) })
    }
}

pub(crate) fn registry() -> Registry {
    let mut registry = Registry::default();
    let entry = |injector, requires: &[Requirement]| FaultEntry {
        injector,
        witness: Arc::new(Blind),
        requires: requires.to_vec(),
    };
    let proxy = &[Requirement("proxy")];
    registry.register("lab", entry(Arc::new(OutageFault), proxy));
    registry.register("lab", entry(Arc::new(LatencyFault), proxy));
    registry.register("lab", entry(Arc::new(KillFault), &[Requirement("signals")]));
    registry.register("lab", entry(Arc::new(ErrorFault), proxy));
    registry.register("lab", entry(Arc::new(BrownOutFault), proxy));
    registry.register("lab", entry(Arc::new(PauseFault), &[Requirement("signals")]));
    registry.register("lab", entry(Arc::new(ShortageFault), &[]));
    registry.register("lab", entry(Arc::new(LoopFault), &[]));
    registry.register("lab", entry(Arc::new(FreezeFault), &[]));
    registry.register("lab", entry(Arc::new(PressureFault), &[]));
    registry.register("lab", entry(Arc::new(MemoryFault), &[]));
    registry.register("lab", entry(Arc::new(ReleaseFault), &[]));
    registry.register("lab", entry(Arc::new(RunawayFault), &[]));
    registry.register("lab", entry(Arc::new(SpikeFault), &[]));
    registry.register("lab", entry(Arc::new(StormFault), &[]));
    registry.register("lab", entry(Arc::new(BlackoutFault), proxy));
    registry.register("lab", entry(Arc::new(DriftFault), &[]));
    registry.register("lab", entry(Arc::new(RepeatFault), &[]));
    registry.register("lab", entry(Arc::new(ExpiryFault), &[]));
    registry.register("lab", entry(Arc::new(LagFault), &[]));
    registry.register("lab", entry(Arc::new(SampleFault), &[]));
    registry.register("lab", entry(Arc::new(LabelFault), &[]));
    registry.register("lab", entry(Arc::new(CopyFault), &[]));
    registry.register("lab", entry(Arc::new(ResetFault), &[]));
    registry.register("lab", entry(Arc::new(DiskFault), &[]));
    let edges: [Arc<dyn DynInjector>; 10] = [
        Arc::new(HttpLatencyFault),
        Arc::new(BandwidthFault),
        Arc::new(StallFault),
        Arc::new(HalfOpenFault),
        Arc::new(TruncateFault),
        Arc::new(CorruptFault),
        Arc::new(FlappingFault),
        Arc::new(PartitionFault),
        Arc::new(PacketLossFault),
        Arc::new(PacketDelayFault),
    ];
    for injector in edges {
        registry.register("lab", entry(injector, proxy));
    }
    registry.register("containers", entry(Arc::new(ContainerPauseFault), &[]));
    registry.register("containers", entry(Arc::new(ContainerStopFault), &[]));
    registry.register("containers", entry(Arc::new(ContainerKillFault), &[]));
    registry.register("containers", entry(Arc::new(DisconnectFault), &[]));
    registry.register("kubernetes", entry(Arc::new(KillFault), &[]));
    registry
}

const SERVICES: [(&str, usize); 12] = [
    ("alerter", 1),
    ("cap", 1),
    ("checkout", 3),
    ("collector", 1),
    ("edge", 1),
    ("jobs", 1),
    ("meter", 1),
    ("pager", 1),
    ("payments", 1),
    ("store", 1),
    ("supervisor", 1),
    ("worker", 1),
];

const EDGES: [(&str, &str); 14] = [
    ("alerter", "pager"),
    ("cap", "jobs"),
    ("cap", "meter"),
    ("checkout", "payments"),
    ("checkout", "store"),
    ("collector", "checkout"),
    ("collector", "edge"),
    ("collector", "payments"),
    ("collector", "store"),
    ("collector", "worker"),
    ("edge", "checkout"),
    ("meter", "jobs"),
    ("worker", "payments"),
    ("worker", "store"),
];

fn shop() -> Topology {
    let instance =
        |name: String| Instance { name, uid: None, address: None, process: None, ready: false };
    Topology {
        entry: String::new(),
        services: SERVICES
            .iter()
            .map(|(name, count)| Service {
                name: ServiceName::new(*name),
                labels: BTreeMap::new(),
                instances: (0..*count).map(|slot| instance(format!("{name}-{slot}"))).collect(),
            })
            .collect(),
        edges: EDGES
            .iter()
            .map(|(caller, callee)| Edge {
                name: EdgeName::new(format!("{caller}->{callee}")),
                caller: (*caller).to_owned(),
                callee: ServiceName::new(*callee),
                addresses: Vec::new(),
                interposable: true,
            })
            .collect(),
        controls: BTreeMap::new(),
    }
}

pub(crate) fn systems() -> Vec<SystemKind> {
    let defect = |name: &str, values: &[&str]| DefectKind {
        name: name.to_owned(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
        summary: String::new(),
    };
    let lab = SystemKind {
        key: "lab",
        declared: BTreeMap::from([("shop".to_owned(), shop())]),
        defects: vec![
            defect("breaker", &["off"]),
            defect("worker", &["loses-orders", "duplicates"]),
        ],
        disposable: true,
    };
    let containers = SystemKind {
        key: "containers",
        declared: BTreeMap::new(),
        defects: Vec::new(),
        disposable: false,
    };
    vec![lab, containers]
}

pub(crate) fn capabilities() -> BTreeMap<String, Capability> {
    ["proxy", "signals", "nftables"]
        .map(|name| (name.to_owned(), Capability::Available("test".to_owned())))
        .into()
}

/// What a command line may change about a plan, and what this machine has.
pub(crate) struct Overrides {
    pub(crate) seed: Option<u64>,
    pub(crate) trials: Option<u32>,
    pub(crate) placebo: Option<u32>,
    pub(crate) mode: Option<TrialMode>,
    pub(crate) defects: Vec<(String, String)>,
    pub(crate) capabilities: BTreeMap<String, Capability>,
}

/// Makes a plan of a text, or draws what is wrong with it.
pub(crate) fn plan_of(text: &str, change: impl Fn(&mut Overrides)) -> Result<Plan, String> {
    let (registry, systems) = (registry(), systems());
    let input =
        CheckInput { params_set: &[], registry: &registry, systems: &systems, files: &files };
    let (scenario, diagnostics) = check("scenario.yaml", text, &input);
    let draw = |diagnostics: &[Diagnostic]| render("scenario.yaml", text, diagnostics, false);
    let scenario = scenario.ok_or_else(|| draw(&diagnostics))?;
    let mut overrides = Overrides {
        seed: None,
        trials: None,
        placebo: None,
        mode: None,
        defects: Vec::new(),
        capabilities: capabilities(),
    };
    change(&mut overrides);
    let input = PlanInput {
        seed: overrides.seed,
        trials: overrides.trials,
        placebo: overrides.placebo,
        mode: overrides.mode,
        defects: &overrides.defects,
        capabilities: &overrides.capabilities,
        registry: &registry,
        systems: &systems,
    };
    plan(&scenario, &input).map_err(|diagnostics| draw(&diagnostics))
}

/// The files that scenarios of these tests may name.
pub(crate) fn files(name: &str) -> Result<String, String> {
    let text = match name {
        "people.csv" => "name, city\nada, london\n\"hopper, grace\", new york\n",
        "people.json" => r#"[{"name": "ada", "age": 36}, {"name": "bob", "age": 7}]"#,
        "skus.json" => r#"["a", "b", 3]"#,
        "ragged.csv" => "name, city\nada\n",
        "nested.json" => r#"[{"name": {"first": "ada"}}]"#,
        "arrivals.txt" => "# an access log\n1732570000.25\n1732570000.5\n\n1732570001.0\n",
        "back.txt" => "10\n9\n",
        _ => return Err("No such file".to_owned()),
    };
    Ok(text.to_owned())
}
