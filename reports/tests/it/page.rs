//! The page as text: its structure, its size, and that it refers to nothing outside itself.

use std::collections::BTreeSet;

use harness_core::load::{RequestOutcome, TraceNote};
use reports::{Format, render};

use crate::fixture;

/// Bytes of a page of 60 trials.
const PAGE_MAX: usize = 2 * 1024 * 1024;

fn page(run: &fixture::Run) -> String {
    render(Format::Html, &run.report(), &fixture::options())
}

/// The page without its style and without coordinates, one element per line: what a change of
/// content moves, and a change of geometry does not.
fn outline(page: &str) -> String {
    let (before, after) = page.split_once("<style>").expect("a page has a style");
    let page = before.to_owned() + after.split_once("</style>").expect("the style ends").1;
    let mut lines = Vec::new();
    for piece in page.replace('<', "\n<").lines() {
        let geometry = ["<path", "<rect", "<circle", "<use", "<line", "<symbol", "<pattern"];
        let closing = piece.starts_with("</");
        let tail = piece.split_once('>').map_or("", |(_, tail)| tail);
        if closing && tail.trim().is_empty() || geometry.iter().any(|tag| piece.starts_with(tag)) {
            continue;
        }
        let without_place = [" x=", " y=", " viewBox="].iter().fold(piece.to_owned(), drop_value);
        lines.push(without_place);
    }
    lines.join("\n")
}

/// Removes an attribute with its value.
fn drop_value(text: String, name: &&str) -> String {
    let Some((before, after)) = text.split_once(&format!("{name}\"")) else { return text };
    let rest = after.split_once('"').map_or("", |(_, rest)| rest);
    format!("{before}{rest}")
}

#[test]
fn the_outline_of_a_mixed_run() {
    let mut run = fixture::mixed();
    run.evidence.trials.truncate(4);
    run.verdict.judgements.truncate(3);
    insta::assert_snapshot!(outline(&page(&run)));
}

#[test]
fn the_outline_of_a_run_with_a_leftover() {
    insta::assert_snapshot!(outline(&page(&fixture::leftover())));
}

#[test]
fn a_trial_names_traces_to_look_up() {
    let mut run = fixture::mixed();
    let trial = run.evidence.trials.iter_mut().find(|trial| trial.load.is_some()).unwrap();
    trial.load.as_mut().unwrap().traces = vec![TraceNote {
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
        kind: "POST /checkout".into(),
        due: trial.began,
        outcome: RequestOutcome::Status(503),
        latency_us: 812_000,
    }];
    let page = page(&run);
    assert!(page.contains("<code>4bf92f3577b34da6a3ce929d0e0e4736</code> POST /checkout at "));
    assert!(page.contains(": 503 after 812 ms"), "the outcome and how long it took");
}

#[test]
fn a_page_of_sixty_trials_is_not_too_large() {
    let run = fixture::large(48);
    assert_eq!(run.evidence.trials.len(), 60);
    let page = page(&run);
    assert!(page.len() <= PAGE_MAX, "{} bytes", page.len());
}

#[test]
fn long_trials_are_thinned_to_a_bounded_number_of_points() {
    let mut run = fixture::large(48);
    for trial in &mut run.evidence.trials {
        let mut windows = Vec::new();
        for round in 0..20 {
            for window in &trial.windows {
                let mut window = window.clone();
                window.start =
                    window.start + harness_core::units::Duration::from_millis(round * 8_700);
                window.index += u32::try_from(round * 87).unwrap();
                windows.push(window);
            }
        }
        trial.windows = windows;
    }
    let report = run.report();
    for trial in &report.trials {
        let series = &trial.series;
        assert!(series.at_s.len() > 300 && series.at_s.len() <= reports::POINTS_MAX);
        let evidence = run.evidence.trials.iter().find(|e| e.trial == trial.trial).unwrap();
        let planned: u64 = evidence.windows.iter().map(|window| window.totals().0).sum();
        assert_eq!(series.planned.iter().sum::<u64>(), planned, "thinning loses no request");
    }
    let page = render(Format::Html, &report, &fixture::options());
    assert!(page.len() <= PAGE_MAX, "{} bytes", page.len());
}

#[test]
fn links_lead_to_places_on_the_page() {
    for run in [fixture::mixed(), fixture::clean(), fixture::leftover()] {
        let page = page(&run);
        let values = |name: &str| -> BTreeSet<String> {
            let after = page.split(name).skip(1);
            after.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
        };
        let places = values(" id=\"");
        assert_eq!(places.len(), page.matches(" id=\"").count(), "no two places have one name");
        let (links, icon) = (values(" href=\"#"), values(" href=\"data:"));
        assert_eq!(icon, BTreeSet::from([",".to_owned()]));
        let lost: Vec<_> = links.difference(&places).collect();
        assert!(lost.is_empty(), "{lost:?}");
        assert_eq!(page.matches(" href=\"").count(), page.matches(" href=\"#").count() + 1);
        let named: BTreeSet<String> = values(" aria-labelledby=\"");
        assert!(named.is_subset(&places), "{named:?}");
    }
}

#[test]
fn headings_do_not_skip_a_level() {
    for run in [fixture::mixed(), fixture::leftover()] {
        let page = page(&run);
        let levels: Vec<u32> = page
            .match_indices("<h")
            .filter_map(|(at, _)| page[at + 2..].chars().next()?.to_digit(10))
            .collect();
        assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1);
        assert_eq!(levels.first(), Some(&1));
        assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
    }
}

#[test]
fn every_table_has_heads_with_a_scope() {
    let page = page(&fixture::mixed());
    assert_eq!(page.matches("<th ").count(), page.matches("<th scope=\"").count());
    assert!(!page.contains("<th>"));
    let charts = page.matches("<svg class=\"chart").count();
    assert!(charts > 20);
    assert_eq!(charts, page.matches(" role=\"img\" aria-label=\"").count());
}
