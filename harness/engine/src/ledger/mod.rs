//! The undo ledger, `undo.jsonl`: what a run owes to the system that it attacks.
//!
//! Every entry is synced before the deed that it stands for. The ledger holds all that a fresh
//! process needs to put things back. It does not put anything back: [`crate::undo`] does.

mod entry;
mod state;

pub use entry::{LedgerEntry, OwedFault, PaidHow};
pub use state::{LedgerState, OwedSystem};

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use harness_core::ids::RunId;
use harness_core::units::Duration;

use crate::format::FormatError;
use crate::line::LineWriter;
use crate::storage::Storage;

/// The format of `undo.jsonl`; a reader refuses a newer major version.
pub const FORMAT: &str = "gameday.undo/1";
/// A disk that does not sync an entry within this time counts as full.
pub const WRITE_MAX: Duration = Duration::from_secs(5);

/// Why a ledger cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be read.
    #[error("could not read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Written in a format that this build does not know.
    #[error("could not understand the undo ledger")]
    Format(#[from] FormatError),
}

/// A ledger that is being written. Clones write the same file, line by line.
#[derive(Clone)]
pub struct Ledger {
    /// Held while an entry is written, for as long as the disk takes.
    writer: Arc<Mutex<LineWriter>>,
    /// Held for a moment only: what is owed can be asked for while the disk hangs.
    state: Arc<Mutex<LedgerState>>,
    may_block: bool,
}

impl Ledger {
    /// Begins a new, empty ledger: writes and syncs its header.
    pub fn begin(storage: Box<dyn Storage>, run: &RunId) -> io::Result<Self> {
        let ledger = Self::resume(storage, LedgerState::default());
        ledger.write_blocking(LedgerEntry::Header {
            format: FORMAT.to_owned(),
            run: run.clone(),
            gameday: env!("CARGO_PKG_VERSION").to_owned(),
        })?;
        Ok(ledger)
    }

    /// Goes on at the end of a ledger that was read.
    pub fn resume(storage: Box<dyn Storage>, state: LedgerState) -> Self {
        let may_block = storage.may_block();
        let writer = Arc::new(Mutex::new(LineWriter::new(storage)));
        Self { writer, state: Arc::new(Mutex::new(state)), may_block }
    }

    /// Appends an entry. When this returns without an error, the entry is synced.
    pub async fn write(&self, entry: LedgerEntry) -> io::Result<()> {
        if !self.may_block {
            return self.write_blocking(entry);
        }
        let ledger = self.clone();
        let write = tokio::task::spawn_blocking(move || ledger.write_blocking(entry));
        match tokio::time::timeout(WRITE_MAX.as_std(), write).await {
            Ok(Ok(written)) => written,
            Ok(Err(error)) => Err(io::Error::other(error)),
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
        }
    }

    /// The same on the caller's own thread.
    pub fn write_blocking(&self, entry: LedgerEntry) -> io::Result<()> {
        let mut writer = lock(&self.writer);
        writer.append(&entry)?;
        // Written, if perhaps not synced: from here on it may be owed.
        let is_payment =
            matches!(entry, LedgerEntry::Paid { .. } | LedgerEntry::SystemClosed { .. });
        if is_payment {
            writer.sync()?;
        }
        lock(&self.state).apply(entry);
        if is_payment { Ok(()) } else { writer.sync() }
    }

    /// What is owed now. Never waits for the disk.
    pub fn state(&self) -> LedgerState {
        lock(&self.state).clone()
    }
}

/// A writer that panicked has at most left an unfinished line, which readers tolerate.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests;
