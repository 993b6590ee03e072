//! Files that only grow: the port behind journal, ledger and samples, and its one real form.
//!
//! Knows no format. Simulations put a disk of their own behind the same port.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// Returns when all that was appended before it was made would survive a loss of power. May take
/// long, on a disk that hangs for ever; may be called on any thread.
pub type Syncing = Box<dyn FnOnce() -> io::Result<()> + Send>;

/// A file that only grows.
pub trait Storage: Send {
    /// Appends all bytes, or none: after an error the file ends where it ended before.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// A sync of what was appended so far.
    fn syncing(&self) -> Syncing;

    /// The same, done at once.
    fn sync(&self) -> io::Result<()> {
        (self.syncing())()
    }

    /// Whether a sync may take long, so that async callers must not do it on their own thread.
    fn may_block(&self) -> bool {
        true
    }
}

/// A real file.
#[derive(Debug)]
pub struct FileStorage {
    file: Arc<File>,
}

impl FileStorage {
    /// Makes a new file, readable by its owner alone, and syncs its directory, so that the name
    /// itself survives. An error when it is there already.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        file.sync_all()?;
        sync_directory(path.parent().unwrap_or(Path::new(".")))?;
        Ok(Self { file: Arc::new(file) })
    }

    /// Opens a file that is there and that nobody else writes any more. Bytes after `keep` are cut
    /// off first: the rest of a line that was never finished.
    pub fn open(path: &Path, keep: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).open(path)?;
        if file.metadata()?.len() > keep {
            file.set_len(keep)?;
            file.sync_all()?;
        }
        Ok(Self { file: Arc::new(file) })
    }

    /// Opens a file that is there and that another process may still write: nothing is cut off, as
    /// what looks unfinished may be a line of the other's by now. Busy when the last line is not
    /// finished, since nothing can follow it.
    pub fn join(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).open(path)?;
        let mut last = [b'\n'];
        if let Some(at) = file.metadata()?.len().checked_sub(1) {
            file.read_exact_at(&mut last, at)?;
        }
        if last == [b'\n'] {
            return Ok(Self { file: Arc::new(file) });
        }
        Err(io::Error::from(io::ErrorKind::ResourceBusy))
    }

    /// Appends to any file, also a device; for tests of a full disk.
    #[cfg(test)]
    pub(crate) fn any(path: &Path) -> io::Result<Self> {
        Ok(Self { file: Arc::new(OpenOptions::new().append(true).open(path)?) })
    }
}

impl Storage for FileStorage {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let before = self.file.metadata()?.len();
        (&*self.file).write_all(bytes).inspect_err(|_| {
            // A full disk may have taken the beginning. When even this fails, the reader finds a
            // torn tail, which it tolerates.
            if let Err(error) = self.file.set_len(before) {
                tracing::warn!(%error, "could not cut off a line that was not written whole");
            }
        })
    }

    fn syncing(&self) -> Syncing {
        let file = Arc::clone(&self.file);
        Box::new(move || file.sync_data())
    }
}

/// Syncs a directory, so that names made or changed in it survive a loss of power.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
pub(crate) mod memory {
    //! A disk in memory that can be read after a crash, with or without what was not synced, and
    //! that can be told to fail.

    use std::io;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Arc, Mutex};

    use super::{Storage, Syncing};

    #[derive(Debug, Default)]
    struct Disk {
        bytes: Vec<u8>,
        synced: usize,
        operations: u64,
        fail_from: Option<u64>,
        fail_until: u64,
        crash_from: Option<u64>,
    }

    /// A disk; clones are the same disk.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Memory(Arc<Mutex<Disk>>);

    impl Memory {
        /// Every operation from the n-th on (until `until`) fails, as on a full disk.
        pub(crate) fn fail(&self, from: u64, until: u64) {
            let mut disk = self.0.lock().unwrap();
            (disk.fail_from, disk.fail_until) = (Some(from), until);
        }

        /// The n-th operation and all after it never happen: the process died just before.
        pub(crate) fn crash(&self, from: u64) {
            self.0.lock().unwrap().crash_from = Some(from);
        }

        /// Whether the process that writes this disk is dead.
        pub(crate) fn is_crashed(&self) -> bool {
            let disk = self.0.lock().unwrap();
            disk.crash_from.is_some_and(|from| disk.operations >= from)
        }

        /// What a later process finds: all that was synced, and `more` of the other bytes.
        pub(crate) fn after_crash(&self, more: usize) -> Self {
            let disk = self.0.lock().unwrap();
            let bytes = disk.bytes[..(disk.synced + more).min(disk.bytes.len())].to_vec();
            let synced = bytes.len();
            Self(Arc::new(Mutex::new(Disk { bytes, synced, ..Disk::default() })))
        }

        /// Cuts off what follows.
        pub(crate) fn truncate(&self, keep: usize) {
            let mut disk = self.0.lock().unwrap();
            disk.bytes.truncate(keep);
            disk.synced = keep;
        }

        pub(crate) fn bytes(&self) -> Vec<u8> {
            self.0.lock().unwrap().bytes.clone()
        }

        /// How many of the bytes would survive a loss of power.
        pub(crate) fn synced(&self) -> usize {
            self.0.lock().unwrap().synced
        }

        fn step(disk: &mut Disk) -> io::Result<()> {
            disk.operations += 1;
            if disk.crash_from.is_some_and(|from| disk.operations >= from) {
                return Err(io::Error::other("dead"));
            }
            let full = disk
                .fail_from
                .is_some_and(|from| disk.operations >= from && disk.operations < disk.fail_until);
            if full { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
        }
    }

    impl Storage for Memory {
        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            let mut disk = self.0.lock().unwrap();
            Self::step(&mut disk)?;
            disk.bytes.extend_from_slice(bytes);
            Ok(())
        }

        fn syncing(&self) -> Syncing {
            let disk = self.clone();
            Box::new(move || {
                let mut disk = disk.0.lock().unwrap();
                Self::step(&mut disk)?;
                disk.synced = disk.bytes.len();
                Ok(())
            })
        }

        fn may_block(&self) -> bool {
            false
        }
    }

    /// A disk that hangs: it takes all lines, but after the first few syncs none ends, until it is
    /// let go.
    pub(crate) struct Hanging {
        syncs_left: AtomicU32,
        let_go: Arc<Mutex<Receiver<()>>>,
    }

    impl Hanging {
        /// It is let go when the other one is dropped.
        pub(crate) fn after(syncs: u32) -> (Self, Sender<()>) {
            let (hold, let_go) = channel();
            let let_go = Arc::new(Mutex::new(let_go));
            (Self { syncs_left: AtomicU32::new(syncs), let_go }, hold)
        }
    }

    impl Storage for Hanging {
        fn append(&mut self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }

        fn syncing(&self) -> Syncing {
            let left = self.syncs_left.load(Ordering::Relaxed);
            self.syncs_left.store(left.saturating_sub(1), Ordering::Relaxed);
            let let_go = Arc::clone(&self.let_go);
            Box::new(move || {
                if left == 0 {
                    // Nothing is ever sent.
                    let_go.lock().unwrap().recv().unwrap_err();
                }
                Ok(())
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_an_error() {
        let mut full = FileStorage::any(Path::new("/dev/full")).unwrap();
        let error = full.append(b"line\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_torn_tail_is_cut_off_when_a_file_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        FileStorage::create(&path).unwrap().append(b"whole\nto").unwrap();
        let mut again = FileStorage::open(&path, 6).unwrap();
        again.append(b"next\n").unwrap();
        again.sync().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole\nnext\n");
        let error = FileStorage::create(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_file_that_another_still_writes_is_never_cut() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut theirs = FileStorage::create(&path).unwrap();
        theirs.append(b"whole\nto").unwrap();
        let busy = FileStorage::join(&path).unwrap_err();
        assert_eq!(busy.kind(), io::ErrorKind::ResourceBusy);
        theirs.append(b"rn\n").unwrap();
        FileStorage::join(&path).unwrap().append(b"ours\n").unwrap();
        theirs.append(b"theirs\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole\ntorn\nours\ntheirs\n");
    }
}
