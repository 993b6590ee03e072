//! The injector of every kind of fault that is one table of `nft` rules in a named network
//! namespace.
//!
//! A kind says which rules there are and how they show; all else is here.

use std::marker::PhantomData;
use std::net::SocketAddrV4;
use std::sync::Arc;

use harness_core::fault::{
    BlastRadius, Cx, Effect, FaultEntry, FaultError, Hold, Injector, Requirement, Reversibility,
    Reverted, Touched,
};
use harness_core::topology::Topology;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::inside::{self, INJECT, Inside};
use super::namespace::Namespace;
use super::nft::{Rule, script, table_name};
use super::packet_witness::{PacketWitness, Sight};
use super::place::{PACKETS, Place};
use crate::permit;
use crate::proxy::Says;

/// What a scenario says about a fault on packets, and what is done to them.
pub(crate) trait PacketSpec:
    Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static
{
    /// The name in scenarios.
    const KIND: &'static str;
    /// One line for lists.
    const SUMMARY: &'static str;
    /// How the witness looks, in a few words.
    const METHOD: &'static str;

    /// Where.
    fn place(&self) -> Place<'_>;
    /// The rules for each address.
    fn rules(&self) -> Vec<Rule>;
    /// How many requests a look makes at each address, each on a connection of its own.
    fn requests(&self) -> usize;
    /// How many connections a look only opens at each address.
    fn openings(&self) -> usize;
    /// What a look at one address says.
    fn says(&self, sight: &Sight) -> Says;
}

/// The undo record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PacketDebt {
    /// In which namespace.
    pub(super) namespace: Namespace,
    /// The table; used by no other fault, ever.
    pub(super) table: String,
    /// The addresses.
    pub(super) endpoints: Vec<SocketAddrV4>,
}

/// The injector of one such kind.
pub(crate) struct PacketFault<S>(PhantomData<fn() -> S>);

impl<S: PacketSpec> PacketFault<S> {
    /// The injector; it has no state of its own.
    pub(crate) const INJECTOR: Self = Self(PhantomData);
}

/// The registry's entry of a kind.
pub(super) fn entry<S: PacketSpec>(requires: Vec<Requirement>) -> FaultEntry {
    FaultEntry {
        injector: Arc::new(PacketFault::<S>::INJECTOR),
        witness: Arc::new(PacketWitness::<S>::WITNESS),
        requires,
    }
}

impl<S: PacketSpec> Injector for PacketFault<S> {
    const KIND: &'static str = S::KIND;
    const SUMMARY: &'static str = S::SUMMARY;
    const REVERSIBILITY: Reversibility = Reversibility::Reversible;
    type Spec = S;
    type Undo = PacketDebt;

    fn blast_radius(spec: &S, topology: &Topology) -> Result<BlastRadius, FaultError> {
        spec.place().radius(topology)
    }

    fn holds(_spec: &Self::Spec) -> Vec<Hold> {
        vec![PACKETS]
    }

    fn mechanism(_spec: &S) -> String {
        "nftables".to_owned()
    }

    fn ready(spec: &S) -> Result<(), FaultError> {
        inside::ready(spec.place().namespace)
    }

    async fn arm(&self, cx: &Cx<'_>, spec: &S) -> Result<PacketDebt, FaultError> {
        let place = spec.place();
        let namespace = Namespace::find(place.namespace)?;
        let endpoints = place.endpoints(&namespace, cx.topology)?;
        let debt = PacketDebt { namespace, table: table_name(&cx.name()), endpoints };
        let door = inside::door(&debt.namespace)?;
        if (Inside { cx, door: &door, verb: "arm" }).has(&debt.table).await? {
            let what = format!("table {} of `{}`", debt.table, debt.namespace.name);
            return Err(FaultError::Conflict { what, why: "it is there already".to_owned() });
        }
        permit::grant(&cx.name())?;
        Ok(debt)
    }

    fn touched(spec: &S, undo: &PacketDebt, topology: &Topology) -> Touched {
        spec.place().touched(&undo.endpoints, topology)
    }

    async fn inject(
        &self,
        cx: &Cx<'_>,
        spec: &S,
        undo: &PacketDebt,
    ) -> Result<Option<PacketDebt>, FaultError> {
        inside::refuse_late(cx, &undo.namespace)?;
        let door = inside::door(&undo.namespace)?;
        let text = script(&undo.table, &undo.endpoints, &spec.rules());
        Inside { cx, door: &door, verb: INJECT }.make(&text).await?;
        inside::refuse_late(cx, &undo.namespace).map(|()| None)
    }

    async fn verify(&self, cx: &Cx<'_>, spec: &S, undo: &PacketDebt) -> Result<Effect, FaultError> {
        let Some(door) = undo.namespace.reach() else { return Ok(Effect::Absent) };
        let nft = Inside { cx, door: &door, verb: "verify" };
        let counted = nft.counted(&undo.table, undo.endpoints.len()).await?;
        // To the address, and from it.
        let whole = 2 * spec.rules().len();
        let in_place = counted.is_some_and(|all| all.iter().all(|one| one.rules == whole));
        Ok(if in_place { Effect::InPlace } else { Effect::Absent })
    }

    async fn revert(&self, cx: &Cx<'_>, undo: &PacketDebt) -> Result<Reverted, FaultError> {
        inside::begin_revert(cx).await?;
        // Rules go with their namespace.
        let Some(door) = undo.namespace.reach() else { return Ok(Reverted::WasClean) };
        let nft = Inside { cx, door: &door, verb: "revert" };
        // Each question is a program of its own: it is asked only where nothing could be deleted.
        match nft.delete(&undo.table).await {
            Ok(()) => Ok(Reverted::PutBack),
            Err(error) if nft.has(&undo.table).await? => Err(error),
            Err(_) => Ok(Reverted::WasClean),
        }
    }
}
