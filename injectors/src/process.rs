//! Processes of this machine, told apart from later ones with the same number.
//!
//! Linux only (`/proc`, pidfd). It starts nothing and chooses no target.

use std::fs;

use harness_core::topology::ProcessIdentity;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// What `/proc` says about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    /// `R`, `S`, `Z`, …
    state: char,
    /// Clock ticks after boot.
    start_ticks: u64,
}

/// Whether the process of an identity is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It runs, or is stopped.
    Alive,
    /// It is gone: no such process, a zombie, a later one with its number, or another boot.
    Gone,
}

/// What came of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signalled {
    /// It was delivered to that very process.
    Sent,
    /// The process was gone already; nobody was signalled.
    WasGone,
}

/// The present boot; process numbers mean nothing in another one. Empty where `/proc` is missing.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// The identity of a live process; `None` when there is none, or only a zombie.
pub fn identity(pid: u32) -> Option<ProcessIdentity> {
    let stat = stat(pid).filter(|stat| !is_dead(stat.state))?;
    Some(ProcessIdentity { boot_id: boot_id(), pid, start_ticks: stat.start_ticks })
}

/// Looks whether that very process still lives.
pub fn presence(identity: &ProcessIdentity) -> Presence {
    let alive = identity.boot_id == boot_id()
        && stat(identity.pid)
            .is_some_and(|s| s.start_ticks == identity.start_ticks && !is_dead(s.state));
    if alive { Presence::Alive } else { Presence::Gone }
}

/// Whether that very process is stopped, as by SIGSTOP; `None` when it is gone.
pub fn is_stopped(identity: &ProcessIdentity) -> Option<bool> {
    let found = stat(identity.pid)?;
    let same = identity.boot_id == boot_id() && found.start_ticks == identity.start_ticks;
    (same && !is_dead(found.state)).then_some(found.state == 'T')
}

/// How ready the kernel is to kill that process when memory is short, -1000 (never) to 1000.
pub(crate) fn oom_score_adj(identity: &ProcessIdentity) -> Result<i32, String> {
    let path = format!("/proc/{}/oom_score_adj", identity.pid);
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    text.trim().parse().map_err(|error| format!("{path}: {error}"))
}

/// Kills that very process.
pub fn kill(identity: &ProcessIdentity) -> Result<Signalled, Errno> {
    signal(identity, Signal::KILL)
}

/// Signals that very process. The start time is compared *after* the descriptor was opened: from
/// then on the descriptor means one process, however often its number is used again.
pub fn signal(identity: &ProcessIdentity, signal: Signal) -> Result<Signalled, Errno> {
    let Some(pid) = i32::try_from(identity.pid).ok().and_then(Pid::from_raw) else {
        return Ok(Signalled::WasGone);
    };
    let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => descriptor,
        Err(Errno::SRCH) => return Ok(Signalled::WasGone),
        Err(error) => return Err(error),
    };
    if presence(identity) == Presence::Gone {
        return Ok(Signalled::WasGone);
    }
    match pidfd_send_signal(&descriptor, signal) {
        Ok(()) => Ok(Signalled::Sent),
        Err(Errno::SRCH) => Ok(Signalled::WasGone),
        Err(error) => Err(error),
    }
}

/// All live processes whose arguments satisfy `belongs`, ascending by number; never the calling
/// process itself.
pub fn with_arguments(belongs: impl Fn(&[&[u8]]) -> bool) -> Vec<ProcessIdentity> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let own = std::process::id();
    let fits = |line: &[u8]| belongs(&line.split(|byte| *byte == 0).collect::<Vec<_>>());
    let mut found: Vec<ProcessIdentity> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != own)
        .filter(|pid| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| fits(&line)))
        .filter_map(identity)
        .collect();
    found.sort_by_key(|identity| identity.pid);
    found
}

/// The numbers of all processes, ascending.
pub(crate) fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let mut pids: Vec<u32> = entries.flatten().filter_map(number).collect();
    pids.sort_unstable();
    pids
}

/// All live processes that were started with all of these in their environment, as `NAME=VALUE`,
/// ascending by number; only those that this user may look into.
pub(crate) fn with_environment(marks: &[String]) -> Vec<ProcessIdentity> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let fits = |text: &[u8]| {
        let has = |mark: &String| text.split(|byte| *byte == 0).any(|one| one == mark.as_bytes());
        marks.iter().all(has)
    };
    let mut found: Vec<ProcessIdentity> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| fs::read(format!("/proc/{pid}/environ")).is_ok_and(|text| fits(&text)))
        .filter_map(identity)
        .collect();
    found.sort_by_key(|identity| identity.pid);
    found
}

fn is_dead(state: char) -> bool {
    matches!(state, 'Z' | 'X' | 'x')
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Field 2, the name, may hold spaces and parentheses: counting starts after the last `)`.
fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some(Stat { state, start_ticks: fields.nth(18)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn sleeper() -> std::process::Child {
        Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20";
        assert_eq!(parse_stat(text), Some(Stat { state: 'S', start_ticks: 777 }));
        assert_eq!(parse_stat("42 (x) S 1"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn a_killed_child_is_gone_even_as_a_zombie() {
        let mut child = sleeper();
        let own = identity(child.id()).unwrap();
        assert_eq!(presence(&own), Presence::Alive);
        assert_eq!(kill(&own), Ok(Signalled::Sent));
        // The status is not collected yet; wait for the zombie by its state.
        while presence(&own) == Presence::Alive {
            std::thread::yield_now();
        }
        assert_eq!(kill(&own), Ok(Signalled::WasGone));
        child.wait().unwrap();
        assert_eq!(kill(&own), Ok(Signalled::WasGone));
    }

    #[test]
    fn a_later_process_with_the_same_number_is_never_hit() {
        let mut child = sleeper();
        let real = identity(child.id()).unwrap();
        let earlier = ProcessIdentity { start_ticks: real.start_ticks - 1, ..real.clone() };
        let other_boot = ProcessIdentity { boot_id: "elsewhere".to_owned(), ..real.clone() };
        for stranger in [earlier, other_boot] {
            assert_eq!(presence(&stranger), Presence::Gone);
            assert_eq!(kill(&stranger), Ok(Signalled::WasGone));
        }
        assert_eq!(presence(&real), Presence::Alive);
        assert_eq!(kill(&real), Ok(Signalled::Sent));
        child.wait().unwrap();
    }

    #[test]
    fn processes_are_found_by_their_arguments() {
        let mark = format!("{}.25", 50_000 + std::process::id());
        let mut child = Command::new("sleep").arg(&mark).spawn().unwrap();
        // The child's arguments are its parent's until it has become the new program.
        let mut found = Vec::new();
        while found.is_empty() && child.try_wait().unwrap().is_none() {
            found = with_arguments(|words| words.contains(&mark.as_bytes()));
        }
        assert_eq!(found.iter().map(|one| one.pid).collect::<Vec<_>>(), [child.id()]);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
