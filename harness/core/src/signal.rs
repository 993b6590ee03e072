//! The port for signals: named sources of observations. Missing data is data.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::SignalId;
use crate::load::Stop;
use crate::plan::SignalPlan;
use crate::system::BoxFuture;
use crate::time::{Clock, RunTime, WallTime};
use crate::topology::Topology;

/// One observation. An unreachable source is an observation, too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Observation {
    /// A value was read. Probes give 1 for ok and 0 for failed.
    Value {
        /// The signal.
        signal: SignalId,
        /// When it was true.
        at: RunTime,
        /// In the signal's own unit; finite.
        value: f64,
    },
    /// No value could be read.
    Gap {
        /// The signal.
        signal: SignalId,
        /// When it was tried.
        at: RunTime,
        /// Why not.
        why: String,
    },
}

/// Whether an alert fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AlertStatus {
    /// It fires.
    Firing,
    /// It has ended.
    Resolved,
}

/// An alert as its receiver got it. Every delivery is one notice: a repeated page is two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertNotice {
    /// Through which signal it came.
    pub signal: SignalId,
    /// `alertname`.
    pub alert: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it fires.
    pub status: AlertStatus,
    /// When it was received.
    pub at: RunTime,
    /// When it began, by the sender's own wall clock.
    pub starts_at: Option<WallTime>,
    /// The sender's identity of the alert.
    pub fingerprint: String,
}

/// Something that an automation did: a breaker that opened, an instance that was restarted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionNotice {
    /// Through which signal it came.
    pub signal: SignalId,
    /// Who acted: `breaker`, `supervisor`.
    pub actor: String,
    /// What it did: `open`, `restart`.
    pub action: String,
    /// On what: `checkout-0`.
    pub target: String,
    /// When, on the run's clock (from the sender's clock where it shares ours, else when received).
    pub at: RunTime,
}

/// What comes out of a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SignalEvent {
    /// A value or a gap.
    Observed(Observation),
    /// An alert was delivered.
    Alert(AlertNotice),
    /// An automation acted.
    Action(ActionNotice),
}

/// Where sources put what they see. Never blocks.
pub trait SignalSink: Send + Sync {
    /// Takes one event.
    fn put(&self, event: SignalEvent);
}

/// A source of signals. Runs until stopped and cannot fail: an unreachable source is a gap.
pub trait Source: Send + Sync {
    /// The signal's name.
    fn signal(&self) -> &SignalId;
    /// Observes until stopped.
    fn run<'a>(&'a self, out: &'a dyn SignalSink, stop: &'a dyn Stop) -> BoxFuture<'a, ()>;
}

/// Makes the sources that a plan asks for, once the system is open.
pub trait Sources: Send + Sync {
    /// The source of one planned signal. `Err` says in words why it cannot be had here.
    fn source(
        &self,
        plan: &SignalPlan,
        topology: &Topology,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<dyn Source>, String>;
}
