//! The lines of the undo ledger.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use harness_core::fault::{Debt, Reversibility, Reverted};
use harness_core::ids::{FaultId, RunId, TrialIndex};
use harness_core::plan::WitnessPlan;
use harness_core::units::Duration;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum LedgerEntry {
    /// The first line: whose ledger this is.
    #[serde(rename_all = "camelCase")]
    Header {
        /// [`super::FORMAT`].
        format: String,
        /// The run.
        run: RunId,
        /// The version of gameday that wrote it.
        gameday: String,
    },
    /// A system is about to be started: from now on it is owed that it is stopped.
    #[serde(rename_all = "camelCase")]
    SystemOpened {
        /// Its kind: `lab`.
        kind: String,
        /// All that a fresh process needs to stop it.
        record: Value,
        /// One try to stop it must have ended after this time.
        close: Duration,
    },
    /// Nothing that the record names is left.
    #[serde(rename_all = "camelCase")]
    SystemClosed {
        /// Who stopped it: `run`, `watchdog`, `undo`.
        by: String,
    },
    /// A fault is about to be injected: from now on it is owed.
    Armed(Box<OwedFault>),
    /// The fault was injected, or its injection was tried; owed again if it was paid before.
    #[serde(rename_all = "camelCase")]
    Injected {
        /// The trial.
        trial: TrialIndex,
        /// The fault.
        fault: FaultId,
        /// A newer undo record, with identities that exist only now.
        undo: Option<Value>,
    },
    /// A witness saw the fault gone.
    #[serde(rename_all = "camelCase")]
    Paid {
        /// The trial.
        trial: TrialIndex,
        /// The fault.
        fault: FaultId,
        /// How.
        how: PaidHow,
        /// What was seen.
        seen: String,
        /// Who: `run`, `watchdog`, `undo`.
        by: String,
    },
}

/// A fault that is owed: the facts that a fresh process needs to put it back and to prove it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwedFault {
    /// The trial.
    pub trial: TrialIndex,
    /// The fault.
    pub fault: FaultId,
    /// Its kind.
    pub kind: String,
    /// The kind of system.
    pub system: String,
    /// Its specification.
    pub spec: Value,
    /// The newest undo record.
    pub undo: Value,
    /// What its witness saw before the injection.
    pub baseline: Value,
    /// How it ends.
    pub reversibility: Reversibility,
    /// Without renewal it ends by itself after this time, where its mechanism can do that.
    pub lease: Duration,
    /// One revert must have ended after this time.
    pub revert: Duration,
    /// When it counts as put back.
    pub reverted: WitnessPlan,
}

impl OwedFault {
    /// The facts as a witness wants them.
    pub fn debt(&self) -> Debt<'_> {
        Debt { spec: &self.spec, undo: &self.undo, baseline: &self.baseline }
    }

    /// For people: `down in trial 3`.
    pub fn label(&self) -> String {
        format!("{} in trial {}", self.fault, self.trial.number())
    }
}

/// How a debt was paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PaidHow {
    /// By a revert, which said this.
    Reverted(Reverted),
    /// It lay within the system that the run had started, which is gone altogether.
    SystemGone,
}
