//! The journal, `journal.jsonl`: everything that happened and everything that was asked for, in the
//! one order. Writes, reads and replays it; what an entry means is core's business.

use std::io;
use std::path::{Path, PathBuf};

use harness_core::journal::{Entry, FORMAT, Header, What};

use crate::format::{self, FormatError};
use crate::line::{self, LineWriter};
use crate::storage::{Storage, Syncing};

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read.
    #[error("could not read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line was changed after it was written.
    #[error("line {line} of the journal does not match its checksum")]
    Flipped {
        /// Its number, from 1.
        line: usize,
    },
    /// A line is whole, but is not an entry.
    #[error("could not understand line {line} of the journal")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The first line is not a header, or is missing.
    #[error("the journal has no header")]
    Headless,
    /// Written in a format that this build does not know.
    #[error("could not understand the journal")]
    Format(#[from] FormatError),
}

/// A journal that is being written.
pub struct JournalWriter {
    lines: LineWriter,
}

impl JournalWriter {
    /// Begins a new, empty journal with its header.
    pub fn begin(storage: Box<dyn Storage>, header: &Entry) -> io::Result<Self> {
        assert!(matches!(header.what, What::Header(_)), "a journal begins with its header");
        let mut journal = Self { lines: LineWriter::new(storage) };
        journal.append(header)?;
        journal.lines.sync()?;
        Ok(journal)
    }

    /// Appends an entry. It survives the death of this process, not yet a loss of power.
    pub fn append(&mut self, entry: &Entry) -> io::Result<()> {
        self.lines.append(entry)
    }

    /// A sync of all entries so far, to be done elsewhere: a disk may hang.
    pub fn syncing(&self) -> Syncing {
        self.lines.syncing()
    }

    /// Whether a sync may take long.
    pub fn may_block(&self) -> bool {
        self.lines.may_block()
    }
}

/// A journal that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// Whose it is.
    pub header: Header,
    /// All entries after the header, in order.
    pub entries: Vec<Entry>,
    /// Its last line was never finished: the writer died.
    pub torn: bool,
}

impl Journal {
    /// Reads a journal file.
    pub fn read(path: &Path) -> Result<Self, JournalError> {
        let bytes = std::fs::read(path)
            .map_err(|source| JournalError::File { path: path.to_owned(), source })?;
        Self::from_bytes(&bytes)
    }

    /// Reads a journal from its bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, JournalError> {
        let lines = line::read(bytes);
        if let Some(line) = lines.flipped.first() {
            return Err(JournalError::Flipped { line: *line });
        }
        let (mut header, mut entries) = (None, Vec::with_capacity(lines.good.len()));
        for line in lines.good {
            let entry: Entry = serde_json::from_str(line.json)
                .map_err(|source| JournalError::Line { line: line.number, source })?;
            match (entry.what, &header) {
                (What::Header(found), None) => {
                    format::accept(&found.format, FORMAT)?;
                    header = Some(found);
                }
                (_, None) => return Err(JournalError::Headless),
                (what, Some(_)) => entries.push(Entry { what, ..entry }),
            }
        }
        let header = header.ok_or(JournalError::Headless)?;
        Ok(Self { header, entries, torn: lines.torn })
    }
}

#[cfg(test)]
mod tests {
    use harness_core::event::{Event, Lost};
    use harness_core::time::{RunTime, WallTime};
    use proptest::prelude::*;

    use super::*;
    use crate::storage::memory::Memory;

    fn entry(what: What) -> Entry {
        Entry { at: RunTime::from_nanos(7), wall: WallTime(8), what }
    }

    fn header(format: &str) -> Entry {
        entry(What::Header(Header {
            format: format.into(),
            run: "r".into(),
            plan_sha256: "00".into(),
            gameday: "0".into(),
        }))
    }

    fn written(format: &str, events: &[Event]) -> Vec<u8> {
        let disk = Memory::default();
        let mut journal = JournalWriter::begin(Box::new(disk.clone()), &header(format)).unwrap();
        for event in events {
            journal.append(&entry(What::Event(event.clone()))).unwrap();
        }
        disk.bytes()
    }

    fn events(count: usize) -> Vec<Event> {
        let lost = |index| Event::Lost(Lost::System { why: format!("{index}") });
        (0..count).map(lost).collect()
    }

    proptest! {
        #[test]
        fn a_journal_that_breaks_off_gives_its_finished_entries(
            count in 0_usize..5, cut in 0_usize..2_000,
        ) {
            let bytes = written(FORMAT, &events(count));
            let cut = cut.min(bytes.len());
            let lines = crate::testing::lines(&bytes[..cut]);
            match Journal::from_bytes(&bytes[..cut]) {
                Ok(journal) => prop_assert_eq!(journal.entries.len() + 1, lines),
                Err(JournalError::Headless) => prop_assert_eq!(lines, 0),
                Err(error) => prop_assert!(false, "{error}"),
            }
        }
    }

    #[test]
    fn damage_newer_formats_and_missing_headers_are_refused() {
        let mut bytes = written(FORMAT, &events(3));
        let at = bytes.len() - 5;
        bytes[at] ^= 4;
        let error = Journal::from_bytes(&bytes).unwrap_err();
        assert!(matches!(error, JournalError::Flipped { line: 4 }), "{error}");
        let newer = written("gameday.journal/2", &[]);
        assert!(matches!(Journal::from_bytes(&newer), Err(JournalError::Format(_))));
        let whole = written(FORMAT, &events(1));
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        assert!(matches!(Journal::from_bytes(&whole[first..]), Err(JournalError::Headless)));
    }
}
