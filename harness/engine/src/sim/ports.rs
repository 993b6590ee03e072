//! Core's ports over the simulated world.

use std::sync::Arc;

use harness_core::fault::{
    BlastRadius, Cx, Debt, DynInjector, Effect, FaultEntry, FaultError, Injector, Registry,
    Reversibility, Reverted, Scope, Sighting, Touched, Witness,
};
use harness_core::load::{
    KindSamples, LoadDriver, LoadError, LoadJob, LoadSummary, LoadTick, RequestOutcome, SampleSink,
    Stop, WINDOW, WindowSamples,
};
use harness_core::plan::SignalPlan;
use harness_core::signal::{Source, Sources};
use harness_core::system::{BoxFuture, Host, Opened, Processed, Steadiness, System, SystemError};
use harness_core::time::Clock;
use harness_core::topology::Topology;
use harness_core::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::world::{BEYOND, Habit, World};
use crate::executor::Ports;
use crate::testing::topology;

pub(crate) fn ports(world: &World) -> Ports {
    let mut registry = Registry::default();
    let mut register = |injector: Arc<dyn DynInjector>| {
        let witness = Arc::new(Eye(world.clone()));
        registry.register("lab", FaultEntry { injector, witness, requires: Vec::new() });
    };
    register(Arc::new(Outage::<true>(world.clone())));
    register(Arc::new(Outage::<false>(world.clone())));
    Ports {
        host: Arc::new(Keeper(world.clone())),
        registry,
        driver: Arc::new(Driver(world.clone())),
        sources: Arc::new(NoSources),
        clock: Arc::clone(world.clock()),
    }
}

/// A rule of the world, which ends with the system, or not.
struct Outage<const WITHIN: bool>(World);

#[derive(Serialize, Deserialize, JsonSchema)]
struct Spec {
    edge: String,
    name: String,
}

#[derive(Serialize, Deserialize)]
struct Undo {
    rule: String,
    #[serde(default)]
    on: String,
    token: Option<u32>,
}

fn failed(why: String) -> FaultError {
    FaultError::Failed { action: "reach the world".into(), why }
}

impl<const WITHIN: bool> Injector for Outage<WITHIN> {
    const KIND: &'static str = if WITHIN { "outage" } else { "lasting-outage" };
    const SUMMARY: &'static str = "a rule of the world";
    const REVERSIBILITY: Reversibility = Reversibility::Reversible;
    const SCOPE: Scope = if WITHIN { Scope::WithinSystem } else { Scope::Beyond };
    type Spec = Spec;
    type Undo = Undo;

    fn blast_radius(_: &Spec, _: &Topology) -> Result<BlastRadius, FaultError> {
        Ok(BlastRadius::default())
    }

    fn mechanism(_: &Spec) -> String {
        "switch".into()
    }

    async fn arm(&self, cx: &Cx<'_>, spec: &Spec) -> Result<Undo, FaultError> {
        self.0.look().await.map_err(failed)?;
        let elsewhere = self.0.has(Habit::ArmsElsewhere) && cx.fault.as_str() == "slow";
        let on = if elsewhere { "worker->store" } else { &spec.edge };
        let rule = if WITHIN { cx.name() } else { format!("{BEYOND}{}", cx.name()) };
        Ok(Undo { rule, on: on.to_owned(), token: None })
    }

    fn touched(_: &Spec, undo: &Undo, _: &Topology) -> Touched {
        Touched::edges([undo.on.clone()])
    }

    async fn inject(&self, cx: &Cx<'_>, _: &Spec, undo: &Undo) -> Result<Option<Undo>, FaultError> {
        self.0.inject(&undo.rule, cx.lease).await.map_err(failed)?;
        let (rule, on) = (undo.rule.clone(), undo.on.clone());
        Ok(Some(Undo { rule, on, token: Some(self.0.random(1000)) }))
    }

    async fn verify(&self, _: &Cx<'_>, _: &Spec, undo: &Undo) -> Result<Effect, FaultError> {
        self.0.look().await.map_err(failed)?;
        let found = self.0.rules().contains(&undo.rule);
        Ok(if found { Effect::InPlace } else { Effect::Absent })
    }

    async fn renew(&self, cx: &Cx<'_>, undo: &Undo) -> Result<(), FaultError> {
        self.0.renew(&undo.rule, cx.lease).await.map_err(failed)
    }

    async fn revert(&self, _: &Cx<'_>, undo: &Undo) -> Result<Reverted, FaultError> {
        self.0.revert(&undo.rule).await.map_err(failed)?;
        Ok(Reverted::PutBack)
    }
}

struct Eye(World);

impl Witness for Eye {
    fn method(&self) -> &'static str {
        "an honest eye"
    }

    fn baseline<'a>(
        &'a self,
        _: &'a Cx<'a>,
        _: &'a Value,
        _: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async { self.0.look().await.map(|()| json!({"ms": 3})).map_err(failed) })
    }

    fn look<'a>(&'a self, _: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            if let Err(why) = self.0.look().await {
                return Sighting::Unknown(why);
            }
            let rule = debt.undo["rule"].as_str().expect("a record that was written");
            if !self.0.is_open() && !rule.starts_with(BEYOND) {
                return Sighting::Unknown("nobody answers".into());
            }
            if self.0.rules().iter().any(|found| found == rule) {
                Sighting::InForce("refused".into())
            } else {
                Sighting::NotInForce("200".into())
            }
        })
    }
}

/// Host and system in one.
#[derive(Clone)]
struct Keeper(World);

fn unreachable(why: String) -> SystemError {
    SystemError::Unreachable { action: "ask", address: "the world".into(), why }
}

impl Host for Keeper {
    fn record(&self) -> Option<Value> {
        self.0.nature().owned.then(|| json!({"state": "/world"}))
    }

    fn open(&self, _: Duration) -> BoxFuture<'_, Result<Opened, SystemError>> {
        Box::pin(async {
            self.0.open().await.map_err(unreachable)?;
            let system: Arc<dyn System> = Arc::new(self.clone());
            Ok(Opened { system, topology: topology() })
        })
    }

    fn close<'a>(&'a self, _: &'a Value, _: Duration) -> BoxFuture<'a, Result<(), SystemError>> {
        Box::pin(async { self.0.close().await.map_err(unreachable) })
    }

    fn left_behind<'a>(
        &'a self,
        _: &'a Value,
        _: Duration,
    ) -> BoxFuture<'a, Result<Vec<String>, SystemError>> {
        Box::pin(async {
            self.0.look().await.map_err(unreachable)?;
            Ok(if self.0.is_open() { vec!["process 1".into()] } else { Vec::new() })
        })
    }
}

impl System for Keeper {
    fn topology(&self, _: Duration) -> BoxFuture<'_, Result<Topology, SystemError>> {
        Box::pin(async { self.0.look().await.map(|()| topology()).map_err(unreachable) })
    }

    fn reset(&self, _: Duration) -> BoxFuture<'_, Result<(), SystemError>> {
        Box::pin(async { self.0.look().await.map_err(unreachable) })
    }

    fn steadiness(&self, _: Duration) -> BoxFuture<'_, Result<Steadiness, SystemError>> {
        Box::pin(async {
            self.0.look().await.map_err(unreachable)?;
            let rules = self.0.rules();
            Ok(if rules.is_empty() { Steadiness::Steady } else { Steadiness::Missing(rules) })
        })
    }

    fn processed<'a>(
        &'a self,
        _: &'a str,
        _: Duration,
    ) -> BoxFuture<'a, Result<Processed, SystemError>> {
        Box::pin(async { self.0.look().await.map(|()| Processed::default()).map_err(unreachable) })
    }
}

struct Driver(World);

impl LoadDriver for Driver {
    fn run<'a>(
        &'a self,
        job: LoadJob<'a>,
        out: &'a dyn SampleSink,
        stop: &'a dyn Stop,
    ) -> BoxFuture<'a, Result<LoadSummary, LoadError>> {
        Box::pin(async move {
            let mut start = job.from;
            let mut index = 0;
            while !stop.is_finishing() && start < job.until {
                let left = (start + WINDOW).since(self.0.clock().now());
                tokio::time::sleep(left.as_std()).await;
                let good = if self.0.rules().is_empty() { 10 } else { 4 };
                let mut kind = KindSamples { planned: 10, good, ..KindSamples::default() };
                kind.outcomes.insert(RequestOutcome::Status(200), good);
                kind.latency_us.record_n(3000, good).expect("within the bounds");
                let mut window = WindowSamples::new(job.trial, index, start);
                window.kinds.insert("GET /".into(), kind);
                out.window(window);
                out.tick(LoadTick { due: 10, good, bad: 10 - good, ..LoadTick::default() });
                (start, index) = (start + WINDOW, index + 1);
                // Sometimes the client breaks, or ignores that it should end.
                match self.0.random(20_000) {
                    dice if dice < self.0.nature().lies => {
                        let why = "no file descriptors".to_owned();
                        return Err(LoadError::Machine { action: "connect", why });
                    }
                    dice if dice < 2 * self.0.nature().lies => std::future::pending().await,
                    _ => {}
                }
            }
            Ok(LoadSummary {
                due: u64::from(index) * 10,
                sent: u64::from(index) * 10,
                accepted: Vec::new(),
                unknown: Vec::new(),
                lag_us_p50: 0,
                lag_us_p99: 0,
                lag_us_max: 0,
                cpu_cores: 0.0,
                pauses: 0,
                paused: Duration::ZERO,
                traces: Vec::new(),
            })
        })
    }
}

struct NoSources;

impl Sources for NoSources {
    fn source(
        &self,
        _: &SignalPlan,
        _: &Topology,
        _: Arc<dyn Clock>,
    ) -> Result<Arc<dyn Source>, String> {
        Err("this world has none".into())
    }
}
