//! Replaying a journal through a new conductor must give the same commands.

use super::Conductor;
use crate::event::Issued;
use crate::journal::{Entry, What};
use crate::plan::Plan;

/// Where a journal and the conductor part.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("entry {entry}: the journal has {recorded:?}, the conductor says {decided:?}")]
pub struct Divergence {
    /// The number of the entry, from 0.
    pub entry: usize,
    /// What was recorded there.
    pub recorded: Option<Issued>,
    /// What is decided now.
    pub decided: Option<Issued>,
}

/// Feeds the events of a journal to a new conductor and compares its commands with the recorded
/// ones. A journal that breaks off may lack the commands of its last event.
pub fn replay(plan: &Plan, entries: &[Entry]) -> Result<(), Box<Divergence>> {
    let mut conductor = Conductor::new(plan);
    let mut expected: std::collections::VecDeque<Issued> = std::collections::VecDeque::new();
    for (number, entry) in entries.iter().enumerate() {
        match &entry.what {
            What::Header(_) => {}
            What::Event(event) => {
                if let Some(decided) = expected.pop_front() {
                    return Err(Box::new(Divergence {
                        entry: number,
                        recorded: None,
                        decided: Some(decided),
                    }));
                }
                expected.extend(conductor.on_event(entry.at, event));
            }
            What::Command(recorded) => {
                let decided = expected.pop_front();
                if decided.as_ref() != Some(recorded) {
                    return Err(Box::new(Divergence {
                        entry: number,
                        recorded: Some(recorded.clone()),
                        decided,
                    }));
                }
            }
        }
    }
    Ok(())
}
