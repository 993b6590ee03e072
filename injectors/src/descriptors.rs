//! The limit on open descriptors of a live process: read from `/proc`, set by `prlimit`.
//!
//! Only the soft limit is ever changed.

use std::collections::BTreeSet;
use std::fs;

use harness_core::topology::ProcessIdentity;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde::{Deserialize, Serialize};

use crate::process::{Presence, presence};

/// The soft limit on descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SoftLimit {
    /// No descriptor has this number, or a higher one.
    At(u64),
    /// There is none.
    None,
}

/// Soft and hard limit.
struct Limits {
    soft: SoftLimit,
    hard: SoftLimit,
}

/// The soft limit of that very process; `None` when it is gone.
pub fn soft_limit(process: &ProcessIdentity) -> Result<Option<SoftLimit>, String> {
    Ok(limits(process)?.map(|limits| limits.soft))
}

fn limits(process: &ProcessIdentity) -> Result<Option<Limits>, String> {
    let path = format!("/proc/{}/limits", process.pid);
    let text = fs::read_to_string(&path);
    // Looked at afterwards: what was read before the process ended is not of a later one.
    if presence(process) == Presence::Gone {
        return Ok(None);
    }
    let text = text.map_err(|error| format!("{path}: {error}"))?;
    parse(&text).map(Some).ok_or_else(|| format!("{path} names no limit on open files"))
}

fn parse(text: &str) -> Option<Limits> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let mut words = line.split_ascii_whitespace();
    let mut limit = || match words.next()? {
        "unlimited" => Some(SoftLimit::None),
        number => number.parse().ok().map(SoftLimit::At),
    };
    Some(Limits { soft: limit()?, hard: limit()? })
}

/// The limit under which exactly `room` more descriptors fit, now.
pub fn limit_with_room(process: &ProcessIdentity, room: u64) -> Result<u64, String> {
    Ok(above(&open(process)?, room))
}

/// How many more descriptors that very process may open, now; `None` when it has no limit or is
/// gone.
pub fn room(process: &ProcessIdentity) -> Result<Option<u64>, String> {
    match soft_limit(process)? {
        Some(SoftLimit::At(limit)) => match open(process) {
            Err(_) if presence(process) == Presence::Gone => Ok(None),
            open => Ok(Some(limit - below(&open?, limit))),
        },
        Some(SoftLimit::None) | None => Ok(None),
    }
}

/// The numbers of its open descriptors.
fn open(process: &ProcessIdentity) -> Result<BTreeSet<u64>, String> {
    let path = format!("/proc/{}/fd", process.pid);
    let entries = fs::read_dir(&path).map_err(|error| format!("{path}: {error}"))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

fn below(open: &BTreeSet<u64>, limit: u64) -> u64 {
    open.range(..limit).count() as u64
}

/// The lowest number that is free when the `room` lowest free ones are taken.
fn above(open: &BTreeSet<u64>, room: u64) -> u64 {
    let mut free = (0..).filter(|number| !open.contains(number));
    let at = usize::try_from(room).unwrap_or(usize::MAX);
    free.nth(at).expect("there is always a higher number")
}

/// Sets the soft limit of that very process.
pub fn set_soft_limit(process: &ProcessIdentity, soft: SoftLimit) -> Result<(), String> {
    let Some(limits) = limits(process)? else { return Err("it is gone".to_owned()) };
    let number = |limit| match limit {
        SoftLimit::At(number) => Some(number),
        SoftLimit::None => None,
    };
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    let new = Rlimit { current: number(soft), maximum: number(limits.hard) };
    let old = prlimit(pid, Resource::Nofile, new).map_err(|error| error.to_string())?;
    if presence(process) == Presence::Alive {
        return Ok(());
    }
    // It ended in between; should a later process have got its number, that one is as before.
    prlimit(pid, Resource::Nofile, old).map(|_| ()).unwrap_or_default();
    Err("it is gone".to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::process::identity;

    #[test]
    fn the_limit_leaves_exactly_the_room_that_is_asked_for() {
        let open: BTreeSet<u64> = [0, 1, 2, 5, 9].into();
        let cases = [(0, 3), (1, 4), (2, 6), (3, 7), (4, 8), (5, 10), (6, 11)];
        for (room, limit) in cases {
            assert_eq!(above(&open, room), limit, "room for {room}");
            assert_eq!(limit - below(&open, limit), room);
        }
    }

    #[test]
    fn limits_are_read_and_nonsense_is_refused() {
        let text = "Limit  Soft Limit  Hard Limit  Units\nMax open files  1024  unlimited  files\n";
        let limits = parse(text).unwrap();
        assert_eq!((limits.soft, limits.hard), (SoftLimit::At(1024), SoftLimit::None));
        assert!(parse("Max open files  many  1 files").is_none());
        assert!(parse("").is_none());
    }

    #[test]
    fn a_soft_limit_is_lowered_and_raised_again() {
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let process = identity(child.id()).unwrap();
        let before = soft_limit(&process).unwrap().unwrap();
        set_soft_limit(&process, SoftLimit::At(7)).unwrap();
        assert_eq!(soft_limit(&process), Ok(Some(SoftLimit::At(7))));
        set_soft_limit(&process, before).unwrap();
        assert_eq!(soft_limit(&process), Ok(Some(before)));
        let earlier = ProcessIdentity { start_ticks: process.start_ticks - 1, ..process.clone() };
        assert_eq!(soft_limit(&earlier), Ok(None));
        assert!(set_soft_limit(&earlier, SoftLimit::At(7)).is_err());
        assert_eq!(soft_limit(&process), Ok(Some(before)), "a stranger is left alone");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(soft_limit(&process), Ok(None));
    }
}
