//! A conclusion in plain sentences: estimate, interval, number of trials and method; and what
//! would change it.

use stats::decision::{Claim as ShareClaim, Conclusion, Decision, Tally, decide};
use stats::planning::cases_allowing;
use stats::sequential::Progress;

use super::case::{FewRequests, Value};
use super::conclusion::{Concluded, Method, share_of};
use super::phrase::{Phrase, Unit};
use super::resemblance::Resemblance;
use super::words::{self, Round};
use crate::plan::{Assertion, Claim, Expectation, Holds, Plan};
use crate::units::Ratio;
use crate::verdict::Outcome;

/// What the sentences are about.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) plan: &'a Plan,
    pub(super) expectation: &'a Expectation,
    pub(super) phrase: &'a Phrase,
    pub(super) concluded: &'a Concluded,
    /// The measured values of the counted trials.
    pub(super) values: &'a [Value],
    /// The window with the fewest requests, where they are too few for a fair verdict.
    pub(super) fewest: Option<FewRequests>,
}

impl Subject<'_> {
    /// What one trial is called: an incident, or a quiet time in which nothing was injected.
    fn case(&self) -> &'static str {
        if is_over_placebo(self.plan, self.expectation) { "placebo trial" } else { "incident" }
    }

    fn claim(&self) -> Claim {
        self.expectation.claim
    }

    /// The claimed share, in the form of `stats`.
    fn share(&self) -> Option<ShareClaim> {
        self.claim().in_at_least().map(|share| share_of(share, self.claim()))
    }
}

/// Whether all arms of an expectation inject nothing.
fn is_over_placebo(plan: &Plan, expectation: &Expectation) -> bool {
    let mut arms = plan.arms.iter().filter(|arm| expectation.arms.contains(&arm.name));
    !expectation.arms.is_empty() && arms.all(crate::plan::Arm::is_placebo)
}

/// The claim: `in at least 80% of incidents like this one, with 95% confidence`.
pub(super) fn claim(plan: &Plan, expectation: &Expectation, method: Method) -> String {
    let case = if is_over_placebo(plan, expectation) { "placebo trial" } else { "incident" };
    let Claim { holds, confidence } = expectation.claim;
    match (holds, method) {
        (Holds::InAtLeast(_), Method::Observed) => {
            format!("in every {case} of this run; no confidence statement")
        }
        (Holds::InAtLeast(share), _) => {
            format!("in at least {share} of {case}s like this one, with {confidence} confidence")
        }
        (Holds::OnAverage { .. }, _) => {
            format!("on average over {case}s like this one, with {confidence} confidence")
        }
        (Holds::OverRuns, _) => {
            let last = if let Assertion::Regression { runs, .. } = &expectation.assertion {
                format!("the last {runs}")
            } else {
                "earlier".to_owned()
            };
            format!(
                "for this run against {last} runs of this scenario, with {confidence} confidence"
            )
        }
    }
}

/// The method in a few words.
pub(super) fn method(method: Method) -> String {
    match method {
        Method::Fixed => "exact binomial (Clopper-Pearson)".to_owned(),
        Method::Sequential { cases_max, .. } => {
            format!("exact binomial with early stopping (at most {cases_max} trials)")
        }
        Method::Observed => "plain comparison".to_owned(),
        Method::Averaged(_) => "bound of a mean (Gaffke)".to_owned(),
        Method::Compared(_) => "t prediction interval over runs".to_owned(),
    }
}

/// Estimate, interval, n and method.
pub(super) fn because(subject: &Subject<'_>) -> String {
    let Concluded { tally, excluded, .. } = *subject.concluded;
    let case = subject.case();
    if tally.cases() == 0 && !subject.concluded.violated {
        let why = match excluded {
            0 => "no trial was run".to_owned(),
            _ => format!("all {} were excluded", words::count(excluded, "trial")),
        };
        return format!("{why}, so nothing is known of this: {}", subject.phrase.condition);
    }
    let invalid = too_many(subject).unwrap_or_default();
    let alike = resemblance(subject).unwrap_or_default();
    let few = few_requests(subject).unwrap_or_default();
    let after = format!("{invalid}{alike}{few}");
    let untold = match tally.ambiguous {
        0 => String::new(),
        count => format!(" ({count} could not be told)"),
    };
    let over = format!("over {}{untold}", words::count(tally.cases(), case));
    match subject.concluded.method {
        Method::Averaged(averaged) => {
            return format!("{over} {}{after}", averaged.because(subject));
        }
        Method::Compared(compared) => {
            return format!("{over} {}{after}", compared.because(subject));
        }
        Method::Fixed | Method::Sequential { .. } | Method::Observed => {}
    }
    let counted = format!(
        "in {} of {} {} {}",
        tally.ok,
        tally.cases(),
        plural(tally.cases(), case),
        subject.phrase.held
    );
    let shown = subject.concluded.decision.zip(subject.claim().in_at_least()).map_or_else(
        || "a plain comparison, no confidence statement".to_owned(),
        |(decision, share)| inferred(subject, decision, share),
    );
    if subject.concluded.violated {
        let bad = words::count(subject.concluded.bad, "trial");
        return format!("{counted}; in {bad} it happened, and once is enough to fail");
    }
    format!("{counted}{untold}; {shown}{after}")
}

/// That a single request weighs too much in a window.
fn few_requests(subject: &Subject<'_>) -> Option<String> {
    let FewRequests { due, fair } = subject.fewest?;
    let due = words::count(due, "request");
    Some(format!("; its window held {due} at least, and a fair verdict on this bound takes {fair}"))
}

/// That trials resemble the ones before them, and what lay between them.
fn resemblance(subject: &Subject<'_>) -> Option<String> {
    let Resemblance { p, forbids } = subject.concluded.resemblance?;
    let hold = subject.plan.steady.hold;
    let so = if forbids {
        "so they are no independent cases and nothing passes"
    } else {
        "which may be chance, or something that carries over"
    };
    Some(format!(
        "; trials resemble the ones before them (lag-1 permutation test, p = {p:.4}), {so}; each \
         began once the steady state had held for {hold}"
    ))
}

fn inferred(subject: &Subject<'_>, decision: Decision, in_at_least: Ratio) -> String {
    let Concluded { outcome, method, .. } = subject.concluded;
    let confidence = subject.claim().confidence;
    let case = subject.case();
    let lower = words::bound(decision.lower, Round::Down);
    let upper = words::bound(decision.upper, Round::Up);
    let share = match outcome {
        Outcome::Pass => format!("at least {lower}"),
        Outcome::Fail => format!("at most {upper}"),
        Outcome::Inconclusive => format!("at least {lower} and at most {upper}"),
    };
    let how = match method {
        Method::Sequential { .. } => "exact binomial with early stopping",
        Method::Fixed | Method::Observed | Method::Averaged(_) | Method::Compared(_) => {
            "exact binomial"
        }
    };
    let spared = if subject.concluded.spared {
        let all = subject.plan.expectations.len();
        format!("; alone it would count as failed, among {all} expectations it does not (Holm)")
    } else {
        String::new()
    };
    format!(
        "with {confidence} confidence this holds in {share} of {case}s like this one \
         (claim: {in_at_least}; {how}){spared}"
    )
}

fn too_many(subject: &Subject<'_>) -> Option<String> {
    let Concluded { tally, excluded, too_many_invalid, .. } = subject.concluded;
    let most = subject.plan.trials.invalid_at_most;
    let (invalid, all) = (tally.ambiguous + excluded, tally.cases() + excluded);
    too_many_invalid.then(|| {
        format!(
            "; {invalid} of {all} trials were invalid, and with more than {most} nothing is \
             concluded"
        )
    })
}

/// What would change this.
pub(super) fn change(subject: &Subject<'_>) -> String {
    let Concluded { outcome, method, tally, too_many_invalid, .. } = subject.concluded;
    if subject.concluded.violated {
        return "it must not happen in any trial".to_owned();
    }
    if *too_many_invalid && *outcome == Outcome::Inconclusive {
        let most = subject.plan.trials.invalid_at_most;
        return format!("at most {most} invalid trials would let it be concluded");
    }
    if subject.concluded.resemblance.is_some_and(|found| found.forbids) {
        return "trials that carry nothing over into the next would let it pass: a longer \
                `steadyState` hold, or a reset of what they leave behind"
            .to_owned();
    }
    match (method, outcome) {
        (Method::Averaged(averaged), _) => averaged.change(subject),
        (Method::Compared(compared), _) => compared.change(*outcome),
        (Method::Observed, Outcome::Pass) => {
            "one trial in which it does not hold would fail it".to_owned()
        }
        (Method::Observed, Outcome::Inconclusive) => {
            "a trial in which it can be told would be needed".to_owned()
        }
        (Method::Observed, Outcome::Fail) => with_margin(subject, "it has to hold in every trial"),
        (Method::Fixed | Method::Sequential { .. }, Outcome::Pass) => {
            subject.share().map_or_else(String::new, |claim| spare(*tally, claim))
        }
        (Method::Fixed | Method::Sequential { .. }, Outcome::Inconclusive | Outcome::Fail) => {
            let more = subject.share().map(|claim| more_trials(subject, claim));
            with_margin(subject, &more.unwrap_or_default())
        }
    }
}

/// How many of the trials could have gone the other way.
fn spare(tally: Tally, claim: ShareClaim) -> String {
    let passes = |turned: u64| {
        let turned = Tally { ok: tally.ok - turned, bad: tally.bad + turned, ..tally };
        decide(turned, claim).conclusion == Conclusion::Pass
    };
    let spare = (1..=tally.ok).take_while(|turned| passes(*turned)).count() as u64;
    match spare {
        0 => "had it not held in one of these trials, it would be inconclusive".to_owned(),
        _ => format!(
            "it would still pass had it not held in {spare} more of these trials, and be \
             inconclusive with {}",
            spare + 1
        ),
    }
}

/// How many more trials would make it pass.
fn more_trials(subject: &Subject<'_>, claim: ShareClaim) -> String {
    let Tally { bad, ambiguous, .. } = subject.concluded.tally;
    let cases = subject.concluded.tally.cases();
    let needed = cases_allowing(bad + ambiguous, claim.share, claim.levels.pass);
    if let Method::Sequential { progress: Progress::Open { pass_possible: true }, .. } =
        subject.concluded.method
    {
        return "more of the planned trials would settle it".to_owned();
    }
    match needed.map(|needed| needed.saturating_sub(cases)) {
        Some(more) if more > 0 => {
            let trials = words::count(more, "more trial");
            format!("{trials} in which it holds would make it pass")
        }
        Some(_) => "a run with all its trials would settle it".to_owned(),
        None => "no number of trials that can be run would make it pass".to_owned(),
    }
}

/// Adds the bound with which these very trials would have passed, where there is one.
fn with_margin(subject: &Subject<'_>, text: &str) -> String {
    match margin(subject) {
        Some(bound) => format!("{text}; these trials would have passed with a bound of {bound}"),
        None => text.to_owned(),
    }
}

/// The bound that as many trials meet as a pass needs.
fn margin(subject: &Subject<'_>) -> Option<String> {
    let measure = &subject.phrase.measure;
    let all = subject.concluded.tally.cases();
    let claim = subject.share()?;
    let passes = |ok: u64| match subject.concluded.method {
        Method::Observed => ok == all,
        Method::Fixed | Method::Sequential { .. } => {
            let tally = Tally { ok, bad: all - ok, ambiguous: 0 };
            decide(tally, claim).conclusion == Conclusion::Pass
        }
        Method::Averaged(_) | Method::Compared(_) => false,
    };
    let needed = (1..=all).find(|ok| passes(*ok))?;
    let mut values: Vec<f64> = subject
        .values
        .iter()
        .filter_map(|value| match value {
            Value::At(value) => Some(*value),
            Value::None | Value::Beyond(_) | Value::Endless => None,
        })
        .collect();
    values.sort_by(f64::total_cmp);
    if !measure.bound_is_upper {
        values.reverse();
    }
    let value = *values.get(usize::try_from(needed).ok()?.checked_sub(1)?)?;
    let round = if measure.bound_is_upper { Round::Up } else { Round::Down };
    match measure.unit {
        Unit::Ratio | Unit::Seconds | Unit::Times | Unit::Money(_) | Unit::MoneyPerSecond(_) => {
            Some(measure.text(value, round))
        }
        Unit::Ids | Unit::Alerts | Unit::Actions => None,
    }
}

fn plural(count: u64, what: &str) -> String {
    if count == 1 { what.to_owned() } else { format!("{what}s") }
}
