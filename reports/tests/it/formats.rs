//! Snapshots of every format but the page, and what must hold of them whatever they look like.

use reports::{Format, JunitInconclusive, Options, Report, TextStyle, render};

use serde_json::Value;

use crate::fixture;

#[test]
fn text_of_a_mixed_run() {
    insta::assert_snapshot!(render(Format::Text, &fixture::mixed().report(), &fixture::options()));
}

#[test]
fn text_of_a_clean_run_on_a_narrow_terminal() {
    let options = Options { width: 64, ..fixture::options() };
    insta::assert_snapshot!(render(Format::Text, &fixture::clean().report(), &options));
}

#[test]
fn text_of_a_run_with_a_leftover() {
    insta::assert_snapshot!(render(
        Format::Text,
        &fixture::leftover().report(),
        &fixture::options()
    ));
}

#[test]
fn text_is_styled_only_when_asked() {
    let report = fixture::mixed().report();
    let plain = render(Format::Text, &report, &fixture::options());
    let options = Options { style: TextStyle::Ansi, ..fixture::options() };
    let styled = render(Format::Text, &report, &options);
    assert!(!plain.contains('\u{1b}'));
    assert!(styled.contains("\u{1b}[1;31mFAIL\u{1b}[0m"));
    assert_eq!(unstyled(&styled), plain, "style codes change nothing but the style");
}

fn unstyled(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        out.push_str(before);
        rest = after.split_once('m').expect("a style code ends with m").1;
    }
    out + rest
}

#[test]
fn text_keeps_to_its_width() {
    for width in [40, 64, 80, 120] {
        for run in [fixture::mixed(), fixture::clean(), fixture::leftover()] {
            let options = Options { width, ..fixture::options() };
            let text = render(Format::Text, &run.report(), &options);
            let copied = |line: &&str| {
                ["repeat ", "report ", "  put back"].iter().any(|name| line.starts_with(name))
            };
            let wrapped = text.lines().filter(|line| !copied(line));
            let longest = wrapped.map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= width, "{longest} > {width}:\n{text}");
        }
    }
}

#[test]
fn markdown_of_a_mixed_run() {
    let report = fixture::mixed().report();
    insta::assert_snapshot!(render(Format::Markdown, &report, &fixture::options()));
}

#[test]
fn markdown_of_a_run_with_a_leftover() {
    let report = fixture::leftover().report();
    insta::assert_snapshot!(render(Format::Markdown, &report, &fixture::options()));
}

#[test]
fn junit_of_a_mixed_run() {
    let report = fixture::mixed().report();
    insta::assert_snapshot!(render(Format::Junit, &report, &fixture::options()));
}

#[test]
fn junit_tells_an_aborted_run_although_its_expectations_are_not_failed() {
    let mut run = fixture::clean();
    run.verdict.end =
        harness_core::exit::EndOfRun::Aborted { because: "interrupted by a person".to_owned() };
    let xml = render(Format::Junit, &run.report(), &fixture::options());
    assert!(xml.contains(r#"<error message="interrupted by a person" type="aborted""#), "{xml}");
}

#[test]
fn junit_tells_inconclusive_as_it_was_asked_to() {
    let report = fixture::mixed().report();
    for (choice, element) in [
        (JunitInconclusive::Failure, "<failure"),
        (JunitInconclusive::Error, "<error"),
        (JunitInconclusive::Skipped, "<skipped"),
    ] {
        let options = Options { junit_inconclusive: choice, ..fixture::options() };
        let xml = render(Format::Junit, &report, &options);
        let told = xml.lines().filter(|line| line.contains(r#"type="inconclusive""#));
        let told: Vec<&str> = told.map(str::trim_start).collect();
        assert!(!told.is_empty() && told.iter().all(|line| line.starts_with(element)), "{told:?}");
    }
}

#[test]
fn json_of_a_mixed_run() {
    let mut report = fixture::mixed().report();
    // One trial shows the shape; all of them would be long.
    report.trials.truncate(1);
    let series = &mut report.trials[0].series;
    for column in [&mut series.latency_ms_p50, &mut series.latency_ms_p99] {
        column.truncate(3);
    }
    for column in [&mut series.planned, &mut series.good] {
        column.truncate(3);
    }
    series.at_s.truncate(3);
    let value: Value =
        serde_json::from_str(&render(Format::Json, &report, &fixture::options())).unwrap();
    insta::assert_json_snapshot!(value);
}

#[test]
fn json_is_read_back_as_it_was() {
    for run in [fixture::mixed(), fixture::clean(), fixture::leftover()] {
        let report = run.report();
        let text = render(Format::Json, &report, &fixture::options());
        let read: Report = serde_json::from_str(&text).unwrap();
        let (read, report) =
            (serde_json::to_value(&read).unwrap(), serde_json::to_value(&report).unwrap());
        assert!(are_close(&read, &report));
    }
}

/// Equal but for the last digit of a floating point number, which reading may lose.
fn are_close(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| are_close(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same =
                |(a, b): ((&String, &Value), (&String, &Value))| a.0 == b.0 && are_close(a.1, b.1);
            a.len() == b.len() && a.iter().zip(b).all(same)
        }
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| (a - b).abs() < 1e-12)
        }
        (a, b) => a == b,
    }
}

#[test]
fn the_trial_shown_first_is_the_one_that_went_worst() {
    let report = fixture::mixed().report();
    let telling = report.telling_trial().unwrap();
    assert!(!telling.placebo);
    assert!(telling.series.at_s.len() > 80);
    let script_without_mitigation = report
        .expectations
        .iter()
        .find(|expectation| expectation.id.as_str() == "recovery")
        .and_then(|recovery| recovery.dots.iter().find(|dot| dot.censored_at.is_some()))
        .unwrap();
    assert_eq!(telling.trial, script_without_mitigation.trial);
}
