//! The numbers of a calibration: the floor and the false alarms of each expectation, drift from
//! the baseline to the window that is judged, noise, and how much requests of a trial depend.

use harness_core::evidence::Evidence;
use harness_core::judge::judge_with;
use harness_core::plan::{Against, Assertion, Bound, Expectation, Phase, Plan, WindowRange};
use harness_core::units::Ratio;
use harness_core::verdict::{Counts, Judgement, TrialState, Verdict};
use serde::Serialize;
use stats::binomial;
use stats::calibrate::{drift_p, floor};
use stats::clustering::{cluster_mean, lag_one};
use stats::decimal::Share;
use stats::degradation::{EquivalencePlan, Range, equivalence, equivalence_pairs_needed};
use stats::planning::{PairedPlan, clean_cases_needed, detectable_difference};

/// The format of the JSON.
pub(super) const FORMAT: &str = "gameday.calibration/1";
/// The margin of a latency for which the scenario declares none.
const MARGIN: Ratio = Ratio::from_percent(20);
/// The chance with which an equivalence, or a difference, is to be found.
const POWER: f64 = 0.9;
/// More placebo trials than this are not proposed.
const TRIALS_MAX: u32 = 1000;

/// What placebo trials say.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Calibration {
    pub(super) trials: usize,
    pub(super) invalid: u32,
    pub(super) expectations: Vec<Quiet>,
    /// Expectations that ask for what only a fault brings about.
    pub(super) not_asked: Vec<String>,
    /// Good shares of the requests of the fault phase, by trial; `None` without a failed one.
    pub(super) requests: Option<Requests>,
}

/// One expectation when nothing is wrong.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Quiet {
    pub(super) id: String,
    pub(super) condition: String,
    pub(super) counts: Counts,
    /// In at least this share of quiet trials the condition is met, at the claim's confidence.
    pub(super) floor: f64,
    /// The share that is claimed under the fault.
    pub(super) claimed: f64,
    /// The floor supports the claim.
    pub(super) testable: bool,
    /// Clean placebo trials that would support it.
    pub(super) clean_needed: u64,
    /// The share of quiet trials in which it is violated, and its upper bound.
    pub(super) false_alarms: f64,
    pub(super) false_alarms_at_most: f64,
    pub(super) drift: Option<Drift>,
    /// Resemblance of neighbouring trials: p of the one-sided permutation test.
    pub(super) lag_one_p: Option<f64>,
}

/// How the measured value moves from the baseline to the judged window of the same trial.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Drift {
    /// What the changes are: logarithms of a ratio, or differences of a share.
    pub(super) of: &'static str,
    pub(super) pairs: usize,
    pub(super) mean: f64,
    pub(super) lower: f64,
    pub(super) upper: f64,
    pub(super) deviation: f64,
    /// Two-sided sign test of "no drift".
    pub(super) sign_p: f64,
    /// Half the margin: a shift within it does no harm.
    pub(super) half_margin: f64,
    /// The mean change surely lies within half the margin.
    pub(super) equivalent: bool,
    /// Placebo trials that would certify it with 90 % chance, were there no shift.
    pub(super) trials_needed: Option<u32>,
    /// The smallest mean difference that so many trials find with 90 % chance.
    pub(super) detectable: Option<f64>,
}

/// How much the requests of one trial depend on each other.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Requests {
    pub(super) good: f64,
    pub(super) intraclass_correlation: Option<f64>,
    pub(super) design_effect: Option<f64>,
}

impl Calibration {
    pub(super) fn of(wanted: &Plan, plan: &Plan, evidence: &Evidence, verdict: &Verdict) -> Self {
        let asked = |id| plan.expectations.iter().any(|asked| &asked.id == id);
        let ids = wanted.expectations.iter().map(|expectation| &expectation.id);
        let judged = plan.expectations.iter().zip(&verdict.judgements);
        Self {
            trials: verdict.trials.len(),
            invalid: verdict.validity.invalid,
            expectations: judged
                .map(|(expectation, judgement)| quiet(plan, evidence, expectation, judgement))
                .collect(),
            not_asked: ids.filter(|id| !asked(*id)).map(ToString::to_string).collect(),
            requests: requests(evidence),
        }
    }
}

fn quiet(
    plan: &Plan,
    evidence: &Evidence,
    expectation: &Expectation,
    judgement: &Judgement,
) -> Quiet {
    let counts = judgement.counts;
    let share = |part: u32| Share { part: u64::from(part), whole: u64::from(counts.n()) };
    let alpha = expectation.claim.confidence.complement().as_f64().clamp(1e-9, 1.0 - 1e-9);
    let claimed = expectation.claim.in_at_least().map_or(1.0, Ratio::as_f64);
    let is_empty = counts.n() == 0;
    let floor = if is_empty { 0.0 } else { floor(share(counts.ok), alpha) };
    let values: Vec<f64> = values(judgement).into_iter().flatten().collect();
    Quiet {
        id: expectation.id.to_string(),
        condition: judgement.condition.clone(),
        counts,
        floor,
        claimed,
        testable: floor >= claimed,
        clean_needed: clean_cases_needed(claimed.clamp(1e-9, 1.0 - 1e-9), alpha),
        false_alarms: share(counts.bad).ratio().unwrap_or(0.0),
        false_alarms_at_most: if is_empty {
            1.0
        } else {
            binomial::upper_bound(share(counts.bad + counts.ambiguous), alpha)
        },
        drift: drift(plan, evidence, expectation, alpha),
        lag_one_p: varying(&values).then(|| lag_one(&values, plan.seed)).flatten().map(|l| l.p),
    }
}

/// What the trials measured, in order; of those alone that count.
fn values(judgement: &Judgement) -> Vec<Option<f64>> {
    let counts = |state| matches!(state, TrialState::Ok | TrialState::Bad);
    let trials = judgement.trials.iter();
    trials.map(|trial| trial.value.filter(|_| counts(trial.state))).collect()
}

fn varying(values: &[f64]) -> bool {
    values.windows(2).any(|pair| (pair[0] - pair[1]).abs() > 0.0)
}

/// The change from the baseline to the judged window, where there is such a thing.
fn drift(plan: &Plan, evidence: &Evidence, expectation: &Expectation, alpha: f64) -> Option<Drift> {
    let measured = |assertion: Assertion| -> Option<Vec<Option<f64>>> {
        let asked = Expectation { assertion, ..expectation.clone() };
        judge_with(plan, vec![asked], evidence).judgements.first().map(values)
    };
    let ratio = |of, quantile, by_at_most, during| -> Option<(Vec<f64>, f64)> {
        let against = Against::Baseline;
        let assertion = Assertion::Degradation { of, quantile, against, by_at_most, during };
        let changes =
            measured(assertion)?.into_iter().flatten().filter(|ratio| *ratio > 0.0).map(f64::ln);
        Some((changes.collect(), by_at_most.as_f64().ln_1p()))
    };
    let (of, (changes, margin)) = match expectation.assertion.clone() {
        Assertion::Latency { of, quantile, during, .. } => {
            ("log of the ratio", ratio(of, quantile, MARGIN, during)?)
        }
        Assertion::Degradation { of, quantile, by_at_most, during, .. } => {
            ("log of the ratio", ratio(of, quantile, by_at_most, during)?)
        }
        Assertion::SuccessRate { of, bound: Bound::AtLeast(least), during } => {
            let baseline = WindowRange::phases("baseline", Phase::Baseline, Phase::Baseline);
            let bound = Bound::AtLeast(least);
            let rate = |during| measured(Assertion::SuccessRate { of: of.clone(), bound, during });
            let pairs = rate(during)?.into_iter().zip(rate(baseline)?);
            let changes = pairs.filter_map(|(after, before)| Some(after? - before?)).collect();
            ("difference of the share", (changes, least.complement().as_f64()))
        }
        _ => return None,
    };
    drift_of(of, &changes, margin, alpha)
}

fn drift_of(of: &'static str, changes: &[f64], margin: f64, alpha: f64) -> Option<Drift> {
    let half_margin = margin / 2.0;
    if half_margin <= 0.0 {
        return None;
    }
    let range = Range { low: -half_margin, high: half_margin };
    let found = equivalence(changes, range, alpha)?;
    let count = changes.len() as f64;
    let mean = changes.iter().sum::<f64>() / count;
    let squares: f64 = changes.iter().map(|change| (change - mean).powi(2)).sum();
    let deviation = (squares / (count - 1.0)).sqrt();
    let needed = EquivalencePlan { deviation, half_width: half_margin, alpha };
    let pairs = changes.len() as u64;
    Some(Drift {
        of,
        pairs: changes.len(),
        mean,
        lower: found.bounds.lower,
        upper: found.bounds.upper,
        deviation,
        sign_p: drift_p(changes),
        half_margin,
        equivalent: found.equivalent,
        trials_needed: (deviation > 0.0)
            .then(|| equivalence_pairs_needed(needed, POWER, TRIALS_MAX))
            .flatten(),
        detectable: detectable_difference(PairedPlan { pairs, deviation, alpha, power: POWER }),
    })
}

/// Good requests of the fault phase by trial.
fn requests(evidence: &Evidence) -> Option<Requests> {
    let trials = evidence.trials.iter().filter_map(|trial| {
        let (from, to) = trial.phases.get(&Phase::Fault)?;
        let to = (*to)?;
        let inside = trial.windows.iter().filter(|w| w.start >= *from && w.end() <= to);
        let sum = inside.fold((0, 0), |(whole, part), window| {
            let (planned, good) = window.totals();
            (whole + planned, part + good)
        });
        (sum.0 > 0).then_some(Share { part: sum.1, whole: sum.0 })
    });
    let trials: Vec<Share> = trials.collect();
    let mean = cluster_mean(&trials, 0.05)?;
    (mean.ratio < 1.0).then_some(Requests {
        good: mean.ratio,
        intraclass_correlation: mean.intraclass_correlation,
        design_effect: mean.design_effect,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_system_is_certified_and_a_drifting_one_is_not() {
        let steady: Vec<f64> = (0..14).map(|i| 0.01 * f64::from(i % 3 - 1)).collect();
        let found = drift_of("log", &steady, 0.2, 0.05).unwrap();
        assert!(found.equivalent && found.sign_p > 0.5, "{found:?}");
        assert!(found.lower < 0.0 && 0.0 < found.upper, "{found:?}");
        assert!(found.detectable.unwrap() < 0.02, "{found:?}");
        let drifting: Vec<f64> = steady.iter().map(|change| change + 0.15).collect();
        let found = drift_of("log", &drifting, 0.2, 0.05).unwrap();
        assert!(!found.equivalent && found.sign_p < 0.001, "{found:?}");
    }

    #[test]
    fn too_few_changes_or_no_margin_say_nothing() {
        assert!(drift_of("log", &[0.1], 0.2, 0.05).is_none());
        assert!(drift_of("log", &[0.1, 0.2], 0.0, 0.05).is_none());
    }

    #[test]
    fn values_vary_or_not() {
        assert!(varying(&[1.0, 1.0, 0.9]));
        assert!(!varying(&[1.0, 1.0]));
        assert!(!varying(&[]));
    }
}
