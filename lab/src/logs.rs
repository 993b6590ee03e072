//! Reading the logs of a lab, live or stopped with its logs left.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::log::LOG_BYTES_MAX;
use crate::up::{LabError, read_document};

/// The end of one process's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogText {
    /// Whose: `checkout-0`, `supervisor`, `proxy`, ...
    pub process: String,
    /// Its last lines, oldest first.
    pub lines: Vec<String>,
}

/// The last `lines` lines of each log. `process` is the name of a log (`checkout-0`), of a
/// deployment (`checkout`) or of a pod; none means all.
pub fn logs(state: &Path, process: Option<&str>, lines: usize) -> Result<Vec<LogText>, LabError> {
    let files = files(state, process)?;
    Ok(files
        .into_iter()
        .map(|(process, path)| LogText { process, lines: tail(&path, lines) })
        .collect())
}

/// Follows logs from their present end.
#[derive(Debug)]
pub struct LogFollower {
    followed: Vec<Followed>,
}

#[derive(Debug)]
struct Followed {
    process: String,
    path: PathBuf,
    at: u64,
}

impl LogFollower {
    /// Follows the logs that [`logs`] would show.
    pub fn open(state: &Path, process: Option<&str>) -> Result<Self, LabError> {
        let followed = files(state, process)?.into_iter().map(|(process, path)| {
            let at = path.metadata().map_or(0, |metadata| metadata.len());
            Followed { process, path, at }
        });
        Ok(Self { followed: followed.collect() })
    }

    /// The whole lines since the last call; does not wait. A log that was set aside at its limit
    /// is followed from the begin of the new one.
    pub fn poll(&mut self) -> Vec<LogText> {
        let more = self.followed.iter_mut().map(|one| LogText {
            process: one.process.clone(),
            lines: one.more().unwrap_or_default(),
        });
        more.filter(|text| !text.lines.is_empty()).collect()
    }
}

impl Followed {
    fn more(&mut self) -> std::io::Result<Vec<String>> {
        let mut file = File::open(&self.path)?;
        if file.metadata()?.len() < self.at {
            self.at = 0;
        }
        file.seek(SeekFrom::Start(self.at))?;
        let mut bytes = Vec::new();
        file.take(LOG_BYTES_MAX * 2).read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.at += whole as u64;
        Ok(String::from_utf8_lossy(&bytes[..whole]).lines().map(str::to_owned).collect())
    }
}

/// The last lines of one file; none when it cannot be read.
pub(crate) fn tail(path: &Path, lines: usize) -> Vec<String> {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].iter().map(|line| (*line).to_owned()).collect()
}

fn files(state: &Path, process: Option<&str>) -> Result<Vec<(String, PathBuf)>, LabError> {
    let directory = state.join("logs");
    let entries = fs::read_dir(&directory).map_err(|_| LabError::NotUp(state.to_owned()))?;
    let wanted = process.map(|name| log_of_pod(state, name).unwrap_or_else(|| name.to_owned()));
    let mut files: Vec<(String, PathBuf)> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), path)))
        .filter(|(name, _)| wanted.as_ref().is_none_or(|wanted| belongs(name, wanted)))
        .collect();
    files.sort();
    Ok(files)
}

/// Whether a log is that of `wanted` or of one of its slots.
fn belongs(log: &str, wanted: &str) -> bool {
    log == wanted
        || log
            .strip_prefix(wanted)
            .and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|slot| slot.bytes().all(|byte| byte.is_ascii_digit()))
}

fn log_of_pod(state: &Path, name: &str) -> Option<String> {
    let lab = read_document(state).ok()?;
    let pod = lab.pods.iter().find(|pod| pod.name == name)?;
    Some(format!("{}-{}", pod.deployment, pod.slot))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_name_selects_a_log_or_all_slots_of_a_deployment() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("logs")).unwrap();
        for name in ["checkout-0.log", "checkout-1.log", "checkout-1.log.1", "store-0.log"] {
            fs::write(directory.path().join("logs").join(name), "one\ntwo\nthree\n").unwrap();
        }
        let names = |process: Option<&str>| -> Vec<String> {
            let found = logs(directory.path(), process, 2).unwrap();
            assert!(found.iter().all(|text| text.lines == ["two", "three"]));
            found.into_iter().map(|text| text.process).collect()
        };
        assert_eq!(names(None), ["checkout-0", "checkout-1", "store-0"]);
        assert_eq!(names(Some("checkout")), ["checkout-0", "checkout-1"]);
        assert_eq!(names(Some("checkout-1")), ["checkout-1"]);
        assert!(names(Some("check")).is_empty());
    }

    #[test]
    fn a_follower_gives_whole_lines_and_survives_a_new_file() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("logs")).unwrap();
        let path = directory.path().join("logs").join("edge-0.log");
        fs::write(&path, "before it was followed\n").unwrap();
        let mut follower = LogFollower::open(directory.path(), None).unwrap();
        assert!(follower.poll().is_empty());
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"one\nha").unwrap();
        assert_eq!(follower.poll()[0].lines, ["one"]);
        file.write_all(b"lf\n").unwrap();
        assert_eq!(follower.poll()[0].lines, ["half"]);
        fs::write(&path, "new\n").unwrap();
        assert_eq!(follower.poll()[0].lines, ["new"]);
    }
}
