//! Numbers as inclusive ranges: the ids that a system must, or may, have stored.

use serde::{Deserialize, Serialize};

/// Inclusive ranges, ascending, never touching.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds a number that is not there yet. Cheap near the end, where most of them belong.
    pub(crate) fn insert(&mut self, number: u64) {
        let place = self.0.partition_point(|(_, last)| *last < number);
        let touches_next = self.0.get(place).is_some_and(|(first, _)| *first == number + 1);
        let taken = self.0.get(place).is_some_and(|(first, _)| *first <= number);
        assert!(!taken, "each request has a number of its own");
        let touches_before =
            place.checked_sub(1).is_some_and(|before| self.0[before].1 + 1 == number);
        match (touches_before, touches_next) {
            (true, true) => self.0[place - 1].1 = self.0.remove(place).1,
            (true, false) => self.0[place - 1].1 = number,
            (false, true) => self.0[place].0 = number,
            (false, false) => self.0.insert(place, (number, number)),
        }
    }

    /// The ranges.
    pub(crate) fn into_vec(self) -> Vec<(u64, u64)> {
        self.0
    }

    /// Every number.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }
}

impl FromIterator<u64> for Ranges {
    fn from_iter<I: IntoIterator<Item = u64>>(numbers: I) -> Self {
        let mut ranges = Self::default();
        for number in numbers {
            ranges.insert(number);
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_join_in_any_order() {
        for numbers in [[0, 1, 2, 5, 7, 8], [8, 2, 0, 7, 1, 5], [5, 8, 7, 1, 2, 0]] {
            let ranges: Ranges = numbers.into_iter().collect();
            let mut sorted = numbers.to_vec();
            sorted.sort_unstable();
            assert_eq!(ranges.numbers().collect::<Vec<_>>(), sorted);
            assert_eq!(ranges.into_vec(), [(0, 2), (5, 5), (7, 8)]);
        }
    }

    #[test]
    #[should_panic(expected = "a number of its own")]
    fn a_number_comes_once() {
        drop([3, 4, 3].into_iter().collect::<Ranges>());
    }
}
