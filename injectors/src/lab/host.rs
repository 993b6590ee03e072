//! The `Host` port for a lab: starts one as a child, or attaches to one; stops what it started.
//!
//! A lab outlives the command that starts it. What belongs to it is known by the state directory
//! in the arguments of its processes; nothing else is ever signalled.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use harness_core::system::{BoxFuture, Host, Opened, System, SystemError};
use harness_core::topology::ProcessIdentity;
use harness_core::units::Duration;
use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::process::Command;

use super::client::{LAB_FORMAT, LabClient, LabDocument};
use super::system::LabSystem;
use crate::process;

/// The format of the record.
const RECORD_FORMAT: &str = "gameday.lab-host/1";
/// How often a wait looks again.
const LOOK_AGAIN: StdDuration = StdDuration::from_millis(20);
/// Rounds of killing; each kills what the one before has left, or let be born.
const KILL_ROUNDS: u32 = 5;
/// A larger document is not read.
const DOCUMENT_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// So much of a failed command's last words is shown.
const WORDS_BYTES_MAX: usize = 2000;

/// How a lab comes to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabStart {
    /// It is there already and stays when the run ends.
    Attach,
    /// This command starts it in the state directory and returns when it is steady: program and
    /// arguments. Among them must be `--state` and the state directory.
    Command(Vec<String>),
}

/// Opens and closes the lab in a state directory.
#[derive(Debug, Clone)]
pub struct LabHost {
    state: PathBuf,
    start: LabStart,
}

/// From this a fresh process can stop the lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Record {
    format: String,
    state: PathBuf,
}

impl LabHost {
    /// The lab in this directory; an absolute path.
    pub fn new(state: PathBuf, start: LabStart) -> Self {
        Self { state, start }
    }

    async fn start(&self, deadline: Duration) -> Result<(), SystemError> {
        let LabStart::Command(words) = &self.start else { return Ok(()) };
        let failed = |why: String| unreachable("start the lab", &self.state, why);
        let Some((program, arguments)) = words.split_first() else {
            return Err(failed("no command was given".to_owned()));
        };
        let running =
            Command::new(program).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
        let output = tokio::time::timeout(deadline.as_std(), running)
            .await
            .map_err(|_| failed(format!("it did not become steady within {deadline}")))?
            .map_err(|error| failed(format!("{program}: {error}")))?;
        if output.status.success() {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&output.stderr);
        let words = words.trim();
        let from = words.ceil_char_boundary(words.len().saturating_sub(WORDS_BYTES_MAX));
        Err(failed(format!("{}: {}", output.status, &words[from..])))
    }

    async fn attach(&self, deadline: Duration) -> Result<Opened, SystemError> {
        let document = read_document(&self.state)
            .map_err(|why| unreachable("attach to the lab", &self.state, why))?;
        let system = LabSystem::new(&document);
        let topology = system.topology(deadline).await?;
        Ok(Opened { system: Arc::new(system), topology })
    }
}

impl Host for LabHost {
    fn record(&self) -> Option<Value> {
        match &self.start {
            LabStart::Attach => None,
            LabStart::Command(_) => {
                let record = Record { format: RECORD_FORMAT.to_owned(), state: self.state.clone() };
                Some(serde_json::to_value(record).expect("plain data"))
            }
        }
    }

    fn open(&self, deadline: Duration) -> BoxFuture<'_, Result<Opened, SystemError>> {
        Box::pin(async move {
            self.start(deadline).await?;
            self.attach(deadline).await
        })
    }

    fn close<'a>(
        &'a self,
        record: &'a Value,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<(), SystemError>> {
        Box::pin(async move {
            let state = read_record(record)?.state;
            // Half of the time for the lab itself, the other half for those that do not listen.
            let half = deadline.divided_by(2);
            if let Ok(document) = read_document(&state) {
                let asked = ask_to_stop(&document, half).await;
                if asked.is_ok() && gone(&state, half).await {
                    return Ok(());
                }
            }
            let share = half.divided_by(u64::from(KILL_ROUNDS));
            for _ in 0..KILL_ROUNDS {
                for one in members(&state) {
                    // One that cannot be killed is found again below.
                    process::kill(&one).map(|_| ()).unwrap_or_default();
                }
                if gone(&state, share).await {
                    return Ok(());
                }
            }
            let left = describe(&members(&state)).join(", ");
            Err(unreachable("stop the lab", &state, format!("still there: {left}")))
        })
    }

    fn left_behind<'a>(
        &'a self,
        record: &'a Value,
        _deadline: Duration,
    ) -> BoxFuture<'a, Result<Vec<String>, SystemError>> {
        Box::pin(async move { Ok(describe(&members(&read_record(record)?.state))) })
    }
}

fn unreachable(action: &'static str, state: &Path, why: String) -> SystemError {
    SystemError::Unreachable { action, address: state.display().to_string(), why }
}

fn read_record(record: &Value) -> Result<Record, SystemError> {
    let failed = |why: String| SystemError::Unreachable {
        action: "read the lab's record",
        address: "the ledger".to_owned(),
        why,
    };
    let record = Record::deserialize(record).map_err(|error| failed(error.to_string()))?;
    if record.format != RECORD_FORMAT {
        return Err(failed(format!("its format is `{}`, this is {RECORD_FORMAT}", record.format)));
    }
    // A relative path, or `/`, could name processes that are not ours.
    if !record.state.is_absolute() || record.state.parent().is_none() {
        return Err(failed(format!("`{}` is no state directory", record.state.display())));
    }
    Ok(record)
}

fn read_document(state: &Path) -> Result<LabDocument, String> {
    let path = state.join("lab.json");
    let read = || {
        let size = std::fs::metadata(&path).map_err(|error| error.to_string())?.len();
        if size > DOCUMENT_BYTES_MAX {
            return Err(format!("it has {size} bytes"));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let document: LabDocument =
            serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if document.format == LAB_FORMAT {
            Ok(document)
        } else {
            Err(format!("its format is `{}`, this is {LAB_FORMAT}", document.format))
        }
    };
    read().map_err(|why| format!("{}: {why}", path.display()))
}

async fn ask_to_stop(document: &LabDocument, within: Duration) -> Result<Value, SystemError> {
    let supervisor = document.endpoints.get("supervisor").map_or("", String::as_str);
    LabClient::new(supervisor)
        .ask("ask the lab to stop", Method::POST, "/api/stop", &[200, 202], within)
        .await
}

/// Waits until no process of the lab is left; false when one is after that time.
async fn gone(state: &Path, within: Duration) -> bool {
    let wait = async {
        while !members(state).is_empty() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(within.as_std(), wait).await.is_ok()
}

/// All processes of the lab in a state directory.
fn members(state: &Path) -> Vec<ProcessIdentity> {
    // The lab's processes carry the path as the lab found it, links resolved.
    let resolved = std::fs::canonicalize(state).unwrap_or_else(|_| state.to_owned());
    process::with_arguments(|words| belongs(words, state) || belongs(words, &resolved))
}

/// Whether arguments are those of a part of the lab: a role, the command that starts one, or the
/// proxy. A reader of its logs, an editor, or the run that holds the directory is not.
fn belongs(words: &[&[u8]], state: &Path) -> bool {
    let starts = words.contains(&b"--role".as_slice()) || words.contains(&b"up".as_slice());
    words.windows(2).any(|pair| {
        let Ok(value) = std::str::from_utf8(pair[1]).map(Path::new) else { return false };
        match pair[0] {
            b"--state" => value == state && starts,
            b"--config" => value.parent() == Some(state) && words.contains(&b"--socket".as_slice()),
            _ => false,
        }
    })
}

fn describe(processes: &[ProcessIdentity]) -> Vec<String> {
    let name = |pid: u32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm"))
            .map(|name| name.trim().to_owned())
            .unwrap_or_default()
    };
    processes.iter().map(|one| format!("process {} ({})", one.pid, name(one.pid))).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    fn words(text: &str) -> Vec<&[u8]> {
        text.split(' ').map(str::as_bytes).collect()
    }

    #[test]
    fn only_parts_of_this_lab_belong() {
        let state = Path::new("/run/a/lab");
        for (text, expected) in [
            ("gameday lab-role --role edge --state /run/a/lab --slot 0", true),
            ("gameday agent-proxy --config /run/a/lab/proxy.json --socket /run/a/lab/p", true),
            ("gameday lab up --state /run/a/lab --with breaker=off", true),
            ("gameday lab logs --state /run/a/lab", false),
            ("gameday lab-role --role edge --state /run/a/lab2", false),
            ("gameday watchdog --run /run/a", false),
            ("vi /run/a/lab/lab.json", false),
            ("tail -f --config /run/a/lab/proxy.json", false),
            ("", false),
        ] {
            assert_eq!(belongs(&words(text), state), expected, "{text}");
        }
    }

    #[test]
    fn a_record_that_could_name_strangers_is_refused() {
        for state in ["/", "lab", ""] {
            let record = serde_json::json!({"format": RECORD_FORMAT, "state": state});
            assert!(read_record(&record).is_err(), "{state}");
        }
        let newer = serde_json::json!({"format": "gameday.lab-host/2", "state": "/run/a"});
        assert!(read_record(&newer).is_err());
        let host = LabHost::new("/run/a".into(), LabStart::Command(vec!["x".into()]));
        assert_eq!(read_record(&host.record().unwrap()).unwrap().state, Path::new("/run/a"));
        assert!(LabHost::new("/run/a".into(), LabStart::Attach).record().is_none());
    }

    #[tokio::test]
    async fn what_ignores_the_lab_is_killed_and_strangers_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().to_owned();
        // A shell keeps its arguments: `sh -c SCRIPT NAME ARGUMENTS`.
        let sleeper = |arguments: [&str; 4]| {
            Command::new("sh")
                .args(["-c", "trap '' TERM; echo; while :; do sleep 1; done"])
                .args(arguments)
                .arg(&state)
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .unwrap()
        };
        let mut member = sleeper(["x", "--role", "edge", "--state"]);
        let mut stranger = sleeper(["x", "--reads", "edge", "--state"]);
        let host = LabHost::new(state.clone(), LabStart::Command(vec!["false".into()]));
        let record = host.record().unwrap();
        let limit = Duration::from_secs(10);
        while host.left_behind(&record, limit).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        host.close(&record, limit).await.unwrap();
        assert!(!member.wait().await.unwrap().success());
        assert!(stranger.try_wait().unwrap().is_none(), "the stranger lives");
        assert_eq!(host.left_behind(&record, limit).await.unwrap(), Vec::<String>::new());
        host.close(&record, limit).await.unwrap();
        stranger.kill().await.unwrap();
    }

    #[tokio::test]
    async fn a_lab_that_does_not_start_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let limit = Duration::from_secs(10);
        let words = ["sh", "-c", "echo no room >&2; exit 3"].map(str::to_owned).to_vec();
        let host = LabHost::new(folder.path().to_owned(), LabStart::Command(words));
        let error = host.open(limit).await.err().unwrap().to_string();
        assert!(error.contains("no room") && error.contains("exit status: 3"), "{error}");
        let host = LabHost::new(folder.path().to_owned(), LabStart::Attach);
        let error = host.open(limit).await.err().unwrap().to_string();
        assert!(error.contains("lab.json"), "{error}");
    }
}
