//! Expectations: for each of them verdict, reason, trials, interval, distribution, and what would
//! change the answer.

use harness_core::verdict::{Counts, Outcome, TrialState};
use maud::{Markup, html};

use super::chart::symbols::{inline, of_state};
use super::chart::{interval, strip};
use super::trials::anchor;
use crate::model::{Dot, ExpectationReport, Report};
use crate::wording::sentence;
use crate::{numbers, wording};

pub(super) fn section(report: &Report) -> Markup {
    html! {
        section aria-labelledby="expectations" {
            h2 id="expectations" { "Expectations" }
            @if report.expectations.len() > 1 { (overview(report)) }
            @for (place, expectation) in report.expectations.iter().enumerate() {
                (card(place, expectation))
            }
            @if report.expectations.is_empty() { p { "Nothing was judged." } }
        }
    }
}

fn badge(outcome: Outcome) -> Markup {
    let class = match outcome {
        Outcome::Pass => "pass",
        Outcome::Inconclusive => "inconclusive",
        Outcome::Fail => "fail",
    };
    html! {
        span class={ "badge " (class) } {
            span aria-hidden="true" { (wording::outcome_sign(outcome)) } " " (outcome.label())
        }
    }
}

fn overview(report: &Report) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-label="All expectations" {
            table class="overview" {
                thead {
                    tr {
                        th scope="col" { "Verdict" }
                        th scope="col" { "Expectation" }
                        th scope="col" { "Held in" }
                        th scope="col" { "Measured" }
                    }
                }
                tbody {
                    @for (place, expectation) in report.expectations.iter().enumerate() {
                        tr {
                            td { (badge(expectation.outcome)) }
                            th scope="row" {
                                a href={ "#" (anchor_of(place)) } {
                                    (sentence(&expectation.condition))
                                }
                            }
                            td class="number" { (held_in(expectation)) }
                            td class="number" { (measured(expectation)) }
                        }
                    }
                }
            }
        }
    }
}

/// The estimate, and below it how sure it is.
fn held_in(expectation: &ExpectationReport) -> Markup {
    let Counts { ok, .. } = expectation.counts;
    html! {
        (ok) " of " (wording::trials(expectation.counts.n() as usize))
        @if let Some(share) = &expectation.share {
            small {
                (numbers::percent(share.value))
                @if let Some(confidence) = expectation.confidence {
                    " (" (numbers::percent(confidence)) ": "
                    (numbers::percent_digits(share.lower)) "–"
                    (numbers::percent_digits(share.upper)) ")"
                }
            }
        }
    }
}

fn measured(expectation: &ExpectationReport) -> Markup {
    html! {
        @if let Some(measured) = &expectation.measured {
            (numbers::spread(measured))
            small { "bound " (numbers::bound(measured)) }
        }
    }
}

/// The element of a card, for links to it: by place, because a name may be anything.
fn anchor_of(place: usize) -> String {
    format!("expectation-{place}")
}

fn card(place: usize, expectation: &ExpectationReport) -> Markup {
    html! {
        article class="card" id=(anchor_of(place)) {
            h3 { (sentence(&expectation.condition)) }
            p class="sub" { (badge(expectation.outcome)) " " code { (expectation.id) } }
            p class="because" { (sentence(&expectation.because)) }
            (trials_panel(expectation))
            div class="panels" {
                @if let Some(share) = &expectation.share {
                    figure {
                        figcaption { "Share of trials in which it held" }
                        (interval::chart(expectation, share))
                        p class="note" { (wording::share(expectation)) }
                    }
                } @else if expectation.quantity.is_some() {
                    figure {
                        figcaption { "Estimate" }
                        p class="note" { (wording::share(expectation)) }
                    }
                }
                @if let (Some(chart), Some(measured)) =
                    (strip::chart(expectation), &expectation.measured) {
                    figure {
                        figcaption { "Distribution of " (measured.name) " over trials" }
                        (chart)
                        @if measured.censored > 0 {
                            p class="note" {
                                (inline("beyond", "bad")) " not reached in its window: "
                                (measured.censored) " of " (expectation.counts.n())
                            }
                        }
                    }
                }
            }
            p class="change" {
                strong { "What would change this: " } (sentence(&expectation.change))
            }
            dl class="facts" {
                dt { "Claim" }
                dd { (sentence(&expectation.claim)) }
                dt { "Method" }
                dd { (sentence(&method(expectation))) }
            }
            (each_trial(expectation))
        }
    }
}

fn method(expectation: &ExpectationReport) -> String {
    let p = |name: &str, value: Option<f64>| {
        value.map(|p| format!("; p for a {name} {}", p_value(p))).unwrap_or_default()
    };
    let (pass, fail) = (p("pass", expectation.p_pass), p("fail", expectation.p_fail));
    format!("{}, n = {}{pass}{fail}", expectation.method, expectation.counts.n())
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { numbers::trimmed(p, 3) }
}

fn trials_panel(expectation: &ExpectationReport) -> Markup {
    html! {
        figure {
            figcaption { "Trials in order" }
            ul class="dots" {
                @for dot in &expectation.dots { li { (trial_dot(expectation, dot)) } }
            }
            (legend(&expectation.counts))
            @if let Some(placebo) = &expectation.placebo {
                p class="note" {
                    "Placebo trials: " (wording::counts(placebo)) " (counted, not judged)"
                }
            }
        }
    }
}

fn trial_dot(expectation: &ExpectationReport, dot: &Dot) -> Markup {
    let value = value(expectation, dot);
    let text = format!("trial {}: {}, {value}", dot.trial.number(), wording::state_word(dot.state));
    html! {
        a href={ "#" (anchor(dot.trial)) } title=(text) aria-label=(text) {
            (inline(of_state(dot.state), of_state(dot.state)))
        }
    }
}

fn legend(counts: &Counts) -> Markup {
    let all = [
        (TrialState::Ok, counts.ok),
        (TrialState::Bad, counts.bad),
        (TrialState::Ambiguous, counts.ambiguous),
        (TrialState::Excluded, counts.excluded),
    ];
    html! {
        p class="legend" {
            @for (state, count) in all {
                @if count > 0 {
                    span {
                        (inline(of_state(state), of_state(state))) " " (count) " "
                        (wording::state_word(state))
                    }
                }
            }
        }
    }
}

fn each_trial(expectation: &ExpectationReport) -> Markup {
    html! {
        details {
            summary { "Each trial" }
            div class="scroll" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Trial" }
                            th scope="col" { "State" }
                            th scope="col" class="number" { "Value" }
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
    html! {
        tr {
            th scope="row" { (dot.trial.number()) }
            td class="state" {
                (inline(of_state(dot.state), of_state(dot.state))) " "
                (wording::state_word(dot.state))
            }
            td class="number" { (value(expectation, dot)) }
            td { (dot.because) }
        }
    }
}

fn value(expectation: &ExpectationReport, dot: &Dot) -> String {
    let unit = expectation.measured.as_ref().map_or("", |measured| measured.unit.as_str());
    match (dot.value, dot.censored_at) {
        (Some(value), _) => numbers::in_unit(value, unit),
        (None, Some(at)) => format!("more than {}", numbers::in_unit(at, unit)),
        (None, None) => "no value".to_owned(),
    }
}
