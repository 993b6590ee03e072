//! `packet-delay`: packets on an edge, or of a service, take longer, each way, in a network
//! namespace: by `tc netem` where the kernel has it, else by a queue that this process holds.

mod netem;
mod netlink;
mod queue;
mod witness;

use std::net::SocketAddrV4;
use std::sync::{Arc, OnceLock};

use harness_core::fault::{
    BlastRadius, Cx, Effect, FaultEntry, FaultError, Hold, Injector, Requirement, Reversibility,
    Reverted, Touched,
};
use harness_core::ids::{EdgeName, ServiceName};
use harness_core::topology::Topology;
use harness_core::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::inside::{self, INJECT, Inside};
use super::namespace::{Namespace, NamespaceName};
use super::place::{PACKETS, Place, one_of};
use crate::capabilities::packets_are_delayed_by;
use crate::permit;
use netem::Netem;
use queue::Queue;

pub(crate) use queue::attempt as attempt_queue;

/// A shorter delay is lost in the noise of a busy machine.
const DELAY_MIN: Duration = Duration::from_millis(2);
/// A longer one is a partition to most callers, and to a look of the witness.
const DELAY_MAX: Duration = Duration::from_millis(100);

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub(crate) struct PacketDelaySpec {
    /// The network namespace in which the system runs.
    namespace: NamespaceName,
    /// Packets between the caller and the callee of this edge.
    #[serde(skip_serializing_if = "Option::is_none")]
    edge: Option<EdgeName>,
    /// Packets to and from all instances of this service, whoever calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<ServiceName>,
    /// How much longer each packet takes, each way.
    delay: Duration,
    /// How much more, or less, at random.
    jitter: Duration,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "PacketDelaySpec", description = "Packets take longer, each way.")]
struct Written {
    /// The network namespace in which the system runs, as `ip netns` knows it.
    namespace: NamespaceName,
    /// Packets between the caller and the callee of this edge; or `service`.
    #[serde(default)]
    edge: Option<EdgeName>,
    /// Packets to and from all instances of this service; or `edge`.
    #[serde(default)]
    service: Option<ServiceName>,
    /// How much longer each packet takes, each way, 2ms to 100ms; a round trip takes twice as much
    /// longer.
    delay: Duration,
    /// Evenly at most this much more or less; at most half of the delay. Packets may overtake one
    /// another.
    #[serde(default)]
    jitter: Duration,
}

impl TryFrom<Written> for PacketDelaySpec {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { namespace, edge, service, delay, jitter } = written;
        one_of(edge.as_ref(), service.as_ref())?;
        if !(DELAY_MIN..=DELAY_MAX).contains(&delay) {
            return Err(format!(
                "a delay of {delay} is out of range; write {DELAY_MIN} to {DELAY_MAX}"
            ));
        }
        if jitter.times(2) > delay {
            return Err(format!(
                "a jitter of {jitter} is too large; with a delay of {delay} at most {}",
                delay.divided_by(2)
            ));
        }
        Ok(Self { namespace, edge, service, delay, jitter })
    }
}

impl PacketDelaySpec {
    fn place(&self) -> Place<'_> {
        Place::of(&self.namespace, self.edge.as_ref(), self.service.as_ref())
    }
}

/// By what packets are delayed on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// `tc netem`, below `prio`, with filters of `u32`.
    Netem,
    /// `NFQUEUE`, with bypass.
    Queue,
}

impl Mechanism {
    /// Tried once by each process. `Err` says why it cannot be done here.
    fn here() -> &'static Result<Self, String> {
        static HERE: OnceLock<Result<Mechanism, String>> = OnceLock::new();
        HERE.get_or_init(packets_are_delayed_by)
    }
}

impl std::fmt::Display for Mechanism {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Netem => "tc netem",
            Self::Queue => "NFQUEUE with bypass",
        })
    }
}

/// What puts a fault in force, and what was there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Means {
    Netem(Netem),
    Queue(Queue),
}

impl Means {
    /// Whether anything of it is there, by the kernel's word.
    async fn is_there(&self, inside: &Inside<'_>) -> Result<bool, FaultError> {
        match self {
            Self::Netem(netem) => netem.is_there(inside).await,
            Self::Queue(queue) => queue.is_there(inside).await,
        }
    }
}

/// The undo record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PacketDelayDebt {
    namespace: Namespace,
    endpoints: Vec<SocketAddrV4>,
    means: Means,
}

/// The injector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PacketDelay;

/// The registry's entry.
pub(super) fn entry(requires: Vec<Requirement>) -> FaultEntry {
    FaultEntry {
        injector: Arc::new(PacketDelay),
        witness: Arc::new(witness::DelayWitness),
        requires,
    }
}

impl Injector for PacketDelay {
    const KIND: &'static str = "packet-delay";
    const SUMMARY: &'static str = "packets on an edge, or of a service, take longer, each way";
    const REVERSIBILITY: Reversibility = Reversibility::Reversible;
    type Spec = PacketDelaySpec;
    type Undo = PacketDelayDebt;

    fn blast_radius(
        spec: &PacketDelaySpec,
        topology: &Topology,
    ) -> Result<BlastRadius, FaultError> {
        spec.place().radius(topology)
    }

    fn holds(spec: &PacketDelaySpec) -> Vec<Hold> {
        let queues = format!("the queues in the namespace `{}`", spec.namespace);
        vec![PACKETS, Hold::Place(queues)]
    }

    fn mechanism(_spec: &PacketDelaySpec) -> String {
        match Mechanism::here() {
            Ok(mechanism) => mechanism.to_string(),
            Err(_) => format!("{} or {}", Mechanism::Netem, Mechanism::Queue),
        }
    }

    fn ready(spec: &PacketDelaySpec) -> Result<(), FaultError> {
        inside::ready(&spec.namespace)
    }

    async fn arm(
        &self,
        cx: &Cx<'_>,
        spec: &PacketDelaySpec,
    ) -> Result<PacketDelayDebt, FaultError> {
        let place = spec.place();
        let namespace = Namespace::find(place.namespace)?;
        let endpoints = place.endpoints(&namespace, cx.topology)?;
        let door = inside::door(&namespace)?;
        let inside = Inside { cx, door: &door, verb: "arm" };
        // It calls programs, and waits for them.
        let here = tokio::task::spawn_blocking(Mechanism::here).await;
        let means = match here.expect("a probe does not panic") {
            Ok(Mechanism::Netem) => Means::Netem(Netem::arm(&inside, &endpoints).await?),
            Ok(Mechanism::Queue) => Means::Queue(Queue::arm(&inside).await?),
            Err(why) => {
                let mechanism = format!("{} or {}", Mechanism::Netem, Mechanism::Queue);
                return Err(FaultError::Unavailable { mechanism, why: why.clone() });
            }
        };
        permit::grant(&cx.name())?;
        Ok(PacketDelayDebt { namespace, endpoints, means })
    }

    fn touched(spec: &PacketDelaySpec, undo: &PacketDelayDebt, topology: &Topology) -> Touched {
        spec.place().touched(&undo.endpoints, topology)
    }

    async fn inject(
        &self,
        cx: &Cx<'_>,
        spec: &PacketDelaySpec,
        undo: &PacketDelayDebt,
    ) -> Result<Option<PacketDelayDebt>, FaultError> {
        inside::refuse_late(cx, &undo.namespace)?;
        let door = inside::door(&undo.namespace)?;
        let inside = Inside { cx, door: &door, verb: INJECT };
        let delay = (spec.delay, spec.jitter);
        match &undo.means {
            Means::Netem(netem) => netem.inject(&inside, delay, &undo.endpoints).await?,
            Means::Queue(queue) => queue.inject(&inside, delay, &undo.endpoints).await?,
        }
        inside::refuse_late(cx, &undo.namespace).map(|()| None)
    }

    async fn verify(
        &self,
        cx: &Cx<'_>,
        _spec: &PacketDelaySpec,
        undo: &PacketDelayDebt,
    ) -> Result<Effect, FaultError> {
        let Some(door) = undo.namespace.reach() else { return Ok(Effect::Absent) };
        let inside = Inside { cx, door: &door, verb: "verify" };
        match &undo.means {
            Means::Netem(netem) => netem.verify(&inside, &undo.endpoints).await,
            Means::Queue(queue) => queue.verify(&inside, &undo.endpoints).await,
        }
    }

    async fn renew(&self, cx: &Cx<'_>, undo: &PacketDelayDebt) -> Result<(), FaultError> {
        match &undo.means {
            // The kernel knows no lease.
            Means::Netem(_) => Ok(()),
            Means::Queue(_) => queue::renew(cx),
        }
    }

    async fn revert(&self, cx: &Cx<'_>, undo: &PacketDelayDebt) -> Result<Reverted, FaultError> {
        inside::begin_revert(cx).await?;
        // All of it goes with its namespace.
        let Some(door) = undo.namespace.reach() else { return Ok(Reverted::WasClean) };
        let inside = Inside { cx, door: &door, verb: "revert" };
        match &undo.means {
            Means::Netem(netem) => netem.revert(&inside).await,
            Means::Queue(queue) => queue.revert(&inside).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::DynInjector;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn defaults_are_written_out_and_nonsense_is_refused_with_what_to_write() {
        let check = |spec: Value| PacketDelay.check(&spec);
        let of = |delay: &str, jitter: &str| {
            let mut spec = json!({"namespace": "n", "edge": "a->b", "delay": delay});
            spec["jitter"] = json!(jitter);
            spec
        };
        let written = check(json!({"namespace": "n", "edge": "a->b", "delay": "20ms"})).unwrap();
        assert_eq!(written, of("20ms", "0s"));
        assert_eq!(check(written.clone()).unwrap(), written);
        assert!(check(of("100ms", "50ms")).is_ok());
        for (spec, words) in [
            (json!({"namespace": "n", "edge": "a->b"}), "missing field `delay`"),
            (json!({"namespace": "n", "delay": "20ms"}), "nothing says"),
            (json!({"edge": "a->b", "delay": "20ms"}), "missing field `namespace`"),
            (of("1ms", "0s"), "out of range"),
            (of("101ms", "0s"), "out of range"),
            (of("20ms", "11ms"), "too large"),
            (json!({"namespace": "n", "edge": "a->b", "delay": "20ms", "x": 1}), "unknown field"),
        ] {
            let error = check(spec).unwrap_err();
            assert!(error.message.contains(words), "{error:?}");
        }
        assert!(check(of("1ms", "0s")).unwrap_err().hint.contains("2ms to 100ms"));
        assert!(check(of("20ms", "11ms")).unwrap_err().hint.contains("at most 10ms"));
    }

    #[test]
    fn a_plan_names_the_mechanism_of_this_machine() {
        let spec = json!({"namespace": "n", "edge": "a->b", "delay": "20ms"});
        let named = DynInjector::mechanism(&PacketDelay, &spec).unwrap();
        match Mechanism::here() {
            Ok(Mechanism::Netem) => assert_eq!(named, "tc netem"),
            Ok(Mechanism::Queue) => assert_eq!(named, "NFQUEUE with bypass"),
            Err(_) => assert_eq!(named, "tc netem or NFQUEUE with bypass"),
        }
    }
}
