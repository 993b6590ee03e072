//! Who a process is: pid plus start time, so that a recycled pid is never signalled.
//!
//! Linux only (`/proc`). It starts nothing and decides nothing.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde::{Deserialize, Serialize};

/// How often a wait for the end of a process looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// One process, told apart from a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessIdentity {
    /// The process id.
    pub pid: u32,
    /// Field 22 of `/proc/<pid>/stat`: clock ticks after boot.
    pub start_time: u64,
}

impl ProcessIdentity {
    /// The identity of a live process, or nothing when there is none (a zombie is none).
    pub fn of(pid: u32) -> Option<Self> {
        let (state, start_time) = stat(pid)?;
        (state != 'Z' && state != 'X').then_some(Self { pid, start_time })
    }

    /// Whether this very process still runs.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Sends SIGTERM, if this very process still runs.
    pub(crate) fn terminate(self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGKILL, if this very process still runs.
    pub(crate) fn kill(self) {
        self.signal(Signal::KILL);
    }

    fn signal(self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|_| self.is_alive()) {
            // It may end between the look and the signal; then there is nothing to do.
            kill_process(pid, signal).unwrap_or_default();
        }
    }

    /// Waits until the process has ended; `false` when it still runs after `limit`.
    pub(crate) fn wait_for_end(self, limit: Duration) -> bool {
        let begun = Instant::now();
        loop {
            self.reap();
            if !self.is_alive() {
                return true;
            }
            if begun.elapsed() >= limit {
                return false;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Takes the exit status of a child of ours, so that no zombie stays; others are untouched.
    pub(crate) fn reap(self) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            // Not our child: an error, and rightly ignored.
            waitpid(Some(pid), WaitOptions::NOHANG).map(|_| ()).unwrap_or_default();
        }
    }
}

impl ProcessIdentity {
    /// Processor time used so far, in clock ticks; 0 when it has ended.
    pub(crate) fn ticks(self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        parse_ticks(&text).unwrap_or_default()
    }
}

/// User and system time: fields 14 and 15.
fn parse_ticks(text: &str) -> Option<u64> {
    let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace().skip(11);
    let (user, system) = (fields.next()?, fields.next()?);
    Some(user.parse::<u64>().ok()? + system.parse::<u64>().ok()?)
}

/// State letter and start time of a process, from `/proc/<pid>/stat`.
fn stat(pid: u32) -> Option<(char, u64)> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name (field 2) may hold spaces and parentheses, so counting starts after the last `)`.
fn parse_stat(text: &str) -> Option<(char, u64)> {
    let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// The id of this boot; pids and start times mean nothing in another one.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// All live processes whose arguments name `state` after `--state`, or a file directly in it
/// after `--config`: whatever belongs to the lab there, recorded or not.
pub(crate) fn of_state(state: &Path) -> Vec<ProcessIdentity> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let own = std::process::id();
    let mut found: Vec<ProcessIdentity> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != own)
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| belongs(&line, state))
        })
        .filter_map(ProcessIdentity::of)
        .collect();
    found.sort_by_key(|identity| identity.pid);
    found
}

fn belongs(command_line: &[u8], state: &Path) -> bool {
    let arguments: Vec<&[u8]> = command_line.split(|byte| *byte == 0).collect();
    arguments.windows(2).any(|pair| {
        let Ok(value) = std::str::from_utf8(pair[1]).map(Path::new) else { return false };
        match pair[0] {
            b"--state" => value == state && arguments.contains(&b"--role".as_slice()),
            b"--config" => value.parent() == Some(state),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20";
        assert_eq!(parse_stat(text), Some(('S', 777)));
        assert_eq!(parse_ticks(text), Some(11 + 12));
        assert_eq!(parse_stat("42 (x) S 1"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn this_process_is_alive_and_an_older_namesake_is_not() {
        let own = ProcessIdentity::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        assert!(!ProcessIdentity { start_time: own.start_time + 1, ..own }.is_alive());
    }

    #[test]
    fn only_the_own_state_belongs() {
        let state = Path::new("/tmp/a");
        let line = |text: &str| text.replace(' ', "\0").into_bytes();
        assert!(belongs(&line("gameday lab-role --role edge --state /tmp/a --slot 0"), state));
        assert!(belongs(&line("gameday agent-proxy --config /tmp/a/proxy.json"), state));
        assert!(!belongs(&line("gameday lab-role --role edge --state /tmp/ab"), state));
        assert!(!belongs(&line("gameday lab status --state /tmp/a"), state));
        assert!(!belongs(&line("vi /tmp/a/proxy.json"), state));
    }
}
