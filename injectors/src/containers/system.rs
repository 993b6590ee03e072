//! The `System` and `Host` ports for containers that are there already: looked at through their
//! engine, never started, stopped or reset by a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::join_all;
use harness_core::plan::{ContainersPlan, SystemPlan};
use harness_core::system::{
    BoxFuture, Host, Opened, Processed, Steadiness, System, SystemError, SystemKind,
};
use harness_core::topology::{Instance, Service, Topology};
use harness_core::units::Duration;
use serde_json::Value;

use super::api::{Container, Engine};
use super::{CONTAINERS, ENGINE};

/// The kind of system; what there is, each scenario declares itself.
pub fn containers_kind() -> SystemKind {
    SystemKind {
        key: CONTAINERS,
        declared: BTreeMap::new(),
        defects: Vec::new(),
        disposable: false,
    }
}

/// Where an engine's socket is as a rule, the likeliest first.
pub fn well_known_sockets(user: u32) -> Vec<PathBuf> {
    [
        "/run/docker.sock".to_owned(),
        "/var/run/docker.sock".to_owned(),
        "/run/podman/podman.sock".to_owned(),
        format!("/run/user/{user}/podman/podman.sock"),
    ]
    .map(PathBuf::from)
    .into()
}

/// The socket that `DOCKER_HOST` names. `Err` says why it cannot be used.
pub fn socket_of(docker_host: &str) -> Result<PathBuf, String> {
    let path = docker_host.strip_prefix("unix://").filter(|path| path.starts_with('/'));
    path.map(PathBuf::from).ok_or_else(|| {
        format!(
            "DOCKER_HOST is `{docker_host}`: only `unix:///PATH` is spoken to, because faults \
             need the containers' processes on this machine"
        )
    })
}

/// Containers that run, or should.
#[derive(Debug, Clone)]
struct ContainerSystem {
    engine: Engine,
    plan: ContainersPlan,
    declared: Topology,
}

/// Attaches to containers.
#[derive(Debug, Clone)]
pub struct ContainerHost {
    system: ContainerSystem,
}

impl ContainerHost {
    /// The containers of a plan at this engine. `None` when the plan is about another system.
    pub fn new(socket: &Path, plan: &SystemPlan) -> Option<Self> {
        let system = ContainerSystem {
            engine: Engine::new(socket),
            plan: plan.containers.clone()?,
            declared: plan.topology.clone(),
        };
        Some(Self { system })
    }

    /// The containers' ids, by the names that the plan calls them. A container has several names.
    pub async fn ids(&self, deadline: Duration) -> Result<BTreeMap<String, String>, SystemError> {
        let found = self.system.open(deadline).await?;
        Ok(found.into_iter().map(|(name, container)| (name, container.id)).collect())
    }
}

impl ContainerSystem {
    /// Every declared container with what the engine says of it.
    async fn all(
        &self,
        action: &'static str,
        deadline: Duration,
    ) -> Result<BTreeMap<String, Option<Container>>, SystemError> {
        let names = self.declared.services.iter().flat_map(|service| &service.instances);
        let each = names.map(async |instance| {
            let found = self.engine.inspect(&instance.name, deadline).await;
            found
                .map(|found| (instance.name.clone(), found))
                .map_err(|error| error.unreachable(action, &self.engine))
        });
        join_all(each).await.into_iter().collect()
    }

    /// The same where each of them must be there.
    async fn open(&self, deadline: Duration) -> Result<BTreeMap<String, Container>, SystemError> {
        let action = "open the containers";
        let there = |(name, found): (String, Option<Container>)| match found {
            Some(container) => Ok((name, container)),
            None => Err(SystemError::Unreachable {
                action,
                address: self.engine.socket().display().to_string(),
                why: format!("there is no container {name}"),
            }),
        };
        self.all(action, deadline).await?.into_iter().map(there).collect()
    }

    fn live(&self, found: &BTreeMap<String, Option<Container>>) -> Topology {
        let service = |declared: &Service| {
            let port = self.plan.ports.get(&declared.name).copied().unwrap_or_default();
            let instance = |one: &Instance| {
                let container = found.get(&one.name).and_then(Option::as_ref);
                instance(&one.name, container, port)
            };
            Service {
                name: declared.name.clone(),
                labels: declared.labels.clone(),
                instances: declared.instances.iter().map(instance).collect(),
            }
        };
        Topology {
            entry: self.plan.entry.clone(),
            services: self.declared.services.iter().map(service).collect(),
            edges: Vec::new(),
            controls: [(ENGINE.to_owned(), self.engine.socket().display().to_string())].into(),
        }
    }
}

/// A container as an instance; ready when it runs, is not paused, and its process is known.
fn instance(name: &str, container: Option<&Container>, port: u16) -> Instance {
    let process = container.and_then(Container::process);
    let runs = container.is_some_and(|one| one.state.running && !one.state.paused);
    Instance {
        name: name.to_owned(),
        uid: container.map(|one| one.id.clone()),
        address: container.and_then(|one| one.address(port)),
        ready: runs && process.is_some(),
        process,
    }
}

/// What is missing of one container; `None` when nothing is.
fn missing(name: &str, container: Option<&Container>) -> Option<String> {
    let Some(container) = container else { return Some(format!("there is no container {name}")) };
    if container.state.paused {
        return Some(format!("the container {name} is paused"));
    }
    if !container.state.running {
        return Some(format!("the container {name} is {}", container.state.status));
    }
    let words = format!("the process of {name} is not on this machine, or not in its own cgroup");
    container.process().is_none().then_some(words)
}

impl System for ContainerSystem {
    fn topology(&self, deadline: Duration) -> BoxFuture<'_, Result<Topology, SystemError>> {
        Box::pin(async move {
            let found = self.all("read the topology", deadline).await?;
            Ok(self.live(&found))
        })
    }

    /// There is nothing that a run may reset: what it changed, its faults put back.
    fn reset(&self, _deadline: Duration) -> BoxFuture<'_, Result<(), SystemError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn steadiness(&self, deadline: Duration) -> BoxFuture<'_, Result<Steadiness, SystemError>> {
        Box::pin(async move {
            let found = self.all("ask for the steady state", deadline).await?;
            let missing: Vec<String> =
                found.iter().filter_map(|(name, one)| missing(name, one.as_ref())).collect();
            let is_steady = missing.is_empty();
            Ok(if is_steady { Steadiness::Steady } else { Steadiness::Missing(missing) })
        })
    }

    fn processed<'a>(
        &'a self,
        _prefix: &'a str,
        _deadline: Duration,
    ) -> BoxFuture<'a, Result<Processed, SystemError>> {
        let system = CONTAINERS.to_owned();
        let action = "tell which ids it stored";
        Box::pin(std::future::ready(Err(SystemError::Unsupported { system, action })))
    }
}

impl Host for ContainerHost {
    /// Nothing is started, so nothing is owed.
    fn record(&self) -> Option<Value> {
        None
    }

    fn open(&self, deadline: Duration) -> BoxFuture<'_, Result<Opened, SystemError>> {
        Box::pin(async move {
            let system = &self.system;
            let found = system.open(deadline).await?;
            let found = found.into_iter().map(|(name, one)| (name, Some(one))).collect();
            let topology = system.live(&found);
            Ok(Opened { system: Arc::new(system.clone()), topology })
        })
    }

    fn close<'a>(
        &'a self,
        _record: &'a Value,
        _deadline: Duration,
    ) -> BoxFuture<'a, Result<(), SystemError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn left_behind<'a>(
        &'a self,
        _record: &'a Value,
        _deadline: Duration,
    ) -> BoxFuture<'a, Result<Vec<String>, SystemError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::api::container;
    use super::*;

    #[test]
    fn only_a_socket_of_this_machine_is_taken() {
        let path = PathBuf::from("/run/podman/podman.sock");
        assert_eq!(socket_of("unix:///run/podman/podman.sock"), Ok(path));
        for other in ["tcp://10.0.0.1:2375", "ssh://host", "unix://run/x", ""] {
            assert!(socket_of(other).unwrap_err().contains("only `unix:///PATH`"), "{other}");
        }
    }

    #[test]
    fn what_is_not_steady_is_named() {
        assert_eq!(missing("a", None).unwrap(), "there is no container a");
        let paused = container(|c| c["State"]["Paused"] = true.into());
        assert_eq!(missing("a", Some(&paused)).unwrap(), "the container a is paused");
        let down = container(|c| {
            c["State"]["Running"] = false.into();
            c["State"]["Status"] = "exited".into();
        });
        assert_eq!(missing("a", Some(&down)).unwrap(), "the container a is exited");
        // It has no process here.
        assert!(missing("a", Some(&container(|_| {}))).unwrap().contains("not on this machine"));
        assert!(!instance("a", Some(&container(|_| {})), 80).ready);
    }
}
