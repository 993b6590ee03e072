//! An assertion in words: what must hold, that it held, and what is measured.

use super::words;
use crate::ids::RequestKind;
use crate::plan::{Assertion, Bound, RecoveryTo};
use crate::units::Duration;

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
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ratio => "ratio",
            Self::Seconds => "s",
            Self::Ids => "ids",
            Self::Alerts => "alerts",
        }
    }
}

/// The assertion in words.
pub(super) fn phrase(assertion: &Assertion) -> Phrase {
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
        Assertion::Detection { alert, fault, within, pages_exactly, resolves_within } => {
            let (mut condition, mut held) = (
                vec![format!("{alert} fires within {within} of {fault}.effective")],
                vec![format!("{alert} fired within {within} of {fault}.effective")],
            );
            if let Some(pages) = pages_exactly {
                let times = words::times(usize::try_from(*pages).unwrap_or(usize::MAX));
                condition.push(format!("pages exactly {times}"));
                held.push(format!("paged exactly {times}"));
            }
            if let Some(within) = resolves_within {
                condition.push(format!("resolves within {within} of {fault}.reverted"));
                held.push(format!("resolved within {within} of {fault}.reverted"));
            }
            let (condition, held) = (condition.join(", "), held.join(", "));
            Phrase { condition, held, measure: upper_seconds("time to detect".into(), *within) }
        }
        Assertion::Quiet { alert } => Phrase {
            condition: format!("{alert} stays silent"),
            held: format!("{alert} stayed silent"),
            measure: none_of("alerts that fired", Unit::Alerts),
        },
        Assertion::Recovery { to, fault, from, within } => {
            let since = format!("{within} of {fault}.{}", words::instant(*from));
            match to {
                RecoveryTo::Mitigate => Phrase {
                    condition: format!("mitigated within {since}"),
                    held: format!(
                        "the service level was back within {since} while {fault} was in force"
                    ),
                    measure: upper_seconds("time to mitigate".into(), *within),
                },
                RecoveryTo::Restore => Phrase {
                    condition: format!("restored within {since}"),
                    held: format!("the steady state was back within {since} and held"),
                    measure: upper_seconds("time to restore".into(), *within),
                },
            }
        }
        Assertion::Invariant { none_lost, none_twice } => {
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
    }
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
