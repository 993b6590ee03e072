//! `process-freeze`: instances of a service are frozen by the kernel's freezer, as a container
//! engine pauses a container: connections are taken by the kernel, and nothing comes back.

use std::num::NonZeroU32;

use harness_core::fault::{CONTROL_GROUP, Hold, PROCESS};
use harness_core::ids::ServiceName;
use harness_core::topology::ProcessIdentity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::process_fault::{ProcessSpec, is_healthy};
use crate::cgroup::{Group, Rule};
use crate::proxy::{Says, Seen};
use crate::standing::Standing;
use crate::targets::{Targets, Which};

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FreezeSpec {
    /// The service.
    pub(crate) service: ServiceName,
    /// How many of its instances.
    #[serde(default = "crate::targets::one")]
    pub(crate) count: NonZeroU32,
    /// Which of them.
    #[serde(default)]
    pub(crate) which: Which,
}

/// A process is in a group that stands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Frozen {
    /// Ours, and where the process was.
    group: Group,
}

impl ProcessSpec for FreezeSpec {
    const KIND: &'static str = "process-freeze";
    const SUMMARY: &'static str = "instances of a service are frozen, and go on afterwards";
    const MECHANISM: &'static str = "cgroup freezer";
    const METHOD: &'static str = "the group's state and a request to the instance";
    const HOLDS: &'static [Hold] = &[Hold::Changed(PROCESS), Hold::Changed(CONTROL_GROUP)];
    type Change = Frozen;

    fn targets(&self) -> Targets<'_> {
        Targets { service: &self.service, count: self.count, which: self.which }
    }

    fn decide(&self, process: &ProcessIdentity, name: &str) -> Result<Frozen, String> {
        Group::choose(Rule::StandStill, process, name).map(|group| Frozen { group })
    }

    fn make(process: &ProcessIdentity, change: &Frozen) -> Result<(), String> {
        change.group.enter(process, Rule::StandStill)
    }

    fn unmake(_process: &ProcessIdentity, change: &Frozen) -> Result<(), String> {
        change.group.leave()
    }

    fn clear(_process: &ProcessIdentity, change: &Frozen) -> Result<(), String> {
        change.group.leave()
    }

    fn standing(process: &ProcessIdentity, change: &Frozen) -> Result<Standing, String> {
        change.group.seat(process).map(Standing::from)
    }

    fn connections(_process: &ProcessIdentity, _change: &Frozen) -> Result<usize, String> {
        Ok(1)
    }

    /// 1 when all of the group stands still, which the kernel reports once it is so.
    fn tally(_process: &ProcessIdentity, change: &Frozen) -> Result<Option<u64>, String> {
        Ok(change.group.stands_still()?.map(u64::from))
    }

    fn says(standing: &Standing, tally: [Option<u64>; 2], seen: &[Seen]) -> Says {
        match (standing, tally) {
            (Standing::Changed, [Some(1), Some(1)])
                if seen.iter().all(|one| *one == Seen::Silent) =>
            {
                Says::InForce
            }
            (Standing::Before, [_, None]) if seen.iter().all(is_healthy) => Says::NotInForce,
            _ => Says::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::DynInjector as _;
    use serde_json::json;

    use super::*;
    use crate::lab::process_fault::ProcessFault;

    #[test]
    fn defaults_are_written_out() {
        let fault = ProcessFault::<FreezeSpec>::INJECTOR;
        assert_eq!(
            fault.check(&json!({"service": "checkout"})).unwrap(),
            json!({"service": "checkout", "count": 1, "which": "random"})
        );
        assert!(fault.check(&json!({"service": "checkout", "by": "signal"})).is_err());
    }

    #[test]
    fn the_witness_believes_the_kernel_and_the_caller_together() {
        let says =
            |standing: &Standing, tally, seen: Seen| FreezeSpec::says(standing, tally, &[seen]);
        let answered = || Seen::Answered { status: 200, took: Vec::new() };
        let (still, runs) = ([Some(1); 2], [Some(0); 2]);
        assert_eq!(says(&Standing::Changed, still, Seen::Silent), Says::InForce);
        assert_eq!(says(&Standing::Changed, still, answered()), Says::Nothing);
        assert_eq!(says(&Standing::Changed, runs, Seen::Silent), Says::Nothing);
        assert_eq!(says(&Standing::Before, [None; 2], answered()), Says::NotInForce);
        assert_eq!(says(&Standing::Before, still, answered()), Says::Nothing, "it is not removed");
        assert_eq!(says(&Standing::Before, [None; 2], Seen::Silent), Says::Nothing);
        assert_eq!(says(&Standing::Gone, [None; 2], answered()), Says::Nothing);
    }
}
