//! What a system consists of: services with their instances, and the edges between them.
//!
//! The same type serves twice: *declared* (logical names only, no address, no process), which the
//! plan and the blast radius are computed from, and *live*, as a `System` reports it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{EdgeName, ServiceName};

/// A system's services and edges.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Topology {
    /// Base URL that load is sent to: `http://127.0.0.1:41234`. Empty when only declared.
    #[serde(default)]
    pub entry: String,
    /// In the order of their names.
    pub services: Vec<Service>,
    /// In the order of their names.
    pub edges: Vec<Edge>,
    /// Control addresses that injectors and signals of this kind of system know by name:
    /// `supervisor`, `proxy` (a Unix socket's path), `store`, `alerter`, `authority` (a
    /// certificate's path). Empty when only declared.
    #[serde(default)]
    pub controls: BTreeMap<String, String>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// Labels, as a Kubernetes workload carries them.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its instances, in the order of their slots; as many as it should have.
    pub instances: Vec<Instance>,
}

/// One instance (a pod) of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// The slot's name, stable over restarts: `checkout-0`.
    pub name: String,
    /// The identity of the present incarnation; `None` when only declared, or when it is down.
    #[serde(default)]
    pub uid: Option<String>,
    /// `127.0.0.1:4711`; `None` when only declared.
    #[serde(default)]
    pub address: Option<String>,
    /// The operating system's process, where the instance is one on this machine.
    #[serde(default)]
    pub process: Option<ProcessIdentity>,
    /// Ready for traffic, by the system's own word.
    #[serde(default)]
    pub ready: bool,
}

/// A process that cannot be taken for a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessIdentity {
    /// The boot that it belongs to: `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Process number.
    pub pid: u32,
    /// Start time in clock ticks since that boot: field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
}

/// A declared caller->dependency connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// `checkout->payments`.
    pub name: EdgeName,
    /// The side that opens the connection.
    pub caller: String,
    /// The service that answers.
    pub callee: ServiceName,
    /// The addresses that the caller dials, one per slot of the callee; empty when only declared.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Whether a fault can stand in the way of this edge.
    pub interposable: bool,
}

impl Service {
    /// An instance as plans name it: `service/slot`.
    pub fn path_of(&self, instance: &Instance) -> String {
        format!("{}/{}", self.name, instance.name)
    }
}

impl Topology {
    /// The path of the instance of which this is true, in plans: `service/slot`.
    pub fn path_where(&self, is_it: impl Fn(&Service, &Instance) -> bool) -> Option<String> {
        self.services.iter().find_map(|service| {
            let found = service.instances.iter().find(|instance| is_it(service, instance))?;
            Some(service.path_of(found))
        })
    }

    /// The service of this name.
    pub fn service(&self, name: &ServiceName) -> Option<&Service> {
        self.services.iter().find(|service| &service.name == name)
    }

    /// The edge of this name.
    pub fn edge(&self, name: &EdgeName) -> Option<&Edge> {
        self.edges.iter().find(|edge| &edge.name == name)
    }

    /// How many instances all services have together.
    pub fn instances_total(&self) -> usize {
        self.services.iter().map(|service| service.instances.len()).sum()
    }

    /// The same without everything that belongs to one machine and one moment.
    pub fn declared(&self) -> Self {
        let mut topology = self.clone();
        topology.entry.clear();
        topology.controls.clear();
        for instance in topology.services.iter_mut().flat_map(|s| s.instances.iter_mut()) {
            *instance = Instance {
                name: std::mem::take(&mut instance.name),
                uid: None,
                address: None,
                process: None,
                ready: false,
            };
        }
        for edge in &mut topology.edges {
            edge.addresses.clear();
        }
        topology
    }
}
