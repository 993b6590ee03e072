//! One self-contained page: no script, no network, no font, no image but inline SVG. The page's own
//! policy forbids the browser everything else. Light and dark, wide and narrow, screen and paper.

mod chart;
mod expectation;
mod head;
mod tail;
mod trials;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::model::Report;

const STYLE: &str = include_str!("html/report.css");
/// What the browser may load: nothing but the page's own style.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                      base-uri 'none'; form-action 'none'";

pub(crate) fn render(report: &Report) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (page_head(report))
            body {
                (chart::symbols::definitions())
                main {
                    (head::header(report))
                    (head::leftovers(report))
                    (head::glance(report))
                    (expectation::section(report))
                    (trials::section(report))
                    (tail::validity(report))
                    (tail::repeat(report))
                    (tail::glossary())
                }
                (tail::footer(report))
            }
        }
    };
    page.into_string() + "\n"
}

fn page_head(report: &Report) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="referrer" content="no-referrer";
            meta http-equiv="Content-Security-Policy" content=(POLICY);
            link rel="icon" href="data:,";
            title { (report.headline.label) ": " (report.scenario.title) }
            style { (PreEscaped(STYLE)) }
        }
    }
}
