//! Locks that end with their holder: `flock` on a file. A dead process holds none.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;
use sha2::{Digest, Sha256};

use super::RunDir;
use crate::storage::sync_directory;

/// The longest note of a lock's holder that is read, in bytes.
const NOTE_BYTES_MAX: u64 = 1024;

/// Why a lock is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("{} is held by {}", path.display(), holder.lines().next().unwrap_or("somebody"))]
    Held {
        /// The lock's file.
        path: PathBuf,
        /// What the holder wrote into it.
        holder: String,
    },
    /// The run that attacked this system last still owes it something.
    #[error("run {run} still owes this system: {}", debts.join(", "))]
    Owes {
        /// That run's directory.
        run: PathBuf,
        /// What it owes, in words.
        debts: Vec<String>,
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
        let mut lock = Self::hold(path)?;
        // A courtesy: on a full or read-only disk the lock still holds.
        lock.note(holder).unwrap_or_else(|error| tracing::warn!(%error, "could not note who"));
        Ok(lock)
    }

    /// Takes a lock and leaves the note of its last holder in it.
    fn hold(path: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::File { path: path.to_owned(), source };
        let file = open(path).map_err(failed)?;
        let mut lock = Self { file };
        match lock.file.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => {
                let holder = lock.read_note();
                Err(LockError::Held { path: path.to_owned(), holder })
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// What the last holder wrote; empty when it wrote nothing that can be read.
    fn read_note(&mut self) -> String {
        let mut note = Vec::new();
        let read = self
            .file
            .rewind()
            .and_then(|()| (&self.file).take(NOTE_BYTES_MAX).read_to_end(&mut note));
        read.map_or_else(|_| String::new(), |_| String::from_utf8_lossy(&note).into_owned())
    }

    /// Says who holds it.
    fn note(&mut self, holder: &str) -> io::Result<()> {
        self.file.rewind()?;
        self.file.set_len(0)?;
        self.file.write_all(holder.as_bytes())
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

/// Things are put back also on a disk that cannot be written: then the file is locked as it is, and
/// where there is none, the directory that it would be in.
fn open(path: &Path) -> io::Result<File> {
    // A link is not followed, and a pipe is not waited for.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags);
    let mut writing = options.clone();
    writing.write(true).create(true).truncate(false).mode(0o600);
    match writing.open(path) {
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            match (options.open(path), path.parent()) {
                (Err(missing), Some(directory)) if missing.kind() == io::ErrorKind::NotFound => {
                    File::open(directory)
                }
                (opened, _) => opened.and_then(ours),
            }
        }
        opened => opened.and_then(ours),
    }
}

/// The lock's file is overwritten: it must be no device, nobody else's, and no other file's second
/// name. The superuser also pays what others owe, under their locks.
fn ours(file: File) -> io::Result<File> {
    let (about, own) = (file.metadata()?, geteuid());
    let is_ours = own.is_root() || about.uid() == own.as_raw();
    if about.is_file() && about.nlink() <= 1 && is_ours {
        return Ok(file);
    }
    Err(io::Error::other("it is not a file of ours with one name"))
}

/// The lock of one system: two runs cannot attack the same system at once, and none can while an
/// earlier one still owes it something, wherever the records of that one lie.
#[derive(Debug)]
pub struct SystemLock {
    _lock: Lock,
}

impl SystemLock {
    /// Takes the lock of a system in a directory that all runs of this user share, and that nobody
    /// else can change. `identity` names the system whatever it is reached through: a state
    /// directory, a container's id.
    ///
    /// The note outlives a loss of power: by it the next run knows whom to ask for debts. Where it
    /// cannot be written, the system is not attacked.
    pub fn take(directory: &Path, identity: &str, run: &RunDir) -> Result<Self, LockError> {
        let digest = Sha256::digest(identity);
        let number = digest.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let path = directory.join(format!("system-{number:016x}.lock"));
        let mut lock = Lock::hold(&path)?;
        owes_nothing(&lock.read_note())?;
        let process = std::process::id();
        let note = format!("run {} (process {process})\n{}", run.id(), run.path().display());
        let kept = lock.note(&note).and_then(|()| lock.file.sync_all());
        kept.and_then(|()| sync_directory(directory))
            .map_err(|source| LockError::File { path, source })?;
        Ok(Self { _lock: lock })
    }
}

/// Whether the run that a note names in its second line has paid. A run whose directory is gone
/// says nothing any more.
fn owes_nothing(note: &str) -> Result<(), LockError> {
    let run = note.lines().nth(1).and_then(|path| RunDir::at(Path::new(path)));
    let Some(run) = run else { return Ok(()) };
    let debts = match run.ledger() {
        Ok(ledger) => ledger.debts(),
        Err(error) => vec![format!("its ledger cannot be read: {error}")],
    };
    if debts.is_empty() {
        return Ok(());
    }
    Err(LockError::Owes { run: run.path().to_owned(), debts })
}
