//! Trials, arms, phases, faults and deadlines of a plan.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fault::{BlastRadius, Reversibility};
use crate::ids::{ArmName, FaultId, SignalId, TrialIndex};
use crate::units::{Duration, Quantile, Ratio};

/// Lengths of the phases of a trial: warmup, baseline, fault, recovery, settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Phases {
    /// Load runs, nothing is judged.
    pub warmup: Duration,
    /// Load runs without a fault, and must be steady.
    pub baseline: Duration,
    /// From the moment when all faults are armed to the revert of the last one.
    pub fault: Duration,
    /// At most this long; ends early when steady state has held for its hold time.
    pub recovery_up_to: Duration,
    /// Load still runs: late relapses show.
    pub settle: Duration,
}

impl Phases {
    /// The longest a trial's load can last.
    pub fn longest(&self) -> Duration {
        self.warmup + self.baseline + self.fault + self.recovery_up_to + self.settle
    }
}

/// What must hold before a trial, and again for it to be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SteadyPlan {
    /// At least this share of requests is good, per window.
    pub success_at_least: Ratio,
    /// And this quantile of latency is at most so long, per window.
    pub latency: Option<(Quantile, Duration)>,
    /// And these signals are ok.
    pub sentinels: Vec<SignalId>,
    /// All of it for this long.
    pub hold: Duration,
    /// Before a trial, reached within this time; else the trial is excluded.
    pub within: Duration,
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultPlan {
    /// Its name.
    pub id: FaultId,
    /// The kind: `dependency-outage`.
    pub kind: String,
    /// Its specification, with all defaults written out.
    pub spec: Value,
    /// When it is injected, from the start of the fault phase.
    pub at: Duration,
    /// How long it is held, from the injection.
    pub lasts: Duration,
    /// The mechanism, fixed: no fallback while running.
    pub mechanism: String,
    /// How it ends.
    pub reversibility: Reversibility,
    /// How much it touches.
    pub radius: BlastRadius,
    /// When it counts as in force.
    pub effective: WitnessPlan,
    /// When it counts as put back.
    pub reverted: WitnessPlan,
}

/// How it is decided that a fault is in force, or put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WitnessPlan {
    /// A signal of the scenario (ok or failed); else the kind's own witness.
    pub by: Option<SignalId>,
    /// So many looks in a row must agree.
    pub in_a_row: u32,
    /// Period of looking.
    pub every: Duration,
    /// They must have agreed within this time.
    pub within: Duration,
}

/// A variant of the trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Arm {
    /// Its name.
    pub name: ArmName,
    /// The faults that are really injected; empty for a placebo, which runs the same machinery and
    /// the same times without any effect.
    pub faults: Vec<FaultId>,
}

impl Arm {
    /// Whether the arm injects nothing.
    pub fn is_placebo(&self) -> bool {
        self.faults.is_empty()
    }
}

/// How trials are judged together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TrialMode {
    /// With confidence, over trials.
    Inferred,
    /// Plain comparison of what was seen, and said so: no confidence statement.
    Observed,
}

/// When no further trial is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StopRule {
    /// After all of them.
    Fixed,
    /// As soon as the exact spending design allows, see `judge`.
    Sequential,
}

/// The trials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrialsPlan {
    /// How they are judged.
    pub mode: TrialMode,
    /// When to stop.
    pub stop: StopRule,
    /// A run that may stop early does not before each arm with a fault (each arm, where none has
    /// one) has had so many trials.
    pub count_min: u32,
    /// In the order of execution, arms interleaved by the seed.
    pub planned: Vec<TrialPlan>,
    /// Used in order, each in place of an excluded trial of the same arm.
    pub spare: Vec<TrialPlan>,
    /// With a larger share of invalid trials nothing is concluded.
    pub invalid_at_most: Ratio,
    /// No further trial is started after this time since the run's start.
    pub wall: Duration,
}

/// One trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrialPlan {
    /// Its number; spare trials have the numbers after the planned ones.
    pub index: TrialIndex,
    /// Its arm.
    pub arm: ArmName,
    /// Seeds arrivals and data.
    pub seed: u64,
    /// Added to the baseline, so that faults do not begin in step with the system's own periods.
    pub delay: Duration,
}

/// How long each step may take. Every await of the engine has one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deadlines {
    /// Starting, or attaching to, the system.
    pub open: Duration,
    /// Stopping what was started.
    pub close: Duration,
    /// One reset.
    pub reset: Duration,
    /// One arming.
    pub arm: Duration,
    /// One injection.
    pub inject: Duration,
    /// One revert.
    pub revert: Duration,
    /// Waiting for what is in flight after the load was stopped, and asking for ids.
    pub collect: Duration,
}
