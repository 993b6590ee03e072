//! One bounded log file per process.
//!
//! A line is RFC 3339 time, a space and text. At its limit the file becomes `<name>.log.1` and a
//! new one begins, so a process keeps at most twice the limit. Standard error of the process
//! (a panic's message) goes to the same file.

use std::fs::{File, OpenOptions, rename};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::clock::{rfc3339, unix_ms};

/// At this many bytes a log file is set aside.
pub(crate) const LOG_BYTES_MAX: u64 = 1024 * 1024;
/// A longer line is cut.
const LINE_BYTES_MAX: usize = 1024;

/// The log of one process.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    open: Mutex<Option<(File, u64)>>,
}

impl Log {
    /// Where the log of `process` lies.
    pub(crate) fn path(state: &Path, process: &str) -> PathBuf {
        state.join("logs").join(format!("{process}.log"))
    }

    /// Opens the log to append. A log that cannot be opened is silent: a full disk must not
    /// stop the system under test.
    pub(crate) fn open(path: PathBuf) -> Self {
        let open = Mutex::new(append(&path));
        Self { path, open }
    }

    /// Writes one line.
    pub(crate) fn line(&self, text: &str) {
        let cut = text.char_indices().nth(LINE_BYTES_MAX).map_or(text.len(), |(at, _)| at);
        let line = format!("{} {}\n", rfc3339(unix_ms()), text[..cut].replace('\n', " | "));
        let mut open = self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if open.as_ref().is_some_and(|(_, bytes)| *bytes >= LOG_BYTES_MAX) {
            // When it cannot be set aside it is appended to; the next line tries again.
            rename(&self.path, self.path.with_extension("log.1")).unwrap_or_default();
            *open = append(&self.path);
        }
        if let Some((file, bytes)) = open.as_mut()
            && file.write_all(line.as_bytes()).is_ok()
        {
            *bytes += line.len() as u64;
        }
    }
}

fn append(path: &Path) -> Option<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).open(path).ok()?;
    let bytes = file.metadata().ok()?.len();
    Some((file, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_never_exceeds_twice_its_limit() {
        let directory = tempfile::tempdir().unwrap();
        let log = Log::open(directory.path().join("edge.log"));
        let text = "x".repeat(LINE_BYTES_MAX * 2);
        for _ in 0..2600 {
            log.line(&text);
        }
        let size = |name: &str| directory.path().join(name).metadata().unwrap().len();
        let slack = LINE_BYTES_MAX as u64 * 2;
        assert!(size("edge.log") <= LOG_BYTES_MAX + slack);
        assert!(size("edge.log.1") <= LOG_BYTES_MAX + slack);
    }

    #[test]
    fn a_line_break_cannot_forge_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        Log::open(path.clone()).line("one\ntwo");
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.ends_with("Z one | two\n"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }
}
