//! What the judge says. Derived data: made again from plan and evidence at any time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{Invalid, InvalidReason};
use crate::exit::EndOfRun;
use crate::ids::{ArmName, ExpectationId, FaultId, TrialIndex};
use crate::plan::TrialMode;

/// The format of `verdict.json`.
pub const FORMAT: &str = "gameday.verdict/1";

/// The three verdicts. The order is the merge rule: the worst wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The claim is supported at its confidence.
    Pass,
    /// Neither supported nor refuted.
    Inconclusive,
    /// The claim is refuted at its confidence.
    Fail,
}

impl Outcome {
    /// `PASS`, `INCONCLUSIVE`, `FAIL`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Fail => "FAIL",
        }
    }
}

/// What a trial says about one expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TrialState {
    /// The condition held.
    Ok,
    /// It did not.
    Bad,
    /// It cannot be said; counts against a pass and against a fail.
    Ambiguous,
    /// Found invalid before injection, or nothing was there to be judged; does not count.
    Excluded,
}

/// The verdict of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// [`FORMAT`].
    pub format: String,
    /// SHA-256 of the plan that was judged (with `--expect`, of the changed one).
    pub plan_sha256: String,
    /// With or without a confidence statement.
    pub mode: TrialMode,
    /// All expectations together.
    pub outcome: Outcome,
    /// How the run ended.
    pub end: EndOfRun,
    /// The exit code that follows from all of it.
    pub exit_code: u8,
    /// One sentence that a stranger understands.
    pub because: String,
    /// One per expectation, in the order of the plan.
    pub judgements: Vec<Judgement>,
    /// Every trial that was begun, in order.
    pub trials: Vec<TrialSummary>,
    /// Valid and invalid trials per reason.
    pub validity: Validity,
    /// Faults not proven to be put back.
    pub leftovers: Vec<Leftover>,
}

/// One expectation judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// Its name.
    pub id: ExpectationId,
    /// The key in scenarios: `successRate`.
    pub family: String,
    /// What must hold in a trial, in words: `success rate at least 99% during fault`.
    pub condition: String,
    /// The claim in words.
    pub claim: String,
    /// The verdict.
    pub outcome: Outcome,
    /// Estimate, interval, method and n in one plain sentence.
    pub because: String,
    /// What would change this, in one plain sentence.
    pub change: String,
    /// The counted trials.
    pub counts: Counts,
    /// The share of trials in which it held: estimate and one-sided bounds.
    pub share: Option<Estimate>,
    /// What is estimated where the claim is about a mean, or against earlier runs.
    #[serde(default)]
    pub quantity: Option<Quantity>,
    /// The method: `exact binomial (Clopper-Pearson)`.
    pub method: String,
    /// The measured quantity over trials, for people.
    pub measured: Option<Measured>,
    /// What each trial said, in order.
    pub trials: Vec<TrialJudgement>,
    /// The same condition in the placebo trials, where it can be asked: counted, not judged.
    pub placebo: Option<Counts>,
    /// `P(at least as many ok | the claim is just false)`.
    pub p_pass: Option<f64>,
    /// `P(at most as many ok | the claim is just true)`.
    pub p_fail: Option<f64>,
}

/// Trials by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// The condition held.
    pub ok: u32,
    /// It did not.
    pub bad: u32,
    /// It cannot be said.
    pub ambiguous: u32,
    /// Not counted.
    pub excluded: u32,
}

impl Counts {
    /// Trials that count: all but the excluded ones.
    pub const fn n(&self) -> u32 {
        self.ok + self.bad + self.ambiguous
    }

    /// Counts one more.
    pub fn add(&mut self, state: TrialState) {
        match state {
            TrialState::Ok => self.ok += 1,
            TrialState::Bad => self.bad += 1,
            TrialState::Ambiguous => self.ambiguous += 1,
            TrialState::Excluded => self.excluded += 1,
        }
    }
}

/// A number with its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// One-sided lower bound at the claim's confidence.
    pub lower: f64,
    /// One-sided upper bound at the claim's confidence.
    pub upper: f64,
}

/// An estimate that is no share of trials: a mean, or a difference between runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quantity {
    /// `mean success rate`, `change of p99 latency`.
    pub name: String,
    /// `ratio`, `s`.
    pub unit: String,
    /// The estimate.
    pub value: f64,
    /// One-sided lower bound; `None` where there is none.
    pub lower: Option<f64>,
    /// One-sided upper bound; `None` where there is none.
    pub upper: Option<f64>,
    /// What is claimed of it, in that unit.
    pub bound: f64,
    /// The bounds are for display: nothing is decided by the one on the side of the claim.
    pub approximate: bool,
}

/// The measured quantity over the counted trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// `success rate`, `p99 latency`, `time to mitigate`.
    pub name: String,
    /// `ratio`, `s`, `ids`.
    pub unit: String,
    /// The bound of the condition, in that unit.
    pub bound: f64,
    /// The bound is an upper one.
    pub bound_is_upper: bool,
    /// Median over trials; `None` when more than half are endless.
    pub median: Option<f64>,
    /// Worst over trials; `None` when endless.
    pub worst: Option<f64>,
    /// Trials whose value is endless or was not reached in its window (censored).
    pub censored: u32,
}

/// What one trial said about one expectation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialJudgement {
    /// The trial.
    pub trial: TrialIndex,
    /// What it said.
    pub state: TrialState,
    /// The measured value in [`Measured::unit`]; `None` when there is none, or it is endless.
    pub value: Option<f64>,
    /// The value was not reached in its window: it is larger than this, in the same unit.
    pub censored_at: Option<f64>,
    /// A few words.
    pub because: String,
}

/// One trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialSummary {
    /// The trial.
    pub trial: TrialIndex,
    /// Its arm.
    pub arm: ArmName,
    /// Why it is invalid; empty when it is valid.
    pub invalid: Vec<Invalid>,
}

/// Valid and invalid trials.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Validity {
    /// Valid trials of all arms.
    pub valid: u32,
    /// Invalid ones of all arms.
    pub invalid: u32,
    /// Invalid ones by reason; a trial with two reasons counts under both.
    pub reasons: BTreeMap<InvalidReason, u32>,
}

/// A fault not proven to be put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leftover {
    /// The trial.
    pub trial: TrialIndex,
    /// The fault.
    pub fault: FaultId,
}
