//! Files of rules and of data, and the rules that come with gameday.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::PolicyError;

/// A larger file is refused, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// A directory with more files is refused.
const FILES_MAX: usize = 200;

/// One file of rules (`.rego`) or of data (`.json`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What it is called in messages.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// SHA-256 of the text, in hexadecimal: which rules were asked.
    pub fn sha256(&self) -> String {
        Sha256::digest(&self.text).iter().fold(String::new(), |mut text, byte| {
            text += &format!("{byte:02x}");
            text
        })
    }

    /// Data, not rules.
    pub(crate) fn is_data(&self) -> bool {
        has_extension(Path::new(&self.name), "json")
    }
}

/// The rules that always hold, beside those of a scenario.
pub fn default_rules() -> Source {
    Source { name: "default.rego".to_owned(), text: include_str!("rules/default.rego").to_owned() }
}

/// Reads files, and directories with all rules and data in them (not those below). Files of tests,
/// `*_test.rego`, are left out of directories unless `tests` asks for them.
pub fn read(paths: &[PathBuf], tests: Tests) -> Result<Vec<Source>, PolicyError> {
    let mut sources = Vec::new();
    for path in paths {
        let failed = |source| PolicyError::File { path: path.clone(), source };
        if std::fs::metadata(path).map_err(failed)?.is_dir() {
            let mut files: Vec<PathBuf> = Vec::new();
            for entry in std::fs::read_dir(path).map_err(failed)? {
                let file = entry.map_err(failed)?.path();
                if is_policy(&file) && (tests == Tests::With || !is_test(&file)) {
                    files.push(file);
                }
                if files.len() > FILES_MAX {
                    let why = format!("holds more than {FILES_MAX} policies");
                    return Err(PolicyError::NotPolicy { path: path.clone(), why });
                }
            }
            files.sort();
            for file in files {
                sources.push(read_file(&file)?);
            }
        } else if is_policy(path) {
            sources.push(read_file(path)?);
        } else {
            let why = "is neither `.rego` nor `.json`".to_owned();
            return Err(PolicyError::NotPolicy { path: path.clone(), why });
        }
    }
    Ok(sources)
}

/// Whether tests of rules are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tests {
    /// They are.
    With,
    /// They are not.
    Without,
}

fn read_file(path: &Path) -> Result<Source, PolicyError> {
    let failed = |source| PolicyError::File { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        let why = format!("is larger than {FILE_BYTES_MAX} bytes");
        return Err(PolicyError::NotPolicy { path: path.to_owned(), why });
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(Source { name: path.display().to_string(), text })
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

fn is_policy(path: &Path) -> bool {
    has_extension(path, "rego") || has_extension(path, "json")
}

fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("_test"))
}
