//! `gameday policy`: rules over plans. `test` runs the tests of rules, `check` asks all rules about
//! a scenario, as `gameday run` does; neither starts anything.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use harness_core::exit;
use harness_core::time::Clock;
use harness_engine::clock::RunClock;
use harness_policy::{Reason, Tests};
use serde_json::json;

use crate::args::{self, Global};
use crate::failure::Failure;
use crate::gate::{self, Rules};
use crate::output;
use crate::scenario;
use crate::style::Style;

#[derive(Debug, Args)]
pub(crate) struct Policy {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Run every rule `test_...` of these files and directories
    Test {
        /// Files and directories of rules, data and tests
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<PathBuf>,
        /// Print as JSON lines
        #[arg(long)]
        json: bool,
    },
    /// Ask all rules whether a scenario may be run now; exit code 69 when it may not
    Check {
        #[command(flatten)]
        scenario: Box<args::Scenario>,
        #[command(flatten)]
        organisation: args::Organisation,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(global: &Global, arguments: &Policy) -> Result<u8, Failure> {
    match &arguments.command {
        PolicyCommand::Test { paths, json } => {
            let format = if *json { Format::Json } else { Format::Text };
            test(paths, format, Style::stdout(global.color))
        }
        PolicyCommand::Check { scenario, organisation, json } => {
            let format = if *json { Format::Json } else { Format::Text };
            check(global, scenario, &Rules::of(organisation, &scenario.file), format)
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

fn test(paths: &[PathBuf], format: Format, style: Style) -> Result<u8, Failure> {
    let wrong = |error: &dyn std::error::Error| {
        let mut failure = Failure::could_not("test the policy", error);
        failure.code = exit::USAGE;
        failure
    };
    let sources = harness_policy::read(paths, Tests::With).map_err(|error| wrong(&error))?;
    let tested = harness_policy::test(&sources).map_err(|error| wrong(&error))?;
    if tested.is_empty() {
        return Err(Failure::usage("there is no test in these files")
            .hint("a test is a rule `test_...` at the beginning of a line"));
    }
    for one in &tested {
        if format == Format::Json {
            output::say(&serde_json::to_string(one).expect("plain data"));
            continue;
        }
        let (mark, why) = match &one.failed {
            None => (style.good("✓"), String::new()),
            Some(why) => (style.bad("✗"), format!(": {why}")),
        };
        output::say(&format!("{mark} {}  {}{why}", one.file, one.name));
    }
    let failed = tested.iter().filter(|one| one.failed.is_some()).count();
    if format == Format::Text {
        output::say(&format!("{} of {} passed", tested.len() - failed, tested.len()));
    }
    Ok(if failed == 0 { exit::PASS } else { exit::FAIL })
}

fn check(
    global: &Global,
    arguments: &args::Scenario,
    rules: &Rules,
    format: Format,
) -> Result<u8, Failure> {
    let plan = scenario::plan(arguments, global.color)?;
    let review = gate::review(&global.runs, &plan, rules, RunClock::start().wall())?;
    if format == Format::Json {
        let line = json!({
            "plan": plan.sha256(),
            "files": review.files,
            "deny": review.deny,
            "warn": review.warn,
        });
        output::say(&serde_json::to_string_pretty(&line).expect("plain data"));
    } else {
        for file in &review.files {
            output::say(&format!("asked {} ({})", file.name, file.of.word()));
        }
        say("refused", &review.deny);
        say("warning", &review.warn);
        if review.deny.is_empty() {
            output::say(&format!("{} may be run now", plan.scenario.name));
        }
    }
    Ok(if review.deny.is_empty() { exit::PASS } else { exit::REFUSED })
}

fn say(word: &str, reasons: &[Reason]) {
    for reason in reasons {
        output::say(&format!("{word} ({}): {}", reason.rule, reason.because));
        if !reason.hint.is_empty() {
            output::say(&format!("  hint: {}", reason.hint));
        }
    }
}
