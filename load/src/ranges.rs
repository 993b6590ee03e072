//! Ascending numbers as inclusive ranges: the ids that a system must, or may, have stored.

/// Inclusive ranges, ascending, never touching.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds a number that is larger than all before.
    pub(crate) fn push(&mut self, number: u64) {
        match self.0.last_mut() {
            Some((_, last)) => {
                assert!(*last < number, "numbers of requests ascend over windows");
                if *last + 1 == number {
                    *last = number;
                } else {
                    self.0.push((number, number));
                }
            }
            None => self.0.push((number, number)),
        }
    }

    /// The ranges.
    pub(crate) fn into_vec(self) -> Vec<(u64, u64)> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_join() {
        let mut ranges = Ranges::default();
        for number in [0, 1, 2, 5, 7, 8] {
            ranges.push(number);
        }
        assert_eq!(ranges.into_vec(), [(0, 2), (5, 5), (7, 8)]);
    }
}
