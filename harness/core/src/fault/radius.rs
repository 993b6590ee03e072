//! How much faults touch: what a plan allows, what an armed record names, and how the one is held
//! against the other.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::topology::Topology;
use crate::units::Ratio;

/// How much a fault may touch, computed from the plan alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlastRadius {
    /// Instances that may be touched directly, as `service/slot`.
    pub instances: Vec<String>,
    /// How many of them are touched at most, where chance decides which. Without it, all of them
    /// are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u32>,
    /// The largest share of one service's instances that is touched.
    pub share: Option<Ratio>,
    /// Edges touched directly.
    pub edges: Vec<String>,
}

/// What an armed record names: what its fault will touch, in the words of a [`BlastRadius`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Touched {
    /// Instances, as `service/slot`. What is no instance of the topology stands here by a name that
    /// no plan allows.
    pub instances: BTreeSet<String>,
    /// Edges.
    pub edges: BTreeSet<String>,
}

/// How much several faults touch together, at most, however chance decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Instances.
    pub instances: u32,
    /// The largest share of one service's instances.
    pub share: Ratio,
    /// Edges.
    pub edges: u32,
}

impl Touched {
    /// Instances and no edge.
    pub fn instances(instances: impl IntoIterator<Item = String>) -> Self {
        Self { instances: instances.into_iter().collect(), ..Self::default() }
    }

    /// Edges and no instance.
    pub fn edges(edges: impl IntoIterator<Item = String>) -> Self {
        Self { edges: edges.into_iter().collect(), ..Self::default() }
    }
}

impl BlastRadius {
    /// How many instances are touched at most.
    pub fn count(&self) -> u32 {
        let named = number(self.instances.len());
        self.at_most.map_or(named, |most| most.min(named))
    }

    /// Why an armed record may not be injected: what it names beyond this. `None` when nothing is.
    pub fn is_exceeded_by(&self, touched: &Touched) -> Option<String> {
        let beyond = |named: &BTreeSet<String>, allowed: &[String]| -> Vec<String> {
            named.iter().filter(|name| !allowed.contains(name)).cloned().collect()
        };
        let mut others = beyond(&touched.instances, &self.instances);
        others.extend(beyond(&touched.edges, &self.edges));
        if !others.is_empty() {
            return Some(format!("it names {}, which the plan does not", others.join(", ")));
        }
        let (named, most) = (number(touched.instances.len()), self.count());
        (named > most).then(|| format!("it names {named} instances, the plan at most {most}"))
    }
}

impl Extent {
    /// What these faults touch together. Two choices of chance in one service are taken to be
    /// different instances as long as there are so many.
    pub fn of<'a>(topology: &Topology, radii: impl Iterator<Item = &'a BlastRadius>) -> Self {
        let mut services: BTreeMap<&str, Service<'_>> = BTreeMap::new();
        let (mut edges, mut share) = (BTreeSet::new(), Ratio::ZERO);
        for radius in radii {
            edges.extend(&radius.edges);
            share = share.max(radius.share.unwrap_or(Ratio::ZERO));
            let mut named: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
            for instance in &radius.instances {
                named.entry(service_of(instance)).or_default().insert(instance);
            }
            for (service, names) in named {
                let sum = services.entry(service).or_default();
                sum.possible.extend(&names);
                match radius.at_most {
                    None => sum.certain.extend(&names),
                    Some(most) => sum.by_chance += (most as usize).min(names.len()),
                }
            }
        }
        for (name, sum) in &services {
            let has = topology.service(&(*name).into()).map_or(0, |found| found.instances.len());
            share = share.max(rounded_up(sum.most(), has));
        }
        let instances = services.values().map(Service::most).sum();
        Self { instances: number(instances), share, edges: number(edges.len()) }
    }
}

/// What is touched of one service.
#[derive(Default)]
struct Service<'a> {
    certain: BTreeSet<&'a str>,
    by_chance: usize,
    possible: BTreeSet<&'a str>,
}

impl Service<'_> {
    fn most(&self) -> usize {
        (self.certain.len() + self.by_chance).min(self.possible.len())
    }
}

fn service_of(instance: &str) -> &str {
    instance.split_once('/').map_or(instance, |(service, _)| service)
}

/// Rounded up, so that a limit is never passed by rounding; all of what is not known.
fn rounded_up(part: usize, whole: usize) -> Ratio {
    if part >= whole {
        return Ratio::ONE;
    }
    let billionths = (part as u128 * u128::from(Ratio::ONE.billionths())).div_ceil(whole as u128);
    Ratio::from_billionths(u64::try_from(billionths).expect("a part is less than the whole"))
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Instance, Service as Declared};

    fn instance(name: String) -> Instance {
        Instance { name, uid: None, address: None, process: None, ready: false }
    }

    /// `checkout` with three instances, `store` with one.
    fn topology() -> Topology {
        let service = |name: &str, count: u32| Declared {
            name: name.into(),
            labels: BTreeMap::new(),
            instances: (0..count).map(|slot| instance(format!("{name}-{slot}"))).collect(),
        };
        Topology {
            services: vec![service("checkout", 3), service("store", 1)],
            ..Topology::default()
        }
    }

    fn names(slots: std::ops::Range<u32>) -> Vec<String> {
        slots.map(|slot| format!("checkout/checkout-{slot}")).collect()
    }

    fn random(count: u32) -> BlastRadius {
        BlastRadius { instances: names(0..3), at_most: Some(count), ..BlastRadius::default() }
    }

    fn first(count: u32) -> BlastRadius {
        BlastRadius { instances: names(0..count), ..BlastRadius::default() }
    }

    fn store() -> BlastRadius {
        BlastRadius { instances: vec!["store/store-0".to_owned()], ..BlastRadius::default() }
    }

    #[test]
    fn choices_of_chance_add_up_to_the_whole_service() {
        let extent = |radii: &[BlastRadius]| {
            let extent = Extent::of(&topology(), radii.iter());
            (extent.instances, extent.share.billionths())
        };
        let (third, two_thirds, all) = (333_333_334, 666_666_667, 1_000_000_000);
        assert_eq!(extent(&[]), (0, 0));
        assert_eq!(extent(&[random(1)]), (1, third), "rounded up");
        assert_eq!(extent(&[random(1), random(1)]), (2, two_thirds), "they may differ");
        assert_eq!(extent(&[random(1), random(1), random(1), random(1)]), (3, all), "no more");
        assert_eq!(extent(&[first(1), first(1)]), (1, third), "the same one");
        assert_eq!(extent(&[first(1), first(2)]), (2, two_thirds));
        assert_eq!(extent(&[first(2), random(1)]), (3, all), "the third may be chosen");
        assert_eq!(extent(&[random(1), store()]), (2, all), "each service for itself");
        let unknown = BlastRadius { instances: vec!["till/till-0".into()], ..random(1) };
        assert_eq!(extent(&[unknown]), (1, all), "what is not known counts as a whole");
        let said = BlastRadius { share: Some(Ratio::from_percent(50)), ..BlastRadius::default() };
        assert_eq!(extent(&[said]), (0, 500_000_000), "a fault may know better");
    }

    #[test]
    fn edges_are_counted_once() {
        let on = |edges: &[&str]| BlastRadius {
            edges: edges.iter().map(|edge| (*edge).to_owned()).collect(),
            ..BlastRadius::default()
        };
        let extent = Extent::of(&topology(), [on(&["a->b"]), on(&["a->b", "b->c"])].iter());
        assert_eq!((extent.instances, extent.edges), (0, 2));
    }

    #[test]
    fn a_record_may_name_what_the_plan_names_and_no_more() {
        let touched = |instances: &[&str], edges: &[&str]| {
            let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            Touched { instances: own(instances), edges: own(edges) }
        };
        let allowed = BlastRadius { edges: vec!["a->b".to_owned()], ..random(1) };
        for (instances, edges, beyond) in [
            (&[][..], &[][..], None),
            (&["checkout/checkout-2"], &["a->b"], None),
            (
                &["checkout/checkout-1", "checkout/checkout-2"],
                &[],
                Some("it names 2 instances, the plan at most 1"),
            ),
            (&["store/store-0"], &[], Some("it names store/store-0, which the plan does not")),
            (&[], &["b->c"], Some("it names b->c, which the plan does not")),
        ] {
            let found = allowed.is_exceeded_by(&touched(instances, edges));
            assert_eq!(found.as_deref(), beyond, "{instances:?} {edges:?}");
        }
        assert!(first(2).is_exceeded_by(&touched(&["checkout/checkout-2"], &[])).is_some());
    }
}
