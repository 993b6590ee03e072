//! What a fault has for itself while it is in force: two that want the same at one time are refused
//! by the plan, as neither could be seen, or put back, alone.

use super::BlastRadius;

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
}

impl Holder<'_> {
    /// What both want, in words: an edge, a thing of an instance, or a place. `None` when they may
    /// be in force at one time. What chance may choose counts as chosen.
    pub fn contests(&self, other: &Self) -> Option<String> {
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
        pairs.into_iter().find_map(|pair| match pair {
            (Hold::Changed(mine), Hold::Changed(theirs) | Hold::Needed(theirs))
            | (Hold::Needed(mine), Hold::Changed(theirs))
                if mine == theirs =>
            {
                instance.as_ref().map(|instance| format!("{mine} of `{instance}`{chance}"))
            }
            (Hold::Place(mine), Hold::Place(theirs)) if mine == theirs => Some(mine.clone()),
            _ => None,
        })
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

    /// In both directions.
    fn contested(one: (&[Hold], &BlastRadius), other: (&[Hold], &BlastRadius)) -> Option<String> {
        let holder = |(holds, radius)| Holder { holds, radius };
        let found = holder(one).contests(&holder(other));
        assert_eq!(holder(other).contests(&holder(one)), found, "it does not matter who asks");
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
            let words = thing.map(|thing| format!("{thing} of `a/a-0`"));
            assert_eq!(contested((mine, first), (theirs, both)), words, "{mine:?} {theirs:?}");
            assert_eq!(contested((mine, first), (theirs, second)), None, "{mine:?} {theirs:?}");
        }
    }

    #[test]
    fn an_edge_and_a_place_have_one_fault_at_a_time() {
        let edges = |name: &str| BlastRadius { edges: vec![name.to_owned()], ..on(&["a/a-0"]) };
        let (there, here) = (edges("a->b"), edges("b->c"));
        assert_eq!(contested((&[], &there), (&[], &there)).as_deref(), Some("`a->b`"));
        let place = |name: &str| vec![Hold::Place(format!("the queues in `{name}`"))];
        let (one, two) = (place("n"), place("m"));
        let found = contested((&one, &there), (&one, &here));
        assert_eq!(found.as_deref(), Some("the queues in `n`"));
        assert_eq!(contested((&one, &there), (&two, &here)), None);
        assert_eq!(contested((&one, &there), (PAUSE, &here)), None);
    }
}
