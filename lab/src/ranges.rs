//! Sequence numbers as ranges, so that a hundred thousand order ids fit into one short answer.
//!
//! Pure; it knows nothing of orders.

/// Packs numbers into inclusive ranges `[first, last]`, ascending and as few as possible.
/// Order and repetition of the input do not matter.
pub(crate) fn pack(mut numbers: Vec<u64>) -> Vec<[u64; 2]> {
    numbers.sort_unstable();
    let mut ranges: Vec<[u64; 2]> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(last) if number <= last[1] => {}
            Some(last) if number == last[1] + 1 => last[1] = number,
            _ => ranges.push([number, number]),
        }
    }
    ranges
}

/// The sequence number of a key `<prefix>-<number>`, or nothing for any other key.
pub(crate) fn sequence(key: &str, prefix: &str) -> Option<u64> {
    let digits = key.strip_prefix(prefix)?.strip_prefix('-')?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_the_fewest_ranges() {
        for (numbers, expected) in [
            (vec![], vec![]),
            (vec![5], vec![[5, 5]]),
            (vec![3, 1, 2], vec![[1, 3]]),
            (vec![1, 2, 4, 4, 5, 9], vec![[1, 2], [4, 5], [9, 9]]),
            (vec![u64::MAX, u64::MAX - 1], vec![[u64::MAX - 1, u64::MAX]]),
        ] {
            assert_eq!(pack(numbers), expected);
        }
    }

    #[test]
    fn only_the_own_prefix_and_plain_digits_count() {
        for (key, expected) in [
            ("r1-2-17", Some(17)),
            ("r1-2-007", Some(7)),
            ("r1-2-", None),
            ("r1-2", None),
            ("r1-23-4", None),
            ("r1-2-4-5", None),
            ("r1-2-+4", None),
            ("r1-2-99999999999999999999", None),
        ] {
            assert_eq!(sequence(key, "r1-2"), expected, "{key}");
        }
    }
}
