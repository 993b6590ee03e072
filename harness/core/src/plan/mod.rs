//! The plan: everything a run does, decided beforehand. Immutable, hashed, no machine state.
//!
//! What the user writes is `scenarios::ast`; this is what the engine runs and the judge reads.

mod expectation;
#[cfg(test)]
pub(crate) mod fixture;
mod journeys;
mod load;
mod safety;
mod trial;

pub use expectation::{
    Against, Anchor, Assertion, AutomationRule, Bound, Cap, Claim, CostBound, Expectation,
    FaultInstant, Holds, Moment, Phase, PhaseEdge, RecoveryTo, WindowRange,
};
pub use journeys::{Extract, JourneyPlan, JourneysPlan, StepPlan, Think};
pub use load::{
    Arrivals, Feed, Key, LoadPlan, RequestPlan, Reuse, Shape, StatusRange, Step, TimerMode,
};
pub use safety::{Comparison, Guard, Guardrail, RadiusLimit, SafetyPlan};
pub use trial::{
    Arm, Deadlines, FaultPlan, Phases, SteadyPlan, StopRule, TrialMode, TrialPlan, TrialsPlan,
    WitnessPlan,
};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::fault::Capability;
use crate::ids::{EdgeName, FaultId, ServiceName, SignalId};
use crate::topology::Topology;
use crate::units::{Currency, Duration};

/// The format of `plan.json`; a reader refuses a newer major version.
pub const FORMAT: &str = "gameday.plan/1";

/// Everything a run does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// [`FORMAT`].
    pub format: String,
    /// Where it comes from.
    pub scenario: ScenarioReference,
    /// The seed that all random choices come from.
    pub seed: u64,
    /// What is attacked.
    pub system: SystemPlan,
    /// What this machine could do when the plan was made: mechanism and state, only those that the
    /// plan's faults need.
    pub capabilities: BTreeMap<String, Capability>,
    /// Load of every trial.
    pub load: LoadPlan,
    /// Sources beside the load.
    pub signals: Vec<SignalPlan>,
    /// What must hold before a trial, and what "restored" means.
    pub steady: SteadyPlan,
    /// Lengths of the phases of a trial.
    pub phases: Phases,
    /// Faults, in the order of the scenario.
    pub faults: Vec<FaultPlan>,
    /// Arms: which faults each of them has.
    pub arms: Vec<Arm>,
    /// The trials in the order of execution, and the spare ones.
    pub trials: TrialsPlan,
    /// What is judged.
    pub expectations: Vec<Expectation>,
    /// Limits and guardrails.
    pub safety: SafetyPlan,
    /// How long each step may take.
    pub deadlines: Deadlines,
    /// Formats that `run` writes into the run's directory.
    pub reports: Vec<String>,
}

impl Plan {
    /// The canonical text: two plans are the same when these bytes are.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a plan holds only plain data");
        text.push('\n');
        text
    }

    /// SHA-256 of [`Plan::to_json`], in hexadecimal.
    pub fn sha256(&self) -> String {
        use std::fmt::Write as _;
        Sha256::digest(self.to_json()).iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
            text
        })
    }

    /// The fault of this name.
    pub fn fault(&self, id: &FaultId) -> Option<&FaultPlan> {
        self.faults.iter().find(|fault| &fault.id == id)
    }

    /// The arm of a trial.
    pub fn arm(&self, trial: &TrialPlan) -> &Arm {
        self.arms.iter().find(|arm| arm.name == trial.arm).expect("check: each trial has its arm")
    }
}

/// Where a plan comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScenarioReference {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.title`.
    pub title: String,
    /// `metadata.description`; may be empty.
    #[serde(default)]
    pub description: String,
    /// `metadata.owner`; may be empty.
    #[serde(default)]
    pub owner: String,
    /// SHA-256 of the scenario's text, in hexadecimal.
    pub sha256: String,
    /// Parameters with the values that were used, secrets left out.
    pub params: BTreeMap<String, String>,
}

/// What is attacked, by logical names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemPlan {
    /// `lab`.
    pub kind: String,
    /// `shop`.
    pub name: String,
    /// `lab`, `staging`, ...: compared with [`SafetyPlan::environments`].
    pub environment: String,
    /// Defects that are switched on, by name.
    pub defects: BTreeMap<String, String>,
    /// What the system should consist of.
    pub topology: Topology,
    /// Where containers are found; left out for other kinds of system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<ContainersPlan>,
}

/// Where the containers of a system are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainersPlan {
    /// The engine's Unix socket, by its path; the machine's own where the scenario names none.
    pub socket: Option<String>,
    /// Where load is sent: `http://127.0.0.1:8080`.
    pub entry: String,
    /// Where each service's containers take connections.
    pub ports: BTreeMap<ServiceName, u16>,
}

/// A source of signals beside the load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignalPlan {
    /// Its name.
    pub id: SignalId,
    /// What it reads.
    pub source: SourcePlan,
}

/// What a source reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum SourcePlan {
    /// A check on a connection of its own, at a fixed period: 1 ok, 0 failed.
    Probe {
        /// Through this edge; else at the system's entry.
        edge: Option<EdgeName>,
        /// Path of an HTTP check. `None` is a TCP check: the connection is taken and kept open,
        /// and nothing is sent. It sees a refusal and a reset, not a silence.
        path: Option<String>,
        /// Period.
        every: Duration,
        /// A check that took longer has failed.
        timeout: Duration,
    },
    /// Alerts that the system's own alerting delivers to a receiver which the run opens.
    Alerts {},
    /// What the system's automation did, as the system itself records it.
    Actions {
        /// Period of asking.
        every: Duration,
    },
    /// What arrived at the system's own pager.
    Pages {
        /// Period of asking.
        every: Duration,
    },
    /// What the system's meter says was spent so far.
    Spend {
        /// Period of asking.
        every: Duration,
        /// What it must count in.
        currency: Currency,
    },
}
