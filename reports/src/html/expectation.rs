//! Expectations: one table for all, then for each of them its trials, interval and reasons.

use harness_core::verdict::{Outcome, TrialState};
use maud::{Markup, html};

use crate::model::{Dot, ExpectationReport, Report};
use crate::{numbers, wording};

pub(super) fn section(report: &Report) -> Markup {
    html! {
        section aria-labelledby="expectations" {
            h2 id="expectations" { "Expectations" }
            @for expectation in &report.expectations { (card(expectation)) }
            @if report.expectations.is_empty() { p { "This plan expects nothing." } }
        }
    }
}

pub(super) fn badge(outcome: Outcome) -> Markup {
    let class = match outcome {
        Outcome::Pass => "pass",
        Outcome::Inconclusive => "inconclusive",
        Outcome::Fail => "fail",
    };
    html! {
        span class=(format!("badge {class}")) {
            span aria-hidden="true" { (wording::outcome_sign(outcome)) } " " (outcome.label())
        }
    }
}

fn card(expectation: &ExpectationReport) -> Markup {
    html! {
        article class="card" {
            h3 { (badge(expectation.outcome)) " " (expectation.condition) }
            p class="because" { (expectation.because) }
            dl class="facts" {
                dt { "Claim" }
                dd { (expectation.claim) }
                dt { "Estimate" }
                dd { (wording::share(expectation)) }
                dt { "Method" }
                dd { (expectation.method) }
                dt { "What would change this" }
                dd { (expectation.change) }
            }
            (each_trial(expectation))
        }
    }
}

fn each_trial(expectation: &ExpectationReport) -> Markup {
    html! {
        details {
            summary { "Each trial" }
            div class="scroll" tabindex="0" role="region" aria-label="Each trial" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Trial" }
                            th scope="col" { "State" }
                            th scope="col" { "Value" }
                            th scope="col" { "Why" }
                        }
                    }
                    tbody { @for dot in &expectation.dots { (trial_row(expectation, dot)) } }
                }
            }
        }
    }
}

fn trial_row(expectation: &ExpectationReport, dot: &Dot) -> Markup {
    let unit = expectation.measured.as_ref().map_or("", |measured| measured.unit.as_str());
    let value = match (dot.value, dot.censored_at) {
        (_, Some(at)) => format!("more than {}", numbers::in_unit(at, unit)),
        (Some(value), None) => numbers::in_unit(value, unit),
        (None, None) => "–".to_owned(),
    };
    html! {
        tr {
            th scope="row" { (dot.trial) }
            td { (state(dot.state)) }
            td class="number" { (value) }
            td { (dot.because) }
        }
    }
}

fn state(state: TrialState) -> Markup {
    html! {
        span class=(format!("state {}", wording::state_word(state))) {
            span aria-hidden="true" { (wording::sign(state)) } " " (wording::state_word(state))
        }
    }
}
