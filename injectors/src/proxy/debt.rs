//! What all faults of the proxy have in common: their record, and the steps that only need it.

use harness_core::fault::{BlastRadius, Cx, Effect, FaultError, Reverted};
use harness_core::ids::EdgeName;
use harness_core::topology::{Edge, ProcessIdentity, Topology};
use harness_core::units::Duration;
use serde::{Deserialize, Serialize};

use super::client::{ProxyClient, Removal};
use super::wire::{FaultRequest, FaultState, NAME_BYTES_MAX, ProxyEffect, Pulse};
use crate::hash::hash;
use crate::process::{Presence, presence};

/// The name of the control under which a system tells its proxy's socket.
pub(crate) const CONTROL: &str = "proxy";

/// The undo record of a fault in the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProxyDebt {
    /// The proxy's control socket.
    pub socket: String,
    /// The proxy when the fault was armed.
    pub proxy: ProcessIdentity,
    /// The fault's name in the proxy; used by no other fault, ever.
    pub name: String,
    /// The edge.
    pub edge: EdgeName,
}

/// What the proxy is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What it does.
    pub effect: ProxyEffect,
    /// Where that comes and goes.
    pub pulse: Option<Pulse>,
}

impl From<ProxyEffect> for Order {
    fn from(effect: ProxyEffect) -> Self {
        Self { effect, pulse: None }
    }
}

/// The blast radius of a fault on one edge.
pub(crate) fn radius(edge: &EdgeName, topology: &Topology) -> Result<BlastRadius, FaultError> {
    let edge = edge_of(edge, topology)?;
    Ok(BlastRadius { edges: vec![edge.name.to_string()], ..BlastRadius::default() })
}

fn edge_of<'a>(edge: &EdgeName, topology: &'a Topology) -> Result<&'a Edge, FaultError> {
    let found = topology.edge(edge).ok_or_else(|| FaultError::NoTarget {
        target: format!(
            "edge {edge}; there are {}",
            topology.edges.iter().map(|edge| edge.name.as_str()).collect::<Vec<_>>().join(", ")
        ),
    })?;
    if found.interposable {
        return Ok(found);
    }
    Err(FaultError::Unavailable {
        mechanism: "proxy".to_owned(),
        why: format!("no proxy stands on {edge}"),
    })
}

/// The addresses that the caller of an edge dials.
pub(crate) fn addresses(edge: &EdgeName, topology: &Topology) -> Result<Vec<String>, FaultError> {
    let addresses = &edge_of(edge, topology)?.addresses;
    if addresses.is_empty() {
        return Err(FaultError::NoTarget { target: format!("an address of {edge}") });
    }
    Ok(addresses.clone())
}

/// Finds the proxy and derives the fault's name. Changes nothing.
pub(crate) async fn arm(cx: &Cx<'_>, edge: &EdgeName) -> Result<ProxyDebt, FaultError> {
    addresses(edge, cx.topology)?;
    let socket = cx.topology.controls.get(CONTROL).ok_or_else(|| FaultError::Unavailable {
        mechanism: "proxy".to_owned(),
        why: "the system names no proxy".to_owned(),
    })?;
    let client = ProxyClient::new(socket);
    let health = client.health(cx.deadline).await?;
    let faults = client.faults(cx.deadline).await?.faults;
    if let Some(other) =
        faults.iter().find(|fault| fault.state == FaultState::InForce && &fault.edge == edge)
    {
        return Err(FaultError::Conflict {
            what: edge.to_string(),
            why: format!("`{}` is in force there", other.name),
        });
    }
    Ok(ProxyDebt {
        socket: socket.clone(),
        proxy: ProcessIdentity {
            boot_id: health.boot_id,
            pid: health.pid,
            start_ticks: health.start_ticks,
        },
        name: name(&cx.name()),
        edge: edge.clone(),
    })
}

/// A name as one part of a path; two names stay two.
fn name(text: &str) -> String {
    let part = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        other => format!("~{other:02x}"),
    };
    let name: String = text.bytes().map(part).collect();
    assert!(name.len() <= NAME_BYTES_MAX, "runs and faults have short names");
    name
}

impl ProxyDebt {
    /// A number that differs from fault to fault, and is the same in every process.
    pub(crate) fn seed(&self) -> u64 {
        hash(&self.name)
    }

    fn client(&self) -> ProxyClient {
        ProxyClient::new(&self.socket)
    }

    /// This fault as one of several of the same fault of the plan.
    pub(crate) fn part(mut self, number: usize) -> Self {
        self.name = format!("{}.{number}", self.name);
        assert!(self.name.len() <= NAME_BYTES_MAX, "runs and faults have short names");
        self
    }

    /// Puts the fault in force.
    pub(crate) async fn inject(&self, cx: &Cx<'_>, order: Order) -> Result<(), FaultError> {
        let Order { effect, pulse } = order;
        let lease_ms = lease_ms(cx.lease);
        let request = FaultRequest { edge: self.edge.clone(), effect, pulse, lease_ms };
        self.client().put(&self.name, &request, cx.deadline).await
    }

    /// Whether the proxy holds the fault, and every route of the edge carries it out.
    pub(crate) async fn verify(&self, cx: &Cx<'_>, order: &Order) -> Result<Effect, FaultError> {
        let client = self.client();
        let held = client.faults(cx.deadline).await?.faults.iter().any(|fault| {
            fault.name == self.name
                && fault.state == FaultState::InForce
                && fault.effect == order.effect
                && fault.pulse == order.pulse
        });
        if !held {
            return Ok(Effect::Absent);
        }
        if order.pulse.is_some() {
            // Whether it is in force at this very moment says nothing.
            return Ok(Effect::InPlace);
        }
        let routes = client.routes(cx.deadline).await?;
        let carried_out = routes
            .iter()
            .filter(|route| route.edge == self.edge)
            .all(|route| route.listening == (order.effect != ProxyEffect::Refuse));
        Ok(if carried_out { Effect::InPlace } else { Effect::Absent })
    }

    /// Extends the fault's lease in the proxy.
    pub(crate) async fn renew(&self, cx: &Cx<'_>) -> Result<(), FaultError> {
        self.client().renew(&self.name, cx.lease, cx.deadline).await
    }

    /// Puts the fault back.
    pub(crate) async fn revert(&self, cx: &Cx<'_>) -> Result<Reverted, FaultError> {
        let failed =
            |why: String| FaultError::Failed { action: format!("put {} back", self.edge), why };
        match self.client().remove(&self.name, cx.deadline).await? {
            Removal::Answered(removed) => match removed.pending {
                Some(why) => Err(failed(why)),
                None if removed.was == FaultState::InForce => Ok(Reverted::PutBack),
                // It ended by its own lease, or was never there.
                None => Ok(Reverted::WasClean),
            },
            // A fault lives only in the memory of its proxy, and a new one begins inert.
            Removal::NoProxy if presence(&self.proxy) == Presence::Gone => Ok(Reverted::WasClean),
            Removal::NoProxy => {
                Err(failed(format!("process {} lives but does not answer", self.proxy.pid)))
            }
        }
    }
}

/// A lease in milliseconds, rounded up, so that it is never zero.
fn lease_ms(lease: Duration) -> u64 {
    lease.micros().div_ceil(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parts_of_a_path_and_stay_distinct() {
        assert_eq!(name("20261122-a1-0-down"), "20261122-a1-0-down");
        assert_eq!(name("a/b c~"), "a~2fb~20c~7e");
    }

    #[test]
    fn a_lease_is_never_zero() {
        assert_eq!(lease_ms(Duration::from_micros(1)), 1);
        assert_eq!(lease_ms(Duration::from_secs(2)), 2000);
    }
}
