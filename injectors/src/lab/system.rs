//! The `System` port for a lab: topology, steady state, reset and orders over its HTTP interface.

use std::collections::BTreeMap;

use harness_core::system::{BoxFuture, Processed, Steadiness, System, SystemError};
use harness_core::topology::{Edge, Instance, ProcessIdentity, Service, Topology};
use harness_core::units::Duration;
use hyper::Method;

use super::client::{LAB_FORMAT, LabClient, LabDocument, LabPod, Ranges, Steady, authority};
use crate::http::encoded;

/// The control under which the system tells where the certificate of its authority lies.
pub(super) const AUTHORITY: &str = "authority";

/// A lab that runs.
#[derive(Debug, Clone)]
pub struct LabSystem {
    supervisor: LabClient,
    store: LabClient,
}

impl LabSystem {
    pub(crate) fn new(document: &LabDocument) -> Self {
        let endpoint =
            |name: &str| LabClient::new(document.endpoints.get(name).map_or("", String::as_str));
        Self { supervisor: endpoint("supervisor"), store: endpoint("store") }
    }
}

impl System for LabSystem {
    fn topology(&self, deadline: Duration) -> BoxFuture<'_, Result<Topology, SystemError>> {
        Box::pin(async move {
            let ask = self.supervisor.ask::<LabDocument>(
                "read the topology",
                Method::GET,
                "/api/topology",
                &[200],
                deadline,
            );
            let document = ask.await?;
            if document.format != LAB_FORMAT {
                return Err(SystemError::Unreachable {
                    action: "read the topology",
                    address: self.supervisor.address().to_owned(),
                    why: format!("it speaks `{}`, this is {LAB_FORMAT}", document.format),
                });
            }
            Ok(topology(&document))
        })
    }

    fn reset(&self, deadline: Duration) -> BoxFuture<'_, Result<(), SystemError>> {
        Box::pin(async move {
            // 503 means that it was reset and is not steady yet.
            let statuses = [200, 503];
            let ask = self.supervisor.ask::<Steady>(
                "reset the lab",
                Method::POST,
                "/api/reset",
                &statuses,
                deadline,
            );
            ask.await.map(|_| ())
        })
    }

    fn steadiness(&self, deadline: Duration) -> BoxFuture<'_, Result<Steadiness, SystemError>> {
        Box::pin(async move {
            let ask = self.supervisor.ask::<Steady>(
                "ask for the steady state",
                Method::GET,
                "/api/steady",
                &[200, 503],
                deadline,
            );
            let steady = ask.await?;
            if steady.ready {
                return Ok(Steadiness::Steady);
            }
            let missing = if steady.missing.is_empty() {
                vec!["the lab is not ready and does not say why".to_owned()]
            } else {
                steady.missing
            };
            Ok(Steadiness::Missing(missing))
        })
    }

    fn processed<'a>(
        &'a self,
        prefix: &'a str,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Processed, SystemError>> {
        Box::pin(async move {
            let path = format!("/orders/ranges?prefix={}", encoded(prefix));
            let ask =
                self.store.ask::<Ranges>("ask for orders", Method::GET, &path, &[200], deadline);
            let Ranges { stored, processed_twice, pending } = ask.await?;
            Ok(Processed { stored, pending, repeated: processed_twice })
        })
    }
}

/// The lab's document as a topology.
pub(crate) fn topology(document: &LabDocument) -> Topology {
    let mut services: Vec<Service> = document
        .deployments
        .iter()
        .map(|deployment| {
            let addresses = document.services.iter().find(|one| one.name == deployment.name);
            let instances = (0..deployment.replicas).map(|slot| {
                let pod = document
                    .pods
                    .iter()
                    .find(|pod| pod.deployment == deployment.name && pod.slot == slot);
                let address = addresses.and_then(|one| one.addresses.get(slot)).cloned();
                instance(&deployment.name, slot, address, pod, &document.boot_id)
            });
            Service {
                name: deployment.name.as_str().into(),
                labels: deployment.labels.clone(),
                instances: instances.collect(),
            }
        })
        .collect();
    services.push(supervisor(document));
    services.sort_by(|a, b| a.name.cmp(&b.name));
    let mut edges: Vec<Edge> = document
        .edges
        .iter()
        .map(|edge| Edge {
            name: edge.name.as_str().into(),
            caller: edge.caller.clone(),
            callee: edge.callee.as_str().into(),
            addresses: edge.addresses.clone(),
            interposable: document.interposer.is_some() && edge.addresses != edge.upstreams,
        })
        .collect();
    edges.sort_by(|a, b| a.name.cmp(&b.name));
    let mut controls: BTreeMap<String, String> =
        document.endpoints.iter().map(|(name, url)| (name.clone(), authority(url))).collect();
    if document.interposer.is_some() {
        controls.insert("proxy".to_owned(), format!("{}/proxy.sock", document.state));
    }
    if let Some(authority) = &document.authority {
        controls.insert(AUTHORITY.to_owned(), authority.clone());
    }
    let entry = document.endpoints.get("edge").cloned().unwrap_or_default();
    Topology { entry, services, edges, controls }
}

fn instance(
    service: &str,
    slot: usize,
    address: Option<String>,
    pod: Option<&LabPod>,
    boot_id: &str,
) -> Instance {
    // A dead pod stays in the document until it is replaced.
    let living = pod.filter(|pod| pod.pid.is_some());
    let process = living.and_then(|pod| {
        let (pid, start_ticks) = (pod.pid?, pod.start_time?);
        Some(ProcessIdentity { boot_id: boot_id.to_owned(), pid, start_ticks })
    });
    Instance {
        name: format!("{service}-{slot}"),
        uid: living.map(|pod| pod.uid.clone()),
        address: living.map(|pod| pod.address.clone()).or(address),
        process,
        ready: living.is_some_and(|pod| pod.ready),
    }
}

/// The supervisor is no pod of its own; here it is an instance like the others.
fn supervisor(document: &LabDocument) -> Service {
    let LabDocument { boot_id, supervisor, .. } = document;
    let process = ProcessIdentity {
        boot_id: boot_id.clone(),
        pid: supervisor.pid,
        start_ticks: supervisor.start_time,
    };
    Service {
        name: "supervisor".into(),
        labels: super::kind::labels("supervisor"),
        instances: vec![Instance {
            name: "supervisor-0".to_owned(),
            uid: Some(format!("{}-{}", supervisor.pid, supervisor.start_time)),
            address: document.endpoints.get("supervisor").map(|url| authority(url)),
            process: Some(process),
            ready: true,
        }],
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A lab's document with one dead pod.
    pub(crate) fn document() -> Value {
        let labels = |app: &str| json!({"app": app, "system": "shop"});
        let pod = |deployment: &str, slot: u64, pid: Option<u64>, port: u64| {
            json!({
                "name": format!("{deployment}-x-{slot}"), "uid": format!("uid-{deployment}-{slot}"),
                "deployment": deployment, "slot": slot, "labels": labels(deployment),
                "phase": "Running", "ready": pid.is_some(), "restartPolicy": "Always",
                "restarts": 0, "lastState": null, "startedUnixMs": 1, "restartUnixMs": null,
                "pid": pid, "startTime": pid.map(|pid| pid * 10),
                "address": format!("127.0.0.1:{port}"),
            })
        };
        json!({
            "format": "gameday.lab/1", "system": "shop", "state": "/tmp/s", "bootId": "b",
            "started": {"unixMs": 1, "monotonicUs": 1},
            "supervisor": {"name": "supervisor", "pid": 7, "startTime": 70, "restarts": 0},
            "interposer": {"name": "interposer", "pid": 8, "startTime": 80, "restarts": 0},
            "endpoints": {
                "edge": "http://127.0.0.1:1", "store": "http://127.0.0.1:2",
                "supervisor": "http://127.0.0.1:3", "alerter": "http://127.0.0.1:4",
            },
            "deployments": [
                {"name": "payments", "labels": labels("payments"), "replicas": 1,
                 "readyReplicas": 1, "revision": 1},
                {"name": "checkout", "labels": labels("checkout"), "replicas": 2,
                 "readyReplicas": 1, "revision": 1},
            ],
            "services": [
                {"name": "checkout", "selector": {}, "addresses": ["127.0.0.1:10", "127.0.0.1:11"]},
                {"name": "payments", "selector": {}, "addresses": ["127.0.0.1:12"]},
            ],
            "pods": [
                pod("payments", 0, Some(20), 12), pod("checkout", 1, None, 11),
                pod("checkout", 0, Some(21), 10),
            ],
            "edges": [{
                "name": "checkout->payments", "caller": "checkout", "callee": "payments",
                "addresses": ["127.0.0.1:99"], "upstreams": ["127.0.0.1:12"],
            }],
            "authority": "/tmp/s/tls/ca.pem", "defects": [],
        })
    }

    #[test]
    fn the_document_becomes_a_topology() {
        let topology = topology(&serde_json::from_value(document()).unwrap());
        let names: Vec<_> = topology.services.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["checkout", "payments", "supervisor"]);
        let [alive, dead] = topology.services[0].instances.as_slice() else { panic!() };
        assert_eq!((alive.name.as_str(), alive.ready), ("checkout-0", true));
        let process = alive.process.as_ref().unwrap();
        assert_eq!((process.pid, process.start_ticks, process.boot_id.as_str()), (21, 210, "b"));
        assert_eq!((dead.name.as_str(), dead.ready), ("checkout-1", false));
        assert_eq!((dead.uid.as_ref(), dead.process.as_ref()), (None, None));
        assert_eq!(dead.address.as_deref(), Some("127.0.0.1:11"), "a slot keeps its address");
        assert_eq!(topology.entry, "http://127.0.0.1:1");
        assert_eq!(topology.controls["proxy"], "/tmp/s/proxy.sock");
        assert_eq!(topology.controls["alerter"], "127.0.0.1:4");
        assert_eq!(topology.controls["authority"], "/tmp/s/tls/ca.pem");
        assert!(topology.edges[0].interposable);
    }

    #[test]
    fn without_an_interposer_no_edge_can_be_stood_on() {
        let mut document = document();
        document["interposer"] = Value::Null;
        let topology = topology(&serde_json::from_value(document).unwrap());
        assert!(!topology.edges[0].interposable);
        assert!(!topology.controls.contains_key("proxy"));
    }

    #[test]
    fn a_lab_of_an_earlier_version_has_no_authority() {
        let mut document = document();
        document.as_object_mut().unwrap().remove("authority");
        let topology = topology(&serde_json::from_value(document).unwrap());
        assert!(!topology.controls.contains_key("authority"));
    }
}
