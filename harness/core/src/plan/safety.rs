//! Limits that the engine enforces, and conditions that abort.

use serde::{Deserialize, Serialize};

use crate::units::{Duration, Ratio};

/// Limits and guardrails of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SafetyPlan {
    /// Where this scenario may run.
    pub environments: Vec<String>,
    /// How much may be touched at most, by all faults of a trial together.
    pub radius: RadiusLimit,
    /// Conditions that abort.
    pub guardrails: Vec<Guardrail>,
    /// Without a sign of life for this long, faults revert without us.
    pub lease: Duration,
    /// Files of rules that may refuse the plan, as the scenario names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy: Vec<String>,
    /// So many persons must have approved this very plan.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub approvals: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// How much may be touched at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RadiusLimit {
    /// Instances.
    pub instances: u32,
    /// Share of one service's instances.
    pub share: Ratio,
    /// Edges.
    pub edges: u32,
    /// Length of one fault.
    pub max_for: Duration,
}

/// A condition that aborts the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Guardrail {
    /// As the scenario says it: `success < 50% for 5s`.
    pub text: String,
    /// What it means.
    pub guard: Guard,
    /// For how long.
    pub lasting: Duration,
}

/// What a guardrail watches, tick by tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Guard {
    /// The share of good among ended requests, against a bound. A tick without any is no breach.
    Success {
        /// Breached when the share is ...
        is: Comparison,
        /// ... than this.
        than: Ratio,
    },
    /// Median latency of good requests above this.
    LatencyAbove {
        /// The bound.
        than: Duration,
    },
    /// No tick from the load driver although the load runs.
    LoadStale {},
}

/// On which side of a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Comparison {
    /// `<`
    Below,
    /// `>`
    Above,
}
