//! `dependency-outage`: the callee of an edge is gone, cut off, silent or sick.

use harness_core::fault::{BlastRadius, Cx, Effect, FaultError, Injector, Reversibility, Reverted};
use harness_core::ids::EdgeName;
use harness_core::topology::Topology;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::debt::{self, ProxyDebt};
use super::wire::ProxyEffect;

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
    /// What the proxy does.
    pub(crate) fn effect(&self) -> ProxyEffect {
        match self.mode {
            OutageMode::Refuse => ProxyEffect::Refuse,
            OutageMode::Reset => ProxyEffect::Reset,
            OutageMode::Blackhole => ProxyEffect::Blackhole,
            OutageMode::Status => ProxyEffect::Status(self.status.unwrap_or(STATUS)),
        }
    }
}

/// The injector.
#[derive(Debug, Clone, Copy)]
pub struct DependencyOutage;

impl Injector for DependencyOutage {
    const KIND: &'static str = "dependency-outage";
    const SUMMARY: &'static str =
        "the callee of an edge refuses, resets, falls silent or answers with an error";
    const REVERSIBILITY: Reversibility = Reversibility::Reversible;
    type Spec = OutageSpec;
    type Undo = ProxyDebt;

    fn blast_radius(spec: &OutageSpec, topology: &Topology) -> Result<BlastRadius, FaultError> {
        debt::radius(&spec.edge, topology)
    }

    fn mechanism(_spec: &OutageSpec) -> String {
        "proxy".to_owned()
    }

    async fn arm(&self, cx: &Cx<'_>, spec: &OutageSpec) -> Result<ProxyDebt, FaultError> {
        debt::arm(cx, &spec.edge).await
    }

    async fn inject(
        &self,
        cx: &Cx<'_>,
        spec: &OutageSpec,
        undo: &ProxyDebt,
    ) -> Result<Option<ProxyDebt>, FaultError> {
        undo.inject(cx, spec.effect()).await.map(|()| None)
    }

    async fn verify(
        &self,
        cx: &Cx<'_>,
        spec: &OutageSpec,
        undo: &ProxyDebt,
    ) -> Result<Effect, FaultError> {
        undo.verify(cx, spec.effect()).await
    }

    async fn renew(&self, cx: &Cx<'_>, undo: &ProxyDebt) -> Result<(), FaultError> {
        undo.renew(cx).await
    }

    async fn revert(&self, cx: &Cx<'_>, undo: &ProxyDebt) -> Result<Reverted, FaultError> {
        undo.revert(cx).await
    }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::DynInjector as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_are_written_out() {
        let check = |spec| DependencyOutage.check(&spec).unwrap();
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
            let error = DependencyOutage.check(&spec).unwrap_err();
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
            DependencyOutage.blast_radius(&spec, &topology)
        };
        assert_eq!(radius("a->b").unwrap().edges, ["a->b"]);
        assert!(matches!(radius("a->c"), Err(FaultError::Unavailable { .. })));
        let unknown = radius("b->a").unwrap_err().to_string();
        assert!(unknown.contains("a->b, a->c"), "{unknown}");
    }
}
