//! Marks of faults that were reverted: an injection that comes after its own revert must not take
//! effect, whichever process makes it. One empty file per fault, in a directory of this user's.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;

use rustix::process::getuid;

fn directory() -> PathBuf {
    std::env::temp_dir().join(format!("gameday-exec-{}", getuid().as_raw()))
}

/// A fault's name is made of the run's, the trial's and the scenario's own: no slash is in it.
fn path(name: &str) -> PathBuf {
    directory().join(name.replace('/', "_"))
}

/// Marks a fault as reverted.
pub(crate) fn reverted(name: &str) -> io::Result<()> {
    let directory = directory();
    DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
    let owner = std::fs::symlink_metadata(&directory)?;
    if !owner.is_dir() || owner.uid() != getuid().as_raw() {
        return Err(io::Error::other(format!("{} is not ours", directory.display())));
    }
    File::options().create(true).append(true).open(path(name)).map(drop)
}

/// Whether a fault was reverted before.
pub(crate) fn is_reverted(name: &str) -> bool {
    path(name).exists()
}
