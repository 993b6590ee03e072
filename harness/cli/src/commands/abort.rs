//! `gameday abort RUN`: asks a run under way to stop. It reverts everything and ends with code 3.

use harness_core::exit;

use crate::args::{Abort, Global};
use crate::failure::Failure;
use crate::output;
use crate::stored;

pub(crate) fn run(global: &Global, arguments: &Abort) -> Result<u8, Failure> {
    let run = stored::find(&global.runs, &arguments.run.run)?;
    if !run.is_alive() {
        return Err(Failure::refused(format!("{} is not under way", run.id()))
            .hint("what a killed run owes is put back by `gameday undo`"));
    }
    let by = format!("gameday abort (process {})", std::process::id());
    run.request_abort(&by).map_err(|error| Failure::could_not("ask the run to stop", &error))?;
    output::say(&format!("Asked {} to stop; it puts everything back first.", run.id()));
    Ok(exit::PASS)
}
