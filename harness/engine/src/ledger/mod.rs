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
use std::sync::{Arc, Mutex, MutexGuard};

use harness_core::ids::RunId;

use crate::format::FormatError;
use crate::line::LineWriter;
use crate::storage::Storage;

/// The format of `undo.jsonl`; a reader refuses a newer major version.
pub const FORMAT: &str = "gameday.undo/1";

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
    writer: Arc<Mutex<LineWriter>>,
}

impl Ledger {
    /// Begins a new, empty ledger: writes and syncs its header.
    pub fn begin(storage: Box<dyn Storage>, run: &RunId) -> io::Result<Self> {
        let ledger = Self::resume(storage);
        let header = LedgerEntry::Header {
            format: FORMAT.to_owned(),
            run: run.clone(),
            gameday: env!("CARGO_PKG_VERSION").to_owned(),
        };
        ledger.write_blocking(&header)?;
        Ok(ledger)
    }

    /// Goes on at the end of a ledger that has its header.
    pub fn resume(storage: Box<dyn Storage>) -> Self {
        Self { writer: Arc::new(Mutex::new(LineWriter::new(storage))) }
    }

    /// Appends an entry. When this returns without an error, the entry is synced.
    pub async fn write(&self, entry: LedgerEntry) -> io::Result<()> {
        if !self.lock().may_block() {
            return self.write_blocking(&entry);
        }
        let ledger = self.clone();
        tokio::task::spawn_blocking(move || ledger.write_blocking(&entry))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// The same on the caller's own thread.
    pub fn write_blocking(&self, entry: &LedgerEntry) -> io::Result<()> {
        let mut writer = self.lock();
        writer.append(entry)?;
        writer.sync()
    }

    fn lock(&self) -> MutexGuard<'_, LineWriter> {
        // A writer that panicked has at most left an unfinished line, which readers tolerate.
        self.writer.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests;
