//! `gameday undo [RUN]`: puts back what killed runs still owe, newest first, and proves it.

use std::sync::Arc;

use harness_core::exit;
use harness_core::time::Clock;
use harness_engine::clock::RunClock;
use harness_engine::store::{RunDir, RunStore};
use harness_engine::undo::{PayError, Purse, Which, Who, pay};

use crate::args::{Global, Undo};
use crate::failure::Failure;
use crate::output;
use crate::ports;
use crate::stored;

pub(crate) fn run(global: &Global, arguments: &Undo) -> Result<u8, Failure> {
    let runs = match &arguments.run {
        Some(name) => vec![stored::find(&global.runs, name)?],
        None => unpaid(&RunStore::new(&global.runs))?,
    };
    if runs.is_empty() {
        output::say("Nothing is owed.");
        return Ok(exit::PASS);
    }
    if arguments.dry_run {
        return Ok(show(&runs));
    }
    let mut code = exit::PASS;
    for run in &runs {
        // One that cannot be paid does not keep the others from being paid.
        let paid = pay_one(run).unwrap_or_else(|failure| {
            failure.tell();
            failure.code
        });
        code = exit::worse(code, paid);
    }
    Ok(code)
}

/// The runs that owe something, newest first.
fn unpaid(store: &RunStore) -> Result<Vec<RunDir>, Failure> {
    let unpaid = store.unpaid().map_err(|error| Failure::could_not("look for debts", &error))?;
    Ok(unpaid.into_iter().rev().map(|unpaid| unpaid.run).collect())
}

fn show(runs: &[RunDir]) -> u8 {
    let mut code = exit::PASS;
    for run in runs {
        match run.ledger() {
            Ok(ledger) if !ledger.is_unpaid() => {
                output::say(&format!("{}: nothing is owed", run.id()));
            }
            Ok(ledger) => {
                code = exit::LEFTOVERS;
                for debt in ledger.debts() {
                    output::say(&format!("{}: owes {debt}", run.id()));
                }
            }
            Err(error) => {
                code = exit::LEFTOVERS;
                output::say(&format!("{}: its ledger cannot be read: {error}", run.id()));
            }
        }
    }
    code
}

fn pay_one(run: &RunDir) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::could_not("start the runtime", &error))?;
    let registry = ports::registry();
    let purse = Purse {
        registry: &registry,
        host: &ports::payer,
        clock: Arc::new(RunClock::start()) as Arc<dyn Clock>,
        observer: &|step| output::tell(&format!("  {step}")),
    };
    output::tell(&format!("{}:", run.id()));
    let report =
        runtime.block_on(pay(run, &purse, Who::Person, Which::Owed)).map_err(
            |error| match error {
                PayError::Alive { .. } => Failure::refused(error.to_string()).hint(format!(
                    "`gameday abort {}` stops it; it puts everything back",
                    run.id()
                )),
                PayError::Busy(_) | PayError::Lock(_) | PayError::Ledger(_) => {
                    Failure::leftovers(format!("could not pay: {error}"))
                }
            },
        )?;
    for paid in &report.paid {
        output::say(&format!("{}: put back and proven: {paid}", run.id()));
    }
    for owed in &report.owed {
        output::say(&format!("{}: STILL OWED: {} ({})", run.id(), owed.what, owed.why));
    }
    if report.paid.is_empty() && report.owed.is_empty() {
        output::say(&format!("{}: nothing is owed", run.id()));
    }
    Ok(if report.owed.is_empty() { exit::PASS } else { exit::LEFTOVERS })
}
