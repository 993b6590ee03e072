//! Why a run ends early, and how urgent it is.

use super::Conductor;
use crate::event::{AbortRequest, Event, Lost};
use crate::exit::EndOfRun;

/// So many interrupts and the run leaves at once, with the ledger intact.
const INTERRUPTS_TO_LEAVE: u32 = 3;

impl Conductor<'_> {
    /// Takes note of an event that ends the run; tells whether it is the first one.
    pub(super) fn note_ending(&mut self, event: &Event) -> bool {
        if let Event::Enough { because: _ } = event {
            self.queue.clear();
            return false;
        }
        let because = match event {
            Event::Abort(AbortRequest::Signal { count }) => {
                self.hurry |= *count >= 2;
                "interrupted".to_owned()
            }
            Event::Abort(AbortRequest::Command { by }) => format!("aborted by {by}"),
            Event::Lost(lost) => words(lost),
            Event::Started { .. }
            | Event::Woke { .. }
            | Event::Done { .. }
            | Event::Load(_)
            | Event::Window(_)
            | Event::Signal(_)
            | Event::Enough { .. }
            | Event::Stalled { .. } => return false,
        };
        self.set_ending(EndOfRun::Aborted { because })
    }

    /// Keeps the first reason; tells whether this was it.
    pub(super) fn set_ending(&mut self, end: EndOfRun) -> bool {
        let first = self.ending.is_none();
        self.ending.get_or_insert(end);
        first
    }

    pub(super) fn ending_words(&self) -> String {
        match &self.ending {
            None | Some(EndOfRun::Completed) => "the run ends".to_owned(),
            Some(
                EndOfRun::Aborted { because }
                | EndOfRun::Refused { because }
                | EndOfRun::Errored { because },
            ) => because.clone(),
        }
    }
}

/// The third interrupt: leave what is owed to the ledger.
pub(super) fn gives_up(event: &Event) -> bool {
    matches!(
        event,
        Event::Abort(AbortRequest::Signal { count }) if *count >= INTERRUPTS_TO_LEAVE
    )
}

fn words(lost: &Lost) -> String {
    match lost {
        Lost::Storage { why } => format!("the run's record cannot be written: {why}"),
        Lost::Watchdog { why } => format!("the watchdog is gone: {why}"),
        Lost::Lease { fault, why } => format!("the lease of {fault} could not be renewed: {why}"),
        Lost::System { why } => format!("the system under test is gone: {why}"),
    }
}
