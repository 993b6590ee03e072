//! What the lab says about itself: its document and the answers of its supervisor and store.
//!
//! Only the fields that the harness needs are read; others may be added by the lab.

use std::collections::BTreeMap;

use harness_core::system::SystemError;
use harness_core::units::Duration;
use hyper::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::http::{Address, Answer, call};

/// The format of the lab's document; another number after the slash cannot be read.
pub(crate) const LAB_FORMAT: &str = "gameday.lab/1";

/// `lab.json`, and the answer to `GET /api/topology`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LabDocument {
    pub(crate) format: String,
    pub(crate) state: String,
    pub(crate) boot_id: String,
    pub(crate) supervisor: LabProcess,
    pub(crate) interposer: Option<LabProcess>,
    pub(crate) endpoints: BTreeMap<String, String>,
    pub(crate) deployments: Vec<LabDeployment>,
    pub(crate) services: Vec<LabService>,
    pub(crate) pods: Vec<LabPod>,
    pub(crate) edges: Vec<LabEdge>,
    /// The path of the certificate of who signs those of the lab; earlier labs had none.
    #[serde(default)]
    pub(crate) authority: Option<String>,
}

/// A process outside the pods.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LabProcess {
    pub(crate) pid: u32,
    pub(crate) start_time: u64,
}

/// A set of equal pods.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LabDeployment {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) replicas: usize,
}

/// The stable addresses of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LabService {
    pub(crate) name: String,
    pub(crate) addresses: Vec<String>,
}

/// One process of a deployment, dead or alive.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LabPod {
    pub(crate) uid: String,
    pub(crate) deployment: String,
    pub(crate) slot: usize,
    pub(crate) ready: bool,
    pub(crate) pid: Option<u32>,
    pub(crate) start_time: Option<u64>,
    pub(crate) address: String,
}

/// A declared connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LabEdge {
    pub(crate) name: String,
    pub(crate) caller: String,
    pub(crate) callee: String,
    pub(crate) addresses: Vec<String>,
    pub(crate) upstreams: Vec<String>,
}

/// The answer to `GET /api/pods`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Pods {
    pub(crate) pods: Vec<LabPod>,
}

/// The answer to `GET /api/steady` and to everything that waits for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Steady {
    pub(crate) ready: bool,
    pub(crate) missing: Vec<String>,
}

/// The answer to `GET /orders/ranges`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ranges {
    pub(crate) stored: Vec<(u64, u64)>,
    pub(crate) processed_twice: Vec<u64>,
    pub(crate) pending: Vec<(u64, u64)>,
}

/// One HTTP interface of the lab.
#[derive(Debug, Clone)]
pub(crate) struct LabClient {
    address: String,
}

impl LabClient {
    /// At `127.0.0.1:4711`, or at a base URL of it.
    pub(crate) fn new(address: &str) -> Self {
        Self { address: authority(address) }
    }

    /// `127.0.0.1:4711`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Asks and reads a JSON answer of any of these statuses.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        action: &'static str,
        method: Method,
        path: &str,
        statuses: &[u16],
        within: Duration,
    ) -> Result<T, SystemError> {
        let failed =
            |why: String| SystemError::Unreachable { action, address: self.address.clone(), why };
        let address = Address::Tcp(self.address.clone());
        let answer: Answer =
            call(&address, method, path, None, within).await.map_err(|e| failed(e.to_string()))?;
        if !statuses.contains(&answer.status) {
            return Err(failed(answer.summary()));
        }
        answer.json().map_err(|error| failed(error.to_string()))
    }

    /// All pods.
    pub(crate) async fn pods(&self, within: Duration) -> Result<Vec<LabPod>, SystemError> {
        let ask = self.ask::<Pods>("list the pods", Method::GET, "/api/pods", &[200], within);
        Ok(ask.await?.pods)
    }

    /// Brings the missing replicas of a deployment back, and waits for them.
    pub(crate) async fn restore(
        &self,
        deployment: &str,
        within: Duration,
    ) -> Result<Steady, SystemError> {
        let path = format!("/api/deployments/{deployment}/restore");
        self.ask("restore the deployment", Method::POST, &path, &[200, 503], within).await
    }
}

/// The host and port of a base URL.
pub(crate) fn authority(url: &str) -> String {
    url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/').to_owned()
}
