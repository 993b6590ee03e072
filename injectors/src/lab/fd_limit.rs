//! `fd-limit`: instances of a service can open no more files and sockets than a few.
//!
//! The soft limit of the live process is lowered, never its hard limit: that could not be raised
//! again without privileges.

use std::num::NonZeroU32;

use harness_core::fault::{Hold, PROCESS};
use harness_core::ids::ServiceName;
use harness_core::topology::ProcessIdentity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::process_fault::{ProcessSpec, is_healthy};
use crate::descriptors::{SoftLimit, limit_with_room, room, set_soft_limit, soft_limit};
use crate::proxy::{Says, Seen};
use crate::standing::Standing;
use crate::targets::{Targets, Which};

/// More room is no shortage.
const ROOM_MAX: u32 = 64;
/// A look opens so many connections more than there is room for: some may end in between.
const BEYOND: u64 = 24;
/// A look never opens more than so many.
const CONNECTIONS_MAX: u64 = 512;

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub(crate) struct LimitSpec {
    /// The service.
    pub(crate) service: ServiceName,
    /// How many of its instances.
    pub(crate) count: NonZeroU32,
    /// Which of them.
    pub(crate) which: Which,
    /// How many descriptors each may still open, 0 to 64.
    pub(crate) room: u32,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "LimitSpec", description = "Instances can open only a few more descriptors.")]
struct Written {
    /// The service.
    service: ServiceName,
    /// How many of its instances.
    #[serde(default = "crate::targets::one")]
    count: NonZeroU32,
    /// Which of them.
    #[serde(default)]
    which: Which,
    /// How many descriptors each may still open.
    #[schemars(range(max = 64))]
    #[serde(default)]
    room: u32,
}

impl TryFrom<Written> for LimitSpec {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { service, count, which, room } = written;
        if room > ROOM_MAX {
            return Err(format!("a room of {room} is no shortage; write 0 to {ROOM_MAX}"));
        }
        Ok(Self { service, count, which, room })
    }
}

/// A soft limit is lowered. To what is decided when it is done, by what is open then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Lowered {
    /// What it was.
    from: SoftLimit,
    /// How many descriptors may still be opened.
    room: u32,
}

impl Lowered {
    fn target(&self, process: &ProcessIdentity) -> Result<u64, String> {
        let to = limit_with_room(process, u64::from(self.room))?;
        match self.from {
            SoftLimit::At(now) if now <= to => {
                Err(format!("its limit of {now} leaves no more room than was asked for"))
            }
            SoftLimit::At(_) | SoftLimit::None => Ok(to),
        }
    }
}

/// What a caller sees that the process has no room for; what did not even open, or is odd, may be
/// a shortage of our own.
fn is_refused(seen: &Seen) -> bool {
    !is_healthy(seen) && !matches!(seen, Seen::Odd(_) | Seen::Unopened(_))
}

impl ProcessSpec for LimitSpec {
    const KIND: &'static str = "fd-limit";
    const SUMMARY: &'static str = "instances of a service can open no more files and sockets";
    const MECHANISM: &'static str = "prlimit";
    const METHOD: &'static str = "/proc/PID/limits and connections to the instance";
    const HOLDS: &'static [Hold] =
        &[Hold::Changed("the limit of descriptors"), Hold::Needed(PROCESS)];
    type Change = Lowered;

    fn targets(&self) -> Targets<'_> {
        Targets { service: &self.service, count: self.count, which: self.which }
    }

    fn decide(&self, process: &ProcessIdentity, _name: &str) -> Result<Lowered, String> {
        let from = soft_limit(process)?.ok_or("it is gone")?;
        let change = Lowered { from, room: self.room };
        change.target(process).map(|_| change)
    }

    fn make(process: &ProcessIdentity, change: &Lowered) -> Result<(), String> {
        set_soft_limit(process, SoftLimit::At(change.target(process)?))
    }

    fn unmake(process: &ProcessIdentity, change: &Lowered) -> Result<(), String> {
        set_soft_limit(process, change.from)
    }

    fn standing(process: &ProcessIdentity, change: &Lowered) -> Result<Standing, String> {
        Ok(match (soft_limit(process)?, change.from) {
            (None, _) => Standing::Gone,
            (Some(now), before) if now == before => Standing::Before,
            (Some(SoftLimit::At(_)), SoftLimit::None) => Standing::Changed,
            (Some(SoftLimit::At(now)), SoftLimit::At(before)) if now < before => Standing::Changed,
            (Some(now), _) => Standing::Other(format!("its limit is {now:?}")),
        })
    }

    /// What was open when the limit was set may have ended since, and left its room to others.
    fn connections(process: &ProcessIdentity, change: &Lowered) -> Result<usize, String> {
        let left = match Self::standing(process, change)? {
            Standing::Changed => room(process)?,
            Standing::Before | Standing::Gone | Standing::Other(_) => None,
        };
        let connections = left.unwrap_or(u64::from(change.room)) + BEYOND;
        Ok(usize::try_from(connections.min(CONNECTIONS_MAX)).expect("it is at most 512"))
    }

    fn says(standing: &Standing, _tally: [Option<u64>; 2], seen: &[Seen]) -> Says {
        match standing {
            // The kernel takes the connection, and the process cannot.
            Standing::Changed if seen.iter().any(is_refused) => Says::InForce,
            Standing::Before if seen.iter().all(is_healthy) => Says::NotInForce,
            Standing::Changed | Standing::Before | Standing::Gone | Standing::Other(_) => {
                Says::Nothing
            }
        }
    }
}
