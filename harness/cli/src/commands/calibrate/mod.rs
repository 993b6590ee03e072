//! `gameday calibrate FILE`: placebo trials only, through the whole pipeline, and what the
//! expectations say when nothing is wrong. Injects nothing and judges no claim.

mod asked;
mod measures;
mod text;

use std::path::PathBuf;

use clap::Args;
use harness_core::exit::{self, EndOfRun};
use harness_core::plan::Plan;
use harness_engine::run::RunSummary;
use harness_engine::store::RunDir;

use crate::args::{self, Global, Mode, Organisation};
use crate::commands::run::{How, Stops, carry_out, settled, shown as shown_mode};
use crate::failure::Failure;
use crate::gate::Rules;
use crate::output;
use crate::progress;
use crate::scenario;
use crate::stored::{self, Stored};
use crate::style::Style;
use crate::values::{pair, whole};
use measures::Calibration;

/// Placebo against placebo.
#[derive(Debug, Args)]
pub(crate) struct Calibrate {
    /// A scenario file, or the name of one of the catalogue (see `gameday validate --list`)
    #[arg(value_name = "FILE")]
    file: String,
    /// Placebo trials
    #[arg(
        long,
        value_name = "M",
        default_value_t = 14,
        value_parser = whole::<u32>(2..=10_000)
    )]
    placebo: u32,
    /// Give a parameter a value
    #[arg(long = "set", value_name = "PARAM=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Switch on a defect of the lab (see `gameday lab defects`)
    #[arg(long = "with", value_name = "DEFECT=VALUE", value_parser = pair)]
    with: Vec<(String, String)>,
    /// The seed of all random choices
    #[arg(long, value_name = "N", value_parser = whole::<u64>(0..=u64::MAX))]
    seed: Option<u64>,
    /// Use the lab of this state directory (`gameday lab up`) and leave it running
    #[arg(long, value_name = "DIR")]
    lab: Option<PathBuf>,
    #[command(flatten)]
    organisation: Organisation,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, arguments: &Calibrate) -> Result<u8, Failure> {
    let scenario = args::Scenario {
        file: arguments.file.clone(),
        set: arguments.set.clone(),
        with: arguments.with.clone(),
        trials: Some(arguments.placebo),
        placebo: None,
        mode: Some(Mode::Inferred),
        seed: arguments.seed,
    };
    let wanted = scenario::plan(&scenario, global.color)?;
    let plan = asked::placebo_plan(&wanted);
    let mode = if arguments.json { progress::Mode::Quiet } else { shown_mode() };
    let rules = Rules::of(&arguments.organisation, &arguments.file);
    let how = How { lab: arguments.lab.as_deref(), mode, stops: Stops::NONE, rules: &rules };
    carry_out(global, plan, how, |run, summary| conclude(global, arguments, &wanted, run, &summary))
}

fn conclude(
    global: &Global,
    arguments: &Calibrate,
    wanted: &Plan,
    run: RunDir,
    summary: &RunSummary,
) -> Result<u8, Failure> {
    let id = run.id().clone();
    let shown = show(global, arguments, wanted, run);
    // What is owed counts more than a result that could not be written.
    settled(summary, &id)?;
    shown
}

fn show(global: &Global, arguments: &Calibrate, wanted: &Plan, run: RunDir) -> Result<u8, Failure> {
    let stored = Stored::read(run)?;
    let verdict = stored.verdict();
    stored.write_derived(&verdict)?;
    if verdict.end != EndOfRun::Completed {
        return Err(Failure::with_code(verdict.exit_code, stored::sentence(&verdict)));
    }
    let calibration = Calibration::of(wanted, &stored.plan, &stored.evidence, &verdict);
    if arguments.json {
        let directory = stored.run.path();
        let line = serde_json::json!({
            "format": measures::FORMAT,
            "run": stored.run.id(),
            "directory": directory,
            "calibration": calibration,
        });
        output::say(&serde_json::to_string_pretty(&line).expect("plain data"));
    } else {
        output::say(&text::text(&stored.plan, &calibration, Style::stdout(global.color)));
    }
    Ok(exit::PASS)
}
