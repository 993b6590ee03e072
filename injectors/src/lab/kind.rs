//! What the language may say about the lab, known without starting it.

use std::collections::BTreeMap;

use harness_core::fault::{BlastRadius, FaultError};
use harness_core::ids::{EdgeName, ServiceName};
use harness_core::system::{DefectKind, SystemKind};
use harness_core::topology::{Edge, Instance, Service, Topology};

use crate::targets::Targets;

/// Services of `lab/shop` with their replicas, in the order of their names.
const SERVICES: [(&str, usize); 12] = [
    ("alerter", 1),
    ("cap", 1),
    ("checkout", 3),
    ("collector", 1),
    ("edge", 1),
    ("jobs", 1),
    ("meter", 1),
    ("pager", 1),
    ("payments", 1),
    ("store", 1),
    ("supervisor", 1),
    ("worker", 1),
];

/// Edges of `lab/shop`, in the order of their names.
const EDGES: [(&str, &str); 14] = [
    ("alerter", "pager"),
    ("cap", "jobs"),
    ("cap", "meter"),
    ("checkout", "payments"),
    ("checkout", "store"),
    ("collector", "checkout"),
    ("collector", "edge"),
    ("collector", "payments"),
    ("collector", "store"),
    ("collector", "worker"),
    ("edge", "checkout"),
    ("meter", "jobs"),
    ("worker", "payments"),
    ("worker", "store"),
];

/// The lab as a kind of system; `defects` are those that the linked lab knows.
pub fn lab_kind(defects: Vec<DefectKind>) -> SystemKind {
    SystemKind {
        key: super::LAB,
        declared: BTreeMap::from([("shop".to_owned(), shop())]),
        defects,
        disposable: true,
    }
}

/// The edges on which TLS is spoken, so that nobody in between reads requests.
const ENCRYPTED: [&str; 1] = ["alerter->pager"];

/// Whether TLS is spoken on an edge.
pub(crate) fn is_encrypted(edge: &EdgeName) -> bool {
    ENCRYPTED.contains(&edge.as_str())
}

/// The service that gameday itself acts through: without it nothing could be put back.
const CONTROL: &str = "supervisor";

/// Refuses a fault on what gameday itself needs.
pub(crate) fn refuse_control(service: &ServiceName) -> Result<(), FaultError> {
    if service.as_str() != CONTROL {
        return Ok(());
    }
    Err(FaultError::Conflict {
        what: CONTROL.to_owned(),
        why: "gameday itself acts through it, and could put nothing back without it".to_owned(),
    })
}

/// What a fault on instances of the lab touches.
pub(crate) fn radius(
    targets: &Targets<'_>,
    topology: &Topology,
) -> Result<BlastRadius, FaultError> {
    refuse_control(targets.service)?;
    targets.radius(topology)
}

/// The labels of everything that belongs to a service of the shop.
pub(crate) fn labels(service: &str) -> BTreeMap<String, String> {
    [("app", service), ("system", "shop")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

fn shop() -> Topology {
    let service = |(name, replicas): (&str, usize)| Service {
        name: name.into(),
        labels: labels(name),
        instances: (0..replicas)
            .map(|slot| Instance {
                name: format!("{name}-{slot}"),
                uid: None,
                address: None,
                process: None,
                ready: false,
            })
            .collect(),
    };
    let edge = |(caller, callee): (&str, &str)| Edge {
        name: format!("{caller}->{callee}").as_str().into(),
        caller: caller.to_owned(),
        callee: callee.into(),
        addresses: Vec::new(),
        interposable: true,
    };
    Topology {
        services: SERVICES.into_iter().map(service).collect(),
        edges: EDGES.into_iter().map(edge).collect(),
        ..Topology::default()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::targets::Which;

    #[test]
    fn what_gameday_itself_acts_through_is_no_target() {
        let service = ServiceName::from(CONTROL);
        let targets = Targets { service: &service, count: NonZeroU32::MIN, which: Which::Random };
        assert!(matches!(radius(&targets, &shop()), Err(FaultError::Conflict { .. })));
    }

    #[test]
    fn the_declared_shop_is_in_order_and_names_only_itself() {
        let shop = shop();
        assert!(shop.services.is_sorted_by(|a, b| a.name < b.name));
        assert!(shop.edges.is_sorted_by(|a, b| a.name < b.name));
        for edge in &shop.edges {
            assert!(shop.service(&edge.callee).is_some(), "{}", edge.name);
            assert!(shop.service(&edge.caller.as_str().into()).is_some(), "{}", edge.name);
        }
        assert_eq!(shop.edges.iter().filter(|edge| is_encrypted(&edge.name)).count(), 1);
        assert_eq!(shop.declared(), shop);
        assert_eq!(shop.instances_total(), 14);
    }
}
