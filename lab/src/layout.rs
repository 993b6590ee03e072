//! The fixed shape of `lab/shop`: services, their replicas, and the edges between them.
//!
//! Addresses are chosen once per lab by the supervisor and written to `<state>/layout.json`,
//! which every role reads at its start. A slot keeps its address over all restarts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::defects::Defects;

/// One deployment of the shop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServiceShape {
    pub(crate) name: &'static str,
    pub(crate) replicas: usize,
}

/// Every service with its replicas, in the order in which they start.
pub(crate) const SERVICES: [ServiceShape; 11] = [
    ServiceShape { name: "store", replicas: 1 },
    ServiceShape { name: "payments", replicas: 1 },
    ServiceShape { name: "checkout", replicas: 3 },
    ServiceShape { name: "worker", replicas: 1 },
    ServiceShape { name: "edge", replicas: 1 },
    ServiceShape { name: "collector", replicas: 1 },
    ServiceShape { name: "pager", replicas: 1 },
    ServiceShape { name: "alerter", replicas: 1 },
    ServiceShape { name: "jobs", replicas: 1 },
    ServiceShape { name: "meter", replicas: 1 },
    ServiceShape { name: "cap", replicas: 1 },
];

/// Every declared edge, caller first. A fault can interpose on each of them.
pub(crate) const EDGES: [(&str, &str); 14] = [
    ("edge", "checkout"),
    ("checkout", "payments"),
    ("checkout", "store"),
    ("worker", "payments"),
    ("worker", "store"),
    ("collector", "edge"),
    ("collector", "checkout"),
    ("collector", "payments"),
    ("collector", "store"),
    ("collector", "worker"),
    ("alerter", "pager"),
    ("meter", "jobs"),
    ("cap", "meter"),
    ("cap", "jobs"),
];

/// The name of an edge: `caller->callee`.
pub(crate) fn edge_name(from: &str, to: &str) -> String {
    format!("{from}->{to}")
}

/// One declared edge with its addresses, one per slot of the callee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// `caller->callee`.
    pub name: String,
    /// The service that calls.
    pub caller: String,
    /// The service that is called.
    pub callee: String,
    /// What the caller dials, by slot of the callee: the interposer's addresses where there is
    /// one, else the same as `upstreams`.
    pub addresses: Vec<SocketAddr>,
    /// Where the callee itself listens, by slot.
    pub upstreams: Vec<SocketAddr>,
}

/// What a role must know of the others; fixed while the lab lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Layout {
    /// Where the supervisor listens.
    pub(crate) supervisor: SocketAddr,
    /// Where each slot of each service listens.
    pub(crate) services: BTreeMap<String, Vec<SocketAddr>>,
    /// The declared edges, in the order of [`EDGES`].
    pub(crate) edges: Vec<Edge>,
    /// What is wrong with this lab.
    pub(crate) defects: Defects,
}

impl Layout {
    /// Where the layout of a lab lies.
    pub(crate) fn path(state: &Path) -> PathBuf {
        state.join("layout.json")
    }

    /// The direct addresses of a service, by slot.
    pub(crate) fn service(&self, name: &str) -> &[SocketAddr] {
        self.services.get(name).map_or(&[], Vec::as_slice)
    }

    /// The addresses that the service `from` dials to reach `to`, by slot.
    pub(crate) fn dial(&self, from: &str, to: &str) -> &[SocketAddr] {
        self.edges
            .iter()
            .find(|edge| edge.caller == from && edge.callee == to)
            .map_or(&[], |edge| edge.addresses.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edge_joins_two_services_that_exist() {
        let exists = |name: &str| SERVICES.iter().any(|service| service.name == name);
        for (caller, callee) in EDGES {
            assert!(exists(caller) && exists(callee), "{caller}->{callee}");
        }
    }
}
