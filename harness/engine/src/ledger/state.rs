//! What a ledger says is owed, folded from its lines.

use std::path::Path;

use harness_core::ids::RunId;
use harness_core::units::Duration;
use serde_json::Value;

use super::{FORMAT, LedgerEntry, LedgerError, OwedFault};
use crate::format::{self, FormatError};
use crate::line;

/// What a ledger says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LedgerState {
    /// Whose ledger it is; `None` when even the header was never finished: nothing was done then.
    pub run: Option<RunId>,
    /// Every fault that was ever armed, newest first, with whether it is still owed.
    pub faults: Vec<(OwedFault, bool)>,
    /// The system that the run started, if it did.
    pub system: Option<OwedSystem>,
    /// Numbers of lines that are damaged or cannot be understood. What they said may be owed.
    pub unreadable: Vec<usize>,
    /// Bytes up to the end of the last finished line; a writer goes on there.
    pub finished_bytes: u64,
}

/// A system that a run started.
#[derive(Debug, Clone, PartialEq)]
pub struct OwedSystem {
    /// Its kind.
    pub kind: String,
    /// All that is needed to stop it.
    pub record: Value,
    /// One try to stop it must have ended after this time.
    pub close: Duration,
    /// Whether it still has to be stopped.
    pub owed: bool,
}

impl LedgerState {
    /// Reads a ledger file. A file that does not exist owes nothing.
    pub fn read(path: &Path) -> Result<Self, LedgerError> {
        match std::fs::read(path) {
            Ok(bytes) => Self::from_bytes(&bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(LedgerError::File { path: path.to_owned(), source }),
        }
    }

    /// Reads a ledger from its bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LedgerError> {
        let lines = line::read(bytes);
        let mut state = Self {
            unreadable: lines.flipped,
            finished_bytes: lines.finished_bytes as u64,
            ..Self::default()
        };
        for line in lines.good {
            match serde_json::from_str(line.json) {
                Ok(LedgerEntry::Header { format, run, .. }) => {
                    format::accept(&format, FORMAT)?;
                    state.run = Some(run);
                }
                Ok(entry) => {
                    if !state.apply(entry) {
                        state.unreadable.push(line.number);
                    }
                }
                Err(_) if line.number == 1 => {
                    return Err(FormatError::Malformed { found: clipped(line.json) }.into());
                }
                Err(_) => state.unreadable.push(line.number),
            }
        }
        state.unreadable.sort_unstable();
        Ok(state)
    }

    /// `false` when the entry speaks of something that was never armed: its line is lost.
    pub(super) fn apply(&mut self, entry: LedgerEntry) -> bool {
        let known = |faults: &mut Vec<(OwedFault, bool)>, trial, fault: &_| {
            faults.iter_mut().position(|(owed, _)| owed.trial == trial && &owed.fault == fault)
        };
        match entry {
            LedgerEntry::Header { run, .. } => self.run = Some(run),
            LedgerEntry::SystemOpened { kind, record, close } => {
                self.system = Some(OwedSystem { kind, record, close, owed: true });
            }
            LedgerEntry::SystemClosed { .. } => match &mut self.system {
                Some(system) => system.owed = false,
                None => return false,
            },
            LedgerEntry::Armed(fault) => self.faults.insert(0, (*fault, true)),
            LedgerEntry::Injected { trial, fault, undo } => {
                let Some(place) = known(&mut self.faults, trial, &fault) else { return false };
                let (owed, is_owed) = &mut self.faults[place];
                *is_owed = true;
                if let Some(undo) = undo {
                    owed.undo = undo;
                }
            }
            // A payment without its debt owes nothing.
            LedgerEntry::Paid { trial, fault, .. } => {
                if let Some(place) = known(&mut self.faults, trial, &fault) {
                    self.faults[place].1 = false;
                }
            }
        }
        true
    }

    /// Faults that are still owed, newest first: the order of payment.
    pub fn owed(&self) -> impl Iterator<Item = &OwedFault> {
        self.faults.iter().filter(|(_, owed)| *owed).map(|(fault, _)| fault)
    }

    /// Whether anything is owed, or may be.
    pub fn is_unpaid(&self) -> bool {
        self.owed().next().is_some()
            || self.system.as_ref().is_some_and(|system| system.owed)
            || !self.unreadable.is_empty()
    }

    /// What is owed, in words, in the order of payment.
    pub fn debts(&self) -> Vec<String> {
        let faults = self.owed().map(|fault| format!("fault {}", fault.label()));
        let system = self.system.iter().filter(|system| system.owed);
        let lines = self.unreadable.iter().map(|line| format!("unreadable ledger line {line}"));
        faults
            .chain(system.map(|system| format!("the {} that the run started", system.kind)))
            .chain(lines)
            .collect()
    }
}

fn clipped(text: &str) -> String {
    text.chars().take(80).collect()
}
