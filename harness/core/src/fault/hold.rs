//! What a fault has for itself while it is in force: two that want the same at one time are refused
//! by the plan, as neither could be seen, or put back, alone.

use super::BlastRadius;
use crate::units::Duration;

/// The process of an instance. What ends it, or makes it stand still, takes it from everybody who
/// would be answered by it.
pub const PROCESS: &str = "the process";
/// The group of the kernel that the process of an instance is in: it is in one at a time.
pub const CONTROL_GROUP: &str = "the control group";

/// One thing that a fault has for itself, in words that a person reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// It changes this of every instance that it touches.
    Changed(&'static str),
    /// It is seen, or put back, through this of every instance that it touches.
    Needed(&'static str),
    /// It changes this, which is no instance's: `the packets in the namespace shop`.
    Place(String),
}

/// A fault as far as a plan knows it.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// What it has for itself.
    pub holds: &'a [Hold],
    /// What it touches.
    pub radius: &'a BlastRadius,
    /// When it begins, in the fault phase.
    pub from: Duration,
    /// When it ends there.
    pub until: Duration,
}

impl Holder<'_> {
    /// What both want, in words: an edge, a thing of an instance, or a place. `None` when they may
    /// be in force as they are planned. What chance may choose counts as chosen.
    ///
    /// What one needs and the other changes may be changed within its time: it is seen before that,
    /// and put back after it.
    pub fn contests(&self, other: &Self) -> Option<String> {
        if self.until <= other.from || other.until <= self.from {
            return None;
        }
        let common = |mine: &[String], theirs: &[String]| {
            mine.iter().find(|name| theirs.contains(name)).cloned()
        };
        if let Some(edge) = common(&self.radius.edges, &other.radius.edges) {
            return Some(format!("`{edge}`"));
        }
        let instance = common(&self.radius.instances, &other.radius.instances);
        let by_chance = self.radius.at_most.or(other.radius.at_most).is_some();
        let chance = if by_chance { ", if chance chooses it" } else { "" };
        let pairs = self.holds.iter().flat_map(|mine| other.holds.iter().map(move |it| (mine, it)));
        pairs.into_iter().find_map(|(mine, theirs)| {
            let thing = match (mine, theirs) {
                (Hold::Place(mine), Hold::Place(theirs)) => {
                    return (mine == theirs).then(|| mine.clone());
                }
                (Hold::Changed(mine), Hold::Changed(theirs)) if mine == theirs => mine,
                (Hold::Changed(mine), Hold::Needed(theirs))
                    if mine == theirs && !self.is_within(other) =>
                {
                    mine
                }
                (Hold::Needed(mine), Hold::Changed(theirs))
                    if mine == theirs && !other.is_within(self) =>
                {
                    mine
                }
                _ => return None,
            };
            instance.as_ref().map(|instance| format!("{thing} of `{instance}`{chance}"))
        })
    }

    fn is_within(&self, other: &Self) -> bool {
        self.from > other.from && self.until <= other.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: &[Hold] = &[Hold::Changed(PROCESS), Hold::Changed(CONTROL_GROUP)];
    const LIMIT: &[Hold] = &[Hold::Changed("the limit"), Hold::Needed(PROCESS)];
    const ORDER: &[Hold] = &[Hold::Needed(PROCESS)];

    fn on(instances: &[&str]) -> BlastRadius {
        let instances = instances.iter().map(|name| (*name).to_owned()).collect();
        BlastRadius { instances, ..BlastRadius::default() }
    }

    fn holder<'a>(
        holds: &'a [Hold],
        radius: &'a BlastRadius,
        (from, until): (u64, u64),
    ) -> Holder<'a> {
        let [from, until] = [from, until].map(Duration::from_secs);
        Holder { holds, radius, from, until }
    }

    /// In both directions.
    fn contested(one: Holder<'_>, other: Holder<'_>) -> Option<String> {
        let found = one.contests(&other);
        assert_eq!(other.contests(&one), found, "it does not matter who asks");
        found
    }

    #[test]
    fn a_thing_of_one_instance_is_changed_by_one_fault_and_needed_by_none_beside_it() {
        let (first, both) = (&on(&["a/a-0"]), &on(&["a/a-0", "a/a-1"]));
        let second = &on(&["a/a-1"]);
        for (mine, theirs, thing) in [
            (PAUSE, PAUSE, Some("the process")),
            (PAUSE, LIMIT, Some("the process")),
            (PAUSE, ORDER, Some("the process")),
            (LIMIT, LIMIT, Some("the limit")),
            (LIMIT, ORDER, None),
            (ORDER, ORDER, None),
            (&[], PAUSE, None),
        ] {
            let mine = holder(mine, first, (0, 3));
            let of = |radius, time| contested(mine, holder(theirs, radius, time));
            let words = thing.map(|thing| format!("{thing} of `a/a-0`"));
            assert_eq!(of(both, (1, 4)), words, "{mine:?} {theirs:?}");
            assert_eq!(of(second, (1, 4)), None, "{mine:?} {theirs:?}");
            assert_eq!(of(both, (3, 4)), None, "one after the other: {mine:?} {theirs:?}");
        }
    }

    #[test]
    fn what_is_needed_may_be_changed_in_between() {
        let radius = &on(&["a/a-0"]);
        let of = |changer: (u64, u64)| {
            contested(holder(LIMIT, radius, (1, 5)), holder(PAUSE, radius, changer)).is_some()
        };
        for (changer, refused) in
            [((2, 4), false), ((2, 5), false), ((2, 6), true), ((1, 3), true), ((0, 9), true)]
        {
            assert_eq!(of(changer), refused, "{changer:?}");
        }
        let limits = [(1, 5), (2, 4)].map(|time| holder(LIMIT, radius, time));
        assert!(contested(limits[0], limits[1]).is_some(), "two changes are never told apart");
    }

    #[test]
    fn chance_may_choose_the_same() {
        let random = &BlastRadius { at_most: Some(1), ..on(&["a/a-0", "a/a-1"]) };
        let found = contested(holder(PAUSE, random, (0, 1)), holder(PAUSE, random, (0, 1)));
        assert_eq!(found.as_deref(), Some("the process of `a/a-0`, if chance chooses it"));
    }

    #[test]
    fn an_edge_and_a_place_have_one_fault_at_a_time() {
        let edges = |name: &str| BlastRadius { edges: vec![name.to_owned()], ..on(&["a/a-0"]) };
        let (there, here) = (&edges("a->b"), &edges("b->c"));
        let of = |mine, one, theirs, other| {
            contested(holder(mine, one, (0, 3)), holder(theirs, other, (1, 2)))
        };
        assert_eq!(of(&[], there, &[], there).as_deref(), Some("`a->b`"));
        let place = |name: &str| vec![Hold::Place(format!("the queues in `{name}`"))];
        let (one, two) = (&place("n"), &place("m"));
        assert_eq!(of(one, there, one, here).as_deref(), Some("the queues in `n`"));
        assert_eq!(of(one, there, two, here), None);
        assert_eq!(of(one, there, PAUSE, here), None);
    }
}
