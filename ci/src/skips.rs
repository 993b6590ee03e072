//! Tests that were skipped because what they need is missing. A test appends a line
//! `name: reason`, or `group: name: reason`, to the file that `GAMEDAY_SKIPS` names; the gate fails
//! on those not allowed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The file that tests append to.
#[derive(Debug)]
pub(crate) struct SkipFile {
    path: PathBuf,
}

impl SkipFile {
    /// An empty file of this process.
    pub(crate) fn fresh() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("gameday-skips-{}", std::process::id()));
        fs::write(&path, "").with_context(|| format!("could not write {}", path.display()))?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Prints what was skipped; whether something was that should have run.
    pub(crate) fn report(&self, allowed: &[String]) -> anyhow::Result<bool> {
        let text = fs::read_to_string(&self.path).context("could not read the list of skips")?;
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        lines.dedup();
        let mut failed = false;
        for line in lines {
            let name = line.split(':').next().unwrap_or(line);
            let fine = allowed.iter().any(|allowed| allowed == name);
            failed |= !fine;
            println!("{} {line}", if fine { "skipped:" } else { "SKIPPED, but should run:" });
        }
        Ok(failed)
    }
}

impl Drop for SkipFile {
    fn drop(&mut self) {
        // Nothing depends on it: the next one has another name.
        fs::remove_file(&self.path).ok();
    }
}
