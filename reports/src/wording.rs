//! Words and signs that several formats share. Colour never carries meaning alone: every state has
//! a sign and a word.

use harness_core::event::Invalid;
use harness_core::verdict::{Counts, Outcome, TrialState};

use crate::model::{ArmCount, ExpectationReport, FaultWords, Report};
use crate::numbers;

/// One trial as one character.
pub(crate) const fn sign(state: TrialState) -> char {
    match state {
        TrialState::Ok => '●',
        TrialState::Bad => '✗',
        TrialState::Ambiguous => '?',
        TrialState::Excluded => '·',
    }
}

pub(crate) const fn state_word(state: TrialState) -> &'static str {
    match state {
        TrialState::Ok => "ok",
        TrialState::Bad => "bad",
        TrialState::Ambiguous => "ambiguous",
        TrialState::Excluded => "excluded",
    }
}

/// The sign of an outcome.
pub(crate) const fn outcome_sign(outcome: Outcome) -> char {
    match outcome {
        Outcome::Pass => '✓',
        Outcome::Inconclusive => '?',
        Outcome::Fail => '✗',
    }
}

/// `12 ok, 1 bad, 1 ambiguous`: zero counts are left out, but never all of them.
pub(crate) fn counts(counts: &Counts) -> String {
    let all = [
        (counts.ok, "ok"),
        (counts.bad, "bad"),
        (counts.ambiguous, "ambiguous"),
        (counts.excluded, "excluded"),
    ];
    let told: Vec<String> =
        all.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    if told.is_empty() { "no trials".to_owned() } else { told.join(", ") }
}

/// `14 fault, 5 placebo`; where fewer were begun than planned: `9 of 14 fault`.
pub(crate) fn arms(arms: &[ArmCount]) -> String {
    let one = |arm: &ArmCount| {
        let name = &arm.name;
        let placebo = if arm.placebo && name.as_str() != "placebo" { " (placebo)" } else { "" };
        match arm.begun.cmp(&arm.planned) {
            std::cmp::Ordering::Less => {
                format!("{} of {} {name}{placebo}", arm.begun, arm.planned)
            }
            std::cmp::Ordering::Equal => format!("{} {name}{placebo}", arm.begun),
            std::cmp::Ordering::Greater => {
                format!("{} {name}{placebo} ({} replaced)", arm.begun, arm.begun - arm.planned)
            }
        }
    };
    arms.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// `dependency-outage (edge checkout->payments, mode blackhole) for 3s`.
pub(crate) fn fault(fault: &FaultWords) -> String {
    let what = if fault.what.is_empty() { String::new() } else { format!(" ({})", fault.what) };
    format!("{}{what} {}", fault.kind, fault.when)
}

/// What was attacked, in one line.
pub(crate) fn attacked(report: &Report) -> String {
    let setting = &report.setting;
    let faults: Vec<String> = setting.faults.iter().map(fault).collect();
    let faults = if faults.is_empty() { "nothing".to_owned() } else { faults.join("; ") };
    let defects: Vec<String> =
        setting.defects.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let defects = if defects.is_empty() {
        String::new()
    } else {
        format!(", with the defect {}", defects.join(", "))
    };
    format!("{}{defects}: {faults}", setting.system)
}

/// The estimate with interval and n, or why there is none.
pub(crate) fn share(expectation: &ExpectationReport) -> String {
    match (&expectation.share, &expectation.quantity) {
        (Some(share), _) => numbers::share(share, expectation.confidence, expectation.counts.n()),
        (None, Some(quantity)) => {
            numbers::quantity(quantity, expectation.confidence, expectation.counts.n())
        }
        (None, None) => format!("no estimate (n = {})", expectation.counts.n()),
    }
}

/// `1 of 19 trials is invalid (limit 20 %)`.
pub(crate) fn validity(report: &Report) -> String {
    let (valid, invalid) = (report.validity.valid, report.validity.invalid);
    let limit = numbers::percent(report.validity.invalid_at_most);
    match (valid + invalid, invalid) {
        (0, _) => "no trial was begun".to_owned(),
        (1, 0) => "the one trial is valid".to_owned(),
        (all, 0) => format!("all {all} trials are valid"),
        (all, 1) => format!("1 of {all} trials is invalid (limit {limit})"),
        (all, _) => format!("{invalid} of {all} trials are invalid (limit {limit})"),
    }
}

/// How an invalid trial counts.
pub(crate) fn invalid_counts_as(invalid: &[Invalid]) -> &'static str {
    if invalid.iter().all(|reason| reason.before_injection) {
        "excluded: found before the injection"
    } else {
        "ambiguous: found after the injection"
    }
}

/// The plan's hash, short enough to read out.
pub(crate) fn short_hash(hash: &str) -> String {
    hash.chars().take(12).collect()
}

/// `1 trial`, `2 trials`.
pub(crate) fn trials(count: usize) -> String {
    if count == 1 { "1 trial".to_owned() } else { format!("{count} trials") }
}

/// The text with a capital at its beginning, unless its first word is a name such as `p99`.
pub(crate) fn sentence(text: &str) -> String {
    let first = text.split_whitespace().next().unwrap_or_default();
    let mut letters = text.chars();
    match letters.next() {
        Some(letter) if first.chars().all(|c| c.is_ascii_lowercase() || c == ',') => {
            letter.to_ascii_uppercase().to_string() + letters.as_str()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_letters() {
        assert_eq!(sentence("it held"), "It held");
        assert_eq!(sentence("p99 latency"), "p99 latency");
        assert_eq!(sentence("successRate: fine"), "successRate: fine");
        assert_eq!(sentence(""), "");
    }
}
