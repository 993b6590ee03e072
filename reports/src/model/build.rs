//! Puts plan, evidence and verdict together into one [`Report`].

use harness_core::event::Invalid;
use harness_core::evidence::{Evidence, TrialEvidence};
use harness_core::exit::{self, EndOfRun};
use harness_core::ids::{ArmName, ExpectationId, FaultId, TrialIndex};
use harness_core::plan::{Plan, ScenarioReference, TrialMode};
use harness_core::units::Ratio;
use harness_core::verdict::{Estimate, Judgement, Measured, Quantity, TrialJudgement, Verdict};

use super::trial::trial_report;
use super::words::setting;
use super::{
    ArmCount, Dot, ExpectationReport, FORMAT, Headline, InvalidTrial, LeftoverReport, Report,
    RunFacts, ValidityReport,
};
use crate::clean::clean;

impl Report {
    /// The report of a run. `verdict` was made from the same `plan` and `evidence`; trials that
    /// only one of them knows are left out of the timelines, never invented.
    pub fn new(plan: &Plan, evidence: &Evidence, verdict: &Verdict, facts: &RunFacts) -> Self {
        let run = clean_facts(facts);
        let undo = format!("gameday undo {}", run.run);
        Self {
            format: FORMAT.to_owned(),
            scenario: clean_scenario(&plan.scenario),
            headline: headline(verdict),
            setting: setting(plan, &verdict.plan_sha256, arm_counts(plan, evidence)),
            expectations: verdict
                .judgements
                .iter()
                .map(|j| expectation(plan, verdict, j))
                .collect(),
            trials: evidence
                .trials
                .iter()
                .map(|trial| trial_report(plan, trial, invalid_of(verdict, trial)))
                .collect(),
            validity: validity(plan, verdict),
            leftovers: leftovers(plan, verdict),
            undo,
            run,
        }
    }
}

fn clean_facts(facts: &RunFacts) -> RunFacts {
    RunFacts {
        run: harness_core::ids::RunId::new(clean(facts.run.as_str())),
        started: facts.started,
        gameday: clean(&facts.gameday),
        host: clean(&facts.host),
        repeat: clean(&facts.repeat),
    }
}

fn clean_scenario(scenario: &ScenarioReference) -> ScenarioReference {
    let params = scenario.params.iter().map(|(name, value)| (clean(name), clean(value)));
    ScenarioReference {
        name: clean(&scenario.name),
        title: clean(&scenario.title),
        description: clean(&scenario.description),
        owner: clean(&scenario.owner),
        sha256: clean(&scenario.sha256),
        params: params.collect(),
    }
}

fn clean_invalid(invalid: &[Invalid]) -> Vec<Invalid> {
    let one = |invalid: &Invalid| Invalid {
        reason: invalid.reason,
        because: clean(&invalid.because),
        before_injection: invalid.before_injection,
    };
    invalid.iter().map(one).collect()
}

/// The word that matters most: how the run ended, where that is not plainly "completed".
fn headline(verdict: &Verdict) -> Headline {
    let label = match verdict.exit_code {
        exit::LEFTOVERS => "LEFTOVERS",
        exit::BUG => "ERROR",
        exit::ABORTED => "ABORTED",
        exit::REFUSED => "REFUSED",
        _ => verdict.outcome.label(),
    };
    let meaning = exit::MEANINGS.iter().find(|(code, _)| *code == verdict.exit_code);
    let end = match &verdict.end {
        EndOfRun::Completed => EndOfRun::Completed,
        EndOfRun::Aborted { because } => EndOfRun::Aborted { because: clean(because) },
        EndOfRun::Refused { because } => EndOfRun::Refused { because: clean(because) },
        EndOfRun::Errored { because } => EndOfRun::Errored { because: clean(because) },
    };
    Headline {
        outcome: verdict.outcome,
        end,
        exit_code: verdict.exit_code,
        exit_meaning: meaning.map_or("", |(_, meaning)| meaning).to_owned(),
        label: label.to_owned(),
        because: clean(&verdict.because),
        mode: verdict.mode,
    }
}

fn arm_counts(plan: &Plan, evidence: &Evidence) -> Vec<ArmCount> {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let one = |arm: &harness_core::plan::Arm| ArmCount {
        name: ArmName::new(clean(arm.name.as_str())),
        placebo: arm.is_placebo(),
        planned: count(plan.trials.planned.iter().filter(|trial| trial.arm == arm.name).count()),
        begun: count(evidence.trials.iter().filter(|trial| trial.arm == arm.name).count()),
    };
    plan.arms.iter().map(one).collect()
}

fn expectation(plan: &Plan, verdict: &Verdict, judgement: &Judgement) -> ExpectationReport {
    let planned = plan.expectations.iter().find(|planned| planned.id == judgement.id);
    let inferred = verdict.mode == TrialMode::Inferred;
    let claim = planned.filter(|_| inferred).map(|planned| planned.claim);
    ExpectationReport {
        id: ExpectationId::new(clean(judgement.id.as_str())),
        family: clean(&judgement.family),
        condition: clean(&judgement.condition),
        claim: clean(&judgement.claim),
        in_at_least: claim.and_then(|claim| claim.in_at_least()).map(Ratio::as_f64),
        confidence: claim.map(|claim| claim.confidence.as_f64()),
        outcome: judgement.outcome,
        because: clean(&judgement.because),
        change: clean(&judgement.change),
        counts: judgement.counts,
        share: judgement.share.filter(is_finite),
        quantity: judgement.quantity.as_ref().and_then(clean_quantity),
        method: clean(&judgement.method),
        measured: judgement.measured.as_ref().filter(|m| m.bound.is_finite()).map(clean_measured),
        placebo: judgement.placebo,
        p_pass: finite(judgement.p_pass),
        p_fail: finite(judgement.p_fail),
        dots: judgement.trials.iter().map(|trial| dot(verdict, trial)).collect(),
    }
}

fn is_finite(share: &Estimate) -> bool {
    share.value.is_finite() && share.lower.is_finite() && share.upper.is_finite()
}

/// An endless or undefined number is told by its absence: JSON has no sign for it.
fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

fn clean_measured(measured: &Measured) -> Measured {
    Measured {
        name: clean(&measured.name),
        unit: clean(&measured.unit),
        bound: measured.bound,
        bound_is_upper: measured.bound_is_upper,
        median: finite(measured.median),
        worst: finite(measured.worst),
        censored: measured.censored,
    }
}

fn clean_quantity(quantity: &Quantity) -> Option<Quantity> {
    (quantity.value.is_finite() && quantity.bound.is_finite()).then(|| Quantity {
        name: clean(&quantity.name),
        unit: clean(&quantity.unit),
        lower: finite(quantity.lower),
        upper: finite(quantity.upper),
        ..quantity.clone()
    })
}

fn dot(verdict: &Verdict, trial: &TrialJudgement) -> Dot {
    let summary = verdict.trials.iter().find(|summary| summary.trial == trial.trial);
    Dot {
        trial: trial.trial,
        arm: summary.map(|summary| ArmName::new(clean(summary.arm.as_str()))),
        state: trial.state,
        value: finite(trial.value),
        censored_at: finite(trial.censored_at),
        because: clean(&trial.because),
    }
}

/// Why a trial is invalid by the verdict, which knows more than the run did; else by the run.
fn invalid_of(verdict: &Verdict, trial: &TrialEvidence) -> Vec<Invalid> {
    let summary = verdict.trials.iter().find(|summary| summary.trial == trial.trial);
    clean_invalid(summary.map_or(&trial.invalid, |summary| &summary.invalid))
}

fn validity(plan: &Plan, verdict: &Verdict) -> ValidityReport {
    let invalid = verdict.trials.iter().filter(|trial| !trial.invalid.is_empty());
    let reasons = verdict.validity.reasons.iter();
    ValidityReport {
        valid: verdict.validity.valid,
        invalid: verdict.validity.invalid,
        invalid_at_most: plan.trials.invalid_at_most.as_f64(),
        reasons: reasons.map(|(reason, count)| (reason.label().to_owned(), *count)).collect(),
        trials: invalid
            .map(|trial| InvalidTrial {
                trial: trial.trial,
                arm: ArmName::new(clean(trial.arm.as_str())),
                invalid: clean_invalid(&trial.invalid),
            })
            .collect(),
    }
}

fn leftovers(plan: &Plan, verdict: &Verdict) -> Vec<LeftoverReport> {
    let kind = |fault: &FaultId| plan.fault(fault).map_or_else(String::new, |f| clean(&f.kind));
    let one = |trial: TrialIndex, fault: &FaultId| LeftoverReport {
        trial,
        fault: FaultId::new(clean(fault.as_str())),
        kind: kind(fault),
    };
    verdict.leftovers.iter().map(|owed| one(owed.trial, &owed.fault)).collect()
}
