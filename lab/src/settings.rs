//! What one lab is started with.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::defects::Defects;

/// What [`crate::up`] needs to know. Written to `<state>/settings.json` for the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The state directory; made when missing, refused when a live lab is in it.
    pub state: PathBuf,
    /// The program that holds the roles: the `gameday` binary.
    pub program: PathBuf,
    /// What stands before `--role` in a role's arguments: the hidden subcommand.
    pub role_arguments: Vec<String>,
    /// Program and arguments of the process that stands on every declared edge. The lab appends
    /// `--config <state>/proxy.json --socket <state>/proxy.sock --log <state>/logs/proxy.log`.
    /// Without one, callers dial their dependencies directly.
    pub interposer: Option<Vec<String>>,
    /// What is wrong with this lab.
    pub defects: Defects,
}
