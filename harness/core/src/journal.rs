//! One line of the journal, and its format version. The engine writes and reads the file.

use serde::{Deserialize, Serialize};

use crate::event::{Event, Issued};
use crate::time::{RunTime, WallTime};

/// The format of `journal.jsonl`; a reader refuses a newer major version.
pub const FORMAT: &str = "gameday.journal/1";

/// One entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When, on the run's clock.
    pub at: RunTime,
    /// When, by the wall clock.
    pub wall: WallTime,
    /// What.
    pub what: What,
}

/// What an entry records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// The first line: whose journal this is.
    Header(Header),
    /// Something that reached the conductor.
    Event(Event),
    /// Something that it asked for, in answer to the event before.
    Command(Issued),
}

/// Whose journal this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// The run.
    pub run: String,
    /// SHA-256 of the plan.
    pub plan_sha256: String,
    /// The version of gameday that wrote it.
    pub gameday: String,
}
