//! A file that takes the room of a file system. It appears under its name only when it is whole,
//! and holds that name: what is removed is known to be ours by the record alone.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use harness_core::units::Size;
use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, Mode, OFlags, Stat, fallocate, fstat, linkat, openat,
    statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use super::Space;
use crate::own_name::{is_own_name, own_name};

/// So often the room is measured again while others write.
const FILLS_MAX: u32 = 16;

/// The file of one fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filler {
    /// In the root directory of the file system; no other fault has it, ever.
    name: String,
}

/// What lies under the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Our file.
    Ours,
    /// Nothing.
    Nothing,
    /// Something that is not ours; the words say what.
    Other(String),
}

impl Filler {
    /// The file of the fault of this name.
    pub(crate) fn named(fault: &str) -> Self {
        Self { name: own_name(fault) }
    }

    /// What it begins with.
    pub(super) fn marker(&self) -> String {
        format!("gameday fills this file system; this file goes away again: {}\n", self.name)
    }

    /// Looks what lies under its name. Reads only.
    pub(crate) fn find(&self, directory: &OwnedFd) -> Result<Found, String> {
        self.look(directory).map(|(found, _)| found)
    }

    fn look(&self, directory: &OwnedFd) -> Result<(Found, Option<Stat>), String> {
        let name = self.checked_name()?;
        let failed = |error: Errno| format!("{name}: {error}");
        let other = |why: &str| Ok((Found::Other(format!("{name} {why}")), None));
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(directory, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok((Found::Nothing, None)),
            Err(Errno::LOOP) => return other("is a link"),
            Err(error) => return Err(failed(error)),
        };
        let stat = fstat(&file).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return other("is no file");
        }
        if stat.st_dev != fstat(directory).map_err(failed)?.st_dev {
            return other("is on another file system");
        }
        if stat.st_uid != geteuid().as_raw() || stat.st_nlink != 1 {
            return other("belongs to another user, or has another name, too");
        }
        let marker = self.marker();
        let mut begin = Vec::with_capacity(marker.len());
        let length = u64::try_from(marker.len()).expect("a line");
        let read = File::from(file).take(length).read_to_end(&mut begin);
        read.map_err(|error| format!("{name}: {error}"))?;
        if begin != marker.as_bytes() {
            return other("does not begin as ours does");
        }
        Ok((Found::Ours, Some(stat)))
    }

    /// Takes all room but `keep_free`. Cut off anywhere, it leaves either nothing or the whole
    /// file: until it has its name it is nobody's, and ends with this process.
    pub(crate) fn make(&self, directory: &OwnedFd, keep_free: Size) -> Result<(), String> {
        let name = self.checked_name()?;
        let failed = |what: &str, error: &dyn std::fmt::Display| format!("{what} {name}: {error}");
        let file = nameless(directory).map_err(|error| failed("make", &error))?;
        let mut file = File::from(file);
        file.write_all(self.marker().as_bytes()).map_err(|error| failed("write", &error))?;
        fill(&file, keep_free)?;
        let nameless = format!("/proc/self/fd/{}", file.as_raw_fd());
        linkat(CWD, nameless, directory, name, AtFlags::SYMLINK_FOLLOW)
            .map_err(|error| failed("name", &error))
    }

    /// Removes it; whatever else has its name stays. What was found is told.
    pub(crate) fn remove(&self, directory: &OwnedFd) -> Result<Found, String> {
        let (found, stat) = self.look(directory)?;
        let Some(stat) = stat else { return Ok(found) };
        let failed = |error: Errno| format!("{}: {error}", self.name);
        let now = statat(directory, &self.name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        if now.st_ino != stat.st_ino {
            return Ok(Found::Other(format!("{} was replaced under our hands", self.name)));
        }
        unlinkat(directory, &self.name, AtFlags::empty()).map_err(failed)?;
        Ok(found)
    }

    /// A record that names what cannot be ours is refused.
    fn checked_name(&self) -> Result<&str, String> {
        if is_own_name(&self.name) {
            return Ok(&self.name);
        }
        Err(format!("`{}` is no file of ours", self.name))
    }
}

/// A file without a name: it is gone as soon as nobody has it open.
pub(crate) fn nameless(directory: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    openat(directory, ".", flags, Mode::RUSR | Mode::WUSR)
}

/// Makes the file longer until only so much is left. What others take meanwhile is taken from
/// what is kept.
fn fill(file: &File, keep_free: Size) -> Result<(), String> {
    let mut length = Space::of(file)?.block;
    for _ in 0..FILLS_MAX {
        let more = Space::of(file)?.beyond(keep_free.bytes());
        if more == 0 {
            return Ok(());
        }
        match fallocate(file.as_fd(), FallocateFlags::empty(), 0, length + more) {
            Ok(()) => length += more,
            // Somebody was quicker.
            Err(Errno::NOSPC) => {}
            Err(error) => return Err(format!("fallocate: {error}")),
        }
    }
    Err("it does not get full".to_owned())
}
