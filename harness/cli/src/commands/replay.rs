//! `gameday replay RUN`: the journal through a new conductor, which must decide the same.

use harness_core::conductor;
use harness_core::exit;
use harness_core::journal::What;

use crate::args::{Global, OneRun};
use crate::failure::Failure;
use crate::output;
use crate::stored;

pub(crate) fn run(global: &Global, arguments: &OneRun) -> Result<u8, Failure> {
    let run = stored::find(&global.runs, &arguments.run)?;
    let plan = run.plan().map_err(|error| Failure::could_not("read the plan", &error))?;
    let journal = run.journal().map_err(|error| Failure::could_not("read the journal", &error))?;
    if journal.header.plan_sha256 != plan.sha256() {
        return Err(Failure::refused("the journal belongs to another plan")
            .hint("plan.json was changed after the run"));
    }
    match conductor::replay(&plan, &journal.entries) {
        Ok(()) => {
            let commands =
                journal.entries.iter().filter(|e| matches!(e.what, What::Command(_))).count();
            let events = journal.entries.len() - commands;
            output::say(&format!(
                "{}: {events} events give the same {commands} commands again",
                run.id()
            ));
            Ok(exit::PASS)
        }
        Err(divergence) => {
            output::say(&format!("{}: {divergence}", run.id()));
            Ok(exit::FAIL)
        }
    }
}
