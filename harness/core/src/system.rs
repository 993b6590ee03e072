//! The port to the system under test: what it is, whether it is steady, how it is reset.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

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
