//! The port to the system under test: what it is, whether it is steady, how it is reset.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::topology::Topology;
use crate::units::Duration;

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whether a system is in its steady state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Steadiness {
    /// All that the system itself can tell is as it should be.
    Steady,
    /// Something is missing.
    Missing(Vec<String>),
}

/// What was stored for the ids of one trial, as the system itself tells it. Sequence numbers are
/// those that the load gave to its requests; ranges are inclusive and ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Processed {
    /// Ids that are there.
    pub stored: Vec<(u64, u64)>,
    /// Ids that are there but whose work is not finished.
    pub pending: Vec<(u64, u64)>,
    /// Ids whose work was done more than once, ascending.
    pub repeated: Vec<u64>,
}

/// Why a system could not be asked, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// It did not answer, or answered what cannot be understood.
    #[error("could not {action} at {address}: {why}")]
    Unreachable {
        /// What was tried: `read the topology`.
        action: &'static str,
        /// Where.
        address: String,
        /// What came instead.
        why: String,
    },
    /// It cannot do that at all.
    #[error("{system} cannot {action}")]
    Unsupported {
        /// Which kind of system.
        system: String,
        /// What was asked.
        action: &'static str,
    },
}

/// A system under test. Every call ends within its deadline, whatever the system does.
pub trait System: Send + Sync {
    /// Services, instances and edges as they are now.
    fn topology(&self, deadline: Duration) -> BoxFuture<'_, Result<Topology, SystemError>>;

    /// Asks for the state between trials: breakers closed, queues empty, all instances there.
    /// Does not wait for it; `steadiness` tells.
    fn reset(&self, deadline: Duration) -> BoxFuture<'_, Result<(), SystemError>>;

    /// Whether it is steady now. An error means that nothing is known.
    fn steadiness(&self, deadline: Duration) -> BoxFuture<'_, Result<Steadiness, SystemError>>;

    /// What was stored for ids `<prefix>-<sequence number>`.
    fn processed<'a>(
        &'a self,
        prefix: &'a str,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Processed, SystemError>>;
}

/// Opens and closes a system for a run. What it starts is a debt like a fault: its record is on
/// disk before anything is started, and a fresh process can pay it from the record alone.
pub trait Host: Send + Sync {
    /// The record from which a fresh process can close what `open` will start; `None` when `open`
    /// only attaches to what is there. Starts nothing.
    fn record(&self) -> Option<Value>;

    /// Starts the system, or attaches to it, and waits until it answers.
    fn open(&self, deadline: Duration) -> BoxFuture<'_, Result<Opened, SystemError>>;

    /// Stops what the record names. Idempotent.
    fn close<'a>(
        &'a self,
        record: &'a Value,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<(), SystemError>>;

    /// Looks, by other means than `close`, whether anything that the record names is left; the
    /// answer names what is.
    fn left_behind<'a>(
        &'a self,
        record: &'a Value,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Vec<String>, SystemError>>;
}

/// An open system.
#[derive(Clone)]
pub struct Opened {
    /// The system.
    pub system: Arc<dyn System>,
    /// What it consists of now.
    pub topology: Topology,
}

/// What the language may say about a kind of system, known without starting it.
#[derive(Debug, Clone)]
pub struct SystemKind {
    /// `lab`: the key under `system:`.
    pub key: &'static str,
    /// The systems of this kind by name (`shop`), with their declared topology.
    pub declared: BTreeMap<String, Topology>,
    /// Defects that can be switched on: name, the values it takes, and what it does.
    pub defects: Vec<DefectKind>,
    /// Whether faults that cannot be undone may be used on it without an approval.
    pub disposable: bool,
}

/// A defect that can be switched on in a lab.
#[derive(Debug, Clone)]
pub struct DefectKind {
    /// `breaker`.
    pub name: String,
    /// `off`.
    pub values: Vec<String>,
    /// One line.
    pub summary: String,
}
