//! Where the store keeps its journal: a small file system of the lab's own, which can be full
//! without anything else being so. Only the processes of the lab see it, and it ends with them.
//!
//! Where mounting is not permitted the journal lies on the ordinary disk.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::UnshareFlags;

/// The directory in the state directory of a lab.
pub(crate) const DIRECTORY: &str = "data";
/// The journal in it.
pub(crate) const JOURNAL: &str = "data/orders.journal";
/// Its size, 128 MiB, and who may use it: about 900,000 orders fit. Only what is written takes
/// memory.
const OPTIONS: &std::ffi::CStr = c"size=128m,mode=0700";

/// Where the journal's directory is.
pub(crate) fn directory(state: &Path) -> PathBuf {
    state.join(DIRECTORY)
}

/// Gives this process, and all that it starts from now on, a view of the file systems of its own,
/// and in it a volume for the journal. Only before the process has a second thread. The directory
/// is there afterwards, whatever came of the rest.
pub(crate) fn mount_own(state: &Path) -> Result<(), String> {
    let directory = directory(state);
    let failed = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    fs::create_dir_all(&directory)
        .map_err(|error| failed(&directory.display().to_string(), &error))?;
    #[expect(deprecated, reason = "it is unsound for open files only, and those are not unshared")]
    let entered = rustix::thread::unshare(UnshareFlags::NEWNS);
    entered.map_err(|error| failed("no mount namespace", &error))?;
    // What is mounted here from now on is seen nowhere else.
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(|error| failed("mounts stay shared", &error))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("gameday-lab", &directory, "tmpfs", flags, OPTIONS)
        .map_err(|error| failed("no volume can be mounted", &error))
}
