//! Where consents are kept: one file per plan, one JSON value per line, append only. Whoever can
//! write the file can consent: it records who and when, and is no signature.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use harness_core::policy::Approval;
use serde::{Deserialize, Serialize};

/// The format of each line.
pub const FORMAT: &str = "gameday.approval/1";
/// The length of a plan's hash, in hexadecimal digits.
const HASH_DIGITS: usize = 64;
/// A larger file is not read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why consents cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalsError {
    /// Not a plan's hash.
    #[error("`{hash}` is not a plan's hash: {HASH_DIGITS} hexadecimal digits")]
    NotAHash {
        /// What was given.
        hash: String,
    },
    /// A file cannot be read or written.
    #[error("could not {action} {}", path.display())]
    File {
        /// `read`, `write`, ...
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line is not a consent that this version understands.
    #[error("{} line {line}: {why}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Line {
    format: String,
    approval: Approval,
}

/// A directory of consents.
#[derive(Debug, Clone)]
pub struct ApprovalStore {
    directory: PathBuf,
}

impl ApprovalStore {
    /// The store in this directory, which need not exist yet.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Keeps a consent; returns when it would survive a loss of power.
    pub fn add(&self, approval: &Approval) -> Result<PathBuf, ApprovalsError> {
        let path = self.path(&approval.plan)?;
        let failed = |source| ApprovalsError::File { action: "write", path: path.clone(), source };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
        made.map_err(failed)?;
        let line = Line { format: FORMAT.to_owned(), approval: approval.clone() };
        let mut text = serde_json::to_string(&line).expect("plain data");
        text.push('\n');
        let mut options = File::options();
        let mut file = options.append(true).create(true).mode(0o600).open(&path).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(path)
    }

    /// All consents to a plan, also those that count no more. A line that is not understood is an
    /// error: it could be anybody's.
    pub fn of(&self, plan_sha256: &str) -> Result<Vec<Approval>, ApprovalsError> {
        let path = self.path(plan_sha256)?;
        let failed = |source| ApprovalsError::File { action: "read", path: path.clone(), source };
        let size = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        if size > FILE_BYTES_MAX {
            return Err(failed(io::Error::other(format!("it has {size} bytes"))));
        }
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        (1..).zip(text.lines()).map(|(number, line)| read(&path, number, line)).collect()
    }

    fn path(&self, hash: &str) -> Result<PathBuf, ApprovalsError> {
        let right = hash.len() == HASH_DIGITS
            && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if right {
            return Ok(self.directory.join(format!("{hash}.jsonl")));
        }
        Err(ApprovalsError::NotAHash { hash: hash.to_owned() })
    }
}

fn read(path: &Path, line: usize, text: &str) -> Result<Approval, ApprovalsError> {
    let wrong = |why: String| ApprovalsError::Line { path: path.to_owned(), line, why };
    let read: Line = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let major = read.format.split('.').take(2).collect::<Vec<_>>().join(".");
    if major != FORMAT {
        return Err(wrong(format!("its format is `{}`, this is {FORMAT}", read.format)));
    }
    Ok(read.approval)
}

#[cfg(test)]
mod tests {
    use harness_core::time::WallTime;

    use super::*;

    fn approval(plan: &str, by: &str) -> Approval {
        Approval {
            plan: plan.to_owned(),
            by: by.to_owned(),
            account: "root".to_owned(),
            at: WallTime(1),
            expires: WallTime(2),
            note: String::new(),
        }
    }

    #[test]
    fn consents_are_kept_by_plan_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let store = ApprovalStore::new(folder.path().join("deep/approvals"));
        let (one, other) = ("a".repeat(64), "b".repeat(64));
        assert_eq!(store.of(&one).unwrap(), []);
        for (plan, by) in [(&one, "anna"), (&other, "ben"), (&one, "cleo")] {
            store.add(&approval(plan, by)).unwrap();
        }
        assert_eq!(store.of(&one).unwrap(), [approval(&one, "anna"), approval(&one, "cleo")]);
        assert_eq!(store.of(&other).unwrap(), [approval(&other, "ben")]);
    }

    #[test]
    fn what_is_no_hash_or_no_consent_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = ApprovalStore::new(folder.path());
        for hash in ["", "abc", "../../etc/passwd", &"G".repeat(64), &"A".repeat(64)] {
            assert!(matches!(store.of(hash), Err(ApprovalsError::NotAHash { .. })), "{hash}");
        }
        let hash = "a".repeat(64);
        let path = store.add(&approval(&hash, "anna")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for (wrong, expected) in [
            (text.replace("approval/1", "approval/2"), "its format is"),
            ("{}\n".to_owned(), "line 1"),
            (text.clone() + "torn", "line 2"),
        ] {
            std::fs::write(&path, wrong).unwrap();
            let error = store.of(&hash).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        std::fs::write(&path, text.replace("approval/1", "approval/1.3")).unwrap();
        assert_eq!(store.of(&hash).unwrap().len(), 1, "a later minor version is read");
    }
}
