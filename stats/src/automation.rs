//! Automation as a classifier: did it act exactly once, how often does it act rightly, and how
//! often when there is nothing to do.
//!
//! The share of right alarms among all alarms is given at a declared prevalence only: the mix of
//! cases in an experiment says nothing about it.

use crate::binomial::{self, Bounds, assert_level};
use crate::decimal::Share;
use crate::decision::{Claim, Conclusion, Decision, Levels, State, Tally, decide};
use crate::special::bisect;
use statrs::function::gamma::ln_gamma;
use std::time::Duration;

/// Something that an automation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action<'a> {
    /// When, on the clock of the run.
    pub at: Duration,
    /// What.
    pub name: &'a str,
    /// To what.
    pub target: &'a str,
    /// Whether it took effect; a failed try is no action yet.
    pub succeeded: bool,
}

/// The one action that is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// What.
    pub name: &'a str,
    /// To what.
    pub target: &'a str,
    /// The first moment at which it is right.
    pub from: Duration,
    /// The last moment at which it is right.
    pub until: Duration,
}

/// How the wanted action was done in one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExactlyOnce {
    /// Just once, on the right target, in time.
    Ok,
    /// Not tried at all.
    Missed,
    /// More than once on the right target in time.
    Duplicate,
    /// Done elsewhere or at another time.
    WrongTargetOrTime,
    /// Tried without success.
    Failed,
}

impl ExactlyOnce {
    /// The state of the case: ok only when done just once.
    pub fn state(self) -> State {
        match self {
            Self::Ok => State::Ok,
            Self::Missed | Self::Duplicate | Self::WrongTargetOrTime | Self::Failed => State::Bad,
        }
    }
}

/// Classifies the actions of one case: one success on the wanted target in the window, and no
/// success of that action anywhere else. Failed tries before a success are allowed.
pub fn exactly_once(actions: &[Action<'_>], wanted: &Wanted<'_>) -> ExactlyOnce {
    let of_that_name = || actions.iter().filter(|action| action.name == wanted.name);
    let right = |action: &Action<'_>| {
        action.target == wanted.target && (wanted.from..=wanted.until).contains(&action.at)
    };
    let succeeded = || of_that_name().filter(|action| action.succeeded);
    let hits = succeeded().filter(|action| right(action)).count();
    let strays = succeeded().count() - hits;
    match (hits, strays) {
        (1, 0) => ExactlyOnce::Ok,
        (0, 0) if of_that_name().next().is_none() => ExactlyOnce::Missed,
        (0, 0) => ExactlyOnce::Failed,
        (0 | 1, _) => ExactlyOnce::WrongTargetOrTime,
        (_, _) => ExactlyOnce::Duplicate,
    }
}

/// Whether something with this name was done or tried: a try counts, because only luck kept it from
/// taking effect.
pub fn was_tried(actions: &[Action<'_>], name: &str) -> bool {
    actions.iter().any(|action| action.name == name)
}

/// A conclusion about something that must never happen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NeverDecision {
    /// The Clopper-Pearson upper bound of the rate of cases with a violation.
    pub upper: f64,
    /// The chance of no violation in so many cases, if the rate were just the accepted one; 1 after
    /// a violation.
    pub p_pass: f64,
    /// The end: fail at the first violation.
    pub conclusion: Conclusion,
}

/// Decides "never": one violation fails at once; a pass needs so many clean cases that the bound of
/// the rate at level `alpha` is at most `rate_max`. `violated` counts cases with a violation among
/// all that were watched.
pub fn never(violated: Share, rate_max: f64, alpha: f64) -> NeverDecision {
    let upper = binomial::upper_bound(violated, alpha);
    let clean = violated.part == 0;
    let conclusion = match (clean, upper <= rate_max) {
        (false, _) => Conclusion::Fail,
        (true, true) => Conclusion::Pass,
        (true, false) => Conclusion::Inconclusive,
    };
    let p_pass = if clean { binomial::at_most(violated, rate_max.clamp(0.0, 1.0)) } else { 1.0 };
    NeverDecision { upper, p_pass, conclusion }
}

/// What was claimed of a classifier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassifierClaim {
    /// The share of cases with a fault in which it acts.
    pub sensitivity: f64,
    /// The share of cases without one in which it does not.
    pub specificity: f64,
    /// The accepted chances of a wrong end.
    pub levels: Levels,
}

/// A conclusion about a classifier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassifierDecision {
    /// The decision over cases with a fault.
    pub sensitivity: Decision,
    /// The decision over cases without one.
    pub specificity: Decision,
    /// Both together: a pass needs both, a fail one at half the level.
    pub conclusion: Conclusion,
}

/// Decides sensitivity over cases with a fault and specificity over cases without; a side without
/// cases is inconclusive.
pub fn decide_classifier(
    with_fault: Tally,
    without_fault: Tally,
    claim: &ClassifierClaim,
) -> ClassifierDecision {
    let side = |tally, share| decide(tally, Claim { share, levels: claim.levels });
    let sensitivity = side(with_fault, claim.sensitivity);
    let specificity = side(without_fault, claim.specificity);
    let sides = [sensitivity, specificity];
    // The first step of Holm's procedure over two claims.
    let conclusion = if sides.iter().any(|side| side.p_fail <= claim.levels.fail / 2.0) {
        Conclusion::Fail
    } else if sides.iter().all(|side| side.conclusion == Conclusion::Pass) {
        Conclusion::Pass
    } else {
        Conclusion::Inconclusive
    };
    ClassifierDecision { sensitivity, specificity, conclusion }
}

/// The rates of a classifier, each a share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// The share of faults that it acts on.
    pub sensitivity: f64,
    /// The share of quiet moments in which it does not act.
    pub specificity: f64,
}

/// The share of right actions among all, where a fault is present with the `prevalence`; `None`
/// when it never acts.
pub fn predictive_value(rates: Rates, prevalence: f64) -> Option<f64> {
    let right = rates.sensitivity * prevalence;
    let acts = right + (1.0 - rates.specificity) * (1.0 - prevalence);
    (acts > 0.0).then(|| right / acts)
}

/// The exact bounds of a rate of events per unit of `exposure`, each at level `alpha` (Garwood
/// 1936): false actions per hour of watching. `None` without exposure.
pub fn rate_bounds(events: u64, exposure: f64, alpha: f64) -> Option<Bounds> {
    assert_level(alpha);
    if exposure.is_nan() || exposure <= 0.0 {
        return None;
    }
    let solve = |increasing: &dyn Fn(f64) -> f64| {
        const LN_MEAN_MAX: f64 = 60.0;
        bisect([-LN_MEAN_MAX, LN_MEAN_MAX], |ln_mean: f64| increasing(ln_mean.exp())).exp()
    };
    let upper = solve(&|mean| alpha - poisson_at_most(events, mean));
    let lower = match events.checked_sub(1) {
        None => 0.0,
        Some(fewer) => solve(&|mean| poisson_above(fewer, mean) - alpha),
    };
    Some(Bounds { lower: lower / exposure, upper: upper / exposure })
}

/// The logarithm of the Poisson probability of a count.
pub(crate) fn ln_poisson_mass(count: f64, mean: f64) -> f64 {
    if mean <= 0.0 {
        return if count <= 0.0 { 0.0 } else { f64::NEG_INFINITY };
    }
    count * mean.ln() - mean - ln_gamma(count + 1.0)
}

/// Terms below this part of the sum no longer change it.
const TERM_MIN: f64 = 1e-18;

fn poisson_at_most(count: u64, mean: f64) -> f64 {
    if count as f64 > mean {
        return 1.0 - poisson_above(count, mean);
    }
    // Downwards from the largest term.
    let mut term = ln_poisson_mass(count as f64, mean).exp();
    let mut sum = 0.0;
    for below in (0..=count).rev() {
        sum += term;
        term *= below as f64 / mean;
        if term <= sum * TERM_MIN {
            break;
        }
    }
    sum
}

fn poisson_above(count: u64, mean: f64) -> f64 {
    const TERMS_MAX: u64 = 10_000_000;
    if (count as f64) < mean {
        return 1.0 - poisson_at_most(count, mean);
    }
    // Upwards from the largest term.
    let mut term = ln_poisson_mass(count as f64 + 1.0, mean).exp();
    let mut sum = 0.0;
    for above in count + 2..count + TERMS_MAX {
        sum += term;
        term *= mean / above as f64;
        if term <= sum * TERM_MIN {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted<'static> = Wanted {
        name: "rollback",
        target: "checkout",
        from: Duration::from_secs(30),
        until: Duration::from_mins(2),
    };

    fn at(second: u64, target: &'static str, succeeded: bool) -> Action<'static> {
        Action { at: Duration::from_secs(second), name: "rollback", target, succeeded }
    }

    #[test]
    fn exactly_once_means_once_and_nowhere_else() {
        let hit = at(40, "checkout", true);
        for (actions, expected) in [
            (vec![hit], ExactlyOnce::Ok),
            (vec![at(30, "checkout", true)], ExactlyOnce::Ok),
            (vec![at(120, "checkout", true)], ExactlyOnce::Ok),
            (vec![], ExactlyOnce::Missed),
            (vec![Action { name: "restart", ..hit }], ExactlyOnce::Missed),
            (vec![at(35, "checkout", false), hit], ExactlyOnce::Ok),
            (vec![at(35, "checkout", false)], ExactlyOnce::Failed),
            (vec![hit, at(50, "checkout", true)], ExactlyOnce::Duplicate),
            (vec![at(40, "cart", true)], ExactlyOnce::WrongTargetOrTime),
            (vec![hit, at(50, "cart", true)], ExactlyOnce::WrongTargetOrTime),
            (vec![at(20, "checkout", true)], ExactlyOnce::WrongTargetOrTime),
        ] {
            assert_eq!(exactly_once(&actions, &WANTED), expected, "{actions:?}");
        }
    }

    #[test]
    fn never_is_never() {
        let ends = |part, whole| never(Share { part, whole }, 0.1, 0.05).conclusion;
        assert_eq!(ends(0, 29), Conclusion::Pass);
        assert_eq!(ends(0, 28), Conclusion::Inconclusive);
        assert_eq!(ends(0, 0), Conclusion::Inconclusive);
        assert_eq!(ends(1, 100_000), Conclusion::Fail);
    }

    /// The factors per exposure that the method states, and coverage at many rates.
    #[test]
    fn rates_of_rare_events() {
        for (events, expected) in [(0, 3.00), (1, 4.74), (2, 6.30), (3, 7.75)] {
            let upper = rate_bounds(events, 1.0, 0.05).unwrap().upper;
            assert!((upper - expected).abs() < 5e-3, "{events}: {upper}");
        }
        let large = rate_bounds(100_000, 1.0, 0.05).unwrap();
        assert!(large.lower < 1e5 && large.upper > 1e5 && large.upper - large.lower < 1100.0);
        assert_eq!(rate_bounds(0, 0.0, 0.05), None);
        for mean in [0.1, 1.0, 4.0, 11.0] {
            let (mut above, mut below) = (0.0, 0.0);
            for events in 0..80_u64 {
                let weight = ln_poisson_mass(events as f64, mean).exp();
                let found = rate_bounds(events, 1.0, 0.05).unwrap();
                above += if found.lower > mean { weight } else { 0.0 };
                below += if found.upper < mean { weight } else { 0.0 };
            }
            assert!(above <= 0.05 && below <= 0.05, "{mean}: {above} {below}");
        }
    }

    #[test]
    fn predictive_value_falls_with_prevalence() {
        let rates = Rates { sensitivity: 0.95, specificity: 0.95 };
        for (prevalence, expected) in [(0.5, 0.95), (0.1, 0.68), (0.01, 0.16), (0.001, 0.019)] {
            let found = predictive_value(rates, prevalence).unwrap();
            assert!((found - expected).abs() < 5e-3, "{prevalence}: {found}");
        }
        let silent = Rates { sensitivity: 0.0, specificity: 1.0 };
        assert_eq!(predictive_value(silent, 0.5), None);
    }

    #[test]
    fn one_side_without_cases_is_no_pass() {
        let clean = Tally { ok: 40, bad: 0, ambiguous: 0 };
        let claim =
            ClassifierClaim { sensitivity: 0.9, specificity: 0.9, levels: Levels::FIVE_PERCENT };
        let both = decide_classifier(clean, clean, &claim);
        assert_eq!(both.conclusion, Conclusion::Pass);
        let half = decide_classifier(clean, Tally::default(), &claim);
        assert_eq!(half.conclusion, Conclusion::Inconclusive);
    }
}
