//! The laws, one or more per assertion family: what is asserted, and the exact chance that a trial
//! meets it at a given level of the system (a higher level is a better system).

use harness_core::ids::{ExpectationId, RequestKind};
use harness_core::plan::{
    Against, Assertion, AutomationRule, Bound, Cap, FaultInstant, Holds, Phase, RecoveryTo,
    WindowRange,
};
use harness_core::units::{Duration, Quantile, Ratio};

use super::cost;
use super::plan::{FAULT_ARM, KINDS, PLACEBO_ARM, PROBE, fault, ms};
use super::truth::{
    at_least, beta_binomial_at_least, beta_shapes, level, logistic, mean_over_normal, normal,
};

/// Requests of one kind in the fault phase, and how many of them 95 % are.
pub(super) const REQUESTS: u32 = 220;
pub(super) const GOOD_LEAST: u32 = 209;
/// How many of them 99 % are.
const FAST_LEAST: u64 = 218;
/// Observations that are due in the fault phase, and how many of them 90 % are.
pub(super) const DUE: u32 = 55;
const ARRIVED_LEAST: u64 = 50;
/// Intraclass correlation of requests under the beta-binomial laws: a design effect of 23.
pub(super) const CORRELATION: f64 = 0.1;
/// Standard deviation of the trials' own log odds.
pub(super) const LOGIT_SPREAD: f64 = 1.2;
/// Standard deviations of the log of latency between trials and within one.
pub(super) const LATENCY_BETWEEN: f64 = 0.4;
pub(super) const LATENCY_WITHIN: f64 = 0.6;
/// The exponent of the heavy tail of latencies: its variance is infinite.
pub(super) const LATENCY_TAIL: f64 = 1.5;
/// A threshold at the edge of a bucket of the latency histogram, in us.
pub(super) const LATENCY_MAX_US: u64 = 800_255;
/// Standard deviation of the log of times of recovery and detection.
pub(super) const TIME_SPREAD: f64 = 1.0;
/// The share of trials in which a page comes twice.
pub(super) const PAGED_TWICE: f64 = 0.02;
/// The exponent of the tail of reaction times; their mean is near infinite.
pub(super) const REACTION_TAIL: f64 = 1.2;
/// Left-skewed worsening: a constant minus this times a lognormal variable of that spread.
pub(super) const WORSENING_SCALE: f64 = 0.3;
pub(super) const WORSENING_SPREAD: f64 = 0.8;
/// Standard deviation of the log of a change, in a fault trial and in a placebo trial.
pub(super) const CHANGE_SPREAD: f64 = 0.1;
/// The bounds of times, in ms.
pub(super) const WITHIN_MS: u64 = 1000;
pub(super) const MITIGATE_MS: u64 = 500;
/// The cap on a time of which the mean is claimed.
const MEAN_CAP_MS: u64 = 2000;
/// Intraclass correlation of requests where the mean is claimed: whole incidents fail.
pub(super) const MEAN_CORRELATION: f64 = 0.6;
/// Runs that a run is compared with, and the expectation whose values are.
pub(super) const EARLIER_RUNS: u32 = 10;
pub(super) const MEASURED: &str = "measured";
/// Standard deviations of the log of a time between runs and between the trials of one.
pub(super) const RUN_SPREAD: f64 = 0.1;
pub(super) const RUN_TRIAL_SPREAD: f64 = 0.2;
/// The standard normal point of the claimed share, 80 %.
const CLAIMED_NORMAL: f64 = 0.841_621_233_572_914_3;

/// A law of trials with its assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    SuccessRate,
    SuccessRateShared,
    Latency,
    LatencyTail,
    Restore,
    RestoreAborted,
    Mitigate,
    Detection,
    Quiet,
    Invariant,
    ErrorBudget,
    Degradation,
    DegradationDrift,
    Acts,
    StaysQuiet,
    ExactlyOnce,
    Never,
    Telemetry,
    KillSwitch,
    Blind,
    CostRate,
    CostRateUnseen,
    CostCapped,
    CostPerSuccess,
    CostTotal,
    /// Its "share" is the mean itself.
    MeanRate,
    /// Its "share" is what is left of the cap on average.
    MeanRestore,
    /// Its "share" stands for the distance from the margin, in spreads of runs.
    Regression,
}

impl Family {
    pub(crate) const ALL: [Self; 28] = [
        Self::SuccessRate,
        Self::SuccessRateShared,
        Self::Latency,
        Self::LatencyTail,
        Self::Restore,
        Self::RestoreAborted,
        Self::Mitigate,
        Self::Detection,
        Self::Quiet,
        Self::Invariant,
        Self::ErrorBudget,
        Self::Degradation,
        Self::DegradationDrift,
        Self::Acts,
        Self::StaysQuiet,
        Self::ExactlyOnce,
        Self::Never,
        Self::Telemetry,
        Self::KillSwitch,
        Self::Blind,
        Self::CostRate,
        Self::CostRateUnseen,
        Self::CostCapped,
        Self::CostPerSuccess,
        Self::CostTotal,
        Self::MeanRate,
        Self::MeanRestore,
        Self::Regression,
    ];

    /// The family and the law, in words.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::SuccessRate => "success rate: beta-binomial requests, ICC 0.1",
            Self::SuccessRateShared => "success rate: log odds vary by trial, sd 1.2",
            Self::Latency => "latency p99: lognormal, levels vary by trial",
            Self::LatencyTail => "latency p99: Pareto tail 1.5, levels vary by trial",
            Self::Restore => "restore: lognormal, seen per window, censored at 2.4 s",
            Self::RestoreAborted => "restore: long ones mostly aborted",
            Self::Mitigate => "mitigate: lognormal, seen per window, censored at the revert",
            Self::Detection => "detection: lognormal, censored; 2 % page twice",
            Self::Quiet => "quiet alert (placebo)",
            Self::Invariant => "invariant: some ids lost",
            Self::ErrorBudget => "error budget: beta-binomial requests, ICC 0.1",
            Self::Degradation => "degradation against baseline: left-skewed",
            Self::DegradationDrift => "degradation against placebo: everything drifts by -10 %",
            Self::Acts => "automation acts: Pareto tail 1.2, censored",
            Self::StaysQuiet => "automation stays quiet (placebo)",
            Self::ExactlyOnce => "automation acts exactly once",
            Self::Never => "automation never acts so",
            Self::Telemetry => "telemetry: gaps vary by trial",
            Self::KillSwitch => "automation obeys its kill switch",
            Self::Blind => "automation holds when blind",
            Self::CostRate => "cost, rate: lognormal bursts, and a peak within the grace",
            Self::CostRateUnseen => "cost, rate: the meter mostly silent in high bursts",
            Self::CostCapped => "cost, capped: lognormal time to cap",
            Self::CostPerSuccess => "cost per success: lognormal spend, beta-binomial requests",
            Self::CostTotal => "cost, total: Pareto tail 1.2",
            Self::MeanRate => "mean success rate, cap 100 %: beta-binomial, ICC 0.6",
            Self::MeanRestore => "mean time to restore, cap 2 s: lognormal, seen per window",
            Self::Regression => "regression against 10 runs: lognormal levels of runs",
        }
    }

    /// The arm that it is judged over.
    pub(super) const fn arm(self) -> &'static str {
        match self {
            Self::Quiet | Self::StaysQuiet => PLACEBO_ARM,
            _ => FAULT_ARM,
        }
    }

    /// Whether one violation is a fail by declaration, and not by chance.
    pub(super) const fn is_never(self) -> bool {
        matches!(self, Self::Never | Self::KillSwitch)
    }

    /// In what way it is claimed over trials.
    pub(super) fn holds(self) -> Holds {
        match self {
            Self::MeanRate => Holds::OnAverage { cap: Some(Cap::Share(Ratio::ONE)) },
            Self::MeanRestore => Holds::OnAverage { cap: Some(Cap::Time(ms(MEAN_CAP_MS))) },
            Self::Regression => Holds::OverRuns,
            _ => Holds::InAtLeast(Ratio::from_percent(80)),
        }
    }

    /// Trials without a flaw that support the claim; some more where even a time of nothing is seen
    /// to last up to a window of samples.
    pub(super) const fn clean_trials(self) -> u32 {
        match self {
            Self::MeanRestore => 20,
            _ => 14,
        }
    }

    /// Whether each fault trial needs a placebo trial beside it.
    pub(super) const fn is_paired(self) -> bool {
        matches!(self, Self::DegradationDrift)
    }

    /// Whether what is observed tells the condition exactly, so that the exact power is reached:
    /// times that are only known to lie within a window of samples lose a little.
    pub(crate) const fn is_sharp(self) -> bool {
        !matches!(
            self,
            Self::Restore
                | Self::RestoreAborted
                | Self::Mitigate
                | Self::Degradation
                | Self::DegradationDrift
                | Self::CostCapped
                | Self::MeanRate
                | Self::MeanRestore
                | Self::Regression
        )
    }

    /// The most power that is lost where times are only known to lie within a window of samples;
    /// all of it where it is not a share of trials that decides, and none is promised.
    pub(super) const fn power_loss_max(self) -> f64 {
        match self {
            Self::MeanRestore | Self::Regression => 1.0,
            _ if self.is_sharp() => 0.0,
            _ => 0.2,
        }
    }

    /// Whether a trial needs no windows of samples: it can be judged after every trial.
    pub(super) const fn is_light(self) -> bool {
        matches!(
            self,
            Self::Detection
                | Self::Quiet
                | Self::Invariant
                | Self::Acts
                | Self::StaysQuiet
                | Self::ExactlyOnce
                | Self::Never
                | Self::Telemetry
                | Self::KillSwitch
                | Self::Blind
                | Self::CostTotal
                | Self::Regression
        )
    }

    /// The level at which a trial meets the assertion with this chance; without end for 1.
    pub(super) fn level(self, truth: f64) -> f64 {
        if truth >= 1.0 { f64::INFINITY } else { level(truth, |level| self.chance(level)) }
    }

    /// The chance that a trial of this level meets the assertion.
    fn chance(self, level: f64) -> f64 {
        let least = u64::from(GOOD_LEAST);
        let binomial = |chance: f64| at_least(least, u64::from(REQUESTS), chance);
        let margin = ln_margin();
        let time = |most_ms: u64| normal((level + (most_ms as f64 / 1e3).ln()) / TIME_SPREAD);
        match self {
            Self::SuccessRate | Self::ErrorBudget => {
                let shapes = beta_shapes(logistic(level), CORRELATION);
                beta_binomial_at_least(GOOD_LEAST, REQUESTS, shapes)
            }
            Self::SuccessRateShared => {
                mean_over_normal(|z| binomial(logistic(level - LOGIT_SPREAD * z)))
            }
            Self::Latency | Self::LatencyTail => mean_over_normal(|z| {
                at_least(FAST_LEAST, u64::from(REQUESTS), self.fast_chance(level, z))
            }),
            Self::Restore | Self::RestoreAborted => time(WITHIN_MS),
            Self::Mitigate => time(MITIGATE_MS),
            Self::Detection => (1.0 - PAGED_TWICE) * time(WITHIN_MS),
            Self::Quiet
            | Self::Invariant
            | Self::StaysQuiet
            | Self::ExactlyOnce
            | Self::Never
            | Self::KillSwitch
            | Self::Blind => normal(level),
            Self::CostRate
            | Self::CostRateUnseen
            | Self::CostCapped
            | Self::CostPerSuccess
            | Self::CostTotal => cost::chance(self, level),
            Self::MeanRate => logistic(level),
            Self::MeanRestore => {
                let cap = MEAN_CAP_MS as f64 / 1e3;
                mean_over_normal(|z| 1.0 - (TIME_SPREAD * z - level).exp().min(cap) / cap)
            }
            Self::Regression => normal((level + margin) / RUN_SPREAD + CLAIMED_NORMAL),
            Self::Degradation => {
                let room = (-level - margin) / WORSENING_SCALE;
                if room <= 0.0 { 1.0 } else { 1.0 - normal(room.ln() / WORSENING_SPREAD) }
            }
            Self::DegradationDrift => {
                normal((level + margin) / (CHANGE_SPREAD * std::f64::consts::SQRT_2))
            }
            Self::Acts => 1.0 - (1.0_f64).min((-level * REACTION_TAIL).exp()),
            Self::Telemetry => mean_over_normal(|z| {
                at_least(ARRIVED_LEAST, u64::from(DUE), logistic(level - LOGIT_SPREAD * z))
            }),
        }
    }

    /// The chance that a request is fast enough in a trial of this level and own deviation.
    fn fast_chance(self, level: f64, z: f64) -> f64 {
        // Whole microseconds: what is under one more is not above the threshold.
        let room = ((LATENCY_MAX_US + 1) as f64 / 1e6).ln() + level - LATENCY_BETWEEN * z;
        match self {
            Self::LatencyTail => 1.0 - (1.0_f64).min((-LATENCY_TAIL * room).exp()),
            _ => normal(room / LATENCY_WITHIN),
        }
    }

    /// What is asserted of a trial.
    pub(super) fn assertion(self) -> Assertion {
        let during = || WindowRange::phases("fault", Phase::Fault, Phase::Fault);
        let kind = |place: usize| Some(RequestKind::new(KINDS[place]));
        let success = |percent| Assertion::SuccessRate {
            of: kind(0),
            bound: Bound::AtLeast(Ratio::from_percent(percent)),
            during: during(),
        };
        let within = ms(WITHIN_MS);
        let recovery = |to, from, within| Assertion::Recovery { to, fault: fault(), from, within };
        match self {
            Self::SuccessRate | Self::SuccessRateShared => success(95),
            Self::Latency | Self::LatencyTail => Assertion::Latency {
                of: kind(1),
                quantile: Quantile::P99,
                at_most: Duration::from_micros(LATENCY_MAX_US),
                during: during(),
            },
            Self::Restore | Self::RestoreAborted => {
                recovery(RecoveryTo::Restore, FaultInstant::Reverted, within)
            }
            Self::Mitigate => {
                recovery(RecoveryTo::Mitigate, FaultInstant::Effective, ms(MITIGATE_MS))
            }
            Self::Detection => detection(),
            Self::Quiet => Assertion::Quiet { alert: "Burn".to_owned() },
            Self::Invariant => Assertion::Invariant { none_lost: true, none_twice: true },
            Self::ErrorBudget => budget(),
            Self::Degradation | Self::DegradationDrift => Assertion::Degradation {
                of: kind(1),
                quantile: Quantile::P50,
                against: if self.is_paired() { Against::Placebo } else { Against::Baseline },
                by_at_most: Ratio::from_percent(20),
                during: during(),
            },
            Self::Acts
            | Self::StaysQuiet
            | Self::ExactlyOnce
            | Self::Never
            | Self::KillSwitch
            | Self::Blind => {
                Assertion::Automation { actor: "breaker".to_owned(), rule: self.rule() }
            }
            Self::CostRate
            | Self::CostRateUnseen
            | Self::CostCapped
            | Self::CostPerSuccess
            | Self::CostTotal => cost::assertion(self),
            Self::MeanRate => success(80),
            Self::MeanRestore => {
                recovery(RecoveryTo::Restore, FaultInstant::Reverted, ms(MEAN_CAP_MS / 5))
            }
            Self::Regression => Assertion::Regression {
                of: ExpectationId::new(MEASURED),
                by_at_most: Ratio::from_percent(20),
                runs: EARLIER_RUNS,
                reset_at: None,
            },
            Self::Telemetry => Assertion::Telemetry {
                signal: PROBE.into(),
                share_at_least: Ratio::from_percent(90),
                gap_at_most: None,
                during: during(),
            },
        }
    }

    /// What is asked of the automation.
    fn rule(self) -> AutomationRule {
        let action = "open".to_owned();
        match self {
            Self::Acts => {
                let (target, fault) = (Some("payments".to_owned()), fault());
                AutomationRule::Acts { action, target, fault, within: ms(WITHIN_MS) }
            }
            Self::StaysQuiet => AutomationRule::StaysQuiet { action: Some(action) },
            Self::ExactlyOnce => {
                AutomationRule::ExactlyOnce { action, target: None, fault: fault() }
            }
            Self::Never => AutomationRule::Never { actions: vec!["restart".to_owned()] },
            Self::KillSwitch => AutomationRule::ObeysKillSwitch { switch: fault(), actions: None },
            Self::Blind => AutomationRule::HoldsWhenBlind { fault: fault(), actions: None },
            other => panic!("{other:?} asks nothing of an automation"),
        }
    }
}

/// 11 bad requests of 20 a window are 0.055 s of the 2592 s that 99.9 % leave.
fn detection() -> Assertion {
    Assertion::Detection {
        alert: "Burn".to_owned(),
        fault: fault(),
        within: ms(WITHIN_MS),
        pages_exactly: Some(1),
        resolves_within: None,
        through: None,
    }
}

fn budget() -> Assertion {
    Assertion::ErrorBudget {
        of: Some(RequestKind::new(KINDS[0])),
        objective: Ratio::from_billionths(999_000_000),
        period: Duration::from_secs(30 * 86_400),
        takes_at_most: Ratio::from_billionths(22_000),
        during: WindowRange::phases("fault", Phase::Fault, Phase::Fault),
    }
}

/// What the runs of a regression are compared by: a time that has no bound of its own here.
pub(super) fn measured() -> Assertion {
    Assertion::Detection {
        alert: "Burn".to_owned(),
        fault: fault(),
        within: Duration::from_secs(3600),
        pages_exactly: None,
        resolves_within: None,
        through: None,
    }
}

/// The largest accepted log of a ratio of latencies.
fn ln_margin() -> f64 {
    1.2_f64.ln()
}
