//! `crash-loop`: instances of a service are killed, and each process that the supervisor starts in
//! their place crashes again a moment later, so many times; then they are left alone.
//!
//! The first death is ours. The others are an order to the lab's supervisor under a lease: without
//! us it ends by itself.

use std::num::NonZeroU32;

use harness_core::fault::{
    BlastRadius, Cx, Debt, Effect, FaultError, Hold, Injector, Reversibility, Reverted, Scope,
    Sighting, Touched, Witness,
};
use harness_core::ids::ServiceName;
use harness_core::system::BoxFuture;
use harness_core::topology::Topology;
use harness_core::units::Duration;
use hyper::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::pod_kill::{PodKill, PodKillDebt, PodKillSpec};
use super::pod_witness::PodWitness;
use super::spend::LabControl;
use crate::proxy::read;
use crate::targets::{Targets, Which};

/// Fewer is a kill; more is refused.
const TIMES_MIN: u32 = 2;
const TIMES_MAX: u32 = 20;
/// A process that lives longer does not crash at its start.
const AFTER_MAX: Duration = Duration::from_millis(500);
/// A process that has lived for so much longer than the crashes let it is out of the loop.
const MARGIN: Duration = Duration::from_millis(100);

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub struct CrashLoopSpec {
    /// The service.
    pub service: ServiceName,
    /// How many of its instances.
    pub count: NonZeroU32,
    /// Which of them.
    pub which: Which,
    /// How often each of them dies in all, 2 to 20.
    pub times: u32,
    /// How long after its start a process crashes, at most 500 ms.
    pub after: Duration,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "CrashLoopSpec", description = "Instances die again after each restart.")]
struct Written {
    /// The service.
    service: ServiceName,
    /// How many of its instances.
    #[serde(default = "crate::targets::one")]
    count: NonZeroU32,
    /// Which of them.
    #[serde(default)]
    which: Which,
    /// How often each of them dies in all, 2 to 20; 5.
    #[schemars(range(min = 2, max = 20))]
    #[serde(default = "times")]
    times: u32,
    /// How long after its start a process crashes, at most 500 ms; 100 ms.
    #[serde(default = "after")]
    after: Duration,
}

fn times() -> u32 {
    5
}

fn after() -> Duration {
    Duration::from_millis(100)
}

impl TryFrom<Written> for CrashLoopSpec {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { service, count, which, times, after } = written;
        if !(TIMES_MIN..=TIMES_MAX).contains(&times) {
            return Err(format!("`times` is from {TIMES_MIN} to {TIMES_MAX}, not {times}"));
        }
        if after > AFTER_MAX {
            return Err(format!("`after` is at most {AFTER_MAX}, not {after}"));
        }
        Ok(Self { service, count, which, times, after })
    }
}

impl CrashLoopSpec {
    /// The first death.
    fn kill(&self) -> PodKillSpec {
        PodKillSpec { service: self.service.clone(), count: self.count, which: self.which }
    }
}

/// The undo record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CrashLoopDebt {
    /// Who lets them crash.
    pub supervisor: LabControl,
    /// The mark of our order; used by no other fault, ever.
    pub marker: String,
    /// The slots of the instances.
    pub slots: Vec<usize>,
    /// How often each of them crashes after its first death.
    pub crashes: u32,
    /// How long after its start, in milliseconds.
    pub after_ms: u64,
    /// Whom the fault kills first, and what the service was like.
    pub pods: PodKillDebt,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Held {
    in_force: bool,
}

/// The injector.
#[derive(Debug, Clone, Copy)]
pub struct CrashLoop;

/// The path of the supervisor's orders, and the key of one.
fn of(undo: &CrashLoopDebt) -> (&'static str, &'static str, &str) {
    ("/-/crashes", "marker", &undo.marker)
}

impl CrashLoop {
    async fn order(cx: &Cx<'_>, action: &str, undo: &CrashLoopDebt) -> Result<(), FaultError> {
        let lease_ms = cx.lease.micros().div_ceil(1000);
        let body = json!({
            "marker": undo.marker, "deployment": undo.pods.service, "slots": undo.slots,
            "times": undo.crashes, "afterMs": undo.after_ms, "leaseMs": lease_ms,
        });
        undo.supervisor.put(action, (Method::PUT, "/-/crashes"), &body, cx.deadline).await
    }
}

impl Injector for CrashLoop {
    const KIND: &'static str = "crash-loop";
    const SUMMARY: &'static str = "instances of a service die again after each restart";
    const REVERSIBILITY: Reversibility = Reversibility::SelfHealing;
    const SCOPE: Scope = Scope::WithinSystem;
    type Spec = CrashLoopSpec;
    type Undo = CrashLoopDebt;

    fn blast_radius(spec: &CrashLoopSpec, topology: &Topology) -> Result<BlastRadius, FaultError> {
        Targets { service: &spec.service, count: spec.count, which: spec.which }.radius(topology)
    }

    fn holds(spec: &CrashLoopSpec) -> Vec<Hold> {
        PodKill::holds(&spec.kill())
    }

    fn mechanism(_spec: &CrashLoopSpec) -> String {
        "SIGKILL, and crashes at start".to_owned()
    }

    async fn arm(&self, cx: &Cx<'_>, spec: &CrashLoopSpec) -> Result<CrashLoopDebt, FaultError> {
        let pods = PodKill.arm(cx, &spec.kill()).await?;
        let slot = |instance: &str| -> Result<usize, FaultError> {
            let number = instance.rsplit_once('-').and_then(|(_, number)| number.parse().ok());
            number.ok_or_else(|| FaultError::NoTarget { target: format!("a slot of {instance}") })
        };
        let slots: Result<_, _> = pods.victims.iter().map(|one| slot(&one.instance)).collect();
        Ok(CrashLoopDebt {
            supervisor: LabControl::of("supervisor", cx.topology)?,
            marker: format!("gameday-{}", cx.name()),
            slots: slots?,
            crashes: spec.times - 1,
            after_ms: spec.after.micros() / 1000,
            pods,
        })
    }

    fn touched(spec: &CrashLoopSpec, undo: &CrashLoopDebt, topology: &Topology) -> Touched {
        let mut touched = PodKill::touched(&spec.kill(), &undo.pods, topology);
        let service = &undo.pods.service;
        touched
            .instances
            .extend(undo.slots.iter().map(|slot| format!("{service}/{service}-{slot}")));
        touched
    }

    async fn inject(
        &self,
        cx: &Cx<'_>,
        spec: &CrashLoopSpec,
        undo: &CrashLoopDebt,
    ) -> Result<Option<CrashLoopDebt>, FaultError> {
        // First, so that it holds for the first restart.
        Self::order(cx, "order the crashes", undo).await?;
        PodKill.inject(cx, &spec.kill(), &undo.pods).await.map(|_| None)
    }

    async fn verify(
        &self,
        cx: &Cx<'_>,
        spec: &CrashLoopSpec,
        undo: &CrashLoopDebt,
    ) -> Result<Effect, FaultError> {
        let held: Held =
            undo.supervisor.get("ask for the crashes", of(undo), cx.deadline.divided_by(2)).await?;
        if !held.in_force {
            return Ok(Effect::Absent);
        }
        PodKill.verify(cx, &spec.kill(), &undo.pods).await
    }

    async fn renew(&self, cx: &Cx<'_>, undo: &CrashLoopDebt) -> Result<(), FaultError> {
        // Crashes that were taken back are refused, and those that were made stay counted.
        Self::order(cx, "renew the crashes' lease", undo).await
    }

    async fn revert(&self, cx: &Cx<'_>, undo: &CrashLoopDebt) -> Result<Reverted, FaultError> {
        undo.supervisor.take_back::<Held>("end the crashes", of(undo), cx.deadline).await?;
        PodKill.revert(cx, &undo.pods).await
    }
}

/// Looks twice, so far apart that a process which answers both times is out of the loop.
#[derive(Debug, Clone, Copy)]
pub struct CrashLoopWitness;

impl CrashLoopWitness {
    async fn see(cx: &Cx<'_>, debt: Debt<'_>) -> Result<Sighting, FaultError> {
        let undo: CrashLoopDebt = read("undo record", debt.undo)?;
        let first = PodWitness::see(cx, &undo.pods, debt.baseline).await?;
        let Sighting::NotInForce(_) = first else { return Ok(first) };
        // A process that was just started would have crashed by then, and one that crashed is not
        // back at once.
        tokio::time::sleep((Duration::from_millis(undo.after_ms) + MARGIN).as_std()).await;
        match PodWitness::see(cx, &undo.pods, debt.baseline).await? {
            Sighting::InForce(seen) => Ok(Sighting::Unknown(format!("a moment later: {seen}"))),
            second => Ok(second),
        }
    }
}

impl Witness for CrashLoopWitness {
    fn method(&self) -> &'static str {
        "processes in /proc, and requests to the instances over a while"
    }

    fn baseline<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        _spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            let undo: CrashLoopDebt = read("undo record", undo)?;
            PodWitness::before(cx, &undo.pods).await
        })
    }

    fn look<'a>(&'a self, cx: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            Self::see(cx, debt).await.unwrap_or_else(|error| Sighting::Unknown(error.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::DynInjector as _;

    use super::*;

    #[test]
    fn defaults_are_written_out_and_bounds_are_kept() {
        let check = |spec: Value| CrashLoop.check(&spec);
        assert_eq!(
            check(json!({"service": "checkout"})).unwrap(),
            json!({
                "service": "checkout", "count": 1, "which": "random", "times": 5, "after": "100ms",
            })
        );
        for wrong in [1, 21] {
            let error = check(json!({"service": "checkout", "times": wrong})).unwrap_err();
            assert!(error.message.contains("from 2 to 20"), "{error}");
        }
        let late = check(json!({"service": "checkout", "after": "501ms"})).unwrap_err();
        assert!(late.message.contains("at most 500ms"), "{late}");
    }
}
