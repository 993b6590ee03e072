//! What the faults on roles of the lab have in common: how a role is asked, and told.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use harness_core::fault::{BlastRadius, FaultError, Touched};
use harness_core::ids::ServiceName;
use harness_core::topology::{Instance, ProcessIdentity, Service, Topology};
use harness_core::units::Duration;
use hyper::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::encoded;
use crate::http::{Address, Answer, CallError, call};
use crate::process::{Presence, presence};
use crate::targets::{Targets, Which};

/// The service that runs jobs, and the control that starts them.
pub(super) const JOBS: &str = "jobs";
/// The service that tells what is spent, and its control.
pub(super) const METER: &str = "meter";
/// Sums of the meter that are older say nothing of now.
const STALE_MS: u64 = 1_000;

/// One interface of the lab, and whether the lab is there at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabControl {
    /// `127.0.0.1:4711`.
    address: String,
    /// The lab's supervisor, where the system tells it: when it is gone, the whole lab is.
    supervisor: Option<ProcessIdentity>,
}

/// What `GET /api/spend` tells, as far as it is read. Money is in millionths.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spend {
    pub(super) currency: String,
    as_of_us: Option<u64>,
    age_ms: u64,
    pub(super) prices: Prices,
    services: BTreeMap<String, u64>,
    pub(super) jobs: BTreeMap<String, u64>,
}

/// The price list in force.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Prices {
    job_second_micro: u64,
    percent: u64,
}

impl Prices {
    /// What a second of one job costs now, in millionths.
    pub(super) fn job_second(&self) -> u64 {
        self.job_second_micro.saturating_mul(self.percent) / 100
    }
}

impl Spend {
    /// When the sums were true, in microseconds of the meter's clock, and what the services have
    /// cost by then.
    pub(super) fn services(&self) -> Option<(u64, u64)> {
        let as_of = self.as_of_us.filter(|_| self.age_ms <= STALE_MS)?;
        Some((as_of, self.services.values().sum()))
    }

    /// Whether the sums are of now.
    pub(super) fn is_fresh(&self) -> bool {
        self.as_of_us.is_some() && self.age_ms <= STALE_MS
    }
}

/// The blast radius of a fault on the one instance of a service that takes its orders.
pub(super) fn radius(service: &str, topology: &Topology) -> Result<BlastRadius, FaultError> {
    let service = &ServiceName::from(service);
    Targets { service, count: NonZeroU32::MIN, which: Which::First }.radius(topology)
}

impl LabControl {
    /// The interface under which the system names this control.
    pub(super) fn of(control: &str, topology: &Topology) -> Result<Self, FaultError> {
        let address = topology.controls.get(control).filter(|address| !address.is_empty());
        let address = address.ok_or_else(|| FaultError::Unavailable {
            mechanism: control.to_owned(),
            why: "the system names none".to_owned(),
        })?;
        let supervisor = topology
            .service(&"supervisor".into())
            .and_then(|service| service.instances.first()?.process.clone());
        Ok(Self { address: address.clone(), supervisor })
    }

    /// What an order to it touches: the instance of the service whose control it is.
    pub(super) fn touched(&self, topology: &Topology) -> Touched {
        let is_it = |service: &Service, _: &Instance| {
            topology.controls.get(service.name.as_str()) == Some(&self.address)
        };
        let path = topology.path_where(is_it);
        Touched::instances([path.unwrap_or_else(|| self.address.clone())])
    }

    /// Where it listens.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Without its supervisor nothing of a lab is left: its processes die with it.
    pub(super) fn is_lab_gone(&self) -> bool {
        self.supervisor.as_ref().is_some_and(|it| presence(it) == Presence::Gone)
    }

    /// What is spent.
    pub(super) async fn spend(&self, within: Duration) -> Result<Spend, FaultError> {
        let answer = self.send(Method::GET, "/api/spend", None, within).await;
        read("read the meter", answer)
    }

    /// What its metrics say, as text.
    pub(super) async fn metrics(&self, within: Duration) -> Result<String, FaultError> {
        metrics(&self.address, within).await
    }

    /// Asks for something under a name.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        action: &str,
        (path, key, name): (&str, &str, &str),
        within: Duration,
    ) -> Result<T, FaultError> {
        self.get_at(action, &format!("{path}?{key}={}", encoded(name)), within).await
    }

    /// Asks for what is at a path, its query included.
    pub(super) async fn get_at<T: DeserializeOwned>(
        &self,
        action: &str,
        path: &str,
        within: Duration,
    ) -> Result<T, FaultError> {
        read(action, self.send(Method::GET, path, None, within).await)
    }

    /// Sends something.
    pub(super) async fn put(
        &self,
        action: &str,
        (method, path): (Method, &str),
        body: &Value,
        within: Duration,
    ) -> Result<(), FaultError> {
        let answer = self.send(method, path, Some(body), within).await;
        read::<Value>(action, answer).map(|_| ())
    }

    /// Takes something back by its name; `None` when there is no lab any more.
    pub(super) async fn take_back<T: DeserializeOwned>(
        &self,
        action: &str,
        (path, key, name): (&str, &str, &str),
        within: Duration,
    ) -> Result<Option<T>, FaultError> {
        let path = format!("{path}?{key}={}", encoded(name));
        match self.send(Method::DELETE, &path, None, within).await {
            Err(_) if self.is_lab_gone() => Ok(None),
            answer => read(action, answer).map(Some),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        within: Duration,
    ) -> Result<Answer, CallError> {
        call(&Address::Tcp(self.address.clone()), method, path, body, within).await
    }
}

/// The metrics of a service at an address, as text.
pub(super) async fn metrics(address: &str, within: Duration) -> Result<String, FaultError> {
    let failed =
        |why: String| FaultError::Failed { action: format!("read the metrics at {address}"), why };
    let at = Address::Tcp(address.to_owned());
    let answer = call(&at, Method::GET, "/metrics", None, within).await;
    let answer = answer.map_err(|error| failed(error.to_string()))?;
    if !answer.is_success() {
        return Err(failed(answer.summary()));
    }
    String::from_utf8(answer.body.to_vec()).map_err(|error| failed(error.to_string()))
}

fn read<T: DeserializeOwned>(
    action: &str,
    answer: Result<Answer, CallError>,
) -> Result<T, FaultError> {
    let failed = |why: String| FaultError::Failed { action: action.to_owned(), why };
    let answer = answer.map_err(|error| failed(error.to_string()))?;
    match answer.status {
        200..=299 => answer.json().map_err(|error| failed(error.to_string())),
        409 => Err(FaultError::Conflict { what: action.to_owned(), why: answer.summary() }),
        _ => Err(failed(answer.summary())),
    }
}
