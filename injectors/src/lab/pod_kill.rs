//! `pod-kill`: instances of a service are killed; the supervisor is expected to replace them.

use std::num::NonZeroU32;

use harness_core::fault::{BlastRadius, Cx, Effect, FaultError, Injector, Reversibility, Reverted};
use harness_core::ids::ServiceName;
use harness_core::system::SystemError;
use harness_core::topology::{Instance, ProcessIdentity, Service, Topology};
use harness_core::units::Ratio;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::client::{LabClient, LabPod};
use crate::process::{Killed, Presence, kill, presence};

/// How often the end of a killed process is looked for.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(1);
/// How often the supervisor is asked whether the system has healed.
const HEALED_LOOK: std::time::Duration = std::time::Duration::from_millis(50);

/// Which instances are killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Which {
    /// Those with the lowest slots.
    First,
    /// Chosen by the names of run, trial and fault: another in each trial, the same when repeated.
    #[default]
    Random,
}

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodKillSpec {
    /// The service.
    pub service: ServiceName,
    /// How many of its instances.
    #[serde(default = "one")]
    pub count: NonZeroU32,
    /// Which of them.
    #[serde(default)]
    pub which: Which,
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
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
    type Spec = PodKillSpec;
    type Undo = PodKillDebt;

    fn blast_radius(spec: &PodKillSpec, topology: &Topology) -> Result<BlastRadius, FaultError> {
        let service = service(spec, topology)?;
        let all = service.instances.len();
        let count = count(spec);
        if count > all {
            return Err(FaultError::NoTarget {
                target: format!("{count} instances of {}; it has {all}", spec.service),
            });
        }
        let touched = service.instances.iter().take(count);
        let parts = u64::try_from(count).unwrap_or(u64::MAX);
        Ok(BlastRadius {
            instances: touched.map(|one| format!("{}/{}", spec.service, one.name)).collect(),
            share: Some(share(parts, all as u64)),
            edges: Vec::new(),
        })
    }

    fn mechanism(_spec: &PodKillSpec) -> String {
        "SIGKILL".to_owned()
    }

    async fn arm(&self, cx: &Cx<'_>, spec: &PodKillSpec) -> Result<PodKillDebt, FaultError> {
        let service = service(spec, cx.topology)?;
        let supervisor = cx.topology.controls.get("supervisor");
        let supervisor = supervisor.ok_or_else(|| FaultError::Unavailable {
            mechanism: "supervisor".to_owned(),
            why: "the system names none".to_owned(),
        })?;
        let supervisor_process = cx
            .topology
            .service(&"supervisor".into())
            .and_then(|service| service.instances.first()?.process.clone());
        let victims = choose(service, spec, &cx.name())?;
        if let Some(gone) = victims.iter().find(|one| presence(&one.process) == Presence::Gone) {
            return Err(FaultError::NoTarget {
                target: format!("process {} of {}", gone.process.pid, gone.instance),
            });
        }
        Ok(PodKillDebt {
            supervisor: supervisor.clone(),
            supervisor_process,
            service: spec.service.clone(),
            desired: service.instances.len(),
            victims,
        })
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
                Ok(Killed::Sent) => {}
                Ok(Killed::WasGone) => {
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

fn count(spec: &PodKillSpec) -> usize {
    usize::try_from(spec.count.get()).unwrap_or(usize::MAX)
}

fn service<'a>(spec: &PodKillSpec, topology: &'a Topology) -> Result<&'a Service, FaultError> {
    topology.service(&spec.service).ok_or_else(|| FaultError::NoTarget {
        target: format!(
            "service {}; there are {}",
            spec.service,
            topology.services.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ")
        ),
    })
}

/// The instances to kill, in the order of their slots.
fn choose(service: &Service, spec: &PodKillSpec, name: &str) -> Result<Vec<Victim>, FaultError> {
    let victim = |one: &Instance| {
        Some(Victim {
            instance: one.name.clone(),
            uid: one.uid.clone()?,
            process: one.process.clone()?,
        })
    };
    let ready = service.instances.iter().filter(|one| one.ready);
    let mut candidates: Vec<Victim> = ready.filter_map(victim).collect();
    let wanted = count(spec);
    if candidates.len() < wanted {
        return Err(FaultError::NoTarget {
            target: format!(
                "{wanted} ready instances of {}; there are {}",
                spec.service,
                candidates.len()
            ),
        });
    }
    if spec.which == Which::Random {
        candidates.sort_by_key(|one| hash(&[name, "/", &one.instance].concat()));
    }
    candidates.truncate(wanted);
    candidates.sort_by(|a, b| a.instance.cmp(&b.instance));
    Ok(candidates)
}

/// FNV-1a with a final mix (`SplitMix64`'s), stable over versions; an order, not a secret.
fn hash(text: &str) -> u64 {
    let mixed = text.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB)
}

fn share(part: u64, whole: u64) -> Ratio {
    // Rounded up, so that a limit is never passed by rounding.
    let billionths = (u128::from(part) * 1_000_000_000).div_ceil(u128::from(whole.max(1)));
    Ratio::from_billionths(u64::try_from(billionths).unwrap_or(1_000_000_000))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use harness_core::fault::DynInjector as _;
    use serde_json::json;

    use super::*;

    fn instance(slot: u32, ready: bool) -> Instance {
        Instance {
            name: format!("checkout-{slot}"),
            uid: Some(format!("uid-{slot}")),
            address: Some(format!("127.0.0.1:{}", 1000 + slot)),
            process: Some(ProcessIdentity { boot_id: "b".into(), pid: slot, start_ticks: 1 }),
            ready,
        }
    }

    fn checkout(ready: &[bool]) -> Service {
        let slots = 0..u32::try_from(ready.len()).unwrap();
        let instances = slots.zip(ready).map(|(slot, ready)| instance(slot, *ready)).collect();
        Service { name: "checkout".into(), labels: BTreeMap::new(), instances }
    }

    fn spec(count: u32, which: Which) -> PodKillSpec {
        let count = NonZeroU32::new(count).unwrap();
        PodKillSpec { service: "checkout".into(), count, which }
    }

    fn chosen(ready: &[bool], spec: &PodKillSpec, name: &str) -> Vec<String> {
        let victims = choose(&checkout(ready), spec, name).unwrap();
        victims.into_iter().map(|one| one.instance).collect()
    }

    #[test]
    fn only_ready_instances_are_chosen_and_never_too_few() {
        let first = spec(2, Which::First);
        assert_eq!(chosen(&[false, true, true], &first, "x"), ["checkout-1", "checkout-2"]);
        let error = choose(&checkout(&[true, false, false]), &first, "x").unwrap_err();
        assert!(matches!(error, FaultError::NoTarget { .. }), "{error}");
    }

    #[test]
    fn a_random_choice_is_the_same_for_the_same_name_and_spread_over_names() {
        let random = spec(1, Which::Random);
        let mut seen = BTreeSet::new();
        for trial in 0..50 {
            let name = format!("run-{trial}-kill");
            let choice = chosen(&[true, true, true], &random, &name);
            assert_eq!(choice, chosen(&[true, true, true], &random, &name));
            seen.extend(choice);
        }
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn the_radius_counts_the_share_of_the_service() {
        let topology = Topology { services: vec![checkout(&[true; 3])], ..Topology::default() };
        let radius = |count: u32| {
            PodKill.blast_radius(&json!({"service": "checkout", "count": count}), &topology)
        };
        let one = radius(1).unwrap();
        assert_eq!(one.instances, ["checkout/checkout-0"]);
        assert!(one.share.unwrap().billionths() >= 333_333_334, "rounded up");
        assert_eq!(radius(3).unwrap().share, Some(Ratio::from_percent(100)));
        assert!(matches!(radius(4), Err(FaultError::NoTarget { .. })));
        let spec = json!({"service": "till"});
        let unknown = PodKill.blast_radius(&spec, &topology).unwrap_err().to_string();
        assert!(unknown.contains("there are checkout"), "{unknown}");
    }

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
