//! What is judged: assertions, their windows, and the claim about incidents like this one.

use serde::{Deserialize, Serialize};

use crate::ids::{ArmName, ExpectationId, FaultId, RequestKind, SignalId};
use crate::units::{Duration, Quantile, Ratio};

/// One assertion with its claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expectation {
    /// Its name, unique in the scenario.
    pub id: ExpectationId,
    /// Over the trials of these arms.
    pub arms: Vec<ArmName>,
    /// What must hold in a trial.
    pub assertion: Assertion,
    /// How often, with what confidence.
    pub claim: Claim,
}

/// "In at least this share of incidents like this one, with this confidence, it holds."
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Claim {
    /// The share.
    pub in_at_least: Ratio,
    /// The confidence, one-sided.
    pub confidence: Ratio,
}

/// What must hold in a trial. Closed: each variant has its own judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Assertion {
    /// The share of good requests.
    SuccessRate {
        /// Of this kind; else of all.
        of: Option<RequestKind>,
        /// The bound.
        bound: Bound,
        /// In this window.
        during: WindowRange,
    },
    /// A quantile of latency from the intended send time; failed requests count as endless.
    Latency {
        /// Of this kind; else of all.
        of: Option<RequestKind>,
        /// Which quantile.
        quantile: Quantile,
        /// The bound.
        at_most: Duration,
        /// In this window.
        during: WindowRange,
    },
    /// An alert fires in time, pages the right number of times, and ends in time.
    Detection {
        /// `alertname`.
        alert: String,
        /// From `effective` of this fault.
        fault: FaultId,
        /// Fires within this time.
        within: Duration,
        /// Is delivered as firing exactly so often in the trial.
        pages_exactly: Option<u32>,
        /// Is delivered as resolved within this time from `reverted`.
        resolves_within: Option<Duration>,
    },
    /// An alert stays silent all through the trial.
    Quiet {
        /// `alertname`.
        alert: String,
    },
    /// The service level is back in time.
    Recovery {
        /// Back to what.
        to: RecoveryTo,
        /// Counted from this instant of this fault.
        fault: FaultId,
        /// Which instant.
        from: FaultInstant,
        /// Within this time.
        within: Duration,
    },
    /// Accepted ids against stored ids.
    Invariant {
        /// No accepted id is missing at the end of the trial.
        none_lost: bool,
        /// No id was processed more than once.
        none_twice: bool,
    },
    /// The share of an objective's budget that one incident takes, by time: the bad share of each
    /// window of samples times its length, over what the objective allows in its period.
    ErrorBudget {
        /// Of this kind; else of all.
        of: Option<RequestKind>,
        /// The objective: this share of requests is good.
        objective: Ratio,
        /// Its period: 30 days.
        period: Duration,
        /// At most this share of the budget.
        takes_at_most: Ratio,
        /// In this window.
        during: WindowRange,
    },
    /// A quantile of latency is not worse than without the fault by more than a margin.
    Degradation {
        /// Of this kind; else of all.
        of: Option<RequestKind>,
        /// Which quantile.
        quantile: Quantile,
        /// Compared with what.
        against: Against,
        /// By at most this share: 20% means 1.2 times as long.
        by_at_most: Ratio,
        /// In this window, compared with the baseline.
        during: WindowRange,
    },
    /// What the system's automation did, as the system itself records it.
    Automation {
        /// Who acted: `breaker`, `supervisor`.
        actor: String,
        /// What it must, or must not, do.
        rule: AutomationRule,
    },
    /// A probe's observations arrived: telemetry is the subject here, so what is missing is bad.
    Telemetry {
        /// The probe.
        signal: SignalId,
        /// At least this share of what its period lets one expect.
        share_at_least: Ratio,
        /// No longer without one than this; else as long as it likes.
        gap_at_most: Option<Duration>,
        /// In this window.
        during: WindowRange,
    },
}

/// What a degradation is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Against {
    /// The trial's own baseline.
    Baseline,
    /// The change from the baseline in a placebo trial, pair by pair in the order of the run: what
    /// drifts with time drifts in both.
    Placebo,
}

/// What an automation must, or must not, do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum AutomationRule {
    /// It does this in time: sensitivity, over trials with the fault.
    Acts {
        /// What: `open`.
        action: String,
        /// On what; else on anything.
        target: Option<String>,
        /// From `effective` of this fault.
        fault: FaultId,
        /// Within this time.
        within: Duration,
    },
    /// It does nothing of this kind: specificity, over placebo trials.
    StaysQuiet {
        /// What; else anything at all.
        action: Option<String>,
    },
    /// It does this just once from the injection on, and not before.
    ExactlyOnce {
        /// What.
        action: String,
        /// On what; else on anything.
        target: Option<String>,
        /// Of this fault.
        fault: FaultId,
    },
    /// It ends what it did.
    Releases {
        /// What: `close`.
        action: String,
        /// From `reverted` of this fault.
        fault: FaultId,
        /// Within this time.
        within: Duration,
    },
    /// It acts on nothing else.
    Only {
        /// On these.
        targets: Vec<String>,
    },
    /// It never does any of these: one violation fails at once, also in an invalid trial. The
    /// claim's share is one minus the largest accepted rate.
    Never {
        /// What.
        actions: Vec<String>,
    },
}

impl Assertion {
    /// The key in scenarios: `successRate`.
    pub fn key(&self) -> &'static str {
        match self {
            Self::SuccessRate { .. } => "successRate",
            Self::Latency { .. } => "latency",
            Self::Detection { .. } | Self::Quiet { .. } => "detection",
            Self::Recovery { .. } => "recovery",
            Self::Invariant { .. } => "invariant",
            Self::ErrorBudget { .. } => "errorBudget",
            Self::Degradation { .. } => "degradation",
            Self::Automation { .. } => "automation",
            Self::Telemetry { .. } => "telemetry",
        }
    }
}

/// A bound on a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Bound {
    /// `>=`
    AtLeast(Ratio),
    /// `<=`
    AtMost(Ratio),
}

/// What recovery means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RecoveryTo {
    /// The steady state's service level holds again while the fault is still in force.
    Mitigate,
    /// It holds again after the fault was reverted, for the steady state's hold time.
    Restore,
}

/// An instant of one fault of one trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultInstant {
    /// The injection was begun.
    Inject,
    /// The witness first saw it in force, in the row that counted.
    Effective,
    /// The revert was begun.
    Revert,
    /// The witness first saw it gone, in the row that counted.
    Reverted,
}

/// A phase of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Load runs, nothing is judged.
    Warmup,
    /// Load runs without a fault.
    Baseline,
    /// From the moment when all faults are armed to the revert of the last one.
    Fault,
    /// Until steady state has held.
    Recovery,
    /// Load still runs.
    Settle,
}

impl Phase {
    /// All in order.
    pub const ALL: [Self; 5] =
        [Self::Warmup, Self::Baseline, Self::Fault, Self::Recovery, Self::Settle];

    /// The name in scenarios and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warmup => "warmup",
            Self::Baseline => "baseline",
            Self::Fault => "fault",
            Self::Recovery => "recovery",
            Self::Settle => "settle",
        }
    }
}

/// Which end of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PhaseEdge {
    /// Its start.
    Start,
    /// Its end.
    End,
}

/// What an instant of a window hangs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Anchor {
    /// A phase.
    Phase {
        /// Which.
        phase: Phase,
        /// Which end.
        edge: PhaseEdge,
    },
    /// A fault.
    Fault {
        /// Which.
        fault: FaultId,
        /// Which instant.
        instant: FaultInstant,
    },
}

/// An anchor and an offset: `down.effective+4s`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// The anchor.
    pub anchor: Anchor,
    /// Microseconds after it; negative before it.
    pub offset_us: i64,
}

/// From one moment to another. A window of samples counts when it lies wholly inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WindowRange {
    /// As the scenario says it: `fault`, `down.effective+4s .. fault.end`.
    pub text: String,
    /// The beginning.
    pub from: Moment,
    /// The end.
    pub to: Moment,
}

impl WindowRange {
    /// From the start of one phase to the end of another.
    pub fn phases(text: &str, first: Phase, last: Phase) -> Self {
        let moment = |phase, edge| Moment { anchor: Anchor::Phase { phase, edge }, offset_us: 0 };
        Self {
            text: text.to_owned(),
            from: moment(first, PhaseEdge::Start),
            to: moment(last, PhaseEdge::End),
        }
    }
}
