//! File systems that only the system under test sees: found by what a process keeps open, told
//! apart by device and mount namespace, and reached through any process that sees them.
//!
//! What is done in them is not decided here.

mod filler;
mod mounts;

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use harness_core::topology::ProcessIdentity;
use rustix::fs::{Mode, OFlags, fstat, fstatvfs, major, minor, open};
use serde::{Deserialize, Serialize};

use crate::process::{Presence, boot_id, pids, presence};
use mounts::{Mount, mounts};

pub(crate) use filler::{Filler, Found, nameless};

/// So often all processes of a namespace are asked for a way in, before it is given up.
const LOOKS_MAX: u32 = 3;
/// The last octal digit of a descriptor's flags says how it was opened; 0 is for reading only.
const ACCESS_MASK: u32 = 0o3;

/// A file system that cannot be taken for another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Volume {
    /// Where its processes see it.
    mount_point: String,
    /// Its number: `0:57`. The kernel uses it again when the file system is gone: what is removed
    /// from it must be known by a name of its own, too.
    device: String,
    /// The number of the mount namespace that sees it.
    namespace: u64,
    /// Numbers mean nothing in another boot.
    boot_id: String,
}

/// A way to a volume.
#[derive(Debug)]
pub(crate) enum Reach {
    /// Its root directory.
    There(OwnedFd),
    /// No process is left that sees it, so nothing of it matters any more.
    Gone,
}

impl Volume {
    /// The one that this process, and nobody outside of its mount namespace, writes to. Reads only.
    pub(crate) fn of(process: &ProcessIdentity) -> Result<Self, String> {
        let pid = process.pid;
        let namespace = mount_namespace(pid)?;
        let theirs = mounts(&pid.to_string())?;
        let mount = choose(&written_devices(pid)?, &theirs, &mounts("self")?)?.clone();
        if presence(process) == Presence::Gone {
            return Err("it is gone".to_owned());
        }
        let Mount { device, point, .. } = mount;
        Ok(Self { mount_point: point, device, namespace, boot_id: process.boot_id.clone() })
    }

    /// Opens it by way of whatever process sees it: the one that it was found by may have been
    /// replaced.
    pub(crate) fn reach(&self) -> Result<Reach, String> {
        if self.boot_id != boot_id() {
            return Ok(Reach::Gone);
        }
        let mut why = String::new();
        for _ in 0..LOOKS_MAX {
            // Who may not be asked belongs to somebody else, and not to this system.
            let mut inside = pids();
            inside.retain(|pid| mount_namespace(*pid).is_ok_and(|it| it == self.namespace));
            if inside.is_empty() {
                return Ok(Reach::Gone);
            }
            for pid in inside {
                match self.open_by(pid) {
                    Ok(directory) => return Ok(Reach::There(directory)),
                    Err(error) => why = error,
                }
            }
        }
        Err(why)
    }

    fn open_by(&self, pid: u32) -> Result<OwnedFd, String> {
        let path = format!("/proc/{pid}/root{}", self.mount_point);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let failed = |error: rustix::io::Errno| format!("{path}: {error}");
        let directory = open(&path, flags, Mode::empty()).map_err(failed)?;
        let found = device_name(fstat(&directory).map_err(failed)?.st_dev);
        if found != self.device {
            return Err(format!("{path} is on {found} now, and was on {}", self.device));
        }
        Ok(directory)
    }
}

impl std::fmt::Display for Volume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "file system {} at {}", self.device, self.mount_point)
    }
}

/// How much room a file system has, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// Room is handed out in pieces of so many.
    pub(crate) block: u64,
    pub(crate) total: u64,
    /// What anybody may still take.
    pub(crate) available: u64,
}

impl Space {
    /// As it is now.
    pub(crate) fn of(file: impl AsFd) -> Result<Self, String> {
        let told = fstatvfs(file).map_err(|error| format!("statvfs: {error}"))?;
        let block = told.f_frsize.max(1);
        let bytes = |blocks: u64| blocks.saturating_mul(block);
        Ok(Self { block, total: bytes(told.f_blocks), available: bytes(told.f_bavail) })
    }

    /// How much more than that is available, in whole blocks.
    fn beyond(self, kept: u64) -> u64 {
        self.available.saturating_sub(kept) / self.block * self.block
    }
}

/// The one file system that is written to and that we do not see ourselves.
fn choose<'a>(
    written: &BTreeSet<String>,
    theirs: &'a [Mount],
    ours: &[Mount],
) -> Result<&'a Mount, String> {
    let (mut own, mut shared) = (Vec::new(), Vec::new());
    for device in written {
        let of_device = |mount: &&Mount| mount.device == *device;
        let whole = theirs.iter().filter(of_device).rfind(|mount| mount.root == "/");
        if ours.iter().any(|mount| mount.device == *device) {
            shared.push(device.as_str());
        } else if let Some(mount) = whole {
            own.push(mount);
        }
    }
    match own[..] {
        [mount] => Ok(mount),
        [] => Err(format!(
            "it writes to no file system of its own ({}); others see what it writes to, too, and \
             nothing is filled that others need: a lab has a volume of its own where it may mount \
             one",
            if shared.is_empty() { "it has no file open".to_owned() } else { shared.join(", ") }
        )),
        [..] => Err(format!("it writes to {} file systems of its own", own.len())),
    }
}

/// The file systems on which a process has a file open to write to it.
fn written_devices(pid: u32) -> Result<BTreeSet<String>, String> {
    let folder = format!("/proc/{pid}/fd");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))?;
    let mut devices = BTreeSet::new();
    for entry in entries.flatten() {
        // What was closed meanwhile is not written to.
        let Ok(file) = fs::metadata(entry.path()) else { continue };
        let info = format!("/proc/{pid}/fdinfo/{}", entry.file_name().to_string_lossy());
        let info = fs::read_to_string(info).unwrap_or_default();
        if file.is_file() && is_for_writing(&info) {
            devices.insert(device_name(file.dev()));
        }
    }
    Ok(devices)
}

fn is_for_writing(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & ACCESS_MASK != 0)
}

/// As mount tables write it.
fn device_name(device: u64) -> String {
    format!("{}:{}", major(device), minor(device))
}

/// The number of the mount namespace of a process.
fn mount_namespace(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/ns/mnt");
    fs::metadata(&path).map(|found| found.ino()).map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod tests;
