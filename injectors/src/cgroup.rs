//! Control groups of the kernel (cgroups), of both versions: a live process is put into a group of
//! our own, and later back into the one that it came from.
//!
//! Whatever a group of ours does to its processes is set before the first one enters it and never
//! changed, so being in it and being under its effect are one. Whoever leaves is free at once.

mod hierarchy;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness_core::topology::ProcessIdentity;
use harness_core::units::Size;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::own_name::{is_own_name, own_name};
use crate::process::{Presence, presence};
use hierarchy::{Controller, Hierarchy, Version};

/// A group that is not empty after so many looks is left where it is.
const LOOKS_MAX: u32 = 200;
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// Files of a group that a kernel without swap does not have; then there is none to forbid.
const WITH_SWAP_ONLY: [&str; 2] = ["memory.memsw.limit_in_bytes", "memory.swap.max"];

/// A group of our own, and the one that its process comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Group {
    hierarchy: Hierarchy,
    /// Where the process was before: `/`.
    from: String,
    /// Ours: `/gameday-checkout-0-…`.
    own: String,
}

/// What a group does to whatever is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// It stands still.
    StandStill,
    /// It gets so much processor time in each period, on all processors together.
    Quota(Quota),
    /// It can take so much memory, on top of what it had before it entered: that stays with the
    /// group where it was taken. Nothing is swapped out. When it wants more and nothing can be got
    /// back, the kernel kills a process of the group, and never one outside of it.
    Memory(Size),
}

/// Processor time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Quota {
    /// So much, in microseconds.
    pub(crate) quota_us: u64,
    /// In each time of this length, in microseconds.
    pub(crate) period_us: u64,
}

impl Rule {
    fn controller(self) -> Controller {
        match self {
            Self::StandStill => Controller::Freezer,
            Self::Quota(_) => Controller::Cpu,
            Self::Memory(_) => Controller::Memory,
        }
    }

    /// The files of a group that say so, in the order in which they are written.
    fn settings(self, version: Version) -> Vec<(&'static str, String)> {
        match (self, version) {
            (Self::StandStill, Version::V1) => vec![("freezer.state", "FROZEN".to_owned())],
            (Self::StandStill, Version::V2) => vec![("cgroup.freeze", "1".to_owned())],
            (Self::Quota(Quota { quota_us, period_us }), Version::V1) => vec![
                ("cpu.cfs_period_us", period_us.to_string()),
                ("cpu.cfs_quota_us", quota_us.to_string()),
            ],
            (Self::Quota(Quota { quota_us, period_us }), Version::V2) => {
                vec![("cpu.max", format!("{quota_us} {period_us}"))]
            }
            (Self::Memory(most), Version::V1) => vec![
                // Inherited from the group above, where processes may be meant to wait for memory.
                ("memory.oom_control", "0".to_owned()),
                ("memory.limit_in_bytes", most.bytes().to_string()),
                ("memory.memsw.limit_in_bytes", most.bytes().to_string()),
            ],
            (Self::Memory(most), Version::V2) => {
                vec![("memory.max", most.bytes().to_string()), ("memory.swap.max", "0".to_owned())]
            }
        }
    }
}

/// Tries a rule on a process that is ours; says where it was found.
pub(crate) fn attempt(rule: Rule, process: &ProcessIdentity) -> Result<String, String> {
    let group = Group::choose(rule, process, &format!("probe-{}", process.pid))?;
    let entered = group.enter(process, rule);
    group.leave().and(entered)?;
    let files = rule.settings(group.hierarchy.version);
    let telling = files.iter().rfind(|(file, _)| !WITH_SWAP_ONLY.contains(file));
    let file = telling.map_or("", |(file, _)| file);
    Ok(format!("{file} in {}", group.hierarchy.mount.display()))
}

/// Where a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seat {
    /// In our group.
    Own,
    /// Where it came from.
    Origin,
    /// Somebody else put it there.
    Elsewhere(String),
}

impl Group {
    /// Chooses a group for a process, the same for the same name. Reads only.
    pub(crate) fn choose(
        rule: Rule,
        process: &ProcessIdentity,
        name: &str,
    ) -> Result<Self, String> {
        let controller = rule.controller();
        let mut why = format!("no hierarchy of cgroups with {} is mounted", controller.name());
        for hierarchy in controller.hierarchies() {
            match Self::inside(hierarchy, process, name) {
                Ok(group) => return Ok(group),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    fn inside(hierarchy: Hierarchy, process: &ProcessIdentity, name: &str) -> Result<Self, String> {
        let from = hierarchy.group_of(process)?.ok_or("it is gone")?;
        if is_ours(&from) {
            return Err(format!("another fault holds it in the group {from}"));
        }
        let parent = hierarchy.parent(&from)?;
        let own = format!("{}/{}", parent.trim_end_matches('/'), own_name(name));
        Ok(Self { hierarchy, from, own })
    }

    /// Where that very process is; `None` when it is gone.
    pub(crate) fn seat(&self, process: &ProcessIdentity) -> Result<Option<Seat>, String> {
        let group = self.hierarchy.group_of(process)?;
        Ok(group.map(|group| match group {
            group if group == self.own => Seat::Own,
            group if group == self.from => Seat::Origin,
            group => Seat::Elsewhere(group),
        }))
    }

    /// Makes the group, gives it its rule, and puts that very process into it.
    pub(crate) fn enter(&self, process: &ProcessIdentity, rule: Rule) -> Result<(), String> {
        let folder = self.folder()?;
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(format!("{}: {error}", folder.display()));
            }
            Ok(()) | Err(_) => {}
        }
        for (name, value) in rule.settings(self.hierarchy.version) {
            let file = folder.join(name);
            match write(&file, &value) {
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && WITH_SWAP_ONLY.contains(&name) => {}
                written => written.map_err(|error| format!("{}: {error}", file.display()))?,
            }
        }
        if presence(process) == Presence::Gone {
            return Err("it is gone".to_owned());
        }
        let tasks = folder.join("cgroup.procs");
        write(&tasks, &process.pid.to_string())
            .map_err(|error| format!("{}: {error}", tasks.display()))?;
        if presence(process) == Presence::Alive {
            return Ok(());
        }
        // It ended in between; should a later process have got its number, that one goes back.
        self.leave()?;
        Err("it is gone".to_owned())
    }

    /// Puts whatever is in the group back to where its process came from, and removes it. Nothing
    /// is done when there is none.
    pub(crate) fn leave(&self) -> Result<(), String> {
        let folder = self.folder()?;
        let mut why = "it does not get empty".to_owned();
        for _ in 0..LOOKS_MAX {
            match fs::remove_dir(&folder) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) if Errno::from_io_error(&error) == Some(Errno::BUSY) => {}
                Err(error) => return Err(format!("{}: {error}", folder.display())),
            }
            match self.empty(&folder) {
                // Who has ended leaves a moment later.
                Ok(0) => std::thread::sleep(LOOK_AGAIN),
                Ok(_) => {}
                Err(error) => {
                    why = error;
                    std::thread::sleep(LOOK_AGAIN);
                }
            }
        }
        Err(format!("{}: {why}", folder.display()))
    }

    /// Puts all back; how many there were.
    fn empty(&self, folder: &Path) -> Result<usize, String> {
        let tasks = folder.join("cgroup.procs");
        let text =
            fs::read_to_string(&tasks).map_err(|error| format!("{}: {error}", tasks.display()))?;
        let back = self.hierarchy.folder(&self.from).join("cgroup.procs");
        for pid in text.lines() {
            match write(&back, pid) {
                Err(error) if Errno::from_io_error(&error) != Some(Errno::SRCH) => {
                    return Err(format!(
                        "process {pid} does not go back to {}: {error}",
                        self.from
                    ));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(text.lines().count())
    }

    /// Whether all that is in the group stands still, by the kernel's own report; `None` when there
    /// is no such group.
    pub(crate) fn stands_still(&self) -> Result<Option<bool>, String> {
        Ok(match self.hierarchy.version {
            Version::V1 => self.read("freezer.state")?.map(|state| state.trim() == "FROZEN"),
            Version::V2 => self.count("cgroup.events", "frozen")?.map(|count| count == 1),
        })
    }

    /// In how many periods the quota was used up before the end; `None` when there is no such
    /// group.
    pub(crate) fn throttled(&self) -> Result<Option<u64>, String> {
        self.count("cpu.stat", "nr_throttled")
    }

    /// How many processes of the group the kernel has killed because it had no memory left for
    /// them; `None` when there is no such group.
    pub(crate) fn killed(&self) -> Result<Option<u64>, String> {
        let file = match self.hierarchy.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        self.count(file, "oom_kill ")
    }

    /// What a file of the group says; `None` when there is no such group.
    fn read(&self, file: &str) -> Result<Option<String>, String> {
        let path = self.folder()?.join(file);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // It was removed while it was read.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NODEV) => Ok(None),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// The number behind a word in a file of the group: `nr_throttled 7`.
    fn count(&self, file: &str, word: &str) -> Result<Option<u64>, String> {
        let number = |line: &str| line.strip_prefix(word)?.trim().parse().ok();
        Ok(self.read(file)?.and_then(|text| text.lines().find_map(number)))
    }

    /// Its folder; a record that names a group which is not ours is refused.
    fn folder(&self) -> Result<PathBuf, String> {
        if !is_ours(&self.own) || self.own.split('/').any(|part| part == "..") {
            return Err(format!("{} is no group of ours", self.own));
        }
        Ok(self.hierarchy.folder(&self.own))
    }
}

fn is_ours(group: &str) -> bool {
    group.rsplit('/').next().is_some_and(is_own_name)
}

/// Writes to a file that must be there.
fn write(path: &Path, text: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests;
