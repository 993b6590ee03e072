//! The suite itself: a good injector passes, and each kind of bad one breaks its law.

use std::collections::BTreeSet;
use std::sync::Mutex;

use harness_core::fault::{Hold, Injector};
use harness_core::time::{RunTime, WallTime};
use rustix::time::{ClockId, clock_gettime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::*;

/// What is wrong with an injector or its witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    ArmActs,
    InjectDoesNothing,
    RevertDoesNothing,
    RevertIsNotIdempotent,
    RevertNeedsTheSystem,
    RevertNeedsTheAmendedRecord,
    VerifyIsAlwaysTrue,
    VerifyIsAlwaysFalse,
    LateInjectIsAccepted,
    RecordNamesOther,
    HoldsNothing,
    WitnessIsBlind,
    WitnessNeedsTheSystem,
}

/// The system under test: one lamp, which a fault switches off.
#[derive(Debug, Default)]
struct Lamp {
    off_by: Option<String>,
    used_up: BTreeSet<String>,
}

#[derive(Clone)]
struct Shade {
    flaw: Flaw,
    lamp: Arc<Mutex<Lamp>>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ShadeSpec {
    alone: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShadeDebt {
    name: String,
    on: String,
    amended: bool,
}

fn failed(why: &str) -> FaultError {
    FaultError::Failed { action: "shade the lamp".to_owned(), why: why.to_owned() }
}

impl Shade {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }
}

impl Injector for Shade {
    const KIND: &'static str = "shade";
    const SUMMARY: &'static str = "the lamp is off";
    const REVERSIBILITY: Reversibility = Reversibility::Reversible;
    type Spec = ShadeSpec;
    type Undo = ShadeDebt;

    fn blast_radius(_: &ShadeSpec, _: &Topology) -> Result<BlastRadius, FaultError> {
        Ok(BlastRadius { instances: vec!["lamp".to_owned()], ..BlastRadius::default() })
    }

    fn holds(spec: &ShadeSpec) -> Vec<Hold> {
        if spec.alone { vec![Hold::Changed("the light")] } else { Vec::new() }
    }

    fn mechanism(_: &ShadeSpec) -> String {
        "shade".to_owned()
    }

    async fn arm(&self, cx: &Cx<'_>, _: &ShadeSpec) -> Result<ShadeDebt, FaultError> {
        if self.has(Flaw::ArmActs) {
            self.lamp.lock().unwrap().off_by = Some(cx.name());
        }
        let on = if self.has(Flaw::RecordNamesOther) { "window" } else { "lamp" };
        Ok(ShadeDebt { name: cx.name(), on: on.to_owned(), amended: false })
    }

    fn touched(_: &ShadeSpec, undo: &ShadeDebt, _: &Topology) -> Touched {
        Touched::instances([undo.on.clone()])
    }

    async fn inject(
        &self,
        _: &Cx<'_>,
        _: &ShadeSpec,
        undo: &ShadeDebt,
    ) -> Result<Option<ShadeDebt>, FaultError> {
        let mut lamp = self.lamp.lock().unwrap();
        if lamp.used_up.contains(&undo.name) && !self.has(Flaw::LateInjectIsAccepted) {
            return Err(failed("the name is used up"));
        }
        if !self.has(Flaw::InjectDoesNothing) {
            lamp.off_by = Some(undo.name.clone());
        }
        Ok(Some(ShadeDebt { amended: true, ..undo.clone() }))
    }

    async fn verify(
        &self,
        _: &Cx<'_>,
        _: &ShadeSpec,
        undo: &ShadeDebt,
    ) -> Result<Effect, FaultError> {
        let off = self.lamp.lock().unwrap().off_by.as_ref() == Some(&undo.name);
        let is_true = match self.flaw {
            Flaw::VerifyIsAlwaysTrue => true,
            Flaw::VerifyIsAlwaysFalse => false,
            _ => off,
        };
        Ok(if is_true { Effect::InPlace } else { Effect::Absent })
    }

    async fn revert(&self, cx: &Cx<'_>, undo: &ShadeDebt) -> Result<Reverted, FaultError> {
        if self.has(Flaw::RevertNeedsTheSystem) && cx.topology.entry.is_empty() {
            return Err(failed("there is no system"));
        }
        let mut lamp = self.lamp.lock().unwrap();
        let first = lamp.used_up.insert(undo.name.clone());
        if self.has(Flaw::RevertIsNotIdempotent) && !first {
            return Err(failed("it is on already"));
        }
        let unknown = self.has(Flaw::RevertNeedsTheAmendedRecord) && !undo.amended;
        if self.has(Flaw::RevertDoesNothing) || unknown {
            return Ok(if first { Reverted::PutBack } else { Reverted::WasClean });
        }
        Ok(match lamp.off_by.take() {
            Some(_) => Reverted::PutBack,
            None => Reverted::WasClean,
        })
    }
}

impl Witness for Shade {
    fn method(&self) -> &'static str {
        "eyes"
    }

    fn baseline<'a>(
        &'a self,
        _: &'a Cx<'a>,
        _: &'a Value,
        _: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(std::future::ready(Ok(Value::Null)))
    }

    fn look<'a>(&'a self, cx: &'a Cx<'a>, _: Debt<'a>) -> BoxFuture<'a, Sighting> {
        let blind = match self.flaw {
            Flaw::WitnessIsBlind => true,
            Flaw::WitnessNeedsTheSystem => cx.topology.entry.is_empty(),
            _ => false,
        };
        let off = self.lamp.lock().unwrap().off_by.is_some();
        Box::pin(std::future::ready(match (blind, off) {
            (true, _) => Sighting::Unknown("it is dark".to_owned()),
            (false, true) => Sighting::InForce("off".to_owned()),
            (false, false) => Sighting::NotInForce("on".to_owned()),
        }))
    }
}

struct MonotonicClock;

impl Clock for MonotonicClock {
    fn now(&self) -> RunTime {
        let now = clock_gettime(ClockId::Monotonic);
        RunTime::from_nanos(u64::try_from(now.tv_sec * 1_000_000_000 + now.tv_nsec).unwrap())
    }

    fn wall(&self) -> WallTime {
        WallTime(0)
    }
}

impl World for Shade {
    fn topology(&self) -> BoxFuture<'_, Topology> {
        let topology = Topology { entry: "http://lamp".to_owned(), ..Topology::default() };
        Box::pin(std::future::ready(topology))
    }

    fn clock(&self) -> &dyn Clock {
        &MonotonicClock
    }

    fn fresh(&self) -> (Arc<dyn DynInjector>, Arc<dyn Witness>) {
        (Arc::new(self.clone()), Arc::new(self.clone()))
    }

    fn spec(&self) -> Value {
        serde_json::json!({ "alone": !self.has(Flaw::HoldsNothing) })
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(30)
    }
}

#[tokio::test]
async fn a_good_injector_passes_and_each_flaw_breaks_its_law() {
    for (flaw, law) in [
        (Flaw::None, None),
        (Flaw::ArmActs, Some("verify is false before")),
        (Flaw::RecordNamesOther, Some("a record names no more than the plan")),
        (Flaw::HoldsNothing, Some("a fault on instances has something of them for itself")),
        (Flaw::InjectDoesNothing, Some("verify is true between")),
        (Flaw::RevertDoesNothing, Some("the witness sees nothing after")),
        (Flaw::RevertIsNotIdempotent, Some("a second revert succeeds")),
        (Flaw::RevertNeedsTheSystem, Some("revert succeeds")),
        (Flaw::RevertNeedsTheAmendedRecord, Some("the witness sees nothing after")),
        (Flaw::VerifyIsAlwaysTrue, Some("verify is false before")),
        (Flaw::VerifyIsAlwaysFalse, Some("verify is true between")),
        (Flaw::LateInjectIsAccepted, Some("an injection after its own revert is refused")),
        (Flaw::WitnessIsBlind, Some("the witness sees nothing before")),
        (Flaw::WitnessNeedsTheSystem, Some("the witness sees nothing before")),
    ] {
        let world = Shade { flaw, lamp: Arc::default() };
        let broken = check(&world, "suite").await.err().map(|broken| broken.law);
        assert_eq!(broken, law, "{flaw:?}");
    }
}
