//! From the states of trials to a conclusion per expectation, all of them together: exact binomial
//! tails, or the boundaries of the sequential design, and Holm's correction before a failure is
//! named. The verdict and the decision to stop early are both read from here.

use stats::automation::never;
use stats::binomial::Bounds;
use stats::decimal::{Decimal, Share};
use stats::decision::{Claim as ShareClaim, Conclusion, Decision, Levels, State, Tally};
use stats::multiplicity::{ClaimEvidence, MergeRules, merge};
use stats::planning::levels_within;
use stats::sequential::{
    DESIGN_CASES_MAX, Design, Progress, Spending, Walk, bounds_at, lower_bound_after_pass,
    upper_bound_after_fail,
};
use stats::validity::{decide_with_excluded, invalid_share};

use super::average::{self, Averaged};
use super::case::Found;
use super::regression::{self, Compared};
use super::resemblance::Resemblance;
use crate::history::History;
use crate::plan::{Claim, Expectation, Holds, Plan, StopRule, TrialMode};
use crate::units::Ratio;
use crate::verdict::{Outcome, TrialState};

/// The conclusion about one expectation, with what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Concluded {
    pub(super) outcome: Outcome,
    /// The counted trials that it rests on; with early stopping those up to the stop.
    pub(super) tally: Tally,
    /// Trials that were excluded.
    pub(super) excluded: u64,
    /// Bad trials in all, also after an early stop.
    pub(super) bad: u64,
    /// Bounds and tails of the share over the tally, where a share is claimed with confidence.
    pub(super) decision: Option<Decision>,
    pub(super) method: Method,
    /// More trials were invalid than the plan accepts.
    pub(super) too_many_invalid: bool,
    /// Refuted on its own, but not among all expectations.
    pub(super) spared: bool,
    /// Something happened that must never happen.
    pub(super) violated: bool,
    /// The trials resemble the ones before them; only asked for a verdict.
    pub(super) resemblance: Option<Resemblance>,
}

/// How it was concluded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Method {
    /// All planned trials, exact binomial.
    Fixed,
    /// A look after every trial, exact spending.
    Sequential {
        /// Where the walk stands.
        progress: Progress,
        /// The declared maximum.
        cases_max: u32,
    },
    /// Plain comparison.
    Observed,
    /// The mean over trials.
    Averaged(Averaged),
    /// This run against earlier ones.
    Compared(Compared),
}

/// Concludes every expectation of the plan; `looks` are those at its trials in the order of the
/// run.
pub(super) fn conclude(plan: &Plan, history: &History, looks: &[Vec<&Found>]) -> Vec<Concluded> {
    let expectations = &plan.expectations;
    let mut all: Vec<Concluded> = expectations
        .iter()
        .zip(looks)
        .map(|(expectation, look)| {
            let concluded = one(plan, history, expectation, look);
            Concluded { violated: is_violated(expectation, &concluded), ..concluded }
        })
        .collect();
    // One common level for all; a p value is scaled where an expectation has another one.
    let common = Levels::FIVE_PERCENT;
    let evidence: Vec<ClaimEvidence> = expectations
        .iter()
        .zip(&all)
        .map(|(expectation, concluded)| {
            let scaled = |p: f64| (p * common.pass / alpha(expectation.claim)).min(1.0);
            let (p_pass, p_fail) = match (concluded.method, concluded.outcome) {
                (Method::Fixed, _) if concluded.too_many_invalid => (1.0, 1.0),
                (Method::Fixed, _) => concluded.decision.map_or((1.0, 1.0), |decision| {
                    (scaled(decision.p_pass), scaled(decision.p_fail))
                }),
                // Corrected inside its bounds, or not a matter of chance at all.
                (_, Outcome::Pass) => (0.0, 1.0),
                (_, Outcome::Inconclusive) => (1.0, 1.0),
                (_, Outcome::Fail) => (1.0, 0.0),
            };
            ClaimEvidence { p_pass, p_fail, never_violated: concluded.violated }
        })
        .collect();
    let rules = MergeRules { invalid_share_max: Decimal::ONE, levels: common };
    let joint = merge(&evidence, Share { part: 0, whole: 0 }, &rules);
    for (place, concluded) in all.iter_mut().enumerate() {
        match (concluded.outcome, joint.failed.contains(&place)) {
            (_, true) => concluded.outcome = Outcome::Fail,
            (Outcome::Fail, false) => {
                concluded.outcome = Outcome::Inconclusive;
                concluded.spared = true;
            }
            (Outcome::Pass | Outcome::Inconclusive, false) => {}
        }
    }
    all
}

/// Concludes one expectation for itself.
fn one(plan: &Plan, history: &History, expectation: &Expectation, look: &[&Found]) -> Concluded {
    let states: Vec<TrialState> = look.iter().map(|found| found.state).collect();
    match (expectation.claim.holds, plan.trials.mode, plan.trials.stop) {
        (Holds::OnAverage { cap }, _, _) => {
            let (conclusion, averaged) = average::average(plan, expectation, cap, look);
            without_share(plan, &states, conclusion, Method::Averaged(averaged))
        }
        (Holds::OverRuns, _, _) => {
            let (conclusion, compared) = regression::compare(plan, expectation, history, look);
            without_share(plan, &states, conclusion, Method::Compared(compared))
        }
        (Holds::InAtLeast(_), TrialMode::Observed, _) => observed(plan, &states),
        (Holds::InAtLeast(share), TrialMode::Inferred, StopRule::Fixed) => {
            fixed(plan, share_of(share, expectation.claim), &states)
        }
        (Holds::InAtLeast(share), TrialMode::Inferred, StopRule::Sequential) => {
            sequential(plan, expectation, share_of(share, expectation.claim), &states)
        }
    }
}

/// Whether something happened that must never happen.
fn is_violated(expectation: &Expectation, concluded: &Concluded) -> bool {
    let Some(share) = expectation.claim.in_at_least() else { return false };
    if !expectation.assertion.is_never() {
        return false;
    }
    let violated = Share { part: concluded.bad, whole: concluded.bad + concluded.tally.cases() };
    let rate_max = 1.0 - share_of(share, expectation.claim).share;
    never(violated, rate_max, alpha(expectation.claim)).conclusion == Conclusion::Fail
}

/// The accepted chance of a wrong end, one-sided.
pub(super) fn alpha(claim: Claim) -> f64 {
    inside(claim.confidence.complement().billionths())
}

/// Both levels of a claim.
pub(super) fn levels(claim: Claim) -> Levels {
    let alpha = alpha(claim);
    Levels { pass: alpha, fail: alpha }
}

/// The levels of a claim among all of the plan, for claims that bring no p value: fail levels
/// shared among all expectations.
pub(super) fn levels_among(plan: &Plan, claim: Claim) -> Levels {
    let claims = u32::try_from(plan.expectations.len()).unwrap_or(u32::MAX);
    levels_within(levels(claim), claims)
}

/// The claim of a share in the form of `stats`. A share of 0 or 1 is moved inside by a billionth:
/// "in all incidents" fails with the first bad trial and is never proven.
pub(super) fn share_of(share: Ratio, claim: Claim) -> ShareClaim {
    ShareClaim { share: inside(share.billionths()), levels: levels(claim) }
}

fn inside(billionths: u64) -> f64 {
    billionths.clamp(1, 999_999_999) as f64 / 1e9
}

/// How many trials of the expectation's arms the plan runs.
fn cases_max(plan: &Plan, expectation: &Expectation) -> u32 {
    let planned = plan.trials.planned.iter();
    let count = planned.filter(|trial| expectation.arms.contains(&trial.arm)).count();
    u32::try_from(count).unwrap_or(u32::MAX).clamp(1, DESIGN_CASES_MAX)
}

/// The design of an expectation's early stopping: fail levels shared among all expectations.
fn design(plan: &Plan, expectation: &Expectation, claim: ShareClaim) -> Design {
    let claim = ShareClaim { levels: levels_among(plan, expectation.claim), ..claim };
    Design::new(claim, cases_max(plan, expectation), Spending::Pocock)
}

fn counted(states: &[TrialState]) -> impl Iterator<Item = State> + '_ {
    states.iter().filter_map(|state| match state {
        TrialState::Ok => Some(State::Ok),
        TrialState::Bad => Some(State::Bad),
        TrialState::Ambiguous => Some(State::Ambiguous),
        TrialState::Excluded => None,
    })
}

fn excluded(states: &[TrialState]) -> u64 {
    states.iter().filter(|state| **state == TrialState::Excluded).count() as u64
}

fn bad(states: &[TrialState]) -> u64 {
    states.iter().filter(|state| **state == TrialState::Bad).count() as u64
}

fn invalid_at_most(plan: &Plan) -> Decimal {
    Decimal::from_billionths(plan.trials.invalid_at_most.billionths())
}

/// Whether a share is above the accepted one, by the rule of `stats`.
fn too_many(plan: &Plan, tally: Tally, excluded: u64) -> bool {
    let Share { part, whole } = invalid_share(tally, excluded);
    !plan.trials.invalid_at_most.is_not_exceeded_by(part, whole)
}

fn outcome(conclusion: Conclusion) -> Outcome {
    match conclusion {
        Conclusion::Pass => Outcome::Pass,
        Conclusion::Inconclusive => Outcome::Inconclusive,
        Conclusion::Fail => Outcome::Fail,
    }
}

fn fixed(plan: &Plan, claim: ShareClaim, states: &[TrialState]) -> Concluded {
    let tally: Tally = counted(states).collect();
    let excluded = excluded(states);
    let decision = decide_with_excluded(tally, excluded, invalid_at_most(plan), claim);
    Concluded {
        outcome: outcome(decision.conclusion),
        tally,
        excluded,
        bad: bad(states),
        decision: Some(decision),
        method: Method::Fixed,
        too_many_invalid: too_many(plan, tally, excluded),
        spared: false,
        violated: false,
        resemblance: None,
    }
}

/// What was concluded of something that is no share of trials.
fn without_share(
    plan: &Plan,
    states: &[TrialState],
    conclusion: Conclusion,
    method: Method,
) -> Concluded {
    let tally: Tally = counted(states).collect();
    let excluded = excluded(states);
    let too_many_invalid = too_many(plan, tally, excluded);
    let conclusion = if too_many_invalid { Conclusion::Inconclusive } else { conclusion };
    Concluded {
        outcome: outcome(conclusion),
        tally,
        excluded,
        bad: bad(states),
        decision: None,
        method,
        too_many_invalid,
        spared: false,
        violated: false,
        resemblance: None,
    }
}

fn sequential(
    plan: &Plan,
    expectation: &Expectation,
    claim: ShareClaim,
    states: &[TrialState],
) -> Concluded {
    let design = design(plan, expectation, claim);
    let Walk { progress, tally, cases } = design.walk(counted(states));
    let excluded = excluded(states);
    let mut decision = decide_with_excluded(tally, excluded, invalid_at_most(plan), claim);
    let too_many_invalid = too_many(plan, tally, excluded);
    if cases > 0 {
        Bounds { lower: decision.lower, upper: decision.upper } = bounds_at(&design, tally);
    }
    let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let Levels { pass, fail } = design.claim().levels;
    if let Some(lower) =
        lower_bound_after_pass(&design, cases, count(tally.bad + tally.ambiguous), pass)
    {
        decision.lower = lower;
    }
    if let Some(upper) = upper_bound_after_fail(&design, cases, count(tally.bad), fail) {
        decision.upper = upper;
    }
    let reached = if too_many_invalid { Conclusion::Inconclusive } else { progress.conclusion() };
    Concluded {
        outcome: outcome(reached),
        tally,
        excluded,
        bad: bad(states),
        decision: Some(decision),
        method: Method::Sequential { progress, cases_max: design.cases_max() },
        too_many_invalid,
        spared: false,
        violated: false,
        resemblance: None,
    }
}

fn observed(plan: &Plan, states: &[TrialState]) -> Concluded {
    let tally: Tally = counted(states).collect();
    let excluded = excluded(states);
    let too_many_invalid = too_many(plan, tally, excluded);
    let outcome = if tally.bad > 0 {
        Outcome::Fail
    } else if tally.ok > 0 && tally.ambiguous == 0 && !too_many_invalid {
        Outcome::Pass
    } else {
        Outcome::Inconclusive
    };
    let method = Method::Observed;
    let bad = tally.bad;
    Concluded {
        outcome,
        tally,
        excluded,
        bad,
        decision: None,
        method,
        too_many_invalid,
        spared: false,
        violated: false,
        resemblance: None,
    }
}
