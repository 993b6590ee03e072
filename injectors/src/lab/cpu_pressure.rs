//! `cpu-pressure`: instances of a service get only a small share of a processor, as on a machine
//! that is full, or in a container with too small a limit: they run for a moment in each period,
//! and wait for the next one.

use std::num::NonZeroU32;

use harness_core::fault::{CONTROL_GROUP, Hold, PROCESS};
use harness_core::ids::ServiceName;
use harness_core::topology::ProcessIdentity;
use harness_core::units::Ratio;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::process_fault::{ProcessSpec, is_healthy};
use crate::cgroup::{Group, Quota, Rule};
use crate::proxy::{Says, Seen};
use crate::standing::Standing;
use crate::targets::{Targets, Which};

/// The kernel's own period, and the one that container engines use.
const PERIOD_US: u64 = 100_000;
/// The kernel takes no smaller quota; for less, the period is longer.
const QUOTA_US_MIN: u64 = 1_000;
/// Less, and the instance would stand still for more than 200 ms at a time.
const SHARE_MIN: Ratio = Ratio::from_billionths(5_000_000);
/// More is no pressure.
const SHARE_MAX: Ratio = Ratio::from_percent(50);
/// What one connection with one request costs an instance at least.
const CONNECTION_US: u64 = 40;
/// A look opens so many connections at least, and at most.
const CONNECTIONS_MIN: u64 = 24;
const CONNECTIONS_MAX: u64 = 256;
/// So many where there is no quota to use up.
const CONNECTIONS_FREE: usize = 8;

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub(crate) struct PressureSpec {
    /// The service.
    pub(crate) service: ServiceName,
    /// How many of its instances.
    pub(crate) count: NonZeroU32,
    /// Which of them.
    pub(crate) which: Which,
    /// How much of one processor each of them gets, 0.5% to 50%.
    pub(crate) share: Ratio,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(
    rename = "PressureSpec",
    description = "Instances get only a small share of a processor."
)]
struct Written {
    /// The service.
    service: ServiceName,
    /// How many of its instances.
    #[serde(default = "crate::targets::one")]
    count: NonZeroU32,
    /// Which of them.
    #[serde(default)]
    which: Which,
    /// How much of one processor each of them gets, 0.5% to 50%.
    share: Ratio,
}

impl TryFrom<Written> for PressureSpec {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { service, count, which, share } = written;
        if !(SHARE_MIN..=SHARE_MAX).contains(&share) {
            return Err(format!(
                "a `share` of {share} of a processor is not possible; write {SHARE_MIN} to \
                 {SHARE_MAX}"
            ));
        }
        Ok(Self { service, count, which, share })
    }
}

impl PressureSpec {
    fn quota(&self) -> Quota {
        let share = self.share.billionths();
        let quota_us = PERIOD_US * share / 1_000_000_000;
        if quota_us >= QUOTA_US_MIN {
            return Quota { quota_us, period_us: PERIOD_US };
        }
        Quota { quota_us: QUOTA_US_MIN, period_us: QUOTA_US_MIN * 1_000_000_000 / share }
    }
}

/// A process is in a group with a quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Squeezed {
    /// Ours, and where the process was.
    group: Group,
    /// What the group may use.
    quota: Quota,
}

impl ProcessSpec for PressureSpec {
    const KIND: &'static str = "cpu-pressure";
    const SUMMARY: &'static str = "instances of a service get only a small share of a processor";
    const MECHANISM: &'static str = "cgroup quota";
    const METHOD: &'static str = "throttled periods of the group and requests to the instance";
    const HOLDS: &'static [Hold] = &[Hold::Changed(CONTROL_GROUP), Hold::Needed(PROCESS)];
    type Change = Squeezed;

    fn targets(&self) -> Targets<'_> {
        Targets { service: &self.service, count: self.count, which: self.which }
    }

    fn decide(&self, process: &ProcessIdentity, name: &str) -> Result<Squeezed, String> {
        let quota = self.quota();
        let group = Group::choose(Rule::Quota(quota), process, name)?;
        Ok(Squeezed { group, quota })
    }

    fn make(process: &ProcessIdentity, change: &Squeezed) -> Result<(), String> {
        change.group.enter(process, Rule::Quota(change.quota))
    }

    fn unmake(_process: &ProcessIdentity, change: &Squeezed) -> Result<(), String> {
        change.group.leave()
    }

    fn clear(_process: &ProcessIdentity, change: &Squeezed) -> Result<(), String> {
        change.group.leave()
    }

    fn standing(process: &ProcessIdentity, change: &Squeezed) -> Result<Standing, String> {
        change.group.seat(process).map(Standing::from)
    }

    /// Enough to use the quota up, whatever else the instance has to do.
    fn connections(process: &ProcessIdentity, change: &Squeezed) -> Result<usize, String> {
        if Self::standing(process, change)? != Standing::Changed {
            return Ok(CONNECTIONS_FREE);
        }
        let wanted =
            (change.quota.quota_us / CONNECTION_US).clamp(CONNECTIONS_MIN, CONNECTIONS_MAX);
        Ok(usize::try_from(wanted).expect("it is at most 256"))
    }

    fn tally(_process: &ProcessIdentity, change: &Squeezed) -> Result<Option<u64>, String> {
        change.group.throttled()
    }

    /// A process that does not want more than its share is not throttled: nothing can be said.
    fn says(standing: &Standing, tally: [Option<u64>; 2], seen: &[Seen]) -> Says {
        match (standing, tally) {
            (Standing::Changed, [Some(before), Some(after)]) if after > before => Says::InForce,
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

    const FAULT: ProcessFault<PressureSpec> = ProcessFault::INJECTOR;

    fn quota(share: &str) -> Quota {
        let spec = FAULT.check(&json!({"service": "checkout", "share": share})).unwrap();
        serde_json::from_value::<PressureSpec>(spec).unwrap().quota()
    }

    #[test]
    fn defaults_are_written_out_and_only_small_shares_are_taken() {
        assert_eq!(
            FAULT.check(&json!({"service": "checkout", "share": "2%"})).unwrap(),
            json!({"service": "checkout", "count": 1, "which": "random", "share": "2%"})
        );
        for share in ["0%", "0.4%", "51%", "100%"] {
            let error = FAULT.check(&json!({"service": "checkout", "share": share})).unwrap_err();
            assert!(error.hint.contains("write 0.5% to 50%"), "{error:?}");
        }
        assert!(FAULT.check(&json!({"service": "checkout"})).is_err(), "how little is to be said");
    }

    #[test]
    fn a_share_is_a_quota_that_the_kernel_takes() {
        assert_eq!(quota("50%"), Quota { quota_us: 50_000, period_us: 100_000 });
        assert_eq!(quota("1%"), Quota { quota_us: 1_000, period_us: 100_000 });
        assert_eq!(quota("0.5%"), Quota { quota_us: 1_000, period_us: 200_000 });
    }

    #[test]
    fn the_witness_believes_a_count_that_grows_while_it_asks() {
        let says = |standing: &Standing, tally| {
            let answered = Seen::Answered { status: 200, took: Vec::new() };
            PressureSpec::says(standing, tally, &[answered])
        };
        assert_eq!(says(&Standing::Changed, [Some(3), Some(4)]), Says::InForce);
        assert_eq!(says(&Standing::Changed, [Some(4), Some(4)]), Says::Nothing);
        assert_eq!(says(&Standing::Changed, [None, None]), Says::Nothing);
        assert_eq!(says(&Standing::Before, [None, None]), Says::NotInForce);
        assert_eq!(says(&Standing::Before, [Some(3), Some(4)]), Says::Nothing);
        let silent = PressureSpec::says(&Standing::Before, [None, None], &[Seen::Silent]);
        assert_eq!(silent, Says::Nothing);
    }
}
