//! One run's directory.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use harness_core::history::{self, History};
use harness_core::ids::RunId;
use harness_core::plan::{self, Plan};
use serde::de::DeserializeOwned;

use super::{Lock, StoreError};
use crate::format;
use crate::journal::{Journal, JournalError};
use crate::ledger::{LedgerError, LedgerState};
use crate::samples::{SamplesError, SamplesReader};
use crate::storage::{FileStorage, Storage, sync_directory};

/// One run's directory. Its files:
/// ground data `plan.json`, `history.json`, `journal.jsonl`, `samples.bin`, `undo.jsonl`; derived
/// data `verdict.json` and `report.*`; the locks `run.lock` and `pay.lock`; the switch `abort`, the
/// `fence` of the watchdog and its log `watchdog.log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
    id: RunId,
}

/// The files that a run writes as it goes.
pub struct RunFiles {
    /// `journal.jsonl`.
    pub journal: Box<dyn Storage>,
    /// `undo.jsonl`.
    pub ledger: Box<dyn Storage>,
    /// `samples.bin`.
    pub samples: Box<dyn Storage>,
}

impl RunDir {
    /// The plan.
    pub const PLAN: &'static str = "plan.json";
    /// What earlier runs measured when this one began.
    pub const HISTORY: &'static str = "history.json";
    /// The verdict, derived.
    pub const VERDICT: &'static str = "verdict.json";

    pub(super) fn new(path: PathBuf, id: RunId) -> Self {
        Self { path, id }
    }

    /// The run in this directory, if it is one.
    pub fn at(path: &Path) -> Option<Self> {
        let path = path.canonicalize().ok()?;
        let id = RunId::new(path.file_name()?.to_str()?);
        path.join(Self::PLAN).is_file().then(|| Self::new(path, id))
    }

    /// The run's name.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `journal.jsonl`.
    pub fn journal_path(&self) -> PathBuf {
        self.path.join("journal.jsonl")
    }

    /// `undo.jsonl`.
    pub fn ledger_path(&self) -> PathBuf {
        self.path.join("undo.jsonl")
    }

    /// `samples.bin`.
    pub fn samples_path(&self) -> PathBuf {
        self.path.join("samples.bin")
    }

    /// Held while the run is under way.
    pub fn lock_path(&self) -> PathBuf {
        self.path.join("run.lock")
    }

    /// Held while somebody pays what the run owes.
    pub fn pay_lock_path(&self) -> PathBuf {
        self.path.join("pay.lock")
    }

    /// The file switch: when it appears, the run aborts. Its contents say who wants that.
    pub fn abort_path(&self) -> PathBuf {
        self.path.join("abort")
    }

    /// When it exists, the watchdog has taken over: the run must not inject any more.
    pub fn fence_path(&self) -> PathBuf {
        self.path.join("fence")
    }

    /// What the watchdog did.
    pub fn watchdog_log_path(&self) -> PathBuf {
        self.path.join("watchdog.log")
    }

    /// Whether the run is under way, or at least its process lives.
    pub fn is_alive(&self) -> bool {
        Lock::is_held(&self.lock_path())
    }

    /// Makes the files that the run writes as it goes.
    pub fn files(&self) -> io::Result<RunFiles> {
        Ok(RunFiles {
            journal: Box::new(FileStorage::create(&self.journal_path())?),
            ledger: Box::new(FileStorage::create(&self.ledger_path())?),
            samples: Box::new(FileStorage::create(&self.samples_path())?),
        })
    }

    /// Asks the run to abort.
    pub fn request_abort(&self, by: &str) -> io::Result<()> {
        self.write("abort", by.as_bytes())
    }

    /// Writes a whole file: under another name first, so that no half file is ever seen.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.path.join(format!(".{name}.{}", std::process::id()));
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, self.path.join(name))?;
        sync_directory(&self.path)
    }

    /// Reads the plan.
    pub fn plan(&self) -> Result<Plan, StoreError> {
        let path = self.path.join(Self::PLAN);
        let text = self.read(Self::PLAN).map_err(|source| StoreError::File {
            action: "read",
            path: path.clone(),
            source,
        })?;
        understood(&text, plan::FORMAT).map_err(|why| StoreError::Plan { path, why })
    }

    /// Reads what earlier runs measured; nothing where none was stored.
    pub fn history(&self) -> Result<History, StoreError> {
        let path = self.path.join(Self::HISTORY);
        let text = match self.read(Self::HISTORY) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(History::default()),
            Err(source) => return Err(StoreError::File { action: "read", path, source }),
        };
        understood(&text, history::FORMAT).map_err(|why| StoreError::History { path, why })
    }

    fn read(&self, name: &str) -> io::Result<String> {
        std::fs::read_to_string(self.path.join(name))
    }

    /// Reads the journal.
    pub fn journal(&self) -> Result<Journal, JournalError> {
        Journal::read(&self.journal_path())
    }

    /// Reads the ledger. A run without one owes nothing.
    pub fn ledger(&self) -> Result<LedgerState, LedgerError> {
        LedgerState::read(&self.ledger_path())
    }

    /// Reads the samples, window by window.
    pub fn samples(&self) -> Result<SamplesReader, SamplesError> {
        SamplesReader::open(&self.samples_path())
    }
}

/// A document of a format that this build reads; else why not.
fn understood<T: DeserializeOwned>(text: &str, known: &str) -> Result<T, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let format = value.get("format").and_then(serde_json::Value::as_str).unwrap_or_default();
    format::accept(format, known).map_err(|error| error.to_string())?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}
