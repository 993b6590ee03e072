//! Locks that end with their holder: `flock` on a file. A dead process holds none.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The longest note of a lock's holder that is read, in bytes.
const NOTE_BYTES_MAX: u64 = 1024;

/// Why a lock is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("{} is held by {holder}", path.display())]
    Held {
        /// The lock's file.
        path: PathBuf,
        /// What the holder wrote into it.
        holder: String,
    },
    /// The file cannot be made or locked.
    #[error("could not lock {}", path.display())]
    File {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A lock that is held until it is dropped, or its process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes a lock, or says at once that it is held.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        Self::take_as(path, &format!("process {}", std::process::id()))
    }

    /// The same, with a note about the holder for whoever finds it held.
    pub fn take_as(path: &Path, holder: &str) -> Result<Self, LockError> {
        let failed = |source| LockError::File { path: path.to_owned(), source };
        let mut file = open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                let note = file.set_len(0).and_then(|()| file.write_all(holder.as_bytes()));
                // The note is a courtesy: on a full disk the lock still holds.
                note.unwrap_or_else(|error| tracing::warn!(%error, "could not note the holder"));
                Ok(Self { file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let note = file.rewind().map(|()| file.take(NOTE_BYTES_MAX));
                note.and_then(|mut note| note.read_to_string(&mut holder)).map_err(failed)?;
                Err(LockError::Held { path: path.to_owned(), holder })
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Whether somebody holds the lock now. A file that is not there is not held.
    pub fn is_held(path: &Path) -> bool {
        let Ok(file) = File::open(path) else { return false };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file unlocks it in any case.
        self.file.unlock().unwrap_or_else(|error| tracing::debug!(%error, "could not unlock"));
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// The lock of one system: two runs cannot attack the same system at once.
#[derive(Debug)]
pub struct SystemLock {
    _lock: Lock,
}

impl SystemLock {
    /// Takes the lock of a system in a directory that all runs of this machine share. `identity`
    /// names the system whatever it is reached through: a state directory, a cluster's address.
    pub fn take(directory: &Path, identity: &str, run: &str) -> Result<Self, LockError> {
        std::fs::create_dir_all(directory)
            .map_err(|source| LockError::File { path: directory.to_owned(), source })?;
        let digest = Sha256::digest(identity);
        let number = digest.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let path = directory.join(format!("system-{number:016x}.lock"));
        let holder = format!("run {run} (process {})", std::process::id());
        Ok(Self { _lock: Lock::take_as(&path, &holder)? })
    }
}
