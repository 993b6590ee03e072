//! Ids that the client got accepted against ids that the system stored: none lost, none twice.
//!
//! An id whose end the client does not know may be stored or not. One that is stored but not
//! finished when the queues had their time counts as lost: the collect deadline is its bound.

use super::case::{Case, Found, Value};
use super::words;
use crate::system::Processed;
use crate::verdict::TrialState;

/// Inclusive ranges of sequence numbers.
type Ranges = [(u64, u64)];

/// Accepted against stored.
pub(super) fn invariant(case: Case<'_>, none_lost: bool, none_twice: bool) -> Found {
    let Some(load) = &case.trial.load else {
        return Found::ambiguous("the load's own record of accepted ids is missing");
    };
    let processed = match &case.trial.processed {
        Some(Ok(processed)) => processed,
        Some(Err(why)) => {
            return Found::ambiguous(format!("it is not known what was stored: {why}"));
        }
        None => return Found::ambiguous("the system was not asked what it stored"),
    };
    let accepted = merged(&load.accepted);
    if accepted.is_empty() {
        return Found::ambiguous("no request with an id was accepted");
    }
    let Processed { stored, pending, repeated } = processed;
    let pending = merged(pending);
    let unfinished = common(&accepted, &pending);
    let known = merged(&[stored.as_slice(), pending.as_slice()].concat());
    let lost = size(&accepted) - common(&accepted, &known);
    let (lost, unfinished) = if none_lost { (lost, unfinished) } else { (0, 0) };
    let twice = if none_twice { repeated.len() as u64 } else { 0 };
    let broken = lost + unfinished + twice;
    let state = if broken == 0 { TrialState::Ok } else { TrialState::Bad };
    let ids = words::count(size(&accepted), "accepted id");
    let because = if broken == 0 {
        format!("{ids}, all as it should be")
    } else {
        let parts = [(lost, "lost"), (unfinished, "still pending"), (twice, "processed twice")];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        format!("{ids}: {}", parts.join(", "))
    };
    Found::new(state, Value::At(broken as f64), because)
}

/// The same numbers as ascending ranges that do not touch; a range that ends before it begins
/// holds nothing.
fn merged(ranges: &Ranges) -> Vec<(u64, u64)> {
    let mut sorted: Vec<(u64, u64)> =
        ranges.iter().copied().filter(|(first, last)| first <= last).collect();
    sorted.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(sorted.len());
    for (first, last) in sorted {
        match merged.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            Some(_) | None => merged.push((first, last)),
        }
    }
    merged
}

/// How many numbers merged ranges hold.
fn size(ranges: &Ranges) -> u64 {
    ranges
        .iter()
        .fold(0, |sum: u64, (first, last)| sum.saturating_add((last - first).saturating_add(1)))
}

/// How many numbers two lists of merged ranges have in common.
fn common(ours: &Ranges, theirs: &Ranges) -> u64 {
    let (mut left, mut right) = (ours.iter().peekable(), theirs.iter().peekable());
    let mut found = 0_u64;
    while let (Some((a, b)), Some((c, d))) = (left.peek(), right.peek()) {
        let (first, last) = ((*a).max(*c), (*b).min(*d));
        if first <= last {
            found = found.saturating_add((last - first).saturating_add(1));
        }
        if b < d {
            left.next()
        } else {
            right.next()
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_agree_with_plain_sets() {
        use std::collections::BTreeSet;
        let flat = |ranges: &Ranges| -> BTreeSet<u64> {
            ranges.iter().flat_map(|(first, last)| *first..=*last).collect()
        };
        let lists: [&Ranges; 6] = [
            &[],
            &[(0, 0)],
            &[(3, 5), (1, 2)],
            &[(0, 9), (2, 3), (20, 30)],
            &[(5, 4), (7, 7), (9, 9), (8, 8)],
            &[(10, 25)],
        ];
        for one in lists {
            assert_eq!(flat(&merged(one)), flat(one));
            assert_eq!(size(&merged(one)), flat(one).len() as u64, "{one:?}");
            for other in lists {
                let both = flat(one).intersection(&flat(other)).count() as u64;
                assert_eq!(common(&merged(one), &merged(other)), both, "{one:?} {other:?}");
            }
        }
    }
}
