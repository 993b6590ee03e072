//! The `gameday` command: reads arguments, runs one command, leaves with its exit code.

mod args;
mod commands;
mod containers;
mod failure;
mod gate;
mod history;
mod output;
mod ports;
mod progress;
mod scenario;
mod stored;
mod style;
mod values;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use clap::Parser;
use harness_core::exit;

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, everything else is wrong usage; clap's own code is 2.
            let code = if error.use_stderr() { exit::USAGE } else { exit::PASS };
            error.print().ok();
            return ExitCode::from(code);
        }
    };
    match std::panic::catch_unwind(AssertUnwindSafe(|| commands::dispatch(cli))) {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => {
            failure.tell();
            ExitCode::from(failure.code)
        }
        Err(_) => {
            output::tell(
                "gameday: this is a defect of gameday; please report it with the text above.\n\
                 What a run had in force is put back by its watchdog; `gameday undo` proves it.",
            );
            ExitCode::from(exit::BUG)
        }
    }
}
