//! The injector of every kind of fault that is one order to a role of the lab: it holds under a
//! name until its lease ends, and the role ends it by itself then. A name that was taken back is
//! refused afterwards, so that an order which arrives late has no effect.
//!
//! A kind says to whom the order goes and what it is; all else is here.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use harness_core::fault::{
    BlastRadius, Cx, Effect, FaultEntry, FaultError, Hold, Injector, PROCESS, Reversibility,
    Reverted, Scope, Touched, Witness,
};
use harness_core::topology::Topology;
use hyper::Method;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::spend::{self, LabControl};
use crate::{LOOPBACK, PROC};

/// The undo record of such a kind: whom the order was given to, under which name, and what it is.
pub(crate) trait Leased: Serialize + DeserializeOwned + fmt::Debug + Send + Sync {
    /// Where orders are placed, asked for and taken back.
    const PATH: &'static str = "/-/orders";
    /// The parameter that names one.
    const NAME: &'static str = "name";

    /// To whom it is given.
    fn control(&self) -> &LabControl;
    /// Its name; used by no other fault, ever.
    fn name(&self) -> &str;
    /// What places it, but for the lease.
    fn body(&self) -> Value;
    /// Whether an answer says that it is in force, or was until it was taken back.
    fn holds(answer: &Value) -> bool {
        ["inForce", "wasInForce"].iter().any(|key| answer[*key] == true)
    }
    /// Waits, once it was taken back, until what it did is undone; a conflict where it is not ours
    /// to undo any more.
    fn settle(&self, _cx: &Cx<'_>) -> impl Future<Output = Result<(), FaultError>> + Send {
        std::future::ready(Ok(()))
    }
}

/// What a scenario says about such a fault.
pub(crate) trait LeasedSpec:
    Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static
{
    /// The name in scenarios.
    const KIND: &'static str;
    /// One line for lists.
    const SUMMARY: &'static str;
    /// The mechanism, in a word or two.
    const MECHANISM: &'static str;
    /// The service that takes the order, and the control of that name.
    const CONTROL: &'static str;
    /// What no other fault may change beside it: it is taken back by the role itself, unless said.
    const HOLDS: &'static [Hold] = &[Hold::Needed(PROCESS)];
    /// The undo record.
    type Order: Leased;

    /// Decides what the order is. Reads only.
    fn order(
        &self,
        cx: &Cx<'_>,
        control: LabControl,
        name: String,
    ) -> impl Future<Output = Result<Self::Order, FaultError>> + Send;
    /// What it touches: the role that takes the order, unless said.
    fn radius(&self, topology: &Topology) -> Result<BlastRadius, FaultError> {
        spend::radius(Self::CONTROL, topology)
    }
    /// What an order touches: the role that takes it, unless said.
    fn touched(order: &Self::Order, topology: &Topology) -> Touched {
        order.control().touched(topology)
    }
    /// Refuses what the topology does not have.
    fn check(&self, _topology: &Topology) -> Result<(), FaultError> {
        Ok(())
    }
}

/// The injector of one such kind.
pub(crate) struct LeasedFault<S>(PhantomData<fn() -> S>);

/// The registry's entry of a kind.
pub(super) fn entry<S: LeasedSpec>(witness: Arc<dyn Witness>) -> FaultEntry {
    let injector = Arc::new(LeasedFault::<S>::INJECTOR);
    FaultEntry { injector, witness, requires: vec![LOOPBACK, PROC] }
}

impl<S: LeasedSpec> LeasedFault<S> {
    /// The injector; it has no state of its own.
    pub(crate) const INJECTOR: Self = Self(PhantomData);

    async fn place(cx: &Cx<'_>, undo: &S::Order) -> Result<(), FaultError> {
        let mut body = undo.body();
        body["leaseMs"] = json!(cx.lease.micros().div_ceil(1000));
        let action = format!("give the order for {}", S::KIND);
        undo.control().put(&action, (Method::PUT, S::Order::PATH), &body, cx.deadline).await
    }
}

impl<S: LeasedSpec> Injector for LeasedFault<S> {
    const KIND: &'static str = S::KIND;
    const SUMMARY: &'static str = S::SUMMARY;
    const REVERSIBILITY: Reversibility = Reversibility::Reversible;
    // The order is known to its role alone.
    const SCOPE: Scope = Scope::WithinSystem;
    type Spec = S;
    type Undo = S::Order;

    fn blast_radius(spec: &S, topology: &Topology) -> Result<BlastRadius, FaultError> {
        spec.check(topology)?;
        spec.radius(topology)
    }

    fn holds(_spec: &Self::Spec) -> Vec<Hold> {
        S::HOLDS.to_vec()
    }

    fn mechanism(_spec: &S) -> String {
        S::MECHANISM.to_owned()
    }

    async fn arm(&self, cx: &Cx<'_>, spec: &S) -> Result<S::Order, FaultError> {
        spec.check(cx.topology)?;
        let control = LabControl::of(S::CONTROL, cx.topology)?;
        spec.order(cx, control, format!("gameday-{}", cx.name())).await
    }

    fn touched(_spec: &S, undo: &S::Order, topology: &Topology) -> Touched {
        <S as LeasedSpec>::touched(undo, topology)
    }

    async fn inject(
        &self,
        cx: &Cx<'_>,
        _spec: &S,
        undo: &S::Order,
    ) -> Result<Option<S::Order>, FaultError> {
        Self::place(cx, undo).await.map(|()| None)
    }

    async fn verify(&self, cx: &Cx<'_>, _spec: &S, undo: &S::Order) -> Result<Effect, FaultError> {
        let of = (S::Order::PATH, S::Order::NAME, undo.name());
        let action = format!("ask for the order for {}", S::KIND);
        let answer: Value = undo.control().get(&action, of, cx.deadline).await?;
        Ok(if S::Order::holds(&answer) { Effect::InPlace } else { Effect::Absent })
    }

    async fn renew(&self, cx: &Cx<'_>, undo: &S::Order) -> Result<(), FaultError> {
        // An order that was taken back is refused, so this cannot bring it into force again.
        Self::place(cx, undo).await
    }

    async fn revert(&self, cx: &Cx<'_>, undo: &S::Order) -> Result<Reverted, FaultError> {
        let of = (S::Order::PATH, S::Order::NAME, undo.name());
        let action = format!("take the order for {} back", S::KIND);
        let answer = undo.control().take_back::<Value>(&action, of, cx.deadline).await?;
        // Without an answer there is no lab any more, and nothing to put back in it.
        let Some(answer) = answer else { return Ok(Reverted::WasClean) };
        undo.settle(cx).await?;
        let was = S::Order::holds(&answer);
        Ok(if was { Reverted::PutBack } else { Reverted::WasClean })
    }
}
