//! `partition`: packets between callers and the callee are dropped, or answered with a reset.

use harness_core::ids::{EdgeName, ServiceName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::namespace::NamespaceName;
use super::nft::{Counts, Rule};
use super::packet_fault::PacketSpec;
use super::packet_witness::Sight;
use super::place::{Place, one_of};
use crate::proxy::{Says, Seen};

/// Requests of one look at each address; all must say the same.
const REQUESTS: usize = 3;

/// What becomes of the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum PartitionMode {
    /// They vanish: what is asked, and what is sent on open connections, waits in vain.
    #[default]
    Drop,
    /// Both sides are told that the other has reset the connection.
    Reset,
}

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub(crate) struct PartitionSpec {
    /// The network namespace in which the system runs.
    namespace: NamespaceName,
    /// Packets between the caller and the callee of this edge.
    #[serde(skip_serializing_if = "Option::is_none")]
    edge: Option<EdgeName>,
    /// Packets to and from all instances of this service, whoever calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<ServiceName>,
    /// What becomes of them.
    mode: PartitionMode,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "PartitionSpec", description = "Packets do not get through.")]
struct Written {
    /// The network namespace in which the system runs, as `ip netns` knows it.
    namespace: NamespaceName,
    /// Packets between the caller and the callee of this edge; or `service`.
    #[serde(default)]
    edge: Option<EdgeName>,
    /// Packets to and from all instances of this service; or `edge`.
    #[serde(default)]
    service: Option<ServiceName>,
    /// What becomes of them.
    #[serde(default)]
    mode: PartitionMode,
}

impl TryFrom<Written> for PartitionSpec {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, &'static str> {
        let Written { namespace, edge, service, mode } = written;
        one_of(edge.as_ref(), service.as_ref())?;
        Ok(Self { namespace, edge, service, mode })
    }
}

impl PacketSpec for PartitionSpec {
    const KIND: &'static str = "partition";
    const SUMMARY: &'static str =
        "packets on an edge, or of a service, are dropped or answered with a reset";
    const METHOD: &'static str = "connections out of the namespace, and its list of listeners";

    fn place(&self) -> Place<'_> {
        Place::of(&self.namespace, self.edge.as_ref(), self.service.as_ref())
    }

    fn rules(&self) -> Vec<Rule> {
        let (condition, fate) = match self.mode {
            PartitionMode::Drop => ("", "drop"),
            // The resets that the rule itself sends come by here, too.
            PartitionMode::Reset => ("tcp flags & rst == 0", "reject with tcp reset"),
        };
        vec![Rule { counts: Counts::Met, condition: condition.to_owned(), fate }]
    }

    fn requests(&self) -> usize {
        REQUESTS
    }

    fn openings(&self) -> usize {
        0
    }

    fn says(&self, sight: &Sight) -> Says {
        let shows = |seen: &Seen| match self.mode {
            PartitionMode::Drop => matches!(seen, Seen::Unopened(_)),
            PartitionMode::Reset => matches!(seen, Seen::Refused | Seen::Reset),
        };
        if sight.is_healthy() {
            Says::NotInForce
        } else if sight.whole && sight.listens && sight.requests.iter().all(shows) {
            // A callee that listens, with room for more, neither refuses nor is silent by itself.
            Says::InForce
        } else {
            Says::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::DynInjector as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::netns::packet_fault::PacketFault;

    const PARTITION: PacketFault<PartitionSpec> = PacketFault::INJECTOR;

    #[test]
    fn defaults_are_written_out_and_nonsense_is_refused() {
        let check = |spec: Value| PARTITION.check(&spec);
        let written = check(json!({"namespace": "gameday", "edge": "a->b"})).unwrap();
        assert_eq!(written, json!({"namespace": "gameday", "edge": "a->b", "mode": "drop"}));
        assert_eq!(check(written.clone()).unwrap(), written);
        for (spec, words) in [
            (json!({"edge": "a->b"}), "missing field `namespace`"),
            (json!({"namespace": "gameday"}), "nothing says what is cut off"),
            (json!({"namespace": "gameday", "edge": "a->b", "service": "b"}), "both there"),
            (json!({"namespace": "../1/ns", "service": "b"}), "no name of a network namespace"),
            (json!({"namespace": "gameday", "service": "b", "mode": "slow"}), "unknown variant"),
            (json!({"namespace": "gameday", "service": "b", "port": 1}), "unknown field"),
        ] {
            let error = check(spec).unwrap_err();
            assert!(error.message.contains(words), "{error:?}");
        }
    }

    #[test]
    fn only_the_modes_own_symptom_shows_it_and_only_at_a_callee_that_listens() {
        let spec = |mode: &str| -> PartitionSpec {
            let spec = json!({"namespace": "gameday", "service": "b", "mode": mode});
            serde_json::from_value(spec).unwrap()
        };
        let sight = |seen: &[Seen]| Sight {
            listens: true,
            whole: true,
            requests: seen.to_vec(),
            openings: Vec::new(),
            counted: None,
        };
        let late = Seen::Unopened("no connection".to_owned());
        let answered = |status| Seen::Answered { status, took: Vec::new() };
        for (seen, drop, reset) in [
            (vec![late.clone(), late.clone()], Says::InForce, Says::Nothing),
            (vec![Seen::Refused, Seen::Reset], Says::Nothing, Says::InForce),
            (vec![Seen::Silent, Seen::Silent], Says::Nothing, Says::Nothing),
            (vec![late.clone(), answered(200)], Says::Nothing, Says::Nothing),
            (vec![answered(500), answered(500)], Says::Nothing, Says::Nothing),
            (vec![answered(200), answered(200)], Says::NotInForce, Says::NotInForce),
        ] {
            assert_eq!(spec("drop").says(&sight(&seen)), drop, "{seen:?}");
            assert_eq!(spec("reset").says(&sight(&seen)), reset, "{seen:?}");
        }
        // A callee that is gone refuses, too, and a look that was cut short proves no silence.
        let refused = Sight { listens: false, ..sight(&[Seen::Refused]) };
        assert_eq!(spec("reset").says(&refused), Says::Nothing);
        let short = Sight { whole: false, ..sight(&[late]) };
        assert_eq!(spec("drop").says(&short), Says::Nothing);
    }

    #[test]
    fn a_reset_is_never_answered_with_a_reset() {
        let spec = json!({"namespace": "gameday", "service": "b", "mode": "reset"});
        let spec: PartitionSpec = serde_json::from_value(spec).unwrap();
        assert_eq!(spec.rules()[0].condition, "tcp flags & rst == 0");
    }
}
