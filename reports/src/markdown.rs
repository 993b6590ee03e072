//! Markdown for a comment on a change or the summary of a pipeline's job: the verdict, one table,
//! and the reasons folded away. Everything from outside is escaped, so that it can neither format
//! nor mention nor link.

use std::fmt::Write as _;

use crate::model::{ExpectationReport, Report};
use crate::{numbers, wording};

/// At most this many expectations get a row: comments are bounded (65,536 characters on GitHub),
/// and what is longer is refused or cut off in the middle.
const ROWS_MAX: usize = 30;
/// At most this many characters of one text.
const TEXT_CHARS_MAX: usize = 300;
/// At most this many invalid trials are told one by one.
const INVALID_TOLD_MAX: usize = 10;

pub(crate) fn render(report: &Report) -> String {
    let mut out = String::new();
    let headline = &report.headline;
    line(&mut out, &format!("## {}: {}", headline.label, escaped(&report.scenario.title)));
    line(&mut out, "");
    line(&mut out, &escaped(&headline.because));
    line(&mut out, "");
    leftovers(&mut out, report);
    table(&mut out, report);
    reasons(&mut out, report);
    invalid(&mut out, report);
    facts(&mut out, report);
    out
}

fn leftovers(out: &mut String, report: &Report) {
    if report.leftovers.is_empty() {
        return;
    }
    let told = report.leftovers.iter().map(|owed| {
        format!(
            "{} ({}) of trial {}",
            escaped(owed.fault.as_str()),
            escaped(&owed.kind),
            owed.trial.number()
        )
    });
    let told = told.collect::<Vec<_>>().join(", ");
    line(out, &format!("> **Not proven to be put back:** {told}. Run {}.", code(&report.undo)));
    line(out, "");
}

fn table(out: &mut String, report: &Report) {
    if report.expectations.is_empty() {
        return;
    }
    line(out, "| verdict | expectation | share of trials in which it held | measured |");
    line(out, "|---|---|---|---|");
    for expectation in report.expectations.iter().take(ROWS_MAX) {
        let measured = expectation.measured.as_ref().map_or_else(String::new, numbers::spread);
        line(
            out,
            &format!(
                "| {} **{}** | {} | {} | {} |",
                wording::outcome_sign(expectation.outcome),
                expectation.outcome.label(),
                escaped(&expectation.condition),
                escaped(&wording::share(expectation)),
                escaped(&measured),
            ),
        );
    }
    let more = report.expectations.len().saturating_sub(ROWS_MAX);
    if more > 0 {
        line(out, &format!("| | and {more} more | | |"));
    }
    line(out, "");
}

/// Open where something did not pass, folded otherwise.
fn reasons(out: &mut String, report: &Report) {
    for expectation in report.expectations.iter().take(ROWS_MAX) {
        let open = match expectation.outcome {
            harness_core::verdict::Outcome::Pass => "",
            _ => " open",
        };
        line(out, &format!("<details{open}><summary>{}</summary>", summary(expectation)));
        line(out, "");
        line(out, &format!("- **Why:** {}", escaped(&expectation.because)));
        line(out, &format!("- **What would change this:** {}", escaped(&expectation.change)));
        line(out, &format!("- **Claim:** {}", escaped(&expectation.claim)));
        line(out, &format!("- **Method:** {}", escaped(&expectation.method)));
        line(out, &format!("- **Trials:** {}", wording::counts(&expectation.counts)));
        if let Some(placebo) = &expectation.placebo {
            let counts = wording::counts(placebo);
            line(out, &format!("- **Placebo trials:** {counts} (counted, not judged)"));
        }
        line(out, "");
        line(out, "</details>");
        line(out, "");
    }
}

fn summary(expectation: &ExpectationReport) -> String {
    format!("{}: {}", escaped(expectation.id.as_str()), expectation.outcome.label())
}

fn invalid(out: &mut String, report: &Report) {
    if report.validity.trials.is_empty() {
        return;
    }
    line(out, &format!("**{}**", escaped(&wording::validity(report))));
    line(out, "");
    for trial in report.validity.trials.iter().take(INVALID_TOLD_MAX) {
        let why: Vec<String> = trial.invalid.iter().map(|i| escaped(&i.because)).collect();
        let counts_as = wording::invalid_counts_as(&trial.invalid);
        let arm = escaped(trial.arm.as_str());
        let number = trial.trial.number();
        line(out, &format!("- trial {number} ({arm}), {counts_as}: {}", why.join("; ")));
    }
    let more = report.validity.trials.len().saturating_sub(INVALID_TOLD_MAX);
    if more > 0 {
        line(out, &format!("- and {} more", wording::trials(more)));
    }
    line(out, "");
}

fn facts(out: &mut String, report: &Report) {
    let setting = &report.setting;
    line(out, &format!("Attacked: {}  ", escaped(&wording::attacked(report))));
    line(out, &format!("Load: {}  ", escaped(&setting.load)));
    line(out, &format!("Trials: {}  ", escaped(&wording::arms(&setting.arms))));
    line(out, &format!("Pass means: {}  ", escaped(&setting.pass_means)));
    line(
        out,
        &format!(
            "Run {}, plan {}, seed {}, exit code {}  ",
            code(report.run.run.as_str()),
            code(&wording::short_hash(&setting.plan_sha256)),
            setting.seed,
            report.headline.exit_code,
        ),
    );
    line(out, &format!("Repeat: {}", code(&report.run.repeat)));
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing to a string cannot fail");
}

/// Text that Markdown shows as it is: nothing formats, mentions, links or leaves its cell.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars().take(TEXT_CHARS_MAX) {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            '#' => out.push_str("&#35;"),
            '|' => out.push_str("&#124;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '!' | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            other => out.push(other),
        }
    }
    if text.chars().nth(TEXT_CHARS_MAX).is_some() {
        out.push('…');
    }
    // These link by themselves.
    out.replace("://", "&#58;//").replace("www.", "www&#46;")
}

/// A code span; longer fences than any run of backticks inside, and no way out of a table's cell.
fn code(text: &str) -> String {
    let mut run = 0;
    let mut longest = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest + 1);
    let pad = if longest > 0 { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_formats_links_or_mentions() {
        assert_eq!(escaped("a|b *c* <i> @team #7"), "a&#124;b \\*c\\* &lt;i&gt; &#64;team &#35;7");
        assert_eq!(escaped("https://evil www.evil"), "https&#58;//evil www&#46;evil");
    }

    #[test]
    fn code_spans_hold_backticks() {
        assert_eq!(code("plain"), "`plain`");
        assert_eq!(code("a``b"), "``` a``b ```");
    }
}
