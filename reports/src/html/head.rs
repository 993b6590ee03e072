//! The top of the page: the verdict in one sentence, what is owed, and what was done.

use harness_core::exit;
use maud::{Markup, html};

use crate::model::{Report, Setting};
use crate::wording;

/// How a verdict looks: a class, and a sign beside the word.
pub(super) const fn tone(exit_code: u8) -> (&'static str, char) {
    match exit_code {
        exit::PASS => ("pass", '✓'),
        exit::INCONCLUSIVE => ("inconclusive", '?'),
        exit::FAIL => ("fail", '✗'),
        _ => ("stopped", '!'),
    }
}

pub(super) fn header(report: &Report) -> Markup {
    let headline = &report.headline;
    let (class, sign) = tone(headline.exit_code);
    html! {
        header class="top" {
            p class="over" { "gameday report · " (report.scenario.name) }
            h1 { (report.scenario.title) }
            div class=(format!("verdict {class}")) role="status" {
                p class="stamp" { span aria-hidden="true" { (sign) } " " (headline.label) }
                p class="because" { (wording::sentence(&headline.because)) }
            }
            @if !report.scenario.description.is_empty() {
                p class="about" { (report.scenario.description) }
            }
        }
    }
}

pub(super) fn leftovers(report: &Report) -> Markup {
    html! {
        @if !report.leftovers.is_empty() {
            section class="owed" aria-labelledby="owed" {
                h2 id="owed" { "Not proven to be put back" }
                ul {
                    @for owed in &report.leftovers {
                        li {
                            strong { (owed.fault) } " (" (owed.kind) ") of trial "
                            (owed.trial.number())
                        }
                    }
                }
                p { "A person is needed. This command puts it back and checks that it is gone:" }
                pre { code { (report.undo) } }
            }
        }
    }
}

pub(super) fn glance(report: &Report) -> Markup {
    let setting = &report.setting;
    html! {
        section aria-labelledby="glance" {
            h2 id="glance" { "What was done" }
            dl class="facts" {
                dt { "Attacked" }
                dd { (attacked(setting)) }
                dt { "Faults" }
                dd {
                    @for fault in &setting.faults {
                        @let told = wording::fault(fault).replace("->", "→");
                        p { strong { (fault.id) } ": " (told) }
                    }
                    @if setting.faults.is_empty() { "none" }
                }
                dt { "Under load" }
                dd { (wording::sentence(&setting.load)) }
                dt { "How often" }
                dd { (wording::arms(&setting.arms)) " trials; " (wording::validity(report)) }
                dt { "Pass means" }
                dd { (setting.pass_means) }
            }
        }
    }
}

fn attacked(setting: &Setting) -> Markup {
    html! {
        (setting.system) " in the environment " (setting.environment)
        @if !setting.defects.is_empty() {
            ", with the defect "
            @for (place, (name, value)) in setting.defects.iter().enumerate() {
                @if place > 0 { ", " }
                code { (name) "=" (value) }
            }
            " switched on"
        }
    }
}
