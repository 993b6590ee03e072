//! A calibration for people.

use harness_core::plan::Plan;

use super::measures::{Calibration, Drift, Quiet, Requests};
use crate::style::Style;

pub(super) fn text(plan: &Plan, calibration: &Calibration, style: Style) -> String {
    let trials = calibration.trials;
    let mut out = format!(
        "{}  {trials} placebo trials, {} invalid; no fault was injected\n",
        style.bold(&plan.scenario.name),
        calibration.invalid
    );
    for expectation in &calibration.expectations {
        out += &format!("\n{}  {}\n", style.bold(&expectation.id), expectation.condition);
        for line in lines(expectation) {
            out += &format!("  {line}\n");
        }
    }
    if !calibration.not_asked.is_empty() {
        out += &format!(
            "\nNot asked of a placebo, for there is nothing to recover from: {}\n",
            calibration.not_asked.join(", ")
        );
    }
    out += &format!("\n{}\n", requests(calibration.requests.as_ref()));
    out
}

fn lines(quiet: &Quiet) -> Vec<String> {
    let (counts, claimed) = (quiet.counts, percent(quiet.claimed));
    if counts.n() == 0 {
        return vec!["no trial could be counted: nothing is known".to_owned()];
    }
    let mut lines = vec![format!(
        "met in {} of {} quiet trials: surely in {} or more; false alarms {} (at most {})",
        counts.ok,
        counts.n(),
        percent(quiet.floor),
        percent(quiet.false_alarms),
        percent(quiet.false_alarms_at_most)
    )];
    if quiet.testable {
        lines.push(format!("a claim of {claimed} can be tested on this system"));
    } else if counts.ok == counts.n() {
        lines.push(format!(
            "too few trials to tell whether {claimed} can be tested here: {} clean ones would do",
            quiet.clean_needed
        ));
    } else {
        lines.push(format!(
            "{claimed} is not supported even without a fault: a failed trial may be the system's \
             own noise"
        ));
    }
    lines.extend(quiet.drift.iter().flat_map(drift));
    if let Some(p) = quiet.lag_one_p {
        let says = if p < stats::clustering::LAG_ONE_WARNS_BELOW {
            "neighbouring trials resemble each other: cool down longer between trials"
        } else {
            "no sign that a trial carries over into the next"
        };
        lines.push(format!("{says} (p = {p:.3})"));
    }
    lines
}

fn drift(drift: &Drift) -> Vec<String> {
    let half = drift.half_margin;
    let certified = if drift.equivalent {
        format!("it surely stays within ±{half:.4}, half the margin")
    } else {
        let needed = drift.trials_needed.map_or_else(String::new, |needed| {
            format!("; {needed} placebo trials would likely certify it, were there no drift")
        });
        format!("not certified to stay within ±{half:.4}, half the margin{needed}")
    };
    let mut lines = vec![
        format!(
            "drift from the baseline, as {}: {:+.4} (90 %: {:+.4} to {:+.4}, n = {}), sign test \
             p = {:.3}",
            drift.of, drift.mean, drift.lower, drift.upper, drift.pairs, drift.sign_p
        ),
        certified,
    ];
    if let Some(detectable) = drift.detectable {
        lines.push(format!(
            "noise: standard deviation {:.4}; a mean change of {detectable:.4} is found with 90 % \
             chance",
            drift.deviation
        ));
    }
    lines
}

fn requests(requests: Option<&Requests>) -> String {
    let Some(requests) = requests else {
        return "Requests: every one succeeded, so nothing is known of how failures cluster"
            .to_owned();
    };
    let number = |value: Option<f64>| value.map_or("unknown".to_owned(), |v| format!("{v:.4}"));
    format!(
        "Requests: {} succeeded; intraclass correlation {}, design effect {}",
        percent(requests.good),
        number(requests.intraclass_correlation),
        number(requests.design_effect)
    )
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
