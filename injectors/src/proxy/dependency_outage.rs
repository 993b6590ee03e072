//! `dependency-outage`: the callee of an edge is gone, cut off, silent or sick.

use harness_core::ids::EdgeName;
use harness_core::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::debt::Order;
use super::edge_fault::EdgeSpec;
use super::look::{Question, Seen};
use super::wire::ProxyEffect;
use super::witness::{SILENCE, Says, Slot, Symptom};

/// The status that a sick callee answers with, unless the scenario says another.
const STATUS: u16 = 503;

/// How a callee is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OutageMode {
    /// Nothing listens: new connections are refused, existing ones are reset.
    Refuse,
    /// Connections are reset, existing and new ones.
    Reset,
    /// Connections are kept and accepted, but no byte moves; held bytes flow afterwards.
    Blackhole,
    /// Every HTTP request is answered with an error status.
    Status,
}

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub struct OutageSpec {
    /// The edge, as `caller->callee`.
    pub edge: EdgeName,
    /// How the callee is out.
    pub mode: OutageMode,
    /// The error status, 400 to 599; only with mode `status`, and then 503 unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "OutageSpec", description = "The callee of an edge is out.")]
struct Written {
    /// The edge, as `caller->callee`.
    edge: EdgeName,
    /// How the callee is out.
    mode: OutageMode,
    /// The error status; only with mode `status`, and then 503 unless said.
    #[schemars(range(min = 400, max = 599))]
    #[serde(default)]
    status: Option<u16>,
}

impl TryFrom<Written> for OutageSpec {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { edge, mode, status } = written;
        let status = match (mode, status) {
            (OutageMode::Status, None) => Some(STATUS),
            (OutageMode::Status, Some(status)) if (400..=599).contains(&status) => Some(status),
            (OutageMode::Status, Some(status)) => {
                return Err(format!(
                    "`{status}` is not an error status; write one from 400 to 599"
                ));
            }
            (_, Some(_)) => {
                return Err(
                    "`status` goes with mode `status` only; leave it out, or write `mode: status`"
                        .to_owned(),
                );
            }
            (_, None) => None,
        };
        Ok(Self { edge, mode, status })
    }
}

impl OutageSpec {
    /// An outage with the defaults of its mode.
    pub(super) fn of(edge: EdgeName, mode: OutageMode) -> Self {
        let status = (mode == OutageMode::Status).then_some(STATUS);
        Self { edge, mode, status }
    }

    /// One silence for opening, one for the answer.
    pub(super) fn asked(deadline: Duration) -> Question<'static> {
        Question::once(SILENCE.min(deadline.divided_by(2)))
    }
}

impl EdgeSpec for OutageSpec {
    const KIND: &'static str = "dependency-outage";
    const SUMMARY: &'static str =
        "the callee of an edge refuses, resets, falls silent or answers with an error";

    fn edge(&self) -> &EdgeName {
        &self.edge
    }

    fn order(&self, _seed: u64) -> Order {
        let effect = match self.mode {
            OutageMode::Refuse => ProxyEffect::Refuse,
            OutageMode::Reset => ProxyEffect::Reset,
            OutageMode::Blackhole => ProxyEffect::Blackhole,
            OutageMode::Status => ProxyEffect::Status(self.status.unwrap_or(STATUS)),
        };
        effect.into()
    }
}

impl Symptom for OutageSpec {
    const METHOD: &'static str = "HTTP request through the edge on a fresh connection";

    fn question(&self, deadline: Duration) -> Question<'_> {
        Self::asked(deadline)
    }

    fn says(&self, question: Question<'_>, _slot: &Slot, seen: &Seen) -> (Says, String) {
        let status = self.status.unwrap_or_default();
        let says = match (self.mode, seen) {
            (_, Seen::Answered { status: 200, .. }) => Says::NotInForce,
            (OutageMode::Refuse, Seen::Refused) | (OutageMode::Reset, Seen::Reset) => Says::InForce,
            // A look that was cut short cannot prove silence.
            (OutageMode::Blackhole, Seen::Silent) if question.silence == SILENCE => Says::InForce,
            (OutageMode::Status, Seen::Answered { status: seen, .. }) if *seen == status => {
                Says::InForce
            }
            _ => Says::Nothing,
        };
        (says, seen.to_string())
    }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::{DynInjector as _, FaultError};
    use harness_core::topology::Topology;
    use serde_json::json;

    use super::*;
    use crate::proxy::edge_fault::EdgeFault;

    const OUTAGE: EdgeFault<OutageSpec> = EdgeFault::INJECTOR;

    #[test]
    fn defaults_are_written_out() {
        let check = |spec| OUTAGE.check(&spec).unwrap();
        assert_eq!(
            check(json!({"edge": "a->b", "mode": "refuse"})),
            json!({"edge": "a->b", "mode": "refuse"})
        );
        assert_eq!(
            check(json!({"edge": "a->b", "mode": "status"})),
            json!({"edge": "a->b", "mode": "status", "status": 503})
        );
        let written = check(json!({"edge": "a->b", "mode": "status", "status": 429}));
        assert_eq!(check(written.clone()), written);
    }

    #[test]
    fn wrong_specifications_are_refused_with_a_hint() {
        for (spec, message, hint) in [
            (
                json!({"edge": "a->b", "mode": "status", "status": 200}),
                "`200` is not",
                "400 to 599",
            ),
            (json!({"edge": "a->b", "mode": "reset", "status": 500}), "only", "leave it out"),
            (json!({"edge": "a->b", "mode": "vanish"}), "unknown variant", ""),
            (json!({"edge": "a->b", "mode": "reset", "colour": 1}), "unknown field", ""),
            (json!({"mode": "reset"}), "missing field", ""),
        ] {
            let error = OUTAGE.check(&spec).unwrap_err();
            assert!(error.message.contains(message), "{error:?}");
            assert!(error.hint.contains(hint), "{error:?}");
        }
    }

    #[test]
    fn the_radius_is_the_edge_and_unknown_edges_are_named() {
        let edge = |name: &str, interposable| harness_core::topology::Edge {
            name: name.into(),
            caller: "a".to_owned(),
            callee: "b".into(),
            addresses: Vec::new(),
            interposable,
        };
        let topology = Topology {
            edges: vec![edge("a->b", true), edge("a->c", false)],
            ..Topology::default()
        };
        let radius = |name: &str| {
            let spec = json!({"edge": name, "mode": "refuse"});
            OUTAGE.blast_radius(&spec, &topology)
        };
        assert_eq!(radius("a->b").unwrap().edges, ["a->b"]);
        assert!(matches!(radius("a->c"), Err(FaultError::Unavailable { .. })));
        let unknown = radius("b->a").unwrap_err().to_string();
        assert!(unknown.contains("a->b, a->c"), "{unknown}");
    }

    #[test]
    fn each_mode_has_its_one_symptom() {
        let says = |mode, seen: &Seen, deadline| {
            let status = (mode == OutageMode::Status).then_some(503);
            let spec = OutageSpec { edge: "a->b".into(), mode, status };
            let slot = Slot::of(Duration::from_millis(1));
            spec.says(spec.question(deadline), &slot, seen).0
        };
        let answered = |status| Seen::Answered { status, took: vec![Duration::from_millis(1)] };
        let modes =
            [OutageMode::Refuse, OutageMode::Reset, OutageMode::Blackhole, OutageMode::Status];
        let symptoms = [Seen::Refused, Seen::Reset, Seen::Silent, answered(503)];
        let long = Duration::from_secs(2);
        for (row, mode) in modes.iter().enumerate() {
            for (column, seen) in symptoms.iter().enumerate() {
                let expected = if row == column { Says::InForce } else { Says::Nothing };
                assert_eq!(says(*mode, seen, long), expected, "{mode:?}, {seen}");
            }
            assert_eq!(says(*mode, &answered(200), long), Says::NotInForce);
            assert_eq!(says(*mode, &answered(500), long), Says::Nothing);
            assert_eq!(says(*mode, &Seen::Odd("?".into()), long), Says::Nothing);
        }
        let short = Duration::from_millis(40);
        assert_eq!(says(OutageMode::Blackhole, &Seen::Silent, short), Says::Nothing);
    }
}
