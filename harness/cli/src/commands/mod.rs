//! One file per command. Each turns its arguments into work and says which exit code follows.

mod abort;
mod agent;
mod approve;
mod calibrate;
mod completions;
mod doctor;
mod init;
mod injectors;
mod judge;
mod lab;
pub(crate) mod load;
mod plan;
mod policy;
mod replay;
mod report;
mod run;
mod runs;
mod schema;
mod undo;
mod validate;

pub(crate) use calibrate::Calibrate;
pub(crate) use injectors::Injectors;
pub(crate) use lab::program;
pub(crate) use policy::Policy;

use std::process::ExitCode;

use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::style::Style;

/// Runs the command; the exit code, or why it could not do its work.
pub(crate) fn dispatch(cli: Cli) -> Result<ExitCode, Failure> {
    // Paths that are written down must hold in other processes, too.
    let mut global = cli.global;
    global.runs = std::path::absolute(&global.runs)
        .map_err(|error| Failure::could_not("find the working directory", &error))?;
    let global = &global;
    let style = Style::stdout(global.color);
    let code = match cli.command {
        Command::Init(arguments) => init::run(&arguments),
        Command::Validate(arguments) => validate::run(global, &arguments),
        Command::Plan(arguments) => plan::run(global, &arguments),
        Command::Run(arguments) => run::run(global, &arguments),
        Command::Calibrate(arguments) => calibrate::run(global, &arguments),
        Command::Judge(arguments) => judge::run(global, &arguments),
        Command::Replay(arguments) => replay::run(global, &arguments),
        Command::Report(arguments) => report::run(global, &arguments),
        Command::Runs(arguments) => runs::run(global, &arguments),
        Command::Undo(arguments) => undo::run(global, &arguments),
        Command::Abort(arguments) => abort::run(global, &arguments),
        Command::Load(arguments) => load::run(global, &arguments),
        Command::Lab(arguments) => lab::run(&arguments, style),
        Command::Schema => Ok(schema::run()),
        Command::Completions(arguments) => Ok(completions::run(&arguments)),
        Command::Doctor(arguments) => Ok(doctor::run(&arguments, style)),
        Command::Approve(arguments) => approve::run(global, &arguments),
        Command::Policy(arguments) => policy::run(global, &arguments),
        Command::Injectors(arguments) => injectors::run(&arguments, style),
        Command::LabRole(arguments) => return lab::role(&arguments),
        Command::AgentProxy(arguments) => agent::proxy(&arguments),
        Command::AgentWatchdog(arguments) => agent::watchdog(&arguments),
        Command::AgentJourneys => agent::journeys(),
    };
    code.map(ExitCode::from)
}
