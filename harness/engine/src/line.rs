//! Files of checked lines: `<16 hex digits of the JSON's SHA-256> <JSON>\n`, append only.
//!
//! A process that dies while it writes leaves at most one unfinished line at the end: the reader
//! tolerates it. A finished line that does not match its sum was changed afterwards: the reader
//! names it and goes on; what that means is the caller's decision.

use std::fmt::Write as _;
use std::io;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::storage::{Storage, Syncing};

/// The longest line that is written, in bytes.
pub const LINE_BYTES_MAX: usize = 1 << 20;
const SUM_DIGITS: usize = 16;

/// A file of lines that is being written.
pub struct LineWriter {
    storage: Box<dyn Storage>,
}

impl LineWriter {
    /// Goes on at the end of a file.
    pub fn new(storage: Box<dyn Storage>) -> Self {
        Self { storage }
    }

    /// Appends one line. It survives the death of this process, not yet a loss of power.
    pub fn append<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        let json = serde_json::to_string(value).map_err(io::Error::other)?;
        if json.len() > LINE_BYTES_MAX {
            let bytes = json.len();
            return Err(io::Error::other(format!("a line of {bytes} bytes is too long")));
        }
        self.storage.append(line(&json).as_bytes())
    }

    /// Returns when all lines would survive a loss of power.
    pub fn sync(&mut self) -> io::Result<()> {
        self.storage.sync()
    }

    /// The same, to be done elsewhere.
    pub fn syncing(&self) -> Syncing {
        self.storage.syncing()
    }

    /// Whether a sync may take long.
    pub fn may_block(&self) -> bool {
        self.storage.may_block()
    }
}

/// One line with its sum and its end.
fn line(json: &str) -> String {
    let mut text = sum(json.as_bytes());
    text.push(' ');
    text.push_str(json);
    text.push('\n');
    text
}

fn sum(json: &[u8]) -> String {
    Sha256::digest(json).iter().take(SUM_DIGITS / 2).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// One good line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number, from 1.
    pub number: usize,
    /// Its JSON.
    pub json: &'a str,
}

/// What a file of lines holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines<'a> {
    /// The good ones in order.
    pub good: Vec<Line<'a>>,
    /// Numbers of finished lines that do not match their sum.
    pub flipped: Vec<usize>,
    /// Bytes up to the end of the last finished line.
    pub finished_bytes: usize,
    /// Whether an unfinished line follows.
    pub torn: bool,
}

/// Reads a whole file.
pub fn read(bytes: &[u8]) -> Lines<'_> {
    let (mut good, mut flipped, mut finished_bytes) = (Vec::new(), Vec::new(), 0);
    for (index, chunk) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let Some(text) = chunk.strip_suffix(b"\n") else { break };
        finished_bytes += chunk.len();
        match checked(text) {
            Some(json) => good.push(Line { number: index + 1, json }),
            None => flipped.push(index + 1),
        }
    }
    Lines { good, flipped, finished_bytes, torn: finished_bytes < bytes.len() }
}

fn checked(text: &[u8]) -> Option<&str> {
    let (found, rest) = text.split_at_checked(SUM_DIGITS)?;
    let json = rest.strip_prefix(b" ")?;
    (sum(json).as_bytes() == found).then(|| std::str::from_utf8(json).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::memory::Memory;

    fn written(values: &[String]) -> Vec<u8> {
        let disk = Memory::default();
        let mut writer = LineWriter::new(Box::new(disk.clone()));
        for value in values {
            writer.append(value).unwrap();
        }
        disk.bytes()
    }

    fn texts(lines: &Lines<'_>) -> Vec<String> {
        lines.good.iter().map(|line| serde_json::from_str(line.json).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn lines_round_trip_and_every_cut_gives_the_lines_before_it(
            values in prop::collection::vec(".{0,20}", 0..6), cut in 0_usize..400,
        ) {
            let bytes = written(&values);
            let whole = read(&bytes);
            prop_assert_eq!(texts(&whole), values.clone());
            prop_assert!(!whole.torn && whole.flipped.is_empty());
            let cut = cut.min(bytes.len());
            let part = read(&bytes[..cut]);
            let finished = crate::testing::lines(&bytes[..cut]);
            prop_assert_eq!(texts(&part), values[..finished].to_vec());
            prop_assert!(part.flipped.is_empty());
            prop_assert_eq!(part.torn, cut > part.finished_bytes);
        }

        #[test]
        fn a_flipped_bit_is_named_with_its_line(at in 0_usize..10_000, bit in 0_u8..8) {
            let values = ["one", "two", "three"].map(str::to_owned);
            let mut bytes = written(&values);
            let at = at % bytes.len();
            let number = crate::testing::lines(&bytes[..at]) + 1;
            bytes[at] ^= 1 << bit;
            let lines = read(&bytes);
            // A lost line end at the very end of the file looks like an unfinished line.
            prop_assert!(lines.flipped.contains(&number) || (lines.torn && number == 3));
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_refused() {
        let mut writer = LineWriter::new(Box::new(Memory::default()));
        assert!(writer.append(&"x".repeat(LINE_BYTES_MAX)).is_err());
    }
}
