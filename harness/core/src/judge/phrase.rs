//! An assertion in words: what must hold, that it held, and what is measured.

use super::words::{self, Round};
use crate::ids::{ExpectationId, FaultId, RequestKind, SignalId};
use crate::plan::{
    Against, Assertion, AutomationRule, Bound, CostBound, Expectation, FaultInstant, Holds, Plan,
    RecoveryTo, WindowRange,
};
use crate::units::{Currency, Duration, Quantile, Ratio};

/// An assertion in words.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Phrase {
    /// `success rate at least 99% during fault`.
    pub(super) condition: String,
    /// `the success rate stayed at or above 99% during fault`.
    pub(super) held: String,
    /// What is measured.
    pub(super) measure: Measure,
}

/// What is measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measure {
    /// `success rate`.
    pub(super) name: String,
    /// Its unit.
    pub(super) unit: Unit,
    /// The bound of the condition in that unit.
    pub(super) bound: f64,
    /// The bound is an upper one.
    pub(super) bound_is_upper: bool,
}

/// The unit of a measured quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Ratio,
    Seconds,
    Ids,
    Alerts,
    Actions,
    Times,
    Money(Currency),
    MoneyPerSecond(Currency),
}

impl Unit {
    pub(super) fn name(self) -> String {
        match self {
            Self::Ratio => "ratio".to_owned(),
            Self::Seconds => "s".to_owned(),
            Self::Ids => "ids".to_owned(),
            Self::Alerts => "alerts".to_owned(),
            Self::Actions => "actions".to_owned(),
            Self::Times => "times".to_owned(),
            Self::Money(currency) => currency.to_string(),
            Self::MoneyPerSecond(currency) => format!("{currency}/s"),
        }
    }
}

impl Measure {
    /// A value with its unit, rounded so that it says no more than it is.
    pub(super) fn text(&self, value: f64, round: Round) -> String {
        match self.unit {
            Unit::Ratio => words::fine(value, round),
            Unit::Seconds => words::seconds(words::rounded(value, 3, round)),
            Unit::Times => format!("{:.2} times", words::rounded(value, 2, round)),
            Unit::Money(currency) => words::money(words::rounded(value, 6, round), currency),
            Unit::MoneyPerSecond(currency) => {
                words::money_rate(words::rounded(value, 3, round), currency)
            }
            Unit::Ids | Unit::Alerts | Unit::Actions => {
                format!("{:.1} {}", words::rounded(value, 1, round), self.unit.name())
            }
        }
    }
}

/// An expectation in words.
pub(super) fn phrase(plan: &Plan, expectation: &Expectation) -> Phrase {
    let phrase = match &expectation.assertion {
        Assertion::Regression { of, by_at_most, runs, .. } => {
            return regression(plan, of, *by_at_most, *runs);
        }
        assertion => of_trial(assertion),
    };
    match expectation.claim.holds {
        Holds::InAtLeast(_) | Holds::OverRuns => phrase,
        Holds::OnAverage { .. } => {
            Phrase { condition: format!("on average, {}", phrase.condition), ..phrase }
        }
    }
}

/// What another expectation measures, against earlier runs.
fn regression(plan: &Plan, of: &ExpectationId, by_at_most: Ratio, runs: u32) -> Phrase {
    let asked = plan.expectations.iter().find(|one| one.id == *of);
    let measure = match asked.map(|asked| &asked.assertion) {
        None | Some(Assertion::Regression { .. }) => none_of(of.as_str(), Unit::Actions),
        Some(assertion) => of_trial(assertion).measure,
    };
    let than = format!("not worse than in the last {runs} runs by more than {by_at_most}");
    let name = &measure.name;
    Phrase {
        condition: format!("the median {name} over the run is {than}"),
        held: format!("the median {name} over the run was {than}"),
        measure,
    }
}

/// What an assertion says of one trial.
fn of_trial(assertion: &Assertion) -> Phrase {
    match assertion {
        Assertion::SuccessRate { of, bound, during } => success(of.as_ref(), *bound, &during.text),
        Assertion::Latency { of, quantile, at_most, during } => {
            let (of, during) = (of_kind(of.as_ref()), &during.text);
            Phrase {
                condition: format!("{quantile} latency{of} at most {at_most} during {during}"),
                held: format!(
                    "{quantile} latency{of} stayed at or below {at_most} during {during}"
                ),
                measure: upper_seconds(format!("{quantile} latency"), *at_most),
            }
        }
        Assertion::Detection { alert, fault, within, pages_exactly, resolves_within, through } => {
            let what = match through {
                None => alert.clone(),
                Some(signal) => format!("{alert} at {signal}"),
            };
            detection(&what, fault, *within, *pages_exactly, *resolves_within)
        }
        Assertion::Quiet { alert } => Phrase {
            condition: format!("{alert} stays silent"),
            held: format!("{alert} stayed silent"),
            measure: none_of("alerts that fired", Unit::Alerts),
        },
        Assertion::Recovery { to, fault, from, within } => recovery(*to, fault, *from, *within),
        Assertion::Invariant { none_lost, none_twice } => invariant(*none_lost, *none_twice),
        Assertion::ErrorBudget { of, objective, period, takes_at_most, during } => {
            let budget = format!("of the {objective} budget of {period}");
            let (of, during) = (of_kind(of.as_ref()), &during.text);
            Phrase {
                condition: format!("at most {takes_at_most} {budget}{of} taken during {during}"),
                held: format!("at most {takes_at_most} {budget}{of} was taken during {during}"),
                measure: Measure {
                    name: "share of the error budget".into(),
                    unit: Unit::Ratio,
                    bound: takes_at_most.as_f64(),
                    bound_is_upper: true,
                },
            }
        }
        Assertion::Degradation { of, quantile, against, by_at_most, during } => {
            degradation(of.as_ref(), *quantile, *against, *by_at_most, &during.text)
        }
        Assertion::Automation { actor, rule } => automation(actor, rule),
        Assertion::Telemetry { signal, share_at_least, gap_at_most, during } => {
            telemetry(signal, *share_at_least, *gap_at_most, &during.text)
        }
        Assertion::Regression { of, .. } => {
            let name = format!("what `{of}` measures");
            Phrase {
                condition: name.clone(),
                held: name.clone(),
                measure: none_of(&name, Unit::Actions),
            }
        }
        Assertion::Cost { bound, .. } => cost(bound),
    }
}

fn detection(
    alert: &str,
    fault: &FaultId,
    within: Duration,
    pages_exactly: Option<u32>,
    resolves_within: Option<Duration>,
) -> Phrase {
    let (mut condition, mut held) = (
        vec![format!("{alert} fires within {within} of {fault}.effective")],
        vec![format!("{alert} fired within {within} of {fault}.effective")],
    );
    if let Some(pages) = pages_exactly {
        let times = words::times(usize::try_from(pages).unwrap_or(usize::MAX));
        condition.push(format!("pages exactly {times}"));
        held.push(format!("paged exactly {times}"));
    }
    if let Some(within) = resolves_within {
        condition.push(format!("resolves within {within} of {fault}.reverted"));
        held.push(format!("resolved within {within} of {fault}.reverted"));
    }
    Phrase {
        condition: condition.join(", "),
        held: held.join(", "),
        measure: upper_seconds("time to detect".into(), within),
    }
}

fn recovery(to: RecoveryTo, fault: &FaultId, from: FaultInstant, within: Duration) -> Phrase {
    let since = format!("{within} of {fault}.{}", words::instant(from));
    match to {
        RecoveryTo::Mitigate => Phrase {
            condition: format!("mitigated within {since}"),
            held: format!("the service level was back within {since} while {fault} was in force"),
            measure: upper_seconds("time to mitigate".into(), within),
        },
        RecoveryTo::Restore => Phrase {
            condition: format!("restored within {since}"),
            held: format!("the steady state was back within {since} and held"),
            measure: upper_seconds("time to restore".into(), within),
        },
    }
}

fn invariant(none_lost: bool, none_twice: bool) -> Phrase {
    let (condition, held) = match (none_lost, none_twice) {
        (true, false) => ("no accepted id lost", "no accepted id was lost"),
        (false, true) => ("no id processed twice", "no id was processed twice"),
        (_, _) => (
            "no accepted id lost, none processed twice",
            "no accepted id was lost and none was processed twice",
        ),
    };
    Phrase {
        condition: condition.to_owned(),
        held: held.to_owned(),
        measure: none_of("ids lost or processed twice", Unit::Ids),
    }
}

fn degradation(
    of: Option<&RequestKind>,
    quantile: Quantile,
    against: Against,
    by_at_most: Ratio,
    during: &str,
) -> Phrase {
    let of = of_kind(of);
    let than = match against {
        Against::Baseline => "than in the baseline",
        Against::Placebo => "than in the baseline, against a placebo",
    };
    let worse = format!("more than {by_at_most} longer {than} during {during}");
    Phrase {
        condition: format!("{quantile} latency{of} not {worse}"),
        held: format!("{quantile} latency{of} was not {worse}"),
        measure: Measure {
            name: format!("{quantile} latency over the expected one"),
            unit: Unit::Times,
            bound: 1.0 + by_at_most.as_f64(),
            bound_is_upper: true,
        },
    }
}

fn telemetry(
    signal: &SignalId,
    share_at_least: Ratio,
    gap_at_most: Option<Duration>,
    during: &str,
) -> Phrase {
    let gap = gap_at_most.map_or_else(String::new, |gap| format!(", no gap above {gap}"));
    Phrase {
        condition: format!("at least {share_at_least} of {signal} arrive during {during}{gap}"),
        held: format!("at least {share_at_least} of {signal} arrived during {during}{gap}"),
        measure: Measure {
            name: format!("share of {signal} that arrived"),
            unit: Unit::Ratio,
            bound: share_at_least.as_f64(),
            bound_is_upper: false,
        },
    }
}

fn cost(bound: &CostBound) -> Phrase {
    let phrase = |subject: &str, was: &str, bound: String, measure| Phrase {
        condition: format!("{subject} at most {bound}"),
        held: format!("{was} at or below {bound}"),
        measure,
    };
    let upper = |name: &str, unit, bound| Measure {
        name: name.to_owned(),
        unit,
        bound,
        bound_is_upper: true,
    };
    let in_window =
        |at_most: String, during: &WindowRange| format!("{at_most} during {}", during.text);
    match bound {
        CostBound::Rate { at_most, grace, during } => {
            let after = if *grace == Duration::ZERO {
                String::new()
            } else {
                format!(", after {grace} of grace")
            };
            let bound = in_window(at_most.to_string(), during) + &after;
            let unit = Unit::MoneyPerSecond(at_most.currency());
            let measure = upper("highest rate of spend", unit, at_most.per_second());
            phrase("rate of spend", "the rate of spend stayed", bound, measure)
        }
        CostBound::Capped { at_most, fault, within } => {
            let what = format!("within {within} of {fault}.effective, and until its revert");
            Phrase {
                condition: format!("spend capped to {at_most} {what}"),
                held: format!("the spend was capped to {at_most} {what}"),
                measure: upper_seconds("time to cap".into(), *within),
            }
        }
        CostBound::PerSuccess { at_most, during } => {
            let unit = Unit::Money(at_most.currency());
            let measure = upper("spend for each good request", unit, at_most.amount());
            let bound = in_window(at_most.to_string(), during);
            phrase("spend for each good request", "the spend for each stayed", bound, measure)
        }
        CostBound::Total { at_most, during } => {
            let measure = upper("spend", Unit::Money(at_most.currency()), at_most.amount());
            let bound = in_window(at_most.to_string(), during);
            phrase("spend", "the spend stayed", bound, measure)
        }
    }
}

fn automation(actor: &str, rule: &AutomationRule) -> Phrase {
    let on = |target: &Option<String>| {
        target.as_ref().map_or_else(String::new, |target| format!(" on {target}"))
    };
    match rule {
        AutomationRule::Acts { action, target, fault, within } => {
            let what = format!("{action}{} within {within} of {fault}.effective", on(target));
            Phrase {
                condition: format!("{actor} acts: {what}"),
                held: format!("{actor} acted: {what}"),
                measure: upper_seconds("time to act".into(), *within),
            }
        }
        AutomationRule::Releases { action, fault, within } => {
            let what = format!("{action} within {within} of {fault}.reverted");
            Phrase {
                condition: format!("{actor} releases: {what}"),
                held: format!("{actor} released: {what}"),
                measure: upper_seconds("time to release".into(), *within),
            }
        }
        AutomationRule::StaysQuiet { action } => {
            let what = action.as_deref().unwrap_or("anything");
            unwanted(format!("{actor} does not do {what}"), format!("{actor} did not do {what}"))
        }
        AutomationRule::Only { targets } => {
            let targets = targets.join(", ");
            unwanted(
                format!("{actor} acts on nothing but {targets}"),
                format!("{actor} acted on nothing but {targets}"),
            )
        }
        AutomationRule::Never { actions } => {
            let actions = actions.join(" or ");
            unwanted(
                format!("{actor} never does {actions}"),
                format!("{actor} did not do {actions}"),
            )
        }
        AutomationRule::ObeysKillSwitch { switch, actions } => {
            let what = actions.as_ref().map_or_else(|| "anything".to_owned(), |a| a.join(" or "));
            unwanted(
                format!("{actor} does not do {what} while {switch} switches it off"),
                format!("{actor} did not do {what} while {switch} switched it off"),
            )
        }
        AutomationRule::HoldsWhenBlind { fault, actions } => {
            let what = actions.as_ref().map_or_else(|| "anything".to_owned(), |a| a.join(" or "));
            unwanted(
                format!("{actor} does not do {what} while {fault} takes its eyes"),
                format!("{actor} did not do {what} while {fault} took its eyes"),
            )
        }
        AutomationRule::ExactlyOnce { action, target, .. } => Phrase {
            condition: format!("{actor} does {action}{} exactly once", on(target)),
            held: format!("{actor} did {action}{} exactly once", on(target)),
            measure: Measure {
                name: format!("times of {action}"),
                unit: Unit::Actions,
                bound: 1.0,
                bound_is_upper: true,
            },
        },
    }
}

fn unwanted(condition: String, held: String) -> Phrase {
    Phrase { condition, held, measure: none_of("unwanted actions", Unit::Actions) }
}

fn success(of: Option<&RequestKind>, bound: Bound, during: &str) -> Phrase {
    let of = of_kind(of);
    let (ratio, at, stayed, bound_is_upper) = match bound {
        Bound::AtLeast(ratio) => (ratio, "at least", "at or above", false),
        Bound::AtMost(ratio) => (ratio, "at most", "at or below", true),
    };
    Phrase {
        condition: format!("success rate{of} {at} {ratio} during {during}"),
        held: format!("the success rate{of} stayed {stayed} {ratio} during {during}"),
        measure: Measure {
            name: "success rate".into(),
            unit: Unit::Ratio,
            bound: ratio.as_f64(),
            bound_is_upper,
        },
    }
}

fn of_kind(of: Option<&RequestKind>) -> String {
    of.map_or_else(String::new, |kind| format!(" of {kind}"))
}

fn upper_seconds(name: String, bound: Duration) -> Measure {
    Measure { name, unit: Unit::Seconds, bound: bound.secs_f64(), bound_is_upper: true }
}

fn none_of(name: &str, unit: Unit) -> Measure {
    Measure { name: name.to_owned(), unit, bound: 0.0, bound_is_upper: true }
}
