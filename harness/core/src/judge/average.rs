//! Claims about a mean over incidents.
//!
//! A mean passes only with a declared cap on what one incident adds, by Gaffke's bound: without one
//! no number of good incidents tells how bad a rare one is, and every usual interval passes false
//! claims (t, bootstrap, log odds: 4 to 80 percent instead of five). The fail bound needs no cap,
//! since nothing is lost less than nothing. A trial that cannot be told adds the cap against a pass
//! and nothing against a fail.

use stats::bounded_mean::CappedLosses;
use stats::decision::{Conclusion, Levels};
use stats::planning::clean_cases_for_mean;
use stats::resample::bootstrap_t;

use super::case::{Found, Value};
use super::conclusion::{levels, levels_among};
use super::phrase::Measure;
use super::sentence::Subject;
use super::words::{self, Round};
use crate::plan::{Assertion, Cap, Claim, Expectation, Plan, TrialMode};
use crate::units::Ratio;
use crate::verdict::{Outcome, Quantity, TrialState};

/// What a sum of floating-point numbers may be off by, relative to the bound.
const SLACK: f64 = 1e-12;
/// Resamples of the interval that is shown where there is no cap.
const RESAMPLES: u32 = 2000;

/// A mean loss with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Averaged {
    /// Over the trials in which it could be told.
    mean: Option<f64>,
    /// The lower bound; it needs no cap.
    lower: f64,
    /// The upper bound.
    upper: Upper,
    /// The claimed mean loss at most.
    loss_max: f64,
    loss: Loss,
}

/// The upper bound of a mean loss.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Upper {
    /// By the cap.
    Capped { bound: f64, cap: f64 },
    /// A trial lost, or could have lost, more than the cap, so nothing enforces it.
    Broken { lost: f64, cap: f64 },
    /// Without a cap: shown, and nothing is decided by it.
    Approximate(Option<f64>),
    /// No confidence statement.
    Plain,
}

/// How a measured value is a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// What is missing to one.
    Rest,
    /// The value itself.
    Itself,
}

impl Loss {
    /// From a value to a loss, and from a loss to a value.
    fn turned(self, value: f64) -> f64 {
        match self {
            Self::Rest => 1.0 - value,
            Self::Itself => value,
        }
    }
}

/// The least and the most that a trial may have lost.
#[derive(Debug, Clone, Copy)]
struct Lost {
    least: f64,
    most: f64,
    /// What was measured, where it was.
    shown: Option<f64>,
    /// What its window let it lose at most; zero where that is no matter of the window.
    possible: f64,
}

/// Concludes a claim about a mean from what each trial shows.
pub(super) fn average(
    plan: &Plan,
    expectation: &Expectation,
    cap: Option<Cap>,
    look: &[&Found],
) -> (Conclusion, Averaged) {
    let (loss, loss_max) = asked(&expectation.assertion);
    let all: Vec<Lost> =
        look.iter().filter_map(|found| lost(found, loss)).map(|lost| seen(lost, cap)).collect();
    let levels = Levels {
        fail: levels_among(plan, expectation.claim).fail,
        pass: levels(expectation.claim).pass,
    };
    let told: Vec<f64> = all.iter().filter_map(|lost| lost.shown).collect();
    let mean = (!told.is_empty()).then(|| told.iter().sum::<f64>() / told.len() as f64);
    let least: Vec<f64> = all.iter().map(|lost| lost.least).collect();
    let lower = match CappedLosses::new(&least, f64::INFINITY) {
        Ok(least) if plan.trials.mode == TrialMode::Inferred => least.lower_bound(levels.fail),
        // Plainly compared: what was lost at least.
        Ok(_) => least.iter().sum::<f64>() / least.len() as f64,
        Err(_) => 0.0,
    };
    let upper = match plan.trials.mode {
        TrialMode::Observed => Upper::Plain,
        TrialMode::Inferred => upper(&all, cap, levels.pass, plan.seed),
    };
    let averaged = Averaged { mean, lower, upper, loss_max, loss };
    (averaged.conclusion(&all), averaged)
}

impl Averaged {
    fn conclusion(&self, lost: &[Lost]) -> Conclusion {
        let kept = |loss: f64| loss <= self.loss_max * (1.0 + SLACK) + SLACK;
        let all_told = lost.iter().all(|lost| lost.shown.is_some());
        let passes = match self.upper {
            Upper::Capped { bound, .. } => kept(bound),
            Upper::Plain => all_told && self.mean.is_some_and(kept),
            Upper::Broken { .. } | Upper::Approximate(_) => false,
        };
        if lost.is_empty() {
            Conclusion::Inconclusive
        } else if !kept(self.lower) {
            Conclusion::Fail
        } else if passes {
            Conclusion::Pass
        } else {
            Conclusion::Inconclusive
        }
    }

    /// The estimate in the unit of what is measured.
    pub(super) fn quantity(&self, measure: &Measure) -> Option<Quantity> {
        let (upper, approximate) = match self.upper {
            Upper::Capped { bound, .. } => (Some(bound), false),
            Upper::Broken { .. } => (None, false),
            Upper::Approximate(bound) => (bound, true),
            Upper::Plain => return None,
        };
        let ends = [Some(self.lower), upper].map(|end| end.map(|end| self.loss.turned(end)));
        let [lower, upper] = match self.loss {
            Loss::Itself => ends,
            Loss::Rest => [ends[1], ends[0]],
        };
        Some(Quantity {
            name: format!("mean {}", measure.name),
            unit: measure.unit.name(),
            value: self.loss.turned(self.mean?),
            lower,
            upper,
            bound: self.loss.turned(self.loss_max),
            approximate,
        })
    }

    /// Estimate, interval, cap and method.
    pub(super) fn because(&self, subject: &Subject<'_>) -> String {
        let text = |loss: f64, round| subject.phrase.measure.text(self.loss.turned(loss), round);
        // A larger loss is a smaller value where the loss is the rest.
        let (more, less, least, most) = match self.loss {
            Loss::Itself => (Round::Up, Round::Down, "at least", "at most"),
            Loss::Rest => (Round::Down, Round::Up, "at most", "at least"),
        };
        let name = &subject.phrase.measure.name;
        let mean = self.mean.map_or_else(
            || format!("the mean {name} could not be told"),
            |mean| format!("the mean {name} was {}", text(mean, more)),
        );
        let Claim { confidence, .. } = subject.expectation.claim;
        let claim = format!("claim: {most} {}", text(self.loss_max, less));
        match self.upper {
            Upper::Plain => {
                format!("{mean} ({claim}; a plain comparison, no confidence statement)")
            }
            Upper::Capped { bound, cap } => {
                let capped = match self.loss {
                    Loss::Rest => format!("no incident can lose more than {}", words::share(cap)),
                    Loss::Itself => format!("each counts as {} at most", text(cap, more)),
                };
                format!(
                    "{mean}; with {confidence} confidence it is {most} {} and {least} {} over \
                     incidents like this one ({claim}; Gaffke's bound, {capped})",
                    text(bound, more),
                    text(self.lower, less)
                )
            }
            Upper::Broken { lost, cap } => {
                let (lost, cap) = match self.loss {
                    Loss::Rest => (words::fine(lost, Round::Up), words::fine(cap, Round::Down)),
                    Loss::Itself => (text(lost, more), text(cap, less)),
                };
                format!(
                    "{mean} ({claim}); one incident could lose {lost}, so nothing enforces the cap \
                     of {cap}, and a mean without a cap never passes"
                )
            }
            Upper::Approximate(bound) => {
                let bound = bound.map_or_else(String::new, |bound| {
                    format!(", and about {most} {} (bootstrap-t)", text(bound, more))
                });
                format!(
                    "{mean}; with {confidence} confidence it is {least} {}{bound} ({claim}); \
                     without a cap on what one incident adds a mean never passes",
                    text(self.lower, less)
                )
            }
        }
    }

    /// What would change it.
    pub(super) fn change(&self, subject: &Subject<'_>) -> String {
        let concluded = subject.concluded;
        match (concluded.outcome, self.upper) {
            (Outcome::Pass, _) => "a mean above its bound would make it inconclusive".to_owned(),
            (Outcome::Fail, _) => "the mean has to come down to its bound".to_owned(),
            (Outcome::Inconclusive, Upper::Broken { .. }) => {
                "a larger `cap`, one that is really enforced, would let it pass".to_owned()
            }
            (Outcome::Inconclusive, Upper::Approximate(_)) => {
                "a `cap`, what one incident adds at most, would let it pass; or claim a share of \
                 incidents instead"
                    .to_owned()
            }
            (Outcome::Inconclusive, Upper::Plain) => {
                "a trial in which it can be told would be needed".to_owned()
            }
            (Outcome::Inconclusive, Upper::Capped { cap, .. }) => {
                let Some(needed) = clean_needed(self.loss_max, cap, subject.expectation.claim)
                else {
                    return "no number of trials that can be run would make it pass".to_owned();
                };
                let trials = words::count(needed, "incident");
                format!("{trials} in which nothing is lost would make it pass")
            }
        }
    }
}

/// The fewest incidents without any loss that prove a mean; `None` where there is nothing to prove.
fn clean_needed(loss_max: f64, cap: f64, claim: Claim) -> Option<u64> {
    (loss_max > 0.0 && loss_max < cap)
        .then(|| clean_cases_for_mean(loss_max, cap, levels(claim).pass))
}

/// What is a loss for an assertion, and how large its mean may be. Of what has none, nothing may be
/// lost: the language claims no mean of it.
fn asked(assertion: &Assertion) -> (Loss, f64) {
    let loss = match assertion {
        Assertion::SuccessRate { .. } => Loss::Rest,
        Assertion::Recovery { .. }
        | Assertion::ErrorBudget { .. }
        | Assertion::Latency { .. }
        | Assertion::Detection { .. }
        | Assertion::Quiet { .. }
        | Assertion::Invariant { .. }
        | Assertion::Degradation { .. }
        | Assertion::Automation { .. }
        | Assertion::Telemetry { .. }
        | Assertion::Cost { .. }
        | Assertion::Regression { .. } => Loss::Itself,
    };
    (loss, assertion.loss_max().unwrap_or(0.0))
}

/// What a trial lost; `None` when it does not count.
fn lost(found: &Found, loss: Loss) -> Option<Lost> {
    let possible = found.most.unwrap_or(0.0);
    let unknown = Lost { least: 0.0, most: f64::INFINITY, shown: None, possible };
    Some(match found.state {
        TrialState::Excluded => return None,
        TrialState::Ambiguous => unknown,
        TrialState::Ok | TrialState::Bad => match found.value {
            Value::At(value) => {
                // The rest to one of a share that is one but for rounding is nothing.
                let part = loss.turned(value).max(0.0);
                let least = found.above.unwrap_or(part);
                Lost { least, most: part, shown: Some(part), possible }
            }
            Value::Beyond(value) => Lost { least: value.max(0.0), ..unknown },
            Value::None | Value::Endless => unknown,
        },
    })
}

/// A time is looked at no longer than its cap, so no more of it counts.
fn seen(lost: Lost, cap: Option<Cap>) -> Lost {
    match cap {
        Some(Cap::Time(cap)) => {
            let cap = cap.secs_f64();
            let (least, most) = (lost.least.min(cap), lost.most.min(cap));
            // One that is not over at its cap counts as it, and is told.
            let shown = lost.shown.map(|shown| shown.min(cap));
            Lost { least, most, shown: shown.or((least >= cap).then_some(cap)), ..lost }
        }
        Some(Cap::Share(_)) | None => lost,
    }
}

fn upper(lost: &[Lost], cap: Option<Cap>, alpha: f64, seed: u64) -> Upper {
    let cap = match cap {
        Some(Cap::Time(cap)) => cap.secs_f64(),
        Some(Cap::Share(cap)) => Ratio::as_f64(cap),
        None => {
            let told: Vec<f64> = lost.iter().filter_map(|lost| lost.shown).collect();
            let bounds = (told.len() == lost.len())
                .then(|| bootstrap_t(&told, alpha, RESAMPLES, seed))
                .flatten();
            return Upper::Approximate(bounds.map(|bounds| bounds.upper));
        }
    };
    let worst = lost.iter().map(|lost| lost.least.max(lost.possible)).fold(0.0, f64::max);
    if worst > cap * (1.0 + SLACK) {
        return Upper::Broken { lost: worst, cap };
    }
    let most: Vec<f64> = lost.iter().map(|lost| lost.most.min(cap)).collect();
    let bound = CappedLosses::new(&most, cap).map_or(cap, |most| most.upper_bound(alpha));
    Upper::Capped { bound, cap }
}
