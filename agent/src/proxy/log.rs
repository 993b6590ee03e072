//! The proxy's log: one line per event of the control side, appended to a file.
//!
//! A log that cannot be written is given up: the proxy stands on living edges and goes on.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::clock::wall_millis;

/// After so many bytes nothing more is written.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Where lines go; a clone writes to the same file.
#[derive(Debug, Clone)]
pub(super) struct Log {
    file: Option<Arc<Mutex<Sheet>>>,
}

#[derive(Debug)]
struct Sheet {
    file: File,
    written: u64,
}

impl Log {
    /// Appends to the file at this path; without one, nothing is written.
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else { return Ok(Self { file: None }) };
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let written = file.metadata()?.len();
        Ok(Self { file: Some(Arc::new(Mutex::new(Sheet { file, written }))) })
    }

    /// Writes one line with the wall clock's time.
    pub(super) fn line(&self, text: &str) {
        let Some(sheet) = &self.file else { return };
        let mut sheet = sheet.lock().unwrap_or_else(PoisonError::into_inner);
        let now = wall_millis();
        let line = format!("{}.{:03} {text}\n", now / 1000, now % 1000);
        if sheet.written + line.len() as u64 <= LOG_BYTES_MAX
            && sheet.file.write_all(line.as_bytes()).is_ok()
        {
            sheet.written += line.len() as u64;
        }
    }
}
