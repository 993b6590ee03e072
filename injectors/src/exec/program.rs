//! One question to one program: a process in a group of its own, with a cleared environment, one
//! JSON value in, one JSON value out, within a deadline and within bounds.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;

use harness_core::fault::{Cx, FaultError};
use harness_core::topology::Topology;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::FORMAT;
use crate::process;

/// A longer answer is an error, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// So much of what a program says on standard error is shown, in bytes.
const WORDS_BYTES_MAX: u64 = 2 * 1024;
/// The only search path that programs get.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";
/// Names the fault in the environment of every process that works on it.
const MARK: &str = "GAMEDAY_FAULT";
/// Names the verb there.
const VERB: &str = "GAMEDAY_VERB";

/// A question to a program.
pub(super) struct Ask<'a> {
    cx: &'a Cx<'a>,
    program: &'a Path,
    verb: &'static str,
    said: Map<String, Value>,
}

/// What a program answers when it could not do what it was asked.
#[derive(serde::Deserialize)]
struct Refused {
    error: String,
}

impl<'a> Ask<'a> {
    pub(super) fn new(cx: &'a Cx<'a>, program: &'a Path, verb: &'static str) -> Self {
        let millis = |duration: harness_core::units::Duration| duration.micros() / 1000;
        let said = json!({
            "format": FORMAT,
            "verb": verb,
            "run": cx.run,
            "trial": cx.trial,
            "fault": cx.fault,
            "name": cx.name(),
            "leaseMs": millis(cx.lease),
            "deadlineMs": millis(cx.deadline),
        });
        let Value::Object(said) = said else { unreachable!("it was written as an object") };
        Self { cx, program, verb, said }
    }

    fn and(mut self, key: &str, value: Value) -> Self {
        self.said.insert(key.to_owned(), value);
        self
    }

    pub(super) fn with(self, with: &Value) -> Self {
        self.and("with", with.clone())
    }

    pub(super) fn undo(self, record: &Value) -> Self {
        self.and("undo", record.clone())
    }

    pub(super) fn baseline(self, baseline: &Value) -> Self {
        self.and("baseline", baseline.clone())
    }

    pub(super) fn topology(self, topology: &Topology) -> Self {
        self.and("topology", serde_json::to_value(topology).expect("plain data"))
    }

    /// Runs the program. Dropped before its end, or at its deadline, it is killed with its group.
    pub(super) async fn ask<T: DeserializeOwned>(self) -> Result<T, FaultError> {
        let wrong = |why: &str| failed(self.verb, self.program, why);
        let question = Value::Object(self.said.clone()).to_string();
        let within = self.cx.deadline;
        let answered = tokio::time::timeout(within.as_std(), self.exchange(&question)).await;
        let (answer, words) = match answered {
            Ok(Ok(answered)) => answered,
            Ok(Err(why)) => return Err(wrong(&why)),
            Err(_) => {
                let step = format!("{} of {}", self.verb, self.program.display());
                return Err(FaultError::TimedOut { step, within });
            }
        };
        if let Ok(Refused { error }) = serde_json::from_slice(&answer) {
            return Err(wrong(&error));
        }
        serde_json::from_slice(&answer)
            .map_err(|error| wrong(&format!("its answer is not understood: {error}{words}")))
    }

    /// What it said on standard output; and on standard error, as words to go on with.
    async fn exchange(&self, question: &str) -> Result<(Vec<u8>, String), String> {
        let child = Command::new(self.program)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .env(MARK, self.cx.name())
            .env(VERB, self.verb)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut group = Group { child };
        let mut to = group.child.stdin.take().expect("it was piped");
        let from = group.child.stdout.take().expect("it was piped");
        let aside = group.child.stderr.take().expect("it was piped");
        let say = async move {
            // A program that does not read its question may still answer.
            to.write_all(question.as_bytes()).await.unwrap_or_default();
            drop(to);
        };
        let ((), answer, words) =
            tokio::join!(say, bounded(from, ANSWER_BYTES_MAX), bounded(aside, WORDS_BYTES_MAX));
        let words = words.map(|words| String::from_utf8_lossy(&words).trim().to_owned());
        let words = words.unwrap_or_else(|_| "it said too much on standard error".to_owned());
        let words = if words.is_empty() { words } else { format!(": {words}") };
        let answer = answer.map_err(|why| format!("{why}{words}"))?;
        let status = group.child.wait().await.map_err(|error| error.to_string())?;
        if status.success() || serde_json::from_slice::<Refused>(&answer).is_ok() {
            return Ok((answer, words));
        }
        let how = status.signal().map_or_else(
            || status.to_string(),
            |signal| format!("it was killed by signal {signal}"),
        );
        Err(format!("{how}{words}"))
    }
}

/// Reads to the end, at most so many bytes.
async fn bounded(stream: impl AsyncRead + Unpin, most: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = stream.take(most + 1).read_to_end(&mut bytes).await;
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > most {
        return Err(format!("it says more than {most} bytes"));
    }
    Ok(bytes)
}

/// A process and what it has started. Dropped while the process is there, all of it is killed.
struct Group {
    child: Child,
}

impl Drop for Group {
    fn drop(&mut self) {
        // Not waited for yet, the number still means this process, and its group.
        let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) else { return };
        if let Some(group) = Pid::from_raw(pid) {
            kill_process_group(group, Signal::KILL).unwrap_or_else(|error| {
                tracing::debug!(%error, "a program had ended before it was killed");
            });
        }
    }
}

/// Kills every process that works on this verb of this fault, whoever has started it.
pub(super) fn end_others(name: &str, verb: &str) {
    let marks = [format!("{MARK}={name}"), format!("{VERB}={verb}")];
    for one in process::with_environment(&marks) {
        if let Err(error) = process::kill(&one) {
            tracing::warn!(%error, pid = one.pid, "could not end an injection that was left");
        }
    }
}

pub(super) fn failed(verb: &str, program: &Path, why: &str) -> FaultError {
    let action = format!("{verb} by {}", program.display());
    FaultError::Failed { action, why: why.to_owned() }
}
