//! `JUnit`: one test case per expectation, and one for the run itself, so that an aborted run or a
//! leftover fault is never green. A failed expectation is a `failure` of type `fail`; an
//! inconclusive one is by choice a failure, an error or skipped, always of type `inconclusive`.

use std::time::Duration;

use harness_core::exit::EndOfRun;
use harness_core::verdict::Outcome;
use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use crate::format::JunitInconclusive;
use crate::model::{ExpectationReport, Report};
use crate::wording;

pub(crate) fn render(report: &Report, inconclusive: JunitInconclusive) -> String {
    let mut suite = TestSuite::new(report.scenario.name.clone());
    for (name, value) in properties(report) {
        suite.add_property((name, value.as_str()));
    }
    let class = format!("gameday.{}", report.scenario.name);
    suite.set_time(run_time(report));
    for expectation in &report.expectations {
        let mut case = TestCase::new(expectation.id.as_str(), status(expectation, inconclusive));
        case.set_classname(class.clone());
        if expectation.outcome == Outcome::Pass {
            case.set_system_out(details(expectation));
        }
        suite.add_test_case(case);
    }
    let mut case = TestCase::new("run", run_status(report));
    case.set_classname(class);
    case.set_system_out(format!("{}\nrepeat: {}", report.headline.because, report.run.repeat));
    suite.add_test_case(case);
    let mut junit = Junit::new("gameday");
    junit.set_time(run_time(report)).add_test_suite(suite);
    junit.to_string().expect("writing XML into memory cannot fail")
}

fn properties(report: &Report) -> [(&'static str, String); 8] {
    [
        ("run", report.run.run.to_string()),
        ("started", report.run.started.to_string()),
        ("gameday", report.run.gameday.clone()),
        ("verdict", report.headline.label.clone()),
        ("exitCode", report.headline.exit_code.to_string()),
        ("seed", report.setting.seed.to_string()),
        ("planSha256", report.setting.plan_sha256.clone()),
        ("trials", wording::arms(&report.setting.arms)),
    ]
}

/// From the start of the first trial to the end of the last, as far as it is known.
fn run_time(report: &Report) -> Duration {
    let ends = report.trials.iter().map(|trial| {
        let phase = trial.phases.iter().filter_map(|phase| phase.to_s).fold(0.0, f64::max);
        trial.zero_s + phase
    });
    let seconds = ends.fold(0.0, f64::max);
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn status(expectation: &ExpectationReport, inconclusive: JunitInconclusive) -> TestCaseStatus {
    let kind = match (expectation.outcome, inconclusive) {
        (Outcome::Pass, _) => return TestCaseStatus::success(),
        (Outcome::Inconclusive, JunitInconclusive::Skipped) => {
            let mut skipped = TestCaseStatus::skipped();
            skipped.set_type("inconclusive").set_message(expectation.because.clone());
            return skipped;
        }
        (Outcome::Inconclusive, JunitInconclusive::Error) => NonSuccessKind::Error,
        (Outcome::Inconclusive, JunitInconclusive::Failure) | (Outcome::Fail, _) => {
            NonSuccessKind::Failure
        }
    };
    let mut status = TestCaseStatus::non_success(kind);
    let outcome = match expectation.outcome {
        Outcome::Fail => "fail",
        Outcome::Inconclusive | Outcome::Pass => "inconclusive",
    };
    let message = format!("{}: {}", expectation.outcome.label(), expectation.because);
    status.set_type(outcome).set_message(message).set_description(details(expectation));
    status
}

fn details(expectation: &ExpectationReport) -> String {
    [
        format!("condition: {}", expectation.condition),
        format!("claim: {}", expectation.claim),
        format!("estimate: {}", wording::share(expectation)),
        format!("trials: {}", wording::counts(&expectation.counts)),
        format!("method: {}", expectation.method),
        format!("what would change this: {}", expectation.change),
    ]
    .join("\n")
}

fn run_status(report: &Report) -> TestCaseStatus {
    let (kind, because) = match &report.headline.end {
        _ if !report.leftovers.is_empty() => {
            ("leftovers", format!("not proven to be put back; run `{}`", report.undo))
        }
        EndOfRun::Completed => return TestCaseStatus::success(),
        EndOfRun::Aborted { because } => ("aborted", because.clone()),
        EndOfRun::Refused { because } => ("refused", because.clone()),
        EndOfRun::Errored { because } => ("errored", because.clone()),
    };
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type(kind).set_message(because);
    status
}
