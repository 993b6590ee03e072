//! The end of the page: which trials count, how to repeat the run, and what the words mean.

use maud::{Markup, html};

use crate::model::{InvalidTrial, Report};
use crate::wording;

pub(super) fn validity(report: &Report) -> Markup {
    html! {
        section aria-labelledby="validity" {
            h2 id="validity" { "Which trials count" }
            p {
                "The rules were declared before the run and never look at the outcome: "
                (wording::validity(report)) "."
            }
            @if !report.validity.trials.is_empty() {
                div class="scroll" tabindex="0" role="region" aria-labelledby="validity" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Trial" }
                                th scope="col" { "Arm" }
                                th scope="col" { "Why it is invalid" }
                                th scope="col" { "Counts as" }
                            }
                        }
                        tbody { @for trial in &report.validity.trials { (invalid(trial)) } }
                    }
                }
            }
        }
    }
}

fn invalid(trial: &InvalidTrial) -> Markup {
    html! {
        tr {
            th scope="row" { (trial.trial.number()) }
            td { (trial.arm) }
            td {
                @for invalid in &trial.invalid {
                    p { strong { (invalid.reason.label()) } ": " (invalid.because) }
                }
            }
            td { (wording::invalid_counts_as(&trial.invalid)) }
        }
    }
}

pub(super) fn repeat(report: &Report) -> Markup {
    let setting = &report.setting;
    html! {
        section aria-labelledby="repeat" {
            h2 id="repeat" { "How to repeat this" }
            pre tabindex="0" { code { (report.run.repeat) } }
            dl class="facts" {
                dt { "Run" }
                dd { code { (report.run.run) } ", started " (report.run.started) }
                dt { "Seed" }
                dd { (setting.seed) }
                dt { "Plan" }
                dd { code class="hash" { (setting.plan_sha256) } }
                dt { "Phases" }
                dd { (setting.phases) }
                dt { "Steady means" }
                dd { (setting.steady) }
                dt { "Safety" }
                dd { (setting.safety) }
                @if !report.scenario.params.is_empty() {
                    dt { "Parameters" }
                    dd {
                        @for (name, value) in &report.scenario.params {
                            p { code { (name) "=" (value) } }
                        }
                    }
                }
                @if !report.scenario.owner.is_empty() {
                    dt { "Owner" }
                    dd { (report.scenario.owner) }
                }
                dt { "Exit code" }
                dd { (report.headline.exit_code) " – " (report.headline.exit_meaning) }
                dt { "Machine" }
                dd { (report.run.host) }
            }
        }
    }
}

/// Word and meaning, in the order in which a reader meets them.
const GLOSSARY: [(&str, &str); 12] = [
    ("trial", "One repetition of the same incident, from a steady system to a steady system."),
    ("fault", "What is done to the system in a trial. It is put back afterwards, in every case."),
    ("placebo", "A trial with the same machinery and the same times, but without any effect."),
    ("effective", "The fault was seen in force by a witness that does not depend on who did it."),
    ("reverted", "The same witness saw that the fault is gone."),
    ("expectation", "One condition that must hold in a trial, and how often it must hold."),
    ("ok, bad", "The condition held in the trial, or it did not."),
    ("ambiguous", "It cannot be said. Such a trial counts against a pass and against a fail."),
    ("excluded", "Found invalid before anything was injected. Such a trial does not count."),
    ("pass, fail", "The claim is supported, or refuted, with the stated confidence."),
    ("inconclusive", "Neither: the trials are too few, or too mixed, to say."),
    ("censored", "The time was not reached while we looked: it is longer than the arrow shows."),
];

pub(super) fn glossary() -> Markup {
    html! {
        section aria-labelledby="words" {
            h2 id="words" { "Words" }
            details {
                summary { "What trial, effective, ambiguous and the other words mean" }
                dl class="facts" {
                    @for (word, meaning) in GLOSSARY {
                        dt { (word) }
                        dd { (meaning) }
                    }
                }
            }
        }
    }
}

pub(super) fn footer(report: &Report) -> Markup {
    html! {
        footer {
            p {
                "gameday " (report.run.gameday) " · run " (report.run.run)
                " · plan " (wording::short_hash(&report.setting.plan_sha256))
            }
        }
    }
}
