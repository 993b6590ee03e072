//! The report as data: one [`Report`] holds all that any format needs. Derived from plan, evidence
//! and verdict; decides nothing and formats next to nothing.
//!
//! Every text from outside was made harmless once, on the way in (see `clean`): no control
//! characters, bounded length. Escaping for its own syntax is each format's business.

mod build;
mod series;
mod spend;
mod trial;
mod words;

use std::collections::BTreeMap;

use harness_core::event::Invalid;
use harness_core::exit::EndOfRun;
use harness_core::ids::{ArmName, ExpectationId, FaultId, RunId, TrialIndex};
use harness_core::plan::{ScenarioReference, TrialMode};
use harness_core::time::WallTime;
use harness_core::verdict::{Counts, Estimate, Measured, Outcome, Quantity, TrialState};
use serde::{Deserialize, Serialize};

pub use spend::SpendTrack;
pub use trial::{
    ActionMark, AlertMark, FaultSpan, LoadFacts, PhaseSpan, Pulse, PulseSpan, PulseTrack, Series,
    TraceFacts, TrialReport, Zero,
};

/// The format of `report.json`; a reader refuses a newer major version.
pub const FORMAT: &str = "gameday.report/1";
/// At most this many points of each series per trial; longer trials are thinned by merging
/// neighbouring windows.
pub const POINTS_MAX: usize = 600;
/// At most this many alerts, actions, and spans of one signal are kept per trial.
pub const EVENTS_MAX: usize = 400;

/// What only the caller knows about a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunFacts {
    /// The run's name.
    pub run: RunId,
    /// When it began, by the wall clock.
    pub started: WallTime,
    /// The version of gameday that ran it.
    pub gameday: String,
    /// The machine in a few words: `Linux 6.1, 2 cores, 4 GiB`.
    pub host: String,
    /// The command line that repeats it.
    pub repeat: String,
}

/// Everything that a report says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`FORMAT`].
    pub format: String,
    /// What the caller told.
    pub run: RunFacts,
    /// Which scenario, with its parameters.
    pub scenario: ScenarioReference,
    /// The verdict in short.
    pub headline: Headline,
    /// What was done, in words.
    pub setting: Setting,
    /// One per expectation, in the order of the plan.
    pub expectations: Vec<ExpectationReport>,
    /// Every trial that was begun, in order.
    pub trials: Vec<TrialReport>,
    /// Which trials count.
    pub validity: ValidityReport,
    /// Faults not proven to be put back.
    pub leftovers: Vec<LeftoverReport>,
    /// The command that pays leftovers.
    pub undo: String,
}

/// The verdict in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Headline {
    /// All expectations together.
    pub outcome: Outcome,
    /// How the run ended.
    pub end: EndOfRun,
    /// The exit code of the run.
    pub exit_code: u8,
    /// What that exit code means.
    pub exit_meaning: String,
    /// One word in capitals: `PASS`, or how the run ended where that matters more.
    pub label: String,
    /// One sentence that a stranger understands.
    pub because: String,
    /// With or without a confidence statement.
    pub mode: TrialMode,
}

/// What was done, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Setting {
    /// `lab/shop`.
    pub system: String,
    /// `lab`, `staging`.
    pub environment: String,
    /// Defects that were switched on.
    pub defects: BTreeMap<String, String>,
    /// The faults.
    pub faults: Vec<FaultWords>,
    /// `open loop, 400/s, Poisson arrivals: POST /checkout`.
    pub load: String,
    /// The arms, with planned and begun trials.
    pub arms: Vec<ArmCount>,
    /// `warmup 2s, baseline 5s, ...`.
    pub phases: String,
    /// What the steady state asks for.
    pub steady: String,
    /// What a pass of this run means.
    pub pass_means: String,
    /// Blast radius, lease and guardrails.
    pub safety: String,
    /// The seed of all random choices.
    pub seed: u64,
    /// SHA-256 of the plan that was judged.
    pub plan_sha256: String,
}

/// One fault in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultWords {
    /// Its name.
    pub id: FaultId,
    /// Its kind.
    pub kind: String,
    /// Its specification in words: `edge checkout->payments, mode blackhole`.
    pub what: String,
    /// `3s after the start of the fault phase` is left out when it is at once.
    pub when: String,
    /// By which mechanism.
    pub mechanism: String,
}

/// Trials of one arm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArmCount {
    /// The arm.
    pub name: ArmName,
    /// It injects nothing.
    pub placebo: bool,
    /// Trials in the plan, without the spare ones.
    pub planned: u32,
    /// Trials that were begun.
    pub begun: u32,
}

/// One expectation and its judgement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExpectationReport {
    /// Its name.
    pub id: ExpectationId,
    /// The key in scenarios.
    pub family: String,
    /// What must hold in a trial, in words.
    pub condition: String,
    /// The claim in words.
    pub claim: String,
    /// The claimed share of trials in which it holds; `None` when the plan does not hold it.
    pub in_at_least: Option<f64>,
    /// The confidence of the claim.
    pub confidence: Option<f64>,
    /// The verdict.
    pub outcome: Outcome,
    /// Estimate, interval, method and n in one sentence.
    pub because: String,
    /// What would change this, in one sentence.
    pub change: String,
    /// The counted trials.
    pub counts: Counts,
    /// The share of trials in which it held, with one-sided bounds.
    pub share: Option<Estimate>,
    /// What is estimated where the claim is about a mean, or against earlier runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Quantity>,
    /// The method.
    pub method: String,
    /// The measured quantity over trials.
    pub measured: Option<Measured>,
    /// The same condition in the placebo trials: counted, not judged.
    pub placebo: Option<Counts>,
    /// `P(at least as many ok | the claim is just false)`.
    pub p_pass: Option<f64>,
    /// `P(at most as many ok | the claim is just true)`.
    pub p_fail: Option<f64>,
    /// What each trial said.
    pub dots: Vec<Dot>,
}

/// What one trial said about one expectation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dot {
    /// The trial.
    pub trial: TrialIndex,
    /// Its arm.
    pub arm: Option<ArmName>,
    /// What it said.
    pub state: TrialState,
    /// The measured value in the unit of [`Measured`].
    pub value: Option<f64>,
    /// The value is larger than this: it was not reached in its window.
    pub censored_at: Option<f64>,
    /// A few words.
    pub because: String,
}

/// Which trials count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidityReport {
    /// Valid trials of all arms.
    pub valid: u32,
    /// Invalid ones.
    pub invalid: u32,
    /// With a larger share of invalid trials nothing is concluded.
    pub invalid_at_most: f64,
    /// Invalid trials by reason, in words; a trial with two reasons counts under both.
    pub reasons: Vec<(String, u32)>,
    /// The invalid trials and why.
    pub trials: Vec<InvalidTrial>,
}

/// An invalid trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InvalidTrial {
    /// The trial.
    pub trial: TrialIndex,
    /// Its arm.
    pub arm: ArmName,
    /// Why; at least one.
    pub invalid: Vec<Invalid>,
}

/// A fault not proven to be put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftoverReport {
    /// The trial.
    pub trial: TrialIndex,
    /// The fault.
    pub fault: FaultId,
    /// Its kind; empty when the plan does not know it.
    pub kind: String,
}

impl Report {
    /// The trial whose timeline tells most: of the trials with a fault the one with most bad, then
    /// most ambiguous, judgements; the earliest of them. `None` without trials.
    pub fn telling_trial(&self) -> Option<&TrialReport> {
        let count = |trial: TrialIndex, state: TrialState| {
            let of_this = |dot: &&Dot| dot.trial == trial && dot.state == state;
            self.expectations.iter().flat_map(|e| &e.dots).filter(of_this).count()
        };
        let rank = |trial: &&TrialReport| {
            (
                !trial.series.at_s.is_empty(),
                !trial.placebo,
                count(trial.trial, TrialState::Bad),
                count(trial.trial, TrialState::Ambiguous),
                std::cmp::Reverse(trial.trial),
            )
        };
        self.trials.iter().max_by_key(rank)
    }
}
