//! This run against earlier ones: the median of what an expectation measures, by the t prediction
//! interval over runs. Trials of different runs are never pooled.
//!
//! Times are compared by their logarithms, so that a margin is a share of them; shares as they are,
//! so that it is percentage points. A trial that cannot be told stands against a pass and against a
//! fail.

use stats::binomial::Bounds;
use stats::decision::{Conclusion, Levels};
use stats::history::{
    PREDICTION_RUNS_MIN, Prediction, RANK_RUNS_MIN, predict, rank_p, robust_distance,
};

use super::case::{Found, Value};
use super::conclusion::{levels, levels_among};
use super::phrase::{Measure, Unit, phrase};
use super::sentence::Subject;
use super::words::{self, Round};
use crate::history::{EarlierRun, History, RunValue, median};
use crate::plan::{Assertion, Expectation, Plan};
use crate::units::Ratio;
use crate::verdict::{Outcome, Quantity, TrialState};

/// With fewer earlier runs nothing is decided: the spread of runs is then hardly known.
pub(super) const RUNS_MIN: usize = 5;
/// Shorter times count as this, in seconds, so that they have a logarithm.
const TIME_MIN: f64 = 0.001;

/// A run compared with earlier ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Compared {
    scale: Option<Scale>,
    /// Earlier runs that count.
    earlier: usize,
    /// Earlier runs of the scenario that do not.
    left_out: usize,
    /// The median of this run, as measured; endless when not finite.
    new: Option<f64>,
    /// How much worse than the mean of the earlier ones, on the scale.
    difference: Option<f64>,
    bounds: Option<Bounds>,
    /// The margin on the scale.
    margin: f64,
    /// The rank among many earlier runs as a p value.
    rank: Option<f64>,
    /// The distance from the middle of the earlier ones in their spread, robustly.
    distance: Option<f64>,
}

/// How values of runs are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    /// Logarithms of times; more is worse.
    Times,
    /// Shares; less is worse, or more.
    Shares { worse: Worse },
}

/// Which way is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worse {
    More,
    Less,
}

impl Scale {
    fn of(measure: &Measure) -> Option<Self> {
        let worse = if measure.bound_is_upper { Worse::More } else { Worse::Less };
        match measure.unit {
            Unit::Seconds | Unit::Times | Unit::Money(_) | Unit::MoneyPerSecond(_) => {
                Some(Self::Times)
            }
            Unit::Ratio => Some(Self::Shares { worse }),
            Unit::Ids | Unit::Alerts | Unit::Actions => None,
        }
    }

    /// A measured value on the scale, larger being worse.
    fn put(self, value: f64) -> f64 {
        match self {
            Self::Times => value.max(TIME_MIN).ln(),
            Self::Shares { worse: Worse::More } => value,
            Self::Shares { worse: Worse::Less } => -value,
        }
    }

    /// The margin on the scale.
    fn margin(self, by_at_most: Ratio) -> f64 {
        match self {
            Self::Times => by_at_most.as_f64().ln_1p(),
            Self::Shares { .. } => by_at_most.as_f64(),
        }
    }

    /// A difference on the scale as a share, or as a difference of shares.
    fn share(self, difference: f64) -> f64 {
        match self {
            Self::Times => difference.exp_m1(),
            Self::Shares { .. } => difference,
        }
    }

    /// The value that is worst of all, as measured.
    fn worst(self) -> f64 {
        match self {
            Self::Times | Self::Shares { worse: Worse::More } => f64::INFINITY,
            Self::Shares { worse: Worse::Less } => f64::NEG_INFINITY,
        }
    }
}

/// Concludes a comparison with earlier runs.
pub(super) fn compare(
    plan: &Plan,
    expectation: &Expectation,
    history: &History,
    look: &[&Found],
) -> (Conclusion, Compared) {
    let nothing = Compared {
        scale: None,
        earlier: 0,
        left_out: 0,
        new: None,
        difference: None,
        bounds: None,
        margin: 0.0,
        rank: None,
        distance: None,
    };
    let Assertion::Regression { of, by_at_most, runs, reset_at } = &expectation.assertion else {
        return (Conclusion::Inconclusive, nothing);
    };
    let Some(asked) = plan.expectations.iter().find(|one| one.id == *of) else {
        return (Conclusion::Inconclusive, nothing);
    };
    let measure = phrase(plan, asked).measure;
    let Some(scale) = Scale::of(&measure) else { return (Conclusion::Inconclusive, nothing) };
    let told = look.iter().filter(|found| found.state == TrialState::Ok).count();
    let counts = |run: &&EarlierRun| {
        let value = run.values.get(of).filter(|value| is_alike(value, &measure, told));
        let kept = reset_at.as_ref().is_none_or(|reset| run.run.as_str() >= reset.as_str());
        value.filter(|_| kept).and_then(|value| value.median)
    };
    let mut earlier: Vec<f64> = history.runs.iter().filter_map(|run| counts(&run)).collect();
    let left_out = history.runs.len() - earlier.len();
    let runs = usize::try_from(*runs).unwrap_or(usize::MAX);
    earlier.drain(..earlier.len().saturating_sub(runs));
    let on_scale: Vec<f64> = earlier.iter().map(|value| scale.put(*value)).collect();
    let levels = Levels {
        fail: levels_among(plan, expectation.claim).fail,
        pass: levels(expectation.claim).pass,
    };
    let margin = scale.margin(*by_at_most);
    let run_median = |unknown: f64| median(values(look, unknown)).map(|value| scale.put(value));
    let (Some(at_worst), Some(at_best)) = (run_median(scale.worst()), run_median(-scale.worst()))
    else {
        return (Conclusion::Inconclusive, Compared { scale: Some(scale), left_out, ..nothing });
    };
    let worst = predict(&on_scale, at_worst, margin, levels);
    let best = predict(&on_scale, at_best, margin, levels);
    let conclusion = match (worst.conclusion, best.conclusion) {
        _ if on_scale.len() < RUNS_MIN => Conclusion::Inconclusive,
        (Conclusion::Pass, _) => Conclusion::Pass,
        (_, Conclusion::Fail) => Conclusion::Fail,
        (_, _) => Conclusion::Inconclusive,
    };
    let new = median(told_values(look));
    let shown = new.map(|new| predict(&on_scale, scale.put(new), margin, levels));
    let compared = Compared {
        scale: Some(scale),
        earlier: on_scale.len(),
        left_out,
        new,
        difference: shown.and_then(|Prediction { difference, .. }| difference),
        bounds: shown.and_then(|Prediction { bounds, .. }| bounds),
        margin,
        rank: new
            .filter(|_| on_scale.len() >= RANK_RUNS_MIN)
            .map(|new| rank_p(&on_scale, scale.put(new))),
        distance: new.and_then(|new| robust_distance(&on_scale, scale.put(new))),
    };
    (conclusion, compared)
}

/// Whether an earlier value is of the same kind, over about as many trials: from half as many to
/// twice as many.
fn is_alike(value: &RunValue, measure: &Measure, told: usize) -> bool {
    let trials = usize::try_from(value.trials).unwrap_or(usize::MAX);
    value.name == measure.name
        && value.unit == measure.unit.name()
        && trials.saturating_mul(2) >= told
        && trials <= told.saturating_mul(2)
}

/// What each counted trial measured; one that cannot be told counts as `unknown`.
fn values(look: &[&Found], unknown: f64) -> Vec<f64> {
    let counted = look.iter().filter(|found| found.state != TrialState::Excluded);
    counted.map(|found| number(found).unwrap_or(unknown)).collect()
}

fn told_values(look: &[&Found]) -> Vec<f64> {
    look.iter().filter_map(|found| number(found)).collect()
}

fn number(found: &Found) -> Option<f64> {
    match (found.state, found.value) {
        (TrialState::Ambiguous | TrialState::Excluded, _) | (_, Value::None) => None,
        (_, Value::At(value)) => Some(value),
        (_, Value::Beyond(_) | Value::Endless) => Some(f64::INFINITY),
    }
}

impl Compared {
    /// The change as a share, or in percentage points.
    pub(super) fn quantity(&self, measure: &Measure) -> Option<Quantity> {
        let scale = self.scale?;
        let share = |difference: f64| Some(scale.share(difference)).filter(|end| end.is_finite());
        Some(Quantity {
            name: format!("worsening of {}", measure.name),
            unit: Unit::Ratio.name(),
            value: share(self.difference?)?,
            lower: self.bounds.and_then(|bounds| share(bounds.lower)),
            upper: self.bounds.and_then(|bounds| share(bounds.upper)),
            bound: scale.share(self.margin),
            approximate: false,
        })
    }

    /// Estimate, interval, runs and method.
    pub(super) fn because(&self, subject: &Subject<'_>) -> String {
        let measure = &subject.phrase.measure;
        let Some(scale) = self.scale else {
            return format!("{} cannot be compared over runs", measure.name);
        };
        let left_out = match self.left_out {
            0 => String::new(),
            count => format!(
                " ({} left out: before the reset, measured otherwise, or with far more or fewer \
                 trials)",
                words::count(count as u64, "earlier run")
            ),
        };
        let runs = words::count(self.earlier as u64, "earlier run");
        let (Some(new), Some(difference)) = (self.new, self.difference) else {
            return format!("there is nothing to compare: {runs}{left_out}");
        };
        let new = match measure.unit {
            _ if !new.is_finite() => "endless".to_owned(),
            Unit::Seconds => words::seconds(new),
            Unit::Ratio
            | Unit::Times
            | Unit::Ids
            | Unit::Alerts
            | Unit::Actions
            | Unit::Money(_)
            | Unit::MoneyPerSecond(_) => {
                measure.text(new, if measure.bound_is_upper { Round::Up } else { Round::Down })
            }
        };
        let change = |difference: f64| change(scale, difference);
        let claim = format!("claim: at most {} worse", words::share(scale.share(self.margin)));
        let interval = self.bounds.map_or_else(
            || format!("fewer than {PREDICTION_RUNS_MIN} runs give no interval"),
            |Bounds { lower, upper }| {
                let confidence = subject.expectation.claim.confidence;
                let (lower, upper) = (change(lower), change(upper));
                format!("with {confidence} confidence between {lower} and {upper}")
            },
        );
        let few = if self.earlier < RUNS_MIN {
            format!("; with fewer than {RUNS_MIN} earlier runs nothing is decided")
        } else {
            String::new()
        };
        let rank = self.rank.map_or_else(String::new, |p| format!("; rank among them p = {p:.3}"));
        let distance = self.distance.map_or_else(String::new, |distance| {
            format!("; {distance:.1} robust spreads from their middle")
        });
        format!(
            "the median {} of this run was {new}, {} than the mean of {runs}{left_out}; {interval} \
             ({claim}; t prediction interval over runs){rank}{distance}{few}",
            measure.name,
            change(difference),
        )
    }

    /// What would change it.
    pub(super) fn change(&self, outcome: Outcome) -> String {
        match outcome {
            Outcome::Pass => {
                "a run that is worse than its margin allows would change it".to_owned()
            }
            Outcome::Fail => {
                "if the new level is accepted, `resetAt` begins a history of its own".to_owned()
            }
            Outcome::Inconclusive if self.earlier < RUNS_MIN => {
                let more = (RUNS_MIN - self.earlier) as u64;
                format!("{} would settle it", words::count(more, "more earlier run"))
            }
            Outcome::Inconclusive => {
                "steadier runs, more of them, or a wider margin would settle it".to_owned()
            }
        }
    }
}

/// `3.2% worse`, `1 percentage point better`.
fn change(scale: Scale, difference: f64) -> String {
    let share = scale.share(difference);
    let word = if share > 0.0 { "worse" } else { "better" };
    if !share.is_finite() {
        return "endlessly worse".to_owned();
    }
    let round = if share > 0.0 { Round::Up } else { Round::Down };
    let amount = words::bound(share.abs(), round);
    match scale {
        Scale::Times => format!("{amount} {word}"),
        Scale::Shares { .. } => {
            format!("{} percentage points {word}", amount.trim_end_matches('%'))
        }
    }
}
