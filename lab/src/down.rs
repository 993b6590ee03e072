//! Stopping a lab so that no process, port or file of it stays.
//!
//! First the supervisor is asked; what still runs after a bounded time is killed, known by pid
//! and start time or by the state directory in its arguments. It works on a lab whose supervisor
//! is dead, and on a directory in which no lab ever was.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::process::{ProcessIdentity, boot_id, of_state};
use crate::state::LabState;
use crate::tls;
use crate::up::{LabError, ask, read_document, supervisor_of};
use crate::volume;

/// A supervisor that was asked to stop is killed after so long.
const GRACE: Duration = Duration::from_secs(4);
/// A killed process is gone after so long.
const KILL_LIMIT: Duration = Duration::from_secs(2);
/// Looks for processes of the lab, each after killing what the one before found.
const ROUNDS: usize = 3;

/// Every file that a lab writes into its state directory, apart from the logs and certificates.
const FILES: [&str; 8] = [
    "lab.json",
    "lab.json.new",
    "layout.json",
    "settings.json",
    "proxy.json",
    "proxy.sock",
    volume::JOURNAL,
    "up.lock",
];

/// What stays of a lab that is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Nothing; the directory goes, too, if nothing else is in it.
    Nothing,
    /// `<state>/logs`.
    Logs,
}

/// How a lab was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stopped {
    /// Whether the supervisor stopped everything by itself.
    pub graceful: bool,
    /// What had to be killed.
    pub killed: Vec<ProcessIdentity>,
}

/// Stops the lab in a state directory, and removes its files. Doing it twice is no error.
/// Blocks up to about 8 s.
pub fn down(state: &Path, leave: Leave) -> Result<Stopped, LabError> {
    let state = &fs::canonicalize(state).unwrap_or_else(|_| state.to_owned());
    let lab = read_document(state).ok();
    let graceful = lab.as_ref().is_some_and(stop_supervisor);
    let mut killed = Vec::new();
    for _ in 0..ROUNDS {
        let left = left_over(state, lab.as_ref());
        if left.is_empty() {
            break;
        }
        for process in left {
            process.kill();
            process.wait_for_end(KILL_LIMIT);
            killed.push(process);
        }
    }
    let count = left_over(state, lab.as_ref()).len();
    if count > 0 {
        return Err(LabError::NotStopped { state: state.clone(), count });
    }
    remove_files(state, leave)?;
    Ok(Stopped { graceful, killed })
}

/// Whether it ended by itself, having been asked.
fn stop_supervisor(lab: &LabState) -> bool {
    let Some(supervisor) = supervisor_of(lab).filter(|process| process.is_alive()) else {
        return false;
    };
    // Over HTTP first; a supervisor that does not answer understands the signal as well.
    if ask(lab, "POST", "/api/stop").is_err() {
        supervisor.terminate();
    }
    supervisor.wait_for_end(GRACE)
}

/// Live processes of the lab, recorded or found by their arguments.
fn left_over(state: &Path, lab: Option<&LabState>) -> Vec<ProcessIdentity> {
    let mut left = of_state(state);
    if let Some(lab) = lab.filter(|lab| lab.boot_id == boot_id()) {
        let own = [Some(&lab.supervisor), lab.interposer.as_ref()];
        let own = own.into_iter().flatten().map(|record| (record.pid, record.start_time));
        let pods = lab.pods.iter().filter_map(|pod| Some((pod.pid?, pod.start_time?)));
        for (pid, start_time) in own.chain(pods) {
            let process = ProcessIdentity { pid, start_time };
            if !left.contains(&process) && process.is_alive() {
                left.push(process);
            }
        }
    }
    left
}

fn remove_files(state: &Path, leave: Leave) -> Result<(), LabError> {
    let mut paths: Vec<PathBuf> = FILES.iter().map(|name| state.join(name)).collect();
    paths.push(state.join("layout.json.new"));
    paths.push(state.join("settings.json.new"));
    paths.push(state.join("proxy.json.new"));
    paths.extend(tls::files(state));
    for path in paths {
        gone(&path, fs::remove_file(&path))?;
    }
    // Another's files in it are none of our business, nor are those below.
    fs::remove_dir(state.join(tls::DIRECTORY)).unwrap_or_default();
    // The volume in it has ended with the last process of the lab.
    fs::remove_dir(volume::directory(state)).unwrap_or_default();
    if leave == Leave::Nothing {
        let logs = state.join("logs");
        gone(&logs, fs::remove_dir_all(&logs))?;
        fs::remove_dir(state).unwrap_or_default();
    }
    Ok(())
}

fn gone(path: &Path, removed: std::io::Result<()>) -> Result<(), LabError> {
    match removed {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(LabError::File { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_a_lab_is_left_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let other = directory.path().join("notes.txt");
        fs::write(&other, "mine").unwrap();
        let stopped = down(directory.path(), Leave::Nothing).unwrap();
        assert_eq!(stopped, Stopped { graceful: false, killed: vec![] });
        assert!(other.exists());
        let missing = directory.path().join("missing");
        down(&missing, Leave::Nothing).unwrap();
        assert!(!missing.exists());
    }
}
