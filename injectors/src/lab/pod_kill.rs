//! `pod-kill`: instances of a service are killed; the supervisor is expected to replace them.

use std::num::NonZeroU32;

use harness_core::fault::{
    BlastRadius, Cx, Effect, FaultError, Hold, Injector, PROCESS, Reversibility, Reverted, Scope,
    Touched,
};
use harness_core::ids::ServiceName;
use harness_core::system::SystemError;
use harness_core::topology::{ProcessIdentity, Topology};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::client::{LabClient, LabPod};
use super::kind::radius;
use crate::process::{Presence, Signalled, kill, presence};
use crate::targets::{Target, Targets, Which, touched};

/// How often the end of a killed process is looked for.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(1);
/// How often the supervisor is asked whether the system has healed.
const HEALED_LOOK: std::time::Duration = std::time::Duration::from_millis(50);

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodKillSpec {
    /// The service.
    pub service: ServiceName,
    /// How many of its instances.
    #[serde(default = "crate::targets::one")]
    pub count: NonZeroU32,
    /// Which of them.
    #[serde(default)]
    pub which: Which,
}

impl PodKillSpec {
    fn targets(&self) -> Targets<'_> {
        Targets { service: &self.service, count: self.count, which: self.which }
    }
}

/// One instance that is to be killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Victim {
    /// The slot's name: `checkout-0`.
    pub instance: String,
    /// The pod.
    pub uid: String,
    /// Its process.
    pub process: ProcessIdentity,
}

/// The undo record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodKillDebt {
    /// Where the supervisor listens.
    pub supervisor: String,
    /// Its process, where the system tells it: when it is gone, the whole lab is.
    pub supervisor_process: Option<ProcessIdentity>,
    /// The service.
    pub service: ServiceName,
    /// How many instances it should have.
    pub desired: usize,
    /// Whom the fault kills.
    pub victims: Vec<Victim>,
}

/// The injector.
#[derive(Debug, Clone, Copy)]
pub struct PodKill;

impl Injector for PodKill {
    const KIND: &'static str = "pod-kill";
    const SUMMARY: &'static str = "instances of a service are killed with SIGKILL";
    const REVERSIBILITY: Reversibility = Reversibility::SelfHealing;
    const SCOPE: Scope = Scope::WithinSystem;
    type Spec = PodKillSpec;
    type Undo = PodKillDebt;

    fn blast_radius(spec: &PodKillSpec, topology: &Topology) -> Result<BlastRadius, FaultError> {
        radius(&spec.targets(), topology)
    }

    fn holds(_spec: &Self::Spec) -> Vec<Hold> {
        vec![Hold::Changed(PROCESS)]
    }

    fn mechanism(_spec: &PodKillSpec) -> String {
        "SIGKILL".to_owned()
    }

    async fn arm(&self, cx: &Cx<'_>, spec: &PodKillSpec) -> Result<PodKillDebt, FaultError> {
        let targets = spec.targets();
        let service = targets.service_in(cx.topology)?;
        let victims = targets.living(service, &cx.name())?.into_iter().map(|target| {
            let Target { instance, uid, process } = target;
            Victim { instance, uid, process }
        });
        let supervisor = cx.topology.controls.get("supervisor");
        let supervisor = supervisor.ok_or_else(|| FaultError::Unavailable {
            mechanism: "supervisor".to_owned(),
            why: "the system names none".to_owned(),
        })?;
        let supervisor_process = cx
            .topology
            .service(&"supervisor".into())
            .and_then(|service| service.instances.first()?.process.clone());
        Ok(PodKillDebt {
            supervisor: supervisor.clone(),
            supervisor_process,
            service: spec.service.clone(),
            desired: service.instances.len(),
            victims: victims.collect(),
        })
    }

    fn touched(_spec: &PodKillSpec, undo: &PodKillDebt, topology: &Topology) -> Touched {
        touched(topology, undo.victims.iter().map(|victim| &victim.process))
    }

    async fn inject(
        &self,
        cx: &Cx<'_>,
        _spec: &PodKillSpec,
        undo: &PodKillDebt,
    ) -> Result<Option<PodKillDebt>, FaultError> {
        for victim in &undo.victims {
            let failed = |why: String| FaultError::Failed {
                action: format!("kill {} (process {})", victim.instance, victim.process.pid),
                why,
            };
            match kill(&victim.process) {
                Ok(Signalled::Sent) => {}
                Ok(Signalled::WasGone) => {
                    return Err(FaultError::Conflict {
                        what: victim.instance.clone(),
                        why: format!("process {} was gone already", victim.process.pid),
                    });
                }
                Err(error) => return Err(failed(error.to_string())),
            }
        }
        undo.await_end(cx).await?;
        Ok(None)
    }

    async fn verify(
        &self,
        cx: &Cx<'_>,
        _spec: &PodKillSpec,
        undo: &PodKillDebt,
    ) -> Result<Effect, FaultError> {
        if undo.victims.iter().any(|victim| presence(&victim.process) == Presence::Alive) {
            return Ok(Effect::Absent);
        }
        let ready = undo.ready(cx).await?;
        Ok(if ready < undo.desired { Effect::InPlace } else { Effect::Absent })
    }

    async fn revert(&self, cx: &Cx<'_>, undo: &PodKillDebt) -> Result<Reverted, FaultError> {
        // The system heals by itself; what it needs for that is its own time, not ours. Only when
        // it does not is it helped, so that the help is never mistaken for its automation.
        let patience = cx.clock.now() + cx.deadline.times(3).divided_by(5);
        loop {
            match undo.ready(cx).await {
                Ok(ready) if ready >= undo.desired => return Ok(Reverted::WasClean),
                Err(_) if undo.is_lab_gone() => return Ok(Reverted::WasClean),
                Ok(_) if cx.clock.now() < patience => tokio::time::sleep(HEALED_LOOK).await,
                Ok(_) => break,
                Err(error) => return Err(error),
            }
        }
        let restore = LabClient::new(&undo.supervisor);
        let steady = restore
            .restore(undo.service.as_str(), cx.deadline.times(2).divided_by(5))
            .await
            .map_err(|error| failed("restore the service", &error))?;
        if steady.ready {
            return Ok(Reverted::PutBack);
        }
        Err(FaultError::Failed {
            action: format!("restore {}", undo.service),
            why: steady.missing.join("; "),
        })
    }
}

impl PodKillDebt {
    /// A killed process lives on for a moment, and for longer in an uninterruptible call.
    async fn await_end(&self, cx: &Cx<'_>) -> Result<(), FaultError> {
        let end = async {
            for victim in &self.victims {
                while presence(&victim.process) == Presence::Alive {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            }
        };
        tokio::time::timeout(cx.deadline.as_std(), end).await.map_err(|_| FaultError::TimedOut {
            step: "the end of the killed processes".to_owned(),
            within: cx.deadline,
        })
    }

    /// How many instances are ready that the fault did not kill: a dead one counts as ready until
    /// its supervisor has noticed.
    async fn ready(&self, cx: &Cx<'_>) -> Result<usize, FaultError> {
        let pods = LabClient::new(&self.supervisor)
            .pods(cx.deadline.divided_by(2))
            .await
            .map_err(|error| failed("list the pods", &error))?;
        let killed = |pod: &LabPod| {
            self.victims
                .iter()
                .any(|victim| victim.uid == pod.uid && presence(&victim.process) == Presence::Gone)
        };
        let own = pods.iter().filter(|pod| pod.deployment == self.service.as_str());
        Ok(own.filter(|pod| pod.ready && !killed(pod)).count())
    }

    /// Without its supervisor nothing of a lab is left: its processes die with it.
    fn is_lab_gone(&self) -> bool {
        self.supervisor_process.as_ref().is_some_and(|it| presence(it) == Presence::Gone)
    }
}

fn failed(action: &str, error: &SystemError) -> FaultError {
    let why = match error {
        SystemError::Unreachable { address, why, .. } => format!("{address}: {why}"),
        SystemError::Unsupported { .. } => error.to_string(),
    };
    FaultError::Failed { action: action.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::DynInjector as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_are_written_out() {
        assert_eq!(
            PodKill.check(&json!({"service": "checkout"})).unwrap(),
            json!({"service": "checkout", "count": 1, "which": "random"})
        );
        let none = json!({"service": "checkout", "count": 0});
        assert_eq!(PodKill.check(&none).unwrap_err().path, ["count"]);
    }
}
