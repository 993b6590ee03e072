//! `process-pause`: instances of a service stand still, as in a long collection of garbage or on a
//! machine that swaps: connections are taken by the kernel, and nothing comes back.

use std::num::NonZeroU32;

use harness_core::fault::{Hold, PROCESS};
use harness_core::ids::ServiceName;
use harness_core::topology::ProcessIdentity;
use rustix::process::Signal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::process_fault::{ProcessSpec, is_healthy};
use crate::process::{is_stopped, signal};
use crate::proxy::{Says, Seen};
use crate::standing::Standing;
use crate::targets::{Targets, Which};

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PauseSpec {
    /// The service.
    pub(crate) service: ServiceName,
    /// How many of its instances.
    #[serde(default = "crate::targets::one")]
    pub(crate) count: NonZeroU32,
    /// Which of them.
    #[serde(default)]
    pub(crate) which: Which,
}

/// A process is stopped; it was running before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Stop {}

impl ProcessSpec for PauseSpec {
    const KIND: &'static str = "process-pause";
    const SUMMARY: &'static str = "instances of a service stand still, and go on afterwards";
    const MECHANISM: &'static str = "SIGSTOP";
    const METHOD: &'static str = "state in /proc and a request to the instance";
    const HOLDS: &'static [Hold] = &[Hold::Changed(PROCESS)];
    type Change = Stop;

    fn targets(&self) -> Targets<'_> {
        Targets { service: &self.service, count: self.count, which: self.which }
    }

    fn decide(&self, process: &ProcessIdentity, _name: &str) -> Result<Stop, String> {
        match is_stopped(process) {
            Some(false) => Ok(Stop {}),
            Some(true) => Err("somebody else has stopped it".to_owned()),
            None => Err("it is gone".to_owned()),
        }
    }

    fn make(process: &ProcessIdentity, _change: &Stop) -> Result<(), String> {
        signal(process, Signal::STOP).map(|_| ()).map_err(|error| error.to_string())
    }

    fn unmake(process: &ProcessIdentity, _change: &Stop) -> Result<(), String> {
        signal(process, Signal::CONT).map(|_| ()).map_err(|error| error.to_string())
    }

    /// A stop that was sent may not show yet; SIGCONT also discards one that is pending.
    fn clear(process: &ProcessIdentity, change: &Stop) -> Result<(), String> {
        Self::unmake(process, change)
    }

    fn standing(process: &ProcessIdentity, _change: &Stop) -> Result<Standing, String> {
        Ok(match is_stopped(process) {
            Some(true) => Standing::Changed,
            Some(false) => Standing::Before,
            None => Standing::Gone,
        })
    }

    fn connections(_process: &ProcessIdentity, _change: &Stop) -> Result<usize, String> {
        Ok(1)
    }

    fn says(standing: &Standing, _tally: [Option<u64>; 2], seen: &[Seen]) -> Says {
        match standing {
            Standing::Changed if seen.iter().all(|one| *one == Seen::Silent) => Says::InForce,
            Standing::Before if seen.iter().all(is_healthy) => Says::NotInForce,
            Standing::Changed | Standing::Before | Standing::Gone | Standing::Other(_) => {
                Says::Nothing
            }
        }
    }
}
