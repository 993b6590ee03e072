//! What must be true after any run.

use harness_core::event::{Command, Done, Event};
use harness_core::journal::{Entry, What};

use super::world::World;
use crate::journal::Journal;
use crate::ledger::LedgerState;
use crate::run::{RunSummary, replay};
use crate::testing::plan;

/// Laws that the journal shows.
pub(super) fn of_journal(bytes: &[u8], ended: bool) -> Vec<String> {
    let mut problems = Vec::new();
    if bytes.is_empty() {
        return problems;
    }
    let journal = Journal::from_bytes(bytes).expect("our own journal");
    if let Err(error) = replay(&plan(), &journal) {
        problems.push(format!("replay: {error:?}"));
    }
    after_an_abort(&journal.entries, &mut problems);
    at_once(&journal.entries, &mut problems);
    let end = journal.entries.last().is_some_and(|entry| match &entry.what {
        What::Command(issued) => matches!(issued.command, Command::End { .. }),
        What::Header(_) | What::Event(_) => false,
    });
    if ended && !end {
        problems.push("the journal does not end with the end".into());
    }
    problems
}

fn is_stop(what: &What) -> bool {
    matches!(what, What::Event(Event::Abort(_) | Event::Lost(_)))
}

/// After an abort only reverts and endings follow.
fn after_an_abort(entries: &[Entry], problems: &mut Vec<String>) {
    let after = entries.iter().skip_while(|entry| !is_stop(&entry.what));
    for entry in after {
        let What::Command(issued) = &entry.what else { continue };
        if matches!(
            issued.command,
            Command::Open
                | Command::Settle { .. }
                | Command::StartLoad { .. }
                | Command::Arm { .. }
                | Command::Inject { .. }
                | Command::AwaitEffective { .. }
        ) {
            problems.push(format!("after the abort: {:?}", issued.command));
        }
    }
}

/// The first revert is the first answer to the abort.
fn at_once(entries: &[Entry], problems: &mut Vec<String>) {
    let Some(place) = entries.iter().position(|entry| is_stop(&entry.what)) else { return };
    let (mut in_force, mut reverting) = (0, 0);
    for entry in &entries[..place] {
        match &entry.what {
            What::Command(issued) => match issued.command {
                Command::Inject { .. } => in_force += 1,
                Command::Revert { .. } => reverting += 1,
                _ => {}
            },
            What::Event(Event::Done { outcome, .. }) => {
                if matches!(outcome, Done::ProvenReverted { .. }) {
                    (in_force, reverting) = (in_force - 1, reverting - 1);
                }
            }
            _ => {}
        }
    }
    let first = entries.get(place + 1).map(|entry| &entry.what);
    let is_revert = matches!(first, Some(What::Command(issued))
        if matches!(issued.command, Command::Revert { .. }));
    if in_force > 0 && reverting == 0 && !is_revert {
        problems.push(format!("{in_force} in force, and the abort is answered by {first:?}"));
    }
}

/// The summary names what the ledger names, and more only when a payment could not be synced.
pub(super) fn of_summary(summary: &RunSummary, ledger: &[u8], disk_was_full: bool) {
    let debts = LedgerState::from_bytes(ledger).expect("our own ledger").debts();
    assert!(debts.iter().all(|debt| summary.owed.contains(debt)), "{summary:?}, {debts:?}");
    assert!(disk_was_full || summary.owed == debts, "{summary:?}, {debts:?}");
}

/// What is in force is named, and so is a system that was not stopped.
pub(super) fn of_world(world: &World, owed: &[String]) {
    for rule in world.rules() {
        let fault = rule.rsplit('-').next().expect("a rule's name ends with its fault");
        let named = owed.iter().any(|debt| debt.starts_with(&format!("fault {fault} in trial")));
        assert!(named, "{rule} is in force, but owed is only {owed:?}");
    }
    if world.nature().owned && world.is_open() {
        let named = owed.iter().any(|debt| debt.contains("that the run started"));
        assert!(named, "the system is still open, but owed is only {owed:?}");
    }
}
