//! Where a fault on packets acts: a namespace, and in it the addresses of an edge or of a service.

use std::net::SocketAddrV4;

use harness_core::fault::{BlastRadius, FaultError, Hold, Touched};
use harness_core::ids::{EdgeName, ServiceName};
use harness_core::topology::{Edge, Instance, Service, Topology};
use harness_core::units::Ratio;

use super::namespace::{Namespace, NamespaceName};
use crate::lab::refuse_control;

/// A fault acts on so many addresses at most.
pub(super) const ENDPOINTS_MAX: usize = 8;

/// Those to and from a service; an edge has one fault at a time anyway.
pub(super) const PACKETS: Hold = Hold::Changed("the packets");

/// What packets are on their way to, or come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Toward<'a> {
    /// What the caller of an edge dials.
    Edge(&'a EdgeName),
    /// All instances of a service, whoever calls.
    Service(&'a ServiceName),
}

/// What a scenario says about the place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) namespace: &'a NamespaceName,
    pub(super) toward: Toward<'a>,
}

/// Either the one or the other must be written.
pub(super) fn one_of(
    edge: Option<&EdgeName>,
    service: Option<&ServiceName>,
) -> Result<(), &'static str> {
    match (edge, service) {
        (Some(_), None) | (None, Some(_)) => Ok(()),
        (None, None) => Err("nothing says what is cut off; write `edge` or `service`"),
        (Some(_), Some(_)) => Err("`edge` and `service` are both there; write one of them"),
    }
}

impl<'a> Place<'a> {
    /// The place of a specification that was checked.
    pub(super) fn of(
        namespace: &'a NamespaceName,
        edge: Option<&'a EdgeName>,
        service: Option<&'a ServiceName>,
    ) -> Self {
        let toward = match (edge, service) {
            (Some(edge), _) => Toward::Edge(edge),
            (None, Some(service)) => Toward::Service(service),
            (None, None) => unreachable!("checked when the specification was read"),
        };
        Self { namespace, toward }
    }

    pub(super) fn radius(&self, topology: &Topology) -> Result<BlastRadius, FaultError> {
        match self.toward {
            Toward::Edge(name) => {
                let edge = edge_of(name, topology)?;
                refuse_control(&edge.callee)?;
                let edges = vec![edge.name.as_str().to_owned()];
                Ok(BlastRadius { edges, ..BlastRadius::default() })
            }
            Toward::Service(name) => {
                let service = service_of(name, topology)?;
                refuse_control(&service.name)?;
                Ok(BlastRadius {
                    instances: service.instances.iter().map(|one| service.path_of(one)).collect(),
                    share: Some(Ratio::ONE),
                    ..BlastRadius::default()
                })
            }
        }
    }

    /// What the addresses of a record belong to: the edge or the instances that are meant; what
    /// belongs to neither stands by itself.
    pub(super) fn touched(&self, endpoints: &[SocketAddrV4], topology: &Topology) -> Touched {
        let mut touched = Touched::default();
        for endpoint in endpoints.iter().map(ToString::to_string) {
            let edge = match self.toward {
                Toward::Edge(name) => topology.edge(name),
                Toward::Service(_) => None,
            };
            let instance = |service: &Service, one: &Instance| match self.toward {
                Toward::Edge(_) => false,
                Toward::Service(name) => {
                    &service.name == name && one.address.as_ref() == Some(&endpoint)
                }
            };
            if let Some(edge) = edge.filter(|edge| edge.addresses.contains(&endpoint)) {
                touched.edges.insert(edge.name.to_string());
            } else {
                touched.instances.insert(topology.path_where(instance).unwrap_or(endpoint));
            }
        }
        touched
    }

    /// The addresses; each only once, and only when everybody concerned lives in the namespace.
    pub(super) fn endpoints(
        &self,
        namespace: &Namespace,
        topology: &Topology,
    ) -> Result<Vec<SocketAddrV4>, FaultError> {
        let (addresses, sides): (Vec<&str>, Vec<&Service>) = match self.toward {
            Toward::Edge(name) => {
                let edge = edge_of(name, topology)?;
                let called = service_of(&edge.callee, topology)?;
                // A caller may be no service of the system: then it is not known to us.
                let calling = topology.service(&edge.caller.as_str().into());
                let sides = [Some(called), calling].into_iter().flatten().collect();
                (edge.addresses.iter().map(String::as_str).collect(), sides)
            }
            Toward::Service(name) => {
                let service = service_of(name, topology)?;
                let known = service.instances.iter().filter_map(|one| one.address.as_deref());
                (known.collect(), vec![service])
            }
        };
        for service in sides {
            all_live_in(namespace, service)?;
        }
        let mut endpoints = Vec::new();
        for address in addresses {
            let endpoint = address.parse().map_err(|_| FaultError::NoTarget {
                target: format!("an IPv4 address and a port in `{address}`"),
            })?;
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        }
        if endpoints.is_empty() || endpoints.len() > ENDPOINTS_MAX {
            let target = format!("1 to {ENDPOINTS_MAX} addresses; there are {}", endpoints.len());
            return Err(FaultError::NoTarget { target });
        }
        Ok(endpoints)
    }
}

fn edge_of<'a>(name: &EdgeName, topology: &'a Topology) -> Result<&'a Edge, FaultError> {
    topology.edge(name).ok_or_else(|| FaultError::NoTarget {
        target: format!(
            "edge {name}; there are {}",
            topology.edges.iter().map(|edge| edge.name.as_str()).collect::<Vec<_>>().join(", ")
        ),
    })
}

fn service_of<'a>(name: &ServiceName, topology: &'a Topology) -> Result<&'a Service, FaultError> {
    topology.service(name).ok_or_else(|| FaultError::NoTarget {
        target: format!(
            "service {name}; there are {}",
            topology.services.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ")
        ),
    })
}

/// Another namespace has addresses of its own, which only look like those of the system.
fn all_live_in(namespace: &Namespace, service: &Service) -> Result<(), FaultError> {
    let missing = |target: String| FaultError::NoTarget { target };
    let living =
        || service.instances.iter().filter_map(|one| one.process.as_ref().map(|p| (one, p)));
    if living().next().is_none() {
        return Err(missing(format!("a process of {}", service.name)));
    }
    for (instance, process) in living() {
        let name = &namespace.name;
        let who = format!("process {} of {}", process.pid, instance.name);
        match namespace.holds(process) {
            Ok(true) => {}
            Ok(false) => {
                let how = format!("`ip netns exec {name} gameday lab up` starts a lab in it");
                return Err(missing(format!("{who} in the network namespace `{name}`; {how}")));
            }
            Err(why) => return Err(missing(format!("the network namespace of {who} ({why})"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::lab_kind;

    fn name(text: &str) -> NamespaceName {
        NamespaceName::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn the_radius_is_the_edge_or_the_whole_service() {
        let shop = lab_kind(Vec::new()).declared["shop"].clone();
        let namespace = name("gameday");
        let radius = |toward: Toward<'_>| Place { namespace: &namespace, toward }.radius(&shop);
        let edge = |text: &str| radius(Toward::Edge(&text.into()));
        let service = |text: &str| radius(Toward::Service(&text.into()));
        let one = edge("checkout->payments").unwrap();
        assert_eq!(one.edges, ["checkout->payments"]);
        assert!(one.instances.is_empty());
        let all = service("checkout").unwrap();
        assert_eq!((all.instances.len(), all.share), (3, Some(Ratio::ONE)));
        let own = service("supervisor");
        assert!(matches!(own, Err(FaultError::Conflict { .. })), "gameday acts through it");
        for unknown in [edge("checkout->till"), service("till")] {
            let error = unknown.unwrap_err().to_string();
            assert!(error.contains("there are"), "{error}");
        }
    }

    #[test]
    fn a_record_touches_what_its_addresses_belong_to() {
        let mut shop = lab_kind(Vec::new()).declared["shop"].clone();
        let namespace = name("gameday");
        let address = |port: u16| SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, port);
        for (slot, port) in [(0, 1), (1, 2), (2, 3)] {
            let checkout = shop.services.iter_mut().find(|one| one.name.as_str() == "checkout");
            checkout.unwrap().instances[slot].address = Some(address(port).to_string());
        }
        let edge = shop.edges.iter_mut().find(|one| one.name.as_str() == "edge->checkout");
        edge.unwrap().addresses = vec![address(4).to_string()];
        let touched = |toward: Toward<'_>, ports: &[u16]| {
            let endpoints: Vec<_> = ports.iter().map(|port| address(*port)).collect();
            let touched = Place { namespace: &namespace, toward }.touched(&endpoints, &shop);
            touched.instances.into_iter().chain(touched.edges).collect::<Vec<_>>()
        };
        let service = Toward::Service(&"checkout".into());
        assert_eq!(touched(service, &[1, 3]), ["checkout/checkout-0", "checkout/checkout-2"]);
        assert_eq!(touched(service, &[4]), ["127.0.0.1:4"], "the edge is not meant");
        let edge = Toward::Edge(&"edge->checkout".into());
        assert_eq!(touched(edge, &[4]), ["edge->checkout"]);
        assert_eq!(touched(edge, &[1, 4]), ["127.0.0.1:1", "edge->checkout"]);
    }

    #[test]
    fn exactly_one_goal_is_written() {
        let (edge, service) = ("a->b".into(), "b".into());
        assert!(one_of(Some(&edge), None).is_ok() && one_of(None, Some(&service)).is_ok());
        assert!(one_of(None, None).unwrap_err().contains("write `edge` or `service`"));
        assert!(one_of(Some(&edge), Some(&service)).unwrap_err().contains("one of them"));
    }
}
