//! The injector of every kind of fault that is one order to the proxy on one edge.
//!
//! A kind says what a scenario may write and what the proxy then does; all else is here.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use harness_core::fault::{
    BlastRadius, Cx, Effect, FaultEntry, FaultError, Injector, Requirement, Reversibility,
    Reverted, Scope, Touched,
};
use harness_core::ids::EdgeName;
use harness_core::topology::Topology;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::debt::{self, Order, ProxyDebt};
use super::wire::ProxyEffect;
use super::witness::{EdgeWitness, Symptom};
use crate::lab::is_encrypted;

/// What a scenario says about a fault on one edge, and what the proxy does about it.
pub trait EdgeSpec: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The name in scenarios.
    const KIND: &'static str;
    /// One line for lists.
    const SUMMARY: &'static str;

    /// The edge.
    fn edge(&self) -> &EdgeName;
    /// What the proxy does there. The seed decides what it leaves to chance.
    fn order(&self, seed: u64) -> Order;
}

/// The injector of one such kind.
pub struct EdgeFault<S>(PhantomData<fn() -> S>);

impl<S: EdgeSpec> EdgeFault<S> {
    /// The injector; it has no state of its own.
    pub(crate) const INJECTOR: Self = Self(PhantomData);
}

impl<S: EdgeSpec> fmt::Debug for EdgeFault<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EdgeFault({})", S::KIND)
    }
}

/// The registry's entry of a kind.
pub(crate) fn entry<S: EdgeSpec + Symptom>(requires: Vec<Requirement>) -> FaultEntry {
    FaultEntry {
        injector: Arc::new(EdgeFault::<S>::INJECTOR),
        witness: Arc::new(EdgeWitness::<S>::WITNESS),
        requires,
    }
}

/// Refuses what acts on single requests where the proxy sees only TLS: it would pass untouched, and
/// a witness that speaks plain HTTP would see a fault that the caller does not have.
fn refuse_encrypted(edge: &EdgeName, effect: &ProxyEffect) -> Result<(), FaultError> {
    let on_requests = matches!(effect, ProxyEffect::Http(_) | ProxyEffect::Status(_));
    if !(on_requests && is_encrypted(edge)) {
        return Ok(());
    }
    Err(FaultError::Unavailable {
        mechanism: "a fault on single requests".to_owned(),
        why: format!(
            "{edge} speaks TLS, so the proxy cannot read its requests; write a fault on whole \
             connections, such as `latency` or a `dependency-outage` with mode `reset`"
        ),
    })
}

impl<S: EdgeSpec> Injector for EdgeFault<S> {
    const KIND: &'static str = S::KIND;
    const SUMMARY: &'static str = S::SUMMARY;
    const REVERSIBILITY: Reversibility = Reversibility::Reversible;
    // The order is in the memory of a proxy that belongs to the system.
    const SCOPE: Scope = Scope::WithinSystem;
    type Spec = S;
    type Undo = ProxyDebt;

    fn blast_radius(spec: &S, topology: &Topology) -> Result<BlastRadius, FaultError> {
        refuse_encrypted(spec.edge(), &spec.order(0).effect)?;
        debt::radius(spec.edge(), topology)
    }

    fn mechanism(_spec: &S) -> String {
        "proxy".to_owned()
    }

    async fn arm(&self, cx: &Cx<'_>, spec: &S) -> Result<ProxyDebt, FaultError> {
        debt::arm(cx, spec.edge()).await
    }

    fn touched(_spec: &S, undo: &ProxyDebt, _topology: &Topology) -> Touched {
        Touched::edges([undo.edge.to_string()])
    }

    async fn inject(
        &self,
        cx: &Cx<'_>,
        spec: &S,
        undo: &ProxyDebt,
    ) -> Result<Option<ProxyDebt>, FaultError> {
        undo.inject(cx, spec.order(undo.seed())).await.map(|()| None)
    }

    async fn verify(&self, cx: &Cx<'_>, spec: &S, undo: &ProxyDebt) -> Result<Effect, FaultError> {
        undo.verify(cx, &spec.order(undo.seed())).await
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
    use harness_core::fault::DynInjector;
    use serde_json::{Value, json};

    use super::*;
    use crate::lab::lab_kind;
    use crate::proxy::{BrownOutSpec, HttpErrorSpec, HttpLatencySpec, LatencySpec, OutageSpec};

    fn planned<S: EdgeSpec>(edge: &str, mut spec: Value) -> Result<BlastRadius, FaultError> {
        spec["edge"] = json!(edge);
        let injector: &dyn DynInjector = &EdgeFault::<S>::INJECTOR;
        let spec = injector.check(&spec).unwrap();
        injector.blast_radius(&spec, &lab_kind(Vec::new()).declared["shop"])
    }

    #[test]
    fn what_acts_on_requests_is_refused_where_they_are_encrypted() {
        let each = |edge: &str| {
            [
                planned::<HttpErrorSpec>(edge, json!({})),
                planned::<HttpLatencySpec>(edge, json!({"delay": "100ms"})),
                planned::<BrownOutSpec>(edge, json!({"delay": "100ms"})),
                planned::<OutageSpec>(edge, json!({"mode": "status"})),
            ]
        };
        for refused in each("alerter->pager") {
            assert!(matches!(refused, Err(FaultError::Unavailable { .. })), "{refused:?}");
        }
        assert!(each("checkout->payments").iter().all(Result::is_ok));
        assert!(planned::<OutageSpec>("alerter->pager", json!({"mode": "reset"})).is_ok());
        assert!(planned::<LatencySpec>("alerter->pager", json!({"delay": "100ms"})).is_ok());
    }
}
