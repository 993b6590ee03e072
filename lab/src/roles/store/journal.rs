//! The store's append-only file, with group commit.
//!
//! One record is one line: 16 hex digits of FNV-1a over the JSON, a space, the JSON. One thread
//! writes all records that came in while the last sync ran, then syncs them together. At the
//! start the first line that is torn or wrong ends the file, and is cut off.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::orders::Record;

/// Writers that wait for the disk; more wait before they may queue.
const QUEUE: usize = 4_096;
/// Writers that are synced together.
const GROUP_MAX: usize = 1_024;

type Entry = (Vec<u8>, oneshot::Sender<()>);

/// The journal could not be written; the store must end.
#[derive(Debug, Error)]
#[error("the journal is not written any more")]
pub(super) struct Stopped;

#[derive(Debug)]
pub(super) struct Journal {
    queue: mpsc::Sender<Entry>,
}

impl Journal {
    /// Opens or makes the file, gives its records, and starts the writing thread, which ends
    /// with the journal.
    pub(super) fn open(path: &Path) -> std::io::Result<(Self, Vec<Record>)> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (records, good) = replay(&bytes);
        file.set_len(good)?;
        file.seek(SeekFrom::End(0))?;
        file.sync_all()?;
        let (queue, entries) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name(String::from("journal"))
            .spawn(move || write_groups(file, entries))?;
        Ok((Self { queue }, records))
    }

    /// Writes the records and returns when they, and all before them, are on disk.
    pub(super) async fn append(&self, records: &[Record]) -> Result<(), Stopped> {
        let bytes: Vec<u8> = records.iter().flat_map(line).collect();
        let (done, synced) = oneshot::channel();
        self.queue.send((bytes, done)).await.map_err(|_| Stopped)?;
        synced.await.map_err(|_| Stopped)
    }
}

fn write_groups(mut file: File, mut entries: mpsc::Receiver<Entry>) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while let Some(first) = entries.blocking_recv() {
        group.push(first);
        while group.len() < GROUP_MAX
            && let Ok(next) = entries.try_recv()
        {
            group.push(next);
        }
        let bytes: Vec<u8> = group.iter().flat_map(|(bytes, _)| bytes).copied().collect();
        let written =
            bytes.is_empty() || (file.write_all(&bytes).is_ok() && file.sync_data().is_ok());
        if !written {
            return;
        }
        for (_, done) in group.drain(..) {
            // A caller that went away does not take its order back.
            done.send(()).unwrap_or_default();
        }
    }
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

    #[tokio::test]
    async fn what_was_appended_is_there_after_a_torn_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("orders.journal");
        let (journal, records) = Journal::open(&path).unwrap();
        assert!(records.is_empty());
        journal.append(&[record("a"), record("b")]).await.unwrap();
        drop(journal);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"0123 {\"del").unwrap();
        let (journal, records) = Journal::open(&path).unwrap();
        assert_eq!(records, [record("a"), record("b")]);
        journal.append(&[record("c")]).await.unwrap();
        let (records, _) = replay(&std::fs::read(&path).unwrap());
        assert_eq!(records, [record("a"), record("b"), record("c")]);
    }
}
