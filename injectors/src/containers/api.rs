//! The few questions and orders of the Docker-compatible API that are needed, each with a deadline.
//!
//! No version stands in a path: every engine answers by its own newest. Unknown fields and states
//! are let through, because engines differ (podman has states that Docker has not).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use harness_core::fault::FaultError;
use harness_core::system::SystemError;
use harness_core::topology::ProcessIdentity;
use harness_core::units::Duration;
use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::kernel;
use crate::http::{Address, Answer, CallError, call, encoded};

/// Addresses that are asked for, of one tie to a network, as engines call them.
const ADDRESSES: &str = "IPAMConfig";
/// The one of version 4 among them.
const ADDRESS: &str = "IPv4Address";

/// A container engine, by its Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Engine {
    socket: PathBuf,
}

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// There is no answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The answer is a refusal, or cannot be understood.
    #[error("{socket}: {said}")]
    Said {
        /// Which engine.
        socket: String,
        /// What it said.
        said: String,
    },
}

impl EngineError {
    /// As a step of a fault that failed.
    pub(crate) fn failed(&self, action: String) -> FaultError {
        FaultError::Failed { action, why: self.to_string() }
    }

    /// As a system that cannot be asked.
    pub(crate) fn unreachable(&self, action: &'static str, engine: &Engine) -> SystemError {
        let address = engine.socket.display().to_string();
        SystemError::Unreachable { action, address, why: self.to_string() }
    }
}

/// A container, as `inspect` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) state: State,
    /// How often its engine has started it again.
    #[serde(default)]
    pub(crate) restart_count: u64,
    #[serde(default)]
    pub(crate) host_config: HostConfig,
    #[serde(default)]
    network_settings: NetworkSettings,
}

/// Its state.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct State {
    /// `running`, `paused`, `exited`, ...; podman also has `stopped`.
    #[serde(default)]
    pub(crate) status: String,
    pub(crate) running: bool,
    pub(crate) paused: bool,
    /// Number of its main process on the engine's machine; 0 when there is none.
    pid: u32,
    pub(crate) started_at: String,
}

/// How it was made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HostConfig {
    #[serde(default)]
    network_mode: String,
    #[serde(default)]
    pub(crate) auto_remove: bool,
    #[serde(default)]
    pub(crate) restart_policy: RestartPolicy,
}

/// When its engine starts it again by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RestartPolicy {
    /// `always`, `unless-stopped`, `on-failure`; `no` or nothing for never.
    #[serde(default)]
    pub(crate) name: String,
    /// How often at most, where it is `on-failure`; 0 for ever.
    #[serde(default)]
    pub(crate) maximum_retry_count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    #[serde(default)]
    networks: Option<BTreeMap<String, Endpoint>>,
}

/// How a container was tied to a network: what must be known to tie it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Tie {
    /// The network's name.
    pub(crate) network: String,
    /// The container's address in it.
    pub(crate) address: String,
    /// Its hardware address, which its neighbours remember for a while; empty where none is told.
    pub(crate) hardware_address: String,
    /// The names that others find it by.
    pub(crate) aliases: Vec<String>,
    /// The length of the network's prefix, where the engine chose the address: it may choose
    /// another one in it. Nothing where somebody asked for this address, and this alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) prefix_bits: Option<u8>,
    /// What somebody asked for when it was tied, in the engine's own words.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(crate) asked: Map<String, Value>,
}

/// What a container is asked to get when it is tied to a network again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// The addresses that it had.
    Same,
    /// Whatever its engine gives it.
    Any,
}

/// How it is tied to one network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Endpoint {
    /// Empty while it does not run.
    #[serde(default, rename = "IPAddress")]
    pub(crate) address: String,
    #[serde(default, rename = "MacAddress")]
    hardware_address: String,
    /// Bits of the network's prefix; 0 where none is told.
    #[serde(default, rename = "IPPrefixLen")]
    prefix_bits: u8,
    #[serde(default)]
    aliases: Option<Vec<String>>,
    /// Addresses that somebody asked for. podman does not tell them.
    #[serde(default, rename = "IPAMConfig")]
    asked_addresses: Option<Map<String, Value>>,
    #[serde(default)]
    links: Option<Vec<String>>,
    #[serde(default)]
    driver_opts: Option<Map<String, Value>>,
    #[serde(default)]
    gw_priority: Option<i64>,
}

impl Endpoint {
    /// What somebody asked for, as the engine takes it again.
    fn asked(&self) -> Map<String, Value> {
        let map = |all: &Option<Map<String, Value>>| {
            all.clone().filter(|all| !all.is_empty()).map(Value::Object)
        };
        let links = self.links.clone().filter(|links| !links.is_empty());
        let all = [
            (ADDRESSES, map(&self.asked_addresses)),
            ("Links", links.map(Value::from)),
            ("DriverOpts", map(&self.driver_opts)),
            ("GwPriority", self.gw_priority.filter(|one| *one != 0).map(Value::from)),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }

    /// Whether somebody asked for its address.
    fn is_fixed(&self) -> bool {
        let asked = self.asked_addresses.as_ref().and_then(|all| all.get(ADDRESS));
        asked.and_then(Value::as_str).is_some_and(|address| !address.is_empty())
    }
}

impl Container {
    /// Whether it has a live process, frozen or not.
    pub(crate) fn is_up(&self) -> bool {
        self.state.running || self.state.paused
    }

    /// Its main process on this machine. `None` where there is none, or where the number is not
    /// this container's: the engine may run on another machine, behind a forwarded socket.
    pub(crate) fn process(&self) -> Option<ProcessIdentity> {
        kernel::process_of(self.state.pid, &self.id).filter(|_| self.is_up())
    }

    /// Whether it has no network of its own.
    pub(crate) fn is_on_host_network(&self) -> bool {
        self.host_config.network_mode == "host"
    }

    /// The networks that it is tied to, by name.
    pub(crate) fn networks(&self) -> impl Iterator<Item = (&String, &Endpoint)> {
        self.network_settings.networks.iter().flatten()
    }

    /// The same for a record. The short id is no name of its own: every engine adds it by itself.
    pub(crate) fn ties(&self) -> impl Iterator<Item = Tie> {
        self.networks().map(|(network, endpoint)| {
            let names = endpoint.aliases.iter().flatten();
            let aliases = names.filter(|name| !self.id.starts_with(name.as_str())).cloned();
            Tie {
                network: network.clone(),
                address: endpoint.address.clone(),
                hardware_address: endpoint.hardware_address.clone(),
                aliases: aliases.collect(),
                prefix_bits: Some(endpoint.prefix_bits)
                    .filter(|bits| (1..32).contains(bits) && !endpoint.is_fixed()),
                asked: endpoint.asked(),
            }
        })
    }

    /// Where it takes connections; `None` while it has no address.
    pub(crate) fn address(&self, port: u16) -> Option<String> {
        if self.is_on_host_network() {
            return Some(format!("127.0.0.1:{port}"));
        }
        let mut addresses = self.networks().map(|(_, endpoint)| &endpoint.address);
        addresses.find(|address| !address.is_empty()).map(|address| format!("{address}:{port}"))
    }
}

impl Engine {
    pub(crate) fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The container of this name or id; `None` when there is none.
    pub(crate) async fn inspect(
        &self,
        container: &str,
        within: Duration,
    ) -> Result<Option<Container>, EngineError> {
        let path = format!("/containers/{}/json", encoded(container));
        let answer = self.ask(Method::GET, &path, None, within).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        if !answer.is_success() {
            return Err(self.said(answer.summary()));
        }
        answer.json().map(Some).map_err(|error| self.said(error.to_string()))
    }

    /// Freezes its processes.
    pub(crate) async fn pause(&self, id: &str, within: Duration) -> Result<(), EngineError> {
        self.order(&format!("/containers/{}/pause", encoded(id)), None, within).await
    }

    /// Lets them go on.
    pub(crate) async fn unpause(&self, id: &str, within: Duration) -> Result<(), EngineError> {
        self.order(&format!("/containers/{}/unpause", encoded(id)), None, within).await
    }

    /// Stops it: the stop signal, and SIGKILL after so many seconds.
    pub(crate) async fn stop(
        &self,
        id: &str,
        grace_seconds: u8,
        within: Duration,
    ) -> Result<(), EngineError> {
        let path = format!("/containers/{}/stop?t={grace_seconds}", encoded(id));
        self.order(&path, None, within).await
    }

    /// Starts it again.
    pub(crate) async fn start(&self, id: &str, within: Duration) -> Result<(), EngineError> {
        self.order(&format!("/containers/{}/start", encoded(id)), None, within).await
    }

    /// Cuts it off from a network.
    pub(crate) async fn disconnect(
        &self,
        id: &str,
        network: &str,
        within: Duration,
    ) -> Result<(), EngineError> {
        let path = format!("/networks/{}/disconnect", encoded(network));
        self.order(&path, Some(json!({"Container": id, "Force": false})), within).await
    }

    /// Ties it to a network again.
    pub(crate) async fn connect(
        &self,
        id: &str,
        tie: &Tie,
        at: At,
        within: Duration,
    ) -> Result<(), EngineError> {
        let path = format!("/networks/{}/connect", encoded(&tie.network));
        let mut endpoint = Value::Object(tie.asked.clone());
        endpoint["Aliases"] = json!(tie.aliases);
        if at == At::Same {
            endpoint[ADDRESSES][ADDRESS] = tie.address.clone().into();
            if !tie.hardware_address.is_empty() {
                endpoint["MacAddress"] = tie.hardware_address.clone().into();
            }
        }
        let body = json!({"Container": id, "EndpointConfig": endpoint});
        self.order(&path, Some(body), within).await
    }

    async fn order(
        &self,
        path: &str,
        body: Option<Value>,
        within: Duration,
    ) -> Result<(), EngineError> {
        let answer = self.ask(Method::POST, path, body, within).await?;
        // 304: it is so already.
        if answer.is_success() || answer.status == 304 {
            return Ok(());
        }
        Err(self.said(answer.summary()))
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        within: Duration,
    ) -> Result<Answer, EngineError> {
        let address = Address::Unix(self.socket.clone());
        Ok(call(&address, method, path, body.as_ref(), within).await?)
    }

    fn said(&self, said: String) -> EngineError {
        EngineError::Said { socket: self.socket.display().to_string(), said }
    }
}

/// A container as tests write it.
#[cfg(test)]
pub(crate) fn container(change: impl FnOnce(&mut Value)) -> Container {
    let mut value = json!({
        "Id": "c0ffee", "Name": "/web-1",
        "State": {"Status": "running", "Running": true, "Paused": false, "Pid": 0,
                  "StartedAt": "2026-01-01T00:00:00Z"},
        "HostConfig": {"NetworkMode": "bridge", "AutoRemove": false,
                       "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}},
        "NetworkSettings": {"Networks": {"net1": {"IPAddress": "10.1.0.2", "Aliases": ["www"]}}},
    });
    change(&mut value);
    serde_json::from_value(value).expect("a container is written right")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_listens_on_its_own_address_or_on_the_hosts() {
        assert_eq!(container(|_| {}).address(80).as_deref(), Some("10.1.0.2:80"));
        let host = container(|c| c["HostConfig"]["NetworkMode"] = "host".into());
        assert_eq!(host.address(80).as_deref(), Some("127.0.0.1:80"));
        let none = container(|c| c["NetworkSettings"] = json!({"Networks": null}));
        assert_eq!(none.address(80), None);
        let down = container(|c| {
            c["NetworkSettings"]["Networks"]["net1"]["IPAddress"] = "".into();
        });
        assert_eq!(down.address(80), None);
    }

    #[tokio::test]
    async fn what_is_not_there_what_is_so_already_and_a_refusal_are_told_apart() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("api.sock");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let serve = async {
            let mut asked = Vec::new();
            for answer in ["404 Not Found", "304 Not Modified", "500 Oh No"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                asked.push(String::from_utf8(head).unwrap());
                let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            asked
        };
        let engine = Engine::new(&socket);
        let limit = Duration::from_secs(5);
        let ask = async {
            assert_eq!(engine.inspect("web/1", limit).await.unwrap(), None);
            engine.pause("c0ffee", limit).await.unwrap();
            let refused = engine.pause("c0ffee", limit).await.unwrap_err();
            assert!(matches!(refused, EngineError::Said { .. }), "{refused}");
        };
        let (asked, ()) = tokio::join!(serve, ask);
        assert!(asked[0].starts_with("GET /containers/web%2F1/json "), "{}", asked[0]);
        assert!(asked[1].starts_with("POST /containers/c0ffee/pause "), "{}", asked[1]);
    }

    #[test]
    fn a_process_that_is_not_the_containers_is_nobodys() {
        // The number of a live process, which no container engine has started.
        let own = std::process::id();
        let foreign = container(|c| c["State"]["Pid"] = own.into());
        assert_eq!(foreign.process(), None);
    }
}
