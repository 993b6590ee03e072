//! The injector of every kind of fault that is one table of `nft` rules in a named network
//! namespace.
//!
//! A kind says which rules there are and how they show; all else is here.

use std::marker::PhantomData;
use std::net::SocketAddrV4;
use std::sync::Arc;

use harness_core::fault::{
    BlastRadius, Cx, Effect, FaultEntry, FaultError, Injector, Requirement, Reversibility, Reverted,
};
use harness_core::topology::Topology;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::namespace::{Door, Namespace};
use super::nft::{Nft, Rule, script, table_name};
use super::packet_witness::{PacketWitness, Sight};
use super::place::Place;
use crate::mark;
use crate::program::{end_others, is_under_way};
use crate::proxy::Says;

/// The verb of an injection, in the environment of the programs that work on it.
const INJECT: &str = "inject";
/// Between two looks whether a killed program has ended.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(1);

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

impl PacketDebt {
    fn failed(&self, why: String) -> FaultError {
        let action = format!("change the packets in `{}`", self.namespace.name);
        FaultError::Failed { action, why }
    }

    fn door(&self) -> Result<Door, FaultError> {
        let gone = || FaultError::NoTarget {
            target: format!("network namespace `{}`", self.namespace.name),
        };
        self.namespace.reach().ok_or_else(gone)
    }
}

/// Kills what still injects this fault, and waits until it has ended.
async fn end_injections(cx: &Cx<'_>, name: &str) -> Result<(), FaultError> {
    let until = cx.clock.now() + cx.deadline;
    loop {
        end_others(name, INJECT);
        if !is_under_way(name, INJECT) {
            return Ok(());
        }
        if cx.clock.now() >= until {
            let action = "end an injection that was left".to_owned();
            return Err(FaultError::Failed { action, why: "it does not end".to_owned() });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
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

    fn mechanism(_spec: &S) -> String {
        "nftables".to_owned()
    }

    fn ready(spec: &S) -> Result<(), FaultError> {
        let name = spec.place().namespace;
        if Namespace::find(name)?.is_ours() {
            return Ok(());
        }
        Err(FaultError::NoTarget {
            target: format!(
                "network namespace `{name}` around this process; \
                 `ip netns exec {name} gameday run ...` begins a run in it"
            ),
        })
    }

    async fn arm(&self, cx: &Cx<'_>, spec: &S) -> Result<PacketDebt, FaultError> {
        let place = spec.place();
        let namespace = Namespace::find(place.namespace)?;
        let endpoints = place.endpoints(&namespace, cx.topology)?;
        let debt = PacketDebt { namespace, table: table_name(&cx.name()), endpoints };
        let door = debt.door()?;
        if (Nft { cx, door: &door, verb: "arm" }).has(&debt.table).await? {
            let what = format!("table {} of `{}`", debt.table, debt.namespace.name);
            return Err(FaultError::Conflict { what, why: "it is there already".to_owned() });
        }
        Ok(debt)
    }

    async fn inject(
        &self,
        cx: &Cx<'_>,
        spec: &S,
        undo: &PacketDebt,
    ) -> Result<Option<PacketDebt>, FaultError> {
        let name = cx.name();
        let late = || undo.failed("it was reverted before".to_owned());
        if mark::is_reverted(&name) {
            return Err(late());
        }
        let door = undo.door()?;
        let text = script(&undo.table, &undo.endpoints, &spec.rules());
        Nft { cx, door: &door, verb: INJECT }.make(&text).await?;
        // Somebody reverted while it was injecting: the engine will revert once more.
        if mark::is_reverted(&name) {
            return Err(late());
        }
        Ok(None)
    }

    async fn verify(&self, cx: &Cx<'_>, spec: &S, undo: &PacketDebt) -> Result<Effect, FaultError> {
        let Some(door) = undo.namespace.reach() else { return Ok(Effect::Absent) };
        let nft = Nft { cx, door: &door, verb: "verify" };
        let counted = nft.counted(&undo.table, undo.endpoints.len()).await?;
        // To the address, and from it.
        let whole = 2 * spec.rules().len();
        let in_place = counted.is_some_and(|all| all.iter().all(|one| one.rules == whole));
        Ok(if in_place { Effect::InPlace } else { Effect::Absent })
    }

    async fn revert(&self, cx: &Cx<'_>, undo: &PacketDebt) -> Result<Reverted, FaultError> {
        let name = cx.name();
        mark::reverted(&name)
            .map_err(|error| undo.failed(format!("could not mark it: {error}")))?;
        // An injection of a harness that died may still be under way.
        end_injections(cx, &name).await?;
        // Rules go with their namespace.
        let Some(door) = undo.namespace.reach() else { return Ok(Reverted::WasClean) };
        let nft = Nft { cx, door: &door, verb: "revert" };
        if !nft.has(&undo.table).await? {
            return Ok(Reverted::WasClean);
        }
        nft.delete(&undo.table).await?;
        Ok(Reverted::PutBack)
    }
}
