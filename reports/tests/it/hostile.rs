//! Text from outside may be anything. No format lets it out of the place where it is shown.

use harness_core::evidence::FaultEvidence;
use harness_core::ids::{ArmName, ExpectationId, FaultId, RunId, SignalId};
use harness_core::verdict::Leftover;
use proptest::prelude::*;
use reports::{Format, JunitInconclusive, Options, Report, TextStyle, render};

use crate::fixture::{self, Run};

/// Puts the text into every place that takes text from outside.
fn poisoned(text: &str) -> Run {
    let mut run = fixture::mixed();
    run.evidence.trials.truncate(6);
    let own = || text.to_owned();
    let plan = &mut run.plan;
    let scenario = &mut plan.scenario;
    scenario.name = own();
    scenario.title = own();
    scenario.description = own();
    scenario.owner = own();
    scenario.params.insert(own(), own());
    plan.system.name = own();
    plan.system.environment = own();
    plan.system.defects.insert(own(), own());
    plan.faults[0].kind = own();
    plan.faults[0].mechanism = own();
    plan.faults[0].spec = serde_json::json!({ text: text });
    plan.safety.guardrails[0].text = own();
    run.facts.run = RunId::new(text);
    run.facts.host = own();
    run.facts.repeat = own();
    run.facts.gameday = own();
    run.verdict.because = own();
    run.verdict.leftovers =
        vec![Leftover { trial: run.evidence.trials[0].trial, fault: FaultId::new(text) }];
    for judgement in &mut run.verdict.judgements {
        judgement.id = ExpectationId::new(text);
        judgement.condition = own();
        judgement.claim = own();
        judgement.because = own();
        judgement.change = own();
        judgement.method = own();
        for trial in &mut judgement.trials {
            trial.because = own();
        }
        let measured = judgement.measured.as_mut().expect("the fixture measures all");
        measured.name = own();
        measured.unit = own();
    }
    for summary in &mut run.verdict.trials {
        summary.arm = ArmName::new(text);
        for invalid in &mut summary.invalid {
            invalid.because = own();
        }
    }
    poison_trials(&mut run, text);
    run
}

fn poison_trials(run: &mut Run, text: &str) {
    run.plan.signals[0].id = SignalId::new(text);
    for trial in &mut run.evidence.trials {
        trial.arm = ArmName::new(text);
        let fault = FaultEvidence { seen: vec![text.to_owned()], ..FaultEvidence::default() };
        let fault = trial.faults.values().next().cloned().unwrap_or(fault);
        trial.faults = [(FaultId::new(text), fault)].into();
        let looks = trial.observations.values().next().cloned().unwrap_or_default();
        trial.observations = [(SignalId::new(text), looks)].into();
        for alert in &mut trial.alerts {
            text.clone_into(&mut alert.alert);
        }
        for action in &mut trial.actions {
            text.clone_into(&mut action.actor);
            text.clone_into(&mut action.action);
            text.clone_into(&mut action.target);
        }
    }
}

fn plain(report: &Report, format: Format) -> String {
    let options = Options {
        width: 80,
        style: TextStyle::Plain,
        html_at: Some("runs/\u{1b}[2J/report.html".to_owned()),
        junit_inconclusive: JunitInconclusive::Failure,
    };
    render(format, report, &options)
}

/// The names of all elements and attributes of the page: text from outside never adds one.
fn skeleton(page: &str) -> Vec<String> {
    let mut names = Vec::new();
    for tag in page.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("every tag is closed");
        let mut quoted = tag.split('"');
        while let Some(outside) = quoted.next() {
            names.extend(outside.split_whitespace().map(str::to_owned));
            quoted.next();
        }
    }
    names
}

fn is_control(c: char) -> bool {
    c.is_control() && c != '\n'
}

fn check(text: &str) {
    let (hostile, harmless) = (poisoned(text).report(), poisoned("x").report());
    for format in Format::ALL {
        let told = plain(&hostile, format);
        assert!(!told.contains(is_control), "{format} holds a control character of {text:?}");
        assert!(!told.contains(['\u{202e}', '\u{2066}']), "{format} changes the direction");
        assert!(told.len() < 4 * 1024 * 1024, "{format} is bounded");
    }
    assert!(plain(&hostile, Format::Markdown).len() < 65_536, "a comment holds it");
    let page = |report: &Report| {
        let page = plain(report, Format::Html);
        // The style is ours; charts may differ in the number of characters of a label.
        page.split_once("</style>").expect("a page has a style").1.to_owned()
    };
    let json = plain(&hostile, Format::Json);
    serde_json::from_str::<Report>(&json).expect("JSON stays JSON");
    if text.is_empty() {
        return; // What is empty may be left out, with its name.
    }
    assert_eq!(skeleton(&page(&hostile)), skeleton(&page(&harmless)), "{text:?}");
    markdown(&plain(&hostile, Format::Markdown), &plain(&harmless, Format::Markdown));
}

/// No text adds a row, a cell or an element.
fn markdown(hostile: &str, harmless: &str) {
    let shape = |text: &str| {
        let pipes: Vec<usize> =
            text.lines().map(|line| outside_code(line).matches('|').count()).collect();
        let tags: Vec<usize> =
            text.lines().map(|line| outside_code(line).matches('<').count()).collect();
        (pipes, tags)
    };
    assert_eq!(shape(hostile), shape(harmless), "{hostile}");
}

/// The line up to its first code span; what is inside a span is shown as it is.
fn outside_code(line: &str) -> &str {
    let mut last = ' ';
    for (at, c) in line.char_indices() {
        if c == '`' && last != '\\' {
            return &line[..at];
        }
        last = c;
    }
    line
}

#[test]
fn hostile_text_stays_text() {
    for text in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onload='alert(1)",
        "</style><style>*{display:none}",
        "</title></svg></details>]]>",
        "a|b|c\n| --- |\n# heading",
        "`code` **bold** [link](javascript:alert(1)) ![i](http://evil/a.png)",
        "\u{1b}[31mred\u{1b}]0;title\u{7} \u{202e}reversed \u{0}\u{8}",
        "@everyone https://evil.example/ www.evil.example",
        "&lt;b&gt; &amp; &#x3c;",
        "\u{fffe}\u{ffff}",
        "",
        " ",
    ] {
        check(text);
    }
    check(&"long ".repeat(20_000));
    check(&"x".repeat(100_000));
}

#[test]
fn an_address_in_a_text_is_never_loaded() {
    let text = "http://evil.example/a https://evil.example/b //evil.example/c url(http://evil/d)";
    let page = plain(&poisoned(text).report(), Format::Html);
    for attribute in
        ["src=", "srcset=", "url(h", "url(/", "@import", "href=\"h", "href=\"/", "xlink"]
    {
        let outside_text = skeleton(&page).join(" ");
        assert!(!outside_text.contains(attribute), "{attribute}");
    }
    assert!(!page.contains("<script") && !page.contains("<iframe") && !page.contains("<object"));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_text_stays_text(
        text in prop_oneof![
            "\\PC{0,40}",
            "[<>&\"'`|\\\\\\[\\]()#*_\u{0}-\u{1f}\u{7f}-\u{9f}]{0,24}",
        ]
    ) {
        check(&text);
    }
}
