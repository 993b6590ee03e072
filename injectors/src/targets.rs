//! Which instances of a service a fault acts on, and how much of the service that is.

use std::num::NonZeroU32;

use harness_core::fault::{BlastRadius, FaultError, Touched};
use harness_core::ids::ServiceName;
use harness_core::topology::{Instance, ProcessIdentity, Service, Topology};
use harness_core::units::Ratio;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hash::hash;
use crate::process::{Presence, presence};

/// Which instances a fault acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Which {
    /// Those with the lowest slots.
    First,
    /// Chosen by the names of run, trial and fault: another in each trial, the same when repeated.
    #[default]
    Random,
}

/// The default of a count.
pub(crate) fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

/// What a scenario says about the instances.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Targets<'a> {
    pub(crate) service: &'a ServiceName,
    pub(crate) count: NonZeroU32,
    pub(crate) which: Which,
}

/// A chosen instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The slot's name: `checkout-0`.
    pub(crate) instance: String,
    pub(crate) uid: String,
    pub(crate) process: ProcessIdentity,
}

impl Targets<'_> {
    fn wanted(&self) -> usize {
        usize::try_from(self.count.get()).unwrap_or(usize::MAX)
    }

    /// The service; `Err` names those that there are.
    pub(crate) fn service_in<'a>(&self, topology: &'a Topology) -> Result<&'a Service, FaultError> {
        topology.service(self.service).ok_or_else(|| FaultError::NoTarget {
            target: format!(
                "service {}; there are {}",
                self.service,
                topology.services.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ")
            ),
        })
    }

    /// The instances that may be touched, how many of them, and the share of the service.
    pub(crate) fn radius(&self, topology: &Topology) -> Result<BlastRadius, FaultError> {
        let service = self.service_in(topology)?;
        let (count, all) = (self.wanted(), service.instances.len());
        if count > all {
            return Err(FaultError::NoTarget {
                target: format!("{count} instances of {}; it has {all}", self.service),
            });
        }
        // The limits are held against every choice that chance can make.
        let by_chance = self.which == Which::Random && count < all;
        let named = service.instances.iter().take(if by_chance { all } else { count });
        Ok(BlastRadius {
            instances: named.map(|one| service.path_of(one)).collect(),
            at_most: by_chance.then_some(self.count.get()),
            share: Some(share(u64::from(self.count.get()), all as u64)),
            edges: Vec::new(),
        })
    }

    /// The chosen instances; `Err` when the process of one of them has ended meanwhile.
    pub(crate) fn living(&self, service: &Service, name: &str) -> Result<Vec<Target>, FaultError> {
        let chosen = self.choose(service, name)?;
        match chosen.iter().find(|one| presence(&one.process) == Presence::Gone) {
            None => Ok(chosen),
            Some(gone) => Err(FaultError::NoTarget {
                target: format!("process {} of {}", gone.process.pid, gone.instance),
            }),
        }
    }

    /// The ready instances to act on, in the order of their slots. `name` decides a random choice.
    fn choose(&self, service: &Service, name: &str) -> Result<Vec<Target>, FaultError> {
        let target = |one: &Instance| {
            Some(Target {
                instance: one.name.clone(),
                uid: one.uid.clone()?,
                process: one.process.clone()?,
            })
        };
        let ready = service.instances.iter().filter(|one| one.ready);
        let mut candidates: Vec<Target> = ready.filter_map(target).collect();
        let wanted = self.wanted();
        if candidates.len() < wanted {
            return Err(FaultError::NoTarget {
                target: format!(
                    "{wanted} ready instances of {}; there are {}",
                    self.service,
                    candidates.len()
                ),
            });
        }
        if self.which == Which::Random {
            candidates.sort_by_key(|one| hash(&[name, "/", &one.instance].concat()));
        }
        candidates.truncate(wanted);
        candidates.sort_by(|a, b| a.instance.cmp(&b.instance));
        Ok(candidates)
    }
}

/// What a record of these processes touches, by the instances that they are.
pub(crate) fn touched<'a>(
    topology: &Topology,
    processes: impl Iterator<Item = &'a ProcessIdentity>,
) -> Touched {
    let path = |process: &ProcessIdentity| {
        let found = topology.path_where(|_, instance| instance.process.as_ref() == Some(process));
        found.unwrap_or_else(|| format!("process {}", process.pid))
    };
    Touched::instances(processes.map(path))
}

fn share(part: u64, whole: u64) -> Ratio {
    // Rounded up, so that a limit is never passed by rounding.
    let billionths = (u128::from(part) * 1_000_000_000).div_ceil(u128::from(whole.max(1)));
    Ratio::from_billionths(u64::try_from(billionths).unwrap_or(1_000_000_000))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use harness_core::topology::Instance;

    use super::*;

    fn instance(slot: u32, ready: bool) -> Instance {
        Instance {
            name: format!("checkout-{slot}"),
            uid: Some(format!("uid-{slot}")),
            address: Some(format!("127.0.0.1:{}", 1000 + slot)),
            process: Some(ProcessIdentity { boot_id: "b".into(), pid: slot, start_ticks: 1 }),
            ready,
        }
    }

    fn checkout(ready: &[bool]) -> Service {
        let slots = 0..u32::try_from(ready.len()).unwrap();
        let instances = slots.zip(ready).map(|(slot, ready)| instance(slot, *ready)).collect();
        Service { name: "checkout".into(), labels: BTreeMap::new(), instances }
    }

    fn choose(
        ready: &[bool],
        count: u32,
        which: Which,
        name: &str,
    ) -> Result<Vec<String>, FaultError> {
        let (service, count) = ("checkout".into(), NonZeroU32::new(count).unwrap());
        let chosen = Targets { service: &service, count, which }.choose(&checkout(ready), name)?;
        Ok(chosen.into_iter().map(|one| one.instance).collect())
    }

    #[test]
    fn a_record_touches_the_instances_that_its_processes_are() {
        let topology = Topology { services: vec![checkout(&[true; 3])], ..Topology::default() };
        let process = |pid| ProcessIdentity { boot_id: "b".into(), pid, start_ticks: 1 };
        let names = |processes: &[ProcessIdentity]| {
            touched(&topology, processes.iter()).instances.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(names(&[process(2)]), ["checkout/checkout-2"]);
        assert_eq!(names(&[process(7)]), ["process 7"], "no plan allows that");
        let later = ProcessIdentity { start_ticks: 2, ..process(2) };
        assert_eq!(names(&[later]), ["process 2"], "another process of that number");
    }

    #[test]
    fn only_ready_instances_are_chosen_and_never_too_few() {
        let first = choose(&[false, true, true], 2, Which::First, "x").unwrap();
        assert_eq!(first, ["checkout-1", "checkout-2"]);
        let error = choose(&[true, false, false], 2, Which::First, "x").unwrap_err();
        assert!(matches!(error, FaultError::NoTarget { .. }), "{error}");
    }

    #[test]
    fn a_random_choice_is_the_same_for_the_same_name_and_spread_over_names() {
        let mut seen = BTreeSet::new();
        for trial in 0..50 {
            let name = format!("run-{trial}-kill");
            let choice = choose(&[true; 3], 1, Which::Random, &name).unwrap();
            assert_eq!(choice, choose(&[true; 3], 1, Which::Random, &name).unwrap());
            seen.extend(choice);
        }
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn the_radius_counts_the_share_of_the_service() {
        let topology = Topology { services: vec![checkout(&[true; 3])], ..Topology::default() };
        let chosen = |service: &str, count: u32, which: Which| {
            let (service, count) = (service.into(), NonZeroU32::new(count).unwrap());
            Targets { service: &service, count, which }.radius(&topology)
        };
        let radius = |service: &str, count: u32| chosen(service, count, Which::Random);
        let one = radius("checkout", 1).unwrap();
        assert_eq!((one.instances.len(), one.at_most), (3, Some(1)), "it may be any of them");
        assert!(one.share.unwrap().billionths() >= 333_333_334, "rounded up");
        let first = chosen("checkout", 1, Which::First).unwrap();
        assert_eq!(first.instances, ["checkout/checkout-0"]);
        assert_eq!(first.at_most, None);
        let all = radius("checkout", 3).unwrap();
        assert_eq!((all.share, all.at_most), (Some(Ratio::from_percent(100)), None));
        assert!(matches!(radius("checkout", 4), Err(FaultError::NoTarget { .. })));
        let unknown = radius("till", 1).unwrap_err().to_string();
        assert!(unknown.contains("there are checkout"), "{unknown}");
    }
}
