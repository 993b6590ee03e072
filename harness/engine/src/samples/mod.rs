//! `samples.bin`: every closed window of a run, one record each, in the order of closing.
//!
//! A first line names the format. A record is its length (4 bytes), the beginning of its SHA-256
//! (8 bytes) and its bytes, see `codec`. All numbers are little-endian. Windows are handed out one
//! by one: a whole run of decoded histograms would not fit into memory.

mod codec;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use harness_core::load::WindowSamples;
use sha2::{Digest, Sha256};

use crate::format::{self, FormatError};
use crate::storage::{Storage, Syncing};

/// The format of `samples.bin`; a reader refuses a newer major version.
pub const FORMAT: &str = "gameday.samples/1";
/// The longest record, in bytes.
pub const RECORD_BYTES_MAX: u32 = 16 << 20;
const FORMAT_BYTES_MAX: usize = 64;
const SUM_BYTES: usize = 8;

/// Why samples cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SamplesError {
    /// The file cannot be read.
    #[error("could not read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Written in a format that this build does not know, or no file of samples at all.
    #[error("could not understand the samples")]
    Format(#[from] FormatError),
    /// A record was changed after it was written, or is not what this build wrote.
    #[error("record {number} of the samples is damaged: {why}")]
    Damaged {
        /// Its number, from 1.
        number: u64,
        /// What does not fit.
        why: String,
    },
}

/// Samples that are being written.
pub struct SamplesWriter {
    storage: Box<dyn Storage>,
}

impl SamplesWriter {
    /// Begins a new, empty file.
    pub fn begin(mut storage: Box<dyn Storage>) -> io::Result<Self> {
        storage.append(format!("{FORMAT}\n").as_bytes())?;
        storage.sync()?;
        Ok(Self { storage })
    }

    /// Appends a window. It survives the death of this process, not yet a loss of power.
    pub fn append(&mut self, window: &WindowSamples) -> io::Result<()> {
        let payload = codec::encode(window)?;
        let length = u32::try_from(payload.len()).ok().filter(|length| *length < RECORD_BYTES_MAX);
        let length = length.ok_or_else(|| io::Error::other("a window's record is too long"))?;
        let mut record = Vec::with_capacity(payload.len() + 4 + SUM_BYTES);
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&sum(&payload));
        record.extend_from_slice(&payload);
        self.storage.append(&record)
    }

    /// A sync of all windows so far, to be done elsewhere: a disk may hang.
    pub fn syncing(&self) -> Syncing {
        self.storage.syncing()
    }
}

fn sum(payload: &[u8]) -> [u8; SUM_BYTES] {
    let digest = Sha256::digest(payload);
    std::array::from_fn(|index| digest[index])
}

/// Samples that are being read: an iterator of windows. Ends at an unfinished last record, and
/// after the first error.
pub struct SamplesReader {
    input: Box<dyn Read + Send>,
    path: PathBuf,
    number: u64,
    ended: bool,
    torn: bool,
}

impl std::fmt::Debug for SamplesReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SamplesReader").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SamplesReader {
    /// Opens a file and reads its first line.
    pub fn open(path: &Path) -> Result<Self, SamplesError> {
        let file = File::open(path)
            .map_err(|source| SamplesError::File { path: path.to_owned(), source })?;
        Self::new(Box::new(BufReader::new(file)), path)
    }

    fn new(input: Box<dyn Read + Send>, path: &Path) -> Result<Self, SamplesError> {
        let mut reader =
            Self { input, path: path.to_owned(), number: 0, ended: false, torn: false };
        let mut first = Vec::new();
        while first.len() < FORMAT_BYTES_MAX {
            match reader.exactly::<1>()? {
                Some([b'\n']) => {
                    format::accept(&String::from_utf8_lossy(&first), FORMAT)?;
                    return Ok(reader);
                }
                Some([byte]) => first.push(byte),
                // The writer died before its first line was finished: no window was written.
                None => {
                    (reader.ended, reader.torn) = (true, true);
                    return Ok(reader);
                }
            }
        }
        Err(FormatError::Malformed { found: String::from_utf8_lossy(&first).into_owned() }.into())
    }

    /// Whether the last record was never finished. Known once the iterator has ended.
    pub fn is_torn(&self) -> bool {
        self.torn
    }

    fn exactly<const N: usize>(&mut self) -> Result<Option<[u8; N]>, SamplesError> {
        let mut bytes = [0; N];
        let read = self.fill(&mut bytes)?;
        self.torn |= read > 0 && read < N;
        Ok((read == N).then_some(bytes))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<usize, SamplesError> {
        let mut read = 0;
        while read < bytes.len() {
            match self.input.read(&mut bytes[read..]) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(SamplesError::File { path: self.path.clone(), source }),
            }
        }
        Ok(read)
    }

    fn record(&mut self) -> Result<Option<WindowSamples>, SamplesError> {
        let Some(head) = self.exactly::<{ 4 + SUM_BYTES }>()? else { return Ok(None) };
        self.number += 1;
        let number = self.number;
        let damaged = |why: &str| SamplesError::Damaged { number, why: why.to_owned() };
        let (length, expected) = head.split_at(4);
        let length = u32::from_le_bytes(length.try_into().expect("split at four bytes"));
        if length >= RECORD_BYTES_MAX {
            return Err(damaged("its length cannot be"));
        }
        let mut payload = vec![0; length as usize];
        if self.fill(&mut payload)? < payload.len() {
            self.torn = true;
            return Ok(None);
        }
        if sum(&payload) != expected {
            return Err(damaged("it does not match its checksum"));
        }
        codec::decode(&payload).map(Some).map_err(|why| SamplesError::Damaged { number, why })
    }
}

impl Iterator for SamplesReader {
    type Item = Result<WindowSamples, SamplesError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let record = self.record().transpose();
        self.ended = !matches!(record, Some(Ok(_)));
        record
    }
}

#[cfg(test)]
mod tests;
