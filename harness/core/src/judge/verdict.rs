//! The whole verdict: every expectation judged, trials counted, and one sentence for a stranger.

use stats::decision::Decision;

use super::case::{Case, Found, Value};
use super::conclusion::{Concluded, Method, conclude};
use super::cost;
use super::phrase::{Measure, Phrase, phrase};
use super::resemblance;
use super::sentence::{self, Subject};
use crate::event::Invalid;
use crate::evidence::{Evidence, TrialEvidence};
use crate::exit::{self, EndOfRun};
use crate::ids::{FaultId, TrialIndex};
use crate::plan::{Against, Assertion, CostBound, Expectation, Plan};
use crate::verdict::{
    Counts, Estimate, FORMAT, Judgement, Leftover, Measured, Outcome, Quantity, TrialJudgement,
    TrialState, TrialSummary, Validity, Verdict,
};

/// Judges a run, finished or not.
pub fn judge(plan: &Plan, evidence: &Evidence) -> Verdict {
    let looks = look(plan, evidence);
    let concluded: Vec<Concluded> = conclude(plan, &evidence.history, &founds(&looks))
        .into_iter()
        .zip(&looks)
        .map(|(concluded, look)| {
            let found: Vec<&Found> = look.iter().map(|(found, _)| found).collect();
            resemblance::check(concluded, &found, plan.seed)
        })
        .collect();
    let judgements: Vec<Judgement> = plan
        .expectations
        .iter()
        .zip(&concluded)
        .zip(looks)
        .map(|((expectation, concluded), look)| {
            judgement(plan, evidence, (expectation, look), concluded)
        })
        .collect();
    let end = evidence.end.clone().unwrap_or_else(|| EndOfRun::Aborted {
        because: "the journal breaks off: gameday itself was stopped".to_owned(),
    });
    let (leftovers, late) = (named(&evidence.leftovers), named(&evidence.put_back_late));
    let outcome = merged(&judgements, &end);
    let validity = validity(plan, evidence);
    Verdict {
        format: FORMAT.to_owned(),
        plan_sha256: plan.sha256(),
        mode: plan.trials.mode,
        outcome,
        exit_code: exit_code(outcome, &end, &leftovers),
        because: because(outcome, &end, (&leftovers, &late), &judgements, &validity),
        end,
        judgements,
        trials: evidence
            .trials
            .iter()
            .map(|trial| TrialSummary {
                trial: trial.trial,
                arm: trial.arm.clone(),
                invalid: Case { plan, trial, all: &evidence.trials }.invalid().collect(),
            })
            .collect(),
        validity,
        leftovers,
    }
}

fn named(faults: &[(TrialIndex, FaultId)]) -> Vec<Leftover> {
    let one =
        |(trial, fault): &(TrialIndex, FaultId)| Leftover { trial: *trial, fault: fault.clone() };
    faults.iter().map(one).collect()
}

/// Judges a run by other expectations than those it was planned with; the verdict carries the hash
/// of the plan so changed.
pub fn judge_with(plan: &Plan, expectations: Vec<Expectation>, evidence: &Evidence) -> Verdict {
    judge(&Plan { expectations, ..plan.clone() }, evidence)
}

/// The outcome of each expectation by the states of its trials alone, before it is asked whether
/// they resemble the ones before them. In fixed designs the order of trials does not matter to it,
/// and no trial that turns bad, or cannot be told, ever improves it. [`judge`] differs from it only
/// where it takes a pass away.
pub fn outcomes_by_states(plan: &Plan, evidence: &Evidence) -> Vec<Outcome> {
    let concluded = conclude(plan, &evidence.history, &founds(&look(plan, evidence)));
    concluded.into_iter().map(|concluded| concluded.outcome).collect()
}

/// What each trial says about each expectation, by expectation and in the order of the run.
pub(super) fn look(plan: &Plan, evidence: &Evidence) -> Vec<Vec<(Found, TrialJudgement)>> {
    let of = |expectation: &Expectation| {
        trials_of(evidence, expectation)
            .map(|trial| Case { plan, trial, all: &evidence.trials }.judge(&expectation.assertion))
            .collect()
    };
    plan.expectations.iter().map(of).collect()
}

/// What was found, without its words.
pub(super) fn founds(looks: &[Vec<(Found, TrialJudgement)>]) -> Vec<Vec<&Found>> {
    looks.iter().map(|look| look.iter().map(|(found, _)| found).collect()).collect()
}

fn trials_of<'a>(
    evidence: &'a Evidence,
    expectation: &'a Expectation,
) -> impl Iterator<Item = &'a TrialEvidence> + 'a {
    evidence.trials.iter().filter(|trial| expectation.arms.contains(&trial.arm))
}

fn judgement(
    plan: &Plan,
    evidence: &Evidence,
    (expectation, look): (&Expectation, Vec<(Found, TrialJudgement)>),
    concluded: &Concluded,
) -> Judgement {
    let (found, trials): (Vec<Found>, Vec<TrialJudgement>) = look.into_iter().unzip();
    let mut counts = Counts::default();
    for one in &found {
        counts.add(one.state);
    }
    let values: Vec<Value> = found
        .iter()
        .filter(|one| matches!(one.state, TrialState::Ok | TrialState::Bad))
        .map(|one| one.value)
        .collect();
    let phrase = phrase(plan, expectation);
    let fewest = found.iter().filter_map(|one| one.few).min_by_key(|few| few.due);
    let subject =
        Subject { plan, expectation, phrase: &phrase, concluded, values: &values, fewest };
    let decision = concluded.decision.filter(|_| concluded.tally.cases() > 0);
    Judgement {
        id: expectation.id.clone(),
        family: expectation.assertion.key().to_owned(),
        claim: sentence::claim(plan, expectation, concluded.method),
        outcome: concluded.outcome,
        because: {
            let ratio = cost::ratio(&found, &expectation.assertion).unwrap_or_default();
            sentence::because(&subject) + &ratio
        },
        change: sentence::change(&subject),
        counts,
        share: decision.map(|decision| estimate(concluded, decision)),
        quantity: quantity(&phrase, concluded.method),
        method: sentence::method(concluded.method),
        measured: measured(&phrase.measure, &values),
        trials,
        placebo: placebo(plan, evidence, expectation),
        p_pass: decision.map(|decision| decision.p_pass),
        p_fail: decision.map(|decision| decision.p_fail),
        condition: under_model(plan, &expectation.assertion, phrase.condition),
    }
}

/// Says of a claim about requests when they come from users who wait for their answers: such a load
/// thins out while the system is slow, so the claim is weaker than under an open loop.
fn under_model(plan: &Plan, assertion: &Assertion, condition: String) -> String {
    let about_requests = matches!(
        assertion,
        Assertion::SuccessRate { .. }
            | Assertion::Latency { .. }
            | Assertion::Recovery { .. }
            | Assertion::ErrorBudget { .. }
            | Assertion::Degradation { .. }
    );
    match plan.load.journeys() {
        Some(journeys) if about_requests => {
            format!("{condition} (closed model: {} users)", journeys.users)
        }
        Some(_) | None => condition,
    }
}

fn estimate(concluded: &Concluded, decision: Decision) -> Estimate {
    let value = concluded.tally.surely_ok().ratio().unwrap_or(0.0);
    Estimate { value, lower: decision.lower, upper: decision.upper }
}

/// The estimate of what is not a share of trials.
fn quantity(phrase: &Phrase, method: Method) -> Option<Quantity> {
    match method {
        Method::Averaged(averaged) => averaged.quantity(&phrase.measure),
        Method::Compared(compared) => compared.quantity(&phrase.measure),
        Method::Fixed | Method::Sequential { .. } | Method::Observed => None,
    }
}

/// Median by nearest rank and worst of the measured values; endless ones stand above all.
fn measured(measure: &Measure, values: &[Value]) -> Option<Measured> {
    let mut sorted: Vec<f64> = values
        .iter()
        .filter_map(|value| match value {
            Value::At(value) => Some(*value),
            Value::Beyond(_) | Value::Endless => Some(f64::INFINITY),
            Value::None => None,
        })
        .collect();
    sorted.sort_by(f64::total_cmp);
    if !measure.bound_is_upper {
        sorted.reverse();
    }
    let worst = *sorted.last()?;
    let median = sorted[(sorted.len() - 1) / 2];
    let censored = sorted.iter().filter(|value| value.is_infinite()).count();
    let finite = |value: f64| Some(value).filter(|value| value.is_finite());
    Some(Measured {
        name: measure.name.clone(),
        unit: measure.unit.name(),
        bound: measure.bound,
        bound_is_upper: measure.bound_is_upper,
        median: finite(median),
        worst: finite(worst),
        censored: u32::try_from(censored).unwrap_or(u32::MAX),
    })
}

/// The same condition in the placebo trials: what it looks like when nothing is wrong.
fn placebo(plan: &Plan, evidence: &Evidence, expectation: &Expectation) -> Option<Counts> {
    match &expectation.assertion {
        Assertion::SuccessRate { .. }
        | Assertion::Latency { .. }
        | Assertion::Quiet { .. }
        | Assertion::Invariant { .. }
        | Assertion::ErrorBudget { .. }
        | Assertion::Degradation { against: Against::Baseline, .. }
        | Assertion::Telemetry { .. }
        | Assertion::Cost {
            bound: CostBound::Rate { .. } | CostBound::PerSuccess { .. } | CostBound::Total { .. },
            ..
        } => {}
        Assertion::Degradation { against: Against::Placebo, .. }
        | Assertion::Automation { .. }
        | Assertion::Detection { .. }
        | Assertion::Recovery { .. }
        | Assertion::Regression { .. }
        | Assertion::Cost { bound: CostBound::Capped { .. }, .. } => return None,
    }
    let mut counts = Counts::default();
    let others = evidence
        .trials
        .iter()
        .map(|trial| Case { plan, trial, all: &evidence.trials })
        .filter(|case| case.is_placebo() && !expectation.arms.contains(&case.trial.arm));
    let mut any = false;
    for case in others {
        any = true;
        counts.add(case.judge(&expectation.assertion).0.state);
    }
    any.then_some(counts)
}

/// The worst outcome; a run that did not complete passes nothing, nor does one that judged nothing.
fn merged(judgements: &[Judgement], end: &EndOfRun) -> Outcome {
    let worst = judgements.iter().map(|judgement| judgement.outcome).max();
    let least = match end {
        EndOfRun::Completed => Outcome::Pass,
        EndOfRun::Aborted { .. } | EndOfRun::Refused { .. } | EndOfRun::Errored { .. } => {
            Outcome::Inconclusive
        }
    };
    worst.unwrap_or(Outcome::Inconclusive).max(least)
}

/// Highest first: leftovers, bug, refused, aborted, fail, inconclusive, pass.
fn exit_code(outcome: Outcome, end: &EndOfRun, leftovers: &[Leftover]) -> u8 {
    if !leftovers.is_empty() {
        return exit::LEFTOVERS;
    }
    match end {
        EndOfRun::Errored { .. } => exit::BUG,
        EndOfRun::Refused { .. } => exit::REFUSED,
        EndOfRun::Aborted { .. } => exit::ABORTED,
        EndOfRun::Completed => match outcome {
            Outcome::Pass => exit::PASS,
            Outcome::Inconclusive => exit::INCONCLUSIVE,
            Outcome::Fail => exit::FAIL,
        },
    }
}

fn because(
    outcome: Outcome,
    end: &EndOfRun,
    (leftovers, late): (&[Leftover], &[Leftover]),
    judgements: &[Judgement],
    validity: &Validity,
) -> String {
    if let Some(all) = listed(leftovers) {
        return format!("{all} is not proven to be put back: a person is needed");
    }
    match end {
        EndOfRun::Errored { because } => return format!("the run ended by an error: {because}"),
        EndOfRun::Refused { because } => return format!("nothing was started: {because}"),
        EndOfRun::Aborted { because } => {
            let late = listed(late).map_or_else(String::new, |all| format!(", {all} late"));
            return format!("the run was aborted and everything was put back{late}: {because}");
        }
        EndOfRun::Completed => {}
    }
    let of = |wanted| judgements.iter().filter(move |judgement| judgement.outcome == wanted);
    let first = |wanted, what: &str| {
        let Some(judgement) = of(wanted).next() else { return String::new() };
        let more = match of(wanted).count() {
            1 => String::new(),
            count => format!(", and {} more with it", count - 1),
        };
        format!("{} {what}{more}: {}", judgement.id, judgement.because)
    };
    match (outcome, judgements) {
        (_, []) => "the plan expects nothing, so nothing was judged".to_owned(),
        (Outcome::Fail, _) => first(Outcome::Fail, "failed"),
        (Outcome::Inconclusive, _) => {
            let unsettled = first(Outcome::Inconclusive, "is not settled");
            format!("nothing failed, but {unsettled}{}", spoilt(validity))
        }
        (Outcome::Pass, [only]) => format!("{} passed: {}", only.id, only.because),
        (Outcome::Pass, all) => {
            let count = all.len();
            let weakest = all.iter().max_by(|one, other| {
                let p = |judgement: &Judgement| judgement.p_pass.unwrap_or(0.0);
                p(one).total_cmp(&p(other))
            });
            let weakest = weakest.map_or("", |judgement| judgement.because.as_str());
            format!("all {count} expectations passed; the one with the least to spare: {weakest}")
        }
    }
}

/// The first of these faults, and how many more there are.
fn listed(faults: &[Leftover]) -> Option<String> {
    let Leftover { trial, fault } = faults.first()?;
    let more = match faults.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    Some(format!("{fault} of trial {}{more}", trial.number()))
}

/// What kept trials from telling, where something did: the reason that most of them share.
fn spoilt(validity: &Validity) -> String {
    let most = validity.reasons.iter().max_by_key(|(_, count)| **count);
    most.map_or_else(String::new, |(reason, count)| {
        let all = validity.valid + validity.invalid;
        format!("; {count} of {all} trials cannot tell, because of this: {}", reason.label())
    })
}

fn validity(plan: &Plan, evidence: &Evidence) -> Validity {
    let mut validity = Validity::default();
    for trial in &evidence.trials {
        let invalid: Vec<Invalid> = Case { plan, trial, all: &evidence.trials }.invalid().collect();
        if invalid.is_empty() {
            validity.valid += 1;
        } else {
            validity.invalid += 1;
        }
        for invalid in invalid {
            *validity.reasons.entry(invalid.reason).or_default() += 1;
        }
    }
    validity
}
