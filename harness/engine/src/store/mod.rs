//! The run store: where runs lie, what their files are called, who may touch them.
//!
//! Ground data is written once, by the run; derived data may be deleted and made again. The store
//! judges and renders nothing.

mod lock;
mod run_dir;

pub use lock::{Lock, LockError, SystemLock};
pub use run_dir::{RunDir, RunFiles};

use std::io;
use std::path::{Path, PathBuf};

use harness_core::ids::RunId;
use harness_core::plan::Plan;
use harness_core::time::WallTime;
use sha2::{Digest, Sha256};

use crate::ledger::LedgerError;

/// Where runs lie when nobody says otherwise, below the working directory.
pub const DEFAULT: &str = ".gameday/runs";
/// Names that are tried for one new run.
const NAMES_MAX: u32 = 16;
/// The longest part of a scenario's name in a run's name, in characters.
const SCENARIO_CHARS_MAX: usize = 48;

/// Why the store cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or directory cannot be read or written.
    #[error("could not {action} {}", path.display())]
    File {
        /// `create`, `read`, `list`, ...
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No run has a name that begins so.
    #[error("no run in {} is called `{name}`", root.display())]
    Unknown {
        /// What was asked for.
        name: String,
        /// Where it was looked for.
        root: PathBuf,
    },
    /// Several have.
    #[error("`{name}` is the beginning of {} runs: {}", found.len(), found.join(", "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// The runs.
        found: Vec<String>,
    },
    /// `history.json` is not a history that this build understands.
    #[error("could not understand {}: {why}", path.display())]
    History {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// `plan.json` is not a plan that this build understands.
    #[error("could not understand {}: {why}", path.display())]
    Plan {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// A directory of runs.
#[derive(Debug, Clone)]
pub struct RunStore {
    root: PathBuf,
}

/// A run that still owes something.
#[derive(Debug)]
pub struct Unpaid {
    /// Which.
    pub run: RunDir,
    /// What, in words; or why its ledger cannot be read.
    pub debts: Result<Vec<String>, LedgerError>,
}

impl RunStore {
    /// The store in this directory, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes a run's directory with its plan in it, and holds the run's lock.
    pub fn create(&self, plan: &Plan, wall: WallTime) -> Result<(RunDir, Lock), StoreError> {
        std::fs::create_dir_all(&self.root)
            .map_err(|source| self.error("create", &self.root, source))?;
        for attempt in 0..NAMES_MAX {
            let id = run_id(&plan.scenario.name, wall, &format!("{}-{attempt}", plan.seed));
            let path = self.root.join(id.as_str());
            match std::fs::create_dir(&path) {
                Ok(()) => return self.fill(RunDir::new(path, id), plan),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(self.error("create", &path, source)),
            }
        }
        let source = io::Error::from(io::ErrorKind::AlreadyExists);
        Err(self.error("create a run in", &self.root, source))
    }

    fn fill(&self, run: RunDir, plan: &Plan) -> Result<(RunDir, Lock), StoreError> {
        let fill = || {
            let lock = Lock::take(&run.lock_path()).map_err(io::Error::other)?;
            run.write(RunDir::PLAN, plan.to_json().as_bytes())?;
            crate::storage::sync_directory(&self.root)?;
            Ok(lock)
        };
        let lock = fill().map_err(|source| self.error("fill", run.path(), source))?;
        Ok((run, lock))
    }

    /// All runs, oldest first. What is not a run is left out.
    pub fn list(&self) -> Result<Vec<RunDir>, StoreError> {
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(self.error("list", &self.root, source)),
        };
        let mut runs = Vec::new();
        for entry in entries {
            let path = entry.map_err(|source| self.error("list", &self.root, source))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).map(RunId::new);
            if let (Some(id), true) = (name, path.join(RunDir::PLAN).is_file()) {
                runs.push(RunDir::new(path, id));
            }
        }
        runs.sort_by(|a, b| a.id().cmp(b.id()));
        Ok(runs)
    }

    /// The run that a person means: its whole name, the beginning of it, `latest`, or a directory.
    pub fn find(&self, name: &str) -> Result<RunDir, StoreError> {
        let runs = self.list()?;
        if name == "latest" {
            if let Some(run) = runs.into_iter().last() {
                return Ok(run);
            }
        } else if let Some(run) = runs.iter().find(|run| run.id().as_str() == name) {
            return Ok(run.clone());
        } else if let Some(run) = RunDir::at(Path::new(name)) {
            return Ok(run);
        } else if !name.is_empty() {
            let begins = |run: &&RunDir| run.id().as_str().starts_with(name);
            let found: Vec<&RunDir> = runs.iter().filter(begins).collect();
            match found.as_slice() {
                [] => {}
                [run] => return Ok((*run).clone()),
                several => {
                    let found = several.iter().map(|run| run.id().to_string()).collect();
                    return Err(StoreError::Ambiguous { name: name.to_owned(), found });
                }
            }
        }
        Err(StoreError::Unknown { name: name.to_owned(), root: self.root.clone() })
    }

    /// Runs that are not under way any more and still owe something, or may: no run may start.
    pub fn unpaid(&self) -> Result<Vec<Unpaid>, StoreError> {
        let mut unpaid = Vec::new();
        for run in self.list()? {
            if run.is_alive() {
                continue;
            }
            match run.ledger() {
                Ok(state) if !state.is_unpaid() => {}
                Ok(state) => unpaid.push(Unpaid { debts: Ok(state.debts()), run }),
                Err(error) => unpaid.push(Unpaid { debts: Err(error), run }),
            }
        }
        Ok(unpaid)
    }

    #[expect(clippy::unused_self, reason = "reads like the other calls")]
    fn error(&self, action: &'static str, path: &Path, source: io::Error) -> StoreError {
        StoreError::File { action, path: path.to_owned(), source }
    }
}

/// `YYYYMMDD-HHMMSS-<scenario>-<4 hex digits>`, by UTC.
fn run_id(scenario: &str, wall: WallTime, salt: &str) -> RunId {
    let time = jiff::Timestamp::from_millisecond(wall.0)
        .expect("the wall clock is within the years 0 to 9999");
    let scenario: String = scenario
        .chars()
        .take(SCENARIO_CHARS_MAX)
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .collect();
    let digest = Sha256::digest(format!("{}-{}-{salt}", wall.0, std::process::id()));
    let time = time.strftime("%Y%m%d-%H%M%S");
    RunId::new(format!("{time}-{scenario}-{:02x}{:02x}", digest[0], digest[1]))
}

#[cfg(test)]
mod tests;
