//! The port for faults: arm, inject, verify, revert; and the witness that is believed instead.
//!
//! An `Injector` is typed; the engine sees its object-safe twin [`DynInjector`], derived below.
//! An injector's own `verify` is a first check; *effective* and *reverted* are believed only from
//! a [`Witness`], which looks with a connection of its own.

use std::future::Future;

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{FaultId, RunId, TrialIndex};
use crate::system::BoxFuture;
use crate::time::Clock;
use crate::topology::Topology;
use crate::units::Duration;

mod erased;
mod hold;
mod radius;
mod registry;

pub use erased::DynInjector;
pub use hold::{CONTROL_GROUP, Hold, Holder, PROCESS};
pub use radius::{BlastRadius, Extent, Touched};
pub use registry::{Capability, FaultEntry, Registry, Requirement};

/// What surrounds one step of one fault.
#[derive(Clone, Copy)]
pub struct Cx<'a> {
    /// The run.
    pub run: &'a RunId,
    /// The trial.
    pub trial: TrialIndex,
    /// The fault.
    pub fault: &'a FaultId,
    /// The live system. Empty when a fresh process pays an old debt: `revert` reads only its
    /// record.
    pub topology: &'a Topology,
    /// How long the fault may stay in force without being renewed.
    pub lease: Duration,
    /// The step must have ended after this time.
    pub deadline: Duration,
    /// The run's clock.
    pub clock: &'a dyn Clock,
}

impl Cx<'_> {
    /// A name for rules and objects, the same in every process that knows the fault:
    /// `<run>-<trial>-<fault>`.
    pub fn name(&self) -> String {
        format!("{}-{}-{}", self.run, self.trial, self.fault)
    }
}

/// How a fault ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Reversibility {
    /// `revert` puts the prior state back.
    Reversible,
    /// The system heals by itself; `revert` makes sure that it did.
    SelfHealing,
    /// It cannot be undone; policy must allow it.
    Irreversible,
}

/// Where all lies that a kind of fault does: what the end of the system proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In the system's processes and in what goes with them. When they are gone, so is its effect;
    /// what a revert then still has to remove, an empty group of the kernel say, acts on nobody.
    WithinSystem,
    /// It may outlive the system: rules of the kernel, or whatever a program has done.
    Beyond,
}

/// What `verify` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// The mechanism is in place, by the injector's own word.
    InPlace,
    /// It is not.
    Absent,
}

/// What `revert` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reverted {
    /// It put something back.
    PutBack,
    /// There was nothing left to put back.
    WasClean,
}

/// What a witness saw in one look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Sighting {
    /// The fault is in force; the words say what was seen.
    InForce(String),
    /// The fault is not in force; the words say what was seen.
    NotInForce(String),
    /// The fault was in force and is over by itself; the words say what proves both. Counts for
    /// either; only faults that heal by themselves are seen so.
    Over(String),
    /// Nothing can be said; the words say why. Counts for neither.
    Unknown(String),
}

impl Sighting {
    /// What a witness needs before the fault: that it is not in force. Otherwise what was seen
    /// instead, as the failure of this action.
    pub fn none_before(self, action: &str) -> Result<(), FaultError> {
        match self {
            Self::NotInForce(_) => Ok(()),
            Self::InForce(why) | Self::Over(why) | Self::Unknown(why) => {
                Err(FaultError::Failed { action: action.to_owned(), why })
            }
        }
    }
}

/// Why a step of a fault did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum FaultError {
    /// The target is not there.
    #[error("target not found: {target}")]
    NoTarget {
        /// What was looked for.
        target: String,
    },
    /// The mechanism is missing here.
    #[error("{mechanism} is not available: {why}")]
    Unavailable {
        /// Which mechanism.
        mechanism: String,
        /// Why not.
        why: String,
    },
    /// Somebody else changed what this fault would have to put back.
    #[error("{what} was changed by someone else: {why}")]
    Conflict {
        /// The object.
        what: String,
        /// What was found.
        why: String,
    },
    /// The step was tried and failed.
    #[error("could not {action}: {why}")]
    Failed {
        /// What was tried: `set the fault on checkout->payments`.
        action: String,
        /// What came instead.
        why: String,
    },
    /// The step's deadline passed.
    #[error("{step} did not end within {within}")]
    TimedOut {
        /// Which step.
        step: String,
        /// Its deadline.
        within: Duration,
    },
    /// A specification or an undo record that this version cannot read.
    #[error("unreadable {what}: {why}")]
    Unreadable {
        /// `specification` or `undo record`.
        what: String,
        /// Why.
        why: String,
    },
}

/// A kind of fault on a kind of system. Implement this; the engine uses the twin.
///
/// Laws (the conformance suite checks them): `arm` changes nothing; `revert` undoes `inject`;
/// `revert` twice is `revert` once; `revert` works from the record alone, in a new process, also
/// after an `inject` that was cut off at any point; `verify` is `Absent` before and after.
pub trait Injector: Send + Sync + 'static {
    /// The name in scenarios: `pod-kill`.
    const KIND: &'static str;
    /// One line for lists.
    const SUMMARY: &'static str;
    /// How it ends.
    const REVERSIBILITY: Reversibility;
    /// Where all lies that it does. Unless a kind knows better, the end of the system proves
    /// nothing.
    const SCOPE: Scope = Scope::Beyond;
    /// What a scenario may say; unknown fields are refused.
    type Spec: Serialize + DeserializeOwned + JsonSchema + Send + Sync;
    /// All that a fresh process needs to revert.
    type Undo: Serialize + DeserializeOwned + Send + Sync;

    /// How much it touches. Pure. `Err` names what the topology lacks, in the user's words.
    fn blast_radius(spec: &Self::Spec, topology: &Topology) -> Result<BlastRadius, FaultError>;

    /// What no other fault may change while it is in force; an edge that it touches is always
    /// among it. Pure.
    fn holds(_spec: &Self::Spec) -> Vec<Hold> {
        Vec::new()
    }

    /// The mechanism that the plan fixes, in a word or two: `proxy`, `SIGKILL`.
    fn mechanism(spec: &Self::Spec) -> String;

    /// Whether the place on this machine that the specification names is there. Asked before a run
    /// begins, so that it is refused at once; a plan knows nothing of it. Reads only.
    fn ready(_spec: &Self::Spec) -> Result<(), FaultError> {
        Ok(())
    }

    /// Chooses the target, reads the prior state, derives every name. Changes nothing of the
    /// system; what only the revert will need is made and tried here.
    fn arm(
        &self,
        cx: &Cx<'_>,
        spec: &Self::Spec,
    ) -> impl Future<Output = Result<Self::Undo, FaultError>> + Send;

    /// What the record names, read from nothing else but the live topology. Pure. The engine holds
    /// it against the plan before anything is injected.
    fn touched(spec: &Self::Spec, undo: &Self::Undo, topology: &Topology) -> Touched;

    /// Puts the fault in force. The record is already on disk. `Some` is an amended record that
    /// holds identities which exist only now; the engine syncs it at once.
    fn inject(
        &self,
        cx: &Cx<'_>,
        spec: &Self::Spec,
        undo: &Self::Undo,
    ) -> impl Future<Output = Result<Option<Self::Undo>, FaultError>> + Send;

    /// Whether the mechanism is in place.
    fn verify(
        &self,
        cx: &Cx<'_>,
        spec: &Self::Spec,
        undo: &Self::Undo,
    ) -> impl Future<Output = Result<Effect, FaultError>> + Send;

    /// Extends the fault's own lease, where the mechanism has one.
    fn renew(
        &self,
        _cx: &Cx<'_>,
        _undo: &Self::Undo,
    ) -> impl Future<Output = Result<(), FaultError>> + Send {
        std::future::ready(Ok(()))
    }

    /// Puts the prior state back. Idempotent, from the record alone.
    fn revert(
        &self,
        cx: &Cx<'_>,
        undo: &Self::Undo,
    ) -> impl Future<Output = Result<Reverted, FaultError>> + Send;
}

/// One look ends after this time at the latest, unless its witness needs longer.
pub const LOOK_MAX: Duration = Duration::from_secs(2);

/// The deadline of a look that takes so long: more than that by a quarter, and by what a look takes
/// on a busy machine.
pub fn look_deadline(takes: Duration) -> Duration {
    LOOK_MAX.max(takes.times(5).divided_by(4) + LOOK_MAX.divided_by(4))
}

/// Looks whether a fault is in force, with a connection of its own; never through the injector.
pub trait Witness: Send + Sync {
    /// How it looks, in a few words: `HTTP probe on the edge`.
    fn method(&self) -> &'static str;

    /// How long a look takes at least while a fault of this specification is in force, where that
    /// is long: the fault must last for it, and a look is given more time than [`LOOK_MAX`].
    fn look_takes(&self, _spec: &Value) -> Duration {
        Duration::ZERO
    }

    /// Called once before injection, with the armed record: what a healthy look is like here
    /// (a round-trip time, say). The answer is handed to every later look and is kept in the
    /// ledger; `Null` where nothing needs to be known.
    fn baseline<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>>;

    /// One look, bounded by `cx.deadline`. `spec`, `undo` and `baseline` are the recorded ones.
    fn look<'a>(&'a self, cx: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting>;
}

/// The recorded facts of one fault, as the ledger holds them.
#[derive(Debug, Clone, Copy)]
pub struct Debt<'a> {
    /// The specification.
    pub spec: &'a Value,
    /// The newest undo record.
    pub undo: &'a Value,
    /// What [`Witness::baseline`] answered.
    pub baseline: &'a Value,
}

/// Why a specification is not right: a path into it and words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SpecError {
    /// Keys from the specification's root to the place: `["mode", "status"]`.
    pub path: Vec<String>,
    /// What is wrong, without a full stop.
    pub message: String,
    /// How to mend it; may be empty.
    pub hint: String,
}

/// The schema of a specification.
pub fn spec_schema<I: Injector>() -> Schema {
    schemars::schema_for!(I::Spec)
}
