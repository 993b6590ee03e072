//! Where the kernel's control groups are mounted, and in which of them a process is. Reads only.

use std::fs;
use std::path::{Path, PathBuf};

use harness_core::topology::ProcessIdentity;
use serde::{Deserialize, Serialize};

use crate::process::{Presence, presence};

/// What is to be had from a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Controller {
    /// A quota of processor time.
    Cpu,
    /// Processes stand still.
    Freezer,
    /// A limit of memory.
    Memory,
}

/// The two interfaces of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Version {
    /// One hierarchy for each controller.
    V1,
    /// One hierarchy for all.
    V2,
}

/// One mounted hierarchy, as far as a controller is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Hierarchy {
    pub(super) version: Version,
    pub(super) controller: Controller,
    /// Where it is mounted: `/sys/fs/cgroup/freezer`.
    pub(super) mount: PathBuf,
}

impl Controller {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Freezer => "freezer",
            Self::Memory => "memory",
        }
    }

    /// Every hierarchy that has it and may be written. The newer interface comes first: what stands
    /// still in it can still be killed.
    pub(super) fn hierarchies(self) -> Vec<Hierarchy> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut found: Vec<_> = mounts.lines().filter_map(|line| self.mounted(line)).collect();
        found.sort_by_key(|one| one.version == Version::V1);
        found
    }

    /// Reads one line of `/proc/self/mountinfo`.
    fn mounted(self, line: &str) -> Option<Hierarchy> {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        // A part of a hierarchy has other paths than those that the kernel tells.
        let (root, at) = (mount.next()?, mount.next()?);
        if !mount.next()?.split(',').any(|option| option == "rw") {
            return None;
        }
        let mut filesystem = filesystem.split(' ');
        let version = match (root, filesystem.next()?) {
            ("/", "cgroup") => Version::V1,
            ("/", "cgroup2") => Version::V2,
            _ => return None,
        };
        let options = filesystem.nth(1).unwrap_or_default();
        let has = match (version, self) {
            (Version::V1, _) => options.split(',').any(|one| one == self.name()),
            (Version::V2, Self::Cpu | Self::Memory) => {
                lists(&Path::new(at).join("cgroup.controllers"), self.name())
            }
            // It is no controller there: every group has it.
            (Version::V2, Self::Freezer) => true,
        };
        has.then(|| Hierarchy { version, controller: self, mount: at.into() })
    }
}

/// Whether a file of names has this one.
fn lists(file: &Path, name: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text.split_whitespace().any(|one| one == name))
}

impl Hierarchy {
    /// The folder of a group.
    pub(super) fn folder(&self, group: &str) -> PathBuf {
        self.mount.join(group.trim_start_matches('/'))
    }

    /// The group of that very process; `None` when it is gone.
    pub(super) fn group_of(&self, process: &ProcessIdentity) -> Result<Option<String>, String> {
        let path = format!("/proc/{}/cgroup", process.pid);
        let text = fs::read_to_string(&path);
        // Looked at afterwards: what was read before the process ended is not of a later one.
        if presence(process) == Presence::Gone {
            return Ok(None);
        }
        let text = text.map_err(|error| format!("{path}: {error}"))?;
        match text.lines().find_map(|line| self.named(line)) {
            Some(group) if group.split('/').any(|part| part == "..") => {
                Err(format!("its group {group} lies outside of what can be seen from here"))
            }
            Some(group) => Ok(Some(group.to_owned())),
            None => Err(format!("{path} names no group in {}", self.mount.display())),
        }
    }

    /// The group in one line of `/proc/PID/cgroup`, where it is one of this hierarchy.
    fn named<'a>(&self, line: &'a str) -> Option<&'a str> {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
        let own = match self.version {
            Version::V1 => controllers.split(',').any(|one| one == self.controller.name()),
            Version::V2 => number == "0" && controllers.is_empty(),
        };
        own.then_some(group)
    }

    /// In which group one for a process of `from` is made. Limits above stay in force.
    pub(super) fn parent(&self, from: &str) -> Result<String, String> {
        if self.version == Version::V1 {
            return Ok(from.to_owned());
        }
        // There, a group that holds processes hands no controller on to groups inside of it.
        let mut above = from;
        while above != "/" {
            above = above.rsplit_once('/').map_or("/", |(above, _)| above);
            above = if above.is_empty() { "/" } else { above };
            if self.hands_on(above) {
                return Ok(above.to_owned());
            }
        }
        if self.hands_on("/") {
            return Ok("/".to_owned());
        }
        Err(format!("no group above {from} hands {} on", self.controller.name()))
    }

    fn hands_on(&self, group: &str) -> bool {
        self.controller == Controller::Freezer
            || lists(&self.folder(group).join("cgroup.subtree_control"), self.controller.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_by_version_and_controller() {
        let v1 = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct";
        let found = Controller::Cpu.mounted(v1).unwrap();
        assert_eq!((found.version, found.controller), (Version::V1, Controller::Cpu));
        assert_eq!(found.folder("/a/b"), Path::new("/sys/fs/cgroup/cpu,cpuacct/a/b"));
        assert_eq!(Controller::Freezer.mounted(v1), None);
        assert_eq!(Controller::Memory.mounted(v1), None);
        let memory = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
        assert_eq!(Controller::Memory.mounted(memory).unwrap().version, Version::V1);
        let v2 = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
        assert_eq!(Controller::Freezer.mounted(v2).unwrap().version, Version::V2);
        let part = "33 31 0:30 /docker/a /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu";
        assert_eq!(Controller::Cpu.mounted(part), None);
        let fixed = "33 31 0:30 / /sys/fs/cgroup/cpu ro,relatime - cgroup cgroup rw,cpu";
        assert_eq!(Controller::Cpu.mounted(fixed), None, "nothing can be made there");
        assert_eq!(Controller::Cpu.mounted("36 31 0:33 / /home rw - ext4 /dev/a rw,cpu"), None);
    }

    fn hierarchy(version: Version, mount: &Path) -> Hierarchy {
        Hierarchy { version, controller: Controller::Cpu, mount: mount.to_owned() }
    }

    #[test]
    fn the_group_of_a_process_is_that_of_the_hierarchy() {
        let lines = ["4:memory:/a", "2:cpu,cpuacct:/b:c", "0::/d"];
        let in_version = |version| {
            let hierarchy = hierarchy(version, Path::new("/x"));
            lines.iter().find_map(|line| hierarchy.named(line))
        };
        assert_eq!((in_version(Version::V1), in_version(Version::V2)), (Some("/b:c"), Some("/d")));
    }

    #[test]
    fn a_group_is_made_inside_or_under_the_nearest_that_hands_the_controller_on() {
        let mount = tempfile::tempdir().unwrap();
        assert_eq!(hierarchy(Version::V1, mount.path()).parent("/a/b").unwrap(), "/a/b");
        let v2 = hierarchy(Version::V2, mount.path());
        let control = |group: &str, text: &str| {
            let folder = v2.folder(group);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("cgroup.subtree_control"), text).unwrap();
        };
        control("/", "memory pids");
        control("/a", "cpuset memory");
        assert!(v2.parent("/a/b").is_err(), "nobody hands it on");
        control("/", "cpu memory");
        assert_eq!((v2.parent("/a/b").unwrap(), v2.parent("/").unwrap()), ("/".into(), "/".into()));
        control("/a", "cpu");
        control("/a/b", "cpu");
        assert_eq!(v2.parent("/a/b").unwrap(), "/a", "never inside");
    }
}
