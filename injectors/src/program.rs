//! Other programs that work on a fault: each a process in a group of its own, with a cleared
//! environment that names the fault, bounded output, and killed when it is given up.
//!
//! What is asked and how answers are read is not decided here.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

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

/// One call of one program.
pub(crate) struct Call<'a> {
    /// An absolute path, or a name that is looked for.
    pub(crate) program: &'a Path,
    /// Never through a shell.
    pub(crate) arguments: &'a [&'a str],
    /// The fault's name, in the environment.
    pub(crate) fault: &'a str,
    /// The step that it works on, in the environment.
    pub(crate) verb: &'a str,
}

/// What came of it.
pub(crate) struct Said {
    /// Standard output.
    pub(crate) answer: Vec<u8>,
    /// Standard error, as words to go on with: empty, or `: out of luck`.
    pub(crate) words: String,
    status: ExitStatus,
}

impl Said {
    pub(crate) fn has_succeeded(&self) -> bool {
        self.status.success()
    }

    /// Its exit status, and what it said about it.
    pub(crate) fn how_it_ended(&self) -> String {
        let how = self.status.signal().map_or_else(
            || self.status.to_string(),
            |signal| format!("it was killed by signal {signal}"),
        );
        format!("{how}{}", self.words)
    }
}

impl Call<'_> {
    /// Runs it to its end. Dropped before, it is killed with its group.
    pub(crate) async fn exchange(&self, question: &str) -> Result<Said, String> {
        let child = Command::new(self.program)
            .args(self.arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .env(MARK, self.fault)
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
        Ok(Said { answer, words, status })
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

fn marks(fault: &str, verb: &str) -> [String; 2] {
    [format!("{MARK}={fault}"), format!("{VERB}={verb}")]
}

/// Kills every process that works on this verb of this fault, whoever has started it.
pub(crate) fn end_others(fault: &str, verb: &str) {
    for one in process::with_environment(&marks(fault, verb)) {
        if let Err(error) = process::kill(&one) {
            tracing::warn!(%error, pid = one.pid, "could not end an injection that was left");
        }
    }
}

/// Whether a process still works on this verb of this fault.
pub(crate) fn is_under_way(fault: &str, verb: &str) -> bool {
    !process::with_environment(&marks(fault, verb)).is_empty()
}
