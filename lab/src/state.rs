//! What a lab shows of itself: `<state>/lab.json` and `GET /api/topology` are the same document.
//!
//! The words are those of Kubernetes (deployment, replicas, revision, pod, uid, phase, restart
//! policy, service, event), because a Kubernetes-compatible API stands in front of it later.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::defects::Defects;
use crate::layout::Edge;
use crate::release::Release;

/// The format of `lab.json`; another number after the slash cannot be read.
pub const LAB_FORMAT: &str = "gameday.lab/1";

/// Labels of a deployment or pod.
pub type Labels = BTreeMap<String, String>;

/// A lab and everything in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabState {
    /// [`LAB_FORMAT`].
    pub format: String,
    /// The system's name: `shop`.
    pub system: String,
    /// The state directory.
    pub state: PathBuf,
    /// The boot in which the pids below mean something.
    pub boot_id: String,
    /// When the supervisor began.
    pub started: Moment,
    /// The process that owns all others.
    pub supervisor: ProcessRecord,
    /// The process that stands on the edges, if there is one.
    pub interposer: Option<ProcessRecord>,
    /// Where to ask what.
    pub endpoints: Endpoints,
    /// What should run.
    pub deployments: Vec<Deployment>,
    /// Stable addresses.
    pub services: Vec<Service>,
    /// What runs; the dead that are not replaced yet are in it.
    pub pods: Vec<Pod>,
    /// The declared connections.
    pub edges: Vec<Edge>,
    /// The certificate of who signs those of the lab, in PEM; labs of earlier versions have none.
    #[serde(default)]
    pub authority: Option<PathBuf>,
    /// What is wrong with this lab.
    pub defects: Defects,
}

/// One process outside the pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessRecord {
    /// `supervisor` or `interposer`.
    pub name: String,
    /// The process id.
    pub pid: u32,
    /// Field 22 of `/proc/<pid>/stat`: clock ticks after boot.
    pub start_time: u64,
    /// How often it was started again.
    pub restarts: u32,
}

/// Base URLs without a slash at the end; none of them leads through the interposer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// The public side of the shop: load goes here.
    pub edge: String,
    /// The metrics.
    pub collector: String,
    /// The alerts, pages and receivers.
    pub alerter: String,
    /// The orders.
    pub store: String,
    /// The charges.
    pub payments: String,
    /// The batch jobs.
    pub jobs: String,
    /// What was spent.
    pub meter: String,
    /// What the cost cap did.
    pub cap: String,
    /// The pages that arrived.
    pub pager: String,
    /// The topology, events, reset and steady state.
    pub supervisor: String,
}

/// A set of equal pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    /// The service's name.
    pub name: String,
    /// `app` is the name.
    pub labels: Labels,
    /// How many pods there should be.
    pub replicas: usize,
    /// How many are ready.
    pub ready_replicas: usize,
    /// Counts changes of the template, from 1.
    pub revision: u32,
    /// What a pod of it runs.
    pub pod_template: PodTemplate,
}

/// What a pod runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Part of each pod's name.
    pub hash: String,
    /// The arguments up to the pod's own.
    pub args: Vec<String>,
    /// When a dead pod is replaced.
    pub restart_policy: RestartPolicy,
}

/// When a dead pod is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// After a back-off, for ever.
    Always,
    /// Only when somebody asks for it: the defect `supervisor=off`.
    Never,
}

/// The stable address of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// The service's name.
    pub name: String,
    /// The labels of its pods.
    pub selector: Labels,
    /// Where each slot listens, over all restarts.
    pub addresses: Vec<SocketAddr>,
}

/// How far a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PodPhase {
    /// Started and not ready yet.
    Pending,
    /// Was ready at least once.
    Running,
    /// Ended; it stays until it is replaced.
    Failed,
}

/// One process of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// `<deployment>-<template hash>-<suffix>`.
    pub name: String,
    /// Unique over all pods of all labs.
    pub uid: String,
    /// Whose.
    pub deployment: String,
    /// Which replica, from 0; the address belongs to it.
    pub slot: usize,
    /// Those of the deployment.
    pub labels: Labels,
    /// How far it is.
    pub phase: PodPhase,
    /// Whether its last probes were answered.
    pub ready: bool,
    /// When it is replaced.
    pub restart_policy: RestartPolicy,
    /// How often this slot was started again.
    pub restarts: u32,
    /// How the one before it ended.
    pub last_state: Option<Termination>,
    /// When it was started, in Unix milliseconds.
    pub started_unix_ms: i64,
    /// When it will be replaced, in Unix milliseconds, while it backs off.
    pub restart_unix_ms: Option<i64>,
    /// Its process; none when it has ended.
    pub pid: Option<u32>,
    /// Field 22 of `/proc/<pid>/stat`: clock ticks after boot.
    pub start_time: Option<u64>,
    /// Where it listens.
    pub address: SocketAddr,
    /// The name of the release that it runs.
    #[serde(default = "first_release")]
    pub release: String,
}

fn first_release() -> String {
    Release::first().name
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Termination {
    /// The pod.
    pub pod: String,
    /// Its exit code, if it left by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// When, in Unix milliseconds.
    pub finished_unix_ms: i64,
}

/// Something that happened to an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventRecord {
    /// Counts from 1, without gaps.
    pub sequence: u64,
    /// When.
    pub at: Moment,
    /// `Normal` or `Warning`.
    pub kind: EventKind,
    /// One word, such as `Started`, `Ready`, `Unhealthy`, `Terminated`, `BackOff`.
    pub reason: String,
    /// `pod/<name>`, `deployment/<name>` or `lab`.
    pub object: String,
    /// One sentence.
    pub message: String,
}

/// How grave an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// As it should be.
    Normal,
    /// Not as it should be.
    Warning,
}

/// Whether a trial may start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steady {
    /// All pods ready, breakers closed, queues empty, no alert firing.
    pub ready: bool,
    /// What is not, one sentence each; empty exactly when ready.
    pub missing: Vec<String>,
}

impl LabState {
    /// Where the document of a lab lies.
    pub fn path(state: &Path) -> PathBuf {
        state.join("lab.json")
    }

    /// The edge named `caller->callee`.
    pub fn edge(&self, name: &str) -> Option<&Edge> {
        self.edges.iter().find(|edge| edge.name == name)
    }

    /// The pods of a deployment, by slot.
    pub fn pods_of<'a>(&'a self, deployment: &'a str) -> impl Iterator<Item = &'a Pod> {
        self.pods.iter().filter(move |pod| pod.deployment == deployment)
    }
}

/// Writes a JSON document so that a reader sees the old or the new one, never half of it.
pub(crate) fn write_document<T: Serialize>(path: &Path, value: &T) -> std::io::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    let fresh = path.with_extension("json.new");
    let mut file = fs::File::create(&fresh)?;
    file.write_all(&text)?;
    fs::rename(&fresh, path)
}
