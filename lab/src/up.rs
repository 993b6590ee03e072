//! Starting a lab, and asking how it is. All of it blocks and needs no async runtime.

use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::down::{Leave, down};
use crate::http::{BlockingError, blocking_request};
use crate::log::Log;
use crate::logs::tail;
use crate::process::{ProcessIdentity, boot_id};
use crate::roles::EXIT_ADDRESS_TAKEN;
use crate::settings::Settings;
use crate::state::{LAB_FORMAT, LabState, Steady, write_document};

/// A lab is steady within this time or does not start.
const READY_LIMIT: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Starts with other ports, when a port that was free is taken.
const STARTS_MAX: usize = 3;
/// One question to the supervisor.
pub(crate) const ASK_LIMIT: Duration = Duration::from_secs(3);
/// Lines of the supervisor's log in an error.
const ERROR_LINES: usize = 8;

/// Why a lab could not be started, asked or stopped.
#[derive(Debug, Error)]
pub enum LabError {
    /// A live lab is in this directory.
    #[error("a lab is up in {state} (pid {pid})")]
    AlreadyUp {
        /// The directory.
        state: PathBuf,
        /// Its supervisor.
        pid: u32,
    },
    /// Another command starts or stops a lab in this directory just now.
    #[error("another command works on the lab in {0}")]
    Busy(PathBuf),
    /// There is no lab in this directory.
    #[error("there is no lab in {0}")]
    NotUp(PathBuf),
    /// A file could not be used.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// `lab.json` is not what this version writes.
    #[error("{path} is not a document of {LAB_FORMAT}")]
    Format {
        /// Which.
        path: PathBuf,
    },
    /// The supervisor did not start.
    #[error("cannot start {program}")]
    Program {
        /// Which.
        program: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The lab did not become steady.
    #[error("the lab in {state} did not become steady: {missing}; its log ends with:\n{log}")]
    NotSteady {
        /// The directory.
        state: PathBuf,
        /// What was missing last.
        missing: String,
        /// The last lines of the supervisor's log.
        log: String,
    },
    /// The supervisor does not answer.
    #[error("the supervisor of the lab in {state} does not answer: {because}")]
    Silent {
        /// The directory.
        state: PathBuf,
        /// Why.
        because: String,
    },
    /// Processes are still there although they were killed.
    #[error("{count} processes of the lab in {state} cannot be stopped")]
    NotStopped {
        /// The directory.
        state: PathBuf,
        /// How many.
        count: usize,
    },
}

/// A lab as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabStatus {
    /// Whether the supervisor runs; if not, `lab` is what was written last.
    pub running: bool,
    /// The lab.
    pub lab: LabState,
    /// Whether a trial may start; nothing when the supervisor does not answer.
    pub steady: Option<Steady>,
}

/// Starts a lab and returns when it is steady. Blocks up to about 30 s per try.
///
/// The lab outlives the caller: only [`down`] or the death of its supervisor ends it.
pub fn up(settings: &Settings) -> Result<LabState, LabError> {
    let state = prepare(&settings.state)?;
    let _lock = lock(&state)?;
    if let Ok(lab) = read_document(&state)
        && supervisor_of(&lab).is_some_and(ProcessIdentity::is_alive)
    {
        return Err(LabError::AlreadyUp { state, pid: lab.supervisor.pid });
    }
    // What a killed lab may have left would be in the way.
    down(&state, Leave::Nothing)?;
    prepare(&state)?;
    let settings = Settings { state: state.clone(), ..settings.clone() };
    for start in 1.. {
        match start_once(&settings) {
            Started::Steady(lab) => return Ok(*lab),
            Started::AddressTaken if start < STARTS_MAX => {
                down(&state, Leave::Nothing)?;
                prepare(&state)?;
            }
            Started::AddressTaken => {
                return Err(not_steady(&state, "the ports are taken again and again"));
            }
            Started::Failed(error) => return Err(error),
        }
    }
    unreachable!("the last start returns")
}

/// How the lab in a state directory is.
pub fn status(state: &Path) -> Result<LabStatus, LabError> {
    let lab = read_document(state)?;
    let running = supervisor_of(&lab).is_some_and(ProcessIdentity::is_alive);
    if !running {
        return Ok(LabStatus { running, lab, steady: None });
    }
    let fresh = ask(&lab, "GET", "/api/topology").and_then(|body| parse(&lab, &body))?;
    let steady = ask(&lab, "GET", "/api/steady").and_then(|body| parse(&lab, &body)).ok();
    Ok(LabStatus { running, lab: fresh, steady })
}

enum Started {
    Steady(Box<LabState>),
    AddressTaken,
    Failed(LabError),
}

fn start_once(settings: &Settings) -> Started {
    let state = &settings.state;
    let failed = |path: PathBuf| move |source| Started::Failed(LabError::File { path, source });
    let path = state.join("settings.json");
    if let Err(started) = write_document(&path, settings).map_err(failed(path)) {
        return started;
    }
    let mut child = match launch(settings) {
        Ok(child) => child,
        Err(error) => return Started::Failed(error),
    };
    let begun = Instant::now();
    let mut missing = String::from("the supervisor has not answered yet");
    while begun.elapsed() < READY_LIMIT {
        std::thread::sleep(LOOK_AGAIN);
        if let Ok(Some(ended)) = child.try_wait() {
            if ended.code() == Some(i32::from(EXIT_ADDRESS_TAKEN)) {
                return Started::AddressTaken;
            }
            missing = format!("the supervisor ended: {ended}");
            break;
        }
        let Ok(lab) = read_document(state) else { continue };
        match ask(&lab, "GET", "/api/steady").and_then(|body| parse::<Steady>(&lab, &body)) {
            Ok(steady) if steady.ready => match status(state) {
                Ok(now) => return Started::Steady(Box::new(now.lab)),
                Err(error) => missing = error.to_string(),
            },
            Ok(steady) => missing = steady.missing.join("; "),
            Err(error) => missing = error.to_string(),
        }
    }
    let error = not_steady(state, &missing);
    // The first error is the one to show; what is left is found by the next `down`.
    down(state, Leave::Logs).map(|_| ()).unwrap_or_default();
    Started::Failed(error)
}

fn launch(settings: &Settings) -> Result<Child, LabError> {
    let path = Log::path(&settings.state, "supervisor");
    let output = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|file| Ok((file.try_clone()?, file)))
        .map_err(|source| LabError::File { path, source })?;
    Command::new(&settings.program)
        .args(&settings.role_arguments)
        .args(["--role", "supervisor", "--instance", "supervisor", "--state"])
        .arg(&settings.state)
        .stdin(Stdio::null())
        .stdout(output.0)
        .stderr(output.1)
        .spawn()
        .map_err(|source| LabError::Program { program: settings.program.clone(), source })
}

fn not_steady(state: &Path, missing: &str) -> LabError {
    let log = tail(&Log::path(state, "supervisor"), ERROR_LINES).join("\n");
    LabError::NotSteady { state: state.to_owned(), missing: missing.to_owned(), log }
}

/// Makes the directory and gives its one true path.
fn prepare(state: &Path) -> Result<PathBuf, LabError> {
    let logs = state.join("logs");
    fs::create_dir_all(&logs).map_err(|source| LabError::File { path: logs, source })?;
    let path = state.to_owned();
    fs::canonicalize(state).map_err(|source| LabError::File { path, source })
}

/// One command at a time; the lock ends with the file.
fn lock(state: &Path) -> Result<File, LabError> {
    let path = state.join("up.lock");
    let file = File::create(&path).map_err(|source| LabError::File { path, source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => Err(LabError::Busy(state.to_owned())),
    }
}

/// Reads `lab.json`.
pub(crate) fn read_document(state: &Path) -> Result<LabState, LabError> {
    let path = LabState::path(state);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(LabError::NotUp(state.to_owned()));
        }
        Err(source) => return Err(LabError::File { path, source }),
    };
    match serde_json::from_str::<LabState>(&text) {
        Ok(lab) if lab.format == LAB_FORMAT => Ok(lab),
        _ => Err(LabError::Format { path }),
    }
}

/// The supervisor's process, if the document is of this boot.
pub(crate) fn supervisor_of(lab: &LabState) -> Option<ProcessIdentity> {
    let record = &lab.supervisor;
    let identity = ProcessIdentity { pid: record.pid, start_time: record.start_time };
    (lab.boot_id == boot_id()).then_some(identity)
}

/// Asks the supervisor; an answer that is no success is an error.
pub(crate) fn ask(lab: &LabState, method: &str, path: &str) -> Result<Vec<u8>, LabError> {
    let silent = |because: String| LabError::Silent { state: lab.state.clone(), because };
    let address = lab.endpoints.supervisor.trim_start_matches("http://");
    let address: SocketAddr =
        address.parse().map_err(|_| silent(format!("`{address}` is no address")))?;
    match blocking_request(address, method, path, ASK_LIMIT) {
        Ok((200..=299, body)) => Ok(body),
        Ok((status, _)) => Err(silent(format!("{path} gave status {status}"))),
        Err(BlockingError::Connection(_, error)) => Err(silent(error.to_string())),
        Err(error) => Err(silent(error.to_string())),
    }
}

fn parse<T: serde::de::DeserializeOwned>(lab: &LabState, body: &[u8]) -> Result<T, LabError> {
    serde_json::from_slice(body).map_err(|error| LabError::Silent {
        state: lab.state.clone(),
        because: format!("its answer is broken: {error}"),
    })
}
