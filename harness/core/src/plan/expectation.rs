//! What is judged: assertions, their windows, and the claim about incidents like this one.

use serde::{Deserialize, Serialize};

use crate::ids::{ArmName, ExpectationId, FaultId, RequestKind, SignalId};
use crate::units::{Duration, Money, Quantile, Ratio, SpendRate};

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

/// What is claimed of trials together, with what confidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Claim {
    /// How often, or on average.
    pub holds: Holds,
    /// The confidence, one-sided.
    pub confidence: Ratio,
}

impl Claim {
    /// "In at least this share of incidents like this one, with this confidence, it holds."
    pub const fn share(in_at_least: Ratio, confidence: Ratio) -> Self {
        Self { holds: Holds::InAtLeast(in_at_least), confidence }
    }

    /// The claimed share of incidents, where it is one.
    pub const fn in_at_least(&self) -> Option<Ratio> {
        match self.holds {
            Holds::InAtLeast(share) => Some(share),
            Holds::OnAverage { .. } | Holds::OverRuns => None,
        }
    }
}

/// In what way an assertion holds for trials together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Holds {
    /// In at least this share of incidents like this one.
    InAtLeast(Ratio),
    /// On average over incidents: the assertion's bound is that of the mean.
    OnAverage {
        /// What one incident adds at most. Without it nothing passes: no number of good incidents
        /// tells how bad a rare one is.
        cap: Option<Cap>,
    },
    /// For this run as a whole, against earlier ones.
    OverRuns,
}

/// What one incident adds at most to a mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cap {
    /// A time: a longer one counts as this, for one looks no longer.
    Time(Duration),
    /// A share of requests, or of a budget.
    Share(Ratio),
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
        /// As this signal tells; else as the run's own receiver does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        through: Option<SignalId>,
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
    /// What another expectation measures is, over this run, not worse than over earlier runs of
    /// this scenario on this system.
    Regression {
        /// The expectation whose measured values are compared.
        of: ExpectationId,
        /// By at most this: a share longer for times, percentage points for shares.
        by_at_most: Ratio,
        /// Compared with the last so many runs.
        runs: u32,
        /// Runs whose names sort before this one do not count: `20261122-171621`.
        reset_at: Option<String>,
    },
    /// What is spent, as the system's own meter tells it.
    Cost {
        /// The cost feed.
        signal: SignalId,
        /// The bound.
        bound: CostBound,
    },
}

/// A bound on spending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CostBound {
    /// The rate of spend stays at or below a bound.
    Rate {
        /// The bound, on the rate over a few tenths of a second.
        at_most: SpendRate,
        /// But for this time from the start of the window.
        grace: Duration,
        /// In this window.
        during: WindowRange,
    },
    /// A runaway is brought back to the bound in time, and stays there while the fault is held.
    Capped {
        /// The bound.
        at_most: SpendRate,
        /// From `effective` of this fault to its revert.
        fault: FaultId,
        /// Within this time.
        within: Duration,
    },
    /// The spend over the good requests.
    PerSuccess {
        /// The bound for one request.
        at_most: Money,
        /// In this window.
        during: WindowRange,
    },
    /// All that is spent.
    Total {
        /// The bound.
        at_most: Money,
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
    /// It does nothing of this kind while it is switched off: one violation fails at once, also in
    /// an invalid trial. The claim's share is one minus the largest accepted rate.
    ObeysKillSwitch {
        /// The fault that throws the switch; it counts from `effective` to `revert`.
        switch: FaultId,
        /// What; else anything at all.
        actions: Option<Vec<String>>,
    },
    /// It does nothing of this kind while a fault takes its eyes, from `effective` to `reverted`.
    HoldsWhenBlind {
        /// The fault.
        fault: FaultId,
        /// What; else anything at all.
        actions: Option<Vec<String>>,
    },
}

impl Expectation {
    /// The claimed mean loss at most with the cap on that of one incident, for a claim about a mean
    /// whose cap lies above it. In seconds, or as a share.
    pub fn mean_and_cap(&self) -> Option<(f64, f64)> {
        let Holds::OnAverage { cap: Some(cap) } = self.claim.holds else { return None };
        let cap = match cap {
            Cap::Time(cap) => cap.secs_f64(),
            Cap::Share(cap) => cap.as_f64(),
        };
        let mean = self.assertion.loss_max()?;
        (mean > 0.0 && mean < cap).then_some((mean, cap))
    }
}

impl Assertion {
    /// How much a trial may lose at most to keep the bound, where what is measured is a loss that
    /// is never below nothing: the missing share of good requests, a time in seconds, a share of a
    /// budget. Only of these a mean can be claimed.
    pub fn loss_max(&self) -> Option<f64> {
        match self {
            Self::SuccessRate { bound: Bound::AtLeast(least), .. } => {
                Some(least.complement().as_f64())
            }
            Self::Recovery { within, .. } => Some(within.secs_f64()),
            Self::ErrorBudget { takes_at_most, .. } => Some(takes_at_most.as_f64()),
            Self::SuccessRate { bound: Bound::AtMost(_), .. }
            | Self::Latency { .. }
            | Self::Detection { .. }
            | Self::Quiet { .. }
            | Self::Invariant { .. }
            | Self::Degradation { .. }
            | Self::Automation { .. }
            | Self::Telemetry { .. }
            | Self::Cost { .. }
            | Self::Regression { .. } => None,
        }
    }

    /// Whether one violation is enough to fail.
    pub fn is_never(&self) -> bool {
        let Self::Automation { rule, .. } = self else { return false };
        match rule {
            AutomationRule::Never { .. } | AutomationRule::ObeysKillSwitch { .. } => true,
            AutomationRule::Acts { .. }
            | AutomationRule::StaysQuiet { .. }
            | AutomationRule::ExactlyOnce { .. }
            | AutomationRule::Releases { .. }
            | AutomationRule::Only { .. }
            | AutomationRule::HoldsWhenBlind { .. } => false,
        }
    }

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
            Self::Regression { .. } => "regression",
            Self::Cost { .. } => "cost",
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
