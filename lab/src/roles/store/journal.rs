//! The store's append-only file, with group commit.
//!
//! One record is one line: 16 hex digits of FNV-1a over the JSON, a space, the JSON. One thread
//! writes all records that came in while the last sync ran, then syncs them together, then says
//! which are kept. A group for which there is no room is taken out again, whole: the file ends
//! where it ended before. At the start the first line that is torn or wrong ends the file, and is
//! cut off.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::orders::Record;

/// Writers that wait for the disk; more wait before they may queue.
const QUEUE: usize = 4_096;
/// Writers that are synced together.
const GROUP_MAX: usize = 1_024;

/// Why records are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum NotWritten {
    /// There was no room for them; the next ones may fit.
    #[error("the disk is full")]
    Full,
    /// The journal could not be written; the store must end.
    #[error("the journal is not written any more")]
    Stopped,
}

struct Entry {
    records: Vec<Record>,
    done: oneshot::Sender<Result<(), NotWritten>>,
}

#[derive(Debug)]
pub(super) struct Journal {
    queue: mpsc::Sender<Entry>,
}

impl Journal {
    /// Opens or makes the file, and starts the writing thread, which ends with the journal. `keep`
    /// is handed what is on disk, in its order: first what was there, then whatever is written,
    /// before its writer is told. The count is of those that were there.
    pub(super) fn open(
        path: &Path,
        mut keep: impl FnMut(&[Record]) + Send + 'static,
    ) -> io::Result<(Self, usize)> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (records, good) = replay(&bytes);
        file.cut(good)?;
        file.sync_all()?;
        keep(&records);
        let (queue, entries) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name(String::from("journal"))
            .spawn(move || write_groups(file, good, entries, keep))?;
        Ok((Self { queue }, records.len()))
    }

    /// Writes the records and returns when they, and all before them, are on disk.
    pub(super) async fn append(&self, records: Vec<Record>) -> Result<(), NotWritten> {
        let (done, written) = oneshot::channel();
        let entry = Entry { records, done };
        self.queue.send(entry).await.map_err(|_| NotWritten::Stopped)?;
        written.await.map_err(|_| NotWritten::Stopped)?
    }
}

/// What a journal is written to.
trait Disk: Write {
    /// Makes what was written outlast a loss of power.
    fn sync(&mut self) -> io::Result<()>;
    /// Ends after so many bytes, and goes on from there.
    fn cut(&mut self, bytes: u64) -> io::Result<()>;
}

impl Disk for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)?;
        self.seek(SeekFrom::Start(bytes)).map(|_| ())
    }
}

/// Writes until nobody can ask any more, or until the disk fails otherwise than by being full.
/// `good` bytes are on it.
fn write_groups(
    mut disk: impl Disk,
    mut good: u64,
    mut entries: mpsc::Receiver<Entry>,
    mut keep: impl FnMut(&[Record]),
) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while let Some(first) = entries.blocking_recv() {
        group.push(first);
        while group.len() < GROUP_MAX
            && let Ok(next) = entries.try_recv()
        {
            group.push(next);
        }
        let bytes: Vec<u8> = group.iter().flat_map(|entry| &entry.records).flat_map(line).collect();
        let written = write_whole(&mut disk, good, &bytes);
        match written {
            Ok(()) => good += bytes.len() as u64,
            Err(NotWritten::Full) => {}
            Err(NotWritten::Stopped) => return,
        }
        for Entry { records, done } in group.drain(..) {
            if written.is_ok() {
                keep(&records);
            }
            // A caller that went away does not take its order back.
            done.send(written).unwrap_or_default();
        }
    }
}

/// Writes all of it behind the good bytes, or none.
fn write_whole(disk: &mut impl Disk, good: u64, bytes: &[u8]) -> Result<(), NotWritten> {
    if bytes.is_empty() {
        return Ok(());
    }
    match disk.write_all(bytes) {
        Ok(()) => disk.sync().map_err(|_| NotWritten::Stopped),
        Err(error) if is_full(&error) => {
            disk.cut(good).and_then(|()| disk.sync()).map_err(|_| NotWritten::Stopped)?;
            Err(NotWritten::Full)
        }
        Err(_) => Err(NotWritten::Stopped),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn line(record: &Record) -> Vec<u8> {
    let json = serde_json::to_string(record).expect("records have string keys only");
    format!("{:016x} {json}\n", checksum(json.as_bytes())).into_bytes()
}

/// FNV-1a, 64 bits: enough to tell a torn line from a whole one.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The records up to the first line that is not whole, and how many bytes they take.
fn replay(bytes: &[u8]) -> (Vec<Record>, u64) {
    let mut records = Vec::new();
    let mut good = 0;
    for whole in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(record) = read_line(whole) else { break };
        records.push(record);
        good += whole.len() as u64;
    }
    (records, good)
}

fn read_line(whole: &[u8]) -> Option<Record> {
    let text = std::str::from_utf8(whole.strip_suffix(b"\n")?).ok()?;
    let (sum, json) = text.split_once(' ')?;
    let right = u64::from_str_radix(sum, 16).ok()? == checksum(json.as_bytes());
    if right { serde_json::from_str(json).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;

    fn record(key: &str) -> Record {
        Record::Delete { key: key.to_owned() }
    }

    #[test]
    fn a_file_torn_at_any_byte_keeps_every_whole_line() {
        let lines: Vec<Vec<u8>> = ["a", "b", "c"].iter().map(|key| line(&record(key))).collect();
        let all = lines.concat();
        for cut in 0..=all.len() {
            let whole = lines
                .iter()
                .scan(0, |end, line| {
                    *end += line.len();
                    Some(*end)
                })
                .filter(|end| *end <= cut)
                .count();
            let (records, good) = replay(&all[..cut]);
            assert_eq!(records.len(), whole, "cut at {cut}");
            assert_eq!(good, (0..whole).map(|at| lines[at].len() as u64).sum::<u64>());
        }
    }

    #[test]
    fn a_flipped_bit_ends_the_file_there() {
        let mut all = [line(&record("a")), line(&record("b"))].concat();
        let last = all.len() - 4;
        all[last] ^= 1;
        assert_eq!(replay(&all).0, [record("a")]);
    }

    /// Opens a journal, and shares what it keeps.
    fn open(path: &Path) -> (Journal, Arc<Mutex<Vec<Record>>>) {
        let kept: Arc<Mutex<Vec<Record>>> = Arc::default();
        let sink = Arc::clone(&kept);
        let keep = move |records: &[Record]| sink.lock().unwrap().extend_from_slice(records);
        (Journal::open(path, keep).unwrap().0, kept)
    }

    #[tokio::test]
    async fn what_was_appended_is_there_after_a_torn_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("orders.journal");
        let (journal, kept) = open(&path);
        assert!(kept.lock().unwrap().is_empty());
        journal.append(vec![record("a"), record("b")]).await.unwrap();
        assert_eq!(*kept.lock().unwrap(), [record("a"), record("b")]);
        drop(journal);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"0123 {\"del").unwrap();
        let (journal, kept) = open(&path);
        assert_eq!(*kept.lock().unwrap(), [record("a"), record("b")]);
        journal.append(vec![record("c")]).await.unwrap();
        let (records, _) = replay(&std::fs::read(&path).unwrap());
        assert_eq!(records, [record("a"), record("b"), record("c")]);
    }

    /// A disk with room for so many bytes; writes end in the middle where it ends.
    #[derive(Clone, Default)]
    struct Small {
        bytes: Arc<Mutex<Vec<u8>>>,
        room: Arc<AtomicUsize>,
        breaks: bool,
    }

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut all = self.bytes.lock().unwrap();
            let left = self.room.load(Ordering::SeqCst).saturating_sub(all.len());
            if left == 0 {
                let kind =
                    if self.breaks { io::ErrorKind::Other } else { io::ErrorKind::StorageFull };
                return Err(io::Error::from(kind));
            }
            let part = &bytes[..left.min(bytes.len())];
            all.extend_from_slice(part);
            Ok(part.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Disk for Small {
        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn cut(&mut self, bytes: u64) -> io::Result<()> {
            self.bytes.lock().unwrap().truncate(usize::try_from(bytes).unwrap());
            Ok(())
        }
    }

    impl Small {
        fn new(room: usize) -> Self {
            Self { room: Arc::new(AtomicUsize::new(room)), ..Self::default() }
        }

        fn journal(&self) -> (Journal, Arc<Mutex<Vec<Record>>>) {
            let kept: Arc<Mutex<Vec<Record>>> = Arc::default();
            let (sink, disk) = (Arc::clone(&kept), self.clone());
            let (queue, entries) = mpsc::channel(QUEUE);
            let keep = move |records: &[Record]| sink.lock().unwrap().extend_from_slice(records);
            std::thread::spawn(move || write_groups(disk, 0, entries, keep));
            (Journal { queue }, kept)
        }

        fn holds(&self) -> Vec<Record> {
            let bytes = self.bytes.lock().unwrap();
            let (records, good) = replay(&bytes);
            assert_eq!(good, bytes.len() as u64, "no half of a record is left");
            records
        }
    }

    #[tokio::test]
    async fn a_full_disk_refuses_a_write_whole_and_takes_the_next_that_fits() {
        let length = line(&record("a")).len();
        let disk = Small::new(length + length / 2);
        let (journal, kept) = disk.journal();
        journal.append(vec![record("a")]).await.unwrap();
        for _ in 0..3 {
            assert_eq!(journal.append(vec![record("b")]).await, Err(NotWritten::Full));
            assert_eq!(disk.holds(), [record("a")]);
        }
        // Two that do not fit together are both refused: each is told the truth.
        disk.room.store(2 * length + length / 2, Ordering::SeqCst);
        assert_eq!(journal.append(vec![record("c"), record("d")]).await, Err(NotWritten::Full));
        assert_eq!(journal.append(vec![record("e")]).await, Ok(()));
        assert_eq!(disk.holds(), [record("a"), record("e")]);
        assert_eq!(*kept.lock().unwrap(), [record("a"), record("e")]);
    }

    #[tokio::test]
    async fn a_disk_that_fails_otherwise_ends_the_journal() {
        let disk = Small { breaks: true, ..Small::new(1) };
        let (journal, kept) = disk.journal();
        assert_eq!(journal.append(vec![record("a")]).await, Err(NotWritten::Stopped));
        assert_eq!(journal.append(vec![record("b")]).await, Err(NotWritten::Stopped));
        assert!(kept.lock().unwrap().is_empty());
    }
}
